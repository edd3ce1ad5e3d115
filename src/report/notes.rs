//! What stands under the table beside the root causes: why nodes could not be read, said once for all that share it.
//!
//! A [`Note`] is who, what and details.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};

use crate::failure::FailureKind;
use crate::names;
use crate::report::grid;
use crate::report::model::{NodeReport, Outcome, Report};
use crate::report::style::{Style, Tone};
use crate::text;
use crate::verdict::{Area, Verdict};

/// So many reasons of a node are printed; the wide table and JSON have all of them.
const MOST_REASONS: usize = 6;
/// A reason, or a list of names, takes at most so many lines of a terminal.
const MOST_LINES: usize = 4;
/// The widest name that shares a line with its first reason.
const WIDEST_LABEL: usize = 24;

/// Lines about some nodes. All texts are harmless already.
pub(crate) struct Note {
    pub(crate) who: String,
    pub(crate) lines: Vec<Line>,
}

/// One line of a note, with a key in front of it unless that is empty (`next`).
pub(crate) struct Line {
    pub(crate) key: &'static str,
    pub(crate) text: String,
    pub(crate) tone: Tone,
}

/// Writes the reasons of all nodes whose problem no root cause tells, and why something is not known of sound ones; `false` when there is nothing to say.
pub(crate) fn write(report: &Report, style: &Style, out: &mut impl Write) -> io::Result<bool> {
    let told: HashSet<&str> = report.root_causes.iter().flat_map(|cause| &cause.nodes).map(String::as_str).collect();
    let untold = |node: &&NodeReport| match node.outcome() {
        // That no control plane was asked is no news of a node.
        Outcome::Ok => node.areas.iter().any(|cell| cell.area != Area::Api && cell.verdict == Verdict::Unknown),
        Outcome::Fail | Outcome::Warn => !told.contains(node.name.as_str()),
        Outcome::Unreachable | Outcome::Unknown => true,
    };
    let notes = shared_notes(report.nodes.iter().filter(untold), style);
    write_notes(&notes, style, out)?;
    Ok(!notes.is_empty())
}

/// Writes notes below each other, their names in one column as far as these are short.
pub(crate) fn write_notes(notes: &[Note], style: &Style, out: &mut impl Write) -> io::Result<()> {
    let cap = WIDEST_LABEL.min(style.width / 3);
    let label = notes.iter().map(|note| text::width(&note.who)).filter(|width| *width <= cap).max().unwrap_or(2);
    notes.iter().try_for_each(|note| write_note(note, label, style, out))
}

/// The lines of one node: why it could not be read, what is wrong with it from the worst down, and what to do next.
pub(crate) fn lines(node: &NodeReport, most: usize, style: &Style) -> Vec<Line> {
    let plain = |text: &str, tone| Line { key: "", text: style.text(text).into_owned(), tone };
    let mut lines = Vec::new();
    if let Some(failure) = &node.failure {
        lines.push(plain(&failure.message, Tone::Plain));
    }
    let reasons = reasons(node);
    for (verdict, reason) in reasons.iter().take(most) {
        let tone = if *verdict == Verdict::Unknown { Tone::Dim } else { Tone::Plain };
        lines.push(plain(reason, tone));
    }
    if reasons.len() > most {
        let more = format!("{} {} more reasons (-o wide shows them)", style.ellipsis(), reasons.len() - most);
        lines.push(Line { key: "", text: more, tone: Tone::Dim });
    }
    if let Some(failure) = node.failure.as_ref().filter(|failure| !failure.next.is_empty()) {
        lines.push(Line { key: "next", ..plain(&failure.next, Tone::Plain) });
    }
    lines
}

/// Everything that speaks against a node, worst first.
///
/// Of a node that was not read to the end, its failure says enough.
fn reasons(node: &NodeReport) -> Vec<(Verdict, &str)> {
    if node.failure.is_some() {
        return Vec::new();
    }
    let mut reasons: Vec<(Verdict, &str)> = node
        .areas
        .iter()
        .filter(|cell| matches!(cell.verdict, Verdict::Fail | Verdict::Warn | Verdict::Unknown))
        .filter(|cell| !(node.outcome() == Outcome::Ok && cell.area == Area::Api))
        .flat_map(|cell| cell.reasons.iter().map(|reason| (cell.verdict, reason.as_str())))
        .collect();
    reasons.sort_by_key(|(verdict, _)| *verdict);
    reasons
}

/// One note per set of equal lines, in the order of the report.
fn shared_notes<'a>(nodes: impl Iterator<Item = &'a NodeReport>, style: &Style) -> Vec<Note> {
    type Key<'a> = (Option<(FailureKind, &'a str, &'a str)>, Vec<(Verdict, &'a str)>);
    let mut places: HashMap<Key<'_>, usize> = HashMap::new();
    let mut groups: Vec<Vec<&NodeReport>> = Vec::new();
    for node in nodes {
        let failure = node.failure.as_ref();
        let failure = failure.map(|failure| (failure.kind, failure.message.as_str(), failure.next.as_str()));
        let place = *places.entry((failure, reasons(node))).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[place].push(node);
    }
    let note = |group: Vec<&NodeReport>| {
        let lines = lines(group.first()?, MOST_REASONS, style);
        let who = names::folded(group.iter().map(|node| node.name.as_str()));
        (!lines.is_empty()).then(|| Note { who: style.text(&who).into_owned(), lines })
    };
    groups.into_iter().filter_map(note).collect()
}

/// Writes a note with its name in a column of `label`, or on lines of its own when it is wider.
fn write_note(note: &Note, label: usize, style: &Style, out: &mut impl Write) -> io::Result<()> {
    let indent = label + grid::GAP;
    let mut owed = 0;
    if text::width(&note.who) <= label {
        write!(out, "{}", style.paint(Tone::Heading, &note.who))?;
        owed = indent - text::width(&note.who);
    } else {
        let who = text::truncate(&note.who, style.width.saturating_mul(MOST_LINES), style.ellipsis());
        for line in text::wrap(&who, style.width) {
            writeln!(out, "{}", style.paint(Tone::Heading, &line))?;
        }
        owed += indent;
    }
    for line in &note.lines {
        grid::write_spaces(out, owed)?;
        write_line(line, indent, style, out)?;
        owed = indent;
    }
    Ok(())
}

/// Writes a line, wrapped, with all lines after the first indented; the first line's indent is already written.
pub(crate) fn write_line(line: &Line, indent: usize, style: &Style, out: &mut impl Write) -> io::Result<()> {
    let mut indent = indent;
    if !line.key.is_empty() {
        write!(out, "{}", style.paint(Tone::Dim, line.key))?;
        grid::write_spaces(out, grid::GAP)?;
        indent += line.key.len() + grid::GAP;
    }
    // Even the narrowest terminal gets room for a word.
    let room = style.width.saturating_sub(indent).max(8);
    let shown = text::truncate(&line.text, room.saturating_mul(MOST_LINES), style.ellipsis());
    for (index, piece) in text::wrap(&shown, room).iter().enumerate() {
        if index > 0 {
            grid::write_spaces(out, indent)?;
        }
        writeln!(out, "{}", style.paint(line.tone, piece))?;
    }
    Ok(())
}
