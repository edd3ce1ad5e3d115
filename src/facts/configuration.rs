//! Each part of a node's configuration as sorted lines without what is the node's own, so that nodes can be compared.
//!
//! Nodes are compared by a hash of each part; the lines behind it are in memory once for all that have them. What is in force
//! counts, not what was written: `containerd config dump`, the running kubelet's flags, live sysctls. A part that was not read, or
//! is not there, is not compared.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::alike::Alike;
use super::crictl::json;
use super::memo::Memo;
use super::read::{Reader, clip};
use super::yaml::yaml;
use super::{Fact, NodeFacts};
use crate::digest;

/// Longest line, and the most of a part.
const MAX_CHARS: usize = 200;
const MAX_LINES: usize = 2000;
/// Deeper values are not told apart.
const MAX_DEPTH: usize = 24;
/// Enough to tell apart what one fleet has.
const HASH_BYTES: usize = 6;

/// What is compared as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    Containerd,
    Kubelet,
    KubeletFlags,
    Cni,
    Sysctl,
    Modules,
    Flannel,
    Iptables,
}

impl Part {
    pub const ALL: [Self; 8] = [
        Self::Containerd,
        Self::Kubelet,
        Self::KubeletFlags,
        Self::Cni,
        Self::Sysctl,
        Self::Modules,
        Self::Flannel,
        Self::Iptables,
    ];

    /// As in a heading.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::Kubelet => "kubelet",
            Self::KubeletFlags => "kubelet's flags",
            Self::Cni => "CNI",
            Self::Sysctl => "sysctls",
            Self::Modules => "modules at boot",
            Self::Flannel => "flannel",
            Self::Iptables => "iptables",
        }
    }
}

/// The hashes of one node's parts; absent where there is nothing to compare.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Configuration {
    /// What containerd runs with.
    pub containerd: Fact<String>,
    /// `/var/lib/kubelet/config.yaml`
    pub kubelet: Fact<String>,
    /// Of the running kubelet.
    pub kubelet_flags: Fact<String>,
    /// The CNI file that decides.
    pub cni: Fact<String>,
    /// The sysctls that pods depend on and no program sets by the machine's size.
    pub sysctl: Fact<String>,
    /// Of modules-load.d.
    pub modules: Fact<String>,
    /// Network, MTU and VXLAN settings.
    pub flannel: Fact<String>,
    /// The backend of iptables.
    pub iptables: Fact<String>,
    /// What the hashes are of.
    #[serde(skip)]
    lines: BTreeMap<Part, Alike<Vec<String>>>,
}

/// A part as nodes are compared by it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Compared {
    hash: String,
    lines: Alike<Vec<String>>,
}

impl Configuration {
    pub(crate) fn parse(reader: Reader<'_>, facts: &NodeFacts) -> Self {
        // Those that are long and the same on most nodes.
        static CONTAINERD: Memo<Fact<Compared>> = Memo::new();
        static KUBELET: Memo<Fact<Compared>> = Memo::new();
        static SYSCTL: Memo<Fact<Compared>> = Memo::new();
        let compared = |part| of_part(part, reader, facts).map(Compared::new);
        let known = |memo: &'static Memo<Fact<Compared>>, part, section: Fact<&str>| {
            section.and_then(|text| Fact::clone(&memo.get(text, |_| compared(part))))
        };
        let mut lines = BTreeMap::new();
        let mut hash = |part| {
            let compared = match part {
                Part::Containerd => known(&CONTAINERD, part, reader.whole("containerd-dump")),
                Part::Kubelet => known(&KUBELET, part, reader.whole("kubelet-config")),
                Part::Sysctl => known(&SYSCTL, part, reader.text("sysctl")),
                Part::KubeletFlags | Part::Cni | Part::Modules | Part::Flannel | Part::Iptables => compared(part),
            };
            compared.map(|compared| {
                lines.insert(part, compared.lines);
                compared.hash
            })
        };
        Self {
            containerd: hash(Part::Containerd),
            kubelet: hash(Part::Kubelet),
            kubelet_flags: hash(Part::KubeletFlags),
            cni: hash(Part::Cni),
            sysctl: hash(Part::Sysctl),
            modules: hash(Part::Modules),
            flannel: hash(Part::Flannel),
            iptables: hash(Part::Iptables),
            lines,
        }
    }

    /// The lines of a part, sorted, as `path = value`; none where there is nothing to compare.
    pub fn lines(&self, part: Part) -> &[String] {
        self.lines.get(&part).map_or(&[], |lines| lines)
    }

    pub const fn hash(&self, part: Part) -> &Fact<String> {
        match part {
            Part::Containerd => &self.containerd,
            Part::Kubelet => &self.kubelet,
            Part::KubeletFlags => &self.kubelet_flags,
            Part::Cni => &self.cni,
            Part::Sysctl => &self.sysctl,
            Part::Modules => &self.modules,
            Part::Flannel => &self.flannel,
            Part::Iptables => &self.iptables,
        }
    }

    /// The parts that were read.
    pub fn known(&self) -> impl Iterator<Item = (Part, &str)> {
        Part::ALL.into_iter().filter_map(|part| Some((part, self.hash(part).known()?.as_str())))
    }
}

impl Compared {
    fn new(lines: Vec<String>) -> Self {
        Self { hash: hash(&lines), lines: lines.into() }
    }
}

fn of_part(part: Part, reader: Reader<'_>, facts: &NodeFacts) -> Fact<Vec<String>> {
    let lines = match part {
        Part::Containerd => reader.whole("containerd-dump").map(tables),
        Part::Kubelet => reader.whole("kubelet-config").and_then(yaml).map(|root| kubelet_config(&root)),
        Part::KubeletFlags => facts.kubelet.arguments.as_ref().map(|arguments| flags(arguments)),
        Part::Cni => cni(reader, facts),
        Part::Sysctl => sysctls(reader),
        Part::Modules => modules(facts),
        Part::Flannel => flannel(facts),
        Part::Iptables => facts.firewall.iptables_backend.as_ref().map(|backend| vec![format!("backend = {backend}")]),
    };
    lines.map(|mut lines| {
        lines.sort_unstable();
        lines.dedup();
        lines.truncate(MAX_LINES);
        lines
    })
}

fn hash(lines: &[String]) -> String {
    let mut hasher = Sha256::new();
    for line in lines {
        hasher.update(line.as_bytes());
        hasher.update(b"\n");
    }
    digest::hex(&hasher.finalize()[..HASH_BYTES])
}

fn line(path: &str, value: &str) -> String {
    let last = path.rsplit('.').next().unwrap_or(path).trim_matches(['"', '\'']).to_lowercase();
    let secret = ["password", "auth", "token", "identitytoken", "username"].contains(&last.as_str());
    clip(&format!("{path} = {}", if secret { "(hidden)" } else { value }), MAX_CHARS)
}

/// TOML as a program prints it, one value per line below its table's header: too regular to be worth a parser on each node.
fn tables(text: &str) -> Vec<String> {
    let mut table = "";
    let mut lines = Vec::new();
    for raw in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(header) =
            raw.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).filter(|_| !raw.contains('='))
        {
            table = header.trim_matches(['[', ']']);
        } else if let Some((key, value)) = raw.split_once('=') {
            let path = if table.is_empty() { key.trim().to_owned() } else { format!("{table}.{}", key.trim()) };
            lines.push(line(&path, value.trim()));
        } else {
            lines.push(line(table, raw));
        }
    }
    lines
}

/// Keys whose values are the node's own.
const OWN_OF_KUBELET: [&str; 4] = ["address", "healthzBindAddress", "podCIDR", "providerID"];

fn kubelet_config(root: &serde_yaml::Value) -> Vec<String> {
    let Ok(root) = serde_json::to_value(root) else { return Vec::new() };
    let mut lines = Vec::new();
    flatten(&root, "", &OWN_OF_KUBELET, 0, &mut lines);
    lines
}

/// Flags whose values are the node's own.
const OWN_FLAGS: [&str; 6] =
    ["--hostname-override", "--node-ip", "--node-labels", "--provider-id", "--register-with-taints", "--address"];

/// The command line without its program, `--flag value` joined.
fn flags(arguments: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for argument in arguments.iter().skip(1) {
        match lines.last_mut().filter(|last| !argument.starts_with('-') && !last.contains('=')) {
            Some(last) => *last = format!("{last}={argument}"),
            None => lines.push(argument.clone()),
        }
    }
    let is_own = |flag: &str| OWN_FLAGS.iter().any(|own| flag.split('=').next() == Some(own));
    let kept = lines.into_iter().filter(|flag| !is_own(flag));
    kept.map(|flag| flag.split_once('=').map_or_else(|| clip(&flag, MAX_CHARS), |(name, value)| line(name, value)))
        .collect()
}

/// Keys of address ranges, which differ from node to node where the file holds them.
const OWN_OF_CNI: [&str; 5] = ["subnet", "gateway", "rangeStart", "rangeEnd", "ranges"];

fn cni(reader: Reader<'_>, facts: &NodeFacts) -> Fact<Vec<String>> {
    let name = facts.cni.first.as_ref();
    name.and_then(|name| {
        let dir = facts.cni.conf_dir.known().map_or("/etc/cni/net.d", String::as_str).trim_end_matches('/');
        let path = format!("{dir}/{name}");
        let file = reader.each_whole("cni-file").find(|(arg, _)| *arg == path || arg == name);
        let text = file.map_or_else(|| reader.nothing("cni-file"), |(_, text)| text);
        text.and_then(json).map(|root| {
            let mut lines = vec![line("file", name)];
            flatten(&root, "", &OWN_OF_CNI, 0, &mut lines);
            lines
        })
    })
}

/// Those that are set by hand. Others follow the machine's size (`max_user_watches`, `nf_conntrack_max`) and differ soundly.
const SYSCTLS: [&str; 13] = [
    "fs.inotify.max_user_instances",
    "kernel.panic",
    "kernel.panic_on_oops",
    "net.bridge.bridge-nf-call-ip6tables",
    "net.bridge.bridge-nf-call-iptables",
    "net.ipv4.conf.all.forwarding",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.ip_forward",
    "net.ipv4.neigh.default.gc_thresh1",
    "net.ipv4.neigh.default.gc_thresh2",
    "net.ipv4.neigh.default.gc_thresh3",
    "net.ipv6.conf.all.disable_ipv6",
    "vm.overcommit_memory",
];

fn sysctls(reader: Reader<'_>) -> Fact<Vec<String>> {
    let keys = reader.keys("sysctl");
    reader.text("sysctl").map(|_| {
        let known = SYSCTLS.iter().filter_map(|key| Some(line(key, keys.get(key).known()?)));
        known.collect()
    })
}

/// A node that names none is one of them.
fn modules(facts: &NodeFacts) -> Fact<Vec<String>> {
    let named = |modules: &Vec<String>| modules.iter().map(|module| line(module, "loaded at boot")).collect();
    match &facts.kernel.modules_persisted {
        Fact::Absent => Fact::Known(Vec::new()),
        modules => modules.as_ref().map(named),
    }
}

fn flannel(facts: &NodeFacts) -> Fact<Vec<String>> {
    let flannel = &facts.flannel;
    flannel.network.as_ref().map(|network| {
        let mut lines = vec![line("network", network)];
        let vxlan = facts.network.interfaces.known().and_then(|all| all.get("flannel.1"));
        let numbers = [
            ("mtu", flannel.mtu.known()),
            ("interface.mtu", flannel.interface_mtu.known()),
            ("interface.vxlan-id", vxlan.and_then(|link| link.vxlan_id.known())),
            ("interface.vxlan-port", vxlan.and_then(|link| link.vxlan_port.known())),
        ];
        lines.extend(numbers.into_iter().filter_map(|(name, value)| Some(line(name, &value?.to_string()))));
        lines
    })
}

/// Every value with the path that leads to it; what stands in lists by place.
fn flatten(value: &serde_json::Value, path: &str, own: &[&str], depth: usize, into: &mut Vec<String>) {
    use serde_json::Value;
    if into.len() >= MAX_LINES || depth > MAX_DEPTH {
        return;
    }
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields.iter().filter(|(name, _)| !own.contains(&name.as_str())) {
                flatten(value, &below(name), own, depth + 1, into);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (place, item) in items.iter().enumerate() {
                flatten(item, &format!("{path}[{place}]"), own, depth + 1, into);
            }
        }
        Value::String(text) => into.push(line(path, text)),
        other => into.push(line(path, &other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::record;
    use super::*;

    fn configuration(sections: &[(&str, &str, &str)]) -> Configuration {
        Configuration::clone(&super::super::parse(&record(sections)).configuration)
    }

    fn lines_of(part: Part, sections: &[(&str, &str, &str)]) -> Vec<String> {
        configuration(sections).lines(part).to_vec()
    }

    #[test]
    fn containerds_dump_by_table_whatever_the_order_and_indent() {
        let dump = "root = \"/var/lib/containerd\"\n[plugins]\n  [plugins.cri]\n    a = true\n  [plugins.b]\n    auth = \"x\"\n";
        let other = "root = \"/var/lib/containerd\"\n[plugins.b]\nauth = \"y\"\n# note\n[plugins.cri]\na = true\n";
        let expected = ["plugins.b.auth = (hidden)", "plugins.cri.a = true", "root = \"/var/lib/containerd\""];
        assert_eq!(lines_of(Part::Containerd, &[("containerd-dump", "", dump)]), expected);
        let hash = |text| configuration(&[("containerd-dump", "", text)]).containerd;
        assert_eq!(hash(dump), hash(other));
        assert_ne!(hash(dump), hash("root = \"/data\"\n"));
        assert!(configuration(&[]).containerd.is_unknown());
    }

    #[test]
    fn what_is_the_nodes_own_is_left_out() {
        let kubelet = "kind: KubeletConfiguration\naddress: 192.0.2.7\nclusterDNS: [10.96.0.10]\nfailSwapOn: false\n";
        assert_eq!(
            lines_of(Part::Kubelet, &[("kubelet-config", "", kubelet)]),
            ["clusterDNS[0] = 10.96.0.10", "failSwapOn = false", "kind = KubeletConfiguration"]
        );
        let env = |subnet: &str| format!("FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET={subnet}\nFLANNEL_MTU=1450\n");
        let flannel = |subnet: &str| configuration(&[("flannel-env", "", &env(subnet))]).flannel;
        assert!(flannel("10.244.1.1/24").is_known());
        assert_eq!(flannel("10.244.1.1/24"), flannel("10.244.2.1/24"));
    }

    #[test]
    fn flags_in_both_spellings_without_the_nodes_own() {
        let arguments = [
            "/usr/bin/kubelet",
            "--kubeconfig=/a",
            "--node-ip",
            "192.0.2.1",
            "--v",
            "2",
            "--hostname-override=x",
            "--quiet",
        ];
        let flags = flags(&arguments.map(str::to_owned));
        assert_eq!(flags, ["--kubeconfig = /a", "--v = 2", "--quiet"]);
    }
}
