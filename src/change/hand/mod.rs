//! The hand on a node: what is looked at and done there, each as one small script of POSIX `sh` over an open connection.
//!
//! Every script comes on the standard input of `sh -s`, under sudo where the target says so, and answers in lines that begin with a
//! random word, so that what a login shell prints cannot be taken for an answer. One that was cut off on its way does nothing; one
//! that was cut at any of its commands is finished by the next call with the same arguments.
//!
//! - `script`, `answer`: how a script is put together, and what it says. Pure.
//! - `look`: what lies at paths. Reads only.
//! - [`lock`](Hand::lock): one run at a time, for as long as its connection lives.
//! - `file`: putting a file in place, and taking that back. `kept`: copies of what a join overwrites.
//! - `command`: services and command lines. `job`: what runs on without a connection, and is found again.
//!
//! What is to be done, and whether it may, is decided elsewhere; nothing here knows Kubernetes.

mod answer;
mod command;
mod error;
mod file;
mod job;
mod kept;
mod lock;
mod look;
mod script;

use std::time::Duration;

use answer::Answer;
use script::Script;

use crate::failure::{Failure, FailureKind};
use crate::probe::{self, Nonce};
use crate::reach::Line;
use crate::ssh::{CommandChannel, ExecOutcome, ExecRequest, Exit, Live, local};
use crate::target::Sudo;

pub use command::{Ran, SecretRan};
pub use error::HandError;
pub use file::Wrote;
pub use job::{Job, JobEnd, JobState, JobStatus};
pub use lock::Lock;
pub use look::Look;

/// Room for an answer: a few contents of the largest size.
const ANSWER_CAP: usize = 16 << 20;
const STDERR_CAP: usize = 64 << 10;

/// One node through its open connection.
#[derive(Debug, Clone, Copy)]
pub struct Hand<'s> {
    line: Line<'s>,
    sudo: Option<&'s Sudo>,
}

/// Where one command runs, without the connection's lifetime.
enum Place {
    Here,
    Channel(CommandChannel),
}

impl Place {
    async fn exec(self, request: ExecRequest<'_>, live: Live) -> ExecOutcome {
        match self {
            Self::Here => local::exec_live(request, live).await,
            Self::Channel(channel) => channel.exec(request, live).await,
        }
    }
}

impl<'s> Hand<'s> {
    pub fn new(line: Line<'s>, sudo: Option<&'s Sudo>) -> Self {
        Self { line, sudo }
    }

    /// The connection that it works over.
    pub fn line(&self) -> Line<'s> {
        self.line
    }

    async fn place(&self) -> Result<Place, HandError> {
        Ok(match self.line {
            Line::Here => Place::Here,
            Line::Session(session) => Place::Channel(session.command_channel().await.map_err(HandError::Connection)?),
        })
    }

    /// Runs a script to its end.
    async fn ask(&self, script: Script, parts: &[&str], deadline: Duration) -> Result<Answer, HandError> {
        self.ask_all(script, parts, deadline).await.map(|(answer, _)| answer)
    }

    /// The same with what came on standard error.
    async fn ask_all(
        &self,
        script: Script,
        parts: &[&str],
        deadline: Duration,
    ) -> Result<(Answer, ExecOutcome), HandError> {
        let (nonce, text) = script.finish(parts);
        let command = probe::COMMAND.join(" ");
        let request = request(&command, text.as_str(), self.sudo, deadline);
        let outcome = self.place().await?.exec(request, Live::default()).await;
        let answer = settle(&outcome, &outcome.stdout, &nonce)?;
        Ok((answer, outcome))
    }
}

fn request<'a>(command: &'a str, script: &'a str, sudo: Option<&'a Sudo>, deadline: Duration) -> ExecRequest<'a> {
    ExecRequest { command, stdin: script.as_bytes(), sudo, deadline, stdout_cap: ANSWER_CAP, stderr_cap: STDERR_CAP }
}

/// The answer in what came, unless it is a no.
fn settle(outcome: &ExecOutcome, stdout: &[u8], nonce: &Nonce) -> Result<Answer, HandError> {
    match (Answer::read(stdout, nonce), &outcome.failure) {
        (Some(answer), _) => judge(answer),
        (None, Some(failure)) => Err(HandError::Connection(failure.clone())),
        (None, None) => Err(HandError::Connection(broken(outcome))),
    }
}

fn judge(answer: Answer) -> Result<Answer, HandError> {
    let (why, next) = (answer.words("why"), answer.words("next"));
    match answer.status.as_str() {
        "refused" => Err(HandError::Refused { why, next }),
        "failed" => Err(HandError::Failed { why, next }),
        "locked" => Err(HandError::Locked { by: answer.words("by") }),
        _ => Ok(answer),
    }
}

/// The shell ended without its last line.
fn broken(outcome: &ExecOutcome) -> Failure {
    let how = match &outcome.exit {
        Exit::Code(code) => format!("ended with exit code {code}"),
        Exit::Signal(signal) => format!("was killed by signal {signal}"),
        Exit::Missing => "ended".to_owned(),
    };
    let said = answer::words(&String::from_utf8_lossy(&outcome.stderr));
    let said = if said.is_empty() { said } else { format!(": {said}") };
    Failure::new(
        FailureKind::Protocol,
        format!("the node's sh {how} before the script did{said}"),
        "look what the login shell does with a script: echo 'echo yes' | ssh HOST sh -s",
    )
}

/// What is made part of file names on nodes: a run's id, a job's name.
fn word<'w>(what: &str, word: &'w str) -> Result<&'w str, HandError> {
    let plain = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
    if !word.is_empty() && word.len() <= 100 && !word.starts_with(['.', '-']) && word.chars().all(plain) {
        return Ok(word);
    }
    let why = format!("{word:?} cannot be {what}: only letters, digits, dots, underscores and dashes may be in it");
    Err(HandError::refused(why, "name it differently"))
}

/// A path that is meant as it is written.
fn path(path: &str) -> Result<&str, HandError> {
    let parts = path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(|part| !matches!(part, "" | "." | "..")));
    if parts && path.len() < 4096 && !path.chars().any(char::is_control) && path.trim_end() == path {
        return Ok(path);
    }
    Err(HandError::refused(format!("{path:?} is not an absolute path without detours"), "write it as the node has it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_and_words_reach_a_node() {
        for good in ["/etc/x", "/etc/cni/net.d/10 flannel.conflist", "/ä"] {
            assert_eq!(path(good).unwrap(), good);
        }
        for bad in ["", "/", "etc/x", "/etc/../x", "/etc//x", "/etc/x/", "/etc/x\n", "/etc/x ", "/./x"] {
            assert!(path(bad).is_err(), "{bad:?}");
        }
        assert!(word("a run", "20250910T134128Z-4242").is_ok());
        for bad in ["", ".x", "-x", "a/b", "a b", "a'b", &"x".repeat(101)] {
            assert!(word("a run", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn errors_say_what_to_do_and_name_no_node() {
        let locked = HandError::Locked { by: "20250910T134128Z-4242".into() };
        assert_eq!(locked.to_string(), "another run is changing this node: 20250910T134128Z-4242");
        assert!(locked.next().contains("wait"));
        let failure = Failure::new(FailureKind::ConnectionLost, "gone", "run it again");
        let lost = HandError::Connection(failure);
        assert!(lost.is_loss() && lost.next() == "run it again" && lost.to_string() == "gone");
    }
}
