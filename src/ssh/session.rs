//! An authenticated connection: opens channels for commands and for connections further on.

use std::sync::Arc;
use std::time::Duration;

use russh::client::{Handle, Msg};
use russh::{Channel, ChannelOpenFailure, ChannelStream, Disconnect};
use tokio::time::timeout;

use super::crowd::Place;
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
    /// Its place among those that this jump host carries.
    pub(super) _place: Option<Place>,
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
                let words = words.unwrap_or_else(|| reason.description().to_lowercase());
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
                let said = self.words_on(&reason).await;
                let clear = said.is_some();
                let words = said.unwrap_or_else(|| reason.description().to_lowercase());
                Err(match reason {
                    ChannelOpenFailure::ConnectFailed if !clear => NotForwarded::Unclear(words),
                    ChannelOpenFailure::ResourceShortage => NotForwarded::NoRoom(words),
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

    /// The server's words on a refusal, or those of its reason when it has none. `None` when it cannot be told which are meant.
    async fn words_on(&self, reason: &ChannelOpenFailure) -> Option<String> {
        let noted = timeout(Duration::from_millis(200), self.peer.refusal(reason)).await;
        let words = noted.ok().flatten()?;
        Some(if words.is_empty() { reason.description().to_lowercase() } else { words })
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
    /// The same, but several were refused at the same moment, and which words are about this one cannot be told.
    Unclear(String),
    /// It does not forward, or not there.
    Forbidden(String),
    /// It carries as much as it can.
    NoRoom(String),
    /// No answer within the deadline.
    Silent,
    /// The connection to the host itself ended.
    Lost(String),
}
