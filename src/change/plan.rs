//! A plan: every file, byte, mode and command of a change, for which reason, and how it is taken back. A value: it is shown,
//! saved, applied, resumed and undone, and applying decides nothing that does not stand here.
//!
//! It holds no secret: a join's token is made when its action begins.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::state::{Path, State};
use crate::playbook::Strategy;

/// The version of `plan.json`; a reader refuses a newer one.
pub const PLAN_SCHEMA: u32 = 1;

/// What one run of a playbook is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    pub schema: u32,
    /// The playbook's name.
    pub playbook: String,
    pub strategy: Strategy,
    /// Checks and guards whose unknown the user accepted by name, for whoever goes on with the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept_unknown: Vec<String>,
    /// In the order of the inventory.
    pub nodes: Vec<NodePlan>,
}

/// One node's part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodePlan {
    /// The inventory's name.
    pub node: String,
    pub decision: Decision,
}

/// What is to be done on a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "decision", rename_all = "kebab-case")]
pub enum Decision {
    /// It is as the playbook wants it.
    Nothing { why: String },
    /// A guard stands in the way; nothing at all is done on this node.
    Refused { refusals: Vec<Refusal> },
    Change {
        /// What the plan was made from.
        state: State,
        /// In this order; each begins when the one before is verified.
        actions: Vec<Action>,
    },
}

/// A guard's no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// The check that stands in the way (`kubelet/drop-in-missing`), or the guard's own name where no check says it.
    pub guard: String,
    /// It is not known to fail: it could not be judged, and not knowing is no reason to go on.
    pub unknown: bool,
    /// A lowercase fragment: `the kubelet has no kubeadm drop-in`.
    pub reason: String,
    /// What to do instead.
    pub next: String,
}

/// One thing that is done to a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Action {
    /// The step's place in the playbook, from 0.
    pub step: usize,
    pub change: Change,
    pub reason: Reason,
    pub undo: Undo,
    /// Looked at on the node right before the action; when one does not hold, the action is left out and the run goes on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only_if: Vec<Condition>,
}

/// Why an action is in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// The check whose failure it puts right; `None` for what the user asked for by name.
    pub check: Option<String>,
    /// A lowercase fragment.
    pub text: String,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    WriteFile(WriteFile),
    RestartService {
        unit: String,
    },
    /// A line for `sh -c`, as root.
    Command {
        run: String,
    },
    KubeadmJoin(Join),
    KubeadmReset(Reset),
    /// Waits until a check passes on the node, by fresh probes.
    WaitFor {
        check: String,
        #[serde(with = "crate::duration::text")]
        #[schemars(with = "String")]
        timeout: Duration,
    },
}

/// A file put in place by a rename within its directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WriteFile {
    pub path: String,
    /// Whole, as it will be.
    pub content: String,
    /// Of the content, 64 lower-case hex digits.
    pub sha256: String,
    /// Permission bits: 0o644.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// What lies there now. A file that is replaced is kept as `.<name>.<run>.bak` beside it.
    pub before: Path,
    /// What has to be true when it is there.
    pub verify: Option<Loaded>,
}

/// The runtime loaded a CNI network: `lastCNILoadStatus` is OK and the loaded network is this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Loaded {
    pub network: String,
}

/// A `kubeadm join` of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Join {
    /// The control plane of the run on which the token is made, by the inventory's name.
    pub control_plane: String,
    /// `host:port` of the API, as a joining node is told.
    pub endpoint: String,
    /// SHA-256 of the public keys of the cluster's CAs, as `sha256:<hex>`.
    pub ca_pins: Vec<String>,
    /// The name of the Node object that it becomes.
    pub node_name: String,
    /// kubeadm's minor version on the node: which configuration it reads.
    pub kubeadm_minor: u32,
    /// Pre-flight checks whose errors the user named to be ignored.
    pub ignore: Vec<String>,
    pub attempts: u32,
    #[serde(with = "crate::duration::text")]
    #[schemars(with = "String")]
    pub backoff: Duration,
    /// What a join writes, as it is now. It is put back when an attempt fails or is undone.
    pub writes: Vec<String>,
    /// A `ca.crt` of before, which a join does not overwrite: moved away first.
    pub stale_ca: Option<String>,
}

/// A `kubeadm reset` of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reset {
    /// What is there and will be gone.
    pub deletes: Vec<String>,
    /// Mount points that must be there before and after, each with its source.
    pub mounts: Vec<String>,
}

/// How an action is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "undo", rename_all = "kebab-case")]
pub enum Undo {
    /// Nothing was changed.
    Nothing,
    /// The kept file goes back to its place.
    Restore { path: String },
    /// The file was not there before.
    Remove { path: String },
    /// The node leaves the cluster: kubelet stopped, what the join wrote put back as it was, the Node object deleted.
    Unjoin,
    /// A line for `sh -c`, as root.
    Command { run: String },
    /// The service is restarted again, once the files are back that it was restarted for.
    Restart { unit: String },
    /// It cannot be taken back.
    Impossible { why: String },
}

/// What is looked at right before an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "if", rename_all = "kebab-case")]
pub enum Condition {
    /// The check still fails after this long: what should put it right by itself had its time.
    StillFails {
        check: String,
        #[serde(with = "crate::duration::text")]
        #[schemars(with = "String")]
        after: Duration,
    },
}

impl Change {
    /// In a few words, without the node's name: `restart containerd`.
    pub fn words(&self) -> String {
        match self {
            Self::WriteFile(file) => format!("write {}", file.path),
            Self::RestartService { unit } => format!("restart {unit}"),
            Self::Command { run } => format!("run {run}"),
            Self::KubeadmJoin(_) => "kubeadm join".to_owned(),
            Self::KubeadmReset(_) => "kubeadm reset".to_owned(),
            Self::WaitFor { check, .. } => format!("wait for {check}"),
        }
    }
}

impl Plan {
    /// Nothing is to be done anywhere.
    pub fn is_empty(&self) -> bool {
        !self.nodes.iter().any(|node| matches!(node.decision, Decision::Change { .. }))
    }
}
