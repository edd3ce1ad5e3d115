//! A running fleet: its listeners, its threads and its files, all of which end with it.
//!
//! The fleet has a runtime of its own. So it can be started from anywhere, a slow client does not slow the nodes down,
//! and dropping it ends every listener, connection and task at once, whatever they were doing.
//!
//! # Telling nodes apart
//!
//! Every node has its own address and host key, as real ones do. A small fleet has one listener on 127.0.0.1 for each
//! node ([`Addressing::Ports`]): it works everywhere and needs nothing. Ten thousand listeners would take ten thousand
//! file descriptors and a third of the ephemeral ports, so a large fleet has one port on many addresses of
//! 127.0.0.0/8 ([`Addressing::Loopback`]): a single socket bound to the loopback *device* takes them all, is not
//! reachable from outside, and the address that a client dialled says which node it wants. That needs Linux 5.7 or
//! later; elsewhere the fleet falls back to ports.

use std::future::Future;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;

use super::access;
use super::node::{Connection, Shared};
use super::plan::{Behaviour, Node, Plan};
use super::wire;

/// How a fleet's nodes are dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    /// 127.0.0.1, a port for each node.
    Ports,
    /// One port, an address of 127.0.0.0/8 for each node.
    Loopback,
}

impl Addressing {
    /// The fleet size from which on nodes share a listener.
    const MANY: usize = 300;

    /// What suits a fleet of that size.
    pub const fn for_size(nodes: usize) -> Self {
        if nodes > Self::MANY { Self::Loopback } else { Self::Ports }
    }
}

/// Why a fleet could not be started.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    #[error("cannot start the demo fleet's threads: {0}")]
    Threads(#[source] io::Error),
    #[error("cannot listen on a loopback address: {0}; start fewer nodes, or raise the limit of open files")]
    Listen(#[source] io::Error),
    #[error("cannot write {path}: {source}", path = path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot write the demo's keys: {0}")]
    Key(#[source] russh::keys::ssh_key::Error),
}

/// SSH nodes on loopback. Dropping it stops them and removes its files.
#[derive(Debug)]
pub struct Fleet {
    shared: Arc<Shared>,
    /// Only `None` while it is being dropped.
    runtime: Option<Runtime>,
    /// Bound and not listening: a connection to them is refused, and nobody else gets the port.
    _closed: Vec<TcpSocket>,
    dir: TempDir,
}

impl Fleet {
    /// Starts every node of `plan`. When this returns, they accept connections.
    pub fn start(plan: Plan) -> Result<Self, FleetError> {
        let addressing = Addressing::for_size(plan.nodes.len());
        Self::start_with(plan, addressing)
    }

    /// The same with a given way of addressing.
    pub fn start_with(plan: Plan, addressing: Addressing) -> Result<Self, FleetError> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).clamp(1, 4);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("demo-node")
            .enable_all()
            .build()
            .map_err(FleetError::Threads)?;
        let sockets = {
            let _inside = runtime.enter();
            Sockets::open(&plan, addressing).map_err(FleetError::Listen)?
        };
        let client_key = access::client_key();
        let dir = tempfile::Builder::new()
            .prefix("seaworthy-demo-")
            // Whoever could write here could put other hosts into the inventory.
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir()
            .map_err(|source| FleetError::Write { path: std::env::temp_dir(), source })?;
        let shared = Arc::new(Shared::new(plan, client_key.public_key().clone(), sockets.endpoints));
        let fleet = Self { shared, runtime: Some(runtime), _closed: sockets.closed, dir };

        write_private(&fleet.key_path(), &access::private_key_file(&client_key).map_err(FleetError::Key)?)?;
        let known_hosts = access::known_hosts(&fleet.shared.plan, &fleet.shared.endpoints).map_err(FleetError::Key)?;
        write_private(&fleet.known_hosts_path(), &known_hosts)?;
        fleet.write_inventory(&fleet.inventory_path())?;

        for (listener, node) in sockets.listeners {
            if let Some(runtime) = &fleet.runtime {
                runtime.spawn(accept(fleet.shared.clone(), listener, node));
            }
        }
        Ok(fleet)
    }

    /// The nodes, in the order of the plan.
    pub fn nodes(&self) -> &[Node] {
        &self.shared.plan.nodes
    }

    /// Where the node at that place in the plan is dialled.
    pub fn address(&self, index: usize) -> Option<SocketAddr> {
        self.shared.endpoints.get(index).copied()
    }

    /// The private key that opens every node (but those that refuse it).
    pub fn key_path(&self) -> PathBuf {
        self.dir.path().join("id_ed25519")
    }

    /// The nodes' host keys.
    pub fn known_hosts_path(&self) -> PathBuf {
        self.dir.path().join("known_hosts")
    }

    /// The fleet's own copy of its inventory.
    pub fn inventory_path(&self) -> PathBuf {
        self.dir.path().join("inventory.yaml")
    }

    /// Writes the fleet's inventory to a file, which it replaces.
    pub fn write_inventory(&self, path: &Path) -> Result<(), FleetError> {
        let Shared { plan, endpoints, .. } = &*self.shared;
        let text = access::inventory(plan, endpoints, &self.key_path(), &self.known_hosts_path());
        write_private(path, &text)
    }

    /// Keeps the fleet up until `stop` is done (Ctrl-C, the end of standard input, a test's end).
    pub async fn serve_until(self, stop: impl Future<Output = ()>) {
        stop.await;
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        // A runtime must not be dropped on a thread that drives another one, and its listeners are only closed when its
        // threads have ended: so a thread of its own, and a wait that is short because no task of the fleet blocks.
        let _ = std::thread::spawn(move || drop(runtime)).join();
    }
}

/// What a fleet has open before its first connection.
struct Sockets {
    endpoints: Vec<SocketAddr>,
    /// With the node behind it, or `None` where the dialled address tells.
    listeners: Vec<(TcpListener, Option<usize>)>,
    closed: Vec<TcpSocket>,
}

impl Sockets {
    fn open(plan: &Plan, addressing: Addressing) -> io::Result<Self> {
        let mut sockets =
            Self { endpoints: Vec::with_capacity(plan.nodes.len()), listeners: Vec::new(), closed: Vec::new() };
        let shared = match addressing {
            Addressing::Loopback => listen_on_loopback_device().ok(),
            Addressing::Ports => None,
        };
        let shared_port = shared.as_ref().map(TcpListener::local_addr).transpose()?.map(|address| address.port());
        for (index, node) in plan.nodes.iter().enumerate() {
            let endpoint = match (node.behaviour, shared_port) {
                (Behaviour::Unreachable, _) => {
                    let socket = TcpSocket::new_v4()?;
                    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
                    let endpoint = socket.local_addr()?;
                    sockets.closed.push(socket);
                    endpoint
                }
                (_, Some(port)) => (loopback_address(index), port).into(),
                (_, None) => {
                    let socket = TcpSocket::new_v4()?;
                    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
                    let listener = socket.listen(128)?;
                    let endpoint = listener.local_addr()?;
                    sockets.listeners.push((listener, Some(index)));
                    endpoint
                }
            };
            sockets.endpoints.push(endpoint);
        }
        sockets.listeners.extend(shared.map(|listener| (listener, None)));
        Ok(sockets)
    }
}

/// 127.66.1.1 upwards, 250 nodes to a /24.
fn loopback_address(index: usize) -> Ipv4Addr {
    let [high, low] = [index / 250 + 1, index % 250 + 1].map(|part| u8::try_from(part).unwrap_or(u8::MAX));
    Ipv4Addr::new(127, 66, high, low)
}

fn node_at(address: IpAddr) -> Option<usize> {
    match address {
        IpAddr::V4(address) => match address.octets() {
            [127, 66, high @ 1..=255, low @ 1..=250] => Some((usize::from(high) - 1) * 250 + usize::from(low) - 1),
            _ => None,
        },
        IpAddr::V6(_) => None,
    }
}

/// One listener for all of 127.0.0.0/8: bound to no address, but to the loopback device.
#[cfg(target_os = "linux")]
fn listen_on_loopback_device() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind_device(Some(b"lo"))?;
    socket.bind((Ipv4Addr::UNSPECIFIED, 0).into())?;
    socket.listen(4096)
}

#[cfg(not(target_os = "linux"))]
fn listen_on_loopback_device() -> io::Result<TcpListener> {
    Err(io::ErrorKind::Unsupported.into())
}

async fn accept(shared: Arc<Shared>, listener: TcpListener, node: Option<usize>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let node = node.or_else(|| node_at(stream.local_addr().ok()?.ip()));
                let Some(node) = node.filter(|node| *node < shared.plan.nodes.len()) else { continue };
                tokio::spawn(serve(shared.clone(), node, stream));
            }
            // Out of file descriptors, or a client that left in between: the next moment may be better.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    }
}

/// One connection, to its end.
async fn serve(shared: Arc<Shared>, index: usize, stream: TcpStream) {
    let Some(stream) = wire::play(shared.plan.nodes[index].behaviour, stream).await else { return };
    let config = shared.config(index);
    if stream.set_nodelay(config.nodelay).is_err() {
        return;
    }
    let connection = Connection::new(shared, index);
    // A client that breaks off is the client's business.
    if let Ok(session) = russh::server::run_stream(config, stream, connection).await {
        let _ = session.await;
    }
}

/// Writes a file that only its owner may read, replacing what was there.
fn write_private(path: &Path, text: &str) -> Result<(), FleetError> {
    let write = || {
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())
    };
    write().map_err(|source| FleetError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_addresses_lead_back_to_their_nodes() {
        for index in [0, 1, 249, 250, 499, 500, 9_999] {
            assert_eq!(node_at(loopback_address(index).into()), Some(index));
        }
        for address in ["127.0.0.1", "127.66.0.1", "127.66.1.0", "127.66.1.251", "10.66.1.1"] {
            assert_eq!(node_at(address.parse().unwrap()), None, "{address}");
        }
    }
}
