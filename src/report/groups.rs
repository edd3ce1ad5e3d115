//! Nodes with problems for the reports that show each in full: nodes with the very same problems are one group.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::checks::{Finding, words};
use crate::names;
use crate::report::model::{NodeReport, Outcome};
use crate::verdict::Verdict;

/// Nodes about which exactly the same is to be said.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    /// In the order of the report; never empty.
    pub(crate) nodes: Vec<&'a NodeReport>,
    /// The one that stands for all.
    pub(crate) first: &'a NodeReport,
}

impl Group<'_> {
    /// `node[004-007], storage1`, shortened, still untrusted.
    pub(crate) fn name(&self) -> String {
        heading(self.nodes.iter().map(|node| node.name.as_str()))
    }
}

/// Names as a heading has room for: `node[004-007,…] (150), storage1 and 3 more`.
pub(crate) fn heading<'a>(of: impl IntoIterator<Item = &'a str>) -> String {
    const MOST_PARTS: usize = 4;
    const WIDEST_PART: usize = 72;
    let folded = names::fold(of);
    let parts: Vec<String> = folded.iter().take(MOST_PARTS).map(|part| part.shortened(WIDEST_PART, "…")).collect();
    let more: usize = folded.iter().skip(MOST_PARTS).map(|part| part.names().len()).sum();
    let named = parts.join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}

/// The nodes that are not fine, in the order of the report.
pub(crate) fn troubled(nodes: &[NodeReport]) -> Vec<Group<'_>> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut groups: Vec<Group<'_>> = Vec::new();
    for node in nodes.iter().filter(|node| node.outcome() != Outcome::Ok) {
        let place = *places.entry(fingerprint(node)).or_insert_with(|| {
            groups.push(Group { nodes: Vec::new(), first: node });
            groups.len() - 1
        });
        groups[place].nodes.push(node);
    }
    groups
}

/// All that is said of a node's problems.
fn fingerprint(node: &NodeReport) -> String {
    let mut text = format!("{:?}\0{:?}\0{:?}\0{}\0", node.outcome(), node.phase, node.roles, node.summary);
    if let Some(failure) = &node.failure {
        let _ = write!(text, "{:?}\0{}\0{}\0", failure.kind, failure.message, failure.next);
    }
    for cell in node.areas.iter().filter(|cell| !cell.reasons.is_empty()) {
        let _ = write!(text, "{:?}\0{:?}\0{}\0", cell.area, cell.verdict, cell.reasons.join("\0"));
    }
    for finding in &node.findings {
        let _ = write!(text, "{}\0{:?}\0{}\0", finding.id, finding.verdict, finding.message);
        for evidence in &finding.evidence {
            let _ = write!(text, "{}\0", words(&evidence.value));
        }
    }
    text
}

/// A node's findings that speak against it, worst first.
pub(crate) fn faults(node: &NodeReport) -> Vec<&Finding> {
    let mut faults: Vec<&Finding> = node.findings.iter().filter(|finding| finding.is_fault()).collect();
    faults.sort_by_key(|finding| (finding.verdict, finding.severity));
    faults
}

/// A node's findings of one verdict, in the order of the report.
pub(crate) fn of_verdict(node: &NodeReport, verdict: Verdict) -> Vec<&Finding> {
    node.findings.iter().filter(|finding| finding.verdict == verdict).collect()
}

/// A node's checks that could not be judged by what was in the way, in the order of the report: one reason hides many.
pub(crate) fn unjudged(node: &NodeReport) -> Vec<(&str, Vec<&Finding>)> {
    let mut reasons: Vec<(&str, Vec<&Finding>)> = Vec::new();
    for finding in of_verdict(node, Verdict::Unknown) {
        let why = finding.lacks.first().map_or(finding.message.as_str(), |lack| lack.why.as_str());
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, findings)) => findings.push(finding),
            None => reasons.push((why, vec![finding])),
        }
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_short_whatever_is_folded_in_them() {
        assert_eq!(heading(["node2", "node1", "b"]), "b, node[1-2]");
        let odd: Vec<String> = (0..500).map(|number| format!("node{}", number * 2)).collect();
        let short = heading(odd.iter().map(String::as_str));
        assert!(short.len() < 100 && short.ends_with(",…] (500)"), "{short}");
        let names = ["aa", "bb", "cc", "dd", "ee", "ff"];
        assert_eq!(heading(names), "aa, bb, cc, dd and 2 more");
        assert!(heading(["x".repeat(1 << 20).as_str()]).len() < 300);
    }
}
