//! Runs an inventory script, bounded in time and output. Touches the world, knows nothing of inventories.

use std::io::Read;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::inventory::error::ScriptProblem;

/// Standard error is only shown.
const MAX_STDERR: u64 = 4096;

/// Runs `path` with `arguments` and gives its standard output, of which at most `limit + 1` bytes are read. The script and
/// what it has started are killed at `deadline`.
pub(in crate::inventory) fn run(
    path: &Path,
    arguments: &[&str],
    cwd: &Path,
    limit: u64,
    deadline: Duration,
) -> Result<Vec<u8>, ScriptProblem> {
    let started = Instant::now();
    let start = |error: std::io::Error| ScriptProblem::Start(error.to_string());
    let mut child = Command::new(path)
        .args(arguments)
        .current_dir(cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Its own group, so that its children can be stopped with it.
        .process_group(0)
        .spawn()
        .map_err(start)?;
    let stdout = child.stdout.take().map(|pipe| in_background(move || read(pipe, limit + 1)));
    let stderr = child.stderr.take().map(|pipe| in_background(move || read(pipe, MAX_STDERR)));
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // `Child` has no wait with a deadline, so that a thread waits; it also leaves no zombie.
    let status = in_background(move || child.wait());
    let left = || deadline.saturating_sub(started.elapsed());

    let Ok(output) = stdout.map_or(Ok(Vec::new()), |stdout| stdout.recv_timeout(left())) else {
        stop(group);
        return Err(ScriptProblem::Deadline(deadline));
    };
    if output.len() as u64 > limit {
        stop(group);
        return Ok(output);
    }
    let Ok(status) = status.recv_timeout(left()) else {
        stop(group);
        return Err(ScriptProblem::Deadline(deadline));
    };
    let status = status.map_err(start)?;
    if status.success() {
        return Ok(output);
    }
    let stderr = stderr.and_then(|stderr| stderr.recv_timeout(left()).ok()).unwrap_or_default();
    Err(ScriptProblem::Status { status: describe(status), stderr: last_lines(&stderr) })
}

fn in_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> mpsc::Receiver<T> {
    let (sender, receiver) = mpsc::channel();
    // Nobody may be listening any more.
    thread::spawn(move || drop(sender.send(work())));
    receiver
}

/// Reads to the end, or to `limit` bytes and then closes the pipe. What came before an error is still worth having.
fn read(pipe: impl Read, limit: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = pipe.take(limit).read_to_end(&mut bytes);
    bytes
}

/// Ends the script and what it has started. Called only while its status is not known.
fn stop(group: Option<Pid>) {
    if let Some(group) = group {
        // It may have ended by itself in this moment.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// The end of what it wrote, where the reason usually stands.
fn last_lines(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join(" / ")
}
