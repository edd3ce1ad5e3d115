//! `ProxyCommand`: a child of this process whose standard input and output carry the connection.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::banner::quote;
use super::stream::plain;
use super::wire::Carrier;
use crate::failure::{Failure, FailureKind};

/// The running command; killed, with everything that it started, when this is dropped.
#[derive(Debug)]
pub(super) struct ProxyChild {
    child: Child,
    /// What it last printed on standard error.
    words: Arc<Mutex<String>>,
    listening: JoinHandle<()>,
}

/// `sh -c` of a command line with all of its streams at our end, in a process group of its own that ends with its handle.
pub(super) fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command);
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    shell.process_group(0).kill_on_drop(true);
    shell
}

/// Starts `command` under `sh -c`, in a process group of its own.
pub(super) fn start(command: &str) -> Result<(Box<dyn Carrier>, ProxyChild), Failure> {
    let spawned = shell(command).spawn();
    let no_start = |why: String| {
        let message = format!("the ProxyCommand cannot be started: {why}");
        Failure::new(FailureKind::ProxyCommand, message, "correct ProxyCommand, or set ProxyCommand none")
    };
    let mut child = spawned.map_err(|error| no_start(plain(&error)))?;
    let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(no_start("it has no pipes".to_owned()));
    };
    let words = Arc::new(Mutex::new(String::new()));
    let listening = tokio::spawn(listen(stderr, Arc::clone(&words)));
    Ok((Box::new(tokio::io::join(stdout, stdin)), ProxyChild { child, words, listening }))
}

/// Keeps the last line; the rest is read and dropped, so that the command never blocks on it.
async fn listen(mut stderr: ChildStderr, words: Arc<Mutex<String>>) {
    let mut tail: Vec<u8> = Vec::new();
    let mut space = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut space).await {
        tail.extend_from_slice(space.get(..count).unwrap_or_default());
        let surplus = tail.len().saturating_sub(1024);
        tail.drain(..surplus);
        let last = tail.split(|&byte| byte == b'\n').rfind(|line| !line.is_empty()).unwrap_or_default();
        *words.lock().unwrap_or_else(PoisonError::into_inner) = quote(last);
    }
}

impl ProxyChild {
    /// The failure of a connection that ended before the server identified itself.
    pub(super) async fn ended(&mut self) -> Failure {
        let moment = Duration::from_millis(500);
        let status = timeout(moment, self.child.wait()).await.ok().and_then(Result::ok);
        let _ = timeout(moment, &mut self.listening).await;
        let how = match status {
            Some(status) => describe(status),
            None => "closed its output".to_owned(),
        };
        let words = self.last_words().map(|words| format!(": {words}")).unwrap_or_default();
        let message = format!("the ProxyCommand {how} before the server identified itself{words}");
        Failure::new(FailureKind::ProxyCommand, message, "run the ProxyCommand by hand and see what it says")
    }

    pub(super) fn last_words(&self) -> Option<String> {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (!words.is_empty()).then_some(words)
    }
}

impl Drop for ProxyChild {
    fn drop(&mut self) {
        kill_group(self.child.id());
    }
}

/// Kills the process group that a child leads. Only for children started with `process_group(0)`; `None` (already waited for)
/// does nothing, as the number may belong to another process by now.
pub(super) fn kill_group(id: Option<u32>) {
    let pid = id.and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}
