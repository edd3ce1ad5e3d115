//! Lines below the name of some nodes: indented, with a key in front, wrapped and never cut, because a plan that is agreed to
//! has to be seen whole.

use std::io::{self, Write};

use crate::names;
use crate::report::grid;
use crate::report::style::{Style, Tone};
use crate::text;

/// Keys share a column of this width.
const KEY: usize = 8;
/// Even the narrowest terminal gets room for a word.
const NARROWEST: usize = 8;

/// One line. Its text may be untrusted: it is made harmless when it is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Line {
    pub(super) indent: usize,
    /// Empty for a line without one.
    pub(super) key: &'static str,
    pub(super) text: String,
    pub(super) tone: Tone,
    pub(super) wrap: Wrap,
}

/// How a line that is too long is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Wrap {
    /// Between words.
    Words,
    /// Where it is full, with every space as it is: commands.
    Exact,
}

impl Line {
    /// A line without a key.
    pub(super) fn plain(indent: usize, text: impl Into<String>, tone: Tone) -> Self {
        Self { indent, key: "", text: text.into(), tone, wrap: Wrap::Words }
    }

    pub(super) fn keyed(indent: usize, key: &'static str, text: impl Into<String>) -> Self {
        Self { key, ..Self::plain(indent, text, Tone::Plain) }
    }

    /// The same with `instead` wherever the name stands as a word of its own.
    pub(super) fn without_name(&self, name: &str, instead: &str) -> Self {
        let of_a_name = |char: char| char.is_alphanumeric() || matches!(char, '-' | '_');
        let mut text = String::with_capacity(self.text.len());
        let mut rest = self.text.as_str();
        while let Some(at) = rest.find(name).filter(|_| !name.is_empty()) {
            let (before, after) = (&rest[..at], &rest[at + name.len()..]);
            // What was taken already ends where a name ended.
            let begins = !before.chars().next_back().or(text.chars().next_back()).is_some_and(of_a_name);
            let ends = !after.starts_with(of_a_name);
            text.push_str(before);
            text.push_str(if begins && ends { instead } else { name });
            rest = after;
        }
        text.push_str(rest);
        Self { text, ..self.clone() }
    }

    /// A command as it may be copied.
    pub(super) fn command(indent: usize, key: &'static str, text: &str) -> Self {
        Self { key, wrap: Wrap::Exact, ..Self::plain(indent, format!("$ {text}"), Tone::Plain) }
    }
}

pub(super) fn write_all(lines: &[Line], style: &Style, out: &mut impl Write) -> io::Result<()> {
    lines.iter().try_for_each(|line| write(line, style, out))
}

fn write(line: &Line, style: &Style, out: &mut impl Write) -> io::Result<()> {
    grid::write_spaces(out, line.indent)?;
    let mut hang = line.indent;
    if !line.key.is_empty() {
        write!(out, "{}", style.paint(Tone::Dim, line.key))?;
        grid::write_spaces(out, KEY.saturating_sub(line.key.len()) + grid::GAP)?;
        hang += KEY + grid::GAP;
    }
    let room = style.width.saturating_sub(hang).max(NARROWEST);
    let harmless = style.text(&line.text);
    let pieces: Vec<String> = match line.wrap {
        Wrap::Words => text::wrap(&harmless, room),
        Wrap::Exact => text::chop(&harmless, room).into_iter().map(str::to_owned).collect(),
    };
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            grid::write_spaces(out, hang)?;
        }
        writeln!(out, "{}", style.paint(line.tone, piece))?;
    }
    Ok(())
}

/// The names of nodes, folded, with a few words behind them, on as many lines as that takes.
pub(super) fn write_heading(
    names: &[&str],
    words: &str,
    tone: Tone,
    style: &Style,
    out: &mut impl Write,
) -> io::Result<()> {
    let who = style.text(&names::folded(names.iter().copied())).into_owned();
    let words = style.text(words).into_owned();
    if text::width(&who) + grid::GAP + text::width(&words) <= style.width {
        return writeln!(out, "{}  {}", style.paint(Tone::Heading, &who), style.paint(tone, &words));
    }
    for line in text::wrap(&who, style.width) {
        writeln!(out, "{}", style.paint(Tone::Heading, &line))?;
    }
    for line in text::wrap(&words, style.width.saturating_sub(grid::GAP).max(NARROWEST)) {
        grid::write_spaces(out, grid::GAP)?;
        writeln!(out, "{}", style.paint(tone, &line))?;
    }
    Ok(())
}
