//! What stands in a join's way: named before anything is begun, with its remedy, on every node at once.

use std::sync::LazyLock;

use super::{Changed, EIGHT, broken, change, fleet, joined, ready, take};
use crate::harness::Lab;

/// Faults of one node each, and the guard that says so.
const FIRST: [(&str, &str, &str); 8] = [
    ("w1", "drop-in-away", "kubelet/drop-in-missing"),
    ("w2", "api-blocked", "join/api-unreachable"),
    ("w3", "kubelet-conf-left", "join/leftover-kubelet-conf"),
    ("w4", "port-taken", "kubelet/port-taken"),
    ("w5", "swap-on", "kernel/swap-on"),
    ("w6", "forward-off", "kernel/ip-forward-off"),
    ("w7", "kubeadm-runs", "join/running"),
    ("w8", "apt-runs", "join/running"),
];
const SECOND: [(&str, &str, &str); 2] =
    [("w1", "etc-read-only", "mounts/read-only"), ("w3", "ca-of-another", "join/ca-pin-mismatch")];

/// What was asked for while the nodes were broken. The nodes are healed when this is known.
struct Refused {
    first: Changed,
    second: Changed,
}

fn refuse(lab: &Lab, faults: &[(&str, &str, &str)], more: &[&str]) -> Changed {
    let faults: Vec<_> = std::thread::scope(|scope| {
        let begun: Vec<_> = faults.iter().map(|(node, kind, _)| scope.spawn(|| broken(lab, node, kind))).collect();
        begun.into_iter().map(|fault| fault.join().unwrap()).collect()
    });
    let words: Vec<&str> =
        ["join"].into_iter().chain(faults.iter().map(|fault| fault.node)).chain(more.iter().copied()).collect();
    let refused = change(lab, &words);
    for fault in &faults {
        if fault.kind != "kubelet-conf-left" {
            assert_eq!(ready(lab, fault.node), "", "{} has joined\n{}", fault.node, refused.told());
        }
    }
    refused
}

/// Both rounds, once.
pub(super) fn all(lab: &'static Lab) -> (&'static Changed, &'static Changed) {
    static REFUSED: LazyLock<Refused> = LazyLock::new(|| {
        let lab = fleet().unwrap();
        Refused { first: refuse(lab, &FIRST, &["master"]), second: refuse(lab, &SECOND, &[]) }
    });
    let _ = lab;
    (&REFUSED.first, &REFUSED.second)
}

fn assert_refused(kind: &str) {
    let Some(lab) = fleet() else { return };
    let (first, second) = all(lab);
    let rounds = [(&FIRST[..], first), (&SECOND[..], second)];
    let (fault, round) = rounds
        .iter()
        .find_map(|(faults, round)| faults.iter().find(|fault| fault.1 == kind).map(|fault| (fault, round)))
        .unwrap();
    let (node, _, guard) = fault;
    assert_named(round, node, guard);
}

/// The guard says no, and not because something is unknown, and says what to do.
fn assert_named(round: &Changed, node: &str, guard: &str) {
    let guards = round.guards(node);
    assert!(guards.iter().any(|found| found == guard), "{node}: {guards:?}\n{}", round.told());
    let refusals = round.decision(node)["refusals"].as_array().unwrap();
    let named = refusals.iter().find(|refusal| refusal["guard"] == *guard).unwrap();
    assert_eq!(named["unknown"], false, "{named}");
    assert_ne!(named["next"], "", "{named}");
}

macro_rules! refusals {
    ($($test:ident: $kind:literal;)*) => {
        $(#[test]
        fn $test() {
            assert_refused($kind);
        })*
    };
}

refusals! {
    a_kubelet_without_its_drop_in: "drop-in-away";
    an_api_that_cannot_be_reached: "api-blocked";
    the_identity_of_an_earlier_join: "kubelet-conf-left";
    somebody_else_on_the_kubelets_port: "port-taken";
    swap_that_is_on: "swap-on";
    packets_that_are_not_forwarded: "forward-off";
    a_kubeadm_that_is_at_work: "kubeadm-runs";
    a_package_manager_that_is_at_work: "apt-runs";
    an_etc_that_is_read_only: "etc-read-only";
    the_authority_of_another_cluster: "ca-of-another";
}

#[test]
fn the_name_of_a_ready_worker() {
    if joined::story().is_none() {
        return;
    }
    let lab = fleet().unwrap();
    let taken = take(lab);
    let _fault = broken(lab, taken.node, "name-of-another");
    let refused = change(lab, &["join", taken.node]);
    assert_eq!(refused.code, Some(2), "{}", refused.told());
    assert_named(&refused, taken.node, "join/node-name-taken");
}

#[test]
fn a_control_plane_by_mistake() {
    let Some(lab) = fleet() else { return };
    let (first, _) = all(lab);
    assert_eq!(first.decision("master")["decision"], "refused", "{}", first.told());
}

#[test]
fn a_run_that_refuses_every_node_begins_nothing() {
    let Some(lab) = fleet() else { return };
    let (first, _) = all(lab);
    assert_eq!(first.code, Some(2), "{}", first.told());
    for node in EIGHT {
        assert_eq!(first.decision(node)["decision"], "refused", "{node}\n{}", first.told());
    }
    let begun = first.run.journal().into_iter().filter(|line| line["event"] == "node-begun").count();
    assert_eq!(begun, 0, "{}", first.told());
}
