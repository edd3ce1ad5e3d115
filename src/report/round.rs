//! One sweep of many that follow each other: when it was, and what has changed since the one before. Above the table, or instead of
//! it where nothing has changed.

use std::io::{self, Write};

use super::change::compare::{self, Compared};
use super::closing;
use super::model::Report;
use super::style::{Style, Tone};

/// A sweep beside the one before it.
#[derive(Debug)]
pub enum Round {
    First,
    Unchanged,
    Changed(Vec<Compared>),
}

impl Round {
    /// `before` is `None` as long as no sweep has come to its end.
    pub fn of(before: Option<&Report>, report: &Report) -> Self {
        let Some(before) = before else { return Self::First };
        let changed = compare::differing(before, report);
        if changed.is_empty() { Self::Unchanged } else { Self::Changed(changed) }
    }

    /// Whether the whole table has something to tell.
    pub const fn is_news(&self) -> bool {
        match self {
            Self::First | Self::Changed(_) => true,
            Self::Unchanged => false,
        }
    }
}

/// Writes the line of a round, and what has changed.
pub fn write(round: &Round, number: u64, report: &Report, style: &Style, out: &mut impl Write) -> io::Result<()> {
    let lead = format!("{}  round {number}", report.run.started);
    match round {
        Round::First => writeln!(out, "{}", style.paint(Tone::Dim, &lead)),
        Round::Unchanged => closing::write_counts(&format!("{lead}: unchanged, "), report, style, out),
        Round::Changed(changed) => {
            let count = changed.len();
            let noun = if count == 1 { "1 node has".to_owned() } else { format!("{count} nodes have") };
            writeln!(out)?;
            writeln!(out, "{lead}: {noun} changed")?;
            compare::write(changed, style, out)?;
            writeln!(out)
        }
    }
}
