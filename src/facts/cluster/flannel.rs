//! Why a node has no pod of flannel's. The node itself cannot know: the API is asked first.
//!
//! A cordon keeps no daemon set's pod away, and neither do the taints that the cluster puts on a node in trouble; a taint of
//! an effect that flannel's manifest does not tolerate does (`NoExecute`, mostly).

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::Serialize;

use crate::facts::Fact;
use crate::facts::api::{Api, ApiNode, DaemonSet, Pod, Toleration};

/// Why there is no pod of flannel's on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FlannelMissing {
    /// The cluster has no such node.
    NoNodeObject,
    /// flannel is configured, and there is no daemon set of it.
    NoDaemonset,
    /// A taint that no daemon set of flannel's tolerates.
    Taint,
    /// There are pods of flannel's that no node was found for.
    NotScheduled,
    /// The daemon set wants more pods than there are: the controller manager has not made them.
    NotCreated,
    /// The daemon set does not want a pod on so many nodes: its selector or affinity leaves nodes out.
    NotSelected,
    /// None of these.
    Unexplained,
}

/// flannel's pod on one node.
pub(super) struct OfNode {
    pub(super) pod: Fact<Pod>,
    pub(super) missing_because: Fact<FlannelMissing>,
    pub(super) missing_detail: Fact<String>,
}

impl OfNode {
    pub(super) fn unknown(why: &Fact<()>) -> Self {
        let of = why.reason().unwrap_or("not known");
        Self { pod: Fact::unknown(of), missing_because: Fact::unknown(of), missing_detail: Fact::unknown(of) }
    }
}

/// Where flannel's pods are and should be.
pub(super) struct Placement<'a> {
    api: &'a Api,
    by_node: HashMap<&'a str, &'a Pod>,
    /// Pods that no node was found for.
    waiting: usize,
    /// Nodes that no taint closes to flannel; unknown when not all nodes are.
    open_nodes: Fact<u64>,
}

impl<'a> Placement<'a> {
    /// `complete`: the list of nodes is whole.
    pub(super) fn new(api: &'a Api, complete: bool) -> Self {
        let pods = api.system_pods.known().into_iter().flatten().filter(|pod| pod.name.contains("flannel"));
        let mut by_node = HashMap::new();
        let mut waiting = 0;
        for pod in pods {
            match &pod.node {
                Fact::Known(node) => {
                    by_node.entry(node.as_str()).or_insert(pod);
                }
                Fact::Absent | Fact::Unknown(_) => waiting += 1,
            }
        }
        let sets = sets(api);
        let open = |nodes: &BTreeMap<String, ApiNode>| {
            nodes.values().filter(|node| closing_taint(node, sets).is_none()).count() as u64
        };
        let open_nodes =
            if complete { api.nodes.as_ref().map(open) } else { Fact::unknown("the list of nodes was cut off") };
        Self { api, by_node, waiting, open_nodes }
    }

    pub(super) fn of(&self, node: &Fact<&ApiNode>) -> OfNode {
        let pod = node.clone().and_then(|node| {
            self.api.system_pods.as_ref().and_then(|_| Fact::from_option(self.by_node.get(node.name.as_str()).copied()))
        });
        let missing = match &pod {
            Fact::Known(_) => Fact::Absent,
            Fact::Absent => self.missing(node),
            Fact::Unknown(why) => Fact::unknown(why.as_str()),
        };
        OfNode {
            pod: pod.cloned(),
            missing_because: missing.as_ref().map(|(because, _)| *because),
            missing_detail: missing.map(|(_, detail)| detail),
        }
    }

    /// Why, and that in words.
    fn missing(&self, node: &Fact<&ApiNode>) -> Fact<(FlannelMissing, String)> {
        let because = |why: FlannelMissing, words: &str| Fact::Known((why, words.to_owned()));
        let sets = match &self.api.flannel_daemonsets {
            Fact::Known(sets) => sets,
            Fact::Absent => return Fact::Absent,
            Fact::Unknown(why) => return Fact::unknown(why.as_str()),
        };
        if sets.is_empty() {
            // Without its configuration either, flannel is not this cluster's network.
            let words = "the cluster has flannel's configuration and no daemon set of it";
            return self.api.flannel_network.as_ref().and_then(|_| because(FlannelMissing::NoDaemonset, words));
        }
        let Fact::Known(node) = node else {
            return because(FlannelMissing::NoNodeObject, "the cluster has no such node");
        };
        if let Some(taint) = closing_taint(node, sets) {
            return because(FlannelMissing::Taint, &format!("it does not tolerate the taint {taint}"));
        }
        if self.waiting > 0 {
            return because(FlannelMissing::NotScheduled, &format!("{} of its pods wait for a node", self.waiting));
        }
        let total = |of: fn(&DaemonSet) -> &Fact<u64>| -> Option<u64> {
            sets.iter().map(|set| of(set).known().copied()).try_fold(0_u64, |sum, part| Some(sum.saturating_add(part?)))
        };
        let (desired, current) = (total(|set| &set.desired), total(|set| &set.current));
        match (desired, current, &self.open_nodes) {
            (Some(desired), Some(current), _) if current < desired => because(
                FlannelMissing::NotCreated,
                &format!("only {current} of the {desired} pods that it wants were made"),
            ),
            (Some(desired), _, Fact::Known(open)) if desired < *open => {
                let selectors: Vec<&str> = sets.iter().flat_map(|set| &set.selector).map(String::as_str).collect();
                let by = if selectors.is_empty() { "affinity".to_owned() } else { selectors.join(", ") };
                because(FlannelMissing::NotSelected, &format!("its daemon set picks nodes by {by}"))
            }
            _ => because(FlannelMissing::Unexplained, "the API does not say why"),
        }
    }
}

fn sets(api: &Api) -> &[DaemonSet] {
    api.flannel_daemonsets.known().map_or(&[], Vec::as_slice)
}

/// What the daemon set controller lets all of its pods tolerate, and what `NoSchedule` means for pods on the node's network.
const BY_DEFAULT: [&str; 7] = [
    "node.kubernetes.io/not-ready:NoExecute",
    "node.kubernetes.io/unreachable:NoExecute",
    "node.kubernetes.io/disk-pressure:NoSchedule",
    "node.kubernetes.io/memory-pressure:NoSchedule",
    "node.kubernetes.io/pid-pressure:NoSchedule",
    "node.kubernetes.io/unschedulable:NoSchedule",
    "node.kubernetes.io/network-unavailable:NoSchedule",
];

/// The first taint that keeps all of these daemon sets away.
fn closing_taint<'n>(node: &'n ApiNode, sets: &[DaemonSet]) -> Option<&'n str> {
    let closes = |taint: &&String| !sets.is_empty() && sets.iter().all(|set| !tolerates(&set.tolerations, taint));
    node.taints.iter().find(closes).map(String::as_str)
}

/// `taint`: `key=value:Effect` or `key:Effect`. The value of a toleration is not read, so that every value is taken to fit.
fn tolerates(tolerations: &[Toleration], taint: &str) -> bool {
    let Some((label, effect)) = taint.rsplit_once(':') else { return true };
    let key = label.split_once('=').map_or(label, |(key, _)| key);
    let by_default = BY_DEFAULT.iter().any(|known| *known == format!("{key}:{effect}"));
    let fits = |toleration: &Toleration| {
        toleration.key.known().is_none_or(|own| own == key) && toleration.effect.known().is_none_or(|own| own == effect)
    };
    effect == "PreferNoSchedule" || by_default || tolerations.iter().any(fits)
}
