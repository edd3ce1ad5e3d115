//! Why a host could not be read: one closed set of kinds, each with its layer, cause and next move.
//!
//! Everything that can go wrong between an inventory entry and the last byte of its probe ends as exactly one
//! [`Failure`]. Scripts match on [`FailureKind`]; people read `message` and `next`. This module knows no transport.

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::{self, StringDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer as _};
use serde::{Deserialize, Deserializer, Serialize};

/// The closed set of reasons. The names in JSON are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// A connection setting cannot be used (a template, a vaulted value, a bad port).
    Settings,
    /// The private key named for this host cannot be used.
    Key,
    /// The name does not resolve, or did not in time.
    Dns,
    /// The port answered with a reset.
    Refused,
    /// No answer to the TCP handshake in time.
    TcpTimeout,
    /// The network says that there is no way to the host.
    NoRoute,
    /// TCP connected, but no SSH banner came in time.
    BannerTimeout,
    /// What answered does not speak SSH 2.
    NotSsh,
    /// No common algorithms, or the key exchange broke or ran out of time.
    Kex,
    /// The host presented another key than the known one. Always fatal.
    HostKeyChanged,
    /// The host's key is unknown and the policy does not learn it.
    HostKeyUnknown,
    /// The host's key is marked as revoked.
    HostKeyRevoked,
    /// The server accepted none of the ways to authenticate.
    Auth,
    /// Authentication did not finish in time.
    AuthTimeout,
    /// The agent refused to sign, or did not answer.
    AgentRefused,
    /// A jump host on the way failed; the message names it and its own failure.
    JumpHost,
    /// The `ProxyCommand` could not be run or ended early.
    ProxyCommand,
    /// The server opened no channel (its `MaxSessions`, a forced command, an account without a shell).
    Channel,
    /// sudo wants a password and has none, or the wrong one.
    SudoPassword,
    /// sudo refuses this user.
    SudoDenied,
    /// The remote command did not end before its deadline.
    ExecTimeout,
    /// The connection ended before the work was done.
    ConnectionLost,
    /// The host sent more than the client is ready to keep.
    OutputLimit,
    /// The answer cannot be understood (no `sh`, no frames, a shell that never ran the script).
    Protocol,
    /// The deadline of the whole run came before this host was done.
    RunDeadline,
    /// The user interrupted the run before this host was done.
    Interrupted,
    /// The shard that this host belongs to is not among the merged runs.
    ShardMissing,
    /// This machine could not do its part (open files, disk, memory).
    Local,
}

impl FailureKind {
    /// A machine that is off or restarts, or a network that comes back, may answer the next time. While a machine starts, its
    /// login may be refused, too (`pam_nologin`). What shows another key, or cannot be tried as it is set, stays as it is.
    pub const fn may_pass(self) -> bool {
        matches!(
            self,
            Self::Dns
                | Self::Refused
                | Self::TcpTimeout
                | Self::NoRoute
                | Self::BannerTimeout
                | Self::Kex
                | Self::Auth
                | Self::AuthTimeout
                | Self::JumpHost
                | Self::ProxyCommand
                | Self::Channel
                | Self::ConnectionLost
        )
    }
}

/// Where on the way to the host a failure lies, from the inventory outwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    Settings,
    Dns,
    Tcp,
    Banner,
    Kex,
    HostKey,
    Auth,
    Channel,
    Sudo,
    Exec,
    Run,
}

impl FailureKind {
    /// Every kind, in the order of the way to the host.
    pub const ALL: [Self; 28] = [
        Self::Settings,
        Self::Key,
        Self::Dns,
        Self::Refused,
        Self::TcpTimeout,
        Self::NoRoute,
        Self::BannerTimeout,
        Self::NotSsh,
        Self::Kex,
        Self::HostKeyChanged,
        Self::HostKeyUnknown,
        Self::HostKeyRevoked,
        Self::Auth,
        Self::AuthTimeout,
        Self::AgentRefused,
        Self::JumpHost,
        Self::ProxyCommand,
        Self::Channel,
        Self::SudoPassword,
        Self::SudoDenied,
        Self::ExecTimeout,
        Self::ConnectionLost,
        Self::OutputLimit,
        Self::Protocol,
        Self::RunDeadline,
        Self::Interrupted,
        Self::ShardMissing,
        Self::Local,
    ];

    /// The layer that a failure of this kind lies in.
    pub const fn layer(self) -> Layer {
        match self {
            Self::Settings | Self::Key => Layer::Settings,
            Self::Dns => Layer::Dns,
            Self::Refused | Self::TcpTimeout | Self::NoRoute | Self::JumpHost | Self::ProxyCommand => Layer::Tcp,
            Self::BannerTimeout | Self::NotSsh => Layer::Banner,
            Self::Kex => Layer::Kex,
            Self::HostKeyChanged | Self::HostKeyUnknown | Self::HostKeyRevoked => Layer::HostKey,
            Self::Auth | Self::AuthTimeout | Self::AgentRefused => Layer::Auth,
            Self::Channel => Layer::Channel,
            Self::SudoPassword | Self::SudoDenied => Layer::Sudo,
            Self::ExecTimeout | Self::ConnectionLost | Self::OutputLimit | Self::Protocol => Layer::Exec,
            Self::RunDeadline | Self::Interrupted | Self::ShardMissing | Self::Local => Layer::Run,
        }
    }

    /// The stable name, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Key => "key",
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::TcpTimeout => "tcp-timeout",
            Self::NoRoute => "no-route",
            Self::BannerTimeout => "banner-timeout",
            Self::NotSsh => "not-ssh",
            Self::Kex => "kex",
            Self::HostKeyChanged => "host-key-changed",
            Self::HostKeyUnknown => "host-key-unknown",
            Self::HostKeyRevoked => "host-key-revoked",
            Self::Auth => "auth",
            Self::AuthTimeout => "auth-timeout",
            Self::AgentRefused => "agent-refused",
            Self::JumpHost => "jump-host",
            Self::ProxyCommand => "proxy-command",
            Self::Channel => "channel",
            Self::SudoPassword => "sudo-password",
            Self::SudoDenied => "sudo-denied",
            Self::ExecTimeout => "exec-timeout",
            Self::ConnectionLost => "connection-lost",
            Self::OutputLimit => "output-limit",
            Self::Protocol => "protocol",
            Self::RunDeadline => "run-deadline",
            Self::Interrupted => "interrupted",
            Self::ShardMissing => "shard-missing",
            Self::Local => "local",
        }
    }
}

impl FailureKind {
    /// A few words for a table's cell; the message has the rest.
    pub const fn brief(self) -> &'static str {
        match self {
            Self::Settings => "its settings cannot be used",
            Self::Key => "its private key cannot be used",
            Self::Dns => "name does not resolve",
            Self::Refused => "connection refused",
            Self::TcpTimeout => "no answer",
            Self::NoRoute => "no route to host",
            Self::BannerTimeout => "no SSH banner",
            Self::NotSsh => "not an SSH 2 server",
            Self::Kex => "key exchange failed",
            Self::HostKeyChanged => "host key changed",
            Self::HostKeyUnknown => "host key unknown",
            Self::HostKeyRevoked => "host key revoked",
            Self::Auth => "login refused",
            Self::AuthTimeout => "login timed out",
            Self::AgentRefused => "the agent refused to sign",
            Self::JumpHost => "jump host failed",
            Self::ProxyCommand => "proxy command failed",
            Self::Channel => "no session",
            Self::SudoPassword => "sudo password missing or wrong",
            Self::SudoDenied => "sudo denied",
            Self::ExecTimeout => "timed out",
            Self::ConnectionLost => "connection lost",
            Self::OutputLimit => "too much output",
            Self::Protocol => "no usable answer",
            Self::RunDeadline => "the run's deadline passed",
            Self::Interrupted => "interrupted",
            Self::ShardMissing => "its shard is missing",
            Self::Local => "this machine failed",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One host's failure: what, where, why in words, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    #[serde(deserialize_with = "kind")]
    pub kind: FailureKind,
    #[serde(deserialize_with = "layer")]
    pub layer: Layer,
    /// What failed and why: a lowercase fragment without a full stop, without the host's name.
    pub message: String,
    /// What the user does next: an imperative sentence fragment or a command.
    pub next: String,
}

/// A later version may have kept a kind that is not known here; its words still say what happened.
fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FailureKind, D::Error> {
    known_or(deserializer, FailureKind::Protocol)
}

fn layer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Layer, D::Error> {
    known_or(deserializer, FailureKind::Protocol.layer())
}

fn known_or<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D, other: T) -> Result<T, D::Error> {
    let name = String::deserialize(deserializer)?;
    let name: StringDeserializer<value::Error> = name.into_deserializer();
    Ok(T::deserialize(name).unwrap_or(other))
}

impl Failure {
    /// A failure of `kind`; the layer follows from it.
    pub fn new(kind: FailureKind, message: impl Into<String>, next: impl Into<String>) -> Self {
        Self { kind, layer: kind.layer(), message: message.into(), next: next.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_names_are_the_display_names() {
        for kind in FailureKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }

    #[test]
    fn a_failure_of_an_unknown_kind_keeps_its_words() {
        let text = r#"{"kind": "host-on-fire", "layer": "orbit", "message": "it burns", "next": "run"}"#;
        let failure: Failure = serde_json::from_str(text).unwrap();
        assert_eq!(failure, Failure::new(FailureKind::Protocol, "it burns", "run"));
        let failure = Failure::new(FailureKind::Dns, "no such name", "fix it");
        assert_eq!(serde_json::from_value::<Failure>(serde_json::to_value(&failure).unwrap()).unwrap(), failure);
    }
}
