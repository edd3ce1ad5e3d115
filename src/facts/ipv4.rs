//! IPv4 networks as numbers: flannel's file, its routes and the Node objects all write them as text.

use std::net::Ipv4Addr;

/// A network, or an address with the length of its network's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Net {
    /// The first address.
    pub(crate) base: u32,
    pub(crate) prefix: u32,
}

impl Net {
    /// `10.244.1.1/24` -> 10.244.1.0/24. `None` for IPv6 and for what is no network.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let prefix: u32 = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
        Some(Self { base: ip(address)? & mask(prefix), prefix })
    }

    pub(crate) fn contains(self, address: u32) -> bool {
        address & mask(self.prefix) == self.base
    }

    /// All of `other` lies in it.
    pub(crate) fn holds(self, other: Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.base)
    }

    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.holds(other) || other.holds(self)
    }
}

impl std::fmt::Display for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.base), self.prefix)
    }
}

/// An address as a number.
pub(crate) fn ip(text: &str) -> Option<u32> {
    text.parse::<Ipv4Addr>().ok().map(u32::from)
}

fn mask(prefix: u32) -> u32 {
    u32::MAX.checked_shl(32 - prefix).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for (text, expected) in [
            ("10.244.1.1/24", Some("10.244.1.0/24")),
            ("10.0.0.1/0", Some("0.0.0.0/0")),
            ("10.0.0.1/32", Some("10.0.0.1/32")),
            ("x", None),
            ("fd00::/64", None),
            ("1.2.3.4/40", None),
        ] {
            assert_eq!(Net::parse(text).map(|net| net.to_string()).as_deref(), expected);
        }
    }

    #[test]
    fn networks_in_networks() {
        let net = |text| Net::parse(text).unwrap();
        assert!(net("10.244.0.0/16").holds(net("10.244.1.0/24")));
        assert!(!net("10.244.1.0/24").holds(net("10.244.0.0/16")));
        assert!(net("10.244.1.0/24").overlaps(net("10.244.0.0/16")));
        assert!(!net("10.244.1.0/24").overlaps(net("10.244.2.0/24")));
        assert!(net("10.244.1.0/24").contains(ip("10.244.1.200").unwrap()));
    }
}
