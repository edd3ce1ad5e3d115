//! An SSH server in this process whose every answer a test decides.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use russh::keys::{Certificate, PrivateKey, PublicKey};
use russh::server::{self, Auth, ChannelOpenHandle, Msg, Response, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, MethodKind, MethodSet, Sig};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::steps::{Step, Talk, play, run};

/// What the server does.
#[derive(Clone)]
pub(crate) struct Behaviour {
    pub host_key: PrivateKey,
    pub host_certificates: Vec<Certificate>,
    pub methods: Vec<MethodKind>,
    pub keys: Vec<PublicKey>,
    pub authority: Option<PublicKey>,
    pub password: Option<String>,
    /// The keyboard-interactive prompt; answered right with `password`.
    pub prompt: String,
    /// After an accepted key the password is wanted as well.
    pub two_steps: bool,
    /// Ends the connection at the first login attempt.
    pub drop_in_auth: bool,
    /// Never answers a login attempt.
    pub silent_in_auth: bool,
    /// What the server says before a login.
    pub banner: Option<String>,
    pub max_attempts: usize,
    pub max_sessions: usize,
    pub open: Open,
    /// So many connections are dropped at first, as sshd's `MaxStartups` does.
    pub drop_first: usize,
    pub exec: Exec,
    pub forward: Forward,
    pub preferred: Option<russh::Preferred>,
    /// Room for the client's data in bytes, and the most of it in one packet.
    pub window: (u32, u32),
    /// The keys are exchanged anew whenever the server sent so many bytes.
    pub rekey_after: Option<usize>,
    /// The host key from the second connection on.
    pub later_host_key: Option<PrivateKey>,
}

/// What becomes of a request for a session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Open {
    /// Granted, up to `max_sessions`.
    Answer,
    Never,
    /// The connection ends.
    Drop,
}

#[derive(Clone)]
pub(crate) enum Exec {
    /// `sh -c` of the command on this machine, with this directory first in `PATH`.
    Run(Option<PathBuf>),
    /// The same, and a channel to the client's agent is opened with it, which nobody offered.
    RunAndReachForTheAgent,
    /// These steps, whatever the command.
    Steps(Vec<Step>),
    /// A talk with whoever sends a script.
    Talk(Talk),
    Refuse,
}

#[derive(Clone)]
pub(crate) enum Forward {
    Real,
    /// So many at once, and no more.
    Room(usize),
    Fail(ChannelOpenFailure),
    Never,
    /// Whatever the place, this is what answers there, and over and over what comes second.
    Flood(&'static [u8], &'static [u8]),
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            host_key: super::support::new_key(),
            host_certificates: Vec::new(),
            methods: vec![MethodKind::PublicKey],
            keys: Vec::new(),
            authority: None,
            password: None,
            prompt: "Password: ".into(),
            two_steps: false,
            drop_in_auth: false,
            silent_in_auth: false,
            banner: None,
            max_attempts: 10,
            max_sessions: 10,
            open: Open::Answer,
            drop_first: 0,
            exec: Exec::Run(None),
            forward: Forward::Real,
            preferred: None,
            window: (2 << 20, 32 << 10),
            rekey_after: None,
            later_host_key: None,
        }
    }
}

/// What the server saw.
#[derive(Default)]
pub(crate) struct Seen {
    pub connections: AtomicUsize,
    pub logins: AtomicUsize,
    pub key_offers: AtomicUsize,
    pub passwords: AtomicUsize,
    pub signals: AtomicUsize,
    pub channels_closed: AtomicUsize,
    /// Connections that are forwarded now, the most that there were at once, and those for which there was no room.
    pub forwards: AtomicUsize,
    pub most_forwards: AtomicUsize,
    pub no_room: AtomicUsize,
    /// The client offered its agent.
    pub agent_requests: AtomicUsize,
    /// A terminal, X11, environment, or forwarding back.
    pub other_requests: AtomicUsize,
    /// The server asked for the client's agent unasked, and was refused.
    pub refused_agent_channels: AtomicUsize,
}

impl Seen {
    pub(crate) fn count(counter: &AtomicUsize) -> usize {
        counter.load(Ordering::SeqCst)
    }
}

pub(crate) struct Server {
    pub port: u16,
    pub seen: Arc<Seen>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts a server on a free port.
pub(crate) async fn start(behaviour: Behaviour) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Seen::default());
    let config = |host_key: &PrivateKey| {
        let (window_size, maximum_packet_size) = behaviour.window;
        let mut limits = russh::Limits::default();
        limits.rekey_write_limit = behaviour.rekey_after.unwrap_or(limits.rekey_write_limit);
        Arc::new(server::Config {
            methods: MethodSet::from(behaviour.methods.as_slice()),
            auth_rejection_time: Duration::ZERO,
            keys: vec![host_key.clone()],
            certificates: behaviour.host_certificates.clone(),
            max_auth_attempts: behaviour.max_attempts,
            nodelay: true,
            preferred: behaviour.preferred.clone().unwrap_or_default(),
            window_size,
            maximum_packet_size,
            limits,
            ..server::Config::default()
        })
    };
    let configs = [&behaviour.host_key, behaviour.later_host_key.as_ref().unwrap_or(&behaviour.host_key)].map(config);
    let behaviour = Arc::new(behaviour);
    let task = tokio::spawn({
        let seen = Arc::clone(&seen);
        async move {
            while let Ok((stream, _)) = listener.accept().await {
                let earlier = seen.connections.fetch_add(1, Ordering::SeqCst);
                if earlier < behaviour.drop_first {
                    continue;
                }
                let handler = Peer {
                    behaviour: Arc::clone(&behaviour),
                    seen: Arc::clone(&seen),
                    channels: HashMap::new(),
                    key_accepted: false,
                };
                let config = Arc::clone(&configs[earlier.min(1)]);
                tokio::spawn(async move {
                    if let Ok(session) = server::run_stream(config, stream, handler).await {
                        let _ = session.await;
                    }
                });
            }
        }
    });
    Server { port, seen, task }
}

struct Peer {
    behaviour: Arc<Behaviour>,
    seen: Arc<Seen>,
    channels: HashMap<ChannelId, Channel<Msg>>,
    key_accepted: bool,
}

impl Peer {
    async fn judge(&mut self, good: bool) -> Result<Auth, russh::Error> {
        if self.behaviour.drop_in_auth {
            return Err(russh::Error::Disconnect);
        }
        if self.behaviour.silent_in_auth {
            std::future::pending::<()>().await;
        }
        if good {
            self.seen.logins.fetch_add(1, Ordering::SeqCst);
            return Ok(Auth::Accept);
        }
        Ok(Auth::reject())
    }

    fn key_step(&mut self) -> Auth {
        self.key_accepted = true;
        let next = MethodSet::from(&[MethodKind::Password, MethodKind::KeyboardInteractive][..]);
        Auth::Reject { proceed_with_methods: Some(next), partial_success: true }
    }
}

impl server::Handler for Peer {
    type Error = russh::Error;

    async fn authentication_banner(&mut self) -> Result<Option<String>, Self::Error> {
        Ok(self.behaviour.banner.clone())
    }

    async fn auth_none(&mut self, _user: &str) -> Result<Auth, Self::Error> {
        let open = self.behaviour.methods.contains(&MethodKind::None);
        self.judge(open).await
    }

    async fn auth_publickey_offered(
        &mut self,
        _user: &str,
        offer: server::PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        self.seen.key_offers.fetch_add(1, Ordering::SeqCst);
        let known = self.behaviour.keys.iter().any(|key| key.key_data() == offer.public_key.key_data());
        let certified = self.behaviour.authority.is_some();
        if self.behaviour.drop_in_auth || self.behaviour.silent_in_auth || !(known || certified) {
            return self.judge(false).await;
        }
        Ok(Auth::Accept)
    }

    async fn auth_publickey(&mut self, _user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        let known = self.behaviour.keys.iter().any(|own| own.key_data() == key.public_key.key_data());
        if known && self.behaviour.two_steps {
            return Ok(self.key_step());
        }
        self.judge(known).await
    }

    async fn auth_openssh_certificate(&mut self, user: &str, certificate: &Certificate) -> Result<Auth, Self::Error> {
        let signed = self.behaviour.authority.as_ref().is_some_and(|key| key.key_data() == certificate.signature_key());
        let good = signed && certificate.valid_principals().iter().any(|name| name == user);
        self.judge(good).await
    }

    async fn auth_password(&mut self, _user: &str, password: &str) -> Result<Auth, Self::Error> {
        self.seen.passwords.fetch_add(1, Ordering::SeqCst);
        let first = !self.behaviour.two_steps || self.key_accepted;
        let good = first && self.behaviour.password.as_deref() == Some(password);
        self.judge(good).await
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        let ask = Auth::Partial {
            name: Cow::Borrowed(""),
            instructions: Cow::Borrowed(""),
            prompts: Cow::Owned(vec![(Cow::Owned(self.behaviour.prompt.clone()), false)]),
        };
        let Some(mut response) = response else { return Ok(ask) };
        self.seen.passwords.fetch_add(1, Ordering::SeqCst);
        let given = response.next().map(|bytes| bytes.to_vec());
        if given.as_deref() == self.behaviour.password.as_deref().map(str::as_bytes) {
            return self.judge(true).await;
        }
        // As PAM does: ask again.
        Ok(ask)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        match self.behaviour.open {
            Open::Answer => {}
            Open::Never => {
                // Kept alive, never answered.
                tokio::spawn(async move {
                    std::future::pending::<()>().await;
                    drop(reply);
                });
                return Ok(());
            }
            Open::Drop => return Err(russh::Error::Disconnect),
        }
        if self.channels.len() >= self.behaviour.max_sessions {
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
            return Ok(());
        }
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _from: &str,
        _from_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        match &self.behaviour.forward {
            Forward::Fail(reason) => reply.reject(reason.clone()).await,
            Forward::Never => {
                // Kept alive, never answered.
                tokio::spawn(async move {
                    std::future::pending::<()>().await;
                    drop(reply);
                });
            }
            Forward::Flood(first, then) => {
                let (first, then) = (*first, *then);
                tokio::spawn(async move {
                    reply.accept().await;
                    let mut near = channel.into_stream();
                    let mut gone = near.write_all(first).await.is_err();
                    while !gone {
                        gone = near.write_all(then).await.is_err();
                    }
                });
            }
            Forward::Room(room) if Seen::count(&self.seen.forwards) >= *room => {
                self.seen.no_room.fetch_add(1, Ordering::SeqCst);
                reply.reject(ChannelOpenFailure::ResourceShortage).await;
            }
            Forward::Real | Forward::Room(_) => {
                let seen = Arc::clone(&self.seen);
                let open = seen.forwards.fetch_add(1, Ordering::SeqCst) + 1;
                seen.most_forwards.fetch_max(open, Ordering::SeqCst);
                let place = (host.to_owned(), u16::try_from(port).unwrap());
                tokio::spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(place).await {
                        reply.accept().await;
                        let mut near = channel.into_stream();
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    } else {
                        reply.reject(ChannelOpenFailure::ConnectFailed).await;
                    }
                    seen.forwards.fetch_sub(1, Ordering::SeqCst);
                });
            }
        }
        Ok(())
    }

    async fn exec_request(&mut self, id: ChannelId, command: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        let command = String::from_utf8_lossy(command).into_owned();
        let handle = session.handle();
        match &self.behaviour.exec {
            Exec::Refuse => return session.channel_failure(id),
            Exec::Steps(steps) => {
                session.channel_success(id)?;
                tokio::spawn(play(handle, id, steps.clone()));
            }
            Exec::Talk(talk) => {
                session.channel_success(id)?;
                let channel = self.channels.remove(&id).unwrap();
                tokio::spawn(talk.clone().hold(handle, channel, command));
            }
            Exec::Run(path) => {
                session.channel_success(id)?;
                let channel = self.channels.remove(&id).unwrap();
                tokio::spawn(run(handle, channel, command, path.clone()));
            }
            Exec::RunAndReachForTheAgent => {
                session.channel_success(id)?;
                let channel = self.channels.remove(&id).unwrap();
                tokio::spawn(ask_for_the_agent(handle.clone(), Arc::clone(&self.seen)));
                tokio::spawn(run(handle, channel, command, None));
            }
        }
        Ok(())
    }

    async fn agent_request(&mut self, _id: ChannelId, _session: &mut Session) -> Result<bool, Self::Error> {
        self.seen.agent_requests.fetch_add(1, Ordering::SeqCst);
        Ok(true)
    }

    async fn env_request(&mut self, _: ChannelId, _: &str, _: &str, _: &mut Session) -> Result<(), Self::Error> {
        self.seen.other_requests.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn pty_request(
        &mut self,
        _: ChannelId,
        _: &str,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: &[(russh::Pty, u32)],
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.seen.other_requests.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn x11_request(
        &mut self,
        _: ChannelId,
        _: bool,
        _: &str,
        _: &str,
        _: u32,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.seen.other_requests.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn tcpip_forward(&mut self, _: &str, _: &mut u32, _: &mut Session) -> Result<bool, Self::Error> {
        self.seen.other_requests.fetch_add(1, Ordering::SeqCst);
        Ok(false)
    }

    async fn signal(&mut self, _id: ChannelId, _signal: Sig, _session: &mut Session) -> Result<(), Self::Error> {
        self.seen.signals.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn channel_close(&mut self, _id: ChannelId, _session: &mut Session) -> Result<(), Self::Error> {
        self.seen.channels_closed.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

async fn ask_for_the_agent(handle: server::Handle, seen: Arc<Seen>) {
    if let Err(russh::Error::ChannelOpenFailure(_)) = handle.channel_open_agent().await {
        seen.refused_agent_channels.fetch_add(1, Ordering::SeqCst);
    }
}
