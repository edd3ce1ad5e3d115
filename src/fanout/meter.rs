//! Measures what a run costs: this process's time on the cores, and how busy the machine is. No rule lives here.

use std::fs::File;
use std::io::Read as _;
use std::time::{Duration, Instant};

use futures::{Stream, stream};
use rustix::time::{ClockId, clock_gettime};
use tokio::time::{MissedTickBehavior, interval};

use super::pace::Load;

/// The interval of the measurements: many times the resolution of the machine's own counters (10 ms).
const EVERY: Duration = Duration::from_millis(100);

/// The load of each tenth of a second from now on. Call it within a runtime.
pub(super) fn loads() -> impl Stream<Item = Load> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::unfold((ticks, None), move |(mut ticks, mut before)| async move {
        loop {
            ticks.tick().await;
            let now = Reading::take();
            if let Some(before) = before.replace(now) {
                return Some((now.since(&before, cores), (ticks, Some(now))));
            }
        }
    })
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    /// What this process used of the cores since it began, without its children.
    own: Duration,
    machine: Option<Machine>,
}

/// Ticks of all the machine's processors since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Machine {
    busy: u64,
    all: u64,
}

impl Reading {
    fn take() -> Self {
        let own = clock_gettime(ClockId::ProcessCPUTime);
        let own = Duration::try_from(own).unwrap_or_default();
        Self { at: Instant::now(), own, machine: Machine::read() }
    }

    fn since(&self, before: &Self, cores: usize) -> Load {
        let wall = self.at.duration_since(before.at).saturating_mul(u32::try_from(cores).unwrap_or(u32::MAX));
        let own = self.own.saturating_sub(before.own).as_secs_f64() / wall.max(Duration::from_nanos(1)).as_secs_f64();
        let machine = self.machine.zip(before.machine).and_then(|(now, before)| now.since(before));
        Load { own, machine }
    }
}

impl Machine {
    /// From the first line of `/proc/stat`, which other systems than Linux do not have.
    fn read() -> Option<Self> {
        let mut head = Vec::with_capacity(256);
        File::open("/proc/stat").ok()?.take(256).read_to_end(&mut head).ok()?;
        Self::parse(str::from_utf8(&head).ok()?)
    }

    /// `cpu  user nice system idle iowait irq softirq steal guest guest_nice`; the last two are in the first two, too.
    fn parse(text: &str) -> Option<Self> {
        let line = text.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|field| field.parse().ok()).collect();
        let idle = ticks.get(3)? + ticks.get(4)?;
        let all = ticks.iter().sum();
        Some(Self { busy: all - idle, all })
    }

    fn since(self, before: Self) -> Option<f64> {
        let ticks = |now: u64, before: u64| u32::try_from(now.saturating_sub(before)).ok().map(f64::from);
        let all = ticks(self.all, before.all).filter(|all| *all > 0.0)?;
        Some(ticks(self.busy, before.busy)? / all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_is_what_was_used_between_two_readings() {
        let before = Reading {
            at: Instant::now(),
            own: Duration::from_secs(7),
            machine: Some(Machine { busy: 100, all: 1000 }),
        };
        let after = Reading {
            at: before.at + Duration::from_millis(100),
            own: before.own + Duration::from_millis(50),
            machine: Some(Machine { busy: 115, all: 1020 }),
        };
        let load = after.since(&before, 2);
        assert!((load.own - 0.25).abs() < 1e-9, "{load:?}");
        assert!((load.machine.unwrap() - 0.75).abs() < 1e-9, "{load:?}");
        // The clocks stood still.
        assert_eq!(after.since(&after, 2), Load { own: 0.0, machine: None });
        assert_eq!(Reading { machine: None, ..after }.since(&before, 2).machine, None);
    }

    #[test]
    fn waiting_for_a_disk_is_not_busy() {
        let text = "cpu  10 1 5 600 40 2 3 4 0 0\ncpu0 5 0 2 300 20 1 1 2 0 0\n";
        assert_eq!(Machine::parse(text), Some(Machine { busy: 25, all: 665 }));
        for bad in ["", "cpu", "cpu  1 2", "intr 1 2 3 4 5 6"] {
            assert_eq!(Machine::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn this_process_is_seen_at_work() {
        let before = Reading::take();
        let mut sum = 0_u64;
        while Reading::take().own == before.own {
            sum = std::hint::black_box(sum + 1);
        }
        let load = Reading::take().since(&before, 1);
        assert!(load.own > 0.0, "{load:?}");
    }
}
