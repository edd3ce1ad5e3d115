//! The installed ssh as the judge of the own reading: running `ssh -G`, reading what it prints, and seeing where it differs.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::Environment;
use super::evaluate;
use super::keyword::{self, Keyword, Known, Shape};
use super::said::{Origin, Said, Value};
use super::tokens::Tokens;
use super::values::normal;
use crate::failure::{Failure, FailureKind};
use crate::target::SshSettings;

/// `ssh -G` takes milliseconds, unless a `Match exec` or canonicalisation waits for something.
const DEADLINE: Duration = Duration::from_secs(10);

/// Why ssh gave no answer.
#[derive(Debug, Clone)]
pub(super) enum NoAnswer {
    /// It cannot be run, or takes too long: the own reading has to do.
    Unable(String),
    /// It refuses the configuration, and so it would when the user runs it.
    Refused(Failure),
}

/// What `ssh -G` prints for `alias`.
pub(super) async fn ask(ssh: &Path, alias: &str, settings: &SshSettings) -> Result<Said, NoAnswer> {
    let output = Command::new(ssh).args(arguments(alias, settings)).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = match tokio::time::timeout(DEADLINE, output).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(NoAnswer::Unable(format!("cannot run {}: {error}", ssh.display()))),
        Err(_) => return Err(NoAnswer::Unable(format!("{} -G did not end within {DEADLINE:?}", ssh.display()))),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).take(3).collect();
        return Err(NoAnswer::Refused(Failure::new(
            FailureKind::Settings,
            format!("ssh refuses its configuration: {}", lines.join("; ")),
            format!("correct what ssh -G {alias} complains about"),
        )));
    }
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

/// Keys, passwords and the port stay out: they decide nothing that is asked here.
fn arguments(alias: &str, settings: &SshSettings) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["-G".into(), "-T".into()];
    if let Some(file) = &settings.config_file {
        arguments.extend(["-F".into(), file.into()]);
    }
    if let Some(user) = &settings.user {
        arguments.extend(["-l".into(), user.into()]);
    }
    if let Some(jump) = &settings.jump {
        arguments.extend(["-o".into(), format!("ProxyJump={jump}").into()]);
    }
    for (key, value) in &settings.options {
        arguments.extend(["-o".into(), format!("{key}={value}").into()]);
    }
    arguments.extend(["--".into(), alias.into()]);
    arguments
}

fn parse(text: &str) -> Said {
    let mut said = Said::default();
    for line in text.lines() {
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        let Known::Obeyed(keyword) = keyword::lookup(name) else { continue };
        let words: Vec<String> = match keyword.shape() {
            Shape::Words => value.split(' ').map(str::to_owned).collect(),
            _ => vec![value.to_owned()],
        };
        if !value.is_empty() {
            said.say(keyword, &words, &Origin::Ssh);
        }
    }
    said
}

/// Where ssh's answer differs from the own reading: what to put in its place.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Corrections {
    values: Vec<(Keyword, Option<Value>)>,
    /// The difference is one of this very host's name: it says nothing about other hosts.
    pub(super) for_this_host_only: bool,
}

impl Corrections {
    pub(super) fn apply(&self, said: &mut Said) {
        for (keyword, value) in &self.values {
            match value {
                Some(value) => said.set(*keyword, value.clone()),
                None => said.forget(*keyword),
            }
        }
    }
}

/// Compares. `defaults` is what ssh prints without any configuration: a value equal to its default was not said, unless the
/// own reading saw it said.
pub(super) fn compare(
    own: &Said,
    ssh: &Said,
    defaults: &Said,
    alias: &str,
    settings: &SshSettings,
    environment: &Environment,
) -> Result<Corrections, Failure> {
    let own_host = evaluate::host_name(own, alias, environment)?.to_ascii_lowercase();
    let user = own.get(Keyword::User).map(Value::word);
    let tokens = Tokens {
        environment,
        alias,
        host: &own_host,
        port: settings.port.or_else(|| own.get(Keyword::Port)?.word().parse().ok()).unwrap_or(22),
        user: settings.user.as_deref().or(user).unwrap_or(&environment.user),
        key_alias: own.get(Keyword::HostKeyAlias).map(Value::word),
        jump: own.get(Keyword::ProxyJump).map_or("", Value::word),
    };
    let mut corrections = Corrections::default();
    for keyword in Keyword::ALL {
        let (mine, theirs) = (own.get(keyword), ssh.get(keyword));
        let overridden = match keyword {
            Keyword::User => settings.user.is_some(),
            Keyword::Port => settings.port.is_some(),
            // What decides about blocks, and not about the connection; ssh of some versions does not print it.
            Keyword::Tag | Keyword::IgnoreUnknown | Keyword::CanonicalizeHostname => true,
            _ => false,
        };
        if overridden {
            continue;
        }
        if keyword == Keyword::HostName {
            if let Some(theirs) = theirs.filter(|theirs| theirs.word() != own_host) {
                // ssh's answer has no tokens any more.
                let words = vec![theirs.word().replace('%', "%%")];
                corrections.values.push((keyword, Some(Value { words, origin: Origin::Ssh })));
                corrections.for_this_host_only = true;
            }
            continue;
        }
        let expected = normal(keyword, theirs, None);
        let is_default = expected == normal(keyword, defaults.get(keyword), None);
        let agrees = match mine {
            None => is_default,
            Some(_) if keyword.is_algorithms() => true,
            Some(_) => {
                let filled_in = || keyword.is_path() && expected == normal(keyword, mine, Some(&tokens));
                expected == normal(keyword, mine, None) || filled_in()
            }
        };
        if !agrees {
            let value = theirs.filter(|_| !is_default).cloned();
            let names_this_host =
                |value: &Value| value.words.iter().any(|word| word.contains(&own_host) || word.contains(alias));
            corrections.for_this_host_only |= value.as_ref().is_some_and(names_this_host);
            corrections.values.push((keyword, value));
        }
    }
    Ok(corrections)
}
