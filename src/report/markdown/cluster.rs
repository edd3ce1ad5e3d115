//! The nodes of a cluster against each other, as tables.

use std::io::{self, Write};

use super::escape::{CellCode, Text};
use crate::report::cluster::told::{self, Column, Kind, Table};
use crate::report::details::clip;
use crate::report::model::Report;
use crate::verdict::Verdict;

/// Every cluster of the run.
pub(super) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    for cluster in report.clusters() {
        writeln!(out, "## {}\n\n{}\n", Text(&told::title(cluster, report)), Text(&told::about(cluster)))?;
        for part in told::parts(cluster, report) {
            writeln!(out, "### {}\n", Text(part.title))?;
            part.tables.iter().try_for_each(|table| self::table(table, out))?;
            if let Some(more) = &part.more {
                writeln!(out, "{}\n", Text(more))?;
            }
        }
    }
    Ok(())
}

/// The only node of the report against healthy ones.
pub(super) fn write_node(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let Some(differences) = told::of_node(report) else { return Ok(()) };
    writeln!(out, "## Unlike its healthy siblings\n")?;
    table(&differences, out)
}

fn table(table: &Table, out: &mut impl Write) -> io::Result<()> {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    let rule = |column: &Column| if column.kind == Kind::Number { "---:|" } else { "---|" };
    let rules: String = table.columns.iter().map(rule).collect();
    writeln!(out, "{}:\n\n| {} |\n|{rules}", Text(&clip(&table.caption)), names.join(" | "))?;
    for row in &table.rows {
        let word = match row.verdict {
            Verdict::Fail => "**fails**: ",
            Verdict::Warn => "**look**: ",
            Verdict::Unknown | Verdict::Pass | Verdict::Expected | Verdict::NotApplicable => "",
        };
        let head = table.columns.first().map(|column| cell(column, Some(&row.head))).unwrap_or_default();
        for (place, line) in row.lines.iter().enumerate() {
            // The lines below belong to the same.
            write!(out, "| {} |", if place == 0 { format!("{word}{head}") } else { "″".to_owned() })?;
            for (column, text) in table.cells(line) {
                write!(out, " {} |", cell(column, text.as_ref()))?;
            }
            writeln!(out)?;
        }
    }
    if let Some(more) = &table.more {
        writeln!(out, "\n{}", Text(more))?;
    }
    writeln!(out)
}

fn cell(column: &Column, text: Option<&String>) -> String {
    match (column.kind, text) {
        (_, None) => "none".to_owned(),
        (Kind::Said, Some(text)) => CellCode(text).to_string(),
        (Kind::Words | Kind::Number, Some(text)) => Text(text).to_string(),
    }
}
