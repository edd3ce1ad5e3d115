//! Which Node object of the API is which node of the run.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::api::ApiNode;
use crate::facts::{Fact, NodeFacts};

type Nodes = BTreeMap<String, ApiNode>;

/// The Node object of every node of the run, by the run's names.
pub(super) struct Matching<'a> {
    api: Fact<&'a Nodes>,
    found: BTreeMap<&'a str, Fact<&'a ApiNode>>,
}

impl<'a> Matching<'a> {
    /// `complete`: the API's list was not cut, so that a node that is not in it does not exist.
    pub(super) fn new(run: &'a BTreeMap<String, NodeFacts>, api: Fact<&'a Nodes>, complete: bool) -> Self {
        let by_ip = api.known().map(|known| index_by_ip(known)).unwrap_or_default();
        let found = run.iter().map(|(name, facts)| {
            let node = api.clone().and_then(|known| match find(name, facts, known, &by_ip) {
                Some(node) => Fact::Known(node),
                None if complete => Fact::Absent,
                None => Fact::unknown("the list of nodes was cut off before it"),
            });
            (name.as_str(), node)
        });
        Self { found: found.collect(), api }
    }

    pub(super) fn node(&self, name: &str) -> Fact<&'a ApiNode> {
        self.found.get(name).cloned().unwrap_or_default()
    }

    /// All Node objects, of this run or not.
    pub(super) fn known(&self) -> impl Iterator<Item = &'a ApiNode> {
        self.api.known().into_iter().flat_map(|known| known.values())
    }

    /// The names of Node objects that no node of the run is.
    pub(super) fn not_in_run(&self) -> Fact<Vec<String>> {
        let matched: BTreeSet<&str> =
            self.found.values().filter_map(Fact::known).map(|node| node.name.as_str()).collect();
        self.api.as_ref().map(|known| known.keys().filter(|name| !matched.contains(name.as_str())).cloned().collect())
    }
}

/// The name that a node's kubelet registers.
pub(super) fn registered_name(facts: &NodeFacts) -> Fact<String> {
    let flag = facts.kubelet.arguments.known().into_iter().flatten();
    let mut overrides = flag.filter_map(|argument| argument.strip_prefix("--hostname-override="));
    overrides.next().map_or_else(|| facts.identity.node_name.clone(), |name| Fact::Known(name.to_lowercase()))
}

/// Node names by internal address; an address that two nodes claim identifies neither.
fn index_by_ip(nodes: &Nodes) -> BTreeMap<&str, Option<&str>> {
    let mut index = BTreeMap::new();
    for node in nodes.values() {
        for ip in &node.internal_ips {
            index.entry(ip.as_str()).and_modify(|name| *name = None).or_insert(Some(node.name.as_str()));
        }
    }
    index
}

/// By the name that its kubelet registers, by an address of its own, by the run's name; whichever the API knows.
fn find<'a>(
    name: &str,
    facts: &NodeFacts,
    known: &'a Nodes,
    by_ip: &BTreeMap<&str, Option<&str>>,
) -> Option<&'a ApiNode> {
    let own_name = registered_name(facts).known().and_then(|own| known.get(own));
    own_name
        .or_else(|| {
            let own = facts.network.addresses.known().into_iter().flatten();
            let hit = own.into_iter().find_map(|address| by_ip.get(address.address.as_str()).copied().flatten())?;
            known.get(hit)
        })
        .or_else(|| known.get(&name.to_lowercase()))
}

/// The name that the node asks for, if it has no identity of its own and a Ready Node of another machine has that name.
pub(super) fn name_taken(facts: &NodeFacts, known: &BTreeMap<String, ApiNode>) -> Option<String> {
    let wanted = facts.kubeadm.node_name.known().or(facts.kubelet.node_name.known())?.to_lowercase();
    let other = known.get(&wanted)?;
    let own = facts.identity.machine_id.known()?;
    let differs = other.machine_id.is_known_and(|id| id != own);
    (facts.kubeadm.kubelet_conf.is_false() && other.ready.is_true() && differs).then_some(wanted)
}
