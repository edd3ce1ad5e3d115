//! Plans and runs of changes, for people and for scripts. Everything from nodes is made harmless here.
//!
//! - [`plan`]: what is to be done, on which node, why, and how it is taken back; equal nodes folded.
//! - [`diff`]: the files that a plan writes, as unified diffs.
//! - [`summary`]: how each node ended, and what to type next.
//! - [`compare`]: the sweep before and the sweep after.
//! - [`document`]: all of it as JSON.
//! - `lines`, `words`: how lines are laid out, and what actions are called.

pub mod compare;
pub mod diff;
pub mod document;
mod lines;
pub mod plan;
pub mod summary;
mod words;

use std::collections::HashMap;
use std::hash::Hash;

use lines::Line;

/// Names of nodes that the same is said of, and what.
type Groups<'a, K> = Vec<(Vec<&'a str>, K)>;

/// Nodes by what is said of them, in the order of first mention.
fn folded<'a, K: Hash + Eq + Clone>(nodes: impl IntoIterator<Item = (&'a str, K)>) -> Groups<'a, K> {
    let mut places: HashMap<K, usize> = HashMap::new();
    let mut groups: Groups<'a, K> = Vec::new();
    for (name, said) in nodes {
        let place = *places.entry(said.clone()).or_insert_with(|| {
            groups.push((Vec::new(), said));
            groups.len() - 1
        });
        groups[place].0.push(name);
    }
    groups
}

/// What is written where lines of several nodes stand together that bear each its own name.
const ANY_NODE: &str = "NODE";

/// The same for lines that may bear the node's own name: nodes that are equal but for it stand together.
fn folded_but_for_names<'a, K: Hash + Eq + Clone>(
    nodes: impl IntoIterator<Item = (&'a str, (K, Vec<Line>))>,
) -> Groups<'a, (K, Vec<Line>)> {
    let nodes: Vec<(&str, (K, Vec<Line>))> = nodes.into_iter().collect();
    let own: HashMap<&str, &Vec<Line>> = nodes.iter().map(|(name, (_, lines))| (*name, lines)).collect();
    let nameless = nodes.iter().map(|(name, (kind, lines))| {
        let lines: Vec<Line> = lines.iter().map(|line| line.without_name(name, ANY_NODE)).collect();
        (*name, (kind.clone(), lines))
    });
    let groups = folded(nameless).into_iter().map(|(names, (kind, nameless))| {
        let mut said = names.iter().filter_map(|name| own.get(name));
        let first = said.next().map_or(&nameless, |lines| *lines).clone();
        let lines = if said.all(|lines| **lines == first) { first } else { nameless };
        (names, (kind, lines))
    });
    groups.collect()
}

/// `1 node`, `8 nodes`.
fn nodes(count: usize) -> String {
    if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") }
}

#[cfg(test)]
mod tests;
