//! Modules and sysctls that a Kubernetes node stands on, as they run and as they are persisted.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::alike::Alike;
use super::read::{Keys, Reader, flag, percent};

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Kernel {
    /// The modules of [`MODULES`].
    pub modules: Alike<BTreeMap<String, Fact<ModuleState>>>,
    /// Of the modules that are looked for: those that a modules-load.d file names.
    pub modules_persisted: Fact<Vec<String>>,
    /// Of the modules that flannel and services need: those that are neither loaded nor anywhere to be loaded from. Absent
    /// where the kernel keeps no index of its modules, as in a container.
    pub modules_missing: Fact<Vec<String>>,
    /// `overlay` is in `/proc/filesystems`.
    pub overlay: Fact<bool>,
    pub ip_forward: Fact<bool>,
    /// Absent when `br_netfilter` is not loaded.
    pub bridge_nf_call_iptables: Fact<bool>,
    pub bridge_nf_call_ip6tables: Fact<bool>,
    pub rp_filter_all: Fact<u32>,
    pub ipv6_disabled: Fact<bool>,
    pub conntrack_count: Fact<u64>,
    pub conntrack_max: Fact<u64>,
    pub conntrack_percent: Fact<u32>,
    pub inotify_max_instances: Fact<u64>,
    pub inotify_max_watches: Fact<u64>,
    pub inotify_instances_used: Fact<u64>,
    /// Instances in use against the limit, which holds for each user alone. Absent where they could not be counted and the
    /// limit is generous (1024 and more).
    pub inotify_percent: Fact<u32>,
    pub neighbour_gc_thresh3: Fact<u64>,
    pub overcommit_memory: Fact<u32>,
    pub panic: Fact<i64>,
    pub panic_on_oops: Fact<u32>,
    /// The values that the files of sysctl.d will set at the next boot, for the keys that were looked for.
    pub sysctl_persisted: Alike<BTreeMap<String, Persisted>>,
    /// Keys whose running value is not the persisted one.
    pub sysctl_drift: Vec<String>,
    /// Of the keys that must be 1, those that a file sets to 0, each with that file.
    pub sysctl_off_at_boot: Fact<Vec<String>>,
    /// What `protectKernelDefaults` insists on and is not so, as `kernel.panic is 0`.
    pub kubelet_defaults_differ: Fact<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ModuleState {
    Loaded,
    BuiltIn,
    /// It can be loaded.
    Available,
    /// It cannot: there is no such file for the running kernel.
    Missing,
    /// Whether it can be loaded is not known.
    NotLoaded,
}

/// What wins among the files that set a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Persisted {
    pub value: String,
    /// The file that sets it last.
    pub file: String,
    /// Every file that sets it, in the order they are read.
    pub files: Vec<String>,
}

/// Modules that flannel, kube-proxy or containerd need.
pub const MODULES: [&str; 9] = [
    "br_netfilter",
    "ip_tables",
    "ip6_udp_tunnel",
    "nf_conntrack",
    "nf_tables",
    "overlay",
    "vxlan",
    "xt_MASQUERADE",
    "xt_comment",
];

/// Those of them without which pods have no network; the others have other names in older kernels.
const NEEDED: [&str; 5] = ["br_netfilter", "nf_conntrack", "overlay", "vxlan", "xt_comment"];

/// Keys without which services and pods of other nodes cannot be reached.
const MUST_BE_ON: [&str; 3] =
    ["net.ipv4.ip_forward", "net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables"];

/// What the kubelet compares when it is told to protect the kernel's defaults, as far as it is read.
const KUBELET_DEFAULTS: [(&str, &str); 3] =
    [("vm.overcommit_memory", "1"), ("kernel.panic", "10"), ("kernel.panic_on_oops", "1")];

/// A limit of inotify instances that is rarely reached.
const GENEROUS: u64 = 1024;

impl Kernel {
    pub(crate) fn parse(reader: Reader<'_>) -> Self {
        let sysctl = reader.keys("sysctl");
        let count = sysctl.number::<u64>("net.netfilter.nf_conntrack_count");
        let max = sysctl.number::<u64>("net.netfilter.nf_conntrack_max");
        let persisted = persisted(reader);
        let instances = sysctl.number::<u64>("fs.inotify.max_user_instances");
        let used = reader.keys("inotify").number::<u64>("instances_used");
        let modules = modules(reader);
        Self {
            modules_missing: missing(reader, &modules),
            modules: modules.into(),
            modules_persisted: modules_persisted(reader),
            overlay: reader.text("filesystems").map(|text| text.split_whitespace().any(|word| word == "overlay")),
            ip_forward: sysctl.flag("net.ipv4.ip_forward"),
            bridge_nf_call_iptables: sysctl.flag("net.bridge.bridge-nf-call-iptables"),
            bridge_nf_call_ip6tables: sysctl.flag("net.bridge.bridge-nf-call-ip6tables"),
            rp_filter_all: sysctl.number("net.ipv4.conf.all.rp_filter"),
            ipv6_disabled: sysctl.flag("net.ipv6.conf.all.disable_ipv6"),
            conntrack_percent: count.clone().and_then(|count| max.clone().and_then(|max| percent(count, max))),
            conntrack_count: count,
            conntrack_max: max,
            inotify_percent: match (&used, &instances) {
                (Fact::Unknown(_), Fact::Known(GENEROUS..)) => Fact::Absent,
                _ => used.clone().and_then(|used| instances.clone().and_then(|max| percent(used, max))),
            },
            inotify_max_instances: instances,
            inotify_max_watches: sysctl.number("fs.inotify.max_user_watches"),
            inotify_instances_used: used,
            sysctl_off_at_boot: off_at_boot(reader, &persisted),
            kubelet_defaults_differ: sysctl.read().and_then(|()| kubelet_defaults(&sysctl)),
            neighbour_gc_thresh3: sysctl.number("net.ipv4.neigh.default.gc_thresh3"),
            overcommit_memory: sysctl.number("vm.overcommit_memory"),
            panic: sysctl.number("kernel.panic"),
            panic_on_oops: sysctl.number("kernel.panic_on_oops"),
            sysctl_drift: drift(&persisted, &sysctl),
            sysctl_persisted: persisted.into(),
        }
    }
}

fn modules(reader: Reader<'_>) -> BTreeMap<String, Fact<ModuleState>> {
    let text = reader.text("modules");
    let indexed = has_index(&text);
    let state = |module: &str| {
        text.as_ref().map(|text| {
            let line = text
                .lines()
                .map(str::split_whitespace)
                .find_map(|mut words| (words.next() == Some(module)).then(|| words.next()));
            match line {
                Some(Some("builtin")) => ModuleState::BuiltIn,
                Some(Some("available")) => ModuleState::Available,
                Some(_) => ModuleState::Loaded,
                None if indexed => ModuleState::Missing,
                None => ModuleState::NotLoaded,
            }
        })
    };
    MODULES.iter().map(|module| ((*module).to_owned(), state(module))).collect()
}

/// The list says which modules could be loaded, too.
fn has_index(text: &Fact<&str>) -> bool {
    text.is_known_and(|text| text.lines().any(|line| line == "modules.dep indexed"))
}

fn missing(reader: Reader<'_>, modules: &BTreeMap<String, Fact<ModuleState>>) -> Fact<Vec<String>> {
    let text = reader.text("modules");
    let indexed = has_index(&text);
    text.and_then(|_| {
        let missing = |module: &&str| modules.get(*module) == Some(&Fact::Known(ModuleState::Missing));
        Fact::from_option(indexed.then(|| NEEDED.into_iter().filter(missing).map(str::to_owned).collect()))
    })
}

fn modules_persisted(reader: Reader<'_>) -> Fact<Vec<String>> {
    let mut texts: Vec<&str> = Vec::new();
    for (_, text) in reader.each("modules-file") {
        match text {
            Fact::Known(text) => texts.push(text),
            Fact::Absent => {}
            Fact::Unknown(why) => return Fact::Unknown(why),
        }
    }
    let named = |module: &&str| {
        texts.iter().flat_map(|text| text.lines()).any(|line| line.split_whitespace().next() == Some(*module))
    };
    if texts.is_empty() {
        return reader.none_of::<()>("modules-file").map(|()| Vec::new());
    }
    Fact::Known(MODULES.into_iter().filter(named).map(str::to_owned).collect())
}

/// Unknown when a file could not be read: it may be the one that decides.
fn off_at_boot(reader: Reader<'_>, persisted: &BTreeMap<String, Persisted>) -> Fact<Vec<String>> {
    if let Some(why) = reader.each("sysctl-file").find_map(|(_, text)| text.reason().map(str::to_owned)) {
        return Fact::unknown(why);
    }
    if reader.sections("sysctl-file").next().is_none() {
        return reader.none_of("sysctl-file");
    }
    let off = MUST_BE_ON.iter().filter_map(|key| Some((key, persisted.get(*key)?)));
    Fact::Known(off.filter(|(_, set)| set.value == "0").map(|(key, set)| format!("{key} in {}", set.file)).collect())
}

fn kubelet_defaults(sysctl: &Keys<'_>) -> Fact<Vec<String>> {
    let mut differing = Vec::new();
    for (key, wanted) in KUBELET_DEFAULTS {
        match sysctl.get(key) {
            Fact::Known(value) if value.trim() == wanted => {}
            Fact::Known(value) => differing.push(format!("{key} is {}", super::read::clip(value, 20))),
            Fact::Absent => {}
            Fact::Unknown(why) => return Fact::Unknown(why),
        }
    }
    Fact::Known(differing)
}

/// `sysctl --system` reads the files of all directories by file name, a name in `/etc` hiding the same name in `/run`
/// and `/usr/lib`, and `/etc/sysctl.conf` at the end.
fn persisted(reader: Reader<'_>) -> BTreeMap<String, Persisted> {
    let mut files: BTreeMap<(bool, &str), (u8, &str, &str)> = BTreeMap::new();
    for (path, text) in reader.each("sysctl-file") {
        let Fact::Known(text) = text else { continue };
        let name = path.rsplit('/').next().unwrap_or(path);
        let rank =
            u8::from(path.starts_with("/run/")) + 2 * u8::from(path.starts_with("/usr/") || path.starts_with("/lib/"));
        let key = (path == "/etc/sysctl.conf", name);
        if files.get(&key).is_none_or(|(known, ..)| rank < *known) {
            files.insert(key, (rank, path, text));
        }
    }
    let mut keys: BTreeMap<String, Persisted> = BTreeMap::new();
    for (_, path, text) in files.into_values() {
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
            let Some((key, value)) = line.trim_start_matches('-').split_once('=') else { continue };
            let key = match key.trim().replace('/', ".").as_str() {
                // Two names of one switch.
                "net.ipv4.conf.all.forwarding" => "net.ipv4.ip_forward".to_owned(),
                key => key.to_owned(),
            };
            let entry = keys.entry(key).or_insert_with(|| Persisted {
                value: String::new(),
                file: String::new(),
                files: Vec::new(),
            });
            value.trim().clone_into(&mut entry.value);
            path.clone_into(&mut entry.file);
            entry.files.push(path.to_owned());
        }
    }
    keys
}

fn drift(persisted: &BTreeMap<String, Persisted>, running: &Keys<'_>) -> Vec<String> {
    let same =
        |a: &str, b: &str| a.split_whitespace().eq(b.split_whitespace()) || (flag(a).is_known() && flag(a) == flag(b));
    persisted
        .iter()
        .filter(|(key, wanted)| running.get(key).is_known_and(|value| !same(value, &wanted.value)))
        .map(|(key, _)| key.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::record;
    use super::*;

    fn parse(sections: &[(&str, &str, &str)]) -> Kernel {
        Kernel::parse(Reader::new(&record(sections)))
    }

    #[test]
    fn modules_and_sysctls() {
        let kernel = parse(&[
            ("modules", "", "vxlan\nbr_netfilter\noverlay builtin\n"),
            ("modules-file", "/etc/modules-load.d/k8s.conf", "br_netfilter\n"),
            (
                "sysctl",
                "",
                "net.ipv4.ip_forward=1\nnet.bridge.bridge-nf-call-iptables-\nnet.netfilter.nf_conntrack_count=90\nnet.netfilter.nf_conntrack_max=100\n",
            ),
        ]);
        assert_eq!(kernel.modules["vxlan"], Fact::Known(ModuleState::Loaded));
        assert_eq!(kernel.modules["overlay"], Fact::Known(ModuleState::BuiltIn));
        assert_eq!(kernel.modules["nf_tables"], Fact::Known(ModuleState::NotLoaded));
        assert_eq!(kernel.modules_persisted, Fact::Known(vec!["br_netfilter".to_owned()]));
        assert_eq!(kernel.modules_missing, Fact::Absent);
        assert_eq!(kernel.ip_forward, Fact::Known(true));
        assert_eq!(kernel.bridge_nf_call_iptables, Fact::Absent);
        assert_eq!(kernel.conntrack_percent, Fact::Known(90));
    }

    #[test]
    fn modules_that_the_kernel_does_not_have() {
        let kernel = parse(&[(
            "modules",
            "",
            "br_netfilter\noverlay builtin\nnf_conntrack\nxt_comment available\nmodules.dep indexed\n",
        )]);
        assert_eq!(kernel.modules["xt_comment"], Fact::Known(ModuleState::Available));
        assert_eq!(kernel.modules["vxlan"], Fact::Known(ModuleState::Missing));
        assert_eq!(kernel.modules_missing, Fact::Known(vec!["vxlan".to_owned()]));
        assert_eq!(parse(&[]).modules_persisted, Fact::Absent, "nothing is named at all");
        assert!(parse(&[]).modules_missing.is_unknown());
    }

    #[test]
    fn inotify_and_the_defaults_that_the_kubelet_protects() {
        let of = |sysctl: &str, used: &str| parse(&[("sysctl", "", sysctl), ("inotify", "", used)]);
        let kernel = of("fs.inotify.max_user_instances=128\n", "instances_used=120\n");
        assert_eq!(kernel.inotify_percent, Fact::Known(93));
        assert_eq!(of("fs.inotify.max_user_instances=8192\n", "").inotify_percent, Fact::Absent);
        assert!(of("fs.inotify.max_user_instances=128\n", "").inotify_percent.is_unknown());
        let kernel = of("vm.overcommit_memory=0\nkernel.panic=10\nkernel.panic_on_oops=1\n", "");
        assert_eq!(kernel.kubelet_defaults_differ, Fact::Known(vec!["vm.overcommit_memory is 0".to_owned()]));
        assert!(of("kernel.panic=10\n", "").kubelet_defaults_differ.is_unknown());
    }

    #[test]
    fn the_last_file_by_name_wins_and_sysctl_conf_comes_at_the_end() {
        let file = |path, value| ("sysctl-file", path, value);
        let kernel = parse(&[
            file("/etc/sysctl.conf", "net.ipv4.ip_forward=0\n"),
            file("/usr/lib/sysctl.d/50-x.conf", "kernel.panic = 5\n"),
            file("/etc/sysctl.d/50-x.conf", "kernel.panic = 10\n"),
            file("/etc/sysctl.d/99-k8s.conf", "net/ipv4/ip_forward = 1\n"),
            ("sysctl", "", "net.ipv4.ip_forward=1\nkernel.panic=10\n"),
        ]);
        let forward = &kernel.sysctl_persisted["net.ipv4.ip_forward"];
        assert_eq!((forward.value.as_str(), forward.file.as_str(), forward.files.len()), ("0", "/etc/sysctl.conf", 2));
        assert_eq!(kernel.sysctl_persisted["kernel.panic"].value, "10");
        assert_eq!(kernel.sysctl_drift, ["net.ipv4.ip_forward"]);
        assert_eq!(kernel.sysctl_off_at_boot, Fact::Known(vec!["net.ipv4.ip_forward in /etc/sysctl.conf".to_owned()]));
    }
}
