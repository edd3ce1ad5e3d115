//! flannel's traces on a node: its subnet file, its interface, the bridge, its pod's log.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Fact;
use super::cni::Cni;
use super::crictl::shared_json;
use super::ipv4::Net;
use super::leases::Leases;
use super::logs::{container_line, last_error};
use super::network::Network;
use super::read::{Keys, Reader, number};
use super::vtep::Tables;

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Flannel {
    /// `/run/flannel/subnet.env` has all four of its variables.
    pub subnet_env_complete: Fact<bool>,
    /// `FLANNEL_NETWORK`: the cluster's pod network.
    pub network: Fact<String>,
    /// `FLANNEL_SUBNET`: the bridge's address on this node.
    pub subnet: Fact<String>,
    /// `FLANNEL_SUBNET` as a network, to compare with the Node's podCIDR.
    pub pod_cidr: Fact<String>,
    pub mtu: Fact<u32>,
    /// flannel.1 exists.
    pub interface: Fact<bool>,
    pub interface_up: Fact<bool>,
    pub interface_mtu: Fact<u32>,
    pub interface_local: Fact<String>,
    /// The IPv4 address of flannel.1 with its prefix.
    pub interface_address: Fact<String>,
    /// It is not the first one of flannel's subnet, which answers from here to pods of other nodes come from.
    pub interface_address_differs: Fact<bool>,
    /// Packets that came out of the tunnel since flannel.1 was made; absent where nobody counted.
    pub received: Fact<u64>,
    /// Packets that went into it.
    pub sent: Fact<u64>,
    /// The address of cni0 with its prefix; absent until the first pod has been there.
    pub cni0: Fact<String>,
    /// cni0 has another address than flannel's subnet wants.
    pub cni0_differs: Fact<bool>,
    /// A configuration of type flannel is there and flannel itself is not: the node may say Ready and has no network.
    pub config_without_runtime: Fact<bool>,
    /// The last error in the log of flannel's container.
    pub log_error: Fact<String>,
    /// flannel's newest container runs, as the runtime says; absent when there is none.
    pub container_running: Fact<bool>,
    /// How often it was started anew.
    pub container_restarts: Fact<u64>,
    /// Of flannel.1's VXLAN: its id, its UDP port, the interface that it sends through, and that one's MTU.
    pub interface_id: Fact<u32>,
    pub interface_port: Fact<u32>,
    pub outer_interface: Fact<String>,
    pub outer_mtu: Fact<u32>,
    /// flannel.1 takes packets that do not fit into the outer interface's with their headers.
    pub mtu_too_large: Fact<bool>,
    pub cni0_mtu: Fact<u32>,
    /// The bridge has another MTU than flannel's file says.
    pub cni0_mtu_differs: Fact<bool>,
    /// `FLANNEL_SUBNET` does not lie in `FLANNEL_NETWORK`.
    pub subnet_outside: Fact<bool>,
    /// The node's own networks that overlap with the pod network, as `eno1 10.244.0.0/24`.
    pub overlaps: Fact<Vec<String>>,
    /// Other VXLAN interfaces on flannel.1's UDP port.
    pub port_shared_with: Fact<Vec<String>>,
    /// Addresses of the subnet that pods have, and how much of it that is.
    pub leases_used: Fact<u64>,
    pub leases_used_percent: Fact<u32>,
    /// The address that a pod got last.
    pub last_lease: Fact<String>,
    /// It is not of flannel's subnet.
    pub last_lease_foreign: Fact<bool>,
    /// The way to the other nodes.
    #[serde(skip)]
    pub(crate) tables: Tables,
}

impl Flannel {
    pub(crate) fn parse(reader: Reader<'_>, network: &Network, cni: &Cni) -> Self {
        let env = reader.text("flannel-env");
        let variable = |name: &str| {
            env.as_ref().and_then(|text| {
                let value = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
                Fact::from_option(value.map(|value| value.trim().to_owned()))
            })
        };
        let subnet = variable("FLANNEL_SUBNET");
        let link = network.interfaces.as_ref().and_then(|all| Fact::from_option(all.get("flannel.1").cloned()));
        let address_of = |name: &str| {
            network.addresses.as_ref().and_then(|all| {
                let own = all.iter().find(|address| address.interface == name && address.address.contains('.'));
                Fact::from_option(own.map(|own| format!("{}/{}", own.address, own.prefix)))
            })
        };
        let (cni0, interface_address) = (address_of("cni0"), address_of("flannel.1"));
        let traffic = match reader.sections("overlay-traffic").next() {
            Some(_) => reader.keys("overlay-traffic"),
            None => Keys::new(reader.none_of("overlay-traffic")),
        };
        let complete = env.as_ref().map(|_| {
            let names = ["FLANNEL_NETWORK", "FLANNEL_SUBNET", "FLANNEL_MTU", "FLANNEL_IPMASQ"];
            names.iter().all(|name| variable(name).is_known_and(|value| !value.is_empty()))
        });
        let is_flannel = cni.first_plugins.as_ref().map(|plugins| plugins.iter().any(|plugin| plugin == "flannel"));
        let interface = presence(&link);
        let outer = link.as_ref().and_then(|link| link.vxlan_device.clone());
        let mtu_of = |name: &str| {
            network.interfaces.as_ref().and_then(|all| all.get(name).map_or(Fact::Absent, |found| found.mtu.clone()))
        };
        let outer_mtu = outer.as_ref().and_then(|outer| mtu_of(outer));
        let interface_mtu = link.as_ref().and_then(|link| link.mtu.clone());
        let cni0_mtu = mtu_of("cni0");
        let mtu = variable("FLANNEL_MTU").and_then(|mtu| number::<u32>(&mtu));
        let pods = variable("FLANNEL_NETWORK").and_then(|pods| Fact::from_option(Net::parse(&pods)));
        let own = subnet.as_ref().and_then(|subnet| Fact::from_option(Net::parse(subnet)));
        let leases = Leases::parse(reader, &cni.first_network, &subnet);
        let (container_running, container_restarts) = container(reader);
        Self {
            config_without_runtime: match (&is_flannel, &complete, &interface) {
                (Fact::Known(true), complete, Fact::Known(interface)) if !complete.is_unknown() => {
                    Fact::Known(!complete.is_true() && !interface)
                }
                (Fact::Known(true), Fact::Unknown(why), _) | (Fact::Known(true), _, Fact::Unknown(why)) => {
                    Fact::unknown(why.as_str())
                }
                (Fact::Unknown(why), ..) => Fact::unknown(why.as_str()),
                _ => Fact::Known(false),
            },
            subnet_env_complete: complete,
            network: variable("FLANNEL_NETWORK"),
            pod_cidr: own.as_ref().map(Net::to_string),
            subnet_outside: own.clone().and_then(|own| pods.as_ref().map(|pods| !pods.holds(own))),
            overlaps: pods.and_then(|pods| overlaps(pods, network)),
            port_shared_with: port_shared_with(network),
            mtu_too_large: interface_mtu
                .as_ref()
                .and_then(|own| outer_mtu.as_ref().map(|outer| own.saturating_add(VXLAN_OVERHEAD) > *outer)),
            cni0_mtu_differs: cni0_mtu.as_ref().and_then(|bridge| mtu.as_ref().map(|mtu| *bridge != *mtu)),
            cni0_mtu,
            mtu,
            outer_mtu,
            outer_interface: outer,
            interface_id: link.as_ref().and_then(|link| link.vxlan_id.clone()),
            interface_port: link.as_ref().and_then(|link| link.vxlan_port.clone()),
            container_running,
            container_restarts,
            leases_used: leases.used,
            leases_used_percent: leases.used_percent,
            last_lease: leases.last,
            last_lease_foreign: leases.last_is_foreign,
            tables: Tables::parse(reader),
            interface,
            interface_address_differs: interface_address.as_ref().and_then(|address| {
                let first = own.as_ref().map(|own| std::net::Ipv4Addr::from(own.base).to_string());
                first.map(|first| address.split('/').next() != Some(first.as_str()))
            }),
            interface_address,
            received: traffic.number("rx_packets"),
            sent: traffic.number("tx_packets"),
            interface_up: link.as_ref().and_then(|link| link.up.clone()),
            interface_mtu,
            interface_local: link.and_then(|link| link.vxlan_local.clone()),
            cni0_differs: cni0.as_ref().and_then(|cni0| subnet.as_ref().map(|subnet| *cni0 != *subnet)),
            subnet,
            cni0,
            log_error: log_error(reader),
        }
    }
}

fn presence<T>(fact: &Fact<T>) -> Fact<bool> {
    match fact {
        Fact::Known(_) => Fact::Known(true),
        Fact::Absent => Fact::Known(false),
        Fact::Unknown(why) => Fact::unknown(why.as_str()),
    }
}

/// Room for the outer headers of VXLAN over IPv4.
const VXLAN_OVERHEAD: u32 = 50;

/// Interfaces of the node itself whose network overlaps with flannel's.
fn overlaps(pods: Net, network: &Network) -> Fact<Vec<String>> {
    // What carries addresses of pods and services on purpose.
    let ours = ["lo", "cni", "flannel", "veth", "kube-", "nodelocaldns"];
    network.addresses.as_ref().map(|addresses| {
        let foreign = addresses.iter().filter(|own| !ours.iter().any(|name| own.interface.starts_with(name)));
        let nets = foreign.filter_map(|own| {
            let net = Net::parse(&format!("{}/{}", own.address, own.prefix)).filter(|net| net.overlaps(pods))?;
            Some(format!("{} {net}", own.interface))
        });
        nets.collect()
    })
}

/// Other VXLAN interfaces that want flannel's UDP port; the kernel gives it to one of them.
fn port_shared_with(network: &Network) -> Fact<Vec<String>> {
    network.interfaces.as_ref().map(|all| {
        let Some(port) = all.get("flannel.1").and_then(|own| own.vxlan_port.known()) else { return Vec::new() };
        let others = all.iter().filter(|(name, _)| !name.starts_with("flannel"));
        others.filter(|(_, other)| other.vxlan_port.known() == Some(port)).map(|(name, _)| name.clone()).collect()
    })
}

/// Whether flannel's newest container runs, and how often it was started anew.
fn container(reader: Reader<'_>) -> (Fact<bool>, Fact<u64>) {
    let newest = reader.whole("crictl-ps").and_then(shared_json).and_then(|list| {
        let all = list.get("containers").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let own =
            all.iter().filter(|one| one.pointer("/metadata/name").and_then(Value::as_str) == Some("kube-flannel"));
        let created = |one: &&Value| one.get("createdAt").and_then(Value::as_str).and_then(|at| at.parse::<u64>().ok());
        Fact::from_option(own.max_by_key(created).cloned())
    });
    let running = newest.as_ref().and_then(|one| {
        Fact::from_option(one.get("state").and_then(Value::as_str).map(|state| state == "CONTAINER_RUNNING"))
    });
    (running, newest.and_then(|one| Fact::from_option(one.pointer("/metadata/attempt").and_then(Value::as_u64))))
}

fn log_error(reader: Reader<'_>) -> Fact<String> {
    let newest = reader.each("log-pod").last();
    let Some((_, text)) = newest else { return reader.none_of("log-pod") };
    text.and_then(|text| {
        let bad = |line: &&str| line.contains("rror") || line.contains("ailed") || line.contains("fatal");
        let lines: Vec<&str> = text.lines().map(container_line).filter(bad).collect();
        Fact::from_option(last_error(&lines.join("\n")))
    })
}

#[cfg(test)]
mod tests;
