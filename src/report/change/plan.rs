//! A plan for people: what stands in the way first, then what is done, node by node with equal ones folded, then how it goes.

use std::io::{self, Write};

use super::lines::{self, Line};
use super::{folded_but_for_names, nodes, words};
use crate::change::batches::batches;
use crate::change::plan::{Action, Change, Condition, Decision, Join, NodePlan, Plan, Refusal, Reset, Undo, WriteFile};
use crate::change::state::Path;
use crate::duration;
use crate::playbook::{Portion, Strategy};
use crate::report::causes::between;
use crate::report::style::{Style, Tone};

/// What stands below the name of a node.
const INDENT: usize = 2;
/// What stands below an action.
const DEEPER: usize = 5;
/// So many batches are counted out.
const MOST_BATCHES: usize = 8;

/// Writes a plan. Nothing of it is cut: what is agreed to is seen whole.
pub fn write(plan: &Plan, style: &Style, out: &mut impl Write) -> io::Result<()> {
    let of = |wanted: Kind| plan.nodes.iter().filter(move |node| kind(node) == wanted);
    let said =
        |wanted: Kind| folded_but_for_names(of(wanted).map(|node| (node.node.as_str(), ((), node_lines(node, style)))));
    for (names, ((), lines)) in said(Kind::Refused) {
        lines::write_heading(&names, "refused, nothing is done there", Tone::Fail, style, out)?;
        lines::write_all(&lines, style, out)?;
        writeln!(out)?;
    }
    for (names, ((), lines)) in said(Kind::Change) {
        lines::write_heading(&names, "to be changed", Tone::Warn, style, out)?;
        lines::write_all(&lines, style, out)?;
        writeln!(out)?;
    }
    let idle = said(Kind::Nothing);
    for (names, ((), lines)) in &idle {
        let why = lines.first().map_or("", |line| line.text.as_str());
        lines::write_heading(names, &format!("nothing to do: {why}"), Tone::Plain, style, out)?;
    }
    if !idle.is_empty() {
        writeln!(out)?;
    }
    let changing: Vec<&str> = of(Kind::Change).map(|node| node.node.as_str()).collect();
    if !changing.is_empty() {
        let mut how = vec![Line::keyed(0, "order", order(&plan.strategy, &changing))];
        if !plan.accept_unknown.is_empty() {
            let accepted = format!("as unknown, as you named them: {}", plan.accept_unknown.join(between(style)));
            how.push(Line { tone: Tone::Warn, ..Line::keyed(0, "accepts", accepted) });
        }
        lines::write_all(&how, style, out)?;
    }
    let closing = format!(
        "{}: {}: {} to change, {} refused, {} as it should be",
        plan.playbook,
        nodes(plan.nodes.len()),
        changing.len(),
        of(Kind::Refused).count(),
        of(Kind::Nothing).count(),
    );
    lines::write_all(&[Line::plain(0, closing, Tone::Heading)], style, out)
}

/// Writes what is left to be taken back: each node with the places of these actions, in the order in which they are.
pub fn write_undo(plan: &Plan, left: &[(String, Vec<usize>)], style: &Style, out: &mut impl Write) -> io::Result<()> {
    let said = left.iter().filter_map(|(name, places)| {
        let node = plan.nodes.iter().find(|node| node.node == *name)?;
        let Decision::Change { actions, .. } = &node.decision else { return None };
        let undone = places.iter().filter_map(|place| Some((*place, actions.get(*place)?)));
        let lines = undone.flat_map(|(place, action)| undo_lines(place + 1, action)).collect::<Vec<Line>>();
        Some((name.as_str(), ((), lines)))
    });
    for (names, ((), lines)) in folded_but_for_names(said) {
        lines::write_heading(&names, "to be taken back", Tone::Warn, style, out)?;
        lines::write_all(&lines, style, out)?;
        writeln!(out)?;
    }
    Ok(())
}

fn undo_lines(number: usize, action: &Action) -> Vec<Line> {
    let mut lines = vec![Line::plain(INDENT, format!("{number}. {}", words::action(&action.change)), Tone::Plain)];
    lines.extend(undo_line(&action.undo));
    lines
}

fn undo_line(undo: &Undo) -> Option<Line> {
    match undo {
        Undo::Command { run } => Some(Line::command(DEEPER, "undo", run)),
        undo => words::undo(undo).map(|words| Line::keyed(DEEPER, "undo", words)),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Refused,
    Change,
    Nothing,
}

const fn kind(node: &NodePlan) -> Kind {
    match node.decision {
        Decision::Refused { .. } => Kind::Refused,
        Decision::Change { .. } => Kind::Change,
        Decision::Nothing { .. } => Kind::Nothing,
    }
}

/// All that is said below a node's name; the node's own name is not in it.
fn node_lines(node: &NodePlan, style: &Style) -> Vec<Line> {
    match &node.decision {
        Decision::Nothing { why } => vec![Line::plain(0, why.clone(), Tone::Plain)],
        Decision::Refused { refusals } => refusals.iter().flat_map(refusal).collect(),
        Decision::Change { actions, .. } => {
            (1..).zip(actions).flat_map(|(number, each)| action(&node.node, number, each, style)).collect()
        }
    }
}

fn refusal(refusal: &Refusal) -> Vec<Line> {
    let Refusal { guard, unknown, reason, next } = refusal;
    let headline = if *unknown { format!("{guard}: not known: {reason}") } else { format!("{guard}: {reason}") };
    let mut lines = vec![Line::plain(INDENT, headline, Tone::Plain)];
    if !next.is_empty() {
        lines.push(Line::keyed(DEEPER, "next", next.clone()));
    }
    lines
}

fn action(node: &str, number: usize, action: &Action, style: &Style) -> Vec<Line> {
    let mut lines = Vec::new();
    let first = format!("{number}. {}", words::action(&action.change));
    let command = matches!(action.change, Change::Command { .. });
    lines.push(if command {
        Line { wrap: lines::Wrap::Exact, ..Line::plain(INDENT, first, Tone::Plain) }
    } else {
        Line::plain(INDENT, first, Tone::Plain)
    });
    match &action.change {
        Change::WriteFile(file) => lines.extend(file_lines(file, style)),
        Change::KubeadmJoin(join) => lines.extend(join_lines(node, join, style)),
        Change::KubeadmReset(reset) => lines.extend(reset_lines(reset, style)),
        Change::RestartService { .. } | Change::Command { .. } | Change::WaitFor { .. } => {}
    }
    let reason = match &action.reason.check {
        Some(check) => format!("{check}: {}", action.reason.text),
        None => action.reason.text.clone(),
    };
    // A wait says by itself what it is for.
    if !matches!(action.change, Change::WaitFor { .. }) {
        lines.push(Line::keyed(DEEPER, "because", reason));
    }
    for Condition::StillFails { check, after } in &action.only_if {
        lines.push(Line::keyed(DEEPER, "only if", format!("{check} still fails after {}", duration::exact(*after))));
    }
    lines.extend(undo_line(&action.undo));
    lines
}

fn file_lines(file: &WriteFile, style: &Style) -> Vec<Line> {
    let is = [
        format!("mode {:04o}", file.mode),
        format!("owner {}:{}", file.uid, file.gid),
        format!("{} bytes", file.content.len()),
        format!("sha256 {}", file.sha256.get(..12).unwrap_or(&file.sha256)),
    ];
    let was = match &file.before {
        Path::Absent => "nothing, the file is new".to_owned(),
        Path::File(before) => format!("{}, owner {}:{}", file.before.words(), before.uid, before.gid),
        other => other.words(),
    };
    let mut lines = vec![Line::keyed(DEEPER, "file", is.join(between(style))), Line::keyed(DEEPER, "replaces", was)];
    lines.extend(
        file.verify.as_ref().map(|loaded| {
            Line::keyed(DEEPER, "verify", format!("the runtime has loaded the network {}", loaded.network))
        }),
    );
    lines
}

fn join_lines(node: &str, join: &Join, style: &Style) -> Vec<Line> {
    // Nodes that keep their names are told in the same words, and so folded.
    let name =
        if join.node_name == node { "under its own name".to_owned() } else { format!("as node {}", join.node_name) };
    let mut how = vec![
        name,
        format!("with a token of its own, made on {} and deleted afterwards", join.control_plane),
        format!("kubeadm 1.{}", join.kubeadm_minor),
    ];
    let times = if join.attempts == 1 { "1 attempt".to_owned() } else { format!("up to {} attempts", join.attempts) };
    how.push(times);
    let mut lines = vec![Line::keyed(DEEPER, "join", how.join(between(style)))];
    lines.push(Line::keyed(DEEPER, "CA", join.ca_pins.join(between(style))));
    lines.push(Line::keyed(DEEPER, "writes", join.writes.join(between(style))));
    if let Some(path) = &join.stale_ca {
        lines.push(Line::keyed(DEEPER, "moves", format!("{path} of an earlier join out of the way")));
    }
    if !join.ignore.is_empty() {
        let text =
            format!("{} (errors of kubeadm's pre-flight checks, as you named them)", join.ignore.join(between(style)));
        lines.push(Line { tone: Tone::Warn, ..Line::keyed(DEEPER, "ignores", text) });
    }
    lines
}

fn reset_lines(reset: &Reset, style: &Style) -> Vec<Line> {
    let mounts = if reset.mounts.is_empty() { "none are there".to_owned() } else { reset.mounts.join(between(style)) };
    let deletes = if reset.deletes.is_empty() { "nothing".to_owned() } else { reset.deletes.join(between(style)) };
    vec![
        Line { tone: Tone::Warn, ..Line::keyed(DEEPER, "deletes", deletes) },
        Line::keyed(DEEPER, "keeps", format!("mounts, looked at before and after: {mounts}")),
    ]
}

/// `in batches of 1, 2, 5: node1 first; the first failure stops the run`.
fn order(strategy: &Strategy, changing: &[&str]) -> String {
    let sizes: Vec<usize> = batches(strategy, changing).iter().map(Vec::len).collect();
    let mut text = if let [1] = sizes[..] {
        "one node".to_owned()
    } else if let [all] = sizes[..] {
        format!("all {all} at once")
    } else {
        let counted: Vec<String> = sizes.iter().take(MOST_BATCHES).map(ToString::to_string).collect();
        let more = sizes.len().saturating_sub(MOST_BATCHES);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        format!("in batches of {}{more}: {} first", counted.join(", "), changing[0])
    };
    let parallel = strategy.parallel.map(|most| format!(", at most {most} at the same time"));
    text.push_str(&parallel.unwrap_or_default());
    let budget = match strategy.max_failed {
        Portion::Nodes(0) | Portion::Percent(0) => "; the first failure stops the run".to_owned(),
        Portion::Nodes(count) => format!("; more than {count} failed nodes stop the run"),
        Portion::Percent(percent) => format!("; more than {percent}% failed nodes stop the run"),
    };
    text.push_str(&budget);
    if strategy.stop_at_same_failure && !matches!(strategy.max_failed, Portion::Nodes(0) | Portion::Percent(0)) {
        text.push_str(", and so does a second failure in the same words");
    }
    text
}
