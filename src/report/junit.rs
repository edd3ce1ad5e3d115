//! `JUnit` XML as Jenkins and GitLab read it: a suite per node, a case per check that did not pass, and one case that counts
//! those that did.
//!
//! What fails or warns is a failure; what is only worth knowing, normal in its phase or not judged is skipped, with the
//! reason; a node that was not read to the end is an error. The text is valid XML 1.0 whatever a node sent.

use std::fmt;
use std::io::{self, Write};

use crate::checks::{Finding, Severity};
use crate::report::details::{clip, clip_to, evidence};
use crate::report::model::{NodeReport, Report};
use crate::text;
use crate::verdict::Verdict;

/// The longest body of a failure.
const LONGEST: usize = 8_000;

pub(crate) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let all = report.nodes.iter().map(Tally::of).fold(Tally::default(), Tally::and);
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(out, "<testsuites name=\"seaworthy\" {all} time=\"{}\">", seconds(report.run.duration_ms))?;
    report.nodes.iter().try_for_each(|node| write_suite(report, node, out))?;
    writeln!(out, "</testsuites>")
}

/// What the attributes of a suite count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

impl Tally {
    fn of(node: &NodeReport) -> Self {
        let mut tally = Self::default();
        for case in node.findings.iter().filter_map(Case::of) {
            tally.tests += 1;
            match case {
                Case::Failure(_) => tally.failures += 1,
                Case::Skipped(_) => tally.skipped += 1,
            }
        }
        if node.failure.is_some() {
            tally.tests += 1;
            tally.errors += 1;
        }
        if passes(node) {
            tally.tests += 1;
        }
        tally
    }

    const fn and(self, other: Self) -> Self {
        Self {
            tests: self.tests + other.tests,
            failures: self.failures + other.failures,
            errors: self.errors + other.errors,
            skipped: self.skipped + other.skipped,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tests, failures, errors, skipped } = self;
        write!(f, "tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\"")
    }
}

/// How a finding is shown.
#[derive(Debug, Clone, Copy)]
enum Case<'a> {
    Failure(&'a Finding),
    Skipped(&'a Finding),
}

impl<'a> Case<'a> {
    const fn of(finding: &'a Finding) -> Option<Self> {
        match (finding.verdict, finding.severity) {
            // Worth knowing; no node counts as failing for it.
            (Verdict::Fail | Verdict::Warn, Severity::Low) | (Verdict::Unknown | Verdict::Expected, _) => {
                Some(Self::Skipped(finding))
            }
            (Verdict::Fail | Verdict::Warn, Severity::Blocker | Severity::High | Severity::Medium) => {
                Some(Self::Failure(finding))
            }
            (Verdict::Pass | Verdict::NotApplicable, _) => None,
        }
    }
}

/// A suite without a case looks broken: the counting case is there unless an error says why nothing was judged.
const fn passes(node: &NodeReport) -> bool {
    node.failure.is_none() || node.checks.pass > 0
}

fn write_suite(report: &Report, node: &NodeReport, out: &mut impl Write) -> io::Result<()> {
    let name = clip(&node.name);
    let time = node.timings.total_ms.filter(|ms| ms.is_finite() && *ms >= 0.0).unwrap_or(0.0) / 1e3;
    write!(out, "  <testsuite name=\"{}\" {} time=\"{time:.3}\"", Xml(&name), Tally::of(node))?;
    // The format has no place for a zone: it is UTC.
    let started = report.run.started.trim_end_matches('Z');
    writeln!(out, " timestamp=\"{}\" hostname=\"{}\">", Xml(started), Xml(&clip(&node.address)))?;
    if let Some(failure) = &node.failure {
        open(&name, "node/read", out)?;
        write!(out, "      <error type=\"{}\" message=\"{}\">", failure.kind, Xml(&clip(&failure.message)))?;
        let next = if failure.next.is_empty() { String::new() } else { format!("next: {}", failure.next) };
        writeln!(out, "{}</error>\n    </testcase>", XmlBlock(&next))?;
    }
    for case in node.findings.iter().filter_map(Case::of) {
        write_case(&name, case, out)?;
    }
    if passes(node) {
        let count = node.checks.pass;
        let label = format!("{count} {} passed", if count == 1 { "check" } else { "checks" });
        writeln!(out, "    <testcase classname=\"{}\" name=\"{label}\" time=\"0\"/>", Xml(&name))?;
    }
    writeln!(out, "  </testsuite>")
}

fn open(node: &str, check: &str, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "    <testcase classname=\"{}\" name=\"{}\" time=\"0\">", Xml(node), Xml(check))
}

fn write_case(node: &str, case: Case<'_>, out: &mut impl Write) -> io::Result<()> {
    match case {
        Case::Failure(finding) => {
            open(node, &finding.id, out)?;
            let severity = finding.severity.label();
            let kind =
                if finding.verdict == Verdict::Warn { format!("warning-{severity}") } else { severity.to_owned() };
            let message = Xml(&finding.message);
            writeln!(
                out,
                "      <failure type=\"{kind}\" message=\"{message}\">{}</failure>",
                XmlBlock(&body(finding))
            )?;
        }
        Case::Skipped(finding) => {
            open(node, &finding.id, out)?;
            let why = match finding.verdict {
                Verdict::Expected => "normal in this phase",
                Verdict::Unknown => "not judged",
                _ => "worth knowing",
            };
            writeln!(out, "      <skipped message=\"{why}: {}\"/>", Xml(&finding.message))?;
        }
    }
    writeln!(out, "    </testcase>")
}

/// Title, evidence and what explains it, a line each.
fn body(finding: &Finding) -> String {
    let one_line = |text: &str| text::sanitize(text).into_owned();
    let mut lines = vec![one_line(&clip(&finding.title))];
    lines.extend(finding.evidence.iter().map(|it| format!("{}: {}", one_line(&it.label), one_line(&evidence(it)))));
    lines.extend(finding.explained_by.iter().map(|cause| format!("follows from {}", one_line(cause))));
    clip_to(&lines.join("\n"), LONGEST).into_owned()
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// One line of untrusted text, as an attribute or between tags.
struct Xml<'a>(&'a str);

impl fmt::Display for Xml<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(&text::sanitize(&clip(self.0)), f)
    }
}

/// Untrusted text of several lines between tags.
struct XmlBlock<'a>(&'a str);

impl fmt::Display for XmlBlock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(&text::sanitize_block(clip_to(self.0, LONGEST).as_bytes()), f)
    }
}

/// Text without control characters, which XML could not hold in any form.
fn escape(clean: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut rest = clean;
    while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
        f.write_str(&rest[..at])?;
        f.write_str(match rest.as_bytes()[at] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            _ => "&apos;",
        })?;
        rest = &rest[at + 1..];
    }
    f.write_str(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_ends_an_attribute_or_a_section() {
        assert_eq!(Xml("a\"b'<c>&]]>\0\n\u{fffe}").to_string(), "a&quot;b&apos;&lt;c&gt;&amp;]]&gt;\\x00\\n\\u{fffe}");
        assert_eq!(XmlBlock("a\nb\x1b").to_string(), "a\nb\\x1b");
        assert_eq!(seconds(8_012), "8.012");
    }

    proptest! {
        #[test]
        fn any_text_is_read_back(text in any::<String>()) {
            let xml = format!("<a b=\"{}\">{}</a>", Xml(&text), XmlBlock(&text));
            let xml = roxmltree::Document::parse(&xml).unwrap();
            let element = xml.root_element();
            let line = text::sanitize(&clip(&text)).into_owned();
            prop_assert_eq!(element.attribute("b"), Some(&*line));
            let block = text::sanitize_block(clip_to(&text, LONGEST).as_bytes());
            prop_assert_eq!(element.text().unwrap_or_default(), block);
        }
    }
}
