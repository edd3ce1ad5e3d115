//! The table shows each node's true state: one sweep, one row per state.

use crate::harness::{Node, cluster, fleet, swept};

/// The areas that are right on `node`, or that its phase excuses.
fn assert_sound(node: Node<'_>, areas: &[&str]) {
    for area in areas {
        let verdict = node.area(area);
        assert!(
            matches!(verdict.as_str(), "pass" | "expected" | "not-applicable"),
            "{} {area}: {verdict}, {}",
            node.field("name"),
            node.words(area)
        );
    }
}

/// `area` fails on `node`, and its cell or a reason contains `word`.
fn assert_fails(node: Node<'_>, area: &str, word: &str) {
    assert_eq!(node.area(area), "fail", "{} {area}: {}", node.field("name"), node.words(area));
    let words = node.words(area);
    assert!(words.to_lowercase().contains(word), "{} {area} does not name {word}: {words}", node.field("name"));
    assert_eq!(node.field("verdict"), "fail", "{}", node.field("name"));
}

#[test]
fn every_node_that_answers_is_read_to_the_end() {
    let Some(fleet) = fleet() else { return };
    for name in ["plain", "down", "nocri", "readonly", "full", "gate", "inner", "noisy", "hungfuse"] {
        let node = swept(fleet).node(name);
        assert_eq!(node.failure(), "null", "{name}: {}", node.failure_message());
        assert_ne!(node.field("phase"), "null", "{name}");
    }
}

#[test]
fn problems_and_unreachable_hosts_are_in_the_exit_code() {
    let Some(fleet) = fleet() else { return };
    assert_eq!(swept(fleet).code, Some(6));
}

#[test]
fn a_node_without_kubernetes_is_unprepared() {
    let Some(fleet) = fleet() else { return };
    let node = swept(fleet).node("plain");
    assert_eq!(node.field("phase"), "unprepared");
    assert_sound(node, &["mounts", "disk", "nfs"]);
}

#[test]
fn containerd_that_is_stopped_fails() {
    let Some(fleet) = fleet() else { return };
    let node = swept(fleet).node("down");
    assert_eq!(node.area("containerd"), "fail", "{}", node.words("containerd"));
    assert_sound(node, &["mounts", "disk"]);
}

#[test]
fn containerd_without_its_cri_plugin_fails() {
    let Some(fleet) = fleet() else { return };
    assert_fails(swept(fleet).node("nocri"), "containerd", "cri");
}

#[test]
fn a_read_only_file_system_is_named() {
    let Some(fleet) = fleet() else { return };
    assert_fails(swept(fleet).node("readonly"), "mounts", "/var/lib/kubelet");
}

#[test]
fn a_full_file_system_fails() {
    let Some(fleet) = fleet() else { return };
    assert_fails(swept(fleet).node("full"), "disk", "/var/lib/containerd");
}

#[test]
fn noise_of_the_login_shell_changes_no_cell() {
    let Some(fleet) = cluster() else { return };
    let (noisy, quiet) = (swept(fleet).node("noisy"), swept(fleet).node("prepared"));
    assert_eq!(noisy.field("phase"), quiet.field("phase"));
    for area in ["mounts", "disk", "containerd", "cni", "kubelet"] {
        assert_eq!(noisy.area(area), quiet.area(area), "{area}: {}", noisy.words(area));
    }
}

#[test]
fn a_mount_that_never_answers_is_named_and_holds_nothing_up() {
    let Some(fleet) = fleet() else { return };
    let node = swept(fleet).node("hungfuse");
    let named = ["mounts", "nfs", "disk"]
        .iter()
        .any(|area| node.area(area) == "fail" && node.words(area).contains("/mnt/never"));
    assert!(named, "mounts: {}; nfs: {}; disk: {}", node.words("mounts"), node.words("nfs"), node.words("disk"));
    // Its other areas were read all the same.
    assert_sound(node, &["containerd"]);
}

#[test]
fn a_prepared_node_is_not_blamed_for_what_is_normal_before_a_join() {
    let Some(fleet) = cluster() else { return };
    let node = swept(fleet).node("prepared");
    assert_eq!(node.field("phase"), "prepared");
    assert_eq!(node.area("cni"), "expected", "{}", node.words("cni"));
    assert_eq!(node.area("kubelet"), "expected", "{}", node.words("kubelet"));
    assert_sound(node, &["mounts", "disk", "permissions", "containerd", "nfs"]);
}

#[test]
fn the_storage_node_at_13_41_runs_its_kubelet_alone() {
    let Some(fleet) = cluster() else { return };
    let node = swept(fleet).node("storage");
    assert_eq!(node.field("phase"), "joining");
    assert_fails(node, "kubelet", "never contacts the api");
    // The configuration that the analysis of that day took for the cause is there and fine.
    assert_sound(node, &["mounts", "disk", "containerd"]);
    assert_ne!(node.area("cni"), "fail", "{}", node.words("cni"));
}

#[test]
fn the_storage_node_after_the_reset_is_a_prepared_one() {
    let Some(fleet) = cluster() else { return };
    let node = swept(fleet).node("storage-reset");
    assert_eq!(node.field("phase"), "prepared");
    assert_eq!(node.area("cni"), "expected", "{}", node.words("cni"));
    assert_sound(node, &["mounts", "disk", "containerd"]);
}

#[test]
fn a_joined_worker_is_ready() {
    let Some(fleet) = cluster() else { return };
    let node = swept(fleet).node("worker");
    assert_eq!(node.field("phase"), "ready");
    assert_sound(node, &["mounts", "disk", "permissions", "containerd", "cni", "nfs", "kubelet"]);
}

#[test]
fn a_joined_worker_without_cni_configuration_fails_there() {
    let Some(fleet) = cluster() else { return };
    let node = swept(fleet).node("nocni");
    assert_eq!(node.field("phase"), "joined-not-ready");
    assert_eq!(node.area("cni"), "fail", "{}", node.words("cni"));
    assert_sound(node, &["mounts", "disk", "containerd"]);
}

#[test]
fn the_control_plane_is_told_by_what_the_probe_finds() {
    let Some(fleet) = cluster() else { return };
    let node = swept(fleet).node("master");
    assert_eq!(node.field("phase"), "control-plane");
    assert!(node.field("roles").contains("control-plane"), "{}", node.field("roles"));
    assert_sound(node, &["mounts", "disk", "containerd", "cni", "kubelet", "api"]);
}

#[test]
fn a_saved_run_replays_byte_for_byte() {
    let Some(fleet) = fleet() else { return };
    let runs = tempfile::tempdir().unwrap();
    let runs = runs.path().to_str().unwrap();
    let first = fleet.sweep("plain,down,changed,hungfuse", &["--run-dir", runs]);
    for _ in 0..2 {
        let again = fleet.seaworthy(["sweep", "-o", "json", "--run-dir", runs, "--from", "last"]);
        assert_eq!(again.status.code(), first.code, "{}", String::from_utf8_lossy(&again.stderr));
        assert!(again.stdout == first.stdout, "replay differs:\n{}", String::from_utf8_lossy(&again.stdout));
    }
}
