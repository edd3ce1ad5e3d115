//! `kubeadm-join`: everything that a join needs to be told, from the control plane's own facts, once all guards hold.

use std::time::Duration;

use super::{Planned, Turn};
use crate::change::guards::{self, Cured, every, join as rules, proof};
use crate::change::plan::{Change, Join, Reason, Refusal, Undo};
use crate::change::view::View;
use crate::facts::Fact;
use crate::playbook::{Playbook, Step};
use crate::reach::Endpoint;

/// A `ca.crt` of before is moved away, and is written anew.
const CA: &str = "/etc/kubernetes/pki/ca.crt";

/// What the playbook says about the join.
pub(super) struct Wish<'a> {
    pub(super) attempts: u32,
    pub(super) backoff: Duration,
    pub(super) ignore: &'a [String],
}

/// What `kubeadm join` of a worker writes, and the kubelet that it starts; all of it absent or as before when an attempt is put
/// back. A directory stands for all that it holds: the kubelet's certificates have the date in their names.
///
/// Source: kubeadm's `kubelet-start` phase of a join (`bootstrap-kubelet.conf`, `ca.crt`, `config.yaml`, `kubeadm-flags.env`, from
/// 1.32 on `instance-config.yaml`); the kubelet's certificate manager, and its checkpoints, which a kubelet of another
/// configuration refuses to start with.
pub fn writes(kubeadm_minor: u32) -> Vec<String> {
    let mut paths = vec![
        CA,
        "/etc/kubernetes/bootstrap-kubelet.conf",
        "/etc/kubernetes/kubelet.conf",
        "/var/lib/kubelet/config.yaml",
        "/var/lib/kubelet/kubeadm-flags.env",
        "/var/lib/kubelet/pki",
        "/var/lib/kubelet/cpu_manager_state",
        "/var/lib/kubelet/memory_manager_state",
    ];
    paths.extend((kubeadm_minor >= 32).then_some("/var/lib/kubelet/instance-config.yaml"));
    paths.into_iter().map(str::to_owned).collect()
}

/// What a playbook's own join puts right by itself.
pub(super) fn cured(playbook: &Playbook) -> &'static [&'static str] {
    let joins = playbook.steps.iter().any(|step| matches!(step, Step::KubeadmJoin { .. }));
    if joins { rules::CURED } else { &[] }
}

pub(super) fn plan(turn: &Turn<'_>, wish: &Wish<'_>) -> Result<Planned, Vec<Refusal>> {
    let node = turn.node;
    if let Some(refusal) = every::worker(node) {
        return Err(vec![refusal]);
    }
    if let Some(why) = has_joined(node) {
        return Ok(Planned::Nothing(why));
    }
    let cured = Cured::by(turn.earlier).and(rules::CURED);
    let mut refusals = guards::refusals(rules::JOIN, node, &cured);
    refusals.extend(guards::below_cni(node, &cured));
    refusals.extend(guards::of_control_planes(node, rules::CONTROL_PLANE));
    let told = told(node);
    if let Ok(told) = &told {
        refusals.extend(proof::refusals(node, &told.endpoint, &told.pins));
    }
    let mut standing = guards::standing(refusals, &node.fleet.options.accept_unknown);
    let told = match told {
        Ok(told) if standing.is_empty() => told,
        Ok(_) => return Err(standing),
        // Without it there is no join, whatever was accepted.
        Err(refusal) => {
            standing.push(refusal);
            return Err(standing);
        }
    };
    let mut ignore: Vec<String> = wish.ignore.iter().chain(&node.fleet.options.ignore_preflight).cloned().collect();
    ignore.sort();
    ignore.dedup();
    let join = Join {
        control_plane: told.control_plane,
        endpoint: proof::written(&told.endpoint),
        ca_pins: told.pins.iter().map(|pin| format!("sha256:{pin}")).collect(),
        node_name: told.node_name,
        kubeadm_minor: told.kubeadm_minor,
        ignore,
        attempts: wish.attempts,
        backoff: wish.backoff,
        writes: writes(told.kubeadm_minor),
        // kubeadm's pre-flight checks refuse any, and a join overwrites none.
        stale_ca: node.facts.kubeadm.ca_crt.is_true().then(|| CA.to_owned()),
    };
    let text = match rules::own_node(node) {
        Ok(Some(known)) => {
            format!("it is prepared; a Node {} of it is left in the cluster, and is not ready", known.name)
        }
        Ok(None) | Err(_) => "it is prepared, and no node of the cluster".to_owned(),
    };
    let action = turn.action(Change::KubeadmJoin(join), Reason { check: None, text }, Undo::Unjoin);
    Ok(Planned::Actions(vec![action]))
}

/// It is a node of the cluster already; in words.
fn has_joined(node: &View<'_>) -> Option<String> {
    let kubeadm = &node.facts.kubeadm;
    if !kubeadm.kubelet_conf.is_true() || kubeadm.running.is_true() || kubeadm.bootstrap_conf.is_true() {
        return None;
    }
    let known = node.member.node.known()?;
    Some(if known.ready.is_true() {
        format!("it has joined as {}, and is ready", known.name)
    } else {
        format!("it has joined as {}, and is not ready: seaworthy diagnose {}", known.name, node.name)
    })
}

/// What a join is told.
struct Told {
    control_plane: String,
    endpoint: Endpoint,
    /// 64 hex digits each.
    pins: Vec<String>,
    node_name: String,
    kubeadm_minor: u32,
}

fn told(node: &View<'_>) -> Result<Told, Refusal> {
    let Some(control_plane) = node.control_plane() else { return Err(proof::no_control_plane(node)) };
    let published = &control_plane.facts.api.cluster_info_ca_sha256;
    let on_disk = &control_plane.facts.certs.ca.key_sha256;
    let pin = match (published, on_disk) {
        (Fact::Known(published), Fact::Known(own)) if published != own => {
            return Err(Refusal {
                next: format!("correct it on {}: kubeadm init phase bootstrap-token", control_plane.name),
                ..node.refused(
                    "join/ca-pin-mismatch",
                    &format!("cluster-info has another CA than {} itself has on its disk", control_plane.name),
                )
            });
        }
        (Fact::Known(published), _) => published.clone(),
        (other, _) => {
            let why = other.reason().unwrap_or("cluster-info names none");
            return Err(node.not_known("join/ca-pin-mismatch", &format!("the cluster's CA is not known: {why}")));
        }
    };
    let kubeadm_minor = match &node.facts.kubeadm.version_minor {
        Fact::Known(minor) => *minor,
        other => {
            let why = other.reason().unwrap_or("no package of it is installed");
            return Err(node.not_known("join/version-skew", &format!("the version of kubeadm is not known: {why}")));
        }
    };
    let node_name = rules::node_name(node).map_err(|why| Refusal {
        guard: "join/node-name".to_owned(),
        unknown: false,
        reason: why,
        next: "give the machine a host name of small letters, digits and dashes: hostnamectl set-hostname NAME"
            .to_owned(),
    })?;
    let endpoint = proof::endpoint(node)?;
    Ok(Told { control_plane: control_plane.name.to_owned(), endpoint, pins: vec![pin], node_name, kubeadm_minor })
}
