//! Which versions run where: one row per component, the nodes by value, what few have marked.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::siblings::Peer;
use crate::facts::cluster::agreement::{Ballot, minor};
use crate::facts::{Fact, NodeFacts};
use crate::{names, text};

/// No version is longer; what a node sends may be.
const WIDEST: usize = 80;

/// What has a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    Os,
    Kernel,
    Kubelet,
    Kubeadm,
    Containerd,
    Runc,
    CniPlugins,
    Flannel,
}

impl Component {
    const ALL: [Self; 8] = [
        Self::Os,
        Self::Kernel,
        Self::Kubelet,
        Self::Kubeadm,
        Self::Containerd,
        Self::Runc,
        Self::CniPlugins,
        Self::Flannel,
    ];

    pub const fn label(self) -> &'static str {
        match self {
            Self::Os => "OS",
            Self::Kernel => "kernel",
            Self::Kubelet => "kubelet",
            Self::Kubeadm => "kubeadm",
            Self::Containerd => "containerd",
            Self::Runc => "runc",
            Self::CniPlugins => "CNI plugins",
            Self::Flannel => "flannel",
        }
    }
}

/// How far the versions of a component are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Drift {
    /// All nodes have the same.
    None,
    /// The same minor version everywhere.
    Patch,
    /// Different minor versions, or different things altogether.
    Minor,
}

/// One component over all nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VersionRow {
    pub component: Component,
    pub drift: Drift,
    /// The most frequent first.
    pub values: Vec<VersionValue>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VersionValue {
    pub value: String,
    /// Less than half of the nodes have it, and most have one other.
    pub minority: bool,
    /// In natural order.
    pub nodes: Vec<String>,
}

/// A row for every component that any node has.
pub fn matrix(nodes: &[Peer<'_>]) -> Vec<VersionRow> {
    Component::ALL.into_iter().filter_map(|component| row(component, nodes)).collect()
}

fn row(component: Component, nodes: &[Peer<'_>]) -> Option<VersionRow> {
    let mut by_value: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for node in nodes {
        if let Fact::Known(value) = version(component, node) {
            let value = text::truncate(&value, WIDEST, "...").into_owned();
            by_value.entry(value).or_default().push(node.name);
        }
    }
    if by_value.is_empty() {
        return None;
    }
    let ballot: Ballot<'_> =
        by_value.iter().flat_map(|(value, nodes)| std::iter::repeat_n(value.as_str(), nodes.len())).collect();
    let drift = drift(by_value.keys().map(String::as_str));
    let value = |(value, nodes): (&String, &Vec<&str>)| {
        let mut nodes: Vec<String> = nodes.iter().map(|name| (*name).to_owned()).collect();
        nodes.sort_by(|a, b| names::natural_cmp(a, b));
        VersionValue { value: value.clone(), minority: ballot.is_outlier(value), nodes }
    };
    let mut values: Vec<VersionValue> = by_value.iter().map(value).collect();
    values.sort_by(|a, b| b.nodes.len().cmp(&a.nodes.len()).then_with(|| names::natural_cmp(&a.value, &b.value)));
    Some(VersionRow { component, drift, values })
}

fn version(component: Component, node: &Peer<'_>) -> Fact<String> {
    let facts: &NodeFacts = node.facts;
    match component {
        Component::Os => facts.identity.os_name.clone(),
        Component::Kernel => facts.identity.kernel.clone(),
        Component::Kubelet => facts.kubelet.version.clone(),
        Component::Kubeadm => facts.packages.version("kubeadm").map(upstream),
        Component::Containerd => facts.containerd.version.clone(),
        Component::Runc => facts.containerd.runc_version.clone(),
        // Two packages, two series of numbers.
        Component::CniPlugins => facts.packages.version("kubernetes-cni").map(upstream).or_else(|| {
            facts
                .packages
                .version("containernetworking-plugins")
                .map(|version| format!("{} (Debian)", upstream(version)))
        }),
        Component::Flannel => node.member.map_or_else(Fact::default, |member| {
            member.flannel_pod.as_ref().and_then(|pod| pod.image.as_ref()).map(|image| tag(image).to_owned())
        }),
    }
}

/// `1:1.29.15-1.1` -> `1.29.15`: without epoch and what the packager added.
fn upstream(version: &str) -> String {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    version.split(['-', '~', '+']).next().unwrap_or(version).to_owned()
}

/// `registry/flannel:v0.26.1@sha256:...` -> `v0.26.1`; an image without a tag is itself.
fn tag(image: &str) -> &str {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(image, |(_, tag)| tag)
}

fn drift<'v>(values: impl Iterator<Item = &'v str>) -> Drift {
    let values: Vec<&str> = values.collect();
    let minors: Vec<Option<&str>> = values.iter().map(|value| minor(value.trim_start_matches('v'))).collect();
    let numbered = values.iter().all(|value| value.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()));
    match values.len() {
        0 | 1 => Drift::None,
        _ if numbered && minors.iter().all(|minor| minor.is_some() && *minor == minors[0]) => Drift::Patch,
        _ => Drift::Minor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_versions_are_apart() {
        let of = |values: &[&str]| drift(values.iter().copied());
        assert_eq!(of(&["1.29.15"]), Drift::None);
        assert_eq!(of(&["1.29.15", "1.29.3"]), Drift::Patch);
        assert_eq!(of(&["1.29.15", "1.30.0"]), Drift::Minor);
        assert_eq!(of(&["6.1.0-34-amd64", "6.1.0-35-amd64"]), Drift::Patch);
        assert_eq!(of(&["v0.26.1", "v0.26.2"]), Drift::Patch);
        assert_eq!(of(&["Debian GNU/Linux 12.1", "Red Hat Enterprise Linux 12.1"]), Drift::Minor);
    }

    #[test]
    fn versions_of_packages_and_images() {
        assert_eq!(upstream("1:1.29.15-1.1"), "1.29.15");
        assert_eq!(upstream("1.6.20~ds1-1+deb12u1"), "1.6.20");
        assert_eq!(tag("ghcr.io/flannel-io/flannel:v0.26.1"), "v0.26.1");
        assert_eq!(tag("localhost:5000/flannel:v0.26.1@sha256:00"), "v0.26.1");
        assert_eq!(tag("localhost:5000/flannel"), "localhost:5000/flannel");
    }
}
