//! Plans, diffs, summaries and comparisons as people see them, at two widths, without colour, and with names that lie.

mod endings;
mod plans;

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
    let (playbook, strategy) = (words(playbook), Strategy::default());
    Plan { schema: PLAN_SCHEMA, playbook, strategy, accept_unknown: vec![], nodes }
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
            summary::write(
                Ended { run: "r", plan: &plan, summary: &summary, doing: Doing::Apply, undo: true },
                &style,
                out,
            )?;
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
