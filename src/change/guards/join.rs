//! Guards of `kubeadm-join`: what is known to make a join fail is put right before it starts, not found out by it.

use super::{Guard, Refusal, View};
use crate::change::view::clip;
use crate::facts::Fact;
use crate::facts::api::ApiNode;

/// Beside the general rule of [`super::below_cni`], these must be known to hold.
pub const JOIN: &[Guard] = &[
    Guard::By(unjoined),
    Guard::By(cut_off_before),
    Guard::Sound("join/program-missing"),
    Guard::Sound("join/version-skew"),
    Guard::By(name_free),
    Guard::Sound("join/node-name-taken"),
    Guard::Sound("cluster/duplicate-name"),
    // A healthy-looking kubelet without a kubeconfig is waited for until the join times out.
    Guard::Sound("kubelet/drop-in-missing"),
    Guard::Sound("kubelet/masked"),
    Guard::Sound("kubelet/port-taken"),
    Guard::Sound("kernel/swap-on"),
    // kubeadm looks at it only where the endpoint is an address, so it may only warn before a join.
    Guard::Spotless("kernel/ip-forward-off"),
    Guard::Sound("containerd/cri-fails"),
    Guard::Sound("time/skew"),
];

/// What the join itself puts right: a `ca.crt` of before is moved away, because a join does not overwrite it.
pub const CURED: &[&str] = &["join/leftover-ca-crt"];

/// Areas whose faults on a control plane keep every node from joining.
pub const CONTROL_PLANE: &[&str] = &["control-plane", "join"];

/// The node has no identity of an earlier join.
pub fn unjoined(node: &View<'_>) -> Option<Refusal> {
    const GUARD: &str = "join/leftover-kubelet-conf";
    match (&node.facts.kubeadm.kubelet_conf, &node.member.node) {
        // One that the cluster knows has joined, or is joining now: that is told elsewhere.
        (Fact::Known(false) | Fact::Absent, _) | (Fact::Known(true), Fact::Known(_)) => None,
        (Fact::Unknown(why), _) => {
            Some(node.not_known(GUARD, &format!("whether it has joined before is not known: {why}")))
        }
        (Fact::Known(true), Fact::Unknown(why)) => {
            let reason = format!(
                "/etc/kubernetes/kubelet.conf is there, and whether the cluster knows the node is not known: {why}"
            );
            Some(node.not_known(GUARD, &reason))
        }
        (Fact::Known(true), Fact::Absent) => Some(refused_for_reset(
            node,
            GUARD,
            "/etc/kubernetes/kubelet.conf is there, an identity of an earlier join, and the cluster has no such node",
        )),
    }
}

/// An earlier join was cut off, and its token may lie on the disk.
fn cut_off_before(node: &View<'_>) -> Option<Refusal> {
    const GUARD: &str = "join/leftover-bootstrap-conf";
    match &node.facts.kubeadm.bootstrap_conf {
        Fact::Known(false) | Fact::Absent => None,
        // While kubeadm runs that is as it should be, and refused for that reason.
        Fact::Known(true) if node.facts.kubeadm.running.is_true() => None,
        Fact::Known(true) => Some(refused_for_reset(
            node,
            GUARD,
            "/etc/kubernetes/bootstrap-kubelet.conf was left by an earlier join that was cut off",
        )),
        Fact::Unknown(why) => Some(node.not_known(GUARD, why)),
    }
}

/// What only a reset puts right is not put right without being asked for.
fn refused_for_reset(node: &View<'_>, guard: &str, reason: &str) -> Refusal {
    let next = format!(
        "look at what it is (seaworthy diagnose {0}); if the node is to join anew, reset it, which deletes its identity and its \
         pods: seaworthy run reset --limit {0}",
        node.name
    );
    Refusal { next, ..node.refused(guard, reason) }
}

/// The cluster has no Node of this name but one that this machine left behind. kubeadm asks only whether it is Ready; joining
/// under the name of a machine that is merely off would take its Node away from it.
fn name_free(node: &View<'_>) -> Option<Refusal> {
    const GUARD: &str = "join/node-name-taken";
    let known = match (own_node(node), node_name(node)) {
        (Ok(known), Ok(_)) => known?,
        (Err(why), _) | (_, Err(why)) => return Some(node.not_known(GUARD, &why)),
    };
    let refused = |reason: String, next: String| Some(Refusal { next, ..node.refused(GUARD, &clip(&reason)) });
    let delete = format!("kubectl delete node {}", known.name);
    let own_id = node.facts.identity.machine_id.known();
    let anothers = known.machine_id.known().filter(|id| !id.is_empty() && Some(*id) != own_id);
    if known.ready.is_true() {
        return refused(
            format!("the cluster has a Node {} that is Ready, and this machine has no identity", known.name),
            format!(
                "if another machine has the name, give this one its own; if it was this one before a reset, wait a minute until \
                 the cluster notices, or delete it on the control plane: {delete}"
            ),
        );
    }
    if anothers.is_some() {
        return refused(
            format!("the cluster has a Node {} of another machine (machine-id), which is not Ready now", known.name),
            format!(
                "give this machine a name of its own; if the other one is gone, delete its Node on the control plane: {delete}"
            ),
        );
    }
    None
}

/// The Node object of the name that the node will take; an error when the API's list is not known.
pub fn own_node<'a>(node: &View<'a>) -> Result<Option<&'a ApiNode>, String> {
    let name = node_name(node)?;
    let Some(control_plane) = node.control_plane() else {
        return Err("no control plane of the inventory answered".to_owned());
    };
    let api = &control_plane.facts.api;
    match &api.nodes {
        Fact::Known(nodes) => match nodes.get(&name) {
            None if !api.nodes_complete.is_true() => Err("the list of the cluster's nodes was cut off".to_owned()),
            found => Ok(found),
        },
        Fact::Absent => Err("the cluster's nodes were not asked for".to_owned()),
        Fact::Unknown(why) => Err(format!("the cluster's nodes are not known: {why}")),
    }
}

/// The name that the node takes in the cluster: its host name in lower case, whatever the inventory calls it.
pub fn node_name(node: &View<'_>) -> Result<String, String> {
    let name = match &node.facts.identity.node_name {
        Fact::Known(name) => name,
        other => return Err(format!("its host name is not known: {}", other.reason().unwrap_or("it has none"))),
    };
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let ends = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = name.as_bytes();
    let fits = bytes.len() <= 253 && ends(bytes.first()) && ends(bytes.last()) && bytes.iter().all(|byte| inner(*byte));
    if !fits || name.split('.').any(str::is_empty) || name == "localhost" || name.starts_with("localhost.") {
        return Err(clip(&format!("its host name {name:?} cannot be the name of a Node")));
    }
    Ok(name.clone())
}
