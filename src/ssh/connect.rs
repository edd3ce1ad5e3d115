//! The way to an authenticated session: carrier, handshake, login, each with its own deadline.
//!
//! One [`Connector`] serves all hosts of a run: it shares the keys, the agents, the known hosts and the connections to jump
//! hosts. It tries nothing twice but what was dropped before it began (`patience`), and what a jump host has no room for (`bastion`).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use russh::client;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::agent::Agents;
use super::algorithms;
use super::auth::{Login, PENALTY, Progress};
use super::bastion::Bastion;
use super::crowd::Place;
use super::destination::Destination;
use super::handshake;
use super::keys::KeyRing;
use super::known_hosts::KnownHosts;
use super::offers::Offers;
use super::patience::{hung_up, patiently};
use super::peer::{Judged, Peer, UnknownKey, Verifier};
use super::proxy::{self, ProxyChild};
use super::resolved::{Resolved, Route};
use super::session::Session;
use super::stream;
use super::wire::{Carrier, Tcp, Wire};
use crate::failure::{Failure, FailureKind};
use crate::timings::{Timings, millis};

/// So often a connection is begun that is dropped before the server identifies itself: to a jump host, as many others wait for it,
/// and to a host, which may be dropped for good by whatever stands before it.
const JUMP_HOST_STARTS: u32 = 6;
const STARTS: u32 = 4;

/// How long each phase may take. All are on by default.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    pub dns: Duration,
    /// All addresses together. A host's `ConnectTimeout` replaces this and the next.
    pub tcp: Duration,
    /// Identification, key exchange and the check of the host key.
    pub handshake: Duration,
    pub auth: Duration,
    /// From asking for a channel to its confirmation.
    pub open: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            dns: Duration::from_secs(5),
            tcp: Duration::from_secs(10),
            handshake: Duration::from_secs(15),
            auth: Duration::from_secs(30),
            open: Duration::from_secs(10),
        }
    }
}

/// What all connections of a run share.
#[derive(Debug)]
pub struct ConnectorOptions {
    pub deadlines: Deadlines,
    pub known_hosts: Arc<KnownHosts>,
    pub keys: KeyRing,
    pub agents: Agents,
    /// Interval of keepalives for hosts whose settings name none; three without an answer end the connection.
    pub keepalive: Duration,
}

/// Connects to the hosts of a run.
#[derive(Debug)]
pub struct Connector {
    options: ConnectorOptions,
    bastions: Mutex<HashMap<String, Arc<Shared>>>,
    /// Addresses that refused a login: sshd may shut them to us for a while.
    refused_logins: Mutex<HashSet<(String, u16)>>,
}

/// A jump host's one connection, made by whoever needs it first.
type Shared = OnceCell<Result<Bastion, ConnectError>>;

/// A host that was not reached.
#[derive(Debug, Clone)]
pub struct ConnectError {
    pub failure: Failure,
    /// The phases that were reached.
    pub timings: Timings,
    /// Set when a host key (of the host, or of a jump host on the way) is unknown under the policy `ask`.
    pub unknown_key: Option<Box<UnknownKey>>,
}

/// A byte stream to the host and what must live as long as it.
struct Carried {
    stream: Box<dyn Carrier>,
    /// The jump host's connection, and the place among those that it carries.
    via: Option<(Arc<Session>, Place)>,
    child: Option<ProxyChild>,
}

impl Connector {
    pub fn new(options: ConnectorOptions) -> Self {
        Self { options, bastions: Mutex::default(), refused_logins: Mutex::default() }
    }

    /// The store of host keys: for learning approved keys, and for the flush at the end.
    pub fn known_hosts(&self) -> &Arc<KnownHosts> {
        &self.options.known_hosts
    }

    /// Lets jump hosts that failed or were lost be tried anew. Call it between two passes, as when a jump host's key was unknown
    /// and has been approved; without it every host behind gets the first failure again.
    pub fn forget_failed_jump_hosts(&self) {
        let works = |shared: &Shared| match shared.get() {
            Some(Ok(bastion)) => !bastion.session.is_closed(),
            Some(Err(_)) => false,
            None => true,
        };
        self.bastions.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, bastion| works(bastion));
    }

    /// Connects and logs in.
    pub async fn connect(&self, destination: &Destination) -> Result<Session, ConnectError> {
        let Destination { resolved, hops, .. } = destination;
        // A command may ask somebody something each time, and who was refused here is not shut out by chance.
        let once = matches!(resolved.route, Route::Command(_)) || self.refused_login(resolved);
        patiently(if once { 1 } else { STARTS }, || self.open(destination, hops)).await
    }

    /// `hops` instead of the destination's own: the way to the third jump host of a chain leads through the first two.
    fn open<'a>(
        &'a self,
        destination: &'a Destination,
        hops: &'a [Arc<Destination>],
    ) -> BoxFuture<'a, Result<Session, ConnectError>> {
        async move {
            let started = Instant::now();
            let mut timings = Timings::default();
            let result = self.attempt(&destination.resolved, hops, &mut timings).await;
            timings.total_ms = Some(millis(started.elapsed()));
            match result {
                Ok(mut session) => {
                    session.timings = timings;
                    Ok(session)
                }
                Err(mut error) => {
                    error.timings = timings;
                    self.mind_penalties(&destination.resolved, &mut error.failure);
                    Err(error)
                }
            }
        }
        .boxed()
    }

    async fn attempt(
        &self,
        resolved: &Resolved,
        hops: &[Arc<Destination>],
        timings: &mut Timings,
    ) -> Result<Session, ConnectError> {
        let offers = Offers::collect(resolved, &self.options.keys, &self.options.agents).await;
        if let (true, Some(bad), None) = (offers.keys.is_empty(), offers.unusable.first(), &resolved.password) {
            // A connection without a login would only earn a penalty.
            return Err(bad.clone().into());
        }
        let carried = self.carry(resolved, hops, timings).await?;
        let mut session = self.handshake(resolved, carried, timings).await?;
        self.login(resolved, &offers, &mut session, timings).await?;
        Ok(session)
    }

    async fn carry(
        &self,
        resolved: &Resolved,
        hops: &[Arc<Destination>],
        timings: &mut Timings,
    ) -> Result<Carried, ConnectError> {
        let deadline = resolved.connect_timeout.unwrap_or(self.options.deadlines.tcp);
        if !hops.is_empty() {
            let bastion = self.bastion(hops).await?;
            let (opened, took) = bastion.through(&resolved.host, resolved.port, deadline).await;
            timings.tcp_ms = Some(millis(took));
            let (stream, place) = opened?;
            return Ok(Carried { stream: Box::new(stream), via: Some((bastion.session, place)), child: None });
        }
        match &resolved.route {
            Route::Command(command) => {
                let (stream, child) = proxy::start(command)?;
                Ok(Carried { stream, via: None, child: Some(child) })
            }
            Route::Jump(_) => {
                let message = "the jump hosts of this host were not resolved";
                Err(Failure::new(FailureKind::Settings, message, "report this as a bug").into())
            }
            Route::Direct => {
                let begun = Instant::now();
                let (host, port, family) = (&resolved.host, resolved.port, resolved.address_family);
                let addresses = stream::resolve(host, port, family, self.options.deadlines.dns).await;
                if host.parse::<std::net::IpAddr>().is_err() {
                    timings.dns_ms = Some(millis(begun.elapsed()));
                }
                let addresses = addresses?;
                let begun = Instant::now();
                let dialled = stream::dial(&addresses, resolved.bind_address.as_deref(), deadline).await;
                timings.tcp_ms = Some(millis(begun.elapsed()));
                Ok(Carried { stream: Box::new(Tcp::new(dialled?)), via: None, child: None })
            }
        }
    }

    async fn handshake(
        &self,
        resolved: &Resolved,
        mut carried: Carried,
        timings: &mut Timings,
    ) -> Result<Session, ConnectError> {
        let begun = Instant::now();
        let deadline = resolved.connect_timeout.unwrap_or(self.options.deadlines.handshake);
        let config = Arc::new(self.russh_config(resolved)?);
        let peer = Arc::new(Peer::default());
        let verifier = Verifier {
            peer: Arc::clone(&peer),
            known_hosts: Arc::clone(&self.options.known_hosts),
            settings: resolved.host_key.clone(),
            name: resolved.host.clone(),
            port: resolved.port,
        };
        let (wire, leash) = Wire::new(carried.stream);
        let (via, place) = carried.via.unzip();
        let result = timeout(deadline, client::connect_stream(config, wire, verifier)).await;
        timings.kex_ms = Some(millis(begun.elapsed()));
        match result {
            Ok(Ok(handle)) => {
                let learned = match peer.host_key() {
                    Some(Judged::Learned(new)) => Some(new),
                    _ => None,
                };
                Ok(Session {
                    handle,
                    peer,
                    leash,
                    user: resolved.user.clone(),
                    name: resolved.alias.clone(),
                    open_deadline: self.options.deadlines.open,
                    timings: Timings::default(),
                    learned,
                    _via: via,
                    _place: place,
                    _child: carried.child,
                })
            }
            Ok(Err(error)) => Err(handshake::failed(&error, &leash.hello(), &peer, carried.child.as_mut()).await),
            Err(_) => Err(handshake::timed_out(deadline, &leash.hello(), carried.child.as_ref()).into()),
        }
    }

    fn russh_config(&self, resolved: &Resolved) -> Result<client::Config, Failure> {
        let (known_hosts, settings) = (&self.options.known_hosts, &resolved.host_key);
        let known = known_hosts.known_key_types(settings, &resolved.host, resolved.port);
        let known = known.map_err(|error| error.failure())?;
        let certified = known_hosts.has_authority(settings, &resolved.host, resolved.port);
        let certified = certified.map_err(|error| error.failure())?;
        Ok(client::Config {
            client_id: russh::SshId::Standard(concat!("SSH-2.0-seaworthy_", env!("CARGO_PKG_VERSION")).into()),
            // Enough for full speed at 50 ms; bounds what one unread host can pile up.
            window_size: 512 * 1024,
            preferred: algorithms::preferred(resolved, &known, certified)?,
            keepalive_interval: Some(resolved.keepalive.unwrap_or(self.options.keepalive)),
            keepalive_max: 3,
            ..client::Config::default()
        })
    }

    async fn login(
        &self,
        resolved: &Resolved,
        offers: &Offers,
        session: &mut Session,
        timings: &mut Timings,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        let mut progress = Progress::default();
        let peer = Arc::clone(&session.peer);
        let mut login = Login { handle: &mut session.handle, peer: &peer, resolved, offers };
        let deadline = self.options.deadlines.auth;
        let result = timeout(deadline, login.run(&mut progress)).await;
        timings.auth_ms = Some(millis(begun.elapsed()));
        result.unwrap_or_else(|_| Err(progress.timed_out(deadline)))
    }

    /// The shared connection to the last of these hops, made by whoever needs it first.
    async fn bastion(&self, hops: &[Arc<Destination>]) -> Result<Bastion, ConnectError> {
        let Some((last, before)) = hops.split_last() else {
            return Err(
                Failure::new(FailureKind::Settings, "an empty chain of jump hosts", "report this as a bug").into()
            );
        };
        let chain: Vec<String> = hops.iter().map(|hop| format!("{} {}", hop.resolved.alias, hop.address())).collect();
        let cell = {
            let mut bastions = self.bastions.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(bastions.entry(chain.join(" > ")).or_default())
        };
        let way = if before.is_empty() { last.hops.as_slice() } else { before };
        let connect = || patiently(JUMP_HOST_STARTS, || self.open(last, way));
        let connected = cell.get_or_init(|| async { connect().await.map(Bastion::new) }).await;
        connected.clone().map_err(|mut error| {
            let inner = &error.failure;
            let message = if inner.kind == FailureKind::JumpHost {
                inner.message.clone()
            } else {
                format!(
                    "the jump host {} ({}) failed: {}: {}",
                    last.resolved.alias,
                    last.address(),
                    inner.kind,
                    inner.message
                )
            };
            error.failure = Failure::new(FailureKind::JumpHost, message, inner.next.clone());
            error
        })
    }

    fn refused_login(&self, resolved: &Resolved) -> bool {
        let refused = self.refused_logins.lock().unwrap_or_else(PoisonError::into_inner);
        refused.contains(&(resolved.host.clone(), resolved.port))
    }

    /// Remembers refused logins, and says so when the same address then shuts its door.
    fn mind_penalties(&self, resolved: &Resolved, failure: &mut Failure) {
        let place = (resolved.host.clone(), resolved.port);
        let mut refused = self.refused_logins.lock().unwrap_or_else(PoisonError::into_inner);
        let shut = failure.kind == FailureKind::Refused || hung_up(failure);
        if shut && refused.contains(&place) {
            failure.message.push_str("; it refused a login earlier in this run");
            PENALTY.clone_into(&mut failure.next);
        }
        if failure.kind == FailureKind::Auth {
            refused.insert(place);
        }
    }
}

impl From<Failure> for ConnectError {
    fn from(failure: Failure) -> Self {
        Self { failure, timings: Timings::default(), unknown_key: None }
    }
}
