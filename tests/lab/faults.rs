//! Faults that need a node of one's own: its network, its disks, its load, its memory, and all of its processes at once.
//!
//! A lab of its own with plain nodes, one for each fault, and one that is well and is swept beside each of them.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use crate::harness::{Lab, Sweep, busy, eventually, lab_name, wanted};

/// The node without a fault.
pub(crate) const CALM: &str = "calm";
const NODES: [&str; 9] = [CALM, "lossy", "cut", "frozen", "locked", "stuffed", "noexec", "loaded", "short"];
/// The longest time for the work on a host.
const TIMEOUT: Duration = Duration::from_secs(20);

fn lab() -> Option<&'static Lab> {
    static LAB: LazyLock<Lab> = LazyLock::new(|| {
        let mut nodes = String::new();
        for (index, name) in NODES.iter().enumerate() {
            writeln!(nodes, "{name} {} plain", 10 + index).unwrap();
        }
        Lab::up(lab_name("f"), std::process::id(), &nodes)
    });
    wanted().then(|| &*LAB)
}

/// Sweeps a node beside the calm one, which has to be read whole.
fn swept(lab: &Lab, node: &str) -> Sweep {
    let swept = lab.sweep(&format!("{CALM},{node}"), &["--timeout", "20s"]);
    assert_whole(&swept, CALM);
    swept
}

pub(crate) fn assert_whole(swept: &Sweep, node: &str) {
    assert_eq!(swept.node(node).failure(), "null", "{}", swept.node(node).failure_message());
    assert_eq!(swept.node(node).field("phase"), "unprepared", "{node}");
}

/// Has every command that comes over ssh run so: `ORIGINAL` stands for it.
fn force(lab: &Lab, node: &str, script: &str) {
    let script = script.replace("ORIGINAL", "eval \"$SSH_ORIGINAL_COMMAND\"");
    let quoted = script.replace('\'', "'\\''");
    let config = "echo 'ForceCommand sh /root/forced' >/etc/ssh/sshd_config.d/forced.conf && systemctl restart ssh";
    lab.exec(node, &format!("printf '%s' '{quoted}' >/root/forced && {config}"));
}

/// In the middle of the answer it makes a file, and goes on when another is there.
const HALFWAY: &str = "ORIGINAL | { n=0; while [ $n -lt 300 ] && IFS= read -r line; do printf '%s\\n' \"$line\"; \
                       n=$((n+1)); done; >/root/halfway; while ! [ -e /root/go ]; do sleep 0.1; done; cat; }\n";

/// Sweeps a node beside the calm one, and does this when the probe has come half way.
pub(crate) fn swept_halfway(lab: &Lab, node: &str, then: impl FnOnce()) -> Sweep {
    force(lab, node, HALFWAY);
    let _busy = busy();
    let (inventory, limit) = (lab.inventory(), format!("{CALM},{node}"));
    let words = ["sweep", "-o", "json", "-i", inventory.to_str().unwrap(), "-l", &limit, "--timeout", "20s"];
    let child = lab.seaworthy_command().args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let halfway = || lab.exec(node, "ls /root").lines().any(|name| name == "halfway");
    assert!(eventually(Duration::from_secs(15), halfway), "{node}: the probe never came half way");
    then();
    let swept = Sweep::of(&child.wait_with_output().unwrap(), Duration::ZERO);
    assert_whole(&swept, CALM);
    swept
}

/// Lets the answer go on, from outside: inside nothing runs any more.
fn go(lab: &Lab, node: &str) {
    let root: PathBuf = lab.file("nodes").join(node).join("root/root/go");
    std::fs::write(root, "").unwrap();
}

/// One packet in ten is lost on its way to the node: the node is read to the end within its deadline.
#[test]
fn packets_are_lost() {
    let Some(lab) = lab() else { return };
    lab.exec("lossy", "iptables -I INPUT -p tcp --dport 22 -m statistic --mode random --probability 0.1 -j DROP");
    assert_whole(&swept(lab, "lossy"), "lossy");
    let dropped = lab.exec("lossy", "iptables -nvxL INPUT | awk '/DROP/ { print $1 }'");
    assert!(dropped.trim().parse::<u32>().unwrap() > 0, "no packet was lost");
}

/// The network is cut in the middle of the probe, in both directions: the row says `exec-timeout` at the deadline and which sections did not come; what had come is kept; the others do not wait.
#[test]
fn the_network_is_cut() {
    let Some(lab) = lab() else { return };
    let swept = swept_halfway(lab, "cut", || {
        lab.fault("cut", "unplugged");
        go(lab, "cut");
    });
    // What the node has still to send would keep its network alive after the lab's end.
    lab.heal("cut", "unplugged");
    let node = swept.node("cut");
    assert_eq!(node.failure(), "exec-timeout", "{}", node.failure_message());
    assert!(node.failure_message().contains("it did not get to"), "{}", node.failure_message());
    assert!(node.field("facts").contains("\"kernel\""), "nothing is kept");
    assert!(node.timing("exec_ms") < TIMEOUT.as_secs_f64() * 1000.0 + 1000.0, "{}", node.timing("exec_ms"));
}

/// Every process of the node stands still in the middle of the probe, as on a suspended machine, and goes on within the deadline: the node is read to the end.
#[test]
fn the_node_is_suspended_and_resumed() {
    let Some(lab) = lab() else { return };
    let swept = swept_halfway(lab, "frozen", || {
        lab.fault("frozen", "frozen");
        go(lab, "frozen");
        // A whole sweep of another node while this one stands still.
        assert_whole(&lab.sweep(CALM, &["--no-save"]), CALM);
        lab.heal("frozen", "frozen");
    });
    assert_whole(&swept, "frozen");
}

/// Every file system of the node is read-only: the node is read to the end, in the phase that it was in before.
#[test]
fn the_node_is_read_only() {
    let Some(lab) = lab() else { return };
    lab.exec("locked", "for at in / /tmp /var/tmp /run /dev/shm; do mount --bind $at $at && mount -o remount,ro,bind $at; done; ! touch /root/x /tmp/x 2>/dev/null");
    assert_whole(&swept(lab, "locked"), "locked");
}

/// No room on the node where temporary files go (`/tmp`, `/var/tmp`, `/dev/shm`, `~/.cache`): the node is read to the end.
#[test]
fn the_nodes_disk_is_full() {
    let Some(lab) = lab() else { return };
    // Small ones, filled: the node's own disk is this machine's.
    lab.exec(
        "stuffed",
        "for at in /tmp /var/tmp /dev/shm /root/.cache; do mkdir -p $at; mount -t tmpfs -o size=64k tmpfs $at; \
         head -c 1m /dev/zero >$at/full 2>/dev/null; done; ! head -c 4k /dev/zero 2>/dev/null >/tmp/more",
    );
    assert_whole(&swept(lab, "stuffed"), "stuffed");
}

/// `noexec` on `/tmp`, `/var/tmp` and `/dev/shm`: the node is read to the end, as nothing of the probe is a file there.
#[test]
fn nothing_runs_in_tmp() {
    let Some(lab) = lab() else { return };
    lab.exec("noexec", "for at in /tmp /var/tmp /dev/shm; do mount -t tmpfs -o noexec,nosuid,nodev,mode=1777 tmpfs $at; done; printf '#!/bin/sh\\n' >/tmp/x; chmod +x /tmp/x; ! /tmp/x 2>/dev/null");
    assert_whole(&swept(lab, "noexec"), "noexec");
}

/// Fifty processes that never rest on the node (for 15 s at most): the node is read to the end within its deadline.
#[test]
fn the_load_is_fifty() {
    let Some(lab) = lab() else { return };
    let _busy = busy();
    let spin = "for n in $(seq 50); do timeout 15 sh -c 'while :; do :; done' & done; wait; true";
    let mut spinning: Command = lab.script(["exec", "loaded", spin]);
    let mut spinning = spinning.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let running = || lab.exec("loaded", "pgrep -fc 'while :; do :; done' || true").trim().parse::<u32>().unwrap() >= 50;
    assert!(eventually(Duration::from_secs(14), running), "the load never came");
    let swept = lab.sweep_beside(&format!("{CALM},loaded"), &["--timeout", "40s"]);
    spinning.wait().unwrap();
    assert_whole(&swept, CALM);
    assert_whole(&swept, "loaded");
}

/// The node's memory is short and the kernel kills the probe's shell: the row says `protocol` and the signal, and what had come is kept.
#[test]
fn the_kernel_kills_the_shell() {
    let Some(lab) = lab() else { return };
    let make = "mount -o remount,rw /sys/fs/cgroup/memory 2>/dev/null; mkdir /sys/fs/cgroup/memory/short && \
                echo 64M >/sys/fs/cgroup/memory/short/memory.limit_in_bytes";
    if !lab.exec("short", &format!("{make} && echo made || true")).contains("made") {
        eprintln!("skipped: no memory controller of the first version");
        return;
    }
    // The shell itself, and not its child, is what grows.
    force(
        lab,
        "short",
        "ORIGINAL | head -n 300\necho $$ >/sys/fs/cgroup/memory/short/cgroup.procs\n\
         text=xxxxxxxxxxxxxxxx; while :; do text=$text$text; done\n",
    );
    let swept = swept(lab, "short");
    let node = swept.node("short");
    assert_eq!(node.failure(), "protocol", "{}", node.failure_message());
    assert!(
        node.failure_message().contains("KILL") || node.failure_message().contains("137"),
        "{}",
        node.failure_message()
    );
    assert!(node.field("facts").contains("\"kernel\""), "nothing is kept");
}
