//! What one host answered: the unit of a bundle, as saved and as replayed.
//!
//! A record holds text, not judgement: facts are derived from it anew on every replay. Secrets are already redacted when
//! a record is made. The meaning of each section is in `docs/probe.md`.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::reach::ReachCapture;
use crate::target::Role;
use crate::timings::Timings;

/// The version of a record's JSON; a reader refuses a newer one.
pub const RECORD_SCHEMA: u32 = 1;

/// One host of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub schema: u32,
    /// The inventory's name.
    pub name: String,
    /// What was dialled, `host:port`, or `local`.
    pub address: String,
    pub groups: Vec<String>,
    pub role: Option<Role>,
    pub timings: Timings,
    pub clock: Option<ClockSample>,
    /// Set when the host could not be read, or not to the end; `probe` may hold what came before.
    pub failure: Option<Failure>,
    pub probe: Option<Capture>,
    /// What the node was seen to reach; `None` when nothing was tried, as in runs of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<ReachCapture>,
}

impl Record {
    /// A host of which nothing is known yet.
    pub fn blank(name: String, groups: Vec<String>, role: Option<Role>) -> Self {
        Self {
            schema: RECORD_SCHEMA,
            name,
            address: String::new(),
            groups,
            role,
            timings: Timings::default(),
            clock: None,
            failure: None,
            probe: None,
            reach: None,
        }
    }
}

/// The three readings that give a clock's skew: the node's time lies between the two of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClockSample {
    /// This machine's clock when the script was sent, in milliseconds since 1970.
    pub sent_ms: i64,
    /// This machine's clock when the probe's greeting came.
    pub received_ms: i64,
    /// The node's clock in its greeting.
    pub node_ms: i64,
}

/// What the probe printed, cut into its sections.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Capture {
    /// The closing marker came: no section is missing because of the connection.
    pub complete: bool,
    /// The node ran the probe as this uid; `None` if the greeting did not say.
    pub uid: Option<u32>,
    /// What the login shell printed before the greeting (cut to 1 KiB).
    pub noise: String,
    /// What came on standard error (cut to 4 KiB).
    pub stderr: String,
    /// In the order of arrival. An id may occur several times, with different arguments.
    pub sections: Vec<Section>,
    /// Ids that the greeting announced and that never came: the slow ones that were cut off.
    pub missing: Vec<String>,
}

/// One framed piece of the probe's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    pub id: String,
    /// What the section is about, usually a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arg: Option<String>,
    /// Exit code; see [`rc`] for the ones with a meaning of their own.
    pub rc: i32,
    pub ms: u32,
    /// The text was cut at the section's cap, or the connection ended inside it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    pub text: String,
}

/// Exit codes that the probe itself gives to a section (numbers of `sysexits.h` and of the shell).
pub mod rc {
    /// It was read.
    pub const OK: i32 = 0;
    /// There is nothing of that name.
    pub const ABSENT: i32 = 66;
    /// It is there and may not be read by this user.
    pub const DENIED: i32 = 77;
    /// It did not finish before the section's deadline.
    pub const TIMEOUT: i32 = 124;
    /// The tool that reads it is not installed.
    pub const NO_TOOL: i32 = 127;
}

impl Capture {
    /// The first section of that id.
    pub fn section(&self, id: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.id == id)
    }

    /// The section of that id about `arg`.
    pub fn section_of(&self, id: &str, arg: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.id == id && section.arg.as_deref() == Some(arg))
    }

    /// Drops every section. The first stays without its text, because a capture without any section is one of a node that was not
    /// read.
    pub fn forget_texts(&mut self) {
        self.sections.truncate(1);
        self.sections.shrink_to_fit();
        for section in &mut self.sections {
            section.text = String::new();
        }
    }

    /// All sections of that id, in order.
    pub fn sections<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Section> {
        self.sections.iter().filter(move |section| section.id == id)
    }
}
