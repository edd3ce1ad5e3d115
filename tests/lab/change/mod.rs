//! Changes on real nodes: a cluster that runs flannel, prepared workers, `join`, `flannel push`, `run`, `undo`.
//!
//! The lab of these tests is its own, beside the shared one, because its cluster changes. This file is how a run is started,
//! watched, hit and looked at afterwards; the tests are in the files beside it.

mod cut_off;
mod joined;
mod pushed;
mod refused;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Lab, busy, eventually, has_kubernetes, lab_name, text, wanted};

/// The eight workers whose story `refused` and `joined` tell in turn, and four that tests take and give back.
const NODES: &str = "\
master 2 flannel-control-plane
w1 11 candidate
w2 12 candidate
w3 13 candidate
w4 14 candidate
w5 15 candidate
w6 16 candidate
w7 17 candidate
w8 18 candidate
d1 21 candidate
d2 22 candidate
d3 23 candidate
d4 24 candidate
";

/// The eight, as on a command line.
const EIGHT: [&str; 8] = ["w1", "w2", "w3", "w4", "w5", "w6", "w7", "w8"];

/// The longest that any run may take.
const LONGEST: Duration = Duration::from_mins(8);

/// The fleet that is changed, booted by the first test that asks for it; `None` where no lab or no Kubernetes is at hand, or where
/// nobody asked for these tests: they take longer than all others together.
fn fleet() -> Option<&'static Lab> {
    static FLEET: LazyLock<Lab> = LazyLock::new(|| {
        let fleet = Lab::up(lab_name("c"), std::process::id(), NODES);
        assert!(eventually(Duration::from_mins(3), || answers_soon(&fleet)), "its API does not come to rest");
        FREE.nodes.lock().unwrap_or_else(PoisonError::into_inner).extend(["d1", "d2", "d3", "d4"]);
        fleet
    });
    let asked = std::env::var_os("SEAWORTHY_LAB_CHANGES").is_some();
    if !asked && wanted() {
        eprintln!("skipped: set SEAWORTHY_LAB_CHANGES=1 to change real nodes");
    }
    (asked && wanted() && has_kubernetes()).then(|| &*FLEET)
}

/// Its API has done with what all nodes ask for when they start: a plan is refused where it takes too long.
fn answers_soon(lab: &Lab) -> bool {
    let since = Instant::now();
    lab.exec("master", "kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes");
    since.elapsed() < Duration::from_secs(2)
}

/// Nodes that no test has.
struct Pool {
    nodes: Mutex<Vec<&'static str>>,
    returned: Condvar,
}

static FREE: Pool = Pool { nodes: Mutex::new(Vec::new()), returned: Condvar::new() };

/// A prepared node for one test; it leaves the cluster when the test is over, however it ended.
struct Taken {
    lab: &'static Lab,
    node: &'static str,
}

fn take(lab: &'static Lab) -> Taken {
    let mut free = FREE.nodes.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(node) = free.pop() {
            return Taken { lab, node };
        }
        free = FREE.returned.wait(free).unwrap_or_else(PoisonError::into_inner);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // A node that cannot be mended is not given to the next test.
        if self.lab.script(["unjoin", self.node]).output().is_ok_and(|output| output.status.success()) {
            FREE.nodes.lock().unwrap_or_else(PoisonError::into_inner).push(self.node);
            FREE.returned.notify_one();
        }
    }
}

/// A fault that is there as long as this value.
struct Broken<'l> {
    lab: &'l Lab,
    node: &'l str,
    kind: &'l str,
}

fn broken<'l>(lab: &'l Lab, node: &'l str, kind: &'l str) -> Broken<'l> {
    lab.fault(node, kind);
    Broken { lab, node, kind }
}

impl Drop for Broken<'_> {
    fn drop(&mut self) {
        let healed = self.lab.script(["heal", self.node, self.kind]).output();
        let fine = healed.is_ok_and(|output| output.status.success());
        assert!(fine || std::thread::panicking(), "{} of {} stays", self.kind, self.node);
    }
}

/// A `seaworthy` at work on a change. It is killed when this value goes.
struct Running {
    child: Child,
    /// Its runs, and nobody else's.
    state: Arc<tempfile::TempDir>,
}

/// Starts `seaworthy WORDS`, with what each change here needs; in `state` to go on with a run of before.
fn start_in(lab: &Lab, state: Arc<tempfile::TempDir>, words: &[&str]) -> Running {
    let inventory = lab.inventory();
    let file = |name: &str| File::create(state.path().join(name)).unwrap();
    let mut command = lab.seaworthy_command();
    let child = command
        .args(words)
        .args(["-y", "-o", "json", "-i", inventory.to_str().unwrap()])
        // A lost connection is to be noticed in seconds, and a busy machine is no fault.
        .args(["--ssh-option", "ServerAliveInterval=2", "--timeout", "60s"])
        .env("XDG_STATE_HOME", state.path())
        .stdout(file("stdout"))
        .stderr(file("stderr"))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    Running { child, state }
}

fn start(lab: &Lab, words: &[&str]) -> Running {
    start_in(lab, Arc::new(tempfile::tempdir().unwrap()), words)
}

/// Goes on with a run that was cut off or is to be undone: `run --resume`, `undo`.
fn go_on(lab: &Lab, run: &Running, words: &[&str]) -> Changed {
    let id = run.id().unwrap_or_else(|| panic!("there is no run: {}", run.said()));
    let words: Vec<&str> = words.iter().copied().chain([id.as_str()]).collect();
    let _busy = busy();
    start_in(lab, Arc::clone(&run.state), &words).end()
}

/// A change from its start to its end, while the tests that measure time wait; once more where this machine was too slow.
fn change(lab: &Lab, words: &[&str]) -> Changed {
    let _busy = busy();
    let mut tries = (0..6).map(|_| start(lab, words).end());
    let mut changed = tries.next().unwrap();
    while changed.was_too_slow()
        && let Some(again) = tries.next()
    {
        changed = again;
    }
    changed
}

impl Running {
    /// The directory of its run, once there is one.
    fn directory(&self) -> Option<PathBuf> {
        let runs = fs::read_dir(self.state.path().join("seaworthy/runs")).ok()?;
        runs.filter_map(Result::ok).map(|entry| entry.path()).find(|path| path.join("journal.jsonl").exists())
    }

    /// The run's id.
    fn id(&self) -> Option<String> {
        Some(self.directory()?.file_name()?.to_str()?.to_owned())
    }

    /// The whole lines of its journal.
    fn journal(&self) -> Vec<Value> {
        let text =
            self.directory().and_then(|path| fs::read_to_string(path.join("journal.jsonl")).ok()).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until `moment` comes; false when the run ended before.
    fn comes_to(&mut self, mut moment: impl FnMut(&Self) -> bool) -> bool {
        let mut came = false;
        let settled = eventually(LONGEST, || {
            came = moment(self);
            came || self.has_ended()
        });
        assert!(settled, "neither came the moment, nor the end: {:?}\n{}", self.journal(), self.said());
        came
    }

    fn said(&self) -> String {
        fs::read_to_string(self.state.path().join("stderr")).unwrap_or_default()
    }

    /// As `kill -9`: it gets no word.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its end by itself.
    fn end(mut self) -> Changed {
        self.comes_to(|_| false);
        let code = self.child.wait().unwrap().code();
        let stdout = fs::read_to_string(self.state.path().join("stdout")).unwrap();
        let document = serde_json::from_str(&stdout).unwrap_or(Value::Null);
        Changed { code, document, said: self.said(), run: self }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A change that ended.
struct Changed {
    code: Option<i32>,
    /// `seaworthy/plan/v1`.
    document: Value,
    /// Its standard error.
    said: String,
    run: Running,
}

impl Changed {
    /// What was decided about a node.
    fn decision(&self, node: &str) -> &Value {
        let all = self.document["nodes"].as_array().unwrap_or_else(|| panic!("no plan: {}", self.said));
        let own = all.iter().find(|entry| entry["node"] == node);
        &own.unwrap_or_else(|| panic!("{node} is not in {}", self.document))["decision"]
    }

    /// Nothing was begun, because something did not answer in time: this machine runs a whole cluster beside the test.
    fn was_too_slow(&self) -> bool {
        let slow = |refusal: &Value| refusal["unknown"] == true || refusal["guard"] == "control-plane/api-down";
        let waits = |node: &Value| {
            node["decision"]["refusals"].as_array().is_some_and(|all| !all.is_empty() && all.iter().all(slow))
        };
        self.document["nodes"].as_array().is_some_and(|nodes| !nodes.is_empty() && nodes.iter().all(waits))
    }

    /// The guards that refused a node.
    fn guards(&self, node: &str) -> Vec<String> {
        let refusals = self.decision(node)["refusals"].as_array();
        refusals.into_iter().flatten().map(|refusal| text(&refusal["guard"])).collect()
    }

    /// How a node ended: done, failed …; "untouched" when nothing was begun on it.
    fn outcome(&self, node: &str) -> String {
        let result = &self.document["result"];
        let ended = result["nodes"].as_array().into_iter().flatten().find(|entry| entry["node"] == node);
        let untouched = result["untouched"].as_array().into_iter().flatten().any(|name| name == node);
        ended.map_or_else(
            || if untouched { "untouched" } else { "not named" }.to_owned(),
            |entry| text(&entry["outcome"]),
        )
    }

    /// Everything, for the message of a test that fails.
    fn told(&self) -> String {
        format!("exit code {:?}\n{}\n{:#}\n{:#?}", self.code, self.said, self.document, self.run.journal())
    }
}

/// The status of a Node's Ready condition; empty without a Node.
fn ready(lab: &Lab, node: &str) -> String {
    let path = "{.status.conditions[?(@.type==\"Ready\")].status}";
    let command = format!(
        "kubectl --kubeconfig /etc/kubernetes/admin.conf get node {node} --ignore-not-found -o jsonpath='{path}'"
    );
    lab.exec("master", &command)
}

/// What a node may be after a change, whatever happened to it.
#[derive(Debug, PartialEq, Eq)]
enum Legal {
    /// Prepared, as before the join.
    Prepared,
    /// A Ready worker.
    Joined,
}

/// Nothing half done is on the node and nothing of it in the cluster, and it is the one or the other.
fn legal(lab: &Lab, node: &str, told: impl Fn() -> String) -> Legal {
    let joined = lab.exec(node, "ls /etc/kubernetes/kubelet.conf /var/lib/kubelet/config.yaml 2>/dev/null || true");
    let kept = if joined.is_empty() { Kept::Nothing } else { Kept::ForUndo };
    assert_nothing_remains(lab, node, kept, &told);
    if joined.is_empty() {
        let listed = || ready(lab, node);
        assert!(
            eventually(Duration::from_secs(20), || listed().is_empty()),
            "{node} has a Node: {}\n{}",
            listed(),
            told()
        );
        let files = "ls -A /etc/kubernetes /etc/kubernetes/pki /var/lib/kubelet/pki 2>/dev/null | grep -vE '^$|:$|^manifests$' || true";
        assert_eq!(lab.exec(node, files), "", "{node} is not as it was\n{}", told());
        return Legal::Prepared;
    }
    let is_ready = eventually(Duration::from_mins(1), || ready(lab, node) == "True");
    assert!(is_ready, "{node} has joined and is not Ready: {joined}{}", told());
    Legal::Joined
}

/// Which copies may lie on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Nothing,
    /// What the files were before the join, which `undo` puts back.
    ForUndo,
}

/// No half-written file, no job, no token, on the node or in the cluster, and no copy that nobody needs.
fn assert_nothing_remains(lab: &Lab, node: &str, kept: Kept, told: impl Fn() -> String) {
    let needed = |line: &str| kept == Kept::ForUndo && line.starts_with("kept: /var/lib/seaworthy/");
    let remains = || {
        let found = String::from_utf8(lab.script(["remains", node]).output().unwrap().stdout).unwrap();
        found.lines().filter(|line| !needed(line)).collect::<Vec<_>>().join("\n")
    };
    // What ends by itself after its master may take a moment.
    let clean = eventually(Duration::from_secs(20), || remains().is_empty());
    assert!(clean, "left on {node}:\n{}\n{}", remains(), told());
    let tokens = lab.exec("master", &format!("kubeadm token list | grep -w '{node}' || true"));
    assert_eq!(tokens, "", "tokens of {node} are left\n{}", told());
}

/// The search sees what it must, and an untouched node has nothing of it.
#[test]
fn what_remains_is_seen() {
    let Some(lab) = fleet() else { return };
    let taken = take(lab);
    let node = taken.node;
    assert_nothing_remains(lab, node, Kept::Nothing, String::new);
    let made = lab.exec("master", &format!("kubeadm token create --ttl 10m --description 'seaworthy run {node}'"));
    let (id, secret) = made.trim().split_once('.').unwrap();
    let files = "/opt/left /etc/cni/net.d/.10-flannel.conflist.seaworthy.tmp /var/lib/seaworthy/run/kept /run/seaworthy/join/log";
    lab.exec(node, &format!("for file in {files}; do mkdir -p ${{file%/*}}; echo 'x{secret}x' >$file; done"));
    let remains = String::from_utf8(lab.script(["remains", node]).output().unwrap().stdout).unwrap();
    for file in files.split_whitespace() {
        assert!(
            remains
                .lines()
                .any(|line| line.starts_with("a token in") && file.ends_with(line.rsplit(':').next().unwrap())),
            "{file}: {remains}"
        );
    }
    for kind in ["half a file: ", "kept: /var/lib/seaworthy/run/kept", "kept: /run/seaworthy/join/log"] {
        assert!(remains.lines().any(|line| line.starts_with(kind)), "{kind}: {remains}");
    }
    lab.exec(node, "rm -r /opt/left");
    lab.exec("master", &format!("kubeadm token delete {id}"));
}

#[test]
fn a_node_that_loses_its_power_keeps_its_disk_and_nothing_else() {
    let Some(lab) = fleet() else { return };
    let taken = take(lab);
    let node = taken.node;
    let boot = || lab.exec(node, "cat /proc/sys/kernel/random/boot_id");
    let before = boot();
    lab.exec(node, "touch /root/kept /run/lost");
    let output = lab.script(["reboot", node]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_ne!(boot(), before);
    assert_eq!(lab.exec(node, "ls /root/kept /run/lost 2>/dev/null || true").trim(), "/root/kept");
}
