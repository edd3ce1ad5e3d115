//! How a run of changes ended: which nodes are done, refused, failed, unsettled and untouched, why, and what to type next.

use std::io::{self, Write};

use super::lines::{self, Line};
use super::{folded_but_for_names, nodes};
use crate::change::journal::Outcome;
use crate::change::plan::{Decision, Plan};
use crate::change::summary::Summary;
use crate::exit::ExitCode;
use crate::report::causes::between;
use crate::report::style::{Style, Tone};

const INDENT: usize = 2;
/// So much of what shows an outcome is printed; the journal has all of it.
const MOST_EVIDENCE: usize = 12;

/// What came of a run.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    /// The run's id.
    pub run: &'a str,
    pub plan: &'a Plan,
    pub summary: &'a Summary,
    pub doing: Doing,
    /// Something is left that `undo` can take back.
    pub undo: bool,
}

/// What was done to the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Also when it was taken up again.
    Apply,
    Undo,
}

/// Worst last, so that it stands nearest to the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Kind {
    Done,
    Untouched,
    Refused,
    Unsettled,
    Failed,
}

impl Kind {
    const fn words(self, doing: Doing) -> &'static str {
        match (self, doing) {
            (Self::Done, Doing::Apply) => "done",
            (Self::Done, Doing::Undo) => "undone",
            (Self::Untouched, _) => "untouched",
            (Self::Refused, _) => "refused",
            (Self::Unsettled, _) => "unsettled",
            (Self::Failed, _) => "failed",
        }
    }

    const fn tone(self) -> Tone {
        match self {
            Self::Done => Tone::Good,
            Self::Untouched => Tone::Plain,
            Self::Refused | Self::Unsettled => Tone::Warn,
            Self::Failed => Tone::Fail,
        }
    }
}

/// Writes the summary of a run that has changed something, or tried to.
pub fn write(ended: Ended<'_>, style: &Style, out: &mut impl Write) -> io::Result<()> {
    let all = all(ended, style);
    let mut groups = folded_but_for_names(all.iter().map(|(name, kind, lines)| (*name, (*kind, lines.clone()))));
    groups.sort_by_key(|(_, (kind, _))| *kind);
    for (names, (kind, lines)) in &groups {
        lines::write_heading(names, kind.words(ended.doing), kind.tone(), style, out)?;
        lines::write_all(lines, style, out)?;
    }
    if !groups.is_empty() {
        writeln!(out)?;
    }
    let mut closing = Vec::new();
    if let Some(why) = &ended.summary.stopped {
        closing.push(Line { tone: Tone::Fail, ..Line::keyed(0, "stopped", why.clone()) });
    }
    if ended.summary.interrupted {
        let text = "what was running was brought to its end, and nothing else was begun";
        closing.push(Line { tone: Tone::Warn, ..Line::keyed(0, "stopped", text) });
    }
    let counted = [Kind::Done, Kind::Refused, Kind::Failed, Kind::Unsettled, Kind::Untouched].map(|wanted| {
        let count = all.iter().filter(|(_, kind, _)| *kind == wanted).count();
        (count > 0).then(|| format!("{count} {}", wanted.words(ended.doing)))
    });
    let counted: Vec<String> = counted.into_iter().flatten().collect();
    closing.push(Line::plain(0, format!("{}: {}", nodes(all.len()), counted.join(", ")), Tone::Heading));
    closing.extend(next(ended, &all));
    lines::write_all(&closing, style, out)
}

/// What can be typed now.
fn next(ended: Ended<'_>, all: &[(&str, Kind, Vec<Line>)]) -> Vec<Line> {
    let any = |kinds: &[Kind]| all.iter().any(|(_, kind, _)| kinds.contains(kind));
    let mut lines = Vec::new();
    match ended.doing {
        Doing::Apply => {
            if any(&[Kind::Unsettled]) || ended.summary.interrupted {
                lines.push(Line::command(0, "go on", &format!("seaworthy run --resume {}", ended.run)));
            }
            if ended.undo {
                lines.push(Line::command(0, "undo", &format!("seaworthy undo {}", ended.run)));
            }
        }
        Doing::Undo if any(&[Kind::Unsettled, Kind::Failed, Kind::Untouched]) => {
            lines.push(Line::command(0, "go on", &format!("seaworthy undo {}", ended.run)));
        }
        Doing::Undo => {}
    }
    lines
}

/// Every node of the plan that is not as it should be already, with what is said about it.
fn all<'a>(ended: Ended<'a>, style: &Style) -> Vec<(&'a str, Kind, Vec<Line>)> {
    let Ended { plan, summary, doing, .. } = ended;
    let mut all = Vec::new();
    for node in &plan.nodes {
        let name = node.node.as_str();
        if let Some((_, outcome)) = summary.nodes.iter().find(|(begun, _)| begun == name) {
            let (kind, lines) = outcome_lines(outcome, summary.unreachable.iter().any(|lost| lost == name), style);
            all.push((name, kind, lines));
        } else if summary.untouched.iter().any(|left| left == name) {
            all.push((name, Kind::Untouched, Vec::new()));
        } else if let (Decision::Refused { refusals }, Doing::Apply) = (&node.decision, doing) {
            let lines = refusals.iter().flat_map(|refusal| {
                let reason = Line::plain(INDENT, format!("{}: {}", refusal.guard, refusal.reason), Tone::Plain);
                let next = (!refusal.next.is_empty()).then(|| Line::keyed(INDENT, "next", refusal.next.clone()));
                [Some(reason), next].into_iter().flatten()
            });
            all.push((name, Kind::Refused, lines.collect()));
        }
    }
    all
}

fn outcome_lines(outcome: &Outcome, unreachable: bool, style: &Style) -> (Kind, Vec<Line>) {
    let plain = |text: &str| Line::plain(INDENT, text, Tone::Plain);
    let evidence = |evidence: &[String]| -> Vec<Line> {
        let mut said: Vec<String> = evidence.iter().take(MOST_EVIDENCE).cloned().collect();
        let more = evidence.len().saturating_sub(MOST_EVIDENCE);
        said.extend((more > 0).then(|| format!("{more} more in the journal")));
        (!said.is_empty()).then(|| Line::keyed(INDENT, "evidence", said.join(between(style)))).into_iter().collect()
    };
    let next = |next: &str| (!next.is_empty()).then(|| Line::keyed(INDENT, "next", next));
    match outcome {
        Outcome::Done { evidence: shown } => (Kind::Done, evidence(shown)),
        Outcome::Skipped { why } => (Kind::Done, vec![plain(&format!("nothing had to be done: {why}"))]),
        Outcome::Refused { why, next: then } => (Kind::Refused, [plain(why)].into_iter().chain(next(then)).collect()),
        Outcome::Failed { why, next: then, evidence: shown } => {
            let why = if unreachable { format!("not reached, and so not changed: {why}") } else { why.clone() };
            let mut lines = vec![plain(&why)];
            lines.extend(evidence(shown));
            lines.extend(next(then));
            (Kind::Failed, lines)
        }
        Outcome::Unsettled { why } => (Kind::Unsettled, vec![plain(&format!("nobody knows how it ended: {why}"))]),
    }
}

/// What a run of changes amounts to for the shell.
///
/// A budget that is spent wins over the failures that spent it. Nodes that were not reached, in the run or in the sweep before
/// it (`unread`), are unreachable.
pub fn exit_code(plan: &Plan, summary: &Summary, unread: &[String]) -> ExitCode {
    let refused = plan.nodes.iter().filter_map(|node| match node.decision {
        Decision::Refused { .. } if unread.contains(&node.node) => Some(ExitCode::Unreachable),
        Decision::Refused { .. } => Some(ExitCode::Problems),
        Decision::Nothing { .. } | Decision::Change { .. } => None,
    });
    refused.fold(exit_code_of_undo(summary), ExitCode::merge)
}

/// The same for what was taken back, where what the plan refused does not matter.
pub fn exit_code_of_undo(summary: &Summary) -> ExitCode {
    if summary.interrupted {
        return ExitCode::Interrupted;
    }
    if summary.stopped.is_some() {
        return ExitCode::BudgetSpent;
    }
    let untouched = if summary.untouched.is_empty() { ExitCode::Ok } else { ExitCode::Problems };
    let of = |(name, outcome): &(String, Outcome)| match outcome {
        Outcome::Done { .. } | Outcome::Skipped { .. } => ExitCode::Ok,
        Outcome::Failed { .. } if summary.unreachable.contains(name) => ExitCode::Unreachable,
        Outcome::Refused { .. } | Outcome::Failed { .. } | Outcome::Unsettled { .. } => ExitCode::Problems,
    };
    summary.nodes.iter().map(of).fold(untouched, ExitCode::merge)
}
