//! What a node's facts say, area by area, in words: for the reports that show a node in full. Facts only; what they mean is
//! the checks' business. All texts are still untrusted and of any length: [`clip`] bounds them, the formats escape them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::checks::{Evidence, words};
use crate::facts::cni::CniFile;
use crate::facts::disk::Space;
use crate::facts::disk::size_text;
use crate::facts::mounts::Mount;
use crate::facts::nfs::NetMount;
use crate::facts::{Fact, NodeFacts};
use crate::report::model::NodeReport;
use crate::verdict::Area;

/// The longest piece of text that a document shows; JSON has all of it.
const LONGEST: usize = 600;

/// A fact that was read, with what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Detail {
    pub(crate) label: &'static str,
    pub(crate) value: String,
}

/// Text of at most some hundred letters; what is cut off is counted.
pub(crate) fn clip(text: &str) -> Cow<'_, str> {
    clip_to(text, LONGEST)
}

/// Text of at most `most` letters, and how many more there are.
pub(crate) fn clip_to(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    match text.char_indices().nth(most) {
        None => Cow::Borrowed(text),
        Some((at, _)) => Cow::Owned(format!("{}… ({} more characters)", &text[..at], text[at..].chars().count())),
    }
}

/// What a piece of evidence says, as people write it.
pub(crate) fn evidence(evidence: &Evidence) -> String {
    clip(&words(&evidence.value)).into_owned()
}

/// What was read of an area. What is not there or was not read is left out: the findings say what matters of that.
pub(crate) fn of_area(facts: &NodeFacts, area: Area) -> Vec<Detail> {
    let mut said = Said(Vec::new());
    match area {
        Area::Mounts => mounts(facts, &mut said),
        Area::Disk => disk(facts, &mut said),
        Area::Permissions => permissions(facts, &mut said),
        Area::Containerd => containerd(facts, &mut said),
        Area::Cni => cni(facts, &mut said),
        Area::Nfs => nfs(facts, &mut said),
        Area::Kubelet => kubelet(facts, &mut said),
        Area::Kernel => kernel(facts, &mut said),
        Area::Time => time(facts, &mut said),
        Area::Api => api(facts, &mut said),
    }
    said.0
}

/// Who the node is.
pub(crate) fn identity(facts: &NodeFacts) -> Vec<Detail> {
    let mut said = Said(Vec::new());
    said.fact("hostname", &facts.identity.hostname);
    said.fact("system", &facts.identity.os_name);
    said.fact("kernel", &facts.identity.kernel);
    said.fact("machine", &facts.identity.arch);
    said.fact("runs in", &facts.identity.container);
    said.fact("memory", &facts.system.memory_total_kib.clone().map(size_text));
    said.fact("processors", &facts.system.cpus);
    said.fact("up for", &facts.system.uptime.clone().map(span));
    said.0
}

/// The mounts that hold what Kubernetes needs, each with the paths that lie on it; then network mounts.
pub(crate) fn key_mounts(facts: &NodeFacts) -> Vec<(&Mount, Vec<&str>)> {
    const MOST: usize = 20;
    let mut mounts: BTreeMap<&str, (&Mount, Vec<&str>)> = BTreeMap::new();
    for (path, mount) in &facts.mounts.holding {
        if let Fact::Known(mount) = mount {
            mounts.entry(&mount.mount_point).or_insert_with(|| (mount, Vec::new())).1.push(path);
        }
    }
    let listed = facts.mounts.list.known().into_iter().flatten();
    let network = facts.nfs.mounts.known().into_iter().flatten();
    let network: Vec<&str> = network.map(|mount| mount.mount_point.as_str()).collect();
    for mount in listed.filter(|mount| network.contains(&mount.mount_point.as_str())) {
        mounts.entry(&mount.mount_point).or_insert_with(|| (mount, Vec::new()));
    }
    mounts.into_values().take(MOST).collect()
}

/// The CNI configuration that the cluster hands out, where the run read a control plane.
pub(crate) fn cni_expected(nodes: &[NodeReport]) -> Option<&str> {
    nodes
        .iter()
        .filter_map(|node| node.facts.as_ref())
        .find_map(|facts| facts.api.flannel_cni_conf.known())
        .map(String::as_str)
}

/// `10-flannel.conflist (flannel, portmap), decides`
pub(crate) fn cni_file(file: &CniFile) -> String {
    let plugins = file.plugins.known().map(|plugins| format!(" ({})", plugins.join(", "))).unwrap_or_default();
    let state = match &file.error {
        Fact::Known(why) => format!(", cannot be loaded: {why}"),
        Fact::Unknown(why) => format!(", not read: {why}"),
        Fact::Absent if file.decides => ", decides".to_owned(),
        Fact::Absent => String::new(),
    };
    clip(&format!("{}{plugins}{state}", file.name)).into_owned()
}

/// Collects what is known.
struct Said(Vec<Detail>);

impl Said {
    fn fact<T: Serialize>(&mut self, label: &'static str, fact: &Fact<T>) {
        let Some(Ok(value)) = fact.known().map(serde_json::to_value) else { return };
        self.text(label, &words(&value));
    }

    fn text(&mut self, label: &'static str, text: &str) {
        if !text.is_empty() {
            self.0.push(Detail { label, value: clip(text).into_owned() });
        }
    }

    /// Only when there are any.
    fn some<T: Serialize>(&mut self, label: &'static str, fact: &Fact<Vec<T>>) {
        if fact.is_known_and(|items| !items.is_empty()) {
            self.fact(label, fact);
        }
    }
}

fn mounts(facts: &NodeFacts, said: &mut Said) {
    let mounts = &facts.mounts;
    said.fact("file system of /", &mounts.root_fstype);
    said.fact("mounts in all", &mounts.count);
    said.fact("mounts of pods", &mounts.pod_mounts);
    said.fact("passed on to containers", &mounts.propagation_shared);
    said.fact("read-only paths", &mounts.read_only);
    said.fact("paths without programs (noexec)", &mounts.noexec);
    said.some("paths on network mounts", &mounts.remote);
    said.some("mounted over each other", &mounts.overmounted);
    said.some("in fstab and not mounted", &mounts.fstab_missing);
}

fn disk(facts: &NodeFacts, said: &mut Said) {
    let [images, pods, var_lib] =
        [&facts.disk.images, &facts.disk.pods, &facts.disk.var_lib].map(|space| figures(space));
    if images == pods {
        said.text("images and pods", &images);
    } else {
        said.text("images", &images);
        said.text("pods", &pods);
    }
    if var_lib != images && var_lib != pods {
        said.text("/var/lib", &var_lib);
    }
    said.fact("inodes left for images", &facts.disk.images.inodes_free_percent.clone().map(|free| format!("{free}%")));
    said.some("paths that do not answer", &facts.disk.hung);
}

/// `9.2G of 456G used (2%), 426G available, ext4 on /dev/sda1`
fn figures(space: &Space) -> String {
    let mut parts = Vec::new();
    if let (Some(used), Some(size), Some(percent)) =
        (space.used_kib.known(), space.size_kib.known(), space.used_percent.known())
    {
        parts.push(format!("{} of {} used ({percent}%)", size_text(*used), size_text(*size)));
    }
    if let Some(available) = space.available_kib.known() {
        parts.push(format!("{} available", size_text(*available)));
    }
    match (space.fstype.known(), space.device.known()) {
        (Some(fstype), Some(device)) => parts.push(format!("{fstype} on {device}")),
        (Some(one), None) | (None, Some(one)) => parts.push(one.clone()),
        (None, None) => {}
    }
    parts.join(", ")
}

fn permissions(facts: &NodeFacts, said: &mut Said) {
    let permissions = &facts.permissions;
    said.some("may not be read", &permissions.denied);
    said.some("owned by somebody else", &permissions.foreign_owner);
    said.some("writable by others", &permissions.writable_by_others);
    said.some("immutable", &permissions.immutable);
    said.some("of the wrong kind", &permissions.wrong_kind);
    said.fact("SELinux", &permissions.selinux);
    said.fact("AppArmor", &permissions.apparmor_enabled);
}

fn containerd(facts: &NodeFacts, said: &mut Said) {
    let containerd = &facts.containerd;
    said.fact("service", &containerd.unit.state);
    said.fact("runs", &containerd.process);
    said.fact("socket", &containerd.socket);
    said.fact("version", &containerd.version);
    said.fact("runc", &containerd.runc_version);
    said.fact("CRI answers", &containerd.cri.answers);
    said.fact("configuration file", &containerd.config_file);
    said.fact("root directory", &containerd.config.root);
    said.fact("state directory", &containerd.config.state_dir);
    said.fact("snapshotter", &containerd.cri.snapshotter.clone().or_else(|| containerd.config.snapshotter.clone()));
    said.fact("systemd manages cgroups", &containerd.systemd_cgroup);
    said.fact("sandbox image", &containerd.sandbox_image);
    said.fact("pods", &containerd.pods);
    said.some("plugins that failed to load", &containerd.failed_plugins);
}

fn cni(facts: &NodeFacts, said: &mut Said) {
    let cni = &facts.cni;
    said.fact("directory", &cni.conf_dir);
    said.fact("files", &cni.file_count);
    said.fact("file that decides", &cni.first);
    said.fact("network", &cni.first_network);
    said.fact("plugins", &cni.first_plugins);
    said.fact("cannot be loaded", &cni.error);
    said.fact("plugin binaries in", &cni.bin_dirs);
    said.fact("plugin binaries that cannot run", &cni.broken);
    said.fact("runtime: network ready", &facts.containerd.cri.network_ready);
    said.fact("runtime: last load", &facts.containerd.cri.cni_load_status);
    said.fact("flannel's interface", &facts.flannel.interface);
    said.fact("flannel's subnet", &facts.flannel.subnet);
    said.fact("address of cni0", &facts.flannel.cni0);
}

fn nfs(facts: &NodeFacts, said: &mut Said) {
    const MOST: usize = 12;
    let mounts = facts.nfs.mounts.known().map_or(&[][..], Vec::as_slice);
    for mount in mounts.iter().take(MOST) {
        said.text("mount", &net_mount(mount));
    }
    if mounts.len() > MOST {
        said.text("more mounts", &(mounts.len() - MOST).to_string());
    }
    said.some("declared and not mounted", &facts.nfs.declared_not_mounted);
    said.fact("server threads", &facts.nfs.server_threads);
}

/// `/mnt/media from 192.168.4.61:/srv/media (nfs4), answers after 3 ms`
fn net_mount(mount: &NetMount) -> String {
    use crate::facts::nfs::MountState;
    let state = match (&mount.state, &mount.answer_ms) {
        (Fact::Known(MountState::Answered), Fact::Known(ms)) => format!(", answers after {ms} ms"),
        (Fact::Known(MountState::Answered), _) => ", answers".to_owned(),
        (Fact::Known(MountState::Error), _) => match mount.error.known() {
            Some(why) => format!(", answers with an error: {why}"),
            None => ", answers with an error".to_owned(),
        },
        (Fact::Known(MountState::Hung), _) => ", does not answer".to_owned(),
        (Fact::Absent | Fact::Unknown(_), _) => String::new(),
    };
    format!("{} from {} ({}){state}", mount.mount_point, mount.source, mount.fstype)
}

fn kubelet(facts: &NodeFacts, said: &mut Said) {
    let kubelet = &facts.kubelet;
    said.fact("service", &kubelet.unit.state);
    said.fact("runs", &kubelet.running);
    said.fact("version", &kubelet.version);
    said.fact("kubeadm's drop-in", &kubelet.kubeadm_drop_in);
    said.fact("started with a kubeconfig", &kubelet.wired);
    said.fact("standalone", &kubelet.standalone);
    said.fact("API server", &kubelet.server);
    said.fact("cgroup driver", &kubelet.cgroup_driver);
    said.fact("client certificate ends in", &facts.certs.kubelet_client.seconds_left.clone().map(until));
    said.fact("said before it exited", &kubelet.exit_reason);
}

fn kernel(facts: &NodeFacts, said: &mut Said) {
    said.fact("release", &facts.identity.kernel);
    said.fact("cgroup version", &facts.system.cgroup_version);
    said.fact("IP forwarding", &facts.kernel.ip_forward);
    said.fact("bridged packets pass iptables", &facts.kernel.bridge_nf_call_iptables);
    said.fact("overlay file system", &facts.kernel.overlay);
    said.fact("swap", &facts.system.swap_active);
    said.fact("firewalld runs", &facts.firewall.firewalld_running);
}

fn time(facts: &NodeFacts, said: &mut Said) {
    if let Some(skew) = facts.time.skew_ms.known() {
        let error = facts.time.skew_error_ms.known().map(|error| format!(" ± {error} ms")).unwrap_or_default();
        said.text("against this machine's clock", &format!("{skew:+} ms{error}"));
    }
    said.fact("synchronized", &facts.time.synchronized);
    said.fact("kept by", &facts.time.daemon);
    said.fact("zone", &facts.time.zone);
}

fn api(facts: &NodeFacts, said: &mut Said) {
    let api = &facts.api;
    said.fact("answers here", &api.answers);
    said.fact("version", &api.version);
    said.fact("ready", &api.ready);
    said.some("parts that fail", &api.not_ready);
    said.fact("nodes", &api.nodes.as_ref().map(BTreeMap::len));
    said.fact("endpoint", &api.control_plane_endpoint);
    said.fact("pod network", &api.pod_subnet);
    said.some("certificate requests that wait", &api.pending_csrs);
}

/// `41 days`, `3 h`, `12 min`.
fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The same of something that may be over.
fn until(seconds: i64) -> String {
    let figure = span(seconds.unsigned_abs());
    if seconds < 0 { format!("ended {figure} ago") } else { figure }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_letters_and_counted() {
        assert_eq!(clip_to("short", 5), "short");
        assert_eq!(clip_to("größer", 3), "grö… (3 more characters)");
        assert_eq!(clip_to("größer", 6), "größer");
        assert!(clip(&"x".repeat(1 << 20)).len() < 700);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        for area in Area::ALL {
            assert_eq!(of_area(&NodeFacts::default(), area), []);
        }
        assert!(identity(&NodeFacts::default()).is_empty());
        assert!(key_mounts(&NodeFacts::default()).is_empty());
    }

    #[test]
    fn figures_read_like_df() {
        let space = Space {
            size_kib: Fact::Known(478_114_568),
            used_kib: Fact::Known(7_130_316),
            available_kib: Fact::Known(446_695_852),
            used_percent: Fact::Known(2),
            fstype: Fact::Known("ext4".to_owned()),
            device: Fact::Known("/dev/sda1".to_owned()),
            ..Space::default()
        };
        assert_eq!(figures(&space), "6.8G of 456G used (2%), 427G available, ext4 on /dev/sda1");
        assert_eq!(figures(&Space::default()), "");
        assert_eq!([span(5), span(600), span(9_000), span(864_000)], ["5 s", "10 min", "2 h", "10 days"]);
        assert_eq!(until(-600), "ended 10 min ago");
    }
}
