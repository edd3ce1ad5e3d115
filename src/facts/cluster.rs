//! What the records of a whole run say together: the API's word on each node, and clocks against the control plane's.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::api::{ApiNode, Pod};
use super::time::Clock;
use super::overlay::{Fleet, Overlay};
use super::{Fact, NodeFacts};

/// The cluster as one run saw it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct ClusterView {
    /// The control-plane record whose API answers were used.
    pub source: Fact<String>,
    /// The API server's version.
    pub version: Fact<String>,
    /// What the cluster adds to each node of the run, by the run's name of the node.
    pub members: BTreeMap<String, Member>,
    /// Nodes that the API knows and the run did not read.
    pub nodes_not_in_run: Fact<Vec<String>>,
}

/// One node of the run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Member {
    /// Its Node object; absent when the API knows none.
    pub node: Fact<ApiNode>,
    /// flannel's pod on it; absent when there is none.
    pub flannel_pod: Fact<Pod>,
    /// Its clock minus the control plane's, in milliseconds.
    pub skew_ms: Fact<i64>,
    pub skew_error_ms: Fact<i64>,
    /// How far its clock is off, and from whose.
    pub clock: Clock,
    /// The API has a Node of the run's name for it, and this machine is another Node.
    pub name_is_anothers: Fact<bool>,
    /// `FLANNEL_SUBNET` is not in the Node's podCIDR.
    pub pod_cidr_differs: Fact<bool>,
    /// The API server's version, and its minor number.
    pub cluster_version: Fact<String>,
    pub cluster_minor: Fact<u32>,
    /// SHA-256 of the public key of the cluster's CA.
    pub cluster_ca_sha256: Fact<String>,
    /// The name that this node goes by, when a Ready Node of another machine has it.
    pub name_taken: Fact<String>,
    /// Its part in flannel's network.
    pub overlay: Overlay,
}

/// Joins the facts of a run, by the run's names.
pub fn view(nodes: &BTreeMap<String, NodeFacts>) -> ClusterView {
    let control_planes: Vec<_> = nodes.iter().filter(|(_, facts)| facts.identity.control_plane.is_true()).collect();
    let answering = control_planes.iter().find(|(_, facts)| facts.api.nodes.is_known());
    let api_nodes = match (answering, control_planes.first()) {
        (Some((_, facts)), _) | (None, Some((_, facts))) => facts.api.nodes.clone(),
        (None, None) => Fact::unknown("no control plane was read"),
    };
    let pods = answering
        .map_or_else(|| Fact::unknown("no control plane answered"), |(_, facts)| facts.api.system_pods.clone());
    let complete = answering.is_some_and(|(_, facts)| facts.api.nodes_complete.is_true());
    let by_ip = index_by_ip(&api_nodes);
    let clock = control_planes
        .iter()
        .find_map(|(_, facts)| Some((*facts.time.skew_ms.known()?, *facts.time.skew_error_ms.known()?)));
    let (version, authority) =
        of_cluster(answering.map(|(_, facts)| *facts), control_planes.first().map(|(_, facts)| *facts));
    let minor =
        version.as_ref().and_then(|version| version.split('.').nth(1).map_or(Fact::Absent, super::read::number));
    let fleet = Fleet::new(nodes, &api_nodes, answering.map(|(_, facts)| &facts.api));
    let mut matched = Vec::new();
    let members = nodes.iter().map(|(name, facts)| {
        let node = api_nodes.as_ref().and_then(|known| match find(name, facts, known, &by_ip) {
            Some(node) => Fact::Known(node.clone()),
            None if complete => Fact::Absent,
            None => Fact::unknown("the list of nodes was cut off before it"),
        });
        if let Fact::Known(node) = &node {
            matched.push(node.name.clone());
        }
        let relative = |own: &Fact<i64>, f: fn(i64, i64) -> i64, part: Option<i64>| match part {
            Some(part) => own.as_ref().map(|own| f(*own, part)),
            None => Fact::unknown("no control plane's clock was read"),
        };
        let skew_ms = relative(&facts.time.skew_ms, i64::saturating_sub, clock.map(|(skew, _)| skew));
        let skew_error_ms = relative(&facts.time.skew_error_ms, i64::saturating_add, clock.map(|(_, error)| error));
        let mut member = Member {
            clock: Clock::new(&skew_ms, &skew_error_ms, &facts.time),
            flannel_pod: node.as_ref().and_then(|node| pods.as_ref().and_then(|pods| flannel_pod(pods, &node.name))),
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
            cluster_version: version.clone(),
            cluster_minor: minor.clone(),
            cluster_ca_sha256: authority.clone(),
            name_taken: api_nodes.as_ref().and_then(|known| Fact::from_option(name_taken(facts, known))),
            node,
            overlay: Overlay::default(),
        };
        member.overlay = fleet.overlay(name, facts, &member);
        (name.clone(), member)
    });
    let members = members.collect();
    ClusterView {
        source: Fact::from_option(answering.map(|(name, _)| (*name).clone())),
        version: answering.map_or_else(Fact::default, |(_, facts)| facts.api.version.clone()),
        members,
        nodes_not_in_run: api_nodes.map(|known| known.into_keys().filter(|name| !matched.contains(name)).collect()),
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

/// The name that the node asks for, if it has no identity of its own and a Ready Node of another machine has that name.
fn name_taken(facts: &NodeFacts, known: &BTreeMap<String, ApiNode>) -> Option<String> {
    let wanted = facts.kubeadm.node_name.known().or(facts.kubelet.node_name.known())?.to_lowercase();
    let other = known.get(&wanted)?;
    let own = facts.identity.machine_id.known()?;
    let differs = other.machine_id.is_known_and(|id| id != own);
    (facts.kubeadm.kubelet_conf.is_false() && other.ready.is_true() && differs).then_some(wanted)
}

/// Node names by internal address; an address that two nodes claim identifies neither.
fn index_by_ip(nodes: &Fact<BTreeMap<String, ApiNode>>) -> BTreeMap<&str, Option<&str>> {
    let mut index = BTreeMap::new();
    for node in nodes.known().into_iter().flat_map(BTreeMap::values) {
        for ip in &node.internal_ips {
            index.entry(ip.as_str()).and_modify(|name| *name = None).or_insert(Some(node.name.as_str()));
        }
    }
    index
}

/// By the name that its kubelet registers, by an address of its own, by the run's name; whichever the API knows.
fn find<'a>(
    name: &str,
    facts: &NodeFacts,
    known: &'a BTreeMap<String, ApiNode>,
    by_ip: &BTreeMap<&str, Option<&str>>,
) -> Option<&'a ApiNode> {
    let own_name = facts.identity.node_name.known().and_then(|own| known.get(own));
    own_name
        .or_else(|| {
            let own = facts.network.addresses.known().into_iter().flatten();
            let hit = own.into_iter().find_map(|address| by_ip.get(address.address.as_str()).copied().flatten())?;
            known.get(hit)
        })
        .or_else(|| known.get(&name.to_lowercase()))
}

fn flannel_pod(pods: &[Pod], node: &str) -> Fact<Pod> {
    let here = pods.iter().filter(|pod| pod.node.is_known_and(|name| name == node));
    Fact::from_option(here.into_iter().find(|pod| pod.name.contains("flannel")).cloned())
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::record;
    use super::*;
    use crate::record::ClockSample;

    const MANIFEST: (&str, &str, &str) = ("stat", "", "600 0:0 1 1 f\t/etc/kubernetes/manifests/kube-apiserver.yaml\n");

    fn facts(sections: &[(&str, &str, &str)], node_ms: i64) -> NodeFacts {
        let mut record = record(sections);
        record.clock = Some(ClockSample { sent_ms: 0, received_ms: 100, node_ms });
        super::super::parse(&record)
    }

    fn run(api: &str) -> BTreeMap<String, NodeFacts> {
        let control = facts(&[MANIFEST, ("ident", "", "hostname=masternode\n"), ("api-nodes", "", api)], 5051);
        let worker = facts(&[("ident", "", "hostname=storagenodeT3500\n")], 53_051);
        let by_ip =
            facts(&[("ident", "", "hostname=other\n"), ("ip-addr", "", "2: e    inet 192.168.4.62/24\n")], 5051);
        let stranger = facts(&[("ident", "", "hostname=stranger\n")], 5051);
        let mut run = BTreeMap::new();
        run.insert("cp".to_owned(), control);
        run.insert("storage".to_owned(), worker);
        run.insert("lab".to_owned(), by_ip);
        run.insert("new".to_owned(), stranger);
        run
    }

    const API: &str =
        "node=masternode\nnode=storagenodet3500\nnode=homelab\naddress=InternalIP 192.168.4.62\nnode=gone\n";

    #[test]
    fn nodes_are_matched_by_name_in_lower_case_and_by_address() {
        let view = view(&run(API));
        let name = |member: &str| view.members[member].node.as_ref().map(|node| node.name.clone());
        assert_eq!(name("storage"), Fact::Known("storagenodet3500".to_owned()));
        assert_eq!(name("lab"), Fact::Known("homelab".to_owned()));
        assert_eq!(name("new"), Fact::Absent);
        assert_eq!(view.nodes_not_in_run, Fact::Known(vec!["gone".to_owned()]));
        assert_eq!(view.source, Fact::Known("cp".to_owned()));
    }

    #[test]
    fn clocks_are_compared_with_the_control_planes() {
        let view = view(&run(API));
        assert_eq!(view.members["storage"].skew_ms, Fact::Known(48_000));
        assert_eq!(view.members["storage"].skew_error_ms, Fact::Known(100));
        assert_eq!(view.members["cp"].skew_ms, Fact::Known(0));
    }

    #[test]
    fn a_run_that_reaches_another_node_than_it_names() {
        let mut nodes = run(API);
        let lab = nodes.remove("lab").unwrap();
        nodes.insert("gone".to_owned(), lab);
        let view = view(&nodes);
        assert_eq!(view.members["gone"].name_is_anothers, Fact::Known(true));
        assert_eq!(view.members["storage"].name_is_anothers, Fact::Known(false));
    }

    #[test]
    fn without_a_control_plane_nothing_is_known_of_the_cluster() {
        let mut nodes = run(API);
        nodes.remove("cp");
        let view = view(&nodes);
        assert!(view.members["new"].node.is_unknown() && view.members["new"].skew_ms.is_unknown());
    }

    #[test]
    fn a_name_that_another_machine_has() {
        let api = "node=masternode\nmachineID=m1\ncondition=Ready True x 1970-01-01T00:00:00Z 1970-01-01T00:00:00Z\n";
        let taken = |machine: &str, conf: &str| {
            let control = facts(
                &[
                    MANIFEST,
                    ("ident", "", "hostname=cp\n"),
                    ("api-nodes", "", api),
                    ("api-version", "", "{\"gitVersion\":\"v1.29.15\"}"),
                ],
                5051,
            );
            let ident = format!("hostname=masternode\nmachine_id={machine}\n");
            let worker = facts(&[("ident", "", &ident), ("stat", "", conf)], 5051);
            let mut run = BTreeMap::new();
            run.insert("cp".to_owned(), control);
            run.insert("w".to_owned(), worker);
            let view = view(&run);
            assert_eq!(view.members["w"].cluster_minor, Fact::Known(29));
            view.members["w"].name_taken.clone()
        };
        let bare = "-\t/etc/kubernetes/kubelet.conf\n";
        assert_eq!(taken("m2", bare), Fact::Known("masternode".to_owned()));
        assert_eq!(taken("m1", bare), Fact::Absent);
        assert_eq!(taken("m2", "600 0:0 1 1 f\t/etc/kubernetes/kubelet.conf\n"), Fact::Absent);
    }

    #[test]
    fn an_address_that_two_nodes_claim_identifies_neither() {
        let twins = "node=a\naddress=InternalIP 192.168.4.62\nnode=b\naddress=InternalIP 192.168.4.62\n";
        assert_eq!(view(&run(twins)).members["lab"].node, Fact::Absent);
    }
}
