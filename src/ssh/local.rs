//! The same commands on this machine, for `ansible_connection=local`: a child process instead of a channel.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use secrecy::zeroize::Zeroizing;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::ChildStdin;
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};

use super::exec::{ExecOutcome, ExecRequest, Exit, Live, Moment, further, timed_out};
use super::proxy::{kill_group, shell};
use super::session::NotForwarded;
use super::stream::plain;
use super::transcript::{Next, Transcript};
use crate::failure::{Failure, FailureKind};

/// What goes to the command's input, where a password or a token may be among it.
type Piece = Zeroizing<Vec<u8>>;

/// Runs one command under `sh -c` on this machine, in a process group of its own that is killed at the deadline.
pub async fn exec(request: ExecRequest<'_>) -> ExecOutcome {
    exec_live(request, Live::default()).await
}

/// The same for a command whose output is wanted while it runs, or whose input goes on.
pub async fn exec_live(request: ExecRequest<'_>, live: Live) -> ExecOutcome {
    let begun = Instant::now();
    let is_root = rustix::process::geteuid().is_root();
    let sudo = request.sudo.filter(|sudo| !(is_root && sudo.user == "root"));
    let Live { output, input } = live;
    let mut transcript = Transcript::new(&request, sudo, output);
    let failure = converse(&request, input, &mut transcript).await;
    let mut outcome = transcript.finish(failure);
    outcome.exec = Some(begun.elapsed());
    outcome
}

/// A connection from this machine to `host:port`: what [`Session::forward`](super::Session::forward) is for another host.
pub async fn dial(host: &str, port: u16, deadline: Duration) -> Result<TcpStream, NotForwarded> {
    match timeout(deadline, TcpStream::connect((host, port))).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(NotForwarded::Failed(plain(&error))),
        Err(_) => Err(NotForwarded::Silent),
    }
}

/// Ends the child's group whatever happens, also when the caller loses interest.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        kill_group(self.0);
    }
}

async fn converse(
    request: &ExecRequest<'_>,
    mut more: Option<mpsc::UnboundedReceiver<Vec<u8>>>,
    transcript: &mut Transcript,
) -> Option<Failure> {
    let deadline = tokio::time::Instant::now() + request.deadline;
    let spawned = shell(transcript.command()).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            let message = format!("the command cannot be started: {}", plain(&error));
            return Some(Failure::new(
                FailureKind::Local,
                message,
                "check this machine's process and open-file limits",
            ));
        }
    };
    let mut group = Group(child.id());
    let (input, queue) = mpsc::unbounded_channel();
    let feeding = feed(child.stdin.take(), queue);
    let mut stdout = child.stdout.take();
    let mut stderr = child.stderr.take();
    if !transcript.holds_input() {
        transcript.sent(Moment::now());
        send(&input, request.stdin, more.is_none());
    }
    tokio::pin!(feeding);
    let mut fed = false;
    let (mut out, mut err) = (vec![0; 16 * 1024], vec![0; 4096]);
    let failure = loop {
        if stdout.is_none() && stderr.is_none() {
            break None;
        }
        let next = tokio::select! {
            count = read(&mut stdout, &mut out) => chunk(&out, count).map_or(Next::Go, |chunk| transcript.stdout(chunk)),
            count = read(&mut stderr, &mut err) => chunk(&err, count).map_or(Next::Go, |chunk| transcript.stderr(chunk)),
            () = &mut feeding, if !fed => { fed = true; Next::Go }
            next = further(&mut more), if !transcript.holds_input() => { let _ = input.send(next.map(Zeroizing::new)); Next::Go }
            () = sleep_until(deadline) => Next::Stop(timed_out(request.deadline)),
        };
        match next {
            Next::Go => {}
            Next::Password(line) => {
                let _ = input.send(Some(Zeroizing::new(line.as_str().as_bytes().to_vec())));
            }
            Next::Input => {
                transcript.sent(Moment::now());
                send(&input, request.stdin, more.is_none());
            }
            Next::Stop(failure) => break Some(failure),
        }
    };
    if failure.is_some() {
        kill_group(child.id());
        let _ = timeout(Duration::from_secs(1), child.wait()).await;
        group.0 = None;
        return failure;
    }
    // Both pipes are closed; a child that goes on without them still has until the deadline.
    let status = tokio::time::timeout_at(deadline, child.wait()).await;
    match status {
        Ok(Ok(status)) => {
            group.0 = None;
            transcript.exit(exit_of(status));
            None
        }
        Ok(Err(error)) => {
            let message = format!("the command's end cannot be read: {}", plain(&error));
            Some(Failure::new(FailureKind::Local, message, "run it again"))
        }
        Err(_) => Some(timed_out(request.deadline)),
    }
}

/// One read; waits for ever once the pipe is closed, so that the other one decides.
async fn read<R: AsyncRead + Unpin>(pipe: &mut Option<R>, space: &mut [u8]) -> usize {
    let Some(open) = pipe else { return std::future::pending().await };
    if let Ok(count @ 1..) = open.read(space).await {
        return count;
    }
    *pipe = None;
    0
}

fn chunk(space: &[u8], count: usize) -> Option<&[u8]> {
    if count == 0 { None } else { space.get(..count) }
}

fn send(input: &mpsc::UnboundedSender<Option<Piece>>, stdin: &[u8], all: bool) {
    let _ = input.send(Some(Zeroizing::new(stdin.to_vec())));
    if all {
        let _ = input.send(None);
    }
}

async fn feed(stdin: Option<ChildStdin>, mut queue: mpsc::UnboundedReceiver<Option<Piece>>) {
    let Some(mut stdin) = stdin else { return };
    while let Some(Some(bytes)) = queue.recv().await {
        if stdin.write_all(&bytes).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
}

fn exit_of(status: ExitStatus) -> Exit {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => u32::try_from(code).map_or(Exit::Missing, Exit::Code),
        (None, Some(signal)) => Exit::Signal(signal_name(signal)),
        (None, None) => Exit::Missing,
    }
}

fn signal_name(number: i32) -> String {
    let name = match number {
        1 => "HUP",
        2 => "INT",
        6 => "ABRT",
        9 => "KILL",
        11 => "SEGV",
        13 => "PIPE",
        15 => "TERM",
        other => return other.to_string(),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request<'a>(command: &'a str, stdin: &'a [u8], deadline: Duration) -> ExecRequest<'a> {
        ExecRequest { command, stdin, sudo: None, deadline, stdout_cap: 1 << 20, stderr_cap: 1 << 10 }
    }

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_script_on_stdin_is_run_to_its_end() {
        let outcome = exec(request("sh -s", b"echo out; echo err >&2; exit 3", LONG)).await;
        assert_eq!(outcome.exit, Exit::Code(3));
        assert_eq!((outcome.stdout.as_slice(), outcome.stderr.as_slice()), (b"out\n".as_slice(), b"err\n".as_slice()));
        assert!(outcome.failure.is_none());
        assert!(outcome.first_byte().is_some() && outcome.sent.is_some());
    }

    #[tokio::test]
    async fn the_deadline_kills_the_whole_group_and_keeps_the_output() {
        let script = b"echo kept; sleep 3600 & echo $!; wait";
        let outcome = exec(request("sh -s", script, Duration::from_secs(1))).await;
        assert_eq!(outcome.failure.unwrap().kind, FailureKind::ExecTimeout);
        let text = String::from_utf8(outcome.stdout).unwrap();
        let (kept, pid) = text.trim().split_once('\n').unwrap();
        assert_eq!(kept, "kept");
        // The grandchild is gone or about to be reaped.
        let gone = async {
            let path = format!("/proc/{pid}/stat");
            while std::fs::read_to_string(&path).is_ok_and(|stat| !stat.contains(") Z ")) {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), gone).await.unwrap();
    }

    #[tokio::test]
    async fn more_input_than_a_pipe_holds_does_not_block() {
        let big = vec![b'x'; 1 << 19];
        let outcome = exec(request("cat; echo; kill -TERM $$", &big, LONG)).await;
        assert_eq!(outcome.stdout.len(), big.len() + 1);
        assert_eq!(outcome.exit, Exit::Signal("TERM".into()));
    }

    #[tokio::test]
    async fn output_without_end_is_cut() {
        let mut endless = request("yes", b"", LONG);
        endless.stdout_cap = 1000;
        let outcome = exec(endless).await;
        assert_eq!(outcome.failure.unwrap().kind, FailureKind::OutputLimit);
        assert_eq!(outcome.stdout.len(), 1000);
    }
}
