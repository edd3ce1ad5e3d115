//! Which of a node's faults explain which: the edges of the checks, walked backwards from every symptom.
//!
//! A cause explains a symptom when an edge with a fulfilled guard leads from one to the other, it is at least as bad, and it
//! is not younger. What was not read is passed through: whether it failed as well does not matter to its consequence. What
//! passed is not: a chain with a sound link in it explains nothing.

use std::collections::{BTreeSet, HashMap};

use crate::checks::{Checks, Finding, Reach};
use crate::facts::alike::Alike;
use crate::verdict::Verdict;

/// The checks' edges, by the place of a check in [`Checks::all`].
pub(super) struct Graph<'c> {
    checks: &'c Checks,
    places: HashMap<&'c str, usize>,
    /// Of each check, those that can bring it about.
    causes: Vec<Vec<usize>>,
}

impl<'c> Graph<'c> {
    pub(super) fn new(checks: &'c Checks) -> Self {
        let all = checks.all();
        let places: HashMap<&str, usize> =
            all.iter().enumerate().map(|(place, check)| (check.id.as_str(), place)).collect();
        let mut causes = vec![Vec::new(); all.len()];
        for (place, check) in all.iter().enumerate() {
            for symptom in check.explains.iter().filter_map(|edge| places.get(edge.id.as_str())) {
                causes[*symptom].push(place);
            }
        }
        Self { checks, places, causes }
    }

    /// One node's findings. `wide` are those of control planes whose consequences show on every node.
    pub(super) fn of_node<'f>(&'f self, findings: &'f [Finding], wide: &'f [&'f Finding]) -> NodeGraph<'f, 'c> {
        let mut found: Vec<Option<&Finding>> = vec![None; self.causes.len()];
        for finding in findings {
            if let Some(place) = self.places.get(finding.id.as_str()) {
                found[*place] = Some(finding);
            }
        }
        let mut elsewhere: Vec<Option<&Finding>> = vec![None; self.causes.len()];
        for finding in wide {
            if let Some(place) = self.places.get(finding.id.as_str()) {
                elsewhere[*place] = Some(finding);
            }
        }
        NodeGraph { graph: self, found, elsewhere }
    }

    /// The findings of a node whose consequences show on every node.
    pub(super) fn wide<'f>(&self, findings: &'f [Finding]) -> impl Iterator<Item = &'f Finding> {
        let reaches = |finding: &&Finding| {
            let check = self.places.get(finding.id.as_str()).map(|place| &self.checks.all()[*place]);
            check.is_some_and(|check| check.reaches == Reach::Cluster)
        };
        findings.iter().filter(|finding| finding.verdict == Verdict::Fail).filter(reaches)
    }
}

pub(super) struct NodeGraph<'f, 'c> {
    graph: &'f Graph<'c>,
    found: Vec<Option<&'f Finding>>,
    /// On a control plane.
    elsewhere: Vec<Option<&'f Finding>>,
}

/// What stands behind a fault.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Causes {
    /// The nearest failing cause.
    pub(super) nearest: Option<Alike<String>>,
    /// The failing causes that no other one explains.
    pub(super) roots: BTreeSet<Alike<String>>,
    /// Possible causes that could not be judged.
    pub(super) unknown: BTreeSet<Alike<String>>,
}

impl NodeGraph<'_, '_> {
    pub(super) fn causes(&self, symptom: &Finding) -> Causes {
        let mut causes = Causes::default();
        let Some(&start) = self.graph.places.get(symptom.id.as_str()) else { return causes };
        let mut seen = vec![false; self.found.len()];
        seen[start] = true;
        let mut waiting = vec![(start, symptom)];
        while let Some((place, fault)) = waiting.pop() {
            let mut direct = Direct::default();
            self.direct(place, fault, &mut vec![false; self.found.len()], &mut direct);
            causes.unknown.append(&mut direct.unknown);
            if place == start {
                let near = direct.near.first().map(|(_, cause)| *cause);
                causes.nearest = near.or(direct.wide.first().copied()).map(|cause| cause.id.clone());
            } else if direct.near.is_empty() && direct.wide.is_empty() {
                causes.roots.insert(fault.id.clone());
            }
            causes.roots.extend(direct.wide.iter().map(|cause| cause.id.clone()));
            for (cause, finding) in direct.near {
                if !std::mem::replace(&mut seen[cause], true) {
                    waiting.push((cause, finding));
                }
            }
        }
        causes
    }

    /// The failing causes one step away from `fault`, with what could not be judged on the way.
    fn direct<'s>(&'s self, place: usize, fault: &Finding, passed: &mut [bool], direct: &mut Direct<'s>) {
        passed[place] = true;
        let id = self.graph.checks.all()[place].id.as_str();
        for &cause in &self.graph.causes[place] {
            direct.wide.extend(self.elsewhere[cause].filter(|finding| explains(finding, id)));
            let Some(finding) = self.found[cause].filter(|_| !passed[cause]) else { continue };
            match finding.verdict {
                Verdict::Fail | Verdict::Warn => {
                    if explains(finding, id) && finding.verdict <= fault.verdict && !is_younger(finding, fault) {
                        direct.near.push((cause, finding));
                    }
                }
                Verdict::Unknown => {
                    direct.unknown.insert(finding.id.clone());
                    self.direct(cause, fault, passed, direct);
                }
                Verdict::Expected if explains(finding, id) => self.direct(cause, fault, passed, direct),
                Verdict::Expected | Verdict::Pass | Verdict::NotApplicable => {}
            }
        }
    }
}

/// What lies one step behind a fault.
#[derive(Default)]
struct Direct<'s> {
    near: Vec<(usize, &'s Finding)>,
    wide: Vec<&'s Finding>,
    unknown: BTreeSet<Alike<String>>,
}

/// An edge leads there and its guard holds. Guards of what was not judged are not known and let through.
fn explains(cause: &Finding, symptom: &str) -> bool {
    cause.explains.iter().any(|id| *id == *symptom)
}

/// A cause is never first seen after its symptom.
fn is_younger(cause: &Finding, symptom: &Finding) -> bool {
    matches!((cause.since, symptom.since), (Some(cause), Some(symptom)) if cause > symptom)
}
