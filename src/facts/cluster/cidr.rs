//! Networks as ranges of addresses, to ask what lies in what.

use std::net::IpAddr;

/// A network. Addresses of both families are numbers; they are never in one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cidr {
    v6: bool,
    pub(super) first: u128,
    pub(super) last: u128,
}

impl Cidr {
    /// `10.244.1.0/24`; host bits are cut off.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.trim().split_once('/')?;
        let (v6, address) = number(address)?;
        let bits: u32 = if v6 { 128 } else { 32 };
        let prefix: u32 = prefix.parse().ok().filter(|prefix| *prefix <= bits)?;
        let hosts = u128::MAX.checked_shr(128 - (bits - prefix)).unwrap_or(0);
        Some(Self { v6, first: address & !hosts, last: address | hosts })
    }

    pub(super) fn has(self, address: &str) -> Option<bool> {
        let (v6, address) = number(address)?;
        Some(v6 == self.v6 && (self.first..=self.last).contains(&address))
    }

    pub(super) fn holds(self, other: Self) -> bool {
        self.v6 == other.v6 && self.first <= other.first && other.last <= self.last
    }

    pub(super) const fn same_family(self, other: Self) -> bool {
        self.v6 == other.v6
    }

    /// One less than the number of its addresses.
    pub(super) const fn size(self) -> u128 {
        self.last - self.first
    }

    /// The first in order of all networks that could lie in it.
    pub(super) const fn smallest(self) -> Self {
        Self { last: self.first, ..self }
    }
}

fn number(address: &str) -> Option<(bool, u128)> {
    match address.parse().ok()? {
        IpAddr::V4(address) => Some((false, u128::from(u32::from(address)))),
        IpAddr::V6(address) => Some((true, u128::from(address))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_what() {
        let cluster = Cidr::parse("10.244.0.0/16").unwrap();
        let node = Cidr::parse("10.244.3.1/24").unwrap();
        assert!(cluster.holds(node) && !node.holds(cluster));
        assert_eq!(
            (node.has("10.244.3.255"), node.has("10.244.4.0"), node.has("fd00::1")),
            (Some(true), Some(false), Some(false))
        );
        assert!(Cidr::parse("0.0.0.0/0").unwrap().holds(cluster) && !Cidr::parse("::/0").unwrap().holds(cluster));
        assert_eq!(Cidr::parse("fd00::/128").map(|cidr| cidr.last - cidr.first), Some(0));
        for bad in ["", "10.0.0.0", "10.0.0.0/33", "x/8", "10.0.0.0/-1"] {
            assert_eq!(Cidr::parse(bad), None, "{bad}");
        }
    }
}
