//! Durations as people type and read them: `10s`, `1m30s`, `500ms`. Text and values only; no clock is read here.

use std::time::Duration;

use jiff::SpanRelativeTo;
use jiff::fmt::friendly::{Spacing, SpanParser, SpanPrinter};

/// The longest duration that is accepted; a deadline beyond it is a slip of the keyboard.
const LONGEST: Duration = Duration::from_hours(24 * 365);

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    #[error("{0:?} is not a duration: write it like 10s, 1m30s or 500ms")]
    Syntax(String),
    #[error("{0:?} is negative: a duration is 0s or more")]
    Negative(String),
    #[error("{0:?} is longer than a year")]
    TooLong(String),
}

/// Reads `10s`, `1m30s`, `1m 30s`, `1.5h`, `500ms`, `7d` (of 24 hours each). A number alone means seconds, as it does for ssh and Ansible.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let trimmed = text.trim();
    if trimmed.starts_with('-') && trimmed.contains(|char: char| char.is_ascii_digit()) {
        return Err(DurationError::Negative(text.to_owned()));
    }
    let is_number = !trimmed.is_empty() && trimmed.bytes().all(|byte| byte.is_ascii_digit());
    let duration = if is_number {
        // Only a number that is too large for 64 bits fails to parse here.
        Duration::from_secs(trimmed.parse().map_err(|_| DurationError::TooLong(text.to_owned()))?)
    } else {
        let parser = SpanParser::new();
        let clock = parser.parse_unsigned_duration(trimmed).ok();
        clock.or_else(|| with_days(&parser, trimmed)).ok_or_else(|| DurationError::Syntax(text.to_owned()))?
    };
    if duration > LONGEST { Err(DurationError::TooLong(text.to_owned())) } else { Ok(duration) }
}

fn with_days(parser: &SpanParser, text: &str) -> Option<Duration> {
    let span = parser.parse_span(text).ok()?;
    Duration::try_from(span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?).ok()
}

const DAY: Duration = Duration::from_hours(24);

/// The exact duration, such that [`parse`] gives it back: `1m30s`, `500ms`, `0s`, `7d`.
pub fn exact(duration: Duration) -> String {
    let days = duration.as_secs() / DAY.as_secs();
    if days > 1 && duration == DAY.saturating_mul(u32::try_from(days).unwrap_or(u32::MAX)) {
        return format!("{days}d");
    }
    SpanPrinter::new().spacing(Spacing::None).unsigned_duration_to_string(&duration)
}

/// The duration as far as a reader cares: `0.4ms`, `35ms`, `3.2s`, `1m05s`, `2h07m`.
pub fn rough(duration: Duration) -> String {
    let seconds = duration.as_secs();
    // Each bound is the point from which the rounded figure would need the next unit.
    if duration < Duration::from_micros(9_950) {
        format!("{:.1}ms", duration.as_secs_f64() * 1e3)
    } else if duration < Duration::from_micros(999_500) {
        format!("{:.0}ms", duration.as_secs_f64() * 1e3)
    } else if duration < Duration::from_millis(59_950) {
        format!("{:.1}s", duration.as_secs_f64())
    } else if seconds < 3600 {
        // What rounds up to a minute and is still below it is shown as that minute.
        let seconds = seconds.max(60);
        format!("{}m{:02}s", seconds / 60, seconds % 60)
    } else {
        format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60)
    }
}

/// For serde: the exact duration as text.
pub mod text {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::exact(*duration))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_people_type() {
        let cases = [
            ("10s", 10_000),
            ("1m30s", 90_000),
            (" 1m 30s ", 90_000),
            ("500ms", 500),
            ("1.5s", 1_500),
            ("2h", 7_200_000),
            ("7d", 604_800_000),
            ("1d12h", 129_600_000),
            ("90", 90_000),
            ("0", 0),
            ("0s", 0),
        ];
        for (text, millis) in cases {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest_with_the_text_and_an_example() {
        for text in ["", "s", "ten", "10x", "1m-3s", "10s extra", "1.5", "1 month", "2s ago", "٣s"] {
            let error = parse(text).unwrap_err();
            assert_eq!(error, DurationError::Syntax(text.to_owned()));
            assert!(error.to_string().contains("10s"), "{error}");
        }
        assert_eq!(parse("-5s"), Err(DurationError::Negative("-5s".to_owned())));
        for text in ["99999999999999999999999", "18446744073709551615", "100000h", "366d"] {
            assert_eq!(parse(text), Err(DurationError::TooLong(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn whole_days_are_printed_as_such() {
        for (hours, expected) in [(23, "23h"), (24, "24h"), (48, "2d"), (49, "49h"), (24 * 365, "365d")] {
            assert_eq!(exact(Duration::from_hours(hours)), expected);
        }
    }

    #[test]
    fn roughly() {
        let cases = [
            (0, "0.0ms"),
            (400, "0.4ms"),
            (9_949, "9.9ms"),
            (9_950, "10ms"),
            (35_100, "35ms"),
            (999_499, "999ms"),
            (999_500, "1.0s"),
            (3_240_000, "3.2s"),
            (59_949_000, "59.9s"),
            (59_950_000, "1m00s"),
            (65_000_000, "1m05s"),
            (3_599_999_000, "59m59s"),
            (7_620_000_000, "2h07m"),
        ];
        for (micros, expected) in cases {
            assert_eq!(rough(Duration::from_micros(micros)), expected, "{micros}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(millis in 0_u64..100_000_000) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&exact(duration)), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in ".{0,20}") {
            let _ = parse(&text);
        }
    }
}
