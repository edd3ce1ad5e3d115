//! A probe leaves nothing: a node's files, processes, mounts, control groups and firewall are the same before and after.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::harness::{Lab, cluster, eventually, fleet};

/// Prints one line per file, process, mount, control group and firewall rule of the node that it runs on.
const SNAPSHOT: &str = include_str!("snapshot.sh");

/// What any login over ssh changes, with or without a probe.
const LOGIN: [(&str, &str); 8] = [
    ("file /var/log/journal", "the journal, where sshd writes who logged in"),
    ("file /run/log/journal", "the same, volatile"),
    ("file /var/log/wtmp", "logins, written by sshd"),
    ("file /var/log/lastlog", "the last login of each user, written by sshd"),
    ("file /run/utmp", "who is logged in, written by sshd"),
    ("file /var/log/btmp", "failed logins"),
    ("file /run/motd.dynamic", "the message of the day, made anew by PAM"),
    (
        "file /run d ",
        "the time of the directory in which PAM replaces that file; what else appears in it has a line of its own",
    ),
];

/// What sudo itself notes when it has asked for a password.
const SUDO: [(&str, &str); 2] =
    [("file /run/sudo", "when this user last gave the password"), ("file /var/lib/sudo", "who got the lecture")];

fn snapshot(fleet: &Lab, node: &str, excused: &[(&str, &str)]) -> BTreeSet<String> {
    let lines = fleet.exec(node, SNAPSHOT);
    let kept = lines.lines().filter(|line| !excused.iter().any(|(prefix, _)| line.starts_with(prefix)));
    kept.map(str::to_owned).collect()
}

/// Sweeps `node` with `args` and compares it with what it was.
fn assert_clean(fleet: &Lab, node: &str, args: &[&str]) {
    let excused: Vec<_> = LOGIN.into_iter().chain(SUDO).collect();
    let before = snapshot(fleet, node, &excused);
    assert!(before.len() > 1000, "the snapshot of {node} is not one: {before:?}");

    let swept = fleet.sweep(node, args);
    assert_eq!(swept.node(node).failure(), "null", "{}", swept.node(node).failure_message());

    // sshd's own processes of the closed session end a moment later.
    let mut after = BTreeSet::new();
    let same = eventually(Duration::from_secs(5), || {
        after = snapshot(fleet, node, &excused);
        after == before
    });
    let gone: Vec<_> = before.difference(&after).collect();
    let new: Vec<_> = after.difference(&before).collect();
    assert!(same, "{node} changed\n- {gone:#?}\n+ {new:#?}");
}

#[test]
fn a_sweep_as_root_leaves_the_node_as_it_was() {
    let Some(fleet) = fleet() else { return };
    assert_clean(fleet, "gate", &[]);
}

#[test]
fn a_sweep_under_sudo_leaves_the_node_as_it_was() {
    let Some(fleet) = fleet() else { return };
    let password = fleet.file("password");
    assert_clean(fleet, "sudo", &["--user", "ops", "--become-password-file", password.to_str().unwrap()]);
}

#[test]
fn a_sweep_leaves_nothing_beside_a_mount_that_never_answers() {
    let Some(fleet) = fleet() else { return };
    assert_clean(fleet, "hungfuse", &[]);
}

#[test]
fn a_sweep_of_a_running_kubelet_leaves_the_node_as_it_was() {
    let Some(fleet) = cluster() else { return };
    assert_clean(fleet, "storage", &[]);
}

/// The comparison sees what it must: a file, a process and a mount that appear.
#[test]
fn a_change_is_seen() {
    let Some(fleet) = fleet() else { return };
    let before = snapshot(fleet, "inner", &LOGIN);
    fleet
        .exec("inner", "touch /tmp/left-behind; mount -t tmpfs left-behind /mnt; setsid sleep 98765 >/dev/null 2>&1 &");
    let after = snapshot(fleet, "inner", &LOGIN);
    let new: Vec<_> = after.difference(&before).collect();
    for (kind, word) in [("file ", "/tmp/left-behind"), ("process ", "98765"), ("mount ", "left-behind")] {
        assert!(new.iter().any(|line| line.starts_with(kind) && line.contains(word)), "{kind}{word}: {new:#?}");
    }
}
