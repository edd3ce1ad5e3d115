//! What happens to a node's processes while the probe runs. The node is this machine behind a real sshd, whose forced command
//! lets a test stand in the middle of the probe.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::stage::{Stage, Swept, TIMEOUT, line, until};
use crate::ssh::real_sshd::{Sshd, sshd};

/// In the middle of the answer it makes a file, and goes on when another is there, or nothing any more. `DIR` is where the key lies.
const HALFWAY: &str = "ForceCommand eval \"$SSH_ORIGINAL_COMMAND\" | { \
    n=0; while [ $n -lt 300 ] && IFS= read -r line; do printf '%s\\n' \"$line\"; n=$((n+1)); done; \
    >DIR/halfway; while [ -d DIR ] && ! [ -e DIR/go ]; do sleep 0.1; done; cat; }";

/// Every process with its state and the one above it.
fn processes() -> Vec<(u32, char, u32)> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((head, rest)) = stat.rsplit_once(") ") else { continue };
        let (pid, mut fields) = (head.split(' ').next().unwrap().parse().unwrap(), rest.split(' '));
        let state = fields.next().unwrap().chars().next().unwrap();
        all.push((pid, state, fields.next().unwrap().parse().unwrap()));
    }
    all
}

/// What runs below a process, from the top, with its state.
fn below(top: u32) -> Vec<(u32, char)> {
    let all = processes();
    let (mut found, mut next) = (Vec::new(), vec![top]);
    while let Some(parent) = next.pop() {
        for (pid, state, _) in all.iter().filter(|(_, _, above)| *above == parent) {
            found.push((*pid, *state));
            next.push(*pid);
        }
    }
    found
}

fn children(parent: u32) -> Vec<u32> {
    processes().into_iter().filter(|(_, _, above)| *above == parent).map(|(pid, ..)| pid).collect()
}

fn signal(pid: u32, signal: Signal) {
    // One that has ended meanwhile needs none.
    let _ = kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal);
}

/// Processes that stand still; they go on when this is dropped, however the test ends.
struct Suspended(Vec<u32>);

impl Drop for Suspended {
    fn drop(&mut self) {
        for pid in &self.0 {
            signal(*pid, Signal::CONT);
        }
    }
}

/// Stops everything of the sshd's sessions, from the top, and waits until it stands still.
fn suspend(sshd: &Sshd) -> Suspended {
    let mut stopped = Suspended(Vec::new());
    until("all of the session stands still", || {
        let all = below(sshd.child.id());
        for (pid, _) in all.iter().filter(|(pid, _)| !stopped.0.contains(pid)).copied().collect::<Vec<_>>() {
            signal(pid, Signal::STOP);
            stopped.0.push(pid);
        }
        // A shell that waits for a child's first step (vfork) does not stop before that has been made.
        all.iter().all(|(pid, state)| stopped.0.contains(pid) && "TZD".contains(*state)) && !all.is_empty()
    });
    assert!(!stopped.0.is_empty());
    stopped
}

/// Sweeps a node whose probe has come half way, and does this to it then.
fn swept_halfway(sshd: &Sshd, then: impl FnOnce(&Stage)) -> Swept {
    let stage = Stage::new();
    let mut command = stage.command(&[], &line("node", sshd), &[]);
    let begun = Instant::now();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let dir = sshd.client.dir.path();
    until("the probe comes half way", || dir.join("halfway").exists());
    then(&stage);
    Swept::of(&child.wait_with_output().unwrap(), begun.elapsed())
}

/// The record of this node is kept.
fn is_kept(stage: &Stage, name: &str) -> bool {
    let runs: Vec<_> = fs::read_dir(stage.place.path().join("runs")).unwrap().flatten().collect();
    let [run] = &runs[..] else { panic!("{} runs", runs.len()) };
    run.path().join("hosts").join(format!("{name}.json")).exists()
}

fn go(dir: &Path) {
    fs::write(dir.join("go"), "").unwrap();
}

/// The node is suspended in the middle of the probe (SIGSTOP of sshd and of all that the probe runs) and resumed within the deadline: it is read to the end, and the others do not wait for it.
#[tokio::test]
async fn suspended_and_resumed() {
    let Some(sshd) = sshd(HALFWAY).await else { return };
    let dir = sshd.client.dir.path();
    let swept = swept_halfway(&sshd, |stage| {
        let stopped = suspend(&sshd);
        go(dir);
        until("the others are read", || is_kept(stage, "masternode") && is_kept(stage, "node002"));
        assert!(!is_kept(stage, "node"));
        drop(stopped);
    });
    swept.assert_read("node");
}

/// The node is suspended in the middle of the probe and stays so: the row says `exec-timeout` at the deadline and which sections did not come; what had come is kept; exit code 4 or 6, as the node's half is judged.
#[tokio::test]
async fn suspended_for_good() {
    let Some(sshd) = sshd(HALFWAY).await else { return };
    let mut stopped = None;
    let swept = swept_halfway(&sshd, |_| stopped = Some(suspend(&sshd)));
    drop(stopped);
    go(sshd.client.dir.path());
    swept.assert_failure("node", "exec-timeout", "it did not get to");
    assert!(swept.has_facts("node"));
    assert!(swept.took < Duration::from_secs(TIMEOUT + 20), "{:?}", swept.took);
    assert!(matches!(swept.code, Some(4 | 6)), "{:?}", swept.code);
}

/// The probe's shell is killed in the middle (as the kernel does when memory is short): the row says `protocol` and by which signal; what had come is kept.
#[tokio::test]
async fn the_shell_is_killed() {
    let Some(sshd) = sshd(HALFWAY).await else { return };
    let swept = swept_halfway(&sshd, |_| {
        let (all, sessions) = (below(sshd.child.id()), children(sshd.child.id()));
        for (pid, _) in all.into_iter().filter(|(pid, _)| !sessions.contains(pid)) {
            signal(pid, Signal::KILL);
        }
    });
    swept.assert_failure("node", "protocol", "KILL");
    assert!(swept.has_facts("node"));
}

/// sshd's session is killed in the middle: the row says `connection-lost`; what had come is kept.
#[tokio::test]
async fn the_session_is_killed() {
    let Some(sshd) = sshd(HALFWAY).await else { return };
    let swept = swept_halfway(&sshd, |_| {
        for (pid, _) in below(sshd.child.id()) {
            signal(pid, Signal::KILL);
        }
    });
    swept.assert_failure("node", "connection-lost", "");
    assert!(swept.has_facts("node"));
}

/// The node's clock is nine years off, behind or ahead: the node is read to the end and `time/skew` fails on it; its neighbours' clocks are right.
#[tokio::test]
async fn the_clock_is_years_off() {
    for (greeted, words) in [("1500000000.000", "behind"), ("2100000000.000", "ahead")] {
        let settings =
            format!("ForceCommand eval \"$SSH_ORIGINAL_COMMAND\" | sed 's/ hello 1 [0-9.]*/ hello 1 {greeted}/'");
        let Some(sshd) = sshd(&settings).await else { return };
        let swept = Stage::new().sweep(&[], &line("node", &sshd), &[]);
        swept.assert_read("node");
        let findings = swept.node("node")["findings"].as_array().unwrap();
        let skew = findings.iter().find(|finding| finding["id"] == "time/skew").expect("the clock is judged");
        assert_eq!(skew["verdict"], "fail", "{skew}");
        assert!(skew["message"].as_str().unwrap().contains(words), "{skew}");
        assert!(matches!(swept.code, Some(2)), "{:?}", swept.code);
    }
}
