//! Root causes under the table: what they say, how they wrap, and that nothing of a node escapes from them.

use seaworthy::checks::{Evidence, Remedy, Safety, Severity};
use seaworthy::diagnose::root_cause::{Confidence, Consequence, NotTheCause, Reservation, RootCause, Scope};
use seaworthy::report::Format;
use seaworthy::report::model::{ChangedCheck, Report};
use seaworthy::report::style::Style;
use seaworthy::verdict::Verdict;
use serde_json::json;

use super::fixture::{self, PLAIN};
use super::{render, table};

fn cause(id: &str, title: &str, message: &str, nodes: &[&str]) -> RootCause {
    RootCause {
        id: id.to_owned(),
        title: title.to_owned(),
        message: message.to_owned(),
        verdict: Verdict::Fail,
        severity: Severity::Blocker,
        confidence: Confidence::Possible,
        scope: Scope::Node,
        nodes: nodes.iter().map(|&node| node.to_owned()).collect(),
        evidence: Vec::new(),
        explains: Vec::new(),
        not_the_cause: Vec::new(),
        reservations: Vec::new(),
        remedy: Remedy { text: "look at it".to_owned(), command: None, safety: Safety::Manual },
    }
}

fn evidence(label: &str, value: serde_json::Value) -> Evidence {
    Evidence { label: label.into(), path: "some.fact".into(), value }
}

fn follows(title: &str, nodes: usize) -> Consequence {
    Consequence { id: "some/check".to_owned(), title: title.to_owned(), nodes }
}

/// The worked example of a standalone kubelet, one cause of three nodes, and something that only deserves a look.
fn causes() -> Vec<RootCause> {
    let not = |what: &str, why: &str| NotTheCause { what: what.to_owned(), why: why.to_owned() };
    let standalone = RootCause {
        confidence: Confidence::Certain,
        evidence: vec![
            evidence("command line", json!(["/usr/bin/kubelet"])),
            evidence("read-only port", json!(10255)),
            evidence("log", json!("Standalone mode, no API client")),
        ],
        explains: vec![follows("port 10250 is taken", 1), follows("the join failed", 1)],
        not_the_cause: vec![
            not("there is no CNI configuration", "normal in this phase"),
            not("disk", "read and sound"),
            not("mounts", "read and sound"),
        ],
        remedy: Remedy {
            text: "Reinstall the package that owns the drop-in.".to_owned(),
            command: Some("apt-get install --reinstall kubeadm\nsystemctl daemon-reload\n".to_owned()),
            safety: Safety::Confirm,
        },
        ..cause(
            "kubelet/drop-in-missing",
            "the kubelet lacks kubeadm's drop-in",
            "the kubelet runs standalone: it has no kubeadm drop-in and never contacts the API",
            &["storagenode"],
        )
    };
    let down = RootCause {
        scope: Scope::Fleet,
        confidence: Confidence::Likely,
        evidence: vec![evidence("unit", json!("failed")), evidence("restarts", json!(5))],
        explains: vec![follows("the CRI does not answer", 3)],
        reservations: vec![Reservation {
            id: "containerd/config-invalid".to_owned(),
            title: "containerd's configuration is invalid".to_owned(),
            why: "permission denied".to_owned(),
        }],
        ..cause(
            "containerd/down",
            "containerd does not run",
            "containerd is failed",
            &["node100", "node101", "node102"],
        )
    };
    let loopback = RootCause {
        verdict: Verdict::Warn,
        severity: Severity::Medium,
        ..cause(
            "nfs/loopback",
            "the node mounts its own export",
            "the node mounts its own export: /srv/media",
            &["storagenode"],
        )
    };
    vec![standalone, down, loopback]
}

fn fleet() -> Report {
    let mut report = fixture::fleet_of(&["storagenode", "node100", "node101", "node102", "masternode"]);
    report.root_causes = causes();
    report
}

#[test]
fn causes_have_numbers_evidence_and_a_next_step() {
    insta::assert_snapshot!(table(&fleet(), 120), @r#"
    NODE           PHASE    MOUNTS  DISK        CONTAINERD  CNI             NFS       KUBELET     VERDICT
    node[100-102]  ready    ok      30% of 58G  down        flannel         ok        running     containerd is down ②
    storagenode    joining  ok      2% of 456G  1.6.20      none, expected  loopback  standalone  join blocked ①
    masternode     control  ok      25% of 58G  1.6.20      flannel         -         running     ok
    all ok: permissions, kernel, time, api

    ① storagenode  the kubelet runs standalone: it has no kubeadm drop-in and never contacts the API                 certain
      evidence  command line /usr/bin/kubelet · read-only port 10255 · log "Standalone mode, no API client"
      explains  port 10250 is taken · the join failed
      not it    there is no CNI configuration (normal in this phase) · disk · mounts
      next      Reinstall the package that owns the drop-in.
                $ apt-get install --reinstall kubeadm
                $ systemctl daemon-reload

    ② node[100-102]  containerd does not run                                                                          likely
      fleet     3 of 5 nodes have it: look at what they share first
      evidence  node100: unit failed · restarts 5
      explains  the CRI does not answer (3 nodes)
      unless    containerd's configuration is invalid (could not be read)
      next      look at it

    storagenode  the node mounts its own export: /srv/media

    5 nodes in 8.4s: 4 failing, 1 ok
    retry with --limit 'node[100-102],storagenode'
    "#);
}

#[test]
fn at_seventy_columns_they_wrap_under_themselves() {
    let text = table(&fleet(), 70);
    insta::assert_snapshot!(text.split_once("\n\n").unwrap().1, @r#"
    ① storagenode
      the kubelet runs standalone: it has no kubeadm drop-in and never
      contacts the API (certain)
      evidence  command line /usr/bin/kubelet · read-only port 10255 · log
                "Standalone mode, no API client"
      explains  port 10250 is taken · the join failed
      not it    there is no CNI configuration (normal in this phase) ·
                disk · mounts
      next      Reinstall the package that owns the drop-in.
                $ apt-get install --reinstall kubeadm
                $ systemctl daemon-reload

    ② node[100-102]  containerd does not run                        likely
      fleet     3 of 5 nodes have it: look at what they share first
      evidence  node100: unit failed · restarts 5
      explains  the CRI does not answer (3 nodes)
      unless    containerd's configuration is invalid (could not be read)
      next      look at it

    storagenode  the node mounts its own export: /srv/media

    5 nodes in 8.4s: 4 failing, 1 ok
    retry with --limit 'node[100-102],storagenode'
    "#);
}

#[test]
fn without_utf8_numbers_are_in_brackets() {
    let text = render(Format::Table, &fleet(), Style { width: 120, unicode: false, ..PLAIN });
    assert!(text.is_ascii(), "{text}");
    assert!(text.contains("join blocked (1)") && text.contains("\n(1) storagenode"), "{text}");
}

#[test]
fn what_a_node_says_stays_within_its_line() {
    let mut report = fleet();
    let evil = "\u{1b}[2J\u{1b}]0;owned\u{7}\nnode999  ok\u{202e}";
    report.root_causes[0].message = format!("message {evil}");
    report.root_causes[0].evidence = vec![evidence("log", json!(evil)), evidence("many", json!(vec![evil; 100]))];
    for format in [Format::Table, Format::Wide] {
        let text = render(format, &report, Style { width: 100, ..PLAIN });
        let acts = |char: char| (char.is_control() && char != '\n') || char == '\u{202e}';
        assert!(!text.contains(acts), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("node999")), "{text}");
    }
}

#[test]
fn a_fleet_with_many_causes_says_how_many_there_are() {
    let mut report = fleet();
    report.root_causes =
        (1..=30).map(|n| cause(&format!("site/{n}"), &format!("fault {n}"), "m", &["storagenode"])).collect();
    let text = table(&report, 120);
    assert!(text.contains("⑳ storagenode") && !text.contains("(21) storagenode"), "{text}");
    assert!(text.contains("10 more causes (-o json has all)"), "{text}");
}

#[test]
fn a_check_that_somebody_changed_is_named_with_its_reason() {
    let mut report = fleet();
    report.changed_checks = vec![
        ChangedCheck {
            id: "kernel/swap-on".to_owned(),
            disabled: true,
            severity_was: Severity::Blocker,
            severity: Severity::Blocker,
            reason: "zram is wanted here".to_owned(),
            file: "checks/own.yaml".to_owned(),
        },
        ChangedCheck {
            id: "time/skew".to_owned(),
            disabled: false,
            severity_was: Severity::High,
            severity: Severity::Low,
            reason: "a lab".to_owned(),
            file: "checks/own.yaml".to_owned(),
        },
    ];
    let text = table(&report, 120);
    assert!(text.contains("\nkernel/swap-on is switched off: zram is wanted here (checks/own.yaml)\n"), "{text}");
    assert!(text.contains("\ntime/skew counts as low instead of high: a lab (checks/own.yaml)\n"), "{text}");
}
