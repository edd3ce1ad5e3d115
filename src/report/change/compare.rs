//! Two sweeps, before and after a change or one after the other: what each node was and is, what was red and is gone, what is new.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;

use super::folded;
use super::lines::{self, Line};
use crate::report::causes::between;
use crate::report::model::{NodeReport, Outcome, Report};
use crate::report::style::{Style, Tone};
use crate::verdict::{Phase, Verdict};

const INDENT: usize = 2;

/// One node before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Compared {
    pub node: String,
    /// `null` when it was not read then.
    pub before: Option<Seen>,
    pub after: Option<Seen>,
    /// What failed or warned before, and does not any more.
    pub gone: Vec<Fault>,
    /// What fails or warns now, and did not before.
    pub new: Vec<Fault>,
    /// What fails now and failed before.
    pub left: Vec<Fault>,
}

/// A node in one sweep.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Seen {
    pub phase: Option<Phase>,
    pub verdict: Verdict,
    /// The verdict column's words.
    pub summary: String,
}

/// A check that fails or warns.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Fault {
    pub id: String,
    pub title: String,
}

/// Compares those nodes that either sweep has among `nodes`, in that order.
pub fn compare(before: &Report, after: &Report, nodes: &[String]) -> Vec<Compared> {
    let [before, after] = [before, after].map(by_name);
    let compared = nodes.iter().filter_map(|name| {
        let (was, is) = (before.get(name.as_str()).copied(), after.get(name.as_str()).copied());
        (was.is_some() || is.is_some()).then(|| one(name, was, is))
    });
    compared.collect()
}

/// The nodes that are not as they were: another outcome, phase or reason not to be read, a check that fails or warns now or does not any
/// more, a node that came or went. Figures that moved are no change. In the order of `after`, what went last.
pub fn differing(before: &Report, after: &Report) -> Vec<Compared> {
    let [old, new] = [before, after].map(by_name);
    let went = before.nodes.iter().filter(|node| !new.contains_key(node.name.as_str()));
    let names = after.nodes.iter().chain(went).map(|node| node.name.as_str());
    let state = |node: &NodeReport| (node.outcome(), node.phase, node.failure.as_ref().map(|failure| failure.kind));
    let compared = names.filter_map(|name| {
        let (was, is) = (old.get(name).copied(), new.get(name).copied());
        let compared = one(name, was, is);
        let same = was.map(state) == is.map(state) && compared.gone.is_empty() && compared.new.is_empty();
        (!same).then_some(compared)
    });
    compared.collect()
}

fn by_name(report: &Report) -> HashMap<&str, &NodeReport> {
    report.nodes.iter().map(|node| (node.name.as_str(), node)).collect()
}

fn one(name: &str, was: Option<&NodeReport>, is: Option<&NodeReport>) -> Compared {
    let (old, now) = (faults(was, false), faults(is, false));
    // Of a node that was not read, nobody knows what is gone.
    let both = [was, is].iter().all(|node| node.is_some_and(|node| node.outcome() != Outcome::Unreachable));
    let difference = |a: &BTreeSet<Fault>, b: &BTreeSet<Fault>| -> Vec<Fault> {
        if both {
            a.iter().filter(|fault| !b.iter().any(|other| other.id == fault.id)).cloned().collect()
        } else {
            Vec::new()
        }
    };
    Compared {
        node: name.to_owned(),
        before: was.map(seen),
        after: is.map(seen),
        gone: difference(&old, &now),
        new: difference(&now, &old),
        left: faults(is, true).into_iter().filter(|fault| old.iter().any(|other| other.id == fault.id)).collect(),
    }
}

fn seen(node: &NodeReport) -> Seen {
    Seen { phase: node.phase, verdict: node.verdict, summary: node.summary.clone() }
}

fn faults(node: Option<&NodeReport>, failing_only: bool) -> BTreeSet<Fault> {
    let wanted = |verdict: Verdict| verdict == Verdict::Fail || (!failing_only && verdict == Verdict::Warn);
    let findings = node.into_iter().flat_map(|node| &node.findings).filter(|finding| wanted(finding.verdict));
    findings.map(|finding| Fault { id: finding.id.to_string(), title: finding.title.to_string() }).collect()
}

/// Writes the comparison, equal nodes folded.
pub fn write(compared: &[Compared], style: &Style, out: &mut impl Write) -> io::Result<()> {
    let said = compared.iter().map(|each| {
        let arrow = format!("{} → {}", words(each.before.as_ref()), words(each.after.as_ref()));
        let mut lines = Vec::new();
        for (key, faults, tone) in
            [("gone", &each.gone, Tone::Good), ("new", &each.new, Tone::Fail), ("left", &each.left, Tone::Warn)]
        {
            if !faults.is_empty() {
                let named: Vec<String> = faults.iter().map(|fault| format!("{} ({})", fault.title, fault.id)).collect();
                lines.push(Line { tone, ..Line::keyed(INDENT, key, named.join(between(style))) });
            }
        }
        (each.node.as_str(), (arrow, lines))
    });
    for (names, (arrow, lines)) in folded(said) {
        lines::write_heading(&names, &arrow, Tone::Plain, style, out)?;
        lines::write_all(&lines, style, out)?;
    }
    Ok(())
}

/// `prepared, ok`.
fn words(seen: Option<&Seen>) -> String {
    let Some(Seen { phase, summary, .. }) = seen else { return "not looked at".to_owned() };
    match phase {
        Some(phase) => format!("{}, {summary}", phase.label()),
        None => summary.clone(),
    }
}
