//! What the nodes of a cluster say about each other: versions, configurations, what several share that one alone may have,
//! flannel's pods, the inventory against the API, and what failing nodes have that healthy ones have not. Values only;
//! `diagnose` finds them.

use std::collections::{BTreeMap, HashSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::NodeReport;
use crate::diagnose::duplicates::{self, Duplicate};
use crate::diagnose::matrix::{self, VersionRow};
use crate::diagnose::outliers::{self, Configuration};
use crate::diagnose::siblings::{self, Difference, Healthy, Peer};
use crate::facts::api::Pod;
use crate::facts::cluster::{ClusterView, FlannelMissing};
use crate::names;
use crate::verdict::{Phase, Verdict};

/// So many failing nodes are compared with the healthy ones. Where more fail, they fail alike.
const MOST_COMPARED: usize = 50;

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ClusterReport {
    /// The control planes of the run.
    pub control_planes: Vec<String>,
    /// The control plane that was asked; `null` when none answered.
    pub source: Option<String>,
    /// The API server's version.
    pub version: Option<String>,
    pub versions: Vec<VersionRow>,
    pub configurations: Vec<Configuration>,
    /// What one machine alone may have, and several do.
    pub duplicates: Vec<Duplicate>,
    /// `null` when the API was not asked.
    pub flannel: Option<FlannelPods>,
    pub inventory: Inventory,
    /// Failing nodes, in the report's order; the first fifty.
    pub siblings: Vec<NodeDifferences>,
}

/// flannel's daemon sets, their pods on the nodes of the run, and the nodes without one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FlannelPods {
    pub daemonsets: Vec<DaemonSetPods>,
    /// By their state, the most frequent first.
    pub pods: Vec<PodsAlike>,
    pub missing: Vec<MissingPod>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DaemonSetPods {
    /// `namespace/name`
    pub name: String,
    pub desired: Option<u64>,
    pub current: Option<u64>,
    pub ready: Option<u64>,
}

/// Pods in one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PodsAlike {
    pub ready: bool,
    /// `Running`, or why not: `CrashLoopBackOff`.
    pub state: String,
    /// In natural order.
    pub nodes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MissingPod {
    pub node: String,
    pub because: FlannelMissing,
    /// The same in words, with the taint or the selector.
    pub detail: String,
}

/// The inventory's nodes against the API's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Inventory {
    /// Nodes that the API knows and the run did not read; `null` when the API was not asked.
    pub not_in_run: Option<Vec<String>>,
    /// Nodes of the run that the API does not know, which is normal before a join.
    pub not_in_cluster: Vec<Stranger>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Stranger {
    pub node: String,
    pub phase: Option<Phase>,
}

/// What separates a failing node from its healthy siblings, the clearest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NodeDifferences {
    pub node: String,
    pub differences: Vec<Difference>,
}

impl ClusterReport {
    /// The nodes of one cluster; `None` when there are no two to compare.
    pub fn of(view: &ClusterView, nodes: &[NodeReport]) -> Option<Self> {
        let own = nodes.iter().filter(|node| view.members.contains_key(&node.name));
        let read = own.filter_map(|node| Some((node, node.facts.as_ref()?)));
        let peers: Vec<Peer<'_>> = read
            .map(|(node, facts)| Peer {
                name: &node.name,
                facts,
                member: view.members.get(&node.name),
                verdict: if node.failure.is_some() { Verdict::Unknown } else { node.verdict },
            })
            .collect();
        if peers.len() < 2 {
            return None;
        }
        Some(Self {
            control_planes: view.control_planes.clone(),
            source: view.source.known().cloned(),
            version: view.version.known().cloned(),
            versions: matrix::matrix(&peers),
            configurations: outliers::configurations(&peers),
            duplicates: duplicates::duplicates(&peers),
            flannel: flannel(view, &peers, nodes),
            inventory: inventory(view, nodes),
            siblings: differences(&peers),
        })
    }
}

fn differences(peers: &[Peer<'_>]) -> Vec<NodeDifferences> {
    let failing: Vec<&Peer<'_>> =
        peers.iter().filter(|peer| peer.verdict == Verdict::Fail).take(MOST_COMPARED).collect();
    if failing.is_empty() {
        return Vec::new();
    }
    let healthy = Healthy::new(peers);
    let of = |peer: &&Peer<'_>| NodeDifferences {
        node: peer.name.to_owned(),
        differences: siblings::compare(peer.facts, &healthy),
    };
    failing.iter().map(of).filter(|node| !node.differences.is_empty()).collect()
}

fn flannel(view: &ClusterView, peers: &[Peer<'_>], nodes: &[NodeReport]) -> Option<FlannelPods> {
    let daemonsets = view.flannel_daemonsets.known()?.iter().map(|set| DaemonSetPods {
        name: format!("{}/{}", set.namespace, set.name),
        desired: set.desired.known().copied(),
        current: set.current.known().copied(),
        ready: set.ready.known().copied(),
    });
    // Before a join nobody expects a pod.
    let is_joined =
        |node: &&NodeReport| matches!(node.phase, Some(Phase::JoinedNotReady | Phase::Ready | Phase::ControlPlane));
    let joined: HashSet<&str> = nodes.iter().filter(is_joined).map(|node| node.name.as_str()).collect();
    let missing = peers.iter().filter_map(|peer| {
        let member = peer.member?;
        Some(MissingPod {
            node: peer.name.to_owned(),
            because: *member.flannel_missing_because.known()?,
            detail: member.flannel_missing_detail.known().cloned().unwrap_or_default(),
        })
    });
    Some(FlannelPods {
        daemonsets: daemonsets.collect(),
        pods: by_state(peers),
        missing: missing.filter(|missing| joined.contains(missing.node.as_str())).collect(),
    })
}

fn by_state(peers: &[Peer<'_>]) -> Vec<PodsAlike> {
    let mut states: BTreeMap<(bool, String), Vec<String>> = BTreeMap::new();
    for peer in peers {
        let Some(pod) = peer.member.and_then(|member| member.flannel_pod.known()) else { continue };
        states.entry((pod.ready, state(pod))).or_default().push(peer.name.to_owned());
    }
    let mut alike: Vec<PodsAlike> =
        states.into_iter().map(|((ready, state), nodes)| PodsAlike { ready, state, nodes }).collect();
    for pods in &mut alike {
        pods.nodes.sort_by(|a, b| names::natural_cmp(a, b));
    }
    alike.sort_by_key(|pods| std::cmp::Reverse(pods.nodes.len()));
    alike
}

fn state(pod: &Pod) -> String {
    let said = if pod.ready { &pod.phase } else { pod.reason.known().map_or(&pod.phase, |_| &pod.reason) };
    said.known().cloned().unwrap_or_else(|| if pod.ready { "ready" } else { "not ready" }.to_owned())
}

fn inventory(view: &ClusterView, nodes: &[NodeReport]) -> Inventory {
    let unknown_to_api =
        |node: &&NodeReport| view.members.get(&node.name).is_some_and(|member| member.node.is_absent());
    let strangers = nodes.iter().filter(|node| node.facts.is_some()).filter(unknown_to_api);
    Inventory {
        not_in_run: view.nodes_not_in_run.known().cloned(),
        not_in_cluster: strangers.map(|node| Stranger { node: node.name.clone(), phase: node.phase }).collect(),
    }
}
