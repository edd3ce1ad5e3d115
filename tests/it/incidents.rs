//! Real incidents, recorded and cut down: what each must be traced back to, and what it must not be blamed on.
//!
//! The cases and their stories are in `tests/cases/README.md`.

use std::fmt::Write as _;

use seaworthy::checks::Severity;
use seaworthy::report::model::Report;
use seaworthy::verdict::Verdict;

use crate::facts::{case, report};

/// The causes of a recorded run, what they explain and what they are not, in few lines.
fn told(name: &str) -> String {
    let report = report(&case(name));
    let mut out = String::new();
    for node in &report.nodes {
        let phase = node.phase.map_or("-", |phase| phase.label());
        writeln!(out, "{} ({phase}): {}", node.name, node.summary).unwrap();
    }
    for cause in &report.root_causes {
        let word = if cause.verdict == Verdict::Fail { "cause" } else { "look at" };
        writeln!(out, "{word} {} on {}, {}", cause.id, cause.nodes.join(" "), cause.confidence.label()).unwrap();
        let ids: Vec<&str> = cause.explains.iter().map(|consequence| consequence.id.as_str()).collect();
        if !ids.is_empty() {
            writeln!(out, "  explains {}", ids.join(" ")).unwrap();
        }
    }
    out
}

/// The ids of what fails and nothing else explains.
fn roots(report: &Report) -> Vec<&str> {
    let failing = report.root_causes.iter().filter(|cause| cause.verdict == Verdict::Fail);
    failing.map(|cause| cause.id.as_str()).collect()
}

#[test]
fn remedies_for_workers_on_the_control_plane() {
    insta::assert_snapshot!(told("control-plane-as-worker"), @r#"
    masternode (control): the inventory calls a control plane a worker
    cause identity/control-plane-as-worker on masternode, certain
    look at kubelet/drop-in-ignored on masternode, possible
    "#);
}

#[test]
fn the_storage_node_at_13_41() {
    insta::assert_snapshot!(told("storage-standalone"), @r#"
    storagenode (joining): join blocked
    cause kubelet/drop-in-missing on storagenode, certain
      explains containerd/cgroup-driver-of-standalone kubelet/standalone
    look at mounts/kernel-names on storagenode, possible
    look at nfs/loopback on storagenode, possible
    look at join/preflight-ignored on storagenode, possible
    "#);
}

#[test]
fn the_storage_node_at_14_17() {
    insta::assert_snapshot!(told("storage-second-join"), @r#"
    storagenode (joining): join blocked
    cause kubelet/drop-in-missing on storagenode, certain
      explains containerd/cgroup-driver-of-standalone kubelet/standalone
    look at mounts/kernel-names on storagenode, possible
    look at nfs/loopback on storagenode, possible
    look at join/preflight-ignored on storagenode, possible
    "#);
}

#[test]
fn the_storage_node_at_17_33_has_no_blocker() {
    insta::assert_snapshot!(told("storage-after-reset"), @r#"
    storagenode (prepared): not joined, no blocker found, 2 to look at
    look at mounts/kernel-names on storagenode, possible
    look at nfs/loopback on storagenode, possible
    "#);
    let report = report(&case("storage-after-reset"));
    let node = &report.nodes[0];
    assert!(node.summary.starts_with("not joined, no blocker"), "{}", node.summary);
    let blamed = node.findings.iter().find(|finding| finding.id == "cni/config-missing").unwrap();
    assert_eq!(blamed.verdict, Verdict::Expected);
}

#[test]
fn a_kubelet_that_waits_for_its_join() {
    insta::assert_snapshot!(told("waiting-kubelet"), @r#"homelab (prepared): not joined, no blocker in what was read"#);
    assert!(roots(&report(&case("waiting-kubelet"))).is_empty());
}

#[test]
fn a_placeholder_that_was_written_after_the_wrong_diagnosis() {
    insta::assert_snapshot!(told("placeholder"), @r#"
    homelab (ready): another CNI configuration shadows flannel's
    masternode (control): ok
    cause cni/shadowed on homelab, certain
      explains flannel/cni0-differs
    "#);
}

#[test]
fn a_setting_outside_its_table() {
    insta::assert_snapshot!(told("cgroup-driver"), @r#"
    homelab (ready): SystemdCgroup is set where containerd ignores it, +1 more
    cause containerd/systemd-cgroup-misplaced on homelab, certain
      explains containerd/cgroup-driver-mismatch
    cause join/hostname-foreign on homelab, possible
    "#);
}

#[test]
fn a_flag_that_an_upgrade_left_behind() {
    insta::assert_snapshot!(told("removed-flag"), @r#"
    homelab (not ready): the kubelet is given a flag that its version does not know
    masternode (control): ok
    cause kubelet/removed-flag on homelab, certain
      explains kubelet/crash-loop node/not-ready
    "#);
}

#[test]
fn a_kubelet_with_its_configuration_and_no_client() {
    insta::assert_snapshot!(told("config-without-client"), @r#"
    homelab (not ready): the kubelet lacks kubeadm's drop-in
    masternode (control): ok
    cause kubelet/drop-in-missing on homelab, likely
      explains kubelet/crash-loop kubelet/no-api-client node/not-ready
    "#);
}

#[test]
fn a_program_that_another_distribution_moved() {
    insta::assert_snapshot!(told("executable-moved"), @r#"
    homelab (not ready): the kubelet's program is not where its unit looks
    masternode (control): ok
    cause kubelet/executable-missing on homelab, certain
      explains kubelet/crash-loop node/not-ready
    "#);
}

#[test]
fn a_node_that_went_to_sleep() {
    insta::assert_snapshot!(told("asleep"), @r#"
    storagenodeT3500 (-): unreachable: no route to host
    homelab (ready): ok
    masternode (control): ok
    cause ssh/host-down on storagenodeT3500, certain
      explains ssh/no-route
    "#);
}

#[test]
fn a_plugin_that_is_a_directory_breaks_pods_and_no_join() {
    insta::assert_snapshot!(told("plugin-directory"), @r#"
    homelab (ready): a CNI plugin is there and cannot run
    masternode (control): ok
    cause cni/plugin-unusable on homelab, certain
    "#);
}

#[test]
fn two_faults_without_a_link_stay_two() {
    insta::assert_snapshot!(told("two-roots"), @r#"
    homelab (ready): SystemdCgroup is set where containerd ignores it, +1 more
    masternode (control): ok
    cause containerd/systemd-cgroup-misplaced on homelab, certain
      explains containerd/cgroup-driver-mismatch
    cause cni/shadowed on homelab, certain
      explains flannel/cni0-differs
    "#);
    assert_eq!(roots(&report(&case("two-roots"))).len(), 2);
}

#[test]
fn sound_nodes_have_nothing_at_all() {
    insta::assert_snapshot!(told("healthy"), @r#"
    homelab (ready): ok
    masternode (control): ok
    "#);
}

#[test]
fn no_incident_makes_another_nodes_findings() {
    let sound = report(&case("healthy"));
    let master = sound.nodes.iter().find(|node| node.name == "masternode").unwrap();
    for name in ["placeholder", "plugin-directory", "two-roots"] {
        let report = report(&case(name));
        let now = report.nodes.iter().find(|node| node.name == "masternode").unwrap();
        assert_eq!(now.findings, master.findings, "{name}");
    }
    let blockers =
        |report: &Report| report.root_causes.iter().filter(|cause| cause.severity == Severity::Blocker).count();
    assert_eq!(blockers(&sound), 0);
}
