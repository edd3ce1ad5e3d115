//! One node's whole story, for people: what it is, its causes, what follows from them, what is normal, what could not be
//! read, how it differs from its healthy siblings, and what its join log says.

use std::io::{self, Write};

use crate::checks::{Finding, words};
use crate::diagnose::join_log::{self, JoinLog};
use crate::diagnose::root_cause::RootCause;
use crate::facts::{Fact, NodeFacts};
use crate::report::causes;
use crate::report::cluster;
use crate::report::grid;
use crate::report::groups;
use crate::report::model::{NodeReport, Report};
use crate::report::notes::{self, Line};
use crate::report::style::{Style, Tone};
use crate::verdict::{Area, Verdict};

const INDENT: usize = 2;
/// So many checks are named for one reason, and so few with their titles.
const MOST_UNJUDGED: usize = 12;
const FEW: usize = 3;

/// What belongs to the story and is not in the report.
#[derive(Debug, Clone, Copy, Default)]
pub struct More<'a> {
    /// What a join of this node printed.
    pub join_log: Option<&'a JoinLog>,
}

/// Writes the story of one node of a report.
pub fn write(
    report: &Report,
    node: &NodeReport,
    more: More<'_>,
    style: &Style,
    out: &mut impl Write,
) -> io::Result<()> {
    heading(node, style, out)?;
    if let Some(failure) = &node.failure {
        paragraph("read", &failure.message, Tone::Fail, style, out)?;
        if !failure.next.is_empty() {
            paragraph("next", &failure.next, Tone::Plain, style, out)?;
        }
    }
    if let Some(facts) = &node.facts {
        for (key, text) in about(facts) {
            paragraph(key, &text, Tone::Plain, style, out)?;
        }
    }
    if let Some(log) = more.join_log {
        section("join log", style, out)?;
        let narrow = Style { width: style.width.saturating_sub(INDENT).max(20), ..*style };
        for line in join_log::render(log, &narrow).lines() {
            grid::write_spaces(out, if line.is_empty() { 0 } else { INDENT })?;
            writeln!(out, "{line}")?;
        }
    }
    write_causes(report, node, style, out)?;
    let findings = |verdict: Verdict| node.findings.iter().filter(move |finding| finding.verdict == verdict);
    let followers = node.findings.iter().filter(|finding| finding.is_fault() && finding.explained_by.is_some());
    list("what follows from that", followers, Tone::Plain, style, out, |finding| {
        let cause = finding.explained_by.as_deref().map_or("", String::as_str);
        format!("{}  (from {cause})", finding.message)
    })?;
    list("normal in this phase", findings(Verdict::Expected), Tone::Dim, style, out, |finding| {
        finding.message.to_string()
    })?;
    write_unjudged(node, style, out)?;
    write_differences(report, node, style, out)?;
    if node.facts.is_some() {
        sound(node, style, out)?;
    }
    Ok(())
}

fn heading(node: &NodeReport, style: &Style, out: &mut impl Write) -> io::Result<()> {
    let roles: Vec<&str> = node.roles.iter().map(|role| role.label()).collect();
    let phase = node.phase.map_or("phase not known", |phase| phase.label());
    let name = style.text(&node.name);
    let mut about = vec![style.text(&node.address).into_owned()];
    about.extend((!roles.is_empty()).then(|| roles.join(" and ")));
    about.push(phase.to_owned());
    writeln!(
        out,
        "{}  {}  {}",
        style.paint(Tone::Heading, &name),
        style.paint(Tone::Dim, &about.join(", ")),
        style.paint(node.outcome().into(), &style.text(&node.summary))
    )
}

/// The machine and its programs, as far as known.
fn about(facts: &NodeFacts) -> Vec<(&'static str, String)> {
    let text = |fact: &Fact<String>| fact.known().cloned();
    let prefixed = |word: &str, fact: &Fact<String>| fact.known().map(|value| format!("{word} {value}"));
    let gibibytes = facts.system.memory_total_kib.known().map(|kib| format!("{} GiB", kib.div_ceil(1 << 20)));
    let machine = [
        text(&facts.identity.os_name),
        prefixed("kernel", &facts.identity.kernel),
        text(&facts.identity.arch),
        facts.system.cpus.known().map(|cpus| format!("{cpus} CPUs")),
        gibibytes,
        facts.system.uptime.known().map(|seconds| format!("up {}", age(*seconds))),
    ];
    let programs = [
        prefixed("kubelet", &facts.kubelet.version),
        prefixed("containerd", &facts.containerd.version),
        prefixed("runc", &facts.containerd.runc_version),
        prefixed("API", &facts.kubelet.server),
    ];
    let addresses = facts.network.addresses.known().map(|addresses| {
        let shown = addresses.iter().filter(|address| address.interface != "lo" && !address.address.contains("fe80"));
        shown.map(|address| format!("{} {}", address.interface, address.address)).take(4).collect::<Vec<_>>().join(", ")
    });
    let joined = |parts: &[Option<String>]| parts.iter().flatten().cloned().collect::<Vec<_>>().join(", ");
    let lines =
        [("machine", joined(&machine)), ("runs", joined(&programs)), ("network", addresses.unwrap_or_default())];
    lines.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

/// `3 days`, `5 h`, `12 min`
fn age(seconds: u64) -> String {
    match seconds {
        0..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn write_causes(report: &Report, node: &NodeReport, style: &Style, out: &mut impl Write) -> io::Result<()> {
    let own = |cause: &&RootCause| cause.nodes.contains(&node.name);
    let failing: Vec<&RootCause> =
        report.root_causes.iter().filter(own).filter(|cause| cause.verdict == Verdict::Fail).collect();
    if !failing.is_empty() {
        section(if failing.len() == 1 { "root cause" } else { "root causes" }, style, out)?;
        for (number, cause) in (1..).zip(failing) {
            // As seen on this node.
            let mut cause = cause.clone();
            if let Some(finding) = node.findings.iter().find(|finding| finding.id == cause.id) {
                cause.message.clone_from(&finding.message);
                cause.evidence.clone_from(&finding.evidence);
            }
            let others = cause.nodes.len() - 1;
            cause.nodes = vec![node.name.clone()];
            causes::write_cause(number, &cause, report.run.counts.total, style, out)?;
            if others > 0 {
                let text = format!("{others} more {} it", if others == 1 { "node has" } else { "nodes have" });
                let line = Line { key: "also    ", text, tone: Tone::Dim };
                grid::write_spaces(out, INDENT)?;
                notes::write_line(&line, INDENT, style, out)?;
            }
        }
    }
    let looks = report.root_causes.iter().filter(own).filter(|cause| cause.verdict == Verdict::Warn);
    let looks: Vec<&Finding> =
        looks.filter_map(|cause| node.findings.iter().find(|finding| finding.id == cause.id)).collect();
    list("worth a look", looks.into_iter(), Tone::Plain, style, out, |finding| finding.message.to_string())
}

/// A list of findings with their ids, so that `explain` can be asked about each.
fn list<'f>(
    title: &str,
    findings: impl Iterator<Item = &'f Finding>,
    tone: Tone,
    style: &Style,
    out: &mut impl Write,
    say: impl Fn(&Finding) -> String,
) -> io::Result<()> {
    let mut findings = findings.peekable();
    if findings.peek().is_none() {
        return Ok(());
    }
    section(title, style, out)?;
    for finding in findings {
        grid::write_spaces(out, INDENT)?;
        let mut parts = vec![format!("{}  {}", finding.id, say(finding))];
        if finding.is_fault() {
            parts.extend(finding.evidence.iter().map(|found| format!("{} {}", found.label, words(&found.value))));
        }
        let text = parts.join(causes::between(style));
        notes::write_line(&Line { key: "", text: style.text(&text).into_owned(), tone }, 2 * INDENT, style, out)?;
    }
    Ok(())
}

/// What could not be judged, each reason once with the checks that it hides.
fn write_unjudged(node: &NodeReport, style: &Style, out: &mut impl Write) -> io::Result<()> {
    let reasons = groups::unjudged(node);
    if reasons.is_empty() {
        return Ok(());
    }
    section("not known", style, out)?;
    for (why, findings) in reasons {
        let named = findings.iter().take(MOST_UNJUDGED).map(|finding| match findings.len() {
            1..=FEW => format!("{} ({})", finding.id, finding.title),
            _ => finding.id.to_string(),
        });
        let named = named.collect::<Vec<_>>().join(", ");
        let more = findings.len().saturating_sub(MOST_UNJUDGED);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        grid::write_spaces(out, INDENT)?;
        let text = style.text(&format!("{why}: {named}{more}")).into_owned();
        notes::write_line(&Line { key: "", text, tone: Tone::Dim }, 2 * INDENT, style, out)?;
    }
    Ok(())
}

/// What healthy nodes of its kind have in common and this one has not.
fn write_differences(report: &Report, node: &NodeReport, style: &Style, out: &mut impl Write) -> io::Result<()> {
    let compared = report.clusters().flat_map(|cluster| &cluster.siblings).find(|own| own.node == node.name);
    let Some(compared) = compared else { return Ok(()) };
    section("unlike its healthy siblings", style, out)?;
    for difference in &compared.differences {
        paragraph("", &cluster::in_words(difference), Tone::Plain, style, out)?;
    }
    Ok(())
}

fn sound(node: &NodeReport, style: &Style, out: &mut impl Write) -> io::Result<()> {
    let areas: Vec<String> = Area::ALL
        .into_iter()
        .filter_map(|area| node.cell(area).filter(|cell| cell.verdict == Verdict::Pass))
        .map(|cell| match cell.text.as_str() {
            "ok" | "" => cell.area.name().to_owned(),
            text => format!("{} ({text})", cell.area.name()),
        })
        .collect();
    section("sound", style, out)?;
    let said = match areas.as_slice() {
        [] => format!("{} checks passed", node.checks.pass),
        areas => format!("{} checks passed: {}", node.checks.pass, areas.join(", ")),
    };
    grid::write_spaces(out, INDENT)?;
    notes::write_line(&Line { key: "", text: style.text(&said).into_owned(), tone: Tone::Plain }, INDENT, style, out)
}

fn section(title: &str, style: &Style, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\n{}", style.paint(Tone::Heading, title))
}

fn paragraph(key: &'static str, text: &str, tone: Tone, style: &Style, out: &mut impl Write) -> io::Result<()> {
    grid::write_spaces(out, INDENT)?;
    notes::write_line(&Line { key, text: style.text(text).into_owned(), tone }, INDENT, style, out)
}
