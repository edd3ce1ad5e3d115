//! What goes over the wire before a host is trusted, read by somebody who sits between: nothing but the key exchange, and in it what
//! is offered.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use russh::MethodKind;
use seaworthy::failure::FailureKind;
use seaworthy::ssh::Destination;
use seaworthy::ssh::resolved::{HostKeyPolicy, Resolved};
use seaworthy::target::SshSettings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::jump::{behind, destinations, named};
use super::server::{self, Behaviour, Exec, Seen, Server};
use super::support::{Client, connector_with, new_key, patient, request};

/// Passes connections on to `port`, and keeps what clients send.
struct Tap {
    port: u16,
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Tap {
    async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let sent: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let kept = Arc::clone(&sent);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let index = {
                    let mut all = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    all.push(Vec::new());
                    all.len() - 1
                };
                let kept = Arc::clone(&kept);
                tokio::spawn(async move {
                    let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
                        (client.into_split(), server.into_split());
                    let back = tokio::spawn(async move {
                        let _gone = tokio::io::copy(&mut from_server, &mut to_client).await;
                    });
                    let mut space = vec![0; 32 << 10];
                    while let Ok(count @ 1..) = from_client.read(&mut space).await {
                        kept.lock().unwrap_or_else(PoisonError::into_inner)[index].extend_from_slice(&space[..count]);
                        if to_server.write_all(&space[..count]).await.is_err() {
                            break;
                        }
                    }
                    back.abort();
                });
            }
        });
        Self { port: own, sent, task }
    }

    /// What each client has sent.
    fn sent(&self) -> Vec<Vec<u8>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The payloads of a client's packets up to its first encrypted one, behind its line of identification.
fn packets(sent: &[u8]) -> Vec<&[u8]> {
    let line = sent.iter().position(|byte| *byte == b'\n').expect("it identifies itself");
    assert!(sent.starts_with(b"SSH-2.0-"));
    let (mut rest, mut found) = (&sent[line + 1..], Vec::new());
    while rest.len() > 5 {
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        let padding = usize::from(rest[4]);
        let payload = &rest[5..4 + length - padding];
        found.push(payload);
        rest = &rest[4 + length..];
        if payload[0] == NEWKEYS {
            break;
        }
    }
    found
}

const DISCONNECT: u8 = 1;
const KEXINIT: u8 = 20;
const NEWKEYS: u8 = 21;
/// The client's half of a key exchange.
const KEX: std::ops::RangeInclusive<u8> = 30..=34;

/// The server's view of a client that does not trust it.
fn assert_only_key_exchange(sent: &[u8]) {
    let kinds: Vec<u8> = packets(sent).iter().map(|payload| payload[0]).collect();
    assert_eq!(kinds[0], KEXINIT, "{kinds:?}");
    assert!(kinds[1..].iter().all(|kind| KEX.contains(kind) || *kind == DISCONNECT), "{kinds:?}");
    assert!(kinds.iter().any(|kind| KEX.contains(kind)), "it came as far as the host's key: {kinds:?}");
}

/// A server that would let anybody in by any way, and notes what is tried.
async fn curious(client: &Client) -> Server {
    let methods = vec![MethodKind::None, MethodKind::PublicKey, MethodKind::Password, MethodKind::KeyboardInteractive];
    let keys = vec![client.key.public_key().clone()];
    server::start(Behaviour { methods, keys, password: Some("secret".into()), ..Behaviour::default() }).await
}

fn assert_unasked(server: &Server) {
    let seen = &server.seen;
    let counts = [&seen.key_offers, &seen.passwords, &seen.logins, &seen.agent_requests].map(Seen::count);
    assert_eq!(counts, [0; 4]);
}

/// With everything that it could send.
fn eager(client: &Client, port: u16) -> Resolved {
    Resolved { password: Some("secret".into()), ..client.resolved(port) }
}

#[tokio::test]
async fn a_host_that_is_not_trusted_is_sent_nothing_but_the_key_exchange() {
    for (known, policy, kind) in [
        (false, HostKeyPolicy::Strict, FailureKind::HostKeyUnknown),
        (false, HostKeyPolicy::Ask, FailureKind::HostKeyUnknown),
        (true, HostKeyPolicy::Strict, FailureKind::HostKeyChanged),
        (true, HostKeyPolicy::AcceptNew, FailureKind::HostKeyChanged),
    ] {
        let client = Client::new();
        let server = curious(&client).await;
        let tap = Tap::before(server.port).await;
        let mut resolved = eager(&client, tap.port);
        resolved.host_key.policy = policy;
        if known {
            let other = new_key().public_key().to_openssh().unwrap();
            let line = format!("[127.0.0.1]:{} {other}\n", tap.port);
            std::fs::write(&resolved.host_key.user_files[0], line).unwrap();
        }
        let connector = connector_with(patient(), &[&resolved], None);
        let failure = connector.connect(&Destination::direct(resolved)).await.unwrap_err().failure;
        assert_eq!(failure.kind, kind, "{policy:?}");
        let sent = tap.sent();
        assert_eq!(sent.len(), 1);
        assert_only_key_exchange(&sent[0]);
        assert_unasked(&server);
    }
}

#[tokio::test]
async fn a_node_behind_a_bastion_is_sent_nothing_before_it_is_trusted_either() {
    let client = Client::new();
    let (bastion, target) = (curious(&client).await, curious(&client).await);
    let tap = Tap::before(target.port).await;
    let hop = Arc::new(Destination::direct(named(&client, &bastion, "bastion")));
    let mut resolved = Resolved { alias: "node".into(), ..eager(&client, tap.port) };
    resolved.host_key.policy = HostKeyPolicy::Strict;
    let destination = behind(resolved, vec![hop]);
    let connector = connector_with(patient(), &destination.connections(), None);
    let failure = connector.connect(&destination).await.unwrap_err().failure;
    assert_eq!(failure.kind, FailureKind::HostKeyUnknown);
    assert_eq!(Seen::count(&bastion.seen.logins), 1, "the bastion itself was trusted");
    let sent = tap.sent();
    assert_eq!(sent.len(), 1);
    assert_only_key_exchange(&sent[0]);
    assert_unasked(&target);
}

#[tokio::test]
async fn a_bastion_that_is_not_trusted_is_sent_nothing_and_carries_nothing() {
    let client = Client::new();
    let (bastion, target) = (curious(&client).await, curious(&client).await);
    let tap = Tap::before(bastion.port).await;
    let mut hop = Resolved { alias: "bastion".into(), ..eager(&client, tap.port) };
    hop.host_key.policy = HostKeyPolicy::Strict;
    let destination = behind(named(&client, &target, "node"), vec![Arc::new(Destination::direct(hop))]);
    let connector = connector_with(patient(), &destination.connections(), None);
    connector.connect(&destination).await.unwrap_err();
    assert_only_key_exchange(&tap.sent()[0]);
    assert_unasked(&bastion);
    assert_eq!(Seen::count(&target.seen.connections), 0);
}

/// The lists of a client's offer: key exchange, host keys, ciphers, MACs, compression, each in its order.
async fn offered(client: &Client, settle: impl FnOnce(Resolved) -> Resolved) -> [Vec<String>; 5] {
    let server = curious(client).await;
    let tap = Tap::before(server.port).await;
    let resolved = settle(client.resolved(tap.port));
    let connector = connector_with(patient(), &[&resolved], None);
    if let Ok(session) = connector.connect(&Destination::direct(resolved)).await {
        session.close().await;
    }
    let sent = tap.sent();
    let packets = packets(&sent[0]);
    let mut rest = &packets[0][1 + 16..];
    let mut next = || {
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        let list = String::from_utf8(rest[4..4 + length].to_vec()).unwrap();
        rest = &rest[4 + length..];
        list.split(',').map(str::to_owned).collect::<Vec<_>>()
    };
    let lists: Vec<Vec<String>> = (0..8).map(|_| next()).collect();
    assert_eq!((&lists[2], &lists[4], &lists[6]), (&lists[3], &lists[5], &lists[7]), "the same in both directions");
    [0, 1, 2, 4, 6].map(|list: usize| lists[list].clone())
}

#[tokio::test]
async fn what_is_offered_is_this_and_nothing_else() {
    let client = Client::new();
    let [kex, keys, ciphers, macs, compression] = offered(&client, |resolved| resolved).await;
    insta::assert_snapshot!(kex.join("\n"), @r"
    mlkem768x25519-sha256
    curve25519-sha256
    curve25519-sha256@libssh.org
    ecdh-sha2-nistp256
    ecdh-sha2-nistp384
    ecdh-sha2-nistp521
    diffie-hellman-group16-sha512
    diffie-hellman-group14-sha256
    diffie-hellman-group18-sha512
    diffie-hellman-group-exchange-sha256
    ext-info-c
    kex-strict-c-v00@openssh.com
    ");
    insta::assert_snapshot!(keys.join("\n"), @r"
    ssh-ed25519
    ecdsa-sha2-nistp256
    ecdsa-sha2-nistp384
    ecdsa-sha2-nistp521
    rsa-sha2-512
    rsa-sha2-256
    ");
    insta::assert_snapshot!(ciphers.join("\n"), @r"
    aes128-gcm@openssh.com
    aes256-gcm@openssh.com
    chacha20-poly1305@openssh.com
    aes128-ctr
    aes192-ctr
    aes256-ctr
    ");
    insta::assert_snapshot!(macs.join("\n"), @r"
    hmac-sha2-256-etm@openssh.com
    hmac-sha2-512-etm@openssh.com
    hmac-sha2-256
    hmac-sha2-512
    ");
    assert_eq!(compression, ["none"]);
}

#[tokio::test]
async fn weak_algorithms_are_offered_to_the_host_that_they_are_allowed_for_alone() {
    let client = Client::new();
    let weak = [
        ("KexAlgorithms", "diffie-hellman-group14-sha1"),
        ("HostKeyAlgorithms", "ssh-rsa"),
        ("Ciphers", "aes128-cbc"),
        ("MACs", "hmac-sha1"),
    ];
    let lines = weak.map(|(key, name)| format!("  {key} +{name}\n")).concat();
    let by_config = destinations(&client, &format!("Host old\n{lines}"));
    let options = weak.map(|(key, name)| (key.to_owned(), format!("+{name}"))).to_vec();
    for (host, said, allowed) in [
        ("old", SshSettings::default(), true),
        ("new", SshSettings::default(), false),
        // As the inventory's ssh arguments say it of one host.
        ("named", SshSettings { options, ..SshSettings::default() }, true),
    ] {
        let settled = by_config.resolve(host, &said).await.unwrap().resolved;
        let lists = offered(&client, |mine| Resolved {
            kex_algorithms: settled.kex_algorithms,
            host_key_algorithms: settled.host_key_algorithms,
            ciphers: settled.ciphers,
            macs: settled.macs,
            ..mine
        })
        .await;
        for (list, (key, name)) in lists.iter().zip(weak) {
            assert_eq!(list.iter().any(|offered| offered == name), allowed, "{host} {key}: {list:?}");
            assert_ne!(list[0], name, "{host} {key}: never before what is safe");
        }
    }
}

#[tokio::test]
async fn an_agent_is_never_forwarded_whatever_the_configuration_says() {
    let client = Client::new();
    let keys = vec![client.key.public_key().clone()];
    let behaviour = Behaviour { keys, exec: Exec::RunAndReachForTheAgent, ..Behaviour::default() };
    let (bastion, target) = (server::start(behaviour.clone()).await, server::start(behaviour).await);
    let asked =
        destinations(&client, "Host *\n  ForwardAgent yes\n  ForwardX11 yes\n  SendEnv *\n  RequestTTY force\n");
    // As `-o ForwardAgent=yes` among an inventory's ssh arguments.
    let options = vec![("ForwardAgent".to_owned(), "yes".to_owned())];
    let settled = asked.resolve("node", &SshSettings { options, ..SshSettings::default() }).await.unwrap().resolved;
    let hop = Arc::new(Destination::direct(named(&client, &bastion, "bastion")));
    let mine = named(&client, &target, "node");
    let Resolved { host, port, user, identity_files, host_key, route, .. } = mine;
    let destination = behind(Resolved { host, port, user, identity_files, host_key, route, ..settled }, vec![hop]);
    let connector = connector_with(patient(), &destination.connections(), None);
    let session = connector.connect(&destination).await.unwrap();
    let ran = join_all((0..3).map(|_| session.exec(request("echo here", b"")))).await;
    assert!(ran.iter().all(|outcome| outcome.stdout == b"here\n"));
    let refused = async {
        while Seen::count(&target.seen.refused_agent_channels) < 3 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), refused).await.expect("what a server opens to get at an agent is refused");
    session.close().await;
    for server in [&bastion, &target] {
        assert_eq!(Seen::count(&server.seen.agent_requests), 0);
        assert_eq!(Seen::count(&server.seen.other_requests), 0, "no terminal, X11, environment or forwarding back");
    }
}
