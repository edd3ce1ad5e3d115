//! Joins whose program ends after any line of the journal, or whose connection ends at any script: going on ends in a node that has
//! joined, taking back in one that is as it was, and no token, no temporary file and no process is left anywhere.

use std::collections::BTreeMap;
use std::path::PathBuf;

use seaworthy::change::plan::{Action, Change, Join, Undo};
use seaworthy::playbook::{Portion, Strategy};

use super::api::{Api, Shows};
use super::bench::{Bench, CONFLIST, CONFLIST_PATH, Mode, Run, action, files, short};
use super::node::{Cut, ENDPOINT};

struct Stage {
    bench: Bench,
    api: Api,
    run: Run,
    before: BTreeMap<PathBuf, Vec<u8>>,
}

fn join(pin: &str) -> Action {
    let writes = [
        "/etc/kubernetes/pki/ca.crt",
        "/etc/kubernetes/bootstrap-kubelet.conf",
        "/etc/kubernetes/kubelet.conf",
        "/var/lib/kubelet/config.yaml",
        "/var/lib/kubelet/kubeadm-flags.env",
        "/var/lib/kubelet/pki",
    ];
    let join = Join {
        control_plane: "master".to_owned(),
        endpoint: ENDPOINT.to_owned(),
        ca_pins: vec![pin.to_owned()],
        node_name: "w1".to_owned(),
        kubeadm_minor: 29,
        ignore: Vec::new(),
        attempts: 1,
        backoff: std::time::Duration::ZERO,
        writes: writes.map(str::to_owned).to_vec(),
        stale_ca: None,
    };
    action(Change::KubeadmJoin(join), Undo::Unjoin)
}

/// A prepared worker that is to join and to get its network.
async fn prepared() -> Stage {
    let bench = Bench::new(&["master", "w1"]).await;
    let api = Api::with(&bench.fleet, &["w1"], &Shows::default());
    bench.fleet.node("w1").put("/units/kubelet", "activating\n");
    let actions = vec![join(&api.pin), bench.write("w1", CONFLIST_PATH, CONFLIST, Some("cbr0"))];
    let strategy = Strategy { max_failed: Portion::Percent(100), ..Strategy::default() };
    let run = bench.run(strategy, &[("w1", actions)]);
    let before = files(&bench, "w1");
    Stage { bench, api, run, before }
}

impl Stage {
    fn has_joined(&self) -> bool {
        let node = self.bench.fleet.node("w1");
        node.get("/etc/kubernetes/kubelet.conf").is_some()
    }

    /// Names of files that are not as before, but for what a unit's state is.
    fn changed(&self) -> Vec<PathBuf> {
        let after = files(&self.bench, "w1");
        let names = self.before.keys().chain(after.keys());
        let mut found: Vec<PathBuf> =
            names.filter(|name| self.before.get(*name) != after.get(*name)).cloned().collect();
        found.retain(|name| !name.starts_with("units"));
        found.sort();
        found.dedup();
        found
    }

    /// Whatever the end is.
    fn assert_clean(&self, when: &str) {
        let fleet = &self.bench.fleet;
        assert_eq!(fleet.tokens(), [""; 0], "{when}");
        for token in self.api.tokens() {
            let (_, secret) = token.split_once('.').unwrap();
            assert_eq!(fleet.on_disk(secret), [""; 0].map(PathBuf::from), "{when}");
            let journal = std::fs::read_to_string(self.run.directory.join("journal.jsonl")).unwrap();
            assert!(!journal.contains(secret), "{when}");
        }
        let node = fleet.node("w1");
        assert!(node.processes().is_empty(), "{when}: {:?}", node.processes());
        let left: Vec<PathBuf> =
            files(&self.bench, "w1").into_keys().filter(|path| path.to_string_lossy().ends_with(".tmp")).collect();
        assert!(left.is_empty(), "{when}: {left:?}");
        assert_eq!(node.get("/etc/kubernetes/bootstrap-kubelet.conf"), None, "{when}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_killed_after_any_line_goes_on_until_it_has_joined() {
    for line in 1.. {
        let stage = prepared().await;
        let died = stage.bench.killed_at(&stage.run, Mode::Apply, line).await;
        let when = format!("killed after line {line}");
        let summary = stage.bench.go(&stage.run, Mode::Resume).await;
        assert_eq!(short(&summary), ["w1 done"], "{when}: {summary:?}");
        stage.assert_clean(&when);
        assert!(stage.has_joined(), "{when}");
        assert_eq!(stage.bench.fleet.node("w1").get(CONFLIST_PATH).as_deref(), Some(CONFLIST), "{when}");
        if !died {
            assert!(line > 8, "the journal of a join has more lines than {line}");
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_killed_after_any_line_is_taken_back() {
    for line in 1.. {
        let stage = prepared().await;
        let died = stage.bench.killed_at(&stage.run, Mode::Apply, line).await;
        let when = format!("killed after line {line}");
        let summary = stage.bench.go(&stage.run, Mode::Undo).await;
        assert_eq!(stage.bench.pending(&stage.run), [""; 0], "{when}: {summary:?}");
        stage.assert_clean(&when);
        assert_eq!(stage.changed(), [""; 0].map(PathBuf::from), "{when}");
        if !died {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_failed_and_was_put_back_leaves_nothing_to_undo() {
    let stage = prepared().await;
    stage.bench.fleet.node("w1").put("/fail/kubeadm-join", "preflight");
    assert_eq!(short(&stage.bench.apply(&stage.run).await), ["w1 failed"]);
    stage.bench.fleet.node("w1").remove("/fail/kubeadm-join");
    assert_eq!(stage.changed(), [""; 0].map(PathBuf::from));
    assert_eq!(stage.bench.pending(&stage.run), [""; 0]);
    assert!(!stage.bench.offers_undo(&stage.run));

    let stage = prepared().await;
    assert_eq!(short(&stage.bench.apply(&stage.run).await), ["w1 done"]);
    assert!(stage.bench.offers_undo(&stage.run));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_whose_connection_is_cut_at_any_script_goes_on_by_itself() {
    let stage = prepared().await;
    stage.bench.fleet.node("w1").cut_at(Cut::Before(usize::MAX));
    let summary = stage.bench.apply(&stage.run).await;
    assert_eq!(short(&summary), ["w1 done"], "{summary:?}");
    stage.assert_clean("uncut");
    let scripts = stage.bench.fleet.node("w1").scripts();
    for script in 3..=scripts {
        let stage = prepared().await;
        stage.bench.fleet.node("w1").cut_at(Cut::During(script));
        let summary = stage.bench.apply(&stage.run).await;
        let when = format!("cut during script {script} of {scripts}");
        if short(&summary) != ["w1 done"] {
            let summary = stage.bench.go(&stage.run, Mode::Resume).await;
            assert!(matches!(short(&summary)[0].as_str(), "w1 done" | "w1 failed"), "{when}: {summary:?}");
        }
        stage.assert_clean(&when);
        assert!(stage.has_joined() || stage.changed().is_empty(), "{when}: {:?}", stage.changed());
    }
}
