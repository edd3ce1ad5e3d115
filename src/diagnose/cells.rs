//! The cells of the table: each area's findings folded into a verdict, a few words and the reasons.

use std::collections::{BTreeMap, BTreeSet};

use super::Passed;
use crate::checks::{Finding, Lack, Severity};
use crate::facts::{Fact, NodeFacts};
use crate::verdict::{Area, AreaCell, Phase, Verdict};

/// One cell per area, in the table's order.
pub(super) fn cells(facts: &NodeFacts, phase: Option<Phase>, findings: &[Finding], passed: Passed) -> Vec<AreaCell> {
    let mut by_area: BTreeMap<Area, Vec<&Finding>> = BTreeMap::new();
    for finding in findings.iter().filter(|finding| counts(finding)) {
        if let Some(area) = Area::of_check(&finding.id) {
            by_area.entry(area).or_default().push(finding);
        }
    }
    let cell = |area| cell(area, facts, phase, by_area.remove(&area).unwrap_or_default(), passed.in_area(area));
    Area::ALL.into_iter().map(cell).collect()
}

fn cell(area: Area, facts: &NodeFacts, phase: Option<Phase>, mut of_area: Vec<&Finding>, passed: bool) -> AreaCell {
    // Of equally bad ones the cause speaks before what it brings about.
    of_area.sort_by_key(|finding| (finding.verdict, finding.severity, finding.explained_by.is_some()));
    let with = |verdict| of_area.iter().filter(move |finding| finding.verdict == verdict);
    let reasons = |verdicts: &[Verdict]| -> Vec<String> {
        let said = of_area.iter().filter(|finding| verdicts.contains(&finding.verdict));
        said.map(|finding| finding.message.to_string()).collect()
    };
    if let Some(worst) = of_area.iter().find(|finding| finding.is_fault()) {
        let reasons = reasons(&[Verdict::Fail, Verdict::Warn]);
        return AreaCell { area, verdict: worst.verdict, text: worst.cell.clone(), reasons };
    }
    let judged = passed || with(Verdict::Expected).next().is_some();
    let missing = with(Verdict::Unknown).any(|finding| matters(finding, area));
    if missing || (!judged && with(Verdict::Unknown).next().is_some()) {
        let reasons = unread(with(Verdict::Unknown).copied().filter(|finding| matters(finding, area)));
        return AreaCell { area, verdict: Verdict::Unknown, text: String::new(), reasons };
    }
    if let Some(expected) = with(Verdict::Expected).next() {
        let text = format!("{}, expected", expected.cell);
        return AreaCell { area, verdict: Verdict::Expected, text, reasons: reasons(&[Verdict::Expected]) };
    }
    if !judged || !applies(area, facts, phase) {
        return AreaCell { area, verdict: Verdict::NotApplicable, text: "-".to_owned(), reasons: Vec::new() };
    }
    AreaCell { area, verdict: Verdict::Pass, text: calm(area, facts), reasons: Vec::new() }
}

/// So many facts are named for one reason.
const MOST_LACKS: usize = 3;

/// Why an area is not known: each reason once, with the facts that it hides.
fn unread<'f>(findings: impl Iterator<Item = &'f Finding>) -> Vec<String> {
    let mut hidden: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for lack in findings.flat_map(|finding| &finding.lacks) {
        hidden.entry(&lack.why).or_default().insert(&lack.path);
    }
    let said = hidden.into_iter().map(|(why, paths)| {
        let more = paths.len().saturating_sub(MOST_LACKS);
        let named = paths.into_iter().take(MOST_LACKS).collect::<Vec<_>>().join(", ");
        if more == 0 { format!("{why}: {named}") } else { format!("{why}: {named} and {more} more") }
    });
    said.collect()
}

/// What is only worth knowing colours no cell.
fn counts(finding: &Finding) -> bool {
    let said = finding.is_fault() || finding.verdict == Verdict::Expected;
    !(said && finding.severity == Severity::Low)
}

/// Without it the area cannot be called sound. What only the API knows is the API's cell's matter, and what a node reaches is
/// extra: its sshd may forbid to try.
fn matters(finding: &Finding, area: Area) -> bool {
    let asked_elsewhere = |lack: &Lack| ["member.", "api.", "reach."].iter().any(|area| lack.path.starts_with(area));
    matches!(finding.severity, Severity::Blocker | Severity::High)
        && (area == Area::Api || !finding.lacks.iter().all(asked_elsewhere))
}

fn applies(area: Area, facts: &NodeFacts, phase: Option<Phase>) -> bool {
    match area {
        Area::Nfs => facts.nfs.nfs_count != Fact::Known(0),
        Area::Containerd | Area::Cni | Area::Kubelet => phase != Some(Phase::Unprepared),
        Area::Api => matches!(phase, Some(Phase::JoinedNotReady | Phase::Ready | Phase::ControlPlane)),
        Area::Mounts | Area::Disk | Area::Permissions | Area::Kernel | Area::Time => true,
    }
}

/// The words of an area with nothing wrong in it.
fn calm(area: Area, facts: &NodeFacts) -> String {
    let said = match area {
        Area::Disk => facts.disk.var_lib.figures.known().cloned(),
        Area::Containerd => facts.containerd.version.known().cloned(),
        Area::Cni => facts.cni.first_plugins.known().and_then(|plugins| plugins.first().cloned()),
        Area::Kubelet if facts.kubelet.running.is_true() => Some("running".to_owned()),
        _ => None,
    };
    said.unwrap_or_else(|| "ok".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::alike::Alike;

    #[test]
    fn what_a_node_reaches_is_extra() {
        let lacking = |lacks: &[&str]| Finding {
            id: "join/x".into(),
            verdict: Verdict::Unknown,
            severity: Severity::Blocker,
            title: Alike::default(),
            message: Alike::default(),
            cell: String::new(),
            evidence: Vec::new(),
            lacks: lacks.iter().map(|path| Lack { path: (*path).into(), why: Alike::default() }).collect(),
            since: None,
            certain: false,
            explained_by: None,
            explains: Vec::new(),
        };
        assert!(!matters(&lacking(&["reach.api.tcp", "member.node"]), Area::Kubelet));
        assert!(matters(&lacking(&["reach.api.tcp", "kubelet.standalone"]), Area::Kubelet));
    }
}
