//! What this machine lacks, and how the program is told to end.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use seaworthy::demo::{Behaviour, Fleet, Plan, State};
use serde_json::Value;

use super::stage::{Stage, host, is_root, until};
use crate::run::place::{Place, text};

/// Starts a program whose `runs` is a file system of so many KiB with only so many of them free.
fn small_disk(size: &str, left: &str) -> [String; 5] {
    let fill = "mkdir -p runs && mount -t tmpfs -o size=${0%/*}k tmpfs runs && \
                head -c $(( (${0%/*} - ${0#*/}) * 1024 )) /dev/zero >runs/.full && exec \"$@\"";
    ["unshare".into(), "-m".into(), "sh".into(), "-c".into(), fill.replace("${0%/*}", size).replace("${0#*/}", left)]
}

/// A full disk here, from the start or in the middle of the run: the result is printed whole, one warning says that it was not kept, and the exit code is that of the nodes.
#[test]
fn the_disk_is_full() {
    if !is_root() {
        return;
    }
    let stage = Stage::new();
    let port = stage.third().port();
    let lines: Vec<String> = (0..10).map(|index| host(&format!("m{index}"), port, "")).collect();
    for (left, words) in [("0", "cannot write"), ("64", "records were not kept")] {
        let under = small_disk("256", left);
        let mut under: Vec<&str> = under.iter().map(String::as_str).collect();
        under.push("-");
        let swept = stage.sweep(&under, &lines.concat(), &[]);
        assert_eq!(swept.document["nodes"].as_array().unwrap().len(), 12);
        for index in 0..10 {
            swept.assert_read(&format!("m{index}"));
        }
        let told: Vec<&str> = swept.stderr.lines().filter(|line| line.contains("No space left")).collect();
        assert!(told.len() == 1 && told[0].contains(words), "{left}: {}", swept.stderr);
        assert_eq!(swept.code, Some(0), "{left}: {}", swept.stderr);
    }
}

/// A disk that takes no result (`> /dev/full`): exit code 1 and why; the run is kept all the same.
#[test]
fn the_result_cannot_be_written() {
    let stage = Stage::new();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = stage.command(&[], "", &[]).stdout(full).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("cannot write to standard output") && told.contains("No space left"), "{told}");
    assert_eq!(std::fs::read_dir(stage.place.path().join("runs")).unwrap().count(), 1);
}

fn fleet(nodes: impl IntoIterator<Item = (State, Behaviour)>) -> (Place, Fleet) {
    let (place, fleet) = (Place::new(), Fleet::start(Plan::of(7, nodes)).unwrap());
    fleet.write_inventory(&place.path().join("fleet.yaml")).unwrap();
    (place, fleet)
}

/// `ulimit -n 64` and 200 nodes: as many at once as there is room for, and all are read.
#[test]
fn open_files_are_few() {
    let (place, _fleet) = fleet(std::iter::repeat_n((State::Worker, Behaviour::Answer), 200));
    let under = ["sh", "-c", "ulimit -n 64 && exec \"$@\"", "-"];
    let output = place.command(&under, &["sweep", "-i", "fleet.yaml", "-o", "json"]).output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&output)));
    assert_eq!(document["run"]["counts"]["ok"], 200, "{}", document["run"]);
    assert_eq!(output.status.code(), Some(0));
}

/// More at once than there are open files (`ulimit -n 64`, `-f 100`): the hosts that found none say `local` and what to change (`ulimit -n`, `-f`), the others are read; exit code 0 or 4.
#[test]
fn open_files_run_out() {
    let (place, _fleet) = fleet(std::iter::repeat_n((State::Worker, Behaviour::Answer), 100));
    let under = ["sh", "-c", "ulimit -n 64 && exec \"$@\"", "-"];
    let output = place.command(&under, &["sweep", "-i", "fleet.yaml", "-o", "json", "-f", "100"]).output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&output)));
    let nodes = document["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 100);
    let failed: Vec<&Value> = nodes.iter().map(|node| &node["failure"]).filter(|failure| !failure.is_null()).collect();
    println!("{} failed", failed.len());
    for failure in &failed {
        assert_eq!(failure["kind"], "local", "{failure}");
        assert!(failure["next"].as_str().unwrap().contains("ulimit -n"), "{failure}");
    }
    assert_eq!(output.status.code(), Some(if failed.is_empty() { 0 } else { 4 }), "{}", text(&output));
}

/// A limit of memory (`ulimit -v`) from far too low to enough: the program finishes with every row, or it ends with words on standard error or by a signal, with no exit code of a result and no whole document.
#[test]
fn memory_is_limited() {
    let (place, _fleet) = fleet(std::iter::repeat_n((State::Worker, Behaviour::Answer), 20));
    let mut finished = Vec::new();
    for kib in [60_000, 120_000, 160_000, 200_000, 260_000, 320_000, 4_000_000] {
        let limited = format!("ulimit -v {kib} && exec \"$@\"");
        let under = ["sh", "-c", &limited, "-"];
        let output = place.command(&under, &["sweep", "-i", "fleet.yaml", "-o", "json", "--no-save"]).output().unwrap();
        let whole = serde_json::from_slice::<Value>(&output.stdout).ok();
        let ended = output.status.code().is_some_and(|code| [0, 2, 4, 6].contains(&code));
        assert_eq!(whole.is_some(), ended, "{kib}: {}", text(&output));
        match whole {
            Some(document) => assert_eq!(document["nodes"].as_array().unwrap().len(), 20, "{kib}"),
            // Before its first line it cannot say anything: the system ends it.
            None => assert!(!output.stderr.is_empty() || output.status.code().is_none(), "{kib}: {}", text(&output)),
        }
        finished.push(ended);
    }
    assert_eq!((finished.first(), finished.last()), (Some(&false), Some(&true)), "{finished:?}");
}

/// A good node and one that hangs, and the program once the good one is read.
fn hanging(place: &Place, under: &[&str], timeout: &str) -> Child {
    let arguments = ["sweep", "-i", "fleet.yaml", "-o", "json", "--run-dir", "runs", "--timeout", timeout];
    let mut command = place.command(under, &arguments);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let arrived = || {
        let run = std::fs::read_dir(place.path().join("runs")).ok()?.next()?.ok()?.path();
        run.join("hosts/node001.json").exists().then_some(())
    };
    until("the good node's record", || arrived().is_some());
    child
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

const HANGS: [(State, Behaviour); 2] = [(State::Worker, Behaviour::Answer), (State::Worker, Behaviour::HangInProbe)];

/// SIGTERM, and SIGHUP as it comes when a terminal is closed (twice): what was read is printed and kept, the rest says `interrupted`; exit code 130.
#[test]
fn told_to_end() {
    for signals in [&[Signal::TERM][..], &[Signal::HUP, Signal::HUP]] {
        let (place, _fleet) = fleet(HANGS);
        let child = hanging(&place, &[], "10m");
        for signal in signals {
            send(&child, *signal);
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{signals:?}: {}", text(&output));
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        let verdicts = [0, 1].map(|index| {
            let named = format!("node00{}", index + 1);
            document["nodes"].as_array().unwrap().iter().find(|node| node["name"] == *named).unwrap()
        });
        assert_eq!((&verdicts[0]["verdict"], &verdicts[1]["failure"]["kind"]), (&"pass".into(), &"interrupted".into()));
        let again = place.run(&["sweep", "--from", "last", "--run-dir", "runs", "-o", "json"]);
        assert_eq!(again.stdout, output.stdout, "{signals:?}: {}", text(&again));
    }
}

/// SIGHUP under `nohup`: the run goes on to its end.
#[test]
fn a_hangup_that_is_ignored() {
    let (place, _fleet) = fleet(HANGS);
    let child = hanging(&place, &["sh", "-c", "trap '' HUP; exec \"$@\"", "-"], "8s");
    send(&child, Signal::HUP);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"exec-timeout\""), "{}", text(&output));
}

/// The reader of the result goes away (`\| head -1`): no message and no panic; the run is kept; the exit code is that of the nodes.
#[test]
fn the_reader_goes_away() {
    let stage = Stage::new();
    let begun = Instant::now();
    let mut child = stage.command(&[], "", &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::with_capacity(1, child.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    drop(out);
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(!told.contains("panicked") && !told.to_lowercase().contains("pipe"), "{told}");
    assert!(told.contains("kept in"), "{told}");
    assert!(begun.elapsed() < Duration::from_mins(1));
}
