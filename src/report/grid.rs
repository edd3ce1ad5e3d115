//! Borderless columns, laid out by `comfy-table`. Knows text and tones, and nothing of nodes.
//!
//! Who calls decides how wide each column is; `comfy-table` aligns, pads and hangs the further lines of a row's last
//! cell under its first, and counts colours as nothing. What it must not do is left to [`text`]: it wraps cells that are
//! too wide instead of cutting them, and while it wraps, it colours every word by itself.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ColumnConstraint, Row, Table, Width, presets};
use unicode_width::UnicodeWidthStr as _;

use crate::report::style::{Style, Tone};
use crate::text;

/// What stands between two columns.
pub(crate) const GAP: usize = 2;

/// The widest column that there can be: `comfy-table` counts a column with its gap in 16 bits.
pub(crate) const WIDEST_COLUMN: usize = 65_000;

/// No cell but the last of its row asks for more, even where nothing else limits it: one absurd name must not push all
/// others out of sight.
const WIDEST_CELL: usize = 120;

/// One cell: harmless text, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) tone: Tone,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

/// A column's width and the side that its cells lean to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    /// At least 1, except that of the last column, which then gets a character per line.
    pub(crate) width: usize,
    pub(crate) align: Align,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Columns of fixed widths, written row by row: a large fleet is never in memory as a whole, and other lines may stand
/// between two rows.
pub(crate) struct Grid<'a> {
    style: &'a Style,
    columns: Vec<Column>,
    /// Holds nothing but the row that is being written.
    table: Table,
}

impl<'a> Grid<'a> {
    /// Columns that begin after `indent` spaces.
    pub(crate) fn new(style: &'a Style, indent: u16, columns: Vec<Column>) -> Self {
        let mut table = Table::new();
        // Colours come with the text, and whether there is a terminal is not asked here.
        table.load_preset(presets::NOTHING).force_no_tty().add_row(columns.iter().map(|_| ""));
        for (index, (column, laid_out)) in columns.iter().zip(table.column_iter_mut()).enumerate() {
            let before = if index == 0 { indent } else { 0 };
            let after = if index + 1 == columns.len() { 0 } else { narrow(GAP) };
            laid_out.set_padding((before, after));
            laid_out.set_cell_alignment(match column.align {
                Align::Left => CellAlignment::Left,
                Align::Right => CellAlignment::Right,
            });
        }
        Self { style, columns, table }
    }

    /// Writes one row. Cells are cut to their columns, except that the last one, unless it leans to the right, may use
    /// all lines it needs. No line ends in spaces.
    pub(crate) fn write_row(&mut self, out: &mut impl Write, cells: &[Cell]) -> io::Result<()> {
        let last = self.columns.len().saturating_sub(1);
        let mut texts: Vec<String> = Vec::with_capacity(cells.len());
        for (index, ((column, cell), laid_out)) in
            self.columns.iter().zip(cells).zip(self.table.column_iter_mut()).enumerate()
        {
            let width = column.width.min(WIDEST_COLUMN);
            if index == last && column.align == Align::Left {
                let lines = text::wrap(&cell.text, width);
                let painted: Vec<_> = lines.iter().map(|line| self.style.paint(cell.tone, line)).collect();
                texts.push(painted.join("\n"));
            } else {
                let cut = text::truncate(&cell.text, width, self.style.ellipsis());
                let content = narrow(width - joined(&cut));
                laid_out.set_constraint(ColumnConstraint::Absolute(Width::Fixed(content + laid_out.padding_width())));
                texts.push(self.style.paint(cell.tone, &cut).into_owned());
            }
        }
        if let Some(row) = self.table.row_mut(0) {
            *row = Row::from(texts);
        }
        self.table.lines().try_for_each(|line| writeln!(out, "{}", line.trim_end_matches(' ')))
    }
}

/// Writes a whole table in its natural widths: the headings, then the rows.
pub(crate) fn write_table(
    out: &mut impl Write,
    style: &Style,
    head: &[(&str, Align)],
    rows: &[Vec<Cell>],
) -> io::Result<()> {
    let columns: Vec<Column> = head
        .iter()
        .enumerate()
        .map(|(index, (heading, align))| {
            let widest = rows.iter().filter_map(|row| row.get(index)).map(cell_width).max();
            Column { width: widest.unwrap_or(0).max(text::width(heading)), align: *align }
        })
        .collect();
    let mut grid = Grid::new(style, 0, columns);
    let headings: Vec<Cell> = head.iter().map(|(heading, _)| Cell::new(*heading, Tone::Heading)).collect();
    grid.write_row(out, &headings)?;
    rows.iter().try_for_each(|row| grid.write_row(out, row))
}

/// The columns that a cell asks for where nothing limits it.
pub(crate) fn cell_width(cell: &Cell) -> usize {
    text::width(&cell.text).min(WIDEST_CELL)
}

pub(crate) fn write_spaces(out: &mut impl Write, count: usize) -> io::Result<()> {
    // A padding of the formatter is limited to 65,535.
    out.write_all(" ".repeat(count).as_bytes())
}

/// By how much `comfy-table` takes text to be narrower than [`text::width`] does, and would pad it too far: it counts
/// characters that some terminals join as one, such as an emoji and its skin tone. (Further lines of such a row's last
/// cell begin as much earlier.)
fn joined(text: &str) -> usize {
    text::width(text).saturating_sub(text.width())
}

fn narrow(columns: usize) -> u16 {
    u16::try_from(columns).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: Style = Style { width: Style::UNLIMITED, color: false, unicode: true };

    fn columns(widths: &[usize]) -> Vec<Column> {
        widths.iter().map(|&width| Column { width, align: Align::Left }).collect()
    }

    fn written(style: &Style, indent: u16, columns: Vec<Column>, rows: &[&[&str]]) -> String {
        let mut grid = Grid::new(style, indent, columns);
        let mut out = Vec::new();
        for row in rows {
            let cells: Vec<Cell> = row.iter().map(|&text| Cell::new(text, Tone::Fail)).collect();
            grid.write_row(&mut out, &cells).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn characters_that_may_be_joined_are_counted_one_by_one() {
        let columns = columns(&[6, 9]);
        for text in ["abc", "漢字", "e\u{301}a", "👍🏽", "\u{644}\u{627}", "\u{644}\u{627} 👍🏽 …"] {
            let line = written(&STYLE, 0, columns.clone(), &[&[text, "next"]]);
            assert_eq!(text::width(line.strip_suffix("next\n").unwrap()), 6 + GAP, "{text}: {line}");
        }
    }

    #[test]
    fn further_lines_hang_under_the_first_whatever_is_coloured() {
        let columns = columns(&[6, 9]);
        let rows: [&[&str]; 3] = [&["too long", "one two three  four"], &["", "five"], &["six", ""]];
        let plain = written(&STYLE, 2, columns.clone(), &rows);
        let lines = ["  too l…  one two", "          three", "          four", "          five", "  six"];
        assert_eq!(plain.lines().collect::<Vec<_>>(), lines);
        let colored = written(&Style { color: true, ..STYLE }, 2, columns, &rows);
        assert_ne!(colored, plain);
        assert_eq!(colored.replace("\x1b[31m", "").replace("\x1b[0m", ""), plain);
    }

    #[test]
    fn nothing_is_too_wide_to_be_counted() {
        let long = "x".repeat(WIDEST_COLUMN * 2);
        let text = written(&STYLE, 4, columns(&[usize::MAX, usize::MAX]), &[&["a", &long], &[&long, "b"]]);
        let widths: Vec<usize> = text.lines().map(text::width).collect();
        let full = 4 + WIDEST_COLUMN + GAP;
        assert_eq!(widths, [full + WIDEST_COLUMN, full + WIDEST_COLUMN, full + 1]);
    }

    #[test]
    fn without_room_there_is_a_character_per_line() {
        assert_eq!(written(&STYLE, 0, columns(&[1, 0]), &[&["abc", "漢字"]]), "…  漢\n   字\n");
    }
}
