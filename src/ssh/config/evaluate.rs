//! Which blocks apply to a host, and what they say: the own reading. Pure, but for the answers of `Match exec`, which are
//! given to it.

use std::collections::HashMap;

use super::Environment;
use super::keyword::Keyword;
use super::load::Source;
use super::said::{Origin, Said, Value};
use super::tokens::{Allowed, Tokens};
use super::tree::{self, Block, Condition, Criterion, CriterionKind, HostPattern, Item, Parsed};
use crate::failure::Failure;
use crate::ssh::pattern;
use crate::target::SshSettings;

/// The outcome for one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) said: Said,
    /// The blocks that apply, by their running number; what hosts with the same ones have in common is what files say.
    pub(super) blocks: Vec<u32>,
    /// Odd options.
    pub(super) complaints: Vec<String>,
}

#[derive(Debug)]
pub(super) enum Stop {
    /// The answer of this command (of a `Match exec`) is needed first.
    Ask(String),
    Failed(Box<Failure>),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

/// Evaluates a source for the destination `alias`. `answers` holds the commands of `Match exec` that were run already.
pub(super) fn evaluate(
    source: &Source,
    alias: &str,
    settings: &SshSettings,
    environment: &Environment,
    answers: &HashMap<String, bool>,
) -> Result<Reading, Stop> {
    let mut said = Said::default();
    let mut complaints = Vec::new();
    options(settings, &mut said, &mut complaints)?;
    let mut walk =
        Walk { alias, host: alias, second: false, settings, environment, answers, said, blocks: vec![], number: 0 };
    walk.files(source)?;
    if source.second_pass {
        let host = walk.host_name()?.to_ascii_lowercase();
        // The name is settled now: no HostName of the second pass counts.
        let value = Value { words: vec![host.replace('%', "%%")], origin: Origin::Option };
        walk.said.set(Keyword::HostName, value);
        let mut again = Walk { host: &host, second: true, ..walk };
        again.files(source)?;
        return Ok(Reading { said: again.said, blocks: again.blocks, complaints });
    }
    Ok(Reading { said: walk.said, blocks: walk.blocks, complaints })
}

/// What flags and inventory say, which comes before every file.
fn options(settings: &SshSettings, said: &mut Said, complaints: &mut Vec<String>) -> Result<(), Failure> {
    if let Some(jump) = &settings.jump {
        said.say(Keyword::ProxyJump, std::slice::from_ref(jump), &Origin::Option);
    }
    for (key, value) in &settings.options {
        match tree::setting(key.trim(), value.trim(), &Origin::Option)? {
            Parsed::Setting(keyword, words) => said.say(keyword, &words, &Origin::Option),
            Parsed::Ignored => {}
            Parsed::Unknown => complaints.push(format!("-o {key}: unknown keyword")),
        }
    }
    Ok(())
}

struct Walk<'a> {
    alias: &'a str,
    /// What `Host` compares with: the alias, in the second pass the host's real name.
    host: &'a str,
    second: bool,
    settings: &'a SshSettings,
    environment: &'a Environment,
    answers: &'a HashMap<String, bool>,
    said: Said,
    blocks: Vec<u32>,
    number: u32,
}

impl Walk<'_> {
    fn files(&mut self, source: &Source) -> Result<(), Stop> {
        source.files.iter().try_for_each(|blocks| self.blocks(blocks, true))
    }

    /// `reached` is false inside a block that does not apply: nothing in there counts, but it is numbered.
    fn blocks(&mut self, blocks: &[Block], reached: bool) -> Result<(), Stop> {
        for block in blocks {
            let number = self.number;
            self.number += 1;
            let applies = reached
                && match &block.condition {
                    Condition::Always => true,
                    Condition::Host(patterns) => host_applies(patterns, self.host),
                    Condition::Match(criteria) => self.all_hold(criteria)?,
                };
            if applies {
                self.blocks.push(number);
            }
            for item in &block.items {
                match item {
                    Item::Setting { keyword, words, origin } if applies => self.said.say(*keyword, words, origin),
                    Item::Setting { .. } => {}
                    Item::Include(blocks) => self.blocks(blocks, applies)?,
                }
            }
        }
        Ok(())
    }

    fn all_hold(&self, criteria: &[Criterion]) -> Result<bool, Stop> {
        for Criterion { negated, kind } in criteria {
            let holds = match kind {
                CriterionKind::All => true,
                CriterionKind::Final | CriterionKind::Canonical => self.second,
                CriterionKind::Host(list) => pattern::list_matches(&self.host_name()?.to_ascii_lowercase(), list),
                CriterionKind::OriginalHost(list) => pattern::list_matches(&self.alias.to_ascii_lowercase(), list),
                CriterionKind::User(list) => pattern::list_matches(self.user(), list),
                CriterionKind::LocalUser(list) => pattern::list_matches(&self.environment.user, list),
                CriterionKind::Tagged(list) => {
                    pattern::list_matches(self.said.get(Keyword::Tag).map_or("", |tag| tag.word()), list)
                }
                CriterionKind::Exec(command) => self.exec(command)?,
                CriterionKind::Undecidable => return Ok(false),
            };
            // ssh looks no further either, so that an `exec` after a criterion that does not hold is not run.
            if holds == *negated {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn exec(&self, command: &str) -> Result<bool, Stop> {
        let host = self.host_name()?;
        let port = match (self.settings.port, self.said.get(Keyword::Port)) {
            (Some(port), _) => port,
            (None, Some(value)) => value.word().parse().unwrap_or(22),
            (None, None) => 22,
        };
        let tokens = Tokens {
            environment: self.environment,
            alias: self.alias,
            host: &host,
            port,
            user: self.user(),
            key_alias: self.said.get(Keyword::HostKeyAlias).map(Value::word),
            jump: self.said.get(Keyword::ProxyJump).map_or("", |value| value.word()),
        };
        let command = tokens.expand(command, Allowed::All).map_err(|problem| {
            Stop::from(Failure::new(
                crate::failure::FailureKind::Settings,
                format!("Match exec: {problem}"),
                "correct the ssh configuration",
            ))
        })?;
        self.answers.get(&command).copied().ok_or(Stop::Ask(command))
    }

    fn user(&self) -> &str {
        let said = || self.said.get(Keyword::User).map(Value::word);
        self.settings.user.as_deref().or_else(said).unwrap_or(&self.environment.user)
    }

    /// The name so far.
    fn host_name(&self) -> Result<String, Failure> {
        host_name(&self.said, self.alias, self.environment)
    }
}

/// The name that `HostName` gives to `alias`; lower case is the caller's matter.
pub(super) fn host_name(said: &Said, alias: &str, environment: &Environment) -> Result<String, Failure> {
    let Some(value) = said.get(Keyword::HostName) else { return Ok(alias.to_owned()) };
    let tokens = Tokens { environment, alias, host: alias, port: 0, user: "", key_alias: None, jump: "" };
    tokens
        .expand(value.word(), Allowed::Host)
        .map_err(|problem| value.origin.failure(format_args!("HostName: {problem}")))
}

fn host_applies(patterns: &[HostPattern], host: &str) -> bool {
    let mut applies = false;
    for HostPattern { negated, pattern } in patterns {
        if (*negated || !applies) && pattern::matches(host, pattern) {
            if *negated {
                return false;
            }
            applies = true;
        }
    }
    applies
}
