//! Services and command lines on a node.

use std::time::{Duration, Instant};

use secrecy::SecretString;
use secrecy::zeroize::{Zeroize as _, Zeroizing};

use super::answer::after_begin;
use super::script::Script;
use super::{Hand, HandError};
use crate::probe::{Nonce, redact};

/// Bytes of a command's standard output that are kept; the rest is read and dropped on the node.
const OUTPUT_CAP: &str = "1048576";
const RESTART_DEADLINE: Duration = Duration::from_mins(4);
/// For the way there and back.
const MARGIN: Duration = Duration::from_secs(20);

/// What a command left behind, bounded and without what looks like a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// 128 and the number of the signal that killed it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// What a command left behind whose output is a secret.
#[derive(Debug, Clone)]
pub struct SecretRan {
    pub code: i32,
    pub stdout: SecretString,
    /// Bounded and redacted.
    pub stderr: String,
}

impl Hand<'_> {
    /// `systemctl restart`, and waits until the unit is active, a minute and a half at most.
    pub async fn restart(&self, unit: &str) -> Result<(), HandError> {
        let plain = |char: char| char.is_ascii_alphanumeric() || ":_.@\\-".contains(char);
        if unit.is_empty() || unit.starts_with('-') || !unit.chars().all(plain) {
            return Err(HandError::refused(format!("{unit:?} is no name of a unit"), "correct the name"));
        }
        let script = Script::new().set("UNIT", unit);
        self.ask(script, &[include_str!("script/restart.sh")], RESTART_DEADLINE).await.map(drop)
    }

    /// Runs a line for `sh -c` with nothing on its input. It is ended at the deadline, which is a failure; its own non-zero exit is
    /// none. What it leaves running in the background must have let go of its output.
    pub async fn run(&self, command: &str, deadline: Duration) -> Result<Ran, HandError> {
        self.run_with_input(command, &[], deadline).await
    }

    /// The same with this input.
    pub async fn run_with_input(&self, command: &str, input: &[u8], deadline: Duration) -> Result<Ran, HandError> {
        let (code, stdout, stderr) = self.command(command, input, deadline).await?;
        Ok(Ran { code, stdout: shown(&stdout), stderr })
    }

    /// The same for a command whose output is a secret, and is not redacted.
    pub async fn run_for_secret(&self, command: &str, deadline: Duration) -> Result<SecretRan, HandError> {
        let (code, stdout, stderr) = self.command(command, &[], deadline).await?;
        // What is no text is no secret that anybody could use.
        let stdout = SecretString::from(std::str::from_utf8(&stdout).unwrap_or_default());
        Ok(SecretRan { code, stdout, stderr })
    }

    async fn command(
        &self,
        command: &str,
        input: &[u8],
        deadline: Duration,
    ) -> Result<(i32, Zeroizing<Vec<u8>>, String), HandError> {
        let limit = deadline.as_secs().saturating_add(u64::from(deadline.subsec_nanos() > 0)).max(1);
        let script = Script::new()
            .set("C", command)
            .set("LIMIT", &limit.to_string())
            .set("CAP", OUTPUT_CAP)
            .printing("content", input);
        let nonce = script.nonce.clone();
        let begun = Instant::now();
        let parts = [include_str!("script/run.sh")];
        let (answer, mut outcome) = self.ask_all(script, &parts, deadline.saturating_add(MARGIN)).await?;
        outcome.stdout.zeroize();
        let code = answer.get("code").and_then(|code| code.trim().parse().ok()).unwrap_or(-1);
        // `timeout` says 124, or the signal that it sent.
        if matches!(code, 124 | 137 | 143) && begun.elapsed() >= deadline {
            let why = format!("the command did not end within {limit} s: {}", shown(command.as_bytes()));
            return Err(HandError::Failed {
                why,
                next: "run it by hand on the node, and see what it waits for".to_owned(),
            });
        }
        Ok((code, answer.body, stderr_of(&outcome.stderr, &nonce)))
    }
}

/// Without the login shell's part.
fn stderr_of(stderr: &[u8], nonce: &Nonce) -> String {
    shown(after_begin(stderr, nonce).unwrap_or(stderr))
}

fn shown(bytes: &[u8]) -> String {
    redact::text(&String::from_utf8_lossy(bytes)).into_owned()
}
