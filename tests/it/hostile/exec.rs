//! What a node's command prints under `seaworthy exec`: it is shown and does nothing, speaks for nobody else, and the others' outputs
//! are there.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use russh::Sig;
use seaworthy::demo::Fleet;
use serde_json::Value;

use super::answer::plan;
use super::clean::{MARKUP, SHELL, assert_plain};
use super::driver::{NAME, Ran, behaviour, key_of, line_of, mib, run};
use crate::ssh::server::{self, Exec};
use crate::ssh::steps::{ENDLESS, Step};

/// What one node's command prints.
#[derive(Clone, Copy)]
pub(super) struct Case {
    pub name: &'static str,
    pub does: &'static str,
    steps: fn() -> Vec<Step>,
    /// The kind of its failure; a command that ended has none.
    pub failure: Option<&'static str>,
    /// Is in the node's JSON.
    pub words: &'static str,
    /// The program's high-water mark, in MiB.
    pub memory: u64,
}

/// What does something to a terminal or a reader: title, clipboard, cursor, screen, hyperlink, C1 controls, NUL, direction, no width.
const ACTS: &str = "\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x07\x1b[1;1H\x1b[2J\x1b]8;;http://evil.invalid\x07here\x1b]8;;\x07\u{9b}2J\0\u{202e}\u{200b}\x7f over\rwritten";
/// Where a node may make the program keep as much as its limits let it: 16 MiB, what is printed of them, and the rest.
const MUCH: u64 = 72;
const LITTLE: u64 = 48;

fn ended(mut steps: Vec<Step>) -> Vec<Step> {
    steps.extend([Step::Status(0), Step::Eof, Step::Close]);
    steps
}

fn lines(of: &[u8]) -> Vec<u8> {
    let line = [of.repeat(63).as_slice(), b"\n"].concat();
    line.repeat((32 << 10) / line.len())
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "acts-on-a-terminal",
            does: "prints terminal escapes, controls and marks of direction, on both streams",
            steps: || ended(vec![Step::Out(ACTS.into()), Step::Err(ACTS.into())]),
            failure: None,
            words: "owned",
            memory: LITTLE,
        },
        Case {
            name: "markup-and-shell",
            does: "prints markup and what a shell would act on",
            steps: || ended(vec![Step::Out([MARKUP, "\n", SHELL].concat().into())]),
            failure: None,
            words: "touch /tmp/owned",
            memory: LITTLE,
        },
        Case {
            name: "not-utf8",
            does: "prints bytes that are not UTF-8",
            steps: || ended(vec![Step::Out(lines(b"\xff\xc0\x80"))]),
            failure: None,
            words: "\u{fffd}",
            memory: LITTLE,
        },
        Case {
            name: "another-name",
            does: "prints the heading of another node and an output below it",
            steps: || ended(vec![Step::Out(b"x\n\nmasternode  exit 1\n  broken\n".to_vec())]),
            failure: None,
            words: "broken",
            memory: LITTLE,
        },
        Case {
            name: "long-line",
            does: "prints a line of 16 MiB",
            steps: || ended(vec![Step::Repeat(vec![b'y'; 32 << 10], 512)]),
            failure: None,
            words: "yyyy",
            memory: MUCH,
        },
        Case {
            name: "endless-line",
            does: "prints control characters without end, and not one line break",
            steps: || vec![Step::Repeat(vec![0x1b; 32 << 10], ENDLESS)],
            failure: Some("output-limit"),
            words: "more than 16777216 bytes",
            memory: MUCH,
        },
        Case {
            name: "endless-errors",
            does: "prints on standard error without end",
            steps: || vec![Step::ErrRepeat(lines(b"e"), ENDLESS)],
            failure: Some("exec-timeout"),
            words: "within 6s",
            memory: LITTLE,
        },
        Case {
            name: "slow",
            does: "prints one byte a second",
            steps: || vec![Step::Drip(vec![b'y'; 1000], Duration::from_secs(1))],
            failure: Some("exec-timeout"),
            words: "within 6s",
            memory: LITTLE,
        },
        Case {
            name: "no-exit-status",
            does: "ends without saying how",
            steps: || vec![Step::Out(b"done\n".to_vec()), Step::Eof, Step::Close],
            failure: Some("connection-lost"),
            words: "done",
            memory: LITTLE,
        },
        Case {
            name: "killed",
            does: "is killed by a signal",
            steps: || vec![Step::Out(b"half\n".to_vec()), Step::Killed(Sig::KILL), Step::Eof, Step::Close],
            failure: Some("connection-lost"),
            words: "killed by signal KILL",
            memory: LITTLE,
        },
    ]
}

/// Runs the command on the fleet, with a third node that does this.
async fn exec(fleet: &Fleet, case: &Case, format: &str) -> Ran {
    let server =
        server::start(server::Behaviour { exec: Exec::Steps((case.steps)()), ..behaviour(key_of(fleet)) }).await;
    run(fleet, &line_of(NAME, server.port, ""), &["exec", "-o", format], &["--", "echo", "hello"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_command_prints_does_nothing() {
    let fleet = Arc::new(Fleet::start(plan()).unwrap());
    let all = cases().into_iter().flat_map(|case| ["folded", "json", "jsonl"].map(|format| (case, format)));
    // Most of the slow ones only wait. A task each, so that looking at what one printed keeps nobody waiting.
    let runs = stream::iter(all).map(|(case, format)| {
        let fleet = Arc::clone(&fleet);
        tokio::spawn(async move {
            let ran = exec(&fleet, &case, format).await;
            let judging = tokio::task::spawn_blocking(move || judge(&case, format, ran));
            judging.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        })
    });
    let failed = runs.buffer_unordered(4).filter(|done| std::future::ready(done.is_err())).count().await;
    assert_eq!(failed, 0, "what is wrong is printed above");
}

fn judge(case: &Case, format: &str, ran: Ran) {
    println!("{:<20} {format:<6} {:>5.1} s {:>6.1} MiB", case.name, ran.took.as_secs_f64(), mib(ran.peak));
    assert!(ran.peak <= case.memory << 10, "{}, {format}: {} KiB", case.name, ran.peak);
    let text = String::from_utf8(ran.stdout).unwrap();
    assert_plain(case.name, format, &text);
    assert_plain(case.name, "standard error", &ran.stderr);
    match format {
        "folded" => assert_headings(case, &text),
        "json" => assert_document(case, &text, ran.code),
        _ => assert_eq!(text.lines().count(), 3, "{}", case.name),
    }
}

/// Two groups: the two that are well, and the third.
fn assert_headings(case: &Case, text: &str) {
    let headings: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with("  ")).collect();
    assert_eq!(headings.len(), 2, "{}: {headings:?}", case.name);
    assert!(headings[0].starts_with("masternode,node002 (2)"), "{}: {headings:?}", case.name);
    assert!(headings[1].starts_with("node003"), "{}: {headings:?}", case.name);
    assert!(text.contains("(2)\n  hello\n"), "{}", case.name);
}

fn assert_document(case: &Case, text: &str, code: Option<i32>) {
    let document: Value = serde_json::from_str(text).unwrap();
    let nodes = document["nodes"].as_array().unwrap();
    let row = |name: &str| nodes.iter().find(|node| node["name"] == name).unwrap();
    for name in ["masternode", "node002"] {
        assert_eq!(
            (&row(name)["exit"], &row(name)["stdout"]),
            (&Value::from(0), &Value::from("hello\n")),
            "{}",
            case.name
        );
    }
    let node = row("node003");
    assert_eq!(node["failure"]["kind"].as_str(), case.failure, "{}: {}", case.name, node["failure"]);
    assert!(node.to_string().contains(case.words), "{}: {}", case.name, node["failure"]);
    assert_eq!(code, Some(if case.failure.is_some() { 4 } else { 0 }), "{}", case.name);
}
