//! From the records of a run to its report. Pure: the same records and checks give the same report.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::checks::{Checks, Finding, Subject};
use crate::diagnose::join_log::JoinLog;
use crate::diagnose::node::{self, Judged};
use crate::diagnose::phase::phase;
use crate::diagnose::{NodeFindings, diagnose};
use crate::facts::cluster::{ClusterView, Member};
use crate::facts::{self, NodeFacts, cluster, join};
use crate::parallel;
use crate::record::Record;
use crate::report::model::cluster::ClusterReport;
use crate::report::model::{ChangedCheck, CheckCounts, NodeReport, Report};
use crate::run::RunFile;
use crate::upgrade;
use crate::verdict::{Area, Phase, Verdict};

/// Judges all records together, as one node's facts can say something about another.
pub fn report(run: &RunFile, records: &[Record], checks: &Checks) -> Report {
    report_with(run, records, checks, &BTreeMap::new())
}

/// The same with what `kubeadm join` printed on some of the nodes, by the run's names of them.
pub fn report_with(
    run: &RunFile,
    records: &[Record],
    checks: &Checks,
    join_logs: &BTreeMap<String, JoinLog>,
) -> Report {
    judge_all(run, records, checks, join_logs, |_, _| ()).0
}

/// A run with all that was found out about it: what a plan is made from. A report alone leaves out what passes.
#[derive(Debug, Clone)]
pub struct Assessed {
    pub report: Report,
    /// One view of each cluster that the run read; never none.
    pub clusters: Vec<ClusterView>,
    /// What every check that is not switched off says, by the run's names of the nodes, in the order of the checks' ids.
    /// Of a node that was not read, only what says why.
    pub findings: BTreeMap<String, Vec<Finding>>,
}

/// The report of [`report_with`] with all that it comes from. It keeps every finding, a hundred and more of each node, so it is
/// for runs that change something; a sweep needs the report only.
pub fn assess(run: &RunFile, records: &[Record], checks: &Checks, join_logs: &BTreeMap<String, JoinLog>) -> Assessed {
    let mut findings = BTreeMap::new();
    let (report, clusters) = judge_all(run, records, checks, join_logs, |node, all| {
        findings.insert(node.to_owned(), all.to_vec());
    });
    Assessed { report, clusters, findings }
}

impl Assessed {
    /// The cluster that a node belongs to; `None` for a node that is not of the run.
    pub fn cluster_of(&self, node: &str) -> Option<&ClusterView> {
        self.clusters.iter().find(|cluster| cluster.members.contains_key(node))
    }

    /// What its cluster says of a node.
    pub fn member(&self, node: &str) -> Option<&Member> {
        self.cluster_of(node)?.members.get(node)
    }
}

/// `keep` sees each node's findings, causes filled in, before those that are not worth telling are dropped.
fn judge_all(
    run: &RunFile,
    records: &[Record],
    checks: &Checks,
    join_logs: &BTreeMap<String, JoinLog>,
    mut keep: impl FnMut(&str, &[Finding]),
) -> (Report, Vec<ClusterView>) {
    let parsed = parallel::map(records, |record| {
        let mut facts = facts::parse(record);
        if let Some(log) = join_logs.get(&record.name) {
            let own = [Some(&record.name), facts.identity.hostname.known()];
            facts.join = join::of_node(log, &own.into_iter().flatten().map(String::as_str).collect::<Vec<_>>());
        }
        (record.name.clone(), facts)
    });
    let facts: BTreeMap<String, NodeFacts> = parsed.into_iter().collect();
    let mut clusters = cluster::split(facts);
    let views = cluster::views(&clusters);
    if let Some(target) = run.target {
        for (facts, view) in clusters.iter_mut().zip(&views) {
            upgrade::derived::measure(target, facts, view);
        }
    }
    let all = parallel::map(records, |record| {
        let place = views.iter().position(|view| view.members.contains_key(&record.name)).unwrap_or(0);
        let own = clusters[place].get(&record.name).unwrap_or(&NO_FACTS);
        let (phase, mut findings) = judge(record, own, &views[place], checks);
        findings.cluster = place;
        (phase, findings)
    });
    let (phases, mut judged): (Vec<Option<Phase>>, Vec<NodeFindings>) = all.into_iter().unzip();
    let root_causes = diagnose(&mut judged, checks);
    let nodes = records.iter().zip(judged).zip(phases).map(|((record, judged), phase)| {
        keep(&record.name, &judged.findings);
        let own = clusters[judged.cluster].remove(&record.name).unwrap_or_default();
        let node = Judged {
            name: &record.name,
            facts: &own,
            phase,
            findings: &judged.findings,
            failure: record.failure.as_ref(),
            read: was_read(record),
        };
        let node::Assessment { areas, verdict, summary } = node::assess(&node, &root_causes);
        NodeReport {
            name: record.name.clone(),
            address: record.address.clone(),
            roles: judged.roles,
            phase,
            verdict,
            summary,
            failure: record.failure.clone(),
            timings: record.timings,
            areas,
            checks: CheckCounts::of(&judged.findings),
            findings: worth_telling(judged.findings),
            facts: Some(own).filter(|_| record.probe.is_some()),
        }
    });
    let nodes: Vec<NodeReport> = nodes.collect();
    let duration = Duration::from_millis(run.duration_ms.unwrap_or(0));
    let mut report = Report::new(run.id.clone(), run.started.clone(), duration, nodes, root_causes);
    let mut compared = views.iter().map(|view| ClusterReport::of(view, &report.nodes, records));
    report.cluster = compared.next().flatten();
    report.other_clusters = compared.flatten().collect();
    report.changed_checks = changed(checks);
    report.run.gate = run.target.map(|target| upgrade::gate::Gate::of(target, &report.nodes));
    (report, views)
}

/// What users' own files say about built-in checks.
fn changed(checks: &Checks) -> Vec<ChangedCheck> {
    let changed = checks.all().iter().filter_map(|check| {
        let change = check.change.as_ref()?;
        Some(ChangedCheck {
            id: check.id.clone(),
            disabled: change.disabled,
            severity_was: change.severity_was,
            severity: check.severity,
            reason: change.reason.clone(),
            file: change.file.clone(),
        })
    });
    changed.collect()
}

static NO_FACTS: std::sync::LazyLock<NodeFacts> = std::sync::LazyLock::new(NodeFacts::default);

/// What every check says about one record.
fn judge(record: &Record, facts: &NodeFacts, cluster: &ClusterView, checks: &Checks) -> (Option<Phase>, NodeFindings) {
    let unmatched = Member::default();
    let member = cluster.members.get(&record.name).unwrap_or(&unmatched);
    let roles = node::roles(record.role, facts);
    let phase = if was_read(record) { phase(facts, member) } else { None };
    let subject = Subject { facts, phase, roles: &roles, member, failure: record.failure.as_ref() };
    let mut findings = checks.evaluate(&subject);
    if !was_read(record) {
        // What keeps it from being read says enough, and the API may know of it; nothing else was looked at.
        findings.retain(|finding| match Area::of_check(&finding.id) {
            None => finding.verdict != Verdict::Unknown,
            Some(Area::Api) => finding.is_fault(),
            Some(_) => false,
        });
    }
    (phase, NodeFindings { name: record.name.clone(), cluster: 0, roles, findings })
}

fn was_read(record: &Record) -> bool {
    record.probe.as_ref().is_some_and(|capture| !capture.sections.is_empty())
}

/// Passes are counted, not listed: there are a hundred of them on every node.
fn worth_telling(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.retain(|finding| !matches!(finding.verdict, Verdict::Pass | Verdict::NotApplicable));
    findings.sort_by_key(|finding| (finding.verdict, finding.severity));
    findings.shrink_to_fit();
    findings
}
