//! What every report shows: the run and one entry per node, problems first. The JSON document is this, serialised.

use schemars::JsonSchema;
use serde::Serialize;

use crate::failure::Failure;
use crate::target::Role;
use crate::timings::Timings;
use crate::verdict::{AreaCell, Phase, Verdict};

/// The version of the document: `seaworthy/v1`. Fields are only ever added under the same version.
pub const REPORT_SCHEMA: &str = "seaworthy/v1";

/// A finished run.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Report {
    pub schema: &'static str,
    pub run: RunInfo,
    /// Problems first, then by natural order of the names (`node2` before `node10`).
    pub nodes: Vec<NodeReport>,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct RunInfo {
    pub id: String,
    /// RFC 3339, UTC.
    pub started: String,
    pub duration_ms: u64,
    pub counts: Counts,
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
    /// `null` when nothing was read.
    pub facts: Option<crate::facts::NodeFacts>,
}
