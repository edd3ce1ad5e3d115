//! Nodes against the API and against each other.

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
    let by_ip = facts(&[("ident", "", "hostname=other\n"), ("ip-addr", "", "2: e    inet 192.168.4.62/24\n")], 5051);
    let stranger = facts(&[("ident", "", "hostname=stranger\n")], 5051);
    let mut run = BTreeMap::new();
    run.insert("cp".to_owned(), control);
    run.insert("storage".to_owned(), worker);
    run.insert("lab".to_owned(), by_ip);
    run.insert("new".to_owned(), stranger);
    run
}

const API: &str = "node=masternode\nnode=storagenodet3500\nnode=homelab\naddress=InternalIP 192.168.4.62\nnode=gone\n";

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
fn without_a_control_plane_nothing_is_known_of_the_cluster() {
    let mut nodes = run(API);
    nodes.remove("cp");
    let view = view(&nodes);
    assert!(view.members["new"].node.is_unknown() && view.members["new"].skew_ms.is_unknown());
}

#[test]
fn an_address_that_two_nodes_claim_identifies_neither() {
    let twins = "node=a\naddress=InternalIP 192.168.4.62\nnode=b\naddress=InternalIP 192.168.4.62\n";
    assert_eq!(view(&run(twins)).members["lab"].node, Fact::Absent);
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
