//! `--limit`: which hosts of an inventory a run is about. Pure; the caller reads the files behind `@file`.
//!
//! Ansible's set algebra (`web*:&prod:!x`): plain terms are joined first, then `&` terms intersect, then `!` terms exclude,
//! whatever their order. In brackets: `group[0]`, `group[0:2]`, `group[-1]` choose by position when what stands before them
//! is a group; otherwise `node[01-40]` is a range of names.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::inventory::error::{RangeProblem, Warning, near_text};
use crate::inventory::glob::Glob;
use crate::inventory::graph;
use crate::inventory::model::{GroupId, HostId, Inventory};
use crate::inventory::names;
use crate::inventory::ranges;

/// A limit, not yet applied to an inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    sign: Sign,
    /// The names and patterns that the term is the union of; more than one only behind `@file`.
    patterns: Vec<String>,
    /// As written, for messages.
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sign {
    Add,
    Intersect,
    Exclude,
}

/// What a limit chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// In inventory order.
    pub hosts: Vec<HostId>,
    /// Terms that match nothing, while others do.
    pub warnings: Vec<Warning>,
}

/// The limit cannot be used, or leaves no host.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LimitError {
    #[error("--limit {pattern}: no host matches{}", near_text(near))]
    NoMatch { pattern: String, near: Vec<String> },
    #[error("--limit {pattern}: regular expressions are not supported; use *, ?, [a-f] or a list of names")]
    Regex { pattern: String },
    #[error("--limit {pattern}: the range is wrong: {problem}")]
    Range { pattern: String, problem: RangeProblem },
    #[error("--limit {pattern}: the group has only {hosts} hosts, counted from 0")]
    Index { pattern: String, hosts: usize },
    /// Often an empty variable of a script; it must not mean every host.
    #[error("--limit is given, but says nothing; leave it out to mean every host")]
    Empty,
    #[error("--limit @{}: cannot be read: {reason}", path.display())]
    File { path: PathBuf, reason: String },
}

impl Limit {
    /// Reads the arguments of all `--limit` flags, which are joined; none at all means every host.
    pub fn parse(arguments: &[String], read_file: &dyn Fn(&Path) -> io::Result<String>) -> Result<Self, LimitError> {
        let mut terms = Vec::new();
        if arguments.iter().any(|argument| split(argument).is_empty()) {
            return Err(LimitError::Empty);
        }
        for text in arguments.iter().flat_map(|argument| split(argument)) {
            let (sign, pattern) = match text.split_at_checked(1) {
                Some(("&", rest)) => (Sign::Intersect, rest),
                Some(("!", rest)) => (Sign::Exclude, rest),
                _ => (Sign::Add, text),
            };
            let patterns = match pattern.strip_prefix('@') {
                Some(path) => {
                    let path = Path::new(path);
                    let content = read_file(path)
                        .map_err(|error| LimitError::File { path: path.to_owned(), reason: error.to_string() })?;
                    let lines =
                        content.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
                    lines.flat_map(split).map(str::to_owned).collect()
                }
                None => vec![pattern.to_owned()],
            };
            if let Some(regex) = patterns.iter().find(|pattern| pattern.starts_with('~')) {
                return Err(LimitError::Regex { pattern: regex.clone() });
            }
            terms.push(Term { sign, patterns, text: text.to_owned() });
        }
        Ok(Self { terms })
    }

    fn text(&self) -> String {
        self.terms.iter().map(|term| term.text.as_str()).collect::<Vec<_>>().join(",")
    }
}

/// Cuts at commas and colons that stand outside brackets. An IPv6 address stays whole, and so does a regular expression.
fn split(argument: &str) -> Vec<&str> {
    let address = |part: &str| part.trim_start_matches(['&', '!']).parse::<std::net::Ipv6Addr>().is_ok();
    let mut terms = Vec::new();
    for part in cut(argument, ',') {
        if part.starts_with('~') || part.starts_with('@') || part.starts_with("!@") || address(part) {
            terms.push(part);
        } else {
            terms.extend(cut(part, ':'));
        }
    }
    terms
}

pub(in crate::inventory) fn cut(text: &str, separator: char) -> Vec<&str> {
    let mut depth = 0_u32;
    text.split(move |char| {
        match char {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        char == separator && depth == 0
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
    .collect()
}

impl Inventory {
    /// The hosts that `limit` leaves. That there are none is an error: it is never what was meant.
    pub fn select(&self, limit: &Limit) -> Result<Selection, LimitError> {
        let mut terms: Vec<&Term> = limit.terms.iter().collect();
        terms.sort_by_key(|term| term.sign);
        let only_restricts = terms.first().is_none_or(|term| term.sign != Sign::Add);
        let mut chosen = vec![only_restricts; self.hosts.len()];
        let mut unmatched: Vec<&str> = Vec::new();
        for term in terms {
            let mut matched = vec![false; self.hosts.len()];
            for pattern in &term.patterns {
                let hosts = self.matching(pattern)?;
                if hosts.is_empty() {
                    unmatched.push(pattern);
                }
                for host in hosts {
                    matched[host.0 as usize] = true;
                }
            }
            for (chosen, matched) in chosen.iter_mut().zip(matched) {
                *chosen = match term.sign {
                    Sign::Add => *chosen || matched,
                    Sign::Intersect => *chosen && matched,
                    Sign::Exclude => *chosen && !matched,
                };
            }
        }
        let hosts: Vec<HostId> = self.hosts().filter(|host| chosen[host.0 as usize]).collect();
        if hosts.is_empty() {
            let mut near: Vec<String> = unmatched.iter().flat_map(|pattern| self.near(pattern)).collect();
            near.truncate(3);
            return Err(LimitError::NoMatch { pattern: limit.text(), near });
        }
        let warn = |pattern: &&str| {
            Warning::new(format!("--limit: no host matches {pattern:?}{}", near_text(&self.near(pattern))))
        };
        let warnings = unmatched.iter().map(warn).collect();
        Ok(Selection { hosts, warnings })
    }

    /// The host of that name, or the names that were probably meant.
    pub fn find(&self, name: &str) -> Result<HostId, LimitError> {
        self.host(name).ok_or_else(|| LimitError::NoMatch { pattern: name.to_owned(), near: self.near(name) })
    }

    fn near(&self, name: &str) -> Vec<String> {
        let hosts = self.hosts.iter().map(|host| &*host.name);
        // A name that is right, and still chooses nobody, is an empty group's.
        names::near(name, hosts.chain(self.groups.iter().map(|group| &*group.name)).filter(|other| *other != name))
    }

    fn matching(&self, pattern: &str) -> Result<Vec<HostId>, LimitError> {
        if let Some(host) = self.host(pattern) {
            return Ok(vec![host]);
        }
        if let Some(group) = self.group(pattern) {
            return Ok(self.hosts_in(&[group]));
        }
        if let Some((base, subscript)) = subscript(pattern) {
            let groups = self.groups_like(base);
            if !groups.is_empty() {
                return subscript.of(self.hosts_in(&groups), pattern);
            }
        }
        if !pattern.contains(['*', '?']) && pattern.contains('[') {
            match ranges::expand(pattern) {
                Ok(names) => return Ok(names.iter().filter_map(|name| self.host(name)).collect()),
                Err(
                    problem @ (RangeProblem::TooMany
                    | RangeProblem::TooLong
                    | RangeProblem::Backwards
                    | RangeProblem::Padding),
                ) => {
                    return Err(LimitError::Range { pattern: pattern.to_owned(), problem });
                }
                // A class of characters, as in `web[abc]`.
                Err(_) => {}
            }
        }
        if !pattern.contains(['*', '?', '[']) {
            return Ok(Vec::new());
        }
        let glob = Glob::new(pattern);
        let mut hosts = self.hosts_in(&self.groups_like(pattern));
        hosts.extend(self.hosts().filter(|host| glob.matches(self.host_name(*host))));
        Ok(hosts)
    }

    /// The groups that a name or pattern means.
    fn groups_like(&self, pattern: &str) -> Vec<GroupId> {
        if let Some(group) = self.group(pattern) {
            return vec![group];
        }
        if !pattern.contains(['*', '?', '[']) {
            return Vec::new();
        }
        let glob = Glob::new(pattern);
        self.groups().filter(|group| glob.matches(self.group_name(*group))).collect()
    }

    /// All hosts of these groups and the groups inside them, each once, in inventory order.
    fn hosts_in(&self, groups: &[GroupId]) -> Vec<HostId> {
        let mut found = vec![false; self.hosts.len()];
        for group in groups.iter().flat_map(|group| graph::descendants(*group, &self.groups)) {
            for host in self.members(group) {
                found[host.0 as usize] = true;
            }
        }
        self.hosts().filter(|host| found[host.0 as usize]).collect()
    }
}

/// A choice by position; negative counts from the end, and the end of a slice is included, as in Ansible.
enum Subscript {
    One(i64),
    Slice(usize, Option<usize>),
}

impl Subscript {
    fn of(&self, hosts: Vec<HostId>, pattern: &str) -> Result<Vec<HostId>, LimitError> {
        match *self {
            Self::One(index) => {
                let index = if index < 0 { index + i64::try_from(hosts.len()).unwrap_or(i64::MAX) } else { index };
                let host = usize::try_from(index).ok().and_then(|index| hosts.get(index));
                let wrong = || LimitError::Index { pattern: pattern.to_owned(), hosts: hosts.len() };
                Ok(vec![*host.ok_or_else(wrong)?])
            }
            Self::Slice(first, last) => {
                let count = last.map_or(usize::MAX, |last| last.saturating_add(1)).saturating_sub(first);
                Ok(hosts.into_iter().skip(first).take(count).collect())
            }
        }
    }
}

/// `base[1]`, `base[-1]`, `base[0:2]`, `base[1:]`, `base[0-2]`.
fn subscript(pattern: &str) -> Option<(&str, Subscript)> {
    let (base, inner) = pattern.strip_suffix(']')?.rsplit_once('[')?;
    if let Ok(index) = inner.parse::<i64>() {
        return Some((base, Subscript::One(index)));
    }
    let (first, last) = inner.split_once(':').or_else(|| inner.split_once('-'))?;
    let last = if last.is_empty() { None } else { Some(last.parse().ok()?) };
    Some((base, Subscript::Slice(first.parse().ok()?, last)))
}
