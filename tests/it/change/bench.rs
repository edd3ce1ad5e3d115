//! Runs of changes on pretended nodes, as the library does them: plans written by hand, and a process that ends at any line of its
//! journal.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant, SystemTime};

use seaworthy::change::apply::{self, ChangeRun, Waits};
use seaworthy::change::join::Limits;
use seaworthy::change::journal::file::{self, Journal};
use seaworthy::change::journal::{Entry, Outcome};
use seaworthy::change::plan::{Action, Change, Decision, Loaded, NodePlan, PLAN_SCHEMA, Plan, Reason, Undo, WriteFile};
use seaworthy::change::state::{File, Path, State};
use seaworthy::change::summary::Summary;
use seaworthy::change::{resume, undo};
use seaworthy::checks::Checks;
use seaworthy::collect::{Collector, Host, Way};
use seaworthy::fanout::Stop;
use seaworthy::interrupt::Interrupt;
use seaworthy::password_gate::PasswordGate;
use seaworthy::playbook::Strategy;
use seaworthy::reach::{Bounds, Visitor};
use seaworthy::run::{PlannedHost, RunFile, Writer};
use seaworthy::ssh::known_hosts::KnownHosts;
use seaworthy::ssh::{Agents, Connector, ConnectorOptions, Deadlines, Destination, KeyRing};
use seaworthy::target::{Role, Target, Via};
use seaworthy::ui::{Display, Progress};
use sha2::Digest as _;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::node::Fleet;
use crate::ssh::support::Client;

/// What flannel's own manifest writes, in short.
pub(crate) const CONFLIST: &str =
    "{\"name\":\"cbr0\",\"cniVersion\":\"0.3.1\",\"plugins\":[{\"type\":\"flannel\"},{\"type\":\"portmap\"}]}\n";
pub(crate) const CONFLIST_PATH: &str = "/etc/cni/net.d/10-flannel.conflist";

/// A fleet and a program that changes it. The first node is the control plane.
pub(crate) struct Bench {
    pub(crate) fleet: Fleet,
    _client: Client,
    collector: Collector,
    pub(crate) hosts: Vec<Host>,
    control_planes: Vec<String>,
    checks: Checks,
    runs: TempDir,
    pub(crate) stop: Stop,
    pub(crate) waits: Waits,
}

/// A run of a bench.
pub(crate) struct Run {
    pub(crate) file: RunFile,
    pub(crate) directory: PathBuf,
    pub(crate) plan: Plan,
}

impl Run {
    /// What its journal says.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        file::read(&self.directory).unwrap().lines.into_iter().map(|line| line.entry).collect()
    }
}

/// What is done with a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Apply,
    Resume,
    Undo,
}

impl Bench {
    pub(crate) async fn new(names: &[&str]) -> Self {
        let fleet = Fleet::start(names.iter().copied());
        let (client, session) = fleet.connect(names[0]).await;
        session.close().await;
        let resolved: Vec<_> = names.iter().map(|name| client.resolved(fleet.node(name).port())).collect();
        let long = Duration::from_secs(20);
        let connector = Connector::new(ConnectorOptions {
            deadlines: Deadlines { dns: long, tcp: long, handshake: long, auth: long, open: long },
            known_hosts: Arc::new(KnownHosts::new()),
            keys: KeyRing::load(resolved.iter()),
            agents: Agents::new(None),
            keepalive: Duration::from_secs(15),
        });
        let hosts = names.iter().zip(&resolved).enumerate().map(|(index, (name, resolved))| Host {
            target: Arc::new(Target {
                name: (*name).to_owned(),
                groups: Vec::new(),
                role: Some(if index == 0 { Role::ControlPlane } else { Role::Worker }),
                via: Via::Local,
                sudo: None,
                api_endpoint: None,
            }),
            way: Way::Ssh(Arc::new(Destination::direct(resolved.clone()))),
        });
        let (events, _display) = Display::start(Progress::Off, false);
        let collector = Collector {
            connector,
            deadline: long,
            events,
            unknown_keys: Mutex::default(),
            learned: Mutex::default(),
            passwords: PasswordGate::default(),
            visitor: Visitor::new(Bounds { after: Duration::from_secs(2), ..Bounds::default() }),
            control_plane: None,
            waiting: Mutex::default(),
        };
        let waits = Waits {
            poll: Duration::from_millis(50),
            check: Duration::from_secs(3),
            loaded: Duration::from_secs(3),
            ready: Duration::from_secs(10),
            command: Duration::from_secs(20),
            reconnect: Duration::from_secs(20),
            join: Limits {
                signature: Duration::ZERO,
                watch: Duration::from_millis(50),
                poll: Duration::from_millis(50),
                reconnect: Duration::from_secs(20),
                ..Limits::default()
            },
        };
        Self {
            hosts: hosts.collect(),
            control_planes: names.first().map(|name| (*name).to_owned()).into_iter().collect(),
            fleet,
            _client: client,
            collector,
            checks: Checks::built_in().unwrap(),
            runs: tempfile::tempdir().unwrap(),
            stop: Stop { interrupt: Interrupt::never(), deadline: None },
            waits,
        }
    }

    /// A worker that has joined and has no CNI configuration.
    pub(crate) fn join_by_hand(&self, name: &str) {
        self.fleet.node(name).put("/etc/kubernetes/kubelet.conf", "x\n");
        fs::write(self.fleet.shared("nodes").join(name), "").unwrap();
    }

    /// What lies on a node now.
    pub(crate) fn state(&self, name: &str, paths: &[&str]) -> State {
        let node = self.fleet.node(name);
        let word = |path: &str| node.get(path).unwrap().trim().to_owned();
        let paths = paths.iter().map(|path| ((*path).to_owned(), self.path(name, path)));
        State {
            machine_id: word("/etc/machine-id"),
            boot_id: word("/proc/sys/kernel/random/boot_id"),
            paths: paths.collect(),
        }
    }

    fn path(&self, name: &str, path: &str) -> Path {
        use std::os::unix::fs::MetadataExt as _;
        let real = self.fleet.node(name).path(path);
        let Ok(content) = fs::read(&real) else { return Path::Absent };
        let metadata = fs::metadata(&real).unwrap();
        Path::File(File {
            sha256: sha256(&content),
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            size: metadata.len(),
            content: None,
        })
    }

    /// A file that is to be put on a node.
    pub(crate) fn write(&self, name: &str, path: &str, content: &str, network: Option<&str>) -> Action {
        let before = self.path(name, path);
        let undo = match before {
            Path::Absent => Undo::Remove { path: path.to_owned() },
            _ => Undo::Restore { path: path.to_owned() },
        };
        let user = rustix::process::geteuid().as_raw();
        let file = WriteFile {
            path: path.to_owned(),
            content: content.to_owned(),
            sha256: sha256(content.as_bytes()),
            mode: 0o644,
            uid: user,
            gid: rustix::process::getegid().as_raw(),
            before,
            verify: network.map(|network| Loaded { network: network.to_owned() }),
        };
        action(Change::WriteFile(file), undo)
    }

    /// A run with this plan, kept in a directory of its own.
    pub(crate) fn run(&self, strategy: Strategy, nodes: &[(&str, Vec<Action>)]) -> Run {
        let nodes = nodes.iter().map(|(name, actions)| {
            let paths = actions.iter().flat_map(|action| match &action.change {
                Change::WriteFile(file) => vec![file.path.as_str()],
                Change::KubeadmJoin(join) => join.writes.iter().map(String::as_str).filter(is_file).collect(),
                _ => Vec::new(),
            });
            let state = self.state(name, &paths.collect::<Vec<_>>());
            NodePlan { node: (*name).to_owned(), decision: Decision::Change { state, actions: actions.clone() } }
        });
        let plan = Plan {
            schema: PLAN_SCHEMA,
            playbook: "test".to_owned(),
            strategy,
            accept_unknown: Vec::new(),
            nodes: nodes.collect(),
        };
        let hosts = self.hosts.iter().map(|host| PlannedHost {
            name: host.target.name.clone(),
            groups: Vec::new(),
            role: host.target.role,
        });
        let file = RunFile::new("run", SystemTime::now(), hosts.collect(), Vec::new());
        let writer = Writer::create(self.runs.path(), file).unwrap();
        Run { file: writer.file().clone(), directory: writer.directory().to_owned(), plan }
    }

    fn change_run<'r>(&'r self, run: &'r Run, journal: &'r Journal) -> ChangeRun<'r> {
        ChangeRun {
            file: &run.file,
            journal,
            collector: &self.collector,
            hosts: &self.hosts,
            control_planes: &self.control_planes,
            checks: &self.checks,
            accept_unknown: &[],
            width: 8,
            stop: &self.stop,
            waits: self.waits,
        }
    }

    /// Applies, goes on with, or takes back a run, to its end.
    pub(crate) async fn go(&self, run: &Run, way: Mode) -> Summary {
        let journal = match way {
            Mode::Apply => Journal::create(&run.directory, &run.plan).unwrap(),
            Mode::Resume | Mode::Undo => Journal::reopen(&run.directory).unwrap().0,
        };
        self.through(run, way, &journal).await
    }

    pub(crate) async fn apply(&self, run: &Run) -> Summary {
        self.go(run, Mode::Apply).await
    }

    async fn through(&self, run: &Run, way: Mode, journal: &Journal) -> Summary {
        let change = self.change_run(run, journal);
        match way {
            Mode::Apply => apply::run(&change, &run.plan).await,
            Mode::Resume => resume::run(&change, &run.plan).await,
            Mode::Undo => undo::run(&change, &run.plan).await,
        }
    }

    /// Applies a run in a process that ends right after its journal's line of this number, the first being 1; gives whether it
    /// came that far.
    pub(crate) async fn killed_at(&self, run: &Run, way: Mode, line: usize) -> bool {
        let kept = match way {
            Mode::Apply => {
                drop(Journal::create(&run.directory, &run.plan).unwrap());
                file::read(&run.directory).unwrap()
            }
            Mode::Resume | Mode::Undo => file::read(&run.directory).unwrap(),
        };
        let path = run.directory.join("journal.jsonl");
        let mut out = OpenOptions::new().append(true).open(&path).unwrap();
        let (dead, death) = oneshot::channel();
        let (release, held) = mpsc::channel::<()>();
        let (mut dead, mut count) = (Some(dead), 0);
        let journal = Journal::through(&path, &kept.lines, move |bytes| {
            if dead.is_some() {
                out.write_all(bytes)?;
                count += 1;
                if count < line {
                    return Ok(());
                }
                dead.take().map(|dead| dead.send(()));
            }
            // A process that is gone does nothing further.
            let _ = held.recv();
            Err(io::Error::other("killed"))
        });
        let died = tokio::select! {
            biased;
            _ = death => true,
            _ = self.through(run, way, &journal) => false,
        };
        drop(release);
        died
    }

    pub(crate) fn offers_undo(&self, run: &Run) -> bool {
        let (journal, _) = Journal::reopen(&run.directory).unwrap();
        undo::is_offered(&self.change_run(run, &journal), &run.plan)
    }

    /// The nodes that something is left to be taken back on.
    pub(crate) fn pending(&self, run: &Run) -> Vec<String> {
        let (journal, _) = Journal::reopen(&run.directory).unwrap();
        let left = undo::pending_actions(&self.change_run(run, &journal), &run.plan);
        left.into_iter().map(|(node, _)| node).collect()
    }
}

/// Directories are not looked at by their content.
fn is_file(path: &&str) -> bool {
    !path.ends_with("/pki")
}

/// An action that is asked for by name.
pub(crate) fn action(change: Change, undo: Undo) -> Action {
    let reason = Reason { check: None, text: "it was asked for".to_owned() };
    Action { step: 0, change, reason, undo, only_if: Vec::new() }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    sha2::Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// One word per node of a summary, and those that were not begun.
pub(crate) fn short(summary: &Summary) -> Vec<String> {
    let word = |outcome: &Outcome| match outcome {
        Outcome::Done { .. } => "done",
        Outcome::Skipped { .. } => "skipped",
        Outcome::Refused { .. } => "refused",
        Outcome::Failed { .. } => "failed",
        Outcome::Unsettled { .. } => "unsettled",
    };
    let touched = summary.nodes.iter().map(|(node, outcome)| format!("{node} {}", word(outcome)));
    touched.chain(summary.untouched.iter().map(|node| format!("{node} untouched"))).collect()
}

/// Everything that lies on a node but in `ignored` directories: path and content.
pub(crate) fn files(bench: &Bench, name: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let node = bench.fleet.node(name);
    let root = node.path("/");
    let files = node.files().into_iter().filter_map(|path| {
        let relative = path.strip_prefix(&root).ok()?.to_owned();
        let content = fs::read(&path).ok()?;
        // Locks and boot ids are of the moment.
        (!relative.starts_with("run") && !relative.starts_with("proc")).then_some((relative, content))
    });
    files.collect()
}

/// Waits for a condition, with a deadline.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
