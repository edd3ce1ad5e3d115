//! Scripts for a node's `sh`: the parts from `script/`, with their arguments and contents embedded so that a shell cannot read
//! anything else into them. Pure.

use std::fmt::Write as _;

use crate::probe::{Nonce, strip};
use crate::secret::SecretText;

/// So much of a content stands in one command of the script.
const PIECE: usize = 2048;

const COMMON: &str = include_str!("script/common.sh");

/// A script on its way to be whole: a first line that a pretended node may change, settings, contents, and the parts in one brace
/// group, which a shell only runs when its end has come. A content may be a secret.
#[derive(Debug)]
pub(super) struct Script {
    text: SecretText,
    /// `3<&0` where the script reads on from its own input.
    input: &'static str,
    pub(super) nonce: Nonce,
}

impl Script {
    pub(super) fn new() -> Self {
        let nonce = Nonce::random();
        let mut text = SecretText::default();
        let _ = writeln!(text, "N={} R= P=", nonce.as_str());
        Self { text, input: "", nonce }
    }

    /// A variable. The name is one of ours.
    pub(super) fn set(mut self, name: &str, value: &str) -> Self {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{name}={}", quoted(value));
        self
    }

    /// The positional parameters.
    pub(super) fn arguments<'a>(mut self, values: impl IntoIterator<Item = &'a str>) -> Self {
        self.text.push_str("set --");
        for value in values {
            let _ = write!(self.text, " {}", quoted(value));
        }
        self.text.push('\n');
        self
    }

    /// A function that prints these bytes exactly.
    pub(super) fn printing(mut self, name: &str, bytes: &[u8]) -> Self {
        let _ = writeln!(self.text, "{name}() {{\n:");
        for piece in bytes.chunks(PIECE) {
            self.text.push_str("printf ");
            push_format(piece, &mut self.text);
            self.text.push_str(" || return\n");
        }
        self.text.push_str("}\n");
        self
    }

    /// Descriptor 3 is what follows the script on its input.
    pub(super) fn reading_on(self) -> Self {
        Self { input: "3<&0 ", ..self }
    }

    /// The whole script.
    pub(super) fn finish(mut self, parts: &[&str]) -> (Nonce, SecretText) {
        self.text.push_str("{\n");
        let mut stripped = String::new();
        for part in [COMMON].iter().chain(parts) {
            strip(part, &mut stripped);
        }
        self.text.push_str(&stripped);
        let _ = writeln!(self.text, "exit 0\n}} {}</dev/null", self.input);
        (self.nonce, self.text)
    }
}

/// One word of a shell, whatever is in it but NUL, which no argument can hold and which is left out.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\0', "").replace('\'', r"'\''"))
}

/// Appends the format for `printf` that prints these bytes: everything that could mean something to it or to a shell is written in octal.
fn push_format(bytes: &[u8], format: &mut SecretText) {
    format.push('\'');
    for (place, byte) in bytes.iter().enumerate() {
        match byte {
            b'-' if place == 0 => format.push_str("\\055"),
            b'%' => format.push_str("%%"),
            b' '..=b'~' if !matches!(byte, b'\'' | b'\\') => format.push(char::from(*byte)),
            _ => {
                let _ = write!(format, "\\{byte:03o}");
            }
        }
    }
    format.push('\'');
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// What a real shell prints.
    fn shell(line: &str) -> Vec<u8> {
        let sh = Command::new("sh").args(["-c", line]).stdin(Stdio::null()).output().unwrap();
        assert!(sh.status.success(), "{line:?}: {}", String::from_utf8_lossy(&sh.stderr));
        sh.stdout
    }

    #[test]
    fn words_and_formats_hold_nothing_that_a_shell_would_read() {
        assert_eq!(quoted("it's $HOME `x` \\ \n"), "'it'\\''s $HOME `x` \\ \n'");
        let mut format = SecretText::default();
        push_format(b"-n 100% \\ 'a'\r\n\xff\0", &mut format);
        assert_eq!(format.as_str(), r"'\055n 100%% \134 \047a\047\015\012\377\000'");
    }

    #[test]
    fn a_script_is_one_group_behind_its_settings() {
        let (nonce, text) =
            Script::new().set("T", "a b").arguments(["x", "'"]).printing("content", b"c").finish(&["# x\n\necho hi\n"]);
        let text = text.as_str();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], format!("N={} R= P=", nonce.as_str()));
        assert_eq!(lines[1..4], ["T='a b'", "set -- 'x' ''\\'''", "content() {"]);
        assert!(text.contains("\nprintf 'c' || return\n}\n{\n"), "{text}");
        assert!(text.ends_with("\necho hi\nexit 0\n} </dev/null\n"), "{text}");
        assert_eq!(Nonce::of_script(text), Some(nonce));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_shell_reads_any_word_as_it_is(words in vec(any::<String>(), 1..20)) {
            let line = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
            let expected: Vec<u8> =
                words.iter().flat_map(|word| word.bytes().filter(|byte| *byte != 0).chain([0])).collect();
            prop_assert_eq!(shell(&format!("printf '%s\\0' {line}")), expected);
        }

        #[test]
        fn a_shell_prints_any_bytes_as_they_are(bytes in vec(any::<u8>(), 0..200)) {
            let mut format = SecretText::default();
            push_format(&bytes, &mut format);
            prop_assert_eq!(shell(&format!("printf {}", format.as_str())), bytes);
        }
    }
}
