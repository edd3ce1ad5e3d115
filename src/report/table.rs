//! The table: problems first, equal rows folded, never wider than the terminal; below it the reasons and a closing line.

use std::io::{self, Write};

use crate::report::causes::Marks;
use crate::report::grid::{self, Align, Cell, Column, Grid};
use crate::report::model::{Outcome, Report};
use crate::report::plan::{self, Columns, Layout};
use crate::report::rows::{self, Row};
use crate::report::style::{Style, Tone};
use crate::report::{causes, closing, notes};
use crate::text;
use crate::verdict::{Area, Verdict};

/// No cell takes more lines; the rest is among the reasons.
const MOST_LINES: usize = 3;
/// What stands below the name of a stacked row.
const INDENT: u16 = 2;
/// As wide as the longest area's name.
const LABEL: usize = 11;

pub(crate) fn write(report: &Report, style: &Style, out: &mut impl Write) -> io::Result<()> {
    let marks = Marks::of(&report.root_causes);
    let rows = rows::rows(&report.nodes, &marks, style);
    if !rows.is_empty() {
        match plan::layout(&rows, style) {
            Layout::Columns(columns) => write_columns(&rows, &columns, style, out)?,
            Layout::Stacked => write_stacked(&rows, style, out)?,
        }
        writeln!(out)?;
    }
    if causes::write(report, style, out)? {
        writeln!(out)?;
    }
    if notes::write(report, style, out)? {
        writeln!(out)?;
    }
    closing::write(report, style, out)
}

fn write_columns(rows: &[Row<'_>], columns: &Columns, style: &Style, out: &mut impl Write) -> io::Result<()> {
    let mut widths = vec![columns.node, columns.phase];
    widths.extend(columns.areas.iter().map(|(_, width)| *width));
    widths.push(columns.verdict);
    let mut grid = Grid::new(style, 0, left_columns(widths));

    let heading = |text: &str| Cell::new(text, Tone::Heading);
    let mut cells = vec![heading("NODE"), heading("PHASE")];
    cells.extend(columns.areas.iter().map(|(area, _)| heading(Area::ALL[*area].heading())));
    cells.push(heading("VERDICT"));
    grid.write_row(out, &cells)?;

    for row in rows {
        let name = row.short_name(columns.node, style);
        let mut cells = vec![Cell::new(name, Tone::Plain), row.phase.clone()];
        cells.extend(columns.areas.iter().map(|&(area, width)| {
            let entry = &row.areas[area];
            let fits = text::width(&entry.cell.text) <= width;
            Cell::new(if fits { &entry.cell.text } else { entry.short_text() }, entry.cell.tone)
        }));
        let most = columns.verdict.saturating_mul(MOST_LINES);
        cells.push(Cell::new(text::truncate(&row.verdict.text, most, style.ellipsis()), row.verdict.tone));
        grid.write_row(out, &cells)?;
    }
    // Of a node that was not read, nothing is known to be fine.
    let all_read = rows.iter().all(|row| row.areas.iter().all(|entry| entry.verdict.is_some()));
    write_left_out(if all_read { "all ok" } else { "ok where read" }, &columns.all_ok, style, out)?;
    write_left_out("no room for (-o wide shows all)", &columns.no_room, style, out)
}

fn left_columns(widths: impl IntoIterator<Item = usize>) -> Vec<Column> {
    widths.into_iter().map(|width| Column { width, align: Align::Left }).collect()
}

/// Names the columns that the table has no room for.
fn write_left_out(what: &str, areas: &[Area], style: &Style, out: &mut impl Write) -> io::Result<()> {
    if areas.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = areas.iter().map(|area| area.heading().to_ascii_lowercase()).collect();
    for line in text::wrap(&format!("{what}: {}", names.join(", ")), style.width) {
        writeln!(out, "{}", style.paint(Tone::Dim, &line))?;
    }
    Ok(())
}

/// For narrow terminals: a few lines per problem, and all that is fine in one.
fn write_stacked(rows: &[Row<'_>], style: &Style, out: &mut impl Write) -> io::Result<()> {
    let indent = usize::from(INDENT);
    let room = style.width.saturating_sub(indent);
    let rest = room.saturating_sub(LABEL + grid::GAP);
    let mut grid = Grid::new(style, INDENT, left_columns([LABEL, rest]));
    for row in rows.iter().filter(|row| row.outcome != Outcome::Ok) {
        let name = text::truncate(&row.name, style.width, style.ellipsis());
        writeln!(out, "{}", style.paint(Tone::Heading, &name))?;
        let verdict = text::truncate(&row.verdict.text, room.saturating_mul(MOST_LINES), style.ellipsis());
        for line in text::wrap(&verdict, room) {
            grid::write_spaces(out, indent)?;
            writeln!(out, "{}", style.paint(row.verdict.tone, &line))?;
        }
        let phase = (row.phase.text != style.unread()).then_some(("phase".to_owned(), &row.phase));
        let areas = Area::ALL.iter().zip(&row.areas).filter_map(|(area, entry)| {
            let speaks = matches!(entry.verdict, Some(Verdict::Fail | Verdict::Warn | Verdict::Unknown));
            speaks.then(|| (area.heading().to_ascii_lowercase(), &entry.cell))
        });
        for (label, cell) in phase.into_iter().chain(areas) {
            let shown = text::truncate(&cell.text, rest.saturating_mul(MOST_LINES), style.ellipsis());
            grid.write_row(out, &[Cell::new(label, Tone::Dim), Cell::new(shown, cell.tone)])?;
        }
    }
    let fine: Vec<&Row<'_>> = rows.iter().filter(|row| row.outcome == Outcome::Ok).collect();
    if !fine.is_empty() {
        let names: Vec<String> = fine.iter().map(|row| row.short_name(room, style)).collect();
        writeln!(out, "{}", style.paint(Tone::Heading, "ok"))?;
        for line in text::wrap(&names.join(", "), room) {
            grid::write_spaces(out, indent)?;
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}
