//! A user's own checks.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use seaworthy::checks::{BuiltIn, Checks};
use seaworthy_fuzz::Scratch;

static SCRATCH: LazyLock<Scratch> = LazyLock::new(Scratch::new);

fuzz_target!(|data: &[u8]| {
    SCRATCH.write("own.yaml", data);
    // The built-in ones are the same each time, and take a hundred times as long.
    let none = BuiltIn::none().expect("nothing is wrong in nothing");
    match Checks::with(none, &[SCRATCH.path("")]) {
        Ok(checks) => assert!(checks.all().is_sorted_by(|a, b| a.id < b.id)),
        Err(error) => drop(error.to_string()),
    }
});
