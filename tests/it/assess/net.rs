//! Faults of containerd, the kernel, packet filters and NFS that leave everything else of a node as it is.

use seaworthy::diagnose::root_cause::Confidence;
use seaworthy::verdict::{Area, Verdict};

use super::Change::{Add, Drop, Text};
use super::check;
use crate::facts::{case, report};

#[test]
fn faults_of_containerd_by_their_cause() {
    check(
        "healthy",
        "homelab",
        &[
            (
                "SystemdCgroup outside its table",
                &[
                    Text("crictl-info", "", "\"SystemdCgroup\": true", "\"SystemdCgroup\": false"),
                    Text("containerd-dump", "", "SystemdCgroup = true", "SystemdCgroup = false"),
                    Add("containerd-config", "/etc/containerd/config.toml", "version = 2\nSystemdCgroup = true\n"),
                ],
                Area::Containerd,
                Verdict::Fail,
                "config",
            ),
            (
                "a configuration that was not applied",
                &[Text("containerd-dump", "", "max_conf_num = 1", "max_conf_num = 2")],
                Area::Containerd,
                Verdict::Fail,
                "restart due",
            ),
            (
                "no runc",
                &[Text("tools", "", "\nrunc=/usr/bin/runc\n", "\nrunc-\n")],
                Area::Containerd,
                Verdict::Fail,
                "no runc",
            ),
            (
                "a containerd without version 1 of the CRI",
                &[Text("containerd-version", "", "1.6.20", "1.4.13")],
                Area::Containerd,
                Verdict::Fail,
                "too old",
            ),
        ],
    );
}

#[test]
fn a_misplaced_setting_is_the_cause_and_surely_so() {
    let report = report(&case("cgroup-driver"));
    let cause = report.root_causes.iter().find(|cause| cause.id == "containerd/systemd-cgroup-misplaced").unwrap();
    assert_eq!(cause.confidence, Confidence::Certain);
    assert!(cause.message.starts_with("line 8 of /etc/containerd/config.toml "), "{}", cause.message);
    assert!(cause.explains.iter().any(|explained| explained.id == "containerd/cgroup-driver-mismatch"));
    assert!(!report.root_causes.iter().any(|cause| cause.id == "containerd/cgroup-driver-mismatch"));
}

#[test]
fn faults_of_kernel_and_packet_filters() {
    let zone = "public (active)\n  target: default\n  services: ssh\n  ports: 22/tcp\n";
    check(
        "healthy",
        "homelab",
        &[
            (
                "a kernel without vxlan",
                &[Text("modules", "", "vxlan\n", "modules.dep indexed\n")],
                Area::Kernel,
                Verdict::Fail,
                "no module",
            ),
            (
                "a full table of connections",
                &[Text("sysctl", "", "nf_conntrack_count=212", "nf_conntrack_count=250000")],
                Area::Kernel,
                Verdict::Fail,
                "conntrack",
            ),
            (
                "few inotify instances left",
                &[Text("sysctl", "", "max_user_instances=1024", "max_user_instances=48")],
                Area::Kernel,
                Verdict::Warn,
                "inotify",
            ),
            (
                "a file that turns forwarding off at the next boot",
                &[Text("sysctl-file", "", "net.ipv4.ip_forward = 1", "net.ipv4.conf.all.forwarding = 0")],
                Area::Kernel,
                Verdict::Warn,
                "sysctl file",
            ),
            ("nothing loads br_netfilter at boot", &[Drop("modules-file")], Area::Kernel, Verdict::Warn, "not at boot"),
            (
                "firewalld with its usual ports",
                &[Text("firewall", "", "firewalld=inactive", "firewalld=active"), Add("firewalld", "", zone)],
                Area::Kernel,
                Verdict::Fail,
                "firewall",
            ),
            (
                "rules in both backends",
                &[Text(
                    "firewall",
                    "",
                    "iptables_legacy_rules=0",
                    "iptables_legacy_rules=4\nlegacy_kube_rules=4\nnft_kube_rules=9",
                )],
                Area::Kernel,
                Verdict::Fail,
                "two iptables",
            ),
            (
                "nobody lets pods pass",
                &[Text("firewall", "", "forward_policy=ACCEPT", "forward_policy=DROP")],
                Area::Kernel,
                Verdict::Fail,
                "FORWARD drop",
            ),
            (
                "kube-proxy wrote nothing",
                &[
                    Add("process", "kube-proxy", "pid=7\nstate=S\nstart=1757446000\narg=kube-proxy\n"),
                    Text(
                        "firewall",
                        "",
                        "nm_unmanaged-",
                        "nm_unmanaged-\nipvs_services=0\nkube_proxy_nft=no\nnft_kube_rules=0\nlegacy_kube_rules=0",
                    ),
                ],
                Area::Kernel,
                Verdict::Fail,
                "no services",
            ),
            (
                "NetworkManager minds the pods' interfaces",
                &[Text("firewall", "", "networkmanager=no", "networkmanager=yes")],
                Area::Kernel,
                Verdict::Warn,
                "NetworkManager",
            ),
        ],
    );
}

#[test]
fn faults_of_nfs() {
    check(
        "healthy",
        "homelab",
        &[
            ("a soft mount", &[Text("mountinfo", "", ",hard,", ",soft,")], Area::Nfs, Verdict::Warn, "soft"),
            (
                "no mount.nfs",
                &[Text("tools", "", "mount.nfs=/usr/sbin/mount.nfs", "mount.nfs-")],
                Area::Nfs,
                Verdict::Fail,
                "no helper",
            ),
        ],
    );
}
