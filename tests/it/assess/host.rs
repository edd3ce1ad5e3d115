//! Faults below Kubernetes.

use seaworthy::verdict::{Area, Verdict};

use super::Change::{Add, Code, Drop, Text};
use super::check;

#[test]
fn faults_of_mounts_and_disk() {
    check(
        "healthy",
        "homelab",
        &[
            (
                "read-only /etc",
                &[Text(
                    "mountinfo",
                    "",
                    "28 23 ",
                    "99 26 8:9 / /etc ro,relatime shared:99 - ext4 /dev/sda9 rw\n28 23 ",
                )],
                Area::Mounts,
                Verdict::Fail,
                "read-only",
            ),
            (
                "root remounted read-only by the file system",
                &[Text("mountinfo", "", "/dev/sda2 rw", "/dev/sda2 ro,errors=remount-ro")],
                Area::Mounts,
                Verdict::Fail,
                "read-only",
            ),
            (
                "a FUSE mount that hangs",
                &[
                    Text("mountinfo", "", "28 23 ", "98 26 0:77 / /mnt/fuse rw - fuse.sshfs a:/b rw\n28 23 "),
                    Add("netmount", "/mnt/fuse", "dev=0:77\nstate=hung\n"),
                ],
                Area::Mounts,
                Verdict::Fail,
                "hung",
            ),
            (
                "something of fstab is not mounted",
                &[Text("fstab", "", "192.168.4.61", "UUID=7 /srv/data xfs defaults 0 2\n192.168.4.61")],
                Area::Mounts,
                Verdict::Warn,
                "not mounted",
            ),
            (
                "a full disk",
                &[Text("df", "", "245000000 42000000 190000000", "245000000 232000000 2000000")],
                Area::Disk,
                Verdict::Fail,
                "100% of 234G",
            ),
            ("no inodes left", &[Text("df", "", " 30380112 ", " 12 ")], Area::Disk, Verdict::Fail, "inodes 100%"),
            ("df hangs", &[Code("df", "/var/lib/containerd", 124)], Area::Disk, Verdict::Fail, "hung"),
        ],
    );
}

#[test]
fn faults_of_permissions_nfs_and_kernel() {
    check(
        "healthy",
        "homelab",
        &[
            (
                "a directory where the lock belongs",
                &[Text(
                    "stat",
                    "",
                    "600 0:0 0 1757436000 f\t/run/xtables.lock",
                    "755 0:0 0 1757436000 d\t/run/xtables.lock",
                )],
                Area::Permissions,
                Verdict::Fail,
                "wrong type",
            ),
            (
                "anybody may write the CNI configuration",
                &[Text(
                    "stat",
                    "",
                    "755 0:0 4096 1757436000 d\t/etc/cni/net.d",
                    "777 0:0 4096 1757436000 d\t/etc/cni/net.d",
                )],
                Area::Permissions,
                Verdict::Warn,
                "writable",
            ),
            (
                "an NFS server that is gone",
                &[Text("netmount", "", "state=answered", "state=hung")],
                Area::Nfs,
                Verdict::Fail,
                "hung",
            ),
            (
                "a stale file handle",
                &[Text("netmount", "", "state=answered", "state=error\nerror=Stale file handle")],
                Area::Nfs,
                Verdict::Fail,
                "error",
            ),
            ("nobody looked at the mount", &[Drop("netmount")], Area::Nfs, Verdict::Unknown, ""),
            (
                "IP forwarding is off",
                &[Text("sysctl", "", "net.ipv4.ip_forward=1", "net.ipv4.ip_forward=0")],
                Area::Kernel,
                Verdict::Fail,
                "ip_forward 0",
            ),
            (
                "swap is on",
                &[Text("swaps", "", "Priority\n", "Priority\n/dev/dm-1 partition 1 0 -2\n")],
                Area::Kernel,
                Verdict::Fail,
                "swap on",
            ),
            (
                "br_netfilter is gone",
                &[Text("sysctl", "", "net.bridge.bridge-nf-call-iptables=1", "net.bridge.bridge-nf-call-iptables-")],
                Area::Kernel,
                Verdict::Warn,
                "br_netfilter",
            ),
            (
                "the kernel remounted a disk",
                &[Text("dmesg", "", "", "[12.0] EXT4-fs (sda2): Remounting filesystem read-only\n")],
                Area::Kernel,
                Verdict::Fail,
                "remounted",
            ),
        ],
    );
}
