//! One node: the full analysis, and its shorter form among others.

use std::io::{self, Write};

use super::escape::{Block, CellCode, Code, Text};
use super::{areas_by_verdict, causes, cluster, counted, said, write_origin};
use crate::checks::Finding;
use crate::facts::{Fact, NodeFacts};
use crate::report::details::{self, Detail, clip};
use crate::report::groups::{self, Group};
use crate::report::model::{NodeReport, Outcome, Report};
use crate::verdict::{Area, Verdict};

/// The report of a run over one node.
pub(super) fn write(report: &Report, node: &NodeReport, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "# Analysis of {}\n", Code(&clip(&node.name)))?;
    write_origin(&report.run, out)?;
    writeln!(out, "## Executive summary\n")?;
    write_failure(node, out)?;
    if node.failure.is_none() && report.root_causes.is_empty() {
        let found = if node.outcome() == Outcome::Ok { "none found" } else { "none that a check names" };
        writeln!(out, "- **Primary issue**: {found}")?;
    }
    causes::write_primary(report, out)?;
    writeln!(out, "- **Status**: {}", Text(&clip(&node.summary)))?;
    for line in areas_by_verdict(node) {
        writeln!(out, "  - {line}")?;
    }
    write_counts(node, out)?;
    writeln!(out)?;
    write_who(node, out)?;
    write_areas(node, out)?;
    causes::write_all(report, out)?;
    causes::write_recommendations(report, out)?;
    cluster::write_node(report, out)?;
    if let Some(facts) = &node.facts {
        writeln!(out, "## Technical details\n")?;
        write_mounts(facts, out)?;
        write_cni(facts, node, out)?;
        write_cni_expected(&report.nodes, out)?;
    }
    write_conclusion(report, node, out)
}

/// A group of nodes among many.
pub(super) fn write_group(group: &Group<'_>, out: &mut impl Write) -> io::Result<()> {
    let node = group.first;
    writeln!(out, "### {}\n", Code(&group.name()))?;
    let phase = node.phase.map(|phase| format!(", phase {}", phase.label())).unwrap_or_default();
    writeln!(out, "**{}**{phase}\n", Text(&clip(&node.summary)))?;
    write_failure(node, out)?;
    if group.nodes.len() > 1 && !groups::faults(node).is_empty() {
        writeln!(out, "- the same on {}", counted(group.nodes.len(), "node"))?;
    }
    for finding in groups::faults(node) {
        let [word, severity] = [said(finding.verdict), finding.severity.label()];
        writeln!(out, "- **{}** ({word}, {severity}, {})", Text(&clip(&finding.message)), Code(&finding.id))?;
        for it in &finding.evidence {
            writeln!(out, "  - {}: {}", Text(&it.label), Code(&details::evidence(it)))?;
        }
        if let Some(cause) = &finding.explained_by {
            writeln!(out, "  - follows from {}", Code(&clip(cause)))?;
        }
    }
    for finding in groups::of_verdict(node, Verdict::Expected) {
        writeln!(out, "- normal in this phase: {} ({})", Text(&clip(&finding.title)), Code(&finding.id))?;
    }
    write_counts(node, out)?;
    writeln!(out)?;
    // Several nodes differ in their facts; those are in JSON.
    let (Some(facts), 1) = (&node.facts, group.nodes.len()) else { return Ok(()) };
    let faulty = |area| node.cell(area).is_some_and(|cell| matches!(cell.verdict, Verdict::Fail | Verdict::Warn));
    if [Area::Mounts, Area::Disk, Area::Nfs].into_iter().any(faulty) {
        write_mounts(facts, out)?;
    }
    if faulty(Area::Cni) {
        write_cni(facts, node, out)?;
    }
    Ok(())
}

fn write_failure(node: &NodeReport, out: &mut impl Write) -> io::Result<()> {
    let Some(failure) = &node.failure else { return Ok(()) };
    writeln!(out, "- **Not read to the end**: {} ({})", Text(&clip(&failure.message)), failure.kind.name())?;
    if !failure.next.is_empty() {
        writeln!(out, "- **To reach it**: {}", Text(&clip(&failure.next)))?;
    }
    Ok(())
}

/// How many checks came out in which way.
fn write_counts(node: &NodeReport, out: &mut impl Write) -> io::Result<()> {
    let checks = &node.checks;
    let parts = [
        (checks.fail, "failed"),
        (checks.warn, "warned"),
        (checks.unknown, "could not be judged"),
        (checks.expected, "normal in this phase"),
        (checks.pass, "passed"),
        (checks.not_applicable, "did not apply"),
    ];
    let said: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    if said.is_empty() { Ok(()) } else { writeln!(out, "- **Checks**: {}", said.join(", ")) }
}

fn write_who(node: &NodeReport, out: &mut impl Write) -> io::Result<()> {
    let roles: Vec<&str> = node.roles.iter().map(|role| role.label()).collect();
    writeln!(out, "| node | |\n|---|---|")?;
    writeln!(out, "| address | {} |", CellCode(&clip(&node.address)))?;
    if !roles.is_empty() {
        writeln!(out, "| role | {} |", roles.join(", "))?;
    }
    if let Some(phase) = node.phase {
        writeln!(out, "| phase | {} |", phase.label())?;
    }
    for Detail { label, value } in node.facts.as_ref().map(details::identity).unwrap_or_default() {
        writeln!(out, "| {label} | {} |", CellCode(&value))?;
    }
    writeln!(out)
}

/// Every area, worst first.
fn write_areas(node: &NodeReport, out: &mut impl Write) -> io::Result<()> {
    if node.areas.is_empty() {
        return Ok(());
    }
    writeln!(out, "## Detailed analysis\n")?;
    let mut cells: Vec<_> = node.areas.iter().collect();
    cells.sort_by_key(|cell| cell.verdict);
    for (index, cell) in cells.iter().enumerate() {
        writeln!(out, "### {}. {}: {}\n", index + 1, capital(cell.area.name()), said(cell.verdict))?;
        let findings = || node.findings.iter().filter(|finding| Area::of_check(&finding.id) == Some(cell.area));
        write_findings(findings(), out)?;
        if let Some(facts) = &node.facts {
            for Detail { label, value } in details::of_area(facts, cell.area) {
                writeln!(out, "- {label}: {}", Code(&value))?;
            }
        }
        write!(out, "\n**Verdict**: {}", said(cell.verdict))?;
        if !matches!(cell.text.as_str(), "" | "-" | "ok") {
            write!(out, " ({})", Text(&clip(&cell.text)))?;
        }
        writeln!(out, "\n")?;
    }
    let elsewhere = || node.findings.iter().filter(|finding| Area::of_check(&finding.id).is_none());
    if elsewhere().next().is_some() {
        writeln!(out, "### {}. Other checks\n", cells.len() + 1)?;
        write_findings(elsewhere(), out)?;
    }
    Ok(())
}

fn write_findings<'a>(findings: impl Iterator<Item = &'a Finding>, out: &mut impl Write) -> io::Result<()> {
    let mut findings: Vec<&Finding> = findings.collect();
    findings.sort_by_key(|finding| (finding.verdict, finding.severity));
    for finding in findings {
        let message = clip(&finding.message);
        match finding.verdict {
            Verdict::Fail | Verdict::Warn => {
                let word = if finding.verdict == Verdict::Fail { "Problem" } else { "Warning" };
                let severity = finding.severity.label();
                writeln!(out, "**{word}**: {} ({severity}, {})\n", Text(&message), Code(&finding.id))?;
                causes::write_evidence(&finding.evidence, None, out)?;
                if let Some(cause) = &finding.explained_by {
                    writeln!(out, "- **Follows from**: {}", Code(&clip(cause)))?;
                }
                writeln!(out)?;
            }
            Verdict::Expected => {
                writeln!(out, "**Normal in this phase**: {} ({})\n", Text(&clip(&finding.title)), Code(&finding.id))?;
            }
            Verdict::Unknown => {
                writeln!(
                    out,
                    "**Not judged**: {}: {} ({})\n",
                    Text(&clip(&finding.title)),
                    Text(&message),
                    Code(&finding.id)
                )?;
            }
            Verdict::Pass | Verdict::NotApplicable => {}
        }
    }
    Ok(())
}

fn write_mounts(facts: &NodeFacts, out: &mut impl Write) -> io::Result<()> {
    let mounts = details::key_mounts(facts);
    if mounts.is_empty() {
        return Ok(());
    }
    writeln!(out, "#### Key mounts\n\n| mount point | type | source | options | holds |\n|---|---|---|---|---|")?;
    for (mount, paths) in mounts {
        let [options, paths] = [mount.options.join(","), paths.join(", ")];
        let cell = |text: &str| if text.is_empty() { "-".to_owned() } else { CellCode(&clip(text)).to_string() };
        let columns = [&mount.mount_point, &mount.fstype, &mount.source, &options, &paths].map(|text| cell(text));
        writeln!(out, "| {} |", columns.join(" | "))?;
    }
    writeln!(out)
}

fn write_cni(facts: &NodeFacts, node: &NodeReport, out: &mut impl Write) -> io::Result<()> {
    const MOST: usize = 12;
    writeln!(out, "#### CNI configuration as found\n")?;
    let dir = facts.cni.conf_dir.known().map_or("the CNI directory", String::as_str);
    match &facts.cni.files {
        Fact::Known(files) if files.is_empty() => {
            let normal = groups::of_verdict(node, Verdict::Expected).iter().any(|f| f.id == "cni/config-missing");
            let normal = if normal { ", which is normal in this phase" } else { "" };
            writeln!(out, "{} holds no configuration{normal}.\n", Code(&clip(dir)))
        }
        Fact::Known(files) => {
            writeln!(out, "In {}, in the order in which containerd reads them:\n", Code(&clip(dir)))?;
            for file in files.iter().take(MOST) {
                writeln!(out, "1. {}", Code(&details::cni_file(file)))?;
            }
            if files.len() > MOST {
                writeln!(out, "\nand {} more", files.len() - MOST)?;
            }
            writeln!(out)
        }
        Fact::Absent => writeln!(out, "There is none.\n"),
        Fact::Unknown(why) => writeln!(out, "It could not be read: {}\n", Text(&clip(why))),
    }
}

pub(super) fn write_cni_expected(nodes: &[NodeReport], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "#### CNI configuration as expected\n")?;
    match details::cni_expected(nodes) {
        Some(text) => {
            let text = details::clip_to(text, 8_000);
            writeln!(
                out,
                "What flannel hands out in this cluster:\n\n{}",
                Block { language: "json", text: &text, indent: 0 }
            )
        }
        None => writeln!(
            out,
            "Not known: no control plane of this run said what flannel hands out. Its pod writes the file after a node has \
             joined.\n"
        ),
    }
}

/// What it is, and what it is not.
fn write_conclusion(report: &Report, node: &NodeReport, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "## Conclusion\n")?;
    let Some(cause) = report.root_causes.iter().find(|cause| cause.verdict == Verdict::Fail) else {
        return match (&node.failure, node.outcome()) {
            (Some(_), _) => writeln!(out, "The node was not read to the end, so no cause can be named."),
            (None, Outcome::Ok) => writeln!(out, "No check that could be judged found a fault."),
            (None, _) => writeln!(out, "No check failed; see the warnings and what could not be judged."),
        };
    };
    let sure = cause.confidence.label();
    writeln!(out, "The root cause is {sure}: **{}** ({}).\n", Text(&clip(&cause.title)), Code(&cause.id))?;
    causes::write_not_the_cause(cause, out)
}

fn capital(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
