//! JSON lines: the first line is the run (`{"schema": ..., "run": {...}, "root_causes": [...]}`), each further line is one node in the report's order.

use std::io::{self, Write};

use serde::Serialize;

use crate::diagnose::root_cause::RootCause;
use crate::report::json;
use crate::report::model::cluster::ClusterReport;
use crate::report::model::{ChangedCheck, Report, RunInfo};

/// What one document has around its nodes.
#[derive(Serialize)]
pub(crate) struct Head<'a> {
    schema: &'a str,
    run: &'a RunInfo,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    changed_checks: &'a [ChangedCheck],
    root_causes: &'a [RootCause],
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a ClusterReport>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    other_clusters: &'a [ClusterReport],
}

impl<'a> Head<'a> {
    pub(crate) fn of(report: &'a Report) -> Self {
        Self {
            schema: report.schema,
            run: &report.run,
            changed_checks: &report.changed_checks,
            root_causes: &report.root_causes,
            cluster: report.cluster.as_ref(),
            other_clusters: &report.other_clusters,
        }
    }
}

pub(crate) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    json::write_line(&Head::of(report), out)?;
    report.nodes.iter().try_for_each(|node| json::write_line(node, out))
}
