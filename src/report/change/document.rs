//! A plan, and what came of it, as one JSON document. `docs/schema/plan-v1.json` is its schema.

use std::io::{self, Write};

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::Serialize;

use super::compare::Compared;
use crate::change::journal::Outcome;
use crate::change::plan::{NodePlan, Plan};
use crate::change::summary::Summary;
use crate::playbook::Strategy;
use crate::report::json;

/// The version of the document. Fields are only ever added under the same version.
pub const PLAN_DOCUMENT: &str = "seaworthy/plan/v1";

/// What is to be done, and once it was done, how it ended.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Document<'a> {
    pub schema: &'static str,
    /// The run that the plan belongs to; left out of a plan that is only shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<&'a str>,
    /// The playbook's name.
    pub playbook: &'a str,
    pub strategy: &'a Strategy,
    /// Checks and guards whose unknown the user accepted by name.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub accept_unknown: &'a [String],
    /// In the order of the inventory.
    pub nodes: &'a [NodePlan],
    /// Left out of a plan that was not applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Ended<'a>>,
}

/// How it ended.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Ended<'a> {
    /// The nodes that work was begun on.
    pub nodes: Vec<NodeEnded<'a>>,
    /// Why no further node was begun, when not all were.
    pub stopped: Option<&'a str>,
    /// The nodes that were to be changed and that nothing was begun on.
    pub untouched: &'a [String],
    pub interrupted: bool,
    /// Each node in the sweeps before and after.
    pub compared: &'a [Compared],
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NodeEnded<'a> {
    pub node: &'a str,
    /// It was not reached, and so not changed.
    pub unreachable: bool,
    #[serde(flatten)]
    pub outcome: &'a Outcome,
}

impl<'a> Document<'a> {
    /// A plan that is only shown.
    pub fn of(plan: &'a Plan) -> Self {
        let Plan { playbook, strategy, accept_unknown, nodes, .. } = plan;
        Self { schema: PLAN_DOCUMENT, run: None, playbook, strategy, accept_unknown, nodes, result: None }
    }

    #[must_use]
    pub fn ended(self, run: &'a str, summary: &'a Summary, compared: &'a [Compared]) -> Self {
        let nodes = summary.nodes.iter().map(|(node, outcome)| NodeEnded {
            node,
            unreachable: summary.unreachable.contains(node),
            outcome,
        });
        let result = Ended {
            nodes: nodes.collect(),
            stopped: summary.stopped.as_deref(),
            untouched: &summary.untouched,
            interrupted: summary.interrupted,
            compared,
        };
        Self { run: Some(run), result: Some(result), ..self }
    }
}

/// Writes a document.
pub fn write(document: &Document<'_>, out: &mut impl Write) -> io::Result<()> {
    json::write_pretty(document, out)
}

/// The schema of the document.
pub fn schema() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<Document<'_>>()
}
