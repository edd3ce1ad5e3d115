//! Runs taken back: in reverse order, once, and never over somebody else's work.

use seaworthy::change::journal::{Entry, Outcome};
use seaworthy::change::plan::{Change, Undo};
use seaworthy::playbook::Strategy;

use super::bench::{Bench, Mode, action, files, short};

const ONE: &str = "/etc/cni/net.d/one";
const TWO: &str = "/etc/cni/net.d/two";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_taken_back_in_reverse_order_and_only_once() {
    let bench = Bench::new(&["master", "w1", "w2"]).await;
    for name in ["w1", "w2"] {
        bench.fleet.node(name).put(ONE, "before\n");
    }
    let before = ["w1", "w2"].map(|name| files(&bench, name));
    let plan = |name| vec![bench.write(name, ONE, "after\n", None), bench.write(name, TWO, "new\n", None)];
    let run = bench.run(Strategy::default(), &[("w1", plan("w1")), ("w2", plan("w2"))]);
    assert_eq!(short(&bench.apply(&run).await), ["w1 done", "w2 done"]);
    assert_eq!(bench.pending(&run), ["w1", "w2"]);
    let summary = bench.go(&run, Mode::Undo).await;
    assert_eq!(short(&summary), ["w1 done", "w2 done"], "{summary:?}");
    assert_eq!(["w1", "w2"].map(|name| files(&bench, name)), before);
    let order = run.entries().into_iter().filter_map(|entry| match entry {
        Entry::UndoBegun { node, action } if node == "w1" => Some(action),
        _ => None,
    });
    assert_eq!(order.collect::<Vec<_>>(), [1, 0]);

    assert_eq!(bench.pending(&run), [""; 0]);
    let again = bench.go(&run, Mode::Undo).await;
    assert_eq!(short(&again), [""; 0]);
    // What was taken back is not done again by going on.
    assert_eq!(short(&bench.go(&run, Mode::Resume).await), ["w1 refused", "w2 refused"]);
    assert_eq!(["w1", "w2"].map(|name| files(&bench, name)), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_changed_since_is_left_alone_and_said() {
    let bench = Bench::new(&["master", "w1"]).await;
    let plan = vec![bench.write("w1", ONE, "one\n", None), bench.write("w1", TWO, "two\n", None)];
    let run = bench.run(Strategy::default(), &[("w1", plan)]);
    assert_eq!(short(&bench.apply(&run).await), ["w1 done"]);
    bench.fleet.node("w1").put(TWO, "somebody else's\n");
    let summary = bench.go(&run, Mode::Undo).await;
    assert!(matches!(&summary.nodes[0].1, Outcome::Refused { why, .. } if why.contains(TWO)), "{summary:?}");
    let node = bench.fleet.node("w1");
    assert_eq!([ONE, TWO].map(|path| node.get(path).unwrap()), ["one\n", "somebody else's\n"]);
    assert_eq!(bench.pending(&run), ["w1"]);
    // Once it is as the run left it, the rest goes on.
    node.put(TWO, "two\n");
    assert_eq!(short(&bench.go(&run, Mode::Undo).await), ["w1 done"]);
    assert_eq!([ONE, TWO].map(|path| node.get(path)), [None, None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_restarted_again_once_the_file_of_before_is_back() {
    let bench = Bench::new(&["master", "w1"]).await;
    let node = bench.fleet.node("w1");
    // What the service has read when it was started last.
    node.program(
        "systemctl",
        &format!(
            "case \"$*\" in *restart*containerd*) cat \"$R{ONE}\" >\"$R/units/read\" ;; *show*) \
             printf 'ActiveState=active\\nSubState=running\\nResult=success\\nNRestarts=0\\n' ;; *is-active*) echo active ;; esac\n"
        ),
    );
    node.put(ONE, "before\n");
    let restart = Change::RestartService { unit: "containerd".to_owned() };
    let plan = vec![
        bench.write("w1", ONE, "after\n", None),
        action(restart, Undo::Restart { unit: "containerd".to_owned() }),
        bench.write("w1", TWO, "two\n", None),
    ];
    let run = bench.run(Strategy::default(), &[("w1", plan)]);
    assert_eq!(short(&bench.apply(&run).await), ["w1 done"]);
    assert_eq!(node.get("/units/read").as_deref(), Some("after\n"));
    let summary = bench.go(&run, Mode::Undo).await;
    let Outcome::Done { evidence } = &summary.nodes[0].1 else { panic!("{summary:?}") };
    assert!(evidence.last().is_some_and(|last| last.contains("containerd was restarted")), "{evidence:?}");
    assert_eq!([node.get("/units/read").as_deref(), node.get(TWO).as_deref()], [Some("before\n"), None]);
    assert_eq!(bench.pending(&run), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_back_is_said_and_the_rest_is_taken_back() {
    let bench = Bench::new(&["master", "w1"]).await;
    let undo = Undo::Impossible { why: "it is a test".to_owned() };
    let plan = vec![
        bench.write("w1", ONE, "one\n", None),
        action(Change::Command { run: "kubeadm version".to_owned() }, undo),
    ];
    let run = bench.run(Strategy::default(), &[("w1", plan)]);
    assert_eq!(short(&bench.apply(&run).await), ["w1 done"]);
    let summary = bench.go(&run, Mode::Undo).await;
    let Outcome::Refused { why, .. } = &summary.nodes[0].1 else { panic!("{summary:?}") };
    assert_eq!(why, "run kubeadm version cannot be taken back: it is a test");
    assert_eq!(bench.fleet.node("w1").get(ONE), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_machine_of_the_same_name_is_not_touched() {
    let bench = Bench::new(&["master", "w1"]).await;
    let run = bench.run(Strategy::default(), &[("w1", vec![bench.write("w1", ONE, "one\n", None)])]);
    assert_eq!(short(&bench.apply(&run).await), ["w1 done"]);
    bench.fleet.node("w1").put("/etc/machine-id", "another\n");
    let summary = bench.go(&run, Mode::Undo).await;
    assert!(
        matches!(&summary.nodes[0].1, Outcome::Unsettled { why } if why.contains("another machine")),
        "{summary:?}"
    );
    assert_eq!(bench.fleet.node("w1").get(ONE).as_deref(), Some("one\n"));
}
