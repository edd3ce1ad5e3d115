//! The last lines of a text report: how many nodes ended how, how long it took, and how to run the failed ones again.

use std::io::{self, Write};
use std::time::Duration;

use crate::report::model::{Counts, NodeReport, Outcome, Report};
use crate::report::style::{Style, Tone};
use crate::{duration, names, text};

/// A longer `--limit` is no help on a command line.
const LONGEST_LIMIT: usize = 160;

const RETRY: &str = "retry with ";

pub(crate) fn write(report: &Report, style: &Style, out: &mut impl Write) -> io::Result<()> {
    write_counts("", report, style, out)?;
    for changed in &report.changed_checks {
        let what = if changed.disabled {
            "is switched off".to_owned()
        } else {
            format!("counts as {} instead of {}", changed.severity.label(), changed.severity_was.label())
        };
        let text = format!("{} {what}: {} ({})", changed.id, changed.reason, changed.file);
        for line in text::wrap(&style.text(&text), style.width) {
            writeln!(out, "{}", style.paint(Tone::Dim, &line))?;
        }
    }
    if let Some(again) = again(&report.nodes, style.width) {
        writeln!(out, "{}{again}", style.paint(Tone::Dim, RETRY))?;
    }
    Ok(())
}

/// `24 nodes in 0.4s: 3 failing, 21 ok`, after a lead.
pub(crate) fn write_counts(lead: &str, report: &Report, style: &Style, out: &mut impl Write) -> io::Result<()> {
    let took = duration::rough(Duration::from_millis(report.run.duration_ms));
    let total = report.run.counts.total;
    let noun = if total == 1 { "node" } else { "nodes" };
    let head = format!("{lead}{total} {noun} in {took}");
    write!(out, "{head}")?;
    let mut used = text::width(&head);
    for (index, (count, word, tone)) in parts(&report.run.counts).into_iter().enumerate() {
        let sign = if index == 0 { ":" } else { "," };
        let part = format!("{count} {word}");
        let wide = used + sign.len() + 1 + part.len() + 1;
        let (gap, column) = if wide > style.width { ("\n  ", 2 + part.len()) } else { (" ", wide - 1) };
        write!(out, "{sign}{gap}{}", style.paint(tone, &part))?;
        used = column;
    }
    writeln!(out)
}

fn parts(counts: &Counts) -> Vec<(usize, &'static str, Tone)> {
    let all = [
        (counts.fail, "failing", Tone::Fail),
        (counts.unreachable, "unreachable", Tone::Fail),
        (counts.warn, "with warnings", Tone::Warn),
        (counts.unknown, "unknown", Tone::Dim),
        (counts.ok, "ok", Tone::Plain),
    ];
    all.into_iter().filter(|(count, ..)| *count > 0).collect()
}

/// The flag that selects the nodes that fail or were not reached; `None` when there are none.
fn again(nodes: &[NodeReport], width: usize) -> Option<String> {
    let failed = nodes.iter().filter(|node| matches!(node.outcome(), Outcome::Fail | Outcome::Unreachable));
    let failed: Vec<&str> = failed.map(|node| node.name.as_str()).collect();
    if failed.is_empty() {
        return None;
    }
    let flag = names::limit(failed).map(|limit| format!("--limit '{limit}'"));
    // Copied by hand or by mouse, so it must stand on one line.
    let room = width.saturating_sub(RETRY.len()).min(LONGEST_LIMIT);
    Some(flag.filter(|flag| text::width(flag) <= room).unwrap_or_else(|| "--rerun failed".to_owned()))
}
