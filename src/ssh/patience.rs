//! Connecting again where the server hung up before it said who it is, and how long to wait in between.
//!
//! sshd drops some of the connections that are not logged in yet (`MaxStartups`), also for the sake of others: a scanner on the
//! internet makes a healthy node look dead. Nothing was tried on such a connection, so to make it again costs nobody anything. Any
//! other failure is an answer.

use std::time::Duration;

use tokio::time::sleep;

use super::connect::ConnectError;
use super::session::Session;
use crate::failure::{Failure, FailureKind, Layer};

/// The first pause; each further one is twice as long, up to [`LONGEST`], and up to half as long again by chance, so that shards
/// that were refused together do not come back together.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(4);
/// What sshd says since 9.8 to an address that it shuts out for a while: it would say it again.
const SHUT_OUT: &str = "Not allowed at this time";

/// Connects, up to `starts` times.
pub(super) async fn patiently<F>(starts: u32, connect: impl Fn() -> F) -> Result<Session, ConnectError>
where
    F: Future<Output = Result<Session, ConnectError>>,
{
    let mut begun = 1;
    loop {
        match connect().await {
            Err(error) if dropped(&error.failure) && begun < starts => {
                sleep(pause(begun)).await;
                begun += 1;
            }
            Err(mut error) if dropped(&error.failure) && begun > 1 => {
                let Failure { message, .. } = &mut error.failure;
                *message = format!("{message}, {begun} times");
                return Err(error);
            }
            answer => return answer,
        }
    }
}

fn dropped(failure: &Failure) -> bool {
    hung_up(failure) && !failure.message.contains(SHUT_OUT)
}

/// The server ended the connection before it said who it is.
pub(super) fn hung_up(failure: &Failure) -> bool {
    failure.kind == FailureKind::ConnectionLost && failure.layer == Layer::Banner
}

pub(super) fn pause(round: u32) -> Duration {
    let longer = PAUSE.saturating_mul(2_u32.saturating_pow(round.saturating_sub(1))).min(LONGEST);
    longer.mul_f64(1.0 + rand::random::<f64>() / 2.0)
}
