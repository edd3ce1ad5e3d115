//! Before a login: what answers at the port, and how its keys are exchanged.

use std::borrow::Cow;
use std::time::Duration;

use futures::future::BoxFuture;
use russh::keys::Algorithm;
use seaworthy::failure::FailureKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::case::{Case, Expected, Peer, case};
use crate::ssh::support::new_rsa_key;

pub(super) fn cases() -> Vec<Case> {
    [banners(), keys()].into_iter().flatten().collect()
}

fn banners() -> Vec<Case> {
    use Expected::Failure;
    use FailureKind::{BannerTimeout, ConnectionLost, NotSsh};
    use Peer::Tcp;
    vec![
        case(
            "no-banner",
            "takes the connection and says nothing",
            Tcp(|stream| say(stream, b"")),
            Failure(BannerTimeout, "no SSH identification within 5s"),
        ),
        case(
            "endless-banner",
            "sends lines before its identification, without end",
            Tcp(|stream| flood(stream, b"Welcome!\r\n")),
            Failure(NotSsh, "bytes of text and no SSH identification"),
        ),
        case(
            "endless-banner-line",
            "sends one line before its identification, without end",
            Tcp(|stream| flood(stream, b"Welcome! ")),
            Failure(NotSsh, "not SSH"),
        ),
        case(
            "slow-banner",
            "sends its identification at one byte a second",
            Tcp(drip),
            Failure(BannerTimeout, "no SSH identification within 5s"),
        ),
        case(
            "long-identification",
            "has an identification of 64 KiB",
            Tcp(|stream| {
                Box::pin(async move {
                    let long = format!("SSH-2.0-{}\r\n", "x".repeat(64 << 10));
                    say(stream, long.as_bytes()).await;
                })
            }),
            Failure(NotSsh, "not SSH"),
        ),
        case(
            "web-server",
            "is a web server with terminal escapes in its answer",
            Tcp(|stream| say(stream, b"HTTP/1.1 400 \x1b]0;owned\x07Bad\x1b[2J\r\n\r\n")),
            Failure(NotSsh, "a web server answered"),
        ),
        case(
            "binary-banner",
            "sends bytes that are no text, with terminal escapes among them",
            Tcp(|stream| say(stream, b"\0\x01\xff\xfe\x1b[2J\x9b31m\n")),
            Failure(NotSsh, "what answered is not SSH"),
        ),
        case(
            "closes-before-banner",
            "closes with a word of farewell, without identification",
            Tcp(|stream| once(stream, b"Exceeded \x1b[31mMaxStartups\r\n")),
            Failure(ConnectionLost, "before identifying itself"),
        ),
    ]
}

fn keys() -> Vec<Case> {
    use Expected::Failure;
    use FailureKind::{HostKeyChanged, Kex};
    use Peer::{Ssh, Tcp};
    vec![
        case(
            "slow-key-exchange",
            "sends its part of the key exchange at one byte a second",
            Tcp(drip_in_kex),
            Failure(Kex, "did not finish within 5s"),
        ),
        case(
            "closes-after-banner",
            "closes after its identification",
            Tcp(|stream| once(stream, b"SSH-2.0-Closer\r\n")),
            Failure(Kex, "SSH-2.0-Closer"),
        ),
        case(
            "key-exchange-silent",
            "never answers the key exchange",
            Tcp(|stream| say(stream, b"SSH-2.0-Stuck\r\n")),
            Failure(Kex, "did not finish within 5s"),
        ),
        case(
            "key-exchange-garbage",
            "announces a packet of 4 GiB and floods",
            Tcp(|stream| {
                Box::pin(async move {
                    let mut stream = stream;
                    let _ = stream.write_all(b"SSH-2.0-Garbage\r\n").await;
                    flood(stream, &[0xff; 4096]).await;
                })
            }),
            Failure(Kex, "SSH-2.0-Garbage"),
        ),
        case(
            "no-common-algorithm",
            "knows only an outdated key exchange",
            Ssh(|behaviour| {
                let kex = vec![russh::kex::DH_G1_SHA1].into();
                behaviour.preferred = Some(russh::Preferred { kex, ..russh::Preferred::default() });
            }),
            Failure(Kex, "no common key exchange"),
        ),
        case(
            "wrong-key-types",
            "has a host key that signs with SHA-1 only",
            Ssh(|behaviour| {
                behaviour.host_key = new_rsa_key();
                let key = Cow::Owned(vec![Algorithm::Rsa { hash: None }]);
                behaviour.preferred = Some(russh::Preferred { key, ..russh::Preferred::default() });
            }),
            Failure(Kex, "no common host key"),
        ),
        case(
            "key-changed-in-mid-run",
            "shows another host key than earlier in the same run, when it was learned",
            Peer::Turncoat,
            Failure(HostKeyChanged, "the host presented"),
        ),
    ]
}

/// Says it, and reads until the client leaves.
fn say(mut stream: TcpStream, bytes: &[u8]) -> BoxFuture<'static, ()> {
    let bytes = bytes.to_vec();
    Box::pin(async move {
        let _ = stream.write_all(&bytes).await;
        let mut sink = Vec::new();
        let _ = stream.read_to_end(&mut sink).await;
    })
}

/// Says it, hears the client's first words and closes.
fn once(mut stream: TcpStream, bytes: &'static [u8]) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let _ = stream.write_all(bytes).await;
        let _ = stream.read(&mut [0; 256]).await;
    })
}

/// Says it for as long as the client listens.
fn flood(mut stream: TcpStream, bytes: &'static [u8]) -> BoxFuture<'static, ()> {
    Box::pin(async move { while stream.write_all(&bytes.repeat(64)).await.is_ok() {} })
}

async fn slowly(stream: &mut TcpStream, bytes: impl IntoIterator<Item = u8> + Send) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    for byte in bytes {
        ticks.tick().await;
        if stream.write_all(&[byte]).await.is_err() {
            return;
        }
    }
}

fn drip(mut stream: TcpStream) -> BoxFuture<'static, ()> {
    Box::pin(async move { slowly(&mut stream, *b"SSH-2.0-Slow_and_slower_and_slower\r\n").await })
}

fn drip_in_kex(mut stream: TcpStream) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let _ = stream.write_all(b"SSH-2.0-Slow\r\n").await;
        // The head of a packet of 1,000 bytes: key exchange, and a cookie of zeros.
        let head = [0, 0, 3, 0xe8, 4, 20];
        slowly(&mut stream, head.into_iter().chain(std::iter::repeat_n(0, 1000))).await;
    })
}
