//! Asks the API through programs on the node, where its sshd does not forward: for the proof of a join, and before that for its plan.

use std::time::Duration;

use super::tools;
use crate::change::hand::{Hand, HandError};
use crate::facts::reach::cluster_of;
use crate::reach::capture::{ApiCapture, Dial, ReachCapture, ServerCapture};
use crate::reach::visit::named_server;
use crate::reach::{Call, Endpoint};
use crate::record::Record;

/// For one question.
pub(super) const DEADLINE: Duration = Duration::from_secs(tools::SECONDS + 10);
/// Why there is no answer.
pub(super) const NONE: &str = "it has neither curl nor openssl";

/// The node's sshd kept the way to the API from being tried.
pub fn is_wanted(record: &Record) -> bool {
    record.reach.as_ref().and_then(counting).is_some_and(|api| matches!(api.dial, Dial::Forbidden { .. }))
}

/// Tries the way that the node's sshd forbids, and puts what was seen in its place.
///
/// # Errors
/// When the connection to the node is lost.
pub async fn look(hand: Hand<'_>, reach: &mut ReachCapture) -> Result<(), HandError> {
    let Some(endpoint) = counting(reach).and_then(|api| Endpoint::parse(&api.endpoint)) else { return Ok(()) };
    let call = ask(hand, &endpoint).await?;
    let Some(api) = reach.apis.iter_mut().min_by_key(|api| api.origin) else { return Ok(()) };
    match call {
        Some(Call { capture: ReachCapture { apis, servers, .. }, .. }) => {
            if let Some(seen) = apis.into_iter().next() {
                *api = ApiCapture { origin: api.origin, ..seen };
            }
            reach.servers.extend(servers);
        }
        None => {
            if let Dial::Forbidden { words } = &mut api.dial {
                *words = format!("{words}, and {NONE}");
            }
        }
    }
    Ok(())
}

/// The endpoint that facts are made of.
fn counting(reach: &ReachCapture) -> Option<&ApiCapture> {
    reach.apis.iter().min_by_key(|api| api.origin)
}

/// As a visit would: the endpoint, and the server that its cluster-info names. `None` when the node has no program for it.
pub(super) async fn ask(hand: Hand<'_>, endpoint: &Endpoint) -> Result<Option<Call>, HandError> {
    let asked = hand.run(&tools::curl(endpoint), DEADLINE).await?;
    if asked.code == tools::NO_PROGRAM {
        return with_openssl(hand, endpoint).await;
    }
    let mut call = tools::curled(endpoint, asked.code, &asked.stdout, &asked.stderr);
    let authority = call.signed.as_ref().and_then(|signed| cluster_of(&signed.kubeconfig).ca_pem);
    if let (Some(authority), Some(api)) = (authority, call.capture.apis.first_mut()) {
        let ran = hand.run_with_input(&tools::curl_verifying(endpoint), authority.as_bytes(), DEADLINE).await?;
        api.verified = tools::verified(ran.code, &ran.stderr);
    }
    if let Some(server) = onward(&call, endpoint) {
        let asked = hand.run(&tools::curl(&server), DEADLINE).await?;
        add(&mut call, server, |server| tools::curled(server, asked.code, &asked.stdout, &asked.stderr));
    }
    Ok(Some(call))
}

async fn with_openssl(hand: Hand<'_>, endpoint: &Endpoint) -> Result<Option<Call>, HandError> {
    let chain = hand.run(&tools::openssl_chain(endpoint), DEADLINE).await?;
    if chain.code == tools::NO_PROGRAM {
        return Ok(None);
    }
    let request = tools::request(endpoint);
    let answer = hand.run_with_input(&tools::openssl_ask(endpoint), request.as_bytes(), DEADLINE).await?;
    let mut call = tools::shown(endpoint, &chain.stdout, &answer.stdout);
    if let Some(server) = onward(&call, endpoint) {
        let chain = hand.run(&tools::openssl_chain(&server), DEADLINE).await?;
        add(&mut call, server, |server| tools::shown(server, &chain.stdout, ""));
    }
    Ok(Some(call))
}

/// Where cluster-info sends the node on to.
fn onward(call: &Call, endpoint: &Endpoint) -> Option<Endpoint> {
    let info = call.capture.apis.first()?.cluster_info.as_ref()?;
    named_server(info).filter(|server| !server.same_place(endpoint))
}

/// Of another server only whether it takes a connection.
fn add(call: &mut Call, server: Endpoint, asked: impl FnOnce(&Endpoint) -> Call) {
    let seen = asked(&server).capture.apis.into_iter().next();
    call.capture.servers.extend(seen.map(|seen| ServerCapture {
        host: server.host,
        port: server.port,
        dial: seen.dial,
    }));
}
