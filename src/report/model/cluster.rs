//! What the nodes of a run say about each other: versions, configurations, flannel's pods, the inventory against the API,
//! and what failing nodes have that healthy ones have not. Values only; `diagnose` finds them.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::NodeReport;
use crate::diagnose::matrix::{self, VersionRow};
use crate::diagnose::outliers::{self, Configuration};
use crate::diagnose::siblings::{self, Difference, Healthy, Peer};
use crate::facts::cluster::{ClusterView, FlannelMissing};
use crate::record::Record;
use crate::verdict::{Phase, Verdict};

/// So many failing nodes are compared with the healthy ones. Where more fail, they fail alike.
const MOST_COMPARED: usize = 50;

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ClusterReport {
    /// The control plane that was asked; `null` when none answered.
    pub source: Option<String>,
    /// The API server's version.
    pub version: Option<String>,
    pub versions: Vec<VersionRow>,
    pub configurations: Vec<Configuration>,
    /// `null` when the API was not asked.
    pub flannel: Option<FlannelPods>,
    pub inventory: Inventory,
    /// Failing nodes, in the report's order; the first fifty.
    pub siblings: Vec<NodeDifferences>,
}

/// flannel's daemon sets, and the nodes of the run without a pod of theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FlannelPods {
    pub daemonsets: Vec<DaemonSetPods>,
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
    /// `None` when there are no two nodes to compare.
    pub fn of(view: &ClusterView, nodes: &[NodeReport], records: &[Record]) -> Option<Self> {
        let read = nodes.iter().filter_map(|node| Some((node, node.facts.as_ref()?)));
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
            source: view.source.known().cloned(),
            version: view.version.known().cloned(),
            versions: matrix::matrix(&peers),
            configurations: outliers::configurations(&peers, records),
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
        missing: missing.filter(|missing| joined.contains(missing.node.as_str())).collect(),
    })
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
