//! Markdown in GitHub's dialect: the analysis of one node, or the summary of a fleet and then its nodes with problems.
//!
//! It says what checks found and what facts say, and nothing else. Everything that a node, an inventory or a server said
//! passes through [`escape`].

mod causes;
mod cluster;
mod escape;
mod fleet;
mod node;

use std::io::{self, Write};

use escape::{Code, Text};

use crate::report::model::{NodeReport, Report, RunInfo};
use crate::verdict::{Area, Verdict};

pub(crate) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    match report.nodes.as_slice() {
        [node] => node::write(report, node, out),
        _ => fleet::write(report, out),
    }
}

/// When and by what this was made.
fn write_origin(run: &RunInfo, out: &mut impl Write) -> io::Result<()> {
    let took = crate::duration::rough(std::time::Duration::from_millis(run.duration_ms));
    let version = env!("CARGO_PKG_VERSION");
    writeln!(out, "Read on {} in {took} by seaworthy {version} (run {}).\n", Text(&run.started), Code(&run.id))
}

/// An area's verdict in a heading.
const fn said(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fail => "fails",
        Verdict::Warn => "warns",
        Verdict::Unknown => "not judged",
        Verdict::Pass => "no fault found",
        Verdict::Expected => "normal in this phase",
        Verdict::NotApplicable => "does not apply",
    }
}

/// The areas of a node by verdict, worst first: `fails: CNI, kubelet`.
fn areas_by_verdict(node: &NodeReport) -> Vec<String> {
    const ORDER: [Verdict; 6] =
        [Verdict::Fail, Verdict::Warn, Verdict::Unknown, Verdict::Expected, Verdict::Pass, Verdict::NotApplicable];
    let of = |verdict| {
        let areas = node.areas.iter().filter(|cell| cell.verdict == verdict);
        let names: Vec<&str> = areas.map(|cell| Area::name(cell.area)).collect();
        (!names.is_empty()).then(|| format!("{}: {}", said(verdict), names.join(", ")))
    };
    ORDER.into_iter().filter_map(of).collect()
}

/// `1 check`, `2 checks`.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
