//! Host patterns, and names folded into patterns.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seaworthy::inventory::ranges;
use seaworthy::names;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let Ok(pattern) = ranges::host_pattern(&text) else { return };
    assert!(pattern.names.len() <= ranges::MAX_HOSTS);
    // What the names are folded to chooses the same names again.
    let few: Vec<&str> = pattern.names.iter().map(String::as_str).take(200).collect();
    let plain = |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    drop(names::folded(few.iter().copied()));
    if few.iter().all(plain) {
        let Some(limit) = names::limit(few.iter().copied()) else { return };
        let mut back: Vec<String> = seaworthy_fuzz::cut(&limit)
            .flat_map(|item| ranges::expand(item).expect("a folded name is a pattern"))
            .collect();
        let mut wanted: Vec<&str> = few;
        back.sort();
        back.dedup();
        wanted.sort_unstable();
        wanted.dedup();
        assert_eq!(back, wanted, "{limit}");
    }
});
