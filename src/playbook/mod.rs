//! Playbooks: what a run looks at, and what it does in which order, as data. `seaworthy sweep` is the short name of the built-in
//! `health-sweep`, `seaworthy join` that of `join`. `docs/playbooks.md` is the reference.
//!
//! - this file: what a playbook says, as types.
//! - `parse`, `steps`, `fields`: the YAML, and what is wrong with it. Pure.
//! - [`load`]: by name or by path; the only part that reads files.
//!
//! The files of `playbooks/` are embedded, so that the binary needs nothing beside it. What a step does to a node is `change`'s
//! matter; which hosts there are, the inventory's.

mod fields;
pub mod load;
mod parse;
mod steps;

use std::io;
use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::checks::Checks;
use crate::inventory::value::Place;

pub(crate) use fields::portion;
pub use parse::parse;
pub use steps::NAMES as STEPS;
pub(crate) use steps::preflight_name;

/// One playbook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Playbook {
    pub name: String,
    /// One line for people.
    pub summary: String,
    /// The hosts that it is for, as for `--limit`.
    pub hosts: String,
    /// How much at once, and when to stop.
    pub strategy: Strategy,
    /// What is read on each host.
    pub gather: Vec<Gather>,
    /// Ids of checks (`kubelet/drop-in-missing`) and areas (`kubelet/*`) that must not fail on a node before its first step.
    pub require: Vec<String>,
    pub steps: Vec<Step>,
}

/// A part of the probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gather {
    /// Every section.
    All,
}

/// In which portions the nodes are changed, and when the rest is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Strategy {
    /// So many nodes go first, one after the other; 0 for none.
    pub canary: u32,
    /// Sizes of the batches after the canary, each of what is to be changed in all; the last one repeats until none is left.
    pub batches: Vec<Portion>,
    /// So many nodes may fail or be unreachable; one more stops the run.
    pub max_failed: Portion,
    /// At most so many nodes of a batch at once; `None` for the whole batch.
    pub parallel: Option<NonZeroU32>,
    /// Stop when a second node fails in the same words.
    pub stop_at_same_failure: bool,
}

/// A number of nodes, or a part of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Portion {
    Nodes(u32),
    /// 0 to 100.
    Percent(u8),
}

impl Default for Strategy {
    /// One node, then the rest a quarter at a time, and the first failure stops.
    fn default() -> Self {
        Self {
            canary: 1,
            batches: vec![Portion::Percent(25)],
            max_failed: Portion::Nodes(0),
            parallel: None,
            stop_at_same_failure: true,
        }
    }
}

/// One typed step. The set is closed: there are no templates, loops or conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    WriteFile {
        path: String,
        content: String,
        /// Permission bits.
        mode: u32,
        uid: u32,
        gid: u32,
        /// The check whose failure asks for it: the step is planned where it fails.
        because: String,
    },
    RestartService {
        unit: String,
        because: String,
    },
    Flannel {
        config: ConfigSource,
        /// Also replaces a valid configuration that differs from the cluster's.
        sync: bool,
    },
    KubeadmJoin {
        attempts: u32,
        backoff: Duration,
        /// Names of pre-flight checks whose errors are ignored; none unless named.
        ignore: Vec<String>,
    },
    /// Workers only.
    KubeadmReset,
    WaitFor {
        check: String,
        timeout: Duration,
    },
    Command {
        run: String,
        because: String,
        undo: CommandUndo,
    },
}

/// Where flannel's CNI configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigSource {
    /// `cni-conf.json` of the cluster's `kube-flannel-cfg`.
    Cluster,
    /// A file of the user's, by the path as written and with its content.
    File { path: String, content: Vec<u8> },
}

/// How a command is taken back; a playbook has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandUndo {
    /// It cannot be.
    None,
    Command(String),
}

impl Step {
    /// As in YAML.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::WriteFile { .. } => "write-file",
            Self::RestartService { .. } => "restart-service",
            Self::Flannel { .. } => "flannel",
            Self::KubeadmJoin { .. } => "kubeadm-join",
            Self::KubeadmReset => "kubeadm-reset",
            Self::WaitFor { .. } => "wait-for",
            Self::Command { .. } => "command",
        }
    }
}

/// What a playbook is read with.
pub struct Surroundings<'a> {
    /// Its guards have to be among them.
    pub checks: &'a Checks,
    /// Reads a file that the playbook names, by its path as written there.
    pub read: &'a dyn Fn(&str) -> io::Result<Vec<u8>>,
}

/// A mistake in a playbook. Nothing of it is run.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {message}")]
pub struct PlaybookError {
    pub place: Place,
    pub message: String,
}

impl PlaybookError {
    fn at(place: &Place, message: impl Into<String>) -> Self {
        Self { place: place.clone(), message: message.into() }
    }
}

impl Playbook {
    /// It looks at nodes and does nothing to them.
    pub fn only_looks(&self) -> bool {
        self.steps.is_empty()
    }
}

#[cfg(test)]
mod tests;
