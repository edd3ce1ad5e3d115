//! One sweep of many: its line, and what has changed since the one before.

use seaworthy::failure::{Failure, FailureKind};
use seaworthy::record::Record;
use seaworthy::report::model::Report;
use seaworthy::report::round::{self, Round};
use seaworthy::report::style::Style;

use super::fixture::PLAIN;
use crate::facts::{case, report};

fn line(before: Option<&Report>, after: &Report) -> (bool, String) {
    let round = Round::of(before, after);
    let mut out = Vec::new();
    round::write(&round, 7, after, &Style { width: 100, ..PLAIN }, &mut out).unwrap();
    (round.is_news(), String::from_utf8(out).unwrap())
}

/// The healthy cluster with a worker that cannot be read.
fn lost(kind: FailureKind, words: &str) -> Vec<Record> {
    let mut records = case("healthy");
    let homelab = records.iter_mut().find(|record| record.name == "homelab").unwrap();
    (homelab.failure, homelab.probe) = (Some(Failure::new(kind, words, "look")), None);
    records
}

#[test]
fn nothing_changed_is_one_line() {
    let healthy = report(&case("healthy"));
    assert_eq!(line(None, &healthy), (true, "1970-01-01T00:00:00Z  round 7\n".to_owned()));
    let unchanged = "1970-01-01T00:00:00Z  round 7: unchanged, 2 nodes in 0.0ms: 2 ok\n";
    assert_eq!(line(Some(&healthy), &healthy), (false, unchanged.to_owned()));
    // The words of a reason may hold a figure that moves.
    let [a, b] = ["no answer in 3.1s", "no answer in 3.2s"].map(|words| report(&lost(FailureKind::TcpTimeout, words)));
    assert!(!line(Some(&a), &b).0);
}

#[test]
fn what_came_went_and_turned_red_is_named() {
    let healthy = report(&case("healthy"));
    let red = report(&case("no-conflist-joined"));
    let (news, text) = line(Some(&healthy), &red);
    assert!(news && text.starts_with("\n1970-01-01T00:00:00Z  round 7: "), "{text}");
    assert!(text.contains("homelab  ready, ok → ") && text.contains("(cni/config-missing)"), "{text}");
    assert!(line(Some(&red), &healthy).1.contains("gone"));

    let [refused, changed] = [
        report(&lost(FailureKind::Refused, "port 22 refused")),
        report(&lost(FailureKind::HostKeyChanged, "another key")),
    ];
    // Both are a node that was not read; why is what matters.
    let (news, text) = line(Some(&refused), &changed);
    assert!(news && text.contains("round 7: 1 node has changed\nhomelab  "), "{text}");

    let alone = report(&case("healthy").into_iter().filter(|record| record.name == "masternode").collect::<Vec<_>>());
    assert!(line(Some(&healthy), &alone).1.contains("homelab  ready, ok → not looked at"));
    assert!(line(Some(&alone), &healthy).1.contains("homelab  not looked at → ready, ok"));
}
