//! One node as planners see it: its entry of the report, its facts, its place in the cluster, what every check says about it,
//! and the state that a plan is held against. Borrowed and pure; nothing here decides anything.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::plan::Refusal;
use super::state::State;
use super::steps::PlanOptions;
use crate::checks::{Check, Checks, Finding, Severity};
use crate::facts::cluster::{ClusterView, Member};
use crate::facts::{self, NodeFacts};
use crate::fleet::Assessed;
use crate::report::model::NodeReport;
use crate::target::Role;
use crate::verdict::Verdict;

/// A run as planners see it.
#[derive(Debug)]
pub struct Fleet<'a> {
    assessed: &'a Assessed,
    pub checks: &'a Checks,
    pub options: &'a PlanOptions,
    nodes: BTreeMap<&'a str, &'a NodeReport>,
    /// The first of the nodes to be changed with each machine-id.
    machines: BTreeMap<&'a str, &'a str>,
}

/// The control plane whose API answered.
#[derive(Debug, Clone, Copy)]
pub struct ControlPlane<'a> {
    /// The inventory's name.
    pub name: &'a str,
    pub facts: &'a NodeFacts,
}

/// One node.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub fleet: &'a Fleet<'a>,
    /// The inventory's name.
    pub name: &'a str,
    pub report: &'a NodeReport,
    /// All unknown when nothing was read.
    pub facts: &'a NodeFacts,
    /// The cluster that it belongs to.
    pub cluster: &'a ClusterView,
    pub member: &'a Member,
    /// `None` when nobody looked.
    pub state: Option<&'a State>,
    findings: &'a [Finding],
}

/// What a check says about a node, as a guard takes it.
#[derive(Debug, Clone, PartialEq)]
pub enum Said<'a> {
    /// It passes, or does not apply.
    Sound,
    Fails(&'a Finding),
    Warns(&'a Finding),
    /// Its failure is normal in the node's phase.
    Expected(&'a Finding),
    /// Nobody knows, with why. A check that is switched off says nothing either.
    Unknown(String),
}

static NO_FACTS: LazyLock<NodeFacts> = LazyLock::new(NodeFacts::default);
static NO_CLUSTER: LazyLock<ClusterView> = LazyLock::new(ClusterView::default);
static NO_MEMBER: LazyLock<Member> = LazyLock::new(Member::default);

/// No chain of causes is longer.
const LONGEST_CHAIN: usize = 64;

impl<'a> Fleet<'a> {
    pub fn new(assessed: &'a Assessed, checks: &'a Checks, options: &'a PlanOptions) -> Self {
        let nodes: BTreeMap<&str, &NodeReport> =
            assessed.report.nodes.iter().map(|node| (node.name.as_str(), node)).collect();
        let mut machines = BTreeMap::new();
        for name in &options.nodes {
            let facts = nodes.get(name.as_str()).and_then(|node| node.facts.as_ref());
            if let Some(id) = facts.and_then(machine) {
                machines.entry(id).or_insert(name.as_str());
            }
        }
        Self { assessed, checks, options, nodes, machines }
    }

    /// `None` for a node that the run does not have.
    pub fn view(&'a self, name: &str, state: Option<&'a State>) -> Option<View<'a>> {
        let report = *self.nodes.get(name)?;
        Some(View {
            fleet: self,
            name: &report.name,
            report,
            facts: report.facts.as_ref().unwrap_or(&NO_FACTS),
            cluster: self.assessed.cluster_of(name).unwrap_or(&NO_CLUSTER),
            member: self.assessed.member(name).unwrap_or(&NO_MEMBER),
            state,
            findings: self.assessed.findings.get(name).map_or(&[], Vec::as_slice),
        })
    }

    /// The first of the nodes to be changed that is the same machine by its machine-id; it may be `node` itself.
    pub fn first_of_machine(&'a self, node: &View<'_>) -> Option<View<'a>> {
        self.view(self.machines.get(machine(node.facts)?)?, None)
    }
}

impl<'a> View<'a> {
    /// `None` when no control plane of the node's cluster answered.
    pub fn control_plane(&self) -> Option<ControlPlane<'a>> {
        let node = *self.fleet.nodes.get(self.cluster.source.known()?.as_str())?;
        Some(ControlPlane { name: &node.name, facts: node.facts.as_ref()? })
    }

    /// What fails on the control planes of the node's cluster, with the control plane's name.
    pub fn faults_of_control_planes(&self) -> impl Iterator<Item = (&'a str, &'a Finding)> {
        let (assessed, members) = (self.fleet.assessed, &self.cluster.members);
        let control_planes = assessed
            .report
            .nodes
            .iter()
            .filter(move |node| node.roles.contains(&Role::ControlPlane) && members.contains_key(&node.name));
        control_planes.flat_map(|node| {
            let all = assessed.findings.get(&node.name).map_or(&[][..], Vec::as_slice);
            let failing = all.iter().filter(|finding| finding.verdict == Verdict::Fail);
            failing.map(|finding| (node.name.as_str(), finding))
        })
    }

    /// Of every check that is not switched off.
    pub const fn findings(&self) -> &'a [Finding] {
        self.findings
    }

    pub fn finding(&self, id: &str) -> Option<&'a Finding> {
        self.findings.iter().find(|finding| finding.id == id)
    }

    pub fn said(&self, id: &str) -> Said<'a> {
        let Some(finding) = self.finding(id) else {
            return Said::Unknown(match self.fleet.checks.get(id).and_then(|check| check.change.as_ref()) {
                Some(change) if change.disabled => format!("the check is switched off in {}", change.file),
                _ => "the check was not made".to_owned(),
            });
        };
        match finding.verdict {
            Verdict::Pass | Verdict::NotApplicable => Said::Sound,
            Verdict::Fail => Said::Fails(finding),
            Verdict::Warn => Said::Warns(finding),
            Verdict::Expected => Said::Expected(finding),
            Verdict::Unknown => Said::Unknown(clip(&finding.message)),
        }
    }

    /// It fails or warns now: what asks for a step.
    pub fn asks(&self, id: &str) -> bool {
        matches!(self.said(id), Said::Fails(_) | Said::Warns(_))
    }

    /// The fault behind a fault; itself, when nothing of the run explains it.
    pub fn root(&self, finding: &'a Finding) -> &'a Finding {
        let mut root = finding;
        for _ in 0..LONGEST_CHAIN {
            let Some(cause) = root.explained_by.as_deref() else { break };
            let here = self.finding(cause).filter(|finding| finding.is_fault());
            let wide = || self.faults_of_control_planes().find(|(_, fault)| fault.id == *cause);
            match here.or_else(|| wide().map(|(_, fault)| fault)) {
                Some(next) => root = next,
                None => break,
            }
        }
        root
    }

    /// How bad a failure of the check is by the program's own word: a guard does not get weaker by a user's file.
    pub fn severity(&self, finding: &Finding) -> Severity {
        let changed = self.fleet.checks.get(&finding.id).and_then(|check| check.change.as_ref());
        changed.map_or(finding.severity, |change| finding.severity.min(change.severity_was))
    }

    /// A check's no, in its own words and with its own remedy.
    pub fn refused_by(&self, finding: &Finding) -> Refusal {
        self.refused(&finding.id, &finding.message)
    }

    /// A no of the check `guard` for a reason of one's own.
    pub fn refused(&self, guard: &str, reason: &str) -> Refusal {
        let remedy = self.fleet.checks.get(guard).map(remedy);
        Refusal {
            guard: guard.to_owned(),
            unknown: false,
            reason: clip(reason),
            next: remedy.unwrap_or_else(|| format!("seaworthy diagnose {}", self.name)),
        }
    }

    /// Not knowing is no reason to go on.
    pub fn not_known(&self, guard: &str, why: &str) -> Refusal {
        Refusal {
            guard: guard.to_owned(),
            unknown: true,
            reason: clip(why),
            next: format!(
                "see why with `seaworthy diagnose {}`; if you know better, go on with --accept-unknown {guard}",
                self.name
            ),
        }
    }
}

/// `/etc/machine-id`, where there is one.
pub(super) fn machine(facts: &NodeFacts) -> Option<&str> {
    facts.identity.machine_id.known().map(|id| id.trim()).filter(|id| !id.is_empty())
}

/// What to do about a failure, on one line: the text, then the commands.
fn remedy(check: &Check) -> String {
    let commands = check.remedy.command.iter().flat_map(|command| command.trim().lines()).map(|line| {
        // A comment would swallow the command after it.
        match line.split_once(" #") {
            Some((command, comment)) => format!("`{}` ({})", command.trim(), comment.trim()),
            None => format!("`{}`", line.trim()),
        }
    });
    let commands = commands.collect::<Vec<_>>().join(", then ");
    let text = check.remedy.text.trim();
    if commands.is_empty() { text.to_owned() } else { format!("{text} {commands}") }
}

/// What a node says is of any length.
pub(super) fn clip(text: &str) -> String {
    const MOST: usize = 400;
    facts::clip(text, MOST)
}
