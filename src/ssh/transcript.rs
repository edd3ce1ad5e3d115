//! What a command has said so far, within its limits, and what that asks for next. Shared by remote and local commands.
//!
//! Pure: bytes in, a step out.

use secrecy::ExposeSecret as _;
use tokio::sync::mpsc;

use super::exec::{ExecOutcome, ExecRequest, Exit, Moment};
use super::sudo::{Action, Gate};
use crate::failure::{Failure, FailureKind};
use crate::secret::SecretText;
use crate::target::Sudo;

/// The arrival of so many pieces of output is noted.
const ARRIVALS: usize = 64;

pub(super) struct Transcript {
    outcome: ExecOutcome,
    command: String,
    gate: Option<Gate>,
    stdout_cap: usize,
    stderr_cap: usize,
    /// Where standard output goes once sudo is out of the way, instead of being kept.
    sink: Option<mpsc::UnboundedSender<Vec<u8>>>,
    /// Bytes that went there.
    passed_on: usize,
}

/// What the caller does next.
#[derive(Debug)]
pub(super) enum Next {
    Go,
    /// Write this to the command's input: the password and a newline.
    Password(SecretText),
    /// Write the command's input now.
    Input,
    Stop(Failure),
}

impl Transcript {
    pub(super) fn new(
        request: &ExecRequest<'_>,
        sudo: Option<&Sudo>,
        sink: Option<mpsc::UnboundedSender<Vec<u8>>>,
    ) -> Self {
        let gate = sudo.map(|sudo| Gate::new(sudo, request.command));
        Self {
            outcome: ExecOutcome::empty(),
            command: gate.as_ref().map_or_else(|| request.command.to_owned(), |gate| gate.command.clone()),
            gate,
            stdout_cap: request.stdout_cap,
            stderr_cap: request.stderr_cap,
            sink,
            passed_on: 0,
        }
    }

    /// The command line to run.
    pub(super) fn command(&self) -> &str {
        &self.command
    }

    /// The input must wait for [`Next::Input`].
    pub(super) fn holds_input(&self) -> bool {
        self.gate.as_ref().is_some_and(Gate::holds_input)
    }

    pub(super) fn sent(&mut self, moment: Moment) {
        self.outcome.sent = Some(moment);
    }

    pub(super) fn exit(&mut self, exit: Exit) {
        self.outcome.exit = exit;
    }

    pub(super) fn stdout(&mut self, chunk: &[u8]) -> Next {
        if self.outcome.arrivals.len() < ARRIVALS {
            self.outcome.arrivals.push((self.outcome.stdout.len(), Moment::now()));
        }
        let held = self.holds_input();
        let room = self.stdout_cap.saturating_sub(self.passed_on + self.outcome.stdout.len());
        self.outcome.stdout.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
        let action = match &mut self.gate {
            Some(gate) => gate.stdout(&mut self.outcome.stdout, chunk.len()),
            None => Action::Nothing,
        };
        let listened = self.pass_on();
        if chunk.len() > room {
            let message = format!("the command printed more than {} bytes", self.stdout_cap);
            let next = "look on the host for what prints so much: the login shell's startup files, or the command";
            return Next::Stop(Failure::new(FailureKind::OutputLimit, message, next));
        }
        if !listened {
            let message = "nobody reads the command's output any more";
            return Next::Stop(Failure::new(FailureKind::Interrupted, message, "run it again"));
        }
        match action {
            Action::Open if held => Next::Input,
            _ => Next::Go,
        }
    }

    /// False when there is somebody to pass output on to, and he has gone.
    fn pass_on(&mut self) -> bool {
        let Some(sink) = &self.sink else { return true };
        if self.gate.as_ref().is_some_and(|gate| !gate.is_open()) || self.outcome.stdout.is_empty() {
            return true;
        }
        self.passed_on += self.outcome.stdout.len();
        sink.send(std::mem::take(&mut self.outcome.stdout)).is_ok()
    }

    pub(super) fn stderr(&mut self, chunk: &[u8]) -> Next {
        let room = self.stderr_cap.saturating_sub(self.outcome.stderr.len());
        self.outcome.stderr.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
        let action = match &mut self.gate {
            Some(gate) => gate.stderr(&self.outcome.stderr),
            None => Action::Nothing,
        };
        match action {
            Action::Password(password) => {
                let mut line = SecretText::default();
                line.push_str(password.expose_secret());
                line.push('\n');
                Next::Password(line)
            }
            Action::Stop(failure) => Next::Stop(failure),
            Action::Open | Action::Nothing => Next::Go,
        }
    }

    /// The end. sudo's own failure explains an end that looks like the command's, and is explained by a lost connection.
    pub(super) fn finish(mut self, failure: Option<Failure>) -> ExecOutcome {
        if let Some(gate) = &self.gate {
            let code = match self.outcome.exit {
                Exit::Code(code) => Some(code),
                Exit::Signal(_) | Exit::Missing => None,
            };
            self.outcome.failure = failure.or_else(|| gate.verdict(code, &self.outcome.stderr));
            gate.clean(&mut self.outcome.stderr);
        } else {
            self.outcome.failure = failure;
        }
        self.outcome
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn request(stdout_cap: usize) -> ExecRequest<'static> {
        let deadline = Duration::from_secs(1);
        ExecRequest { command: "true", stdin: b"", sudo: None, deadline, stdout_cap, stderr_cap: 4 }
    }

    #[test]
    fn output_over_the_limit_is_a_failure_that_keeps_the_beginning() {
        let mut transcript = Transcript::new(&request(5), None, None);
        assert!(matches!(transcript.stdout(b"abc"), Next::Go));
        assert!(matches!(transcript.stderr(b"123456"), Next::Go));
        let Next::Stop(failure) = transcript.stdout(b"defgh") else { panic!("must stop") };
        assert_eq!(failure.kind, FailureKind::OutputLimit);
        let outcome = transcript.finish(Some(failure));
        assert_eq!((outcome.stdout.as_slice(), outcome.stderr.as_slice()), (b"abcde".as_slice(), b"1234".as_slice()));
    }

    #[test]
    fn output_of_exactly_the_limit_is_fine() {
        let mut transcript = Transcript::new(&request(5), None, None);
        assert!(matches!(transcript.stdout(b"abcde"), Next::Go));
        assert!(matches!(transcript.stdout(b""), Next::Go));
    }

    #[test]
    fn arrivals_are_found_by_offset() {
        let mut transcript = Transcript::new(&request(100), None, None);
        let _ = transcript.stdout(b"noise");
        let _ = transcript.stdout(b"hello");
        let outcome = transcript.finish(None);
        let (first, hello) = (outcome.first_byte().unwrap(), outcome.arrived(7).unwrap());
        assert!(first.instant <= hello.instant);
        assert_eq!(outcome.arrived(5).unwrap().instant, hello.instant);
        assert!(outcome.arrived(10).is_none());
    }

    #[test]
    fn output_is_passed_on_once_sudo_is_out_of_the_way_and_counts_against_the_limit() {
        let (sink, mut output) = mpsc::unbounded_channel();
        let sudo = Sudo { user: "root".into(), password: None };
        let mut transcript = Transcript::new(&request(60), Some(&sudo), Some(sink));
        let ready = transcript.command().split("echo ").nth(1).unwrap().split(';').next().unwrap().to_owned();
        assert!(matches!(transcript.stdout(b"noise\n"), Next::Go));
        assert!(output.try_recv().is_err());
        assert!(matches!(transcript.stdout(format!("{ready}\nfirst").as_bytes()), Next::Go));
        assert!(matches!(transcript.stdout(b"second"), Next::Go));
        assert_eq!(output.try_recv().unwrap(), b"noise\nfirst");
        assert_eq!(output.try_recv().unwrap(), b"second");
        assert!(
            matches!(transcript.stdout(&[b'x'; 60]), Next::Stop(failure) if failure.kind == FailureKind::OutputLimit)
        );
    }

    #[test]
    fn a_reader_that_left_ends_the_command() {
        let (sink, output) = mpsc::unbounded_channel();
        let mut transcript = Transcript::new(&request(60), None, Some(sink));
        drop(output);
        assert!(matches!(transcript.stdout(b"x"), Next::Stop(failure) if failure.kind == FailureKind::Interrupted));
    }
}
