//! The node's clock: how far it is off, and what keeps it.

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::read::Reader;
use crate::record::{ClockSample, Record};

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Time {
    /// The node's clock when it was greeted, in seconds since 1970.
    pub epoch: Fact<i64>,
    /// The node's clock minus the clock of the machine that swept, in milliseconds.
    pub skew_ms: Fact<i64>,
    /// The true skew is within this of `skew_ms`.
    pub skew_error_ms: Fact<i64>,
    /// The clock is disciplined by NTP.
    pub synchronized: Fact<bool>,
    /// NTP is switched on.
    pub ntp: Fact<bool>,
    /// The program that keeps the time.
    pub daemon: Fact<String>,
    /// The hardware clock minus the system clock, in seconds.
    pub rtc_offset: Fact<i64>,
    /// The hardware clock runs in local time.
    pub rtc_local: Fact<bool>,
    pub zone: Fact<String>,
}

/// How far a clock is off, in the words and figures that a check needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Clock {
    /// Whose clock it was held against: `the control plane's`, else `this machine's`.
    pub against: Fact<String>,
    /// Off by at least so many milliseconds: what is left of the difference beyond the error of the measurement.
    pub off_by_ms: Fact<i64>,
    /// The difference itself; positive when the clock is ahead.
    pub difference_ms: Fact<i64>,
    /// `+48s`
    pub figure: Fact<String>,
    /// `48 s ahead of the control plane's`
    pub words: Fact<String>,
}

impl Clock {
    /// Against the control plane's clock where that was read: it is the one that counts, and the clock of the machine that
    /// sweeps may be off itself.
    pub(crate) fn new(relative: &Fact<i64>, relative_error: &Fact<i64>, own: &Time) -> Self {
        let (difference, error, against) = match (relative, relative_error) {
            (Fact::Known(_), Fact::Known(error)) => (relative, *error, "the control plane's"),
            _ => (&own.skew_ms, own.skew_error_ms.known().copied().unwrap_or(0), "this machine's"),
        };
        let seconds = |difference: i64| difference.saturating_abs() / 1000;
        let difference = difference.clone();
        Self {
            against: difference.as_ref().map(|_| against.to_owned()),
            off_by_ms: difference.as_ref().map(|off| off.saturating_abs().saturating_sub(error).max(0)),
            figure: difference.as_ref().map(|off| {
                let sign = if *off < 0 { '-' } else { '+' };
                format!("{sign}{}s", seconds(*off))
            }),
            words: difference.as_ref().map(|off| {
                let side = if *off < 0 { "behind" } else { "ahead of" };
                format!("{} s {side} {against}", seconds(*off))
            }),
            difference_ms: difference,
        }
    }
}

/// A skew with its error bar, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Skew {
    pub(crate) offset_ms: i64,
    pub(crate) error_ms: i64,
}

/// The node answered somewhere between sending and receiving: its clock is compared with the middle, and may be off by
/// half of the round trip. A clock that was read in whole seconds stands for the second that follows.
pub(crate) fn skew(sample: &ClockSample) -> Option<Skew> {
    let (sent, received) = (i128::from(sample.sent_ms), i128::from(sample.received_ms));
    let whole_seconds = sample.node_ms % 1000 == 0;
    let half_tick = if whole_seconds { 500 } else { 0 };
    let offset = i128::from(sample.node_ms) + half_tick - i128::midpoint(sent, received);
    let error = (received - sent).max(0) / 2 + half_tick;
    Some(Skew { offset_ms: i64::try_from(offset).ok()?, error_ms: i64::try_from(error).ok()? })
}

impl Time {
    pub(crate) fn parse(record: &Record, reader: Reader<'_>) -> Self {
        let keys = reader.keys("time");
        let skew = record.clock.as_ref().and_then(skew);
        let of = |part: fn(Skew) -> i64| {
            skew.map_or_else(|| Fact::unknown("the node sent no greeting"), |skew| Fact::Known(part(skew)))
        };
        let read_at = keys.get("epoch").and_then(whole);
        Self {
            epoch: now(record, reader).map_or_else(Fact::default, Fact::Known),
            skew_ms: of(|skew| skew.offset_ms),
            skew_error_ms: of(|skew| skew.error_ms),
            synchronized: keys.flag("synchronized"),
            ntp: keys.flag("ntp"),
            daemon: keys.text("daemon"),
            rtc_offset: keys
                .get("rtc_epoch")
                .and_then(whole)
                .and_then(|rtc| read_at.map(|system| rtc.saturating_sub(system))),
            rtc_local: keys.flag("local_rtc"),
            zone: reader.keys("ident").text("tz"),
        }
    }
}

fn whole(text: &str) -> Fact<i64> {
    super::read::number(text.split('.').next().unwrap_or_default())
}

/// The node's own clock in seconds, by which it judges certificates.
pub(crate) fn now(record: &Record, reader: Reader<'_>) -> Option<i64> {
    match record.clock {
        Some(clock) => Some(clock.node_ms.div_euclid(1000)),
        None => reader.keys("time").get("epoch").and_then(whole).known().copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::record;
    use super::*;

    fn sample(sent_ms: i64, received_ms: i64, node_ms: i64) -> Skew {
        skew(&ClockSample { sent_ms, received_ms, node_ms }).unwrap()
    }

    #[test]
    fn the_middle_of_the_round_trip_is_the_reference() {
        assert_eq!(sample(1000, 1200, 1101), Skew { offset_ms: 1, error_ms: 100 });
        assert_eq!(sample(1000, 1200, 49_101), Skew { offset_ms: 48_001, error_ms: 100 });
    }

    #[test]
    fn whole_seconds_widen_the_error() {
        assert_eq!(sample(1400, 1600, 1000), Skew { offset_ms: 0, error_ms: 600 });
    }

    #[test]
    fn absurd_clocks_do_not_overflow() {
        assert!(skew(&ClockSample { sent_ms: i64::MAX, received_ms: i64::MAX, node_ms: i64::MIN }).is_none());
        assert_eq!(sample(2000, 1000, 1501).error_ms, 0);
    }

    #[test]
    fn only_what_lies_beyond_the_error_is_the_clocks_fault() {
        let own = Time { skew_ms: Fact::Known(-3000), skew_error_ms: Fact::Known(500), ..Time::default() };
        let clock = Clock::new(&Fact::Known(48_200), &Fact::Known(100), &own);
        assert_eq!(clock.off_by_ms, Fact::Known(48_100));
        assert_eq!(clock.figure, Fact::Known("+48s".to_owned()));
        assert_eq!(clock.words, Fact::Known("48 s ahead of the control plane's".to_owned()));
        let alone = Clock::new(&Fact::default(), &Fact::default(), &own);
        assert_eq!(alone.off_by_ms, Fact::Known(2500));
        assert_eq!(alone.words, Fact::Known("3 s behind this machine's".to_owned()));
        assert!(Clock::new(&Fact::default(), &Fact::default(), &Time::default()).off_by_ms.is_unknown());
    }

    #[test]
    fn synchronisation_and_the_hardware_clock() {
        let record =
            record(&[("time", "", "synchronized=no\nntp=yes\ndaemon=chronyd\nepoch=1000.25\nrtc_epoch=940\n")]);
        let time = Time::parse(&record, Reader::new(&record));
        assert_eq!((time.synchronized, time.rtc_offset), (Fact::Known(false), Fact::Known(-60)));
    }
}
