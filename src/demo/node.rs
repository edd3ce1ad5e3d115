//! One SSH connection to one node: russh's server side, driven by the node's behaviour.
//!
//! Whatever a behaviour does, it must not cost: a connection holds an `Arc` and a few words, and what waits, waits
//! without a thread or a timer of its own.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use russh::keys::PublicKey;
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Disconnect, MethodKind, MethodSet, Preferred, SshId, cipher};
use tokio::net::TcpStream;

use super::access::{self, USER};
use super::answer;
use super::cluster::Cluster;
use super::plan::{Behaviour, Plan};
use super::shell::{self, Output, Request};
use super::vars::Values;

/// How much of a script is looked at for the probe's nonce, and kept of a script that is not the probe.
const MAX_SCRIPT: usize = 64 * 1024;

/// How long a node that never answers authentication holds the connection: sshd's `LoginGraceTime`.
const LOGIN_GRACE: Duration = Duration::from_mins(2);

/// What sshd offers as well: russh leaves aes128-gcm out, which is the cheapest on machines with AES instructions.
const CIPHERS: &[cipher::Name] = &[
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];

/// What all connections of a fleet share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) plan: Plan,
    pub(super) cluster: Cluster,
    pub(super) client_key: PublicKey,
    /// Where each node is dialled.
    pub(super) endpoints: Vec<SocketAddr>,
    /// Made at the first connection to a node: its host key is most of it.
    configs: Vec<OnceLock<Arc<Config>>>,
}

impl Shared {
    pub(super) fn new(plan: Plan, client_key: PublicKey, endpoints: Vec<SocketAddr>) -> Self {
        let cluster = Cluster::new(&plan, now_ms() / 1000);
        let configs = plan.nodes.iter().map(|_| OnceLock::new()).collect();
        Self { plan, cluster, client_key, endpoints, configs }
    }

    pub(super) fn config(&self, index: usize) -> Arc<Config> {
        let make = || {
            Arc::new(Config {
                server_id: SshId::Standard("SSH-2.0-seaworthy_demo".into()),
                methods: MethodSet::from([MethodKind::PublicKey].as_slice()),
                keys: vec![access::host_key(self.plan.seed, index)],
                // Constant-time refusals protect nothing here and would slow the sweep of a node that refuses.
                auth_rejection_time: Duration::ZERO,
                auth_rejection_time_initial: Some(Duration::ZERO),
                nodelay: true,
                preferred: Preferred { cipher: Cow::Borrowed(CIPHERS), ..Preferred::DEFAULT },
                ..Config::default()
            })
        };
        self.configs[index].get_or_init(make).clone()
    }

    fn values(&self, index: usize) -> Values<'_> {
        Values { plan: &self.plan, cluster: &self.cluster, index, now_ms: now_ms() }
    }
}

/// This machine's clock, which is also the nodes'.
pub(super) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// The handler of one connection.
pub(super) struct Connection {
    shared: Arc<Shared>,
    index: usize,
    scripts: HashMap<ChannelId, Script>,
}

/// A script that is arriving on standard input.
#[derive(Default)]
struct Script {
    text: Vec<u8>,
    /// Set once the greeting was sent.
    nonce: Option<String>,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, index: usize) -> Self {
        Self { shared, index, scripts: HashMap::new() }
    }

    fn behaviour(&self) -> Behaviour {
        self.shared.plan.nodes[self.index].behaviour
    }

    /// Text that a badly set-up shell prints around everything.
    fn noise(&self, session: &mut Session, channel: ChannelId, text: &'static str) -> Result<(), russh::Error> {
        if self.behaviour() == Behaviour::NoisyShell {
            session.data(channel, text.as_bytes().to_vec())?;
        }
        Ok(())
    }

    /// Sends the greeting as soon as the nonce is known: the node's clock is read between two of the client's.
    fn greet(&self, script: &mut Script, session: &mut Session, channel: ChannelId) -> Result<(), russh::Error> {
        let Some(nonce) = shell::nonce(&script.text).map(str::to_owned) else { return Ok(()) };
        let hello = answer::hello(&self.shared.values(self.index), &nonce);
        session.data(channel, hello.into_bytes())?;
        script.text = Vec::new();
        if self.behaviour() == Behaviour::HugeOutput {
            session.data(channel, format!("@@{nonce} dmesg 0 1\n").into_bytes())?;
            print_for_ever(session, channel);
        }
        script.nonce = Some(nonce);
        Ok(())
    }

    /// The rest of the probe's output, as far as this node sends it.
    fn answer(&self, nonce: &str, session: &mut Session, channel: ChannelId) -> Result<(), russh::Error> {
        let mut text = answer::sections(&self.shared.values(self.index), nonce);
        match self.behaviour() {
            // It is printing already.
            Behaviour::HugeOutput => return Ok(()),
            Behaviour::HangInProbe => {
                text.truncate(answer::half(&text).len());
                return session.data(channel, text);
            }
            Behaviour::DropMidSection => {
                text.truncate(answer::half(&text).len());
                session.data(channel, text)?;
                return session.disconnect(Disconnect::ByApplication, "", "");
            }
            _ => {}
        }
        session.data(channel, text)?;
        self.noise(session, channel, "logout\n")?;
        finish(session, channel, 0)
    }

    fn print(&self, output: Output, session: &mut Session, channel: ChannelId) -> Result<(), russh::Error> {
        if self.behaviour() == Behaviour::HugeOutput {
            print_for_ever(session, channel);
            return Ok(());
        }
        if self.behaviour() == Behaviour::HangInProbe {
            return Ok(());
        }
        session.data(channel, output.stdout.into_bytes())?;
        if !output.stderr.is_empty() {
            session.extended_data(channel, 1, output.stderr.into_bytes())?;
        }
        self.noise(session, channel, "logout\n")?;
        finish(session, channel, output.status)
    }

    fn authenticate(&self, user: &str, key: &PublicKey) -> Auth {
        let known = user == USER && key.key_data() == self.shared.client_key.key_data();
        if known && self.behaviour() != Behaviour::RefuseKey { Auth::Accept } else { Auth::reject() }
    }
}

fn finish(session: &mut Session, channel: ChannelId, status: u32) -> Result<(), russh::Error> {
    session.exit_status_request(channel, status)?;
    session.eof(channel)?;
    session.close(channel)
}

/// Fills the channel for as long as the client reads: the session's queue is bounded, and its end ends the task.
fn print_for_ever(session: &Session, channel: ChannelId) {
    let handle = session.handle();
    let lines = format!("{}\n", "y".repeat(63)).repeat(512);
    tokio::spawn(async move { while handle.data(channel, lines.clone().into_bytes()).await.is_ok() {} });
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        if self.behaviour() == Behaviour::HangInAuth {
            tokio::time::sleep(LOGIN_GRACE).await;
            return Err(russh::Error::Disconnect);
        }
        Ok(self.authenticate(user, offer.public_key))
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        Ok(self.authenticate(user, key.public_key))
    }

    async fn channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.behaviour() == Behaviour::RefuseSessions {
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
        } else {
            reply.accept().await;
        }
        Ok(())
    }

    /// A bastion forwards to the fleet's own nodes and to nothing else; other nodes refuse (by dropping `reply`).
    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let wanted = host.parse::<IpAddr>().ok().zip(u16::try_from(port).ok()).map(SocketAddr::from);
        let Some(wanted) = wanted.filter(|wanted| self.shared.endpoints.contains(wanted)) else { return Ok(()) };
        if self.behaviour() != Behaviour::Bastion {
            return Ok(());
        }
        tokio::spawn(async move {
            match TcpStream::connect(wanted).await {
                Ok(mut stream) => {
                    reply.accept().await;
                    // Whichever side ends it: there is nobody to tell.
                    let _ = tokio::io::copy_bidirectional(&mut channel.into_stream(), &mut stream).await;
                }
                Err(_) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
            }
        });
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let command = String::from_utf8_lossy(data);
        session.channel_success(channel)?;
        if self.behaviour() == Behaviour::NoShell {
            session.data(channel, b"This account is currently not available.\n".to_vec())?;
            return finish(session, channel, 1);
        }
        self.noise(session, channel, "\x1b]0;welcome\x07*** Authorised use only ***\nYou have new mail.\n")?;
        match shell::request(&command) {
            // Only these and the script itself may name the nonce: sudo's prompt may hold another random word.
            Request::Script(arguments) => {
                let mut script = Script { text: arguments.join(" ").into_bytes(), nonce: None };
                self.greet(&mut script, session, channel)?;
                script.text = Vec::new();
                self.scripts.insert(channel, script);
            }
            Request::Command(command) => {
                let output = shell::run(&self.shared.values(self.index), &command);
                self.print(output, session, channel)?;
            }
        }
        Ok(())
    }

    async fn data(&mut self, channel: ChannelId, data: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        let Some(mut script) = self.scripts.remove(&channel) else { return Ok(()) };
        if script.nonce.is_none() {
            let room = MAX_SCRIPT.saturating_sub(script.text.len());
            script.text.extend_from_slice(&data[..data.len().min(room)]);
            self.greet(&mut script, session, channel)?;
        }
        self.scripts.insert(channel, script);
        Ok(())
    }

    async fn channel_eof(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        let Some(script) = self.scripts.remove(&channel) else { return Ok(()) };
        if let Some(nonce) = script.nonce {
            self.answer(&nonce, session, channel)
        } else {
            let output = shell::run(&self.shared.values(self.index), &String::from_utf8_lossy(&script.text));
            self.print(output, session, channel)
        }
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        session.channel_success(channel)?;
        session.data(channel, b"This node of the demo has no interactive shell; give it a command.\n".to_vec())?;
        finish(session, channel, 1)
    }

    /// Granted and without effect: Ansible asks for a terminal for every `raw` command, and gives up without one.
    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(russh::Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn channel_close(&mut self, channel: ChannelId, _session: &mut Session) -> Result<(), Self::Error> {
        self.scripts.remove(&channel);
        Ok(())
    }
}
