//! Checks as texts for people: `seaworthy explain` and `docs/checks.md`.

use std::fmt::Write as _;

use super::{Check, Checks, Edge};
use crate::text::wrap;

const WIDTH: usize = 96;

/// What `seaworthy explain ID` prints.
pub fn explain(check: &Check, checks: &Checks) -> String {
    let mut out = format!("{}  ({})\n{}\n\n", check.id, check.severity.label(), check.title);
    paragraphs(&mut out, &check.explanation, "");
    let written = check.expressions();
    out.push_str("\nfails when\n");
    expression(&mut out, written.fail);
    if let Some(warn) = written.warn {
        out.push_str("warns when\n");
        expression(&mut out, warn);
    }
    if let Some(certain) = written.certain {
        out.push_str("is certain when\n");
        expression(&mut out, certain);
    }
    if !check.expected_in.is_empty() {
        let phases: Vec<&str> = check.expected_in.iter().map(|phase| phase.label()).collect();
        let _ = writeln!(out, "normal in phase\n  {}", phases.join(", "));
    }
    if let Some(when) = written.expected_when {
        out.push_str("normal when\n");
        expression(&mut out, when);
    }
    let edges: Vec<String> = check.explains.iter().map(edge).collect();
    ids(&mut out, "explains", edges.iter().map(String::as_str));
    let causes = checks.all().iter().filter(|other| other.may_explain(&check.id));
    ids(&mut out, "may be explained by", causes.map(|cause| cause.id.as_str()));
    let _ = writeln!(out, "what to do ({})", check.remedy.safety.label());
    paragraphs(&mut out, &check.remedy.text, "  ");
    for line in check.remedy.command.iter().flat_map(|command| command.lines()) {
        let _ = writeln!(out, "  $ {line}");
    }
    out.push_str("source\n");
    paragraphs(&mut out, &check.source, "  ");
    if let Some(change) = &check.change {
        let what = if change.disabled { "disabled".to_owned() } else { format!("was {}", change.severity_was.label()) };
        let _ = writeln!(out, "changed in {}\n  {what}: {}", change.file, change.reason);
    }
    out
}

/// What `seaworthy explain AREA` prints: one line per check.
pub fn list(area: &str, checks: &Checks) -> String {
    let of_area: Vec<&Check> = checks.all().iter().filter(|check| check.area() == area).collect();
    let width = of_area.iter().map(|check| check.id.len()).max().unwrap_or(0);
    let mut out = String::new();
    for check in of_area {
        let _ = writeln!(out, "{:width$}  {:7}  {}", check.id, check.severity.label(), check.title);
    }
    out
}

/// `docs/checks.md`.
pub fn markdown(checks: &Checks) -> String {
    let mut out = String::from(
        "# Checks\n\n\
         Made from `playbooks/checks/*.yaml`; do not edit. `UPDATE_DOCS=1 cargo test` writes it anew.\n\n\
         A check compares facts of one node. It fails, warns, passes, is *expected* (a failure that is normal in the node's\n\
         phase), does not apply, or is *unknown*: a fact that it needs could not be read.\n",
    );
    for area in checks.areas() {
        let _ = writeln!(out, "\n## {area}\n\n| check | severity | what is wrong |\n|---|---|---|");
        for check in checks.all().iter().filter(|check| check.area() == area) {
            let anchor = check.id.replace('/', "");
            let _ = writeln!(out, "| [`{}`](#{anchor}) | {} | {} |", check.id, check.severity.label(), check.title);
        }
        for check in checks.all().iter().filter(|check| check.area() == area) {
            section(&mut out, check);
        }
    }
    out
}

fn section(out: &mut String, check: &Check) {
    let _ = writeln!(out, "\n### {}\n\n{}\n\n**Fails when**", check.id, check.explanation.trim());
    let written = check.expressions();
    let _ = writeln!(out, "\n```cel\n{}\n```", written.fail.trim());
    if let Some(warn) = written.warn {
        let _ = writeln!(out, "\n**Warns when**\n\n```cel\n{}\n```", warn.trim());
    }
    if let Some(certain) = written.certain {
        let _ = writeln!(out, "\n**Is certain when**\n\n```cel\n{}\n```", certain.trim());
    }
    if !check.expected_in.is_empty() {
        let phases: Vec<&str> = check.expected_in.iter().map(|phase| phase.label()).collect();
        let _ = writeln!(out, "\n**Normal in phase** {}.", phases.join(", "));
    }
    if let Some(when) = written.expected_when {
        let _ = writeln!(out, "\n**Normal when**\n\n```cel\n{}\n```", when.trim());
    }
    if !check.explains.is_empty() {
        let links: Vec<String> = check.explains.iter().map(link).collect();
        let _ = writeln!(out, "\n**Explains** {}.", links.join(", "));
    }
    let _ = writeln!(out, "\n**What to do** ({}): {}", check.remedy.safety.label(), check.remedy.text.trim());
    if let Some(command) = &check.remedy.command {
        let _ = writeln!(out, "\n```sh\n{}\n```", command.trim());
    }
    let _ = writeln!(out, "\nSource: {}", check.source.trim());
}

fn link(edge: &Edge) -> String {
    let guard = edge.guard().map(|when| format!(" (when `{when}`)")).unwrap_or_default();
    format!("[`{}`](#{}){guard}", edge.id, edge.id.replace('/', ""))
}

fn edge(edge: &Edge) -> String {
    match edge.guard() {
        Some(when) => format!("{}, when {when}", edge.id),
        None => edge.id.to_string(),
    }
}

fn paragraphs(out: &mut String, text: &str, indent: &str) {
    for (index, paragraph) in text.trim().split("\n\n").enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let joined = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        for line in wrap(&joined, WIDTH - indent.len()) {
            let _ = writeln!(out, "{indent}{line}");
        }
    }
}

fn expression(out: &mut String, text: &str) {
    for line in text.trim().lines() {
        let _ = writeln!(out, "  {line}");
    }
}

fn ids<'i>(out: &mut String, heading: &str, ids: impl Iterator<Item = &'i str>) {
    let ids: Vec<&str> = ids.collect();
    if !ids.is_empty() {
        let _ = writeln!(out, "{heading}\n  {}", ids.join("\n  "));
    }
}
