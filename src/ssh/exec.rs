//! One command on an open session: its input, its output within limits, and its end within a deadline.
//!
//! What arrived is always kept: a deadline, a lost connection or a limit adds a failure to the outcome and takes nothing away.
//! The channel is drained to its close, as the exit status may come after the end of the output.
//!
//! A command whose output is wanted while it runs, or whose input goes on, is the same with a [`Live`].

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelWriteHalf, Sig};
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};

use super::peer::Peer;
use super::session::{Session, lost};
use super::stream::seconds;
use super::transcript::{Next, Transcript};
use crate::failure::{Failure, FailureKind};
use crate::secret::SecretText;
use crate::target::Sudo;
use crate::timings::{Timings, millis};

/// One command and its limits. Its `Debug` form has no input: there may be a token in it.
#[derive(Clone)]
pub struct ExecRequest<'a> {
    /// A POSIX `sh` command line; `sh -s` to run a script from `stdin`. Without newlines when `sudo` is set, and in words that
    /// every shell understands the same, as the login shell reads it first.
    pub command: &'a str,
    pub stdin: &'a [u8],
    /// Not used when the login is already that user.
    pub sudo: Option<&'a Sudo>,
    /// From sending the command to its end, the opening of the channel not included.
    pub deadline: Duration,
    /// Bytes; more is a failure of kind `OutputLimit`.
    pub stdout_cap: usize,
    /// Bytes; more is read and dropped.
    pub stderr_cap: usize,
}

impl fmt::Debug for ExecRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExecRequest({}, {} bytes of input)", self.command, self.stdin.len())
    }
}

/// Everything that one command left behind. Its `Debug` form has no output: that may be a token.
pub struct ExecOutcome {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub exit: Exit,
    /// Set when the command did not run to its end, or could not start. A command's own non-zero exit is no failure.
    pub failure: Option<Failure>,
    /// From asking for a channel to its confirmation; `None` on this machine.
    pub open: Option<Duration>,
    /// From sending the command to its end.
    pub exec: Option<Duration>,
    /// When the input was sent.
    pub sent: Option<Moment>,
    pub(super) arrivals: Vec<(usize, Moment)>,
}

impl fmt::Debug for ExecOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stdout, stderr, exit, failure, .. } = self;
        write!(f, "ExecOutcome({exit:?}, {failure:?}, {} and {} bytes of output)", stdout.len(), stderr.len())
    }
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    Code(u32),
    /// Killed by this signal: `KILL`.
    Signal(String),
    /// Nobody said.
    Missing,
}

/// A point in time by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub instant: Instant,
    pub clock: SystemTime,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self { instant: Instant::now(), clock: SystemTime::now() }
    }
}

impl ExecOutcome {
    pub(super) fn empty() -> Self {
        Self {
            stdout: Vec::new(),
            stderr: Vec::new(),
            exit: Exit::Missing,
            failure: None,
            open: None,
            exec: None,
            sent: None,
            arrivals: Vec::new(),
        }
    }

    /// When the byte at `offset` of `stdout` arrived; exact for the first dozens of packets, later ones count as the last of
    /// these.
    pub fn arrived(&self, offset: usize) -> Option<Moment> {
        if offset >= self.stdout.len() {
            return None;
        }
        self.arrivals.iter().rev().find(|(from, _)| *from <= offset).map(|(_, moment)| *moment)
    }

    /// Adds this command's phases to those of the connection.
    pub fn add_to(&self, timings: &mut Timings) {
        timings.open_ms = self.open.map(millis);
        timings.exec_ms = self.exec.map(millis);
        let spent = self.open.unwrap_or_default() + self.exec.unwrap_or_default();
        timings.total_ms = Some(timings.total_ms.unwrap_or_default() + millis(spent));
    }

    /// When the first byte of `stdout` arrived.
    pub fn first_byte(&self) -> Option<Moment> {
        self.arrived(0)
    }
}

/// What a command gives and takes while it runs; nothing of it by default.
#[derive(Debug, Default)]
pub struct Live {
    /// Gets standard output as it arrives, without sudo's own part of it; [`ExecOutcome::stdout`] stays empty. The request's limit
    /// holds for all of it together. When the receiver is dropped, the command is ended at its next output.
    pub output: Option<mpsc::UnboundedSender<Vec<u8>>>,
    /// Goes to standard input after the request's own, which stays open until the sender is dropped. A shell that reads its script
    /// there may read on beyond the script's end, so that it takes what comes at once for more of that.
    pub input: Option<mpsc::UnboundedReceiver<Vec<u8>>>,
}

/// A channel for one command, which needs its [`Session`] no more than to be open.
pub struct CommandChannel {
    channel: Channel<Msg>,
    peer: Arc<Peer>,
    user: String,
    open: Duration,
}

/// What goes to the command's input.
enum Input {
    Bytes(Vec<u8>),
    /// Wiped once it was sent.
    Password(SecretText),
    End,
}

impl Session {
    /// Runs one command. Never fails as such: see [`ExecOutcome::failure`].
    pub async fn exec(&self, request: ExecRequest<'_>) -> ExecOutcome {
        let begun = Instant::now();
        match self.command_channel().await {
            Ok(channel) => channel.exec(request, Live::default()).await,
            Err(failure) => ExecOutcome { failure: Some(failure), open: Some(begun.elapsed()), ..ExecOutcome::empty() },
        }
    }

    /// Opens a channel for one command.
    pub async fn command_channel(&self) -> Result<CommandChannel, Failure> {
        let begun = Instant::now();
        let channel = self.open_channel().await?;
        let (peer, user) = (Arc::clone(&self.peer), self.user.clone());
        Ok(CommandChannel { channel, peer, user, open: begun.elapsed() })
    }
}

impl CommandChannel {
    /// Runs one command. Never fails as such: see [`ExecOutcome::failure`]. When this future is dropped, the command is ended as
    /// far as the server does that.
    pub async fn exec(self, request: ExecRequest<'_>, live: Live) -> ExecOutcome {
        let begun = Instant::now();
        let Self { channel, peer, user, open } = self;
        // Becoming oneself needs no sudo, which a minimal root login may not even have.
        let sudo = request.sudo.filter(|sudo| sudo.user != user);
        let Live { output, input } = live;
        let mut transcript = Transcript::new(&request, sudo, output);
        let failure = converse(channel, &peer, &request, input, &mut transcript).await;
        let mut outcome = transcript.finish(failure);
        outcome.open = Some(open);
        outcome.exec = Some(begun.elapsed());
        outcome
    }
}

async fn converse(
    channel: Channel<Msg>,
    peer: &Peer,
    request: &ExecRequest<'_>,
    mut more: Option<mpsc::UnboundedReceiver<Vec<u8>>>,
    transcript: &mut Transcript,
) -> Option<Failure> {
    let deadline = tokio::time::Instant::now() + request.deadline;
    let (mut reader, writer) = channel.split();
    let writer = Arc::new(writer);
    let mut unfinished = Unfinished(Some(Arc::clone(&writer)));
    if writer.exec(true, transcript.command().as_bytes()).await.is_err() {
        return Some(lost(peer));
    }
    let (input, queue) = mpsc::unbounded_channel();
    if !transcript.holds_input() {
        transcript.sent(Moment::now());
        send(&input, request.stdin, more.is_none());
    }
    let feeding = feed(writer, queue);
    tokio::pin!(feeding);
    let mut fed = false;
    let (mut closed, mut exited) = (false, false);
    let failure = loop {
        let message = tokio::select! {
            message = reader.wait() => message,
            () = &mut feeding, if !fed => { fed = true; continue }
            next = further(&mut more), if !transcript.holds_input() => {
                let next = next.map_or(Input::End, Input::Bytes);
                let _ = input.send(next);
                continue;
            }
            () = sleep_until(deadline) => break Some(timed_out(request.deadline)),
        };
        let next = match message {
            Some(ChannelMsg::Data { data }) => transcript.stdout(&data),
            Some(ChannelMsg::ExtendedData { data, ext: 1 }) => transcript.stderr(&data),
            Some(ChannelMsg::ExitStatus { exit_status }) => {
                exited = true;
                transcript.exit(Exit::Code(exit_status));
                Next::Go
            }
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                exited = true;
                transcript.exit(Exit::Signal(signal_text(&signal_name)));
                Next::Go
            }
            Some(ChannelMsg::Failure) => {
                let message = "the server refused to run a command";
                let next =
                    "check the account's shell and any forced command (ForceCommand, command= in authorized_keys)";
                break Some(Failure::new(FailureKind::Channel, message, next));
            }
            Some(ChannelMsg::Close) => {
                closed = true;
                break None;
            }
            None => break None,
            Some(_) => Next::Go,
        };
        match next {
            Next::Go => {}
            Next::Password(line) => {
                let _ = input.send(Input::Password(line));
            }
            Next::Input => {
                transcript.sent(Moment::now());
                send(&input, request.stdin, more.is_none());
            }
            Next::Stop(failure) => break Some(failure),
        }
    };
    if failure.is_some() {
        return failure;
    }
    unfinished.0 = None;
    match (exited, closed) {
        (true, _) => None,
        (false, true) => {
            let message = "the server closed the channel without saying how the command ended";
            Some(Failure::new(
                FailureKind::ConnectionLost,
                message,
                "look at sshd's log on the host, then run it again",
            ))
        }
        (false, false) => Some(lost(peer)),
    }
}

fn send(input: &mpsc::UnboundedSender<Input>, stdin: &[u8], all: bool) {
    if !stdin.is_empty() {
        let _ = input.send(Input::Bytes(stdin.to_vec()));
    }
    if all {
        let _ = input.send(Input::End);
    }
}

/// What goes on after the request's own input: bytes, and `None` once at its end. Waits for ever without one.
pub(super) async fn further(more: &mut Option<mpsc::UnboundedReceiver<Vec<u8>>>) -> Option<Vec<u8>> {
    let Some(open) = more else { return std::future::pending().await };
    let next = open.recv().await;
    if next.is_none() {
        *more = None;
    }
    next
}

/// Ends a command that is given up, also when whoever waited for it did.
struct Unfinished(Option<Arc<ChannelWriteHalf<Msg>>>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(writer) = self.0.take()
            && tokio::runtime::Handle::try_current().is_ok()
        {
            abandon(writer);
        }
    }
}

/// Writes the input as the window allows, beside the reading: a command that prints before it reads would block otherwise.
async fn feed(writer: Arc<ChannelWriteHalf<Msg>>, mut queue: mpsc::UnboundedReceiver<Input>) {
    while let Some(piece) = queue.recv().await {
        let sent = match piece {
            Input::Bytes(bytes) => writer.data_bytes(bytes).await,
            Input::Password(line) => writer.data(line.as_str().as_bytes()).await,
            Input::End => {
                let _ = writer.eof().await;
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Asks the server to end the command, and does not wait for it.
fn abandon(writer: Arc<ChannelWriteHalf<Msg>>) {
    tokio::spawn(async move {
        let farewell = async {
            let _ = writer.signal(Sig::TERM).await;
            let _ = writer.signal(Sig::KILL).await;
            let _ = writer.close().await;
        };
        let _ = timeout(Duration::from_secs(1), farewell).await;
    });
}

pub(crate) fn timed_out(deadline: Duration) -> Failure {
    let message = format!("the command did not end within {}", seconds(deadline));
    Failure::new(
        FailureKind::ExecTimeout,
        message,
        "look on the host for what hangs (a dead mount, a locked device), or allow more time",
    )
}

fn signal_text(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => super::banner::quote(name.as_bytes()),
        known => format!("{known:?}"),
    }
}
