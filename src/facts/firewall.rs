//! Packet filters: which are active, and whether kube-proxy's and flannel's rules are there.

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::read::Reader;

#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Firewall {
    /// firewalld's state, as it says itself (`running`).
    pub firewalld: Fact<String>,
    pub firewalld_running: Fact<bool>,
    /// Open ports of firewalld's default zone (`10250/tcp`).
    pub firewalld_ports: Fact<Vec<String>>,
    pub firewalld_masquerade: Fact<bool>,
    pub ufw: Fact<String>,
    pub ufw_active: Fact<bool>,
    pub nft_rules: Fact<u64>,
    /// What `iptables -V` says.
    pub iptables_version: Fact<String>,
    /// `nf_tables` or `legacy`.
    pub iptables_backend: Fact<String>,
    pub iptables_rules: Fact<u64>,
    pub iptables_legacy_rules: Fact<u64>,
    /// Policy of the FORWARD chain.
    pub forward_policy: Fact<String>,
    /// Rules of kube-proxy's service chains.
    pub kube_service_rules: Fact<u64>,
    pub flannel_rules: Fact<u64>,
    /// Chains of other CNI plugins.
    pub foreign_chains: Fact<String>,
    pub network_manager: Fact<String>,
    /// `NetworkManager` is told to leave CNI's interfaces alone.
    pub network_manager_unmanaged: Fact<String>,
}

impl Firewall {
    pub(crate) fn parse(reader: Reader<'_>) -> Self {
        let keys = reader.keys("firewall");
        let firewalld = keys.text("firewalld");
        let ufw = keys.text("ufw");
        let version = keys.text("iptables_version");
        let zone = reader.text("firewalld");
        let setting = |name: &str| {
            zone.as_ref().and_then(|text| {
                let line = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
                Fact::from_option(line.map(str::trim))
            })
        };
        Self {
            firewalld_running: firewalld.as_ref().map(|state| state.starts_with("running") || state == "active"),
            firewalld_ports: setting("ports").map(|ports| ports.split_whitespace().map(str::to_owned).collect()),
            firewalld_masquerade: setting("masquerade").and_then(super::read::flag),
            firewalld,
            ufw_active: ufw.as_ref().map(|state| state.ends_with(" active") || state == "active"),
            ufw,
            nft_rules: keys.number("nft_rules"),
            iptables_backend: version.as_ref().and_then(|version| {
                let name = version.rsplit_once('(').and_then(|(_, rest)| rest.split(')').next());
                Fact::from_option(name.map(str::to_owned))
            }),
            iptables_version: version,
            iptables_rules: keys.number("iptables_rules"),
            iptables_legacy_rules: keys.number("iptables_legacy_rules"),
            forward_policy: keys.text("forward_policy"),
            kube_service_rules: keys.number("kube_services"),
            flannel_rules: keys.number("flannel_rules"),
            foreign_chains: keys.text("foreign_chains"),
            network_manager: keys.text("networkmanager"),
            network_manager_unmanaged: keys.text("nm_unmanaged"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::record;
    use super::*;

    #[test]
    fn firewalld_with_its_zone() {
        let record = record(&[
            (
                "firewall",
                "",
                "firewalld=running\nufw-\niptables_version=iptables v1.8.9 (nf_tables)\nforward_policy=DROP\nkube_services=12\n",
            ),
            ("firewalld", "", "public (active)\n  ports: 10250/tcp 8472/udp\n  masquerade: no\n  forward-ports: \n"),
        ]);
        let firewall = Firewall::parse(Reader::new(&record));
        assert_eq!(firewall.firewalld_running, Fact::Known(true));
        assert_eq!(firewall.firewalld_ports, Fact::Known(vec!["10250/tcp".to_owned(), "8472/udp".to_owned()]));
        assert_eq!(firewall.firewalld_masquerade, Fact::Known(false));
        assert_eq!(firewall.ufw_active, Fact::Absent);
        assert_eq!(firewall.iptables_backend, Fact::Known("nf_tables".to_owned()));
        assert_eq!(firewall.kube_service_rules, Fact::Known(12));
    }

    #[test]
    fn ufw_inactive_does_not_end_in_active() {
        for (text, active) in [("Status: active", true), ("Status: inactive", false), ("inactive", false)] {
            let line = format!("ufw={text}\n");
            let record = record(&[("firewall", "", &line)]);
            assert_eq!(Firewall::parse(Reader::new(&record)).ufw_active, Fact::Known(active), "{text}");
        }
    }
}
