//! What one node amounts to in the table: roles, cells, verdict, and the words of the verdict column.

use super::Passed;
use super::cells::cells;
use super::root_cause::RootCause;
use crate::checks::{Finding, Severity};
use crate::facts::NodeFacts;
use crate::failure::{Failure, Layer};
use crate::names::natural_cmp;
use crate::target::Role;
use crate::verdict::{Area, AreaCell, Phase, Verdict};

/// The areas without which a node cannot be judged.
const DECISIVE: [Area; 4] = [Area::Mounts, Area::Disk, Area::Containerd, Area::Kubelet];

/// What the inventory's groups and the node itself say; both roles when they contradict each other.
pub fn roles(inventory: Option<Role>, facts: &NodeFacts) -> Vec<Role> {
    let found = match (facts.identity.control_plane.known(), inventory) {
        (Some(true), _) => Some(Role::ControlPlane),
        // A control plane that was not initialised yet has nothing to show for it.
        (Some(false), None) => Some(Role::Worker),
        (Some(false), Some(_)) | (None, _) => None,
    };
    let mut roles: Vec<Role> = inventory.into_iter().chain(found).collect();
    roles.sort_unstable();
    roles.dedup();
    roles
}

/// A node in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// One cell per area, in the table's order; empty when nothing was read.
    pub areas: Vec<AreaCell>,
    pub verdict: Verdict,
    /// The verdict column's words.
    pub summary: String,
}

/// What is known of a node when all of the run has been judged.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    pub name: &'a str,
    pub facts: &'a NodeFacts,
    pub phase: Option<Phase>,
    /// What passes may be missing.
    pub findings: &'a [Finding],
    pub passed: Passed,
    pub failure: Option<&'a Failure>,
    /// Something of the node was read.
    pub read: bool,
}

/// Folds a node's findings. `causes` are those of the whole run, in their order.
pub fn assess(node: &Judged<'_>, causes: &[RootCause]) -> Assessment {
    if !node.read {
        let summary = node.failure.map_or_else(|| "nothing could be read".to_owned(), failed);
        return Assessment { areas: Vec::new(), verdict: Verdict::Unknown, summary };
    }
    let areas = cells(node.facts, node.phase, node.findings, node.passed);
    let verdict = match verdict(node.findings, &areas) {
        // What was read is fine, but not everything was.
        Verdict::Pass if node.failure.is_some() => Verdict::Unknown,
        verdict => verdict,
    };
    let summary = match node.failure {
        Some(failure) => failed(failure),
        None => summary(node, verdict, &areas, causes),
    };
    Assessment { areas, verdict, summary }
}

/// The worst of what is more than worth knowing. What could not be read does not count, unless that leaves nothing to judge
/// by.
fn verdict(findings: &[Finding], areas: &[AreaCell]) -> Verdict {
    let counted = findings.iter().filter(|finding| finding.severity != Severity::Low);
    if let Some(verdict @ (Verdict::Fail | Verdict::Warn)) = counted.map(|finding| finding.verdict).min() {
        return verdict;
    }
    let mut decisive = areas.iter().filter(|cell| DECISIVE.contains(&cell.area));
    if decisive.all(|cell| cell.verdict == Verdict::Unknown) { Verdict::Unknown } else { Verdict::Pass }
}

/// The first of the node's causes and how many more there are, or how far a sound node has come.
fn summary(node: &Judged<'_>, verdict: Verdict, areas: &[AreaCell], causes: &[RootCause]) -> String {
    match verdict {
        Verdict::Fail | Verdict::Warn => {}
        Verdict::Unknown => return "too little could be read".to_owned(),
        Verdict::Pass | Verdict::Expected | Verdict::NotApplicable => return sound(node, areas),
    }
    let mut own = causes
        .iter()
        .filter(|cause| cause.verdict == verdict && cause.severity != Severity::Low)
        .filter(|cause| cause.nodes.binary_search_by(|name| natural_cmp(name, node.name)).is_ok());
    if verdict == Verdict::Warn && node.phase == Some(Phase::Prepared) {
        return format!("{}, {} to look at", sound(node, areas), own.count());
    }
    let before_join = matches!(node.phase, Some(Phase::Prepared | Phase::Joining));
    // Only the causes of another node explain it.
    let Some(first) = own.next() else { return "follows from another node".to_owned() };
    let headline = if verdict == Verdict::Fail && before_join && first.severity == Severity::Blocker {
        "join blocked"
    } else {
        &first.title
    };
    match own.count() {
        0 => headline.to_owned(),
        more => format!("{headline}, +{more} more"),
    }
}

fn sound(node: &Judged<'_>, areas: &[AreaCell]) -> String {
    let blind = areas.iter().any(|cell| cell.area != Area::Api && cell.verdict == Verdict::Unknown);
    match node.phase {
        Some(Phase::Prepared) if blind => "not joined, no blocker in what was read".to_owned(),
        Some(Phase::Prepared) => "not joined, no blocker found".to_owned(),
        Some(Phase::Joining) if node.facts.kubeadm.running.is_true() => "a join is running".to_owned(),
        _ => "ok".to_owned(),
    }
}

/// A failure in the verdict column, beginning with what it means for the user.
fn failed(failure: &Failure) -> String {
    let what = match failure.layer {
        Layer::Settings => "not tried",
        Layer::Dns | Layer::Tcp | Layer::Banner | Layer::Kex => "unreachable",
        Layer::HostKey => "not trusted",
        Layer::Auth | Layer::Channel | Layer::Sudo => "no access",
        Layer::Exec => "not read to the end",
        Layer::Run => "not done",
    };
    format!("{what}: {}", failure.kind.brief())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Fact;
    use crate::failure::FailureKind;

    #[test]
    fn failures_say_what_they_mean() {
        let said = |kind| failed(&Failure::new(kind, "why", "do this"));
        assert_eq!(said(FailureKind::NoRoute), "unreachable: no route to host");
        assert_eq!(said(FailureKind::HostKeyChanged), "not trusted: host key changed");
        assert_eq!(said(FailureKind::SudoPassword), "no access: sudo password missing or wrong");
        assert_eq!(said(FailureKind::ExecTimeout), "not read to the end: timed out");
    }

    #[test]
    fn roles_of_inventory_and_probe() {
        let with = |control_plane| {
            let mut facts = NodeFacts::default();
            facts.identity.control_plane = control_plane;
            facts
        };
        let control = with(Fact::Known(true));
        let worker = with(Fact::Known(false));
        let unread = with(Fact::default());
        assert_eq!(roles(None, &control), [Role::ControlPlane]);
        assert_eq!(roles(Some(Role::Worker), &control), [Role::ControlPlane, Role::Worker]);
        assert_eq!(roles(None, &worker), [Role::Worker]);
        assert_eq!(roles(Some(Role::ControlPlane), &worker), [Role::ControlPlane]);
        assert_eq!(roles(None, &unread), []);
    }
}
