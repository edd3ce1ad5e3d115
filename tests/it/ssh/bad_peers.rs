//! Whatever answers at the port: each thing that is not a working SSH server has its own failure, within its own deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use seaworthy::failure::{FailureKind, Layer};
use seaworthy::ssh::resolved::Route;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::server::{self, Behaviour, Seen};
use super::support::{Client, connect_as, failure, patient, short};

/// Serves every connection with `talk` and returns the port.
pub(crate) async fn listen<F, T>(talk: F) -> u16
where
    F: Fn(TcpStream) -> T + Send + 'static,
    T: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            talk(stream).await;
        }
    });
    port
}

/// Last words, before the server says who it is.
async fn say_and_close(mut stream: TcpStream, words: &'static [u8]) {
    let _ = stream.write_all(words).await;
    let mut id = [0; 8];
    let _ = stream.read(&mut id).await;
    let _ = stream.shutdown().await;
}

/// Sends `bytes`, then keeps the connection open.
async fn say_and_wait(bytes: &'static [u8]) -> u16 {
    listen(move |mut stream| async move {
        let _ = stream.write_all(bytes).await;
        tokio::spawn(async move {
            let mut sink = Vec::new();
            let _ = stream.read_to_end(&mut sink).await;
        });
    })
    .await
}

#[tokio::test]
async fn what_is_not_ssh_is_told_apart() {
    let client = Client::new();
    let cases: &[(&[u8], FailureKind, &str)] = &[
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", FailureKind::NotSsh, "a web server answered (HTTP/1.1 400 Bad Request)"),
        (b"SSH-1.5-ancient\n", FailureKind::NotSsh, "the server speaks SSH 1.5 only"),
        (b"\0\x01\x02\x1b[2J\n", FailureKind::NotSsh, "what answered is not SSH"),
        (b"220 mail.example ESMTP\r\n", FailureKind::BannerTimeout, "text but no SSH identification within 1s"),
        (b"", FailureKind::BannerTimeout, "connected, but no SSH identification within 1s"),
        (b"SSH-2.0-Stuck\r\n", FailureKind::Kex, "the key exchange with SSH-2.0-Stuck did not finish within 1s"),
    ];
    for (bytes, kind, begins) in cases {
        let resolved = client.resolved(say_and_wait(bytes).await);
        let begun = Instant::now();
        let error = connect_as(&resolved, short()).await.unwrap_err();
        assert_eq!(error.failure.kind, *kind, "{}", error.failure);
        assert!(error.failure.message.starts_with(begins), "{}", error.failure);
        assert!(!error.failure.message.contains('\x1b'), "escaped");
        assert!(error.timings.tcp_ms.is_some() && error.timings.auth_ms.is_none());
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test]
async fn a_handshake_that_is_given_up_leaves_no_connection_behind() {
    let (told, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let port = listen(move |mut stream| {
        let told = told.clone();
        async move {
            stream.write_all(b"SSH-2.0-Stuck\r\n").await.unwrap();
            let mut sink = Vec::new();
            let _ = stream.read_to_end(&mut sink).await;
            told.send(()).unwrap();
        }
    })
    .await;
    let error = connect_as(&Client::new().resolved(port), short()).await.unwrap_err();
    assert_eq!(error.failure.kind, FailureKind::Kex);
    tokio::time::timeout(Duration::from_secs(10), ended.recv()).await.expect("the server sees the end of the stream");
}

#[tokio::test]
async fn an_endless_banner_is_cut_off() {
    let port = listen(|mut stream| async move {
        tokio::spawn(async move { while stream.write_all(&b"Welcome!\r\n".repeat(64)).await.is_ok() {} });
    })
    .await;
    let failure = failure(&Client::new().resolved(port)).await;
    assert_eq!(failure.kind, FailureKind::NotSsh);
    assert!(failure.message.contains("bytes of text and no SSH identification"), "{failure}");
}

#[tokio::test]
async fn a_door_slammed_before_the_banner_quotes_the_last_words_and_names_penalties() {
    let port = listen(|stream| say_and_close(stream, b"Exceeded MaxStartups\r\n")).await;
    let failure = failure(&Client::new().resolved(port)).await;
    assert_eq!((failure.kind, failure.layer), (FailureKind::ConnectionLost, Layer::Banner));
    assert!(failure.message.ends_with("before identifying itself: Exceeded MaxStartups, 4 times"), "{failure}");
    assert!(failure.next.contains("PerSourcePenalties"));
}

#[tokio::test]
async fn a_node_that_drops_connections_at_first_is_tried_again() {
    let client = Client::new();
    let keys = vec![client.key.public_key().clone()];
    let server = server::start(Behaviour { keys, drop_first: 3, ..Behaviour::default() }).await;
    connect_as(&client.resolved(server.port), patient()).await.unwrap().close().await;
    assert_eq!(Seen::count(&server.seen.connections), 4);
}

#[tokio::test]
async fn a_door_that_a_penalty_shuts_is_knocked_at_once() {
    let knocks = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&knocks);
    let port = listen(move |stream| {
        counter.fetch_add(1, Ordering::Relaxed);
        say_and_close(stream, b"Not allowed at this time\r\n")
    })
    .await;
    let failure = failure(&Client::new().resolved(port)).await;
    assert!(failure.message.ends_with("before identifying itself: Not allowed at this time"), "{failure}");
    assert_eq!(knocks.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_close_in_the_key_exchange_is_kex() {
    let port = listen(|mut stream| async move {
        let _ = stream.write_all(b"SSH-2.0-Closer\r\n").await;
        let mut first = [0; 256];
        let _ = stream.read(&mut first).await;
    })
    .await;
    let failure = failure(&Client::new().resolved(port)).await;
    assert_eq!(failure.kind, FailureKind::Kex, "{failure}");
    assert!(failure.message.contains("SSH-2.0-Closer"), "{failure}");
}

#[tokio::test]
async fn no_common_algorithm_names_what_the_server_has() {
    let preferred = russh::Preferred { kex: vec![russh::kex::DH_G1_SHA1].into(), ..russh::Preferred::default() };
    let server = server::start(Behaviour { preferred: Some(preferred), ..Behaviour::default() }).await;
    let failure = failure(&Client::new().resolved(server.port)).await;
    assert_eq!(failure.kind, FailureKind::Kex);
    assert!(failure.message.contains("no common key exchange"), "{failure}");
    assert!(failure.message.contains("diffie-hellman-group1-sha1"), "{failure}");
}

#[tokio::test]
async fn text_before_the_identification_is_allowed() {
    let client = Client::new();
    let behaviour = Behaviour { keys: vec![client.key.public_key().clone()], ..Behaviour::default() };
    let server = server::start(behaviour).await;
    let behind = server.port;
    let port = listen(move |mut near| async move {
        let notice = "Property of the harbour authority.\r\n".repeat(40);
        near.write_all(notice.as_bytes()).await.unwrap();
        let mut far = TcpStream::connect(("127.0.0.1", behind)).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    })
    .await;
    connect_as(&client.resolved(port), patient()).await.unwrap().close().await;
}

#[tokio::test]
async fn refused_dns_and_bad_settings_are_told_apart() {
    let client = Client::new();
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let refused = failure(&client.resolved(port)).await;
    assert_eq!(refused.kind, FailureKind::Refused);
    assert_eq!(refused.message, format!("127.0.0.1:{port}: connection refused"));

    let mut nowhere = client.resolved(22);
    nowhere.host = "no-such-host.invalid".into();
    let error = connect_as(&nowhere, patient()).await.unwrap_err();
    assert_eq!(error.failure.kind, FailureKind::Dns);
    assert!(error.timings.dns_ms.is_some() && error.timings.tcp_ms.is_none());

    let mut bound = client.resolved(22);
    bound.bind_address = Some("eth0".into());
    assert_eq!(failure(&bound).await.kind, FailureKind::Settings);
    let mut ciphers = client.resolved(say_and_wait(b"").await);
    ciphers.ciphers = Some("none".into());
    assert_eq!(failure(&ciphers).await.kind, FailureKind::Settings);
}

#[tokio::test]
async fn all_addresses_of_a_name_are_tried() {
    // localhost is ::1 and 127.0.0.1 on most machines; the server listens on the second only.
    let client = Client::new();
    let behaviour = Behaviour { keys: vec![client.key.public_key().clone()], ..Behaviour::default() };
    let server = server::start(behaviour).await;
    let mut resolved = client.resolved(server.port);
    resolved.host = "localhost".into();
    let session = connect_as(&resolved, patient()).await.unwrap();
    assert!(session.timings.dns_ms.is_some());
    session.close().await;
}

#[tokio::test]
async fn a_proxy_command_carries_the_connection_and_its_failure_is_told() {
    let client = Client::new();
    let behaviour = Behaviour { keys: vec![client.key.public_key().clone()], ..Behaviour::default() };
    let server = server::start(behaviour).await;
    let mut resolved = client.resolved(1);
    // A relay in nothing but bash: what netcat would do.
    let port = server.port;
    resolved.route =
        Route::Command(format!("exec bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}; cat <&3 & exec cat >&3'"));
    let session = connect_as(&resolved, patient()).await.unwrap();
    let outcome = session.exec(super::support::request("echo through", b"")).await;
    assert_eq!(outcome.stdout, b"through\n");

    resolved.route = Route::Command("echo 'cloudflared: no tunnel' >&2; exit 7".into());
    let failure = failure(&resolved).await;
    assert_eq!(failure.kind, FailureKind::ProxyCommand);
    assert!(failure.message.contains("ended with exit code 7"), "{failure}");
    assert!(failure.message.ends_with("cloudflared: no tunnel"), "{failure}");
}

#[tokio::test]
async fn a_proxy_command_is_killed_with_its_children() {
    let client = Client::new();
    let note = client.dir.path().join("pid");
    let mut resolved = client.resolved(1);
    resolved.route = Route::Command(format!("sleep 3600 & echo $! > {}; wait", note.display()));
    let error = connect_as(&resolved, short()).await.unwrap_err();
    assert_eq!(error.failure.kind, FailureKind::BannerTimeout);
    let pid = std::fs::read_to_string(note).unwrap();
    let path = format!("/proc/{}/stat", pid.trim());
    let gone = async {
        while std::fs::read_to_string(&path).is_ok_and(|stat| !stat.contains(") Z ")) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
}
