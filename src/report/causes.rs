//! Root causes under the table: each with its evidence, what it explains, what it is not and what to do next.
//!
//! Every cause that fails has a number, which stands behind the verdict of its nodes as well. What only deserves a look
//! is one line per node.

use std::collections::HashMap;
use std::io::{self, Write};

use crate::checks::{Severity, words};
use crate::diagnose::root_cause::{RootCause, Scope};
use crate::names;
use crate::report::grid;
use crate::report::model::Report;
use crate::report::notes::{self, Line, Note};
use crate::report::style::{Style, Tone};
use crate::text;
use crate::verdict::Verdict;

/// So many consequences, reservations or sound areas are named.
const MOST: usize = 8;
/// A fleet with more different faults than this has its list in the other formats.
const MOST_CAUSES: usize = 20;

/// The causes that have a number: what fails. Why a node cannot be read is said by its failure.
fn numbered(causes: &[RootCause]) -> impl Iterator<Item = &RootCause> {
    causes.iter().filter(|cause| cause.verdict == Verdict::Fail && !is_about_reaching(cause))
}

fn is_about_reaching(cause: &RootCause) -> bool {
    cause.id.starts_with("ssh/")
}

/// The numbers of each node's causes, from 1.
#[derive(Debug, Default)]
pub(crate) struct Marks<'a>(HashMap<&'a str, Vec<usize>>);

impl<'a> Marks<'a> {
    pub(crate) fn of(causes: &'a [RootCause]) -> Self {
        let mut marks: HashMap<&str, Vec<usize>> = HashMap::new();
        for (number, cause) in (1..).zip(numbered(causes)) {
            for node in &cause.nodes {
                marks.entry(node).or_default().push(number);
            }
        }
        Self(marks)
    }

    /// In ascending order; empty when there are none.
    pub(crate) fn of_node(&self, name: &str) -> &[usize] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

/// ` ①②`: what follows a verdict.
pub(crate) fn signs(numbers: &[usize], style: &Style) -> String {
    let mut out = String::new();
    for number in numbers.iter().take(MOST) {
        if out.is_empty() {
            out.push_str("  ");
        }
        out.push_str(&sign(*number, style));
    }
    if numbers.len() > MOST {
        out.push_str(style.ellipsis());
    }
    out
}

fn sign(number: usize, style: &Style) -> String {
    let circled = u32::try_from(number).ok().filter(|number| (1..=20).contains(number) && style.unicode);
    circled.and_then(|number| char::from_u32(0x245F + number)).map_or_else(|| format!("({number})"), String::from)
}

/// Writes all causes; `false` when there are none.
pub(crate) fn write(report: &Report, style: &Style, out: &mut impl Write) -> io::Result<bool> {
    let all: Vec<(usize, &RootCause)> = (1..).zip(numbered(&report.root_causes)).collect();
    for (place, (number, cause)) in all.iter().take(MOST_CAUSES).enumerate() {
        if place > 0 {
            writeln!(out)?;
        }
        write_cause(*number, cause, report.run.counts.total, style, out)?;
    }
    if all.len() > MOST_CAUSES {
        writeln!(
            out,
            "{}",
            style.paint(Tone::Dim, &format!("{} more causes (-o json has all)", all.len() - MOST_CAUSES))
        )?;
    }
    let looks = looks(&report.root_causes, style);
    if !all.is_empty() && !looks.is_empty() {
        writeln!(out)?;
    }
    notes::write_notes(&looks, style, out)?;
    Ok(!all.is_empty() || !looks.is_empty())
}

/// A cause with all that is known about it.
pub(crate) fn write_cause(
    number: usize,
    cause: &RootCause,
    total: usize,
    style: &Style,
    out: &mut impl Write,
) -> io::Result<()> {
    let mark = sign(number, style);
    let indent = text::width(&mark) + 1;
    let room = style.width.saturating_sub(indent).max(20);
    let who = who(&cause.nodes, style);
    let who = text::truncate(&who, room.saturating_mul(2), style.ellipsis());
    let what = style.text(if cause.nodes.len() == 1 { &cause.message } else { &cause.title }).into_owned();
    let sure = cause.confidence.label();
    write!(out, "{mark} ")?;
    let one_line = text::width(&who) + grid::GAP + text::width(&what) + grid::GAP + sure.len();
    if one_line <= room {
        let gap = if style.width == Style::UNLIMITED { grid::GAP } else { room - one_line + grid::GAP };
        writeln!(
            out,
            "{}  {}{}{}",
            style.paint(Tone::Heading, &who),
            style.paint(Tone::Fail, &what),
            " ".repeat(gap),
            style.paint(Tone::Dim, sure)
        )?;
    } else {
        for (index, line) in text::wrap(&who, room).iter().enumerate() {
            grid::write_spaces(out, if index == 0 { 0 } else { indent })?;
            writeln!(out, "{}", style.paint(Tone::Heading, line))?;
        }
        let headline = format!("{what} ({sure})");
        for line in text::wrap(&headline, room) {
            grid::write_spaces(out, indent)?;
            writeln!(out, "{}", style.paint(Tone::Fail, &line))?;
        }
    }
    for line in details(cause, total, style) {
        grid::write_spaces(out, indent)?;
        notes::write_line(&line, indent, style, out)?;
    }
    Ok(())
}

fn who(nodes: &[String], style: &Style) -> String {
    style.text(&names::folded(nodes.iter().map(String::as_str))).into_owned()
}

fn details(cause: &RootCause, total: usize, style: &Style) -> Vec<Line> {
    let line = |key, text: String, tone| Line { key, text: style.text(&text).into_owned(), tone };
    let mut lines = Vec::new();
    if cause.scope == Scope::Fleet {
        let text = format!("{} of {total} nodes have it: look at what they share first", cause.nodes.len());
        lines.push(line("fleet   ", text, Tone::Plain));
    }
    if !cause.evidence.is_empty() {
        let of = cause.nodes.first().filter(|_| cause.nodes.len() > 1).map(|node| format!("{node}: "));
        let facts: Vec<String> =
            cause.evidence.iter().map(|evidence| format!("{} {}", evidence.label, quoted(&evidence.value))).collect();
        lines.push(line("evidence", of.unwrap_or_default() + &facts.join(between(style)), Tone::Plain));
    }
    if !cause.explains.is_empty() {
        let many = cause.nodes.len() > 1 || cause.explains.iter().any(|consequence| consequence.nodes > 1);
        let said = cause.explains.iter().map(|consequence| match (many, consequence.nodes) {
            (true, count) => format!("{} ({count} nodes)", consequence.title),
            (false, _) => consequence.title.clone(),
        });
        lines.push(line("explains", few(said.collect(), style), Tone::Plain));
    }
    if !cause.not_the_cause.is_empty() {
        let said = cause.not_the_cause.iter().map(|not| match not.why.as_str() {
            "read and sound" => not.what.clone(),
            why => format!("{} ({why})", not.what),
        });
        lines.push(line("not it  ", few(said.collect(), style), Tone::Dim));
    }
    if !cause.reservations.is_empty() {
        let said = cause.reservations.iter().map(|reserved| reserved.title.clone()).collect();
        lines.push(line("unless  ", format!("{} (could not be read)", few(said, style)), Tone::Dim));
    }
    lines.push(line("next    ", cause.remedy.text.trim().to_owned(), Tone::Plain));
    for command in cause.remedy.command.iter().flat_map(|command| command.trim().lines()) {
        lines.push(line("        ", format!("$ {command}"), Tone::Plain));
    }
    lines
}

/// Text in quotes, so that it ends where it ends; figures and words as they are.
fn quoted(value: &serde_json::Value) -> String {
    match value.as_str() {
        Some(text) if text.contains(' ') => format!("\"{text}\""),
        _ => words(value),
    }
}

fn few(mut said: Vec<String>, style: &Style) -> String {
    let more = said.len().saturating_sub(MOST);
    said.truncate(MOST);
    said.extend((more > 0).then(|| format!("{more} more")));
    said.join(between(style))
}

/// What stands between two facts of a line.
pub(crate) const fn between(style: &Style) -> &'static str {
    if style.unicode { " · " } else { " | " }
}

/// What only deserves a look: one note per set of nodes.
fn looks(causes: &[RootCause], style: &Style) -> Vec<Note> {
    let mut places: HashMap<&[String], usize> = HashMap::new();
    let mut notes: Vec<Note> = Vec::new();
    let worth_it = |cause: &&RootCause| cause.verdict == Verdict::Warn && cause.severity != Severity::Low;
    for cause in causes.iter().filter(worth_it).filter(|cause| !is_about_reaching(cause)) {
        let place = *places.entry(&cause.nodes).or_insert_with(|| {
            notes.push(Note { who: who(&cause.nodes, style), lines: Vec::new() });
            notes.len() - 1
        });
        let text = if cause.nodes.len() == 1 { &cause.message } else { &cause.title };
        notes[place].lines.push(Line { key: "", text: style.text(text).into_owned(), tone: Tone::Plain });
    }
    notes
}
