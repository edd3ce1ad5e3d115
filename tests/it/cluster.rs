//! Nodes against each other: duplicates, missing flannel pods, drift, outliers and siblings, from facts to the report.

use std::collections::BTreeMap;

use seaworthy::checks::Checks;
use seaworthy::diagnose::phase::phase;
use seaworthy::diagnose::root_cause::RootCause;
use seaworthy::diagnose::{NodeFindings, diagnose};
use seaworthy::facts::api::{Api, ApiNode, DaemonSet, Pod, Toleration};
use seaworthy::facts::cluster::{ClusterView, FlannelMissing, view};
use seaworthy::facts::network::{Address, Interface};
use seaworthy::facts::{Fact, NodeFacts};
use seaworthy::target::Role;
use seaworthy::verdict::Verdict;

mod report;
mod two;

type Run = BTreeMap<String, NodeFacts>;

const NOW: i64 = 1_757_700_000;

fn known<T>(value: T) -> Fact<T> {
    Fact::Known(value)
}

fn text(text: &str) -> Fact<String> {
    known(text.to_owned())
}

/// A joined worker in a container, as a lab's nodes are: they share the DMI of their host.
fn worker(name: &str, number: u8) -> NodeFacts {
    let mut facts = NodeFacts::default();
    facts.identity.control_plane = known(false);
    facts.identity.hostname = text(name);
    facts.identity.node_name = text(name);
    facts.identity.machine_id = known(format!("{number:032x}"));
    facts.identity.product_uuid = text("4c4c4544-0031-5010-8052-b7c04f4d5362");
    facts.identity.boot_id = text("fd38f3bf-2702-4e98-9182-24cdae67e66e");
    facts.identity.container = text("systemd-nspawn");
    facts.identity.kernel = text("6.1.0-34-amd64");
    facts.kubeadm.kubelet_conf = known(true);
    facts.kubeadm.bootstrap_conf = known(false);
    facts.kubeadm.running = known(false);
    facts.kubelet.running = known(true);
    facts.kubelet.standalone = known(false);
    facts.kubelet.version = text("1.29.15");
    facts.kubelet.server = text("https://10.77.0.1:6443");
    facts.certs.ca.key_sha256 = text("aa");
    facts.time.epoch = known(NOW);
    facts.network.default_interface = text("host0");
    let card = Interface { mac: known(format!("ea:37:c1:2f:71:{number:02x}")), ..Interface::default() };
    let bridge = Interface { mac: text("5e:11:7a:0c:22:91"), ..Interface::default() };
    facts.network.interfaces = known([("host0".to_owned(), card.into()), ("cni0".to_owned(), bridge.into())].into());
    facts.network.addresses = known(vec![
        Address { interface: "host0".to_owned(), address: format!("10.77.0.{number}"), prefix: 24 },
        Address { interface: "docker0".to_owned(), address: "172.17.0.1".to_owned(), prefix: 16 },
    ]);
    facts
}

fn node(name: &str, number: u8) -> ApiNode {
    ApiNode {
        name: name.to_owned(),
        ready: known(true),
        heartbeat: known(NOW - 120),
        created: known(NOW - 90_000),
        internal_ips: vec![format!("10.77.0.{number}")],
        pod_cidr: known(format!("10.244.{number}.0/24")),
        flannel_public_ip: known(format!("10.77.0.{number}")),
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
        image: text("ghcr.io/flannel-io/flannel:v0.26.1"),
    }
}

/// A control plane and healthy workers.
fn run(workers: &[&str]) -> Run {
    let mut run: Run =
        workers.iter().zip(2..).map(|(name, number)| ((*name).to_owned(), worker(name, number))).collect();
    let mut control = worker("master", 1);
    control.identity.control_plane = known(true);
    let names = || ["master"].iter().chain(workers);
    control.api = Api {
        nodes: known(names().zip(1..).map(|(name, number)| ((*name).to_owned(), node(name, number))).collect()),
        nodes_complete: known(true),
        system_pods: known(names().map(|name| pod(name)).collect()),
        flannel_daemonsets: known(vec![DaemonSet {
            namespace: "kube-flannel".to_owned(),
            name: "kube-flannel-ds".to_owned(),
            desired: known(workers.len() as u64 + 1),
            current: known(workers.len() as u64 + 1),
            ready: known(workers.len() as u64 + 1),
            selector: Vec::new(),
            affinity: false,
            tolerations: vec![Toleration { key: Fact::Absent, effect: text("NoSchedule") }],
            image: Fact::Absent,
        }]),
        flannel_network: text("10.244.0.0/16"),
        pod_ips: known(
            names().zip(1..).map(|(name, number)| ((*name).to_owned(), vec![format!("10.244.{number}.7")])).collect(),
        ),
        cluster_info_ca_sha256: text("aa"),
        cluster_info_server: text("https://10.77.0.1:6443"),
        ..Api::default()
    }
    .into();
    run.insert("master".to_owned(), control);
    run
}

fn api(run: &mut Run) -> &mut Api {
    &mut run.get_mut("master").unwrap().api
}

fn api_node<'r>(run: &'r mut Run, name: &str) -> &'r mut ApiNode {
    match &mut api(run).nodes {
        Fact::Known(nodes) => nodes.get_mut(name).unwrap(),
        Fact::Absent | Fact::Unknown(_) => panic!("no nodes"),
    }
}

fn of<'r>(run: &'r mut Run, name: &str) -> &'r mut NodeFacts {
    run.get_mut(name).unwrap()
}

/// Failing and warning checks of the cluster by node, and the root causes among them.
fn judged(run: &Run) -> (Vec<(String, String)>, Vec<RootCause>) {
    let checks = Checks::built_in().unwrap_or_else(|error| panic!("{error}"));
    let view = view(run);
    let mut nodes: Vec<NodeFindings> = run
        .iter()
        .map(|(name, facts)| {
            let member = &view.members[name];
            let roles = [if facts.identity.control_plane.is_true() { Role::ControlPlane } else { Role::Worker }];
            let subject =
                seaworthy::checks::Subject { facts, phase: phase(facts, member), roles: &roles, member, failure: None };
            NodeFindings::new(name, roles.to_vec(), checks.evaluate(&subject))
        })
        .collect();
    let causes = diagnose(&mut nodes, &checks);
    let faults = nodes.iter().flat_map(|node| {
        let faults = node.findings.iter().filter(|finding| finding.is_fault() && finding.id.starts_with("cluster/"));
        faults.map(|finding| (node.name.clone(), finding.id.to_string()))
    });
    (faults.collect(), causes.into_iter().filter(|cause| cause.id.starts_with("cluster/")).collect())
}

fn roots(run: &Run) -> Vec<(String, Vec<String>)> {
    judged(run).1.into_iter().map(|cause| (cause.id, cause.nodes)).collect()
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn root(id: &str, nodes: &[&str]) -> (String, Vec<String>) {
    (id.to_owned(), strings(nodes))
}

fn missing(view: &ClusterView, name: &str) -> (Fact<FlannelMissing>, Fact<String>) {
    let member = &view.members[name];
    (member.flannel_missing_because.clone(), member.flannel_missing_detail.clone())
}

#[test]
fn healthy_containers_of_one_machine_have_no_fault() {
    let run = run(&["a", "b", "c"]);
    assert_eq!(judged(&run).0, []);
    // Every judgement that the API allows is made.
    let member = &view(&run).members["a"];
    assert!(member.duplicates.machine_id.is_absent() && member.duplicates.pod_cidr.is_absent());
    assert_eq!((&member.pods_outside, &member.ca_differs), (&known(vec![]), &known(false)));
}

#[test]
fn a_cloned_machine_id_is_one_cause_on_both_nodes() {
    let mut run = run(&["a", "b", "c"]);
    let id = of(&mut run, "a").identity.machine_id.clone();
    of(&mut run, "c").identity.machine_id = id;
    for name in ["a", "c"] {
        // Clones of a virtual machine's definition, not of its disk alone.
        of(&mut run, name).identity.container = Fact::Absent;
    }
    assert_eq!(roots(&run), [root("cluster/duplicate-machine-id", &["a", "c"])]);
    let (faults, _) = judged(&run);
    assert!(faults.contains(&("a".to_owned(), "cluster/duplicate-product-uuid".to_owned())), "{faults:?}");
}

#[test]
fn a_product_uuid_alone_only_warns() {
    let mut run = run(&["a", "b"]);
    for name in ["a", "b"] {
        of(&mut run, name).identity.container = Fact::Absent;
    }
    let (faults, causes) = judged(&run);
    assert_eq!(faults.len(), 2);
    assert_eq!((causes[0].id.as_str(), causes[0].verdict), ("cluster/duplicate-product-uuid", Verdict::Warn));
    for name in ["a", "b"] {
        of(&mut run, name).identity.product_uuid = text("03000200-0400-0500-0006-000700080009");
    }
    assert_eq!(judged(&run).0, [], "the placeholder of a board is nobody's id");
}

#[test]
fn one_machine_under_two_names_is_no_clone() {
    let mut run = run(&["a", "b"]);
    let again = run["a"].clone();
    run.insert("a.lan".to_owned(), again);
    assert_eq!(roots(&run), [root("cluster/listed-twice", &["a", "a.lan"])]);
}

#[test]
fn names_addresses_and_networks_of_two_nodes() {
    let mut run = run(&["a", "b", "c"]);
    of(&mut run, "b").identity.node_name = text("a");
    assert_eq!(roots(&run), [root("cluster/duplicate-name", &["a", "b"])]);

    let mut run = self::run(&["a", "b", "c"]);
    api_node(&mut run, "b").pod_cidr = text("10.244.2.0/25");
    let found = view(&run).members["a"].duplicates.pod_cidr.known().cloned().unwrap();
    assert_eq!((found.value.as_str(), found.nodes), ("10.244.2.0/24", strings(&["b"])));
    assert_eq!(roots(&run)[0], root("cluster/duplicate-pod-cidr", &["a", "b"]));

    let mut run = self::run(&["a", "b", "c"]);
    let mac = run["a"].network.interfaces.known().unwrap()["host0"].clone();
    let all = known([("host0".to_owned(), mac)].into());
    of(&mut run, "b").network.interfaces = all;
    assert_eq!(roots(&run), [root("cluster/duplicate-mac", &["a", "b"])]);
    of(&mut run, "b").network.addresses =
        known(vec![Address { interface: "host0".to_owned(), address: "10.78.0.3".to_owned(), prefix: 24 }]);
    assert_eq!(roots(&run), [], "in another network it does no harm");

    let mut run = self::run(&["a", "b", "c"]);
    for name in ["a", "b", "c"] {
        api_node(&mut run, name).flannel_public_ip = text("10.0.2.15");
    }
    assert_eq!(roots(&run), [root("cluster/duplicate-flannel-ip", &["a", "b", "c"])]);

    let mut run = self::run(&["a", "b", "c"]);
    api_node(&mut run, "c").pod_cidr = text("192.168.3.0/24");
    let ids: Vec<String> = roots(&run).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["cluster/pod-ip-outside"]);
}

#[test]
fn ten_thousand_nodes_with_one_id_name_only_a_few() {
    let mut run: Run = (0..10_000_u32).map(|number| (format!("node{number}"), worker("x", 1))).collect();
    for (number, facts) in run.values_mut().enumerate() {
        facts.identity.boot_id = known(number.to_string());
    }
    let view = view(&run);
    let shared = view.members["node7"].duplicates.machine_id.known().unwrap();
    assert_eq!((shared.count, shared.nodes.len()), (9_999, 5));
    assert!(!shared.nodes.contains(&"node7".to_owned()));
}

#[test]
fn why_flannel_has_no_pod() {
    let without = |name: &str| {
        let mut run = run(&["a", "b"]);
        let Fact::Known(pods) = &mut api(&mut run).system_pods else { panic!("no pods") };
        pods.retain(|pod| pod.node != text(name));
        run
    };
    let mut run = without("b");
    assert_eq!(missing(&view(&run), "a"), (Fact::Absent, Fact::Absent), "it has one");
    assert_eq!(missing(&view(&run), "b").0, known(FlannelMissing::Unexplained));

    let taint = |taint: &str| {
        let mut run = without("b");
        api_node(&mut run, "b").taints = strings(&[taint]);
        missing(&view(&run), "b")
    };
    let closing = "dedicated=gpu:NoExecute";
    assert_eq!(
        taint(closing),
        (known(FlannelMissing::Taint), text("it does not tolerate the taint dedicated=gpu:NoExecute"))
    );
    for harmless in [
        "dedicated=gpu:NoSchedule",
        "dedicated:PreferNoSchedule",
        "node.kubernetes.io/not-ready:NoExecute",
        "node.kubernetes.io/unschedulable:NoSchedule",
    ] {
        assert_eq!(taint(harmless).0, known(FlannelMissing::Unexplained), "{harmless}");
    }
    api_node(&mut run, "b").cordoned = true;
    assert_eq!(missing(&view(&run), "b").0, known(FlannelMissing::Unexplained), "a cordon is not enough");

    let with = |change: fn(&mut Api, &mut DaemonSet)| {
        let mut run = without("b");
        let api = api(&mut run);
        let Fact::Known(mut sets) = api.flannel_daemonsets.clone() else { panic!("no sets") };
        change(api, &mut sets[0]);
        api.flannel_daemonsets = known(sets);
        missing(&view(&run), "b")
    };
    assert_eq!(
        with(|_, set| set.current = known(2)),
        (known(FlannelMissing::NotCreated), text("only 2 of the 3 pods that it wants were made"))
    );
    let selected = with(|_, set| {
        (set.desired, set.current) = (known(2), known(2));
        set.selector = strings(&["net=flannel"]);
    });
    assert_eq!(selected, (known(FlannelMissing::NotSelected), text("its daemon set picks nodes by net=flannel")));
    let waiting = with(|api, _| {
        let Fact::Known(pods) = &mut api.system_pods else { panic!("no pods") };
        pods.push(Pod { node: Fact::Absent, ..pod("b") });
    });
    assert_eq!(waiting.0, known(FlannelMissing::NotScheduled));

    let mut run = without("b");
    api(&mut run).flannel_daemonsets = known(Vec::new());
    assert_eq!(missing(&view(&run), "b").0, known(FlannelMissing::NoDaemonset));
    api(&mut run).flannel_network = Fact::Absent;
    assert_eq!(missing(&view(&run), "b").0, Fact::Absent, "another network");
    let Fact::Known(nodes) = &mut api(&mut run).nodes else { panic!("no nodes") };
    nodes.remove("b");
    api(&mut run).flannel_daemonsets = self::run(&[])["master"].api.flannel_daemonsets.clone();
    assert_eq!(missing(&view(&run), "b").0, known(FlannelMissing::NoNodeObject));
}

#[test]
fn a_taint_explains_the_missing_configuration() {
    let mut run = run(&["a", "b"]);
    let Fact::Known(pods) = &mut api(&mut run).system_pods else { panic!("no pods") };
    pods.retain(|pod| pod.node != text("b"));
    let node = api_node(&mut run, "b");
    node.taints = strings(&["dedicated=gpu:NoExecute"]);
    node.ready = known(false);
    let facts = of(&mut run, "b");
    facts.cni.file_count = known(0);
    facts.containerd.cri.network_ready = known(false);
    let (_, causes) = judged(&run);
    assert_eq!(causes.len(), 1);
    let explained: Vec<&str> = causes[0].explains.iter().map(|consequence| consequence.id.as_str()).collect();
    assert_eq!(explained, ["cni/config-missing", "cni/network-not-ready", "node/not-ready"]);
    assert!(causes[0].message.ends_with("taint dedicated=gpu:NoExecute"), "{}", causes[0].message);
}

#[test]
fn a_foreign_ca_and_a_foreign_endpoint() {
    let mut run = run(&["a", "b", "c", "d"]);
    of(&mut run, "d").certs.ca.key_sha256 = text("bb");
    of(&mut run, "d").kubelet.server = text("https://10.9.9.9:6443");
    assert_eq!(roots(&run), [root("cluster/endpoint-differs", &["d"])]);
    let mut run = self::run(&["a", "b", "c", "d"]);
    for name in ["a", "b", "c", "d"] {
        of(&mut run, name).kubelet.server = text("https://127.0.0.1:6443");
    }
    assert_eq!(roots(&run), [], "a balancer on every node is the way of this cluster");
}

#[test]
fn a_running_kubelet_that_the_api_does_not_hear() {
    let mut run = run(&["a", "b"]);
    let node = api_node(&mut run, "b");
    node.ready = known(false);
    node.ready_reason = text("NodeStatusUnknown");
    node.heartbeat = known(NOW - 7200);
    let (_, causes) = judged(&run);
    assert_eq!(causes[0].id, "cluster/node-silent");
    assert!(causes[0].message.contains("7200 s"));
    of(&mut run, "b").kubelet.running = known(false);
    assert_eq!(roots(&run), [], "that a stopped one is not heard is no news");
}

#[test]
fn one_kubelet_of_another_minor_version() {
    let mut run = run(&["a", "b", "c", "d"]);
    of(&mut run, "d").kubelet.version = text("1.29.3");
    assert_eq!(roots(&run), [], "patch versions may differ");
    of(&mut run, "d").kubelet.version = text("1.28.9");
    assert_eq!(roots(&run), [root("cluster/version-drift", &["d"])]);
    of(&mut run, "c").kubelet.version = text("1.28.9");
    assert_eq!(roots(&run), [], "of two halves neither is the odd one");
}
