//! One healthy worker, one thing broken at a time: exactly that area says so.

use seaworthy::record::{Record, Section};
use seaworthy::verdict::{Area, Phase, Verdict};

mod cni;
mod host;
mod kube;
mod net;

use crate::facts::{case, judge};

/// A change of one record.
#[derive(Clone)]
enum Change {
    /// In the sections of that id (and argument, unless empty), this text becomes that.
    Text(&'static str, &'static str, &'static str, &'static str),
    /// The sections of that id (and argument) end with this code and no text.
    Code(&'static str, &'static str, i32),
    /// The sections of that id are gone.
    Drop(&'static str),
    /// One more section.
    Add(&'static str, &'static str, &'static str),
}

use Change::{Add, Code, Drop, Text};

fn apply(record: &mut Record, change: &Change) {
    let sections = &mut record.probe.as_mut().unwrap().sections;
    let is = |section: &Section, id: &str, arg: &str| {
        section.id == id && (arg.is_empty() || section.arg.as_deref() == Some(arg))
    };
    let mut hit = false;
    match change {
        Text(id, arg, from, to) => {
            for section in sections.iter_mut().filter(|section| is(section, id, arg)) {
                hit |= section.text.contains(from);
                section.text = section.text.replace(from, to);
            }
        }
        Code(id, arg, code) => {
            for section in sections.iter_mut().filter(|section| is(section, id, arg)) {
                (section.rc, section.text, hit) = (*code, String::new(), true);
            }
        }
        Drop(id) => {
            let before = sections.len();
            sections.retain(|section| section.id != *id);
            hit = sections.len() < before;
        }
        Add(id, arg, text) => {
            let arg = (!arg.is_empty()).then(|| (*arg).to_owned());
            sections.push(Section {
                id: (*id).to_owned(),
                arg,
                rc: 0,
                ms: 1,
                truncated: false,
                text: (*text).to_owned(),
            });
            hit = true;
        }
    }
    assert!(hit, "the change hits nothing");
}

/// What the first node of a case says after the changes.
fn broken(name: &str, node: &str, changes: &[Change]) -> seaworthy::report::model::NodeReport {
    let mut records = case(name);
    let index = records.iter().position(|record| record.name == node).unwrap();
    for change in changes {
        apply(&mut records[index], change);
    }
    judge(&records).1.swap_remove(index).1
}

/// Each row: what is broken, the changes, and the one cell that is not fine.
fn check(name: &str, node: &str, rows: &[(&str, &[Change], Area, Verdict, &str)]) {
    let normal: Vec<(Area, Verdict)> =
        broken(name, node, &[]).areas.iter().map(|cell| (cell.area, cell.verdict)).collect();
    for (what, changes, area, verdict, text) in rows {
        let assessment = broken(name, node, changes);
        for cell in &assessment.areas {
            if cell.area == *area {
                assert_eq!((cell.verdict, cell.text.as_str()), (*verdict, *text), "{what}: {:?}", cell.reasons);
            } else {
                assert!(normal.contains(&(cell.area, cell.verdict)), "{what} changed {cell:?}");
            }
        }
        if *verdict == Verdict::Fail {
            assert_eq!(assessment.verdict, Verdict::Fail, "{what}");
            assert_ne!(assessment.summary, "ok", "{what}");
        }
    }
}

#[test]
fn an_expired_client_certificate() {
    let mut records = case("healthy");
    // The node's clock two years on, and everybody else's with it.
    for record in &mut records {
        let clock = record.clock.as_mut().unwrap();
        let years = 2 * 366 * 86_400_000;
        clock.sent_ms += years;
        clock.received_ms += years;
        clock.node_ms += years;
    }
    let (_, judged) = judge(&records);
    let kubelet = judged[0].1.areas.iter().find(|cell| cell.area == Area::Kubelet).unwrap();
    assert_eq!((kubelet.verdict, kubelet.text.as_str()), (Verdict::Fail, "certificate"));
    assert_eq!(judged[0].1.summary, "the kubelet's client certificate is not valid now");
}

#[test]
fn before_a_join_the_same_facts_are_expected() {
    let assessment = broken("storage-after-reset", "storagenode", &[]);
    assert_eq!(assessment.phase, Some(Phase::Prepared));
    let expected: Vec<Area> =
        assessment.areas.iter().filter(|cell| cell.verdict == Verdict::Expected).map(|cell| cell.area).collect();
    assert_eq!(expected, [Area::Cni, Area::Kubelet]);
    check(
        "storage-after-reset",
        "storagenode",
        &[
            (
                "a kubelet that is alive for a moment between two restarts",
                &[
                    Text(
                        "unit",
                        "kubelet",
                        "ActiveState=activating\nSubState=auto-restart",
                        "ActiveState=active\nSubState=running",
                    ),
                    Text("unit", "kubelet", "NRestarts=6\nMainPID=0", "NRestarts=1\nMainPID=900"),
                    Add(
                        "process",
                        "kubelet",
                        "pid=900\nppid=1\nstate=S\nexe=/usr/bin/kubelet\narg=/usr/bin/kubelet\narg=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf\narg=--kubeconfig=/etc/kubernetes/kubelet.conf\narg=--config=/var/lib/kubelet/config.yaml",
                    ),
                ],
                Area::Kubelet,
                Verdict::Expected,
                "waiting, expected",
            ),
            (
                "a kubelet that systemd starts bare",
                &[Text(
                    "unit",
                    "kubelet",
                    "argv[]=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS",
                    "argv[]=/usr/bin/kubelet",
                )],
                Area::Kubelet,
                Verdict::Fail,
                "no drop-in",
            ),
            (
                "a kubelet that runs standalone",
                &[
                    Text(
                        "unit",
                        "kubelet",
                        "ActiveState=activating\nSubState=auto-restart\nResult=exit-code",
                        "ActiveState=active\nSubState=running\nResult=success",
                    ),
                    Text("unit", "kubelet", "NRestarts=6", "NRestarts=0"),
                    Add("process", "kubelet", "pid=9\nstate=S\narg=/usr/bin/kubelet\narg=--cgroup-driver=systemd\n"),
                ],
                Area::Kubelet,
                Verdict::Fail,
                "standalone",
            ),
            (
                "IP forwarding is off",
                &[Text("sysctl", "", "net.ipv4.ip_forward=1", "net.ipv4.ip_forward=0")],
                Area::Kernel,
                Verdict::Warn,
                "ip_forward 0",
            ),
            (
                "an invalid file that would disable flannel's",
                &[
                    Text("cni-dir", "", "", "644 0:0 9 1 f\t/etc/cni/net.d/00-x.conflist\n"),
                    Add("cni-file", "/etc/cni/net.d/00-x.conflist", "{}"),
                ],
                Area::Cni,
                Verdict::Warn,
                "invalid",
            ),
        ],
    );
}

#[test]
fn a_control_plane_whose_api_is_down() {
    let assessment = broken(
        "healthy",
        "masternode",
        &[Code("api-version", "", 1), Code("api-nodes", "", 1), Code("api-readyz", "", 1)],
    );
    let api = assessment.areas.iter().find(|cell| cell.area == Area::Api).unwrap();
    assert_eq!((api.verdict, api.text.as_str()), (Verdict::Fail, "down"));
    assert_eq!(assessment.phase, Some(Phase::ControlPlane));
}

#[test]
fn a_worker_that_has_just_joined_may_still_wait_for_flannel() {
    let joined = "1757436000 f\t/etc/kubernetes/kubelet.conf";
    let just_now = "1757525900 f\t/etc/kubernetes/kubelet.conf";
    let assessment = broken("no-conflist-joined", "homelab", &[Text("stat", "", joined, just_now)]);
    let cni = assessment.areas.iter().find(|cell| cell.area == Area::Cni).unwrap();
    assert_eq!((cni.verdict, cni.text.as_str()), (Verdict::Expected, "none, expected"));
}
