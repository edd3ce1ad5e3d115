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

/// Nodes by what is said of them, in the order of first mention.
fn folded<'a, K: Hash + Eq + Clone>(nodes: impl IntoIterator<Item = (&'a str, K)>) -> Vec<(Vec<&'a str>, K)> {
    let mut places: HashMap<K, usize> = HashMap::new();
    let mut groups: Vec<(Vec<&str>, K)> = Vec::new();
    for (name, said) in nodes {
        let place = *places.entry(said.clone()).or_insert_with(|| {
            groups.push((Vec::new(), said));
            groups.len() - 1
        });
        groups[place].0.push(name);
    }
    groups
}

/// `1 node`, `8 nodes`.
fn nodes(count: usize) -> String {
    if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") }
}

#[cfg(test)]
mod tests;
