//! How many connections at once one server gets from a whole run: thousands of nodes have one API server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// At once, to one place.
const WIDTH: usize = 64;
/// More places than a run can have, unless nodes make them up.
const MAX_PLACES: usize = 4096;

/// The gates of one run, by place.
#[derive(Debug, Default)]
pub(super) struct Gates(Mutex<HashMap<(String, u16), Arc<Semaphore>>>);

impl Gates {
    /// Waits for a turn, which lasts as long as the permit lives. `None` when there are too many places to keep count of.
    pub(super) async fn enter(&self, host: &str, port: u16) -> Option<OwnedSemaphorePermit> {
        let gate = {
            let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let place = (host.to_ascii_lowercase(), port);
            if gates.len() >= MAX_PLACES && !gates.contains_key(&place) {
                return None;
            }
            Arc::clone(gates.entry(place).or_insert_with(|| Arc::new(Semaphore::new(WIDTH))))
        };
        // The gate is never closed.
        gate.acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_full_gate_holds_up_its_own_place_only() {
        let gates = Gates::default();
        let mut inside = Vec::new();
        for _ in 0..WIDTH {
            inside.push(gates.enter("LB", 6443).await);
        }
        assert!(gates.enter("lb", 6443).now_or_never().is_none());
        assert!(gates.enter("lb", 2049).now_or_never().flatten().is_some());
        inside.pop();
        assert!(gates.enter("lb", 6443).now_or_never().flatten().is_some());
    }
}
