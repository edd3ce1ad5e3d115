//! From what was seen of a join to what it means: the deepest phase, the class of the failure, what is proven. The table says
//! which texts mean what; here is only how they weigh against each other.

use super::command;
use super::model::{
    Attempt, Caveat, Cut, Evidence, FailureClass, NextStep, Outcome, Phase, PreflightError, Proven, Stream,
};
use super::runs::{Join, Label, Match, Part, Raw};
use super::table::{Class, Failure, Table};
use crate::probe::redact;

/// Lines that are shown for one attempt.
const MAX_EVIDENCE: usize = 8;
/// Longer lines are cut.
const MAX_CHARS: usize = 300;

/// So many refused checks are named in one line.
const MAX_NAMES: usize = 5;

/// What is known of an attempt beyond its own lines.
#[derive(Debug, Default)]
pub(super) struct Circumstances {
    pub(super) host: Option<String>,
    /// When its task began, if it is the task's only attempt.
    pub(super) started: Option<String>,
    /// The status that its task ended with.
    pub(super) rc: Option<i64>,
    /// Whether numbers of lines are those of the log.
    pub(super) numbered: bool,
}

/// Judges one attempt. Its number and what lies before it are filled in by the caller.
pub(super) fn judge(table: &Table, join: &Join, around: &Circumstances) -> Attempt {
    let reached = join.parts.iter().map(|part| part.deepest).max().unwrap_or(Phase::Start);
    let evidence_of = |raw: &Raw| evidence(raw, around.numbered);
    let found = class_of(table, &join.parts, reached);
    let ended = join.parts.iter().find_map(|part| part.end.as_ref());
    let errors = errors(table, join, |part| &part.errors);
    let command = join.command.as_deref();
    let caveats = command.map(|command| command::caveats(command, table.own_wait)).unwrap_or_default();
    let ignored = ignored(table, join, &caveats);

    let outcome = if reached == Phase::Joined {
        Outcome::Joined
    } else if ended.is_some() || !errors.is_empty() {
        let class = if errors.is_empty() {
            found.map_or_else(|| class(&table.phase(reached).otherwise), |(failure, _)| class(&failure.class))
        } else {
            refused(table, &errors)
        };
        Outcome::Failed { class, errors }
    } else {
        Outcome::CutOff { by: cut(join.cut, around.rc), class: found.map(|(failure, _)| class(&failure.class)) }
    };

    let mut shown: Vec<&Raw> = join.parts.iter().flat_map(|part| &part.errors).map(|label| &label.message).collect();
    if shown.is_empty() {
        shown.extend(join.parts.iter().filter_map(|part| part.entered.get(&reached)));
        shown.extend(found.map(|(_, found)| &found.raw));
    }
    shown.extend(ended);
    shown.sort_by_key(|raw| (raw.stream, raw.line));
    shown.dedup_by_key(|raw| (raw.stream, raw.line));
    let mut evidence: Vec<Evidence> = shown.into_iter().map(evidence_of).collect();
    evidence.dedup_by(|a, b| a.text == b.text);
    evidence.truncate(MAX_EVIDENCE);

    Attempt {
        number: 1,
        host: around.host.clone(),
        command: command.map(command::shown),
        started: began(join).or_else(|| around.started.clone()),
        reached,
        outcome,
        proven: proven(table, join, reached, &caveats),
        ahead: ahead(join, reached),
        caveats,
        ignored,
        after_reset: false,
        same_as: None,
        evidence,
    }
}

/// The failure that the texts show. Only what was printed where its stream was deepest counts: what failed before and was
/// retried with success is over. Of strong ones the last printed wins, because kubeadm ends with the error that it gave up on;
/// weak ones are what remains when nothing stronger was printed.
fn class_of<'p>(table: &'p Table, parts: &'p [Part], reached: Phase) -> Option<(&'p Failure, &'p Match)> {
    let candidates = |anywhere: bool, weak: bool| {
        let fits = move |failure: &&Failure| {
            failure.weak == weak && failure.phase == if anywhere { None } else { Some(reached) }
        };
        let found = table.failures.iter().enumerate().filter(move |(_, failure)| fits(failure));
        found.filter_map(move |(index, failure)| {
            let counts = |part: &&Part| {
                part.matches.get(&index).is_some_and(|found| found.phase >= failure.since.unwrap_or(part.deepest))
            };
            parts.iter().filter(counts).find_map(|part| part.matches.get(&index)).map(|found| (failure, found))
        })
    };
    // On one line the table's order decides: the first of the latest.
    let latest = |anywhere| {
        candidates(anywhere, false).fold(None, |best: Option<(&Failure, &Match)>, next| match best {
            Some(best) if best.1.last >= next.1.last => Some(best),
            _ => Some(next),
        })
    };
    latest(false).or_else(|| latest(true)).or_else(|| candidates(false, true).next())
}

fn class(class: &Class) -> FailureClass {
    FailureClass {
        id: class.id.clone(),
        says: class.says.clone(),
        leaves: class.leaves.clone(),
        checks: class.checks.clone(),
        names: class.names.clone(),
        next: class.next.clone(),
    }
}

/// The class of a join that the pre-flight checks refused: what all of their errors say.
fn refused(table: &Table, errors: &[PreflightError]) -> FailureClass {
    let own = &table.phase(Phase::Preflight).otherwise;
    let mut checks: Vec<String> = Vec::new();
    let mut next: Vec<NextStep> = Vec::new();
    for error in errors {
        checks.extend(error.checks.iter().filter(|check| !checks.contains(check)).cloned().collect::<Vec<_>>());
        next.extend(error.next.iter().filter(|step| !next.contains(step)).cloned().collect::<Vec<_>>());
    }
    let named = if let [one] = errors {
        one.says.clone()
    } else {
        let names: Vec<&str> = errors.iter().take(MAX_NAMES).map(|error| error.name.as_str()).collect();
        let more = errors.len().saturating_sub(MAX_NAMES);
        names.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
    };
    let says = format!("{}: {named}", own.says);
    FailureClass { id: "preflight-checks".to_owned(), says, leaves: None, checks, names: None, next }
}

fn errors(table: &Table, join: &Join, list: impl Fn(&Part) -> &Vec<Label>) -> Vec<PreflightError> {
    let labels: Vec<&Label> = join.parts.iter().flat_map(list).collect();
    let names: Vec<&str> = labels.iter().map(|label| label.name.as_str()).collect();
    labels.iter().filter_map(|label| preflight_error(table, label, &names)).collect()
}

fn preflight_error(table: &Table, label: &Label, names: &[&str]) -> Option<PreflightError> {
    let row = table.preflight_error(&label.name, names)?;
    let text = &label.message.text;
    let message = text.split_once("]: ").map_or(text.as_str(), |(_, message)| message);
    Some(PreflightError {
        name: label.name.clone(),
        message: shown(message),
        says: row.says.clone(),
        checks: row.checks.clone(),
        names: row.names.clone(),
        next: row.next.clone(),
    })
}

/// The errors that a flag turned into warnings.
fn ignored(table: &Table, join: &Join, caveats: &[Caveat]) -> Vec<PreflightError> {
    let names = caveats.iter().find_map(|caveat| match caveat {
        Caveat::IgnoresErrors { names } => Some(names),
        _ => None,
    });
    let Some(names) = names else { return Vec::new() };
    // `all` turns every error into a warning; which warnings were errors cannot be told, so only known errors count.
    let meant = |name: &str| names.iter().any(|ignored| ignored.eq_ignore_ascii_case(name));
    errors(table, join, |part| &part.warnings).into_iter().filter(|error| meant(&error.name)).collect()
}

fn cut(cut: Cut, rc: Option<i64>) -> Cut {
    match rc {
        Some(124) => Cut::Timeout,
        Some(130 | 137 | 143 | -2 | -9 | -15) => Cut::Signal,
        _ => cut,
    }
}

fn began(join: &Join) -> Option<String> {
    join.parts.iter().find_map(|part| part.began).map(|stamp| stamp.to_string())
}

fn proven(table: &Table, join: &Join, reached: Phase, caveats: &[Caveat]) -> Proven {
    let mut what = table.phase(reached).proves.clone();
    if caveats.contains(&Caveat::UnpinnedCa) {
        what = what.replace(", CA", "").replace(", token and CA", " and token");
    }
    // From the first stamp to the last one that is not of the deepest phase.
    let seconds = join.parts.iter().find_map(|part| {
        let (_, last) = part.stamps.range(..reached).next_back()?;
        part.began?.until(last)
    });
    Proven { what, seconds: seconds.filter(|_| reached > Phase::Preflight) }
}

/// The phases that are still to come.
fn ahead(join: &Join, reached: Phase) -> Vec<Phase> {
    if reached == Phase::Joined {
        return Vec::new();
    }
    let is_control_plane =
        join.parts.iter().flat_map(|part| part.entered.keys()).any(|phase| phase.is_for_control_planes())
            || join.command.as_ref().is_some_and(|command| command.contains("--control-plane"));
    let wanted = |phase: &Phase| *phase >= reached && (is_control_plane || !phase.is_for_control_planes());
    Phase::ALL.into_iter().filter(wanted).collect()
}

/// A line as it may be shown.
pub(super) fn evidence(raw: &Raw, numbered: bool) -> Evidence {
    let known = numbered || raw.stream != Stream::Log;
    Evidence { stream: raw.stream, line: known.then_some(raw.line), text: shown(&raw.text) }
}

fn shown(text: &str) -> String {
    let clean = redact::text(text);
    match clean.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean.into_owned(),
    }
}

/// Whether two attempts ended in the same phase for the same reason, with the same evidence but for times and numbers.
pub(super) fn is_same(a: &Attempt, b: &Attempt) -> bool {
    let errors = |attempt: &Attempt| match &attempt.outcome {
        Outcome::Failed { errors, .. } => errors.iter().map(|error| error.name.clone()).collect(),
        _ => Vec::new(),
    };
    let class = |attempt: &Attempt| attempt.outcome.class().map(|class| class.id.clone());
    let lines = |attempt: &Attempt| attempt.evidence.iter().map(|line| without_numbers(&line.text)).collect::<Vec<_>>();
    a.outcome.ending() == b.outcome.ending()
        && a.outcome != Outcome::Joined
        && a.reached == b.reached
        && class(a) == class(b)
        && errors(a) == errors(b)
        && lines(a) == lines(b)
}

/// Every run of digits, with the dots and blanks between digits, as one `#`.
fn without_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        let number = out.ends_with('#');
        match char {
            '0'..='9' | '.' | ':' | ' ' if number => {}
            '0'..='9' => out.push('#'),
            _ => out.push(char),
        }
    }
    out
}
