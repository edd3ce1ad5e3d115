//! Facts that mean something only relative to the version to upgrade to: a node's own facts, measured by the table.
//!
//! As with all facts, what could not be read is unknown and never a default. Nothing here says whether it is a fault; checks
//! of the area `upgrade` do, as `upgrade.skew.kubelet_too_old`.
//!
//! - `skew`: the versions of API server, kubelets and kube-proxy.
//! - `kubelet`: flags, fields and cgroups that a kubelet of the target refuses.
//! - `runtime`: containerd.
//! - `machine`: kernel, space, certificates, packages.
//! - `cluster`: the control plane, and what only the API knows of a node.

mod cluster;
mod kubelet;
mod machine;
mod runtime;
mod skew;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::policy::Policy;
use super::version::Target;
use crate::facts::cluster::{ClusterView, Member};
use crate::facts::{Fact, NodeFacts};

/// A node's facts relative to a target.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Upgrade {
    /// As asked for: `1.35` or `1.35.2`.
    pub target: String,
    /// `1.35`
    pub minor: String,
    /// The newest minor that the table knows.
    pub known_up_to: String,
    /// The target is newer than that.
    pub beyond_table: bool,
    pub skew: skew::Skew,
    pub kubelet: kubelet::Kubelet,
    pub containerd: runtime::Containerd,
    pub machine: machine::Machine,
    pub packages: machine::Packages,
    pub cluster: cluster::Cluster,
}

/// Measures all nodes of a run. Without a table that can be read there is nothing to measure by; a test excludes that.
pub fn measure(target: Target, facts: &mut BTreeMap<String, NodeFacts>, view: &ClusterView) {
    let Ok(policy) = Policy::built_in() else { return };
    let source = view.source.known().and_then(|name| facts.get(name));
    let of_cluster = cluster::Answers::of(source);
    let unmatched = Member::default();
    for (name, own) in facts {
        let member = view.members.get(name).unwrap_or(&unmatched);
        let upgrade = Upgrade::of(&Subject { target, policy, own, member, view, answers: &of_cluster });
        own.upgrade = Some(Box::new(upgrade));
    }
}

/// What a measurement is made of.
struct Subject<'a> {
    target: Target,
    policy: &'a Policy,
    own: &'a NodeFacts,
    member: &'a Member,
    view: &'a ClusterView,
    answers: &'a cluster::Answers,
}

impl Upgrade {
    fn of(subject: &Subject<'_>) -> Self {
        let Subject { target, policy, .. } = subject;
        Self {
            target: target.to_string(),
            minor: target.minor.to_string(),
            known_up_to: policy.knows_up_to.to_string(),
            beyond_table: target.minor > policy.knows_up_to,
            skew: skew::Skew::of(subject),
            kubelet: kubelet::Kubelet::of(subject),
            containerd: runtime::Containerd::of(subject),
            machine: machine::Machine::of(subject),
            packages: machine::Packages::of(subject),
            cluster: cluster::Cluster::of(subject),
        }
    }
}

/// Of two facts of which either says enough when it is true: whether one is.
fn either(a: Fact<bool>, b: Fact<bool>) -> Fact<bool> {
    match (a, b) {
        (Fact::Known(true), _) | (_, Fact::Known(true)) => Fact::Known(true),
        (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why),
        (Fact::Known(false), _) | (_, Fact::Known(false)) => Fact::Known(false),
        (Fact::Absent, Fact::Absent) => Fact::Absent,
    }
}
