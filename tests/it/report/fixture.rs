//! One fleet for all formats: what a cluster in trouble looks like.

use std::time::Duration;

use seaworthy::failure::{Failure, FailureKind};
use seaworthy::report::model::{CheckCounts, NodeReport, Report};
use seaworthy::report::style::Style;
use seaworthy::target::Role;
use seaworthy::timings::Timings;
use seaworthy::verdict::{Area, AreaCell, Phase, Verdict};

pub(super) const PLAIN: Style = Style { width: 120, color: false, unicode: true };

pub(super) fn cell(area: Area, verdict: Verdict, text: &str, reasons: &[&str]) -> AreaCell {
    AreaCell {
        area,
        verdict,
        text: text.to_owned(),
        reasons: reasons.iter().map(|&reason| reason.to_owned()).collect(),
    }
}

/// A worker in which nothing is wrong.
pub(super) fn healthy(name: &str, disk: u32) -> NodeReport {
    use Verdict::Pass;
    NodeReport {
        name: name.to_owned(),
        address: format!("{name}.lan:22"),
        roles: vec![Role::Worker],
        phase: Some(Phase::Ready),
        verdict: Pass,
        summary: "ok".to_owned(),
        failure: None,
        timings: Timings {
            dns_ms: Some(0.4),
            tcp_ms: Some(1.2),
            kex_ms: Some(12.5),
            auth_ms: Some(8.0),
            open_ms: Some(1.0),
            exec_ms: Some(310.0 + f64::from(disk)),
            total_ms: Some(333.1 + f64::from(disk)),
        },
        areas: vec![
            cell(Area::Mounts, Pass, "ok", &[]),
            cell(Area::Disk, Pass, &format!("{disk}% of 58G"), &[]),
            cell(Area::Permissions, Pass, "ok", &[]),
            cell(Area::Containerd, Pass, "1.7.28", &[]),
            cell(Area::Cni, Pass, "flannel", &[]),
            cell(Area::Nfs, Pass, "ok", &[]),
            cell(Area::Kubelet, Pass, "running", &[]),
            cell(Area::Kernel, Pass, "ok", &[]),
            cell(Area::Time, Pass, "ok", &[]),
            cell(Area::Api, Verdict::NotApplicable, "", &[]),
        ],
        checks: CheckCounts::default(),
        findings: Vec::new(),
        facts: Some(seaworthy::facts::NodeFacts::default()),
    }
}

/// The same node with another verdict and some other cells.
pub(super) fn with(mut node: NodeReport, verdict: Verdict, summary: &str, cells: Vec<AreaCell>) -> NodeReport {
    node.verdict = verdict;
    summary.clone_into(&mut node.summary);
    for cell in cells {
        node.areas.retain(|old| old.area != cell.area);
        node.areas.push(cell);
    }
    node
}

pub(super) fn unreachable(name: &str, kind: FailureKind, summary: &str, message: &str, next: &str) -> NodeReport {
    NodeReport {
        phase: None,
        verdict: Verdict::Unknown,
        summary: summary.to_owned(),
        failure: Some(Failure::new(kind, message, next)),
        timings: Timings { dns_ms: Some(0.3), tcp_ms: Some(3050.0), total_ms: Some(3050.3), ..Timings::default() },
        areas: Vec::new(),
        facts: None,
        ..healthy(name, 0)
    }
}

pub(super) fn report(nodes: Vec<NodeReport>) -> Report {
    Report::new(
        "20260726T134102Z-5f2a".to_owned(),
        "2026-07-26T13:41:02Z".to_owned(),
        Duration::from_millis(8_412),
        nodes,
        Vec::new(),
    )
}

/// Two hundred healthy workers, a control plane, and one node of each kind of trouble.
pub(super) fn fleet() -> Report {
    let mut nodes: Vec<NodeReport> = (4..=211)
        .filter(|number| ![57, 58, 59, 100, 101, 102, 140, 141].contains(number))
        .map(|number| healthy(&format!("node{number:03}"), 11 + number % 28))
        .collect();

    nodes.extend(troubled());
    nodes.extend(not_read());
    report(nodes)
}

/// The control plane, and nodes that were read and are not healthy workers.
fn troubled() -> Vec<NodeReport> {
    use Verdict::{Expected, Fail, NotApplicable, Pass, Unknown, Warn};
    let mut nodes = Vec::new();
    let mut control = with(
        healthy("masternode", 25),
        Pass,
        "ok",
        vec![
            cell(Area::Containerd, Pass, "1.6.20", &[]),
            cell(Area::Nfs, NotApplicable, "", &[]),
            cell(Area::Api, Pass, "ok", &[]),
        ],
    );
    control.roles = vec![Role::ControlPlane];
    control.phase = Some(Phase::ControlPlane);
    nodes.push(control);

    let mut storage = with(
        healthy("storagenode", 2),
        Fail,
        "join blocked",
        vec![
            cell(Area::Disk, Pass, "2% of 456G", &[]),
            cell(Area::Containerd, Pass, "1.6.20", &[]),
            cell(Area::Cni, Expected, "none, expected", &[]),
            cell(Area::Nfs, Pass, "loopback", &[]),
            cell(
                Area::Kubelet,
                Fail,
                "standalone",
                &[
                    "the kubelet runs standalone: it has no kubeadm drop-in and never contacts the API",
                    "port 10250 is taken by this kubelet, so a join cannot start its own",
                ],
            ),
        ],
    );
    storage.phase = Some(Phase::Joining);
    nodes.push(storage);

    for number in [100, 101, 102] {
        nodes.push(with(
            healthy(&format!("node{number}"), 30),
            Fail,
            "containerd is down",
            vec![cell(Area::Containerd, Fail, "down", &["containerd is down: exited with status 1 after 5 restarts"])],
        ));
    }
    for (number, percent) in [(140, 91), (141, 93)] {
        nodes.push(with(
            healthy(&format!("node{number}"), percent),
            Warn,
            "disk nearly full",
            vec![cell(
                Area::Disk,
                Warn,
                &format!("{percent}% of 58G"),
                &[&format!("/var/lib/containerd is {percent}% full, the kubelet evicts at 85%")],
            )],
        ));
    }
    nodes.push(with(
        healthy("node059", 20),
        Unknown,
        "permissions unknown",
        vec![
            cell(Area::Permissions, Unknown, "", &["/etc/kubernetes may not be read without root: try -b"]),
            cell(
                Area::Kubelet,
                Unknown,
                "running",
                &["the kubelet's command line may not be read without root: try -b"],
            ),
        ],
    ));
    nodes
}

/// Nodes that were not reached, and one that hung half-way.
fn not_read() -> Vec<NodeReport> {
    use Verdict::{Fail, Unknown};
    let mut nodes = Vec::new();
    for name in ["node057", "node058"] {
        nodes.push(unreachable(
            name,
            FailureKind::Refused,
            "unreachable: refused",
            "port 22 refused the connection",
            "start sshd on it, or set ansible_port",
        ));
    }
    nodes.push(unreachable(
        "homelab",
        FailureKind::NoRoute,
        "unreachable: no route to host",
        "no route to 192.168.4.62 port 22",
        "check that it is powered on and in the same network: ip route get 192.168.4.62",
    ));
    let mut hung = with(
        healthy("nas1", 61),
        Unknown,
        "not read to the end: NFS mount hung",
        vec![
            cell(Area::Mounts, Fail, "hung", &["/srv/backup hangs: the NFS server 10.0.0.9 has not answered for 10s"]),
            cell(Area::Nfs, Fail, "hung", &[]),
            cell(Area::Kubelet, Unknown, "", &[]),
        ],
    );
    hung.failure = Some(Failure::new(
        FailureKind::ExecTimeout,
        "the probe did not end within 30s",
        "look at it by hand: ssh nas1 'cat /proc/mounts'",
    ));
    hung.timings.exec_ms = Some(30_000.0);
    hung.timings.total_ms = Some(30_022.0);
    nodes.push(hung);
    nodes
}

/// The nodes of these names out of [`fleet`], as a run of their own.
pub(super) fn fleet_of(names: &[&str]) -> Report {
    report(fleet().nodes.into_iter().filter(|node| names.contains(&node.name.as_str())).collect())
}

/// Nodes that try to escape from their cells.
pub(super) fn hostile() -> Report {
    use Verdict::{Fail, Pass, Unknown};
    let evil = "\u{1b}[2J\u{1b}]0;owned\u{7}";
    report(vec![
        with(
            healthy("evil\nnode ok", 10),
            Fail,
            &format!("{evil}ok\r\nnode999  ready  ok"),
            vec![
                cell(Area::Containerd, Pass, "1.7.28\u{202e}ko", &[]),
                cell(
                    Area::Kubelet,
                    Fail,
                    "\u{9b}31mdown",
                    &["line one\nline two", "\u{1b}[31mred", "zero\u{200b}width"],
                ),
            ],
        ),
        with(
            healthy(&"long".repeat(100), 12),
            Fail,
            &"word ".repeat(400),
            vec![cell(Area::Cni, Fail, &"x".repeat(1000), &[&"y".repeat(300)])],
        ),
        with(
            healthy("節点一", 14),
            Unknown,
            "不明 😀 👩\u{200d}👩\u{200d}👧",
            vec![
                cell(Area::Mounts, Unknown, "קובץ \u{202b}עברית", &["שגיאה: מערכת הקבצים"]),
                cell(Area::Nfs, Pass, "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}", &[]),
            ],
        ),
        healthy("quiet", 16),
    ])
}
