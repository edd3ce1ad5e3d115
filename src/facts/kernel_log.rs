//! The kernel's log: classes of trouble, how often each occurred, and since when.
//!
//! The probe sends only lines that look like trouble. A line's stamp counts from boot; with the node's clock and its uptime
//! it becomes a time. A machine that slept stands still in these stamps, so that they may be early there.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::read::clip;

/// One class of lines.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct KernelTrouble {
    pub count: u32,
    /// When the first of the lines was written, in seconds since 1970.
    pub first: Fact<i64>,
    /// When the last one was.
    pub latest: Fact<i64>,
    /// The last line's text.
    pub last: String,
}

/// `(class, all of these words)`: the list of node-problem-detector, and what NFS and flannel add.
pub const KERNEL_LOG: &[(&str, &[&str])] = &[
    ("ext4_error", &["EXT4-fs error"]),
    ("remounted_read_only", &["Remounting filesystem read-only"]),
    ("io_error", &["Buffer I/O error"]),
    ("io_error", &["I/O error, dev"]),
    ("io_error", &["Medium Error"]),
    ("xfs_shutdown", &["XFS", "hutting down"]),
    ("xfs_corruption", &["XFS", "orruption"]),
    ("overlay_without_d_type", &["overlayfs", "d_type"]),
    ("hung_task", &["blocked for more than"]),
    // The lower-case "out of memory" is that of a container's own limit.
    ("oom_kill", &["Out of memory", "Killed process"]),
    ("oom_kill_in_container", &["Memory cgroup out of memory"]),
    ("conntrack_full", &["nf_conntrack: table full"]),
    ("nfs_not_responding", &["nfs: server", "not responding"]),
    ("vxlan_bad_checksum", &["UDP: bad checksum", ":8472"]),
    ("thin_pool_full", &["dm-thin", "out of data space"]),
];

/// Drives without a medium in them report errors when anybody looks.
const EMPTY_DRIVES: [&str; 3] = ["dev fd", "dev sr", "on dev loop"];

/// Sorts lines into classes. `booted`: when the machine started, in seconds since 1970.
pub(crate) fn classify(text: &str, booted: &Fact<i64>) -> BTreeMap<String, KernelTrouble> {
    let mut found: BTreeMap<String, KernelTrouble> = BTreeMap::new();
    for line in text.lines() {
        let mut counted = None;
        for (class, words) in KERNEL_LOG {
            if !words.iter().all(|word| line.contains(word)) || counted == Some(*class) {
                continue;
            }
            if *class == "io_error" && EMPTY_DRIVES.iter().any(|drive| line.contains(drive)) {
                continue;
            }
            counted = Some(*class);
            let (stamp, said) = split(line);
            let at = booted.clone().and_then(|booted| stamp.map(|stamp| booted.saturating_add(stamp)));
            let trouble = found.entry((*class).to_owned()).or_insert_with(|| KernelTrouble {
                count: 0,
                first: at.clone(),
                latest: at.clone(),
                last: String::new(),
            });
            trouble.count = trouble.count.saturating_add(1);
            trouble.latest = at;
            trouble.last = clip(said, 300);
        }
    }
    found
}

/// Names of the processes that the kernel ended because the machine had no memory left, each once.
pub(crate) fn killed(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| line.contains("Out of memory")) {
        // `Killed process 812 (kubelet) total-vm:...`
        let name = line.split_once("Killed process").and_then(|(_, rest)| rest.split_once('(')?.1.split_once(')'));
        if let Some((name, _)) = name
            && !names.iter().any(|known| known == name)
        {
            names.push(clip(name, 40));
        }
    }
    names
}

/// `[12345.678901] text` as seconds since boot and text.
fn split(line: &str) -> (Fact<i64>, &str) {
    let stamped = line.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    let seconds = stamped.and_then(|(stamp, said)| {
        let whole = stamp.trim().split('.').next()?.parse::<i64>().ok()?;
        Some((whole, said.trim()))
    });
    match seconds {
        Some((seconds, said)) => (Fact::Known(seconds), said),
        None => (Fact::unknown("the kernel's log has no times"), line.trim()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_and_dated() {
        let text = "[   10.5] EXT4-fs error (device sda1): ext4_lookup\n[20.0] EXT4-fs error (device sda1): b\n\
                    [30.0] nfs: server 10.0.0.5 not responding, still trying\n[40] usb 1-1: new\n";
        let found = classify(text, &Fact::Known(1000));
        assert_eq!(found.keys().collect::<Vec<_>>(), ["ext4_error", "nfs_not_responding"]);
        let ext4 = &found["ext4_error"];
        assert_eq!((ext4.count, &ext4.first, &ext4.latest), (2, &Fact::Known(1010), &Fact::Known(1020)));
        assert_eq!(ext4.last, "EXT4-fs error (device sda1): b");
        let undated = classify("EXT4-fs error\n", &Fact::Known(1000));
        assert!(undated["ext4_error"].first.is_unknown());
    }

    #[test]
    fn empty_drives_are_no_failing_disks() {
        let text =
            "[1.0] blk_update_request: I/O error, dev fd0, sector 0\n[2.0] Buffer I/O error on dev sr0, block 0\n";
        assert!(classify(text, &Fact::Absent).is_empty());
        assert_eq!(classify("[2.0] I/O error, dev sda, sector 8 Medium Error\n", &Fact::Absent)["io_error"].count, 1);
    }

    #[test]
    fn only_the_machines_own_lack_of_memory_counts() {
        let text = "[1.0] Memory cgroup out of memory: Killed process 9 (java) total-vm:1kB\n\
                    [2.0] Out of memory: Killed process 812 (kubelet) total-vm:1kB\n\
                    [3.0] Out of memory: Killed process 900 (kubelet) total-vm:1kB\n";
        let found = classify(text, &Fact::Absent);
        assert_eq!((found["oom_kill"].count, found["oom_kill_in_container"].count), (2, 1));
        assert_eq!(killed(text), ["kubelet"]);
    }
}
