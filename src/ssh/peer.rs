//! What the server says of itself while russh talks to it: its host key, and why it ended the connection.
//!
//! russh runs a session in a task of its own and reports through callbacks; [`Peer`] is where they leave what they saw,
//! so that the phase that fails can say why. The host key is judged here, before anything but the key exchange is sent.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use russh::client::{self, ChannelOpenHandle, DisconnectReason, Msg};
use russh::keys::ssh_key::HashAlg;
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use russh::{Channel, ChannelId, ChannelOpenFailure};
use tokio::sync::Notify;

use super::banner::quote;
use super::known_hosts::{HostKeyAnswer, KnownHosts, Learned, NewKey};
use super::resolved::{HostKeyPolicy, HostKeySettings};
use crate::failure::{Failure, FailureKind};

/// Notes of one connection, shared between russh's task and ours.
#[derive(Debug, Default)]
pub(super) struct Peer {
    notes: Mutex<Notes>,
    refused: Notify,
}

#[derive(Debug, Default)]
struct Notes {
    host_key: Option<Judged>,
    gone: Option<Gone>,
    /// Refused channel openings that nobody has asked about yet: code and the server's words, `None` once it is not clear whose
    /// they are.
    refusals: Vec<(u32, Option<String>)>,
    /// What the server told users before the login.
    notice: Option<String>,
}

/// The server's words on one refused channel.
#[derive(Debug, PartialEq, Eq)]
enum Claim {
    NotYet,
    Words(String),
    /// Several at once that differ.
    Unclear,
}

/// How the host key was judged.
#[derive(Debug, Clone)]
pub(super) enum Judged {
    Known,
    Learned(NewKey),
    Refused { failure: Failure, unknown: Option<Box<UnknownKey>> },
}

/// A key that no file knows, under a policy that does not learn it by itself. Ask about all of them in one question, `learn` the
/// approved ones, and connect again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKey {
    /// The name and port that the key belongs to, and the settings to learn it under.
    pub name: String,
    pub port: u16,
    pub settings: HostKeySettings,
    pub key: PublicKey,
    /// `SHA256:…`
    pub fingerprint: String,
}

/// Why the connection is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gone {
    /// The server's own words.
    Said(String),
    /// No answer to keepalives.
    Silent,
    /// The server refused the last method and names no other.
    NoMethodLeft,
    /// Ended or broken; the cause in words, if it is more than that.
    Broken(Option<String>),
}

impl Peer {
    fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn host_key(&self) -> Option<Judged> {
        self.notes().host_key.clone()
    }

    pub(super) fn gone(&self) -> Option<Gone> {
        self.notes().gone.clone()
    }

    /// The server's words on a channel it just refused to open. russh does not say which channel a refusal was for, so with
    /// several at the same moment and different words there is no answer rather than a wrong one.
    pub(super) async fn refusal(&self, reason: &ChannelOpenFailure) -> Option<String> {
        loop {
            let noted = self.refused.notified();
            tokio::pin!(noted);
            noted.as_mut().enable();
            match self.claim_refusal(reason) {
                Claim::Words(words) => return Some(words),
                Claim::Unclear => return None,
                Claim::NotYet => {}
            }
            // russh wakes the waiting side a moment before it makes its callback.
            noted.await;
        }
    }

    fn claim_refusal(&self, reason: &ChannelOpenFailure) -> Claim {
        let mut notes = self.notes();
        let code = reason.code();
        let Some(first) = notes.refusals.iter().position(|(other, _)| *other == code) else { return Claim::NotYet };
        let same = |words: &Option<String>| notes.refusals.iter().all(|(other, own)| *other != code || own == words);
        if !same(&notes.refusals[first].1) {
            // Not this one's alone: who asks for the others cannot be told either.
            for (_, words) in notes.refusals.iter_mut().filter(|(other, _)| *other == code) {
                *words = None;
            }
        }
        let (_, words) = notes.refusals.swap_remove(first);
        words.map_or(Claim::Unclear, Claim::Words)
    }

    /// Forgets the refusals that nobody asked about.
    pub(super) fn forget_refusals(&self) {
        self.notes().refusals.clear();
    }

    /// The server's notice before the login, shortened.
    pub(super) fn notice(&self) -> Option<String> {
        self.notes().notice.clone()
    }

    /// Why the connection ended, as the end of a sentence.
    pub(super) fn how_it_ended(&self) -> String {
        match self.gone() {
            Some(Gone::Said(words)) => format!("the server ended the connection: {words}"),
            Some(Gone::Silent) => "the host stopped answering (no reply to keepalives)".to_owned(),
            Some(Gone::Broken(Some(cause))) => format!("the connection broke: {cause}"),
            Some(Gone::NoMethodLeft | Gone::Broken(None)) | None => "the connection was closed".to_owned(),
        }
    }
}

/// russh's callbacks for one connection.
pub(super) struct Verifier {
    pub(super) peer: Arc<Peer>,
    pub(super) known_hosts: Arc<KnownHosts>,
    pub(super) settings: HostKeySettings,
    pub(super) name: String,
    pub(super) port: u16,
}

impl Verifier {
    fn judge(&self, presented: &PublicKeyOrCertificate) -> Judged {
        let key = presented.public_key();
        let answer = match presented {
            PublicKeyOrCertificate::PublicKey { .. } => {
                self.known_hosts.check(&self.settings, &self.name, self.port, &key)
            }
            PublicKeyOrCertificate::Certificate(certificate) => self.known_hosts.check_certificate(
                &self.settings,
                &self.name,
                self.port,
                certificate,
                SystemTime::now(),
            ),
        };
        match answer {
            Ok(answer) => self.obey(&answer, &key),
            Err(error) => Judged::Refused { failure: error.failure(), unknown: None },
        }
    }

    fn obey(&self, answer: &HostKeyAnswer, key: &PublicKey) -> Judged {
        if let Some(failure) = answer.refusal() {
            return Judged::Refused { failure, unknown: None };
        }
        if matches!(answer, HostKeyAnswer::Known(_)) {
            return Judged::Known;
        }
        if self.settings.policy == HostKeyPolicy::AcceptNew {
            return match self.known_hosts.learn(&self.settings, &self.name, self.port, key) {
                Ok(Learned::New(new)) => Judged::Learned(new),
                Ok(Learned::Not(HostKeyAnswer::Known(_))) => Judged::Known,
                Ok(Learned::Not(answer)) => {
                    let failure = answer.refusal().unwrap_or_else(|| self.unknown_failure(key));
                    Judged::Refused { failure, unknown: None }
                }
                Err(error) => Judged::Refused { failure: error.failure(), unknown: None },
            };
        }
        let unknown = UnknownKey {
            name: self.name.clone(),
            port: self.port,
            settings: self.settings.clone(),
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
            key: key.clone(),
        };
        Judged::Refused { failure: self.unknown_failure(key), unknown: Some(Box::new(unknown)) }
    }

    fn unknown_failure(&self, key: &PublicKey) -> Failure {
        let kind = key.algorithm();
        let fingerprint = key.fingerprint(HashAlg::Sha256);
        let message = format!("the host's key is not known: {} {fingerprint}", kind.as_str());
        let next = match self.settings.policy {
            HostKeyPolicy::Ask => {
                "compare the fingerprint with the host's own (ssh-keygen -lf on its console), then answer yes"
            }
            _ => "compare the fingerprint, then add the key to known_hosts or set StrictHostKeyChecking accept-new",
        };
        Failure::new(FailureKind::HostKeyUnknown, message, next)
    }
}

impl client::Handler for Verifier {
    type Error = russh::Error;

    async fn check_server_key(&mut self, presented: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let judged = self.judge(presented);
        let accepted = !matches!(judged, Judged::Refused { .. });
        self.peer.notes().host_key = Some(judged);
        Ok(accepted)
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Self::Error>) -> Result<(), Self::Error> {
        let (gone, result) = match reason {
            DisconnectReason::ReceivedDisconnect(info) => (Gone::Said(quote(info.message.as_bytes())), Ok(())),
            DisconnectReason::Error(error) => (gone_because(&error), Err(error)),
        };
        self.peer.notes().gone = Some(gone);
        result
    }

    async fn channel_open_failure(
        &mut self,
        _channel: ChannelId,
        reason: ChannelOpenFailure,
        description: &str,
        _language: &str,
        _session: &mut client::Session,
    ) -> Result<(), Self::Error> {
        {
            let mut notes = self.peer.notes();
            // A server that refuses without being asked must not fill the memory.
            if notes.refusals.len() < 1024 {
                notes.refusals.push((reason.code(), Some(quote(description.as_bytes()))));
            }
        }
        self.peer.refused.notify_waiters();
        Ok(())
    }

    async fn auth_banner(&mut self, banner: &str, _session: &mut client::Session) -> Result<(), Self::Error> {
        let words = banner.split_whitespace().collect::<Vec<_>>().join(" ");
        self.peer.notes().notice = Some(quote(words.as_bytes())).filter(|words| !words.is_empty());
        Ok(())
    }

    // russh accepts what a server opens towards us. Nothing here was ever asked for, so all of it is refused: dropping the
    // reply handle does that.

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        _connected_address: &str,
        _connected_port: u32,
        _originator_address: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        _socket_path: &str,
        _reply: ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _channel: Channel<Msg>,
        _reply: ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        _reply: ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        _host_to_connect: &str,
        _port_to_connect: u32,
        _originator_address: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        _socket_path: &str,
        _reply: ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _channel: Channel<Msg>,
        _originator_address: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }
}

fn gone_because(error: &russh::Error) -> Gone {
    match error {
        russh::Error::KeepaliveTimeout => Gone::Silent,
        russh::Error::NoAuthMethod => Gone::NoMethodLeft,
        russh::Error::Disconnect | russh::Error::HUP | russh::Error::RecvError | russh::Error::SendError => {
            Gone::Broken(None)
        }
        russh::Error::IO(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Gone::Broken(None),
        russh::Error::IO(error) => Gone::Broken(Some(super::stream::plain(error))),
        other => Gone::Broken(Some(quote(other.to_string().as_bytes()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_claimed_once_and_never_guessed() {
        let peer = Peer::default();
        let refused = ChannelOpenFailure::ConnectFailed;
        assert_eq!(peer.claim_refusal(&refused), Claim::NotYet);
        peer.notes().refusals = vec![(2, Some("Connection refused".into())), (1, Some("other code".into()))];
        assert_eq!(peer.claim_refusal(&refused), Claim::Words("Connection refused".into()));
        assert_eq!(peer.claim_refusal(&refused), Claim::NotYet);
        peer.notes().refusals =
            vec![(2, Some("Connection refused".into())), (1, None), (2, Some("No route to host".into()))];
        assert_eq!(peer.claim_refusal(&refused), Claim::Unclear, "two at once with different words");
        assert_eq!(peer.claim_refusal(&refused), Claim::Unclear, "the second of them is no clearer than the first");
        assert_eq!(peer.claim_refusal(&refused), Claim::NotYet);
    }
}
