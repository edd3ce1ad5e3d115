//! Many nodes: the summary, the causes, and then only the nodes with problems.

use std::io::{self, Write};

use super::escape::{CellCode, Code, Text};
use super::{causes, cluster, counted, node, write_origin};
use crate::names;
use crate::report::causes::Marks;
use crate::report::details::{self, clip};
use crate::report::groups;
use crate::report::model::{Outcome, Report};
use crate::report::rows::{self, Row};
use crate::report::style::Style;
use crate::verdict::{Area, Verdict};

/// More is no glance.
const MOST_ROWS: usize = 100;
/// So many groups of nodes are shown in full, the others in a line.
const MOST_GROUPS: usize = 200;

const STYLE: Style = Style { width: Style::UNLIMITED, color: false, unicode: true };

pub(super) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let counts = &report.run.counts;
    writeln!(out, "# Fleet report: {}\n", counted(counts.total, "node"))?;
    write_origin(&report.run, out)?;
    writeln!(out, "## Executive summary\n")?;
    causes::write_primary(report, out)?;
    let parts = [
        (counts.fail, "failing"),
        (counts.unreachable, "unreachable"),
        (counts.warn, "with warnings"),
        (counts.unknown, "unknown"),
        (counts.ok, "ok"),
    ];
    let said: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    writeln!(out, "- **Status**: {}\n", if said.is_empty() { "no nodes".to_owned() } else { said.join(", ") })?;
    write_glance(report, out)?;
    causes::write_all(report, out)?;
    causes::write_recommendations(report, out)?;
    cluster::write(report, out)?;
    write_troubled(report, out)?;
    if details::cni_expected(&report.nodes).is_some() {
        writeln!(out, "## Technical details\n")?;
        node::write_cni_expected(&report.nodes, out)?;
    }
    Ok(())
}

/// The nodes with problems, equal ones in one row; the areas only where they have something to say.
fn write_glance(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let unmarked = Marks::default();
    let rows = rows::rows(&report.nodes, &unmarked, &STYLE);
    let troubled: Vec<&Row<'_>> = rows.iter().filter(|row| row.outcome != Outcome::Ok).collect();
    if !troubled.is_empty() {
        writeln!(out, "## The fleet at a glance\n\n| nodes | phase | verdict | areas |\n|---|---|---|---|")?;
        for row in troubled.iter().take(MOST_ROWS) {
            let [name, phase, verdict] = [&row.name, &row.phase.text, &row.verdict.text].map(|text| clip(text));
            writeln!(out, "| {} | {} | {} | {} |", CellCode(&name), Text(&phase), Text(&verdict), areas(row))?;
        }
        writeln!(out)?;
        if troubled.len() > MOST_ROWS {
            writeln!(out, "{} more rows have problems; the nodes are below.\n", troubled.len() - MOST_ROWS)?;
        }
    }
    let fine = report.nodes.iter().filter(|node| node.outcome() == Outcome::Ok);
    let fine: Vec<&str> = fine.map(|node| node.name.as_str()).collect();
    if !fine.is_empty() {
        let count = fine.len();
        writeln!(out, "**ok** ({count}): {}\n", Code(&details::clip_to(&names::folded(fine), 4_000)))?;
    }
    Ok(())
}

fn areas(row: &Row<'_>) -> String {
    let speaks = |verdict| matches!(verdict, Some(Verdict::Fail | Verdict::Warn | Verdict::Unknown));
    let entries = Area::ALL.iter().zip(&row.areas).filter(|(_, entry)| speaks(entry.verdict));
    let said: Vec<String> =
        entries.map(|(area, entry)| format!("{}: {}", area.name(), Text(&clip(&entry.cell.text)))).collect();
    if said.is_empty() { "-".to_owned() } else { said.join(", ") }
}

fn write_troubled(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let groups = groups::troubled(&report.nodes);
    if groups.is_empty() {
        return Ok(());
    }
    writeln!(out, "## Nodes with problems\n")?;
    for group in groups.iter().take(MOST_GROUPS) {
        node::write_group(group, out)?;
    }
    if groups.len() > MOST_GROUPS {
        writeln!(out, "### The others\n")?;
        for group in groups.iter().skip(MOST_GROUPS) {
            writeln!(out, "- {}: {}", Code(&group.name()), Text(&clip(&group.first.summary)))?;
        }
        writeln!(out)?;
    }
    Ok(())
}
