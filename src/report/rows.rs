//! From nodes to rows: equal nodes are folded into one. Pure; what does not fit is somebody else's business.

use std::collections::{BTreeMap, HashMap};

use crate::names::{self, Folded};
use crate::report::causes::{self, Marks};
use crate::report::grid::Cell;
use crate::report::model::{NodeReport, Outcome};
use crate::report::style::{Style, Tone};
use crate::text;
use crate::verdict::{Area, AreaCell, Phase, Verdict};

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) folded: Folded<'a>,
    /// The folded name, harmless and in full.
    pub(crate) name: String,
    pub(crate) outcome: Outcome,
    pub(crate) phase: Cell,
    /// In the order of [`Area::ALL`].
    pub(crate) areas: [AreaEntry; Area::ALL.len()],
    pub(crate) verdict: Cell,
}

/// An area's cell and what it stands for.
#[derive(Debug, Clone)]
pub(crate) struct AreaEntry {
    pub(crate) cell: Cell,
    /// `None` when nothing was read.
    pub(crate) verdict: Option<Verdict>,
}

impl Row<'_> {
    /// The name in about `max` columns; a name that needs escapes may be longer and is then cut by the grid.
    pub(crate) fn short_name(&self, max: usize, style: &Style) -> String {
        if text::width(&self.name) <= max {
            return self.name.clone();
        }
        style.text(&self.folded.shortened(max, style.ellipsis())).into_owned()
    }
}

/// What two nodes must share to be one row.
#[derive(PartialEq, Eq, Hash)]
struct Key<'a> {
    outcome: Outcome,
    verdict: Verdict,
    phase: Option<Phase>,
    summary: &'a str,
    /// The numbers of its root causes.
    causes: &'a [usize],
    areas: [CellKey<'a>; Area::ALL.len()],
}

#[derive(PartialEq, Eq, Hash)]
enum CellKey<'a> {
    Unread,
    Unknown,
    Exact(Verdict, &'a str),
    /// A disk's percentage: any other percentage is equal, and folds into a range.
    Percent(Verdict),
}

/// The table's rows, in the order of the report. Nodes are one row when everything that the row shows is equal, the disk's
/// percentage aside, and when their names differ in one number.
pub(crate) fn rows<'a>(nodes: &'a [NodeReport], marks: &'a Marks<'a>, style: &Style) -> Vec<Row<'a>> {
    let mut groups: HashMap<Key<'a>, usize> = HashMap::new();
    let mut members: Vec<Vec<&'a NodeReport>> = Vec::new();
    for node in nodes {
        let group = *groups.entry(key(node, marks)).or_insert_with(|| {
            members.push(Vec::new());
            members.len() - 1
        });
        members[group].push(node);
    }

    // The place of a node in the report is that of its row.
    let places: HashMap<&str, usize> =
        nodes.iter().enumerate().map(|(place, node)| (node.name.as_str(), place)).collect();
    let mut rows: BTreeMap<usize, Row<'a>> = BTreeMap::new();
    for group in members {
        for folded in names::fold(group.iter().map(|node| node.name.as_str())) {
            let nodes: Vec<&NodeReport> =
                folded.names().iter().filter_map(|name| places.get(name)).map(|&place| &nodes[place]).collect();
            let Some(place) = folded.names().iter().filter_map(|name| places.get(name)).min() else { continue };
            if let Some(row) = row(folded, &nodes, marks, style) {
                rows.insert(*place, row);
            }
        }
    }
    rows.into_values().collect()
}

fn key<'a>(node: &'a NodeReport, marks: &'a Marks<'a>) -> Key<'a> {
    Key {
        outcome: node.outcome(),
        verdict: node.verdict,
        phase: node.phase,
        summary: &node.summary,
        causes: marks.of_node(&node.name),
        areas: Area::ALL.map(|area| match node.cell(area) {
            None if node.areas.is_empty() => CellKey::Unread,
            None => CellKey::Unknown,
            Some(cell) if cell.text.is_empty() && cell.verdict == Verdict::Unknown => CellKey::Unknown,
            Some(cell) if area == Area::Disk && percent(&cell.text).is_some() => CellKey::Percent(cell.verdict),
            Some(cell) => CellKey::Exact(cell.verdict, &cell.text),
        }),
    }
}

impl AreaEntry {
    /// The least that still says something: `25% of 58G` is `25%`, everything else is itself.
    pub(crate) fn short_text(&self) -> &str {
        self.cell.text.find("% of ").map_or(&self.cell.text, |at| &self.cell.text[..=at])
    }
}

/// `25% of 58G` as the figure and what follows it; `None` when the text says anything else.
fn percent(text: &str) -> Option<(u16, &str)> {
    let (figure, rest) = text.split_once('%')?;
    (rest.is_empty() || rest.starts_with(" of ")).then_some(())?;
    Some((figure.parse().ok()?, rest))
}

fn row<'a>(folded: Folded<'a>, nodes: &[&NodeReport], marks: &Marks<'_>, style: &Style) -> Option<Row<'a>> {
    let first = *nodes.first()?;
    let areas = Area::ALL.map(|area| {
        let mut entry = area_entry(first, area, style);
        if area == Area::Disk
            && let Some(range) = percent_range(nodes)
        {
            entry.cell.text = range;
        }
        entry
    });
    let outcome = first.outcome();
    Some(Row {
        name: style.text(&folded.to_string()).into_owned(),
        folded,
        outcome,
        phase: phase_cell(first, style),
        areas,
        verdict: verdict_cell(first, marks, style),
    })
}

/// The verdict's words and the numbers of its causes.
pub(crate) fn verdict_cell(node: &NodeReport, marks: &Marks<'_>, style: &Style) -> Cell {
    let text = style.text(&node.summary).into_owned() + &causes::signs(marks.of_node(&node.name), style);
    Cell::new(text, node.outcome().into())
}

/// The cell of one node's phase, as every text report shows it.
pub(crate) fn phase_cell(node: &NodeReport, style: &Style) -> Cell {
    match node.phase {
        Some(phase) => Cell::new(phase.label(), Tone::Plain),
        None if node.areas.is_empty() => Cell::new(style.unread(), Tone::Dim),
        None => Cell::new("?", Tone::Dim),
    }
}

/// The cell of one node's area, as every text report shows it.
pub(crate) fn area_entry(node: &NodeReport, area: Area, style: &Style) -> AreaEntry {
    match node.cell(area) {
        None if node.areas.is_empty() => AreaEntry { cell: Cell::new(style.unread(), Tone::Dim), verdict: None },
        None => AreaEntry { cell: Cell::new("?", Tone::Dim), verdict: Some(Verdict::Unknown) },
        Some(cell) => {
            AreaEntry { cell: Cell::new(cell_text(cell, style), cell.verdict.into()), verdict: Some(cell.verdict) }
        }
    }
}

/// A cell is never blank, and what is unknown says so whatever else it says.
fn cell_text(cell: &AreaCell, style: &Style) -> String {
    let text = style.text(&cell.text);
    match (cell.verdict, text.is_empty()) {
        (Verdict::Unknown, true) => "?".to_owned(),
        (Verdict::Unknown, false) if !text.contains('?') => format!("{text}?"),
        (Verdict::Pass, true) => "ok".to_owned(),
        (Verdict::NotApplicable | Verdict::Expected, true) => "-".to_owned(),
        (Verdict::Warn, true) => "warn".to_owned(),
        (Verdict::Fail, true) => "fail".to_owned(),
        _ => text.into_owned(),
    }
}

/// `11-38%` for nodes whose percentages differ; `None` when there is nothing to merge. The sizes give way to the range.
fn percent_range(nodes: &[&NodeReport]) -> Option<String> {
    let figures: Option<Vec<u16>> = nodes.iter().map(|node| Some(percent(&node.cell(Area::Disk)?.text)?.0)).collect();
    let figures = figures?;
    let (low, high) = (figures.iter().min()?, figures.iter().max()?);
    (low != high).then(|| format!("{low}-{high}%"))
}

impl From<Outcome> for Tone {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Fail | Outcome::Unreachable => Self::Fail,
            Outcome::Warn => Self::Warn,
            Outcome::Unknown => Self::Dim,
            Outcome::Ok => Self::Plain,
        }
    }
}
