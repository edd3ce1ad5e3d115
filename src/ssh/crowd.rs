//! How many connections one jump host carries at once: as many as it admits, found out by asking it.
//!
//! Nobody has to configure this, and nobody could: sshd has no setting for it (`MaxSessions` does not count forwarded connections),
//! what runs out is its open files, its ports or a limit of another server. So there is no limit until the jump host refuses one
//! for want of room. Then as many as it carries at that moment are the limit, whoever was refused waits for one of them to end, and
//! from time to time one more is tried.
//!
//! Knows nothing of SSH: somebody enters, and says whether there was room.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The connections through one jump host.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Asked for, or open.
    inside: usize,
    /// Open.
    admitted: usize,
    /// `None` as long as the jump host has refused nobody.
    limit: Option<usize>,
    /// Admitted since the limit last moved.
    since: usize,
}

/// After so many admissions in a row, or as many as the limit if that is more, one more at once is tried.
const PATIENCE: usize = 8;

/// A place inside; leaving is dropping it.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Arc<Crowd>,
    admitted: bool,
}

impl Crowd {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is a place, and takes it.
    pub(super) async fn enter(self: &Arc<Self>) -> Place {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut state = self.state();
                if state.limit.is_none_or(|limit| state.inside < limit) {
                    state.inside += 1;
                    return Place { crowd: Arc::clone(self), admitted: false };
                }
            }
            changed.await;
        }
    }

    /// How many at once there may be; `None` as long as nobody was refused.
    #[cfg(test)]
    fn limit(&self) -> Option<usize> {
        self.state().limit
    }
}

impl Place {
    /// There was room.
    pub(super) fn admit(&mut self) {
        self.admitted = true;
        {
            let mut state = self.crowd.state();
            state.admitted += 1;
            state.since += 1;
            let Some(limit) = state.limit else { return };
            if state.since < limit.max(PATIENCE) {
                return;
            }
            state.limit = Some(limit + 1);
            state.since = 0;
        }
        self.crowd.changed.notify_waiters();
    }

    /// There was no room. Returns how many others are open: with none, it is not we who fill the jump host.
    pub(super) fn refuse(self) -> usize {
        let mut state = self.crowd.state();
        state.limit = Some(state.admitted.max(1));
        state.since = 0;
        state.admitted
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        {
            let mut state = self.crowd.state();
            state.inside = state.inside.saturating_sub(1);
            if self.admitted {
                state.admitted = state.admitted.saturating_sub(1);
            }
        }
        self.crowd.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn enter(crowd: &Arc<Crowd>) -> Option<Place> {
        crowd.enter().now_or_never()
    }

    fn admitted(crowd: &Arc<Crowd>) -> Place {
        let mut place = enter(crowd).expect("there is room");
        place.admit();
        place
    }

    #[test]
    fn there_is_no_limit_until_somebody_is_refused() {
        let crowd = Arc::new(Crowd::default());
        let inside: Vec<Place> = (0..1000).map(|_| admitted(&crowd)).collect();
        assert_eq!((crowd.limit(), inside.len()), (None, 1000));
    }

    #[test]
    fn the_limit_is_what_was_open_and_who_leaves_makes_room() {
        let crowd = Arc::new(Crowd::default());
        let mut inside: Vec<Place> = (0..5).map(|_| admitted(&crowd)).collect();
        let (one, other) = (enter(&crowd).unwrap(), enter(&crowd).unwrap());
        assert_eq!((one.refuse(), other.refuse()), (5, 5));
        assert_eq!(crowd.limit(), Some(5));
        let mut waiting = Box::pin(crowd.enter());
        assert!(waiting.as_mut().now_or_never().is_none());
        inside.pop();
        assert!(waiting.now_or_never().is_some());
    }

    #[test]
    fn one_more_is_tried_from_time_to_time() {
        let crowd = Arc::new(Crowd::default());
        let keep: Vec<Place> = (0..2).map(|_| admitted(&crowd)).collect();
        enter(&crowd).unwrap().refuse();
        drop(keep);
        for _ in 0..PATIENCE {
            drop(admitted(&crowd));
        }
        assert_eq!(crowd.limit(), Some(3));
    }

    #[test]
    fn a_jump_host_that_others_fill_is_still_tried_one_at_a_time() {
        let crowd = Arc::new(Crowd::default());
        assert_eq!(enter(&crowd).unwrap().refuse(), 0);
        let place = enter(&crowd).expect("one may always try");
        assert!(enter(&crowd).is_none());
        drop(place);
        assert!(enter(&crowd).is_some());
    }
}
