//! What a failed handshake means: no SSH there, a host key that is not trusted, or a key exchange that broke.

use std::time::Duration;

use super::auth::PENALTY;
use super::banner::{NotSsh, quote};
use super::connect::ConnectError;
use super::peer::{Gone, Judged, Peer};
use super::proxy::ProxyChild;
use super::stream::seconds;
use super::wire::Hello;
use crate::failure::{Failure, FailureKind, Layer};

const LOOK: &str = "look at sshd's log on the host (journalctl -u ssh), and at its load";

/// The deadline passed.
pub(super) fn timed_out(deadline: Duration, hello: &Hello, child: Option<&ProxyChild>) -> Failure {
    let within = seconds(deadline);
    let aside = child.and_then(ProxyChild::last_words).map(|words| format!("; the ProxyCommand says: {words}"));
    let aside = aside.unwrap_or_default();
    match hello {
        Hello::Seen(version) => {
            let message = format!("the key exchange with {version} did not finish within {within}{aside}");
            Failure::new(
                FailureKind::Kex,
                message,
                format!("{LOOK}; a path MTU that drops large packets looks the same"),
            )
        }
        Hello::Waiting { silent: false, last_words } => {
            let words = last_words.as_deref().unwrap_or_default();
            let message = format!("text but no SSH identification within {within} (last: {words:?}){aside}");
            Failure::new(FailureKind::BannerTimeout, message, "check that this is the port of sshd (ansible_port)")
        }
        _ => {
            let message = format!("connected, but no SSH identification within {within}{aside}");
            let next = "the host is hung or overloaded, or this is not the port of sshd: look at its console";
            Failure::new(FailureKind::BannerTimeout, message, next)
        }
    }
}

/// russh gave up.
pub(super) async fn failed(
    error: &russh::Error,
    hello: &Hello,
    peer: &Peer,
    child: Option<&mut ProxyChild>,
) -> ConnectError {
    if let Some(Judged::Refused { failure, unknown }) = peer.host_key() {
        return ConnectError { unknown_key: unknown, ..failure.into() };
    }
    match hello {
        Hello::Not(reason) => not_ssh(reason).into(),
        Hello::Seen(version) => broken_kex(error, version, peer).into(),
        Hello::Waiting { last_words, .. } | Hello::Closed { last_words } => match child {
            Some(child) => child.ended().await.into(),
            None => closed_early(last_words.as_deref()).into(),
        },
    }
}

fn closed_early(last_words: Option<&str>) -> Failure {
    let words = last_words.map(|words| format!(": {words}")).unwrap_or_default();
    Failure {
        kind: FailureKind::ConnectionLost,
        layer: Layer::Banner,
        message: format!("the host closed the connection before identifying itself{words}"),
        next: PENALTY.to_owned(),
    }
}

fn not_ssh(reason: &NotSsh) -> Failure {
    let (message, next) = match reason {
        NotSsh::Http(line) => {
            (format!("a web server answered ({line})"), "this is not the port of sshd: correct ansible_port (or Port)")
        }
        NotSsh::OldProtocol(version) => {
            (format!("the server speaks SSH {version} only, which is not safe"), "upgrade the host's SSH server")
        }
        NotSsh::Noise(text) => (
            format!("what answered is not SSH (it begins {text:?})"),
            "this is not the port of sshd: correct ansible_port (or Port)",
        ),
        NotSsh::Endless { bytes } => (
            format!("the server sent {bytes} bytes of text and no SSH identification"),
            "this is not the port of sshd: correct ansible_port (or Port)",
        ),
    };
    Failure::new(FailureKind::NotSsh, message, next)
}

fn broken_kex(error: &russh::Error, version: &str, peer: &Peer) -> Failure {
    match error {
        russh::Error::NoCommonAlgo { kind, theirs, .. } => {
            let (what, setting) = match kind {
                russh::AlgorithmKind::Kex => ("key exchange", "KexAlgorithms"),
                russh::AlgorithmKind::Key => ("host key type", "HostKeyAlgorithms"),
                russh::AlgorithmKind::Cipher => ("cipher", "Ciphers"),
                russh::AlgorithmKind::Mac => ("MAC", "MACs"),
                russh::AlgorithmKind::Compression => ("compression", "Compression"),
            };
            let theirs = quote(theirs.join(",").as_bytes());
            let message = format!("no common {what}: {version} offers only {theirs}");
            let next = format!("upgrade the host's SSH server, or allow one of these with {setting}");
            Failure::new(FailureKind::Kex, message, next)
        }
        russh::Error::WrongServerSig => Failure::new(
            FailureKind::Kex,
            format!("{version} could not prove that it holds its host key"),
            "do not log in: find out what answers under this address",
        ),
        _ => {
            let how = match (peer.gone(), error) {
                (Some(Gone::Said(words)), _) => format!("the server ended it: {words}"),
                (_, russh::Error::Disconnect | russh::Error::HUP | russh::Error::IO(_)) => {
                    "the connection was closed".to_owned()
                }
                (_, other) => quote(other.to_string().as_bytes()),
            };
            Failure::new(FailureKind::Kex, format!("the key exchange with {version} failed: {how}"), LOOK)
        }
    }
}
