//! Secrets in texts: nothing panics, twice is once, and what is planted as a line of its own does not survive.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seaworthy::probe::redact;

const LINES: &[&str] = &[
    "x abcdef.0123456789qwerty y",
    "kubeadm join 10.0.0.1:6443 --token abcdef.0123456789qwerty --v=5",
    "arg=--token\narg=abcdef.0123456789qwerty",
    "token: 0123456789qwerty",
    "  {\"token\": \"0123456789qwerty\"}",
    "DB_PASSWORD=0123456789qwerty",
    "HTTP_PROXY=http://user:0123456789qwerty@proxy:3128",
    "Authorization: Bearer 0123456789qwerty0123",
    "-----BEGIN PRIVATE KEY-----\n0123456789qwerty\n-----END PRIVATE KEY-----",
];
const SECRET: &str = "0123456789qwerty";

fuzz_target!(|data: &[u8]| {
    let (first, rest) = data.split_first().unwrap_or((&0, &[]));
    let text = String::from_utf8_lossy(rest);
    let once = redact::text(&text).into_owned();
    assert_eq!(redact::text(&once), once, "redacting twice changes nothing");
    if text.contains("0123") {
        return;
    }
    let (before, after) = seaworthy_fuzz::parted(text.as_bytes());
    let (before, after) = (String::from_utf8_lossy(before), String::from_utf8_lossy(after));
    let line = LINES[usize::from(*first) % LINES.len()];
    let clean = redact::text(&format!("{before}\n{line}\n{after}")).into_owned();
    assert!(!clean.contains(SECRET), "{line:?} survives:\n{clean}");
});
