//! Certificates as the nodes show them: well-formed, dated from the fleet's start, and signed by nobody.
//!
//! A recorded certificate would expire in a year and name another node. Nothing in the demo verifies a signature (a
//! probe reads the public part only), so the signature is a hash where a CA's would stand and there is no CA key.

use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::plan::State;
use super::vars::Values;

const DAY: i64 = 86_400;

/// Whose certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// `ca`: the cluster's; the same on every node.
    Ca,
    /// `etcd-ca`
    EtcdCa,
    /// `front-proxy-ca`
    FrontProxyCa,
    /// `kubelet`: the kubelet's client certificate, which names the node.
    Kubelet,
    /// `kubelet-serving`
    KubeletServing,
    /// `apiserver`
    ApiServer,
    /// `apiserver-kubelet-client`
    ApiServerKubeletClient,
    /// `apiserver-etcd-client`
    ApiServerEtcdClient,
    /// `front-proxy-client`
    FrontProxyClient,
    /// `etcd-server`
    EtcdServer,
    /// `admin`, `controller-manager`, `scheduler`: of the kubeconfigs.
    Admin,
    ControllerManager,
    Scheduler,
}

/// What a certificate says.
struct Profile {
    common_name: String,
    organisation: Option<&'static str>,
    issuer: String,
    /// Seconds before the fleet's start at which it became valid, and for how long it is.
    age: i64,
    lifetime: i64,
    names: Vec<String>,
    addresses: Vec<Ipv4Addr>,
    ca: bool,
}

impl Subject {
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "ca" => Self::Ca,
            "etcd-ca" => Self::EtcdCa,
            "front-proxy-ca" => Self::FrontProxyCa,
            "kubelet" => Self::Kubelet,
            "kubelet-serving" => Self::KubeletServing,
            "apiserver" => Self::ApiServer,
            "apiserver-kubelet-client" => Self::ApiServerKubeletClient,
            "apiserver-etcd-client" => Self::ApiServerEtcdClient,
            "front-proxy-client" => Self::FrontProxyClient,
            "etcd-server" => Self::EtcdServer,
            "admin" => Self::Admin,
            "controller-manager" => Self::ControllerManager,
            "scheduler" => Self::Scheduler,
            _ => return None,
        })
    }

    fn profile(self, values: &Values<'_>) -> Profile {
        let node = values.node().name.to_lowercase();
        let ca = |common_name: &str| Profile {
            common_name: common_name.to_owned(),
            organisation: None,
            issuer: common_name.to_owned(),
            age: State::ControlPlane.join_began(),
            lifetime: 3650 * DAY,
            names: Vec::new(),
            addresses: Vec::new(),
            ca: true,
        };
        let leaf = |common_name: &str, organisation, issuer: &str| Profile {
            common_name: common_name.to_owned(),
            organisation,
            issuer: issuer.to_owned(),
            age: values.node().state.join_began(),
            lifetime: 365 * DAY,
            names: Vec::new(),
            addresses: Vec::new(),
            ca: false,
        };
        match self {
            Self::Ca => ca("kubernetes"),
            Self::EtcdCa => ca("etcd-ca"),
            Self::FrontProxyCa => ca("front-proxy-ca"),
            Self::Kubelet => leaf(&format!("system:node:{node}"), Some("system:nodes"), "kubernetes"),
            // The kubelet makes a CA of its own for it.
            Self::KubeletServing => {
                let made = values.cluster.started - values.node().state.join_began();
                leaf(&format!("{node}@{made}"), None, &format!("{node}-ca@{made}"))
            }
            Self::ApiServer => Profile {
                names: ["kubernetes", "kubernetes.default", "kubernetes.default.svc", &node]
                    .map(str::to_owned)
                    .to_vec(),
                addresses: vec![Ipv4Addr::new(10, 96, 0, 1), values.node().address],
                ..leaf("kube-apiserver", None, "kubernetes")
            },
            Self::ApiServerKubeletClient => {
                leaf("kube-apiserver-kubelet-client", Some("kubeadm:cluster-admins"), "kubernetes")
            }
            Self::ApiServerEtcdClient => leaf("kube-apiserver-etcd-client", None, "etcd-ca"),
            Self::FrontProxyClient => leaf("front-proxy-client", None, "front-proxy-ca"),
            Self::EtcdServer => {
                Profile { names: vec![node.clone(), "localhost".to_owned()], ..leaf(&node, None, "etcd-ca") }
            }
            Self::Admin => leaf("kubernetes-admin", Some("kubeadm:cluster-admins"), "kubernetes"),
            Self::ControllerManager => leaf("system:kube-controller-manager", None, "kubernetes"),
            Self::Scheduler => leaf("system:kube-scheduler", None, "kubernetes"),
        }
    }
}

/// The certificate in PEM, with its closing newline.
pub(super) fn pem(subject: Subject, values: &Values<'_>) -> String {
    let body = STANDARD.encode(der(&subject.profile(values), values));
    let mut pem = String::with_capacity(body.len() + 80);
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = next;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// That PEM in base64, as a kubeconfig carries it.
pub(super) fn base64_pem(subject: Subject, values: &Values<'_>) -> String {
    STANDARD.encode(pem(subject, values))
}

// Tags and object identifiers of RFC 5280, RFC 8410 and X.520.
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
const ED25519: &[u8] = &[0x06, 3, 0x2b, 0x65, 0x70];
const COMMON_NAME: &[u8] = &[0x06, 3, 0x55, 0x04, 0x03];
const ORGANISATION: &[u8] = &[0x06, 3, 0x55, 0x04, 0x0a];
const BASIC_CONSTRAINTS: &[u8] = &[0x06, 3, 0x55, 0x1d, 0x13];
const ALT_NAMES: &[u8] = &[0x06, 3, 0x55, 0x1d, 0x11];
const TRUE: &[u8] = &[0x01, 1, 0xff];

fn der(profile: &Profile, values: &Values<'_>) -> Vec<u8> {
    // The key depends on the name and the fleet alone: one CA, and a node's key stays the same between sweeps.
    let key = Sha256::digest(format!("{} {}", values.plan.seed, profile.common_name));
    let from = values.cluster.started - profile.age;
    let algorithm = tlv(SEQUENCE, &[ED25519]);
    let body = tlv(
        SEQUENCE,
        &[
            &tlv(VERSION, &[&tlv(INTEGER, &[&[2]])]),
            &tlv(INTEGER, &[&[1], &key[..8]]),
            &algorithm,
            &name(&profile.issuer, None),
            &tlv(SEQUENCE, &[&time(from), &time(from + profile.lifetime)]),
            &name(&profile.common_name, profile.organisation),
            &tlv(SEQUENCE, &[&algorithm, &tlv(BIT_STRING, &[&[0], &key])]),
            &extensions(profile),
        ],
    );
    let signature = Sha256::digest(&body);
    tlv(SEQUENCE, &[&body, &algorithm, &tlv(BIT_STRING, &[&[0], &signature, &signature])])
}

fn extensions(profile: &Profile) -> Vec<u8> {
    let extension = if profile.ca {
        tlv(SEQUENCE, &[BASIC_CONSTRAINTS, TRUE, &tlv(OCTET_STRING, &[&tlv(SEQUENCE, &[TRUE])])])
    } else if profile.names.is_empty() {
        return Vec::new();
    } else {
        let names: Vec<u8> = profile.names.iter().flat_map(|name| tlv(DNS_NAME, &[name.as_bytes()])).collect();
        let addresses: Vec<u8> = profile.addresses.iter().flat_map(|ip| tlv(IP_ADDRESS, &[&ip.octets()])).collect();
        tlv(SEQUENCE, &[ALT_NAMES, &tlv(OCTET_STRING, &[&tlv(SEQUENCE, &[&names, &addresses])])])
    };
    tlv(EXTENSIONS, &[&tlv(SEQUENCE, &[&extension])])
}

fn name(common_name: &str, organisation: Option<&str>) -> Vec<u8> {
    let part = |oid: &[u8], text: &str| tlv(SET, &[&tlv(SEQUENCE, &[oid, &tlv(UTF8_STRING, &[text.as_bytes()])])]);
    let organisation = organisation.map(|text| part(ORGANISATION, text)).unwrap_or_default();
    tlv(SEQUENCE, &[&organisation, &part(COMMON_NAME, common_name)])
}

/// RFC 5280 4.1.2.5: `UTCTime` through 2049, `GeneralizedTime` after.
fn time(epoch: i64) -> Vec<u8> {
    let time = Timestamp::from_second(epoch).unwrap_or(Timestamp::UNIX_EPOCH);
    let text = time.strftime("%Y%m%d%H%M%SZ").to_string();
    if text.as_str() < "2050" {
        tlv(UTC_TIME, &[&text.as_bytes()[2..]])
    } else {
        tlv(GENERALIZED_TIME, &[text.as_bytes()])
    }
}

/// Tag, length, value (DER's definite form; nothing here is longer than 65,535 bytes).
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 4);
    out.push(tag);
    let [.., high, low] = length.to_be_bytes();
    match length {
        0..=0x7f => out.push(low),
        0x80..=0xff => out.extend([0x81, low]),
        _ => out.extend([0x82, high, low]),
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use x509_parser::pem::parse_x509_pem;

    use super::super::cluster::Cluster;
    use super::super::plan::plan;
    use super::*;

    fn read(subject: Subject, index: usize) -> (String, String, [i64; 2], Vec<u8>) {
        let plan = plan(12, 7).unwrap();
        let cluster = Cluster::new(&plan, 1_757_511_688);
        let values = Values { plan: &plan, cluster: &cluster, index, now_ms: 1_757_511_688_500 };
        let pem = pem(subject, &values);
        let (_, pem) = parse_x509_pem(pem.as_bytes()).unwrap();
        let cert = pem.parse_x509().unwrap();
        let valid = [cert.validity.not_before.timestamp(), cert.validity.not_after.timestamp()];
        (cert.subject.to_string(), cert.issuer.to_string(), valid, cert.public_key().raw.to_vec())
    }

    #[test]
    fn a_parser_reads_what_they_say() {
        let (subject, issuer, [from, to], _) = read(Subject::Kubelet, 2);
        assert_eq!((subject.as_str(), issuer.as_str()), ("O=system:nodes, CN=system:node:node001", "CN=kubernetes"));
        assert_eq!([from, to].map(|at| (at - 1_757_511_688) / DAY), [-80, 285]);
        let (_, issuer, _, _) = read(Subject::EtcdServer, 0);
        assert_eq!(issuer, "CN=etcd-ca");
    }

    #[test]
    fn the_ca_is_the_same_everywhere_and_node_keys_are_not() {
        assert_eq!(read(Subject::Ca, 0).3, read(Subject::Ca, 5).3);
        assert_ne!(read(Subject::Kubelet, 2).3, read(Subject::Kubelet, 4).3);
    }

    #[test]
    fn the_apiservers_names_include_its_address() {
        let plan = plan(12, 7).unwrap();
        let cluster = Cluster::new(&plan, 1_757_511_688);
        let values = Values { plan: &plan, cluster: &cluster, index: 0, now_ms: 1_757_511_688_500 };
        let (_, pem) = parse_x509_pem(pem(Subject::ApiServer, &values).as_bytes()).unwrap();
        let cert = pem.parse_x509().unwrap();
        let names = &cert.subject_alternative_name().unwrap().unwrap().value.general_names;
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        assert_eq!(names.last().map(String::as_str), Some("IPAddress(0a:14:01:01)"), "{names:?}");
    }

    #[test]
    fn the_ca_reaches_beyond_utc_time() {
        let time = time(2_600_000_000);
        assert_eq!(time[0], GENERALIZED_TIME);
    }
}
