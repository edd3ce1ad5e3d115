//! A run in which checks found something: a join that is blocked, its consequences, a warning, and nodes that were not read.

use std::time::Duration;

use seaworthy::checks::{Evidence, Finding, Remedy, Safety, Severity};
use seaworthy::diagnose::duplicates::{Duplicate, Unique};
use seaworthy::diagnose::matrix::{Component, Drift, VersionRow, VersionValue};
use seaworthy::diagnose::outliers::{Configuration, Group, LineDifference};
use seaworthy::diagnose::root_cause::{Confidence, Consequence, NotTheCause, Reservation, RootCause, Scope};
use seaworthy::diagnose::siblings::Difference;
use seaworthy::facts::certs::Cert;
use seaworthy::facts::cluster::FlannelMissing;
use seaworthy::facts::configuration::Part;
use seaworthy::facts::{Fact, NodeFacts};
use seaworthy::failure::FailureKind;
use seaworthy::report::model::cluster::{
    ClusterReport, DaemonSetPods, FlannelPods, Inventory, MissingPod, NodeDifferences, PodsAlike, Stranger,
};
use seaworthy::report::model::{CheckCounts, NodeReport, Report};
use seaworthy::target::Role;
use seaworthy::verdict::{Area, Phase, Verdict};
use serde_json::{Value, json};

use crate::report::fixture::{cell, healthy, unreachable, with};

pub(super) fn evidence(label: &str, value: Value) -> Evidence {
    Evidence { label: label.into(), path: "kubelet.pid".into(), value }
}

pub(super) fn finding(id: &str, verdict: Verdict, severity: Severity, message: &str) -> Finding {
    Finding {
        id: id.into(),
        verdict,
        severity,
        title: format!("the title of {id}").into(),
        message: message.into(),
        cell: String::new(),
        evidence: Vec::new(),
        lacks: Vec::new(),
        since: None,
        certain: false,
        explained_by: None,
        explains: Vec::new(),
    }
}

pub(super) fn cause(id: &str, verdict: Verdict, title: &str, nodes: &[&str]) -> RootCause {
    RootCause {
        id: id.into(),
        title: title.to_owned(),
        message: format!("{title}, at length"),
        verdict,
        severity: Severity::Blocker,
        confidence: Confidence::Certain,
        scope: Scope::Node,
        nodes: nodes.iter().map(|&name| name.to_owned()).collect(),
        evidence: vec![evidence("command line", json!(["/usr/bin/kubelet", "--v=2"]))],
        explains: vec![Consequence { id: "join/failed".to_owned(), title: "the join failed".to_owned(), nodes: 1 }],
        not_the_cause: vec![NotTheCause { what: "mounts".to_owned(), why: "read and sound".to_owned() }],
        reservations: vec![Reservation {
            id: "disk/full".to_owned(),
            title: "the disk is full".to_owned(),
            why: "df hangs".to_owned(),
        }],
        remedy: Remedy {
            text: "Reinstall it, with `dnf` on RPM systems.".to_owned(),
            command: Some("apt-get install --reinstall kubeadm\nsystemctl daemon-reload\n".to_owned()),
            safety: Safety::Confirm,
        },
    }
}

/// A node whose join is blocked.
pub(super) fn storagenode() -> NodeReport {
    use Verdict::{Expected, Fail, Unknown, Warn};
    let mut node = with(
        healthy("storagenode", 2),
        Fail,
        "join blocked",
        vec![
            cell(Area::Kubelet, Fail, "standalone", &["the kubelet runs standalone"]),
            cell(Area::Cni, Expected, "none, expected", &[]),
        ],
    );
    node.phase = Some(Phase::Joining);
    node.checks = CheckCounts { fail: 2, warn: 1, unknown: 1, pass: 20, expected: 1, not_applicable: 3 };
    let mut root = finding("kubelet/drop-in-missing", Fail, Severity::Blocker, "kubeadm's drop-in is missing");
    root.evidence = vec![evidence("drop-in", json!("missing")), evidence("process", json!(2214))];
    let mut follows = finding("kubelet/standalone", Fail, Severity::Blocker, "the kubelet never contacts the API");
    follows.explained_by = Some("kubelet/drop-in-missing".into());
    node.findings = vec![
        root,
        follows,
        finding("time/not-synchronized", Warn, Severity::Medium, "nothing disciplines the clock"),
        finding("kernel/old", Warn, Severity::Low, "a newer kernel is installed"),
        finding("time/skew", Unknown, Severity::High, "not known: member.skew_ms: no control plane was read"),
        finding("cni/config-missing", Expected, Severity::High, "the CNI directory has no configuration"),
    ];
    let mut facts = NodeFacts::default();
    facts.identity.os_name = Fact::Known("Debian GNU/Linux 12 (bookworm)".to_owned());
    facts.cni.conf_dir = Fact::Known("/etc/cni/net.d".to_owned());
    facts.cni.files = Fact::Known(Vec::new());
    facts.kubelet.version = Fact::Known("1.29.15".to_owned());
    facts.time.skew_ms = Fact::Known(-51);
    facts.disk.images.used_percent = Fact::Known(93);
    facts.nfs.hung = Fact::Known(vec!["/mnt".to_owned()]);
    let certs = [2_000, 1_000].map(|not_after| cert("/etc/kubernetes/pki/ca.crt", not_after).into());
    facts.certs.list = Fact::Known(certs.to_vec());
    node.facts = Some(facts);
    node
}

fn cert(path: &str, not_after: i64) -> Cert {
    Cert {
        path: path.to_owned(),
        subject: "CN=kubernetes".to_owned(),
        common_name: Fact::Known("kubernetes".to_owned()),
        organizations: Vec::new(),
        issuer: "CN=kubernetes".to_owned(),
        not_before: 0,
        not_after,
        ca: true,
        key_sha256: String::new(),
        names: Vec::new(),
    }
}

pub(super) fn report(nodes: Vec<NodeReport>, causes: Vec<RootCause>) -> Report {
    Report::new(
        "20260726T134102Z-5f2a".to_owned(),
        "2026-07-26T13:41:02Z".to_owned(),
        Duration::from_millis(8_412),
        nodes,
        causes,
    )
}

fn causes() -> Vec<RootCause> {
    let mut later = cause("time/not-synchronized", Verdict::Warn, "NTP does not run", &["storagenode"]);
    later.severity = Severity::Medium;
    vec![
        cause("kubelet/drop-in-missing", Verdict::Fail, "the kubelet lacks kubeadm's drop-in", &["storagenode"]),
        later,
    ]
}

/// The blocked join alone.
pub(super) fn one() -> Report {
    report(vec![storagenode()], causes())
}

/// The same among nodes that are fine, and two that refuse the connection.
pub(super) fn fleet() -> Report {
    let mut nodes: Vec<NodeReport> = (1..=20).map(|number| healthy(&format!("node{number:02}"), 20)).collect();
    nodes.push(storagenode());
    for name in ["node57", "node58"] {
        nodes.push(unreachable(
            name,
            FailureKind::Refused,
            "unreachable: refused",
            "port 22 refused the connection",
            "start sshd on it, or set ansible_port",
        ));
    }
    let sound: Vec<String> = (1..=20).map(|number| format!("node{number:02}")).collect();
    let mut report = report(nodes, causes());
    report.cluster = Some(cluster(&sound, "storagenode", ""));
    report
}

/// What the nodes say about each other, with one of everything; every value is made of `text`.
pub(super) fn cluster(most: &[String], odd: &str, text: &str) -> ClusterReport {
    let few = vec![odd.to_owned()];
    let value = |value: &str, nodes: &[String], minority| VersionValue {
        value: format!("{text}{value}"),
        minority,
        nodes: nodes.to_vec(),
    };
    let group = |outlier, nodes: &[String], differences| Group {
        hash: "0011".to_owned(),
        outlier,
        nodes: nodes.to_vec(),
        differences,
        more: usize::from(outlier) * 7,
    };
    let line = |line: &str| Some(format!("{text}{line}"));
    let lines = vec![
        LineDifference { here: line("cgroupDriver = cgroupfs"), there: line("cgroupDriver = systemd") },
        LineDifference { here: None, there: line("maxPods = 110") },
    ];
    let difference = |path: &str, here: Option<String>| Difference {
        path: format!("{text}{path}"),
        here,
        there: line("yes"),
        healthy: 12,
        of: 12,
    };
    ClusterReport {
        control_planes: vec![format!("{text}master")],
        source: line("master"),
        version: line("1.29.15"),
        versions: vec![VersionRow {
            component: Component::Kubelet,
            drift: Drift::Minor,
            values: vec![value("1.29.15", most, false), value("1.28.9", &few, true)],
        }],
        configurations: vec![Configuration {
            part: Part::Kubelet,
            role: Role::Worker,
            version: text.to_owned(),
            groups: vec![group(false, most, Vec::new()), group(true, &few, lines)],
            more: 3,
        }],
        duplicates: vec![Duplicate {
            what: Unique::MachineId,
            value: format!("{text}0fa06b48"),
            nodes: [&most[..1], &few].concat(),
        }],
        flannel: Some(FlannelPods {
            daemonsets: vec![DaemonSetPods {
                name: format!("{text}kube-flannel/kube-flannel-ds"),
                desired: Some(5),
                current: Some(4),
                ready: None,
            }],
            pods: vec![
                PodsAlike { ready: true, state: format!("{text}Running"), nodes: most.to_vec() },
                PodsAlike {
                    ready: false,
                    state: format!("{text}CrashLoopBackOff"),
                    nodes: vec![format!("{text}other")],
                },
            ],
            missing: vec![MissingPod {
                node: odd.to_owned(),
                because: FlannelMissing::Taint,
                detail: format!("{text}it does not tolerate the taint gpu:NoExecute"),
            }],
        }),
        inventory: Inventory {
            not_in_run: Some(vec![format!("{text}gone")]),
            not_in_cluster: vec![Stranger { node: odd.to_owned(), phase: Some(Phase::Ready) }],
        },
        siblings: vec![NodeDifferences {
            node: odd.to_owned(),
            differences: vec![difference("kernel.ip_forward", line("no")), difference("cni.first", None)],
        }],
    }
}
