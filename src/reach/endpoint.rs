//! Endpoints as people and kubeconfigs write them, and which of them are tried for a node.

use std::net::IpAddr;

use super::capture::Origin;

/// Where an API server listens unless told otherwise.
pub const API_PORT: u16 = 6443;

/// Longest name of the DNS.
const MAX_HOST: usize = 253;

/// A host and a port, and how that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `https://k8s.example.net:6443`
    pub written: String,
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
}

impl Endpoint {
    /// `https://host[:port][/…]`, `host[:port]` or an address; `None` for anything else. Without a port it is a URL's 443 or a
    /// bare host's 6443.
    pub fn parse(written: &str) -> Option<Self> {
        let written = written.trim();
        let (rest, default) = match written.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (rest, 443),
            Some(_) => return None,
            None => (written, API_PORT),
        };
        let authority = rest.split(['/', '?', '#']).next()?;
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                (host, after.strip_prefix(':').or(if after.is_empty() { None } else { Some("?") }))
            }
            None if authority.parse::<IpAddr>().is_ok() => (authority, None),
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = match port {
            Some(port) => port.parse::<u16>().ok().filter(|port| *port > 0)?,
            None => default,
        };
        if !is_host(host) {
            return None;
        }
        Some(Self { written: written.to_owned(), host: host.to_owned(), port })
    }

    /// An address needs no resolver on the node.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Whether both lead to the same place.
    pub fn same_place(&self, other: &Self) -> bool {
        self.port == other.port
            && match (self.address(), other.address()) {
                (Some(own), Some(other)) => own == other,
                _ => self.host.eq_ignore_ascii_case(&other.host),
            }
    }
}

/// What can be dialled without surprises: a name's or an address's characters.
pub(crate) fn is_host(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let named = !text.starts_with(['-', '.']) && text.bytes().all(plain);
    !text.is_empty() && text.len() <= MAX_HOST && (named || text.parse::<IpAddr>().is_ok())
}

/// What the run knows before the node has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub origin: Origin,
    pub endpoint: Endpoint,
}

/// The endpoint that the run names for a node: the inventory's, or else the first control plane's address. A loopback address is
/// the node itself on every node, and so names nothing.
pub fn of_run(inventory: Option<&str>, control_plane: Option<&str>) -> Option<Candidate> {
    let found = match (inventory.and_then(Endpoint::parse), control_plane) {
        (Some(endpoint), _) => Candidate { origin: Origin::Inventory, endpoint },
        (None, Some(address)) if is_host(address) => {
            let port = API_PORT;
            let brackets = address.contains(':');
            let written = if brackets { format!("[{address}]:{port}") } else { format!("{address}:{port}") };
            let endpoint = Endpoint { written, host: address.to_owned(), port };
            Candidate { origin: Origin::ControlPlane, endpoint }
        }
        (None, _) => return None,
    };
    let guess_at_itself = found.endpoint.host.eq_ignore_ascii_case("localhost")
        || found.endpoint.address().is_some_and(|address| address.is_loopback() || address.is_unspecified());
    (found.origin == Origin::Inventory || !guess_at_itself).then_some(found)
}

/// The endpoint that the node itself is told to use, by its strongest file.
pub(super) fn of_node(said: &[(Origin, String)]) -> Option<Candidate> {
    let mut found: Vec<Candidate> = said
        .iter()
        .filter_map(|(origin, server)| Some(Candidate { origin: *origin, endpoint: Endpoint::parse(server)? }))
        .collect();
    found.sort_by_key(|candidate| candidate.origin);
    found.into_iter().next()
}

/// Whether an endpoint may be dialled while the probe runs. sshd resolves a name in the process that carries the session, and a
/// resolver that does not answer would hold up the probe's output.
pub(super) fn beside_the_probe(candidate: &Candidate) -> bool {
    candidate.endpoint.address().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(written: &str) -> Option<(String, u16)> {
        Endpoint::parse(written).map(|endpoint| (endpoint.host, endpoint.port))
    }

    #[test]
    fn endpoints_as_people_and_kubeconfigs_write_them() {
        for (written, host, port) in [
            ("https://k8s.example.net:6443", "k8s.example.net", 6443),
            ("HTTPS://192.0.2.1:8443/", "192.0.2.1", 8443),
            ("https://lb/k8s/clusters/c-1", "lb", 443),
            ("https://[2001:db8::1]:6443", "2001:db8::1", 6443),
            ("[2001:db8::1]", "2001:db8::1", 6443),
            ("2001:db8::1", "2001:db8::1", 6443),
            (" 192.0.2.1:6443\n", "192.0.2.1", 6443),
            ("cp_1", "cp_1", 6443),
        ] {
            assert_eq!(parsed(written), Some((host.to_owned(), port)), "{written}");
        }
        let long = "x".repeat(300);
        for written in [
            "",
            "http://a:6443",
            "https://",
            "a:0",
            "a:99999",
            "a b",
            "u@a",
            "-a",
            "[a]:1",
            "[::1]x",
            "a:6443:1",
            &long,
        ] {
            assert_eq!(parsed(written), None, "{written}");
        }
    }

    #[test]
    fn places_are_compared_by_meaning() {
        let place = |written| Endpoint::parse(written).unwrap();
        assert!(place("https://[2001:db8:0::1]:6443").same_place(&place("2001:db8::1")));
        assert!(place("https://LB:6443").same_place(&place("lb")));
        assert!(!place("lb").same_place(&place("https://lb")));
    }

    #[test]
    fn the_inventory_comes_before_the_guess() {
        let run = |inventory, control_plane| {
            of_run(inventory, control_plane).map(|candidate| (candidate.origin, candidate.endpoint.written))
        };
        let inventory = Some((Origin::Inventory, "lb:7443".to_owned()));
        assert_eq!(run(Some("lb:7443"), Some("192.0.2.1")), inventory);
        let guess = Some((Origin::ControlPlane, "192.0.2.1:6443".to_owned()));
        assert_eq!(run(None, Some("192.0.2.1")), guess);
        assert_eq!(run(Some("not an endpoint"), Some("192.0.2.1")), guess);
        assert_eq!(
            run(None, Some("2001:db8::1")),
            Some((Origin::ControlPlane, "[2001:db8::1]:6443".to_owned())),
            "as it would be written"
        );
        for nothing in [None, Some("127.0.0.1"), Some("::1"), Some("localhost"), Some("0.0.0.0"), Some("a b")] {
            assert_eq!(run(None, nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn the_nodes_kubelet_conf_comes_before_its_bootstrap_file() {
        let said = [
            (Origin::BootstrapConf, "https://old:6443".to_owned()),
            (Origin::KubeletConf, "https://new:6443".to_owned()),
        ];
        assert_eq!(of_node(&said).map(|found| found.endpoint.host), Some("new".to_owned()));
        assert_eq!(of_node(&said[..1]).map(|found| found.origin), Some(Origin::BootstrapConf));
        assert_eq!(of_node(&[(Origin::KubeletConf, "garbage://".to_owned())]), None);
    }

    #[test]
    fn names_wait_for_the_probe() {
        assert!(of_run(None, Some("192.0.2.1")).is_some_and(|it| beside_the_probe(&it)));
        assert!(of_run(Some("lb:6443"), None).is_some_and(|it| !beside_the_probe(&it)));
    }
}
