//! The first twenty bytes of a program: is it one, and for which machine.

use super::cni::PluginProblem;

/// What keeps a file with this beginning (in hex) from running on a machine that `uname -m` calls `arch`.
pub(crate) fn problem(head: &str, arch: Option<&str>) -> Option<PluginProblem> {
    let bytes = bytes(head)?;
    if bytes.starts_with(b"#!") {
        return None;
    }
    if !bytes.starts_with(b"\x7fELF") {
        return Some(PluginProblem::NotAProgram);
    }
    let machine = bytes.get(18..20)?;
    let machine = match bytes.get(5) {
        Some(2) => u16::from_be_bytes([machine[0], machine[1]]),
        _ => u16::from_le_bytes([machine[0], machine[1]]),
    };
    let runs = runs_on(machine, arch?)?;
    (!runs).then_some(PluginProblem::WrongMachine)
}

/// `e_machine` against the kernel's name of the machine; `None` for machines that are not in the table.
fn runs_on(machine: u16, arch: &str) -> Option<bool> {
    // A 64-bit kernel runs its 32-bit sibling's programs too.
    let accepted: &[u16] = match arch {
        "x86_64" => &[0x3e, 0x03],
        "i386" | "i486" | "i586" | "i686" => &[0x03],
        "aarch64" | "arm64" => &[0xb7, 0x28],
        "armv6l" | "armv7l" | "armv8l" => &[0x28],
        "riscv64" => &[0xf3],
        "s390x" => &[0x16],
        "ppc64le" | "ppc64" => &[0x15],
        "loongarch64" => &[0x102],
        _ => return None,
    };
    Some(accepted.contains(&machine))
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let mut digits = hex.bytes().filter(|byte| !byte.is_ascii_whitespace());
    let mut bytes = Vec::with_capacity(hex.len() / 2);
    while let (Some(high), Some(low)) = (digits.next(), digits.next()) {
        let digit = |byte| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(digit(high)? << 4 | digit(low)?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_scripts_and_rubbish() {
        let amd64 = "7f454c4602010100000000000000000002003e00";
        let s390x = "7f454c4602020100000000000000000000020016";
        let cases = [
            (amd64, Some("x86_64"), None),
            (amd64, Some("aarch64"), Some(PluginProblem::WrongMachine)),
            (s390x, Some("s390x"), None),
            (amd64, Some("vax"), None),
            (amd64, None, None),
            ("23212f62696e2f7368", Some("x86_64"), None),
            ("7b0a", Some("x86_64"), Some(PluginProblem::NotAProgram)),
            ("", Some("x86_64"), Some(PluginProblem::NotAProgram)),
            ("7f454c46", Some("x86_64"), None),
            ("zz", Some("x86_64"), None),
        ];
        for (head, arch, expected) in cases {
            assert_eq!(problem(head, arch), expected, "{head}");
        }
    }
}
