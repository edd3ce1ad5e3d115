//! What one visit to the API's endpoint over the worker's own network path proves before a token is handed over: that kubeadm's
//! discovery will succeed there, or why it cannot. Pure: the visit is made in `prove`.
//!
//! It asks what kubeadm asks (`discovery/token/token.go`): an answer, cluster-info signed by the token, a CA that is pinned,
//! and then the same server by a certificate of that CA for the name as written and the node's time.

use crate::change::plan::Join;
use crate::facts::Fact;
use crate::facts::reach::{ApiReach, Tcp};
use crate::reach::Call;
use crate::reach::capture::{ApiCapture, ClusterInfo, Dial, Tls, Verified};

use super::jws::{self, Signature};
use super::token::Token;

/// What came of a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Discovery will succeed; the lines that show it.
    Holds { evidence: Vec<String> },
    /// It would fail.
    Fails(Flaw),
    /// Nobody could look.
    Unknown { why: String },
}

/// Why discovery would fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    pub kind: FlawKind,
    /// A lowercase fragment.
    pub why: String,
    pub next: String,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlawKind {
    /// Nobody listens there.
    Refused,
    NoAnswer,
    NoRoute,
    Unresolved,
    /// What listens there speaks no TLS or no API.
    NotTheApi,
    CertificateName,
    CertificateDates,
    /// The server's certificate is not from the cluster's CA.
    CertificateIssuer,
    ClusterInfoForbidden,
    /// cluster-info is not signed for the token.
    TokenUnknown,
    /// It is signed by another token of the same id, or changed.
    TokenWrong,
    CaPin,
    /// The server that cluster-info names does not answer.
    Server,
}

impl FlawKind {
    /// The check that says the same.
    pub const fn check(self) -> &'static str {
        match self {
            Self::Refused | Self::NoAnswer | Self::NoRoute | Self::NotTheApi => "join/api-unreachable",
            Self::Unresolved => "join/endpoint-unresolved",
            Self::CertificateName => "join/api-certificate-name",
            Self::CertificateDates => "join/api-certificate-dates",
            Self::ClusterInfoForbidden => "join/cluster-info-forbidden",
            Self::TokenUnknown | Self::TokenWrong => "join/token-unknown",
            Self::CaPin | Self::CertificateIssuer => "join/ca-pin-mismatch",
            Self::Server => "join/endpoint-differs",
        }
    }

    /// The class that kubeadm's own failure would have, in `playbooks/join-phases.yaml`.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Refused => "api-refused",
            Self::NoAnswer => "api-no-answer",
            Self::NoRoute => "api-no-route",
            Self::Unresolved => "api-name",
            Self::NotTheApi => "not-tls",
            Self::CertificateName => "api-certificate-name",
            Self::CertificateDates => "api-certificate-dates",
            Self::CertificateIssuer => "api-ca-unknown",
            Self::ClusterInfoForbidden => "cluster-info-forbidden",
            Self::TokenUnknown => "token",
            Self::TokenWrong => "token-refused",
            Self::CaPin => "ca-pin",
            Self::Server => "second-endpoint",
        }
    }

    /// What to do, as kubeadm's own failure of that class would have it.
    fn next(self) -> &'static str {
        match self {
            Self::Refused => {
                "look at the API server on the control plane (crictl ps -a --name kube-apiserver), and compare its port with kube_api_endpoint"
            }
            Self::NoAnswer | Self::NoRoute => {
                "open the API's port between the node and the control plane: look at routes and firewalls on both"
            }
            Self::Unresolved => {
                "make the endpoint's name resolve on the node (/etc/resolv.conf, /etc/hosts), or name an address in kube_api_endpoint"
            }
            Self::NotTheApi => "check kube_api_endpoint, and any proxy or load balancer in front of the API server",
            Self::CertificateName => {
                "join by a name of the certificate (kube_api_endpoint), or add this one to apiServer.certSANs and renew it"
            }
            Self::CertificateDates => {
                "compare the clocks of node and control plane (date -u), and look at kubeadm certs check-expiration"
            }
            Self::CertificateIssuer => {
                "check that kube_api_endpoint is this cluster's API server, and that its certificates are of its present CA"
            }
            Self::ClusterInfoForbidden => {
                "run kubeadm init phase bootstrap-token on the control plane; it restores the binding"
            }
            Self::TokenUnknown => {
                "look at the controller-manager on the control plane: it signs cluster-info for new tokens (bootstrapsigner)"
            }
            Self::TokenWrong => "check that kube_api_endpoint is the cluster of the control plane that made the token",
            Self::CaPin => {
                "check that kube_api_endpoint is the cluster of the control plane that made the token, and that it has one CA"
            }
            Self::Server => {
                "look at the server in cluster-info (kubectl -n kube-public get cm cluster-info -o yaml): it must be reachable from the node"
            }
        }
    }

    fn flaw(self, why: impl Into<String>) -> Proof {
        Proof::Fails(Flaw { kind: self, why: super::short(&why.into()), next: self.next().to_owned() })
    }
}

/// Judges a visit; `now` is the node's clock in seconds.
pub(super) fn judge(call: &Call, join: &Join, token: &Token, now: Option<i64>) -> Proof {
    let api = ApiReach::parse(&call.capture, now);
    let seen = call.capture.apis.first();
    let endpoint = &join.endpoint;
    match seen.map(|seen| &seen.dial) {
        Some(Dial::Forbidden { words } | Dial::Lost { words } | Dial::NotTried { why: words }) => {
            return Proof::Unknown { why: super::short(words) };
        }
        None => return Proof::Unknown { why: format!("{endpoint} is no endpoint") },
        Some(Dial::Open { .. } | Dial::Failed { .. } | Dial::Silent { .. }) => {}
    }
    if api.tcp != Fact::Known(Tcp::Open) {
        let kind = match api.tcp.known() {
            Some(Tcp::Refused) => FlawKind::Refused,
            Some(Tcp::NoRoute) => FlawKind::NoRoute,
            Some(Tcp::Unresolved) => FlawKind::Unresolved,
            _ => FlawKind::NoAnswer,
        };
        let words = api.tcp_error.known().map_or("no connection", String::as_str);
        return kind.flaw(format!("the node cannot reach the API at {endpoint}: {words}"));
    }
    match seen.and_then(|seen| seen.tls.as_ref()) {
        Some(Tls::Failed { words }) => {
            return FlawKind::NotTheApi
                .flaw(format!("what answers at {endpoint} speaks no TLS with a client: {words}"));
        }
        Some(Tls::Silent { words }) => return FlawKind::NoAnswer.flaw(format!("the API at {endpoint}: {words}")),
        Some(Tls::Done { .. }) | None => {}
    }
    match seen.and_then(|seen| seen.cluster_info.as_ref()) {
        Some(ClusterInfo::Read { .. }) => {}
        Some(ClusterInfo::Refused { status: status @ (401 | 403 | 404), words }) => {
            let why = format!("the cluster does not let a joining node read cluster-info ({status}): {words}");
            return FlawKind::ClusterInfoForbidden.flaw(why);
        }
        Some(ClusterInfo::Refused { status: status @ 500.., words }) => {
            return FlawKind::NoAnswer.flaw(format!("the API at {endpoint} answers {status}: {words}"));
        }
        Some(ClusterInfo::Refused { status, words }) => {
            return FlawKind::NotTheApi
                .flaw(format!("what answers at {endpoint} is no API server ({status}): {words}"));
        }
        Some(ClusterInfo::Failed { words }) => {
            return FlawKind::NotTheApi.flaw(format!("what answers at {endpoint} is no API server: {words}"));
        }
        None => return FlawKind::NoAnswer.flaw(format!("the API at {endpoint} did not answer in time")),
    }
    let mut evidence = vec![connected(&api, endpoint)];
    let certificate = || match seen {
        Some(ApiCapture { verified: Some(verified), .. }) => told(verified, endpoint, &mut evidence),
        Some(ApiCapture { tls: Some(_), .. }) => shown(&api, call, endpoint, now, &mut evidence),
        _ => Some(Proof::Unknown { why: format!("no program on the node could verify the certificate of {endpoint}") }),
    };
    let checked = signature(call, token).or_else(|| pins(&api, join)).or_else(certificate);
    if let Some(flaw) = checked.or_else(|| server(&api)) {
        return flaw;
    }
    evidence.push(format!("cluster-info is signed with the token {} and has the pinned CA", token.id()));
    if api.server_differs.is_true() {
        evidence.push(format!(
            "{}, which cluster-info names, takes connections, too",
            api.server.known().map_or("", String::as_str)
        ));
    }
    Proof::Holds { evidence }
}

/// By the word of a program on the node.
fn told(verified: &Verified, endpoint: &str, evidence: &mut Vec<String>) -> Option<Proof> {
    match verified {
        Verified::Holds => {
            evidence
                .push(format!("its certificate names {endpoint} and holds by the node's clock and the cluster's CA"));
            None
        }
        Verified::Name { words } => Some(FlawKind::CertificateName.flaw(words.as_str())),
        Verified::Dates { words } => Some(FlawKind::CertificateDates.flaw(words.as_str())),
        Verified::Issuer { words } => Some(FlawKind::CertificateIssuer.flaw(words.as_str())),
    }
}

fn connected(api: &ApiReach, endpoint: &str) -> String {
    let took = api.tcp_ms.known().map(|ms| format!(" within {ms} ms")).unwrap_or_default();
    format!("the node reached {endpoint}{took}")
}

fn signature(call: &Call, token: &Token) -> Option<Proof> {
    let id = token.id();
    let Some(signed) = &call.signed else {
        return Some(FlawKind::NotTheApi.flaw("cluster-info has no kubeconfig in it"));
    };
    match jws::verify(signed, token) {
        Signature::Valid => None,
        Signature::Missing => {
            Some(FlawKind::TokenUnknown.flaw(format!("the cluster does not sign cluster-info for the token {id}")))
        }
        Signature::Wrong(why) => Some(FlawKind::TokenWrong.flaw(format!("the token {id} is not proven: {why}"))),
    }
}

fn pins(api: &ApiReach, join: &Join) -> Option<Proof> {
    let Some(hashes) = api.ca_hashes.known() else {
        return Some(FlawKind::CaPin.flaw("cluster-info has no CA that can be read"));
    };
    let pinned = |hash: &String| {
        let known = |pin: &String| pin.strip_prefix("sha256:").is_some_and(|pin| pin.eq_ignore_ascii_case(hash));
        join.ca_pins.iter().any(known)
    };
    (!hashes.iter().any(pinned)).then(|| {
        let found: Vec<String> = hashes.iter().map(|hash| format!("sha256:{hash}")).collect();
        FlawKind::CaPin.flaw(format!(
            "the cluster's CA is {} and not the pinned {}",
            found.join(", "),
            join.ca_pins.join(", ")
        ))
    })
}

/// The certificate in the capture.
fn shown(api: &ApiReach, call: &Call, endpoint: &str, now: Option<i64>, evidence: &mut Vec<String>) -> Option<Proof> {
    if !api.name_matches.is_true() {
        let names = api.names.known().map(|names| names.join(", ")).unwrap_or_default();
        let why = format!("the API server's certificate is for {names}, and not for the address of {endpoint}");
        return Some(FlawKind::CertificateName.flaw(why));
    }
    let Some(now) = now else { return Some(Proof::Unknown { why: "the node's clock could not be read".to_owned() }) };
    if !api.dates_ok.is_true() {
        let how = if api.not_yet_valid.is_true() { "does not hold yet" } else { "is over" };
        return Some(
            FlawKind::CertificateDates.flaw(format!("by the node's clock the API server's certificate {how}")),
        );
    }
    let chain = call.capture.apis.first().and_then(|seen| match &seen.tls {
        Some(Tls::Done { chain, .. }) => Some(chain.as_str()),
        _ => None,
    });
    let authority = call.signed.as_ref().and_then(|signed| crate::facts::reach::cluster_of(&signed.kubeconfig).ca_pem);
    let host = crate::reach::Endpoint::parse(endpoint).map(|endpoint| endpoint.host).unwrap_or_default();
    if let (Some(chain), Some(authority)) = (chain, authority)
        && let Err(why) = crate::reach::issued_by(chain, &authority, &host, now)
    {
        return Some(
            FlawKind::CertificateIssuer
                .flaw(format!("the certificate at {endpoint} is not from the cluster's CA: {why}")),
        );
    }
    evidence.push("its certificate is the cluster's, names the endpoint and holds by the node's clock".to_owned());
    None
}

fn server(api: &ApiReach) -> Option<Proof> {
    if !api.server_differs.is_true() || api.server_tcp == Fact::Known(Tcp::Open) {
        return None;
    }
    let server = api.server.known().map_or("", String::as_str);
    if let Some(why) = api.server_tcp.reason() {
        let why = format!("whether the node reaches {server}, which cluster-info names: {why}");
        return Some(Proof::Unknown { why: super::short(&why) });
    }
    let words = api.server_tcp_error.known().map_or("no connection", String::as_str);
    let why = format!("cluster-info sends a joining node to {server}, which it cannot reach: {words}");
    Some(FlawKind::Server.flaw(why))
}

#[cfg(test)]
mod tests {
    use super::super::tools;
    use super::*;
    use crate::reach::Endpoint;

    const KINDS: [FlawKind; 13] = [
        FlawKind::Refused,
        FlawKind::NoAnswer,
        FlawKind::NoRoute,
        FlawKind::Unresolved,
        FlawKind::NotTheApi,
        FlawKind::CertificateName,
        FlawKind::CertificateDates,
        FlawKind::CertificateIssuer,
        FlawKind::ClusterInfoForbidden,
        FlawKind::TokenUnknown,
        FlawKind::TokenWrong,
        FlawKind::CaPin,
        FlawKind::Server,
    ];

    #[test]
    fn every_flaw_has_a_check_and_the_class_of_kubeadms_own_failure() {
        let classes = include_str!("../../../playbooks/join-phases.yaml");
        let checks = include_str!("../../../playbooks/checks/join.yaml");
        for kind in KINDS {
            assert!(classes.contains(&format!("- id: {}\n", kind.class())), "{kind:?}");
            assert!(checks.contains(&format!("- id: {}\n", kind.check())), "{kind:?}");
            assert!(!kind.next().is_empty());
        }
    }

    fn judged(code: i32, stdout: &str, stderr: &str) -> Proof {
        let join = Join {
            control_plane: "cp".to_owned(),
            endpoint: "lb:6443".to_owned(),
            ca_pins: vec!["sha256:aa".to_owned()],
            node_name: "w".to_owned(),
            kubeadm_minor: 29,
            ignore: Vec::new(),
            attempts: 1,
            backoff: std::time::Duration::ZERO,
            writes: Vec::new(),
            stale_ca: None,
        };
        let call = tools::curled(&Endpoint::parse(&join.endpoint).unwrap(), code, stdout, stderr);
        judge(&call, &join, &Token::parse("abcdef.0123456789abcdef").unwrap(), Some(0))
    }

    fn kind(proof: &Proof) -> Option<FlawKind> {
        match proof {
            Proof::Fails(flaw) => Some(flaw.kind),
            Proof::Holds { .. } | Proof::Unknown { .. } => None,
        }
    }

    #[test]
    fn what_answers_instead_is_told_apart() {
        for (code, stdout, stderr, wanted) in [
            (7, "", "curl: (7) Failed to connect: Connection refused", FlawKind::Refused),
            (7, "", "curl: (7) Failed to connect: No route to host", FlawKind::NoRoute),
            (6, "", "curl: (6) Could not resolve host: lb", FlawKind::Unresolved),
            (28, "", "curl: (28) Connection timed out", FlawKind::NoAnswer),
            (35, "", "curl: (35) wrong version number", FlawKind::NotTheApi),
            (0, "{\"message\":\"is forbidden\"}\n403", "", FlawKind::ClusterInfoForbidden),
            (0, "Bad Gateway\n502", "", FlawKind::NoAnswer),
            (0, "moved\n301", "", FlawKind::NotTheApi),
            (0, "<html>\n200", "", FlawKind::NotTheApi),
            (0, "{\"data\":{\"kubeconfig\":\"a: b\"}}\n200", "", FlawKind::TokenUnknown),
        ] {
            let proof = judged(code, stdout, stderr);
            assert_eq!(kind(&proof), Some(wanted), "{proof:?}");
        }
    }
}
