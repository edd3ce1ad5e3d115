//! Runs that end in the middle: their process is gone after any line of the journal, the connection at any script, the node reboots.
//! Whatever it was, going on ends in the plan's state, and taking back in the state of before.

use seaworthy::change::journal::Outcome;
use seaworthy::change::plan::{Action, Change, Undo};
use seaworthy::playbook::{Portion, Strategy};

use super::bench::{Bench, CONFLIST, CONFLIST_PATH, Mode, Run, action, files, short};
use super::node::Cut;

const OLD: &str = "/etc/cni/net.d/20-old.conf.disabled";

/// A file that is new, one that replaces another, a service and a command.
fn actions(bench: &Bench) -> Vec<Action> {
    vec![
        bench.write("w1", OLD, "new\n", None),
        action(Change::RestartService { unit: "containerd".to_owned() }, Undo::Nothing),
        bench.write("w1", CONFLIST_PATH, CONFLIST, Some("cbr0")),
    ]
}

fn strategy() -> Strategy {
    Strategy { max_failed: Portion::Percent(100), ..Strategy::default() }
}

async fn prepared() -> (Bench, Run) {
    let bench = Bench::new(&["master", "w1"]).await;
    bench.join_by_hand("w1");
    bench.fleet.node("w1").put(OLD, "old\n");
    let run = bench.run(strategy(), &[("w1", actions(&bench))]);
    (bench, run)
}

/// The plan's state: everything there, nothing besides but the copies of what was replaced.
fn assert_done(bench: &Bench, run: &Run, when: &str) {
    let node = bench.fleet.node("w1");
    assert_eq!(node.get(CONFLIST_PATH).as_deref(), Some(CONFLIST), "{when}");
    assert_eq!(node.get(OLD).as_deref(), Some("new\n"), "{when}");
    let copy = format!("/etc/cni/net.d/.20-old.conf.disabled.{}.bak", run.file.id);
    assert_eq!(node.get(&copy).as_deref(), Some("old\n"), "{when}");
    nothing_left(bench, when);
}

fn nothing_left(bench: &Bench, when: &str) {
    let node = bench.fleet.node("w1");
    let temporary: Vec<_> =
        files(bench, "w1").into_keys().filter(|path| path.to_string_lossy().ends_with(".tmp")).collect();
    assert!(temporary.is_empty(), "{when}: {temporary:?}");
    assert!(node.processes().is_empty(), "{when}: {:?}", node.processes());
    assert!(bench.fleet.tokens().is_empty(), "{when}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_killed_after_any_line_goes_on_to_its_end() {
    for line in 1.. {
        let (bench, run) = prepared().await;
        let died = bench.killed_at(&run, Mode::Apply, line).await;
        let when = format!("killed after line {line}");
        let summary = bench.go(&run, Mode::Resume).await;
        assert_eq!(short(&summary), ["w1 done"], "{when}: {summary:?}");
        assert_done(&bench, &run, &when);
        // Once more changes nothing.
        let before = files(&bench, "w1");
        assert_eq!(short(&bench.go(&run, Mode::Resume).await), ["w1 done"], "{when}");
        assert_eq!(files(&bench, "w1"), before, "{when}");
        if !died {
            assert!(line > 8, "the journal of a run has more lines than {line}");
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_killed_after_any_line_is_taken_back_to_the_state_of_before() {
    for line in 1.. {
        let (bench, run) = prepared().await;
        let before = files(&bench, "w1");
        let died = bench.killed_at(&run, Mode::Apply, line).await;
        let when = format!("killed after line {line}");
        bench.go(&run, Mode::Undo).await;
        assert_eq!(bench.pending(&run), [""; 0], "{when}");
        assert_eq!(changed(&before, &files(&bench, "w1")), [""; 0], "{when}");
        nothing_left(&bench, &when);
        if !died {
            break;
        }
    }
}

/// Names of files that differ.
fn changed(
    before: &std::collections::BTreeMap<std::path::PathBuf, Vec<u8>>,
    after: &std::collections::BTreeMap<std::path::PathBuf, Vec<u8>>,
) -> Vec<String> {
    let names = before.keys().chain(after.keys());
    let differing = names.filter(|name| before.get(*name) != after.get(*name) && !name.starts_with("units"));
    let mut differing: Vec<String> = differing.map(|name| name.display().to_string()).collect();
    differing.dedup();
    differing
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_run_killed_again_goes_on_as_well() {
    for line in 1.. {
        let (bench, run) = prepared().await;
        assert!(bench.killed_at(&run, Mode::Apply, 6).await);
        let died = bench.killed_at(&run, Mode::Resume, line).await;
        let when = format!("killed again after line {line}");
        assert_eq!(short(&bench.go(&run, Mode::Resume).await), ["w1 done"], "{when}");
        assert_done(&bench, &run, &when);
        if !died {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_killed_after_any_line_is_finished_by_the_next() {
    for line in 1.. {
        let (bench, run) = prepared().await;
        let before = files(&bench, "w1");
        assert_eq!(short(&bench.apply(&run).await), ["w1 done"]);
        let died = bench.killed_at(&run, Mode::Undo, line).await;
        bench.go(&run, Mode::Undo).await;
        let when = format!("killed after line {line}");
        assert_eq!(bench.pending(&run), [""; 0], "{when}");
        assert_eq!(changed(&before, &files(&bench, "w1")), [""; 0], "{when}");
        if !died {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_at_any_script_is_made_again_and_the_run_goes_on() {
    let (bench, run) = prepared().await;
    bench.fleet.node("w1").cut_at(Cut::Before(usize::MAX));
    assert_eq!(short(&bench.apply(&run).await), ["w1 done"]);
    let scripts = bench.fleet.node("w1").scripts();
    assert!(scripts > 3, "{scripts} scripts");
    for script in 1..=scripts {
        for cut in [Cut::During(script), Cut::After(script)] {
            let (bench, run) = prepared().await;
            bench.fleet.node("w1").cut_at(cut);
            let summary = bench.apply(&run).await;
            // Before anything is begun, a node that goes away is one that cannot be reached.
            if short(&summary) != ["w1 done"] {
                assert_eq!(summary.unreachable, ["w1"], "{cut:?}: {summary:?}");
                assert_eq!(short(&bench.go(&run, Mode::Resume).await), ["w1 done"], "{cut:?}");
            }
            assert_done(&bench, &run, &format!("{cut:?}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_reboots_after_any_line_is_brought_to_its_end() {
    for line in 1.. {
        let (bench, run) = prepared().await;
        let died = bench.killed_at(&run, Mode::Apply, line).await;
        if !died {
            break;
        }
        bench.fleet.node("w1").reboot();
        let summary = bench.go(&run, Mode::Resume).await;
        let when = format!("rebooted after line {line}");
        // A plan is not begun on a node that rebooted since it was made.
        if line < 3 {
            assert!(
                matches!(&summary.nodes[0].1, Outcome::Refused { why, .. } if why.contains("rebooted")),
                "{when}: {summary:?}"
            );
            continue;
        }
        assert_eq!(short(&summary), ["w1 done"], "{when}: {summary:?}");
        assert_done(&bench, &run, &when);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_which_nobody_knows_the_end_is_not_run_twice() {
    let bench = Bench::new(&["master", "w1"]).await;
    let undo = Undo::Impossible { why: "it is a test".to_owned() };
    let command = action(Change::Command { run: "kubeadm version".to_owned() }, undo);
    let run = bench.run(strategy(), &[("w1", vec![command])]);
    // Agreed is there already; then: batch, node, action.
    assert!(bench.killed_at(&run, Mode::Apply, 3).await);
    let summary = bench.go(&run, Mode::Resume).await;
    assert_eq!(short(&summary), ["w1 unsettled"]);
    assert_eq!(bench.fleet.node("w1").calls(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_were_not_begun_get_their_turn_and_the_budget_goes_on() {
    let names = ["master", "w1", "w2", "w3", "w4"];
    let bench = Bench::new(&names).await;
    bench.fleet.node("w1").put("/fail/systemctl-one", "");
    let restart = |unit: &str| action(Change::RestartService { unit: unit.to_owned() }, Undo::Nothing);
    let plan: Vec<_> =
        names[1..].iter().map(|name| (*name, vec![restart(if *name == "w1" { "one" } else { "two" })])).collect();
    let strategy = Strategy { batches: vec![Portion::Nodes(1)], max_failed: Portion::Nodes(1), ..Strategy::default() };
    let run = bench.run(strategy, &plan);
    // w1 has failed, w2 has just begun.
    assert!(bench.killed_at(&run, Mode::Apply, 8).await);
    bench.fleet.node("w3").put("/fail/systemctl-two", "");
    let summary = bench.go(&run, Mode::Resume).await;
    assert_eq!(short(&summary), ["w1 failed", "w2 done", "w3 failed", "w4 untouched"], "{:?}", run.entries());
    assert_eq!(summary.stopped.as_deref(), Some("2 nodes failed, and the budget allows 1"));
}
