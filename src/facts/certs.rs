//! Certificates: whose they are, how long they hold, and the key that a join pins.

use schemars::JsonSchema;
use serde::Serialize;
use x509_parser::prelude::{FromDer, Pem, X509Certificate};

use super::Fact;
use super::alike::Alike;
use super::memo::Memo;
use super::read::Reader;
use crate::digest;

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Certs {
    /// Every certificate that was found, in the order of files.
    pub list: Fact<Vec<Alike<Cert>>>,
    /// The kubelet's client certificate in use.
    pub kubelet_client: Alike<CertFacts>,
    /// `/etc/kubernetes/pki/ca.crt`.
    pub ca: Alike<CertFacts>,
    /// `/etc/kubernetes/pki/apiserver.crt`, on a control plane.
    pub api_server: Alike<CertFacts>,
    /// The certificate of the list that ends first; CA certificates count too.
    pub ends_first: Fact<String>,
    /// Seconds until then, negative when it is over.
    pub ends_first_in: Fact<i64>,
}

/// One certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Cert {
    pub path: String,
    pub subject: String,
    pub common_name: Fact<String>,
    pub organizations: Vec<String>,
    pub issuer: String,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
    pub ca: bool,
    /// SHA-256 of the public key in hex, as `--discovery-token-ca-cert-hash` has it.
    pub key_sha256: String,
    /// DNS names and addresses that it is for.
    pub names: Vec<String>,
}

/// One certificate that checks ask for by its place, flat.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct CertFacts {
    pub path: Fact<String>,
    pub subject: Fact<String>,
    pub common_name: Fact<String>,
    pub not_before: Fact<i64>,
    pub not_after: Fact<i64>,
    pub key_sha256: Fact<String>,
    /// Seconds from the node's clock to its end; negative when it is over.
    pub seconds_left: Fact<i64>,
    pub expired: Fact<bool>,
    /// By the node's clock it does not hold yet.
    pub not_yet_valid: Fact<bool>,
}

const CLIENT: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
const API_SERVER: &str = "/etc/kubernetes/pki/apiserver.crt";
const CA: &str = "/etc/kubernetes/pki/ca.crt";

impl Certs {
    /// `now`: the node's clock in seconds.
    pub(crate) fn parse(reader: Reader<'_>, now: Option<i64>) -> Self {
        let mut list = Vec::new();
        let mut read = false;
        for (path, text) in reader.each("cert") {
            read |= !text.is_unknown();
            if let Fact::Known(text) = text {
                list.extend(certificates(path, text));
            }
        }
        for (path, text) in reader.each_whole("kubeconfig") {
            let embedded = embedded(path, text.known().copied().unwrap_or_default());
            read |= !embedded.is_empty();
            list.extend(embedded);
        }
        let ends_first = list.iter().min_by_key(|cert| cert.not_after);
        Self {
            kubelet_client: CertFacts::at(reader, CLIENT, now).into(),
            ca: CertFacts::at(reader, CA, now).into(),
            api_server: CertFacts::at(reader, API_SERVER, now).into(),
            ends_first: first_of(reader, read, ends_first.map(|cert| cert.path.clone())),
            ends_first_in: match now {
                Some(now) => first_of(reader, read, ends_first.map(|cert| cert.not_after.saturating_sub(now))),
                None => Fact::unknown("the node's clock is not known"),
            },
            list: if read { Fact::Known(list.into_iter().map(Alike::from).collect()) } else { reader.none_of("cert") },
        }
    }
}

fn first_of<T>(reader: Reader<'_>, read: bool, value: Option<T>) -> Fact<T> {
    match value {
        Some(value) => Fact::Known(value),
        None if read => Fact::Absent,
        None => reader.none_of("cert"),
    }
}

impl CertFacts {
    fn at(reader: Reader<'_>, path: &str, now: Option<i64>) -> Self {
        let found = reader.sections("cert").find(|section| section.arg.as_deref() == Some(path));
        let cert = match found.map(super::read::read) {
            Some(Fact::Known(text)) => certificates(path, text)
                .into_iter()
                .next()
                .map_or_else(|| Fact::unknown("no certificate that can be understood"), Fact::Known),
            Some(Fact::Absent) => Fact::Absent,
            Some(Fact::Unknown(why)) => Fact::Unknown(why),
            None => reader.none_of("cert"),
        };
        let of = |f: fn(&Cert) -> String| cert.as_ref().map(f);
        let against_now = |f: fn(&Cert, i64) -> i64| {
            cert.as_ref().and_then(|cert| match now {
                Some(now) => Fact::Known(f(cert, now)),
                None => Fact::unknown("the node's clock is not known"),
            })
        };
        let left = against_now(|cert, now| cert.not_after.saturating_sub(now));
        Self {
            path: of(|cert| cert.path.clone()),
            subject: of(|cert| cert.subject.clone()),
            common_name: cert.as_ref().and_then(|cert| cert.common_name.clone()),
            key_sha256: of(|cert| cert.key_sha256.clone()),
            not_before: cert.as_ref().map(|cert| cert.not_before),
            not_after: cert.as_ref().map(|cert| cert.not_after),
            expired: left.as_ref().map(|left| *left < 0),
            not_yet_valid: against_now(|cert, now| cert.not_before.saturating_sub(now)).map(|ahead| ahead > 0),
            seconds_left: left,
        }
    }
}

/// The certificates of a PEM text; blocks that are no certificates, or broken ones, are left out.
pub(crate) fn certificates(path: &str, text: &str) -> Vec<Cert> {
    static KNOWN: Memo<Vec<Cert>> = Memo::new();
    let read = |text: &str| {
        let blocks = Pem::iter_from_buffer(text.as_bytes()).map_while(Result::ok);
        let blocks = blocks.filter(|block| block.label == "CERTIFICATE");
        blocks.filter_map(|block| certificate(&block.contents)).collect()
    };
    KNOWN.get(text, read).iter().map(|cert| Cert { path: path.to_owned(), ..cert.clone() }).collect()
}

/// The certificate that a kubeconfig carries itself.
fn embedded(path: &str, text: &str) -> Vec<Cert> {
    use base64::Engine as _;
    let root = super::yaml::yaml(text);
    let data =
        root.known().and_then(|root| root.get("users")?.get(0)?.get("user")?.get("client-certificate-data")?.as_str());
    let pem = data.and_then(|data| base64::engine::general_purpose::STANDARD.decode(data.trim()).ok());
    pem.map(|pem| certificates(path, &String::from_utf8_lossy(&pem))).unwrap_or_default()
}

/// SHA-256 of the public key of a CA as kubeconfigs carry it, in base64.
pub(crate) fn ca_sha256(encoded: &str) -> Fact<String> {
    use base64::Engine as _;
    let Ok(pem) = base64::engine::general_purpose::STANDARD.decode(encoded.trim()) else {
        return Fact::unknown("the CA of the configuration is no base64");
    };
    let text = String::from_utf8_lossy(&pem);
    certificates("kubeconfig", &text).first().map_or_else(
        || Fact::unknown("the CA of the configuration is no certificate"),
        |cert| Fact::Known(cert.key_sha256.clone()),
    )
}

/// Without its path.
fn certificate(der: &[u8]) -> Option<Cert> {
    let (_, cert) = X509Certificate::from_der(der).ok()?;
    let common_name = cert.subject().iter_common_name().find_map(|name| name.as_str().ok());
    let organizations = cert.subject().iter_organization().filter_map(|name| name.as_str().ok());
    let names = cert.subject_alternative_name().ok().flatten();
    let names = names.map(|names| names.value.general_names.iter().filter_map(general_name).collect());
    Some(Cert {
        path: String::new(),
        subject: cert.subject().to_string(),
        common_name: Fact::from_option(common_name.map(str::to_owned)),
        organizations: organizations.map(str::to_owned).collect(),
        issuer: cert.issuer().to_string(),
        not_before: cert.validity().not_before.timestamp(),
        not_after: cert.validity().not_after.timestamp(),
        ca: cert.is_ca(),
        key_sha256: digest::sha256(cert.public_key().raw),
        names: names.unwrap_or_default(),
    })
}

fn general_name(name: &x509_parser::extensions::GeneralName<'_>) -> Option<String> {
    use x509_parser::extensions::GeneralName;
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            if let Ok(v4) = <[u8; 4]>::try_from(*bytes) {
                return Some(std::net::Ipv4Addr::from(v4).to_string());
            }
            <[u8; 16]>::try_from(*bytes).ok().map(|v6| std::net::Ipv6Addr::from(v6).to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::record;
    use super::*;

    const LEAF: &str = include_str!("testdata/kubelet-client.crt");
    const AUTHORITY: &str = include_str!("testdata/ca.crt");
    const SERVER: &str = include_str!("testdata/apiserver.crt");

    fn parse(now: i64) -> Certs {
        let record = record(&[
            ("cert", CLIENT, LEAF),
            ("cert", CA, AUTHORITY),
            ("cert", "/x", "-----BEGIN CERTIFICATE-----\nAAAA\n"),
        ]);
        Certs::parse(Reader::new(&record), Some(now))
    }

    #[test]
    fn names_dates_and_the_pinned_key() {
        let certs = parse(1_757_526_000);
        assert_eq!(certs.kubelet_client.common_name, Fact::Known("system:node:homelab".to_owned()));
        assert_eq!(certs.kubelet_client.not_after, Fact::Known(1_788_307_200));
        assert_eq!(certs.kubelet_client.expired, Fact::Known(false));
        // openssl x509 -pubkey | openssl pkey -pubin -outform der | sha256sum
        let pin = "14c4d239897364b502ddefaefd6bbf4ee0c3560c1ecb9c3511b9569f30374e43";
        assert_eq!(certs.ca.key_sha256, Fact::Known(pin.to_owned()));
        let list = certs.list.known().unwrap();
        assert_eq!(list.iter().map(|cert| cert.ca).collect::<Vec<_>>(), [false, true]);
        assert_eq!(list[0].organizations, ["system:nodes"]);
        assert_eq!(certs.ends_first, Fact::Known(CLIENT.to_owned()));
    }

    #[test]
    fn the_nodes_clock_decides() {
        assert_eq!(parse(1_788_307_201).kubelet_client.expired, Fact::Known(true));
        assert_eq!(parse(1_756_771_199).kubelet_client.not_yet_valid, Fact::Known(true));
    }

    #[test]
    fn a_kubeconfigs_own_certificate_counts() {
        use base64::Engine as _;
        let data = base64::engine::general_purpose::STANDARD.encode(LEAF);
        let admin = format!("users:\n- name: admin\n  user:\n    client-certificate-data: {data}\n");
        let record = record(&[("cert", CA, AUTHORITY), ("kubeconfig", "/etc/kubernetes/admin.conf", &admin)]);
        let certs = Certs::parse(Reader::new(&record), Some(0));
        assert_eq!(certs.ends_first, Fact::Known("/etc/kubernetes/admin.conf".to_owned()));
    }

    #[test]
    fn alternative_names() {
        assert_eq!(certificates("x", SERVER)[0].names, ["kubernetes", "10.96.0.1", "192.168.4.63"]);
    }

    #[test]
    fn missing_and_broken_are_told_apart() {
        let none = Certs::parse(Reader::new(&record(&[])), Some(0));
        assert_eq!(none.kubelet_client.expired, Fact::Absent);
        let broken = record(&[("cert", CLIENT, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")]);
        assert!(Certs::parse(Reader::new(&broken), Some(0)).kubelet_client.expired.is_unknown());
    }
}
