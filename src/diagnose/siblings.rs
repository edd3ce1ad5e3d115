//! What a failing node has that its healthy siblings have not.
//!
//! No list says which facts matter: the healthy nodes do. Where (nearly) all of them agree and the failing node says something
//! else, that is a difference; where they differ among themselves (names, addresses, times) there is none. A sample of the
//! healthy nodes is enough for that and is folded once for all failing ones.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::facts::NodeFacts;
use crate::facts::alike::Alike;
use crate::facts::cluster::Member;
use crate::facts::cluster::agreement::Kin;
use crate::text;
use crate::verdict::Verdict;

/// A node of the run as others are compared with it.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'a> {
    pub name: &'a str,
    pub facts: &'a NodeFacts,
    pub member: Option<&'a Member>,
    pub verdict: Verdict,
}

/// What one node has otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Difference {
    /// `containerd.config.sandbox_image`
    pub path: String,
    /// The node's value, shortened: untrusted. `None` when there is nothing of that name.
    pub here: Option<String>,
    /// The healthy nodes' value.
    pub there: Option<String>,
    /// So many healthy nodes have it.
    pub healthy: usize,
    /// Of so many that were looked at.
    pub of: usize,
}

/// The most of one node that are worth reading.
pub const MOST: usize = 8;
/// So many healthy nodes tell what is normal.
const SAMPLE: usize = 48;
/// Fewer agree by chance.
const FEWEST: usize = 2;
/// So many percent must agree.
const NEARLY_ALL: usize = 90;
/// Longer values are lists of things that no two nodes share.
const LONGEST: usize = 400;
const SHOWN: usize = 80;

/// Parts of the facts that say the same as others, or are no property of the node.
const LEFT_OUT: [&str; 2] = ["api", "configuration"];

/// Fields that hold a time: nodes that were set up together share it, and that is no fault of another.
const TIMES: [&str; 11] = [
    "active_since",
    "booted",
    "bootstrap_conf_written",
    "epoch",
    "first",
    "last_suspend",
    "modified",
    "not_after",
    "not_before",
    "selinux_denied_since",
    "started",
];

/// What the healthy nodes of a run agree on.
#[derive(Debug, Default)]
pub struct Healthy {
    by_kin: BTreeMap<Kin, Profile>,
    everybody: Profile,
}

impl Healthy {
    pub fn new(nodes: &[Peer<'_>]) -> Self {
        let mut by_kin: BTreeMap<Kin, Vec<&Peer<'_>>> = BTreeMap::new();
        for node in nodes.iter().filter(|node| node.verdict == Verdict::Pass) {
            by_kin.entry(Kin::of(node.facts)).or_default().push(node);
        }
        let all: Vec<&Peer<'_>> = by_kin.values().flatten().copied().collect();
        // Two of a kind suffice; what only one knows counts when it is true of the other role as well.
        let everybody =
            if by_kin.values().any(|nodes| nodes.len() < FEWEST) { Profile::of(&all) } else { Profile::default() };
        Self { everybody, by_kin: by_kin.iter().map(|(kin, nodes)| (*kin, Profile::of(nodes))).collect() }
    }

    /// The healthy nodes that a node is measured against.
    fn siblings_of(&self, facts: &NodeFacts) -> Option<&Profile> {
        let own = self.by_kin.get(&Kin::of(facts)).filter(|profile| profile.nodes >= FEWEST);
        own.or(Some(&self.everybody)).filter(|profile| profile.nodes >= FEWEST)
    }
}

/// What separates a node from its healthy siblings, the clearest first; nothing when there are too few of them.
pub fn compare(facts: &NodeFacts, healthy: &Healthy) -> Vec<Difference> {
    let Some(profile) = healthy.siblings_of(facts) else { return Vec::new() };
    let Some(document) = document(facts) else { return Vec::new() };
    let mut found = Vec::new();
    profile.differences(&document, String::new(), profile.nodes, &mut found);
    found.sort_by(|a, b| a.rank().cmp(&b.rank()).then_with(|| a.difference.path.cmp(&b.difference.path)));
    // One thing that shows in several places, as a file system below many paths does, is said once.
    let mut said = HashSet::new();
    found.retain(|found| {
        let Difference { path, here, there, .. } = &found.difference;
        said.insert((path.rsplit('.').next().unwrap_or_default().to_owned(), here.clone(), there.clone()))
    });
    found.truncate(MOST);
    found.into_iter().map(|found| found.difference).collect()
}

/// The facts that nodes are compared by. What an API says of ten thousand nodes is never made a document of.
fn document(facts: &NodeFacts) -> Option<Value> {
    let own = NodeFacts { api: Alike::default(), configuration: Alike::default(), ..facts.clone() };
    let mut document = serde_json::to_value(&own).ok()?;
    document.as_object_mut()?.retain(|area, _| !LEFT_OUT.contains(&area.as_str()));
    Some(document)
}

struct Found {
    difference: Difference,
    kind: Kind,
    /// The healthy nodes that agree, less those that have the failing one's value.
    healthy_without: usize,
}

/// How telling a difference is in itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Two values of one thing.
    Values,
    /// A thing that the healthy ones have.
    Lacking,
    /// A thing that none of them has.
    Extra,
}

impl Found {
    fn new(kind: Kind, path: String, here: Option<&str>, there: Option<&str>, (healthy, of): (usize, usize)) -> Self {
        let shown = |text: &str| text::truncate(text, SHOWN, "...").into_owned();
        let difference = Difference { path, here: here.map(shown), there: there.map(shown), healthy, of };
        Self { difference, kind, healthy_without: healthy }
    }

    fn rank(&self) -> (Reverse<usize>, Kind, usize) {
        let clear = self.healthy_without.saturating_mul(100) / self.difference.of.max(1);
        (Reverse(clear), self.kind, layer(&self.difference.path))
    }
}

/// The facts' areas from the bottom up, in the checks' words.
fn layer(path: &str) -> usize {
    super::layer(match path.split('.').next().unwrap_or_default() {
        "network" => "firewall",
        "packages" | "configuration" => "upgrade",
        "certs" => "kubelet",
        "kubeadm" => "join",
        area => area,
    })
}

/// How often each value stands at a place of the facts.
#[derive(Debug, Default)]
struct Profile {
    /// How many nodes were looked at.
    nodes: usize,
    values: HashMap<String, usize>,
    /// Nodes on which it could not be read.
    unknown: usize,
    /// Nodes on which there are fields below.
    branches: usize,
    fields: BTreeMap<String, Profile>,
}

impl Profile {
    fn of(nodes: &[&Peer<'_>]) -> Self {
        let mut profile = Self::default();
        // Evenly over the run, as neighbours may be of one batch of hardware.
        let step = nodes.len().div_ceil(SAMPLE).max(1);
        for node in nodes.iter().step_by(step) {
            if let Some(document) = document(node.facts) {
                profile.nodes += 1;
                profile.add(&document);
            }
        }
        profile
    }

    fn add(&mut self, value: &Value) {
        match Leaf::of(value) {
            Leaf::Unknown => self.unknown += 1,
            Leaf::Value(value) => *self.values.entry(value).or_default() += 1,
            Leaf::Branch(fields) => {
                self.branches += 1;
                for (name, value) in fields {
                    self.fields.entry(name.clone()).or_default().add(value);
                }
            }
        }
    }

    /// The value of nearly all nodes, and how many they are.
    fn agreed(&self, nodes: usize) -> Option<(&str, usize)> {
        let (value, count) = self.values.iter().max_by(|a, b| a.1.cmp(b.1).then_with(|| b.0.cmp(a.0)))?;
        (*count >= FEWEST && *count * 100 >= nodes * NEARLY_ALL).then_some((value.as_str(), *count))
    }

    /// `nodes`: how many healthy nodes have what this is a part of.
    fn differences(&self, own: &Value, path: String, nodes: usize, found: &mut Vec<Found>) {
        let name = path.rsplit('.').next().unwrap_or_default();
        if TIMES.contains(&name) && own.is_number() {
            return;
        }
        match Leaf::of(own) {
            Leaf::Unknown => {}
            Leaf::Value(own) => {
                if let Some((there, count)) = self.agreed(nodes).filter(|(there, _)| *there != own) {
                    let kind = if own == NOTHING { Kind::Lacking } else { Kind::Values };
                    let all = Found::new(kind, path, said(&own), said(there), (count, nodes));
                    let same = self.values.get(&own).copied().unwrap_or(0);
                    found.push(Found { healthy_without: count.saturating_sub(same), ..all });
                } else if own == NOTHING && self.branches >= FEWEST && self.branches * 100 >= nodes * NEARLY_ALL {
                    found.push(Found::new(Kind::Lacking, path, None, Some("there"), (self.branches, nodes)));
                }
            }
            Leaf::Branch(_) if self.branches == 0 => {
                if let Some((there, count)) = self.agreed(nodes) {
                    let here = serde_json::to_string(own).unwrap_or_default();
                    found.push(Found::new(Kind::Values, path, Some(&here), said(there), (count, nodes)));
                }
            }
            Leaf::Branch(fields) => self.of_fields(fields, &path, found),
        }
    }

    /// Field by field, then those that only one side has.
    fn of_fields(&self, own: &serde_json::Map<String, Value>, path: &str, found: &mut Vec<Found>) {
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let of = self.branches;
        for (name, value) in own {
            if let Some(profile) = self.fields.get(name) {
                profile.differences(value, below(name), of, found);
            } else if of >= FEWEST && !matches!(Leaf::of(value), Leaf::Unknown) {
                let here = serde_json::to_string(value).unwrap_or_default();
                found.push(Found::new(Kind::Extra, below(name), Some(&here), None, (of, of)));
            }
        }
        for (name, profile) in self.fields.iter().filter(|(name, _)| !own.contains_key(*name)) {
            if let Some((there, count)) = profile.agreed(of).filter(|(there, _)| *there != NOTHING) {
                found.push(Found::new(Kind::Lacking, below(name), None, Some(there), (count, of)));
            }
        }
    }
}

/// The text of an absent fact.
const NOTHING: &str = "null";

fn said(value: &str) -> Option<&str> {
    (value != NOTHING).then_some(value)
}

/// A place of the facts' document.
enum Leaf<'v> {
    /// Not read, or too long to be the same anywhere.
    Unknown,
    Value(String),
    Branch(&'v serde_json::Map<String, Value>),
}

impl<'v> Leaf<'v> {
    fn of(value: &'v Value) -> Self {
        match value {
            Value::Object(fields) if fields.len() == 1 && fields.get("unknown").is_some_and(Value::is_string) => {
                Self::Unknown
            }
            Value::Object(fields) => Self::Branch(fields),
            Value::String(text) if text.len() <= LONGEST => Self::Value(text.clone()),
            Value::Array(items) if items.len() <= LONGEST => {
                let text = serde_json::to_string(items).unwrap_or_default();
                if text.len() <= LONGEST { Self::Value(text) } else { Self::Unknown }
            }
            Value::String(_) | Value::Array(_) => Self::Unknown,
            other => Self::Value(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Fact;

    fn node(number: u32) -> NodeFacts {
        let mut facts = NodeFacts::default();
        facts.identity.control_plane = Fact::Known(false);
        facts.identity.hostname = Fact::Known(format!("node{number}"));
        facts.system.uptime = Fact::Known(1000 + u64::from(number));
        facts.kubelet.config.cgroup_driver = Fact::Known("systemd".to_owned());
        facts.kernel.ip_forward = Fact::Known(true);
        facts.packages.versions = Fact::Known([("kubelet".to_owned(), "1.29.15".to_owned())].into());
        facts
    }

    fn against(healthy: &[NodeFacts], sick: &NodeFacts) -> Vec<(String, Option<String>, Option<String>)> {
        let peers: Vec<Peer<'_>> =
            healthy.iter().map(|facts| Peer { name: "n", facts, member: None, verdict: Verdict::Pass }).collect();
        let found = compare(sick, &Healthy::new(&peers));
        found.into_iter().map(|found| (found.path, found.here, found.there)).collect()
    }

    fn found(path: &str, here: Option<&str>, there: Option<&str>) -> (String, Option<String>, Option<String>) {
        (path.to_owned(), here.map(str::to_owned), there.map(str::to_owned))
    }

    #[test]
    fn what_differs_on_every_node_is_no_difference() {
        let healthy: Vec<NodeFacts> = (0..6).map(node).collect();
        assert_eq!(against(&healthy, &node(9)), []);
    }

    #[test]
    fn values_come_before_what_is_lacking_and_the_lower_layer_first() {
        let healthy: Vec<NodeFacts> = (0..6).map(node).collect();
        let mut sick = node(9);
        sick.kubelet.config.cgroup_driver = Fact::Known("cgroupfs".to_owned());
        sick.kernel.ip_forward = Fact::Known(false);
        sick.packages.versions = Fact::Known([("cri-o".to_owned(), "1".to_owned())].into());
        sick.system.uptime = Fact::Known(5);
        assert_eq!(
            against(&healthy, &sick),
            [
                found("kernel.ip_forward", Some("false"), Some("true")),
                found("kubelet.config.cgroup_driver", Some("cgroupfs"), Some("systemd")),
                found("packages.versions.kubelet", None, Some("1.29.15")),
                found("packages.versions.cri-o", Some("\"1\""), None),
            ]
        );
    }

    #[test]
    fn what_could_not_be_read_is_no_difference() {
        let healthy: Vec<NodeFacts> = (0..6).map(node).collect();
        let mut sick = node(9);
        sick.kernel.ip_forward = Fact::unknown("permission denied");
        assert_eq!(against(&healthy, &sick), []);
    }

    #[test]
    fn when_something_was_made_is_no_difference() {
        let at = |number, booted| {
            let mut facts = node(number);
            facts.system.booted = Fact::Known(booted);
            facts
        };
        let healthy: Vec<NodeFacts> = (0..6).map(|number| at(number, 1_757_000_000)).collect();
        assert_eq!(against(&healthy, &at(9, 1_757_009_999)), []);
    }

    #[test]
    fn a_value_that_some_healthy_nodes_share_ranks_behind_one_that_none_has() {
        let mut healthy: Vec<NodeFacts> = (0..20).map(node).collect();
        healthy[3].kernel.ip_forward = Fact::Known(false);
        let mut sick = node(30);
        sick.kernel.ip_forward = Fact::Known(false);
        sick.kubelet.config.cgroup_driver = Fact::Known("cgroupfs".to_owned());
        let paths: Vec<String> = against(&healthy, &sick).into_iter().map(|(path, ..)| path).collect();
        assert_eq!(paths, ["kubelet.config.cgroup_driver", "kernel.ip_forward"]);
    }

    #[test]
    fn one_healthy_worker_speaks_only_with_the_control_plane() {
        let mut sick = node(9);
        sick.kernel.ip_forward = Fact::Known(false);
        let alone: Vec<NodeFacts> = (1..=1).map(node).collect();
        assert_eq!(against(&alone, &sick), [], "alone it cannot tell what is its own");
        let mut healthy: Vec<NodeFacts> = (1..=2).map(node).collect();
        healthy[1].identity.control_plane = Fact::Known(true);
        assert_eq!(against(&healthy, &sick), [found("kernel.ip_forward", Some("false"), Some("true"))]);
    }
}
