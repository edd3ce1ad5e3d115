//! The addresses that host-local has given to pods: the file names of one network's directory.

use super::Fact;
use super::ipv4::{Net, ip};
use super::read::{Reader, percent};

/// One network's leases against flannel's subnet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Leases {
    /// Addresses of the subnet that are taken.
    pub(crate) used: Fact<u64>,
    pub(crate) used_percent: Fact<u32>,
    /// The address that was given last.
    pub(crate) last: Fact<String>,
    /// It is not of the subnet.
    pub(crate) last_is_foreign: Fact<bool>,
}

impl Leases {
    pub(crate) fn parse(reader: Reader<'_>, network: &Fact<String>, subnet: &Fact<String>) -> Self {
        let text = network.as_ref().and_then(|network| {
            let found = reader.each("cni-leases").find(|(name, _)| name == network);
            found.map_or_else(|| reader.none_of("cni-leases"), |(_, text)| text)
        });
        let net = subnet.as_ref().and_then(|subnet| Fact::from_option(Net::parse(subnet)));
        let last = text.as_ref().and_then(|text| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix("last_reserved_ip.0="));
            Fact::from_option(line.filter(|address| ip(address).is_some()).map(str::to_owned))
        });
        let used = text.and_then(|text| {
            net.as_ref().map(|net| {
                text.lines().filter_map(|line| ip(line.trim())).filter(|address| net.contains(*address)).count() as u64
            })
        });
        Self {
            used_percent: used.as_ref().and_then(|used| net.as_ref().and_then(|net| percent(*used, places(*net)))),
            used,
            last_is_foreign: last.as_ref().and_then(|last| {
                let last = ip(last).unwrap_or_default();
                net.as_ref().map(|net| !net.contains(last))
            }),
            last,
        }
    }
}

/// All but the network's own address, the bridge's and the broadcast address.
fn places(net: Net) -> u64 {
    (1_u64 << (32 - net.prefix)).saturating_sub(3)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::super::read::test_support::record;
    use super::*;

    fn parse(leases: &str) -> Leases {
        let record = record(&[("cni-leases", "cbr0", leases)]);
        let known = |text: &str| Fact::Known(text.to_owned());
        Leases::parse(Reader::new(&record), &known("cbr0"), &known("10.244.1.1/24"))
    }

    #[test]
    fn a_few_leases_and_all_of_them() {
        let few = parse("10.244.1.2\n10.244.1.3\nlast_reserved_ip.0=10.244.1.3\nlock\n");
        assert_eq!(
            (few.used, few.used_percent, few.last_is_foreign),
            (Fact::Known(2), Fact::Known(0), Fact::Known(false))
        );
        let mut all = String::new();
        for last in 2..=254 {
            writeln!(all, "10.244.1.{last}").unwrap();
        }
        let all = parse(&all);
        assert_eq!((all.used, all.used_percent, all.last), (Fact::Known(253), Fact::Known(100), Fact::Absent));
    }

    #[test]
    fn leases_of_another_subnet_take_no_place() {
        let foreign = parse("10.244.0.2\n10.244.0.3\nlast_reserved_ip.0=10.244.0.3\n");
        assert_eq!((foreign.used, foreign.last_is_foreign), (Fact::Known(0), Fact::Known(true)));
    }

    #[test]
    fn no_pod_yet() {
        let record = record(&[]);
        let known = |text: &str| Fact::Known(text.to_owned());
        let leases = Leases::parse(Reader::new(&record), &known("cbr0"), &known("10.244.1.1/24"));
        assert_eq!((leases.used, leases.used_percent), (Fact::Absent, Fact::Absent));
    }
}
