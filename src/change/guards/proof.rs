//! The proof that a worker can join: over its own network path the API answers, shows a certificate for the name that the join
//! uses, gives its `cluster-info` to anybody, and has the CA that the join pins. It must have been seen for the very endpoint of
//! the join; what was seen of another one proves nothing.

use crate::change::plan::Refusal;
use crate::change::view::View;
use crate::facts::Fact;
use crate::facts::reach::{ApiReach, Tcp};
use crate::reach::Endpoint;

const REACHED: &str = "join/api-unreachable";
const NAMED: &str = "join/api-certificate-name";
const DATED: &str = "join/api-certificate-dates";
const SHOWN: &str = "join/cluster-info-forbidden";
const ONWARD: &str = "join/endpoint-differs";
const PINNED: &str = "join/ca-pin-mismatch";

/// The endpoint that a join is told: what the cluster's own configuration names, `controlPlaneEndpoint` before the server of
/// cluster-info, and of the two the one that was tried from the node.
pub fn endpoint(node: &View<'_>) -> Result<Endpoint, Refusal> {
    let Some(control_plane) = node.control_plane() else {
        return Err(no_control_plane(node));
    };
    let api = &control_plane.facts.api;
    let named = [&api.control_plane_endpoint, &api.cluster_info_server];
    let named: Vec<Endpoint> =
        named.iter().filter_map(|fact| fact.known()).filter_map(|text| Endpoint::parse(text)).collect();
    let tried = node.facts.reach.api.endpoint.known().and_then(|text| Endpoint::parse(text));
    let proven = named.iter().find(|named| tried.as_ref().is_some_and(|tried| tried.same_place(named)));
    match proven.or(named.first()) {
        Some(endpoint) => Ok(endpoint.clone()),
        None => Err(Refusal {
            next: format!(
                "look at cluster-info on {}: kubectl -n kube-public get configmap cluster-info -o yaml",
                control_plane.name
            ),
            ..node.not_known(
                REACHED,
                "the cluster's endpoint is not known: neither kubeadm-config nor cluster-info names one",
            )
        }),
    }
}

/// No token can be made and nothing of the cluster is known.
pub fn no_control_plane(node: &View<'_>) -> Refusal {
    const GUARD: &str = "control-plane/api-down";
    let mut faults = node.faults_of_control_planes();
    if let Some((name, fault)) = faults.find(|(_, fault)| fault.id == GUARD) {
        let refusal = node.refused_by(fault);
        return Refusal { reason: format!("on {name}: {}", refusal.reason), ..refusal };
    }
    Refusal {
        next: "have a control plane in the inventory's group of control planes, and see that it can be swept as root"
            .to_owned(),
        ..node.not_known(GUARD, "no control plane of the inventory answered, so nothing is known of the cluster")
    }
}

/// `host:port`, as kubeadm takes it.
pub fn written(endpoint: &Endpoint) -> String {
    if endpoint.host.contains(':') {
        format!("[{}]:{}", endpoint.host, endpoint.port)
    } else {
        format!("{}:{}", endpoint.host, endpoint.port)
    }
}

/// What speaks against it, and the first thing that is not known. `pins`: 64 hex digits each.
pub fn refusals(node: &View<'_>, endpoint: &Endpoint, pins: &[String]) -> Vec<Refusal> {
    let reach = &node.facts.reach.api;
    let tried = reach.endpoint.known().and_then(|text| Endpoint::parse(text));
    match tried {
        Some(tried) if tried.same_place(endpoint) => {}
        Some(tried) => {
            let reason = format!(
                "the way to {} was not tried from the node, only that to {}",
                written(endpoint),
                written(&tried)
            );
            let next = format!("set kube_api_endpoint: {} in the inventory, and try again", written(endpoint));
            return vec![Refusal { next, ..node.not_known(REACHED, &reason) }];
        }
        None => {
            let why = reach.endpoint.reason().or_else(|| reach.tcp.reason()).unwrap_or("it was not tried");
            let reason = format!("the way to {} was not proven: {why}", written(endpoint));
            return vec![node.not_known(REACHED, &reason)];
        }
    }
    let steps = [reached(reach), named(reach), dated(reach), shown(reach), pinned(reach, pins), onward(reach)];
    let mut found = Vec::new();
    let mut unknown = None;
    for (guard, seen) in steps {
        match seen {
            Seen::Good => {}
            Seen::Bad(reason) => {
                found.push(node.refused(guard, &format!("the API at {}: {reason}", written(endpoint))));
            }
            Seen::Unknown(why) => {
                let refusal = || node.not_known(guard, &format!("not proven from the node: {why}"));
                unknown =
                    unknown.or_else(|| Some(if reach.forbidden.is_true() { forbidden(refusal()) } else { refusal() }));
            }
        }
    }
    // What comes after a step that failed is unknown because of it.
    if found.is_empty() {
        found.extend(unknown);
    }
    found
}

/// What lets the way be tried.
fn forbidden(refusal: Refusal) -> Refusal {
    let next = format!(
        "let its sshd forward for this user (AllowTcpForwarding yes, no PermitOpen), or put curl or openssl on the node; if you \
         know that it reaches the API, go on with --accept-unknown {}",
        refusal.guard
    );
    Refusal { next, ..refusal }
}

/// One step of the proof.
enum Seen {
    Good,
    Bad(String),
    Unknown(String),
}

type Step = (&'static str, Seen);

fn reached(reach: &ApiReach) -> Step {
    let seen = match &reach.tcp {
        Fact::Known(Tcp::Open) => Seen::Good,
        Fact::Known(tcp) => Seen::Bad(no_way(*tcp, &reach.tcp_error)),
        other => unknown(other),
    };
    (REACHED, seen)
}

fn no_way(tcp: Tcp, error: &Fact<String>) -> String {
    let words = match tcp {
        Tcp::Open => "it answers",
        Tcp::Refused => "the connection is refused",
        Tcp::TimedOut => "nothing answers",
        Tcp::NoRoute => "there is no route",
        Tcp::Unresolved => "its name does not resolve on the node",
        Tcp::Failed => "the connection fails",
    };
    error.known().map_or_else(|| words.to_owned(), |said| format!("{words} ({said})"))
}

fn named(reach: &ApiReach) -> Step {
    let seen = match (&reach.tls, &reach.name_matches) {
        (Fact::Known(false), _) => {
            Seen::Bad(format!("it speaks no TLS: {}", reach.tls_error.known().map_or("", String::as_str)))
        }
        (Fact::Known(true), Fact::Known(true)) => Seen::Good,
        (Fact::Known(true), Fact::Known(false)) => {
            let names = reach.names.known().map_or_else(String::new, |names| names.join(", "));
            Seen::Bad(format!("its certificate is for {names}, and not for that name"))
        }
        (Fact::Known(true), matches) => unknown(matches),
        (tls, _) => unknown(tls),
    };
    (NAMED, seen)
}

fn dated(reach: &ApiReach) -> Step {
    let seen = match &reach.dates_ok {
        Fact::Known(true) => Seen::Good,
        Fact::Known(false) => Seen::Bad("by the node's clock its certificate does not hold now".to_owned()),
        other => unknown(other),
    };
    (DATED, seen)
}

fn shown(reach: &ApiReach) -> Step {
    let seen = match &reach.cluster_info_status {
        Fact::Known(200) => Seen::Good,
        Fact::Known(status) => {
            let said = reach.cluster_info_error.known().map_or("", String::as_str);
            Seen::Bad(format!("it answers {status} to an anonymous request for cluster-info: {said}"))
        }
        other => unknown(other),
    };
    (SHOWN, seen)
}

fn pinned(reach: &ApiReach, pins: &[String]) -> Step {
    let seen = match &reach.ca_hashes {
        Fact::Known(seen) if !seen.is_empty() && seen.iter().any(|hash| pins.contains(hash)) => Seen::Good,
        Fact::Known(seen) => Seen::Bad(format!(
            "it has another CA than the control plane that makes the token: sha256:{}",
            seen.first().map_or("?", String::as_str)
        )),
        other => unknown(other),
    };
    (PINNED, seen)
}

/// A join goes on with the server that cluster-info names.
fn onward(reach: &ApiReach) -> Step {
    let seen = match (&reach.server_differs, &reach.server_tcp) {
        (Fact::Known(false), _) | (Fact::Known(true), Fact::Known(Tcp::Open)) => Seen::Good,
        (Fact::Known(true), Fact::Known(tcp)) => Seen::Bad(format!(
            "cluster-info sends the node on to {}, and {}",
            reach.server.known().map_or("another server", String::as_str),
            no_way(*tcp, &reach.server_tcp_error)
        )),
        (Fact::Known(true), tcp) => unknown(tcp),
        (differs, _) => unknown(differs),
    };
    (ONWARD, seen)
}

fn unknown<T>(fact: &Fact<T>) -> Seen {
    Seen::Unknown(fact.reason().unwrap_or("it was not seen").to_owned())
}
