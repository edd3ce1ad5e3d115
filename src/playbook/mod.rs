//! Playbooks: what a run looks at, and what it does in which order, as data. `seaworthy sweep` is the short name of the built-in
//! `health-sweep`.
//!
//! The files of `playbooks/` are embedded, so that the binary needs nothing beside it. This module only reads the YAML; what a
//! step does to a node is `change`'s matter.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The playbook of `seaworthy sweep`.
pub const HEALTH_SWEEP: &str = include_str!("../../playbooks/health-sweep.yaml");

/// The playbook of `seaworthy preflight`.
pub const PRE_UPGRADE: &str = include_str!("../../playbooks/pre-upgrade.yaml");

/// One playbook.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Playbook {
    pub name: String,
    /// One line for people.
    pub summary: String,
    /// The hosts that it is for, as for `--limit`.
    pub hosts: String,
    /// How much at once, and when to stop.
    #[serde(skip)]
    pub strategy: Strategy,
    /// What is read on each host.
    pub gather: Vec<Gather>,
    /// Ids of checks (`kubelet/drop-in-missing`) and areas (`kubelet/*`) that must not fail on a node before its first step.
    #[serde(skip)]
    pub require: Vec<String>,
    #[serde(skip)]
    pub steps: Vec<Step>,
}

/// A part of the probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gather {
    /// Every section.
    All,
}

/// In which portions the nodes are changed, and when the rest is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

/// Reads a playbook; the error names line and column.
pub fn parse(text: &str) -> Result<Playbook, String> {
    serde_yaml::from_str(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_playbooks_read_all_hosts_and_sections() {
        let playbook = parse(HEALTH_SWEEP).unwrap();
        assert_eq!((playbook.name.as_str(), playbook.hosts.as_str()), ("health-sweep", "all"));
        assert_eq!(playbook.gather, [Gather::All]);
        let playbook = parse(PRE_UPGRADE).unwrap();
        assert_eq!((playbook.name.as_str(), playbook.hosts.as_str()), ("pre-upgrade", "all"));
    }

    #[test]
    fn unknown_fields_and_parts_are_refused_with_their_place() {
        let with = |line: &str| format!("name: x\nsummary: y\nhosts: all\n{line}\n");
        let error = parse(&with("gather: [some]")).unwrap_err();
        assert!(error.contains("some") && error.contains("line 4"), "{error}");
        let error = parse(&with("gather: [all]\nsteps: []")).unwrap_err();
        assert!(error.contains("steps") && error.contains("line 5"), "{error}");
    }
}
