//! The real sshd on loopback. Skipped, and said so, where there is none or where this user cannot start it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use russh::keys::ssh_key::certificate::{Builder, CertType};
use seaworthy::failure::FailureKind;
use seaworthy::ssh::resolved::Resolved;
use seaworthy::ssh::{Destination, ExecRequest, Exit, NotForwarded};

use super::support::{Client, connect, connector_with, failure, new_key, new_rsa_key, patient, request, write_key};

const SSHD: &str = "/usr/sbin/sshd";

pub(crate) struct Sshd {
    pub child: Child,
    pub port: u16,
    pub client: Client,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts sshd with these additional settings; `None`, with a word why, when that is not possible here.
pub(crate) async fn sshd(extra: &str) -> Option<Sshd> {
    if !Path::new(SSHD).exists() || !rustix::process::geteuid().is_root() {
        eprintln!("skipped: no {SSHD} here, or not root");
        return None;
    }
    let _ = fs::create_dir_all("/run/sshd");
    let client = Client::new();
    let dir = client.dir.path();
    // sshd insists that nobody else can write to any directory above the keys.
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).unwrap();
    let host_key = write_key(dir, "host", &new_key());
    let allowed = dir.join("authorized_keys");
    fs::write(&allowed, client.key.public_key().to_openssh().unwrap()).unwrap();
    let extra = extra.replace("DIR", &dir.display().to_string());
    for _ in 0..20 {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = dir.join("sshd_config");
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
             UsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n{extra}\n",
            host_key.display(),
            allowed.display(),
        );
        fs::write(&config, text).unwrap();
        let log = fs::File::create(dir.join("log")).unwrap();
        let mut child =
            Command::new(SSHD).args(["-D", "-e", "-f"]).arg(&config).stderr(Stdio::from(log)).spawn().unwrap();
        let listening = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                if child.try_wait().unwrap().is_some() {
                    return false;
                }
                tokio::task::yield_now().await;
            }
            true
        };
        if tokio::time::timeout(Duration::from_secs(10), listening).await.unwrap_or(false) {
            return Some(Sshd { child, port, client });
        }
        let _ = child.kill();
        let _ = child.wait();
    }
    eprintln!("skipped: sshd does not start here: {}", fs::read_to_string(dir.join("log")).unwrap_or_default());
    None
}

impl Sshd {
    fn resolved(&self) -> Resolved {
        self.client.resolved(self.port)
    }
}

#[tokio::test]
async fn a_script_runs_and_every_byte_comes_back() {
    let Some(sshd) = sshd("").await else { return };
    let session = connect(&sshd.resolved()).await;
    let outcome = session.exec(request("sh -s", b"echo out; echo err >&2; exit 3")).await;
    assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
    assert_eq!(outcome.exit, Exit::Code(3));
    assert!(outcome.stdout.ends_with(b"out\n") && outcome.stderr.ends_with(b"err\n"));

    let big: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_be_bytes).collect();
    let echoed = session.exec(request("cat", &big)).await;
    assert!(echoed.failure.is_none(), "{:?}", echoed.failure);
    assert!(echoed.stdout.ends_with(&big));

    let killed = session.exec(request("kill -KILL $$", b"")).await;
    assert_eq!(killed.exit, Exit::Signal("KILL".into()));
    session.close().await;
}

#[tokio::test]
async fn what_the_shells_startup_files_print_comes_before_the_command() {
    let Some(sshd) = sshd("ForceCommand echo welcome aboard; echo careful >&2; eval \"$SSH_ORIGINAL_COMMAND\"").await
    else {
        return;
    };
    let outcome = connect(&sshd.resolved()).await.exec(request("sh -s", b"echo hello")).await;
    let text = String::from_utf8(outcome.stdout.clone()).unwrap();
    assert!(text.ends_with("welcome aboard\nhello\n"), "{text}");
    let offset = text.find("hello").unwrap();
    assert!(outcome.arrived(offset).unwrap().instant >= outcome.sent.unwrap().instant);
}

#[tokio::test]
async fn user_certificates_are_accepted_for_every_key_type() {
    let Some(sshd) = sshd("TrustedUserCAKeys DIR/ca.pub\nAuthorizedKeysFile none").await else { return };
    let dir: PathBuf = sshd.client.dir.path().into();
    let authority = new_key();
    fs::write(dir.join("ca.pub"), authority.public_key().to_openssh().unwrap()).unwrap();
    let rng = &mut russh::keys::key::safe_rng();
    for (name, key) in [("ed", new_key()), ("rsa", new_rsa_key())] {
        let mut builder = Builder::new_with_random_nonce(rng, key.public_key(), 0, u64::MAX - 1).unwrap();
        builder.cert_type(CertType::User).unwrap().valid_principal("root").unwrap().key_id(name).unwrap();
        for permit in ["permit-pty", "permit-port-forwarding"] {
            builder.extension(permit, "").unwrap();
        }
        let certificate = builder.sign(&authority).unwrap();
        let mut resolved = sshd.resolved();
        resolved.identity_files = vec![write_key(&dir, name, &key)];
        fs::write(dir.join(format!("{name}-cert.pub")), certificate.to_openssh().unwrap()).unwrap();
        let outcome = connect(&resolved).await.exec(request("echo in", b"")).await;
        assert!(outcome.stdout.ends_with(b"in\n"), "{name}");
    }
}

#[tokio::test]
async fn the_agent_of_openssh_signs() {
    let Some(sshd) = sshd("").await else { return };
    let socket = sshd.client.dir.path().join("agent");
    let agent = Command::new("ssh-agent").args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).spawn();
    let Ok(mut agent) = agent else { return eprintln!("skipped: no ssh-agent") };
    let ready = async {
        while !socket.exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ready).await.unwrap();
    let added =
        Command::new("ssh-add").arg(&sshd.client.key_file).env("SSH_AUTH_SOCK", &socket).stderr(Stdio::null()).status();
    assert!(added.unwrap().success());
    let mut resolved = sshd.resolved();
    resolved.identity_files.clear();
    resolved.agent = seaworthy::ssh::resolved::AgentChoice::Socket(socket);
    let outcome = connect(&resolved).await.exec(request("echo in", b"")).await;
    let _ = agent.kill();
    let _ = agent.wait();
    assert!(outcome.stdout.ends_with(b"in\n"));
}

#[tokio::test]
async fn limits_of_the_server_have_their_own_failures() {
    let Some(few) = sshd("MaxSessions 0").await else { return };
    let refused = connect(&few.resolved()).await.exec(request("true", b"")).await.failure.unwrap();
    assert_eq!(refused.kind, FailureKind::Channel, "{refused}");

    let Some(strict) = sshd("MaxAuthTries 2").await else { return };
    let mut resolved = strict.resolved();
    resolved.identity_files =
        (0..4).map(|index| write_key(strict.client.dir.path(), &format!("k{index}"), &new_key())).collect();
    let failure = failure(&resolved).await;
    assert_eq!(failure.kind, FailureKind::Auth, "{failure}");
    assert!(failure.message.contains("Too many authentication failures"), "{failure}");
    assert!(failure.next.contains("IdentitiesOnly"), "{}", failure.next);
}

#[tokio::test]
async fn a_hung_command_is_left_at_its_deadline() {
    let Some(sshd) = sshd("").await else { return };
    let session = connect(&sshd.resolved()).await;
    let hung = ExecRequest { deadline: Duration::from_secs(4), ..request("echo so far; exec sleep 30", b"") };
    let outcome = session.exec(hung).await;
    assert_eq!(outcome.failure.unwrap().kind, FailureKind::ExecTimeout);
    assert!(outcome.stdout.ends_with(b"so far\n"));
    assert!(outcome.exec.unwrap() < Duration::from_secs(15));
}

#[tokio::test]
async fn what_sshd_cannot_reach_is_told_in_its_words() {
    let Some(sshd) = sshd("").await else { return };
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut target = sshd.client.resolved(closed);
    let hop = Arc::new(Destination::direct(sshd.resolved()));
    let run = async |target: Resolved| {
        let destination = Destination { resolved: target, hops: vec![Arc::clone(&hop)] };
        let connector = connector_with(patient(), &destination.connections(), None);
        connector.connect(&destination).await.unwrap_err().failure
    };
    let refused = run(target.clone()).await;
    assert_eq!(refused.kind, FailureKind::Refused, "{refused}");
    assert!(refused.message.ends_with("connection refused"), "{refused}");
    target.host = "no-such-host.invalid".into();
    let unknown = run(target).await;
    assert_eq!(unknown.kind, FailureKind::Dns, "{unknown}");
}

#[tokio::test]
async fn every_cipher_and_key_exchange_on_offer_works() {
    let Some(sshd) = sshd("").await else { return };
    let ciphers = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr"];
    let exchanges = ["curve25519-sha256", "ecdh-sha2-nistp256", "diffie-hellman-group14-sha256", "ecdh-sha2-nistp384"];
    for (cipher, kex) in ciphers.into_iter().zip(exchanges) {
        let mut resolved = sshd.resolved();
        resolved.ciphers = Some(cipher.into());
        resolved.kex_algorithms = Some(kex.into());
        let session = connect(&resolved).await;
        let outcome = session.exec(request("echo in", b"")).await;
        assert!(outcome.stdout.ends_with(b"in\n"), "{cipher} {kex}");
    }
}

#[tokio::test]
async fn sshds_own_words_tell_why_a_node_reaches_nobody() {
    let Some(open) = sshd("").await else { return };
    let session = connect(&open.resolved()).await;
    let patience = Duration::from_secs(20);
    let dial = async |host: &str, port| session.forward(host, port, patience).await.map(drop);
    assert_eq!(dial("127.0.0.1", 1).await, Err(NotForwarded::Failed("Connection refused".into())));
    let Err(NotForwarded::Failed(words)) = dial("name.invalid", 6443).await else { panic!("it resolved") };
    assert!(words.contains("not known") || words.contains("name resolution"), "{words}");
    assert_eq!(dial("127.0.0.1", open.port).await, Ok(()));
    session.close().await;

    let Some(closed) = sshd("AllowTcpForwarding no").await else { return };
    let session = connect(&closed.resolved()).await;
    let refused = session.forward("127.0.0.1", closed.port, patience).await.map(drop);
    assert!(matches!(refused, Err(NotForwarded::Forbidden(_))), "{refused:?}");
    assert_eq!(session.exec(request("echo still", b"")).await.stdout, b"still\n");
    session.close().await;
}
