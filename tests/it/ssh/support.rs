//! What the tests of this area share: settings, keys, connectors, a fake agent.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::RsaKeypair;
use russh::keys::{Algorithm, PrivateKey};
use seaworthy::failure::Failure;
use seaworthy::ssh::known_hosts::KnownHosts;
use seaworthy::ssh::resolved::{AddressFamily, AgentChoice, HostKeyPolicy, HostKeySettings, Methods, Resolved, Route};
use seaworthy::ssh::{
    Agents, ConnectError, Connector, ConnectorOptions, Deadlines, Destination, ExecRequest, KeyRing, Session,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

pub(crate) fn new_key() -> PrivateKey {
    PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap()
}

/// 2048 bits: the usual 4096 take half a minute to find in a debug build.
pub(crate) fn new_rsa_key() -> PrivateKey {
    let pair = RsaKeypair::random(&mut russh::keys::key::safe_rng(), 2048).unwrap();
    PrivateKey::new(pair.into(), "").unwrap()
}

/// A directory with a key pair, and settings for a host at 127.0.0.1 that use nothing of the user's.
pub(crate) struct Client {
    pub dir: TempDir,
    pub key: PrivateKey,
    pub key_file: PathBuf,
}

impl Client {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = new_key();
        let key_file = write_key(dir.path(), "id", &key);
        Self { dir, key, key_file }
    }

    pub(crate) fn resolved(&self, port: u16) -> Resolved {
        Resolved {
            alias: "node".into(),
            host: "127.0.0.1".into(),
            port,
            user: "root".into(),
            identity_files: vec![self.key_file.clone()],
            identity_files_are_defaults: false,
            certificate_files: Vec::new(),
            identities_only: false,
            agent: AgentChoice::None,
            password: None,
            methods: Methods { publickey: true, password: true, keyboard_interactive: true },
            host_key: HostKeySettings {
                policy: HostKeyPolicy::AcceptNew,
                alias: None,
                user_files: vec![self.dir.path().join("known_hosts")],
                global_files: Vec::new(),
                hash_names: false,
            },
            route: Route::Direct,
            connect_timeout: None,
            keepalive: None,
            address_family: AddressFamily::Any,
            bind_address: None,
            kex_algorithms: None,
            ciphers: None,
            macs: None,
            host_key_algorithms: None,
        }
    }
}

pub(crate) fn write_key(dir: &Path, name: &str, key: &PrivateKey) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, key.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// Deadlines far longer than any step on loopback takes, and far shorter than a test should hang.
pub(super) fn patient() -> Deadlines {
    let long = Duration::from_secs(20);
    Deadlines { dns: long, tcp: long, handshake: long, auth: long, open: long }
}

/// For peers that never finish the handshake.
pub(super) fn short() -> Deadlines {
    Deadlines { handshake: Duration::from_secs(1), ..patient() }
}

pub(super) fn connector_with(deadlines: Deadlines, connections: &[&Resolved], agent: Option<PathBuf>) -> Connector {
    Connector::new(ConnectorOptions {
        deadlines,
        known_hosts: Arc::new(KnownHosts::new()),
        keys: KeyRing::load(connections.iter().copied()),
        agents: Agents::new(agent),
        keepalive: Duration::from_secs(15),
    })
}

pub(super) async fn connect_as(resolved: &Resolved, deadlines: Deadlines) -> Result<Session, ConnectError> {
    let connector = connector_with(deadlines, &[resolved], None);
    connector.connect(&Destination::direct(resolved.clone())).await
}

pub(crate) async fn connect(resolved: &Resolved) -> Session {
    connect_as(resolved, patient()).await.unwrap()
}

pub(super) async fn failure(resolved: &Resolved) -> Failure {
    connect_as(resolved, patient()).await.unwrap_err().failure
}

pub(crate) fn request<'a>(command: &'a str, stdin: &'a [u8]) -> ExecRequest<'a> {
    ExecRequest {
        command,
        stdin,
        sudo: None,
        deadline: Duration::from_secs(20),
        stdout_cap: 16 << 20,
        stderr_cap: 64 << 10,
    }
}

/// How a fake agent answers a request for a signature.
#[derive(Clone, Copy)]
pub(super) enum Signs {
    Refuses,
    Never,
    Garbage,
}

/// An agent that holds `keys` and signs nothing.
pub(super) fn fake_agent(dir: &Path, keys: &[&PrivateKey], signs: Signs) -> PathBuf {
    let socket = dir.join("agent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut list = vec![12];
    list.extend(u32::try_from(keys.len() + 1).unwrap().to_be_bytes());
    let mut put = |bytes: &[u8]| {
        list.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
        list.extend_from_slice(bytes);
    };
    // The first identity is of a kind that nobody can decode.
    put(b"\0\0\0\x07unknown");
    put(b"strange");
    for key in keys {
        put(&key.public_key().to_bytes().unwrap());
        put(b"me@laptop");
    }
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let list = list.clone();
            tokio::spawn(async move {
                while let Ok(length) = stream.read_u32().await {
                    let mut request = vec![0; length as usize];
                    if stream.read_exact(&mut request).await.is_err() {
                        return;
                    }
                    let answer = match (request[0], signs) {
                        (11, _) => list.clone(),
                        (_, Signs::Refuses) => vec![5],
                        (_, Signs::Garbage) => vec![14, 0, 0],
                        (_, Signs::Never) => std::future::pending().await,
                    };
                    stream.write_u32(u32::try_from(answer.len()).unwrap()).await.unwrap();
                    stream.write_all(&answer).await.unwrap();
                }
            });
        }
    });
    socket
}
