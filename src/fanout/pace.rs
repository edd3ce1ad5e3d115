//! How many at once, when nobody said: a rule that follows what the run costs.
//!
//! Pure: [`meter`](super::meter) measures, [`fan_out`](super::fan_out) asks and obeys.
//!
//! # The rule
//! Ten times a second, for as long as items wait for a place:
//!
//! - **The cores are full**: this process uses more than 95 % of them, or the machine is that busy and a quarter of the cores are this
//!   process's. The width shrinks by a tenth, down to its least: what is beyond has to wait anyway, and costs cache misses.
//! - **There is room**: this process uses less than 60 % of the cores, the machine is not full, and items are done promptly (the
//!   quicker ones of the last within 5 s). Each item that was done since makes room for two more, by half the width at most, up to the
//!   greatest width.
//! - Else it stays.
//!
//! So the width follows the round-trip time without asking for it: items that wait for the network leave the cores idle. That only
//! items that were done make room is as with TCP's slow start: a thin line must not be filled before anything has come through. It
//! makes items slow and no core busy, which is why their time counts, too. Items that hang do neither, so the others get more places.

use std::collections::VecDeque;
use std::time::Duration;

/// Shares of the cores.
const FULL: f64 = 0.95;
const ROOM: f64 = 0.6;
const OURS: f64 = 0.25;
/// How long the quicker items take where nothing is in their way: ten round trips of 200 ms, and slow commands.
const PROMPT: Duration = Duration::from_secs(5);
/// So many of the last items count, ...
const RECENT: usize = 32;
/// ... and of these the quickest one in so many: the others may have waited for hosts that never answer.
const QUICKER: usize = 8;

/// How many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Width {
    least: usize,
    first: usize,
    most: usize,
}

impl Width {
    /// Exactly so many, whatever it costs; at least one.
    pub fn exactly(width: usize) -> Self {
        Self::between(width, width, width)
    }

    /// `first` to begin with, then by the rule: never more than `most`, and fewer than `least` only if `most` says so.
    pub fn between(least: usize, first: usize, most: usize) -> Self {
        let most = most.max(1);
        let least = least.clamp(1, most);
        Self { least, first: first.clamp(least, most), most }
    }

    /// The same, and never more than this.
    #[must_use]
    pub fn at_most(self, most: usize) -> Self {
        Self::between(self.least, self.first, self.most.min(most))
    }

    /// For work that nothing measures.
    pub fn first(self) -> usize {
        self.first
    }

    pub(super) fn may_change(self) -> bool {
        self.least < self.most
    }
}

/// What the run costs, as shares of the cores: 1.0 is all of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Load {
    /// Of this process.
    pub(super) own: f64,
    /// Of everything on this machine; `None` where it does not tell.
    pub(super) machine: Option<f64>,
}

/// The width of one run.
#[derive(Debug)]
pub(super) struct Pace {
    width: Width,
    now: usize,
    recent: VecDeque<Duration>,
    done: usize,
}

impl Pace {
    pub(super) fn new(width: Width) -> Self {
        Self { width, now: width.first, recent: VecDeque::with_capacity(RECENT), done: 0 }
    }

    pub(super) fn now(&self) -> usize {
        self.now
    }

    /// An item was done, however it ended, and took so long.
    pub(super) fn done(&mut self, took: Duration) {
        self.done += 1;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(took);
    }

    /// The width from now on. Asked only while items wait for a place.
    pub(super) fn next(&mut self, load: Load) -> usize {
        let done = std::mem::take(&mut self.done);
        let crowded = load.machine.is_some_and(|machine| machine > FULL);
        if load.own > FULL || (crowded && load.own > OURS) {
            self.now = (self.now - self.now.div_ceil(10)).max(self.width.least);
        } else if load.own < ROOM && !crowded && self.is_prompt() {
            let more = done.saturating_mul(2).min(self.now.div_ceil(2));
            self.now = self.now.saturating_add(more).min(self.width.most);
        }
        self.now
    }

    fn is_prompt(&self) -> bool {
        let mut recent: Vec<Duration> = self.recent.iter().copied().collect();
        recent.sort_unstable();
        recent.get(recent.len() / QUICKER).is_some_and(|took| *took < PROMPT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Load = Load { own: 0.1, machine: Some(0.2) };
    const BUSY: Load = Load { own: 1.0, machine: Some(1.0) };

    /// A pace at width 100 of 32 to 1,024, with so many items done that took so many seconds.
    fn at_100(done: &[(usize, u64)]) -> Pace {
        let mut pace = Pace::new(Width::between(32, 100, 1024));
        for (count, seconds) in done {
            (0..*count).for_each(|_| pace.done(Duration::from_secs(*seconds)));
        }
        pace
    }

    #[test]
    fn the_load_decides_which_way_it_goes() {
        let load = |own, machine| Load { own, machine };
        for (load, expected, why) in [
            (load(0.1, Some(0.2)), 120, "there is room"),
            (load(0.59, None), 120, "there is room, and the machine does not tell"),
            (load(0.7, Some(0.8)), 100, "neither"),
            (load(0.96, Some(0.9)), 90, "we fill the cores"),
            (load(0.96, None), 90, "we fill the cores"),
            (load(0.5, Some(1.0)), 90, "we and what we talk to fill the machine"),
            (load(0.1, Some(1.0)), 100, "others fill the machine: fewer at once would help nobody"),
        ] {
            assert_eq!(at_100(&[(10, 1)]).next(load), expected, "{why}");
        }
    }

    #[test]
    fn what_was_done_makes_room() {
        for (done, expected, why) in [
            (&[][..], 100, "nothing has come through"),
            (&[(1, 1)], 102, "two for one"),
            (&[(500, 1)], 150, "by half at most"),
            (&[(10, 6)], 100, "all are slow: a thin line"),
            (&[(30, 10), (10, 1)], 150, "most never answer"),
            (&[(10, 1), (40, 6)], 100, "they became slow"),
        ] {
            assert_eq!(at_100(done).next(IDLE), expected, "{why}");
        }
        let mut pace = at_100(&[(10, 1)]);
        assert_eq!([pace.next(IDLE), pace.next(IDLE)], [120, 120], "each item counts once");
    }

    #[test]
    fn it_stays_between_its_bounds() {
        let mut pace = at_100(&[]);
        for _ in 0..50 {
            (0..100).for_each(|_| pace.done(Duration::from_millis(300)));
            pace.next(IDLE);
        }
        assert_eq!(pace.now(), 1024);
        for _ in 0..50 {
            pace.next(BUSY);
        }
        assert_eq!(pace.now(), 32);
        let mut exact = Pace::new(Width::exactly(7));
        exact.done(Duration::ZERO);
        assert_eq!([exact.next(IDLE), exact.next(BUSY)], [7, 7]);
        assert!(!Width::exactly(7).may_change());
        assert_eq!(Width::between(32, 128, 10), Width::exactly(10));
        assert_eq!(Width::exactly(0).first(), 1);
        assert_eq!(Width::between(32, 64, 1024).at_most(128), Width::between(32, 64, 128));
    }

    /// Runs `hosts` through a made-up network: each takes `latency` seconds and, spread over that, `work` seconds of two cores.
    /// Returns how many hundredths of a second that took, and the last width.
    fn sweep(width: Width, mut hosts: usize, latency: f64, work: f64) -> (usize, usize) {
        const STEP: f64 = 0.01;
        let mut pace = Pace::new(width);
        // Of each host in flight: how much is done, and since how many seconds.
        let mut flying: Vec<(f64, f64)> = Vec::new();
        let (mut steps, mut used, mut last) = (0, 0.0, width.first);
        while hosts > 0 || !flying.is_empty() {
            while hosts > 0 && flying.len() < pace.now() {
                hosts -= 1;
                flying.push((0.0, 0.0));
            }
            let wanted: f64 = flying.iter().map(|_| work / latency / 2.0).sum();
            let speed = if wanted > 1.0 { 1.0 / wanted } else { 1.0 };
            flying.retain_mut(|(progress, age)| {
                *progress += STEP * speed / latency;
                *age += STEP;
                let over = *progress > 0.999;
                if over {
                    pace.done(Duration::from_secs_f64(*age));
                }
                !over
            });
            used += wanted * speed / 10.0;
            steps += 1;
            if steps % 10 == 0 && hosts > 0 {
                last = pace.next(Load { own: used, machine: None });
                used = 0.0;
            }
        }
        (steps, last)
    }

    #[test]
    fn a_far_fleet_is_swept_faster_and_a_near_one_no_wider() {
        let adaptive = Width::between(32, 128, 1024);
        let (fixed, _) = sweep(Width::exactly(128), 5000, 1.3, 0.003);
        let (steps, width) = sweep(adaptive, 5000, 1.3, 0.003);
        assert!(steps * 3 < fixed, "{steps} steps, {fixed} with a fixed width");
        assert!((400..1024).contains(&width), "{width}");
        let (fixed, _) = sweep(Width::exactly(128), 5000, 0.05, 0.003);
        let (steps, width) = sweep(adaptive, 5000, 0.05, 0.003);
        assert!(steps <= fixed + fixed / 10, "{steps} steps, {fixed} with a fixed width");
        assert!((32..50).contains(&width), "{width}");
    }
}
