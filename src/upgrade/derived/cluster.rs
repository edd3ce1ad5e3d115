//! The control plane, and what only the API knows of a node.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Subject;
use crate::facts::api::Pod;
use crate::facts::{Fact, NodeFacts};
use crate::upgrade::version::Release;

/// Static pods without which nothing can be upgraded.
const CONTROL_PLANE: [&str; 4] = ["etcd-", "kube-apiserver-", "kube-controller-manager-", "kube-scheduler-"];

#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Cluster {
    /// What is wrong with this control plane: parts that `/readyz` names, static pods that are not ready. Absent on workers.
    pub control_plane_faults: Fact<Vec<String>>,
    /// Version of kubeadm's configuration in the cluster.
    pub kubeadm_api: Fact<String>,
    /// kubeadm of the target cannot read it.
    pub kubeadm_api_removed: Fact<bool>,
    /// kubeadm of the target complains of it.
    pub kubeadm_api_deprecated: Fact<bool>,
    pub flannel: Fact<String>,
    /// The labels by which its daemon set finds its pods.
    pub flannel_selector: Fact<Vec<String>>,
    /// Why the manifest of this flannel cannot be applied to the target; absent when it can.
    pub flannel_refused: Fact<String>,
    /// System pods of the node that should have ended long ago.
    pub stuck_pods: Fact<Vec<String>>,
}

/// What the control plane that answered says of the cluster as a whole.
pub(super) struct Answers {
    pub(super) kube_proxy: Fact<String>,
    /// Versions by node name.
    pub(super) kubelets: BTreeMap<String, String>,
    kubeadm_api: Fact<String>,
    flannel: Fact<String>,
    flannel_selector: Fact<Vec<String>>,
    stuck_pods: Fact<BTreeMap<String, Vec<String>>>,
}

impl Answers {
    pub(super) fn of(source: Option<&NodeFacts>) -> Self {
        let why = "no control plane answered";
        let nodes = source.and_then(|facts| facts.api.nodes.known()).into_iter().flatten();
        let of =
            |f: fn(&NodeFacts) -> &Fact<String>| source.map_or_else(|| Fact::unknown(why), |facts| f(facts).clone());
        Self {
            kube_proxy: of(|facts| &facts.components.kube_proxy),
            kubeadm_api: of(|facts| &facts.components.kubeadm_api),
            flannel: of(|facts| &facts.components.flannel),
            flannel_selector: source
                .map_or_else(|| Fact::unknown(why), |facts| facts.components.flannel_selector.clone()),
            stuck_pods: source.map_or_else(|| Fact::unknown(why), |facts| facts.components.stuck_pods.clone()),
            kubelets: nodes
                .filter_map(|(name, node)| Some((name.clone(), node.kubelet_version.known()?.clone())))
                .collect(),
        }
    }
}

impl Cluster {
    pub(super) fn of(subject: &Subject<'_>) -> Self {
        let Subject { target, policy, own, member, answers, .. } = subject;
        let api = &answers.kubeadm_api;
        let row = api.as_ref().map(|api| policy.kubeadm_config.iter().find(|row| row.api == *api));
        let name = member.node.as_ref().map(|node| node.name.clone());
        Self {
            control_plane_faults: control_plane_faults(own, &name),
            kubeadm_api: api.clone(),
            kubeadm_api_removed: row.clone().map(|row| row.is_some_and(|row| row.removed_in <= target.minor)),
            kubeadm_api_deprecated: row.map(|row| row.is_some_and(|row| row.deprecated_in <= target.minor)),
            flannel_refused: answers.flannel.as_ref().and_then(|version| {
                let old = |below: Release| Release::read(version).is_some_and(|version| version < below);
                let row = policy.flannel.iter().find(|row| old(row.below) && row.refused_from <= target.minor);
                Fact::from_option(row.map(|row| row.why.clone()))
            }),
            flannel: answers.flannel.clone(),
            flannel_selector: answers.flannel_selector.clone(),
            stuck_pods: name.and_then(|name| {
                answers.stuck_pods.as_ref().map(|stuck| stuck.get(&name).cloned().unwrap_or_default())
            }),
        }
    }
}

fn control_plane_faults(own: &NodeFacts, name: &Fact<String>) -> Fact<Vec<String>> {
    match &own.identity.control_plane {
        Fact::Known(true) => {}
        Fact::Known(false) | Fact::Absent => return Fact::Absent,
        Fact::Unknown(why) => return Fact::unknown(why.as_str()),
    }
    if own.api.answers.is_false() {
        let why = own.api.error.known().map_or("it does not answer", String::as_str);
        return Fact::Known(vec![format!("the API server: {why}")]);
    }
    own.api.not_ready.as_ref().and_then(|parts| {
        let pods = match &own.api.system_pods {
            Fact::Known(pods) => pods.as_slice(),
            Fact::Absent => &[],
            Fact::Unknown(why) => return Fact::unknown(why.as_str()),
        };
        let here = |pod: &&Pod| match name {
            Fact::Known(name) => pod.node.is_known_and(|node| node == name),
            Fact::Absent | Fact::Unknown(_) => true,
        };
        let ours = pods.iter().filter(|pod| CONTROL_PLANE.iter().any(|prefix| pod.name.starts_with(prefix)));
        let failing = ours.filter(here).filter(|pod| !pod.ready).map(|pod| {
            let why = pod.reason.known().map_or("not ready", String::as_str);
            format!("{}: {why}", pod.name)
        });
        Fact::Known(parts.iter().cloned().chain(failing).collect())
    })
}
