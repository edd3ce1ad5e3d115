//! What the demo's API server says: one view of the whole fleet, in the formats of the probe's API sections.
//!
//! The control plane's sections must agree with what the nodes themselves say (readiness, pod CIDRs, versions, flannel's
//! pods), or a sweep of the demo would find faults that are the demo's own.

use std::fmt::{self, Write as _};
use std::net::Ipv4Addr;
use std::sync::OnceLock;

use jiff::Timestamp;

use super::plan::{Behaviour, Node, Plan, State};
use super::vars::{self, Values, Var};

/// The answers that depend on the fleet; the others stand in the control plane's state file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    /// `nodes`
    Nodes,
    /// `pods`: those of kube-system and kube-flannel.
    Pods,
    /// `pod-ips`: those that are not on their host's network.
    PodIps,
    /// `daemonsets`
    DaemonSets,
    /// `events`: the warnings.
    Events,
}

impl Api {
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "nodes" => Self::Nodes,
            "pods" => Self::Pods,
            "pod-ips" => Self::PodIps,
            "daemonsets" => Self::DaemonSets,
            "events" => Self::Events,
            _ => return None,
        })
    }
}

/// The parts of a fleet that every node knows, and the API's texts once somebody asked for them.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) control_plane: Ipv4Addr,
    pub(super) storage: Ipv4Addr,
    /// When the fleet was started, in seconds since 1970.
    pub(super) started: i64,
    texts: [OnceLock<Text>; 5],
}

/// One answer, cut off like the probe cuts it.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) cut: bool,
}

impl Cluster {
    pub(super) fn new(plan: &Plan, started: i64) -> Self {
        let address = |state| plan.nodes.iter().find(|node| node.state == state).map(|node| node.address);
        let first = plan.nodes.first().map_or(Ipv4Addr::LOCALHOST, |node| node.address);
        let control_plane = address(State::ControlPlane).unwrap_or(first);
        Self {
            control_plane,
            storage: address(State::StorageNode).unwrap_or(control_plane),
            started,
            texts: Default::default(),
        }
    }

    /// The answer to one request, made from the fleet as it was at the first.
    pub(super) fn text(&self, api: Api, values: &Values<'_>) -> &Text {
        const MIB: usize = 1 << 20;
        type Writer = fn(&View<'_, '_>, &mut String) -> fmt::Result;
        let (slot, cap, write): (usize, usize, Writer) = match api {
            Api::Nodes => (0, 8 * MIB, |view, out| view.nodes(out)),
            Api::Pods => (1, 4 * MIB, |view, out| view.pods(out)),
            Api::PodIps => (2, MIB, |view, out| view.pod_ips(out)),
            Api::DaemonSets => (3, MIB, |view, out| view.daemon_sets(out)),
            Api::Events => (4, MIB, |view, out| view.events(out)),
        };
        self.texts[slot].get_or_init(|| {
            let mut text = String::new();
            // Writing to a String cannot fail.
            let _ = write(&View { values, now: self.started }, &mut text);
            let cut = text.len() > cap;
            if cut {
                text.truncate(text.as_bytes()[..cap].iter().rposition(|byte| *byte == b'\n').unwrap_or(0));
            }
            text.truncate(text.trim_end().len());
            Text { text, cut }
        })
    }
}

struct View<'a, 'b> {
    values: &'a Values<'b>,
    now: i64,
}

/// How the API server sees a kubelet.
enum Health {
    Ready,
    /// With what the kubelet says of it.
    NotReady(&'static str),
    /// The kubelet stopped posting.
    Lost,
}

fn health(node: &Node) -> Health {
    match (node.behaviour, node.state) {
        (Behaviour::Unreachable, _) => Health::Lost,
        (_, State::NoCni) => Health::NotReady(
            "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized",
        ),
        (_, State::ContainerdStopped) => Health::NotReady(
            "[container runtime is down, PLEG is not healthy: pleg was last seen active 9m12s ago; threshold is 3m0s]",
        ),
        _ => Health::Ready,
    }
}

/// Versions that a state's node reports.
fn os(node: &Node) -> [&'static str; 3] {
    if node.state == State::WorkerEl10 {
        ["Red Hat Enterprise Linux 10.0 (Coughlan)", "6.12.0-55.29.1.el10_0.x86_64", "containerd://1.7.27"]
    } else {
        ["Debian GNU/Linux 12 (bookworm)", "6.1.0-34-amd64", "containerd://1.6.20~ds1"]
    }
}

const DAY: i64 = 86_400;
const FLANNEL: &str = "ghcr.io/flannel-io/flannel:v0.26.7";
const KUBE_PROXY: &str = "registry.k8s.io/kube-proxy:v1.29.15";

impl<'b> View<'_, 'b> {
    fn plan(&self) -> &'b Plan {
        self.values.plan
    }

    /// The nodes that have a Node object, with their place in the plan.
    fn joined(&self) -> impl Iterator<Item = (usize, &'b Node)> {
        self.plan().nodes.iter().enumerate().filter(|(_, node)| node.state.has_joined())
    }

    fn iso(&self, ago: i64) -> String {
        let time = Timestamp::from_second(self.now - ago).unwrap_or(Timestamp::UNIX_EPOCH);
        time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    fn nodes(&self, out: &mut String) -> fmt::Result {
        for (index, node) in self.joined() {
            let name = node.name.to_lowercase();
            let own = |var| {
                let mut text = String::new();
                Values { index, ..*self.values }.write(&mut text, var);
                text
            };
            writeln!(out, "node={name}\ncreated={}", self.iso(node.state.join_began()))?;
            if node.state == State::ControlPlane {
                writeln!(out, "role=node-role.kubernetes.io/control-plane")?;
            }
            writeln!(out, "podCIDR={}.0/24", vars::pod_net(self.plan(), index))?;
            for taint in taints(node) {
                writeln!(out, "taint={taint} ")?;
            }
            writeln!(out, "address=InternalIP {}\naddress=Hostname {name}", node.address)?;
            self.conditions(out, node)?;
            let [os, kernel, runtime] = os(node);
            writeln!(
                out,
                "kubelet=v1.29.15\nkubeproxy=v1.29.15\nruntime={runtime}\nkernel={kernel}\nos=\"{os}\"\narch=amd64"
            )?;
            writeln!(out, "machineID={}\nsystemUUID={}", own(Var::Hex32(0)), own(Var::Uuid(1)))?;
            writeln!(out, "bootID={}\npods=110", own(Var::Uuid(2)))?;
            let vtep = vars::vtep(self.plan().seed, index);
            for (key, value) in [
                ("flannel.alpha.coreos.com/backend-data", format!(r#"{{\"VNI\":1,\"VtepMAC\":\"{vtep}\"}}"#)),
                ("flannel.alpha.coreos.com/backend-type", "vxlan".to_owned()),
                ("flannel.alpha.coreos.com/kube-subnet-manager", "true".to_owned()),
                ("flannel.alpha.coreos.com/public-ip", node.address.to_string()),
                ("kubeadm.alpha.kubernetes.io/cri-socket", "unix:///var/run/containerd/containerd.sock".to_owned()),
            ] {
                writeln!(out, "note={key} \"{value}\"")?;
            }
        }
        Ok(())
    }

    fn conditions(&self, out: &mut String, node: &Node) -> fmt::Result {
        let health = health(node);
        let mut condition = |kind: &str, status: &str, reason: &str, (changed, beat), message: &str| {
            let (changed, beat) = (self.iso(changed), self.iso(beat));
            writeln!(out, "condition={kind} {status} {reason} {changed} {beat}")?;
            if message.is_empty() { Ok(()) } else { writeln!(out, "message={kind} \"{message}\"") }
        };
        if let Health::Lost = health {
            for kind in ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"] {
                let message = "Kubelet stopped posting node status.";
                condition(kind, "Unknown", "NodeStatusUnknown", (3 * 3600 - 40, 3 * 3600), message)?;
            }
            return Ok(());
        }
        let usual = (node.state.join_began(), 40);
        condition("NetworkUnavailable", "False", "FlannelIsUp", (2 * DAY, 2 * DAY), "")?;
        condition("MemoryPressure", "False", "KubeletHasSufficientMemory", usual, "")?;
        if node.state == State::DiskFull {
            condition("DiskPressure", "True", "KubeletHasDiskPressure", (1500, 40), "kubelet has disk pressure")?;
        } else {
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure", usual, "")?;
        }
        condition("PIDPressure", "False", "KubeletHasSufficientPID", usual, "")?;
        match health {
            Health::NotReady(message) => {
                condition("Ready", "False", "KubeletNotReady", (node.state.join_began().min(560), 40), message)
            }
            Health::Ready | Health::Lost => condition("Ready", "True", "KubeletReady", usual, ""),
        }
    }

    fn pods(&self, out: &mut String) -> fmt::Result {
        for (index, node) in self.joined() {
            let name = node.name.to_lowercase();
            // The CNI configuration was never written because flannel's image never came.
            let stuck = node.state == State::NoCni;
            self.daemon_pod(out, "kube-flannel", &format!("kube-flannel-ds-{index:05x}"), node, FLANNEL, stuck)?;
            self.daemon_pod(out, "kube-system", &format!("kube-proxy-{index:05x}"), node, KUBE_PROXY, false)?;
            if node.state != State::ControlPlane {
                continue;
            }
            for (component, image) in [
                ("etcd", "etcd:3.5.16-0"),
                ("kube-apiserver", "kube-apiserver:v1.29.15"),
                ("kube-controller-manager", "kube-controller-manager:v1.29.15"),
                ("kube-scheduler", "kube-scheduler:v1.29.15"),
            ] {
                self.pod(out, "kube-system", &format!("{component}-{name}"), node, ("Node", &name))?;
                writeln!(out, "ip={0}\nhostIP={0}\nhostNetwork=true", node.address)?;
                writeln!(out, "container={component} 1 true running {}", self.iso(2 * DAY))?;
                writeln!(out, "image={component} registry.k8s.io/{image}")?;
            }
            for (suffix, ip) in COREDNS {
                let owner = ("ReplicaSet", "coredns-76f75df574");
                self.pod(out, "kube-system", &format!("coredns-76f75df574-{suffix}"), node, owner)?;
                writeln!(out, "ip={}.{ip}\nhostIP={}", vars::pod_net(self.plan(), index), node.address)?;
                writeln!(out, "container=coredns 1 true running {}", self.iso(2 * DAY))?;
                writeln!(out, "image=coredns registry.k8s.io/coredns/coredns:v1.11.1")?;
            }
        }
        Ok(())
    }

    /// The lines that every pod has.
    fn pod(&self, out: &mut String, namespace: &str, name: &str, node: &Node, owner: (&str, &str)) -> fmt::Result {
        let (kind, owner) = owner;
        writeln!(out, "pod={namespace} {name}\nnode={}\nphase=Running", node.name.to_lowercase())?;
        writeln!(out, "created={}\nowner={kind} {owner}", self.iso(node.state.join_began()))
    }

    fn daemon_pod(
        &self,
        out: &mut String,
        namespace: &str,
        name: &str,
        node: &Node,
        image: &str,
        stuck: bool,
    ) -> fmt::Result {
        let (set, container) = if namespace == "kube-flannel" {
            ("kube-flannel-ds", "kube-flannel")
        } else {
            ("kube-proxy", "kube-proxy")
        };
        if stuck {
            writeln!(out, "pod={namespace} {name}\nnode={}\nphase=Pending", node.name.to_lowercase())?;
            writeln!(out, "hostIP={0}\nip={0}\ncreated={1}", node.address, self.iso(node.state.join_began()))?;
            writeln!(out, "owner=DaemonSet {set}\nhostNetwork=true")?;
            writeln!(
                out,
                "condition=Initialized ContainersNotInitialized \"containers with incomplete status: [install-cni-plugin install-cni]\""
            )?;
            let back_off = "Back-off pulling image \\\"ghcr.io/flannel-io/flannel-cni-plugin:v1.6.2-flannel1\\\"";
            writeln!(out, "init=install-cni-plugin 0 false waiting ImagePullBackOff \"{back_off}\"")?;
            writeln!(out, "container={container} 0 false waiting PodInitializing \"\"")?;
        } else {
            self.pod(out, namespace, name, node, ("DaemonSet", set))?;
            writeln!(out, "ip={0}\nhostIP={0}\nhostNetwork=true", node.address)?;
            writeln!(out, "container={container} 0 true running {}", self.iso(2 * DAY))?;
        }
        writeln!(out, "image={container} {image}")
    }

    fn pod_ips(&self, out: &mut String) -> fmt::Result {
        for (index, node) in self.joined().filter(|(_, node)| node.state == State::ControlPlane) {
            for (suffix, ip) in COREDNS {
                let net = vars::pod_net(self.plan(), index);
                writeln!(out, "{} {net}.{ip} kube-system/coredns-76f75df574-{suffix}", node.name.to_lowercase())?;
            }
        }
        Ok(())
    }

    fn daemon_sets(&self, out: &mut String) -> fmt::Result {
        let joined = self.joined().count();
        let ready = self.joined().filter(|(_, node)| matches!(health(node), Health::Ready)).count();
        for (namespace, name, container, image) in [
            ("kube-flannel", "kube-flannel-ds", "kube-flannel", FLANNEL),
            ("kube-system", "kube-proxy", "kube-proxy", KUBE_PROXY),
        ] {
            writeln!(out, "daemonset={namespace} {name}\ncreated={}", self.iso(80 * DAY))?;
            let labels = if name == "kube-proxy" {
                "match=k8s-app kube-proxy"
            } else {
                "match=app flannel\nmatch=k8s-app flannel"
            };
            writeln!(out, "{labels}")?;
            writeln!(
                out,
                "desired={joined}\ncurrent={joined}\nready={ready}\navailable={ready}\nupdated={joined}\nmisscheduled=0"
            )?;
            if name == "kube-proxy" {
                writeln!(out, "selector=kubernetes.io/os linux\ntoleration=- Exists -")?;
            } else {
                writeln!(out, "affinity=true\ntoleration=- Exists NoSchedule")?;
            }
            writeln!(out, "image={container} {image}")?;
            if name == "kube-flannel-ds" {
                writeln!(out, "arg=\"--ip-masq\"\narg=\"--kube-subnet-mgr\"")?;
            }
        }
        Ok(())
    }

    /// At most 300, like the probe's.
    fn events(&self, out: &mut String) -> fmt::Result {
        let trouble = self.joined().filter_map(|(_, node)| {
            Some((
                node,
                match health(node) {
                    Health::Lost | Health::NotReady(_) => ("NodeNotReady", "Node status is now: NodeNotReady"),
                    Health::Ready if node.state == State::DiskFull => {
                        ("FreeDiskSpaceFailed", "failed to garbage collect required amount of images")
                    }
                    Health::Ready => return None,
                },
            ))
        });
        for (node, (reason, message)) in trouble.take(300) {
            let name = node.name.to_lowercase();
            writeln!(out, "{} 3 default Node/{name} {reason} {name} \"{message}\"", self.iso(600))?;
        }
        Ok(())
    }
}

/// The two of them, by the last number of their address.
const COREDNS: [(&str, u8); 2] = [("7q2lm", 2), ("x9vkd", 3)];

/// `KEY EFFECT`; kubeadm's and the node controller's.
fn taints(node: &Node) -> &'static [&'static str] {
    match health(node) {
        Health::Ready if node.state == State::ControlPlane => &["node-role.kubernetes.io/control-plane NoSchedule"],
        Health::Ready if node.state == State::DiskFull => &["node.kubernetes.io/disk-pressure NoSchedule"],
        Health::Ready => &[],
        Health::NotReady(_) => &["node.kubernetes.io/not-ready NoSchedule", "node.kubernetes.io/not-ready NoExecute"],
        Health::Lost => &["node.kubernetes.io/unreachable NoSchedule", "node.kubernetes.io/unreachable NoExecute"],
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::plan;
    use super::*;

    fn ask(nodes: usize, api: Api) -> String {
        let plan = plan(nodes, 7).unwrap();
        let cluster = Cluster::new(&plan, 1_757_511_688);
        let values = Values { plan: &plan, cluster: &cluster, index: 0, now_ms: 1_757_511_688_500 };
        cluster.text(api, &values).text.clone()
    }

    #[test]
    fn nodes_are_what_the_fleet_is() {
        let answer = ask(15, Api::Nodes);
        let parts = ["node=", "podCIDR=", "condition=Ready ", "taint="];
        let mut lines = Vec::new();
        for block in answer.split("node=").filter(|block| !block.is_empty()) {
            let block = format!("node={block}");
            let wanted = block.lines().filter_map(|line| parts.iter().find_map(|part| line.strip_prefix(part)));
            let wanted: Vec<_> = wanted.map(|line| line.split(" 2025-").next().unwrap_or(line).trim_end()).collect();
            lines.push(wanted.join(" "));
        }
        insta::assert_snapshot!(lines.join("\n"), @r"
        masternode 10.244.0.0/24 node-role.kubernetes.io/control-plane NoSchedule True KubeletReady
        node001 10.244.2.0/24 True KubeletReady
        homelab 10.244.3.0/24 node.kubernetes.io/unreachable NoSchedule node.kubernetes.io/unreachable NoExecute Unknown NodeStatusUnknown
        node002 10.244.4.0/24 True KubeletReady
        node003 10.244.5.0/24 True KubeletReady
        node004 10.244.6.0/24 True KubeletReady
        node005 10.244.7.0/24 True KubeletReady
        node006 10.244.8.0/24 True KubeletReady
        node007 10.244.9.0/24 node.kubernetes.io/not-ready NoSchedule node.kubernetes.io/not-ready NoExecute False KubeletNotReady
        node008 10.244.10.0/24 True KubeletReady
        node009 10.244.11.0/24 True KubeletReady
        node010 10.244.12.0/24 node.kubernetes.io/not-ready NoSchedule node.kubernetes.io/not-ready NoExecute False KubeletNotReady
        node011 10.244.13.0/24 True KubeletReady
        node012 10.244.14.0/24 node.kubernetes.io/disk-pressure NoSchedule True KubeletReady
        ");
    }

    #[test]
    fn every_joined_node_has_its_flannel_pod() {
        let pods = ask(12, Api::Pods);
        assert_eq!(pods.lines().filter(|line| line.starts_with("pod=kube-flannel ")).count(), 11);
        assert_eq!(pods.lines().filter(|line| line.contains("ImagePullBackOff")).count(), 1);
        assert!(ask(12, Api::DaemonSets).contains("desired=11\ncurrent=11\nready=9\n"));
    }

    #[test]
    fn events_name_only_what_is_wrong() {
        let events = ask(12, Api::Events);
        let nodes: Vec<_> = events.lines().filter_map(|line| line.split(' ').nth(5)).collect();
        assert_eq!(nodes, ["homelab", "node007"]);
    }

    #[test]
    fn a_very_large_clusters_answer_is_cut_at_a_line() {
        let plan = plan(10_000, 7).unwrap();
        let cluster = Cluster::new(&plan, 1_757_511_688);
        let values = Values { plan: &plan, cluster: &cluster, index: 0, now_ms: 1_757_511_688_500 };
        let answer = cluster.text(Api::Nodes, &values);
        assert!(answer.cut && answer.text.len() <= 8 << 20);
        assert!(!cluster.text(Api::Events, &values).cut);
    }

    #[test]
    fn coredns_has_pod_addresses_of_its_node() {
        assert!(ask(12, Api::PodIps).starts_with("masternode 10.244.0.2 kube-system/coredns-"));
    }
}
