//! The report as the templates want it: everything decided, nothing escaped (the templates do that).

use std::borrow::Cow;
use std::time::Duration;

use super::anchors::Anchors;
use crate::checks::{Evidence, Finding};
use crate::diagnose::root_cause::{RootCause, Scope};
use crate::duration;
use crate::facts::mounts::Mount;
use crate::report::causes::Marks;
use crate::report::cluster::told::{self, Column, Kind, Part, Row, Table};
use crate::report::details::{self, Detail, clip, clip_to};
use crate::report::groups::{self, Group};
use crate::report::model::cluster::ClusterReport;
use crate::report::model::{Counts, NodeReport, Outcome, Report, RunInfo};
use crate::report::rows;
use crate::report::style::Style;
use crate::verdict::{Area, Verdict};

/// So many rows of the picture are seen at once; the others are folded away.
const ROWS_SHOWN: usize = 24;
/// So many groups of nodes have a section of their own; the others have a line.
const MOST_SECTIONS: usize = 1_000;
/// So many sections hold the node's facts; JSON has those of all.
const MOST_WITH_FACTS: usize = 300;
/// So many nodes of a cause are links.
const MOST_LINKS: usize = 12;
/// So many healthy nodes are seen without opening anything.
const HEALTHY_SHOWN: usize = 24;
/// The widest name of a row.
const WIDEST_NAME: usize = 56;
/// The longest command line.
const LONGEST_COMMAND: usize = 4_000;

const STYLE: Style = Style { width: Style::UNLIMITED, color: false, unicode: true };

pub(super) struct View<'r> {
    pub(super) run: &'r RunInfo,
    pub(super) took: String,
    pub(super) headline: String,
    pub(super) tiles: Vec<Tile>,
    pub(super) rows: Vec<RowView>,
    pub(super) causes: Vec<CauseView<'r>>,
    pub(super) clusters: Vec<Across>,
    pub(super) sections: Vec<Section<'r>>,
    /// Nodes with problems that have no section.
    pub(super) others: Vec<Line<'r>>,
    pub(super) healthy: Vec<Line<'r>>,
    pub(super) healthy_open: bool,
}

/// One outcome: its mark, how many nodes have it, and its part of the bar.
pub(super) struct Tile {
    pub(super) mark: &'static str,
    pub(super) count: usize,
    pub(super) word: &'static str,
    /// Of a thousand.
    pub(super) from: usize,
    pub(super) width: usize,
}

/// A row of the picture: equal nodes.
pub(super) struct RowView {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) mark: &'static str,
    pub(super) phase: String,
    pub(super) verdict: String,
    pub(super) cells: Vec<(&'static str, String)>,
}

pub(super) struct CauseView<'r> {
    pub(super) number: usize,
    pub(super) cause: &'r RootCause,
    pub(super) mark: &'static str,
    pub(super) links: Vec<Link<'r>>,
    /// Instead of links, when there are many.
    pub(super) names: String,
    pub(super) fleet: bool,
}

pub(super) struct Link<'r> {
    pub(super) id: String,
    pub(super) name: Cow<'r, str>,
}

/// A node with problems, or several with the very same.
pub(super) struct Section<'r> {
    pub(super) name: String,
    pub(super) first: &'r NodeReport,
    pub(super) mark: &'static str,
    pub(super) members: Vec<Line<'r>>,
    pub(super) faults: Vec<&'r Finding>,
    pub(super) expected: Vec<&'r Finding>,
    /// By what was in the way.
    pub(super) unknown: Vec<(&'r str, Vec<&'r Finding>)>,
    pub(super) areas: Vec<AreaView>,
    pub(super) mounts: Vec<(&'r Mount, Vec<&'r str>)>,
    pub(super) cni_files: Vec<String>,
}

pub(super) struct AreaView {
    pub(super) name: &'static str,
    pub(super) mark: &'static str,
    pub(super) details: Vec<Detail>,
}

/// What the nodes of a cluster say about each other.
pub(super) struct Across {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) about: String,
    pub(super) parts: Vec<Part>,
}

/// A node in one line.
pub(super) struct Line<'r> {
    pub(super) id: String,
    pub(super) name: Cow<'r, str>,
    pub(super) address: Cow<'r, str>,
    pub(super) role: String,
    pub(super) phase: &'static str,
    pub(super) kubelet: Cow<'r, str>,
    pub(super) containerd: Cow<'r, str>,
    pub(super) disk: Cow<'r, str>,
    pub(super) mark: &'static str,
    pub(super) summary: Cow<'r, str>,
}

impl<'r> View<'r> {
    pub(super) fn new(report: &'r Report) -> Self {
        let anchors = Anchors::new(&report.nodes);
        // The page numbers its causes by itself.
        let unmarked = Marks::default();
        let rows: Vec<RowView> =
            rows::rows(&report.nodes, &unmarked, &STYLE).iter().map(|row| RowView::new(row, &anchors)).collect();
        let mut groups = groups::troubled(&report.nodes);
        let others = groups.split_off(groups.len().min(MOST_SECTIONS));
        let sections =
            groups.iter().enumerate().map(|(place, group)| Section::new(group, place < MOST_WITH_FACTS, &anchors));
        let fine = report.nodes.iter().filter(|node| node.outcome() == Outcome::Ok);
        let healthy: Vec<Line<'r>> = fine.map(|node| Line::new(node, &anchors)).collect();
        Self {
            run: &report.run,
            took: duration::rough(Duration::from_millis(report.run.duration_ms)),
            headline: headline(&report.run.counts),
            tiles: tiles(&report.run.counts),
            rows,
            causes: report
                .root_causes
                .iter()
                .enumerate()
                .map(|(place, cause)| CauseView::new(place + 1, cause, &anchors))
                .collect(),
            clusters: (1..).zip(report.clusters()).map(|(number, one)| Across::new(number, one, report)).collect(),
            sections: sections.collect(),
            others: others.iter().flat_map(|group| &group.nodes).map(|node| Line::new(node, &anchors)).collect(),
            healthy_open: healthy.len() <= HEALTHY_SHOWN,
            healthy,
        }
    }

    /// The rows that are seen at once.
    pub(super) fn rows_shown(&self) -> &[RowView] {
        &self.rows[..self.rows.len().min(ROWS_SHOWN)]
    }

    /// The others.
    pub(super) fn rows_folded(&self) -> &[RowView] {
        &self.rows[self.rows.len().min(ROWS_SHOWN)..]
    }

    /// The place of a cause on the page, for what follows from it.
    pub(super) fn cause(&self, id: &str) -> Option<usize> {
        self.causes.iter().find(|view| view.cause.id == id).map(|view| view.number)
    }

    pub(super) fn troubled(&self) -> usize {
        self.run.counts.total - self.run.counts.ok
    }

    /// What the picture's bar says to those who do not see it.
    pub(super) fn bar_label(&self) -> String {
        let parts: Vec<String> = self.tiles.iter().map(|tile| format!("{} {}", tile.count, tile.word)).collect();
        parts.join(", ")
    }
}

fn headline(counts: &Counts) -> String {
    let troubled = counts.total - counts.ok;
    match (counts.total, troubled) {
        (0, _) => "No nodes".to_owned(),
        (1, 0) => "The node is fine".to_owned(),
        (1, _) => "The node needs attention".to_owned(),
        (total, 0) => format!("All {total} nodes are fine"),
        (total, 1) => format!("1 of {total} nodes needs attention"),
        (total, troubled) => format!("{troubled} of {total} nodes need attention"),
    }
}

fn tiles(counts: &Counts) -> Vec<Tile> {
    /// Even one node of many is seen.
    const LEAST: usize = 8;
    let all = [
        ("f", counts.fail, "failing"),
        ("x", counts.unreachable, "unreachable"),
        ("w", counts.warn, "with warnings"),
        ("u", counts.unknown, "unknown"),
        ("p", counts.ok, "ok"),
    ];
    let present: Vec<_> = all.into_iter().filter(|(_, count, _)| *count > 0).collect();
    let share = |count: usize| (count * 1000 / counts.total.max(1)).max(LEAST);
    let sum: usize = present.iter().map(|(_, count, _)| share(*count)).sum();
    let mut from = 0;
    let tile = |(mark, count, word): (&'static str, usize, &'static str)| {
        let width = share(count) * 1000 / sum.max(1);
        from += width;
        Tile { mark, count, word, from: from - width, width }
    };
    present.into_iter().map(tile).collect()
}

const fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fail => "f",
        Verdict::Warn => "w",
        Verdict::Unknown => "u",
        Verdict::Pass => "p",
        Verdict::Expected => "e",
        Verdict::NotApplicable => "n",
    }
}

const fn outcome_mark(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Fail => "f",
        Outcome::Unreachable => "x",
        Outcome::Warn => "w",
        Outcome::Unknown => "u",
        Outcome::Ok => "p",
    }
}

impl RowView {
    fn new(row: &rows::Row<'_>, anchors: &Anchors<'_>) -> Self {
        let first = row.folded.names().first().and_then(|name| anchors.of(name));
        let count = row.folded.names().len();
        let name = row.short_name(WIDEST_NAME, &STYLE);
        Self {
            // A shortened name counts for itself.
            name: if count > 1 && name == row.name {
                format!("{name} ({count})")
            } else {
                clip_to(&name, 120).into_owned()
            },
            id: first.unwrap_or_default().to_owned(),
            mark: outcome_mark(row.outcome),
            phase: if row.phase.text == STYLE.unread() { String::new() } else { row.phase.text.clone() },
            verdict: clip_to(&row.verdict.text, 200).into_owned(),
            cells: row
                .areas
                .iter()
                .map(|entry| (entry.verdict.map_or("o", mark), clip_to(&entry.cell.text, 60).into_owned()))
                .collect(),
        }
    }
}

impl<'r> CauseView<'r> {
    fn new(number: usize, cause: &'r RootCause, anchors: &Anchors<'_>) -> Self {
        let few = cause.nodes.len() <= MOST_LINKS;
        let link =
            |name: &'r String| Link { id: anchors.of(name).unwrap_or_default().to_owned(), name: clip_to(name, 120) };
        Self {
            number,
            cause,
            mark: mark(cause.verdict),
            links: if few { cause.nodes.iter().map(link).collect() } else { Vec::new() },
            names: if few { String::new() } else { groups::heading(cause.nodes.iter().map(String::as_str)) },
            fleet: cause.scope == Scope::Fleet,
        }
    }

    pub(super) fn command(&self) -> Option<String> {
        self.cause.remedy.command.as_deref().map(|command| clip_to(command.trim_end(), LONGEST_COMMAND).into_owned())
    }

    /// On which node the evidence was found, when there are several.
    pub(super) fn shown_on(&self) -> Option<&str> {
        if self.cause.nodes.len() > 1 { self.cause.nodes.first().map(String::as_str) } else { None }
    }
}

impl Across {
    fn new(number: usize, cluster: &ClusterReport, report: &Report) -> Self {
        Self {
            id: if number == 1 { "cluster".to_owned() } else { format!("cluster-{number}") },
            title: told::title(cluster, report),
            about: told::about(cluster),
            parts: told::parts(cluster, report),
        }
    }
}

/// A table that is opened by who wants it.
pub(super) fn folds(table: &Table) -> bool {
    table.lines() > ROWS_SHOWN
}

/// How a column is set.
pub(super) const fn kind(column: &Column) -> &'static str {
    match column.kind {
        Kind::Words => "words",
        Kind::Said => "said",
        Kind::Number => "number",
    }
}

/// The mark of a row that stands out.
pub(super) const fn sign(row: &Row) -> Option<&'static str> {
    match row.verdict {
        Verdict::Fail | Verdict::Warn => Some(mark(row.verdict)),
        Verdict::Unknown | Verdict::Pass | Verdict::Expected | Verdict::NotApplicable => None,
    }
}

impl<'r> Section<'r> {
    fn new(group: &Group<'r>, with_facts: bool, anchors: &Anchors<'_>) -> Self {
        let first = group.first;
        // Nodes of one group differ in their facts.
        let facts = if with_facts && group.nodes.len() == 1 { first.facts.as_ref() } else { None };
        let areas = facts.map(|facts| {
            let area = |area: Area| AreaView {
                name: area.name(),
                mark: first.cell(area).map_or("u", |cell| mark(cell.verdict)),
                details: details::of_area(facts, area),
            };
            let who = AreaView { name: "node", mark: "n", details: details::identity(facts) };
            let all = std::iter::once(who).chain(Area::ALL.into_iter().map(area));
            all.filter(|area| !area.details.is_empty()).collect()
        });
        let cni_files = facts.and_then(|facts| facts.cni.files.known());
        Self {
            name: group.name(),
            first,
            mark: outcome_mark(first.outcome()),
            members: group.nodes.iter().map(|node| Line::new(node, anchors)).collect(),
            faults: groups::faults(first),
            expected: groups::of_verdict(first, Verdict::Expected),
            unknown: groups::unjudged(first),
            areas: areas.unwrap_or_default(),
            mounts: facts.map(details::key_mounts).unwrap_or_default(),
            cni_files: cni_files.into_iter().flatten().take(12).map(details::cni_file).collect(),
        }
    }

    /// How many checks could not be judged.
    pub(super) fn unjudged(&self) -> usize {
        self.unknown.iter().map(|(_, findings)| findings.len()).sum()
    }

    pub(super) fn alone(&self) -> Option<&Line<'r>> {
        match self.members.as_slice() {
            [line] => Some(line),
            _ => None,
        }
    }
}

impl<'r> Line<'r> {
    fn new(node: &'r NodeReport, anchors: &Anchors<'_>) -> Self {
        let facts = node.facts.as_ref();
        let roles: Vec<&str> = node.roles.iter().map(|role| role.label()).collect();
        let said = |fact: Option<&'r String>| clip_to(fact.map_or("", String::as_str), 40);
        Self {
            id: anchors.of(&node.name).unwrap_or_default().to_owned(),
            name: clip_to(&node.name, 120),
            address: clip_to(&node.address, 120),
            role: roles.join(", "),
            phase: node.phase.map_or("", crate::verdict::Phase::label),
            kubelet: said(facts.and_then(|facts| facts.kubelet.version.known())),
            containerd: said(facts.and_then(|facts| facts.containerd.version.known())),
            disk: clip_to(node.cell(Area::Disk).map_or("", |cell| &cell.text), 40),
            mark: outcome_mark(node.outcome()),
            summary: clip_to(&node.summary, 200),
        }
    }
}

/// A check's text, whose author marks code with backticks: pieces, and whether each is code.
pub(super) fn prose(text: &str) -> Vec<(bool, &str)> {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return vec![(false, text)];
    }
    parts
        .into_iter()
        .enumerate()
        .map(|(place, part)| (place % 2 == 1, part))
        .filter(|(_, part)| !part.is_empty())
        .collect()
}

/// What a piece of evidence says.
pub(super) fn value(evidence: &Evidence) -> String {
    details::evidence(evidence)
}

/// Text that fits on a page.
pub(super) fn short(text: &str) -> Cow<'_, str> {
    clip(text)
}
