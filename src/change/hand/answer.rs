//! What a script says: lines that begin with the run's nonce, from `begin` to `end STATUS`, and bytes between them. What stands before
//! is the login shell's noise. Pure.

use std::fmt;

use secrecy::zeroize::Zeroizing;

use crate::probe::Nonce;
use crate::reach;

/// So many characters of a node's own words are kept.
const WORDS: usize = 600;

/// A whole answer. Its `Debug` form has no body: that may be a token.
#[derive(PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: String,
    /// Key and value of each line, in their order.
    pub(super) lines: Vec<(String, String)>,
    /// What stands between the first line and the next one, without the line feed that the script itself puts behind it.
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// `None` until the last line has come.
    pub(super) fn read(output: &[u8], nonce: &Nonce) -> Option<Self> {
        let mut rest = after_begin(output, nonce)?;
        let mark = format!("@@{} ", nonce.as_str()).into_bytes();
        // Room for the whole, so that no part of it stays behind where it moved from.
        let mut body = Zeroizing::new(Vec::with_capacity(rest.len()));
        let (mut lines, mut in_body) = (Vec::new(), true);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, next) = rest.split_at(end + 1);
            rest = next;
            if let Some(said) = line.strip_prefix(mark.as_slice()) {
                in_body = false;
                let said = String::from_utf8_lossy(said);
                let said = said.trim_end_matches(['\r', '\n']);
                let (key, value) = said.split_once(' ').unwrap_or((said, ""));
                if key == "end" {
                    if body.last() == Some(&b'\n') {
                        body.pop();
                    }
                    return Some(Self { status: value.to_owned(), lines, body });
                }
                lines.push((key.to_owned(), value.to_owned()));
            } else if in_body {
                body.extend_from_slice(line);
            }
        }
        None
    }

    /// The first value of that key.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.lines.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The same as words for people: bounded, on one line, without what looks like a secret.
    pub(super) fn words(&self, key: &str) -> String {
        words(self.get(key).unwrap_or_default())
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, lines, body } = self;
        write!(f, "Answer({status}, {lines:?}, {} bytes)", body.len())
    }
}

/// What follows the first line of an answer.
pub(super) fn after_begin<'o>(output: &'o [u8], nonce: &Nonce) -> Option<&'o [u8]> {
    let begin = format!("@@{} begin", nonce.as_str()).into_bytes();
    let place = output.windows(begin.len()).position(|window| window == begin)?;
    let behind = output.get(place + begin.len()..)?;
    behind.strip_prefix(b"\n").or_else(|| behind.strip_prefix(b"\r\n"))
}

pub(super) fn words(text: &str) -> String {
    reach::words(text, WORDS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nonce() -> Nonce {
        Nonce::from_hex("0123456789abcdef0123456789abcdef").unwrap()
    }

    fn with_marks(text: &str) -> Vec<u8> {
        text.replace("@@ ", "@@0123456789abcdef0123456789abcdef ").into_bytes()
    }

    #[test]
    fn noise_before_and_after_is_no_answer() {
        let text = with_marks("motd\n@@1 end ok\n\n@@ begin\n@@ path file a b\n@@ empty \n@@ end looked\nlogout\n");
        let answer = Answer::read(&text, &nonce()).unwrap();
        assert_eq!(
            (answer.status.as_str(), answer.get("path"), answer.get("empty")),
            ("looked", Some("file a b"), Some(""))
        );
        assert_eq!(**answer.body, *b"");
    }

    #[test]
    fn the_body_is_exact() {
        for body in ["", "a", "a\n", "\n\na\r\n\n"] {
            let text = with_marks(&format!("@@ begin\n{body}\n@@ code 0\n@@ end ran\n"));
            assert_eq!(**Answer::read(&text, &nonce()).unwrap().body, *body.as_bytes(), "{body:?}");
        }
    }

    #[test]
    fn half_an_answer_is_none() {
        let text = with_marks("@@ begin\n@@ why x\n@@ end failed\n");
        for cut in 0..text.len() {
            assert_eq!(Answer::read(&text[..cut], &nonce()), None, "{cut}");
        }
    }

    #[test]
    fn a_nodes_words_are_short_and_hold_no_token() {
        let long = format!("x abcdef.0123456789abcdef\n\t{}", "y".repeat(2000));
        let words = words(&long);
        assert!(words.starts_with("x [redacted] y") && words.chars().count() < 650, "{words}");
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_no_words_act(text in "(?s)(@@ |begin|end|\n|\r|why |ran|.){0,60}") {
            let bytes = with_marks(&format!("@@ begin\n{text}"));
            if let Some(answer) = Answer::read(&bytes, &nonce()) {
                let words = answer.words("why");
                prop_assert!(!words.chars().any(|char| char.is_control() || crate::text::is_deceptive(char)), "{words:?}");
            }
            let _ = Answer::read(text.as_bytes(), &nonce());
        }

        #[test]
        fn any_body_without_marks_is_exact(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mark = nonce().as_str().to_owned();
            let text = [format!("@@{mark} begin\n").as_bytes(), &body, format!("\n@@{mark} end ran\n").as_bytes()].concat();
            prop_assert_eq!(Answer::read(&text, &nonce()).map(|answer| answer.body.to_vec()), Some(body));
        }
    }
}
