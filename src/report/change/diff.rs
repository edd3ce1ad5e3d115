//! The files that a plan writes, as unified diffs; the same diff on several nodes stands once.

use std::io::{self, Write};

use similar::TextDiff;

use super::folded;
use crate::change::plan::{Action, Change, Decision, NodePlan, Plan, WriteFile};
use crate::change::state::Path;
use crate::names;
use crate::report::style::{Style, Tone};

/// Lines around a change.
const CONTEXT: usize = 3;

/// Writes all diffs; nothing when no file is written. Lines are as long as the files' own.
pub fn write(plan: &Plan, style: &Style, out: &mut impl Write) -> io::Result<()> {
    let files = plan.nodes.iter().flat_map(|node| files(node).map(|file| (node.node.as_str(), lines(file))));
    for (nodes, lines) in folded(files) {
        let who = names::folded(nodes);
        writeln!(out, "{}", style.paint(Tone::Heading, &style.text(&format!("on {who}:"))))?;
        for (tone, line) in &lines {
            writeln!(out, "{}", style.paint(*tone, &style.text(line)))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn files(node: &NodePlan) -> impl Iterator<Item = &WriteFile> {
    let actions: &[Action] = match &node.decision {
        Decision::Change { actions, .. } => actions,
        Decision::Nothing { .. } | Decision::Refused { .. } => &[],
    };
    actions.iter().filter_map(|action| match &action.change {
        Change::WriteFile(file) => Some(file),
        _ => None,
    })
}

fn lines(file: &WriteFile) -> Vec<(Tone, String)> {
    let path = &file.path;
    let Path::File(before) = &file.before else {
        let mut lines = headers("/dev/null", path);
        lines.extend(changes("", &file.content));
        return lines;
    };
    let mut lines = headers(path, path);
    if (before.mode, before.uid, before.gid) != (file.mode, file.uid, file.gid) {
        let old = format!("-mode {:04o}, owner {}:{}", before.mode, before.uid, before.gid);
        let new = format!("+mode {:04o}, owner {}:{}", file.mode, file.uid, file.gid);
        lines.extend([(Tone::Fail, old), (Tone::Good, new)]);
    }
    if before.content.is_none() {
        let old = format!("-{} bytes that cannot be shown, sha256 {}", before.size, before.sha256);
        lines.push((Tone::Fail, old));
    }
    lines.extend(changes(before.content.as_deref().unwrap_or_default(), &file.content));
    lines
}

fn headers(old: &str, new: &str) -> Vec<(Tone, String)> {
    vec![(Tone::Heading, format!("--- {old}")), (Tone::Heading, format!("+++ {new}"))]
}

fn changes(old: &str, new: &str) -> Vec<(Tone, String)> {
    let diff = TextDiff::from_lines(old, new);
    let text = diff.unified_diff().context_radius(CONTEXT).to_string();
    let tone = |line: &str| match line.as_bytes().first() {
        Some(b'-') => Tone::Fail,
        Some(b'+') => Tone::Good,
        Some(b'@' | b'\\') => Tone::Dim,
        _ => Tone::Plain,
    };
    // Not `lines()`: a carriage return is a part of the line, and shown.
    text.split_terminator('\n').map(|line| (tone(line), line.to_owned())).collect()
}
