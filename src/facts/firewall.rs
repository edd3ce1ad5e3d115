//! Packet filters: which are active, what they let in, and whether kube-proxy's and flannel's rules are there.

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::host_firewall::{self, NEEDED};
use super::read::{Keys, Reader, number};
use super::unit::processes;

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Firewall {
    /// firewalld's state, as it says itself (`running`).
    pub firewalld: Fact<String>,
    pub firewalld_running: Fact<bool>,
    /// Open ports of firewalld's default zone (`10250/tcp`).
    pub firewalld_ports: Fact<Vec<String>>,
    pub firewalld_masquerade: Fact<bool>,
    /// Of the pod network's interfaces, those in no zone of firewalld that accepts everything. Absent when it does not run.
    pub untrusted_interfaces: Fact<Vec<String>>,
    /// Rules in either backend that drop or reject what comes in on flannel's UDP port, 8472; absent where nobody counted.
    pub vxlan_drops: Fact<u64>,
    pub ufw: Fact<String>,
    pub ufw_active: Fact<bool>,
    /// What happens to packets for the node that no rule of ufw names.
    pub ufw_input: Fact<String>,
    /// Of the ports that Kubernetes needs (`10250/tcp` and `8472/udp`, of a control plane `6443/tcp`), those that firewalld or
    /// ufw keeps closed. Absent when neither is active.
    pub closed_ports: Fact<Vec<String>>,
    pub nft_rules: Fact<u64>,
    /// What `iptables -V` says.
    pub iptables_version: Fact<String>,
    /// `nf_tables` or `legacy`.
    pub iptables_backend: Fact<String>,
    pub iptables_rules: Fact<u64>,
    pub iptables_legacy_rules: Fact<u64>,
    /// Rules of kube-proxy's service chains and of flannel, in the older of the two backends.
    pub legacy_kube_rules: Fact<u64>,
    /// The same in the newer one.
    pub nft_kube_rules: Fact<u64>,
    /// Policy of the FORWARD chain.
    pub forward_policy: Fact<String>,
    /// Rules of kube-proxy's service chains.
    pub kube_service_rules: Fact<u64>,
    pub flannel_rules: Fact<u64>,
    /// kube-proxy's own table, which it has in its nftables mode.
    pub kube_proxy_table: Fact<bool>,
    /// Services of ipvs, which kube-proxy has in its ipvs mode.
    pub ipvs_services: Fact<u64>,
    /// For how many seconds kube-proxy has run; absent when it does not.
    pub kube_proxy_age: Fact<i64>,
    /// Chains of other CNI plugins.
    pub foreign_chains: Fact<String>,
    pub network_manager: Fact<String>,
    /// `NetworkManager` is told to leave CNI's interfaces alone.
    pub network_manager_unmanaged: Fact<String>,
}

impl Firewall {
    /// `now`: the node's clock in seconds.
    pub(crate) fn parse(reader: Reader<'_>, now: Option<i64>) -> Self {
        let keys = reader.keys("firewall");
        let firewalld = keys.text("firewalld");
        let ufw = keys.text("ufw");
        let version = keys.text("iptables_version");
        let zone = reader.text("firewalld");
        let setting = |name: &str| {
            zone.as_ref().and_then(|text| Fact::from_option(host_firewall::setting(text, name).map(str::to_owned)))
        };
        let firewalld_running = firewalld.as_ref().map(|state| state.starts_with("running") || state == "active");
        let ufw_active = ufw.as_ref().map(|state| state.ends_with(" active") || state == "active");
        let backend = version.as_ref().and_then(|version| {
            let name = version.rsplit_once('(').and_then(|(_, rest)| rest.split(')').next());
            Fact::from_option(name.map(str::to_owned))
        });
        let kube_service_rules = keys.number::<u64>("kube_services");
        Self {
            closed_ports: closed_ports(reader, &firewalld_running, &ufw_active),
            untrusted_interfaces: if firewalld_running.is_true() {
                zones(reader).map(|zones| host_firewall::untrusted(&zones))
            } else {
                firewalld_running.as_ref().and_then(|_| Fact::Absent)
            },
            vxlan_drops: vxlan_drops(&keys),
            firewalld_ports: setting("ports").map(|ports| ports.split_whitespace().map(str::to_owned).collect()),
            firewalld_masquerade: setting("masquerade").and_then(|value| super::read::flag(&value)),
            firewalld_running,
            firewalld,
            ufw_active,
            ufw,
            ufw_input: keys.text("ufw_input"),
            nft_rules: keys.number("nft_rules"),
            nft_kube_rules: keys.number("nft_kube_rules").or_else(|| match backend.known().map(String::as_str) {
                Some("nf_tables") => kube_service_rules.clone(),
                _ => Fact::unknown("nft is not installed"),
            }),
            legacy_kube_rules: keys.number("legacy_kube_rules"),
            iptables_backend: backend,
            iptables_version: version,
            iptables_rules: keys.number("iptables_rules"),
            iptables_legacy_rules: keys.number("iptables_legacy_rules"),
            forward_policy: keys.text("forward_policy"),
            kube_service_rules,
            flannel_rules: keys.number("flannel_rules"),
            kube_proxy_table: keys.flag("kube_proxy_nft"),
            ipvs_services: keys.number("ipvs_services"),
            kube_proxy_age: processes(reader, "kube-proxy").and_then(|found| {
                let started = found.into_iter().map(|process| process.started).next().unwrap_or_default();
                started.and_then(|started| {
                    now.map_or_else(
                        || Fact::unknown("the node's clock is not known"),
                        |now| Fact::Known(now.saturating_sub(started).max(0)),
                    )
                })
            }),
            foreign_chains: keys.text("foreign_chains"),
            network_manager: keys.text("networkmanager"),
            network_manager_unmanaged: keys.text("nm_unmanaged"),
        }
    }
}

/// Rules of both backends; where one of them could not be asked, the other one's count is the answer.
fn vxlan_drops(keys: &Keys<'_>) -> Fact<u64> {
    let counts = ["ipt_drops", "nft_drops"];
    let counts = keys.all().iter().filter(|(key, _)| counts.contains(key));
    let known: Vec<u64> = counts.filter_map(|(_, count)| count.clone().and_then(number).known().copied()).collect();
    keys.read().and_then(|()| Fact::from_option(known.into_iter().max()))
}

/// What firewalld says of each active zone.
fn zones(reader: Reader<'_>) -> Fact<Vec<&str>> {
    let mut zones = Vec::new();
    for (_, zone) in reader.each("firewalld") {
        match zone {
            Fact::Known(text) => zones.push(text),
            Fact::Absent => {}
            Fact::Unknown(why) => return Fact::Unknown(why),
        }
    }
    if zones.is_empty() { reader.nothing("firewalld") } else { Fact::Known(zones) }
}

fn closed_ports(reader: Reader<'_>, firewalld: &Fact<bool>, ufw: &Fact<bool>) -> Fact<Vec<String>> {
    let mut closed: Vec<String> = Vec::new();
    if firewalld.is_true() {
        match zones(reader) {
            Fact::Known(zones) => closed.extend(host_firewall::closed_by_firewalld(&zones)),
            Fact::Absent => {}
            Fact::Unknown(why) => return Fact::Unknown(why),
        }
    }
    if ufw.is_true() {
        let keys = reader.keys("firewall");
        if let Fact::Unknown(why) = keys.get("ufw_rule") {
            return Fact::Unknown(why);
        }
        let rules = keys.values("ufw_rule");
        let input = keys.get("ufw_input");
        let rules = rules.known().map_or(&[][..], Vec::as_slice);
        if !input.is_known_and(|policy| *policy == "ACCEPT") {
            closed.extend(host_firewall::closed_by_ufw(rules));
        }
    }
    match (firewalld, ufw) {
        (Fact::Known(false) | Fact::Absent, Fact::Known(false) | Fact::Absent) => Fact::Absent,
        (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) if closed.is_empty() => Fact::unknown(why.as_str()),
        _ => {
            closed.sort_by_key(|port| NEEDED.iter().position(|(number, kind)| *port == format!("{number}/{kind}")));
            closed.dedup();
            Fact::Known(closed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::{record, record_of, section};
    use super::*;

    fn parse(sections: &[(&str, &str, &str)]) -> Firewall {
        Firewall::parse(Reader::new(&record(sections)), Some(10_000))
    }

    #[test]
    fn firewalld_with_its_zone() {
        let firewall = parse(&[
            (
                "firewall",
                "",
                "firewalld=running\nufw-\niptables_version=iptables v1.8.9 (nf_tables)\nforward_policy=DROP\nkube_services=12\n",
            ),
            ("firewalld", "", "public (active)\n  ports: 10250/tcp 8472/udp\n  masquerade: no\n  forward-ports: \n"),
        ]);
        assert_eq!(firewall.firewalld_running, Fact::Known(true));
        assert_eq!(firewall.firewalld_ports, Fact::Known(vec!["10250/tcp".to_owned(), "8472/udp".to_owned()]));
        assert_eq!(firewall.firewalld_masquerade, Fact::Known(false));
        assert_eq!(firewall.ufw_active, Fact::Absent);
        assert_eq!(firewall.iptables_backend, Fact::Known("nf_tables".to_owned()));
        assert_eq!(firewall.kube_service_rules, Fact::Known(12));
        assert_eq!(firewall.nft_kube_rules, Fact::Known(12), "iptables writes there");
        assert_eq!(firewall.closed_ports, Fact::Known(vec!["6443/tcp".to_owned()]));
    }

    #[test]
    fn rules_that_stop_the_tunnel_and_interfaces_that_nobody_trusts() {
        let drops = |text: &str| parse(&[("firewall", "", text)]).vxlan_drops;
        assert_eq!(drops("ipt_drops=0\nnft_drops=2\n"), Fact::Known(2));
        assert_eq!(drops("ipt_drops-\nnft_drops!nft failed with 1\n"), Fact::Absent);
        assert_eq!(drops("nft_rules=3\n"), Fact::Absent, "an older record");
        let public =
            ("firewalld", "", "public (default, active)\n  target: default\n  interfaces: eth0\n  sources: \n");
        let trusted = ("firewalld", "trusted", "trusted (active)\n  target: ACCEPT\n  interfaces: cni0\n  sources: \n");
        let firewall = |zones: &[(&str, &str, &str)]| {
            let sections = [&[("firewall", "", "firewalld=active\nufw=inactive\n")], zones].concat();
            parse(&sections).untrusted_interfaces
        };
        assert_eq!(firewall(&[public]), Fact::Known(vec!["cni0".to_owned(), "flannel.1".to_owned()]));
        assert_eq!(firewall(&[public, trusted]), Fact::Known(vec!["flannel.1".to_owned()]));
        let by_network = ("firewalld", "trusted", "trusted (active)\n  target: ACCEPT\n  sources: 10.244.0.0/16\n");
        assert_eq!(firewall(&[public, by_network]), Fact::Known(vec![]));
        assert_eq!(parse(&[("firewall", "", "firewalld=inactive\n")]).untrusted_interfaces, Fact::Absent);
    }

    #[test]
    fn ufw_inactive_does_not_end_in_active() {
        for (text, active) in [("Status: active", true), ("Status: inactive", false), ("inactive", false)] {
            let line = format!("ufw={text}\n");
            assert_eq!(parse(&[("firewall", "", &line)]).ufw_active, Fact::Known(active), "{text}");
        }
    }

    #[test]
    fn what_no_firewall_closes_is_not_asked() {
        assert_eq!(parse(&[("firewall", "", "firewalld=inactive\nufw=inactive\n")]).closed_ports, Fact::Absent);
        assert!(parse(&[]).closed_ports.is_unknown());
        let unread = parse(&[("firewall", "", "firewalld=active\nufw=inactive\n")]);
        assert!(unread.closed_ports.is_unknown(), "its zones were not read");
        let denied = parse(&[("firewall", "", "firewalld=inactive\nufw=active\nufw_rule!permission denied\n")]);
        assert_eq!(denied.closed_ports, Fact::unknown("permission denied"));
    }

    #[test]
    fn ufw_with_its_rules() {
        let rules = "firewalld=inactive\nufw=active\nufw_input=DROP\nufw_rule=allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in\n\
                     ufw_rule=allow udp 8472 0.0.0.0/0 any 192.168.4.0/24 in\n";
        let firewall = parse(&[("firewall", "", rules)]);
        assert_eq!(firewall.closed_ports, Fact::Known(vec!["10250/tcp".to_owned(), "6443/tcp".to_owned()]));
        let open = rules.replace("=DROP", "=ACCEPT");
        assert_eq!(parse(&[("firewall", "", &open)]).closed_ports, Fact::Known(vec![]));
    }

    #[test]
    fn how_long_kube_proxy_has_run() {
        let age = |sections| Firewall::parse(Reader::new(&record_of(sections)), Some(10_000)).kube_proxy_age;
        let running = section("process", "kube-proxy", 0, "pid=7\nstate=S\nstart=9000\narg=kube-proxy\n");
        assert_eq!(age(vec![running]), Fact::Known(1000));
        assert_eq!(age(vec![]), Fact::Absent);
    }
}
