//! Eight workers, healed of what stood in their way, join in batches; one of them fails in the middle, and the rest is left alone
//! until it is put right. Then nothing is left to do.

use std::sync::LazyLock;
use std::time::Duration;

use super::{Changed, EIGHT, Legal, broken, change, fleet, go_on, legal, refused, start, take};
use crate::harness::{Lab, busy};

/// The runs of the eight, in this order.
pub(super) struct Story {
    /// The token of w5 is gone when it is handed over.
    cut_short: Changed,
    rest: Changed,
    again: Changed,
}

fn join_all(lab: &Lab, more: &[&str]) -> Changed {
    let words: Vec<&str> = ["join"].into_iter().chain(EIGHT).chain(more.iter().copied()).collect();
    change(lab, &words)
}

/// Told once, after everything that stood in the way was named and healed.
pub(super) fn story() -> Option<&'static Story> {
    static STORY: LazyLock<Story> = LazyLock::new(|| {
        let lab = fleet().unwrap();
        refused::all(lab);
        let fault = broken(lab, "w5", "token-expired");
        let cut_short = join_all(lab, &["--batches", "2"]);
        drop(fault);
        Story { cut_short, rest: join_all(lab, &[]), again: join_all(lab, &["--check"]) }
    });
    fleet().map(|_| &*STORY)
}

/// The nodes of each batch, as they were begun.
fn batches(changed: &Changed) -> Vec<Vec<String>> {
    let journal = changed.run.journal();
    let batches = journal.iter().filter(|line| line["event"] == "batch");
    batches.map(|line| line["nodes"].as_array().unwrap().iter().map(crate::harness::text).collect()).collect()
}

#[test]
fn a_canary_goes_first_and_a_failure_stops_the_batches() {
    let Some(Story { cut_short, .. }) = story() else { return };
    assert_eq!(batches(cut_short), [vec!["w1"], vec!["w2", "w3"], vec!["w4", "w5"]], "{}", cut_short.told());
    // w4 had begun with w5, and ends what it began.
    for node in ["w1", "w2", "w3", "w4"] {
        assert_eq!(cut_short.outcome(node), "done", "{node}\n{}", cut_short.told());
    }
    assert_eq!(cut_short.outcome("w5"), "failed", "{}", cut_short.told());
    for node in ["w6", "w7", "w8"] {
        assert_eq!(cut_short.outcome(node), "untouched", "{node}\n{}", cut_short.told());
    }
    assert_eq!(cut_short.code.unwrap() & 8, 8, "the failure budget is spent\n{}", cut_short.told());
}

#[test]
fn a_token_that_is_gone_when_it_is_handed_over_is_named() {
    let Some(Story { cut_short, .. }) = story() else { return };
    let ended = cut_short.document["result"]["nodes"].as_array().unwrap();
    let own = ended.iter().find(|entry| entry["node"] == "w5").unwrap();
    assert!(own["why"].as_str().unwrap().contains("token"), "{own:#}");
    assert_ne!(own["next"], "", "{own:#}");
}

#[test]
fn what_was_healed_joins_and_what_has_joined_is_left_alone() {
    let Some(Story { cut_short, rest, .. }) = story() else { return };
    assert_eq!(rest.code, Some(0), "{}", rest.told());
    for node in EIGHT {
        if cut_short.outcome(node) == "done" {
            assert_eq!(rest.decision(node)["decision"], "nothing", "{node}\n{}", rest.told());
        } else {
            assert_eq!(rest.outcome(node), "done", "{node}\n{}", rest.told());
        }
        let lab = fleet().unwrap();
        assert_eq!(legal(lab, node, || rest.told()), Legal::Joined);
    }
}

#[test]
fn a_second_join_is_empty() {
    let Some(Story { again, .. }) = story() else { return };
    assert_eq!(again.code, Some(0), "{}", again.told());
    for node in EIGHT {
        assert_eq!(again.decision(node)["decision"], "nothing", "{node}\n{}", again.told());
    }
}

#[test]
fn a_request_that_is_denied_is_told_at_once_and_put_back() {
    let Some(lab) = fleet() else { return };
    let taken = take(lab);
    let fault = broken(lab, taken.node, "csr-denied");
    let _busy = busy();
    let mut run = start(lab, &["join", taken.node]);
    let begun = run.comes_to(|run| run.journal().iter().any(|line| line["event"] == "token-made"));
    assert!(begun, "{}", run.said());
    let since = std::time::Instant::now();
    let failed = run.end();
    let took = since.elapsed();
    drop(fault);
    assert_eq!(failed.outcome(taken.node), "failed", "{}", failed.told());
    // kubeadm itself waits for five minutes.
    assert!(took < Duration::from_mins(2), "it took {took:?}\n{}", failed.told());
    assert_eq!(legal(lab, taken.node, || failed.told()), Legal::Prepared);
}

#[test]
fn an_undone_join_leaves_a_prepared_node() {
    let Some(lab) = fleet() else { return };
    let taken = take(lab);
    let joined = change(lab, &["join", taken.node]);
    assert_eq!(joined.code, Some(0), "{}", joined.told());
    let undone = go_on(lab, &joined.run, &["undo"]);
    assert_eq!(undone.code, Some(0), "{}", undone.told());
    assert_eq!(legal(lab, taken.node, || undone.told()), Legal::Prepared);
}
