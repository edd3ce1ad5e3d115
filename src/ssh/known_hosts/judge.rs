//! The judgement on a presented key, given what the files say about the host. Pure.

use super::answer::{HostKeyAnswer, KnownKey};
use super::file::{Entry, HostFile};
use super::parse::{Key, Marker};

/// A line about the host, with the file that it stands in.
pub(super) type About<'a> = (&'a HostFile, &'a Entry);

/// The names that a host's key may be filed under.
#[derive(Debug)]
pub(super) struct HostName {
    /// `HostKeyAlias`, or the name with its port where that is not 22; lower case.
    pub(super) filed: String,
    /// The bare name, where the port is not 22 and no alias is set: ssh accepts a key that is known under it.
    pub(super) bare: Option<String>,
    /// What a certificate's principals are compared with: never with a port.
    pub(super) principal: String,
}

impl HostName {
    pub(super) fn new(alias: Option<&str>, name: &str, port: u16) -> Self {
        if let Some(alias) = alias {
            let alias = alias.to_ascii_lowercase();
            return Self { principal: alias.clone(), filed: alias, bare: None };
        }
        let name = name.to_ascii_lowercase();
        if port == 22 {
            return Self { principal: name.clone(), filed: name, bare: None };
        }
        Self { filed: format!("[{name}]:{port}"), principal: name.clone(), bare: Some(name) }
    }

    /// Whether the name can stand in a file without meaning something else there: more than one host, a pattern, a
    /// comment, a marker, another line.
    pub(super) fn is_writable(&self) -> bool {
        !self.filed.is_empty()
            && !self.filed.starts_with(['|', '@', '#'])
            && !self.filed.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, ',' | '*' | '?' | '!'))
    }
}

/// Judges `key` by the lines about the host's filed name and about its bare name.
pub(super) fn plain_key(filed: &[About<'_>], bare: &[About<'_>], key: &Key) -> HostKeyAnswer {
    if let Some(answer) = revoked(filed, key).or_else(|| revoked(bare, key)) {
        return answer;
    }
    match by_lines(filed, key) {
        answer @ (HostKeyAnswer::Unknown { .. } | HostKeyAnswer::OtherType { .. }) => match by_lines(bare, key) {
            known @ HostKeyAnswer::Known(_) => known,
            // Another host may well live behind another port of the same name: only a match says something.
            _ => answer,
        },
        answer => answer,
    }
}

fn by_lines(about: &[About<'_>], key: &Key) -> HostKeyAnswer {
    let hosts = || about.iter().filter(|(_, entry)| entry.marker == Marker::Host);
    if let Some((file, entry)) = hosts().find(|(_, entry)| entry.key == *key) {
        return HostKeyAnswer::Known(file.place(entry));
    }
    let presented = describe(key);
    if let Some(other) = hosts().find(|(_, entry)| entry.key.key_type == key.key_type) {
        return HostKeyAnswer::Changed { known: known_key(other), presented };
    }
    match hosts().next() {
        Some(other) => HostKeyAnswer::OtherType { known: known_key(other), presented },
        None => HostKeyAnswer::Unknown { presented },
    }
}

/// The answer if a `@revoked` line is about this key.
pub(super) fn revoked(about: &[About<'_>], key: &Key) -> Option<HostKeyAnswer> {
    about
        .iter()
        .find(|(_, entry)| entry.marker == Marker::Revoked && entry.key == *key)
        .map(|(file, entry)| HostKeyAnswer::Revoked { place: file.place(entry), presented: describe(key) })
}

/// Type and fingerprint, for people.
pub(super) fn describe(key: &Key) -> String {
    format!("{} {}", key.key_type, key.fingerprint())
}

fn known_key(&(file, entry): &About<'_>) -> KnownKey {
    KnownKey {
        place: file.place(entry),
        key_type: entry.key.key_type.to_string(),
        fingerprint: entry.key.fingerprint(),
    }
}
