//! What can be wrong with an inventory as a whole, and what is merely odd about it.
//!
//! Each error names the place, the offending text and what would be right. A setting of one host that cannot be used is not
//! here: it is that host's [`Failure`](crate::failure::Failure), and the other hosts are still swept.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::inventory::value::Place;

/// The inventory cannot be used until its author changes it (or names another one).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InventoryError {
    #[error("{path}: there is no such file or directory{hint}")]
    Missing { path: String, hint: &'static str },
    #[error("{path}: cannot be read: {reason}")]
    Unreadable { path: String, reason: String },
    #[error("{path}: says nothing; it is empty or has only comments")]
    Empty { path: String },
    #[error("{path}: the directory has no inventory file in it{skipped}", skipped = skipped_text(skipped))]
    EmptyDirectory { path: String, skipped: Vec<String> },
    #[error("{path}: is not text ({reason}); an inventory is UTF-8 text in Ansible's YAML or INI form")]
    Binary { path: String, reason: String },
    #[error("{path}: is larger than {limit_mib} MiB, which is more than an inventory may have")]
    TooLarge { path: String, limit_mib: u64 },
    #[error(
        "{path}: is encrypted with ansible-vault; decrypt it first: ansible-vault view {path} | seaworthy sweep -i -"
    )]
    Vaulted { path: String },
    #[error(
        "{place}: configures the Ansible inventory plugin {plugin:?}, which only Ansible can run; \
         give its result instead: ansible-inventory -i {source} --list > hosts.json", source = place.source
    )]
    Plugin { place: Place, plugin: String },
    #[error("{path}: starts with `#!` but is not executable; if it is an inventory script: chmod +x {path}")]
    NotExecutable { path: String },
    #[error("{path}: {problem}")]
    Script { path: String, problem: ScriptProblem },
    /// The text is not what its format allows.
    #[error("{place}: {problem}{}", excerpt_text(excerpt))]
    Syntax { place: Place, problem: String, excerpt: String },
    /// The text is well-formed, but says something where it cannot be said.
    #[error("{place}: {what} is {found}, but must be {wanted}")]
    Shape { place: Place, what: String, found: String, wanted: String },
    #[error("{second}: {key:?} is defined twice in {within}, and the first one ({first}) would be lost; merge them")]
    Duplicate { key: String, within: String, first: Place, second: Place },
    #[error("{place}: the host range {pattern:?} is wrong: {problem}")]
    Range { place: Place, pattern: String, problem: RangeProblem },
    #[error("{place}: the inventory has more than {limit} hosts")]
    TooManyHosts { place: Place, limit: usize },
    #[error("{place}: {name:?} cannot be a {kind}'s name: {problem}")]
    BadName { place: Place, kind: &'static str, name: String, problem: &'static str },
    #[error("{place}: these groups contain each other: {}", path.join(" > "))]
    Cycle { place: Place, path: Vec<String> },
    #[error("{place}: there is no group {name:?}, but [{section}] names it{}", near_text(near))]
    UndefinedGroup { place: Place, name: String, section: String, near: Vec<String> },
    #[error("{sources}: there are no hosts in it{}", reasons(warnings))]
    NoHosts { sources: String, warnings: Vec<Warning> },
}

/// How an inventory script failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScriptProblem {
    #[error("cannot be run: {0}")]
    Start(String),
    #[error("did not finish within {0:?} and was stopped")]
    Deadline(Duration),
    #[error("ended with {status}{}", excerpt_text(stderr))]
    Status { status: String, stderr: String },
    #[error("{arguments} printed what is not an inventory: {reason}{}", excerpt_text(output))]
    Output { arguments: String, reason: String, output: String },
}

/// What is wrong with `name[...]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RangeProblem {
    #[error("a bracket is not closed or not opened")]
    Bracket,
    #[error("write it as [01:40], [01-40], [a:c] or [1:10:2]")]
    Form,
    #[error("both ends must be numbers, or single letters")]
    Ends,
    #[error("the first is greater than the last")]
    Backwards,
    #[error("the step must be a number from 1 up")]
    Step,
    #[error("with leading zeros both ends must be equally long")]
    Padding,
    #[error("it gives more than {} hosts", crate::inventory::ranges::MAX_HOSTS)]
    TooMany,
    #[error("it gives names that are longer than any host's")]
    TooLong,
}

/// Something odd that does not stop the inventory from being used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    pub place: Option<Place>,
    pub message: String,
}

impl Warning {
    pub fn at(place: &Place, message: impl Into<String>) -> Self {
        Self { place: Some(place.clone()), message: message.into() }
    }

    pub fn new(message: impl Into<String>) -> Self {
        Self { place: None, message: message.into() }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

fn excerpt_text(excerpt: &str) -> String {
    if excerpt.is_empty() { String::new() } else { format!(": {excerpt:?}") }
}

/// What was odd on the way is often the reason.
fn reasons(warnings: &[Warning]) -> String {
    let first: Vec<String> = warnings.iter().take(3).map(ToString::to_string).collect();
    if first.is_empty() { String::new() } else { format!(" ({})", first.join("; ")) }
}

fn skipped_text(skipped: &[String]) -> String {
    if skipped.is_empty() {
        String::new()
    } else {
        format!(" (ignored there, as Ansible does: {})", skipped.join(", "))
    }
}

/// `; did you mean "web" or "db"?`, or nothing.
pub(crate) fn near_text(near: &[String]) -> String {
    if near.is_empty() {
        return String::new();
    }
    let quoted: Vec<String> = near.iter().map(|name| format!("{name:?}")).collect();
    format!("; did you mean {}?", quoted.join(" or "))
}
