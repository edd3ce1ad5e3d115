//! Playbooks, and a file that they name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seaworthy::playbook::{self, Surroundings};
use seaworthy_fuzz::CHECKS;

fuzz_target!(|data: &[u8]| {
    let (text, file) = seaworthy_fuzz::parted(data);
    let read = |_: &str| Ok(file.to_vec());
    match playbook::parse("playbook.yaml", text, &Surroundings { checks: &CHECKS, read: &read }) {
        Ok(playbook) => drop(format!("{playbook:?}")),
        Err(error) => drop(error.to_string()),
    }
});
