//! A machine whose connection may be lost and is opened again: what was begun there goes on, and is found again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::{Instant, sleep};

use crate::change::hand::{Hand, HandError, Ran};

/// Opens another connection to the same machine, with this run's lock on it where the first one had it.
pub type Again<'a> = dyn Fn() -> BoxFuture<'a, Result<Hand<'a>, HandError>> + Send + Sync + 'a;

/// An open connection, and the way to another one.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    pub hand: Hand<'a>,
    pub again: &'a Again<'a>,
}

/// How often the same thing is begun anew because its connection was lost.
const MAX_REPEATS: usize = 3;
/// Between two tries to connect.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The machine behind a [`Way`].
pub(super) struct Machine<'a> {
    way: Way<'a>,
    current: Mutex<Hand<'a>>,
    /// How long it is tried to reach it again: a node that reboots takes minutes.
    patience: Duration,
}

impl<'a> Machine<'a> {
    pub(super) fn new(way: Way<'a>, patience: Duration) -> Self {
        Self { way, current: Mutex::new(way.hand), patience }
    }

    /// The connection in use.
    pub(super) fn hand(&self) -> Hand<'a> {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects again, until that worked or is known not to, or took too long.
    pub(super) async fn renew(&self) -> Result<Hand<'a>, HandError> {
        let until = Instant::now() + self.patience;
        let mut pause = FIRST_PAUSE;
        loop {
            match (self.way.again)().await {
                Ok(hand) => {
                    *self.current.lock().unwrap_or_else(PoisonError::into_inner) = hand;
                    return Ok(hand);
                }
                Err(error) if !may_pass(&error) || Instant::now() + pause >= until => return Err(error),
                Err(_) => sleep(pause).await,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Runs a command that may be run twice.
    pub(super) async fn run(&self, command: &str, deadline: Duration) -> Result<Ran, HandError> {
        self.repeat(|hand| async move { hand.run(command, deadline).await }).await
    }

    /// Does what may be done twice, again after each loss of the connection.
    pub(super) async fn repeat<T, F>(&self, act: impl Fn(Hand<'a>) -> F) -> Result<T, HandError>
    where
        F: Future<Output = Result<T, HandError>>,
    {
        let mut hand = self.hand();
        for _ in 0..MAX_REPEATS {
            match act(hand).await {
                Err(error) if is_lost(&error) => hand = self.renew().await?,
                result => return result,
            }
        }
        act(hand).await
    }
}

/// The connection ended; what was asked for may have been done all the same.
pub(super) const fn is_lost(error: &HandError) -> bool {
    matches!(error, HandError::Connection(_))
}

fn may_pass(error: &HandError) -> bool {
    matches!(error, HandError::Connection(failure) if failure.kind.may_pass())
}
