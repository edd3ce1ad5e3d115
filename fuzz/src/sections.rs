//! Bytes as the sections of a node's answer. A line `%% ID RC ARGUMENT` begins one:
//!
//! ```text
//! %% cni-dir 0 /etc/cni/net.d
//! 644 0:0 292 1757439600 f	/etc/cni/net.d/10-flannel.conflist
//! %% flannel-env 66
//! ```
//!
//! Every id becomes one that the probe has, so that a mutated id is another section and not none.

use seaworthy::record::Section;

const MARK: &str = "%% ";

/// The ids of `docs/probe.md`.
const IDS: &[&str] = &[
    "api-cluster-info",
    "api-csr",
    "api-daemonsets",
    "api-events",
    "api-flannel-cm",
    "api-kubeadm-config",
    "api-kubelet-config",
    "api-leases",
    "api-nodes",
    "api-pod-ips",
    "api-pods-system",
    "api-rbac",
    "api-readyz",
    "api-version",
    "btrfs-errors",
    "cert",
    "cgroups",
    "changes",
    "cni-bin",
    "cni-dir",
    "cni-file",
    "cni-leases",
    "containerd-config",
    "containerd-dump",
    "containerd-version",
    "counts",
    "cri-sockets",
    "crictl-images",
    "crictl-info",
    "crictl-pods",
    "crictl-ps",
    "crictl-version",
    "ctr-deprecations",
    "ctr-plugins",
    "df",
    "dmesg",
    "dstate",
    "env-file",
    "filesystems",
    "firewall",
    "firewalld",
    "flannel-env",
    "fs-errors",
    "fstab",
    "hosts",
    "ident",
    "inotify",
    "ip-addr",
    "ip-fdb",
    "ip-link",
    "ip-neigh",
    "ip-route",
    "join",
    "k8s-dir",
    "kubeconfig",
    "kubelet-config",
    "log",
    "log-exit",
    "log-pod",
    "lsattr",
    "lvm-thin",
    "manifest-image",
    "meminfo",
    "modules",
    "modules-file",
    "mountinfo",
    "mountinfo-of",
    "net-if",
    "netmount",
    "nfs-server",
    "os-release",
    "overlay-traffic",
    "packages",
    "ports",
    "process",
    "resolv-conf",
    "resolve",
    "runc-version",
    "selinux-avc",
    "selinux-label",
    "stat",
    "suspend",
    "swaps",
    "sysctl",
    "sysctl-file",
    "time",
    "tools",
    "unit",
    "unit-file",
    "unit-paths",
];

/// More is more of the same.
const MOST: usize = 200;

/// The sections that bytes stand for.
pub fn of(data: &[u8]) -> Vec<Section> {
    let text = String::from_utf8_lossy(data).replace('\0', "");
    let mut sections: Vec<Section> = Vec::new();
    for line in text.split_inclusive('\n') {
        if let Some(head) = line.strip_prefix(MARK) {
            sections.push(begin(head.trim_end_matches('\n')));
        } else if let Some(section) = sections.last_mut() {
            section.text.push_str(line);
        }
        if sections.len() > MOST {
            break;
        }
    }
    for section in &mut sections {
        if section.text.ends_with('\n') {
            section.text.pop();
        }
    }
    sections
}

fn begin(head: &str) -> Section {
    let mut words = head.splitn(3, ' ');
    let id = known(words.next().unwrap_or_default());
    let rc = words.next().and_then(|rc| rc.parse().ok()).unwrap_or(0);
    let arg = words.next().filter(|arg| !arg.is_empty()).map(str::to_owned);
    Section { id: id.to_owned(), arg, rc, ms: 1, truncated: false, text: String::new() }
}

fn known(id: &str) -> &'static str {
    let sum = || id.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
    IDS.iter().find(|known| **known == id).copied().unwrap_or_else(|| IDS[sum() % IDS.len()])
}
