//! A node's answer to the probe: from bytes to a capture without secrets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seaworthy::probe::{self, Limits, Nonce, frame, redact};

const NONCE: &str = "0123456789abcdef0123456789abcdef";
const SMALL: Limits = Limits { sections: 5, section: 100, total: 300, noise: 20, stderr: 30 };

fuzz_target!(|data: &[u8]| {
    let Some(nonce) = Nonce::from_hex(NONCE) else { return };
    let (first, rest) = data.split_first().unwrap_or((&0, &[]));
    let (stdout, stderr) = seaworthy_fuzz::parted(rest);
    let stdout = marked(stdout);
    let limits = if first % 2 == 0 { Limits::DEFAULT } else { SMALL };
    let greeting = frame::greeting(&stdout, &nonce);
    let capture = match probe::read(&stdout, stderr, &nonce, &limits) {
        Ok(capture) => capture,
        Err(error) => return drop(error.to_string()),
    };
    assert!(matches!(greeting, Some(Ok(_))), "the greeting is not timed: {greeting:?}");
    assert!(capture.sections.len() <= limits.sections);
    // A secret may be shorter than the mark in its place, so only what was parsed is measured.
    let parsed = frame::parse(&stdout, stderr, &nonce, &limits).expect("it was parsed before");
    assert!(parsed.sections.iter().all(|section| section.text.len() <= limits.section));
    assert!(parsed.sections.iter().map(|section| section.text.len()).sum::<usize>() <= limits.total);
    assert!(parsed.noise.len() <= limits.noise && parsed.stderr.len() <= limits.stderr);
    let mut again = capture.clone();
    redact::capture(&mut again);
    assert_eq!(again, capture, "redacting twice changes nothing");
    let json = serde_json::to_string(&capture).expect("a capture is JSON");
    assert_eq!(serde_json::from_str::<seaworthy::record::Capture>(&json).expect("it is read back"), capture);
});

/// The run's nonce behind each `@@@`, as its chance would be too small.
fn marked(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() * 2);
    let mut rest = data;
    while let Some(at) = rest.windows(3).position(|window| window == b"@@@") {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(b"@@");
        out.extend_from_slice(NONCE.as_bytes());
        out.push(b' ');
        rest = &rest[at + 3..];
    }
    out.extend_from_slice(rest);
    out
}
