//! What the API server says, as a control-plane node's own `kubectl` printed it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Fact;
use super::blocks::{Block, blocks, unquote};
use super::certs::ca_sha256;
use super::crictl::json;
use super::read::{Reader, clip, read};
use super::yaml::yaml;

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Api {
    /// The API server answers on this node. Absent where it was not asked.
    pub answers: Fact<bool>,
    /// Why not.
    pub error: Fact<String>,
    /// Nodes by name.
    pub nodes: Fact<BTreeMap<String, ApiNode>>,
    /// `nodes` holds all of them; a long list may have been cut.
    pub nodes_complete: Fact<bool>,
    /// The server's version without `v`.
    pub version: Fact<String>,
    /// `/readyz` says ok.
    pub ready: Fact<bool>,
    /// The parts of `/readyz` that fail.
    pub not_ready: Fact<Vec<String>>,
    /// Pods of kube-system and kube-flannel.
    pub system_pods: Fact<Vec<Pod>>,
    /// flannel's daemon sets; two of them fight over one interface.
    pub flannel_daemonsets: Fact<Vec<DaemonSet>>,
    /// `Network` of flannel's net-conf.json.
    pub flannel_network: Fact<String>,
    pub flannel_backend: Fact<String>,
    /// UDP port and id of its VXLAN, where net-conf.json sets them.
    pub flannel_port: Fact<u32>,
    pub flannel_vni: Fact<u32>,
    /// `cni-conf.json` of flannel's configuration in the cluster.
    pub flannel_cni_conf: Fact<String>,
    /// SHA-256 of the public key of the CA in cluster-info: what a join pins.
    pub cluster_info_ca_sha256: Fact<String>,
    pub cluster_info_server: Fact<String>,
    /// Ids of the bootstrap tokens that cluster-info is signed for.
    pub signed_token_ids: Fact<Vec<String>>,
    /// Certificate requests that wait for approval.
    pub pending_csrs: Fact<Vec<String>>,
    /// Those of joining nodes that nobody decided on within a minute, or that were denied.
    pub refused_join_csrs: Fact<Vec<String>>,
    /// Who leads each component, by the lease's name in kube-system.
    pub leases: Fact<BTreeMap<String, Lease>>,
    /// Bindings that a join needs and the cluster has not; absent in a cluster that has none of kubeadm's.
    pub missing_bindings: Fact<Vec<String>>,
    /// `cgroupDriver` that the cluster gives to kubelets.
    pub kubelet_cgroup_driver: Fact<String>,
    /// `clusterDNS` that the cluster gives to kubelets.
    pub kubelet_cluster_dns: Fact<Vec<String>>,
    pub kubernetes_version: Fact<String>,
    pub control_plane_endpoint: Fact<String>,
    pub pod_subnet: Fact<String>,
    pub service_subnet: Fact<String>,
    /// Addresses of pods by node, of pods that are not on the node's network.
    pub pod_ips: Fact<BTreeMap<String, Vec<String>>>,
    /// Warnings by node, as `REASON OBJECT: text`, newest last.
    pub events: Fact<BTreeMap<String, Vec<String>>>,
}

pub use join::Lease;

/// A Node object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct ApiNode {
    pub name: String,
    pub ready: Fact<bool>,
    /// The Ready condition's reason and message.
    pub ready_reason: Fact<String>,
    pub ready_message: Fact<String>,
    /// When the Ready condition last changed, in seconds since 1970.
    pub ready_since: Fact<i64>,
    /// When the kubelet last reported, in seconds since 1970.
    pub heartbeat: Fact<i64>,
    pub created: Fact<i64>,
    pub internal_ips: Vec<String>,
    pub pod_cidr: Fact<String>,
    pub kubelet_version: Fact<String>,
    pub runtime_version: Fact<String>,
    pub os_image: Fact<String>,
    pub kernel_version: Fact<String>,
    pub machine_id: Fact<String>,
    pub system_uuid: Fact<String>,
    pub boot_id: Fact<String>,
    pub cordoned: bool,
    /// `key=value:Effect`.
    pub taints: Vec<String>,
    /// Conditions other than Ready that are true.
    pub pressures: Vec<String>,
    /// flannel's `public-ip` annotation.
    pub flannel_public_ip: Fact<String>,
    /// flannel's `backend-data` annotation, as written.
    pub flannel_backend_data: Fact<String>,
    pub control_plane: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Pod {
    pub namespace: String,
    pub name: String,
    /// Where it runs; absent while it is not scheduled.
    pub node: Fact<String>,
    pub phase: Fact<String>,
    pub ready: bool,
    pub restarts: u64,
    /// Why a container waits or ended (`CrashLoopBackOff`), init containers first.
    pub reason: Fact<String>,
    /// Of its first container.
    pub image: Fact<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct DaemonSet {
    pub namespace: String,
    pub name: String,
    /// On how many nodes it wants a pod.
    pub desired: Fact<u64>,
    /// On how many of them there is one.
    pub current: Fact<u64>,
    pub ready: Fact<u64>,
    /// Labels that a node must have, as `key=value`.
    pub selector: Vec<String>,
    /// It has an affinity, as flannel's own manifest has for the operating system.
    pub affinity: bool,
    pub tolerations: Vec<Toleration>,
    /// Of its first container.
    pub image: Fact<String>,
}

/// A taint that a pod does not mind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Toleration {
    /// Absent stands for all keys.
    pub key: Fact<String>,
    /// Absent stands for all effects.
    pub effect: Fact<String>,
}

impl Api {
    /// `now`: the node's clock in seconds.
    pub(crate) fn parse(reader: Reader<'_>, now: Option<i64>) -> Self {
        let (answers, error) = answer(reader);
        let flannel = named_map(reader, "api-flannel-cm");
        let net_conf = data(&flannel, "net-conf.json").and_then(|text| json(&text));
        let info = named_map(reader, "api-cluster-info");
        let cluster = data(&info, "kubeconfig").and_then(|text| yaml(&text)).and_then(|root| {
            Fact::from_option(root.get("clusters").and_then(|list| list.get(0)?.get("cluster").cloned()))
        });
        let of_cluster = |key: &str| {
            cluster.as_ref().and_then(|cluster| {
                Fact::from_option(cluster.get(key).and_then(|value| value.as_str()).map(str::to_owned))
            })
        };
        let kubeadm = named_map(reader, "api-kubeadm-config");
        let kubeadm = data(&kubeadm, "ClusterConfiguration").and_then(|text| yaml(&text));
        let setting = |path: &[&str]| {
            kubeadm.as_ref().and_then(|root| {
                let value = path.iter().try_fold(&**root, |value, key| value.get(*key));
                Fact::from_option(value.and_then(|value| value.as_str()).map(str::to_owned))
            })
        };
        let kubelets = data(&named_map(reader, "api-kubelet-config"), "kubelet").and_then(|text| yaml(&text));
        let readyz = asked(reader, "api-readyz", |text, _| text);
        Self {
            nodes: asked(reader, "api-nodes", |text, cut| {
                let nodes = blocks(text, "node", cut).iter().filter_map(ApiNode::parse).collect::<Vec<_>>();
                nodes.into_iter().map(|node| (node.name.clone(), node)).collect()
            }),
            nodes_complete: asked(reader, "api-nodes", |_, cut| !cut),
            version: asked(reader, "api-version", |text, _| json(text))
                .and_then(|version| version)
                .and_then(|version| {
                    text(&version, "/gitVersion").or_else(|| text(&version, "/serverVersion/gitVersion"))
                })
                .map(|version| version.trim_start_matches('v').to_owned()),
            ready: readyz.clone().map(|text| not_ready(text).is_empty() && text.contains("ok")),
            not_ready: readyz.map(not_ready),
            system_pods: whole(reader, "api-pods-system")
                .map(|text| blocks(text, "pod", false).iter().filter_map(Pod::parse).collect()),
            flannel_daemonsets: whole(reader, "api-daemonsets").map(|text| {
                let sets = blocks(text, "daemonset", false);
                sets.iter().filter_map(DaemonSet::parse).filter(|set| set.name.contains("flannel")).collect()
            }),
            flannel_network: net_conf.as_ref().and_then(|conf| text(conf, "/Network")),
            flannel_backend: net_conf.as_ref().and_then(|conf| text(conf, "/Backend/Type")),
            flannel_port: net_conf.as_ref().and_then(|conf| whole_number(conf, "/Backend/Port")),
            flannel_vni: net_conf.as_ref().and_then(|conf| whole_number(conf, "/Backend/VNI")),
            flannel_cni_conf: data(&flannel, "cni-conf.json"),
            cluster_info_ca_sha256: of_cluster("certificate-authority-data").and_then(|data| ca_sha256(&data)),
            cluster_info_server: of_cluster("server").map(|server| clip(&server, 300)),
            signed_token_ids: info.map(|map| {
                let keys = map.get("data").and_then(Value::as_object).into_iter().flat_map(|data| data.keys());
                keys.filter_map(|key| key.strip_prefix("jws-kubeconfig-")).map(str::to_owned).collect()
            }),
            pending_csrs: whole(reader, "api-csr").map(|text| {
                let requests = blocks(text, "csr", false);
                let pending = requests.iter().filter(|csr| csr.get("condition").is_none());
                pending.filter_map(|csr| csr.get("csr").map(|name| clip(name, 200))).collect()
            }),
            refused_join_csrs: whole(reader, "api-csr").map(|text| join::refused(text, now)),
            leases: whole(reader, "api-leases").map(join::leases),
            missing_bindings: whole(reader, "api-rbac").and_then(join::missing_bindings),
            kubelet_cgroup_driver: kubelets.as_ref().and_then(|root| {
                Fact::from_option(root.get("cgroupDriver").and_then(|value| Some(value.as_str()?.to_owned())))
            }),
            kubelet_cluster_dns: kubelets.as_ref().and_then(|root| {
                let servers = root.get("clusterDNS").and_then(|list| list.as_sequence());
                Fact::from_option(servers.map(|servers| {
                    servers.iter().filter_map(|server| server.as_str()).map(|server| clip(server, 60)).collect()
                }))
            }),
            kubernetes_version: setting(&["kubernetesVersion"])
                .map(|version| version.trim_start_matches('v').to_owned()),
            control_plane_endpoint: setting(&["controlPlaneEndpoint"]),
            pod_subnet: setting(&["networking", "podSubnet"]),
            service_subnet: setting(&["networking", "serviceSubnet"]),
            pod_ips: whole(reader, "api-pod-ips").map(pod_ips),
            events: asked(reader, "api-events", |text, _| events(text)),
            answers,
            error,
        }
    }
}

/// Whether the API answered, and why not: the first call's word, because the others are not made after it failed.
fn answer(reader: Reader<'_>) -> (Fact<bool>, Fact<String>) {
    let Some(first) = reader.sections("api-version").chain(reader.sections("api-nodes")).next() else {
        return (reader.none_of("api-nodes"), reader.none_of("api-nodes"));
    };
    match read(first) {
        Fact::Known(_) => (Fact::Known(true), Fact::Absent),
        Fact::Absent => (Fact::Absent, Fact::Absent),
        // Without the right or the tool to ask, nothing is known of the server.
        Fact::Unknown(why) if matches!(first.rc, 77 | 127) => (Fact::unknown(why.as_str()), Fact::Unknown(why)),
        Fact::Unknown(why) => (Fact::Known(false), Fact::Known(String::clone(&why))),
    }
}

/// A section of a control plane, with whether it was cut; absent on nodes where nobody asks.
fn asked<'a, T>(reader: Reader<'a>, id: &'static str, f: impl FnOnce(&'a str, bool) -> T) -> Fact<T> {
    match reader.sections(id).next() {
        Some(section) => read(section).map(|text| f(text, section.truncated)),
        None => reader.none_of(id),
    }
}

/// The same for lists that would mislead in part.
fn whole<'a>(reader: Reader<'a>, id: &'static str) -> Fact<&'a str> {
    if reader.sections(id).next().is_some() { reader.whole(id) } else { reader.none_of(id) }
}

/// A configuration map, or the first of a list of them.
fn named_map(reader: Reader<'_>, id: &'static str) -> Fact<Value> {
    whole(reader, id).and_then(json).and_then(|value| match value.get("items").and_then(Value::as_array) {
        Some(items) => Fact::from_option(items.first().cloned()),
        None => Fact::Known(value),
    })
}

/// An entry of a configuration map.
fn data(map: &Fact<Value>, key: &str) -> Fact<String> {
    let entry = |map: &Value| map.get("data").and_then(|data| data.get(key)?.as_str()).map(str::to_owned);
    map.as_ref().and_then(|map| Fact::from_option(entry(map)))
}

fn text(value: &Value, pointer: &str) -> Fact<String> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    Fact::from_option(found.filter(|text| !text.is_empty()).map(|text| clip(text, 400)))
}

fn whole_number(value: &Value, pointer: &str) -> Fact<u32> {
    Fact::from_option(value.pointer(pointer).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok()))
}

fn epoch(time: &str) -> Fact<i64> {
    match time.parse::<jiff::Timestamp>() {
        Ok(time) => Fact::Known(time.as_second()),
        Err(_) => Fact::unknown("no time of RFC 3339"),
    }
}

/// `[-]etcd failed: reason withheld` lines.
fn not_ready(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.trim().strip_prefix("[-]")).map(|rest| clip(rest, 200)).collect()
}

/// `NODE IP NAMESPACE/NAME`
fn pod_ips(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut by_node: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        if let (Some(node), Some(ip)) = (words.next(), words.next()) {
            by_node.entry(node.to_owned()).or_default().push(ip.to_owned());
        }
    }
    by_node
}

/// `TIME COUNT NAMESPACE KIND/NAME REASON NODE "message"`
fn events(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut by_node: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.splitn(7, ' ').collect();
        let [_, _, _, object, reason, node, message] = fields[..] else { continue };
        let said = clip(&unquote(message), 300);
        by_node.entry(node.to_owned()).or_default().push(format!("{reason} {object}: {said}"));
    }
    by_node
}

impl ApiNode {
    fn parse(block: &Block<'_>) -> Option<Self> {
        let name = block.get("node").filter(|name| !name.is_empty())?;
        let of = |key: &str| Fact::from_option(block.get(key).map(|value| clip(&unquote(value), 200)));
        let note = |key: &str| {
            let value = block.named("note", &format!("flannel.alpha.coreos.com/{key}"));
            Fact::from_option(value.map(|value| clip(&unquote(value), 200)))
        };
        // STATUS REASON TRANSITION HEARTBEAT
        let ready: Vec<&str> = block.named("condition", "Ready").unwrap_or_default().split(' ').collect();
        let part = |index: usize| Fact::from_option(ready.get(index).copied().filter(|word| !word.is_empty()));
        let message = block.named("message", "Ready").map(|text| clip(&unquote(text), 400));
        let true_ones = block.all("condition").filter_map(|condition| {
            let mut words = condition.split(' ');
            words.next().filter(|kind| *kind != "Ready" && words.next() == Some("True"))
        });
        Some(Self {
            name: name.to_owned(),
            // "Unknown" means that the kubelet has not reported for a while.
            ready: part(0).map(|status| status == "True"),
            ready_reason: part(1).map(str::to_owned),
            ready_message: Fact::from_option(message),
            ready_since: part(2).and_then(epoch),
            heartbeat: part(3).and_then(epoch),
            created: Fact::from_option(block.get("created")).and_then(epoch),
            internal_ips: block
                .all("address")
                .filter_map(|address| address.strip_prefix("InternalIP "))
                .map(str::to_owned)
                .collect(),
            pod_cidr: of("podCIDR"),
            kubelet_version: of("kubelet").map(|version| version.trim_start_matches('v').to_owned()),
            runtime_version: of("runtime"),
            os_image: of("os"),
            kernel_version: of("kernel"),
            machine_id: of("machineID"),
            system_uuid: of("systemUUID"),
            boot_id: of("bootID"),
            cordoned: block.get("unschedulable") == Some("true"),
            taints: block.all("taint").map(taint).collect(),
            pressures: true_ones.map(str::to_owned).collect(),
            flannel_public_ip: note("public-ip"),
            flannel_backend_data: note("backend-data"),
            control_plane: block.all("role").any(|role| {
                let role = role.rsplit('/').next().unwrap_or(role);
                role == "control-plane" || role == "master"
            }),
        })
    }
}

/// `KEY EFFECT VALUE` -> `KEY=VALUE:EFFECT`, as kubectl writes it.
fn taint(taint: &str) -> String {
    let mut words = taint.split(' ');
    let (key, effect) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match words.next().filter(|value| !value.is_empty()) {
        Some(value) => format!("{key}={value}:{effect}"),
        None => format!("{key}:{effect}"),
    }
}

impl Pod {
    fn parse(block: &Block<'_>) -> Option<Self> {
        let (namespace, name) = block.get("pod")?.split_once(' ')?;
        // NAME RESTARTS READY STATE REASON...
        let fields = |key: &'static str| block.all(key).map(|line| line.split(' ').collect::<Vec<_>>());
        let containers: Vec<_> = fields("container").collect();
        let all: Vec<_> = fields("init").chain(containers.iter().cloned()).collect();
        let reason = all.iter().find_map(|container| match container.get(3..)? {
            ["waiting", reason, ..] => Some(*reason),
            ["terminated", reason, ..] if *reason != "Completed" => Some(*reason),
            _ => None,
        });
        let restarts = all.iter().filter_map(|container| container.get(1)?.parse::<u64>().ok());
        Some(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            node: Fact::from_option(block.get("node").filter(|node| !node.is_empty()).map(str::to_owned)),
            phase: Fact::from_option(block.get("phase").map(str::to_owned)),
            ready: !containers.is_empty() && containers.iter().all(|container| container.get(2) == Some(&"true")),
            restarts: restarts.fold(0, u64::saturating_add),
            reason: Fact::from_option(reason.map(|reason| clip(reason, 80))),
            image: image(block),
        })
    }
}

impl DaemonSet {
    fn parse(block: &Block<'_>) -> Option<Self> {
        let (namespace, name) = block.get("daemonset")?.split_once(' ')?;
        let number = |key: &str| Fact::from_option(block.get(key)).and_then(super::read::number);
        Some(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            desired: number("desired"),
            current: number("current"),
            ready: number("ready"),
            selector: block.all("selector").map(|label| clip(label, 200).replacen(' ', "=", 1)).collect(),
            affinity: block.get("affinity") == Some("true"),
            tolerations: block.all("toleration").map(toleration).collect(),
            image: image(block),
        })
    }
}

/// `NAME IMAGE` of the first container.
fn image(block: &Block<'_>) -> Fact<String> {
    let image = block.get("image").and_then(|line| line.split_once(' '));
    Fact::from_option(image.map(|(_, image)| clip(image, 200)))
}

/// `KEY OPERATOR EFFECT`, with `-` for what is not said.
fn toleration(line: &str) -> Toleration {
    let mut words =
        line.split(' ').map(|word| Fact::from_option((word != "-" && !word.is_empty()).then(|| clip(word, 200))));
    let key = words.next().unwrap_or(Fact::Absent);
    Toleration { key, effect: words.nth(1).unwrap_or(Fact::Absent) }
}

mod join;
#[cfg(test)]
mod tests;
