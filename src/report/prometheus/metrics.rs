//! Which metrics there are.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::family::{Family, Number, node_labels};
use crate::diagnose::root_cause::Scope;
use crate::facts::disk::Space;
use crate::facts::{Fact, NodeFacts};
use crate::report::details::clip_to;
use crate::report::model::{NodeReport, Outcome, Report};
use crate::text;
use crate::verdict::{Phase, Verdict};

/// So many certificates of a node are shown, those that end first.
const MOST_CERTIFICATES: usize = 32;

const OUTCOMES: [(Outcome, &str); 5] = [
    (Outcome::Fail, "fail"),
    (Outcome::Unreachable, "unreachable"),
    (Outcome::Warn, "warn"),
    (Outcome::Unknown, "unknown"),
    (Outcome::Ok, "ok"),
];

pub(super) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let labels = node_labels(&report.nodes);
    let nodes = Nodes { nodes: &report.nodes, labels: &labels };
    write_run(report, out)?;
    write_root_causes(report, out)?;
    write_verdicts(&nodes, out)?;
    write_checks(&nodes, out)?;
    write_figures(&nodes, out)?;
    write_certificates(&nodes, out)?;
    write_info(&nodes, out)
}

/// The nodes of a run, each with its label.
struct Nodes<'r> {
    nodes: &'r [NodeReport],
    labels: &'r [String],
}

impl<'r> Nodes<'r> {
    fn each(&self) -> impl Iterator<Item = (&'r str, &'r NodeReport)> {
        self.labels.iter().map(String::as_str).zip(self.nodes)
    }

    /// A figure of each node that has it.
    fn figure(
        &self,
        out: &mut impl Write,
        name: &'static str,
        help: &'static str,
        value: impl Fn(&NodeReport) -> Option<Number>,
    ) -> io::Result<()> {
        let mut family = Family::gauge(out, name, help);
        self.each().try_for_each(|(label, node)| match value(node) {
            Some(value) => family.sample(&[("node", label)], value),
            None => Ok(()),
        })
    }

    /// The same of a fact.
    fn fact(
        &self,
        out: &mut impl Write,
        name: &'static str,
        help: &'static str,
        value: impl Fn(&NodeFacts) -> Option<Number>,
    ) -> io::Result<()> {
        self.figure(out, name, help, |node| node.facts.as_ref().and_then(&value))
    }
}

fn write_run(report: &Report, out: &mut impl Write) -> io::Result<()> {
    // A replayed run may say anything; what is no time has no sample.
    if let Ok(started) = report.run.started.parse::<jiff::Timestamp>() {
        Family::gauge(out, "seaworthy_run_timestamp_seconds", "When the run started, in seconds since 1970.")
            .sample(&[], Number::Whole(started.as_second()))?;
    }
    let took = i64::try_from(report.run.duration_ms).unwrap_or(i64::MAX);
    Family::gauge(out, "seaworthy_run_duration_seconds", "How long the run took.").sample(&[], Number::Milli(took))?;
    let counts = &report.run.counts;
    let mut family = Family::gauge(out, "seaworthy_run_nodes", "Nodes of the run by how they ended.");
    for (outcome, name) in OUTCOMES {
        let count = match outcome {
            Outcome::Fail => counts.fail,
            Outcome::Unreachable => counts.unreachable,
            Outcome::Warn => counts.warn,
            Outcome::Unknown => counts.unknown,
            Outcome::Ok => counts.ok,
        };
        family.sample(&[("verdict", name)], Number::count(count))?;
    }
    Ok(())
}

fn write_root_causes(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let help = "Nodes on which a fault is a root cause: nothing else that was found explains it there.";
    let mut family = Family::gauge(out, "seaworthy_root_cause", help);
    for cause in &report.root_causes {
        let verdict = if cause.verdict == Verdict::Warn { "warn" } else { "fail" };
        let scope = match cause.scope {
            Scope::Fleet => "fleet",
            Scope::Node => "node",
        };
        let labels = [
            ("check", cause.id.as_str()),
            ("severity", cause.severity.label()),
            ("confidence", cause.confidence.label()),
            ("scope", scope),
            ("verdict", verdict),
        ];
        family.sample(&labels, Number::count(cause.nodes.len()))?;
    }
    Ok(())
}

fn write_verdicts(nodes: &Nodes<'_>, out: &mut impl Write) -> io::Result<()> {
    nodes.figure(out, "seaworthy_node_up", "Whether the node was read to the end.", |node| {
        Some(Number::flag(node.failure.is_none()))
    })?;
    let help = "How the node ended: 1 for the verdict that applies, 0 for the others.";
    let mut family = Family::gauge(out, "seaworthy_node_verdict", help);
    for (label, node) in nodes.each() {
        let own = node.outcome();
        for (outcome, name) in OUTCOMES {
            family.sample(&[("node", label), ("verdict", name)], Number::flag(own == outcome))?;
        }
    }
    let help = "Why the node was not read to the end.";
    let mut family = Family::gauge(out, "seaworthy_node_failure", help);
    for (label, node) in nodes.each() {
        if let Some(failure) = &node.failure {
            family.sample(&[("node", label), ("kind", failure.kind.name())], Number::flag(true))?;
        }
    }
    Ok(())
}

fn write_checks(nodes: &Nodes<'_>, out: &mut impl Write) -> io::Result<()> {
    let kinds = [
        (Verdict::Fail, "seaworthy_check_failed", "Checks that fail, and whether another fault explains it."),
        (Verdict::Warn, "seaworthy_check_warned", "Checks that warn, and whether another fault explains it."),
    ];
    for (verdict, name, help) in kinds {
        let mut family = Family::gauge(out, name, help);
        for (label, node) in nodes.each() {
            for finding in node.findings.iter().filter(|finding| finding.verdict == verdict) {
                let explained = if finding.explained_by.is_some() { "true" } else { "false" };
                let labels = [
                    ("node", label),
                    ("check", finding.id.as_str()),
                    ("severity", finding.severity.label()),
                    ("explained", explained),
                ];
                family.sample(&labels, Number::flag(true))?;
            }
        }
    }
    let mut family = Family::gauge(out, "seaworthy_node_checks", "Checks of the node by how they came out.");
    for (label, node) in nodes.each().filter(|(_, node)| node.facts.is_some()) {
        let checks = &node.checks;
        for (verdict, count) in [
            ("fail", checks.fail),
            ("warn", checks.warn),
            ("unknown", checks.unknown),
            ("pass", checks.pass),
            ("expected", checks.expected),
            ("not-applicable", checks.not_applicable),
        ] {
            family.sample(&[("node", label), ("verdict", verdict)], Number::count(count))?;
        }
    }
    Ok(())
}

/// A metric of a file system: its name, its help and where it comes from.
type Ratio = (&'static str, &'static str, fn(&Space) -> Option<Number>);

fn write_figures(nodes: &Nodes<'_>, out: &mut impl Write) -> io::Result<()> {
    nodes.figure(
        out,
        "seaworthy_node_read_duration_seconds",
        "How long it took to reach and read the node.",
        |node| {
            let ms = node.timings.total_ms.filter(|ms| ms.is_finite() && (0.0..1e12).contains(ms))?;
            #[expect(clippy::cast_possible_truncation, reason = "a duration below 1e12 ms, rounded")]
            let ms = ms.round() as i64;
            Some(Number::Milli(ms))
        },
    )?;
    nodes.fact(
        out,
        "seaworthy_node_clock_skew_seconds",
        "The node's clock minus the clock of the machine that read it.",
        |facts| facts.time.skew_ms.known().copied().map(Number::Milli),
    )?;
    nodes.fact(out, "seaworthy_node_clock_synchronized", "Whether NTP disciplines the node's clock.", |facts| {
        facts.time.synchronized.known().copied().map(Number::flag)
    })?;
    let ratios: [Ratio; 2] = [
        ("seaworthy_node_filesystem_used_ratio", "Used part of the file system that holds images or pods.", |space| {
            space.used_percent.known().copied().map(Number::Percent)
        }),
        ("seaworthy_node_filesystem_inodes_free_ratio", "Free part of that file system's inodes.", |space| {
            space.inodes_free_percent.known().copied().map(Number::Percent)
        }),
    ];
    for (name, help, value) in ratios {
        let mut family = Family::gauge(out, name, help);
        for (label, node) in nodes.each() {
            let Some(facts) = &node.facts else { continue };
            for (holds, space) in [("images", &facts.disk.images), ("pods", &facts.disk.pods)] {
                if let Some(value) = value(space) {
                    family.sample(&[("node", label), ("holds", holds)], value)?;
                }
            }
        }
    }
    nodes.fact(out, "seaworthy_node_hung_mounts", "Network mounts that do not answer.", |facts| {
        facts.nfs.hung.known().map(|hung| Number::count(hung.len()))
    })
}

fn write_certificates(nodes: &Nodes<'_>, out: &mut impl Write) -> io::Result<()> {
    let name = "seaworthy_node_certificate_expiration_timestamp_seconds";
    let mut family = Family::gauge(out, name, "When a certificate on the node ends, in seconds since 1970.");
    for (label, node) in nodes.each() {
        let Some(certs) = node.facts.as_ref().and_then(|facts| facts.certs.list.known()) else { continue };
        // A file may hold several: the first end counts. Cut paths may be equal.
        let mut ends: BTreeMap<String, i64> = BTreeMap::new();
        for cert in certs {
            let path = clip_to(&cert.path, 120);
            let end = ends.entry(text::sanitize(&path).into_owned()).or_insert(cert.not_after);
            *end = (*end).min(cert.not_after);
        }
        let mut ends: Vec<(String, i64)> = ends.into_iter().collect();
        ends.sort_by(|a, b| a.1.cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
        for (path, end) in ends.into_iter().take(MOST_CERTIFICATES) {
            family.sample(&[("node", label), ("path", &path)], Number::Whole(end))?;
        }
    }
    Ok(())
}

fn write_info(nodes: &Nodes<'_>, out: &mut impl Write) -> io::Result<()> {
    let mut family = Family::gauge(out, "seaworthy_node_info", "What the node is; always 1.");
    for (label, node) in nodes.each() {
        let Some(facts) = &node.facts else { continue };
        let roles: Vec<&str> = node.roles.iter().map(|role| role.label()).collect();
        let labels = [
            ("node", label),
            ("role", &roles.join(",")),
            ("phase", node.phase.map_or("", Phase::label)),
            ("kubelet_version", said(&facts.kubelet.version)),
            ("containerd_version", said(&facts.containerd.version)),
            ("kernel", said(&facts.identity.kernel)),
            ("os", said(&facts.identity.os_name)),
        ];
        family.sample(&labels, Number::flag(true))?;
    }
    let help = "The version of seaworthy; always 1.";
    Family::gauge(out, "seaworthy_build_info", help)
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], Number::flag(true))
}

/// An empty label is one that is not there.
fn said(fact: &Fact<String>) -> &str {
    fact.known().map_or("", String::as_str)
}
