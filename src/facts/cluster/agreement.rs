//! What most of a node's siblings say, and who says something else. Nobody needs to know the right value for that.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use schemars::JsonSchema;
use serde::Serialize;

use super::split::endpoints;
use crate::facts::configuration::Part;
use crate::facts::{Fact, NodeFacts};

/// How often each value was met.
#[derive(Debug, Default)]
pub struct Ballot<'a> {
    counts: HashMap<&'a str, usize>,
    total: usize,
    leading: Option<&'a str>,
    most: usize,
    /// Another value was met as often as the leading one.
    tied: bool,
}

impl<'a> Ballot<'a> {
    pub fn add(&mut self, value: &'a str) {
        let count = self.counts.entry(value).or_default();
        *count += 1;
        self.total += 1;
        if *count > self.most {
            (self.leading, self.most, self.tied) = (Some(value), *count, false);
        } else if *count == self.most {
            self.tied = true;
        }
    }

    /// The most frequent value; `None` when two are equally frequent.
    pub fn majority(&self) -> Option<&'a str> {
        self.leading.filter(|_| !self.tied)
    }

    /// Less than half hold it, and another one is the majority's.
    pub fn is_outlier(&self, value: &str) -> bool {
        let held = self.counts.get(value).copied().unwrap_or(0);
        held * 2 < self.total && self.majority().is_some_and(|majority| majority != value)
    }
}

impl<'a> FromIterator<&'a str> for Ballot<'a> {
    fn from_iter<T: IntoIterator<Item = &'a str>>(values: T) -> Self {
        let mut ballot = Self::default();
        for value in values {
            ballot.add(value);
        }
        ballot
    }
}

/// A version that most siblings do not have.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct VersionDrift {
    /// `1.28`
    pub own: String,
    pub siblings: String,
}

/// Whose siblings a node is among: a control plane is configured otherwise than a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kin {
    ControlPlane,
    Worker,
}

impl Kin {
    pub fn of(facts: &NodeFacts) -> Self {
        if facts.identity.control_plane.is_true() { Self::ControlPlane } else { Self::Worker }
    }
}

/// The votes of a run.
pub(super) struct Agreement<'a> {
    /// CAs of the control planes.
    cas: BTreeSet<&'a str>,
    /// Endpoints that control planes name, without the scheme.
    endpoints: BTreeSet<&'a str>,
    /// Endpoints of the workers' kubelets.
    servers: Ballot<'a>,
    minors: BTreeMap<Kin, Ballot<'a>>,
    configurations: BTreeMap<(Kin, Part, &'a str), Ballot<'a>>,
}

impl<'a> Agreement<'a> {
    pub(super) fn new(nodes: &'a BTreeMap<String, NodeFacts>, control_planes: &[(&'a String, &'a NodeFacts)]) -> Self {
        let of_control_planes = control_planes.iter().map(|(_, facts)| *facts);
        let cas = of_control_planes
            .clone()
            .flat_map(|facts| [&facts.certs.ca.key_sha256, &facts.api.cluster_info_ca_sha256])
            .filter_map(|ca| ca.known().map(String::as_str));
        let endpoints = of_control_planes.flat_map(endpoints);
        let mut agreement = Self {
            cas: cas.collect(),
            endpoints: endpoints.collect(),
            servers: Ballot::default(),
            minors: BTreeMap::new(),
            configurations: BTreeMap::new(),
        };
        // A node of a cluster that is not here has no say in what is usual.
        let cas = agreement.cas.clone();
        let is_own = |facts: &&NodeFacts| {
            cas.is_empty() || facts.certs.ca.key_sha256.known().is_none_or(|own| cas.contains(own.as_str()))
        };
        for facts in nodes.values().filter(is_own) {
            let kin = Kin::of(facts);
            if let (Kin::Worker, Fact::Known(server)) = (kin, &facts.kubelet.server) {
                agreement.servers.add(host_and_port(server));
            }
            if let Some(minor) = facts.kubelet.version.known().and_then(|version| minor(version)) {
                agreement.minors.entry(kin).or_default().add(minor);
            }
            for (part, hash) in facts.configuration.known() {
                agreement.configurations.entry((kin, part, class(part, facts))).or_default().add(hash);
            }
        }
        agreement
    }

    pub(super) fn ca_differs(&self, facts: &NodeFacts) -> Fact<bool> {
        facts.certs.ca.key_sha256.as_ref().and_then(|own| {
            if self.cas.is_empty() {
                return Fact::unknown("no control plane's CA was read");
            }
            Fact::Known(!self.cas.contains(own.as_str()))
        })
    }

    /// A load balancer on every node, or a name instead of an address, is the majority's way and no difference.
    pub(super) fn endpoint_differs(&self, facts: &NodeFacts) -> Fact<bool> {
        if Kin::of(facts) == Kin::ControlPlane {
            return Fact::Absent;
        }
        facts.kubelet.server.as_ref().and_then(|own| {
            if self.endpoints.is_empty() {
                return Fact::unknown("no control plane named its endpoint");
            }
            let own = host_and_port(own);
            Fact::Known(!self.endpoints.contains(own) && self.servers.is_outlier(own))
        })
    }

    pub(super) fn kubelet_drift(&self, facts: &NodeFacts) -> Fact<VersionDrift> {
        facts.kubelet.version.as_ref().and_then(|version| {
            let Some(own) = minor(version) else { return Fact::unknown("the kubelet's version has no minor number") };
            let Some(ballot) = self.minors.get(&Kin::of(facts)).filter(|ballot| ballot.is_outlier(own)) else {
                return Fact::Absent;
            };
            Fact::from_option(
                ballot.majority().map(|siblings| VersionDrift { own: own.to_owned(), siblings: siblings.to_owned() }),
            )
        })
    }

    pub(super) fn configuration_outliers(&self, facts: &NodeFacts) -> Vec<Part> {
        let kin = Kin::of(facts);
        let outlies = |part: Part, hash: &str| {
            self.configurations.get(&(kin, part, class(part, facts))).is_some_and(|ballot| ballot.is_outlier(hash))
        };
        facts.configuration.known().filter(|(part, hash)| outlies(*part, hash)).map(|(part, _)| part).collect()
    }
}

/// Only nodes of one class can be compared: the defaults of another minor version are others.
pub fn class(part: Part, facts: &NodeFacts) -> &str {
    match part {
        Part::Containerd => facts.containerd.version.known().and_then(|version| minor(version)).unwrap_or_default(),
        Part::Kubelet
        | Part::KubeletFlags
        | Part::Cni
        | Part::Sysctl
        | Part::Modules
        | Part::Flannel
        | Part::Iptables => "",
    }
}

/// `1.29` of `1.29.15`
pub fn minor(version: &str) -> Option<&str> {
    let dots = version.match_indices('.').map(|(at, _)| at).take(2).collect::<Vec<_>>();
    let end = dots.get(1).copied().unwrap_or(version.len());
    (!dots.is_empty()).then(|| &version[..end])
}

pub(super) fn host_and_port(endpoint: &str) -> &str {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    rest.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_need_a_majority() {
        let outliers = |values: &[&'static str]| {
            let ballot: Ballot<'_> = values.iter().copied().collect();
            let distinct: BTreeSet<&str> = values.iter().copied().collect();
            distinct.into_iter().filter(|value| ballot.is_outlier(value)).collect::<Vec<_>>()
        };
        assert_eq!(outliers(&["a", "a", "b"]), ["b"]);
        assert_eq!(outliers(&["b", "a", "c", "a"]), ["b", "c"]);
        assert_eq!(outliers(&["a", "b", "b", "a", "a"]), ["b"]);
        assert_eq!(outliers(&["a", "b"]), [""; 0], "each holds a half");
        assert_eq!(outliers(&["a", "b", "c"]), [""; 0], "nobody leads");
        assert_eq!(outliers(&["a", "a", "b", "b", "c"]), [""; 0], "two lead");
    }

    #[test]
    fn minor_versions() {
        for (version, expected) in
            [("1.29.15", Some("1.29")), ("1.29", Some("1.29")), ("6.1.0-34-amd64", Some("6.1")), ("7", None)]
        {
            assert_eq!(minor(version), expected);
        }
    }
}
