//! Plans applied: the order of things, what is refused, and when a run stops.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use seaworthy::change::hand::Hand;
use seaworthy::change::journal::{Entry, Outcome};
use seaworthy::change::plan::{Action, Change, Condition, Undo};
use seaworthy::collect::{Host, Way};
use seaworthy::fanout::Stop;
use seaworthy::interrupt::Interrupt;
use seaworthy::playbook::{Portion, Strategy};
use seaworthy::reach::Line;
use seaworthy::ssh::Destination;
use tokio::sync::oneshot;

use super::bench::{Bench, CONFLIST, CONFLIST_PATH, action, short, until};

fn command(line: &str) -> Action {
    action(Change::Command { run: line.to_owned() }, Undo::Impossible { why: "it is a test".to_owned() })
}

fn restart(unit: &str) -> Action {
    action(Change::RestartService { unit: unit.to_owned() }, Undo::Nothing)
}

fn wait_for_ready() -> Action {
    let (check, timeout) = ("node/not-ready".to_owned(), Duration::from_secs(10));
    action(Change::WaitFor { check, timeout }, Undo::Nothing)
}

/// All at once, and nothing stops it.
fn all_at_once() -> Strategy {
    Strategy {
        canary: 0,
        batches: vec![Portion::Percent(100)],
        max_failed: Portion::Percent(100),
        parallel: None,
        stop_at_same_failure: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_are_done_in_order_and_each_is_noted_before_it_begins() {
    let bench = Bench::new(&["master", "w1"]).await;
    bench.join_by_hand("w1");
    let actions = vec![
        bench.write("w1", "/etc/cni/net.d/note", "one\n", None),
        restart("containerd"),
        command("kubeadm version -o short"),
        bench.write("w1", CONFLIST_PATH, CONFLIST, Some("cbr0")),
        wait_for_ready(),
    ];
    let run = bench.run(Strategy::default(), &[("w1", actions)]);
    let summary = bench.apply(&run).await;
    assert_eq!(short(&summary), ["w1 done"], "{summary:?}");
    assert_eq!((&summary.stopped, summary.interrupted), (&None, false));

    let node = bench.fleet.node("w1");
    assert_eq!(node.get(CONFLIST_PATH).as_deref(), Some(CONFLIST));
    let calls = node.calls();
    let wanted: Vec<&String> =
        calls.iter().filter(|call| call.contains("restart") || call.contains("version")).collect();
    assert_eq!(wanted, ["systemctl restart -- containerd", "kubeadm version -o short"]);
    let Outcome::Done { evidence } = &summary.nodes[0].1 else { panic!("{summary:?}") };
    let evidence = evidence.join("\n");
    for shown in ["loaded the network cbr0", "is Ready", "flannel itself works"] {
        assert!(evidence.contains(shown), "{shown}: {evidence}");
    }

    let mut expected = vec!["agreed".to_owned(), "batch 1 w1".to_owned(), "begun".to_owned()];
    for action in 0..5 {
        expected.extend([format!("begun {action}"), format!("done {action}")]);
    }
    expected.extend(["ended".to_owned(), "end".to_owned()]);
    let lines = run.entries().into_iter().map(|entry| match entry {
        Entry::Agreed { .. } => "agreed".to_owned(),
        Entry::Batch { number, nodes } => format!("batch {number} {}", nodes.join(" ")),
        Entry::NodeBegun { .. } => "begun".to_owned(),
        Entry::ActionBegun { action, .. } => format!("begun {action}"),
        Entry::ActionEnded { action, outcome: Outcome::Done { .. }, .. } => format!("done {action}"),
        Entry::NodeEnded { outcome: Outcome::Done { .. }, .. } => "ended".to_owned(),
        Entry::Ended => "end".to_owned(),
        other => format!("{other:?}"),
    });
    assert_eq!(lines.collect::<Vec<_>>(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_changed_since_its_plan_is_refused_and_left_alone() {
    let bench = Bench::new(&["master", "w1", "w2"]).await;
    let plan = |name| vec![bench.write(name, "/etc/cni/net.d/note", "one\n", None)];
    let run = bench.run(all_at_once(), &[("w1", plan("w1")), ("w2", plan("w2"))]);
    bench.fleet.node("w1").put("/etc/cni/net.d/note", "somebody else's\n");
    bench.fleet.node("w2").reboot();
    let summary = bench.apply(&run).await;
    assert_eq!(short(&summary), ["w1 refused", "w2 refused"]);
    for ((_, outcome), words) in
        summary.nodes.iter().zip(["/etc/cni/net.d/note: was absent, is a file", "it has rebooted"])
    {
        assert!(matches!(outcome, Outcome::Refused { why, .. } if why.contains(words)), "{outcome:?}");
    }
    assert_eq!(bench.fleet.node("w1").get("/etc/cni/net.d/note").as_deref(), Some("somebody else's\n"));
    assert_eq!(bench.fleet.node("w2").get("/etc/cni/net.d/note"), None);
    assert!(!run.entries().iter().any(|entry| matches!(entry, Entry::ActionBegun { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_verify_is_taken_back_and_nothing_further_begins() {
    let bench = Bench::new(&["master", "w1"]).await;
    bench.join_by_hand("w1");
    let actions = vec![bench.write("w1", CONFLIST_PATH, CONFLIST, Some("another-network")), restart("containerd")];
    let run = bench.run(all_at_once(), &[("w1", actions)]);
    let summary = bench.apply(&run).await;
    let Outcome::Failed { why, evidence, .. } = &summary.nodes[0].1 else { panic!("{summary:?}") };
    assert_eq!(why, "the runtime did not load the network another-network within 3s");
    assert!(evidence.iter().any(|line| line.contains("loaded cbr0, not the network another-network")), "{evidence:?}");
    assert!(evidence.iter().any(|line| line.contains("it was taken back")), "{evidence:?}");
    assert_eq!(bench.fleet.node("w1").get(CONFLIST_PATH), None);
    assert!(!bench.fleet.node("w1").calls().iter().any(|call| call.contains("restart -- containerd")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_fails_is_undone_by_its_own_undo() {
    let bench = Bench::new(&["master", "w1"]).await;
    let undo = Undo::Command { run: "kubeadm version undone".to_owned() };
    let actions = vec![action(Change::Command { run: "kubeadm nonsense".to_owned() }, undo)];
    let run = bench.run(all_at_once(), &[("w1", actions)]);
    let summary = bench.apply(&run).await;
    let Outcome::Failed { why, evidence, .. } = &summary.nodes[0].1 else { panic!("{summary:?}") };
    assert_eq!(why, "kubeadm nonsense ended with exit code 1");
    assert!(evidence[0].contains("unknown command"), "{evidence:?}");
    assert_eq!(bench.fleet.node("w1").calls(), ["kubeadm nonsense", "kubeadm version undone"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_whose_condition_does_not_hold_is_left_out() {
    let bench = Bench::new(&["master", "w1"]).await;
    bench.join_by_hand("w1");
    let check = |check: &str| Condition::StillFails { check: check.to_owned(), after: Duration::from_millis(300) };
    let conditional = |line: &str, id: &str| Action { only_if: vec![check(id)], ..command(line) };
    let actions = vec![
        conditional("kubeadm version passes", "containerd/down"),
        conditional("kubeadm version fails", "cni/config-missing"),
    ];
    let run = bench.run(all_at_once(), &[("w1", actions)]);
    let summary = bench.apply(&run).await;
    let Outcome::Done { evidence } = &summary.nodes[0].1 else { panic!("{summary:?}") };
    assert!(evidence.iter().any(|line| line == "containerd/down passes"), "{evidence:?}");
    assert_eq!(bench.fleet.node("w1").calls(), ["kubeadm version fails"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_another_run_has_is_refused_by_its_name() {
    let bench = Bench::new(&["master", "w1"]).await;
    let run = bench.run(all_at_once(), &[("w1", vec![command("kubeadm version")])]);
    let (_client, session) = bench.fleet.connect("w1").await;
    let lock = Hand::new(Line::Session(&session), None).lock("20250101T000000Z-abcd").await.ok().unwrap();
    let summary = bench.apply(&run).await;
    let Outcome::Refused { why, .. } = &summary.nodes[0].1 else { panic!("{summary:?}") };
    assert!(why.contains("20250101T000000Z-abcd"), "{why}");
    assert_eq!(bench.fleet.node("w1").calls(), [""; 0]);
    lock.release().await;
    let again = bench.run(all_at_once(), &[("w1", vec![command("kubeadm version")])]);
    assert_eq!(short(&bench.apply(&again).await), ["w1 done"]);
}

const EIGHT: [&str; 9] = ["master", "w1", "w2", "w3", "w4", "w5", "w6", "w7", "w8"];

#[tokio::test(flavor = "multi_thread")]
async fn one_of_eight_fails_and_the_rest_is_left_alone() {
    let bench = Bench::new(&EIGHT).await;
    for fails in ["w1", "w3"] {
        bench.fleet.node(fails).put(&format!("/fail/systemctl-unit-{fails}"), "");
    }
    let plan: Vec<_> = EIGHT[1..].iter().map(|name| (*name, vec![restart(&format!("unit-{name}"))])).collect();
    let strategy = Strategy { max_failed: Portion::Nodes(1), ..Strategy::default() };
    let run = bench.run(strategy.clone(), &plan);
    let summary = bench.apply(&run).await;
    let expected = [
        "w1 failed",
        "w2 done",
        "w3 failed",
        "w4 untouched",
        "w5 untouched",
        "w6 untouched",
        "w7 untouched",
        "w8 untouched",
    ];
    assert_eq!(short(&summary), expected);
    assert_eq!(summary.stopped.as_deref(), Some("2 nodes failed, and the budget allows 1"));
    assert!(!summary.interrupted);
    for name in &EIGHT[4..] {
        assert_eq!(bench.fleet.node(name).calls(), [""; 0], "{name}");
    }

    // With a budget for two, the others are done.
    let run = bench.run(Strategy { max_failed: Portion::Percent(25), ..strategy }, &plan);
    let summary = bench.apply(&run).await;
    let words = short(&summary);
    assert_eq!(words.iter().filter(|word| word.ends_with(" done")).count(), 6, "{words:?}");
    assert_eq!(summary.stopped, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_failure_twice_stops_a_run_that_has_budget_left() {
    let bench = Bench::new(&EIGHT[..5]).await;
    for name in &EIGHT[1..5] {
        bench.fleet.node(name).put("/fail/systemctl-containerd", "");
    }
    let plan: Vec<_> = EIGHT[1..5].iter().map(|name| (*name, vec![restart("containerd")])).collect();
    let strategy = Strategy {
        canary: 0,
        batches: vec![Portion::Nodes(1)],
        max_failed: Portion::Percent(100),
        ..Strategy::default()
    };
    let run = bench.run(strategy, &plan);
    let summary = bench.apply(&run).await;
    assert_eq!(short(&summary), ["w1 failed", "w2 failed", "w3 untouched", "w4 untouched"]);
    let why = summary.stopped.unwrap();
    assert!(why.starts_with("w2 failed in the same words as w1: "), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_be_reached_is_named_and_counts() {
    let mut bench = Bench::new(&EIGHT[..4]).await;
    // Bound and never listened on: refused by the kernel, and taken by nobody else meanwhile.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    if let Way::Ssh(destination) = &bench.hosts[1].way {
        let mut resolved = destination.resolved.clone();
        resolved.port = socket.local_addr().unwrap().port();
        let target = bench.hosts[1].target.clone();
        bench.hosts[1] = Host { target, way: Way::Ssh(std::sync::Arc::new(Destination::direct(resolved))) };
    }
    let plan: Vec<_> = EIGHT[1..4].iter().map(|name| (*name, vec![restart("containerd")])).collect();
    let run = bench.run(Strategy::default(), &plan);
    let summary = bench.apply(&run).await;
    assert_eq!(short(&summary), ["w1 failed", "w2 untouched", "w3 untouched"]);
    assert_eq!(summary.unreachable, ["w1"]);
    assert_eq!(summary.stopped.as_deref(), Some("1 node failed, and the budget allows none"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_the_running_action_and_begins_no_other() {
    let mut bench = Bench::new(&EIGHT[..4]).await;
    let (fire, fired) = oneshot::channel::<()>();
    let interrupt = Interrupt::when(async {
        let _ = fired.await;
    });
    bench.stop = Stop { interrupt: interrupt.clone(), deadline: None };
    for name in &EIGHT[1..4] {
        // A restart that takes until it is let go.
        bench.fleet.node(name).program(
            "systemctl",
            "[ \"$1\" != restart ] || while [ -e \"$R/hold/restart\" ]; do sleep 0.02; done\necho active\n",
        );
        bench.fleet.node(name).put("/hold/restart", "");
    }
    let actions = || vec![restart("containerd"), command("kubeadm version")];
    let plan: Vec<_> = EIGHT[1..4].iter().map(|name| (*name, actions())).collect();
    let strategy =
        Strategy { canary: 0, batches: vec![Portion::Nodes(2)], parallel: NonZeroU32::new(1), ..all_at_once() };
    let run = bench.run(strategy, &plan);
    let w1 = bench.fleet.node("w1").clone();
    let interrupting = async {
        until("the restart begins", || w1.calls().iter().any(|call| call.contains("restart"))).await;
        fire.send(()).unwrap();
        let mut interrupt = interrupt;
        interrupt.wait().await;
        w1.remove("/hold/restart");
    };
    let (summary, ()) = tokio::join!(bench.apply(&run), interrupting);
    assert_eq!(short(&summary), ["w1 unsettled", "w2 untouched", "w3 untouched"]);
    assert!(summary.interrupted);
    let Outcome::Unsettled { why } = &summary.nodes[0].1 else { panic!("{summary:?}") };
    assert_eq!(*why, format!("the run was interrupted; go on with: seaworthy run --resume {}", run.file.id));
    let ended = run.entries().into_iter().filter(|entry| matches!(entry, Entry::ActionEnded { .. }));
    assert_eq!(ended.count(), 1, "the restart ended and was noted");
    assert!(!w1.calls().iter().any(|call| call.starts_with("kubeadm")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_of_a_run_begins_nothing_further() {
    let mut bench = Bench::new(&EIGHT[..3]).await;
    bench.stop.deadline = Some(Instant::now());
    let plan: Vec<_> = EIGHT[1..3].iter().map(|name| (*name, vec![restart("containerd")])).collect();
    let run = bench.run(all_at_once(), &plan);
    let summary = bench.apply(&run).await;
    assert_eq!(short(&summary), ["w1 untouched", "w2 untouched"]);
    assert_eq!(summary.stopped.as_deref(), Some("the deadline of the whole run passed"));
}
