//! What every report shows: the run and one entry per node, problems first. The JSON document is this, serialised.

pub mod cluster;

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::checks::{Finding, Severity};
use crate::diagnose::root_cause::RootCause;
use crate::failure::Failure;
use crate::names;
use crate::target::Role;
use crate::timings::Timings;
use crate::upgrade::gate::Gate;
use crate::verdict::{Area, AreaCell, Phase, Verdict};
use cluster::ClusterReport;

/// The version of the document: `seaworthy/v1`. Fields are only ever added under the same version.
pub const REPORT_SCHEMA: &str = "seaworthy/v1";

/// A finished run.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Report {
    pub schema: &'static str,
    pub run: RunInfo,
    /// Built-in checks that somebody's own file changed or switched off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed_checks: Vec<ChangedCheck>,
    /// What to put right, worst first; what only deserves a look comes last, with the verdict `warn`.
    pub root_causes: Vec<RootCause>,
    /// What the nodes say about each other; left out when there are no two of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterReport>,
    /// The same of further clusters, whose nodes the run read as well: each is compared with its own alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_clusters: Vec<ClusterReport>,
    /// Problems first, then by natural order of the names (`node2` before `node10`).
    pub nodes: Vec<NodeReport>,
}

impl Report {
    /// Brings the nodes into the report's order and counts them. `started` is RFC 3339, UTC.
    pub fn new(
        id: String,
        started: String,
        duration: Duration,
        mut nodes: Vec<NodeReport>,
        root_causes: Vec<RootCause>,
    ) -> Self {
        nodes.sort_by(|a, b| a.outcome().cmp(&b.outcome()).then_with(|| names::natural_cmp(&a.name, &b.name)));
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let run = RunInfo { id, started, duration_ms, counts: Counts::of(&nodes), gate: None };
        Self {
            schema: REPORT_SCHEMA,
            run,
            changed_checks: Vec::new(),
            root_causes,
            cluster: None,
            other_clusters: Vec::new(),
            nodes,
        }
    }

    /// All clusters of the run, its own first.
    pub fn clusters(&self) -> impl Iterator<Item = &ClusterReport> {
        self.cluster.iter().chain(&self.other_clusters)
    }

    /// The same report about some of its nodes: their entries, their causes, and counts of them alone.
    #[must_use]
    pub fn only(&self, names: &BTreeSet<String>) -> Self {
        let nodes: Vec<NodeReport> = self.nodes.iter().filter(|node| names.contains(&node.name)).cloned().collect();
        let own = self.root_causes.iter().filter(|cause| cause.nodes.iter().any(|node| names.contains(node)));
        Self {
            schema: self.schema,
            run: RunInfo { counts: Counts::of(&nodes), ..self.run.clone() },
            changed_checks: self.changed_checks.clone(),
            root_causes: own.cloned().collect(),
            cluster: self.cluster.clone(),
            other_clusters: self.other_clusters.clone(),
            nodes,
        }
    }
}

/// A user's word on a built-in check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ChangedCheck {
    pub id: String,
    /// It was not evaluated.
    pub disabled: bool,
    pub severity_was: Severity,
    pub severity: Severity,
    /// In the user's words.
    pub reason: String,
    /// Where that is written.
    pub file: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct RunInfo {
    pub id: String,
    /// RFC 3339, UTC.
    pub started: String,
    pub duration_ms: u64,
    pub counts: Counts,
    /// Which nodes may be upgraded, and to what; not there in a plain sweep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
}

/// How many nodes ended in which way. `total` is the sum of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counts {
    pub total: usize,
    pub ok: usize,
    pub warn: usize,
    pub fail: usize,
    /// Reached, and too little could be read to judge.
    pub unknown: usize,
    /// Not reached, or not read to the end.
    pub unreachable: usize,
}

impl Counts {
    fn of(nodes: &[NodeReport]) -> Self {
        let mut counts = Self { total: nodes.len(), ..Self::default() };
        for node in nodes {
            match node.outcome() {
                Outcome::Fail => counts.fail += 1,
                Outcome::Unreachable => counts.unreachable += 1,
                Outcome::Warn => counts.warn += 1,
                Outcome::Unknown => counts.unknown += 1,
                Outcome::Ok => counts.ok += 1,
            }
        }
        counts
    }
}

/// How many checks came out in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CheckCounts {
    pub fail: usize,
    pub warn: usize,
    pub unknown: usize,
    pub pass: usize,
    pub expected: usize,
    pub not_applicable: usize,
}

impl CheckCounts {
    pub fn of(findings: &[Finding]) -> Self {
        let mut counts = Self::default();
        for finding in findings {
            counts.add(finding.verdict);
        }
        counts
    }

    pub const fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Fail => self.fail += 1,
            Verdict::Warn => self.warn += 1,
            Verdict::Unknown => self.unknown += 1,
            Verdict::Pass => self.pass += 1,
            Verdict::Expected => self.expected += 1,
            Verdict::NotApplicable => self.not_applicable += 1,
        }
    }
}

/// How one node ended, worst first: the order of every report, and what [`Counts`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    Fail,
    Unreachable,
    Warn,
    Unknown,
    Ok,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NodeReport {
    pub name: String,
    /// What was dialled.
    pub address: String,
    pub roles: Vec<Role>,
    pub phase: Option<Phase>,
    pub verdict: Verdict,
    /// The verdict column's words: "ok", "containerd is down", "unreachable: no route to host".
    pub summary: String,
    /// `null` when the node was read to the end.
    pub failure: Option<Failure>,
    pub timings: Timings,
    /// One cell per area, in the table's order; empty when nothing was read.
    pub areas: Vec<AreaCell>,
    /// How the checks came out.
    pub checks: CheckCounts,
    /// What failed, warns, is normal only in this phase, or could not be judged; worst first. What passes is only counted.
    pub findings: Vec<Finding>,
    /// `null` when nothing was read.
    pub facts: Option<crate::facts::NodeFacts>,
}

impl NodeReport {
    /// A node with a failure is unreachable, even when a part of it was read before: that part is no whole picture.
    pub const fn outcome(&self) -> Outcome {
        if self.failure.is_some() {
            return Outcome::Unreachable;
        }
        match self.verdict {
            Verdict::Fail => Outcome::Fail,
            Verdict::Warn => Outcome::Warn,
            Verdict::Unknown => Outcome::Unknown,
            Verdict::Pass | Verdict::Expected | Verdict::NotApplicable => Outcome::Ok,
        }
    }

    /// The cell of an area; `None` when nothing was read.
    pub fn cell(&self, area: Area) -> Option<&AreaCell> {
        self.areas.iter().find(|cell| cell.area == area)
    }
}
