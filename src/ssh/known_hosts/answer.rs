//! What is known about a host's key: the answers, with their evidence, and the failures that refusals become.

use std::fmt;
use std::path::PathBuf;

use crate::failure::{Failure, FailureKind};
use crate::ssh::limits;

/// A line of a file; lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: PathBuf,
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// A key that a file names for a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKey {
    pub place: Place,
    /// As in the file: `ssh-ed25519`.
    pub key_type: String,
    /// `SHA256:…`
    pub fingerprint: String,
}

/// The judgement on one presented key or certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostKeyAnswer {
    /// The key (or the authority behind the certificate) is known for this host.
    Known(Place),
    /// A different key of the same type is known for this host. Fatal under every policy.
    Changed { known: KnownKey, presented: String },
    /// The host is known, but only by keys of other types. As the known types are preferred in the negotiation
    /// (`known_key_types`), the host no longer has any of them: as fatal as [`Changed`](Self::Changed), or somebody in
    /// the way could have a key learned merely by offering another type.
    OtherType { known: KnownKey, presented: String },
    /// The key, or the authority that signed it, is marked `@revoked`.
    Revoked { place: Place, presented: String },
    /// A certificate that no authority for this host vouches for, or that is not valid here and now. Fatal under every policy.
    CertificateRefused { reason: String, presented: String },
    /// Nothing is known about this host. Only this answer may be learned.
    Unknown { presented: String },
}

impl HostKeyAnswer {
    /// The failure that this answer means under every policy; `None` for `Known` and `Unknown`.
    pub fn refusal(&self) -> Option<Failure> {
        let (kind, message, next) = match self {
            Self::Known(_) | Self::Unknown { .. } => return None,
            Self::Changed { known, presented } => (
                FailureKind::HostKeyChanged,
                format!(
                    "the host presented {presented}, but {} knows {} {}",
                    known.place, known.key_type, known.fingerprint
                ),
                format!(
                    "find out why the key changed; if the host was reinstalled, remove line {} of {}",
                    known.place.line,
                    known.place.file.display()
                ),
            ),
            Self::OtherType { known, presented } => (
                FailureKind::HostKeyChanged,
                format!(
                    "the host presented {presented} and no longer has the {} key {} that {} knows",
                    known.key_type, known.fingerprint, known.place
                ),
                format!(
                    "find out why the key changed; if the host was reinstalled, remove line {} of {}",
                    known.place.line,
                    known.place.file.display()
                ),
            ),
            Self::Revoked { place, presented } => (
                FailureKind::HostKeyRevoked,
                format!("the host's key {presented} is revoked by {place}"),
                "give the host a new key, and do not log in before".to_owned(),
            ),
            Self::CertificateRefused { reason, presented } => (
                FailureKind::HostKeyChanged,
                format!("the host's certificate for {presented} is refused: {reason}"),
                "have the host's certificate renewed by an authority that known_hosts trusts".to_owned(),
            ),
        };
        Some(Failure::new(kind, message, next))
    }
}

/// Why host keys cannot be judged or learned.
#[derive(Debug, thiserror::Error)]
pub enum HostKeyError {
    /// The file exists and cannot be read. Never treated as empty: that would learn any key.
    #[error("cannot read {}: {source}", file.display())]
    Unreadable { file: PathBuf, source: std::io::Error },
    #[error("cannot write {}: {source}", file.display())]
    Unwritable { file: PathBuf, source: std::io::Error },
    /// The key cannot be written in wire form.
    #[error("the host's key cannot be encoded: {0}")]
    Key(String),
    /// The name would mean something else as a line of `known_hosts`.
    #[error("{0:?} cannot be a name in known_hosts")]
    Name(String),
}

impl HostKeyError {
    /// As a host's failure.
    pub fn failure(&self) -> Failure {
        let (kind, next) = match self {
            Self::Unreadable { source, .. } | Self::Unwritable { source, .. } if limits::is_no_room(source) => {
                (FailureKind::Local, limits::NO_ROOM.to_owned())
            }
            Self::Unreadable { file, .. } => {
                (FailureKind::Local, format!("make {} readable, or name another UserKnownHostsFile", file.display()))
            }
            Self::Unwritable { file, .. } => {
                (FailureKind::Local, format!("make {} writable, or name another UserKnownHostsFile", file.display()))
            }
            Self::Key(_) => (FailureKind::Kex, "look at the host's keys with ssh-keyscan".to_owned()),
            Self::Name(_) => (FailureKind::Settings, "set HostKeyAlias for this host".to_owned()),
        };
        Failure::new(kind, self.to_string(), next)
    }
}
