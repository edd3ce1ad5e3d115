//! Sweeps each case together with the neighbours and asserts what holds for all of them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use seaworthy::checks::Checks;
use seaworthy::demo::Fleet;
use seaworthy::fleet;
use seaworthy::report::model::Report;
use seaworthy::run::{RunFile, Saved};
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::answer::{Answer, NODE, plan};
use super::case::{Case, Expected, Is, Peer};
use super::clean;
use crate::ssh::bad_peers::listen;
use crate::ssh::server::{self, Behaviour, Exec, Forward, Server};
use crate::ssh::steps::{Step, Talk};

/// Each step of a connection, and the work on a host. Far more than a good node takes on a busy machine in a debug build.
const LIMITS: [&str; 10] = [
    "--connect-timeout",
    "5s",
    "--kex-timeout",
    "5s",
    "--auth-timeout",
    "5s",
    "--open-timeout",
    "5s",
    "--timeout",
    "6s",
];
/// When a sweep has to be over: the longest step of a hung node, and time to start, judge and print on a busy machine. No node is
/// slow in two steps, so nothing adds up.
const DEADLINE: Duration = Duration::from_secs(6 + 20);
/// Most of the slow ones only wait.
const AT_ONCE: usize = 4;
/// The name of the misbehaving node, and its second one.
pub(super) const NAME: &str = "node003";
const AGAIN: &str = "node004";

/// What a sweep came to.
struct Swept {
    run: RunFile,
    document: Value,
    saved: Saved,
    stderr: String,
    took: Duration,
    /// High-water mark of its memory, in KiB.
    peak: u64,
}

/// What all cases share.
struct Stage {
    fleet: Fleet,
    key: russh::keys::PublicKey,
    checks: Checks,
    alone: Swept,
}

pub(super) fn sweep_each(cases: Vec<Case>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let wrong: Vec<String> = runtime.block_on(async {
        let stage = Arc::new(Stage::new().await);
        let all = cases.into_iter().map(|case| {
            let stage = Arc::clone(&stage);
            // As a task, so that what is wrong with one case does not hide the others.
            async move {
                let name = case.name;
                let done = tokio::spawn(stage.play(case)).await;
                done.err().map(|_| name.to_owned())
            }
        });
        futures::stream::iter(all).buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await
    });
    runtime.shutdown_background();
    assert!(wrong.is_empty(), "what is wrong with {} is printed above", wrong.join(", "));
}

impl Stage {
    async fn new() -> Self {
        let fleet = Fleet::start(plan()).unwrap();
        let key = key_of(&fleet);
        let alone = sweep(&fleet, "", &["-l", "masternode,node002"]).await;
        for node in alone.document["nodes"].as_array().unwrap() {
            assert_eq!(node["verdict"], "pass", "{node}");
        }
        Self { fleet, key, checks: Checks::built_in().unwrap(), alone }
    }

    async fn play(self: Arc<Self>, case: Case) {
        let (port, _server) = self.start(&case.peer).await;
        let line = |name: &str| line_of(name, port, case.vars);
        let (lines, arguments): (String, &[&str]) = match case.peer {
            // One after the other, so that it is known which of the two names meets the first key.
            Peer::Turncoat => ([line(AGAIN), line(NAME)].concat(), &["-f", "1"]),
            Peer::Tcp(_) | Peer::Ssh(_) | Peer::Says(_) => (line(NAME), &[]),
        };
        let swept = sweep(&self.fleet, &lines, arguments).await;
        println!(
            "{:<34} {:>6.1} s {:>6.1} MiB over {:.1} MiB",
            case.name,
            swept.took.as_secs_f64(),
            mib(swept.peak.saturating_sub(self.alone.peak)),
            mib(self.alone.peak)
        );
        // The peers of other cases answer meanwhile.
        let judging = tokio::task::spawn_blocking(move || self.judge(&case, &swept));
        judging.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    }

    fn judge(&self, case: &Case, swept: &Swept) {
        assert_expected(case, row(&swept.document, NAME));
        let limit = self.alone.peak + (case.memory << 10);
        assert!(swept.peak <= limit, "{}: {} KiB, and {limit} are allowed", case.name, swept.peak);
        let begun = Instant::now();
        let report = fleet::report(&swept.run, &swept.saved.records, &self.checks);
        self.assert_neighbours(case, swept, &report);
        clean::assert_clean(case.name, &report, &swept.saved.records);
        clean::assert_plain(case.name, "standard error", &swept.stderr);
        println!("{:<34} {:>6.1} s judged", case.name, begun.elapsed().as_secs_f64());
    }

    async fn start(&self, peer: &Peer) -> (u16, Option<Server>) {
        let mut behaviour = behaviour(self.key.clone());
        let spoil: fn(&mut Answer) = match peer {
            Peer::Tcp(talk) => return (listen(*talk as fn(TcpStream) -> _).await, None),
            Peer::Says(spoil) => *spoil,
            Peer::Ssh(_) | Peer::Turncoat => |_| {},
        };
        behaviour.exec = Exec::Talk(Talk::new(move |nonce| {
            let mut answer = Answer::good(nonce);
            spoil(&mut answer);
            vec![Step::Out(answer.bytes()), Step::Status(0), Step::Eof, Step::Close]
        }));
        match peer {
            Peer::Ssh(change) => change(&mut behaviour),
            Peer::Turncoat => behaviour.later_host_key = Some(crate::ssh::support::new_key()),
            Peer::Tcp(_) | Peer::Says(_) => {}
        }
        let server = server::start(behaviour).await;
        (server.port, Some(server))
    }

    /// The neighbours' rows, from this run's records with and without the node, are the same to the byte; and beside those of the
    /// sweep without it, only clocks have moved.
    fn assert_neighbours(&self, case: &Case, swept: &Swept, with: &Report) {
        let mut others = swept.saved.records.clone();
        others.retain(|record| ![NAME, AGAIN].contains(&record.name.as_str()));
        let without = fleet::report(&swept.run, &others, &self.checks);
        for other in &without.nodes {
            let rows = [with, &without].map(|report| serde_json::to_string(node_of(report, &other.name)).unwrap());
            assert_eq!(rows[0], rows[1], "{}: {}", case.name, other.name);
            let live = [&swept.document, &self.alone.document].map(|document| lasting(row(document, &other.name)));
            assert_eq!(live[0], live[1], "{}: {}", case.name, other.name);
        }
        assert_eq!(without.nodes.len(), NODE);
    }
}

/// An SSH server that the fleet's key opens. As the neighbours' sshd, it forwards nowhere: nothing leaves this machine.
pub(super) fn behaviour(key: russh::keys::PublicKey) -> Behaviour {
    let forward = Forward::Fail(russh::ChannelOpenFailure::AdministrativelyProhibited);
    Behaviour { keys: vec![key], forward, ..Behaviour::default() }
}

pub(super) fn key_of(fleet: &Fleet) -> russh::keys::PublicKey {
    russh::keys::load_secret_key(fleet.key_path(), None).unwrap().public_key().clone()
}

/// A node's line of the inventory, with these variables beside its address.
pub(super) fn line_of(name: &str, port: u16, vars: &str) -> String {
    let vars = if vars.is_empty() { String::new() } else { format!(", {vars}") };
    format!("        {name}: {{ ansible_host: 127.0.0.1, ansible_port: {port}{vars} }}\n")
}

pub(super) fn mib(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap()) / 1024.0
}

fn node_of<'r>(report: &'r Report, name: &str) -> &'r seaworthy::report::model::NodeReport {
    report.nodes.iter().find(|node| node.name == name).unwrap()
}

fn row<'d>(document: &'d Value, name: &str) -> &'d Value {
    let nodes = document["nodes"].as_array().unwrap();
    nodes.iter().find(|node| node["name"] == name).unwrap_or_else(|| panic!("no row of {name}"))
}

/// A row without what moves with the clock: how long it took, and what the neighbour says the time is.
fn lasting(row: &Value) -> Value {
    let mut row = row.clone();
    for gone in ["timings", "facts"] {
        row.as_object_mut().unwrap().remove(gone);
    }
    row
}

fn assert_expected(case: &Case, node: &Value) {
    let name = case.name;
    let failure = &node["failure"];
    match case.expected {
        Expected::Failure(kind, words) | Expected::Partly(kind, words) => {
            assert_eq!(failure["kind"], kind.name(), "{name}: {failure}");
            assert!(failure["layer"].is_string(), "{name}: {failure}");
            let message = failure["message"].as_str().unwrap();
            assert!(message.contains(words), "{name}: {message}");
            assert!(failure["next"].as_str().is_some_and(|next| !next.is_empty()), "{name}: {failure}");
            let read = node.pointer("/facts/identity/kernel").is_some_and(Value::is_string);
            assert_eq!(read, matches!(case.expected, Expected::Partly(..)), "{name}: {node}");
        }
        Expected::Read(places) => {
            assert_eq!(*failure, Value::Null, "{name}");
            for (place, is) in places {
                let found = node.pointer(place).unwrap_or_else(|| panic!("{name}: no {place}"));
                let good = match is {
                    Is::Unknown(words) => found["unknown"].as_str().is_some_and(|why| why.contains(words)),
                    Is::Json(json) => *found == serde_json::from_str::<Value>(json).unwrap(),
                    Is::Has(words) => found.to_string().contains(words),
                };
                let shown: String = found.to_string().chars().take(400).collect();
                assert!(good, "{name}: {place} is not {is:?} but {shown}");
            }
        }
    }
}

/// Sweeps the fleet, with these lines in place of the third node's.
async fn sweep(fleet: &Fleet, lines: &str, arguments: &[&str]) -> Swept {
    let ran = run(fleet, lines, &["sweep", "-o", "json", "--run-dir", "runs"], arguments).await;
    assert!(ran.peak > 0, "the document is shorter than a pipe");
    let document = serde_json::from_slice(&ran.stdout).unwrap();
    let saved = Saved::load(&only_entry(&ran.place.path().join("runs"))).unwrap();
    assert!(saved.damaged.is_empty(), "{:?}", saved.damaged);
    Swept { run: saved.run.clone(), document, saved, stderr: ran.stderr, took: ran.took, peak: ran.peak }
}

/// What the program did.
pub(super) struct Ran {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
    pub took: Duration,
    /// High-water mark of its memory, in KiB; 0 when it said less than a pipe holds and was gone before it was looked at.
    pub peak: u64,
    place: tempfile::TempDir,
}

/// Runs the program over the fleet, with these lines in place of the third node's: `first` before the options that all share, `last`
/// behind them.
pub(super) async fn run(fleet: &Fleet, lines: &str, first: &[&str], last: &[&str]) -> Ran {
    let place = tempfile::tempdir().unwrap();
    let inventory = place.path().join("fleet.yaml");
    let known_hosts = place.path().join("known_hosts");
    fleet.write_inventory(&inventory).unwrap();
    let text: String = std::fs::read_to_string(&inventory)
        .unwrap()
        .split_inclusive('\n')
        .map(|line| if !lines.is_empty() && line.trim_start().starts_with("node003:") { lines } else { line })
        .collect();
    std::fs::write(&inventory, text).unwrap();
    std::fs::copy(fleet.known_hosts_path(), &known_hosts).unwrap();
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_seaworthy"))
        .args(first)
        .args(["--host-key", "accept-new", "-i"])
        .arg(&inventory)
        .arg("--known-hosts")
        .arg(&known_hosts)
        .args(LIMITS)
        .args(last)
        .current_dir(place.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", place.path())
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let status = PathBuf::from(format!("/proc/{}/status", child.id().unwrap()));
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let reading = async {
        let (mut text, mut piece, mut peak) = (Vec::new(), vec![0; 16 << 10], 0);
        // A document is longer than a pipe, so that the program is still there when its beginning comes; by then it has read
        // and judged every node.
        while let Ok(count @ 1..) = out.read(&mut piece).await {
            text.extend_from_slice(&piece[..count]);
            peak = peak.max(high_water(&status).unwrap_or_default());
        }
        (text, peak)
    };
    let mut stderr = String::new();
    let ended =
        tokio::time::timeout(DEADLINE, async { tokio::join!(reading, err.read_to_string(&mut stderr), child.wait()) });
    let ((stdout, peak), said, code) = ended.await.expect("it ends before its deadline");
    let took = begun.elapsed();
    said.expect("standard error is UTF-8");
    let code = code.unwrap().code();
    assert!(matches!(code, Some(0 | 2 | 4 | 6)) && !stderr.contains("panicked"), "{code:?}: {stderr}");
    Ran { code, stdout, stderr, took, peak, place }
}

/// In KiB; `None` when the process has ended.
fn high_water(status: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn only_entry(directory: &Path) -> PathBuf {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    entries.sort();
    entries.pop().expect("a run was kept")
}
