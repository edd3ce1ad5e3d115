//! Plans, diffs, summaries and comparisons as people see them, at two widths, without colour, and with names that lie.

use std::time::Duration;

use serde_json::json;

use super::compare::{Compared, Fault, Seen};
use super::document::{Document, schema};
use super::summary::{Doing, Ended, exit_code};
use super::{compare, diff, document, plan, summary};
use crate::change::journal::Outcome;
use crate::change::plan::{
    Action, Change, Condition, Decision, Join, Loaded, NodePlan, PLAN_SCHEMA, Plan, Reason, Refusal, Reset, Undo,
    WriteFile,
};
use crate::change::state::{File, Path, State};
use crate::change::summary::Summary;
use crate::exit::ExitCode;
use crate::playbook::{Portion, Strategy};
use crate::report::style::Style;
use crate::text;
use crate::verdict::{Phase, Verdict};

const WIDE: Style = Style { width: 120, color: false, unicode: true };
const NARROW: Style = Style { width: 80, color: false, unicode: true };
const ASCII: Style = Style { width: 80, color: false, unicode: false };

const CONFLIST: &str = "{\n  \"name\": \"cbr0\",\n  \"plugins\": [{ \"type\": \"flannel\" }]\n}\n";

fn words(text: &str) -> String {
    text.to_owned()
}

fn action(step: usize, change: Change, check: Option<&str>, text: &str, undo: Undo) -> Action {
    let reason = Reason { check: check.map(words), text: words(text) };
    Action { step, change, reason, undo, only_if: Vec::new() }
}

fn file(content: &str, mode: u32) -> Path {
    Path::File(File {
        sha256: "ab".repeat(32),
        mode,
        uid: 0,
        gid: 0,
        size: content.len() as u64,
        content: Some(words(content)),
    })
}

fn write(path: &str, content: &str, before: Path) -> Change {
    Change::WriteFile(WriteFile {
        path: words(path),
        content: words(content),
        sha256: "0123456789abcdef".repeat(4),
        mode: 0o644,
        uid: 0,
        gid: 0,
        before,
        verify: None,
    })
}

fn join(node: &str) -> Vec<Action> {
    let join = Change::KubeadmJoin(Join {
        control_plane: words("masternode"),
        endpoint: words("192.168.4.63:6443"),
        ca_pins: vec![format!("sha256:{}", "c0ffee00".repeat(8))],
        node_name: words(node),
        kubeadm_minor: 31,
        ignore: vec![],
        attempts: 3,
        backoff: Duration::from_secs(10),
        writes: vec![words("/etc/kubernetes/kubelet.conf"), words("/var/lib/kubelet/config.yaml")],
        stale_ca: Some(words("/etc/kubernetes/pki/ca.crt")),
    });
    let Change::WriteFile(conflist) = write("/etc/cni/net.d/10-flannel.conflist", CONFLIST, Path::Absent) else {
        panic!("it is a file")
    };
    let push = Change::WriteFile(WriteFile { verify: Some(Loaded { network: words("cbr0") }), ..conflist });
    let mut push = action(
        1,
        push,
        Some("cni/config-missing"),
        "there is no CNI configuration",
        Undo::Remove { path: words("/etc/cni/net.d/10-flannel.conflist") },
    );
    push.only_if = vec![Condition::StillFails { check: words("cni/config-missing"), after: Duration::from_mins(2) }];
    let wait = Change::WaitFor { check: words("node/not-ready"), timeout: Duration::from_mins(5) };
    vec![
        action(0, join, None, "asked for by name", Undo::Unjoin),
        push,
        action(2, wait, None, "of the playbook", Undo::Nothing),
    ]
}

fn change(node: &str, actions: Vec<Action>) -> NodePlan {
    let state = State { machine_id: format!("machine of {node}"), ..State::default() };
    NodePlan { node: words(node), decision: Decision::Change { state, actions } }
}

fn refused(node: &str, refusals: Vec<Refusal>) -> NodePlan {
    NodePlan { node: words(node), decision: Decision::Refused { refusals } }
}

fn drop_in_missing() -> Refusal {
    Refusal {
        guard: words("kubelet/drop-in-missing"),
        unknown: false,
        reason: words("systemd starts the kubelet without a kubeconfig: it has no drop-in"),
        next: words(
            "apt-get -o Dpkg::Options::=--force-confmiss install --reinstall kubeadm, then: seaworthy join storagenode",
        ),
    }
}

fn of(playbook: &str, nodes: Vec<NodePlan>) -> Plan {
    Plan { schema: PLAN_SCHEMA, playbook: words(playbook), strategy: Strategy::default(), nodes }
}

fn joining() -> Plan {
    let unknown = Refusal {
        guard: words("time/skewed"),
        unknown: true,
        reason: words("the clock could not be read"),
        next: words("read it, or go on with --accept-unknown time/skewed"),
    };
    let idle = |node: &str| NodePlan { node: words(node), decision: Decision::Nothing { why: words("it has joined") } };
    of(
        "join",
        vec![
            change("node1", join("node1")),
            change("node2", join("node2")),
            refused("storagenode", vec![drop_in_missing(), unknown]),
            idle("node3"),
            idle("node4"),
            idle("homelab"),
        ],
    )
}

fn pushing(nodes: &[&str]) -> Plan {
    let old = CONFLIST.replace("cbr0", "cni0").replace("}]", "}, { \"type\": \"portmap\" }]");
    let actions = |node: &str| {
        let replace = write("/etc/cni/net.d/10-flannel.conflist", CONFLIST, file(&old, 0o600));
        let add = write("/etc/sysctl.d/99-node.conf", "net.ipv4.ip_forward = 1\n", Path::Absent);
        vec![
            action(
                0,
                replace,
                Some("cni/conf-differs"),
                "the configuration differs from the cluster's",
                Undo::Restore { path: words("/etc/cni/net.d/10-flannel.conflist") },
            ),
            action(
                1,
                add,
                Some("kernel/ip-forward-off"),
                "forwarding is off",
                Undo::Remove { path: words("/etc/sysctl.d/99-node.conf") },
            ),
            action(
                2,
                Change::Command { run: words("sysctl  --load /etc/sysctl.d/99-node.conf") },
                Some("kernel/ip-forward-off"),
                "forwarding is off",
                Undo::Command { run: words("sysctl -w net.ipv4.ip_forward=0") },
            ),
            action(
                3,
                Change::RestartService { unit: words("containerd") },
                Some("cni/not-loaded"),
                &format!("not loaded on {node}"),
                Undo::Impossible { why: words("a restart is over") },
            ),
        ]
    };
    of("ours", nodes.iter().map(|node| change(node, actions("it"))).collect())
}

fn shown(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn plan_text(of: &Plan, style: Style) -> String {
    shown(|out| plan::write(of, &style, out))
}

#[test]
fn a_plan_says_what_is_done_why_and_how_it_is_taken_back() {
    insta::assert_snapshot!(plan_text(&joining(), NARROW), @r#"
    storagenode  refused, nothing is done there
      kubelet/drop-in-missing: systemd starts the kubelet without a kubeconfig: it
      has no drop-in
         next      apt-get -o Dpkg::Options::=--force-confmiss install --reinstall
                   kubeadm, then: seaworthy join storagenode
      time/skewed: not known: the clock could not be read
         next      read it, or go on with --accept-unknown time/skewed

    node[1-2]  to be changed
      1. kubeadm join 192.168.4.63:6443
         join      under its own name · with a token of its own, made on masternode
                   and deleted afterwards · kubeadm 1.31 · up to 3 attempts
         CA        sha256:c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0
                   ffee00
         writes    /etc/kubernetes/kubelet.conf · /var/lib/kubelet/config.yaml
         moves     /etc/kubernetes/pki/ca.crt of an earlier join out of the way
         because   asked for by name
         undo      take the node out of the cluster: stop the kubelet, put back
                   every file that the join wrote, delete the Node
      2. write /etc/cni/net.d/10-flannel.conflist
         file      mode 0644 · owner 0:0 · 59 bytes · sha256 0123456789ab
         replaces  nothing, the file is new
         verify    the runtime has loaded the network cbr0
         because   cni/config-missing: there is no CNI configuration
         only if   cni/config-missing still fails after 2m
         undo      remove /etc/cni/net.d/10-flannel.conflist, which is not there now
      3. wait until node/not-ready passes, at most 5m

    homelab, node[3-4]  nothing to do: it has joined

    order     in batches of 1, 1: node1 first; the first failure stops the run
    join: 6 nodes: 2 to change, 1 refused, 3 as it should be
    "#);
    insta::assert_snapshot!(plan_text(&joining(), WIDE), @r#"
    storagenode  refused, nothing is done there
      kubelet/drop-in-missing: systemd starts the kubelet without a kubeconfig: it has no drop-in
         next      apt-get -o Dpkg::Options::=--force-confmiss install --reinstall kubeadm, then: seaworthy join storagenode
      time/skewed: not known: the clock could not be read
         next      read it, or go on with --accept-unknown time/skewed

    node[1-2]  to be changed
      1. kubeadm join 192.168.4.63:6443
         join      under its own name · with a token of its own, made on masternode and deleted afterwards · kubeadm 1.31 ·
                   up to 3 attempts
         CA        sha256:c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00
         writes    /etc/kubernetes/kubelet.conf · /var/lib/kubelet/config.yaml
         moves     /etc/kubernetes/pki/ca.crt of an earlier join out of the way
         because   asked for by name
         undo      take the node out of the cluster: stop the kubelet, put back every file that the join wrote, delete the
                   Node
      2. write /etc/cni/net.d/10-flannel.conflist
         file      mode 0644 · owner 0:0 · 59 bytes · sha256 0123456789ab
         replaces  nothing, the file is new
         verify    the runtime has loaded the network cbr0
         because   cni/config-missing: there is no CNI configuration
         only if   cni/config-missing still fails after 2m
         undo      remove /etc/cni/net.d/10-flannel.conflist, which is not there now
      3. wait until node/not-ready passes, at most 5m

    homelab, node[3-4]  nothing to do: it has joined

    order     in batches of 1, 1: node1 first; the first failure stops the run
    join: 6 nodes: 2 to change, 1 refused, 3 as it should be
    "#);
}

#[test]
fn equal_nodes_are_folded_and_batches_counted() {
    let mut plan = pushing(&["node1", "node2", "node3", "node4", "node5", "node6", "node7", "node8"]);
    plan.strategy = Strategy {
        batches: vec![Portion::Percent(25), Portion::Percent(100)],
        max_failed: Portion::Percent(20),
        ..Strategy::default()
    };
    insta::assert_snapshot!(plan_text(&plan, NARROW), @r#"
    node[1-8]  to be changed
      1. write /etc/cni/net.d/10-flannel.conflist
         file      mode 0644 · owner 0:0 · 59 bytes · sha256 0123456789ab
         replaces  a file of 82 bytes, mode 0600, sha256 abababababab, owner 0:0
         because   cni/conf-differs: the configuration differs from the cluster's
         undo      put back /etc/cni/net.d/10-flannel.conflist, which is kept beside
                   it
      2. write /etc/sysctl.d/99-node.conf
         file      mode 0644 · owner 0:0 · 24 bytes · sha256 0123456789ab
         replaces  nothing, the file is new
         because   kernel/ip-forward-off: forwarding is off
         undo      remove /etc/sysctl.d/99-node.conf, which is not there now
      3. run sysctl  --load /etc/sysctl.d/99-node.conf
         because   kernel/ip-forward-off: forwarding is off
         undo      $ sysctl -w net.ipv4.ip_forward=0
      4. restart containerd
         because   cni/not-loaded: not loaded on it
         undo      IMPOSSIBLE: a restart is over

    order     in batches of 1, 2, 5: node1 first; more than 20% failed nodes stop
              the run, and so does a second failure in the same words
    ours: 8 nodes: 8 to change, 0 refused, 0 as it should be
    "#);
}

#[test]
fn a_reset_shows_what_it_deletes_and_what_it_keeps() {
    let reset = Reset {
        deletes: vec![
            words("/etc/kubernetes/kubelet.conf"),
            words("/var/lib/kubelet"),
            words("/etc/kubernetes/pki/ca.crt"),
        ],
        mounts: vec![words("/mnt/media (/dev/sdb1)"), words("/mnt/nas (192.168.4.61:/srv)")],
    };
    let undo = Undo::Impossible { why: words("kubeadm reset deletes for good; join the node again") };
    let plan = of(
        "reset",
        vec![change("node7", vec![action(0, Change::KubeadmReset(reset), None, "asked for by name", undo)])],
    );
    insta::assert_snapshot!(plan_text(&plan, NARROW), @r#"
    node7  to be changed
      1. kubeadm reset
         deletes   /etc/kubernetes/kubelet.conf · /var/lib/kubelet ·
                   /etc/kubernetes/pki/ca.crt
         keeps     mounts, looked at before and after: /mnt/media (/dev/sdb1) ·
                   /mnt/nas (192.168.4.61:/srv)
         because   asked for by name
         undo      IMPOSSIBLE: kubeadm reset deletes for good; join the node again

    order     one node; the first failure stops the run
    reset: 1 node: 1 to change, 0 refused, 0 as it should be
    "#);
}

#[test]
fn nothing_to_do_is_said_shortly() {
    let idle = |node: &str| NodePlan { node: words(node), decision: Decision::Nothing { why: words("it has joined") } };
    insta::assert_snapshot!(plan_text(&of("join", vec![idle("node1"), idle("node2")]), NARROW), @r#"
    node[1-2]  nothing to do: it has joined

    join: 2 nodes: 0 to change, 0 refused, 2 as it should be
    "#);
}

#[test]
fn diffs_stand_once_for_equal_nodes() {
    let text = |style: Style| shown(|out| diff::write(&pushing(&["node1", "node2"]), &style, out));
    insta::assert_snapshot!(text(NARROW), @r#"
    on node[1-2]:
    --- /etc/cni/net.d/10-flannel.conflist
    +++ /etc/cni/net.d/10-flannel.conflist
    -mode 0600, owner 0:0
    +mode 0644, owner 0:0
    @@ -1,4 +1,4 @@
     {
    -  "name": "cni0",
    -  "plugins": [{ "type": "flannel" }, { "type": "portmap" }]
    +  "name": "cbr0",
    +  "plugins": [{ "type": "flannel" }]
     }

    on node[1-2]:
    --- /dev/null
    +++ /etc/sysctl.d/99-node.conf
    @@ -0,0 +1 @@
    +net.ipv4.ip_forward = 1
    "#);
    // Colour adds nothing but colour.
    let colored = text(Style { color: true, ..NARROW });
    assert_ne!(colored, text(NARROW));
    let plain = ["\u{1b}[31m", "\u{1b}[32m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[0m"];
    assert_eq!(plain.iter().fold(colored, |text, code| text.replace(code, "")), text(NARROW));
}

#[test]
fn a_file_that_cannot_be_shown_is_named_by_its_hash() {
    let Path::File(before) = file("x", 0o644) else { panic!("it is a file") };
    let before = Path::File(File { content: None, size: 300_000, ..before });
    let plan =
        of("ours", vec![change("n", vec![action(0, write("/etc/x", "a\r\nb", before), None, "r", Undo::Nothing)])]);
    insta::assert_snapshot!(shown(|out| diff::write(&plan, &NARROW, out)), @r#"
    on n:
    --- /etc/x
    +++ /etc/x
    -300000 bytes that cannot be shown, sha256 abababababababababababababababababababababababababababababababab
    @@ -0,0 +1,2 @@
    +a\r
    +b
    \ No newline at end of file
    "#);
}

fn ended() -> Summary {
    let failed = |why: &str| Outcome::Failed {
        why: words(why),
        next: words("seaworthy diagnose node3"),
        evidence: vec![words("kubelet: \"connection refused\""), words("port 10248 closed")],
    };
    Summary {
        nodes: vec![
            (words("node1"), Outcome::Done { evidence: vec![words("Ready"), words("network cbr0 is loaded")] }),
            (words("node2"), Outcome::Done { evidence: vec![words("Ready"), words("network cbr0 is loaded")] }),
            (words("node3"), failed("the kubelet does not answer")),
            (words("node4"), Outcome::Refused { why: words("it has rebooted"), next: words("plan again") }),
            (words("node5"), Outcome::Unsettled { why: words("the connection was lost") }),
            (words("node6"), failed("no route to host")),
        ],
        stopped: Some(words("2 nodes failed, and the budget allows 1")),
        untouched: vec![words("node7"), words("node8")],
        unreachable: vec![words("node6")],
        interrupted: false,
    }
}

fn ended_plan() -> Plan {
    let mut plan = pushing(&["node1", "node2", "node3", "node4", "node5", "node6", "node7", "node8"]);
    plan.nodes.push(refused("storagenode", vec![drop_in_missing()]));
    plan
}

fn summary_text(summary: &Summary, doing: Doing, style: Style) -> String {
    let plan = ended_plan();
    shown(|out| summary::write(Ended { run: "20261122T090102Z-1f3a", plan: &plan, summary, doing }, &style, out))
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

fn compared() -> Vec<Compared> {
    let fault = |id: &str, title: &str| Fault { id: words(id), title: words(title) };
    let seen = |phase, verdict, summary: &str| Some(Seen { phase: Some(phase), verdict, summary: words(summary) });
    let mended = |node: &str| Compared {
        node: words(node),
        before: seen(Phase::JoinedNotReady, Verdict::Fail, "no CNI config"),
        after: seen(Phase::Ready, Verdict::Pass, "ok"),
        gone: vec![
            fault("cni/config-missing", "there is no CNI configuration"),
            fault("node/not-ready", "the node is NotReady"),
        ],
        new: vec![],
        left: vec![],
    };
    let worse = Compared {
        node: words("node9"),
        before: seen(Phase::Prepared, Verdict::Pass, "ok"),
        after: Some(Seen { phase: None, verdict: Verdict::Unknown, summary: words("unreachable: no route to host") }),
        gone: vec![],
        new: vec![fault("flannel/subnet-env-missing", "flannel is configured and does not run")],
        left: vec![fault("disk/full", "a filesystem is full")],
    };
    vec![mended("node1"), mended("node2"), worse]
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

/// A plan in which every text of a node's tries to be something else.
fn hostile() -> Plan {
    let evil = "\u{1b}[2J\u{202e}evil\r\nnode9  ok";
    let mut actions = join(evil);
    actions.push(action(3, Change::Command { run: words(evil) }, Some(evil), evil, Undo::Command { run: words(evil) }));
    actions.push(action(4, write(&format!("/etc/{evil}"), evil, file(evil, 0o644)), Some(evil), evil, Undo::Nothing));
    let refusal = Refusal { guard: words(evil), unknown: true, reason: words(evil), next: words(evil) };
    of(evil, vec![change(evil, actions), refused(&"x".repeat(500), vec![refusal])])
}

#[test]
fn nothing_from_a_node_acts_on_the_terminal_or_leaves_its_line() {
    let plan = hostile();
    let evil = plan.nodes[0].node.clone();
    let summary = Summary {
        nodes: vec![(
            evil.clone(),
            Outcome::Failed { why: evil.clone(), next: evil.clone(), evidence: vec![evil.clone()] },
        )],
        stopped: Some(evil.clone()),
        ..Summary::default()
    };
    let mut lied = compared();
    lied[0].node.clone_from(&evil);
    lied[0].gone[0].title.clone_from(&evil);
    for style in [NARROW, ASCII, WIDE, Style { width: 40, ..NARROW }] {
        let text = shown(|out| {
            plan::write(&plan, &style, out)?;
            summary::write(Ended { run: "r", plan: &plan, summary: &summary, doing: Doing::Apply }, &style, out)?;
            compare::write(&lied, &style, out)
        });
        for line in text.lines() {
            assert!(text::width(line) <= style.width, "{} > {}: {line}", text::width(line), style.width);
        }
        let diff = shown(|out| diff::write(&plan, &style, out));
        for text in [text, diff] {
            assert!(!text.contains("\nnode9  ok"), "{text}");
            assert!(
                text.chars().all(|char| char == '\n' || !(char.is_control() || text::is_deceptive(char))),
                "{text:?}"
            );
            assert!(style.unicode || text.is_ascii(), "{text}");
        }
    }
    let json = shown(|out| document::write(&Document::of(&plan), out));
    assert!(json.chars().all(|char| char == '\n' || !(char.is_control() || text::is_deceptive(char))));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["nodes"][0]["node"], json!(evil));
}

#[test]
fn every_document_is_what_the_schema_says() {
    let validator = jsonschema::validator_for(&serde_json::to_value(schema()).unwrap()).unwrap();
    let (summary, compared) = (ended(), compared());
    for plan in [joining(), pushing(&["n"]), ended_plan(), hostile(), of("empty", vec![])] {
        for document in [Document::of(&plan), Document::of(&plan).ended("run", &summary, &compared)] {
            let value = serde_json::to_value(&document).unwrap();
            let wrong: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
            assert!(wrong.is_empty(), "{wrong:?}");
            assert_eq!(value["schema"], "seaworthy/plan/v1");
        }
    }
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

fn node(verdict: Verdict, findings: &serde_json::Value) -> crate::report::model::NodeReport {
    use crate::checks::{Finding, Severity};
    use crate::report::model::{CheckCounts, NodeReport};
    let finding = |pair: &serde_json::Value| Finding {
        id: words(pair[0].as_str().unwrap()),
        verdict: if pair[1] == "fail" { Verdict::Fail } else { Verdict::Warn },
        severity: Severity::High,
        title: words("title"),
        message: String::new(),
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
