//! Inventories in YAML.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| seaworthy_fuzz::inventory::try_text(&[b"---\n", data].concat()));
