//! Files of checks to [`Checks`]; every mistake in them has its file, its line and, if there is one, the nearest right name.

use std::collections::BTreeMap;

use cel::Program;
use serde::Deserialize;

use super::evaluate::{Node, context, try_on};
use super::shape::{self, Filling};
use super::slots::Slots;
use super::words::Message;
use super::{
    BuiltIn, Cases, Change, Check, CheckError, Checks, Edge, EvidenceOf, Expression, Reach, Remedy, Severity, nearest,
};
use crate::facts::alike::Alike;
use crate::target::Role;
use crate::verdict::{Phase, Verdict};

/// An entry as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    severity: Option<Severity>,
    title: Option<String>,
    message: Option<String>,
    cell: Option<String>,
    phases: Option<Vec<Phase>>,
    expected_in: Option<Vec<Phase>>,
    expected_when: Option<String>,
    roles: Option<Vec<Role>>,
    fail: Option<String>,
    warn: Option<String>,
    evidence: Option<Vec<EvidenceOf>>,
    explains: Option<Vec<EdgeEntry>>,
    reaches: Option<Reach>,
    certain: Option<String>,
    since: Option<String>,
    remedy: Option<Remedy>,
    explanation: Option<String>,
    source: Option<String>,
    cases: Option<Cases>,
    #[serde(default)]
    disabled: bool,
    reason: Option<String>,
}

/// `kubelet/standalone`, or the same with a guard.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum EdgeEntry {
    Always(String),
    Guarded(GuardedEdge),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GuardedEdge {
    id: String,
    when: String,
}

impl Entry {
    /// It has something that only a check of its own has.
    fn defines(&self) -> bool {
        let texts = [&self.title, &self.message, &self.cell, &self.fail, &self.warn, &self.explanation, &self.source];
        texts.iter().any(|text| text.is_some())
            || self.certain.is_some()
            || self.expected_when.is_some()
            || self.since.is_some()
            || self.reaches.is_some()
            || self.phases.is_some()
            || self.expected_in.is_some()
            || self.roles.is_some()
            || self.evidence.is_some()
            || self.explains.is_some()
            || self.remedy.is_some()
            || self.cases.is_some()
    }
}

/// Where an entry stands.
struct Place<'f> {
    file: &'f str,
    /// The entry's lines, each with its number.
    lines: Vec<(usize, &'f str)>,
}

impl Place<'_> {
    fn line(&self) -> usize {
        self.lines.first().map_or(1, |(number, _)| *number)
    }

    /// The line of a key of the entry, else the entry's own.
    fn line_of(&self, key: &str) -> usize {
        let is_key = |line: &str| line.trim_start().strip_prefix(key).is_some_and(|rest| rest.starts_with(':'));
        self.lines.iter().find(|(_, line)| is_key(line)).map_or(self.line(), |(number, _)| *number)
    }

    fn error(&self, key: &str, message: impl Into<String>) -> CheckError {
        CheckError { file: self.file.to_owned(), line: self.line_of(key), message: message.into() }
    }
}

/// Whether expressions and cases are tried when they are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trial {
    /// A test of this program did it: trying them again takes longer than everything else at the start.
    Done,
    Due,
}

/// The files that come with the program, each with its name.
pub(super) fn built_in(files: &[(&str, &str)], trial: Trial) -> Result<BuiltIn, CheckError> {
    let mut checks: Vec<Check> = Vec::new();
    let mut slots = Slots::default();
    for (file, text) in files {
        for (entry, place) in entries(file, text)? {
            refuse_duplicate(&checks, &entry, &place)?;
            checks.push(check(entry, &place, trial, &mut slots)?);
        }
    }
    Ok(BuiltIn(Checks { checks, slots }))
}

/// Those, and the user's files, which are always tried.
pub(super) fn load(built_in: BuiltIn, own: &[(&str, &str)]) -> Result<Checks, CheckError> {
    let BuiltIn(Checks { mut checks, mut slots }) = built_in;
    let built_in = checks.len();
    for (file, text) in own {
        for (entry, place) in entries(file, text)? {
            if let Some(known) = checks[..built_in].iter_mut().find(|check| check.id == entry.id) {
                change(known, &entry, &place)?;
            } else {
                refuse_duplicate(&checks, &entry, &place)?;
                checks.push(check(entry, &place, Trial::Due, &mut slots)?);
            }
        }
    }
    checks.sort_by(|a, b| a.id.cmp(&b.id));
    let checks = Checks { checks, slots };
    explains_exist(&checks)?;
    explains_end(&checks)?;
    Ok(checks)
}

fn entries<'f>(file: &'f str, text: &'f str) -> Result<Vec<(Entry, Place<'f>)>, CheckError> {
    let entries: Vec<Entry> = serde_yaml::from_str::<Option<Vec<Entry>>>(text)
        .map_err(|error| {
            let message = error.to_string();
            let hint = misspelt(&message).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            let line = error.location().map_or(1, |location| location.line());
            CheckError { file: file.to_owned(), line, message: format!("{message}{hint}") }
        })?
        .unwrap_or_default();
    // Entries are told apart by their dashes: a list of mappings has one at the left margin of each.
    let mut places: Vec<Place<'f>> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.starts_with("- ") {
            places.push(Place { file, lines: Vec::new() });
        }
        if let Some(place) = places.last_mut() {
            place.lines.push((number, line.strip_prefix("- ").unwrap_or(line)));
        }
    }
    // Written in another style: no lines then, the first one stands for all.
    if places.len() != entries.len() {
        places = entries.iter().map(|_| Place { file, lines: Vec::new() }).collect();
    }
    Ok(entries.into_iter().zip(places).collect())
}

/// The right name for ``unknown field `x`, expected one of `a`, `b` ``, of fields and of values.
fn misspelt(message: &str) -> Option<&str> {
    let mut names = message.split('`').skip(1).step_by(2);
    message.contains("unknown ").then_some(())?;
    let wrong = names.next()?;
    nearest(wrong, names.map(|name| (name, name)))
}

fn refuse_duplicate(checks: &[Check], entry: &Entry, place: &Place<'_>) -> Result<(), CheckError> {
    match checks.iter().find(|check| check.id == entry.id) {
        Some(first) => {
            Err(place.error("id", format!("check `{}` is already at {}:{}", entry.id, first.file, first.line)))
        }
        None => Ok(()),
    }
}

/// A user's word on a built-in check.
fn change(check: &mut Check, entry: &Entry, place: &Place<'_>) -> Result<(), CheckError> {
    let id = &entry.id;
    if entry.defines() {
        let message =
            format!("`{id}` is built in: an entry for it can hold severity, disabled and reason, nothing else");
        return Err(place.error("id", message));
    }
    if let Some(Change { file, .. }) = &check.change {
        return Err(place.error("id", format!("check `{id}` is already changed in {file}")));
    }
    if entry.severity.is_none() && !entry.disabled {
        return Err(
            place.error("id", format!("the entry for `{id}` changes nothing: give it a severity or `disabled: true`"))
        );
    }
    let Some(reason) = entry.reason.clone().filter(|reason| !reason.trim().is_empty()) else {
        return Err(place.error("id", format!("changing `{id}` needs a `reason`, which reports print")));
    };
    let severity_was = check.severity;
    check.severity = entry.severity.unwrap_or(severity_was);
    check.change = Some(Change { file: place.file.to_owned(), reason, disabled: entry.disabled, severity_was });
    Ok(())
}

fn check(entry: Entry, place: &Place<'_>, trial: Trial, slots: &mut Slots) -> Result<Check, CheckError> {
    let id = entry.id;
    if !is_id(&id) {
        return Err(place.error("id", format!("`{id}` is no id: it must be like `kubelet/drop-in-missing`")));
    }
    if entry.disabled || entry.reason.is_some() {
        let message = format!("`disabled` and `reason` change a built-in check, and there is no `{id}`");
        return Err(place.error("id", message));
    }
    let missing = |key: &str| place.error("id", format!("check `{id}` has no `{key}`"));
    let fail = entry.fail.ok_or_else(|| missing("fail"))?;
    let expected_in = entry.expected_in.unwrap_or_default();
    let phases = entry.phases.unwrap_or_else(|| {
        use Phase::{ControlPlane, JoinedNotReady, Joining, Prepared, Ready};
        vec![Prepared, Joining, JoinedNotReady, Ready, ControlPlane]
    });
    if let Some(never) = expected_in.iter().find(|phase| !phases.contains(phase)) {
        let message = format!("check `{id}` expects failures in phase `{}`, where it does not apply", never.label());
        return Err(place.error("expected_in", message));
    }
    let said = |key: &str, text: &str| {
        Message::parse(text).map_err(|why| place.error(key, format!("check `{id}`, `{key}`: {why}")))
    };
    let message = said("message", &entry.message.ok_or_else(|| missing("message"))?)?;
    let title = entry.title.ok_or_else(|| missing("title"))?;
    let cell = said("cell", &entry.cell.unwrap_or_else(|| spoken(&id)))?;
    let mut compile = |key: &str, text: String| compile(&id, key, text, place, trial, slots);
    let mut explains = Vec::new();
    for edge in entry.explains.unwrap_or_default() {
        explains.push(match edge {
            EdgeEntry::Always(id) => Edge { id: id.into(), when: None },
            EdgeEntry::Guarded(edge) => Edge { when: Some(compile("explains", edge.when)?), id: edge.id.into() },
        });
    }
    let fail = compile("fail", fail)?;
    let warn = entry.warn.map(|warn| compile("warn", warn)).transpose()?;
    let mut named = fail.paths.iter().chain(warn.iter().flat_map(|warn| &warn.paths));
    let needs_target = id.starts_with("upgrade/") || named.any(|path| path.split('.').next() == Some("upgrade"));
    let check = Check {
        explains,
        reaches: entry.reaches.unwrap_or_default(),
        certain: entry.certain.map(|certain| compile("certain", certain)).transpose()?,
        expected_when: entry.expected_when.map(|when| compile("expected_when", when)).transpose()?,
        since: entry.since,
        fail,
        warn,
        needs_target,
        severity: entry.severity.ok_or_else(|| missing("severity"))?,
        title: title.into(),
        message,
        cell,
        roles: entry.roles.unwrap_or_else(|| vec![Role::ControlPlane, Role::Worker]),
        evidence: entry.evidence.unwrap_or_default(),
        remedy: entry.remedy.ok_or_else(|| missing("remedy"))?,
        explanation: entry.explanation.ok_or_else(|| missing("explanation"))?,
        source: entry.source.ok_or_else(|| missing("source"))?,
        cases: entry.cases.ok_or_else(|| missing("cases"))?,
        file: place.file.to_owned(),
        line: place.line(),
        change: None,
        phases,
        expected_in,
        id: id.into(),
    };
    if let Some(path) = &check.since {
        shape::at(path).map_err(|why| place.error("since", format!("check `{}`: {why}", check.id)))?;
    }
    for shown in &check.evidence {
        shape::at(&shown.path).map_err(|why| place.error("evidence", format!("check `{}`: {why}", check.id)))?;
    }
    if trial == Trial::Due {
        hold(&check, "failing", &check.cases.failing, place, slots)?;
        hold(&check, "passing", &check.cases.passing, place, slots)?;
    }
    Ok(check)
}

/// `drop-in missing` for `kubelet/drop-in-missing`: what a table says without better words.
fn spoken(id: &str) -> String {
    id.split_once('/').map_or(id, |(_, name)| name).replace('-', " ")
}

fn is_id(id: &str) -> bool {
    let kebab = |word: &str| {
        !word.is_empty()
            && word.split('-').all(|part| {
                !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            })
    };
    id.split_once('/').is_some_and(|(area, name)| kebab(area) && kebab(name))
}

fn compile(
    id: &str,
    key: &str,
    text: String,
    place: &Place<'_>,
    trial: Trial,
    slots: &mut Slots,
) -> Result<Expression, CheckError> {
    let error = |why: String| place.error(key, format!("check `{id}`, `{key}`: {why}"));
    let program = Program::compile(&text).map_err(|why| error(why.to_string()))?;
    let paths = shape::paths(program.expression()).map_err(error)?.into_iter().map(Alike::from).collect();
    let bound = slots.bind(program.expression());
    let expression = Expression { text, program, bound, paths };
    if trial == Trial::Done {
        return Ok(expression);
    }
    for filling in [Filling::Empty, Filling::Full, Filling::Absent] {
        try_on(&expression, &shape::document(filling)).map_err(|why| {
            let hint = match filling {
                Filling::Absent => " when a fact is absent: compare it with null first",
                Filling::Empty | Filling::Full => "",
            };
            error(format!("{why}{hint}"))
        })?;
    }
    Ok(expression)
}

/// A check's own cases must come out as they say.
fn hold(
    check: &Check,
    name: &str,
    patch: &BTreeMap<String, serde_json::Value>,
    place: &Place<'_>,
    slots: &Slots,
) -> Result<(), CheckError> {
    let error = |why: String| place.error("cases", format!("check `{}`, case `{name}`: {why}", check.id));
    let usual = if check.phases.contains(&Phase::Ready) && !check.expected_in.contains(&Phase::Ready) {
        Some(Phase::Ready)
    } else {
        check.phases.iter().copied().find(|phase| !check.expected_in.contains(phase)).or(check.phases.first().copied())
    };
    // What is normal wherever it applies is never more than expected.
    let never_a_fault = check.phases.iter().all(|phase| check.expected_in.contains(phase));
    let mut document = shape::document(Filling::Empty);
    shape::patch(&mut document, patch).map_err(error)?;
    let phase = match patch.get("node.phase") {
        Some(value) => serde_json::from_value(value.clone()).map_err(|why| error(why.to_string()))?,
        None => usual,
    };
    document["node"]["phase"] = serde_json::json!(phase);
    let has_target = !document["upgrade"].is_null();
    let values = slots.fill(&document);
    let node = Node {
        document: &document,
        values: &values,
        context: context(&values),
        phase,
        roles: &check.roles,
        has_target,
    };
    let found = node.judge(check);
    match (name, found.verdict) {
        ("failing", Verdict::Fail | Verdict::Warn) | ("passing", Verdict::Pass) => Ok(()),
        ("failing", Verdict::Expected) if never_a_fault => Ok(()),
        (_, verdict) => Err(error(format!("it comes out as {verdict:?} {}", found.message))),
    }
}

fn explains_exist(checks: &Checks) -> Result<(), CheckError> {
    for check in &checks.checks {
        if let Some(unknown) = check.explains.iter().map(|edge| &edge.id).find(|id| checks.get(id).is_none()) {
            let ids = checks.checks.iter().map(|check| (check.id.as_str(), check.id.as_str()));
            let hint = nearest(unknown, ids).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            let message = format!("check `{}` explains `{unknown}`, which does not exist{hint}", check.id);
            return Err(CheckError { file: check.file.clone(), line: check.line, message });
        }
    }
    Ok(())
}

/// No check may explain itself, however indirectly.
fn explains_end(checks: &Checks) -> Result<(), CheckError> {
    let mut done: Vec<&str> = Vec::new();
    for check in &checks.checks {
        if let Some(cycle) = cycle(checks, check, &mut Vec::new(), &mut done) {
            let message = format!("checks explain each other in a circle: {}", cycle.join(" -> "));
            return Err(CheckError { file: check.file.clone(), line: check.line, message });
        }
    }
    Ok(())
}

fn cycle<'c>(
    checks: &'c Checks,
    check: &'c Check,
    way: &mut Vec<&'c str>,
    done: &mut Vec<&'c str>,
) -> Option<Vec<&'c str>> {
    if done.contains(&check.id.as_str()) {
        return None;
    }
    if let Some(start) = way.iter().position(|id| check.id == *id) {
        return Some(way[start..].iter().copied().chain([check.id.as_str()]).collect());
    }
    way.push(&check.id);
    let found =
        check.explains.iter().filter_map(|edge| checks.get(&edge.id)).find_map(|next| cycle(checks, next, way, done));
    way.pop();
    done.push(&check.id);
    found
}
