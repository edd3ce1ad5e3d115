//! Metrics in Prometheus' text format, for `node_exporter`'s textfile collector.
//!
//! Base units, one series per node and thing; no free text becomes a label, so that the number of series depends on the
//! number of nodes and checks alone. What was not read has no sample: a missing figure is never a zero. No sample carries a
//! time of its own, which the collector would refuse.
//!
//! - `family`: names, types and escaping. `metrics` is the list.

mod family;
mod metrics;

use std::io::{self, Write};

use crate::report::model::Report;

pub(crate) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    metrics::write(report, out)
}
