//! From the records of a run to its report. Pure: the same records and checks give the same report.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::checks::{Check, Checks, Finding, Subject};
use crate::diagnose::join_log::JoinLog;
use crate::diagnose::node::{self, Judged};
use crate::diagnose::phase::phase;
use crate::diagnose::{NodeFindings, Passed, diagnose};
use crate::facts::cluster::{ClusterView, Member};
use crate::facts::{self, NodeFacts, cluster, join};
use crate::parallel;
use crate::reach::ReachCapture;
use crate::record::Record;
use crate::report::model::cluster::ClusterReport;
use crate::report::model::{ChangedCheck, CheckCounts, NodeReport, Report};
use crate::run::RunFile;
use crate::upgrade;
use crate::verdict::{Area, Phase, Verdict};

/// A record with its facts, and without the texts that nobody reads again: what a run has in memory of each node, from the moment
/// that the node was read.
#[derive(Debug, Clone)]
pub struct Understood {
    pub record: Record,
    pub facts: NodeFacts,
    /// The node's own clock when it was read, in seconds since 1970.
    now: Option<i64>,
}

impl Understood {
    pub fn new(mut record: Record) -> Self {
        let facts = facts::parse(&record);
        let now = facts::now(&record);
        if let Some(capture) = &mut record.probe {
            capture.forget_texts();
        }
        Self { record, facts, now }
    }

    /// Takes what the node was seen to reach in a further try.
    pub fn set_reach(&mut self, reach: ReachCapture) {
        self.record.reach = Some(reach);
        self.facts.reach = facts::reach::Reach::parse(&self.record, self.now).into();
    }
}

/// Many at once. Whoever has ten thousand records understands each when it comes.
pub fn understand(records: &[Record]) -> Vec<Understood> {
    parallel::map(records, |record| Understood::new(record.clone()))
}

/// Judges all records together, as one node's facts can say something about another.
pub fn report(run: &RunFile, records: &[Record], checks: &Checks) -> Report {
    report_understood(run, understand(records), checks).0
}

/// The same of records that were understood one by one, with what is left of them.
pub fn report_understood(run: &RunFile, nodes: Vec<Understood>, checks: &Checks) -> (Report, Vec<Record>) {
    report_with(run, nodes, checks, &BTreeMap::new())
}

/// The same with what `kubeadm join` printed on some of the nodes, by the run's names of them.
pub fn report_with(
    run: &RunFile,
    nodes: Vec<Understood>,
    checks: &Checks,
    join_logs: &BTreeMap<String, JoinLog>,
) -> (Report, Vec<Record>) {
    let (report, _, records) = judge_all(run, nodes, checks, join_logs, None);
    (report, records)
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

/// The report of [`report_understood`] with all that it comes from. It keeps every finding, a hundred and more of each node, so it
/// is for runs that change something; a sweep needs the report only.
pub fn assess(run: &RunFile, nodes: Vec<Understood>, checks: &Checks) -> Assessed {
    let mut findings = BTreeMap::new();
    let (report, clusters, _) = judge_all(run, nodes, checks, &BTreeMap::new(), Some(&mut findings));
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

/// `all` takes every finding of each node, causes filled in. Without it, those that are not worth telling are dropped as soon
/// as they are counted.
fn judge_all(
    run: &RunFile,
    nodes: Vec<Understood>,
    checks: &Checks,
    join_logs: &BTreeMap<String, JoinLog>,
    mut all: Option<&mut BTreeMap<String, Vec<Finding>>>,
) -> (Report, Vec<ClusterView>, Vec<Record>) {
    let (records, facts): (Vec<Record>, Vec<NodeFacts>) =
        nodes.into_iter().map(|node| (node.record, node.facts)).unzip();
    let named = records.iter().zip(facts).map(|(record, mut facts)| {
        if let Some(log) = join_logs.get(&record.name) {
            let own = [Some(&record.name), facts.identity.hostname.known()];
            facts.join = join::of_node(log, &own.into_iter().flatten().map(String::as_str).collect::<Vec<_>>());
        }
        (record.name.clone(), facts)
    });
    let facts: BTreeMap<String, NodeFacts> = named.collect();
    let mut clusters = cluster::split(facts);
    let views = cluster::views(&clusters);
    if let Some(target) = run.target {
        for (facts, view) in clusters.iter_mut().zip(&views) {
            upgrade::derived::measure(target, facts, view);
        }
    }
    let keep_all = all.is_some();
    let judged = parallel::map(&records, |record| {
        let place = views.iter().position(|view| view.members.contains_key(&record.name)).unwrap_or(0);
        let own = clusters[place].get(&record.name).unwrap_or(&NO_FACTS);
        let (phase, counts, mut findings) = judge(record, own, &views[place], checks, keep_all);
        findings.cluster = place;
        ((phase, counts), findings)
    });
    let (told, mut judged): (Vec<(Option<Phase>, CheckCounts)>, Vec<NodeFindings>) = judged.into_iter().unzip();
    let root_causes = diagnose(&mut judged, checks);
    let nodes = records.iter().zip(judged).zip(told).map(|((record, judged), (phase, counts))| {
        if let Some(all) = &mut all {
            all.insert(record.name.clone(), judged.findings.clone());
        }
        let own = clusters[judged.cluster].remove(&record.name).unwrap_or_default();
        let node = Judged {
            name: &record.name,
            facts: &own,
            phase,
            findings: &judged.findings,
            passed: judged.passed,
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
            checks: counts,
            findings: worth_telling(judged.findings),
            facts: Some(own).filter(|_| record.probe.is_some()),
        }
    });
    let nodes: Vec<NodeReport> = nodes.collect();
    let duration = Duration::from_millis(run.duration_ms.unwrap_or(0));
    let mut report = Report::new(run.id.clone(), run.started.clone(), duration, nodes, root_causes);
    let mut compared = views.iter().map(|view| ClusterReport::of(view, &report.nodes));
    report.cluster = compared.next().flatten();
    report.other_clusters = compared.flatten().collect();
    report.changed_checks = changed(checks);
    report.run.gate = run.target.map(|target| upgrade::gate::Gate::of(target, &report.nodes));
    (report, views, records)
}

/// What users' own files say about built-in checks.
fn changed(checks: &Checks) -> Vec<ChangedCheck> {
    let changed = checks.all().iter().filter_map(|check| {
        let change = check.change.as_ref()?;
        Some(ChangedCheck {
            id: check.id.to_string(),
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

/// What every check says about one record; without `all`, only counted where it passes.
fn judge(
    record: &Record,
    facts: &NodeFacts,
    cluster: &ClusterView,
    checks: &Checks,
    all: bool,
) -> (Option<Phase>, CheckCounts, NodeFindings) {
    let unmatched = Member::default();
    let member = cluster.members.get(&record.name).unwrap_or(&unmatched);
    let roles = node::roles(record.role, facts);
    let phase = if was_read(record) { phase(facts, member) } else { None };
    let subject = Subject { facts, phase, roles: &roles, member, failure: record.failure.as_ref() };
    let (mut counts, mut passed) = (CheckCounts::default(), Passed::default());
    let mut findings = if !was_read(record) {
        // What keeps it from being read says enough, and the API may know of it; nothing else was looked at.
        let wanted = |check: &Check| matches!(Area::of_check(&check.id), None | Some(Area::Api));
        let mut findings = checks.evaluate_known(&subject, wanted);
        findings.retain(|finding| Area::of_check(&finding.id).is_none() || finding.is_fault());
        findings
    } else if all {
        checks.evaluate(&subject)
    } else {
        checks.evaluate_loud(&subject, |check, verdict| {
            counts.add(verdict);
            passed.add(&check.id, verdict);
        })
    };
    for finding in &findings {
        counts.add(finding.verdict);
        passed.add(&finding.id, finding.verdict);
    }
    findings.shrink_to_fit();
    (phase, counts, NodeFindings { name: record.name.clone(), cluster: 0, roles, findings, passed })
}

fn was_read(record: &Record) -> bool {
    record.probe.as_ref().is_some_and(|capture| !capture.sections.is_empty())
}

/// Passes are counted, not listed.
fn worth_telling(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.retain(|finding| !matches!(finding.verdict, Verdict::Pass | Verdict::NotApplicable));
    findings.sort_by_key(|finding| (finding.verdict, finding.severity));
    findings.shrink_to_fit();
    findings
}
