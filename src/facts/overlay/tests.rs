//! Two nodes and their API, one thing different at a time.

use super::super::api::{DaemonSet, Pod};
use super::super::cluster::view;
use super::super::read::test_support::record;
use super::super::vtep::Tables;
use super::*;

fn text(text: &str) -> Fact<String> {
    Fact::Known(text.to_owned())
}

fn node(name: &str, third: u8) -> ApiNode {
    ApiNode {
        name: name.to_owned(),
        internal_ips: vec![format!("192.168.4.{third}")],
        pod_cidr: Fact::Known(format!("10.244.{third}.0/24")),
        flannel_public_ip: Fact::Known(format!("192.168.4.{third}")),
        flannel_backend_data: Fact::Known(format!(r#"{{"VNI":1,"VtepMAC":"4a:1c:32:00:00:{third:02x}"}}"#)),
        ..ApiNode::default()
    }
}

fn pod(node: &str) -> Pod {
    Pod {
        namespace: "kube-flannel".to_owned(),
        name: format!("kube-flannel-ds-{node}"),
        node: text(node),
        phase: text("Running"),
        ready: true,
        restarts: 0,
        reason: Fact::Absent,
        image: Fact::Absent,
    }
}

fn set(name: &str) -> DaemonSet {
    DaemonSet {
        namespace: "kube-flannel".to_owned(),
        name: name.to_owned(),
        desired: Fact::Known(2),
        ready: Fact::Known(2),
        current: Fact::Known(2),
        selector: Vec::new(),
        affinity: false,
        tolerations: Vec::new(),
        image: Fact::Absent,
    }
}

const WAY: [(&str, &str, &str); 3] = [
    ("ip-route", "", "10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink\n"),
    ("ip-neigh", "", "10.244.1.0 lladdr 4a:1c:32:00:00:01 PERMANENT\n"),
    ("ip-fdb", "", "4a:1c:32:00:00:01 dst 192.168.4.1 self permanent\n"),
];

/// A control plane `one`, whose API is asked, and the worker `two`.
struct Run {
    one: NodeFacts,
    two: NodeFacts,
}

fn run() -> Run {
    let mut one = NodeFacts::default();
    one.identity.control_plane = Fact::Known(true);
    one.identity.node_name = text("one");
    let api = &mut one.api;
    api.nodes = Fact::Known([node("one", 1), node("two", 2)].map(|node| (node.name.clone(), node)).into());
    api.nodes_complete = Fact::Known(true);
    api.system_pods = Fact::Known(vec![pod("one"), pod("two")]);
    api.flannel_daemonsets = Fact::Known(vec![set("kube-flannel-ds")]);
    api.flannel_network = text("10.244.0.0/16");
    api.flannel_backend = text("vxlan");
    api.service_subnet = text("10.96.0.0/12,fd00::/112");
    (api.flannel_port, api.flannel_vni) = (Fact::Absent, Fact::Absent);
    api.flannel_cni_conf = text(r#"{"name":"cbr0","plugins":[{"type":"flannel"}]}"#);
    let mut two = NodeFacts::default();
    two.identity.control_plane = Fact::Known(false);
    two.identity.node_name = text("two");
    let flannel = &mut two.flannel;
    flannel.interface = Fact::Known(true);
    flannel.interface_local = text("192.168.4.2");
    (flannel.interface_port, flannel.interface_id) = (Fact::Known(8472), Fact::Known(1));
    flannel.subnet = text("10.244.2.1/24");
    flannel.pod_cidr = text("10.244.2.0/24");
    flannel.tables = Tables::parse(super::super::read::Reader::new(&record(&WAY)));
    Run { one, two }
}

impl Run {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Overlay {
        change(&mut self);
        let nodes = BTreeMap::from_iter(vec![("one".to_owned(), self.one), ("two".to_owned(), self.two)]);
        view(&nodes).members["two"].overlay.clone()
    }

    fn node(&mut self, change: impl FnOnce(&mut ApiNode)) {
        let Fact::Known(nodes) = &mut self.one.api.nodes else { panic!("no nodes") };
        change(nodes.get_mut("two").unwrap());
    }

    fn way(&mut self, index: usize, line: &str) {
        let mut way = WAY;
        way[index].2 = line;
        self.two.flannel.tables = Tables::parse(super::super::read::Reader::new(&record(&way)));
    }
}

#[test]
fn a_sound_node() {
    let sound = run().with(|_| ());
    assert_eq!(
        (&sound.runs, &sound.vxlan, &sound.pod_missing),
        (&Fact::Known(true), &Fact::Known(true), &Fact::Known(false))
    );
    assert_eq!((sound.pod_cidr_missing, sound.pod_cidr_outside), (Fact::Known(false), Fact::Known(false)));
    assert_eq!(
        (sound.peers, sound.peers_lost, sound.vxlan_differs),
        (Fact::Known(1), Fact::Known(0), Fact::Known(vec![]))
    );
    assert_eq!((sound.address_shared_with, sound.local_differs), (Fact::Known(vec![]), Fact::Known(false)));
    assert_eq!(sound.services_overlap, Fact::Known(false));
    assert_eq!(
        run().with(|run| run.one.api.service_subnet = text("10.244.0.0/20")).services_overlap,
        Fact::Known(true)
    );
    assert_eq!(sound.pod_sets, Fact::Known(vec!["kube-flannel/kube-flannel-ds".to_owned()]));
    assert_eq!((sound.pod_failing, sound.pod_missing_why), (Fact::Known(false), Fact::Absent));
}

#[test]
fn without_an_api_only_the_nodes_own_word_counts() {
    let blind = run().with(|run| {
        run.one.api = Api::default().into();
        run.two.flannel.container_running = Fact::Known(false);
        run.two.flannel.log_error = text("pod cidr not assigned");
    });
    assert!(blind.runs.is_unknown() && blind.pod_missing.is_unknown() && blind.peers_lost.is_unknown());
    assert_eq!((blind.pod_failing, blind.pod_says), (Fact::Known(true), text("pod cidr not assigned")));
}

#[test]
fn a_pod_that_is_not_there_and_why() {
    let without = |change: fn(&mut Run)| {
        let overlay = run().with(|run| {
            run.one.api.system_pods = Fact::Known(vec![pod("one")]);
            change(run);
        });
        assert_eq!(overlay.pod_missing, Fact::Known(true));
        overlay.pod_missing_why
    };
    let taints = |run: &mut Run| {
        run.node(|node| node.taints = ["a:NoSchedule", "dedicated=db:NoExecute"].map(str::to_owned).into());
    };
    assert_eq!(without(|_| ()), Fact::Absent);
    assert_eq!(without(taints), text("the node has the taint dedicated=db:NoExecute"));
    assert_eq!(
        without(|run| run.one.api.nodes = Fact::Known([("one".to_owned(), node("one", 1))].into())),
        text("the API has no Node object of it")
    );
    let other = run().with(|run| {
        run.one.api.flannel_daemonsets = Fact::Known(vec![]);
        run.one.api.system_pods = Fact::Known(vec![]);
    });
    assert_eq!((other.runs, other.pod_missing), (Fact::Known(false), Fact::Known(false)));
}

#[test]
fn what_a_failing_pod_says() {
    let says = |phase: &str, reason: &str| {
        run().with(|run| {
            run.two.flannel.log_error = text("pod cidr not assigned");
            let failing = Pod { ready: false, phase: text(phase), reason: text(reason), ..pod("two") };
            run.one.api.system_pods = Fact::Known(vec![failing]);
        })
    };
    let crashing = says("Running", "CrashLoopBackOff");
    assert_eq!(crashing.pod_says, text("CrashLoopBackOff: pod cidr not assigned"));
    assert_eq!((crashing.pod_failing, crashing.pod_in_init), (Fact::Known(true), Fact::Known(false)));
    let pulling = says("Pending", "ImagePullBackOff");
    assert_eq!((pulling.pod_says, pulling.pod_in_init), (text("ImagePullBackOff"), Fact::Known(true)));
}

#[test]
fn what_the_way_to_a_peer_lacks() {
    let lacks = |index: usize, line: &str| {
        let overlay = run().with(|run| run.way(index, line));
        overlay.lost.known().and_then(|lost| lost.get("one").copied())
    };
    assert_eq!(lacks(0, ""), Some(PeerProblem::NoRoute));
    assert_eq!(lacks(1, "10.244.1.0 lladdr 4a:1c:32:00:00:99 PERMANENT"), Some(PeerProblem::NoNeighbour));
    assert_eq!(lacks(2, "4a:1c:32:00:00:01 dst 10.0.2.15 self permanent"), Some(PeerProblem::NoForwarding));
    assert_eq!(lacks(0, "10.244.1.0/24 via 192.168.4.1 dev eno1"), None, "without the tunnel, on purpose");
    let unread = run().with(|run| {
        run.two.flannel.tables.neighbours = Fact::default();
        run.two.flannel.tables.forwarding = Fact::default();
    });
    assert_eq!(unread.peers_lost, Fact::Known(0));
}

#[test]
fn subnets_and_addresses_that_belong_to_another_node() {
    let copied = |pod_cidr: Fact<String>| {
        run().with(|run| {
            run.one.flannel.subnet = text("10.244.1.1/24");
            run.two.flannel.subnet = text("10.244.1.1/24");
            run.two.flannel.pod_cidr = text("10.244.1.0/24");
            run.node(|node| node.pod_cidr = pod_cidr);
        })
    };
    assert_eq!(copied(text("10.244.2.0/24")).subnet_shared_with, Fact::Known(vec!["one".to_owned()]));
    assert_eq!(
        copied(text("10.244.1.0/24")).subnet_shared_with,
        Fact::Known(vec![]),
        "it is the one that it belongs to"
    );
    let nat = run().with(|run| run.node(|node| node.flannel_public_ip = text("192.168.4.1")));
    assert_eq!(nat.address_shared_with, Fact::Known(vec!["one".to_owned()]));
    assert_eq!(run().with(|run| run.two.flannel.interface_local = text("10.0.2.15")).local_differs, Fact::Known(true));
    assert_eq!(
        run().with(|run| run.node(|node| node.pod_cidr = text("10.0.2.0/24"))).pod_cidr_outside,
        Fact::Known(true)
    );
    assert_eq!(run().with(|run| run.node(|node| node.pod_cidr = Fact::Absent)).pod_cidr_missing, Fact::Known(true));
}

#[test]
fn a_tunnel_that_is_not_the_clusters() {
    let port = run().with(|run| run.one.api.flannel_port = Fact::Known(4789));
    assert_eq!(port.vxlan_differs, Fact::Known(vec!["port 8472 instead of 4789".to_owned()]));
    let routed = run().with(|run| {
        run.one.api.flannel_backend = text("host-gw");
        run.node(|node| node.flannel_backend_data = text("null"));
        run.two.flannel.interface = Fact::Known(false);
    });
    assert_eq!(
        (routed.vxlan, routed.vxlan_differs, routed.peers_lost),
        (Fact::Known(false), Fact::Absent, Fact::Absent)
    );
}

#[test]
fn a_file_that_is_not_the_clusters() {
    let differs = |own: &str| {
        run()
            .with(|run| run.two.cni.flannel_sha256 = Fact::Known(libcni::load("a.conflist", own).unwrap().sha256))
            .conf_differs
    };
    assert_eq!(differs(r#"{ "plugins": [{"type": "flannel"}], "name": "cbr0" }"#), Fact::Known(false));
    assert_eq!(differs(r#"{"name":"cni0","plugins":[{"type":"flannel"}]}"#), Fact::Known(true));
}
