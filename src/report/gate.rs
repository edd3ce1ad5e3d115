//! The answer to "may I upgrade?" for people: a table of versions and decisions, one line per blocker, the warnings folded,
//! and one closing sentence.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::checks::{Checks, Finding, Severity};
use crate::names;
use crate::report::grid::{self, Align, Cell, Column, Grid};
use crate::report::model::{NodeReport, Report};
use crate::report::rows;
use crate::report::style::{Style, Tone};
use crate::text;
use crate::upgrade::gate::{self, Decision, Gate};
use crate::verdict::Verdict;

/// No name takes more columns beside others.
const WIDEST_NAME: usize = 28;
/// The least that a sentence needs beside them.
const NARROWEST_TEXT: usize = 30;
/// A check that says more different things than that is told in its title's words.
const MOST_MESSAGES: usize = 3;

/// Table, blockers, warnings and the closing sentence.
pub fn write(report: &Report, gate: &Gate, checks: &Checks, style: &Style, out: &mut impl Write) -> io::Result<()> {
    write_table(&report.nodes, style, out)?;
    write_lines(report, gate, checks, style, out)
}

/// All of that but the table.
pub fn write_lines(
    report: &Report,
    gate: &Gate,
    checks: &Checks,
    style: &Style,
    out: &mut impl Write,
) -> io::Result<()> {
    let told = Told { checks, nodes: &report.nodes };
    let blocks = |_: &NodeReport, finding: &Finding| gate::blocks(finding);
    let unknown = |node: &NodeReport, finding: &Finding| {
        let matters = matches!(finding.severity, Severity::Blocker | Severity::High);
        node.failure.is_none() && finding.verdict == Verdict::Unknown && matters && finding.id.starts_with("upgrade/")
    };
    let warns = |_: &NodeReport, finding: &Finding| finding.is_fault() && !gate::blocks(finding);
    let parts = [
        ("blockers", Tone::Fail, told.lines(blocks, true)),
        ("not judged", Tone::Dim, told.lines(unknown, false)),
        ("warnings", Tone::Warn, told.lines(warns, false)),
    ];
    for (heading, tone, lines) in parts.iter().filter(|(_, _, lines)| !lines.is_empty()) {
        writeln!(out, "\n{}", style.paint(*tone, heading))?;
        write_columns(lines, style, out)?;
    }
    writeln!(out)?;
    for piece in text::wrap(&style.text(&closing(gate)), style.width) {
        writeln!(out, "{piece}")?;
    }
    Ok(())
}

/// `12 of 14 nodes may be upgraded to 1.35; 2 are blocked`
fn closing(gate: &Gate) -> String {
    let may = gate.may_upgrade.len();
    let total = may + gate.blocked.len() + gate.undecided.len() + gate.unread.len();
    let noun = if total == 1 { "node" } else { "nodes" };
    let mut said = vec![format!("{may} of {total} {noun} may be upgraded to {}", gate.target)];
    let parts = [
        (gate.blocked.len(), "is blocked", "are blocked"),
        (gate.undecided.len(), "could not be judged", "could not be judged"),
        (gate.unread.len(), "was not read", "were not read"),
        (gate.outside.len(), "has not joined", "have not joined"),
    ];
    let counted = parts.into_iter().filter(|(count, ..)| *count > 0);
    said.extend(counted.map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many })));
    if !gate.blocked_control_planes.is_empty() {
        let names = names::folded(gate.blocked_control_planes.iter().map(String::as_str));
        said.push(format!("the control plane goes first and is blocked: {names}"));
    } else if !gate.control_plane_read && total > 0 {
        said.push("no control plane was read, so the cluster's own version is not known".to_owned());
    }
    said.join("; ")
}

/// What is said of some nodes by one check. Texts may still be a node's own.
struct Line {
    who: String,
    id: String,
    said: String,
    /// What to do, or what it follows from; empty when it is not told.
    next: String,
}

/// Findings to lines.
struct Told<'r> {
    checks: &'r Checks,
    nodes: &'r [NodeReport],
}

/// Nodes with equal words about them.
struct Same<'r> {
    finding: &'r Finding,
    names: Vec<&'r str>,
}

impl<'r> Told<'r> {
    /// The worst first; what nothing else explains before what follows from it.
    fn lines(&self, wanted: impl Fn(&NodeReport, &Finding) -> bool, with_next: bool) -> Vec<Line> {
        let mut by_check: BTreeMap<&str, Vec<Same<'r>>> = BTreeMap::new();
        for node in self.nodes {
            for finding in node.findings.iter().filter(|finding| wanted(node, finding)) {
                let groups = by_check.entry(&finding.id).or_default();
                let equal = |same: &&Same<'_>| {
                    (&same.finding.message, &same.finding.explained_by) == (&finding.message, &finding.explained_by)
                };
                match groups.iter().position(|same| equal(&same)) {
                    Some(place) => groups[place].names.push(&node.name),
                    // Told once for all anyway: more groups are of no use.
                    None if groups.len() > MOST_MESSAGES => groups[MOST_MESSAGES].names.push(&node.name),
                    None => groups.push(Same { finding, names: vec![&node.name] }),
                }
            }
        }
        let mut groups: Vec<(Same<'r>, bool)> = Vec::new();
        for same in by_check.into_values() {
            let Some(first) = same.first().filter(|_| same.len() > MOST_MESSAGES) else {
                groups.extend(same.into_iter().map(|same| (same, false)));
                continue;
            };
            let names = same.iter().flat_map(|same| same.names.iter().copied()).collect();
            groups.push((Same { finding: first.finding, names }, true));
        }
        groups.sort_by(|(a, _), (b, _)| {
            let rank = |same: &Same<'_>| {
                let finding = same.finding;
                (finding.explained_by.is_some(), finding.severity, Reverse(same.names.len()))
            };
            rank(a).cmp(&rank(b)).then_with(|| a.finding.id.cmp(&b.finding.id))
        });
        groups.iter().map(|(same, many)| self.line(same, *many, with_next)).collect()
    }

    fn line(&self, same: &Same<'_>, many: bool, with_next: bool) -> Line {
        let finding = same.finding;
        let said =
            if many { format!("{}, as: {}", finding.title, finding.message) } else { finding.message.to_string() };
        let next = match (&finding.explained_by, self.checks.get(&finding.id)) {
            _ if !with_next => String::new(),
            (Some(cause), _) => format!("follows from {cause}"),
            (None, Some(check)) => format!("next: {}", check.remedy.text.trim()),
            (None, None) => String::new(),
        };
        Line { who: names::folded(same.names.iter().copied()), id: finding.id.to_string(), said, next }
    }
}

/// Names and ids in columns, sentences wrapped beside them, or below them where there is no room.
fn write_columns(lines: &[Line], style: &Style, out: &mut impl Write) -> io::Result<()> {
    let limited = style.width != Style::UNLIMITED;
    // A line of a file is one line; a terminal has room for a second.
    let texts = |line: &Line| -> Vec<String> {
        match (line.next.is_empty(), limited) {
            (true, _) => vec![line.said.clone()],
            (false, false) => vec![format!("{}; {}", line.said, line.next)],
            (false, true) => vec![line.said.clone(), line.next.clone()],
        }
    };
    let safe = |text: &String| style.text(text).into_owned();
    let cells: Vec<(String, String, Vec<String>)> =
        lines.iter().map(|line| (safe(&line.who), safe(&line.id), texts(line).iter().map(safe).collect())).collect();
    let who = cells.iter().map(|(who, ..)| text::width(who)).max().unwrap_or(1);
    let who = if limited { who.min(WIDEST_NAME) } else { who };
    let id = cells.iter().map(|(_, id, _)| text::width(id)).max().unwrap_or(1);
    let rest = style.width.saturating_sub(who + id + 2 * grid::GAP);
    let left = |width: usize| Column { width, align: Align::Left };
    let tone = |index: usize| if index == 0 { Tone::Plain } else { Tone::Dim };
    if rest < NARROWEST_TEXT {
        let mut below = Grid::new(style, 2, vec![left(style.width.saturating_sub(2).max(8))]);
        for (who, id, texts) in &cells {
            for piece in text::wrap(&format!("{who}  {id}"), style.width) {
                writeln!(out, "{}", style.paint(Tone::Heading, &piece))?;
            }
            for (index, text) in texts.iter().enumerate() {
                below.write_row(out, &[Cell::new(text.as_str(), tone(index))])?;
            }
        }
        return Ok(());
    }
    let mut grid = Grid::new(style, 0, vec![left(who), left(id), left(rest)]);
    for (who, id, texts) in &cells {
        for (index, text) in texts.iter().enumerate() {
            let (who, id) = if index == 0 { (who.as_str(), id.as_str()) } else { ("", "") };
            let row = [Cell::new(who, Tone::Heading), Cell::new(id, Tone::Dim), Cell::new(text.as_str(), tone(index))];
            grid.write_row(out, &row)?;
        }
    }
    Ok(())
}

/// What nodes must share to be one row: everything that the row shows.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone)]
struct Shown {
    decision: Decision,
    phase: String,
    /// Versions of kubelet, containerd and kernel.
    versions: [String; 3],
    verdict: String,
}

fn write_table(nodes: &[NodeReport], style: &Style, out: &mut impl Write) -> io::Result<()> {
    let mut groups: BTreeMap<Shown, Vec<&str>> = BTreeMap::new();
    for node in nodes {
        groups.entry(shown(node, style)).or_default().push(&node.name);
    }
    let widest = if style.width == Style::UNLIMITED { usize::MAX } else { WIDEST_NAME };
    let mut rows: Vec<(Shown, String, &str)> = Vec::new();
    for (shown, names) in groups {
        for folded in names::fold(names) {
            let name = style.text(&folded.shortened(widest, style.ellipsis())).into_owned();
            rows.extend(folded.names().first().map(|first| (shown.clone(), name, *first)));
        }
    }
    rows.sort_by(|a, b| a.0.decision.cmp(&b.0.decision).then_with(|| names::natural_cmp(a.2, b.2)));
    let head = ["NODE", "PHASE", "KUBELET", "CONTAINERD", "KERNEL", "VERDICT"];
    let mut cells: Vec<[Cell; 6]> = vec![head.map(|heading| Cell::new(heading, Tone::Heading))];
    cells.extend(rows.into_iter().map(|(shown, name, _)| {
        let [kubelet, containerd, kernel] = shown.versions.map(|version| Cell::new(version, Tone::Plain));
        let verdict = Cell::new(shown.verdict, tone(shown.decision));
        [Cell::new(name, Tone::Plain), Cell::new(shown.phase, Tone::Plain), kubelet, containerd, kernel, verdict]
    }));
    if cells.len() == 1 {
        return Ok(());
    }
    let widths: Vec<usize> =
        (0..5).map(|column| cells.iter().map(|row| grid::cell_width(&row[column])).max().unwrap_or(1)).collect();
    // The verdict keeps room: the kernel goes first, then containerd, then the phase.
    let mut kept = vec![0, 1, 2, 3, 4];
    let room = |kept: &[usize]| style.width.saturating_sub(kept.iter().map(|column| widths[*column] + grid::GAP).sum());
    for column in [4, 3, 1] {
        if room(&kept) < NARROWEST_TEXT {
            kept.retain(|kept| *kept != column);
        }
    }
    let rest = room(&kept).max(8);
    let mut columns: Vec<Column> =
        kept.iter().map(|column| Column { width: widths[*column], align: Align::Left }).collect();
    columns.push(Column { width: rest, align: Align::Left });
    kept.push(5);
    let mut grid = Grid::new(style, 0, columns);
    for row in &cells {
        let row: Vec<Cell> = kept.iter().map(|column| row[*column].clone()).collect();
        grid.write_row(out, &row)?;
    }
    Ok(())
}

const fn tone(decision: Decision) -> Tone {
    match decision {
        Decision::Blocked | Decision::Unread => Tone::Fail,
        Decision::Undecided | Decision::Outside => Tone::Dim,
        Decision::May => Tone::Plain,
    }
}

fn shown(node: &NodeReport, style: &Style) -> Shown {
    let decision = gate::decide(node);
    let facts = node.facts.as_ref();
    let version = |known: Option<&String>| match (known, facts) {
        (Some(version), _) => style.text(version).into_owned(),
        (None, Some(_)) => "?".to_owned(),
        (None, None) => style.unread().to_owned(),
    };
    let kubelet = facts.and_then(|facts| facts.upgrade.as_ref()?.skew.kubelet.known());
    let verdict = match decision {
        Decision::May => "may be upgraded".to_owned(),
        Decision::Blocked => blocked(node),
        Decision::Unread => node.summary.clone(),
        Decision::Undecided => "not judged: too little could be read".to_owned(),
        Decision::Outside => "has not joined".to_owned(),
    };
    Shown {
        decision,
        phase: rows::phase_cell(node, style).text,
        versions: [
            version(kubelet),
            version(facts.and_then(|facts| facts.containerd.version.known())),
            version(facts.and_then(|facts| facts.identity.kernel.known())),
        ],
        verdict: style.text(&verdict).into_owned(),
    }
}

/// The first blocker that nothing explains, and how many more there are.
fn blocked(node: &NodeReport) -> String {
    let blockers: Vec<&Finding> = node.findings.iter().filter(|finding| gate::blocks(finding)).collect();
    let first = blockers.iter().find(|finding| finding.explained_by.is_none()).or(blockers.first());
    let title = first.map_or("", |finding| finding.title.as_str());
    match blockers.len() {
        0 | 1 => format!("blocked: {title}"),
        count => format!("blocked: {title}, +{} more", count - 1),
    }
}
