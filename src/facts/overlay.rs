//! One node's part in flannel's network: what the node has against what the API and the other nodes say.
//!
//! Where flannel's pod should be, which addresses belong to the node alone, and whether it knows the way to every peer. The
//! node by itself cannot know any of this.

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::Serialize;

use super::api::{Api, ApiNode, Pod};
use super::cluster::Member;
use super::crictl::json;
use super::ipv4::{Net, ip};
use super::libcni;
use super::pieces::Pieces;
use super::read::clip;
use super::vtep::mac;
use super::{Fact, NodeFacts};

/// flannel's port and VXLAN id on Linux when its configuration names none.
const DEFAULT_PORT: u32 = 8472;
const DEFAULT_VNI: u32 = 1;
/// So many peers are named.
const NAMED: usize = 20;

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Overlay {
    /// The cluster runs flannel: the API has a daemon set of it, or pods.
    pub runs: Fact<bool>,
    /// The cluster's flannel uses VXLAN.
    pub vxlan: Fact<bool>,
    /// The cluster runs flannel, and not on this node.
    pub pod_missing: Fact<bool>,
    /// What keeps the pod away, as far as the Node object tells.
    pub pod_missing_why: Fact<String>,
    /// flannel's pod is not ready; where no API was asked, its container does not run.
    pub pod_failing: Fact<bool>,
    /// Why: the state of its pod, and the last error in its log.
    pub pod_says: Fact<String>,
    /// Its init containers, which install the CNI files, are not through.
    pub pod_in_init: Fact<bool>,
    /// Daemon sets that have a flannel pod on the node, as `kube-system/kube-flannel-ds`.
    pub pod_sets: Fact<Vec<String>>,
    /// The Node has no podCIDR in a cluster that runs flannel.
    pub pod_cidr_missing: Fact<bool>,
    /// Its podCIDR does not lie in the network that flannel is configured for.
    pub pod_cidr_outside: Fact<bool>,
    /// flannel's network overlaps with the cluster's service network.
    pub services_overlap: Fact<bool>,
    /// Nodes of the run that have the same subnet in flannel's file. Empty on the one that the API gave it to.
    pub subnet_shared_with: Fact<Vec<String>>,
    /// flannel's CNI file on the node says something else than the one in the cluster's configuration.
    pub conf_differs: Fact<bool>,
    /// The hardware address of flannel.1 that the node told the others.
    pub announced_mac: Fact<String>,
    /// flannel.1 has another one.
    pub mac_differs: Fact<bool>,
    /// flannel.1 sends from an address that is not among the Node's.
    pub local_differs: Fact<bool>,
    /// Nodes that told the others the same address of theirs.
    pub address_shared_with: Fact<Vec<String>>,
    /// What flannel.1 has and flannel's configuration has not, as `port 4789 instead of 8472`.
    pub vxlan_differs: Fact<Vec<String>>,
    /// The MTU that most nodes of the run have in flannel's file.
    pub usual_mtu: Fact<u32>,
    /// Other nodes that flannel runs on.
    pub peers: Fact<u64>,
    /// How many of them this node has no way to.
    pub peers_lost: Fact<u64>,
    /// The first of them, with what is missing.
    pub lost: Fact<BTreeMap<String, PeerProblem>>,
}

/// What a node lacks to reach a peer's pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PeerProblem {
    NoRoute,
    /// No hardware address is known for its end of the tunnel, or an old one.
    NoNeighbour,
    /// Nothing says which node has that hardware address, or the wrong one.
    NoForwarding,
}

/// A node as it told the others through its Node object.
struct Peer<'a> {
    name: &'a str,
    pods: Net,
    address: u32,
    mac: u64,
}

/// What holds for all nodes of a run.
pub(super) struct Fleet<'a> {
    api: Option<&'a Api>,
    peers: Vec<Peer<'a>>,
    /// Names of Nodes by the address that they told the others.
    by_address: HashMap<&'a str, Vec<&'a str>>,
    /// The run's names by the subnet in flannel's file.
    by_subnet: HashMap<&'a str, Vec<&'a str>>,
    /// flannel's pods by the Node that they are on.
    pods: HashMap<&'a str, Vec<&'a Pod>>,
    usual_mtu: Fact<u32>,
    conf_sha256: Fact<String>,
}

impl<'a> Fleet<'a> {
    pub(super) fn new(
        nodes: &'a BTreeMap<String, NodeFacts>,
        api_nodes: &Fact<&'a BTreeMap<String, ApiNode>>,
        api: Option<&'a Api>,
    ) -> Self {
        let mut by_address: HashMap<&str, Vec<&str>> = HashMap::new();
        let mut peers = Vec::new();
        for node in api_nodes.known().into_iter().flat_map(|nodes| nodes.values()) {
            if let Fact::Known(address) = &node.flannel_public_ip {
                by_address.entry(address).or_default().push(&node.name);
            }
            peers.extend(peer(node));
        }
        let mut by_subnet: HashMap<&str, Vec<&str>> = HashMap::new();
        let mut mtus: BTreeMap<u32, usize> = BTreeMap::new();
        for (name, facts) in nodes {
            if let Fact::Known(subnet) = &facts.flannel.subnet {
                by_subnet.entry(subnet).or_default().push(name);
            }
            if let Fact::Known(mtu) = facts.flannel.mtu {
                *mtus.entry(mtu).or_default() += 1;
            }
        }
        let mut pods: HashMap<&str, Vec<&Pod>> = HashMap::new();
        let of_system = api.and_then(|api| api.system_pods.known()).into_iter().flatten();
        for pod in of_system.filter(|pod| pod.name.contains("flannel")) {
            if let Fact::Known(node) = &pod.node {
                pods.entry(node).or_default().push(pod);
            }
        }
        let conf = api.map_or_else(no_api, |api| api.flannel_cni_conf.clone());
        Self {
            api,
            peers,
            by_address,
            by_subnet,
            pods,
            // Of two that are equally common neither is the usual one.
            usual_mtu: Fact::from_option(mtus.iter().find_map(|(mtu, count)| {
                let total: usize = mtus.values().sum();
                (count * 2 > total).then_some(*mtu)
            })),
            conf_sha256: conf.and_then(|text| match libcni::load("cni-conf.conflist", &text) {
                Ok(network) => Fact::Known(network.sha256),
                Err(why) => Fact::unknown(format!("flannel's configuration in the cluster: {}", clip(&why, 120))),
            }),
        }
    }

    pub(super) fn overlay(&self, name: &str, facts: &NodeFacts, member: &Member) -> Overlay {
        let runs = self.runs();
        let node = &member.node;
        let flannel = &facts.flannel;
        let pod_missing = match (&runs, &member.flannel_pod) {
            (Fact::Known(true), pod) if !pod.is_unknown() => Fact::Known(pod.is_absent()),
            (Fact::Known(true), Fact::Unknown(why)) => Fact::unknown(why.as_str()),
            (runs, _) => runs.clone(),
        };
        // A Node object that does not exist needs no podCIDR.
        let pod_cidr_missing = match (&runs, node) {
            (Fact::Known(true), Fact::Known(node)) => Fact::Known(node.pod_cidr.is_absent()),
            (Fact::Known(true), Fact::Absent) => Fact::Known(false),
            (Fact::Known(true), Fact::Unknown(why)) => Fact::unknown(why.as_str()),
            (runs, _) => runs.clone(),
        };
        let vxlan = self.vxlan(node);
        let announced_mac = node.as_ref().and_then(announced);
        let own_mac = facts
            .network
            .interfaces
            .as_ref()
            .and_then(|all| all.get("flannel.1").map_or(Fact::Absent, |own| own.mac.clone()));
        let lost = self.lost(facts, node, &vxlan);
        Overlay {
            pod_missing_why: if pod_missing.is_true() { why_missing(node) } else { Fact::Absent },
            pod_missing,
            pod_failing: match &member.flannel_pod {
                Fact::Known(pod) => Fact::Known(!pod.ready),
                Fact::Absent => Fact::Known(false),
                Fact::Unknown(_) => flannel.container_running.as_ref().map(|running| !*running),
            },
            pod_says: pod_says(facts, member),
            pod_in_init: member.flannel_pod.as_ref().map(|pod| pod.phase.is_known_and(|phase| phase == "Pending")),
            pod_sets: self.pod_sets(node),
            pod_cidr_missing,
            pod_cidr_outside: self.pod_cidr_outside(node),
            services_overlap: self.services_overlap(),
            subnet_shared_with: flannel.subnet.as_ref().map(|subnet| {
                let sharing = self.by_subnet.get(subnet.as_str()).map_or(&[][..], Vec::as_slice);
                let others = sharing.iter().filter(|other| **other != name && !member.pod_cidr_differs.is_false());
                others.take(NAMED).map(|other| (*other).to_owned()).collect()
            }),
            conf_differs: facts
                .cni
                .flannel_sha256
                .as_ref()
                .and_then(|own| self.conf_sha256.as_ref().map(|sha256| *own != *sha256)),
            mac_differs: announced_mac.as_ref().and_then(|told| own_mac.map(|own| !told.eq_ignore_ascii_case(&own))),
            announced_mac,
            local_differs: flannel.interface_local.as_ref().and_then(|local| {
                node.as_ref().map(|node| !node.internal_ips.is_empty() && !node.internal_ips.contains(local))
            }),
            address_shared_with: node.as_ref().and_then(|node| {
                node.flannel_public_ip.as_ref().map(|address| {
                    let sharing = self.by_address.get(address.as_str()).map_or(&[][..], Vec::as_slice);
                    let others = sharing.iter().filter(|other| **other != node.name);
                    others.take(NAMED).map(|other| (*other).to_owned()).collect()
                })
            }),
            vxlan_differs: self.vxlan_differs(facts, &vxlan),
            usual_mtu: self.usual_mtu.clone(),
            peers: lost.as_ref().map(|(peers, _, _)| *peers),
            peers_lost: lost.as_ref().map(|(_, count, _)| *count),
            lost: lost.map(|(_, _, named)| named),
            runs,
            vxlan,
        }
    }

    fn runs(&self) -> Fact<bool> {
        let Some(api) = self.api else { return no_api() };
        let sets = api.flannel_daemonsets.as_ref().map(|sets| !sets.is_empty());
        let pods = api.system_pods.as_ref().map(|pods| pods.iter().any(|pod| pod.name.contains("flannel")));
        if sets.is_true() || pods.is_true() { Fact::Known(true) } else { sets.and_then(|_| pods) }
    }

    fn vxlan(&self, node: &Fact<ApiNode>) -> Fact<bool> {
        let of_node = node.as_ref().and_then(announced).map(|_| true);
        let by_conf = || match self.api {
            Some(api) => api.flannel_backend.as_ref().map(|backend| backend == "vxlan"),
            None => no_api(),
        };
        of_node.or_else(by_conf)
    }

    fn pod_sets(&self, node: &Fact<ApiNode>) -> Fact<Vec<String>> {
        let Some(api) = self.api else { return no_api() };
        node.as_ref().and_then(|node| {
            api.system_pods.as_ref().map(|_| {
                let here = self.pods.get(node.name.as_str()).map_or(&[][..], Vec::as_slice);
                // A daemon set's pod is called after it, with five letters more.
                let set = |name: &str| name.rsplit_once('-').map_or_else(|| name.to_owned(), |(set, _)| set.to_owned());
                let mut sets: Vec<String> =
                    here.iter().map(|pod| format!("{}/{}", pod.namespace, set(&pod.name))).collect();
                sets.sort();
                sets.dedup();
                sets
            })
        })
    }

    fn pod_cidr_outside(&self, node: &Fact<ApiNode>) -> Fact<bool> {
        let Some(api) = self.api else { return no_api() };
        let pods = api.flannel_network.as_ref().and_then(|network| Fact::from_option(Net::parse(network)));
        node.as_ref().and_then(|node| {
            let own = node.pod_cidr.as_ref().and_then(|cidr| Fact::from_option(Net::parse(cidr)));
            own.and_then(|own| pods.map(|pods| !pods.holds(own)))
        })
    }

    fn services_overlap(&self) -> Fact<bool> {
        let Some(api) = self.api else { return no_api() };
        // Of two families the first is that of the cluster.
        let first = |list: &str| Fact::from_option(list.split(',').next().and_then(Net::parse));
        let services = api.service_subnet.as_ref().and_then(|list| first(list));
        services.and_then(|services| {
            let pods = api.flannel_network.as_ref().and_then(|network| first(network));
            pods.map(|pods| pods.overlaps(services))
        })
    }

    fn vxlan_differs(&self, facts: &NodeFacts, vxlan: &Fact<bool>) -> Fact<Vec<String>> {
        let Some(api) = self.api else { return no_api() };
        let flannel = &facts.flannel;
        vxlan.as_ref().and_then(|vxlan| {
            if !vxlan {
                return Fact::Absent;
            }
            let mut differ = Vec::new();
            let settings = [
                ("port", &flannel.interface_port, &api.flannel_port, DEFAULT_PORT),
                ("id", &flannel.interface_id, &api.flannel_vni, DEFAULT_VNI),
            ];
            for (what, own, wanted, default) in settings {
                let wanted = if wanted.is_absent() { Fact::Known(default) } else { wanted.clone() };
                match (own, wanted) {
                    (Fact::Known(own), Fact::Known(wanted)) if *own != wanted => {
                        differ.push(format!("{what} {own} instead of {wanted}"));
                    }
                    (Fact::Unknown(why), _) => return Fact::unknown(why.as_str()),
                    (_, Fact::Unknown(why)) => return Fact::Unknown(why),
                    _ => {}
                }
            }
            Fact::Known(differ)
        })
    }

    /// How many peers there are, how many of them the node has no way to, and the first of those.
    fn lost(
        &self,
        facts: &NodeFacts,
        node: &Fact<ApiNode>,
        vxlan: &Fact<bool>,
    ) -> Fact<(u64, u64, BTreeMap<String, PeerProblem>)> {
        let own = node.as_ref().map(|node| node.name.as_str());
        let tables = &facts.flannel.tables;
        // Without flannel.1 there is no way to anybody, and another fact says so.
        if vxlan.is_false() || facts.flannel.interface.is_false() {
            return Fact::Absent;
        }
        own.and_then(|own| {
            tables.routes.as_ref().map(|routes| {
                let (mut peers, mut lost, mut named) = (0, 0, BTreeMap::new());
                for peer in self.peers.iter().filter(|peer| peer.name != own) {
                    peers += 1;
                    let Some(problem) = peer.problem(routes, &tables.neighbours, &tables.forwarding) else { continue };
                    lost += 1;
                    if named.len() < NAMED {
                        named.insert(peer.name.to_owned(), problem);
                    }
                }
                (peers, lost, named)
            })
        })
    }
}

impl Peer<'_> {
    /// What was not read is not missing.
    fn problem(
        &self,
        routes: &Pieces<(Net, bool)>,
        neighbours: &Fact<Pieces<(u32, u64)>>,
        forwarding: &Fact<Pieces<(u64, u32)>>,
    ) -> Option<PeerProblem> {
        let through = |tunnel| routes.contains(&(self.pods, tunnel));
        if !through(true) {
            // Nodes of one network may send to each other without the tunnel.
            return (!through(false)).then_some(PeerProblem::NoRoute);
        }
        if neighbours.is_known_and(|all| !all.contains(&(self.pods.base, self.mac))) {
            return Some(PeerProblem::NoNeighbour);
        }
        let known = forwarding.is_known_and(|all| !all.contains(&(self.mac, self.address)));
        known.then_some(PeerProblem::NoForwarding)
    }
}

fn no_api<T>() -> Fact<T> {
    Fact::unknown("no control plane answered")
}

/// A node that flannel runs on with VXLAN over IPv4.
fn peer(node: &ApiNode) -> Option<Peer<'_>> {
    let hardware = announced(node).known().cloned()?;
    Some(Peer {
        name: &node.name,
        pods: Net::parse(node.pod_cidr.known()?)?,
        address: ip(node.flannel_public_ip.known()?)?,
        mac: mac(&hardware)?,
    })
}

/// The hardware address in flannel's `backend-data`; only VXLAN has one.
fn announced(node: &ApiNode) -> Fact<String> {
    node.flannel_backend_data.as_ref().and_then(|data| json(data)).and_then(|data| {
        let hardware = data.get("VtepMAC").and_then(serde_json::Value::as_str);
        Fact::from_option(hardware.map(|hardware| clip(hardware, 40)))
    })
}

/// Daemon sets tolerate what Kubernetes itself puts on a node, and flannel's tolerates every taint that only keeps pods
/// from being scheduled.
fn why_missing(node: &Fact<ApiNode>) -> Fact<String> {
    match node {
        Fact::Known(node) => {
            let evicts = |taint: &&String| taint.ends_with(":NoExecute") && !taint.starts_with("node.kubernetes.io/");
            let taint = node.taints.iter().find(evicts);
            Fact::from_option(taint.map(|taint| format!("the node has the taint {}", clip(taint, 120))))
        }
        Fact::Absent => Fact::Known("the API has no Node object of it".to_owned()),
        Fact::Unknown(why) => Fact::unknown(why.as_str()),
    }
}

fn pod_says(facts: &NodeFacts, member: &Member) -> Fact<String> {
    let state = match &member.flannel_pod {
        Fact::Known(pod) => pod.reason.clone().or_else(|| pod.phase.clone()),
        Fact::Absent => return Fact::Absent,
        Fact::Unknown(_) => Fact::Absent,
    };
    // While an init container is at work, the log is of an earlier life.
    let waits = member.flannel_pod.is_known_and(|pod| pod.phase.is_known_and(|phase| phase == "Pending"));
    match (state, &facts.flannel.log_error) {
        (Fact::Known(state), Fact::Known(said)) if !waits => Fact::Known(format!("{state}: {said}")),
        (Fact::Known(state), _) => Fact::Known(state),
        (_, said) => said.clone(),
    }
}

#[cfg(test)]
mod tests;
