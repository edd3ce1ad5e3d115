//! An authenticated connection: opens channels for commands and for connections further on.

use std::sync::Arc;
use std::time::Duration;

use russh::client::{Handle, Msg};
use russh::{Channel, ChannelOpenFailure, ChannelStream, Disconnect};
use tokio::time::timeout;

use super::known_hosts::NewKey;
use super::peer::{Peer, Verifier};
use super::proxy::ProxyChild;
use super::stream::seconds;
use super::wire::Leash;
use crate::failure::{Failure, FailureKind};
use crate::timings::Timings;

/// A logged-in connection. Dropping it cuts the connection; [`close`](Self::close) says goodbye first.
pub struct Session {
    pub(super) handle: Handle<Verifier>,
    pub(super) peer: Arc<Peer>,
    #[expect(dead_code, reason = "cuts the connection when dropped")]
    pub(super) leash: Leash,
    /// Who we are there.
    pub(super) user: String,
    /// The alias, for messages about this host as a jump host.
    pub(super) name: String,
    pub(super) open_deadline: Duration,
    /// Up to the login.
    pub timings: Timings,
    /// The host key was unknown and is now learned: say so.
    pub learned: Option<NewKey>,
    /// The jump host's connection carries this one, and lives as long.
    pub(super) _via: Option<Arc<Session>>,
    pub(super) _child: Option<ProxyChild>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("name", &self.name).field("user", &self.user).finish_non_exhaustive()
    }
}

impl Session {
    /// Says goodbye, so that the server does not log a broken connection, and closes.
    pub async fn close(mut self) {
        let goodbye = async {
            let _ = self.handle.disconnect(Disconnect::ByApplication, "", "").await;
            let _ = (&mut self.handle).await;
        };
        let _ = timeout(Duration::from_millis(500), goodbye).await;
    }

    /// True when the connection is known to be over.
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// A channel for one command.
    pub(super) async fn open_channel(&self) -> Result<Channel<Msg>, Failure> {
        let max_sessions = "the server allows no (further) session: see MaxSessions in its sshd_config";
        match timeout(self.open_deadline, self.handle.channel_open_session()).await {
            Err(_) => {
                let message = format!("the server did not open a channel within {}", seconds(self.open_deadline));
                Err(Failure::new(
                    FailureKind::Channel,
                    message,
                    "look at the load of the host, and at its PAM session modules",
                ))
            }
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(russh::Error::ChannelOpenFailure(reason))) => {
                let words = self.words_on(&reason).await;
                Err(Failure::new(
                    FailureKind::Channel,
                    format!("the server refused to open a channel: {words}"),
                    max_sessions,
                ))
            }
            Ok(Err(_)) => Err(lost(&self.peer)),
        }
    }

    /// A connection from this host to `host:port`, as a stream, or what the host says instead.
    pub async fn forward(&self, host: &str, port: u16, deadline: Duration) -> Result<ChannelStream<Msg>, NotForwarded> {
        let opening = self.handle.channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0);
        match timeout(deadline, opening).await {
            Ok(Ok(channel)) => Ok(channel.into_stream()),
            Err(_) => Err(NotForwarded::Silent),
            Ok(Err(russh::Error::ChannelOpenFailure(reason))) => {
                let words = self.words_on(&reason).await;
                Err(match reason {
                    ChannelOpenFailure::ConnectFailed => NotForwarded::Failed(words),
                    _ => NotForwarded::Forbidden(words),
                })
            }
            Ok(Err(_)) => Err(NotForwarded::Lost(self.peer.how_it_ended())),
        }
    }

    /// Drops the words of refusals that came after nobody waited for them any more, so that they are not taken for those of a
    /// channel that is asked for next. Only for a session on which one channel is asked for at a time.
    pub fn forget_late_refusals(&self) {
        self.peer.forget_refusals();
    }

    /// [`Self::forward`] for the connection that goes on through this host.
    pub async fn direct_tcpip(&self, host: &str, port: u16, deadline: Duration) -> Result<ChannelStream<Msg>, Failure> {
        let name = &self.name;
        self.forward(host, port, deadline).await.map_err(|refused| match refused {
            NotForwarded::Silent => {
                let message = format!("{host}:{port} did not answer {name} within {}", seconds(deadline));
                Failure::new(
                    FailureKind::TcpTimeout,
                    message,
                    format!("check that the host is up, as seen from {name}"),
                )
            }
            NotForwarded::Lost(how) => {
                let message = format!("the connection to {name} was lost: {how}");
                Failure::new(FailureKind::JumpHost, message, "run the hosts behind it again")
            }
            NotForwarded::Failed(words) => cannot_connect(name, host, port, &words),
            NotForwarded::Forbidden(words) => {
                let message = format!("the jump host {name} refuses to forward to {host}:{port}: {words}");
                let next = format!("allow it in {name}'s sshd_config (AllowTcpForwarding, PermitOpen)");
                Failure::new(FailureKind::JumpHost, message, next)
            }
        })
    }

    async fn words_on(&self, reason: &ChannelOpenFailure) -> String {
        let noted = timeout(Duration::from_millis(200), self.peer.refusal(reason)).await;
        let words = noted.ok().flatten().filter(|words| !words.is_empty());
        words.unwrap_or_else(|| reason.description().to_lowercase())
    }
}

/// The connection ended while it was in use.
pub(super) fn lost(peer: &Peer) -> Failure {
    let next = "check whether the host rebooted or its network broke, then run it again";
    Failure::new(FailureKind::ConnectionLost, peer.how_it_ended(), next)
}

/// Why a host did not connect further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotForwarded {
    /// It tried, and this is what its C library said.
    Failed(String),
    /// It does not forward, or not there.
    Forbidden(String),
    /// No answer within the deadline.
    Silent,
    /// The connection to the host itself ended.
    Lost(String),
}

/// sshd reports why it could not connect further in the words of the C library.
fn cannot_connect(name: &str, host: &str, port: u16, words: &str) -> Failure {
    let lower = words.to_lowercase();
    let says = |needles: &[&str]| needles.iter().any(|needle| lower.contains(needle));
    let seen_from = format!("check it from {name}: nc -vz {host} {port}");
    let kind = if says(&["refused"]) {
        FailureKind::Refused
    } else if says(&["timed out"]) {
        FailureKind::TcpTimeout
    } else if says(&["not known", "resolve", "no address", "name resolution"]) {
        FailureKind::Dns
    } else {
        FailureKind::NoRoute
    };
    Failure::new(kind, format!("{name} cannot connect to {host}:{port}: {lower}"), seen_from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_far_side_of_a_jump_host_has_its_own_kinds() {
        for (words, kind) in [
            ("Connection refused", FailureKind::Refused),
            ("Connection timed out", FailureKind::TcpTimeout),
            ("No route to host", FailureKind::NoRoute),
            ("Name or service not known", FailureKind::Dns),
            ("connect failed", FailureKind::NoRoute),
        ] {
            assert_eq!(cannot_connect("b", "h", 22, words).kind, kind, "{words}");
        }
    }
}
