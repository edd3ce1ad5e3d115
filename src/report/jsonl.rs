//! JSON lines: the first line is the run (`{"schema": ..., "run": {...}}`), each further line is one node in the report's order.

use std::io::{self, Write};

use serde::Serialize;

use crate::report::json;
use crate::report::model::{Report, RunInfo};

/// What one document has around its nodes.
#[derive(Serialize)]
pub(crate) struct Head<'a> {
    pub(crate) schema: &'a str,
    pub(crate) run: &'a RunInfo,
}

pub(crate) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    json::write_line(&Head { schema: report.schema, run: &report.run }, out)?;
    report.nodes.iter().try_for_each(|node| json::write_line(node, out))
}
