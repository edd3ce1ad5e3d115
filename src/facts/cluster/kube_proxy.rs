//! kube-proxy's pod on each node. A cluster in which nobody runs kube-proxy has something else in its place and needs none.

use std::collections::HashMap;

use crate::facts::Fact;
use crate::facts::api::{Api, ApiNode, Pod};

/// Where kube-proxy's pods are.
pub(super) struct KubeProxies<'a> {
    by_node: Fact<HashMap<&'a str, &'a Pod>>,
}

/// kube-proxy on one node.
pub(super) struct OfNode {
    pub(super) pod: Fact<Pod>,
    pub(super) missing: Fact<bool>,
}

impl OfNode {
    pub(super) fn unknown(why: &Fact<()>) -> Self {
        let of = why.reason().unwrap_or("not known");
        Self { pod: Fact::unknown(of), missing: Fact::unknown(of) }
    }
}

impl<'a> KubeProxies<'a> {
    pub(super) fn new(api: &'a Api) -> Self {
        let by_node = api.system_pods.as_ref().map(|pods| {
            let proxies =
                pods.iter().filter(|pod| pod.namespace == "kube-system" && pod.name.starts_with("kube-proxy-"));
            proxies.filter_map(|pod| Some((pod.node.known()?.as_str(), pod))).collect::<HashMap<_, _>>()
        });
        Self { by_node }
    }

    pub(super) fn of(&self, node: &Fact<&ApiNode>) -> OfNode {
        let pod = node.clone().and_then(|node| {
            self.by_node.as_ref().and_then(|all| Fact::from_option(all.get(node.name.as_str()).copied().cloned()))
        });
        let runs = self.by_node.as_ref().map(|all| !all.is_empty());
        OfNode { missing: node.clone().and_then(|_| runs.map(|runs| runs && pod.is_absent())), pod }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, node: &str) -> Pod {
        Pod {
            namespace: "kube-system".to_owned(),
            name: name.to_owned(),
            node: Fact::Known(node.to_owned()),
            phase: Fact::Absent,
            ready: true,
            restarts: 0,
            reason: Fact::Absent,
            image: Fact::Absent,
        }
    }

    #[test]
    fn a_node_that_was_left_out() {
        let missing = |pods: Vec<Pod>| {
            let api = Api { system_pods: Fact::Known(pods), ..Api::default() };
            let node = ApiNode { name: "two".to_owned(), ..ApiNode::default() };
            KubeProxies::new(&api).of(&Fact::Known(&node)).missing
        };
        assert_eq!(missing(vec![pod("kube-proxy-a", "one"), pod("kube-proxy-b", "two")]), Fact::Known(false));
        assert_eq!(missing(vec![pod("kube-proxy-a", "one"), pod("coredns-x", "two")]), Fact::Known(true));
        assert_eq!(missing(vec![pod("cilium-x", "one")]), Fact::Known(false), "nobody runs it");
        let unread = Api::default();
        assert!(KubeProxies::new(&unread).of(&Fact::Known(&ApiNode::default())).missing.is_unknown());
        assert_eq!(KubeProxies::new(&unread).of(&Fact::Absent).missing, Fact::Absent, "no Node, no pod");
    }
}
