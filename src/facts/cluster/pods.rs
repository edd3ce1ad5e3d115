//! The addresses of pods against the networks of their nodes, where flannel hands them out: other networks have address
//! ranges of their own.

use std::collections::HashMap;

use super::cidr::Cidr;
use crate::facts::Fact;
use crate::facts::api::{Api, ApiNode};

/// So many addresses are named.
const MOST: usize = 5;

pub(super) struct OfNode {
    pub(super) cidr_outside: Fact<bool>,
    pub(super) outside: Fact<Vec<String>>,
    pub(super) shared: Fact<Vec<String>>,
}

impl OfNode {
    pub(super) fn unknown(why: &Fact<()>) -> Self {
        let of = why.reason().unwrap_or("not known");
        Self { cidr_outside: Fact::unknown(of), outside: Fact::unknown(of), shared: Fact::unknown(of) }
    }
}

/// Which node's pods have which address.
pub(super) struct PodAddresses<'a> {
    api: &'a Api,
    /// On how many nodes an address is.
    holders: HashMap<&'a str, u32>,
    /// The cluster's pod networks, one per family.
    networks: Fact<Vec<Cidr>>,
}

impl<'a> PodAddresses<'a> {
    pub(super) fn new(api: &'a Api) -> Self {
        let mut holders: HashMap<&str, (u32, &str)> = HashMap::new();
        for (node, ips) in api.pod_ips.known().into_iter().flatten() {
            for ip in ips {
                let (count, last) = holders.entry(ip.as_str()).or_insert((0, ""));
                if *last != node.as_str() {
                    (*count, *last) = (*count + 1, node.as_str());
                }
            }
        }
        let network = api.flannel_network.clone().or_else(|| api.pod_subnet.clone());
        let networks = network.and_then(|text| {
            let networks: Option<Vec<Cidr>> = text.split(',').map(Cidr::parse).collect();
            networks.map_or_else(|| Fact::unknown("the cluster's pod network is no network"), Fact::Known)
        });
        Self { api, holders: holders.into_iter().map(|(ip, (count, _))| (ip, count)).collect(), networks }
    }

    pub(super) fn of(&self, node: &Fact<&ApiNode>) -> OfNode {
        let cidr = node
            .clone()
            .and_then(|node| node.pod_cidr.as_ref())
            .and_then(|text| Cidr::parse(text).map_or_else(|| Fact::unknown("the podCIDR is no network"), Fact::Known));
        // Where nobody wrote the cluster's network down there is nothing to lie outside of.
        let cidr_outside = cidr.clone().and_then(|cidr| {
            self.networks.as_ref().and_then(|networks| {
                let own: Vec<_> = networks.iter().filter(|network| network.same_family(cidr)).collect();
                if own.is_empty() { Fact::Absent } else { Fact::Known(!own.iter().any(|network| network.holds(cidr))) }
            })
        });
        let ips =
            |node: &ApiNode| self.api.pod_ips.as_ref().map(|all| all.get(&node.name).map_or(&[][..], Vec::as_slice));
        let of_flannel = self.api.flannel_network.as_ref().and_then(|_| node.clone());
        let first = |found: &mut dyn Iterator<Item = &String>| found.take(MOST).cloned().collect::<Vec<_>>();
        OfNode {
            cidr_outside,
            outside: of_flannel.clone().and_then(|node| {
                let outside = |cidr: Cidr, ip: &str| {
                    ip.contains(':') == node.pod_cidr.is_known_and(|own| own.contains(':'))
                        && cidr.has(ip) == Some(false)
                };
                cidr.and_then(|cidr| ips(node).map(|ips| first(&mut ips.iter().filter(|ip| outside(cidr, ip)))))
            }),
            shared: of_flannel.and_then(|node| {
                let twice = |ip: &&String| self.holders.get(ip.as_str()).is_some_and(|count| *count > 1);
                ips(node).map(|ips| first(&mut ips.iter().filter(twice)))
            }),
        }
    }
}
