//! Which host keys are known, changed or revoked, and learning new ones.
//!
//! One [`KnownHosts`] serves a whole run and is shared by all connections. It reads each file once (`file` says what that
//! costs), judges keys and certificates (`judge`, `certificate`), and writes new keys back (`slot`, `write`),
//! collected by a [`Learner`]. It follows OpenSSH's client with `CheckHostIP no`: only the name that was dialled (or
//! `HostKeyAlias`) is looked up, never the address behind it. In two places it is stricter: a host that is known by keys of other
//! types only is not learned anew, and a `@revoked` key is refused under the bare name as well as under `[name]:port`.
//!
//! This module knows no connection and prints nothing; whether an unknown key may be learned is the caller's decision.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use russh::keys::{Algorithm, Certificate, PublicKey};
use tokio::sync::Notify;

use crate::ssh::resolved::HostKeySettings;

mod answer;
mod certificate;
mod file;
mod judge;
mod learner;
mod parse;
mod slot;
#[cfg(test)]
mod tests;
mod write;

pub use answer::{HostKeyAnswer, HostKeyError, KnownKey, Place};
pub use learner::Learner;

use judge::{About, HostName};
use parse::{Key, Marker};
use slot::{Queued, Slot};

/// All `known_hosts` files of a run, each read once. Shared as `Arc<KnownHosts>`; every method takes `&self`.
///
/// `name` is the name that was dialled (`Resolved::host`), `port` the port; `settings.alias` replaces both where it is set.
#[derive(Debug)]
pub struct KnownHosts {
    slots: Mutex<HashMap<PathBuf, Arc<Slot>>>,
    /// What is learned where no file is configured.
    memory: Arc<Slot>,
    /// Two keys for one host must not be learned at once.
    learning: Mutex<()>,
    learned: Notify,
}

/// What [`KnownHosts::learn`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Learned {
    /// The key is new and from now on known in this run; it is queued for the file.
    New(NewKey),
    /// Not learned: meanwhile something else is known about this host (perhaps by another run). Obey this answer:
    /// `Known` is fine, everything else is a refusal.
    Not(HostKeyAnswer),
}

/// A key that was learned; print it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// As it is filed: lower case, `[name]:port` for ports other than 22.
    pub name: String,
    pub key_type: String,
    /// `SHA256:…`
    pub fingerprint: String,
    /// Where it is written; `None` when no file is configured, so that it is known for this run only.
    pub file: Option<PathBuf>,
}

/// What a flush did and could not do.
#[derive(Debug, Default)]
pub struct FlushReport {
    /// Keys that were added to files.
    pub written: usize,
    /// Another run wrote a different key for a host between our learning and our writing: the hosts' failures.
    /// The other run's key stays in the file.
    pub conflicts: Vec<(NewKey, HostKeyAnswer)>,
    /// Files that could not be written; their keys stay queued.
    pub errors: Vec<HostKeyError>,
}

impl Default for KnownHosts {
    fn default() -> Self {
        Self::new()
    }
}

impl KnownHosts {
    /// Knows nothing yet; a file is read when the first host with it is judged (blocking, milliseconds).
    pub fn new() -> Self {
        Self {
            slots: Mutex::default(),
            memory: Arc::new(Slot::in_memory()),
            learning: Mutex::default(),
            learned: Notify::new(),
        }
    }

    /// Judges a plain key.
    pub fn check(
        &self,
        settings: &HostKeySettings,
        name: &str,
        port: u16,
        key: &PublicKey,
    ) -> Result<HostKeyAnswer, HostKeyError> {
        let key = wire(key)?;
        self.about(settings, name, port, |_, filed, bare| judge::plain_key(filed, bare, &key))
    }

    /// Judges a host certificate at the time `now`. Where no authority for this host signed it, the key inside is judged
    /// as a plain key, as ssh does; the answer is then `Unknown` only if no authority at all is named for this host
    /// (learn `certificate.public_key()` in that case).
    pub fn check_certificate(
        &self,
        settings: &HostKeySettings,
        name: &str,
        port: u16,
        certificate: &Certificate,
        now: SystemTime,
    ) -> Result<HostKeyAnswer, HostKeyError> {
        let certified = wire(&PublicKey::from(certificate.public_key().clone()))?;
        let signer = wire(&PublicKey::from(certificate.signature_key().clone()))?;
        self.about(settings, name, port, |host, filed, bare| {
            let revoked = |key| judge::revoked(filed, key).or_else(|| judge::revoked(bare, key));
            if let Some(answer) = revoked(&signer).or_else(|| revoked(&certified)) {
                return answer;
            }
            let keys = (&certified, &signer);
            // As with plain keys, the bare name is asked only where the name with its port says nothing.
            let by_authority = certificate::by_authority(filed, host, certificate, keys, now)
                .or_else(|| certificate::by_authority(bare, host, certificate, keys, now));
            match by_authority {
                Some(known @ HostKeyAnswer::Known(_)) => known,
                by_authority => match (judge::plain_key(filed, bare, &certified), by_authority) {
                    (HostKeyAnswer::Unknown { .. } | HostKeyAnswer::OtherType { .. }, Some(refused)) => refused,
                    (plain, _) => plain,
                },
            }
        })
    }

    /// The types of the plain keys known for this host, in the files' order: put these first in the negotiation. An RSA key
    /// is `Algorithm::Rsa { hash: None }`: it may sign with any of the RSA signature algorithms.
    pub fn known_key_types(
        &self,
        settings: &HostKeySettings,
        name: &str,
        port: u16,
    ) -> Result<Vec<Algorithm>, HostKeyError> {
        self.about(settings, name, port, |_, filed, bare| {
            let types = |about: &[About<'_>]| {
                let mut types: Vec<Algorithm> = Vec::new();
                for (_, entry) in about.iter().filter(|(_, entry)| entry.marker == Marker::Host) {
                    match Algorithm::new(&entry.key.key_type) {
                        Ok(algorithm) if !types.contains(&algorithm) => types.push(algorithm),
                        _ => {}
                    }
                }
                types
            };
            let filed = types(filed);
            if filed.is_empty() { types(bare) } else { filed }
        })
    }

    /// True when a `@cert-authority` line covers this host: only then offer certificate algorithms, and offer them first.
    pub fn has_authority(&self, settings: &HostKeySettings, name: &str, port: u16) -> Result<bool, HostKeyError> {
        self.about(settings, name, port, |_, filed, bare| {
            filed.iter().chain(bare).any(|(_, entry)| entry.marker == Marker::Authority)
        })
    }

    /// Learns an unknown key: known to every later check at once, written to the first user file by the next
    /// [`flush`](Self::flush) (which a [`Learner`] does in the background). Looks whether the files changed since they were
    /// read and judges again before it accepts. Call it only under accept-new.
    pub fn learn(
        &self,
        settings: &HostKeySettings,
        name: &str,
        port: u16,
        key: &PublicKey,
    ) -> Result<Learned, HostKeyError> {
        let host = HostName::new(settings.alias.as_deref(), name, port);
        if !host.is_writable() {
            return Err(HostKeyError::Name(host.filed));
        }
        let _one_at_a_time = self.learning.lock().unwrap_or_else(PoisonError::into_inner);
        for slot in self.slots(settings)? {
            slot.refresh()?;
        }
        match self.check(settings, name, port, key)? {
            HostKeyAnswer::Unknown { .. } => {}
            answer => return Ok(Learned::Not(answer)),
        }
        let key = wire(key)?;
        let file = settings.user_files.first().cloned();
        let slot = match &file {
            Some(file) => self.slot(file)?,
            None => Arc::clone(&self.memory),
        };
        let new = NewKey { name: host.filed, key_type: key.key_type.to_string(), fingerprint: key.fingerprint(), file };
        slot.write().learn(Queued { new: new.clone(), key, hash_name: settings.hash_names });
        self.learned.notify_one();
        Ok(Learned::New(new))
    }

    /// Writes everything that was learned: one locked, atomic rewrite per file, however many keys. Blocking.
    pub fn flush(&self) -> FlushReport {
        let mut slots: Vec<(PathBuf, Arc<Slot>)> = {
            let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.iter().map(|(path, slot)| (path.clone(), Arc::clone(slot))).collect()
        };
        slots.sort_by(|a, b| a.0.cmp(&b.0));
        let mut report = FlushReport::default();
        for (_, slot) in slots {
            slot.flush(&mut report);
        }
        report
    }

    /// Lines of the files read so far that cannot be understood and were left out: `file:line: reason`. For stderr.
    pub fn complaints(&self) -> Vec<String> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let all: BTreeSet<(&Path, usize, &'static str)> = slots
            .iter()
            .flat_map(|(path, slot)| {
                slot.read().file.complaints().iter().map(|&(line, why)| (path.as_path(), line, why)).collect::<Vec<_>>()
            })
            .collect();
        all.into_iter().map(|(path, line, why)| format!("{}:{line}: {why}", path.display())).collect()
    }

    fn slot(&self, path: &Path) -> Result<Arc<Slot>, HostKeyError> {
        // Held while reading, so that a thousand connections that start at once read the file once.
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(path) {
            return Ok(Arc::clone(slot));
        }
        let slot = Arc::new(Slot::load(path)?);
        slots.insert(path.to_owned(), Arc::clone(&slot));
        Ok(slot)
    }

    fn slots(&self, settings: &HostKeySettings) -> Result<Vec<Arc<Slot>>, HostKeyError> {
        let mut slots: Vec<Arc<Slot>> = Vec::new();
        for path in settings.user_files.iter().chain(&settings.global_files) {
            let slot = self.slot(path)?;
            // Twice in the list would mean to lock it twice.
            if !slots.iter().any(|other| Arc::ptr_eq(other, &slot)) {
                slots.push(slot);
            }
        }
        if settings.user_files.is_empty() {
            slots.push(Arc::clone(&self.memory));
        }
        Ok(slots)
    }

    /// Gives `judge` the host's names, and the lines about its filed and its bare name.
    fn about<T>(
        &self,
        settings: &HostKeySettings,
        name: &str,
        port: u16,
        judge: impl FnOnce(&HostName, &[About<'_>], &[About<'_>]) -> T,
    ) -> Result<T, HostKeyError> {
        let host = HostName::new(settings.alias.as_deref(), name, port);
        let slots = self.slots(settings)?;
        let states: Vec<_> = slots.iter().map(|slot| slot.read()).collect();
        let lines = |name: &str| -> Vec<About<'_>> {
            states
                .iter()
                .flat_map(|state| state.file.about(name).into_iter().map(|entry| (&state.file, entry)))
                .collect()
        };
        let filed = lines(&host.filed);
        let bare = host.bare.as_deref().map(lines).unwrap_or_default();
        Ok(judge(&host, &filed, &bare))
    }
}

fn wire(key: &PublicKey) -> Result<Key, HostKeyError> {
    let blob = key.to_bytes().map_err(|error| HostKeyError::Key(error.to_string()))?;
    Key::from_blob(blob).ok_or_else(|| HostKeyError::Key("it is cut short".to_owned()))
}
