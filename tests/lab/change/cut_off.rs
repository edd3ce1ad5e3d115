//! Whatever happens in the middle of a run, a node ends in one of two legal states, and nothing of the run stays on it.
//!
//! The run is hit at one moment after the other until it ends before the next moment comes: so its steps are not counted here.
//! That takes longer than everything else together, so only every sixth moment has its turn unless `SEAWORTHY_LAB_CHANGES=all`.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::{Legal, Running, fleet, go_on, legal, pushed, start, take};
use crate::harness::{Lab, busy, eventually};

/// As short as a join can be told: the moments of the longer ones are the same.
const JOIN: &str = "\
name: join-in-pieces
summary: Bring one worker into the cluster
hosts: all
strategy: { canary: 0, batches: [100%], max_failed: 0 }
gather: [all]
steps:
  - kubeadm-join: { attempts: 1, backoff: 1s }
  - wait-for: { check: node/not-ready, timeout: 2m }
";

const PUSH: &str = "\
name: push-in-pieces
summary: Push the cluster's flannel configuration
hosts: all
strategy: { canary: 0, batches: [100%], max_failed: 0 }
gather: [all]
steps:
  - flannel: { config: from-cluster }
  - wait-for: { check: cni/network-not-ready, timeout: 1m }
";

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    /// seaworthy is killed and gets no word.
    Killed,
    /// Every session with the node ends; the next login works.
    HungUp,
    /// Packets vanish, until the connection is given up.
    Cut,
    /// The node loses its power.
    Reboot,
}

/// When it happens, counted from 1.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// With so many lines in the journal.
    Line(usize),
    /// With so many actions begun, or tokens made.
    Step(usize),
    /// As soon as the join on the node says these words.
    Said(&'static str),
}

impl Moment {
    fn is_here(self, lab: &Lab, node: &str, run: &Running) -> bool {
        match self {
            Self::Line(count) => run.journal().len() >= count,
            Self::Step(count) => {
                let steps = run
                    .journal()
                    .into_iter()
                    .filter(|line| line["event"] == "action-begun" || line["event"] == "token-made");
                steps.count() >= count
            }
            Self::Said(words) => {
                let look = format!("grep -qs '{words}' /run/seaworthy/join/log && echo yes || true");
                !lab.exec(node, &look).is_empty()
            }
        }
    }
}

fn strike(lab: &Lab, node: &str, run: &mut Running, blow: Blow) {
    match blow {
        Blow::Killed => run.kill(),
        Blow::HungUp => lab.fault(node, "ssh-hung-up"),
        Blow::Cut => {
            lab.fault(node, "ssh-cut");
            let address = lab.address(node);
            let given_up = eventually(Duration::from_mins(1), || run.has_ended() || !is_connected(run, &address));
            lab.heal(node, "ssh-cut");
            assert!(given_up, "the connection with {node} is not given up: {}", run.said());
        }
        Blow::Reboot => {
            let output = lab.script(["reboot", node]).output().unwrap();
            assert!(output.status.success(), "{node}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

/// Whether this seaworthy, and not another test's, has a connection with the node.
fn is_connected(run: &Running, address: &str) -> bool {
    let output = std::process::Command::new("ss").args(["-Htnp", "dst", address]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).contains(&format!("pid={},", run.child.id()))
}

/// One run, hit once, and then taken to its end or back. `None` when it was over before the moment came.
fn hit(lab: &Lab, node: &str, playbook: &str, blow: Blow, moment: Moment, forward: bool) -> Option<Hit> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("playbook.yaml");
    std::fs::write(&file, playbook).unwrap();
    let mut tries = 0;
    let mut run = loop {
        tries += 1;
        let _busy = busy();
        let mut run = start(lab, &["run", file.to_str().unwrap(), node]);
        if run.comes_to(|run| moment.is_here(lab, node, run)) {
            strike(lab, node, &mut run, blow);
            break run;
        }
        let whole = run.end();
        if tries < 6 && whole.was_too_slow() {
            continue;
        }
        // Only a run that went well has come to all its moments.
        assert_eq!(whole.code, Some(0), "{}", whole.told());
        return None;
    };
    let by_itself = blow != Blow::Killed && {
        run.comes_to(|_| false);
        run.child.wait().unwrap().code() == Some(0)
    };
    // It may have come to an end by itself all the same: joined, or failed and put back.
    if forward && (by_itself || has_failed(&run)) {
        return Some(Hit { finished: by_itself, told: format!("{blow:?} at {moment:?}: {:#?}", run.journal()) });
    }
    let words: &[&str] = if forward { &["run", "--resume"] } else { &["undo"] };
    let settled = go_on(lab, &run, words);
    let told = format!("{blow:?} at {moment:?}, then {}\n{}", words.join(" "), settled.told());
    assert_eq!(settled.code, Some(0), "{told}");
    Some(Hit { finished: forward, told })
}

/// Its node has failed, and is settled with that.
fn has_failed(run: &Running) -> bool {
    let ended = run.journal().into_iter().rev().find(|line| line["event"] == "node-ended");
    ended.is_some_and(|line| line["outcome"]["outcome"] == "failed")
}

/// How a run that was hit ended.
struct Hit {
    /// Done; otherwise undone.
    finished: bool,
    told: String,
}

/// Every moment is asked for, however long that takes.
fn all_moments() -> bool {
    std::env::var_os("SEAWORTHY_LAB_CHANGES").is_some_and(|asked| asked == "all")
}

/// From one moment to the next.
fn stride() -> usize {
    if all_moments() { 1 } else { 6 }
}

/// Moments in turn until one never comes; each node of `nodes` takes the next one.
fn every_moment(lab: &'static Lab, nodes: usize, blow: Blow, moment: impl Fn(usize) -> Moment + Sync) {
    let (next, hits, over) = (AtomicUsize::new(1), AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..nodes {
            scope.spawn(|| {
                let taken = take(lab);
                while !over.load(Ordering::SeqCst) {
                    let number = next.fetch_add(stride(), Ordering::SeqCst);
                    // Undone and finished in turn.
                    let forward = number / stride() % 2 == 1;
                    if join_and_hit(lab, taken.node, blow, moment(number), forward) {
                        hits.fetch_add(1, Ordering::SeqCst);
                    } else {
                        over.store(true, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert!(hits.into_inner() > 0, "{blow:?}: the run was over before anything could happen to it");
}

fn join_and_hit(lab: &Lab, node: &str, blow: Blow, moment: Moment, forward: bool) -> bool {
    let hit = hit(lab, node, JOIN, blow, moment, forward);
    if let Some(hit) = &hit {
        let expected = if hit.finished { Legal::Joined } else { Legal::Prepared };
        assert_eq!(legal(lab, node, || hit.told.clone()), expected, "{}", hit.told);
    }
    let unjoined = lab.script(["unjoin", node]).output().unwrap();
    assert!(unjoined.status.success(), "{node}: {}", String::from_utf8_lossy(&unjoined.stderr));
    hit.is_some()
}

#[test]
fn a_join_is_killed_at_every_line_of_its_journal() {
    let Some(lab) = fleet() else { return };
    every_moment(lab, 2, Blow::Killed, Moment::Line);
}

#[test]
fn the_connection_breaks_after_every_step_of_a_join() {
    let Some(lab) = fleet() else { return };
    every_moment(lab, 1, Blow::HungUp, Moment::Step);
}

#[test]
fn the_node_loses_its_power_after_every_step_of_a_join() {
    let Some(lab) = fleet() else { return };
    every_moment(lab, 1, Blow::Reboot, Moment::Step);
}

#[test]
fn a_join_is_hit_while_kubeadm_is_at_work() {
    let Some(lab) = fleet() else { return };
    let taken = take(lab);
    let early = Moment::Said("Running pre-flight checks");
    let late = Moment::Said("perform the TLS Bootstrap");
    let moments = [
        (Blow::Killed, early, false),
        (Blow::Reboot, late, false),
        (Blow::Killed, late, true),
        (Blow::Killed, late, false),
        (Blow::Cut, late, true),
        (Blow::Reboot, late, true),
    ];
    for (blow, moment, forward) in moments.into_iter().step_by(if all_moments() { 1 } else { 2 }) {
        assert!(join_and_hit(lab, taken.node, blow, moment, forward), "{moment:?} never came");
    }
}

#[test]
fn a_push_is_hit_at_every_line_of_its_journal() {
    let Some(lab) = fleet() else { return };
    let seed = pushed::take_seed(lab);
    let node = seed.taken.node;
    let file = || lab.exec(node, &format!("ls {} 2>/dev/null || true", pushed::FILE));
    for number in (1..).step_by(stride()) {
        let blow = if number > 1 && number % 3 == 1 { Blow::Reboot } else { Blow::Killed };
        let Some(hit) = hit(lab, node, PUSH, blow, Moment::Line(number), number / stride() % 2 == 1) else {
            assert!(number > 1, "the run was over before anything could happen to it");
            break;
        };
        super::assert_nothing_remains(lab, node, super::Kept::Nothing, || hit.told.clone());
        assert_eq!(!file().is_empty(), hit.finished, "{}", hit.told);
        lab.exec(node, "rm -f /etc/cni/net.d/10-flannel.conflist /etc/cni/net.d/.10-flannel.conflist.*.bak");
        let gone =
            "crictl info 2>/dev/null | tr -d ' \\n' | grep -o '\"type\":\"NetworkReady\",\"status\":false' || true";
        assert!(eventually(Duration::from_secs(30), || !lab.exec(node, gone).is_empty()), "{node} keeps its network");
    }
}
