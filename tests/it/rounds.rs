//! `sweep --every` as a user runs it: the binary against the embedded fleet, through changes of the inventory and of the disk.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use std::{fs, thread};

use seaworthy::demo::{Behaviour, Fleet, Plan, State};
use seaworthy::run::read_file;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_mins(2);

/// A home of its own for the binary.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn seaworthy(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seaworthy"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.directory.path())
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.seaworthy(arguments).output().unwrap()
    }

    /// What is there is whole at every moment: the program reads it when it likes.
    fn write(&self, name: &str, text: &str) {
        fs::write(self.path("new"), text).unwrap();
        fs::rename(self.path("new"), self.path(name)).unwrap();
    }
}

/// A program that goes on, and what it said so far. Its two streams are not in step.
struct Going {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
    said: Vec<String>,
}

impl Going {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (out, err) = (listen(child.stdout.take().unwrap()), listen(child.stderr.take().unwrap()));
        Self { child, out, err, said: Vec::new() }
    }

    /// Waits for a line of the result with these words.
    fn shows(&mut self, words: &str) -> String {
        until(&self.out, words, &mut self.said)
    }

    /// Waits for a line on standard error with these words.
    fn tells(&mut self, words: &str) -> String {
        until(&self.err, words, &mut self.said)
    }

    fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }

    fn end(mut self) -> (Option<i32>, Vec<String>) {
        self.said.extend(self.out.iter());
        self.said.extend(self.err.iter());
        (self.child.wait().unwrap().code(), std::mem::take(&mut self.said))
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        // Only where a test fails: otherwise it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (to, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

fn until(lines: &Receiver<String>, words: &str, said: &mut Vec<String>) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let line = lines.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        let line = line.unwrap_or_else(|_| panic!("nobody said {words:?}: {said:#?}"));
        said.push(line.clone());
        if line.contains(words) {
            return line;
        }
    }
}

fn fleet(nodes: impl IntoIterator<Item = (State, Behaviour)>) -> Fleet {
    Fleet::start(Plan::of(7, nodes)).unwrap()
}

fn healthy(count: usize) -> Fleet {
    fleet(std::iter::repeat_n((State::Worker, Behaviour::Answer), count))
}

fn inventory(fleet: &Fleet) -> String {
    fs::read_to_string(fleet.inventory_path()).unwrap()
}

/// The inventory without one of its nodes.
fn without(inventory: &str, node: &str) -> String {
    inventory.split_inclusive('\n').filter(|line| !line.contains(node)).collect()
}

fn kept(runs: &Path) -> Vec<String> {
    seaworthy::run::list(runs).unwrap()
}

fn text(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{}\n--- stdout\n{out}\n--- stderr\n{err}", output.status)
}

#[test]
fn a_round_takes_everything_as_it_is_then_and_says_what_changed() {
    let fleet = healthy(3);
    let place = Place::new();
    let all = inventory(&fleet);
    place.write("hosts.yaml", &all);
    let arguments = ["sweep", "-i", "hosts.yaml", "--every", "1s", "--run-dir", "runs", "--no-progress"];
    let mut going = Going::start(place.seaworthy(&arguments));
    assert!(going.tells("rounds are kept in").contains("the newest 100, none older than 7d (--keep-runs, --keep-for)"));
    going.shows("round 1");
    going.shows("VERDICT");
    going.shows("3 nodes in");
    going.shows("round 2: unchanged, 3 nodes in");

    place.write("hosts.yaml", &without(&all, "node003"));
    going.shows(": 1 node has changed");
    assert_eq!(going.shows("node003"), "node003  ready, ok → not looked at");
    going.shows("2 nodes in");

    // An inventory that became wrong costs its rounds, and is told in each.
    place.write("hosts.yaml", "all: [\n");
    for _ in 0..2 {
        let told = going.tells("failed:");
        assert!(told.starts_with("warning: round") && told.contains("hosts.yaml"), "{told}");
    }
    place.write("hosts.yaml", &all);
    going.shows(": 1 node has changed");
    assert_eq!(going.shows("node003"), "node003  not looked at → ready, ok");

    // A disk that takes nothing costs the kept run only.
    fs::rename(place.path("runs"), place.path("elsewhere")).unwrap();
    fs::write(place.path("runs"), "").unwrap();
    assert!(going.tells("cannot write").starts_with("warning: "));
    going.shows("unchanged, 3 nodes in");
    fs::remove_file(place.path("runs")).unwrap();
    fs::rename(place.path("elsewhere"), place.path("runs")).unwrap();
    let before = kept(&place.path("runs")).len();
    going.shows("unchanged, 3 nodes in");
    going.shows("unchanged, 3 nodes in");
    going.shows("unchanged, 3 nodes in");
    assert!(kept(&place.path("runs")).len() > before);

    going.interrupt();
    let (code, said) = going.end();
    // Within a round it is 130, between two the last one's.
    assert!(matches!(code, Some(0 | 130)), "{code:?} {said:#?}");
    let run = read_file(&place.path("runs").join(&kept(&place.path("runs"))[0])).unwrap();
    assert_eq!((run.every_ms, run.hosts.len()), (Some(1000), 3));
}

#[test]
fn documents_come_a_line_each_and_old_rounds_go() {
    let fleet = fleet([(State::Worker, Behaviour::Answer), (State::ContainerdStopped, Behaviour::Answer)]);
    let place = Place::new();
    place.write("hosts.yaml", &inventory(&fleet));
    let single = place.run(&["sweep", "-i", "hosts.yaml", "--run-dir", "runs", "-o", "name"]);
    assert_eq!(single.status.code(), Some(2), "{}", text(&single));
    let own = kept(&place.path("runs"));

    place.write("seaworthy.yaml", "keep_runs: 2\nkeep_for: 1d\n");
    let output =
        place.run(&["sweep", "-i", "hosts.yaml", "--run-dir", "runs", "-o", "json", "--every", "1s", "--rounds", "3"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    let shown = String::from_utf8(output.stdout.clone()).unwrap();
    let documents: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<&str> = documents.iter().map(|document| document["run"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 3);
    assert!(documents.iter().all(|document| document["nodes"].as_array().unwrap().len() == 2));
    // Of three rounds two are left; what somebody swept by hand is another kind.
    assert_eq!(kept(&place.path("runs")), [&*own[0], ids[1], ids[2]]);

    // By hand the same bound holds among those made by hand, and only because it was asked for.
    for left in [2, 2] {
        let output = place.run(&["sweep", "-i", "hosts.yaml", "--run-dir", "runs", "-o", "name", "-q"]);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert_eq!(kept(&place.path("runs")).len(), 2 + left);
    }
    assert!(!place.path("runs").join(&own[0]).exists());
    let output = place.run(&["sweep", "-i", "hosts.yaml", "--run-dir", "runs", "-o", "name", "--keep-runs", "1"]);
    assert!(text(&output).contains("deleted 2 older runs (--keep-runs, --keep-for)"), "{}", text(&output));
}

#[test]
fn a_reader_that_goes_ends_the_wait_for_the_next_round() {
    let fleet = healthy(1);
    let place = Place::new();
    place.write("hosts.yaml", &inventory(&fleet));
    let arguments = ["sweep", "-i", "hosts.yaml", "--no-save", "-o", "jsonl", "--every", "10m", "--rounds", "2"];
    let mut child = place.seaworthy(&arguments).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    for _ in 0..2 {
        assert!(out.read_line(&mut String::new()).unwrap() > 0);
    }
    drop(out);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_mins(9));
}

#[test]
fn an_interrupt_between_rounds_ends_with_the_last_rounds_code() {
    let fleet = fleet([(State::ContainerdStopped, Behaviour::Answer), (State::Worker, Behaviour::Unreachable)]);
    let place = Place::new();
    place.write("hosts.yaml", &inventory(&fleet));
    for (arguments, expected) in [(&[][..], 6), (&["--exit-zero"], 0)] {
        let all = ["sweep", "-i", "hosts.yaml", "--no-save", "--no-progress", "--every", "10m"];
        let mut going = Going::start(place.seaworthy(&[&all[..], arguments].concat()));
        // The last line of a table with failures.
        going.shows("retry with");
        going.interrupt();
        let (code, said) = going.end();
        assert_eq!(code, Some(expected), "{said:#?}");
    }
}

#[test]
fn an_interrupt_within_a_round_prints_what_arrived() {
    let fleet = fleet([(State::Worker, Behaviour::Answer), (State::Worker, Behaviour::HangInProbe)]);
    let place = Place::new();
    place.write("hosts.yaml", &inventory(&fleet));
    let all = ["sweep", "-i", "hosts.yaml", "--no-progress", "--run-dir", "runs", "--every", "10m", "--timeout", "10m"];
    let mut going = Going::start(place.seaworthy(&all));
    let deadline = Instant::now() + PATIENCE;
    let arrived = || {
        let run = fs::read_dir(place.path("runs")).ok()?.next()?.ok()?.path();
        run.join("hosts/node001.json").exists().then_some(())
    };
    while arrived().is_none() {
        assert!(Instant::now() < deadline, "the healthy node's record never came");
        thread::yield_now();
    }
    going.interrupt();
    going.tells("interrupted: starting no more hosts");
    let (code, said) = going.end();
    assert_eq!(code, Some(130), "{said:#?}");
    assert!(said.iter().any(|line| line.starts_with("2 nodes in")), "{said:#?}");
}

#[test]
fn what_cannot_be_done_again_and_again_is_refused() {
    let place = Place::new();
    place.write("hosts.yaml", "all: { hosts: { a: { ansible_connection: local } } }\n");
    for (arguments, expected) in [
        (&["--every", "500ms"][..], "rounds begin at least 1s apart"),
        (&["--every", "soon"], "is not a duration"),
        (&["--every", "30s", "--from", "last"], "cannot be used with"),
        (&["--every", "30s", "--rerun", "failed"], "cannot be used with"),
        (&["--every", "30s", "--rounds", "0"], "0"),
        (&["--rounds", "3"], "--every"),
        (&["--keep-runs", "0"], "0"),
        (&["--keep-for", "long"], "is not a duration"),
        (&["--every", "30s", "-o", "html"], "seaworthy sweep --from last -o html"),
        (&["--every", "30s", "-o", "prometheus"], "take table, wide, json or jsonl"),
        (&["--every", "30s", "-o", "yaml"], "-o yaml is for one sweep"),
    ] {
        let output = place.run(&[&["sweep", "--no-save"], arguments].concat());
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {}", text(&output));
        assert!(String::from_utf8_lossy(&output.stderr).contains(expected), "{arguments:?}: {}", text(&output));
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    let once = fs::File::open(place.path("hosts.yaml")).unwrap();
    let mut command = place.seaworthy(&["sweep", "--no-save", "--every", "30s", "-i", "-"]);
    let output = command.stdin(once).output().unwrap();
    assert_eq!(output.status.code(), Some(64), "{}", text(&output));
    assert!(text(&output).contains("can be read only once; put it in a file"), "{}", text(&output));
    // A wrong inventory ends the first round as it ends a single sweep.
    place.write("hosts.yaml", "all: [\n");
    let output = place.run(&["sweep", "-i", "hosts.yaml", "--every", "1s"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
}
