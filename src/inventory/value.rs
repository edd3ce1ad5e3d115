//! What an inventory says, before anything is known about its meaning: values, each with the place it was written at.
//!
//! Every format is read into these, so that an error, a warning and `seaworthy inventory --host` can name file, line and
//! column. Nothing here knows Ansible.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use secrecy::zeroize::Zeroize as _;

/// Where something is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file as the user named it, `(stdin)`, `(inline list)`, or a command such as `./hosts.py --list`.
    pub source: Arc<str>,
    /// `None` where the format gives no position (a script's JSON).
    pub at: Option<At>,
}

/// A position in a text; both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    pub line: u32,
    pub column: u32,
}

impl Place {
    pub fn new(source: &Arc<str>, line: usize, column: usize) -> Self {
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self { source: Arc::clone(source), at: Some(At { line: narrow(line), column: narrow(column) }) }
    }

    /// The source as a whole.
    pub fn whole(source: &Arc<str>) -> Self {
        Self { source: Arc::clone(source), at: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(At { line, column }) => write!(f, "{}:{line}:{column}", self.source),
            None => f.write_str(&self.source),
        }
    }
}

/// A value and its place.
#[derive(Debug, Clone)]
pub struct Node {
    pub value: Value,
    pub place: Place,
}

/// The text of a value, wiped when it is dropped: any of them may be a password.
#[derive(Clone)]
pub struct Text(Box<str>);

/// A value. Its `Debug` form never shows text, because any of them may be a password.
#[derive(Clone)]
pub enum Value {
    Null,
    Scalar { text: Text, kind: ScalarKind },
    List(Vec<Node>),
    Map(Map),
}

/// How a scalar was written, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalarKind {
    /// Without quotes: `yes` and `22` may be meant as a boolean and a number.
    Plain,
    /// In quotes or as a block: always text.
    Quoted,
    /// `!vault`: the encrypted text.
    Vaulted,
    /// `!unsafe`: text in which braces are only braces.
    Unsafe,
}

/// A mapping in the order of its keys, each key once.
#[derive(Clone, Default)]
pub struct Map {
    pub entries: Vec<Entry>,
    /// Keys that occurred twice; `entries` holds the later value, as in Ansible.
    pub duplicates: Vec<Duplicate>,
}

#[derive(Debug, Clone)]
pub struct Entry {
    pub key: Box<str>,
    pub key_place: Place,
    pub node: Node,
}

#[derive(Debug, Clone)]
pub struct Duplicate {
    pub key: Box<str>,
    pub first: Place,
    pub second: Place,
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Value {
    pub fn scalar(text: &str, kind: ScalarKind) -> Self {
        Self::Scalar { text: Text(text.into()), kind }
    }

    /// What it is, for messages that say what was found instead of what is wanted.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar { kind: ScalarKind::Vaulted, .. } => "a vaulted value",
            Self::Scalar { .. } => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

impl Map {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries.iter().find(|entry| &*entry.key == key).map(|entry| &entry.node)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Scalar { text, kind } => write!(f, "Scalar({kind:?}, {} bytes)", text.len()),
            Self::List(items) => write!(f, "List({} items)", items.len()),
            Self::Map(map) => fmt::Debug::fmt(map, f),
        }
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Map({} entries)", self.entries.len())
    }
}
