//! What `kubeadm join` printed, in whatever somebody kept it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seaworthy::diagnose::join_log::{classify, render};
use seaworthy_fuzz::{PLAIN, assert_harmless};

fuzz_target!(|data: &[u8]| {
    let log = classify(data);
    assert_eq!(log.attempts.is_empty(), log.ending.is_none());
    assert_harmless("the text", &render(&log, &PLAIN));
    serde_json::to_string(&log).expect("it is JSON");
});
