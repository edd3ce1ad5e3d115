//! What inventory scripts print, and YAML inventories written as JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| seaworthy_fuzz::inventory::try_text(&[b"{", data].concat()));
