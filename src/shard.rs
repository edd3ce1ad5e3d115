//! `--shard`: one of several equal parts of the hosts, so that several machines sweep one inventory between them.
//!
//! A host's part follows from its name alone, the same on every machine and in every version: the first eight bytes of the
//! SHA-256 of the inventory's name, as a big-endian number, modulo the number of parts. Part 1 has the remainder 0. Which other
//! hosts there are makes no difference, so a host that is added moves no other one.
//!
//! Pure. Knows nothing of runs; `run::merge` puts the parts together again.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use thiserror::Error;

/// One part of the hosts: the `number`th of `count`, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    number: NonZeroU32,
    count: NonZeroU32,
}

/// Why a text names no shard.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadShard {
    #[error("it is not of the form K/N, like 3/8, or index:I/N, like index:0/8")]
    Form,
    #[error("there are no shards when N is 0")]
    NoShards,
    #[error("shards count from 1 to {count}; for an index that begins with 0 write index:0/{count}")]
    Zero { count: u32 },
    #[error("there are only {count} shards, 1/{count} to {count}/{count}")]
    Beyond { count: u32 },
    #[error("an index goes from 0 to {last} when there are {count} shards")]
    IndexBeyond { last: u32, count: u32 },
}

/// Before an index that begins with 0, like `JOB_COMPLETION_INDEX`. A word of its own, as in a bare `0/8` nobody could tell a
/// slip from an index.
const INDEX: &str = "index:";

impl Shard {
    /// The part that a host of this name belongs to, when there are `count` of them.
    pub fn of(name: &str, count: NonZeroU32) -> Self {
        let digest = sha2::Sha256::digest(name.as_bytes());
        let first = digest.iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        let rest = u32::try_from(first % u64::from(count.get())).unwrap_or(0);
        Self { number: NonZeroU32::MIN.saturating_add(rest), count }
    }

    /// Whether the host of this name is in this part.
    pub fn owns(self, name: &str) -> bool {
        Self::of(name, self.count) == self
    }

    /// How many parts there are.
    pub const fn count(self) -> NonZeroU32 {
        self.count
    }

    /// All parts when there are `count`.
    pub fn all(count: NonZeroU32) -> impl Iterator<Item = Self> {
        (1..=count.get()).filter_map(NonZeroU32::new).map(move |number| Self { number, count })
    }
}

impl FromStr for Shard {
    type Err = BadShard;

    fn from_str(text: &str) -> Result<Self, BadShard> {
        let (from_zero, pair) = text.strip_prefix(INDEX).map_or((false, text), |pair| (true, pair));
        let (given, count) = pair.split_once('/').ok_or(BadShard::Form)?;
        let (given, count) = (number(given)?, number(count)?);
        let shards = NonZeroU32::new(count).ok_or(BadShard::NoShards)?;
        let number = match (from_zero, given) {
            (true, index) if index >= count => return Err(BadShard::IndexBeyond { last: count - 1, count }),
            (true, index) => NonZeroU32::MIN.saturating_add(index),
            (false, number) if number > count => return Err(BadShard::Beyond { count }),
            (false, number) => NonZeroU32::new(number).ok_or(BadShard::Zero { count })?,
        };
        Ok(Self { number, count: shards })
    }
}

/// Digits and nothing else: Rust's own parser takes a plus sign.
fn number(text: &str) -> Result<u32, BadShard> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BadShard::Form);
    }
    text.parse().map_err(|_| BadShard::Form)
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.count)
    }
}

impl TryFrom<String> for Shard {
    type Error = BadShard;

    fn try_from(text: String) -> Result<Self, BadShard> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    #[test]
    fn both_forms_name_the_same_shards() {
        for (one, zero) in [("1/8", "index:0/8"), ("8/8", "index:7/8"), ("1/1", "index:0/1")] {
            let shard: Shard = one.parse().unwrap();
            assert_eq!(zero.parse(), Ok(shard));
            assert_eq!(shard.to_string(), one);
        }
    }

    #[test]
    fn what_names_no_shard_is_refused_with_the_right_form() {
        for (text, says) in [
            ("0/8", "index:0/8"),
            ("9/8", "1/8 to 8/8"),
            ("0/0", "N is 0"),
            ("1/0", "N is 0"),
            ("index:8/8", "0 to 7"),
            ("index:0/0", "N is 0"),
            ("", "K/N"),
            ("3", "K/N"),
            ("3/", "K/N"),
            ("/8", "K/N"),
            ("a/b", "K/N"),
            ("-1/8", "K/N"),
            ("+1/8", "K/N"),
            ("1/8/2", "K/N"),
            (" 1/8", "K/N"),
            ("1.0/8", "K/N"),
            ("index:$(JOB_COMPLETION_INDEX)/8", "K/N"),
            ("1/99999999999", "K/N"),
        ] {
            let error = text.parse::<Shard>().unwrap_err().to_string();
            assert!(error.contains(says), "{text:?}: {error}");
        }
    }

    /// A release that computed these otherwise would leave hosts out of a fleet that is being upgraded.
    #[test]
    fn the_part_of_a_name_never_changes() {
        let parts: Vec<String> = ["masternode", "node001", "node002", "a", "storagenodeT3500", "näme"]
            .map(|name| Shard::of(name, count(8)).to_string())
            .to_vec();
        assert_eq!(parts, ["2/8", "6/8", "5/8", "3/8", "2/8", "6/8"]);
        assert_eq!(Shard::of("node001", count(1)).to_string(), "1/1");
    }

    #[test]
    fn every_host_is_in_exactly_one_part_and_the_parts_are_about_equal() {
        let names: Vec<String> = (0..10_000).map(|index| format!("site{:02}-node{index:05}", index % 40)).collect();
        for shards in [1, 3, 8, 100] {
            let mut sizes = Vec::new();
            for shard in Shard::all(count(shards)) {
                sizes.push(names.iter().filter(|name| shard.owns(name)).count());
            }
            assert_eq!(sizes.iter().sum::<usize>(), names.len());
            let mean = names.len() / shards as usize;
            assert!(sizes.iter().all(|size| size.abs_diff(mean) < mean / 2), "{sizes:?}");
        }
    }
}
