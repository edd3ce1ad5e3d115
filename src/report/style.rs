//! How a report may look: width, colour and signs, decided once at the edge and passed as a value.
//!
//! Nothing here or below reads the environment; [`Style::choose`] is told what it says.

use std::borrow::Cow;

use anstyle::{AnsiColor, Effects};

use crate::text;
use crate::verdict::Verdict;

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR`, `CLICOLOR=0` or `TERM=dumb` speak against it.
    #[default]
    Auto,
    Always,
    Never,
}

/// What a text report obeys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Columns that may be used; [`Style::UNLIMITED`] when the output goes to a file or a pipe.
    pub width: usize,
    pub color: bool,
    /// The locale is UTF-8; otherwise everything is printed in ASCII.
    pub unicode: bool,
}

/// What a piece of text means, which decides its colour. Meaning is never in the colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Tone {
    Plain,
    Heading,
    Fail,
    Warn,
    Good,
    Dim,
}

impl From<Verdict> for Tone {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Fail => Self::Fail,
            Verdict::Warn => Self::Warn,
            Verdict::Unknown | Verdict::Expected | Verdict::NotApplicable => Self::Dim,
            Verdict::Pass => Self::Plain,
        }
    }
}

impl Style {
    /// No limit: the width of files and pipes, where cut text would be lost and lines are searched.
    pub const UNLIMITED: usize = usize::MAX;

    /// Decides from what the edge knows of standard output: `columns` of its terminal (`None` when it is not one), and the
    /// environment's variables through `var`.
    pub fn choose(color: ColorChoice, columns: Option<usize>, var: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| var(name).filter(|value| !value.is_empty());
        let color = match color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                columns.is_some()
                    && set("NO_COLOR").is_none()
                    && set("CLICOLOR").is_none_or(|value| value != "0")
                    && set("TERM").is_none_or(|term| term != "dumb")
            }
        };
        // A terminal that does not say its width is 80 wide.
        let width = columns.map_or(Self::UNLIMITED, |columns| if columns == 0 { 80 } else { columns });
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
        let unicode = locale.is_some_and(|locale| is_utf8(&locale));
        Self { width, color, unicode }
    }

    /// Untrusted text, harmless and in signs that the terminal has.
    pub(crate) fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.signs(text::sanitize(text))
    }

    /// Text of this program in signs that the terminal has.
    pub(crate) fn signs<'a>(&self, text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        let text = text.into();
        if self.unicode {
            return text;
        }
        match text {
            Cow::Borrowed(text) => text::to_ascii(text),
            Cow::Owned(text) => Cow::Owned(text::to_ascii(&text).into_owned()),
        }
    }

    pub(crate) const fn ellipsis(&self) -> &'static str {
        if self.unicode { "…" } else { "..." }
    }

    /// The cell of a node of which nothing was read.
    pub(crate) const fn unread(&self) -> &'static str {
        if self.unicode { "·" } else { "." }
    }

    pub(crate) fn paint<'a>(&self, tone: Tone, text: &'a str) -> Cow<'a, str> {
        let style = match tone {
            Tone::Plain => return Cow::Borrowed(text),
            Tone::Heading => anstyle::Style::new().effects(Effects::BOLD),
            Tone::Fail => AnsiColor::Red.on_default(),
            Tone::Warn => AnsiColor::Yellow.on_default(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Dim => anstyle::Style::new().effects(Effects::DIMMED),
        };
        if !self.color || text.is_empty() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(format!("{style}{text}{style:#}"))
    }
}

/// `de_DE.UTF-8`, `C.utf8`, `en_US.UTF-8@euro`.
fn is_utf8(locale: &str) -> bool {
    let codeset = locale.split('@').next().unwrap_or_default().split('.').nth(1).unwrap_or_default();
    codeset.eq_ignore_ascii_case("utf-8") || codeset.eq_ignore_ascii_case("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    type Vars = [(&'static str, &'static str)];

    fn choose(color: ColorChoice, columns: Option<usize>, vars: &Vars) -> Style {
        Style::choose(color, columns, |name| {
            vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn colour_is_for_terminals_that_want_it() {
        use ColorChoice::{Always, Auto, Never};
        let cases: &[(ColorChoice, Option<usize>, &Vars, bool)] = &[
            (Auto, Some(80), &[], true),
            (Auto, None, &[], false),
            (Auto, Some(80), &[("NO_COLOR", "1")], false),
            (Auto, Some(80), &[("NO_COLOR", "")], true),
            (Auto, Some(80), &[("CLICOLOR", "0")], false),
            (Auto, Some(80), &[("CLICOLOR", "1"), ("TERM", "xterm")], true),
            (Auto, Some(80), &[("TERM", "dumb")], false),
            (Always, None, &[("NO_COLOR", "1"), ("TERM", "dumb")], true),
            (Never, Some(80), &[], false),
        ];
        for (choice, columns, vars, expected) in cases {
            assert_eq!(choose(*choice, *columns, vars).color, *expected, "{choice:?} {columns:?} {vars:?}");
        }
    }

    #[test]
    fn signs_follow_the_locale() {
        let cases: &[(&Vars, bool)] = &[
            (&[], false),
            (&[("LANG", "de_DE.UTF-8")], true),
            (&[("LANG", "C.utf8")], true),
            (&[("LANG", "de_DE.UTF-8@euro")], true),
            (&[("LANG", "de_DE.ISO-8859-1")], false),
            (&[("LANG", "en_US.UTF-8"), ("LC_ALL", "C")], false),
            (&[("LANG", "en_US.UTF-8"), ("LC_ALL", "")], true),
            (&[("LC_CTYPE", "C.UTF-8"), ("LANG", "C")], true),
        ];
        for (vars, expected) in cases {
            assert_eq!(choose(ColorChoice::Auto, Some(80), vars).unicode, *expected, "{vars:?}");
        }
    }

    #[test]
    fn a_file_has_no_width_and_a_shy_terminal_has_eighty() {
        assert_eq!(choose(ColorChoice::Auto, None, &[]).width, Style::UNLIMITED);
        assert_eq!(choose(ColorChoice::Auto, Some(0), &[]).width, 80);
    }
}
