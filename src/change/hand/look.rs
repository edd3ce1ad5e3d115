//! What lies at paths of a node, and which machine it is. Reads only.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::answer::{Answer, words};
use super::script::Script;
use super::{Hand, HandError, path};
use crate::change::state::{File, MAX_CONTENT, Path, State};
use crate::digest;

const DEADLINE: Duration = Duration::from_mins(1);

/// A path to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    pub path: String,
    /// Bring its content along, up to [`MAX_CONTENT`]. Never for a file that may hold a secret.
    pub content: bool,
}

impl Hand<'_> {
    /// The node's identity, and what lies at each path.
    pub async fn look(&self, paths: &[Look]) -> Result<State, HandError> {
        let most = MAX_CONTENT.to_string();
        let mut arguments = Vec::with_capacity(paths.len() * 2);
        for look in paths {
            arguments.push(path(&look.path)?);
            arguments.push(if look.content { most.as_str() } else { "0" });
        }
        let script = Script::new().arguments(arguments);
        let answer = self.ask(script, &[include_str!("script/look.sh")], DEADLINE).await?;
        Ok(state(&answer, paths))
    }
}

fn state(answer: &Answer, paths: &[Look]) -> State {
    let mut state =
        State { machine_id: answer.words("machine_id"), boot_id: answer.words("boot_id"), ..State::default() };
    let mut wanted = paths.iter();
    let mut last: Option<&str> = None;
    for (key, value) in &answer.lines {
        match key.as_str() {
            "path" => {
                last = wanted.next().map(|look| look.path.as_str());
                if let Some(path) = last {
                    state.paths.insert(path.to_owned(), lies(value));
                }
            }
            "content" => {
                if let Some(Path::File(file)) = last.and_then(|path| state.paths.get_mut(path)) {
                    file.content = content(value, &file.sha256);
                }
            }
            _ => {}
        }
    }
    for look in paths {
        let why = "the node did not answer for it".to_owned();
        state.paths.entry(look.path.clone()).or_insert(Path::Unreadable { why });
    }
    state
}

/// What the script's `state` says.
pub(super) fn lies(said: &str) -> Path {
    let (what, rest) = said.split_once(' ').unwrap_or((said, ""));
    match what {
        "absent" => Path::Absent,
        "other" => Path::Other { kind: words(rest) },
        "file" => file(rest).map_or_else(|| Path::Unreadable { why: words(said) }, Path::File),
        _ => Path::Unreadable { why: words(rest) },
    }
}

fn file(said: &str) -> Option<File> {
    let words: Vec<&str> = said.split(' ').collect();
    let [sha256, mode, uid, gid, size] = words.as_slice() else { return None };
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if sha256.len() != 64 || !sha256.bytes().all(hex) {
        return None;
    }
    Some(File {
        sha256: (*sha256).to_owned(),
        mode: u32::from_str_radix(mode, 8).ok()?,
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        size: size.parse().ok()?,
        content: None,
    })
}

/// Text of exactly that sum: what changed between two looks belongs to neither.
fn content(base64: &str, sha256: &str) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(base64).ok()?;
    if digest::sha256(&bytes) != sha256 {
        return None;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn what_is_no_file_stays_what_the_node_called_it() {
        assert_eq!(lies("absent"), Path::Absent);
        assert_eq!(lies("other symbolic link"), Path::Other { kind: "symbolic link".into() });
        assert_eq!(lies("unreadable permission denied"), Path::Unreadable { why: "permission denied".into() });
        let file = lies(&format!("file {SHA} 4755 0 42 3"));
        assert!(matches!(file, Path::File(File { mode: 0o4755, uid: 0, gid: 42, size: 3, .. })), "{file:?}");
        for bad in ["", "file", "file x 644 0 0 1", &format!("file {SHA} 9 0 0 1"), &format!("file {SHA} 644 0 0")] {
            assert!(matches!(lies(bad), Path::Unreadable { .. }), "{bad}");
        }
    }

    #[test]
    fn a_content_of_another_sum_is_none() {
        assert_eq!(content("YWJj", SHA).as_deref(), Some("abc"));
        assert_eq!(content("YWJk", SHA), None);
        assert_eq!(content("?", SHA), None);
        assert_eq!(content("/w==", &digest::sha256(&[0xff])), None);
    }
}
