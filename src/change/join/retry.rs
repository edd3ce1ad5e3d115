//! Whether a failed join is tried again: only for what passes by itself, never when nothing changed. Pure.

use std::time::Duration;

use crate::diagnose::join_log::{Attempt, Outcome};

/// Classes of `playbooks/join-phases.yaml` that can pass without anybody doing anything: the network and the API server, and a
/// signature that the cluster has not yet made. Everything else is there again the next time.
const TRANSIENT: [&str; 9] = [
    "api-refused",
    "api-no-answer",
    "api-no-route",
    "api-name",
    "api-gave-up",
    "second-endpoint",
    "second-endpoint-silent",
    "api-lost",
    "token",
];

/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_mins(5);

/// What one attempt ended with, as far as it matters for the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The class of its failure.
    pub class: String,
    /// The last line that shows it, without what differs from one run to the next.
    pub line: String,
}

impl Ended {
    pub fn new(class: &str, line: &str) -> Self {
        Self { class: class.to_owned(), line: without_numbers(line) }
    }

    /// Of a log's attempt that did not succeed; `None` when nobody knows what it failed of.
    pub fn of(attempt: &Attempt) -> Option<Self> {
        if attempt.outcome == Outcome::Joined {
            return None;
        }
        let class = attempt.outcome.class()?;
        Some(Self::new(&class.id, attempt.evidence.last().map_or("", |line| line.text.as_str())))
    }
}

/// Whether there is another attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// After this pause.
    Again(Duration),
    /// Why not, as a fragment.
    Enough(String),
}

/// Decides after attempt number `done`, counted from 1, of at most `attempts`.
pub fn decide(ended: &Ended, before: Option<&Ended>, done: u32, attempts: u32, backoff: Duration) -> Decision {
    if !TRANSIENT.contains(&ended.class.as_str()) {
        return Decision::Enough("it does not pass by itself".to_owned());
    }
    if before == Some(ended) {
        return Decision::Enough("the attempt before failed in the same way, so nothing changed in between".to_owned());
    }
    if done >= attempts {
        let times = if attempts == 1 { "once".to_owned() } else { format!("{attempts} times") };
        return Decision::Enough(format!("it was to be tried {times}"));
    }
    let doublings = done.saturating_sub(1).min(16);
    Decision::Again(backoff.saturating_mul(1 << doublings).min(MAX_PAUSE))
}

/// Numbers, times and identifiers differ in every run: each run of digits is one `#`, and so is a quoted word of six letters,
/// because every attempt has a token of its own.
fn without_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, piece) in text.split('"').enumerate() {
        if index > 0 {
            out.push('"');
        }
        if index % 2 == 1 && super::token::is_id(piece) {
            out.push('#');
            continue;
        }
        for char in piece.chars() {
            match char {
                '0'..='9' if out.ends_with('#') => {}
                '0'..='9' => out.push('#'),
                _ => out.push(char),
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::join_log::classify;

    const STEP: Duration = Duration::from_secs(10);

    fn ended(class: &str) -> Ended {
        Ended::new(class, "dial tcp 192.0.2.1:6443: i/o timeout")
    }

    #[test]
    fn only_what_passes_by_itself_is_tried_again_and_later_each_time() {
        for class in [
            "preflight-checks",
            "ca-pin",
            "never-bootstrapped",
            "kubelet-down",
            "node-exists",
            "cluster-info-forbidden",
        ] {
            assert!(matches!(decide(&ended(class), None, 1, 5, STEP), Decision::Enough(_)), "{class}");
        }
        let pauses: Vec<Decision> = (1..4).map(|done| decide(&ended("api-no-answer"), None, done, 9, STEP)).collect();
        assert_eq!(pauses, [10, 20, 40].map(|seconds| Decision::Again(Duration::from_secs(seconds))));
        assert_eq!(decide(&ended("api-refused"), None, 30, 99, STEP), Decision::Again(MAX_PAUSE));
        assert!(
            matches!(decide(&ended("api-refused"), None, 2, 2, STEP), Decision::Enough(why) if why.contains("2 times"))
        );
    }

    #[test]
    fn unchanged_evidence_ends_it() {
        let again = |a: &Ended, b: &Ended| matches!(decide(b, Some(a), 2, 9, STEP), Decision::Again(_));
        let first = Ended::new("token", "0910 14:17:04 could not find a JWS signature for token ID \"abcdef\"");
        let later = Ended::new("token", "0910 14:19:44 could not find a JWS signature for token ID \"ghijkl\"");
        assert!(!again(&first, &later), "times and ids are no change");
        assert!(again(&ended("api-refused"), &ended("api-no-answer")));
        assert!(again(&Ended::new("api-lost", "x"), &Ended::new("api-lost", "y")));
    }

    #[test]
    fn every_transient_class_is_in_the_table() {
        let table = include_str!("../../../playbooks/join-phases.yaml");
        for class in TRANSIENT {
            assert!(table.contains(&format!("- id: {class}\n")), "{class}");
        }
    }

    #[test]
    fn an_attempt_of_a_log_is_told_by_its_class_and_last_line() {
        let log = classify(
            b"[preflight] Running pre-flight checks\nerror execution phase preflight: couldn't validate the identity of the API Server: \
              Get \"https://192.0.2.1:6443/\": dial tcp 192.0.2.1:6443: connect: connection refused\n",
        );
        let ended = Ended::of(&log.attempts[0]).unwrap();
        assert_eq!(ended.class, "api-refused");
        assert!(ended.line.contains("dial tcp #.#.#.#:#"), "{}", ended.line);
        let joined = classify(b"[preflight] Running pre-flight checks\nThis node has joined the cluster:\n");
        assert_eq!(Ended::of(&joined.attempts[0]), None);
    }
}
