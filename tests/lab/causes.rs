//! One fault on a real node, one root cause in the report, and nothing anywhere else.
//!
//! Four nodes take turns: `bench1` and `bench2` have joined, `desk1` and `desk2` are prepared. Each fault is undone before the
//! next one comes.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::harness::{Lab, Sweep, cluster, eventually};

/// Their states in the lab.
pub(crate) const NODES: &str = "\
bench1 30 ready
bench2 31 ready
desk1 32 prepared
desk2 33 prepared
";

/// Nodes of one kind that are free.
struct Pool {
    free: Mutex<Vec<&'static str>>,
    returned: Condvar,
}

static BENCH: Pool = Pool::new();
static DESK: Pool = Pool::new();

impl Pool {
    const fn new() -> Self {
        Self { free: Mutex::new(Vec::new()), returned: Condvar::new() }
    }

    /// The nodes become known with the first fleet.
    fn fill(&self, nodes: [&'static str; 2]) {
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) = nodes.to_vec();
    }

    fn take(&'static self) -> Taken {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(node) = free.pop() {
                return Taken { pool: self, node };
            }
            free = self.returned.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A node for one test; given back even when the test fails.
struct Taken {
    pool: &'static Pool,
    node: &'static str,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.pool.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.node);
        self.pool.returned.notify_one();
    }
}

/// Called once by the fleet when it is up.
pub(crate) fn ready() {
    BENCH.fill(["bench1", "bench2"]);
    DESK.fill(["desk1", "desk2"]);
}

/// A control plane, a prepared node that nothing happens to, and `node`.
fn look(fleet: &Lab, node: &str) -> Sweep {
    fleet.sweep(&format!("master,prepared,{node}"), &["--timeout", "40s"])
}

/// Breaks a node in one way; its only root cause must be `cause`, and nobody else may have any.
fn gives(pool: &'static Pool, kind: &str, cause: &str) {
    let Some(fleet) = cluster() else { return };
    let taken = pool.take();
    let node = taken.node;
    fleet.fault(node, kind);
    let expected = (vec![cause.to_owned()], Vec::new(), Vec::new());
    let all = |swept: &Sweep| (swept.roots(node), swept.roots("master"), swept.roots("prepared"));
    // A command that runs out of its seconds on a busy machine hides facts: looked at again, they are there.
    let looks = (0..2).map(|_| look(fleet, node)).find(|swept| all(swept) == expected);
    let swept = looks.unwrap_or_else(|| look(fleet, node));
    let (found, told) = (all(&swept), swept.told(node));
    fleet.heal(node, kind);
    // The control plane takes longest to read, and the node itself shows whether it is sound again.
    let alone = || fleet.sweep(node, &["--timeout", "40s"]).roots(node);
    let sound = eventually(Duration::from_secs(90), || alone().is_empty());
    assert_eq!(found, expected, "{kind}:\n{told}");
    assert!(sound, "{kind} is undone, and still: {:?}", alone());
}

macro_rules! causes {
    ($($test:ident: $pool:ident $kind:literal => $cause:literal;)*) => {
        $(#[test]
        fn $test() {
            gives(&$pool, $kind, $cause);
        })*
    };
}

causes! {
    no_cni_configuration: BENCH "no-conflist" => "cni/config-missing";
    one_plugin_in_a_conflist: BENCH "single-plugin" => "cni/config-invalid";
    a_placeholder_sorts_first: BENCH "placeholder" => "cni/shadowed";
    the_directory_was_made_anew: BENCH "netd-remade" => "cni/not-loaded";
    no_plugin_at_all: BENCH "bin-dir-empty" => "cni/plugin-missing";
    the_plugin_directory_of_debian: BENCH "bin-dir-debian" => "containerd/bin-dir";
    a_plugin_that_is_a_directory: BENCH "plugin-directory" => "cni/plugin-unusable";
    the_cri_plugin_is_off: BENCH "cri-off" => "containerd/cri-disabled";
    systemd_cgroup_outside_its_table: BENCH "cgroup-misplaced" => "containerd/systemd-cgroup-misplaced";
    the_drop_in_is_gone: BENCH "drop-in-deleted" => "kubelet/drop-in-missing";
    the_drop_in_has_no_section: BENCH "drop-in-no-section" => "kubelet/drop-in-missing";
    a_flag_that_was_removed: BENCH "flag-removed" => "kubelet/removed-flag";
    the_client_certificate_has_expired: BENCH "certificate-expired" => "kubelet/client-certificate-expired";
    the_authority_of_another_cluster: BENCH "ca-replaced" => "kubelet/ca-differs";
    packets_are_not_forwarded: BENCH "forward-off" => "kernel/ip-forward-off";
    etc_is_read_only: BENCH "etc-read-only" => "mounts/read-only";
    no_inode_is_left: DESK "inodes-full" => "disk/inodes-full";
    somebody_else_has_the_port: DESK "port-taken" => "kubelet/port-taken";
    the_way_to_the_api_is_blocked: DESK "api-blocked" => "join/api-unreachable";
    an_authority_is_left_over: DESK "ca-left" => "join/leftover-ca-crt";
    its_name_leads_to_another_machine: DESK "name-foreign" => "join/hostname-foreign";
}

#[test]
fn two_nodes_with_one_machine_id() {
    let Some(fleet) = cluster() else { return };
    let taken = DESK.take();
    fleet.fault(taken.node, "machine-id-copied");
    let swept = fleet.sweep(&format!("master,prepared,bench1,{}", taken.node), &["--timeout", "40s"]);
    fleet.heal(taken.node, "machine-id-copied");
    assert_eq!(swept.roots(taken.node), ["cluster/duplicate-machine-id"], "{}", swept.told(taken.node));
    assert!(swept.roots("bench1").contains(&"cluster/duplicate-machine-id".to_owned()), "{:?}", swept.roots("bench1"));
    assert!(swept.roots("prepared").is_empty(), "{:?}", swept.roots("prepared"));
}

#[test]
fn a_full_disk_is_the_only_cause() {
    let Some(fleet) = cluster() else { return };
    let swept = fleet.sweep("master,full", &["--timeout", "40s"]);
    assert_eq!(swept.roots("full"), ["disk/full"], "{}", swept.told("full"));
}

#[test]
fn the_missing_drop_in_is_the_one_root_of_the_storage_node() {
    let Some(fleet) = cluster() else { return };
    let swept = fleet.sweep("master,storage,storage-reset", &["--timeout", "40s"]);
    assert_eq!(swept.roots("storage"), ["kubelet/drop-in-missing"], "{}", swept.told("storage"));
    assert_eq!(swept.confidence("kubelet/drop-in-missing"), "certain");
    assert!(swept.roots("storage-reset").is_empty(), "{}", swept.told("storage-reset"));
}

#[test]
fn sound_nodes_have_no_cause_in_any_phase() {
    let Some(fleet) = cluster() else { return };
    let swept = fleet.sweep("master,worker,prepared,storage-reset,plain", &["--timeout", "40s"]);
    for node in ["master", "worker", "prepared", "storage-reset", "plain"] {
        assert!(swept.roots(node).is_empty(), "{node}: {}", swept.told(node));
        assert_eq!(swept.node(node).field("verdict"), "pass", "{node}: {}", swept.told(node));
    }
}

/// A real `kubeadm join` with a changed command line, which cannot work, and what its output says together with the node's
/// facts. Discovery may take ten seconds, not five minutes.
fn join_gives(change: impl Fn(&str) -> String, cause: &str) {
    let Some(fleet) = cluster() else { return };
    let taken = DESK.take();
    let join = change(&fleet.join_command());
    let command = format!("timeout 20 {join} --v=5 --ignore-preflight-errors=SystemVerification 2>&1; true");
    let printed = fleet.exec(taken.node, &command);
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("join.log");
    std::fs::write(&log, &printed).unwrap();
    let told = fleet.diagnose(taken.node, &log);
    fleet.exec(taken.node, "kubeadm reset -f >/dev/null 2>&1; rm -rf /etc/kubernetes/pki; systemctl start kubelet");
    assert_eq!(told.roots(taken.node), [cause], "{}\n{printed}", told.told(taken.node));
}

/// The word after `option`, replaced.
fn with(join: &str, option: &str, value: &str) -> String {
    let mut words: Vec<&str> = join.split_whitespace().collect();
    let place = words.iter().position(|word| *word == option).unwrap_or_else(|| panic!("no {option} in {join}"));
    words[place + 1] = value;
    words.join(" ")
}

#[test]
fn a_token_that_the_cluster_does_not_know() {
    join_gives(|join| with(join, "--token", "aaaaaa.aaaaaaaaaaaaaaaa"), "join/token-unknown");
}

#[test]
fn the_pin_of_another_authority() {
    let pin = format!("sha256:{}", "0".repeat(64));
    join_gives(|join| with(join, "--discovery-token-ca-cert-hash", &pin), "join/ca-pin-mismatch");
}

#[test]
fn the_name_of_another_node() {
    join_gives(|join| format!("{join} --node-name master"), "join/node-name-taken");
}
