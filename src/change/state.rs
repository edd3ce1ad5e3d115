//! What a plan is made from and held against: who the node is and what lies where the plan wants to write. Pure values; the
//! node's own word for them comes through `hand`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A node at the moment of looking. A plan that was made from one state is refused in another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct State {
    /// `/etc/machine-id`
    pub machine_id: String,
    /// `/proc/sys/kernel/random/boot_id`: a node that rebooted is looked at again.
    pub boot_id: String,
    /// By absolute path: every file that a step writes, moves or must find as it was.
    pub paths: BTreeMap<String, Path>,
}

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Path {
    Absent,
    File(File),
    /// A directory, a device, a symbolic link: nothing that a file is put in place of.
    Other {
        kind: String,
    },
    /// It could not be looked at.
    Unreadable {
        why: String,
    },
}

/// A regular file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct File {
    /// Of its content, 64 lower-case hex digits.
    pub sha256: String,
    /// Permission bits: 0o644.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// For a diff; `None` when it was not asked for, is larger than [`MAX_CONTENT`] or is not UTF-8. Never of a file that may
    /// hold a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// The largest content that is brought along, in bytes.
pub const MAX_CONTENT: u64 = 256 << 10;

/// What differs between two states, in words; empty when a plan made from the first may be applied in the second.
impl State {
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let mut found = Vec::new();
        if self.machine_id != now.machine_id {
            found.push("it is another machine (machine-id)".to_owned());
        }
        if self.boot_id != now.boot_id {
            found.push("it has rebooted".to_owned());
        }
        for (path, before) in &self.paths {
            match now.paths.get(path) {
                Some(after) if before.same(after) => {}
                Some(after) => found.push(format!("{path}: was {}, is {}", before.words(), after.words())),
                None => found.push(format!("{path}: was not looked at again")),
            }
        }
        found
    }
}

impl Path {
    /// The same but for the content that only one of them brings along.
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(a), Self::File(b)) => (&a.sha256, a.mode, a.uid, a.gid) == (&b.sha256, b.mode, b.uid, b.gid),
            (a, b) => a == b,
        }
    }

    /// In a few words.
    pub fn words(&self) -> String {
        match self {
            Self::Absent => "absent".to_owned(),
            Self::File(file) => {
                let short = file.sha256.get(..12).unwrap_or(&file.sha256);
                format!("a file of {} bytes, mode {:04o}, sha256 {short}", file.size, file.mode)
            }
            Self::Other { kind } => format!("a {kind}"),
            Self::Unreadable { why } => format!("unreadable ({why})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(sha256: &str, content: Option<&str>) -> Path {
        let content = content.map(str::to_owned);
        Path::File(File { sha256: sha256.to_owned(), mode: 0o644, uid: 0, gid: 0, size: 3, content })
    }

    fn state(path: Path) -> State {
        let paths = BTreeMap::from([("/etc/x".to_owned(), path)]);
        State { machine_id: "m".to_owned(), boot_id: "b".to_owned(), paths }
    }

    #[test]
    fn the_same_file_with_and_without_its_content_is_no_difference() {
        let (with, without) = (state(file("aa", Some("abc"))), state(file("aa", None)));
        assert_eq!(with.differences(&without), Vec::<String>::new());
    }

    #[test]
    fn what_changed_is_named() {
        let before = state(Path::Absent);
        let after = State { boot_id: "c".to_owned(), ..state(file("bb", None)) };
        let found = before.differences(&after);
        assert_eq!(found, ["it has rebooted", "/etc/x: was absent, is a file of 3 bytes, mode 0644, sha256 bb"]);
        let gone = State { paths: BTreeMap::new(), ..before.clone() };
        assert_eq!(before.differences(&gone), ["/etc/x: was not looked at again"]);
    }
}
