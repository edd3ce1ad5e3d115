//! flannel's configuration where its own pod cannot write it.

use std::time::Duration;

use super::{Broken, Kept, Taken, assert_nothing_remains, broken, change, fleet, ready, start, take};
use crate::harness::{Lab, busy, eventually};

/// What `flannel push` writes, as the node has it.
pub(super) const FILE: &str = "/etc/cni/net.d/10-flannel.conflist";

/// A worker that joined an hour ago and has no CNI configuration.
fn join_without_network(lab: &Lab, node: &str) {
    lab.exec(node, &format!("{} --ignore-preflight-errors=SystemVerification 2>&1", lab.join_command()));
    lab.exec(node, "touch -d '1 hour ago' /etc/kubernetes/kubelet.conf");
    let is_there = || ready(lab, node) == "False";
    assert!(eventually(Duration::from_secs(30), is_there), "{node} is {:?}", ready(lab, node));
    waits_for_its_image(lab, node);
}

/// flannel's pod says why it cannot start.
fn waits_for_its_image(lab: &Lab, node: &str) {
    let command = "kubectl --kubeconfig /etc/kubernetes/admin.conf get pods -n kube-flannel --no-headers -o wide";
    let waits = || {
        let pods = lab.exec("master", command);
        pods.lines().any(|line| line.contains("Pull") && line.split_whitespace().any(|word| word == node))
    };
    assert!(eventually(Duration::from_mins(1), waits), "{}", lab.exec("master", command));
}

/// The cluster's configuration, by its digest.
fn wanted(lab: &Lab) -> String {
    let config = "kubectl --kubeconfig /etc/kubernetes/admin.conf get configmap -n kube-flannel kube-flannel-cfg";
    lab.exec("master", &format!("{config} -o jsonpath='{{.data.cni-conf\\.json}}' | sha256sum"))
}

fn written(lab: &Lab, node: &str) -> String {
    lab.exec(node, &format!("test -e {FILE} && sha256sum <{FILE} || true"))
}

/// A taken node in that state. Its image is back before the node is.
pub(super) struct Seed {
    image: Option<Broken<'static>>,
    pub(super) taken: Taken,
}

pub(super) fn take_seed(lab: &'static Lab) -> Seed {
    let taken = take(lab);
    let image = Some(broken(lab, taken.node, "image-missing"));
    join_without_network(lab, taken.node);
    Seed { image, taken }
}

#[test]
fn a_node_without_configuration_becomes_ready_and_flannel_is_judged_apart() {
    let Some(lab) = fleet() else { return };
    let mut seed = take_seed(lab);
    let node = seed.taken.node;
    let _busy = busy();
    let mut run = start(lab, &["flannel", "push", node]);
    // Ready comes from the file alone; flannel's pod still waits for its image.
    let pushed = run.comes_to(|_| ready(lab, node) == "True");
    assert!(pushed, "{}\n{:#?}", run.said(), run.journal());
    assert_eq!(lab.exec(node, "ls /run/flannel/subnet.env 2>/dev/null || true"), "", "flannel runs");
    assert_eq!(written(lab, node), wanted(lab));
    assert_eq!(lab.exec(node, &format!("stat -c '%a %U:%G' {FILE}")).trim(), "644 root:root");
    assert!(!run.has_ended(), "it did not wait for flannel itself: {}", run.said());
    seed.image = None;
    let pushed = run.end();
    assert_eq!(pushed.outcome(node), "done", "{}", pushed.told());
    assert_nothing_remains(lab, node, Kept::Nothing, || pushed.told());

    let again = change(lab, &["flannel", "push", node]);
    assert_eq!(again.decision(node)["decision"], "nothing", "{}", again.told());
}

#[test]
fn a_placeholder_that_comes_first_is_named_and_nothing_is_pushed() {
    let Some(lab) = fleet() else { return };
    let seed = take_seed(lab);
    let node = seed.taken.node;
    lab.fault(node, "placeholder");
    let refused = change(lab, &["flannel", "push", node]);
    assert_eq!(refused.code, Some(2), "{}", refused.told());
    let refusals = refused.decision(node)["refusals"].to_string();
    assert!(refusals.contains("00-placeholder.conflist"), "{}", refused.told());
    assert_eq!(written(lab, node), "", "{}", refused.told());
}

#[test]
fn a_sound_flannel_is_left_to_write_its_own_file() {
    let Some(lab) = fleet() else { return };
    let taken = take(lab);
    let joined = change(lab, &["join", taken.node]);
    assert_eq!(joined.code, Some(0), "{}", joined.told());
    lab.exec(taken.node, &format!("rm {FILE}; touch -d '1 hour ago' /etc/kubernetes/kubelet.conf"));
    let refused = change(lab, &["flannel", "push", taken.node]);
    assert_eq!(refused.decision(taken.node)["decision"], "refused", "{}", refused.told());
    assert_eq!(written(lab, taken.node), "", "{}", refused.told());
}
