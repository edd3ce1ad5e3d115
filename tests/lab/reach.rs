//! The ways to a node, and the ways in which they end: each failure has its kind, and none touches another row.

use crate::harness::{Lab, fleet, swept};

#[test]
fn each_way_to_fail_has_its_kind() {
    let Some(fleet) = fleet() else { return };
    for (name, kinds) in [
        ("changed", ["host-key-changed"].as_slice()),
        ("refused", &["refused"]),
        ("dropped", &["tcp-timeout"]),
        // The kernel gives up asking for the address after three seconds, or the connection's deadline comes first.
        ("unplugged", &["no-route", "tcp-timeout"]),
        ("silent", &["banner-timeout"]),
    ] {
        let node = swept(fleet).node(name);
        assert!(kinds.contains(&node.failure().as_str()), "{name}: {}, {}", node.failure(), node.failure_message());
        assert_eq!(node.field("verdict"), "unknown", "{name}");
        assert_eq!(node.field("facts"), "null", "{name}");
    }
}

#[test]
fn a_node_behind_a_bastion_is_read_through_it() {
    let Some(fleet) = fleet() else { return };
    let node = swept(fleet).node("inner");
    assert_eq!(node.failure(), "null", "{}", node.failure_message());
    assert_eq!(node.field("phase"), "unprepared");
}

#[test]
fn a_run_without_root_knows_less_and_passes_nothing_that_it_could_not_read() {
    let Some(fleet) = fleet() else { return };
    let node = swept(fleet).node("sudo");
    assert_eq!(node.failure(), "null", "{}", node.failure_message());
    let root = with_user(fleet, "deploy", &["-b"]);
    assert_eq!(root.node("sudo").failure(), "null", "{}", root.node("sudo").failure_message());
    for area in ["mounts", "disk", "containerd", "cni", "nfs", "kubelet", "permissions"] {
        let (as_user, as_root) = (node.area(area), root.node("sudo").area(area));
        assert!(as_user == as_root || as_user == "unknown", "{area}: {as_user} as a user, {as_root} as root");
    }
}

#[test]
fn sudo_takes_the_password_that_it_is_given() {
    let Some(fleet) = fleet() else { return };
    let password = fleet.file("password");
    let swept = with_user(fleet, "ops", &["--become-password-file", password.to_str().unwrap()]);
    let node = swept.node("sudo");
    assert_eq!(node.failure(), "null", "{}", node.failure_message());
    // Only root sees who owns a port, so this run had sudo.
    assert!(node.field("facts").contains("\"uid\":0"), "the probe did not run as root");
    let secret = std::fs::read_to_string(&password).unwrap();
    assert!(!String::from_utf8_lossy(&swept.stdout).contains(secret.trim()), "the password is in the document");
}

#[test]
fn sudo_that_is_refused_says_why() {
    let Some(fleet) = fleet() else { return };
    let wrong = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(wrong.path(), "not the password\n").unwrap();
    let wrong = wrong.path().to_str().unwrap();
    let right = fleet.file("password");
    for (user, args, kind) in [
        ("ops", ["-b"].as_slice(), "sudo-password"),
        ("ops", &["--become-password-file", wrong], "sudo-password"),
        ("guest", &["--become-password-file", right.to_str().unwrap()], "sudo-denied"),
    ] {
        let swept = with_user(fleet, user, args);
        let node = swept.node("sudo");
        assert_eq!(node.failure(), kind, "{user} {args:?}: {}", node.failure_message());
    }
    // One wrong attempt was made, and not the three that sudo allows.
    let attempts = fleet.exec("sudo", "journalctl -o cat --no-pager _COMM=sudo | grep -c 'incorrect password' || true");
    assert!(attempts.trim().parse::<u32>().unwrap() <= 1, "{attempts}");
}

fn with_user(fleet: &Lab, user: &str, args: &[&str]) -> crate::harness::Sweep {
    let mut all = vec!["--user", user, "--timeout", "20s"];
    all.extend_from_slice(args);
    fleet.sweep("sudo", &all)
}
