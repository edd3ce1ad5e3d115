//! The runs of kubeadm in one stream of lines: where each begins and ends, and what was seen of it. Nothing is judged here.
//!
//! A run opens with the first line of kubeadm. It closes when a text that is printed once per join comes again, when klog
//! tells another process, when it has ended and something new begins, or when the lines turn out to be another command's:
//! `kubeadm reset` and `init` print `[preflight] Running pre-flight checks` just like a join.

use std::collections::BTreeMap;

use super::command::{self, Command};
use super::model::{Cut, OtherKind, Phase, Stream};
use super::pieces::Hits;
use super::source::{Line, Stamp};
use super::table::Table;

/// Lines of a command that was broken with backslashes.
const MAX_CONTINUED: usize = 16;
/// So many `[ERROR X]` and `[WARNING X]` are kept of a run; kubeadm has about thirty.
const MAX_LABELS: usize = 64;
/// What is kept of a long line, before and behind its first known text.
const KEPT_BEFORE: usize = 200;
const KEPT_BEHIND: usize = 1200;

/// A line as it stands in the log, bounded. Not redacted yet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Raw {
    pub(super) stream: Stream,
    pub(super) line: u64,
    pub(super) text: String,
}

impl Raw {
    pub(super) fn new(stream: Stream, line: u64, text: &str, first: usize) -> Self {
        let floor = text.floor_char_boundary(first.saturating_sub(KEPT_BEFORE));
        let ceiling = text.ceil_char_boundary(first.saturating_add(KEPT_BEHIND));
        let mut text = text[floor..ceiling].trim();
        // A word that was cut is dropped: half a secret is not known as one.
        if floor > 0 {
            text = text.split_once(char::is_whitespace).map_or("", |(_, rest)| rest);
        }
        if text.len() >= KEPT_BEHIND {
            text = text.rsplit_once(char::is_whitespace).map_or("", |(rest, _)| rest);
        }
        Self { stream, line, text: text.to_owned() }
    }
}

/// One run of kubeadm.
#[derive(Debug)]
pub(super) enum Run {
    Join(Box<Join>),
    Other(OtherKind),
}

/// What was seen of a join: one part for each stream.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) command: Option<String>,
    pub(super) cut: Cut,
    pub(super) parts: Vec<Part>,
}

/// What one stream holds of a join.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) deepest: Phase,
    /// The first line of each phase.
    pub(super) entered: BTreeMap<Phase, Raw>,
    /// The failures whose texts were seen, by their place in the table.
    pub(super) matches: BTreeMap<usize, Match>,
    /// kubeadm's last word.
    pub(super) end: Option<Raw>,
    pub(super) errors: Vec<Label>,
    pub(super) warnings: Vec<Label>,
    pub(super) began: Option<Stamp>,
    /// The last stamp of each phase.
    pub(super) stamps: BTreeMap<Phase, Stamp>,
    pid: Option<u32>,
    starts: u8,
    ours: bool,
}

/// A failure's text in a stream.
#[derive(Debug)]
pub(super) struct Match {
    /// Where it was seen last.
    pub(super) phase: Phase,
    pub(super) last: u64,
    /// Where it was seen first in that phase.
    pub(super) raw: Raw,
}

/// `[ERROR X]: message`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Label {
    pub(super) name: String,
    pub(super) message: Raw,
}

impl Part {
    fn new() -> Self {
        Self {
            deepest: Phase::Start,
            entered: BTreeMap::new(),
            matches: BTreeMap::new(),
            end: None,
            errors: Vec::new(),
            warnings: Vec::new(),
            began: None,
            stamps: BTreeMap::new(),
            pid: None,
            starts: 0,
            ours: false,
        }
    }

    /// Whether its last line is all that was seen.
    fn is_bare(&self) -> bool {
        self.end.as_ref().is_some_and(|end| self.entered.values().all(|raw| raw.line == end.line))
    }

    fn is_over(&self) -> bool {
        self.end.is_some() || self.deepest == Phase::Joined
    }
}

/// A line with what is known of it.
#[derive(Clone, Copy)]
pub(super) struct Seen<'l> {
    pub(super) line: Line<'l>,
    pub(super) hits: Hits,
    pub(super) number: u64,
}

#[derive(Debug)]
enum Current {
    None,
    Join { part: Box<Part>, command: Option<String> },
    Other { kind: OtherKind, starts: u8, over: bool },
}

/// Reads one stream.
#[derive(Debug)]
pub(super) struct Reader<'d> {
    table: &'d Table,
    stream: Stream,
    current: Current,
    /// The command that was seen last, and belongs to the next join.
    pending: Option<String>,
    /// Another command that was typed.
    typed: Option<OtherKind>,
    /// The command goes on in the next line.
    continued: usize,
    runs: Vec<Run>,
    /// Whether any command of a join was seen.
    pub(super) saw_command: bool,
}

impl<'d> Reader<'d> {
    pub(super) fn new(table: &'d Table, stream: Stream, command: Option<String>) -> Self {
        Self {
            table,
            stream,
            current: Current::None,
            pending: command,
            typed: None,
            continued: 0,
            runs: Vec::new(),
            saw_command: false,
        }
    }

    /// Whether the next line matters even if the table does not know it.
    pub(super) fn wants_next(&self) -> bool {
        self.continued > 0
    }

    /// The runs that are over.
    pub(super) fn take(&mut self) -> Vec<Run> {
        std::mem::take(&mut self.runs)
    }

    /// Ends the stream.
    pub(super) fn finish(&mut self) -> Vec<Run> {
        self.close(Cut::EndOfLog);
        self.take()
    }

    pub(super) fn read(&mut self, seen: &Seen<'_>) {
        if self.command(seen) {
            return;
        }
        let table = self.table;
        let Seen { line, hits, .. } = seen;
        let (starts, phase, other) = (table.starts(hits), table.entered(hits), table.other(hits));
        if let Current::Join { part, .. } = &self.current
            && !part.is_over()
            && table.killed(hits)
            && phase.is_none()
        {
            return self.close(Cut::Signal);
        }
        if self.is_another_process(line) && (phase.is_some() || other.is_some()) {
            self.close(Cut::NextCommand);
        }
        if let Some(kind) = other {
            return self.other(kind, hits);
        }
        if self.stays_other(starts, hits) {
            return;
        }
        if let Current::Join { part, .. } = &self.current {
            let again = starts & part.starts != 0;
            let new = starts != 0 || table.is_ours(hits) || phase > Some(Phase::Preflight);
            // A wrapper repeats the last line; where nothing but last lines is printed, each is an attempt.
            let echo = table.ended(hits) && !part.is_bare();
            if again || (part.is_over() && new && !echo) {
                self.close(Cut::NextCommand);
            }
        }
        if let Current::None = self.current {
            if let (Some(kind), true) = (self.typed.take(), phase.is_some()) {
                self.current = Current::Other { kind, starts, over: table.ended(hits) };
                return;
            }
            let refused =
                || table.failures.iter().any(|failure| failure.phase == Some(Phase::Start) && failure.is_on(hits));
            if phase.is_none() && !(self.pending.is_some() && refused()) {
                return;
            }
            self.current = Current::Join { part: Box::new(Part::new()), command: self.pending.take() };
        }
        if let Current::Join { part, .. } = &mut self.current {
            observe(part, table, self.stream, seen);
        }
    }

    /// Takes a line that is a command, or goes on with one.
    fn command(&mut self, seen: &Seen<'_>) -> bool {
        let text = seen.line.text;
        if self.continued > 0 {
            self.continued = if text.trim_end().ends_with('\\') { self.continued - 1 } else { 0 };
            if let Some(command) = &mut self.pending {
                command.push('\n');
                command.push_str(text);
            }
            return true;
        }
        if !self.table.names_kubeadm(&seen.hits) {
            return false;
        }
        match command::find(text) {
            Some(Command::Join(command)) => {
                self.saw_command = true;
                self.typed = None;
                self.continued = if text.trim_end().ends_with('\\') { MAX_CONTINUED } else { 0 };
                let first = command.find("kubeadm").unwrap_or(0);
                self.pending = Some(Raw::new(self.stream, seen.number, &command, first).text);
                true
            }
            Some(Command::Other(kind)) => {
                self.typed = Some(kind);
                true
            }
            None => false,
        }
    }

    fn is_another_process(&self, line: &Line<'_>) -> bool {
        let Current::Join { part, .. } = &self.current else { return false };
        matches!((part.pid, line.klog), (Some(known), Some(klog)) if known != klog.pid)
    }

    /// A line that only another command prints.
    fn other(&mut self, kind: OtherKind, hits: &Hits) {
        let ends = self.table.other_ends(kind, hits) || self.table.ended(hits);
        match &mut self.current {
            Current::Other { kind: known, over, .. } if *known == kind => *over |= ends,
            // What looked like a join was the beginning of this.
            Current::Join { part, command } if !part.ours && !part.is_over() => {
                let starts = part.starts;
                self.pending = command.take();
                self.current = Current::Other { kind, starts, over: ends };
            }
            _ => {
                self.close(Cut::NextCommand);
                self.current = Current::Other { kind, starts: 0, over: ends };
            }
        }
        self.typed = None;
    }

    /// Whether a line belongs to the other command that is open; closes that when it does not.
    fn stays_other(&mut self, line_starts: u8, hits: &Hits) -> bool {
        let table = self.table;
        let Current::Other { kind, starts, over } = &mut self.current else { return false };
        let kind = *kind;
        if table.other_ends(kind, hits) {
            *over = true;
            return true;
        }
        // Only the first of the beginnings is common to all commands.
        let own_start = line_starts == 0 || (line_starts == 1 && *starts & 1 == 0);
        if !*over && own_start && !table.is_ours(hits) {
            *starts |= line_starts;
            *over = table.ended(hits);
            return true;
        }
        if *over && line_starts == 0 && !table.is_ours(hits) {
            // Its last words, such as hints behind an error.
            return true;
        }
        self.close(Cut::NextCommand);
        false
    }

    fn close(&mut self, cut: Cut) {
        match std::mem::replace(&mut self.current, Current::None) {
            Current::None => {}
            Current::Other { kind, .. } => self.runs.push(Run::Other(kind)),
            Current::Join { part, command } => {
                self.runs.push(Run::Join(Box::new(Join { command, cut, parts: vec![*part] })));
            }
        }
    }
}

/// Adds a line to what is known of a join.
fn observe(part: &mut Part, table: &Table, stream: Stream, seen: &Seen<'_>) {
    let Seen { line, hits, number } = seen;
    let raw = || Raw::new(stream, *number, line.text, table.first(line.text));
    if table.is_labelled(hits) {
        label(part, line.text, raw);
    }
    if part.is_over() {
        return;
    }
    part.starts |= table.starts(hits);
    part.ours |= table.is_ours(hits);
    if let Some(phase) = table.entered(hits) {
        part.deepest = part.deepest.max(phase);
        part.entered.entry(phase).or_insert_with(raw);
    }
    if let Some(klog) = line.klog {
        part.pid = part.pid.or(Some(klog.pid));
        part.began = part.began.or(Some(klog.stamp));
        part.stamps.insert(part.deepest, klog.stamp);
    }
    for (index, failure) in table.failures.iter().enumerate() {
        if failure.is_on(hits) {
            match part.matches.get_mut(&index) {
                Some(known) if known.phase == part.deepest => known.last = *number,
                _ => {
                    part.matches.insert(index, Match { phase: part.deepest, last: *number, raw: raw() });
                }
            }
        }
    }
    let refused = part.deepest == Phase::Start && !part.matches.is_empty();
    if table.ended(hits) || refused {
        part.end = Some(raw());
    }
}

/// Keeps an `[ERROR X]: message` or `[WARNING X]: message`.
fn label(part: &mut Part, text: &str, raw: impl FnOnce() -> Raw) {
    let found = |mark: &str| text.split_once(mark).and_then(|(_, rest)| rest.split_once(']')).map(|(name, _)| name);
    let (list, name) = match (found("[ERROR "), found("[WARNING ")) {
        (Some(name), _) => (&mut part.errors, name),
        (None, Some(name)) => (&mut part.warnings, name),
        (None, None) => return,
    };
    let sound = !name.is_empty()
        && name.len() <= 200
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if sound && list.len() < MAX_LABELS && !list.iter().any(|known| known.name == name) {
        list.push(Label { name: name.to_owned(), message: raw() });
    }
}
