//! Makes the visit that a proof is judged from: over the worker's own connection, or through its programs where its sshd does not
//! forward. A new token is signed a moment after it was made, so that it is waited for.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::by_tools::{self, DEADLINE};
use super::machine::{Machine, is_lost};
use super::proof::{FlawKind, Proof, judge};
use super::token::Token;
use crate::change::hand::{Hand, HandError};
use crate::change::plan::Join;
use crate::reach::capture::{Dial, Origin};
use crate::reach::endpoint::Candidate;
use crate::reach::{Endpoint, Visitor};

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
            let Some(call) = by_tools::ask(hand, endpoint).await? else {
                let why = format!("the node's sshd does not forward ({words}), and {}", by_tools::NONE);
                return Ok(Proof::Unknown { why: super::short(&why) });
            };
            Ok(judge(&call, join, token, now))
        }
        // Asks whether the connection is still there.
        Some(Dial::Lost { .. }) => match hand.run(":", DEADLINE).await {
            Err(error) if is_lost(&error) => Err(error),
            _ => Ok(judge(&call, join, token, now)),
        },
        _ => Ok(judge(&call, join, token, now)),
    }
}
