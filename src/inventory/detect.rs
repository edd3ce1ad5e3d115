//! Which format a text is in, told by its content: file extensions in the wild say little. Pure.

use secrecy::zeroize::Zeroizing;

use crate::inventory::error::InventoryError;

/// A format of an inventory's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Yaml,
    Ini,
    /// JSON: either a saved `--list` of a script, or a YAML inventory written as JSON.
    Json,
}

/// Makes text of a file's bytes. Windows leaves a byte-order mark; Ansible lets comments of an INI file be in any encoding.
/// Wiped when it is dropped, as there may be passwords in it.
pub fn text_of(path: &str, bytes: Vec<u8>) -> Result<Zeroizing<String>, InventoryError> {
    let binary = |reason: String| InventoryError::Binary { path: path.to_owned(), reason };
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(binary("UTF-16; save it as UTF-8".to_owned()));
    }
    if let Some(position) = bytes.iter().position(|byte| *byte == 0) {
        return Err(binary(format!("a zero byte at offset {position}")));
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => Zeroizing::new(text),
        Err(error) => {
            let position = error.utf8_error().valid_up_to();
            let bytes = Zeroizing::new(error.into_bytes());
            let bad_lines =
                |line: &[u8]| std::str::from_utf8(line).is_err() && !line.trim_ascii_start().starts_with(b"#");
            if bytes.split(|byte| *byte == b'\n').any(bad_lines) {
                let line = bytes[..position].split(|byte| *byte == b'\n').count();
                return Err(binary(format!("not UTF-8 in line {line}")));
            }
            Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned())
        }
    };
    match text.strip_prefix('\u{feff}') {
        Some(text) => Ok(Zeroizing::new(text.to_owned())),
        None => Ok(text),
    }
}

/// The format of `text`; `None` when there is nothing but blank lines and comments.
pub fn format(text: &str) -> Option<Format> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with(['#', ';']))?;
    if line.starts_with('{') {
        return Some(Format::Json);
    }
    if line == "---" || line.starts_with("--- ") || line.starts_with('%') || line == "-" || line.starts_with("- ") {
        return Some(Format::Yaml);
    }
    if line.starts_with('[') {
        // A YAML list in one line, or a heading: only a list has commas or quotes in it.
        let inner = line.split(']').next().unwrap_or_default();
        let heading = line.contains(']') && !inner.contains([',', '"', '\'']);
        return Some(if heading { Format::Ini } else { Format::Yaml });
    }
    // `key:` or `key: value`. A host line has a space or `=` before any such colon, and a port behind its own.
    let key_end = (0..).zip(line.as_bytes()).find_map(|(index, byte)| {
        let follows = line.as_bytes().get(index + 1);
        (*byte == b':' && follows.is_none_or(u8::is_ascii_whitespace)).then_some(index)
    });
    let yaml = key_end.is_some_and(|end| {
        let key = &line[..end];
        let quoted = key.len() > 1 && ['"', '\''].iter().any(|quote| key.starts_with(*quote) && key.ends_with(*quote));
        quoted || !key.contains(|char: char| char.is_whitespace() || char == '=')
    });
    Some(if yaml { Format::Yaml } else { Format::Ini })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_tells_the_format() {
        for (text, wanted) in [
            ("all:\n  hosts:\n", Some(Format::Yaml)),
            ("# c\n---\nall:\n", Some(Format::Yaml)),
            ("all: # everything\n", Some(Format::Yaml)),
            ("\"k8s cluster\":\n", Some(Format::Yaml)),
            ("all: {hosts: {a: }}\n", Some(Format::Yaml)),
            ("- a\n- b\n", Some(Format::Yaml)),
            ("[a, b]\n", Some(Format::Yaml)),
            ("{\"all\": {}}", Some(Format::Json)),
            ("; c\n[web]\nhost\n", Some(Format::Ini)),
            ("[web:children] # c\n", Some(Format::Ini)),
            ("[2001:db8::1]:22 a=b\n", Some(Format::Ini)),
            ("host\n", Some(Format::Ini)),
            ("host:22\n", Some(Format::Ini)),
            ("host ansible_ssh_common_args='-o a: b'\n", Some(Format::Ini)),
            ("node[01:40]\n", Some(Format::Ini)),
            ("\n# only\n ; comments\n", None),
            ("", None),
        ] {
            assert_eq!(format(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn bytes_become_text_or_a_clear_refusal() {
        assert_eq!(**text_of("f", b"\xef\xbb\xbfall:\r\n".to_vec()).unwrap(), *"all:\r\n");
        assert!(text_of("f", b"# gr\xfc\xdfe\nhost\n".to_vec()).unwrap().ends_with("host\n"));
        for (bytes, reason) in [
            (&b"\x7fELF\0\0"[..], "a zero byte at offset 4"),
            (b"ok\nh\xf6st\n", "not UTF-8 in line 2"),
            (b"\xff\xfea\0", "UTF-16; save it as UTF-8"),
        ] {
            let wanted = InventoryError::Binary { path: "f".to_owned(), reason: reason.to_owned() };
            assert_eq!(text_of("f", bytes.to_vec()), Err(wanted));
        }
    }
}
