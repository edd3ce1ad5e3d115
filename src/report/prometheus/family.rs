//! The text format: `# HELP`, `# TYPE` and the samples of a metric, which must stand together.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{self, Write};

use crate::report::details::clip_to;
use crate::report::model::NodeReport;
use crate::text;

/// The longest value of a label.
const LONGEST: usize = 200;

/// Writes one metric. Its head comes with its first sample, so that a metric without any does not appear.
pub(super) struct Family<'o, W: Write> {
    out: &'o mut W,
    name: &'static str,
    help: &'static str,
    begun: bool,
}

impl<'o, W: Write> Family<'o, W> {
    /// A gauge, as all of these are: every run measures anew.
    pub(super) fn gauge(out: &'o mut W, name: &'static str, help: &'static str) -> Self {
        Self { out, name, help, begun: false }
    }

    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: Number) -> io::Result<()> {
        if !self.begun {
            self.begun = true;
            writeln!(self.out, "# HELP {} {}\n# TYPE {} gauge", self.name, self.help, self.name)?;
        }
        write!(self.out, "{}", self.name)?;
        for (index, (label, value)) in labels.iter().enumerate() {
            let before = if index == 0 { "{" } else { "," };
            write!(self.out, "{before}{label}=\"{}\"", Label(value))?;
        }
        let after = if labels.is_empty() { "" } else { "}" };
        writeln!(self.out, "{after} {value}")
    }
}

/// A sample's value. Figures that are whole stay whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Whole(i64),
    /// A whole number of thousandths.
    Milli(i64),
    /// A whole number of hundredths.
    Percent(u32),
}

impl Number {
    pub(super) fn count(count: usize) -> Self {
        Self::Whole(i64::try_from(count).unwrap_or(i64::MAX))
    }

    pub(super) const fn flag(set: bool) -> Self {
        Self::Whole(if set { 1 } else { 0 })
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Whole(value) => write!(f, "{value}"),
            Self::Milli(value) => {
                let sign = if value < 0 { "-" } else { "" };
                let value = value.unsigned_abs();
                write!(f, "{sign}{}.{:03}", value / 1000, value % 1000)
            }
            Self::Percent(value) => write!(f, "{}.{:02}", value / 100, value % 100),
        }
    }
}

/// A label's value: one line of harmless text, bounded, with the three escapes of the format.
struct Label<'a>(&'a str);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in text::sanitize(&clip_to(self.0, LONGEST)).chars() {
            match char {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                _ => write!(f, "{char}")?,
            }
        }
        Ok(())
    }
}

/// The label of each node. Two series with the same labels would make the collector refuse the whole file, and names may
/// become equal when they are cut.
pub(super) fn node_labels(nodes: &[NodeReport]) -> Vec<String> {
    let mut taken: HashSet<String> = HashSet::new();
    let mut next: HashMap<String, usize> = HashMap::new();
    let mut labels = Vec::with_capacity(nodes.len());
    for node in nodes {
        let plain = text::sanitize(&clip_to(&node.name, LONGEST / 2)).into_owned();
        let mut label = plain.clone();
        while !taken.insert(label.clone()) {
            let number = next.entry(plain.clone()).or_insert(1);
            *number += 1;
            label = format!("{plain} ({number})");
        }
        labels.push(label);
    }
    labels
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_exact() {
        let said: Vec<String> = [
            Number::Whole(-3),
            Number::Milli(-5),
            Number::Milli(8_412),
            Number::Percent(7),
            Number::Percent(100),
            Number::flag(true),
            Number::Milli(i64::MIN),
        ]
        .iter()
        .map(ToString::to_string)
        .collect();
        assert_eq!(said, ["-3", "-0.005", "8.412", "0.07", "1.00", "1", "-9223372036854775.808"]);
    }

    #[test]
    fn labels_stay_on_their_line() {
        assert_eq!(Label("a\"b\\c\nd\x1b").to_string(), "a\\\"b\\\\c\\\\nd\\\\x1b");
        assert!(Label(&"x".repeat(1 << 20)).to_string().len() < 300);
    }

    #[test]
    fn a_metric_without_samples_does_not_appear() {
        let mut out = Vec::new();
        let mut family = Family::gauge(&mut out, "seaworthy_x_seconds", "Help.");
        assert!(!family.begun);
        family.sample(&[("node", "a"), ("b", "c")], Number::Whole(1)).unwrap();
        family.sample(&[], Number::Whole(2)).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "# HELP seaworthy_x_seconds Help.\n# TYPE seaworthy_x_seconds gauge\nseaworthy_x_seconds{node=\"a\",b=\"c\"} 1\nseaworthy_x_seconds 2\n"
        );
    }

    /// A label's value as the collector reads it; `None` where it would end within the text.
    fn read(label: &str) -> Option<String> {
        let mut text = String::new();
        let mut chars = label.chars();
        while let Some(char) = chars.next() {
            match char {
                '"' | '\n' => return None,
                '\\' => text.push(chars.next().filter(|char| matches!(char, '\\' | '"'))?),
                _ => text.push(char),
            }
        }
        Some(text)
    }

    proptest! {
        #[test]
        fn any_label_is_read_back(text in any::<String>()) {
            let label = Label(&text).to_string();
            prop_assert_eq!(read(&label), Some(text::sanitize(&clip_to(&text, LONGEST)).into_owned()));
            prop_assert!(!label.chars().any(|char| char.is_control() || text::is_deceptive(char)));
        }
    }
}
