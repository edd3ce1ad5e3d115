//! Which columns a terminal has room for, and how wide each is. Numbers in, numbers out.
//!
//! What gives way, in this order: columns that say nothing but "ok", the verdict's single line, long names and cells,
//! columns in which everything passes, columns without a problem, columns whose problems the reasons under the table tell
//! as well. What is left out is named under the table.

use std::cmp::Reverse;

use crate::report::grid::{GAP, WIDEST_COLUMN};
use crate::report::rows::Row;
use crate::report::style::Style;
use crate::text;
use crate::verdict::{Area, Verdict};

/// Below this, one line per node cannot be read any more.
const NARROWEST_TABLE: usize = 60;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Layout {
    Columns(Columns),
    /// Too narrow: a few lines per node.
    Stacked,
}

/// The columns of a table that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Columns {
    pub(crate) node: usize,
    pub(crate) phase: usize,
    /// The areas that are shown, as indices of [`Area::ALL`], each with its width.
    pub(crate) areas: Vec<(usize, usize)>,
    pub(crate) verdict: usize,
    /// Left out, and fine on every node that was read.
    pub(crate) all_ok: Vec<Area>,
    /// Left out, although something on some node is unknown or a problem.
    pub(crate) no_room: Vec<Area>,
}

/// How willingly an area's column is left out; the later, the more it has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// No node was read.
    Empty,
    /// "ok" and "-" only.
    Quiet,
    /// Versions and figures, all of them fine.
    Passing,
    /// No problem, but not everything could be read.
    Unknown,
    Problem,
}

/// How far the table may be squeezed.
struct Squeeze {
    /// Columns up to this weight may be left out, the lightest first and of those the rightmost.
    leave_out: Option<Weight>,
    node: usize,
    cell: usize,
    /// The verdict may wrap within so many columns.
    verdict: usize,
}

const STEPS: [Squeeze; 8] = [
    Squeeze { leave_out: None, node: WIDEST_COLUMN, cell: usize::MAX, verdict: usize::MAX },
    Squeeze { leave_out: Some(Weight::Quiet), node: WIDEST_COLUMN, cell: usize::MAX, verdict: usize::MAX },
    Squeeze { leave_out: Some(Weight::Quiet), node: 24, cell: 16, verdict: 28 },
    Squeeze { leave_out: Some(Weight::Passing), node: 24, cell: 16, verdict: 28 },
    Squeeze { leave_out: Some(Weight::Passing), node: 22, cell: 12, verdict: 20 },
    Squeeze { leave_out: Some(Weight::Unknown), node: 22, cell: 12, verdict: 20 },
    Squeeze { leave_out: Some(Weight::Problem), node: 22, cell: 10, verdict: 20 },
    Squeeze { leave_out: Some(Weight::Problem), node: 18, cell: 10, verdict: 20 },
];

/// What a table would take if nothing limited it.
struct Natural {
    phase: usize,
    areas: [NaturalArea; Area::ALL.len()],
    verdict: usize,
}

#[derive(Clone, Copy)]
struct NaturalArea {
    weight: Weight,
    /// How many rows have a problem in it.
    problems: usize,
    width: usize,
    /// With the short form of each cell.
    short: usize,
}

/// The layout of these rows within the style's width.
pub(crate) fn layout(rows: &[Row<'_>], style: &Style) -> Layout {
    if style.width < NARROWEST_TABLE {
        return Layout::Stacked;
    }
    let natural = Natural::of(rows);
    let names = |most: usize| {
        let widths = rows.iter().map(|row| text::width(&row.short_name(most, style)));
        widths.max().unwrap_or(0).clamp("NODE".len(), most)
    };
    STEPS
        .iter()
        .find_map(|step| squeeze(&natural, names(step.node), step, style.width))
        .map_or(Layout::Stacked, Layout::Columns)
}

impl Natural {
    fn of(rows: &[Row<'_>]) -> Self {
        let widest = |heading: &str, width: &dyn Fn(&Row<'_>) -> usize| {
            rows.iter().map(width).max().unwrap_or(0).max(text::width(heading))
        };
        let mut index = 0;
        let areas = Area::ALL.map(|area| {
            let column = index;
            index += 1;
            let weights = || rows.iter().map(|row| weight(row, column));
            NaturalArea {
                weight: weights().max().unwrap_or(Weight::Empty),
                problems: weights().filter(|weight| *weight == Weight::Problem).count(),
                width: widest(area.heading(), &|row| text::width(&row.areas[column].cell.text)),
                short: widest(area.heading(), &|row| text::width(row.areas[column].short_text())),
            }
        });
        Self {
            phase: widest("PHASE", &|row| text::width(&row.phase.text)),
            areas,
            verdict: widest("VERDICT", &|row| text::width(&row.verdict.text)),
        }
    }
}

fn weight(row: &Row<'_>, area: usize) -> Weight {
    let entry = &row.areas[area];
    match entry.verdict {
        None => Weight::Empty,
        Some(Verdict::Fail | Verdict::Warn) => Weight::Problem,
        Some(Verdict::Unknown) => Weight::Unknown,
        Some(Verdict::Pass | Verdict::Expected | Verdict::NotApplicable) => {
            if matches!(entry.cell.text.as_str(), "ok" | "-") { Weight::Quiet } else { Weight::Passing }
        }
    }
}

/// The table within one step's limits, with as many columns as have room; `None` when even the fewest are too wide.
fn squeeze(natural: &Natural, node: usize, step: &Squeeze, width: usize) -> Option<Columns> {
    // A column of nothing but "not read" tells less than the verdicts beside it.
    let mut shown: Vec<usize> = (0..natural.areas.len()).collect();
    shown.retain(|&index| natural.areas[index].weight > Weight::Empty);
    let mut candidates = shown.clone();
    candidates.retain(|&index| step.leave_out.is_some_and(|limit| natural.areas[index].weight <= limit));
    // Taken from the end: the lightest, of those the one with the fewest problems, and of those the rightmost.
    candidates.sort_by_key(|&index| (Reverse((natural.areas[index].weight, natural.areas[index].problems)), index));

    let cell = |index: usize| {
        let area = &natural.areas[index];
        let widest = if step.cell == usize::MAX { area.width } else { area.short };
        widest.min(step.cell.max(Area::ALL[index].heading().len()))
    };
    let least_verdict = natural.verdict.min(step.verdict);
    loop {
        let areas: usize = shown.iter().map(|&index| cell(index) + GAP).sum();
        let before_verdict = node + GAP + natural.phase + GAP + areas;
        if before_verdict.saturating_add(least_verdict) <= width {
            let mut columns = Columns {
                node,
                phase: natural.phase,
                areas: shown.iter().map(|&index| (index, cell(index))).collect(),
                verdict: natural.verdict.min(width - before_verdict),
                all_ok: Vec::new(),
                no_room: Vec::new(),
            };
            for (index, area) in Area::ALL.into_iter().enumerate().filter(|(index, _)| !shown.contains(index)) {
                match natural.areas[index].weight {
                    Weight::Empty => {}
                    Weight::Quiet | Weight::Passing => columns.all_ok.push(area),
                    Weight::Unknown | Weight::Problem => columns.no_room.push(area),
                }
            }
            return Some(columns);
        }
        let candidate = candidates.pop()?;
        shown.retain(|&index| index != candidate);
    }
}
