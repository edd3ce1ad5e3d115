//! The names of all nodes of the run, one per line in the report's order, problems first: for `xargs` and `-i -`.

use std::io::{self, Write};

use crate::report::model::Report;
use crate::text;

pub(crate) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    report.nodes.iter().try_for_each(|node| writeln!(out, "{}", text::sanitize(&node.name)))
}
