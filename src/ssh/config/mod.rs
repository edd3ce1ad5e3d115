//! `ssh_config`: from what was said about a target to a [`Resolved`] connection.
//!
//! # Two readers
//!
//! The files are read here, once per run (`load`, `tree`), and evaluated for each host (`evaluate`): some 40 µs in
//! an unoptimised build, and the only reading where no `ssh` is installed. Where one is, `ssh -G` is the judge, since users
//! expect exactly what ssh does. A process per host is too dear for 10,000 hosts, so hosts share its answers:
//!
//! 1. The own reading tells which `Host` and `Match` blocks apply to a host. Hosts with the same blocks, options and `-F` have
//!    the same *signature*: all that files say to one of them, they say to the others.
//! 2. `ssh -G` runs once per signature, for the first host that has it, and its answer is compared with the own reading for
//!    that host (`installed`). Where they differ, ssh is right, and the difference is put right for all hosts of the signature.
//!    Values that hold `%h` or `%n` are compared with the tokens filled in and kept with their tokens, so that they are
//!    right for the other hosts as well. An answer that refuses is asked again for each host: it may be about one name only.
//! 3. A process per host remains where the own reading cannot know which blocks apply (`Match localnetwork` and criteria of
//!    newer versions, `CanonicalizeHostname`), or where the difference is about the very name of the host.
//! 4. Without any configuration file there is nothing to judge, and nothing is started. After 256 answers (a
//!    generated file with a block per host) the own reading, found right so often, is trusted.
//!
//! `Match exec` is run here too, each distinct command once per run. At most as many processes as processors run at once.
//!
//! # Precedence
//!
//! Settings of the target (flags, inventory), then its `-o` options, then files (the user's, then the system's; the first value
//! wins), then defaults. The default of `StrictHostKeyChecking` is `accept-new`, and nothing switches the refusal of changed
//! keys off. This module opens no connection.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OnceCell, Semaphore};

use crate::failure::Failure;
use crate::ssh::resolved::{JumpHop, Resolved};
use crate::target::SshSettings;

mod environment;
mod evaluate;
mod installed;
mod keyword;
mod lex;
mod load;
mod proxy;
mod said;
mod settle;
#[cfg(test)]
mod tests;
mod tokens;
mod tree;
mod values;

pub use environment::Environment;

use evaluate::{Reading, Stop};
use installed::{Corrections, NoAnswer};
use keyword::Keyword;
use load::Source;
use said::Said;

/// How many distinct answers of `ssh -G` are asked for in a run: some seconds of processor time at most.
const MOST_SIGNATURES: usize = 256;

/// How long a `Match exec` may take.
const EXEC_DEADLINE: Duration = Duration::from_secs(10);

/// Resolves the hosts of one run. Shared by reference or `Arc`; configuration files are read once.
#[derive(Debug)]
pub struct Resolver {
    environment: Environment,
    sources: Mutex<HashMap<Option<PathBuf>, Loaded>>,
    answers: Mutex<HashMap<Signature, Arc<OnceCell<Answer>>>>,
    executed: Mutex<HashMap<String, Arc<OnceCell<bool>>>>,
    defaults: OnceCell<Result<Said, NoAnswer>>,
    processes: Semaphore,
    warnings: Mutex<Warnings>,
}

/// What hosts have in common when ssh's answer for one of them holds for all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Signature {
    config_file: Option<PathBuf>,
    blocks: Vec<u32>,
    options: Vec<(String, String)>,
    jump: Option<String>,
    names_user: bool,
    /// Set where the answer holds for one host only.
    host: Option<(String, Option<String>)>,
}

type Loaded = Result<Arc<Source>, Failure>;

type Answer = Result<Arc<Corrections>, Failure>;

#[derive(Debug, Default)]
struct Warnings {
    ever: BTreeSet<String>,
    new: Vec<String>,
}

impl Resolver {
    /// A resolver that has read nothing yet.
    pub fn new(environment: Environment) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            environment,
            sources: Mutex::default(),
            answers: Mutex::default(),
            executed: Mutex::default(),
            defaults: OnceCell::new(),
            processes: Semaphore::new(processors),
            warnings: Mutex::default(),
        }
    }

    /// Merges `settings` over the ssh configuration over the defaults. The destination, as ssh would be told it, is
    /// `settings.host`, or else `name` (the target's name): that is what `Host` patterns see, as under Ansible, and what
    /// `Resolved::alias` holds.
    ///
    /// Fails with kind `Settings`.
    pub async fn resolve(&self, name: &str, settings: &SshSettings) -> Result<Resolved, Failure> {
        let alias = settle::destination(settings.host.as_deref().unwrap_or(name))?;
        let source = self.source(settings.config_file.as_deref())?;
        let Reading { mut said, blocks, complaints } = self.evaluate(&source, alias, settings).await?;
        self.warn(complaints);
        // Also finds what is wrong with our own reading of the values before anything is started.
        let mut notes = Vec::new();
        let resolved = settle::settle(&said, alias, settings, &self.environment, &mut notes)?;
        let corrections = match &self.environment.ssh {
            Some(ssh) if !source.files.is_empty() => {
                self.corrections(ssh, &source, alias, settings, &said, blocks).await?
            }
            _ => None,
        };
        let Some(corrections) = corrections.filter(|corrections| **corrections != Corrections::default()) else {
            self.warn(notes);
            return Ok(resolved);
        };
        corrections.apply(&mut said);
        let mut notes = Vec::new();
        let resolved = settle::settle(&said, alias, settings, &self.environment, &mut notes);
        self.warn(notes);
        resolved
    }

    /// Resolves one hop of a `Route::Jump`. As with `ssh -J`, a hop has its own configuration: of the settings of the host
    /// behind it only `-F` counts.
    pub async fn resolve_hop(&self, hop: &JumpHop, behind: &SshSettings) -> Result<Resolved, Failure> {
        let settings = SshSettings {
            port: hop.port,
            user: hop.user.clone(),
            config_file: behind.config_file.clone(),
            ..SshSettings::default()
        };
        self.resolve(&hop.host, &settings).await
    }

    /// What was odd in the configuration (each once, with `file:line`), since the last call; for stderr.
    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut locked(&self.warnings).new)
    }

    fn warn(&self, messages: impl IntoIterator<Item = String>) {
        let mut warnings = locked(&self.warnings);
        for message in messages {
            if warnings.ever.insert(message.clone()) {
                warnings.new.push(message);
            }
        }
    }

    fn source(&self, named: Option<&Path>) -> Result<Arc<Source>, Failure> {
        // Held while reading, so that the files are read once however many hosts start together.
        let mut sources = locked(&self.sources);
        if let Some(source) = sources.get(&named.map(Path::to_owned)) {
            return source.clone();
        }
        let source = Source::load(named, &self.environment).map(Arc::new);
        if let Ok(source) = &source {
            self.warn(source.complaints.iter().cloned());
        }
        sources.insert(named.map(Path::to_owned), source.clone());
        source
    }

    /// The own reading; runs what `Match exec` asks for.
    async fn evaluate(&self, source: &Source, alias: &str, settings: &SshSettings) -> Result<Reading, Failure> {
        let mut answers = HashMap::new();
        loop {
            match evaluate::evaluate(source, alias, settings, &self.environment, &answers) {
                Ok(reading) => return Ok(reading),
                Err(Stop::Failed(failure)) => return Err(*failure),
                Err(Stop::Ask(command)) => {
                    let cell = Arc::clone(locked(&self.executed).entry(command.clone()).or_default());
                    let holds = *cell.get_or_init(|| self.execute(&command)).await;
                    answers.insert(command, holds);
                }
            }
        }
    }

    async fn execute(&self, command: &str) -> bool {
        // Never closed.
        let _permit = self.processes.acquire().await;
        let status = tokio::process::Command::new("/bin/sh")
            .args(["-c", command])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .status();
        match tokio::time::timeout(EXEC_DEADLINE, status).await {
            Ok(Ok(status)) => status.success(),
            Ok(Err(error)) => {
                self.warn([format!("Match exec {command:?} cannot be run and does not count: {error}")]);
                false
            }
            Err(_) => {
                self.warn([format!("Match exec {command:?} did not end within {EXEC_DEADLINE:?} and does not count")]);
                false
            }
        }
    }

    /// Where the installed ssh disagrees with `own`; `None` when it is not asked, or cannot answer.
    async fn corrections(
        &self,
        ssh: &Path,
        source: &Source,
        alias: &str,
        settings: &SshSettings,
        own: &Said,
        blocks: Vec<u32>,
    ) -> Result<Option<Arc<Corrections>>, Failure> {
        let for_this_host = || Some((alias.to_owned(), settings.user.clone()));
        let canonical = own.get(Keyword::CanonicalizeHostname).is_some_and(|v| !v.word().eq_ignore_ascii_case("no"));
        let undecidable = source.undecidable || canonical;
        let shared = Signature {
            config_file: settings.config_file.clone(),
            blocks,
            options: settings.options.clone(),
            jump: settings.jump.clone(),
            names_user: settings.user.is_some(),
            host: if undecidable { for_this_host() } else { None },
        };
        let Some(cell) = self.cell(&shared, undecidable) else { return Ok(None) };
        let answer = cell.get_or_init(|| self.ask(ssh, alias, settings, own)).await.clone();
        // A refusal may be about the first host's name or user only; a difference may be, too.
        let is_about_one = answer.as_ref().map_or(true, |corrections| corrections.for_this_host_only);
        if undecidable || !is_about_one {
            return answer.map(Some);
        }
        match self.cell(&Signature { host: for_this_host(), ..shared }, answer.is_ok()) {
            Some(cell) => cell.get_or_init(|| self.ask(ssh, alias, settings, own)).await.clone().map(Some),
            None => answer.map(Some),
        }
    }

    /// The place of an answer; `None` when there are enough of them.
    fn cell(&self, signature: &Signature, needed: bool) -> Option<Arc<OnceCell<Answer>>> {
        let mut answers = locked(&self.answers);
        if let Some(cell) = answers.get(signature) {
            return Some(Arc::clone(cell));
        }
        (needed || answers.len() < MOST_SIGNATURES).then(|| Arc::clone(answers.entry(signature.clone()).or_default()))
    }

    async fn ask(&self, ssh: &Path, alias: &str, settings: &SshSettings, own: &Said) -> Answer {
        let defaults = self.defaults.get_or_init(|| async {
            let nothing = SshSettings { config_file: Some("none".into()), ..SshSettings::default() };
            let _permit = self.processes.acquire().await;
            installed::ask(ssh, "defaults", &nothing).await
        });
        let answer = async {
            let _permit = self.processes.acquire().await;
            installed::ask(ssh, alias, settings).await
        };
        let why = match tokio::join!(answer, defaults) {
            (Ok(answer), Ok(defaults)) => {
                let corrections = installed::compare(own, &answer, defaults, alias, settings, &self.environment)?;
                return Ok(Arc::new(corrections));
            }
            // A program that cannot even print its defaults (dropbear's, or one older than -G) is no judge.
            (_, Err(NoAnswer::Refused(failure))) => failure.message.clone(),
            (Err(NoAnswer::Refused(failure)), _) => return Err(failure),
            (Err(NoAnswer::Unable(why)), _) => why,
            (_, Err(NoAnswer::Unable(why))) => why.clone(),
        };
        self.warn([format!("{why}; relying on the own reading of the ssh configuration")]);
        Ok(Arc::default())
    }
}

/// A poisoned lock only means that another task died; every change under these locks is whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
