//! A pretended node's root, programs and place in an inventory.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

/// The stub programs.
const STUBS: [(&str, &str); 6] = [
    ("kubeadm", include_str!("../stubs/kubeadm")),
    ("systemctl", include_str!("../stubs/systemctl")),
    ("systemd-run", include_str!("../stubs/systemd-run")),
    ("kubectl", include_str!("../stubs/kubectl")),
    ("crictl", include_str!("../stubs/crictl")),
    ("sudo", include_str!("../stubs/sudo")),
];

/// Lays out a node's root and its programs.
pub(super) fn furnish(name: &str, root: &Path, shared: &Path, control_plane: bool, shell: Option<&Path>) {
    for sub in [
        "etc/cni/net.d",
        "etc/kubernetes/manifests",
        "fail",
        "hold",
        "proc/sys/kernel/random",
        "run/systemd/system",
        "dev/shm",
        "tmp",
        "units",
        "var/lib/kubelet",
    ] {
        fs::create_dir_all(root.join(sub)).unwrap();
    }
    fs::write(root.join("proc/mounts"), MOUNTS).unwrap();
    fs::write(root.join("units/containerd"), "active\n").unwrap();
    symlink(root, shared.join("roots").join(name)).unwrap();
    if control_plane {
        fs::write(root.join("etc/kubernetes/manifests/kube-apiserver.yaml"), "kind: Pod\n").unwrap();
        fs::write(shared.join("nodes").join(name), "").unwrap();
    }
    let stubs = root.with_file_name("stubs");
    fs::create_dir(&stubs).unwrap();
    for (stub, text) in STUBS {
        program(&stubs, stub, name, root, shared, text);
    }
    if let Some(shell) = shell {
        symlink(shell, stubs.join("sh")).unwrap();
    }
}

/// Where programs are.
pub(super) const SYSTEM: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// As on every node with systemd.
const MOUNTS: &str = "/dev/vda1 / ext4 rw,relatime 0 0
tmpfs /run tmpfs rw,nosuid,nodev,noexec,relatime,size=812136k,mode=755 0 0
tmpfs /dev/shm tmpfs rw,nosuid,nodev 0 0
";

/// A script of that name that finds R (its root), C (what the cluster shares), NODE (its name) and T (the test's process) set, and whose calls are written down.
pub(super) fn program(stubs: &Path, name: &str, node: &str, root: &Path, shared: &Path, text: &str) {
    let head = format!(
        "#!/bin/sh\nR='{}' C='{}' NODE='{node}' T='{}'\nprintf '%s\\n' \"{name} $*\" >>\"$C/calls/$NODE\"\n",
        root.display(),
        shared.display(),
        std::process::id(),
    );
    let path = stubs.join(name);
    let _ = fs::remove_file(&path);
    fs::write(&path, head + text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// An inventory of the control plane and of the workers, each with its port.
pub(super) fn inventory(hosts: &[Vec<(String, u16)>; 2], key_file: &Path, known_hosts: &Path) -> String {
    let line =
        |(name, port): &(String, u16)| format!("        {name}: {{ ansible_host: 127.0.0.1, ansible_port: {port} }}\n");
    let [control, workers] = hosts.each_ref().map(|hosts| hosts.iter().map(line).collect::<Vec<_>>().concat());
    let options = format!(
        "-F none -o UserKnownHostsFile={} -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes \
         -o IdentitiesOnly=yes -o IdentityAgent=none",
        known_hosts.display()
    );
    format!(
        "all:\n  vars:\n    ansible_user: root\n    ansible_ssh_private_key_file: {}\n    ansible_ssh_common_args: {options}\n  \
         children:\n    control_plane:\n      hosts:\n{control}    workers:\n      hosts:\n{workers}",
        key_file.display(),
    )
}
