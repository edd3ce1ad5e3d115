//! What the node can reach over its own network path: the API server with its certificate and `cluster-info`, its kubelet's
//! health, NFS servers that something waits for.

mod cluster_info;
mod wanted;

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::certs::{Cert, certificates};
use super::read::clip;
use crate::reach::Endpoint;
use crate::reach::capture::{ApiCapture, ClusterInfo, Dial, Healthz, Origin, ReachCapture, Tls, Verified};
use crate::record::Record;
use cluster_info::{Info, ca_hashes};

pub(crate) use cluster_info::cluster_of;
pub(crate) use wanted::wanted;

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Reach {
    pub api: ApiReach,
    /// What the kubelet on the node's loopback address says of itself.
    pub kubelet_healthz: Fact<Health>,
    /// Its words, or why there are none.
    pub kubelet_healthz_says: Fact<String>,
    /// NFS servers of mounts that hang or fail and of declared mounts that are not there, by address or name.
    pub nfs: Fact<BTreeMap<String, Contact>>,
    /// Those of them that do not take a connection, each with how.
    pub nfs_unreachable: Fact<Vec<String>>,
}

/// The endpoint that a join or the kubelet of this node goes to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct ApiReach {
    /// As written.
    pub endpoint: Fact<String>,
    /// Who named it; nobody, if it is the address of the run's first control plane.
    pub origin: Fact<Origin>,
    pub tcp: Fact<Tcp>,
    pub tcp_ms: Fact<u64>,
    /// In words.
    pub tcp_error: Fact<String>,
    /// The node's sshd does not forward there, and no program on the node was asked instead.
    pub forbidden: Fact<bool>,
    /// It speaks TLS.
    pub tls: Fact<bool>,
    pub tls_error: Fact<String>,
    /// Names and addresses that its certificate is for.
    pub names: Fact<Vec<String>>,
    /// The endpoint as written is one of them.
    pub name_matches: Fact<bool>,
    /// Seconds since 1970.
    pub not_before: Fact<i64>,
    /// Seconds since 1970.
    pub not_after: Fact<i64>,
    /// By the node's clock the certificate holds now.
    pub dates_ok: Fact<bool>,
    /// By the node's clock it is over.
    pub expired: Fact<bool>,
    /// By the node's clock it has not begun.
    pub not_yet_valid: Fact<bool>,
    pub issuer: Fact<String>,
    /// SHA-256 of the public keys of CA certificates that the server itself showed; most show none.
    pub chain_ca_hashes: Fact<Vec<String>>,
    /// HTTP status of an anonymous request for cluster-info.
    pub cluster_info_status: Fact<u32>,
    /// The server's words on it when that is not 200.
    pub cluster_info_error: Fact<String>,
    /// Ids of the tokens that cluster-info is signed for.
    pub token_ids: Fact<Vec<String>>,
    /// SHA-256 of the public keys of the CAs in cluster-info: what a join may pin.
    pub ca_hashes: Fact<Vec<String>>,
    /// `server` of the kubeconfig in cluster-info, where a join goes on.
    pub server: Fact<String>,
    /// It is another place than the endpoint.
    pub server_differs: Fact<bool>,
    pub server_tcp: Fact<Tcp>,
    pub server_tcp_error: Fact<String>,
}

/// How a connection from the node began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tcp {
    Open,
    /// Nobody listens there.
    Refused,
    /// No answer.
    TimedOut,
    /// The network says that there is no way.
    NoRoute,
    /// The name does not resolve on the node.
    Unresolved,
    /// The node could not, and does not say why.
    Failed,
}

/// A kubelet's word on itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    Ok,
    /// It answers that it is not well, or does not answer although somebody listens.
    Unhealthy,
    /// Nobody listens there.
    Refused,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Contact {
    pub tcp: Fact<Tcp>,
    pub ms: Fact<u64>,
    pub error: Fact<String>,
}

impl Reach {
    /// `now`: the node's clock in seconds.
    pub(crate) fn parse(record: &Record, now: Option<i64>) -> Self {
        let Some(capture) = &record.reach else { return Self::default() };
        let nfs: BTreeMap<String, Contact> = capture
            .servers
            .iter()
            .filter(|server| server.port == 2049)
            .map(|server| (clip(&server.host, 260), contact(&server.dial)))
            .collect();
        let (kubelet_healthz, kubelet_healthz_says) = health(capture);
        Self {
            api: ApiReach::parse(capture, now),
            kubelet_healthz,
            kubelet_healthz_says,
            nfs_unreachable: unreachable(&nfs),
            nfs: Fact::Known(nfs),
        }
    }
}

fn unreachable(nfs: &BTreeMap<String, Contact>) -> Fact<Vec<String>> {
    let closed = |contact: &&Contact| contact.tcp.is_known_and(|tcp| *tcp != Tcp::Open);
    let said: Vec<String> = nfs
        .iter()
        .filter(|(_, contact)| closed(contact))
        .map(|(server, contact)| {
            format!("{server}:2049: {}", contact.error.known().map_or("no answer", String::as_str))
        })
        .collect();
    match nfs.values().find_map(|contact| contact.tcp.reason()) {
        Some(why) if said.is_empty() => Fact::unknown(why),
        _ => Fact::Known(said),
    }
}

fn contact(dial: &Dial) -> Contact {
    match dial {
        Dial::Open { ms } => Contact { tcp: Fact::Known(Tcp::Open), ms: Fact::Known(*ms), error: Fact::Absent },
        Dial::Failed { words, .. } => {
            Contact { tcp: tcp_of(words), ms: Fact::Absent, error: Fact::Known(clip(&words.to_lowercase(), 160)) }
        }
        Dial::Silent { ms } => Contact {
            tcp: Fact::Known(Tcp::TimedOut),
            ms: Fact::Absent,
            error: Fact::Known(format!("no answer within {} s", ms.div_ceil(1000))),
        },
        Dial::Forbidden { words } => {
            unknown_contact(&format!("the node's sshd does not forward there: {}", clip(words, 160)))
        }
        Dial::Lost { words } => unknown_contact(&format!("the connection ended before: {}", clip(words, 160))),
        Dial::NotTried { why } => unknown_contact(&clip(why, 160)),
    }
}

fn unknown_contact(why: &str) -> Contact {
    Contact { tcp: Fact::unknown(why), ms: Fact::unknown(why), error: Fact::unknown(why) }
}

/// In the words of glibc and musl.
fn tcp_of(words: &str) -> Fact<Tcp> {
    const SAID: [(&str, Tcp); 12] = [
        ("connection refused", Tcp::Refused),
        ("timed out", Tcp::TimedOut),
        ("no route to host", Tcp::NoRoute),
        ("unreachable", Tcp::NoRoute),
        ("host is down", Tcp::NoRoute),
        ("not known", Tcp::Unresolved),
        ("name resolution", Tcp::Unresolved),
        ("does not resolve", Tcp::Unresolved),
        ("no address", Tcp::Unresolved),
        ("failed to lookup", Tcp::Unresolved),
        ("name does not", Tcp::Unresolved),
        ("non-recoverable failure", Tcp::Unresolved),
    ];
    let lower = words.to_lowercase();
    Fact::Known(SAID.iter().find(|(said, _)| lower.contains(said)).map_or(Tcp::Failed, |(_, tcp)| *tcp))
}

fn health(capture: &ReachCapture) -> (Fact<Health>, Fact<String>) {
    let Some(healthz) = &capture.healthz else { return Default::default() };
    let dialled = contact(&healthz.dial);
    match (&healthz.answer, dialled.tcp) {
        (Some(Healthz::Answered { status, words }), _) => {
            let health = if *status == 200 { Health::Ok } else { Health::Unhealthy };
            (Fact::Known(health), Fact::Known(clip(words, 200)))
        }
        (Some(Healthz::Failed { words }), _) => (Fact::Known(Health::Unhealthy), Fact::Known(clip(words, 200))),
        (None, Fact::Known(Tcp::Refused)) => (Fact::Known(Health::Refused), dialled.error),
        (None, Fact::Unknown(why)) => (Fact::unknown(why.as_str()), Fact::Unknown(why)),
        (None, Fact::Known(_) | Fact::Absent) => {
            let why = dialled.error.known().map_or("the time was up before it answered", String::as_str);
            (Fact::unknown(why), Fact::unknown(why))
        }
    }
}

impl ApiReach {
    /// `now`: the node's clock in seconds.
    pub(crate) fn parse(capture: &ReachCapture, now: Option<i64>) -> Self {
        if let Some(api) = capture.apis.iter().min_by_key(|api| api.origin) {
            return Self::of(api, capture, now);
        }
        let why = "no endpoint of the API is known: set kube_api_endpoint in the inventory";
        let nothing = ApiCapture {
            origin: Origin::ControlPlane,
            endpoint: String::new(),
            dial: Dial::NotTried { why: why.to_owned() },
            tls: None,
            cluster_info: None,
            verified: None,
        };
        Self { endpoint: Fact::unknown(why), origin: Fact::unknown(why), ..Self::of(&nothing, capture, now) }
    }

    fn of(api: &ApiCapture, capture: &ReachCapture, now: Option<i64>) -> Self {
        let Contact { tcp, ms, error } = contact(&api.dial);
        let (tls, tls_error) = match (&api.tls, &tcp) {
            (Some(Tls::Done { .. }), _) => (Fact::Known(true), Fact::Absent),
            (Some(Tls::Silent { words }), _) => (Fact::unknown(words.as_str()), Fact::unknown(words.as_str())),
            (Some(Tls::Failed { words }), _) => (Fact::Known(false), Fact::Known(clip(words, 200))),
            (None, _) if matches!(api.cluster_info, Some(ClusterInfo::Read { .. } | ClusterInfo::Refused { .. })) => {
                (Fact::Known(true), Fact::Absent)
            }
            (None, tcp) => (no_connection(tcp), no_connection(tcp)),
        };
        let chain = match (&api.tls, &tls) {
            (Some(Tls::Done { chain, .. }), _) => Fact::Known(certificates("api", chain)),
            (None, Fact::Known(true)) => {
                Fact::unknown("the program that asked on the node does not show the certificate")
            }
            (_, Fact::Known(_)) => Fact::unknown("there is no TLS connection"),
            (_, Fact::Unknown(why)) => Fact::unknown(why.as_str()),
            (_, Fact::Absent) => Fact::Absent,
        };
        let leaf = chain.as_ref().and_then(|chain| {
            chain.first().map_or_else(|| Fact::unknown("no certificate that can be understood"), Fact::Known)
        });
        let by_clock = |test: fn(&Cert, i64) -> bool| {
            leaf.as_ref().and_then(|leaf| match now {
                Some(now) => Fact::Known(test(leaf, now)),
                None => Fact::unknown("the node's clock is not known"),
            })
        };
        let endpoint = Endpoint::parse(&api.endpoint);
        let info = Info::parse(api, &chain);
        let named = info.server.known().and_then(|server| Endpoint::parse(server));
        let differs = match (&info.server, &endpoint, &named) {
            (Fact::Known(_), Some(endpoint), Some(server)) => Fact::Known(!server.same_place(endpoint)),
            (Fact::Known(_), _, _) => Fact::unknown("the server in cluster-info is no URL"),
            (Fact::Absent, _, _) => Fact::Absent,
            (Fact::Unknown(why), _, _) => Fact::unknown(why.as_str()),
        };
        let server = match (&differs, &named) {
            (Fact::Known(false), _) => contact(&api.dial),
            (Fact::Known(true), Some(server)) => {
                let dialled = capture.servers.iter().find(|it| it.port == server.port && it.host == server.host);
                dialled.map_or_else(|| unknown_contact("the time was up before it was tried"), |it| contact(&it.dial))
            }
            (differs, _) => unknown_contact(differs.reason().unwrap_or("cluster-info names no server")),
        };
        Self {
            endpoint: Fact::Known(clip(&api.endpoint, 300)),
            origin: Fact::Known(api.origin),
            tcp,
            tcp_ms: ms,
            tcp_error: error,
            forbidden: match &api.dial {
                Dial::Forbidden { .. } => Fact::Known(true),
                Dial::Open { .. } | Dial::Failed { .. } | Dial::Silent { .. } => Fact::Known(false),
                Dial::Lost { words: why } | Dial::NotTried { why } => Fact::unknown(clip(why, 160)),
            },
            tls,
            tls_error,
            name_matches: match (&endpoint, &api.verified) {
                (_, Some(Verified::Holds)) => Fact::Known(true),
                (_, Some(Verified::Name { .. })) => Fact::Known(false),
                (_, Some(Verified::Dates { words } | Verified::Issuer { words })) => Fact::unknown(clip(words, 200)),
                (Some(endpoint), None) => leaf.as_ref().map(|leaf| is_for(&leaf.names, &endpoint.host)),
                (None, None) => Fact::unknown("the endpoint is no URL"),
            },
            names: leaf.as_ref().map(|leaf| leaf.names.iter().take(64).map(|name| clip(name, 260)).collect()),
            not_before: leaf.as_ref().map(|leaf| leaf.not_before),
            not_after: leaf.as_ref().map(|leaf| leaf.not_after),
            dates_ok: match &api.verified {
                Some(Verified::Holds) => Fact::Known(true),
                Some(Verified::Dates { .. }) => Fact::Known(false),
                Some(Verified::Name { words } | Verified::Issuer { words }) => Fact::unknown(clip(words, 200)),
                None => by_clock(|leaf, now| (leaf.not_before..=leaf.not_after).contains(&now)),
            },
            expired: by_clock(|leaf, now| now > leaf.not_after),
            not_yet_valid: by_clock(|leaf, now| now < leaf.not_before),
            issuer: leaf.as_ref().map(|leaf| clip(&leaf.issuer, 200)),
            chain_ca_hashes: chain.as_ref().map(|chain| ca_hashes(chain)),
            cluster_info_status: info.status,
            cluster_info_error: info.error,
            token_ids: info.token_ids,
            ca_hashes: info.ca_hashes,
            server: info.server,
            server_differs: differs,
            server_tcp: server.tcp,
            server_tcp_error: server.error,
        }
    }
}

/// Why nothing is known of what comes after the connection. Why there is none is told once.
fn no_connection<T>(tcp: &Fact<Tcp>) -> Fact<T> {
    match tcp {
        Fact::Known(Tcp::Open) => Fact::unknown("the time was up before it answered"),
        Fact::Known(_) | Fact::Absent | Fact::Unknown(_) => Fact::unknown("there is no connection"),
    }
}

/// As a Go client decides: an address by its value, a name by its letters, `*` for one first label.
fn is_for(names: &[String], host: &str) -> bool {
    let address: Option<IpAddr> = host.parse().ok();
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let rest = |name: &str| name.split_once('.').map(|(_, rest)| rest.to_owned());
    let fits = |name: &String| {
        if let Some(address) = address {
            return name.parse() == Ok(address);
        }
        let name = name.to_ascii_lowercase();
        name == host || (name.starts_with("*.") && rest(&name) == rest(&host))
    };
    names.iter().any(fits)
}

#[cfg(test)]
mod tests;
