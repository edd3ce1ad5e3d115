//! Addresses, interfaces, listening ports with their owners, name resolution.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::alike::Alike;
use super::read::Reader;
use crate::record::rc;

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Network {
    /// Addresses of the node's own interfaces; those of `veth` ends are left out.
    pub addresses: Fact<Vec<Address>>,
    /// By name; `veth` ends are left out.
    pub interfaces: Fact<BTreeMap<String, Alike<Interface>>>,
    /// `via` of the default routes.
    pub default_gateways: Fact<Vec<String>>,
    /// The default route's interface.
    pub default_interface: Fact<String>,
    /// Pod networks that flannel routes to other nodes, as `10.244.1.0/24`.
    pub flannel_routes: Fact<Vec<Alike<String>>>,
    /// Listening TCP ports.
    pub listening: Fact<Vec<Listener>>,
    /// The ports that Kubernetes needs; `null` when nobody listens.
    pub ports: Ports,
    pub nameservers: Fact<Vec<String>>,
    /// What the node's own name resolves to on the node.
    pub own_name_resolves_to: Fact<Vec<String>>,
    /// The node's own name resolves to an address that is not its own.
    pub own_name_is_foreign: Fact<bool>,
    /// What came of looking up the registry of Kubernetes' images on the node; absent where nobody looked.
    pub registry_lookup: Fact<Lookup>,
}

/// The registry that kubeadm and containerd pull from by default.
const REGISTRY: &str = "registry.k8s.io";

/// What name resolution makes of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Lookup {
    Resolves,
    /// It answers that there is no such name, or that it cannot tell.
    NotFound,
    NoAnswer,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Address {
    pub interface: String,
    pub address: String,
    pub prefix: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Interface {
    pub mac: Fact<String>,
    pub mtu: Fact<u32>,
    /// `UP`, `DOWN`, `UNKNOWN`; the last is normal for VXLAN.
    pub state: Fact<String>,
    pub up: Fact<bool>,
    /// Of a VXLAN interface: its id.
    pub vxlan_id: Fact<u32>,
    /// Of a VXLAN interface: the UDP port.
    pub vxlan_port: Fact<u32>,
    /// Of a VXLAN interface: the node's address that it sends from.
    pub vxlan_local: Fact<String>,
    /// Of a VXLAN interface: the interface that it sends through.
    pub vxlan_device: Fact<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Listener {
    pub address: String,
    pub port: u32,
    pub pid: Fact<u32>,
    pub process: Fact<String>,
}

/// Named after the number, because that is what error messages show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Ports {
    /// The kubelet's API.
    pub p10250: Fact<Listener>,
    /// The kubelet's read-only API, open by default only without `--config`.
    pub p10255: Fact<Listener>,
    /// The kubelet's health.
    pub p10248: Fact<Listener>,
    /// The API server.
    pub p6443: Fact<Listener>,
    /// etcd.
    pub p2379: Fact<Listener>,
}

impl Network {
    pub(crate) fn parse(reader: Reader<'_>) -> Self {
        let addresses = reader.text("ip-addr").map(|text| text.lines().filter_map(address).collect::<Vec<_>>());
        let listening = reader.text("ports").map(|text| text.lines().filter_map(listener).collect::<Vec<_>>());
        let routes = reader.text("ip-route");
        let resolved = resolved(reader);
        let port = |number: u32| {
            listening.as_ref().and_then(|listening| {
                Fact::from_option(listening.iter().find(|listener| listener.port == number).cloned())
            })
        };
        Self {
            ports: Ports {
                p10250: port(10250),
                p10255: port(10255),
                p10248: port(10248),
                p6443: port(6443),
                p2379: port(2379),
            },
            default_gateways: routes.as_ref().map(|text| {
                text.lines().filter(|line| line.starts_with("default ")).filter_map(|line| after(line, "via")).collect()
            }),
            default_interface: routes.as_ref().and_then(|text| {
                let default = text.lines().find(|line| line.starts_with("default "));
                Fact::from_option(default.and_then(|line| after(line, "dev")))
            }),
            flannel_routes: routes.map(|text| {
                let lines = text.lines().filter(|line| word_after(line, "dev") == Some("flannel.1"));
                lines.filter_map(|line| line.split_whitespace().next()).map(Alike::from).collect()
            }),
            interfaces: interfaces(reader)
                .map(|all| all.into_iter().map(|(name, interface)| (name, interface.into())).collect()),
            nameservers: reader.text("resolv-conf").map(|text| {
                let lines = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
                lines.filter_map(|rest| rest.split_whitespace().next()).map(str::to_owned).collect()
            }),
            own_name_is_foreign: resolved.as_ref().and_then(|resolved| {
                addresses
                    .as_ref()
                    .map(|addresses| !resolved.is_empty() && !resolved.iter().any(|ip| is_own(addresses, ip)))
            }),
            own_name_resolves_to: resolved,
            registry_lookup: registry_lookup(reader),
            addresses,
            listening,
        }
    }

    /// Whether an address is one of this node's; unknown when its addresses could not be read.
    pub fn owns(&self, ip: &str) -> Fact<bool> {
        self.addresses.as_ref().map(|addresses| is_own(addresses, ip))
    }
}

fn is_own(addresses: &[Address], ip: &str) -> bool {
    ip.starts_with("127.") || ip == "::1" || addresses.iter().any(|own| own.address == ip)
}

/// The word after `key`.
fn after(line: &str, key: &str) -> Option<String> {
    word_after(line, key).map(str::to_owned)
}

fn word_after<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let mut words = line.split_ascii_whitespace();
    words.find(|word| *word == key)?;
    words.next()
}

/// `2: enp5s0    inet 192.168.4.61/24 brd ...`
fn address(line: &str) -> Option<Address> {
    let mut words = line.split_ascii_whitespace();
    let _index = words.next()?;
    let interface = words.next()?.trim_end_matches(':');
    let family = words.next()?;
    if !family.starts_with("inet") || interface.starts_with("veth") {
        return None;
    }
    let (address, prefix) = words.next()?.split_once('/')?;
    Some(Address { interface: interface.to_owned(), address: address.to_owned(), prefix: prefix.parse().ok()? })
}

/// `proto local-address port pid comm`
fn listener(line: &str) -> Option<Listener> {
    const HIDDEN: &str = "only root may see the owner";
    let mut words = line.splitn(5, [' ', '\t']);
    let proto = words.next()?;
    if !proto.starts_with("tcp") {
        return None;
    }
    let address = words.next()?.to_owned();
    let port = words.next()?.parse().ok()?;
    let pid = words.next().and_then(|pid| pid.parse().ok()).map_or_else(|| Fact::unknown(HIDDEN), Fact::Known);
    let process = words.next().map(str::trim).filter(|name| !name.is_empty() && *name != "-");
    let process = process.map_or_else(|| Fact::unknown(HIDDEN), |name| Fact::Known(name.to_owned()));
    Some(Listener { address, port, pid, process })
}

/// From `ip -d -o link`, else from `/sys/class/net`.
fn interfaces(reader: Reader<'_>) -> Fact<BTreeMap<String, Interface>> {
    let from_ip = reader.text("ip-link").map(|text| text.lines().filter_map(link).collect::<BTreeMap<_, _>>());
    from_ip.or_else(|| {
        let keys = reader.keys("net-if");
        keys.read().map(|()| {
            let names = keys.all().iter().filter_map(|(key, _)| key.strip_suffix(".mtu"));
            names
                .filter(|name| !name.starts_with("veth"))
                .map(|name| (name.to_owned(), from_sys(&keys, name)))
                .collect()
        })
    })
}

fn from_sys(keys: &super::read::Keys<'_>, name: &str) -> Interface {
    let state = keys.text(&format!("{name}.operstate")).map(|state| state.to_uppercase());
    Interface {
        mac: keys.text(&format!("{name}.mac")),
        mtu: keys.number(&format!("{name}.mtu")),
        up: state.as_ref().map(|state| state != "DOWN"),
        state,
        vxlan_id: Fact::unknown("ip is not installed"),
        vxlan_port: Fact::unknown("ip is not installed"),
        vxlan_local: Fact::unknown("ip is not installed"),
        vxlan_device: Fact::unknown("ip is not installed"),
    }
}

/// `5: flannel.1: <BROADCAST,UP> mtu 1450 ... state UNKNOWN ...\    link/ether aa:.. ... vxlan id 1 local .. dstport 8472 ...`
fn link(line: &str) -> Option<(String, Interface)> {
    let mut words = line.split_ascii_whitespace();
    let _index = words.next()?;
    let name = words.next()?.trim_end_matches(':');
    let name = name.split('@').next().unwrap_or(name);
    if name.starts_with("veth") {
        return None;
    }
    let flags = words.next()?.trim_matches(['<', '>']);
    let word = |key| Fact::from_option(after(line, key));
    let number = |key| word(key).and_then(|text: String| super::read::number(&text));
    let vxlan = line.split_ascii_whitespace().any(|word| word == "vxlan");
    let mac = ["link/ether", "link/loopback", "link/none"].iter().find_map(|key| after(line, key));
    let interface = Interface {
        mac: Fact::from_option(mac),
        mtu: number("mtu"),
        state: word("state"),
        up: Fact::Known(flags.split(',').any(|flag| flag == "UP")),
        vxlan_id: if vxlan { number("id") } else { Fact::Absent },
        vxlan_port: if vxlan { number("dstport") } else { Fact::Absent },
        vxlan_local: if vxlan { word("local") } else { Fact::Absent },
        vxlan_device: if vxlan { word("dev") } else { Fact::Absent },
    };
    Some((name.to_owned(), interface))
}

/// The first words of `getent hosts` lines.
fn resolved(reader: Reader<'_>) -> Fact<Vec<String>> {
    let own = reader.each("resolve").find(|(name, _)| *name != REGISTRY);
    let Some((_, text)) = own else { return reader.nothing("resolve") };
    text.map(|text| {
        let mut found: Vec<String> =
            text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
        found.dedup();
        found
    })
}

/// `getent` ends with 2 when there is no such name.
fn registry_lookup(reader: Reader<'_>) -> Fact<Lookup> {
    let Some(section) = reader.sections("resolve").find(|section| section.arg.as_deref() == Some(REGISTRY)) else {
        return if reader.sections("resolve").next().is_some() { Fact::Absent } else { reader.none_of("resolve") };
    };
    match (section.rc, super::read::read(section)) {
        (2, _) => Fact::Known(Lookup::NotFound),
        (rc::TIMEOUT, _) => Fact::Known(Lookup::NoAnswer),
        (_, text) => text.map(|_| Lookup::Resolves),
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::{record, record_of, section};
    use super::*;
    use crate::record::Section;

    const ADDR: &str = "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever\n\
        2: enp5s0    inet 192.168.4.61/24 brd 192.168.4.255 scope global enp5s0\n\
        7: veth12@if2    inet6 fe80::1/64 scope link\n9: cni0    inet 10.244.1.1/24 scope global cni0\n";

    fn parse(sections: &[(&str, &str, &str)]) -> Network {
        Network::parse(Reader::new(&record(sections)))
    }

    fn parse_of(sections: Vec<Section>) -> Network {
        Network::parse(Reader::new(&record_of(sections)))
    }

    #[test]
    fn addresses_and_ports() {
        let network = parse(&[
            ("ip-addr", "", ADDR),
            ("ports", "", "tcp * 10250 369269 kubelet\ntcp6 ::1 6443 - -\nudp 0.0.0.0 8472 - -\nrubbish\n"),
        ]);
        assert_eq!(network.addresses.known().unwrap().len(), 3);
        assert_eq!(network.owns("192.168.4.61"), Fact::Known(true));
        assert_eq!(network.owns("192.168.4.63"), Fact::Known(false));
        assert!(network.ports.p10250.is_known_and(|port| port.process == Fact::Known("kubelet".to_owned())));
        assert_eq!(network.ports.p10255, Fact::Absent);
        assert!(network.ports.p6443.is_known_and(|port| port.pid.is_unknown()));
    }

    #[test]
    fn the_registrys_name() {
        let lookup = |code| {
            let own = section("resolve", "node", 0, "192.168.4.61 node\n");
            parse_of(vec![own, section("resolve", REGISTRY, code, "")])
        };
        assert_eq!(lookup(2).registry_lookup, Fact::Known(Lookup::NotFound));
        assert_eq!(lookup(124).registry_lookup, Fact::Known(Lookup::NoAnswer));
        assert_eq!(lookup(0).registry_lookup, Fact::Known(Lookup::Resolves));
        assert!(lookup(127).registry_lookup.is_unknown());
        assert_eq!(lookup(2).own_name_resolves_to, Fact::Known(vec!["192.168.4.61".to_owned()]));
        assert_eq!(parse(&[("resolve", "node", "")]).registry_lookup, Fact::Absent);
    }

    #[test]
    fn a_port_is_not_free_because_nobody_could_look() {
        assert!(parse(&[]).ports.p10250.is_unknown());
    }

    #[test]
    fn the_vxlan_interface() {
        let line = "5: flannel.1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UNKNOWN mode DEFAULT \\    \
            link/ether 4a:1c:00:00:00:01 brd ff:ff:ff:ff:ff:ff promiscuity 0 vxlan id 1 local 192.168.4.62 dev eno1 srcport 0 0 dstport 8472 nolearning\n";
        let network = parse(&[
            ("ip-link", "", line),
            ("ip-route", "", "default via 192.168.4.1 dev eno1\n10.244.0.0/24 via 10.244.0.0 dev flannel.1 onlink\n"),
        ]);
        let flannel = &network.interfaces.known().unwrap()["flannel.1"];
        assert_eq!(
            (&flannel.vxlan_id, &flannel.vxlan_port, &flannel.up),
            (&Fact::Known(1), &Fact::Known(8472), &Fact::Known(true))
        );
        assert_eq!(flannel.vxlan_local, Fact::Known("192.168.4.62".to_owned()));
        assert_eq!(network.flannel_routes, Fact::Known(vec!["10.244.0.0/24".into()]));
        assert_eq!(network.default_interface, Fact::Known("eno1".to_owned()));
    }

    #[test]
    fn without_ip_the_kernel_files_serve() {
        let network = parse(&[("net-if", "", "eth0.mac=aa:bb\neth0.mtu=1500\neth0.operstate=up\n")]);
        assert_eq!(network.interfaces.known().unwrap()["eth0"].mtu, Fact::Known(1500));
    }

    #[test]
    fn a_name_that_points_elsewhere() {
        let foreign = |hosts| parse(&[("ip-addr", "", ADDR), ("resolve", "homelab", hosts)]).own_name_is_foreign;
        assert_eq!(foreign("192.168.4.63 homelab home.lab\n"), Fact::Known(true));
        assert_eq!(foreign("127.0.1.1 homelab\n"), Fact::Known(false));
        assert_eq!(foreign("192.168.4.61 homelab\n"), Fact::Known(false));
    }
}
