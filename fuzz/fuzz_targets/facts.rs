//! What a node's sections say: facts, whatever they are.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let record = seaworthy_fuzz::record("node1", seaworthy_fuzz::sections::of(data));
    let facts = seaworthy::facts::parse(&record);
    // Facts are judged as data.
    serde_json::to_string(&facts).expect("facts are JSON");
    assert_eq!(seaworthy::facts::parse(&record), facts, "the same record gives the same facts");
});
