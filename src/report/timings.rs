//! Where the time went (`-v`): one row per host, the slowest first.

use std::cmp::Ordering;
use std::io::{self, Write};
use std::time::Duration;

use crate::duration;
use crate::names;
use crate::report::grid::{self, Align, Cell};
use crate::report::model::Report;
use crate::report::style::{Style, Tone};
use crate::timings::Timings;

const HEAD: [(&str, Align); 8] = [
    ("NODE", Align::Left),
    ("TOTAL", Align::Right),
    ("DNS", Align::Right),
    ("TCP", Align::Right),
    ("KEX", Align::Right),
    ("AUTH", Align::Right),
    ("OPEN", Align::Right),
    ("EXEC", Align::Right),
];

/// Writes the table; a step that was not reached, or does not apply, is `-`.
pub fn write(report: &Report, style: &Style, out: &mut impl Write) -> io::Result<()> {
    let mut nodes: Vec<(&str, &Timings)> =
        report.nodes.iter().map(|node| (node.name.as_str(), &node.timings)).collect();
    nodes.sort_by(|(a_name, a), (b_name, b)| slowest_first(a, b).then_with(|| names::natural_cmp(a_name, b_name)));
    let rows: Vec<Vec<Cell>> = nodes
        .into_iter()
        .map(|(name, t)| {
            let mut row = vec![Cell::new(style.text(name), Tone::Plain)];
            row.extend([t.total_ms, t.dns_ms, t.tcp_ms, t.kex_ms, t.auth_ms, t.open_ms, t.exec_ms].map(cell));
            row
        })
        .collect();
    grid::write_table(out, style, &HEAD, &rows)
}

/// A host without a total never ended, so it counts as the slowest.
fn slowest_first(a: &Timings, b: &Timings) -> Ordering {
    let total = |timings: &Timings| timings.total_ms.unwrap_or(f64::INFINITY);
    total(b).total_cmp(&total(a))
}

fn cell(millis: Option<f64>) -> Cell {
    // A replayed record may hold any number; one that is no duration is not known.
    match millis.and_then(|millis| Duration::try_from_secs_f64(millis / 1e3).ok()) {
        Some(step) => Cell::new(duration::rough(step), Tone::Plain),
        None => Cell::new("-", Tone::Dim),
    }
}
