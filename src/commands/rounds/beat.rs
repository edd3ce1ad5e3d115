//! When the next round begins, and what ends the wait for it. Knows nothing of sweeps.

use std::time::Duration;

use tokio::time::Instant;

use crate::interrupt::Interrupt;

/// The beginning of the next round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    At(Instant),
    /// The round took so long that its end is behind the beginning of the next one; so many others are left out.
    AtOnce {
        missed: u128,
    },
}

/// Rounds begin `every` so often, from start to start.
pub(super) fn next(begun: Instant, every: Duration, now: Instant) -> Next {
    match begun.checked_add(every) {
        Some(next) if next >= now => Next::At(next),
        _ => {
            let passed = now.duration_since(begun).as_nanos() / every.as_nanos().max(1);
            // The next round stands for one of them.
            Next::AtOnce { missed: passed.saturating_sub(1) }
        }
    }
}

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    Time,
    Interrupted,
    /// Nobody reads the results any more.
    ReaderGone,
}

/// Waits until `next`, unless something comes before.
pub(super) async fn wait(next: Instant, mut interrupt: Interrupt, reader_gone: impl Future<Output = ()>) -> Woken {
    tokio::select! {
        // What ends the rounds comes before the next one.
        biased;
        () = interrupt.wait() => Woken::Interrupted,
        () = reader_gone => Woken::ReaderGone,
        () = tokio::time::sleep_until(next) => Woken::Time,
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const EVERY: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn rounds_begin_from_start_to_start() {
        let begun = Instant::now();
        let after = |seconds| next(begun, EVERY, begun + Duration::from_secs(seconds));
        assert_eq!(after(0), Next::At(begun + EVERY));
        assert_eq!(after(29), Next::At(begun + EVERY));
        assert_eq!(after(30), Next::At(begun + EVERY));
        assert_eq!(after(31), Next::AtOnce { missed: 0 });
        assert_eq!(after(59), Next::AtOnce { missed: 0 });
        assert_eq!(after(60), Next::AtOnce { missed: 1 });
        assert_eq!(after(3600), Next::AtOnce { missed: 119 });
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_at_the_time() {
        let begun = Instant::now();
        assert_eq!(wait(begun + EVERY, Interrupt::never(), pending()).await, Woken::Time);
        assert_eq!(begun.elapsed(), EVERY);
    }

    #[tokio::test(start_paused = true)]
    async fn an_interrupt_or_a_reader_that_goes_ends_it_before() {
        let begun = Instant::now();
        let soon = || tokio::time::sleep(Duration::from_secs(7));
        assert_eq!(wait(begun + EVERY, Interrupt::when(soon()), pending()).await, Woken::Interrupted);
        assert_eq!(begun.elapsed(), Duration::from_secs(7));
        assert_eq!(wait(begun + EVERY, Interrupt::never(), soon()).await, Woken::ReaderGone);
        assert_eq!(begun.elapsed(), Duration::from_secs(14));
        // Also when the time has come already.
        assert_eq!(wait(begun, Interrupt::never(), async {}).await, Woken::ReaderGone);
    }
}
