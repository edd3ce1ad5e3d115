//! Pretended nodes: SSH servers in this process that run what they are sent with the real `sh` below a temporary root, with stub
//! programs first in its PATH, and answer the probe like a demo node in the state that the root is in.
//!
//! ```ignore
//! let fleet = Fleet::start(["master", "w1", "w2"]);      // the first is the control plane; all others are prepared workers
//! let (client, session) = fleet.connect("w1").await;     // keep the client: it owns the key
//! let hand = Hand::new(Line::Session(&session), None);
//! fleet.inventory()                                      // for the program: seaworthy sweep -i THAT
//! let w1 = fleet.node("w1");
//! w1.put("/etc/cni/net.d/00-placeholder.conflist", "{}");        // below its root; `get` reads, `remove` removes
//! w1.put("/fail/kubeadm-join", "network 1");                     // what the stubs fail at: see stubs/
//! w1.put("/hold/kubeadm-join", "");                              // a join waits in its TLS bootstrap until this is removed
//! w1.says("net.ipv4.ip_forward=1", "net.ipv4.ip_forward=0");     // changes its answers to probes
//! w1.cut_at(Cut::Before(3));                                     // the connection ends when the third script from now arrives
//! w1.cut(); w1.reboot();                                         // all connections end; also its processes, /run and boot id
//! w1.calls(); fleet.tokens();                                    // the stubs' arguments; bootstrap tokens of the cluster
//! ```
//!
//! The state that it answers a probe with: no kubelet.conf: prepared (with bootstrap-kubelet.conf: joining); kubelet.conf: joined and
//! not ready; a `*.conflist` as well: ready. `pretend` fixes another one. A script is what begins with `N=<nonce> R= P=`: these
//! two are replaced. Everything else on `sh -s` that begins with `N=` is taken for the probe; any other command is just run.
//!
//! It works in blocking tests and in async ones: the servers have threads of their own. When the fleet is dropped, what its nodes
//! still run is killed.

mod answer;
mod furnish;
mod server;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use russh::keys::PublicKey;
use seaworthy::demo::State;
use seaworthy::ssh::Session;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::ssh::support::{Client, connect, new_key, write_key};

/// What joining workers are told.
pub(crate) const ENDPOINT: &str = "10.20.1.1:6443";
pub(crate) const PIN: &str = "sha256:95d2f0b6a3c1e4d7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f";

/// Where a connection ends, counted in scripts from now, the first being 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The script is not run.
    Before(usize),
    /// The script is running, and goes on.
    During(usize),
    /// The script is done, and its answer is lost.
    After(usize),
}

/// Nodes of one cluster.
pub(crate) struct Fleet {
    dir: TempDir,
    nodes: BTreeMap<String, Arc<Node>>,
    key: Client,
    runtime: Option<Runtime>,
}

/// What all nodes of a fleet know.
#[derive(Debug)]
struct Cluster {
    /// In the fleet's order.
    members: Vec<(String, PathBuf)>,
    started: i64,
    pretended: Mutex<BTreeMap<String, State>>,
    client_key: PublicKey,
}

/// One node.
#[derive(Debug)]
pub(crate) struct Node {
    name: String,
    index: usize,
    dir: PathBuf,
    root: PathBuf,
    cluster: Arc<Cluster>,
    said: Mutex<Vec<(String, String)>>,
    boot_id: Mutex<(String, String)>,
    cut: Mutex<Option<Cut>>,
    scripts: AtomicUsize,
    connections: Mutex<Vec<tokio::task::AbortHandle>>,
    /// Host and port as a client names them, and where that is.
    routes: Mutex<BTreeMap<(String, u16), (String, u16)>>,
}

impl Fleet {
    /// The first is the control plane; the others are prepared workers.
    pub(crate) fn start<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self::with_shell(names, None)
    }

    /// With this program as the nodes' `sh`: `busybox` (its ash), `bash`.
    pub(crate) fn with_shell<'a>(names: impl IntoIterator<Item = &'a str>, shell: Option<&Path>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = Client::new();
        let shared = dir.path().join("cluster");
        for sub in ["calls", "nodes", "roots"] {
            fs::create_dir_all(shared.join(sub)).unwrap();
        }
        for (file, text) in [("tokens", ""), ("endpoint", ENDPOINT), ("pin", PIN)] {
            fs::write(shared.join(file), text).unwrap();
        }
        let members: Vec<(String, PathBuf)> =
            names.into_iter().map(|name| (name.to_owned(), dir.path().join("nodes").join(name).join("root"))).collect();
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let cluster = Arc::new(Cluster {
            members: members.clone(),
            started: i64::try_from(started).unwrap(),
            pretended: Mutex::default(),
            client_key: key.key.public_key().clone(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut nodes = BTreeMap::new();
        let (mut hosts, mut known) = ([Vec::new(), Vec::new()], Vec::new());
        for (index, (name, root)) in members.into_iter().enumerate() {
            let node_dir = root.parent().unwrap().to_owned();
            furnish::furnish(&name, &root, &shared, index == 0, shell);
            let node = Arc::new(Node {
                name: name.clone(),
                index,
                dir: node_dir,
                root,
                cluster: Arc::clone(&cluster),
                said: Mutex::default(),
                boot_id: Mutex::default(),
                cut: Mutex::default(),
                scripts: AtomicUsize::new(0),
                connections: Mutex::default(),
                routes: Mutex::default(),
            });
            node.identify();
            let host_key = new_key();
            let public = host_key.public_key().to_openssh().unwrap();
            let port = runtime.block_on_or_spawn(server::listen(Arc::clone(&node), host_key));
            hosts[usize::from(index > 0)].push((name.clone(), port));
            known.push(format!("[127.0.0.1]:{port} {public}\n"));
            fs::write(node.dir.join("port"), port.to_string()).unwrap();
            nodes.insert(name, node);
        }
        let known_hosts = dir.path().join("known_hosts");
        fs::write(&known_hosts, known.concat()).unwrap();
        let key_file = write_key(dir.path(), "id", &key.key);
        let inventory = furnish::inventory(&hosts, &key_file, &known_hosts);
        fs::write(dir.path().join("inventory.yaml"), inventory).unwrap();
        Self { dir, nodes, key, runtime: Some(runtime) }
    }

    pub(crate) fn node(&self, name: &str) -> &Arc<Node> {
        &self.nodes[name]
    }

    /// An open connection to a node.
    pub(crate) async fn connect(&self, name: &str) -> (Client, Session) {
        let client = Client {
            dir: tempfile::tempdir().unwrap(),
            key: self.key.key.clone(),
            key_file: self.key.key_file.clone(),
        };
        let session = connect(&client.resolved(self.node(name).port())).await;
        (client, session)
    }

    /// An inventory of all nodes, which uses nothing of the user's.
    pub(crate) fn inventory(&self) -> PathBuf {
        self.dir.path().join("inventory.yaml")
    }

    /// A file in the directory of the cluster: what the stubs of all nodes share.
    pub(crate) fn shared(&self, name: &str) -> PathBuf {
        self.dir.path().join("cluster").join(name)
    }

    /// The bootstrap tokens of the cluster, one a line: token, time to live, description.
    pub(crate) fn tokens(&self) -> Vec<String> {
        fs::read_to_string(self.shared("tokens")).unwrap().lines().map(str::to_owned).collect()
    }

    /// Whether this text lies in any file below the roots of the nodes.
    pub(crate) fn on_disk(&self, text: &str) -> Vec<PathBuf> {
        self.nodes.values().flat_map(|node| node.files()).filter(|path| contains(path, text)).collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        for node in self.nodes.values() {
            node.kill_all();
        }
    }
}

/// `block_on` that also works inside of an async test.
trait BlockOn {
    fn block_on_or_spawn<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T;
}

impl BlockOn for Runtime {
    fn block_on_or_spawn<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        let (sender, receiver) = std::sync::mpsc::channel();
        self.spawn(async move { sender.send(future.await) });
        receiver.recv().unwrap()
    }
}

fn contains(path: &Path, text: &str) -> bool {
    fs::read(path).is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

impl Node {
    pub(crate) fn port(&self) -> u16 {
        fs::read_to_string(self.dir.join("port")).unwrap().parse().unwrap()
    }

    /// A path of the node as this machine sees it.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    pub(crate) fn put(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// `None` when there is no such file.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        fs::read(self.path(path)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(crate) fn remove(&self, path: &str) {
        let path = self.path(path);
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
    }

    /// All regular files below the root.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![self.root.clone()];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => open.push(entry.path()),
                    Ok(kind) if kind.is_file() => found.push(entry.path()),
                    _ => {}
                }
            }
        }
        found.sort();
        found
    }

    /// Replaces text in its answers to probes.
    pub(crate) fn says(&self, instead_of: &str, this: &str) {
        self.said.lock().unwrap().push((instead_of.to_owned(), this.to_owned()));
    }

    /// It says what it is again.
    pub(crate) fn says_the_truth(&self) {
        self.said.lock().unwrap().clear();
    }

    /// Answers probes in this state, whatever lies in the root.
    pub(crate) fn pretend(&self, state: State) {
        self.cluster.pretended.lock().unwrap().insert(self.name.clone(), state);
    }

    /// A connection to `host:port` through this node goes to that place. To any other it refuses to forward.
    pub(crate) fn route(&self, host: &str, port: u16, to: (&str, u16)) {
        self.routes.lock().unwrap().insert((host.to_owned(), port), (to.0.to_owned(), to.1));
    }

    /// The cluster's CA in its answers to probes is this one, in PEM.
    pub(crate) fn has_ca(&self, pem: &str) {
        let answer = self.answer("0".repeat(32).as_str());
        let Some((_, rest)) = answer.split_once("certificate-authority-data: ") else { return };
        let own = rest.split(|char: char| !(char.is_ascii_alphanumeric() || "+/=".contains(char))).next().unwrap();
        self.says(&String::from_utf8(STANDARD.decode(own).unwrap()).unwrap(), pem);
        self.says(own, &STANDARD.encode(pem));
    }

    /// It refuses to forward anywhere.
    pub(crate) fn forbid_forwarding(&self) {
        self.routes.lock().unwrap().clear();
    }

    /// Adds or replaces a program of the node, a script that finds R, C, NODE and T set as the stubs do.
    pub(crate) fn program(&self, name: &str, text: &str) {
        let shared = self.dir.parent().unwrap().with_file_name("cluster");
        furnish::program(&self.dir.join("stubs"), name, &self.name, &self.root, &shared, text);
    }

    /// The node has no program of this name: its PATH leads to everything else that this machine has.
    pub(crate) fn without(&self, program: &str) {
        let bin = self.dir.join("bin");
        if !bin.exists() {
            fs::create_dir(&bin).unwrap();
            for dir in furnish::SYSTEM.split(':') {
                for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                    let _ = symlink(entry.path(), bin.join(entry.file_name()));
                }
            }
        }
        let _ = fs::remove_file(bin.join(program));
        let _ = fs::remove_file(self.dir.join("stubs").join(program));
    }

    /// Where it looks for programs.
    fn search_path(&self) -> String {
        let bin = self.dir.join("bin");
        let rest = if bin.exists() { bin.display().to_string() } else { furnish::SYSTEM.to_owned() };
        format!("{}:{rest}", self.dir.join("stubs").display())
    }

    /// How the stubs were called since the fleet began: `kubeadm token create …`.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = self.dir.parent().unwrap().with_file_name("cluster").join("calls").join(&self.name);
        fs::read_to_string(calls).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Ends a connection at a script from now on; the count begins anew.
    pub(crate) fn cut_at(&self, cut: Cut) {
        self.scripts.store(0, Ordering::SeqCst);
        *self.cut.lock().unwrap() = Some(cut);
    }

    /// How many scripts came since the last `cut_at`.
    pub(crate) fn scripts(&self) -> usize {
        self.scripts.load(Ordering::SeqCst)
    }

    /// Ends all connections as a network does: nobody is told anything.
    pub(crate) fn cut(&self) {
        for connection in self.connections.lock().unwrap().drain(..) {
            connection.abort();
        }
    }

    /// Ends its connections and its processes; what lay in memory is gone.
    pub(crate) fn reboot(&self) {
        self.cut();
        self.kill_all();
        for dir in ["run", "dev/shm"] {
            let _ = fs::remove_dir_all(self.root.join(dir));
        }
        fs::create_dir_all(self.root.join("run/systemd/system")).unwrap();
        fs::create_dir_all(self.root.join("dev/shm")).unwrap();
        let fresh = format!("{:08x}-0000-4000-8000-000000000000", rand::random::<u32>());
        self.put("/proc/sys/kernel/random/boot_id", format!("{fresh}\n"));
        self.boot_id.lock().unwrap().1 = fresh;
    }

    /// The command lines of the processes that it runs, by process id.
    pub(crate) fn processes(&self) -> BTreeMap<i32, String> {
        let mark = format!("SEAWORTHY_PRETENDED={}", self.root.display());
        let mut found = BTreeMap::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let has = |environ: Vec<u8>| environ.split(|byte| *byte == 0).any(|word| word == mark.as_bytes());
            if fs::read(entry.path().join("environ")).is_ok_and(has) {
                let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                found.insert(pid, String::from_utf8_lossy(&line).replace('\0', " "));
            }
        }
        found
    }

    fn kill_all(&self) {
        // What they start meanwhile is found the next time.
        for _ in 0..5 {
            for pid in self.processes().into_keys().filter_map(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}
