//! A sweep by the program itself: two good nodes, some more beside them, and the fault.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use seaworthy::demo::{Behaviour, Fleet, Plan, State};
use serde_json::Value;

use crate::run::place::{Place, text};
use crate::ssh::real_sshd::Sshd;

/// The longest time for the work on a host in these sweeps, in seconds. Far more than a good one takes on a busy machine.
pub(super) const TIMEOUT: u64 = 15;

/// The fleet of a control plane and a worker, and a home for the program.
pub(super) struct Stage {
    fleet: Fleet,
    pub(super) place: Place,
}

/// What a sweep came to.
pub(super) struct Swept {
    pub(super) code: Option<i32>,
    pub(super) document: Value,
    pub(super) stderr: String,
    pub(super) took: Duration,
}

impl Stage {
    pub(super) fn new() -> Self {
        let nodes = [State::ControlPlane, State::Worker, State::Worker].map(|state| (state, Behaviour::Answer));
        Self { fleet: Fleet::start(Plan::of(7, nodes)).unwrap(), place: Place::new() }
    }

    /// Where a good node of the fleet listens that is not in the inventory.
    pub(super) fn third(&self) -> std::net::SocketAddr {
        self.fleet.address(2).unwrap()
    }

    /// `lines` are hosts of the inventory in place of the third node. `under` starts the program and becomes it.
    pub(super) fn command(&self, under: &[&str], lines: &str, arguments: &[&str]) -> Command {
        let inventory = std::fs::read_to_string(self.fleet.inventory_path()).unwrap();
        let ours = |line: &str| line.trim_start().starts_with("node003:");
        assert!(inventory.lines().any(ours));
        let lines = inventory.split_inclusive('\n').map(|line| if ours(line) { lines } else { line });
        self.place.write("fleet.yaml", &lines.collect::<String>());
        std::fs::copy(self.fleet.known_hosts_path(), self.place.path().join("known_hosts")).unwrap();
        let own =
            ["sweep", "-i", "fleet.yaml", "-o", "json", "--host-key", "accept-new", "--known-hosts", "known_hosts"];
        let timeout = format!("{TIMEOUT}s");
        let all = [&own[..], &["--run-dir", "runs", "--timeout", &timeout], arguments].concat();
        self.place.command(under, &all)
    }

    /// Sweeps, and asserts that the two good nodes were read whole.
    pub(super) fn sweep(&self, under: &[&str], lines: &str, arguments: &[&str]) -> Swept {
        let begun = Instant::now();
        let output = self.command(under, lines, arguments).output().unwrap();
        Swept::of(&output, begun.elapsed())
    }
}

impl Swept {
    pub(super) fn of(output: &Output, took: Duration) -> Self {
        let document =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(output)));
        let stderr = String::from_utf8(output.stderr.clone()).unwrap();
        assert!(!stderr.contains("panicked"), "{stderr}");
        let swept = Self { code: output.status.code(), document, stderr, took };
        for name in ["masternode", "node002"] {
            let node = swept.node(name);
            assert_eq!((&node["failure"], &node["verdict"]), (&Value::Null, &"pass".into()), "{name}: {node}");
        }
        swept
    }

    pub(super) fn node(&self, name: &str) -> &Value {
        let nodes = self.document["nodes"].as_array().unwrap();
        nodes.iter().find(|node| node["name"] == name).unwrap_or_else(|| panic!("no row of {name}"))
    }

    /// The kind of a node's failure with its message and the next move; `None` where it was read to the end.
    pub(super) fn failure(&self, name: &str) -> Option<[String; 3]> {
        let failure = &self.node(name)["failure"];
        (!failure.is_null()).then(|| ["kind", "message", "next"].map(|key| failure[key].as_str().unwrap().to_owned()))
    }

    /// Asserts that the node failed so, with these words in the message or the next move.
    #[track_caller]
    pub(super) fn assert_failure(&self, name: &str, kind: &str, words: &str) {
        let [found, message, next] = self.failure(name).unwrap_or_else(|| panic!("{name} was read"));
        assert_eq!(found, kind, "{name}: {message}");
        assert!(format!("{message}; {next}").contains(words), "{name}: {message}; {next}");
    }

    #[track_caller]
    pub(super) fn assert_read(&self, name: &str) {
        assert_eq!(self.failure(name), None, "{name}");
        assert!(self.has_facts(name), "{name}");
    }

    /// Whether something that the node said is there.
    pub(super) fn has_facts(&self, name: &str) -> bool {
        self.node(name).pointer("/facts/identity/kernel").is_some_and(Value::is_string)
    }
}

/// A host of the inventory at this port. `vars` follow a comma.
pub(super) fn host(name: &str, port: u16, vars: &str) -> String {
    format!("        {name}: {{ ansible_host: 127.0.0.1, ansible_port: {port}{vars} }}\n")
}

/// One that is this machine, as its own sshd shows it.
pub(super) fn line(name: &str, sshd: &Sshd) -> String {
    host(name, sshd.port, &format!(", ansible_ssh_private_key_file: '{}'", sshd.client.key_file.display()))
}

/// Waits for what comes true by itself; a minute is far more than that takes.
#[track_caller]
pub(super) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: never");
        std::thread::yield_now();
    }
}

/// Whether a test that needs root's rights may go on; says so where it may not.
pub(super) fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: not root, who alone has mounts of its own");
    }
    root
}
