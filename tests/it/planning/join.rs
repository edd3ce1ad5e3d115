//! `kubeadm-join`: what a join is told, and what keeps it from being planned.

use seaworthy::change::plan::Undo;
use seaworthy::facts::Fact;
use seaworthy::facts::api::ApiNode;
use seaworthy::facts::reach::Tcp;

use super::*;

fn joining() -> Playbook {
    playbook(vec![join()])
}

fn after(change: impl FnOnce(&mut Judged)) -> Vec<String> {
    guards_of(&prepared().judged(&joining(), change))
}

#[test]
fn a_prepared_worker_is_told_everything_by_the_control_planes_facts() {
    let mut scene = prepared();
    scene.options.ignore_preflight = vec!["NumCPU".to_owned()];
    let actions = scene.actions(&joining());
    let [Action { change: Change::KubeadmJoin(told), reason, undo, only_if, .. }] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert_eq!((told.control_plane.as_str(), told.endpoint.as_str()), ("masternode", ENDPOINT));
    assert_eq!(told.ca_pins, ["sha256:14c4d239897364b502ddefaefd6bbf4ee0c3560c1ecb9c3511b9569f30374e43"]);
    // The inventory calls it storagenode; the cluster will know it by its own name.
    assert_eq!((told.node_name.as_str(), told.kubeadm_minor), ("storagenodet3500", 29));
    assert_eq!((told.ignore.as_slice(), told.attempts), (&["NumCPU".to_owned()][..], 3));
    assert_eq!(told.stale_ca, None);
    assert!(told.writes.iter().any(|path| path == "/etc/kubernetes/bootstrap-kubelet.conf"));
    assert_eq!((reason.check.as_deref(), undo, only_if.is_empty()), (None, &Undo::Unjoin, true));
    let json = serde_json::to_string(&scene.plan(&joining())).unwrap();
    assert!(!json.contains("abcdef"), "no token, not even its id");
}

#[test]
fn a_second_join_is_empty() {
    let joined = Scene::of(case("healthy"));
    assert_eq!(joined.nothing(&joining()), "it has joined as homelab, and is ready");
    assert!(joined.plan(&joining()).is_empty());
    let not_ready = without_conflist();
    assert!(not_ready.nothing(&joining()).ends_with("is not ready: seaworthy diagnose homelab"));
}

#[test]
fn a_standalone_kubelet_is_refused_with_its_cause_and_remedy() {
    let scene = Scene::of(case("storage-standalone"));
    let refusal = scene.refusal(&joining(), "kubelet/drop-in-missing");
    assert_eq!(refusal.reason, "systemd starts the kubelet without a kubeconfig: it has no drop-in");
    assert!(refusal.next.contains("--force-confmiss install --reinstall kubeadm"), "{}", refusal.next);
    assert!(scene.refused(&joining())[0].starts_with("join/running: a join is running since"));
}

#[test]
fn without_a_control_plane_nothing_is_known_and_nothing_can_be_accepted() {
    let mut scene = Scene::of(case("storage-after-reset"));
    let guards = guards_of(&scene.decision(&joining(), "storagenode"));
    assert!(guards.contains(&"control-plane/api-down?".to_owned()), "{guards:?}");
    scene.options.accept_unknown = guards.iter().map(|guard| guard.trim_end_matches('?').to_owned()).collect();
    assert_eq!(guards_of(&scene.decision(&joining(), "storagenode")), ["control-plane/api-down?"]);
}

#[test]
fn what_is_left_of_an_earlier_join() {
    let conf = "join/leftover-kubelet-conf";
    let left = |node: Fact<ApiNode>| {
        after(|judged| {
            judged.facts().kubeadm.kubelet_conf = Fact::Known(true);
            judged.member().node = node;
        })
    };
    assert_eq!(left(Fact::Absent), [conf]);
    assert_eq!(left(Fact::unknown("the API did not answer")), [format!("{conf}?")]);
    assert_eq!(after(|judged| judged.facts().kubeadm.kubelet_conf = Fact::unknown("x")), [format!("{conf}?")]);
    let bootstrap = "join/leftover-bootstrap-conf";
    let cut = |value| after(|judged| judged.facts().kubeadm.bootstrap_conf = value);
    assert_eq!(cut(Fact::Known(true)), [bootstrap]);
    assert_eq!(cut(Fact::unknown("x")), [format!("{bootstrap}?")]);
    // A CA of before is moved away, even where a playbook requires that there be none.
    let strict = Playbook { require: vec!["join/*".to_owned()], ..joining() };
    let decision = prepared().judged(&strict, |judged| {
        judged.facts().kubeadm.ca_crt = Fact::Known(true);
        judged.own("join/leftover-ca-crt", Verdict::Fail);
    });
    let Decision::Change { actions, .. } = decision else { panic!("{decision:?}") };
    let Change::KubeadmJoin(told) = &actions[0].change else { panic!("{actions:?}") };
    assert_eq!(told.stale_ca.as_deref(), Some("/etc/kubernetes/pki/ca.crt"));
}

#[test]
fn the_name_in_the_cluster_is_free() {
    let guard = "join/node-name-taken";
    let known = |ready, machine_id: Fact<String>| {
        after(move |judged| {
            let name = "storagenodet3500".to_owned();
            let node = ApiNode { name: name.clone(), ready: Fact::Known(ready), machine_id, ..ApiNode::default() };
            let api = &mut judged.control_plane().api;
            let mut nodes = api.nodes.known().unwrap().clone();
            nodes.insert(name, node);
            api.nodes = Fact::Known(nodes);
        })
    };
    let own = || Fact::Known("0b9b7a4a1f7d4a1d8f0e5c2d3b4a5968".to_owned());
    let other = || Fact::Known("ffffffffffffffffffffffffffffffff".to_owned());
    assert_eq!(known(true, other()), [guard]);
    assert_eq!(known(true, own()), [guard], "kubeadm would refuse, whoever it is");
    assert_eq!(known(true, Fact::Absent), [guard]);
    assert_eq!(known(false, other()), [guard], "it would take the Node of a machine that is off");
    assert_eq!(known(false, own()), Vec::<String>::new(), "a Node that it left behind itself");
    assert_eq!(after(|judged| judged.control_plane().api.nodes = Fact::unknown("x")), [format!("{guard}?")]);
    assert_eq!(after(|judged| judged.control_plane().api.nodes_complete = Fact::Known(false)), [format!("{guard}?")]);
    for name in ["my_node", "localhost", "-x", "", "a..b"] {
        let guards = after(|judged| judged.facts().identity.node_name = Fact::Known(name.to_owned()));
        assert!(guards.contains(&"join/node-name".to_owned()), "{name}: {guards:?}");
    }
}

#[test]
fn the_cluster_and_kubeadm_are_known() {
    assert_eq!(after(|judged| judged.facts().kubeadm.version_minor = Fact::Absent), ["join/version-skew?"]);
    let pin = "join/ca-pin-mismatch";
    let published = |value| after(|judged| judged.control_plane().api.cluster_info_ca_sha256 = value);
    assert_eq!(published(Fact::Absent), [format!("{pin}?")]);
    let other = Fact::Known("00".repeat(32));
    assert_eq!(published(other.clone()), [pin], "the control plane's own disk says otherwise");
    let both = after(|judged| {
        judged.control_plane().api.cluster_info_ca_sha256 = other.clone();
        judged.control_plane().certs.ca.key_sha256 = other;
    });
    assert_eq!(both, [pin], "and so does what the worker sees");
}

#[test]
fn the_way_to_the_api_is_proven_from_the_node() {
    let bad =
        |change: fn(&mut seaworthy::facts::reach::ApiReach)| after(move |judged| change(&mut judged.facts().reach.api));
    assert_eq!(bad(|_| ()), Vec::<String>::new());
    assert_eq!(bad(|api| api.tcp = Fact::Known(Tcp::TimedOut)), ["join/api-unreachable"]);
    assert_eq!(bad(|api| api.tcp = Fact::unknown("forwarding is forbidden")), ["join/api-unreachable?"]);
    assert_eq!(bad(|api| api.tls = Fact::Known(false)), ["join/api-certificate-name"]);
    assert_eq!(bad(|api| api.tls = Fact::unknown("x")), ["join/api-certificate-name?"]);
    assert_eq!(bad(|api| api.name_matches = Fact::Known(false)), ["join/api-certificate-name"]);
    assert_eq!(bad(|api| api.dates_ok = Fact::Known(false)), ["join/api-certificate-dates"]);
    assert_eq!(bad(|api| api.dates_ok = Fact::unknown("x")), ["join/api-certificate-dates?"]);
    assert_eq!(bad(|api| api.cluster_info_status = Fact::Known(403)), ["join/cluster-info-forbidden"]);
    assert_eq!(bad(|api| api.cluster_info_status = Fact::unknown("x")), ["join/cluster-info-forbidden?"]);
    assert_eq!(bad(|api| api.ca_hashes = Fact::Known(vec!["00".repeat(32)])), ["join/ca-pin-mismatch"]);
    assert_eq!(bad(|api| api.ca_hashes = Fact::Known(Vec::new())), ["join/ca-pin-mismatch"]);
    assert_eq!(bad(|api| api.ca_hashes = Fact::unknown("x")), ["join/ca-pin-mismatch?"]);
    let onward = |tcp| {
        after(move |judged| {
            judged.facts().reach.api.server_differs = Fact::Known(true);
            judged.facts().reach.api.server_tcp = tcp;
        })
    };
    assert_eq!(onward(Fact::Known(Tcp::Open)), Vec::<String>::new());
    assert_eq!(onward(Fact::Known(Tcp::Refused)), ["join/endpoint-differs"]);
    assert_eq!(onward(Fact::unknown("x")), ["join/endpoint-differs?"]);
}

#[test]
fn the_proof_is_of_the_very_endpoint_or_none() {
    let mut scene = prepared();
    scene.record("storagenode").reach = Some(reach("192.168.4.99:6443"));
    let refusal = scene.refusal(&joining(), "join/api-unreachable");
    assert!(refusal.unknown && refusal.next.contains("kube_api_endpoint: 192.168.4.63:6443"), "{refusal:?}");
    scene.record("storagenode").reach = None;
    assert!(scene.refusal(&joining(), "join/api-unreachable").unknown);
    scene.record("storagenode").reach = Some(reach("https://192.168.4.63:6443/"));
    assert_eq!(scene.actions(&joining()).len(), 1, "the same place in other words");
    // Where the cluster has two names for itself, the one that was tried is told.
    let named = |name: &str| {
        let decision = scene.judged(&joining(), |judged| {
            judged.control_plane().api.control_plane_endpoint = Fact::Known(name.to_owned());
        });
        let Decision::Change { actions, .. } = decision else { panic!("{decision:?}") };
        let Change::KubeadmJoin(told) = &actions[0].change else { panic!("{actions:?}") };
        told.endpoint.clone()
    };
    assert_eq!(named("cp.example.org:6443"), ENDPOINT);
}

#[test]
fn flannel_after_the_join_waits_for_flannels_own_pod() {
    let both = playbook(vec![join(), flannel(false)]);
    let actions = prepared().actions(&both);
    let [_, Action { only_if, change: Change::WriteFile(file), .. }] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert_eq!(file.path, "/etc/cni/net.d/10-flannel.conflist");
    let json = serde_json::to_value(only_if).unwrap();
    assert_eq!(json, serde_json::json!([{ "if": "still-fails", "check": "cni/config-missing", "after": "1m" }]));
    // Before the join there is no place for it.
    let early = playbook(vec![flannel(false), join()]);
    assert!(prepared().refusal(&early, "joined").next.contains("after kubeadm-join"));
}

#[test]
fn a_wait_follows_what_was_done_and_nothing_else() {
    let wait = Step::WaitFor { check: "node/not-ready".to_owned(), timeout: std::time::Duration::from_mins(5) };
    let both = playbook(vec![join(), wait]);
    assert_eq!(prepared().actions(&both).len(), 2);
    assert!(Scene::of(case("healthy")).plan(&both).is_empty());
}
