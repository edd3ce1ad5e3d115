//! What configuration said about one host, before anything is decided: values with their origin. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::keyword::{Keyword, Shape};
use crate::failure::{Failure, FailureKind};

/// Where a value was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// `-o`, or the inventory's equivalent.
    Option,
    File {
        path: Arc<PathBuf>,
        line: usize,
    },
    /// The installed ssh's answer.
    Ssh,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option => f.write_str("-o"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Ssh => f.write_str("ssh -G"),
        }
    }
}

impl Origin {
    /// A setting that cannot be used.
    pub(super) fn failure(&self, problem: impl fmt::Display) -> Failure {
        let next = match self {
            Self::Option => "correct the option".to_owned(),
            Self::File { path, line } => format!("correct line {line} of {}", path.display()),
            Self::Ssh => "see what ssh -G prints for this host".to_owned(),
        };
        Failure::new(FailureKind::Settings, format!("{self}: {problem}"), next)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    /// Never empty.
    pub(super) words: Vec<String>,
    pub(super) origin: Origin,
}

impl Value {
    pub(super) fn word(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }
}

/// Every value that counts; what is not here was not said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Said(BTreeMap<Keyword, Value>);

impl Said {
    pub(super) fn get(&self, keyword: Keyword) -> Option<&Value> {
        self.0.get(&keyword)
    }

    /// Adds a value by ssh's rules: the first wins, files of keys collect, and of `ProxyJump` and `ProxyCommand` whichever
    /// comes first; but `ProxyJump none` switches off jumps alone.
    pub(super) fn say(&mut self, keyword: Keyword, words: &[String], origin: &Origin) {
        let too_late = match keyword {
            Keyword::ProxyJump => self.0.contains_key(&Keyword::ProxyCommand),
            Keyword::ProxyCommand => {
                self.get(Keyword::ProxyJump).is_some_and(|jump| !jump.word().eq_ignore_ascii_case("none"))
            }
            _ => false,
        };
        if too_late {
            return;
        }
        match self.0.get_mut(&keyword) {
            None => self.set(keyword, Value { words: words.to_vec(), origin: origin.clone() }),
            Some(value) if keyword.shape() == Shape::Collected => {
                for word in words {
                    if !value.words.contains(word) {
                        value.words.push(word.clone());
                    }
                }
            }
            Some(_) => {}
        }
    }

    pub(super) fn set(&mut self, keyword: Keyword, value: Value) {
        self.0.insert(keyword, value);
    }

    pub(super) fn forget(&mut self, keyword: Keyword) {
        self.0.remove(&keyword);
    }
}
