//! flannel's traces on a node: its subnet file, its interface, the bridge, its pod's log.

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::cni::Cni;
use super::logs::{container_line, last_error};
use super::network::Network;
use super::read::{Reader, number};

#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
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
    /// The address of cni0 with its prefix; absent until the first pod has been there.
    pub cni0: Fact<String>,
    /// cni0 has another address than flannel's subnet wants.
    pub cni0_differs: Fact<bool>,
    /// A configuration of type flannel is there and flannel itself is not: the node may say Ready and has no network.
    pub config_without_runtime: Fact<bool>,
    /// The last error in the log of flannel's container.
    pub log_error: Fact<String>,
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
        let cni0 = network.addresses.as_ref().and_then(|all| {
            let own = all.iter().find(|address| address.interface == "cni0" && address.address.contains('.'));
            Fact::from_option(own.map(|own| format!("{}/{}", own.address, own.prefix)))
        });
        let complete = env.as_ref().map(|_| {
            let names = ["FLANNEL_NETWORK", "FLANNEL_SUBNET", "FLANNEL_MTU", "FLANNEL_IPMASQ"];
            names.iter().all(|name| variable(name).is_known_and(|value| !value.is_empty()))
        });
        let is_flannel = cni.first_plugins.as_ref().map(|plugins| plugins.iter().any(|plugin| plugin == "flannel"));
        let interface = presence(&link);
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
            pod_cidr: subnet.as_ref().and_then(|subnet| Fact::from_option(network_of(subnet))),
            mtu: variable("FLANNEL_MTU").and_then(|mtu| number(&mtu)),
            interface,
            interface_up: link.clone().and_then(|link| link.up),
            interface_mtu: link.clone().and_then(|link| link.mtu),
            interface_local: link.and_then(|link| link.vxlan_local),
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

/// `10.244.1.1/24` -> `10.244.1.0/24`; IPv4 only, as flannel's variable is.
fn network_of(subnet: &str) -> Option<String> {
    let (address, prefix) = subnet.split_once('/')?;
    let address: std::net::Ipv4Addr = address.parse().ok()?;
    let prefix: u32 = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
    let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
    Some(format!("{}/{prefix}", std::net::Ipv4Addr::from(u32::from(address) & mask)))
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
mod tests {
    use super::super::containerd::Containerd;
    use super::super::permissions::Permissions;
    use super::super::read::test_support::record;
    use super::*;

    const ENV: &str =
        "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";
    const CONF: (&str, &str, &str) =
        ("cni-file", "/etc/cni/net.d/10-flannel.conflist", r#"{"name":"cbr0","plugins":[{"type":"flannel"}]}"#);
    const DIR: (&str, &str, &str) = ("cni-dir", "/etc/cni/net.d", "644 0:0 1 1 f\t10-flannel.conflist\n");

    fn parse(sections: &[(&str, &str, &str)]) -> Flannel {
        let record = record(sections);
        let reader = Reader::new(&record);
        let containerd = Containerd::parse(reader, &Permissions::parse(reader), None);
        let cni = Cni::parse(reader, &containerd, &Fact::Absent);
        Flannel::parse(reader, &Network::parse(reader), &cni)
    }

    #[test]
    fn a_complete_file_and_a_bridge_that_agrees() {
        let flannel =
            parse(&[("flannel-env", "", ENV), ("ip-addr", "", "9: cni0    inet 10.244.1.1/24 scope global cni0\n")]);
        assert_eq!(flannel.subnet_env_complete, Fact::Known(true));
        assert_eq!(flannel.pod_cidr, Fact::Known("10.244.1.0/24".to_owned()));
        assert_eq!(flannel.cni0_differs, Fact::Known(false));
    }

    #[test]
    fn a_bridge_of_another_subnet() {
        let flannel =
            parse(&[("flannel-env", "", ENV), ("ip-addr", "", "9: cni0    inet 10.244.0.1/16 scope global cni0\n")]);
        assert_eq!(flannel.cni0_differs, Fact::Known(true));
    }

    #[test]
    fn no_bridge_yet_is_no_difference() {
        let flannel = parse(&[("flannel-env", "", ENV), ("ip-addr", "", "1: lo    inet 127.0.0.1/8\n")]);
        assert_eq!((flannel.cni0, flannel.cni0_differs), (Fact::Absent, Fact::Absent));
    }

    #[test]
    fn half_a_file_is_incomplete() {
        assert_eq!(
            parse(&[("flannel-env", "", "FLANNEL_NETWORK=10.244.0.0/16\n")]).subnet_env_complete,
            Fact::Known(false)
        );
    }

    #[test]
    fn a_configuration_without_flannel_behind_it() {
        let links = ("ip-link", "", "1: lo: <LOOPBACK,UP> mtu 65536 state UNKNOWN link/loopback 00\n");
        let mut sections = vec![CONF, DIR, links];
        let record = |sections: &[(&str, &str, &str)]| parse(sections).config_without_runtime;
        assert!(record(&sections).is_unknown(), "nobody looked for subnet.env");
        sections.push(("flannel-env", "", ENV));
        assert_eq!(record(&sections), Fact::Known(false));
    }

    #[test]
    fn the_last_error_of_flannels_container() {
        let log = "2025-09-12T16:20:00.1Z stderr F I0912 main.go:210] CLI flags config\n\
                   2025-09-12T16:20:01.1Z stderr F E0912 16:20:01.1 1 main.go:332] Error registering network: node \"x\" pod cidr not assigned\n";
        let flannel = parse(&[("log-pod", "/var/log/pods/x.log", log)]);
        assert_eq!(
            flannel.log_error,
            Fact::Known("Error registering network: node \"x\" pod cidr not assigned".to_owned())
        );
    }

    #[test]
    fn networks() {
        for (subnet, expected) in [
            ("10.244.1.1/24", Some("10.244.1.0/24")),
            ("10.0.0.1/0", Some("0.0.0.0/0")),
            ("x", None),
            ("1.2.3.4/40", None),
        ] {
            assert_eq!(network_of(subnet).as_deref(), expected);
        }
    }
}
