//! Who is configured otherwise than its siblings, and in which lines.
//!
//! Nodes are siblings when they have the same role and, where a program's defaults matter, the same minor version of it. An
//! outlier holds what less than half of them hold; nobody needs to know the right value for that.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::siblings::Peer;
use crate::facts::cluster::agreement::{Ballot, Kin, class};
use crate::facts::configuration::Part;
use crate::names;
use crate::target::Role;

/// So many groups are kept.
const MOST_GROUPS: usize = 12;
/// So many differing lines of a group are kept.
const MOST_LINES: usize = 20;

/// One part of the configuration of nodes that should be alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Configuration {
    pub part: Part,
    pub role: Role,
    /// The program's minor version, where only nodes of one are compared; else empty.
    pub version: String,
    /// The most frequent first.
    pub groups: Vec<Group>,
    /// Groups that are not among them: what many nodes have each in its own way is no configuration of the fleet.
    pub more: usize,
}

/// The nodes that have it alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Group {
    pub hash: String,
    /// Less than half have it like this, and most have it like the first group.
    pub outlier: bool,
    /// In natural order.
    pub nodes: Vec<String>,
    /// Against the first group; empty for that one.
    pub differences: Vec<LineDifference>,
    /// Differing lines that are not among them.
    pub more: usize,
}

/// A line, as `path = value`, here and in the first group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LineDifference {
    pub here: Option<String>,
    pub there: Option<String>,
}

/// Every part that at least two nodes of a role have.
pub fn configurations(nodes: &[Peer<'_>]) -> Vec<Configuration> {
    type Hashes<'a> = BTreeMap<&'a str, Vec<&'a Peer<'a>>>;
    let mut parts: BTreeMap<(Part, Kin, &str), Hashes<'_>> = BTreeMap::new();
    for node in nodes {
        for (part, hash) in node.facts.configuration.known() {
            let hashes = parts.entry((part, Kin::of(node.facts), class(part, node.facts))).or_default();
            hashes.entry(hash).or_default().push(node);
        }
    }
    let alike = parts.into_iter().filter(|(_, hashes)| hashes.values().map(Vec::len).sum::<usize>() > 1);
    let configuration = |((part, kin, version), hashes): ((Part, Kin, &str), Hashes<'_>)| Configuration {
        part,
        role: match kin {
            Kin::ControlPlane => Role::ControlPlane,
            Kin::Worker => Role::Worker,
        },
        version: version.to_owned(),
        more: hashes.len().saturating_sub(MOST_GROUPS),
        groups: groups(part, hashes),
    };
    alike.map(configuration).collect()
}

fn groups(part: Part, hashes: BTreeMap<&str, Vec<&Peer<'_>>>) -> Vec<Group> {
    let ballot: Ballot<'_> = hashes.iter().flat_map(|(hash, nodes)| nodes.iter().map(|_| *hash)).collect();
    let mut hashes: Vec<(&str, Vec<&Peer<'_>>)> = hashes.into_iter().collect();
    hashes.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.0.cmp(b.0)));
    let first = hashes.first().map(|(_, nodes)| lines(part, nodes)).unwrap_or_default();
    let group = |(place, (hash, nodes)): (usize, (&str, Vec<&Peer<'_>>))| {
        let mut differences = if place == 0 { Vec::new() } else { difference(lines(part, &nodes), first) };
        let more = differences.len().saturating_sub(MOST_LINES);
        differences.truncate(MOST_LINES);
        let mut nodes: Vec<String> = nodes.iter().map(|node| node.name.to_owned()).collect();
        nodes.sort_by(|a, b| names::natural_cmp(a, b));
        Group { hash: hash.to_owned(), outlier: ballot.is_outlier(hash), nodes, differences, more }
    };
    hashes.into_iter().take(MOST_GROUPS).enumerate().map(group).collect()
}

/// One node of a group speaks for all of them.
fn lines<'a>(part: Part, nodes: &[&Peer<'a>]) -> &'a [String] {
    nodes.first().map(|node| node.facts.configuration.lines(part)).unwrap_or_default()
}

/// What differs between two sorted lists of `path = value`, in their order; two values of one path are one difference.
fn difference(here: &[String], there: &[String]) -> Vec<LineDifference> {
    let path = |line: &str| line.split_once(" = ").map_or(line, |(path, _)| path).to_owned();
    let mut by_path: BTreeMap<String, LineDifference> = BTreeMap::new();
    for line in here.iter().filter(|line| there.binary_search(line).is_err()) {
        let place = by_path.entry(path(line)).or_insert(LineDifference { here: None, there: None });
        place.here = Some(line.clone());
    }
    for line in there.iter().filter(|line| here.binary_search(line).is_err()) {
        let place = by_path.entry(path(line)).or_insert(LineDifference { here: None, there: None });
        place.there = Some(line.clone());
    }
    by_path.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_differ_stand_side_by_side() {
        let lines = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>();
        let found = difference(&lines(&["a = 1", "b = 2", "d = 4"]), &lines(&["a = 1", "b = 3", "c = 5"]));
        let found: Vec<_> = found.iter().map(|line| (line.here.as_deref(), line.there.as_deref())).collect();
        assert_eq!(found, [(Some("b = 2"), Some("b = 3")), (None, Some("c = 5")), (Some("d = 4"), None)]);
    }
}
