//! Makes the visit that a proof is judged from: over the worker's own connection, or through its programs where its sshd does not
//! forward. A new token is signed a moment after it was made, so that it is waited for.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::machine::{Machine, is_lost};
use super::proof::{Certificate, FlawKind, Proof, judge};
use super::token::Token;
use super::tools;
use crate::change::hand::{Hand, HandError};
use crate::change::plan::Join;
use crate::reach::capture::{Dial, Origin};
use crate::reach::endpoint::Candidate;
use crate::reach::{Call, Endpoint, Visitor};

const DEADLINE: Duration = Duration::from_secs(tools::SECONDS + 10);
/// Between two looks for the signature.
const PAUSE: Duration = Duration::from_secs(1);

/// Proves that this node can join by this token. `patience` is for the cluster to sign for it.
///
/// # Errors
/// When the connection to the node is lost and does not come back.
pub(super) async fn prove(
    worker: &Machine<'_>,
    visitor: &Visitor,
    join: &Join,
    token: &Token,
    patience: Duration,
) -> Result<Proof, HandError> {
    let Some(endpoint) = Endpoint::parse(&join.endpoint) else {
        return Ok(Proof::Unknown { why: format!("{} is no endpoint", super::short(&join.endpoint)) });
    };
    let until = Instant::now() + patience;
    loop {
        let proof = worker.repeat(|hand| once(hand, visitor, join, &endpoint, token)).await?;
        let unsigned = matches!(&proof, Proof::Fails(flaw) if flaw.kind == FlawKind::TokenUnknown);
        if !unsigned || Instant::now() + PAUSE > until {
            return Ok(proof);
        }
        sleep(PAUSE).await;
    }
}

async fn once(
    hand: Hand<'_>,
    visitor: &Visitor,
    join: &Join,
    endpoint: &Endpoint,
    token: &Token,
) -> Result<Proof, HandError> {
    let clock = hand.run("date +%s", DEADLINE).await?;
    let now = clock.stdout.trim().parse().ok();
    let candidate = Candidate { origin: Origin::Inventory, endpoint: endpoint.clone() };
    let call = visitor.call(hand.line(), &candidate).await;
    match call.capture.apis.first().map(|api| &api.dial) {
        Some(Dial::Forbidden { words }) => {
            let asked = with_tools(hand, endpoint).await?;
            let Some((call, certificate)) = asked else {
                let why = format!("the node's sshd does not forward ({words}), and it has neither curl nor openssl");
                return Ok(Proof::Unknown { why: super::short(&why) });
            };
            Ok(judge(&call, &certificate, join, token, now))
        }
        // Asks whether the connection is still there.
        Some(Dial::Lost { .. }) => match hand.run(":", DEADLINE).await {
            Err(error) if is_lost(&error) => Err(error),
            _ => Ok(judge(&call, &Certificate::Shown, join, token, now)),
        },
        _ => Ok(judge(&call, &Certificate::Shown, join, token, now)),
    }
}

/// `None` when the node has no program for it.
async fn with_tools(hand: Hand<'_>, endpoint: &Endpoint) -> Result<Option<(Call, Certificate)>, HandError> {
    let asked = hand.run(&tools::curl(endpoint), DEADLINE).await?;
    if asked.code != tools::NO_PROGRAM {
        let call = tools::curled(endpoint, asked.code, &asked.stdout, &asked.stderr);
        let authority =
            call.signed.as_ref().and_then(|signed| crate::facts::reach::cluster_of(&signed.kubeconfig).ca_pem);
        let mut certificate = Certificate::NotSeen;
        if let Some(authority) = authority {
            let ran = hand.run_with_input(&tools::curl_verifying(endpoint), authority.as_bytes(), DEADLINE).await?;
            if let Some(verdict) = tools::verified(ran.code, &ran.stderr) {
                certificate = Certificate::Verified(verdict);
            }
        }
        return Ok(Some((call, certificate)));
    }
    let chain = hand.run(&tools::openssl_chain(endpoint), DEADLINE).await?;
    if chain.code == tools::NO_PROGRAM {
        return Ok(None);
    }
    let request = tools::request(endpoint);
    let answer = hand.run_with_input(&tools::openssl_ask(endpoint), request.as_bytes(), DEADLINE).await?;
    Ok(Some((tools::shown(endpoint, &chain.stdout, &answer.stdout), Certificate::Shown)))
}
