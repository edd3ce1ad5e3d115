//! The wide table: every column and every node with its address, and under each problem all that speaks against it.
//! Below it stands what the nodes say about each other. Nothing is folded, and the terminal's width is no limit.

use std::io::{self, Write};

use crate::report::causes::{self, Marks};
use crate::report::closing;
use crate::report::cluster;
use crate::report::grid::{self, Align, Cell, Column, Grid};
use crate::report::model::{NodeReport, Outcome, Report};
use crate::report::notes;
use crate::report::rows;
use crate::report::style::{Style, Tone};
use crate::verdict::Area;

const INDENT: usize = 4;

pub(crate) fn write(report: &Report, style: &Style, out: &mut impl Write) -> io::Result<()> {
    let style = &Style { width: Style::UNLIMITED, ..*style };
    let marks = Marks::of(&report.root_causes);
    if !report.nodes.is_empty() {
        let heading = |text: &str| Cell::new(text, Tone::Heading);
        let mut head = vec![heading("NODE"), heading("ADDRESS"), heading("ROLES"), heading("PHASE")];
        head.extend(Area::ALL.map(|area| heading(area.heading())));
        head.push(heading("VERDICT"));

        // Two passes, so that not all rows of a large fleet are in memory at once.
        let mut widths: Vec<usize> = head.iter().map(grid::cell_width).collect();
        for node in &report.nodes {
            for (width, cell) in widths.iter_mut().zip(row(node, &marks, style)) {
                *width = (*width).max(grid::cell_width(&cell));
            }
        }
        // The verdict stands last and needs no limit.
        if let Some(verdict) = widths.last_mut() {
            *verdict = Style::UNLIMITED;
        }
        let columns: Vec<Column> = widths.into_iter().map(|width| Column { width, align: Align::Left }).collect();

        let mut grid = Grid::new(style, 0, columns);
        grid.write_row(out, &head)?;
        for node in &report.nodes {
            grid.write_row(out, &row(node, &marks, style))?;
            if node.outcome() != Outcome::Ok {
                for line in notes::lines(node, usize::MAX, style) {
                    grid::write_spaces(out, INDENT)?;
                    notes::write_line(&line, INDENT, style, out)?;
                }
            }
        }
        writeln!(out)?;
    }
    if causes::write(report, style, out)? {
        writeln!(out)?;
    }
    if cluster::write(report, style, out)? {
        writeln!(out)?;
    }
    closing::write(report, style, out)
}

fn row(node: &NodeReport, marks: &Marks<'_>, style: &Style) -> Vec<Cell> {
    let plain = |text: &str| Cell::new(style.text(text), Tone::Plain);
    let roles: Vec<&str> = node.roles.iter().map(|role| role.label()).collect();
    let mut cells = vec![
        plain(&node.name),
        plain(&node.address),
        if roles.is_empty() { Cell::new("-", Tone::Dim) } else { plain(&roles.join(",")) },
        rows::phase_cell(node, style),
    ];
    cells.extend(Area::ALL.map(|area| rows::area_entry(node, area, style).cell));
    cells.push(rows::verdict_cell(node, marks, style));
    cells
}
