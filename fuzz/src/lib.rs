//! What the targets have in common: the node's answers that bytes stand for, a directory for what is read from files, and what no
//! output may hold.
//!
//! Only the public interface of seaworthy is used, so what is found here is what users can meet.

use std::path::PathBuf;
use std::sync::LazyLock;

use seaworthy::checks::Checks;
use seaworthy::record::{Capture, ClockSample, RECORD_SCHEMA, Record, Section};
use seaworthy::report::style::Style;
use seaworthy::text::is_deceptive;

pub mod inventory;
pub mod sections;

/// The checks that come with the program.
pub static CHECKS: LazyLock<Checks> = LazyLock::new(|| Checks::built_in().expect("the built-in checks are valid"));

/// As a terminal of the usual width has it.
pub const PLAIN: Style = Style { width: 100, color: false, unicode: true };

/// A directory of this process in memory, so that targets that read files do not wear a disk out.
pub struct Scratch {
    directory: tempfile::TempDir,
}

impl Scratch {
    /// A new one, empty.
    pub fn new() -> Self {
        let memory = PathBuf::from("/dev/shm");
        let place = if memory.is_dir() { memory } else { std::env::temp_dir() };
        Self { directory: tempfile::tempdir_in(place).expect("a directory can be made") }
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file and its directories.
    pub fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("a directory can be made");
        }
        std::fs::write(&path, content).expect("a file can be written");
        path
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

/// Panics when a text holds what acts on a terminal or deceives its reader. Line feeds are allowed.
pub fn assert_harmless(what: &str, text: &str) {
    let leak = text.char_indices().find(|(_, char)| (char.is_control() && *char != '\n') || is_deceptive(*char));
    if let Some((at, char)) = leak {
        let start = (0..=at.saturating_sub(60)).rev().find(|start| text.is_char_boundary(*start)).unwrap_or(0);
        panic!("{what} lets {char:?} through behind {:?}", &text[start..at]);
    }
}

/// A section about something that was read whole.
pub fn section(id: &str, arg: Option<&str>, text: String) -> Section {
    Section { id: id.to_owned(), arg: arg.map(str::to_owned), rc: 0, ms: 1, truncated: false, text }
}

/// The record of a worker that sent these sections.
pub fn record(name: &str, sections: Vec<Section>) -> Record {
    Record {
        schema: RECORD_SCHEMA,
        address: format!("{name}:22"),
        clock: Some(ClockSample {
            sent_ms: 1_757_500_000_000,
            received_ms: 1_757_500_000_100,
            node_ms: 1_757_500_000_050,
        }),
        probe: Some(Capture { complete: true, uid: Some(0), sections, ..Capture::default() }),
        ..Record::blank(name.to_owned(), vec!["workers".to_owned()], None)
    }
}

/// One part of an input and the rest, where a line of `%%` parts them.
pub fn parted(data: &[u8]) -> (&[u8], &[u8]) {
    const MARK: &[u8] = b"\n%%\n";
    match data.windows(MARK.len()).position(|window| window == MARK) {
        Some(at) => (&data[..at + 1], &data[at + MARK.len()..]),
        None => (data, &[]),
    }
}

/// The items of a list whose commas in brackets are not its own.
pub fn cut(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    let items = list.split(move |char| {
        match char {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        char == ',' && depth == 0
    });
    items.filter(|item| !item.is_empty())
}
