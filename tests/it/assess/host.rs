//! Faults below Kubernetes.

use std::path::Path;

use seaworthy::checks::Severity;
use seaworthy::failure::{Failure, FailureKind};
use seaworthy::probe::{self, Limits, Nonce};
use seaworthy::record::Record;
use seaworthy::verdict::{Area, Verdict};

use super::Change::{Add, Code, Drop, Text};
use super::check;
use crate::facts::{case, report};

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
                "the kernel remounted a disk",
                &[Text("dmesg", "", "", "[12.0] EXT4-fs (sda2): Remounting filesystem read-only\n")],
                Area::Mounts,
                Verdict::Fail,
                "remounted",
            ),
            (
                "something of fstab is not mounted",
                &[Text("fstab", "", "192.168.4.61", "UUID=7 /srv/data xfs defaults 0 2\n192.168.4.61")],
                Area::Mounts,
                Verdict::Warn,
                "not mounted",
            ),
            (
                "what containerd needs is not mounted",
                &[Text("fstab", "", "192.168.4.61", "UUID=7 /var/lib/containerd xfs defaults 0 2\n192.168.4.61")],
                Area::Mounts,
                Verdict::Fail,
                "not mounted",
            ),
            (
                "plugins that may not run",
                &[Text("mountinfo", "", "28 23 ", "99 26 8:9 / /opt rw,noexec shared:99 - ext4 /dev/sda9 rw\n28 23 ")],
                Area::Mounts,
                Verdict::Fail,
                "noexec",
            ),
            (
                "a failing disk",
                &[Text("dmesg", "", "", "[12.0] I/O error, dev sda, sector 8 op 0x0:(READ)\n")],
                Area::Disk,
                Verdict::Warn,
                "I/O errors",
            ),
            (
                "a file system that counted errors",
                &[Add("fs-errors", "sda2", "3\n")],
                Area::Disk,
                Verdict::Warn,
                "ext4 errors",
            ),
            (
                "images over the network",
                &[Text("df", "/var/lib/containerd", "ext4 /dev/sda2", "nfs4 nas:/c")],
                Area::Disk,
                Verdict::Fail,
                "unfit",
            ),
            (
                "no room in /run",
                &[Text("df", "/run", "812136 2404 809732", "812136 804000 8136")],
                Area::Disk,
                Verdict::Fail,
                "99% of 794M",
            ),
            (
                "a full disk",
                &[Text("df", "", "245000000 42000000 190000000", "245000000 232000000 2000000")],
                Area::Disk,
                Verdict::Fail,
                "100% of 234G",
            ),
            ("no inodes left", &[Text("df", "", " 30380112 ", " 12 ")], Area::Disk, Verdict::Fail, "inodes 0% left"),
            ("df hangs", &[Code("df", "/var/lib/containerd", 124)], Area::Disk, Verdict::Fail, "hung"),
        ],
    );
}

/// The healthy cluster whose worker cannot be reached; its Node in the API says `condition`.
fn unreached(kind: FailureKind, condition: &str) -> seaworthy::report::model::Report {
    let mut records = case("healthy");
    for record in &mut records {
        if record.name == "homelab" {
            record.failure = Some(Failure::new(kind, "why", "do this"));
            (record.probe, record.clock) = (None, None);
        } else if let Some(probe) = &mut record.probe {
            let nodes = probe.sections.iter_mut().find(|section| section.id == "api-nodes").unwrap();
            let (before, after) = nodes.text.split_once("node=homelab\n").unwrap();
            let after = after.replacen("condition=Ready True KubeletReady", condition, 1);
            assert!(after.contains(condition));
            nodes.text = format!("{before}node=homelab\n{after}");
        }
    }
    report(&records)
}

#[test]
fn a_host_that_is_down_is_told_from_one_that_ssh_cannot_reach() {
    let causes = |kind, condition| {
        let report = unreached(kind, condition);
        let of_node = report.root_causes.iter().filter(|cause| cause.nodes.iter().any(|name| name == "homelab"));
        of_node.map(|cause| (cause.id.clone(), cause.explains.len())).collect::<Vec<_>>()
    };
    let ready = "condition=Ready True KubeletReady";
    let lost = "condition=Ready Unknown NodeStatusUnknown";
    assert_eq!(causes(FailureKind::NoRoute, ready), [("ssh/no-route".to_owned(), 0)]);
    assert_eq!(causes(FailureKind::TcpTimeout, lost)[0], ("ssh/host-down".to_owned(), 1));
    assert_eq!(causes(FailureKind::Refused, lost)[0], ("ssh/refused".to_owned(), 0));
}

#[test]
fn every_way_not_to_reach_a_node_has_a_name_of_its_own() {
    for kind in FailureKind::ALL {
        let report = unreached(kind, "condition=Ready True KubeletReady");
        let node = report.nodes.iter().find(|node| node.name == "homelab").unwrap();
        let said: Vec<&str> = node.findings.iter().map(|finding| finding.id.as_str()).collect();
        assert!(said.len() == 1 && said[0].starts_with("ssh/"), "{kind}: {said:?}");
        assert_eq!(node.verdict, Verdict::Unknown, "{kind}");
    }
}

/// Nodes in containers: without a time service, with a kernel whose modules they do not see, one read by `nobody`.
#[test]
fn recorded_nodes_in_containers_have_no_fault_below_kubernetes() {
    const AREAS: [&str; 7] = ["ssh", "identity", "system", "time", "mounts", "disk", "permissions"];
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/captures");
    let nonce = Nonce::from_hex("00112233445566778899aabbccddeeff").unwrap();
    for name in ["control-plane-root", "worker-root", "standalone-root", "worker-nobody"] {
        let bytes = std::fs::read(dir.join(format!("{name}.txt"))).unwrap();
        let mut record = Record::blank(name.to_owned(), Vec::new(), None);
        record.probe = Some(probe::read(&bytes, b"", &nonce, &Limits::DEFAULT).unwrap());
        let report = report(&[record]);
        let faults = report.nodes[0].findings.iter().filter(|finding| {
            let area = finding.id.split('/').next().unwrap();
            finding.is_fault() && finding.severity != Severity::Low && AREAS.contains(&area)
        });
        let said: Vec<String> = faults.map(|finding| format!("{}: {}", finding.id, finding.message)).collect();
        assert_eq!(said, [""; 0], "{name}");
    }
}

#[test]
fn faults_of_the_system_and_its_clock() {
    check(
        "healthy",
        "homelab",
        &[
            (
                "a machine that sleeps",
                &[Text("suspend", "", "suspends=0", "suspends=3")],
                Area::Kernel,
                Verdict::Fail,
                "sleeps",
            ),
            (
                "an update took the running kernel's modules",
                &[Text("ident", "", "modules_dir=yes", "modules_dir=no")],
                Area::Kernel,
                Verdict::Warn,
                "reboot",
            ),
            (
                "processes hang",
                &[Text("dstate", "", "", "1 io_schedule a\n2 io_schedule b\n3 io_schedule c\n")],
                Area::Kernel,
                Verdict::Warn,
                "stuck",
            ),
            (
                "nothing keeps the clock",
                &[Text(
                    "time",
                    "",
                    "synchronized=yes\nntp=yes\ndaemon=systemd-timesyn",
                    "synchronized!no time daemon runs\nntp=no\ndaemon-",
                )],
                Area::Time,
                Verdict::Warn,
                "no time daemon",
            ),
            (
                "a time service without a server",
                &[Text("time", "", "synchronized=yes", "synchronized=no")],
                Area::Time,
                Verdict::Warn,
                "not in sync",
            ),
            (
                "an empty battery",
                &[Text("time", "", "rtc_epoch=1757526000", "rtc_epoch=946684800")],
                Area::Time,
                Verdict::Warn,
                "hardware clock",
            ),
        ],
    );
}

#[test]
fn faults_of_permissions() {
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
                "SELinux keeps flannel from its directory",
                &[
                    Text("ident", "", "selinux=disabled", "selinux=enforcing"),
                    Add(
                        "selinux-avc",
                        "",
                        "type=AVC msg=audit(1757525900.1:45): avc:  denied  { write } for  pid=9 comm=\"cp\" name=\"net.d\" tcontext=system_u:object_r:etc_t:s0 permissive=0\n",
                    ),
                ],
                Area::Permissions,
                Verdict::Fail,
                "SELinux",
            ),
            (
                "AppArmor without its parser",
                &[Text("ident", "", "apparmor_parser=yes", "apparmor_parser=no")],
                Area::Permissions,
                Verdict::Fail,
                "AppArmor",
            ),
            (
                "a file that nobody can change",
                &[Text("lsattr", "", "--------------e------- /etc/cni/net.d", "----i---------e------- /etc/cni/net.d")],
                Area::Permissions,
                Verdict::Fail,
                "immutable",
            ),
            (
                "a directory that came with an archive",
                &[Text(
                    "stat",
                    "",
                    "755 0:0 4096 1757436000 d\t/opt/cni/bin",
                    "755 1001:0 4096 1757436000 d\t/opt/cni/bin",
                )],
                Area::Permissions,
                Verdict::Warn,
                "owner",
            ),
        ],
    );
}

#[test]
fn a_fuse_mount_that_hangs() {
    check(
        "healthy",
        "homelab",
        &[(
            "a FUSE mount that hangs",
            &[
                Text("mountinfo", "", "28 23 ", "98 26 0:77 / /mnt/fuse rw - fuse.sshfs a:/b rw\n28 23 "),
                Add("netmount", "/mnt/fuse", "dev=0:77\nstate=hung\n"),
            ],
            Area::Mounts,
            Verdict::Fail,
            "hung",
        )],
    );
}

#[test]
fn faults_of_nfs_and_kernel() {
    check(
        "healthy",
        "homelab",
        &[
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
        ],
    );
}
