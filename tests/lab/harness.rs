//! The fleet that all tests share, and how they look at it. Knows the lab's script and the binary; knows no test.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{LazyLock, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest time for the work on one host in the shared sweep.
const TIMEOUT: &str = "40s";

/// The nodes of the shared fleet without Kubernetes: name, last byte of the address, state.
const NODES: &str = "\
plain 10 plain
down 11 containerd-stopped
nocri 12 cri-disabled
readonly 13 read-only
full 14 full
sudo 15 sudo
gate 16 bastion
inner 17 behind
changed 18 changed-key
noisy 19 noisy
hungfuse 20 hung-fuse
unplugged 21 plain
dropped 22 plain
refused 23 plain
silent 24 plain
";

/// The same, of those that need Kubernetes' programs. The control plane comes first, because the workers wait for it.
const KUBERNETES_NODES: &str = "\
master 2 control-plane
worker 3 ready
nocni 4 not-ready
prepared 5 prepared
storage 6 standalone
storage-reset 7 reset
";

/// What happens to a node once it runs. Each bears the fault's name, or says which it is.
const FAULTS: [(&str, &str); 4] =
    [("unplugged", "unplugged"), ("dropped", "dropped"), ("refused", "refused"), ("silent", "sshd-stopped")];

/// Held for reading while a test keeps the machine busy, for writing by the one that measures time.
static BUSY: RwLock<()> = RwLock::new(());

/// Held by a test that keeps the machine busy by itself.
pub(crate) fn busy() -> RwLockReadGuard<'static, ()> {
    BUSY.read().unwrap_or_else(PoisonError::into_inner)
}

/// A lab of nodes, by its name.
pub(crate) struct Lab {
    name: String,
    /// Its inventory, and a home directory in which nothing of the user's is found.
    home: tempfile::TempDir,
}

impl Lab {
    /// Boots `nodes`. Everything is taken down again when the process `owner` is gone.
    pub(crate) fn up(name: String, owner: u32, nodes: &str) -> Self {
        let _busy = busy();
        let lab = Self { name, home: tempfile::tempdir().unwrap() };
        let mut up = lab.script(["up", "--owner", &owner.to_string()]);
        let mut child = up.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(nodes.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "the lab did not come up:\n{}", String::from_utf8_lossy(&output.stderr));
        let inventory = lab.script(["inventory"]).output().unwrap().stdout;
        std::fs::write(lab.inventory(), inventory).unwrap();
        lab
    }

    pub(crate) fn script<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/lab"));
        command.args(args).env("SEAWORTHY_LAB_NAME", &self.name).stdin(Stdio::null());
        command
    }

    /// Runs a command line in a node, without its sshd, and returns what it printed.
    pub(crate) fn exec(&self, node: &str, command: &str) -> String {
        let output = self.script(["exec", node, command]).output().unwrap();
        assert!(output.status.success(), "{command} on {node}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn fault(&self, node: &str, kind: &str) {
        let output = self.script(["fault", node, kind]).output().unwrap();
        assert!(output.status.success(), "{kind} of {node}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn heal(&self, node: &str, kind: &str) {
        let output = self.script(["heal", node, kind]).output().unwrap();
        assert!(output.status.success(), "{kind} of {node}, undone: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn inventory(&self) -> PathBuf {
        self.home.path().join("inventory.yaml")
    }

    /// A file of the lab: its password for sudo lies beside its key.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        Path::new("/var/lib/seaworthy-lab").join(&self.name).join(name)
    }

    /// Runs `seaworthy` with nothing of the user's own: no home, no agent, no settings.
    pub(crate) fn seaworthy<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Output {
        self.seaworthy_command().args(args).output().unwrap()
    }

    pub(crate) fn seaworthy_command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seaworthy"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("XDG_STATE_HOME", self.home.path().join("state"))
            .stdin(Stdio::null());
        command
    }

    /// Sweeps the nodes of `limit` with `args` on top.
    pub(crate) fn sweep(&self, limit: &str, args: &[&str]) -> Sweep {
        let _busy = busy();
        self.sweep_now(limit, args)
    }

    /// The same, while no other test boots or sweeps.
    pub(crate) fn sweep_alone(&self, limit: &str, args: &[&str]) -> Sweep {
        let _alone = BUSY.write().unwrap_or_else(PoisonError::into_inner);
        self.sweep_now(limit, args)
    }

    /// `diagnose` of one node with what its join printed.
    pub(crate) fn diagnose(&self, node: &str, log: &Path) -> Sweep {
        let _busy = busy();
        let inventory = self.inventory();
        let limit = format!("master,{node}");
        let words =
            ["diagnose", node, "-o", "json", "-i", inventory.to_str().unwrap(), "-l", &limit, "--timeout", "40s"];
        Sweep::of(&self.seaworthy(words.into_iter().chain(["--join-log", log.to_str().unwrap()])), Duration::ZERO)
    }

    /// The address of a node.
    pub(crate) fn address(&self, node: &str) -> String {
        std::fs::read_to_string(self.file("nodes").join(node).join("address")).unwrap().trim().to_owned()
    }

    /// The control plane's own words for joining.
    pub(crate) fn join_command(&self) -> String {
        std::fs::read_to_string(self.file("join")).unwrap().replace("\\\n", " ").trim().to_owned()
    }

    /// The same for a test that is [`busy`] already.
    pub(crate) fn sweep_beside(&self, limit: &str, args: &[&str]) -> Sweep {
        self.sweep_now(limit, args)
    }

    fn sweep_now(&self, limit: &str, args: &[&str]) -> Sweep {
        let inventory = self.inventory();
        let mut all = vec!["sweep", "-o", "json", "-i", inventory.to_str().unwrap(), "-l", limit];
        all.extend_from_slice(args);
        let started = Instant::now();
        let output = self.seaworthy(all);
        let elapsed = started.elapsed();
        Sweep::of(&output, elapsed)
    }
}

/// One run of `seaworthy sweep -o json`.
pub(crate) struct Sweep {
    pub(crate) code: Option<i32>,
    pub(crate) document: Value,
    pub(crate) stdout: Vec<u8>,
    pub(crate) elapsed: Duration,
}

impl Sweep {
    pub(crate) fn of(output: &Output, elapsed: Duration) -> Self {
        let document = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{e}; stderr: {}", String::from_utf8_lossy(&output.stderr)));
        Self { code: output.status.code(), document, stdout: output.stdout.clone(), elapsed }
    }

    fn causes(&self) -> impl Iterator<Item = &Value> {
        self.document["root_causes"].as_array().unwrap().iter()
    }

    /// The ids of a node's root causes.
    pub(crate) fn roots(&self, node: &str) -> Vec<String> {
        let own = |cause: &&Value| cause["nodes"].as_array().unwrap().iter().any(|name| name == node);
        self.causes().filter(|cause| cause["verdict"] == "fail").filter(own).map(|cause| text(&cause["id"])).collect()
    }

    pub(crate) fn confidence(&self, id: &str) -> String {
        self.causes().find(|cause| cause["id"] == id).map_or_else(String::new, |cause| text(&cause["confidence"]))
    }

    /// Everything that was found on a node, for the message of a test that fails.
    pub(crate) fn told(&self, node: &str) -> String {
        let found = self.node(node).0["findings"].as_array().unwrap();
        let lines = found.iter().map(|finding| {
            format!(
                "{} {}: {} [{}] by {} {}",
                text(&finding["verdict"]),
                text(&finding["id"]),
                text(&finding["message"]),
                text(&finding["severity"]),
                text(&finding["explained_by"]),
                finding["evidence"]
            )
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn nodes(&self) -> &[Value] {
        self.document["nodes"].as_array().unwrap()
    }

    pub(crate) fn node(&self, name: &str) -> Node<'_> {
        let found = self.nodes().iter().find(|node| node["name"] == name);
        Node(found.unwrap_or_else(|| panic!("no row for {name} in {}", self.document)))
    }
}

/// One node's entry in the document.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a>(&'a Value);

impl<'a> Node<'a> {
    /// A field of the entry as text; "null" where there is none.
    pub(crate) fn field(self, name: &str) -> String {
        text(&self.0[name])
    }

    /// The kind of its failure; "null" when it was read to the end.
    pub(crate) fn failure(self) -> String {
        text(&self.0["failure"]["kind"])
    }

    pub(crate) fn failure_message(self) -> String {
        text(&self.0["failure"]["message"])
    }

    /// The verdict of an area.
    pub(crate) fn area(self, area: &str) -> String {
        text(&self.cell(area)["verdict"])
    }

    /// What the table and its notes say of an area.
    pub(crate) fn words(self, area: &str) -> String {
        let cell = self.cell(area);
        let reasons: Vec<String> = cell["reasons"].as_array().into_iter().flatten().map(text).collect();
        format!("{} | {}", text(&cell["text"]), reasons.join(" | "))
    }

    fn cell(self, area: &str) -> &'a Value {
        let found = self.0["areas"].as_array().into_iter().flatten().find(|cell| cell["area"] == area);
        found.unwrap_or_else(|| panic!("no area {area} in {}", self.0))
    }

    /// Milliseconds of one step.
    pub(crate) fn timing(self, step: &str) -> f64 {
        self.0["timings"][step].as_f64().unwrap()
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The shared fleet, booted by the first test that asks for it; `None`, said aloud once, where no lab is wanted.
pub(crate) fn fleet() -> Option<&'static Lab> {
    static FLEET: LazyLock<Lab> = LazyLock::new(|| {
        let mut nodes = String::new();
        if has_kubernetes() {
            nodes.push_str(KUBERNETES_NODES);
            nodes.push_str(crate::causes::NODES);
        }
        nodes.push_str(NODES);
        nodes.push_str(&crate::crowd::nodes());
        let fleet = Lab::up(lab_name("t"), std::process::id(), &nodes);
        for (node, kind) in FAULTS {
            fleet.fault(node, kind);
        }
        crate::causes::ready();
        fleet
    });
    wanted().then(|| &*FLEET)
}

/// The shared fleet, where it has a cluster.
pub(crate) fn cluster() -> Option<&'static Lab> {
    static SAID: OnceLock<()> = OnceLock::new();
    if wanted() && !has_kubernetes() {
        SAID.get_or_init(|| say("skipped where a cluster is needed: SEAWORTHY_KUBERNETES is not set"));
        return None;
    }
    fleet()
}

/// One sweep of the whole fleet but the crowd, which every test about a node's state looks at.
pub(crate) fn swept(fleet: &Lab) -> &'static Sweep {
    static SWEPT: OnceLock<Sweep> = OnceLock::new();
    SWEPT.get_or_init(|| {
        // A command that runs out of its seconds on a busy machine is no fault of the node: looked at again, it answers.
        let look = || {
            if has_kubernetes() {
                settle(fleet);
            }
            fleet.sweep_alone("all:!crowd*", &["--connect-timeout", "4s", "--timeout", TIMEOUT])
        };
        let read = |sweep: &Sweep| {
            let named = sweep
                .nodes()
                .iter()
                .filter(|node| ["master", "worker", "prepared"].iter().any(|name| node["name"] == **name));
            named.map(Node).all(|node| {
                let known = ["containerd", "kubelet", "cni"].iter().all(|area| node.area(area) != "unknown");
                known && !node.words("api").contains("did not answer in")
            })
        };
        (0..2).map(|_| look()).find(read).unwrap_or_else(look)
    })
}

/// Waits until the control plane answers as quickly as on a machine that is not busy: all nodes boot at the same time, and
/// what they start with would otherwise be read as an API server that is down.
fn settle(fleet: &Lab) {
    let ready = "timeout 2 kubectl --kubeconfig /etc/kubernetes/admin.conf get --raw /readyz || true";
    let answers = || fleet.exec("master", ready).trim() == "ok";
    assert!(eventually(Duration::from_mins(2), answers), "the control plane does not answer within 2 s");
}

/// A name for a lab of this process.
pub(crate) fn lab_name(kind: &str) -> String {
    let given = std::env::var("SEAWORTHY_LAB_NAME").ok();
    // The shared fleet has the name itself, the others one beside it.
    let given = given.map(|name| if kind == "t" { name } else { format!("{kind}{name}").chars().take(5).collect() });
    given.unwrap_or_else(|| format!("{kind}{}", std::process::id() % 10_000))
}

/// Whether the lab was asked for.
pub(crate) fn wanted() -> bool {
    static SAID: OnceLock<()> = OnceLock::new();
    let wanted = std::env::var_os("SEAWORTHY_LAB").is_some_and(|value| value == "1");
    if !wanted {
        SAID.get_or_init(|| say("skipped: SEAWORTHY_LAB is not set to 1"));
    }
    wanted
}

pub(crate) fn has_kubernetes() -> bool {
    std::env::var_os("SEAWORTHY_KUBERNETES").is_some_and(|value| !value.is_empty())
}

/// Past the test harness, which keeps what a passing test prints to itself.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "lab tests {text}");
}

/// Whether `condition` comes true within `limit`.
pub(crate) fn eventually(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while !condition() {
        if started.elapsed() > limit {
            return false;
        }
        #[expect(clippy::disallowed_methods, reason = "between two looks at a condition that has a deadline")]
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}
