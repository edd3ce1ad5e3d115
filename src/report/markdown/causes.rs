//! Root causes: the summary's first words, each cause in full, and what to do about them.

use std::collections::HashMap;
use std::io::{self, Write};

use super::counted;
use super::escape::{Block, Code, Text, prose};
use crate::checks::{Evidence, Severity};
use crate::diagnose::root_cause::{Confidence, RootCause, Scope};
use crate::report::details::{clip, evidence};
use crate::report::groups::heading;
use crate::report::model::{NodeReport, Report};
use crate::verdict::Verdict;

/// The heading lines of an executive summary, from the first cause.
pub(super) fn write_primary(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let Some(cause) = report.root_causes.first() else { return Ok(()) };
    let alone = report.nodes.len() == 1;
    writeln!(out, "- **Primary issue**: {}", Text(&clip(&cause.title)))?;
    if !alone {
        writeln!(out, "- **Where**: {}", nodes(cause))?;
    }
    write!(out, "- **Impact**: {}", impact(cause))?;
    if cause.explains.is_empty() {
        writeln!(out)?;
    } else {
        let explains: Vec<String> = cause.explains.iter().map(|it| Text(&clip(&it.title)).to_string()).collect();
        writeln!(out, "; it explains: {}", explains.join("; "))?;
    }
    writeln!(
        out,
        "- **Root cause**: {} ({}, {})",
        Text(&clip(&cause.message)),
        Code(&cause.id),
        sure(cause.confidence)
    )?;
    writeln!(out, "- **Next**: {}", prose(&cause.remedy.text))
}

/// Every cause with its evidence, worst first.
pub(super) fn write_all(report: &Report, out: &mut impl Write) -> io::Result<()> {
    if report.root_causes.is_empty() {
        return Ok(());
    }
    writeln!(out, "## Root causes\n")?;
    for (index, cause) in report.root_causes.iter().enumerate() {
        write_cause(index + 1, cause, report.nodes.len() == 1, out)?;
    }
    Ok(())
}

fn write_cause(number: usize, cause: &RootCause, alone: bool, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "### {number}. {}\n", Text(&clip(&cause.title)))?;
    writeln!(out, "{}\n", Text(&clip(&cause.message)))?;
    let look = if cause.verdict == Verdict::Warn { ", warns" } else { "" };
    writeln!(out, "- **Check**: {}, {}{look}, {}", Code(&cause.id), cause.severity.label(), sure(cause.confidence))?;
    if !alone {
        writeln!(out, "- **Nodes**: {}", nodes(cause))?;
    }
    if cause.scope == Scope::Fleet {
        writeln!(out, "- **Scope**: the fleet; look at what its nodes share first")?;
    }
    write_evidence(&cause.evidence, (!alone).then(|| cause.nodes.first().map(String::as_str)).flatten(), out)?;
    if !cause.explains.is_empty() {
        writeln!(out, "- **Explains**:")?;
        for it in &cause.explains {
            let on = if alone { String::new() } else { format!(" on {}", counted(it.nodes, "node")) };
            writeln!(out, "  - {} ({}){on}", Text(&clip(&it.title)), Code(&it.id))?;
        }
    }
    write_not_the_cause(cause, out)?;
    if !cause.reservations.is_empty() {
        writeln!(out, "- **Not ruled out**, because it could not be read:")?;
        for it in &cause.reservations {
            writeln!(out, "  - {} ({}): {}", Text(&clip(&it.title)), Code(&it.id), Text(&clip(&it.why)))?;
        }
    }
    writeln!(out)
}

/// Label and value of each, as found.
pub(super) fn write_evidence(found: &[Evidence], on: Option<&str>, out: &mut impl Write) -> io::Result<()> {
    if found.is_empty() {
        return Ok(());
    }
    match on {
        Some(node) => writeln!(out, "- **Evidence** on {}:", Code(&clip(node)))?,
        None => writeln!(out, "- **Evidence**:")?,
    }
    found.iter().try_for_each(|it| writeln!(out, "  - {}: {}", Text(&it.label), Code(&evidence(it))))
}

pub(super) fn write_not_the_cause(cause: &RootCause, out: &mut impl Write) -> io::Result<()> {
    if cause.not_the_cause.is_empty() {
        return Ok(());
    }
    let said: Vec<String> =
        cause.not_the_cause.iter().map(|it| format!("{} ({})", Text(&clip(&it.what)), Text(&clip(&it.why)))).collect();
    writeln!(out, "- **Not the cause**: {}", said.join("; "))
}

/// What to do now, and what later.
pub(super) fn write_recommendations(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let later = |cause: &&RootCause| cause.verdict != Verdict::Fail || cause.severity == Severity::Low;
    let (later, now): (Vec<_>, Vec<_>) = report.root_causes.iter().partition(later);
    let not_read: Vec<&NodeReport> = report.nodes.iter().filter(|node| node.failure.is_some()).collect();
    if now.is_empty() && later.is_empty() && not_read.is_empty() {
        return Ok(());
    }
    writeln!(out, "## Recommendations\n")?;
    let alone = report.nodes.len() == 1;
    if !now.is_empty() || !not_read.is_empty() {
        writeln!(out, "### Now\n")?;
        let mut number = 0;
        for cause in now {
            number += 1;
            write_remedy(number, cause, alone, out)?;
        }
        write_reaching(&not_read, number, alone, out)?;
        writeln!(out)?;
    }
    if !later.is_empty() {
        writeln!(out, "### Later\n")?;
        for (index, cause) in later.into_iter().enumerate() {
            write_remedy(index + 1, cause, alone, out)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn write_remedy(number: usize, cause: &RootCause, alone: bool, out: &mut impl Write) -> io::Result<()> {
    let on = if alone { String::new() } else { format!(" on {}", nodes(cause)) };
    writeln!(out, "{number}. **{}**{on}: {}", Text(&clip(&cause.title)), prose(&cause.remedy.text))?;
    if let Some(command) = &cause.remedy.command {
        let block = Block { language: "sh", text: command, indent: 3 };
        write!(out, "\n   On the node ({}):\n\n{block}\n", cause.remedy.safety.label())?;
    }
    Ok(())
}

/// What to do about nodes that were not read, each piece of advice once.
fn write_reaching(nodes: &[&NodeReport], after: usize, alone: bool, out: &mut impl Write) -> io::Result<()> {
    let mut advice: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for node in nodes {
        let next = node.failure.as_ref().map_or("", |failure| failure.next.as_str());
        let place = *places.entry(next).or_insert_with(|| {
            advice.push((next, Vec::new()));
            advice.len() - 1
        });
        advice[place].1.push(&node.name);
    }
    for (index, (next, names)) in advice.into_iter().enumerate() {
        let number = after + index + 1;
        let on = if alone { String::new() } else { format!(" {}", Code(&heading(names))) };
        let next = if next.is_empty() { "see the failure below".into() } else { Text(&clip(next)).to_string() };
        writeln!(out, "{number}. **Reach the node**{on}: {next}")?;
    }
    Ok(())
}

fn nodes(cause: &RootCause) -> String {
    let names = heading(cause.nodes.iter().map(String::as_str));
    let count = if cause.nodes.len() > 1 { format!(", {}", counted(cause.nodes.len(), "node")) } else { String::new() };
    format!("{}{count}", Code(&names))
}

/// What the severity means.
const fn impact(cause: &RootCause) -> &'static str {
    match cause.severity {
        Severity::Blocker => "blocker: it stops a join, or makes the node unusable",
        Severity::High => "high: it breaks workloads, or the next reboot",
        Severity::Medium => "medium: degraded or fragile",
        Severity::Low => "low: worth knowing",
    }
}

const fn sure(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Certain => "certain",
        Confidence::Likely => "likely: it explains several other faults",
        Confidence::Possible => "possible: nothing that fails explains it",
    }
}
