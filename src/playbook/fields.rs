//! A mapping of a playbook, field by field: which names there are, what each holds, and where it stands when it is wrong.
//!
//! Knows YAML's values and nothing of playbooks. Plain scalars are taken as written: `mode: 0644` is these four characters,
//! whatever a version of YAML makes of a number that begins with a zero.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{PlaybookError, Portion};
use crate::checks::nearest;
use crate::duration;
use crate::inventory::value::{Map, Node, Place, ScalarKind, Value};

/// A mapping in which every key is a name of its kind, and stands once.
pub(super) struct Fields<'n> {
    /// `a playbook`, `step write-file`: for messages.
    of: &'n str,
    place: &'n Place,
    /// `None` for a mapping without any field, however that was written.
    map: Option<&'n Map>,
}

/// One value with its name.
#[derive(Clone, Copy)]
pub(super) struct Field<'n> {
    pub(super) name: &'n str,
    of: &'n str,
    pub(super) node: &'n Node,
}

impl<'n> Fields<'n> {
    /// Refuses what is no mapping, names that are not among `names`, and names that stand twice. Nothing at all is a mapping
    /// without fields.
    pub(super) fn of(of: &'n str, node: &'n Node, names: &[&str]) -> Result<Self, PlaybookError> {
        let map = match &node.value {
            Value::Map(map) => Some(map),
            Value::Null => None,
            other => {
                let wanted = if names.is_empty() {
                    "have no fields".to_owned()
                } else {
                    format!("be a mapping of {}", all(names))
                };
                return Err(PlaybookError::at(&node.place, format!("{of} is {}, but must {wanted}", other.describe())));
            }
        };
        for entry in map.iter().flat_map(|map| &map.entries) {
            if !names.contains(&&*entry.key) {
                let message = format!("{of} has no field `{}`{}", show(&entry.key), valid(&entry.key, names));
                return Err(PlaybookError::at(&entry.key_place, message));
            }
        }
        if let Some(twice) = map.and_then(|map| map.duplicates.first()) {
            let line = twice.first.at.map_or(0, |at| at.line);
            let message = format!("`{}` of {of} stands here again, after line {line}", show(&twice.key));
            return Err(PlaybookError::at(&twice.second, message));
        }
        Ok(Self { of, place: &node.place, map })
    }

    pub(super) fn get(&self, name: &'n str) -> Option<Field<'n>> {
        let node = self.map?.get(name)?;
        Some(Field { name, of: self.of, node })
    }

    pub(super) fn required(&self, name: &'n str, why: &str) -> Result<Field<'n>, PlaybookError> {
        self.get(name).ok_or_else(|| self.error(&format!("has no `{name}`: {why}")))
    }

    /// An error about the mapping as a whole.
    pub(super) fn error(&self, problem: &str) -> PlaybookError {
        PlaybookError::at(self.place, format!("{} {problem}", self.of))
    }
}

impl<'n> Field<'n> {
    /// `` `mode` of step write-file is …``
    pub(super) fn error(&self, problem: impl fmt::Display) -> PlaybookError {
        PlaybookError::at(&self.node.place, format!("`{}` of {} {problem}", self.name, self.of))
    }

    fn wrong(&self, wanted: &str) -> PlaybookError {
        let found = match &self.node.value {
            Value::Scalar { text, .. } => format!("`{}`", show(text)),
            other => other.describe().to_owned(),
        };
        self.error(format!("is {found}, but must be {wanted}"))
    }

    /// Any text that is not blank.
    pub(super) fn text(&self, wanted: &str) -> Result<&'n str, PlaybookError> {
        match &self.node.value {
            Value::Scalar { text, kind: ScalarKind::Plain | ScalarKind::Quoted } if !text.trim().is_empty() => Ok(text),
            _ => Err(self.wrong(wanted)),
        }
    }

    /// Text, which may be empty where it was written in quotes.
    pub(super) fn content(&self, wanted: &str) -> Result<&'n str, PlaybookError> {
        match &self.node.value {
            Value::Scalar { text, kind: ScalarKind::Plain | ScalarKind::Quoted } => Ok(text),
            _ => Err(self.wrong(wanted)),
        }
    }

    /// Text on one line, without anything that a terminal would obey.
    pub(super) fn line(&self, wanted: &str) -> Result<&'n str, PlaybookError> {
        let text = self.text(wanted)?.trim();
        if text.chars().any(char::is_control) {
            return Err(self.error("has a line break or a control character in it, but must be one line"));
        }
        Ok(text)
    }

    pub(super) fn number<T: FromStr + PartialOrd + fmt::Display + Copy>(
        &self,
        least: T,
        most: T,
        what: &str,
    ) -> Result<T, PlaybookError> {
        let number = match &self.node.value {
            Value::Scalar { text, kind: ScalarKind::Plain } if is_digits(text) => text.parse().ok(),
            _ => None,
        };
        number
            .filter(|number| (&least..=&most).contains(&number))
            .ok_or_else(|| self.wrong(&format!("{what}, {least} to {most}")))
    }

    pub(super) fn boolean(&self) -> Result<bool, PlaybookError> {
        match &self.node.value {
            Value::Scalar { text, kind: ScalarKind::Plain } if &**text == "true" => Ok(true),
            Value::Scalar { text, kind: ScalarKind::Plain } if &**text == "false" => Ok(false),
            _ => Err(self.wrong("true or false")),
        }
    }

    /// `10s`, of at least `least`.
    pub(super) fn duration(&self, least: Duration) -> Result<Duration, PlaybookError> {
        let text = self.text("a time like 10s or 5m")?;
        let found = duration::parse(text).map_err(|why| self.error(format!("is wrong: {why}")))?;
        if found < least {
            let least = duration::exact(least);
            return Err(self.error(format!("is {}, but must be at least {least}", duration::exact(found))));
        }
        Ok(found)
    }

    /// `3` or `25%`, of at least `least`.
    pub(super) fn portion(&self, least: u8) -> Result<Portion, PlaybookError> {
        let text = self.text("a number of nodes or a part of them like 25%")?;
        portion(text, least).map_err(|why| self.error(why))
    }

    /// The items of a list; one value stands for a list of itself.
    pub(super) fn list(&self) -> Result<Vec<Self>, PlaybookError> {
        match &self.node.value {
            Value::List(items) if !items.is_empty() => Ok(items.iter().map(|node| Self { node, ..*self }).collect()),
            Value::List(_) => Err(self.error("is empty: name at least one, or leave it out")),
            Value::Scalar { .. } => Ok(vec![*self]),
            Value::Null | Value::Map(_) => Err(self.wrong("a list")),
        }
    }
}

/// Reads `3` or `25%`; the error goes on from a name: `is 0%, but …`. Also what the command line does.
pub(crate) fn portion(text: &str, least: u8) -> Result<Portion, String> {
    let wrong = || {
        let from = if least == 0 { "0 or more nodes, or 0% to 100%" } else { "1 or more nodes, or 1% to 100%" };
        format!("is `{}`, but must be {from}", show(text))
    };
    let (digits, percent) = text.trim().strip_suffix('%').map_or((text.trim(), false), |digits| (digits, true));
    let number: u32 =
        Some(digits).filter(|digits| is_digits(digits)).and_then(|text| text.parse().ok()).ok_or_else(wrong)?;
    match (percent, u8::try_from(number)) {
        _ if number < u32::from(least) => Err(wrong()),
        (false, _) => Ok(Portion::Nodes(number)),
        (true, Ok(percent @ 0..=100)) => Ok(Portion::Percent(percent)),
        (true, _) => Err(wrong()),
    }
}

/// No sign, no blank: what `parse` of a number would let through beside digits.
fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `; did you mean `x`?`, or all that there are.
pub(super) fn valid(word: &str, names: &[&str]) -> String {
    if names.is_empty() {
        return "; it has none".to_owned();
    }
    let hint = nearest(word, names.iter().map(|name| (*name, *name)));
    let hint = hint.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    format!("{hint} (there {} {})", if names.len() == 1 { "is only" } else { "are" }, all(names))
}

fn all(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The beginning of a text, for a message.
pub(super) fn show(text: &str) -> String {
    const MOST: usize = 60;
    let mut short: String = text.chars().take(MOST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
