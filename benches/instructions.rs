//! What `benches/count` counts the instructions of: a fleet's records to facts, and facts to findings, on one thread.
//!
//! `instructions NODES STAGE` does everything up to the stage, so that two stages' counts differ by one stage's work.

mod fleet;

use std::hint::black_box;

use seaworthy::checks::{Checks, Subject};
use seaworthy::facts::cluster::Member;
use seaworthy::facts::{self, NodeFacts};
use seaworthy::verdict::Phase;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let nodes = arguments.next().and_then(|nodes| nodes.parse().ok()).unwrap_or(1);
    let stage = arguments.next().unwrap_or_default();

    let records = fleet::records(nodes);
    let checks = Checks::built_in().expect("the program's own checks");
    let member = Member::default();
    if stage == "start" {
        return;
    }
    let facts: Vec<NodeFacts> = records.iter().map(facts::parse).collect();
    if stage == "parse" {
        return;
    }
    for (record, facts) in records.iter().zip(&facts) {
        let roles: Vec<_> = record.role.into_iter().collect();
        let subject = Subject { facts, phase: Some(Phase::Ready), roles: &roles, member: &member, failure: None };
        black_box(checks.evaluate(&subject));
    }
}
