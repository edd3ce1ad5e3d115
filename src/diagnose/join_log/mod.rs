//! The classifier of `kubeadm join` output: bytes of any log in, a [`JoinLog`] out. Pure, total and bounded.
//!
//! ```text
//! bytes ─► source (lines, Ansible's results) ─► runs (where each join begins and ends) ─► judge (phase, class) ─► JoinLog
//!                                                  table: playbooks/join-phases.yaml
//! ```
//!
//! It works with no node reachable. What a failure means beyond the log (which of its checks fails on the node) is left to
//! whoever has the node's facts: [`FailureClass::checks`] names them.

mod command;
mod judge;
mod model;
mod pieces;
mod runs;
mod source;
mod table;
mod text;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

pub use model::*;
pub use text::{nothing_says, render};

use judge::Circumstances;
use pieces::Hits;
use runs::{Join, Raw, Reader, Run, Seen};
use source::{Item, Line, Task};
use table::{TABLE, Table};

/// Of a longer log the beginning is not read.
pub const MAX_BYTES: usize = 64 << 20;
/// Of more attempts the earliest are not listed.
const MAX_ATTEMPTS: usize = 10_000;
/// Hosts of a journal, or of a tool that puts names before lines, that are told apart.
const MAX_SPEAKERS: usize = 10_000;

/// Reads a log.
pub fn classify(bytes: &[u8]) -> JoinLog {
    let mut skipped = bytes.len().saturating_sub(MAX_BYTES);
    if skipped > 0 {
        skipped += bytes[skipped..].iter().take(MAX_BYTES / 2).position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    }
    let kept = &bytes[skipped..];
    let text = decode(kept);
    let mut log = Log::new(&TABLE);
    source::items(&text, |item| match item {
        Item::Line { text, number } => log.line(text, number),
        Item::Task(task) => log.task(task),
    });
    log.finish(kept, skipped as u64)
}

/// The text of a file: UTF-8, or UTF-16 as PowerShell redirects it; what is neither is replaced.
fn decode(bytes: &[u8]) -> Cow<'_, str> {
    let utf16 = |unit: fn([u8; 2]) -> u16, rest: &[u8]| {
        let units = rest.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)).collect::<String>()
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => Cow::Owned(utf16(u16::from_le_bytes, rest)),
        [0xfe, 0xff, rest @ ..] => Cow::Owned(utf16(u16::from_be_bytes, rest)),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest),
        _ => String::from_utf8_lossy(bytes),
    }
}

/// Whether it is no text: control characters that no text has, and many of them. Letters of old encodings are text.
fn is_binary(bytes: &[u8]) -> bool {
    let sample = &bytes[..bytes.len().min(64 << 10)];
    let odd = sample.iter().filter(|byte| matches!(byte, 0..=6 | 0x0e..=0x1a | 0x7f)).count();
    !bytes.starts_with(&[0xff, 0xfe]) && !bytes.starts_with(&[0xfe, 0xff]) && odd * 20 > sample.len()
}

/// A run with what is known of it.
struct Happened {
    run: Run,
    around: Circumstances,
}

/// What was read so far.
struct Log<'d> {
    table: &'d Table,
    /// One for each machine whose lines are mixed in the log; `None` is the log's own.
    readers: BTreeMap<Option<String>, Reader<'d>>,
    /// Names that tools put before a machine's lines.
    speakers: BTreeSet<String>,
    happened: VecDeque<Happened>,
    left_out: usize,
    clues: BTreeMap<usize, (usize, Raw)>,
    /// Hashes of what results held, to know the copies that other tasks print.
    printed: BTreeSet<u64>,
    saw_command: bool,
}

impl<'d> Log<'d> {
    fn new(table: &'d Table) -> Self {
        Self {
            table,
            readers: BTreeMap::new(),
            speakers: BTreeSet::new(),
            happened: VecDeque::new(),
            left_out: 0,
            clues: BTreeMap::new(),
            printed: BTreeSet::new(),
            saw_command: false,
        }
    }

    /// A line outside of any result.
    fn line(&mut self, text: &str, number: u64) {
        let clean = source::clean(text);
        let hits = self.table.find(&clean);
        if hits.is_empty() && !self.readers.values().any(Reader::wants_next) {
            return;
        }
        let mut line = Line::parse(&clean);
        let seen = Seen { line, hits, number };
        self.clue(&seen, Stream::Log);
        if line.program.is_some_and(|program| self.table.is_journal(program)) {
            return;
        }
        let speaker = match line.host {
            Some(host) => Some(host.to_owned()),
            None => self.speaker(&line, &hits).map(|(name, behind)| {
                line = Line::parse(behind);
                name
            }),
        };
        let known = self.readers.contains_key(&speaker) || self.readers.len() < MAX_SPEAKERS;
        let speaker = speaker.filter(|_| known);
        let table = self.table;
        let reader = self.readers.entry(speaker.clone()).or_insert_with(|| Reader::new(table, Stream::Log, None));
        reader.read(&Seen { line, hits, number });
        let runs = reader.take();
        self.add(runs, &Circumstances { host: speaker, ..Circumstances::default() });
    }

    /// The machine's name that vagrant, terraform, compose or pdsh put before the line, and what is behind it. A name is
    /// learned where the first line of a join stands behind it.
    fn speaker<'l>(&mut self, line: &Line<'l>, hits: &Hits) -> Option<(String, &'l str)> {
        let (name, behind) = line.text.split_once(": ").or_else(|| line.text.split_once("| "))?;
        let name = name.trim_end();
        let sound = !name.is_empty() && name.len() <= 100 && !name.contains(['[', ']', '"', '\'', '=']);
        if !sound {
            return None;
        }
        let behind = behind.trim_start();
        let begins = self.table.starts(hits) != 0 && (behind.starts_with('[') || Line::parse(behind).klog.is_some());
        if begins && self.speakers.len() < MAX_SPEAKERS {
            self.speakers.insert(name.to_owned());
        }
        self.speakers.contains(name).then(|| (name.to_owned(), behind))
    }

    /// Something that the kubelet or a warning says.
    fn clue(&mut self, seen: &Seen<'_>, stream: Stream) {
        for (index, clue) in self.table.clues.iter().enumerate() {
            if clue.is_on(&seen.hits) {
                let text = seen.line.text;
                let raw = Raw::new(stream, seen.number, text, self.table.first(text));
                let count = self.clues.get(&index).map_or(0, |(count, _)| *count);
                self.clues.insert(index, (count + 1, raw));
            }
        }
    }

    /// A result of Ansible.
    fn task(&mut self, task: Task) {
        let Task { host, cmd, stdout, stderr, message, start, rc, copied } = task;
        let output = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let (stdout, stderr) = (output(stdout), output(stderr));
        let message = message.filter(|_| stdout.is_none() && stderr.is_none());
        let copied = copied || message.is_some();
        let stdout = stdout.or(message);
        // Two joins can print the same; two copies of one result also began at the same time.
        let known_start = start.as_deref().is_some_and(|start| self.is_known(host.as_deref(), start));
        let known =
            [&stdout, &stderr].map(|stream| stream.as_deref().is_none_or(|text| self.is_known(host.as_deref(), text)));
        if known == [true, true] && (copied || known_start) {
            return;
        }
        let command =
            cmd.map(|cmd| command::of_script(&cmd)).filter(|cmd| cmd.contains("kubeadm") || cmd.contains("join"));
        let out = self.stream(stdout.as_deref(), Stream::Stdout, command.as_ref());
        let err = self.stream(stderr.as_deref(), Stream::Stderr, command.as_ref());
        let runs = pair(out, err);
        let alone = runs.iter().filter(|run| matches!(run, Run::Join(_))).count() == 1;
        let started =
            start.filter(|_| alone).and_then(|start| source::Stamp::parse(&start)).map(|stamp| stamp.to_string());
        self.add(runs, &Circumstances { host, started, rc, numbered: true });
    }

    /// Whether the machine has printed this before.
    fn is_known(&mut self, host: Option<&str>, text: &str) -> bool {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((host, text.trim()));
        !self.printed.insert(hash)
    }

    /// One stream of a result.
    fn stream(&mut self, text: Option<&str>, stream: Stream, command: Option<&String>) -> Vec<Run> {
        let mut reader = Reader::new(self.table, stream, command.cloned());
        for (index, text) in text.unwrap_or_default().split('\n').enumerate() {
            let clean = source::clean(text);
            let hits = self.table.find(&clean);
            if hits.is_empty() && !reader.wants_next() {
                continue;
            }
            let seen = Seen { line: Line::parse(&clean), hits, number: index as u64 + 1 };
            self.clue(&seen, stream);
            reader.read(&seen);
        }
        self.saw_command |= reader.saw_command;
        reader.finish()
    }

    fn add(&mut self, runs: Vec<Run>, around: &Circumstances) {
        for run in runs {
            let Circumstances { host, started, rc, numbered } = around;
            let around = Circumstances { host: host.clone(), started: started.clone(), rc: *rc, numbered: *numbered };
            self.happened.push_back(Happened { run, around });
            if self.happened.len() > MAX_ATTEMPTS {
                let first = self.happened.pop_front();
                self.left_out += usize::from(first.is_some_and(|first| matches!(first.run, Run::Join(_))));
            }
        }
    }

    fn finish(mut self, bytes: &[u8], skipped: u64) -> JoinLog {
        for (host, mut reader) in std::mem::take(&mut self.readers) {
            self.saw_command |= reader.saw_command;
            self.add(reader.finish(), &Circumstances { host, ..Circumstances::default() });
        }
        let other = self.happened.iter().rev().find_map(|happened| match happened.run {
            Run::Other(kind) => Some(kind),
            Run::Join(_) => None,
        });
        let attempts = attempts(self.table, &self.happened, skipped == 0);
        let nothing = attempts.is_empty().then(|| match other {
            Some(kind) => Nothing::OnlyOther(kind),
            None if bytes.trim_ascii().is_empty() => Nothing::Empty,
            None if self.saw_command => Nothing::OnlyCommand,
            None if is_binary(bytes) => Nothing::Binary,
            None => Nothing::NoKubeadm,
        });
        let clues = self.clues.into_iter().map(|(index, (count, raw))| {
            let class = &self.table.clues[index].class;
            let evidence = judge::evidence(&raw, skipped == 0);
            Clue {
                id: class.id.clone(),
                says: class.says.clone(),
                checks: class.checks.clone(),
                names: class.names.clone(),
                count,
                evidence,
            }
        });
        JoinLog {
            schema: SCHEMA,
            ending: ending(&attempts),
            nothing,
            left_out: self.left_out,
            clues: clues.collect(),
            skipped_bytes: skipped,
            attempts,
        }
    }
}

/// Judges all attempts, numbers them per machine and compares each with the one before.
fn attempts(table: &Table, happened: &VecDeque<Happened>, numbered: bool) -> Vec<Attempt> {
    let mut attempts: Vec<Attempt> = Vec::new();
    // The last attempt of each machine, and whether it was reset since.
    let mut last: BTreeMap<Option<&str>, (Option<usize>, bool)> = BTreeMap::new();
    for Happened { run, around } in happened {
        let (before, reset) = last.entry(around.host.as_deref()).or_default();
        match run {
            Run::Other(OtherKind::Reset) => *reset = true,
            Run::Other(OtherKind::Init | OtherKind::Upgrade) => {}
            Run::Join(join) => {
                let around = Circumstances {
                    host: around.host.clone(),
                    started: around.started.clone(),
                    rc: around.rc,
                    numbered: around.numbered || numbered,
                };
                let mut attempt = judge::judge(table, join, &around);
                if let Some(before) = before.and_then(|index| attempts.get(index)) {
                    attempt.number = before.number + 1;
                    attempt.same_as = judge::is_same(before, &attempt).then_some(before.number);
                }
                attempt.after_reset = *reset;
                (*before, *reset) = (Some(attempts.len()), false);
                attempts.push(attempt);
            }
        }
    }
    attempts
}

/// The worst of the machines' last attempts.
fn ending(attempts: &[Attempt]) -> Option<Ending> {
    JoinLog::last_of(attempts).into_iter().map(|attempt| attempt.outcome.ending()).max()
}

impl JoinLog {
    /// The last attempt of every machine, in the order of the log.
    pub fn last(&self) -> Vec<&Attempt> {
        Self::last_of(&self.attempts)
    }

    /// What is said elsewhere in the log that speaks for this class: it names one of its checks.
    pub fn clues_for(&self, class: &FailureClass) -> Vec<&Clue> {
        self.clues.iter().filter(|clue| clue.checks.iter().any(|check| class.checks.contains(check))).collect()
    }

    fn last_of(attempts: &[Attempt]) -> Vec<&Attempt> {
        let mut seen = BTreeSet::new();
        let mut last: Vec<&Attempt> = attempts.iter().rev().filter(|attempt| seen.insert(&attempt.host)).collect();
        last.reverse();
        last
    }
}

/// Puts the streams of the same joins together, the last with the last: a join that succeeded has no error in the other
/// stream, so it is passed over when that stream's attempt has one.
fn pair(out: Vec<Run>, err: Vec<Run>) -> Vec<Run> {
    let has_other = out.iter().any(|run| matches!(run, Run::Other(_)));
    let (mut joins, mut rest): (Vec<Box<Join>>, Vec<Run>) = (Vec::new(), Vec::new());
    for run in err {
        match run {
            Run::Join(join) => joins.push(join),
            Run::Other(_) if has_other => {}
            Run::Other(_) => rest.push(run),
        }
    }
    let mut runs = Vec::new();
    for run in out.into_iter().rev() {
        let Run::Join(mut join) = run else {
            runs.push(run);
            continue;
        };
        let joined = join.parts.iter().any(|part| part.deepest == Phase::Joined);
        let failed = joins.last().is_some_and(|other| other.parts.iter().any(|part| part.end.is_some()));
        if !(joined && failed)
            && let Some(other) = joins.pop()
        {
            join.parts.extend(other.parts);
            join.command = join.command.take().or(other.command);
        }
        runs.push(Run::Join(join));
    }
    runs.extend(joins.into_iter().rev().map(Run::Join));
    runs.extend(rest.into_iter().rev());
    runs.reverse();
    runs
}
