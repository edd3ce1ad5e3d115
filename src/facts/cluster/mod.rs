//! What the records of a whole run say together: the API's word on each node, and each node against the others.
//!
//! - `split`: which of them are one cluster.
//! - `matching`: which Node object is which node of the run.
//! - `duplicates`: what one machine alone may have, and several do.
//! - `flannel`: why a node has no pod of flannel's.
//! - `kube_proxy`: whether a node has kube-proxy's pod.
//! - `exports`: NFS servers of the run and their clients.
//! - `pods`: the addresses of pods against the networks of their nodes.
//! - [`agreement`]: what most of the siblings say, and who says something else.
//! - `cidr`: networks as ranges.
//!
//! Nothing here judges: that two nodes share an id is a fact, and what follows from it is a check's matter. Lists of other
//! nodes are short, because each of ten thousand nodes may have one.

pub mod agreement;
mod cidr;
mod duplicates;
mod exports;
mod flannel;
mod kube_proxy;
mod matching;
mod pods;
mod split;

pub use duplicates::{Duplicates, Shared};
pub use flannel::FlannelMissing;
pub use split::{Run, split};

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::api::{ApiNode, DaemonSet, Pod};
use super::configuration::Part;
use super::overlay::{Fleet, Overlay};
use super::time::Clock;
use super::{Fact, NodeFacts};
use agreement::{Agreement, VersionDrift};
use exports::Exports;
use flannel::Placement;
use kube_proxy::KubeProxies;
use matching::Matching;
use pods::PodAddresses;

/// The cluster as one run saw it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct ClusterView {
    /// The control-plane record whose API answers were used.
    pub source: Fact<String>,
    /// All control planes of the run, by its names.
    pub control_planes: Vec<String>,
    /// The API server's version.
    pub version: Fact<String>,
    /// What the cluster adds to each node of the run, by the run's name of the node.
    pub members: BTreeMap<String, Member>,
    /// Nodes that the API knows and the run did not read.
    pub nodes_not_in_run: Fact<Vec<String>>,
    /// flannel's daemon sets.
    pub flannel_daemonsets: Fact<Vec<DaemonSet>>,
}

/// One node of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Member {
    /// Its Node object; absent when the API knows none.
    pub node: Fact<ApiNode>,
    /// Seconds since the Node object was made, by the control plane's clock.
    pub node_age: Fact<i64>,
    /// Seconds since its kubelet last reported, by the control plane's clock. A kubelet with nothing new to say reports
    /// every five minutes.
    pub heartbeat_age: Fact<i64>,
    /// flannel's pod on it; absent when there is none.
    pub flannel_pod: Fact<Pod>,
    /// Why there is none; absent when there is one, or when flannel is not the cluster's network.
    pub flannel_missing_because: Fact<FlannelMissing>,
    /// The same in words, with the taint or the selector.
    pub flannel_missing_detail: Fact<String>,
    /// kube-proxy's pod on it; absent when there is none.
    pub kube_proxy_pod: Fact<Pod>,
    /// There is none, and the cluster's other nodes have one.
    pub kube_proxy_missing: Fact<bool>,
    /// What it mounts by NFS, or should, from a node of the run that exports it to others only.
    pub nfs_refused: Fact<Vec<String>>,
    /// What it mounts by NFS with other options than most nodes of the run, with both.
    pub nfs_options_differ: Fact<Vec<String>>,
    /// Its clock minus the control plane's, in milliseconds.
    pub skew_ms: Fact<i64>,
    pub skew_error_ms: Fact<i64>,
    /// How far its clock is off, and from whose.
    pub clock: Clock,
    /// The API has a Node of the run's name for it, and this machine is another Node.
    pub name_is_anothers: Fact<bool>,
    /// `FLANNEL_SUBNET` is not in the Node's podCIDR.
    pub pod_cidr_differs: Fact<bool>,
    /// The Node's podCIDR is not inside the cluster's pod network.
    pub pod_cidr_outside: Fact<bool>,
    /// Addresses of its pods that are not of its podCIDR; only where flannel is the network.
    pub pods_outside: Fact<Vec<String>>,
    /// Addresses of its pods that a pod on another node has as well; only where flannel is the network.
    pub pods_shared: Fact<Vec<String>>,
    /// What other nodes have as well.
    pub duplicates: Duplicates,
    /// Its CA is not the one of any control plane of the run.
    pub ca_differs: Fact<bool>,
    /// Its kubelet talks to another endpoint than the control planes name and most of its siblings use.
    pub endpoint_differs: Fact<bool>,
    /// Its kubelet is of another minor version than those of most of its siblings.
    pub kubelet_drift: Fact<VersionDrift>,
    /// The parts of its configuration that less than half of its siblings have like it.
    pub configuration_outliers: Vec<Part>,
    /// The API server's version, and its minor number.
    pub cluster_version: Fact<String>,
    pub cluster_minor: Fact<u32>,
    /// The DNS servers that the cluster's configuration gives to kubelets for their pods.
    pub cluster_dns: Fact<Vec<String>>,
    /// SHA-256 of the public key of the cluster's CA.
    pub cluster_ca_sha256: Fact<String>,
    /// The name that this node goes by, when a Ready Node of another machine has it.
    pub name_taken: Fact<String>,
    /// The control planes of its cluster, when most nodes of the run are of another one.
    pub other_cluster: Fact<Vec<String>>,
    /// Its part in flannel's network.
    pub overlay: Overlay,
}

/// The clusters of a run as [`split()`] gives them.
pub fn views(clusters: &[Run]) -> Vec<ClusterView> {
    let mut views: Vec<ClusterView> = clusters.iter().map(view).collect();
    for other in views.iter_mut().skip(1) {
        for member in other.members.values_mut() {
            let named = other.control_planes.iter().take(MOST_NAMED);
            member.other_cluster = Fact::Known(named.cloned().collect());
        }
    }
    views
}

/// Joins the facts of one cluster, by the run's names.
pub fn view(nodes: &Run) -> ClusterView {
    let control_planes: Vec<_> = nodes.iter().filter(|(_, facts)| facts.identity.control_plane.is_true()).collect();
    let answering = control_planes.iter().find(|(_, facts)| facts.api.nodes.is_known());
    let api = answering.or(control_planes.first()).map(|(_, facts)| &facts.api);
    let of_api = || Fact::<()>::unknown(if api.is_some() { "no control plane answered" } else { NO_CONTROL_PLANE });
    let api_nodes = api.map_or_else(|| Fact::unknown(NO_CONTROL_PLANE), |api| api.nodes.as_ref());
    let complete = answering.is_some_and(|(_, facts)| facts.api.nodes_complete.is_true());
    let now = answering.map_or_else(|| of_api().map(|()| 0), |(_, facts)| facts.time.epoch.clone());
    let clock = control_planes
        .iter()
        .find_map(|(_, facts)| Some((*facts.time.skew_ms.known()?, *facts.time.skew_error_ms.known()?)));

    let matching = Matching::new(nodes, api_nodes.clone(), complete);
    let duplicates = duplicates::Index::new(nodes, &matching);
    let placement = answering.map(|(_, facts)| Placement::new(&facts.api, complete));
    let addresses = answering.map(|(_, facts)| PodAddresses::new(&facts.api));
    let agreement = Agreement::new(nodes, &control_planes);
    let (version, authority) =
        of_cluster(answering.map(|(_, facts)| *facts), control_planes.first().map(|(_, facts)| *facts));
    let minor =
        version.as_ref().and_then(|version| version.split('.').nth(1).map_or(Fact::Absent, super::read::number));
    let proxies = answering.map(|(_, facts)| KubeProxies::new(&facts.api));
    let exports = Exports::new(nodes);
    let cluster_dns =
        answering.map_or_else(|| of_api().map(|()| Vec::new()), |(_, facts)| facts.api.kubelet_cluster_dns.clone());
    let overlay = Fleet::new(nodes, &api_nodes, answering.map(|(_, facts)| &*facts.api));

    let members = nodes.iter().map(|(name, facts)| {
        let node = matching.node(name);
        let relative = |own: &Fact<i64>, f: fn(i64, i64) -> i64, part: Option<i64>| match part {
            Some(part) => own.as_ref().map(|own| f(*own, part)),
            None => Fact::unknown("no control plane's clock was read"),
        };
        let since = |of: fn(&ApiNode) -> &Fact<i64>| {
            node.as_ref()
                .and_then(|node| of(node).as_ref().and_then(|at| now.as_ref().map(|now| now.saturating_sub(*at))))
        };
        let flannel = placement.as_ref().map_or_else(|| flannel::OfNode::unknown(&of_api()), |all| all.of(&node));
        let pods = addresses.as_ref().map_or_else(|| pods::OfNode::unknown(&of_api()), |all| all.of(&node));
        let kube_proxy = proxies.as_ref().map_or_else(|| kube_proxy::OfNode::unknown(&of_api()), |all| all.of(&node));
        let skew_ms = relative(&facts.time.skew_ms, i64::saturating_sub, clock.map(|(skew, _)| skew));
        let skew_error_ms = relative(&facts.time.skew_error_ms, i64::saturating_add, clock.map(|(_, error)| error));
        let mut member = Member {
            node_age: since(|node| &node.created),
            heartbeat_age: since(|node| &node.heartbeat),
            flannel_pod: flannel.pod,
            flannel_missing_because: flannel.missing_because,
            flannel_missing_detail: flannel.missing_detail,
            kube_proxy_pod: kube_proxy.pod,
            kube_proxy_missing: kube_proxy.missing,
            nfs_refused: exports.refused(facts),
            nfs_options_differ: exports.options_differ(facts),
            cluster_dns: cluster_dns.clone(),
            clock: Clock::new(&skew_ms, &skew_error_ms, &facts.time),
            skew_ms,
            skew_error_ms,
            name_is_anothers: node.as_ref().and_then(|node| {
                api_nodes.as_ref().map(|known| {
                    let named = name.to_lowercase();
                    node.name != named && known.contains_key(&named)
                })
            }),
            pod_cidr_differs: node.as_ref().and_then(|node| {
                node.pod_cidr.as_ref().and_then(|cidr| facts.flannel.pod_cidr.as_ref().map(|own| *own != *cidr))
            }),
            pod_cidr_outside: pods.cidr_outside,
            pods_outside: pods.outside,
            pods_shared: pods.shared,
            duplicates: duplicates.of(name, &node),
            ca_differs: agreement.ca_differs(facts),
            endpoint_differs: agreement.endpoint_differs(facts),
            kubelet_drift: agreement.kubelet_drift(facts),
            configuration_outliers: agreement.configuration_outliers(facts),
            cluster_version: version.clone(),
            cluster_minor: minor.clone(),
            cluster_ca_sha256: authority.clone(),
            name_taken: api_nodes.as_ref().and_then(|known| Fact::from_option(matching::name_taken(facts, known))),
            other_cluster: Fact::Absent,
            overlay: Overlay::default(),
            node: node.cloned(),
        };
        member.overlay = overlay.overlay(name, facts, &member);
        (name.clone(), member)
    });
    ClusterView {
        source: Fact::from_option(answering.map(|(name, _)| (*name).clone())),
        control_planes: control_planes.iter().map(|(name, _)| (*name).clone()).collect(),
        version: answering.map_or_else(Fact::default, |(_, facts)| facts.api.version.clone()),
        members: members.collect(),
        nodes_not_in_run: matching.not_in_run(),
        flannel_daemonsets: answering
            .map_or_else(|| of_api().map(|()| Vec::new()), |(_, facts)| facts.api.flannel_daemonsets.clone()),
    }
}

/// The API server's version and the CA's key: of the control plane that answers, else of the files of one that does not.
fn of_cluster(answering: Option<&NodeFacts>, any: Option<&NodeFacts>) -> (Fact<String>, Fact<String>) {
    let version =
        answering.map_or_else(|| Fact::unknown("no control plane answered"), |facts| facts.api.version.clone());
    let published = answering
        .map_or_else(|| Fact::unknown("no control plane was read"), |facts| facts.api.cluster_info_ca_sha256.clone());
    let on_disk = || any.map_or_else(Fact::default, |facts| facts.certs.ca.key_sha256.clone());
    (version, published.or_else(on_disk))
}

/// So many control planes are named.
const MOST_NAMED: usize = 5;
const NO_CONTROL_PLANE: &str = "no control plane was read";

#[cfg(test)]
mod tests;
