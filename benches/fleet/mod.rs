//! What the benchmarks work on: the demo's fleet, read as a sweep reads it, without the network.

use std::time::{SystemTime, UNIX_EPOCH};

use seaworthy::demo;
use seaworthy::probe::{self, Limits, Nonce};
use seaworthy::record::{ClockSample, Record};

const NONCE: &str = "0123456789abcdef0123456789abcdef";

/// The fleet of `seaworthy demo`: mostly healthy workers of three kinds, a control plane that lists them all, and some of
/// everything that goes wrong. About 60 KiB of text each.
const SEED: u64 = 20_250_910;

/// One record for each node of a fleet. Nodes that would not answer have one too: what they would have said.
pub(crate) fn records(nodes: usize) -> Vec<Record> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let started = i64::try_from(now).unwrap_or(i64::MAX) - 60;
    let plan = demo::plan(nodes, SEED).expect("a size that the demo takes");
    let nonce = Nonce::from_hex(NONCE).expect("32 hex digits");
    let read = |(index, node): (usize, &demo::Node)| {
        let answer = demo::answer(&plan, index, started, NONCE);
        let greeting = probe::frame::greeting(&answer, &nonce).expect("a greeting").expect("of this version");
        let mut record = Record::blank(node.name.clone(), Vec::new(), Some(node.role));
        record.address = format!("{}:22", node.address);
        record.clock = greeting.node_ms.map(|node_ms| ClockSample { sent_ms: node_ms, received_ms: node_ms, node_ms });
        record.probe = Some(probe::frame::parse(&answer, b"", &nonce, &Limits::DEFAULT).expect("a capture"));
        record
    };
    plan.nodes.iter().enumerate().map(read).collect()
}
