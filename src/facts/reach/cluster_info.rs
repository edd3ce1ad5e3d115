//! What cluster-info says, and what any kubeconfig says of its cluster.

use super::super::Fact;
use super::super::certs::{Cert, certificates};
use super::super::read::clip;
use super::super::yaml::yaml;
use crate::reach::capture::{ApiCapture, ClusterInfo};

/// What cluster-info says.
pub(super) struct Info {
    pub(super) status: Fact<u32>,
    pub(super) error: Fact<String>,
    pub(super) token_ids: Fact<Vec<String>>,
    pub(super) ca_hashes: Fact<Vec<String>>,
    pub(super) server: Fact<String>,
}

impl Info {
    pub(super) fn parse(api: &ApiCapture, chain: &Fact<Vec<Cert>>) -> Self {
        match &api.cluster_info {
            Some(ClusterInfo::Read { token_ids, kubeconfig, .. }) => {
                let cluster = kubeconfig.as_deref().map_or_else(ClusterOf::absent, cluster_of);
                Self {
                    status: Fact::Known(200),
                    error: Fact::Absent,
                    token_ids: Fact::Known(token_ids.iter().map(|id| clip(id, 6)).collect()),
                    ca_hashes: cluster.ca_hashes,
                    server: cluster.server,
                }
            }
            Some(ClusterInfo::Refused { status, words }) => {
                let why = format!("the server answers {status}");
                Self {
                    status: Fact::Known(u32::from(*status)),
                    error: Fact::Known(clip(words, 300)),
                    ..Self::unknown(&why)
                }
            }
            Some(ClusterInfo::Failed { words }) => Self::unknown(&clip(words, 200)),
            None => Self::unknown(chain.reason().unwrap_or("the time was up before it answered")),
        }
    }

    fn unknown(why: &str) -> Self {
        Self {
            status: Fact::unknown(why),
            error: Fact::unknown(why),
            token_ids: Fact::unknown(why),
            ca_hashes: Fact::unknown(why),
            server: Fact::unknown(why),
        }
    }
}

/// The first cluster of a kubeconfig.
pub(crate) struct ClusterOf {
    pub(crate) server: Fact<String>,
    /// Its CAs in PEM.
    pub(crate) ca_pem: Option<String>,
    ca_hashes: Fact<Vec<String>>,
}

impl ClusterOf {
    fn absent() -> Self {
        Self { server: Fact::Absent, ca_pem: None, ca_hashes: Fact::Absent }
    }
}

pub(crate) fn cluster_of(kubeconfig: &str) -> ClusterOf {
    use base64::Engine as _;
    let cluster = yaml(kubeconfig)
        .and_then(|root| Fact::from_option(root.get("clusters").and_then(|list| list.get(0)?.get("cluster").cloned())));
    let of = |key: &str| {
        cluster
            .as_ref()
            .and_then(|cluster| Fact::from_option(cluster.get(key).and_then(|value| value.as_str()).map(str::to_owned)))
    };
    let decode = |data: &String| base64::engine::general_purpose::STANDARD.decode(data.trim()).ok();
    let ca_pem = of("certificate-authority-data")
        .map(|data| decode(&data).map(|pem| String::from_utf8_lossy(&pem).into_owned()));
    ClusterOf {
        server: of("server").map(|server| clip(&server, 300)),
        ca_hashes: ca_pem.as_ref().and_then(|pem| {
            match pem.as_deref().map(|pem| ca_hashes(&certificates("cluster-info", pem))) {
                Some(hashes) if !hashes.is_empty() => Fact::Known(hashes),
                _ => Fact::unknown("the CA of cluster-info is no certificate"),
            }
        }),
        ca_pem: ca_pem.known().cloned().flatten(),
    }
}

pub(super) fn ca_hashes(chain: &[Cert]) -> Vec<String> {
    chain.iter().filter(|cert| cert.ca).take(8).map(|cert| cert.key_sha256.clone()).collect()
}
