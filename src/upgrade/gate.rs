//! From a node's findings to whether it may be upgraded. One rule for all checks, so that a node's own faults count as much
//! as what the target brings about.

use schemars::JsonSchema;
use serde::Serialize;

use super::version::Target;
use crate::checks::{Finding, Severity};
use crate::exit::ExitCode;
use crate::report::model::NodeReport;
use crate::target::Role;
use crate::verdict::{Phase, Verdict};

/// What stands between a node and its upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Decision {
    /// A check fails that is a blocker or of high severity, whatever its area.
    Blocked,
    /// It was not read, or not to the end.
    Unread,
    /// Something that could block it could not be judged.
    Undecided,
    /// It may be upgraded.
    May,
    /// It is not part of the cluster.
    Outside,
}

/// Decides about one node.
pub fn decide(node: &NodeReport) -> Decision {
    if node.failure.is_some() {
        return Decision::Unread;
    }
    if matches!(node.phase, Some(Phase::Unprepared | Phase::Prepared | Phase::Joining)) {
        return Decision::Outside;
    }
    // Why nothing could be read is a fault of its own, and none of the upgrade's.
    if node.areas.is_empty() {
        return Decision::Undecided;
    }
    if node.findings.iter().any(blocks) {
        return Decision::Blocked;
    }
    let unknown = node.findings.iter().any(|finding| finding.verdict == Verdict::Unknown && is_decisive(finding));
    if unknown || node.phase.is_none() || node.verdict == Verdict::Unknown {
        Decision::Undecided
    } else {
        Decision::May
    }
}

/// It keeps its node from being upgraded.
pub fn blocks(finding: &Finding) -> bool {
    finding.verdict == Verdict::Fail && matches!(finding.severity, Severity::Blocker | Severity::High)
}

/// Without it nothing can be said of an upgrade.
pub fn is_decisive(finding: &Finding) -> bool {
    finding.severity == Severity::Blocker && finding.id.starts_with("upgrade/")
}

/// A run's answer to "may I upgrade?". Every node is in one of the lists, in the report's order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Gate {
    /// `1.35` or `1.35.2`.
    pub target: String,
    pub may_upgrade: Vec<String>,
    pub blocked: Vec<String>,
    /// Too little could be read of them.
    pub undecided: Vec<String>,
    /// They were not read, or not to the end.
    pub unread: Vec<String>,
    /// They have not joined the cluster.
    pub outside: Vec<String>,
    /// Of the blocked ones, the control planes: they come first in an upgrade, so nothing can begin.
    pub blocked_control_planes: Vec<String>,
    /// A control plane was read. Without one nobody knows the cluster's version.
    pub control_plane_read: bool,
}

impl Gate {
    pub fn of(target: Target, nodes: &[NodeReport]) -> Self {
        let mut gate = Self { target: target.to_string(), ..Self::default() };
        for node in nodes {
            let control_plane = node.roles.contains(&Role::ControlPlane);
            let decision = decide(node);
            gate.control_plane_read |= control_plane && node.phase == Some(Phase::ControlPlane);
            if control_plane && decision == Decision::Blocked {
                gate.blocked_control_planes.push(node.name.clone());
            }
            gate.list(decision).push(node.name.clone());
        }
        gate
    }

    const fn list(&mut self, decision: Decision) -> &mut Vec<String> {
        match decision {
            Decision::May => &mut self.may_upgrade,
            Decision::Blocked => &mut self.blocked,
            Decision::Undecided => &mut self.undecided,
            Decision::Unread => &mut self.unread,
            Decision::Outside => &mut self.outside,
        }
    }

    /// 0 when every node of the cluster that was asked about may be upgraded; not knowing is no permission.
    pub fn exit_code(&self) -> ExitCode {
        let stands = self.blocked.len() + self.undecided.len() > 0 || self.may_upgrade.is_empty();
        match (stands, self.unread.is_empty()) {
            (false, true) => ExitCode::Ok,
            (false, false) => ExitCode::Unreachable,
            (true, true) => ExitCode::Problems,
            (true, false) if self.blocked.len() + self.undecided.len() == 0 => ExitCode::Unreachable,
            (true, false) => ExitCode::ProblemsAndUnreachable,
        }
    }
}
