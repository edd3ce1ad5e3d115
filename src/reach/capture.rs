//! What came of one node's connections: words and numbers as they came, part of the node's record. Nothing is judged here.

use serde::{Deserialize, Serialize};

/// Everything that was tried for one node. What was not tried is not here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReachCapture {
    /// Endpoints of the API, in the order of the dials.
    #[serde(default)]
    pub apis: Vec<ApiCapture>,
    /// The kubelet's `/healthz` on the node's loopback address.
    #[serde(default)]
    pub healthz: Option<HealthzCapture>,
    /// Servers that were only dialled.
    #[serde(default)]
    pub servers: Vec<ServerCapture>,
}

/// One endpoint of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiCapture {
    pub origin: Origin,
    /// As written.
    pub endpoint: String,
    pub dial: Dial,
    #[serde(default)]
    pub tls: Option<Tls>,
    #[serde(default)]
    pub cluster_info: Option<ClusterInfo>,
    /// What a program on the node says of the server's certificate, where it had to ask and does not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
}

/// Who named an endpoint, the one that counts most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The node's `kubelet.conf`.
    KubeletConf,
    /// The node's `bootstrap-kubelet.conf`.
    BootstrapConf,
    /// `kube_api_endpoint` of the inventory.
    Inventory,
    /// Nobody: the address of the run's first control plane, with the usual port.
    ControlPlane,
}

/// How a connection from the node began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Dial {
    Open {
        ms: u64,
    },
    /// The node tried; its C library's words.
    Failed {
        ms: u64,
        words: String,
    },
    /// The node's sshd does not forward, or not there.
    Forbidden {
        words: String,
    },
    /// No answer.
    Silent {
        ms: u64,
    },
    /// The connection to the node ended.
    Lost {
        words: String,
    },
    NotTried {
        why: String,
    },
}

/// A TLS handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Tls {
    Done {
        ms: u64,
        /// The certificates in PEM, the server's own first.
        chain: String,
    },
    Failed {
        words: String,
    },
    /// Nothing came in time: a slow server, or a path that loses large packets.
    Silent {
        words: String,
    },
}

/// A server's certificate, held against the CAs of its cluster-info by the node's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Verified {
    Holds,
    /// It is for other names.
    Name {
        words: String,
    },
    Dates {
        words: String,
    },
    Issuer {
        words: String,
    },
}

/// The answer to an anonymous request for `cluster-info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum ClusterInfo {
    /// 200, and a `ConfigMap`.
    Read {
        ms: u64,
        /// Ids of the tokens that it is signed for.
        token_ids: Vec<String>,
        /// The kubeconfig in it, which has the cluster's CA and server and no user.
        kubeconfig: Option<String>,
    },
    /// Another status, with the server's words on it.
    Refused { status: u16, words: String },
    /// No answer that can be understood.
    Failed { words: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthzCapture {
    pub dial: Dial,
    #[serde(default)]
    pub answer: Option<Healthz>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Healthz {
    Answered { status: u16, words: String },
    Failed { words: String },
}

/// A server that was dialled and nothing more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerCapture {
    pub host: String,
    pub port: u16,
    pub dial: Dial,
}
