//! How runs ended, and what they brought about.

use super::*;

fn node(verdict: Verdict, findings: &serde_json::Value) -> crate::report::model::NodeReport {
    use crate::checks::{Finding, Severity};
    use crate::report::model::{CheckCounts, NodeReport};
    let finding = |pair: &serde_json::Value| Finding {
        id: words(pair[0].as_str().unwrap()).into(),
        verdict: if pair[1] == "fail" { Verdict::Fail } else { Verdict::Warn },
        severity: Severity::High,
        title: words("title").into(),
        message: String::new().into(),
        cell: String::new(),
        evidence: vec![],
        lacks: vec![],
        since: None,
        certain: false,
        explained_by: None,
        explains: vec![],
    };
    NodeReport {
        name: words("n"),
        address: String::new(),
        roles: vec![],
        phase: Some(Phase::Ready),
        verdict,
        summary: words("s"),
        failure: None,
        timings: crate::timings::Timings::default(),
        areas: vec![],
        checks: CheckCounts::default(),
        findings: findings.as_array().unwrap().iter().map(finding).collect(),
        facts: None,
    }
}

fn summary_text(summary: &Summary, doing: Doing, style: Style) -> String {
    let plan = ended_plan();
    let ended = Ended { run: "20261122T090102Z-1f3a", plan: &plan, summary, doing, undo: true };
    shown(|out| summary::write(ended, &style, out))
}

#[test]
fn the_summary_names_every_node_and_what_to_type_next() {
    insta::assert_snapshot!(summary_text(&ended(), Doing::Apply, NARROW), @r#"
    node[1-2]  done
      evidence  Ready · network cbr0 is loaded
    node[7-8]  untouched
    node4  refused
      it has rebooted
      next      plan again
    storagenode  refused
      kubelet/drop-in-missing: systemd starts the kubelet without a kubeconfig: it
      has no drop-in
      next      apt-get -o Dpkg::Options::=--force-confmiss install --reinstall
                kubeadm, then: seaworthy join storagenode
    node5  unsettled
      nobody knows how it ended: the connection was lost
    node3  failed
      the kubelet does not answer
      evidence  kubelet: "connection refused" · port 10248 closed
      next      seaworthy diagnose node3
    node6  failed
      not reached, and so not changed: no route to host
      evidence  kubelet: "connection refused" · port 10248 closed
      next      seaworthy diagnose node3

    stopped   2 nodes failed, and the budget allows 1
    9 nodes: 2 done, 2 refused, 2 failed, 1 unsettled, 2 untouched
    go on     $ seaworthy run --resume 20261122T090102Z-1f3a
    undo      $ seaworthy undo 20261122T090102Z-1f3a
    "#);
    insta::assert_snapshot!(summary_text(&ended(), Doing::Undo, WIDE), @r#"
    node[1-2]  undone
      evidence  Ready · network cbr0 is loaded
    node[7-8]  untouched
    node4  refused
      it has rebooted
      next      plan again
    node5  unsettled
      nobody knows how it ended: the connection was lost
    node3  failed
      the kubelet does not answer
      evidence  kubelet: "connection refused" · port 10248 closed
      next      seaworthy diagnose node3
    node6  failed
      not reached, and so not changed: no route to host
      evidence  kubelet: "connection refused" · port 10248 closed
      next      seaworthy diagnose node3

    stopped   2 nodes failed, and the budget allows 1
    8 nodes: 2 undone, 1 refused, 2 failed, 1 unsettled, 2 untouched
    go on     $ seaworthy undo 20261122T090102Z-1f3a
    "#);
}

#[test]
fn an_interrupted_run_says_how_to_go_on() {
    let summary = Summary {
        nodes: vec![(words("node1"), Outcome::Done { evidence: vec![] })],
        untouched: vec![words("node2")],
        interrupted: true,
        ..Summary::default()
    };
    insta::assert_snapshot!(summary_text(&summary, Doing::Apply, NARROW), @r#"
    node1  done
    node2  untouched
    storagenode  refused
      kubelet/drop-in-missing: systemd starts the kubelet without a kubeconfig: it
      has no drop-in
      next      apt-get -o Dpkg::Options::=--force-confmiss install --reinstall
                kubeadm, then: seaworthy join storagenode

    stopped   what was running was brought to its end, and nothing else was begun
    3 nodes: 1 done, 1 refused, 1 untouched
    go on     $ seaworthy run --resume 20261122T090102Z-1f3a
    undo      $ seaworthy undo 20261122T090102Z-1f3a
    "#);
}

#[test]
fn undo_is_offered_only_where_something_is_left_to_undo() {
    let plan = pushing(&["node1"]);
    let failed = Outcome::Failed { why: words("x"), next: String::new(), evidence: vec![] };
    let summary = Summary { nodes: vec![(words("node1"), failed)], ..Summary::default() };
    let offers = |undo| {
        let ended = Ended { run: "r", plan: &plan, summary: &summary, doing: Doing::Apply, undo };
        shown(|out| summary::write(ended, &NARROW, out)).contains("seaworthy undo r")
    };
    assert_eq!([offers(true), offers(false)], [true, false]);
}

#[test]
fn how_it_ended_becomes_one_exit_code() {
    let refusing = ended_plan();
    let plan = pushing(&["node1", "node2"]);
    let one = |outcome: Outcome| Summary { nodes: vec![(words("node1"), outcome)], ..Summary::default() };
    let failed = || Outcome::Failed { why: words("x"), next: String::new(), evidence: vec![] };
    let done = one(Outcome::Done { evidence: vec![] });
    let cases = [
        (&plan, done.clone(), ExitCode::Ok),
        (&plan, one(Outcome::Skipped { why: words("x") }), ExitCode::Ok),
        (&refusing, done.clone(), ExitCode::Problems),
        (&plan, one(failed()), ExitCode::Problems),
        (&plan, one(Outcome::Refused { why: words("x"), next: String::new() }), ExitCode::Problems),
        (&plan, one(Outcome::Unsettled { why: words("x") }), ExitCode::Problems),
        (&plan, Summary { unreachable: vec![words("node1")], ..one(failed()) }, ExitCode::Unreachable),
        (&refusing, Summary { unreachable: vec![words("node1")], ..one(failed()) }, ExitCode::ProblemsAndUnreachable),
        (&plan, Summary { untouched: vec![words("node2")], ..done.clone() }, ExitCode::Problems),
        (&plan, Summary { stopped: Some(words("x")), ..one(failed()) }, ExitCode::BudgetSpent),
        (&plan, Summary { interrupted: true, stopped: Some(words("x")), ..one(failed()) }, ExitCode::Interrupted),
    ];
    for (plan, summary, expected) in cases {
        assert_eq!(exit_code(plan, &summary, &[]), expected, "{summary:?}");
    }
    // What the sweep before could not read is unreachable, and not only refused.
    assert_eq!(exit_code(&refusing, &done, &[words("storagenode")]), ExitCode::Unreachable);
}

#[test]
fn before_and_after_say_what_is_gone_and_what_is_new() {
    insta::assert_snapshot!(shown(|out| compare::write(&compared(), &NARROW, out)), @r#"
    node[1-2]  not ready, no CNI config → ready, ok
      gone      there is no CNI configuration (cni/config-missing) · the node is
                NotReady (node/not-ready)
    node9  prepared, ok → unreachable: no route to host
      new       flannel is configured and does not run (flannel/subnet-env-missing)
      left      a filesystem is full (disk/full)
    "#);
    insta::assert_snapshot!(shown(|out| compare::write(&compared(), &ASCII, out)), @r#"
    node[1-2]  not ready, no CNI config -> ready, ok
      gone      there is no CNI configuration (cni/config-missing) | the node is
                NotReady (node/not-ready)
    node9  prepared, ok -> unreachable: no route to host
      new       flannel is configured and does not run (flannel/subnet-env-missing)
      left      a filesystem is full (disk/full)
    "#);
}

#[test]
fn a_comparison_knows_what_it_could_not_see() {
    let report = |verdict: Verdict, findings: serde_json::Value| {
        let node: crate::report::model::NodeReport = node(verdict, &findings);
        crate::report::model::Report::new(words("r"), String::new(), Duration::ZERO, vec![node], vec![])
    };
    let before = report(Verdict::Fail, json!([["cni/config-missing", "fail"], ["disk/full", "warn"]]));
    let after = report(Verdict::Warn, json!([["disk/full", "warn"], ["node/pressure", "warn"]]));
    let nodes = [words("n"), words("gone")];
    let found = compare::compare(&before, &after, &nodes);
    let [one] = &found[..] else { panic!("{found:?}") };
    let ids = |faults: &[Fault]| faults.iter().map(|fault| fault.id.clone()).collect::<Vec<_>>();
    assert_eq!(
        (ids(&one.gone), ids(&one.new), ids(&one.left)),
        (vec![words("cni/config-missing")], vec![words("node/pressure")], vec![])
    );

    let mut lost = after.clone();
    lost.nodes[0].failure =
        Some(crate::failure::Failure::new(crate::failure::FailureKind::Dns, "no such name", "fix it"));
    lost.nodes[0].findings.clear();
    let found = compare::compare(&before, &lost, &nodes);
    assert!(found[0].gone.is_empty(), "of a node that was not read, nobody knows what is gone: {found:?}");
}
