//! Verdicts, phases and areas: the words that facts are judged in. Data only.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a check, an area or a node amounts to. Ordered from worst to best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Fail,
    Warn,
    /// It could not be read. Never the same as a pass.
    Unknown,
    Pass,
    /// It would be a fault in another phase and is normal in this one.
    Expected,
    NotApplicable,
}

/// Where a node stands in its life. The same fact means different things in different phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// No kubelet, whether or not there is a container runtime.
    Unprepared,
    /// Installed, not joined.
    Prepared,
    /// A join runs, or was cut off half-way.
    Joining,
    /// Has a kubelet identity, and the cluster or the node itself says that it is not ready.
    JoinedNotReady,
    Ready,
    ControlPlane,
}

impl Phase {
    /// As in the table.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unprepared => "unprepared",
            Self::Prepared => "prepared",
            Self::Joining => "joining",
            Self::JoinedNotReady => "not ready",
            Self::Ready => "ready",
            Self::ControlPlane => "control",
        }
    }
}

/// The columns of the table, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Area {
    Mounts,
    Disk,
    Permissions,
    Containerd,
    Cni,
    Nfs,
    Kubelet,
    Kernel,
    Time,
    Api,
}

impl Area {
    pub const ALL: [Self; 10] = [
        Self::Mounts,
        Self::Disk,
        Self::Permissions,
        Self::Containerd,
        Self::Cni,
        Self::Nfs,
        Self::Kubelet,
        Self::Kernel,
        Self::Time,
        Self::Api,
    ];

    /// The area that a check belongs to by the first part of its id; `None` for one without a column.
    pub fn of_check(id: &str) -> Option<Self> {
        Some(match id.split_once('/')?.0 {
            "mounts" => Self::Mounts,
            "disk" => Self::Disk,
            "permissions" => Self::Permissions,
            "containerd" => Self::Containerd,
            "cni" | "flannel" => Self::Cni,
            "nfs" => Self::Nfs,
            "kubelet" | "join" => Self::Kubelet,
            "kernel" | "system" | "firewall" => Self::Kernel,
            "time" => Self::Time,
            "identity" | "control-plane" | "node" | "cluster" => Self::Api,
            _ => return None,
        })
    }

    /// As in a sentence.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mounts => "mounts",
            Self::Disk => "disk",
            Self::Permissions => "permissions",
            Self::Containerd => "containerd",
            Self::Cni => "CNI",
            Self::Nfs => "NFS",
            Self::Kubelet => "kubelet",
            Self::Kernel => "kernel",
            Self::Time => "time",
            Self::Api => "API",
        }
    }

    /// The column's heading.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Mounts => "MOUNTS",
            Self::Disk => "DISK",
            Self::Permissions => "PERMISSIONS",
            Self::Containerd => "CONTAINERD",
            Self::Cni => "CNI",
            Self::Nfs => "NFS",
            Self::Kubelet => "KUBELET",
            Self::Kernel => "KERNEL",
            Self::Time => "TIME",
            Self::Api => "API",
        }
    }
}

/// One cell of the table: an area of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AreaCell {
    pub area: Area,
    pub verdict: Verdict,
    /// A few words or a figure ("1.6.20", "none, expected", "2% of 456G", "standalone"); "ok" when nothing more is worth
    /// saying, empty when unknown.
    pub text: String,
    /// One sentence fragment per thing that makes the verdict what it is, worst first; empty when it passes.
    pub reasons: Vec<String>,
}
