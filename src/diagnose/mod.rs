//! From findings to root causes: which faults explain which, which are left, how sure that is, and what they are not.
//!
//! - [`phase`]: where a node stands in its life; comes before any check.
//! - `graph`: one node's faults and the edges between them.
//! - [`root_cause`]: what comes out.
//! - [`node`] and `cells`: what one node amounts to in the table.
//! - [`matrix`], [`outliers`], [`duplicates`], [`siblings`]: the nodes of a run against each other: versions, configurations,
//!   what no two may have, and what a failing node has that healthy ones have not.
//! - [`join_log`]: the classifier of `kubeadm join` output, which needs no node.
//!
//! Pure and deterministic: facts, findings and text in, values out.

mod cells;
pub mod duplicates;
mod graph;
pub mod join_log;
pub mod matrix;
pub mod node;
pub mod outliers;
pub mod phase;
pub mod root_cause;
pub mod siblings;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::checks::{Check, Checks, Finding, Severity};
use crate::facts::alike::Alike;
use crate::names;
use crate::target::Role;
use crate::verdict::{Area, Verdict};
use graph::{Causes, Graph};
use root_cause::{Confidence, Consequence, NotTheCause, Reservation, RootCause, Scope};

/// One node of a run with what every check says about it.
#[derive(Debug)]
pub struct NodeFindings {
    pub name: String,
    /// Which of the run's clusters it is of: what a control plane lacks, its own nodes feel.
    pub cluster: usize,
    pub roles: Vec<Role>,
    /// What passes or does not apply may be missing: two hundred findings of every node, of which `passed` says all that is told.
    pub findings: Vec<Finding>,
    pub passed: Passed,
}

impl NodeFindings {
    pub fn new(name: impl Into<String>, roles: Vec<Role>, findings: Vec<Finding>) -> Self {
        let passed = Passed::of(&findings);
        Self { name: name.into(), cluster: 0, roles, findings, passed }
    }
}

/// Where a node's checks passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed {
    any: bool,
    /// A bit for each [`Area`].
    areas: u16,
}

impl Passed {
    pub fn of(findings: &[Finding]) -> Self {
        let mut passed = Self::default();
        for finding in findings {
            passed.add(&finding.id, finding.verdict);
        }
        passed
    }

    pub fn add(&mut self, id: &str, verdict: Verdict) {
        if verdict == Verdict::Pass {
            self.any = true;
            self.areas |= Area::of_check(id).map_or(0, Self::bit);
        }
    }

    const fn bit(area: Area) -> u16 {
        1 << area as u16
    }

    /// Some check did.
    pub const fn any(self) -> bool {
        self.any
    }

    /// Some check of the area did.
    pub const fn in_area(self, area: Area) -> bool {
        self.areas & Self::bit(area) != 0
    }
}

/// Names the causes of a run, worst first, and fills in `explained_by` of every finding.
pub fn diagnose(nodes: &mut [NodeFindings], checks: &Checks) -> Vec<RootCause> {
    let graph = Graph::new(checks);
    let mut found: BTreeMap<&str, Vec<Case<'_>>> = BTreeMap::new();
    let mut explained: Vec<Vec<(usize, Alike<String>)>> = Vec::with_capacity(nodes.len());
    let mut wide: BTreeMap<usize, Vec<&Finding>> = BTreeMap::new();
    for node in nodes.iter().filter(|node| node.roles.contains(&Role::ControlPlane)) {
        wide.entry(node.cluster).or_default().extend(graph.wide(&node.findings));
    }
    let mut wider: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for node in nodes.iter() {
        let of_node = of_node(node, &graph, wide.get(&node.cluster).map_or(&[][..], Vec::as_slice));
        for case in of_node.roots {
            found.entry(case.finding.id.as_str()).or_default().push(case);
        }
        for (cause, symptom) in of_node.wider {
            wider.entry(cause).or_default().push((symptom, node.name.as_str()));
        }
        explained.push(of_node.links);
    }
    let judged = nodes.iter().filter(|node| node.passed.any()).count();
    let mut causes: Vec<(Rank, RootCause)> = found
        .into_iter()
        .filter_map(|(id, cases)| {
            let check = checks.get(id)?;
            Some(fold(check, cases, judged, wider.get(id).map_or(&[][..], Vec::as_slice), checks))
        })
        .collect();
    causes.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.id.cmp(&b.1.id)));
    for (node, links) in nodes.iter_mut().zip(explained) {
        for (place, cause) in links {
            node.findings[place].explained_by = Some(cause);
        }
    }
    causes.into_iter().map(|(_, cause)| cause).collect()
}

/// A fault of one node that nothing else of it explains.
struct Case<'f> {
    node: &'f NodeFindings,
    finding: &'f Finding,
    explains: Vec<&'f str>,
    unknown: BTreeSet<Alike<String>>,
}

impl Case<'_> {
    fn confidence(&self) -> Confidence {
        if self.finding.certain {
            Confidence::Certain
        } else if self.explains.len() >= 2 {
            Confidence::Likely
        } else {
            Confidence::Possible
        }
    }

    /// A consequence counts one, two facts that contradict each other count two.
    fn score(&self) -> usize {
        self.explains.len() + if self.finding.certain { 2 } else { 0 }
    }
}

/// What the graph says of one node.
#[derive(Default)]
struct OfNode<'f> {
    roots: Vec<Case<'f>>,
    /// What explains a finding, by the finding's place.
    links: Vec<(usize, Alike<String>)>,
    /// Which control plane's fault shows here, and as what.
    wider: Vec<(&'f str, &'f str)>,
}

fn of_node<'f>(node: &'f NodeFindings, graph: &Graph<'_>, wide: &[&'f Finding]) -> OfNode<'f> {
    if !node.findings.iter().any(Finding::is_fault) {
        return OfNode::default();
    }
    let of_node = graph.of_node(&node.findings, wide);
    let mut roots: Vec<Case<'f>> = Vec::new();
    let mut followers: Vec<(&'f Finding, Causes)> = Vec::new();
    let mut links = Vec::new();
    for (place, finding) in node.findings.iter().enumerate().filter(|(_, finding)| finding.is_fault()) {
        let causes = of_node.causes(finding);
        match &causes.nearest {
            Some(nearest) => {
                links.push((place, nearest.clone()));
                followers.push((finding, causes));
            }
            None => roots.push(Case { node, finding, explains: Vec::new(), unknown: causes.unknown }),
        }
    }
    for root in &mut roots {
        let own = followers.iter().filter(|(_, causes)| causes.roots.contains(&root.finding.id));
        root.explains = own.map(|(follower, _)| follower.id.as_str()).collect();
    }
    let shown = |cause: &&'f Finding| {
        let id = cause.id.as_str();
        let own = followers.iter().filter(move |(_, causes)| causes.roots.contains(id));
        own.map(move |(follower, _)| (id, follower.id.as_str())).collect::<Vec<_>>()
    };
    let wider = wide.iter().flat_map(shown).collect();
    OfNode { roots, links, wider }
}

/// The order of root causes: what breaks things first, then what explains most, then the lowest layer.
type Rank = (Verdict, Reverse<usize>, Reverse<usize>, usize, Severity);

/// All nodes' cases of one check as one cause.
fn fold(
    check: &Check,
    mut cases: Vec<Case<'_>>,
    judged: usize,
    wider: &[(&str, &str)],
    checks: &Checks,
) -> (Rank, RootCause) {
    cases.sort_by(|a, b| names::natural_cmp(&a.node.name, &b.node.name));
    let score = cases.iter().map(Case::score).max().unwrap_or(0) + wider.len();
    let confidence = cases.iter().map(Case::confidence).min().unwrap_or(Confidence::Possible);
    let worst = cases.iter().map(|case| case.finding.verdict).min().unwrap_or(Verdict::Fail);
    // What is only worth knowing breaks nothing.
    let verdict = if check.severity == Severity::Low { Verdict::Warn } else { worst };
    let mut explains: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for case in &cases {
        for id in &case.explains {
            explains.entry(id).or_default().insert(&case.node.name);
        }
    }
    for (id, node) in wider {
        explains.entry(id).or_default().insert(node);
    }
    let title = |id: &str| checks.get(id).map_or_else(|| id.to_owned(), |check| check.title.to_string());
    let consequences = explains
        .into_iter()
        .map(|(id, nodes)| Consequence { id: id.to_owned(), title: title(id), nodes: nodes.len() })
        .collect();
    let reservations = match confidence {
        Confidence::Certain => Vec::new(),
        Confidence::Likely | Confidence::Possible => reservations(&cases, &title),
    };
    let rank = (verdict, Reverse(score), Reverse(cases.len()), layer(check.area()), check.severity);
    // Two thirds, and more than one node.
    let reach = if cases.len() >= 2 && cases.len() * 3 >= judged * 2 { Scope::Fleet } else { Scope::Node };
    // The first node of those that are surest is the one to show.
    let shown = cases.iter().min_by_key(|case| (case.finding.verdict, case.confidence()));
    let root = RootCause {
        id: check.id.to_string(),
        title: check.title.to_string(),
        message: shown.map(|case| case.finding.message.to_string()).unwrap_or_default(),
        verdict,
        severity: check.severity,
        confidence,
        scope: reach,
        evidence: shown.map(|case| case.finding.evidence.clone()).unwrap_or_default(),
        not_the_cause: if verdict == Verdict::Fail { not_the_cause(&cases) } else { Vec::new() },
        nodes: cases.iter().map(|case| case.node.name.clone()).collect(),
        explains: consequences,
        reservations,
        remedy: check.remedy.clone(),
    };
    (rank, root)
}

/// What lies behind a root and could not be read, with the reason of the first node.
fn reservations(cases: &[Case<'_>], title: &impl Fn(&str) -> String) -> Vec<Reservation> {
    let mut reasons: BTreeMap<&str, &str> = BTreeMap::new();
    for case in cases {
        for id in &case.unknown {
            let why =
                case.node.findings.iter().find(|finding| finding.id == *id).map_or("", |finding| &finding.message);
            reasons.entry(id).or_insert(why);
        }
    }
    let reservation =
        |(id, why): (&str, &str)| Reservation { id: id.to_owned(), title: title(id), why: why.to_owned() };
    reasons.into_iter().map(reservation).collect()
}

/// What is normal in the phase of all of these nodes although it looks like a fault, and the areas that were read and are
/// sound on all of them.
fn not_the_cause(cases: &[Case<'_>]) -> Vec<NotTheCause> {
    let mut said: Vec<NotTheCause> = Vec::new();
    let everywhere = |of_node: &dyn Fn(&NodeFindings) -> bool| cases.iter().all(|case| of_node(case.node));
    let Some(first) = cases.first() else { return said };
    for finding in first.node.findings.iter().filter(|finding| finding.verdict == Verdict::Expected) {
        if everywhere(&|node| node.findings.iter().any(|f| f.id == finding.id && f.verdict == Verdict::Expected)) {
            said.push(NotTheCause { what: finding.title.to_string(), why: "normal in this phase".to_owned() });
        }
    }
    for area in SOUND {
        let sound = |node: &NodeFindings| {
            let mut of_area = node.findings.iter().filter(|f| Area::of_check(&f.id) == Some(area));
            node.passed.in_area(area)
                && of_area.all(|f| matches!(f.verdict, Verdict::Pass | Verdict::NotApplicable | Verdict::Expected))
        };
        if everywhere(&sound) {
            said.push(NotTheCause { what: area.name().to_owned(), why: "read and sound".to_owned() });
        }
    }
    said
}

/// The areas that people suspect.
const SOUND: [Area; 7] =
    [Area::Mounts, Area::Disk, Area::Permissions, Area::Time, Area::Nfs, Area::Containerd, Area::Cni];

/// From the bottom up: of two causes that explain equally much, the lower one comes first.
fn layer(area: &str) -> usize {
    const LAYERS: [&str; 19] = [
        "ssh",
        "identity",
        "system",
        "time",
        "mounts",
        "disk",
        "nfs",
        "kernel",
        "permissions",
        "firewall",
        "containerd",
        "kubelet",
        "control-plane",
        "join",
        "cni",
        "flannel",
        "node",
        "cluster",
        "upgrade",
    ];
    LAYERS.iter().position(|known| *known == area).unwrap_or(LAYERS.len())
}
