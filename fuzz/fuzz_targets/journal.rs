//! The journal of a change, and its plan.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use seaworthy::change::journal::file::{self, Journal};
use seaworthy::digest;
use seaworthy_fuzz::{PLAIN, Scratch, assert_harmless};

static SCRATCH: LazyLock<Scratch> = LazyLock::new(Scratch::new);

fuzz_target!(|data: &[u8]| {
    let (plan, rest) = seaworthy_fuzz::parted(data);
    SCRATCH.write("plan.json", plan);
    // A journal names its plan by a digest, which no mutation finds.
    let agreed = r#"{"at":"2026-01-01T00:00:00Z","event":"agreed","schema":1,"plan_sha256":""#;
    let journal = [agreed.as_bytes(), digest::sha256(plan).as_bytes(), b"\"}\n", rest].concat();
    let path = SCRATCH.write("journal.jsonl", &journal);
    let kept = match file::read(&SCRATCH.path("")) {
        Ok(kept) => kept,
        Err(error) => return drop(error.to_string()),
    };
    let replayed = Journal::through(&path, &kept.lines, |_: &[u8]| Ok(()));
    drop(replayed.tokens());
    for node in &kept.plan.nodes {
        drop((replayed.ended(&node.node), replayed.found(&node.node), replayed.is_put_back(&node.node)));
        for action in 0..4 {
            drop(replayed.stage(&node.node, action));
        }
    }
    let mut text = Vec::new();
    seaworthy::report::change::plan::write(&kept.plan, &PLAIN, &mut text).expect("memory can be written");
    assert_harmless("the plan", &String::from_utf8_lossy(&text));
    let plan = serde_json::to_string(&kept.plan).expect("a plan is JSON");
    assert_eq!(serde_json::from_str::<seaworthy::change::plan::Plan>(&plan).expect("it is read back"), kept.plan);
});
