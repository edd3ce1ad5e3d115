//! Which nodes of a run are one cluster.
//!
//! An inventory may list several, or a node of another one by mistake. Nodes are siblings, and say something about each other,
//! only within their own: the versions of one cluster are no outliers of the other, and what its API does not know is no
//! stranger. A cluster is its CA: control planes with one key are one cluster, and workers go where theirs is. A node that no
//! control plane of the run speaks for stays with the cluster that has most of the nodes, where it can be told what it is not.

use std::collections::{BTreeMap, BTreeSet};

use super::agreement::host_and_port;
use crate::facts::NodeFacts;

/// Nodes by the run's names.
pub type Run = BTreeMap<String, NodeFacts>;

/// The run's clusters: first the one with most nodes, of equals the one whose control plane comes first. Never empty.
pub fn split(run: Run) -> Vec<Run> {
    let clusters = Identity::all(&run);
    if clusters.len() < 2 {
        return vec![run];
    }
    let places: Vec<Option<usize>> = run.values().map(|facts| Identity::of(facts, &clusters)).collect();
    let sizes: Vec<usize> =
        (0..clusters.len()).map(|place| places.iter().filter(|own| **own == Some(place)).count()).collect();
    let mut order: Vec<usize> = (0..clusters.len()).collect();
    order.sort_by_key(|place| std::cmp::Reverse(sizes[*place]));
    let mut parts: Vec<Run> = clusters.iter().map(|_| Run::new()).collect();
    for ((name, facts), own) in run.into_iter().zip(places) {
        let part = own.and_then(|own| order.iter().position(|place| *place == own)).unwrap_or(0);
        parts[part].insert(name, facts);
    }
    parts
}

/// What tells a cluster from others.
#[derive(Default)]
struct Identity<'a> {
    /// Keys of its CA; several while it is exchanged.
    keys: BTreeSet<&'a str>,
    /// Where its API is reached, without the scheme.
    endpoints: BTreeSet<&'a str>,
}

impl<'a> Identity<'a> {
    /// The clusters of all control planes whose CA was read, in the order of the first of each.
    fn all(run: &'a Run) -> Vec<Self> {
        let mut clusters: Vec<Self> = Vec::new();
        for facts in run.values().filter(|facts| facts.identity.control_plane.is_true()) {
            let keys = [&facts.certs.ca.key_sha256, &facts.api.cluster_info_ca_sha256];
            let mut own = Self {
                keys: keys.into_iter().filter_map(|key| key.known().map(String::as_str)).collect(),
                endpoints: endpoints(facts).collect(),
            };
            if own.keys.is_empty() {
                continue;
            }
            // It may be what shows that two are one.
            let place = clusters.iter().position(|known| !known.keys.is_disjoint(&own.keys)).unwrap_or(clusters.len());
            let same = clusters.extract_if(place.., |known| !known.keys.is_disjoint(&own.keys)).collect::<Vec<_>>();
            for known in same {
                own.keys.extend(known.keys);
                own.endpoints.extend(known.endpoints);
            }
            clusters.insert(place, own);
        }
        clusters
    }

    /// The place of a node's cluster: by the CA that it holds, by the one that its kubelet trusts, by whom that talks to.
    fn of(facts: &NodeFacts, clusters: &[Self]) -> Option<usize> {
        let with = |key: &str| clusters.iter().position(|cluster| cluster.keys.contains(key));
        let key = |key: Option<&String>| key.and_then(|key| with(key));
        key(facts.certs.ca.key_sha256.known())
            .or_else(|| key(facts.api.cluster_info_ca_sha256.known()))
            .or_else(|| key(facts.kubelet.server_ca_sha256.known()))
            .or_else(|| {
                let server = host_and_port(facts.kubelet.server.known()?);
                let mut there = (0..clusters.len()).filter(|place| clusters[*place].endpoints.contains(server));
                there.next().filter(|_| there.next().is_none())
            })
    }
}

/// Where a control plane says that its API is.
pub(super) fn endpoints(facts: &NodeFacts) -> impl Iterator<Item = &str> {
    let named = [&facts.api.control_plane_endpoint, &facts.api.cluster_info_server, &facts.kubelet.server];
    named.into_iter().filter_map(|endpoint| endpoint.known().map(|endpoint| host_and_port(endpoint)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Fact;

    fn node(control_plane: bool, key: Option<&str>, server: &str) -> NodeFacts {
        let mut facts = NodeFacts::default();
        facts.identity.control_plane = Fact::Known(control_plane);
        facts.certs.ca.key_sha256 = Fact::from_option(key.map(str::to_owned));
        facts.kubelet.server = Fact::Known(format!("https://{server}:6443"));
        facts
    }

    fn names(nodes: &[(&str, NodeFacts)]) -> Vec<Vec<String>> {
        let run = nodes.iter().map(|(name, facts)| ((*name).to_owned(), facts.clone())).collect();
        split(run).into_iter().map(|part| part.into_keys().collect()).collect()
    }

    #[test]
    fn a_cluster_is_its_ca() {
        let own = vec![
            ("a-master", node(true, Some("aa"), "10.0.0.1")),
            ("a1", node(false, Some("aa"), "10.0.0.1")),
            ("b-master", node(true, Some("bb"), "10.9.9.1")),
            ("b-second", node(true, Some("bb"), "10.9.9.2")),
            ("b1", node(false, Some("bb"), "10.9.9.1")),
            // Its CA may not be read.
            ("b2", node(false, None, "10.9.9.2")),
            ("new", NodeFacts::default()),
            ("old", node(false, Some("zz"), "10.7.7.7")),
        ];
        assert_eq!(
            names(&own),
            [vec!["b-master", "b-second", "b1", "b2", "new", "old"], vec!["a-master", "a1"]],
            "who fits nowhere stays with most of them"
        );
        assert_eq!(names(&own[..2]).len(), 1);
        let lonely = vec![own[0].clone(), ("old", node(false, Some("zz"), "10.7.7.7"))];
        assert_eq!(names(&lonely), [["a-master", "old"]], "no control plane speaks for the other");
    }

    #[test]
    fn a_ca_that_is_being_exchanged_is_one_cluster() {
        let mut second = node(true, Some("bb"), "10.0.0.2");
        second.api.cluster_info_ca_sha256 = Fact::Known("aa".to_owned());
        let run = vec![("m1", node(true, Some("aa"), "10.0.0.1")), ("m2", second), ("w", node(false, Some("bb"), "x"))];
        assert_eq!(names(&run), [["m1", "m2", "w"]]);
    }
}
