//! A parsed configuration: blocks with their conditions, settings, and included files in their place.
//!
//! [`parse`] is pure; an `Include` is handed to its `include` argument, which reads files (see [`load`](super::load)).

use std::path::PathBuf;
use std::sync::Arc;

use super::keyword::{self, Keyword, Known, Shape};
use super::lex;
use super::said::Origin;
use crate::failure::Failure;

#[derive(Debug)]
pub(super) struct Block {
    pub(super) condition: Condition,
    pub(super) items: Vec<Item>,
}

/// When a block's settings count.
#[derive(Debug)]
pub(super) enum Condition {
    /// Before the first `Host` or `Match` of a file.
    Always,
    Host(Vec<HostPattern>),
    Match(Vec<Criterion>),
}

#[derive(Debug)]
pub(super) struct HostPattern {
    pub(super) negated: bool,
    pub(super) pattern: String,
}

/// One criterion of a `Match`.
#[derive(Debug)]
pub(super) struct Criterion {
    pub(super) negated: bool,
    pub(super) kind: CriterionKind,
}

#[derive(Debug)]
pub(super) enum CriterionKind {
    All,
    /// Only in the second pass, which `final` itself brings about.
    Final,
    /// Only after canonicalisation, which only the installed ssh does, or in the second pass.
    Canonical,
    Host(String),
    OriginalHost(String),
    User(String),
    LocalUser(String),
    Tagged(String),
    Exec(String),
    /// One that depends on what this program cannot see (`localnetwork`) or does not know: never true in the own reading.
    Undecidable,
}

#[derive(Debug)]
pub(super) enum Item {
    Setting { keyword: Keyword, words: Vec<String>, origin: Origin },
    Include(Vec<Block>),
}

/// Reads what the words of an `Include` name.
pub(super) type Include<'a> = dyn FnMut(&[String], &Origin) -> Result<Vec<Block>, Failure> + 'a;

/// Parses one file. `complaints` gets what is odd but harmless.
pub(super) fn parse(
    path: &Arc<PathBuf>,
    text: &str,
    include: &mut Include<'_>,
    complaints: &mut Vec<String>,
) -> Result<Vec<Block>, Failure> {
    let mut blocks = vec![Block { condition: Condition::Always, items: Vec::new() }];
    let mut ignore_unknown = String::new();
    for (index, line) in text.lines().enumerate() {
        let Some(directive) = lex::directive(line) else { continue };
        let origin = Origin::File { path: Arc::clone(path), line: index + 1 };
        let keyword = directive.keyword.to_ascii_lowercase();
        let condition = match keyword.as_str() {
            "host" => Some(Condition::Host(host_patterns(&words(directive.rest, &origin)?, &origin)?)),
            "match" => Some(Condition::Match(criteria(&words(directive.rest, &origin)?, &origin, complaints)?)),
            _ => None,
        };
        if let Some(condition) = condition {
            blocks.push(Block { condition, items: Vec::new() });
            continue;
        }
        let item = if keyword == "include" {
            Some(Item::Include(include(&words(directive.rest, &origin)?, &origin)?))
        } else {
            match setting(directive.keyword, directive.rest, &origin)? {
                Parsed::Setting(Keyword::IgnoreUnknown, words) => {
                    ignore_unknown = words.concat().to_ascii_lowercase();
                    None
                }
                Parsed::Setting(keyword, words) => Some(Item::Setting { keyword, words, origin }),
                Parsed::Ignored => None,
                Parsed::Unknown => {
                    if !crate::ssh::pattern::list_matches(&keyword, &ignore_unknown) {
                        complaints.push(format!("{origin}: unknown keyword {:?}", directive.keyword));
                    }
                    None
                }
            }
        };
        if let Some(block) = blocks.last_mut() {
            block.items.extend(item);
        }
    }
    Ok(blocks)
}

/// A line that is neither a condition nor an `Include`.
#[derive(Debug)]
pub(super) enum Parsed {
    Setting(Keyword, Vec<String>),
    Ignored,
    Unknown,
}

/// Reads the value of a keyword; also used for `-o`.
pub(super) fn setting(keyword: &str, rest: &str, origin: &Origin) -> Result<Parsed, Failure> {
    let keyword = match keyword::lookup(keyword) {
        Known::Obeyed(keyword) => keyword,
        Known::Ignored => return Ok(Parsed::Ignored),
        Known::Unknown => return Ok(Parsed::Unknown),
    };
    let mut words = match keyword.shape() {
        Shape::Line => vec![rest.to_owned()],
        _ => words(rest, origin)?,
    };
    if words.first().is_none_or(String::is_empty) {
        return Err(origin.failure(format_args!("{} has no value", keyword.name())));
    }
    match keyword.shape() {
        Shape::Word | Shape::Collected if words.len() > 1 => {
            return Err(origin.failure(format_args!("{} takes one value and has {}", keyword.name(), words.len())));
        }
        Shape::Words => words.retain(|word| !word.is_empty()),
        _ => {}
    }
    Ok(Parsed::Setting(keyword, words))
}

fn words(rest: &str, origin: &Origin) -> Result<Vec<String>, Failure> {
    lex::words(rest).ok_or_else(|| origin.failure("a quote is not closed"))
}

fn host_patterns(words: &[String], origin: &Origin) -> Result<Vec<HostPattern>, Failure> {
    if words.is_empty() {
        return Err(origin.failure("Host has no pattern"));
    }
    let pattern = |word: &String| match word.strip_prefix('!') {
        Some(pattern) => HostPattern { negated: true, pattern: pattern.to_owned() },
        None => HostPattern { negated: false, pattern: word.clone() },
    };
    Ok(words.iter().map(pattern).collect())
}

fn criteria(words: &[String], origin: &Origin, complaints: &mut Vec<String>) -> Result<Vec<Criterion>, Failure> {
    let mut criteria = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (negated, word) = word.strip_prefix('!').map_or((false, word.as_str()), |rest| (true, rest));
        let (name, inline) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value.to_owned())));
        let mut argument = || {
            inline
                .clone()
                .or_else(|| words.next().cloned())
                .filter(|argument| !argument.is_empty())
                .ok_or_else(|| origin.failure(format_args!("Match {name} has no argument")))
        };
        let kind = match name.to_ascii_lowercase().as_str() {
            "all" => CriterionKind::All,
            "final" => CriterionKind::Final,
            "canonical" => CriterionKind::Canonical,
            "host" => CriterionKind::Host(argument()?.to_ascii_lowercase()),
            "originalhost" => CriterionKind::OriginalHost(argument()?.to_ascii_lowercase()),
            "user" => CriterionKind::User(argument()?),
            "localuser" => CriterionKind::LocalUser(argument()?),
            "tagged" => CriterionKind::Tagged(argument()?),
            "exec" => CriterionKind::Exec(argument()?),
            _ => {
                argument()?;
                complaints.push(format!(
                    "{origin}: only ssh itself can decide Match {name}; without it the block does not count"
                ));
                CriterionKind::Undecidable
            }
        };
        criteria.push(Criterion { negated, kind });
    }
    if criteria.is_empty() {
        return Err(origin.failure("Match has no criterion"));
    }
    Ok(criteria)
}
