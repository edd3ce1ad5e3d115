//! `known_hosts`: read, judged, learned and read again.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use russh::keys::{PublicKey, parse_public_key_base64};
use seaworthy::ssh::known_hosts::{HostKeyAnswer, KnownHosts, Learned};
use seaworthy::ssh::resolved::{HostKeyPolicy, HostKeySettings};
use seaworthy_fuzz::Scratch;

/// Those that the seeds name.
static KEYS: LazyLock<Vec<PublicKey>> = LazyLock::new(|| {
    let keys = [
        "AAAAC3NzaC1lZDI1NTE5AAAAIJ9Z7vTLmKPzMzy+I5tFBr2sR1QpHkPF1CLaSnm1GZfH",
        "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=",
    ];
    keys.iter().map(|key| parse_public_key_base64(key).expect("a constant key is valid")).collect()
});
static SCRATCH: LazyLock<Scratch> = LazyLock::new(Scratch::new);

fuzz_target!(|data: &[u8]| {
    let (first, content) = data.split_first().unwrap_or((&0, &[]));
    let settings = HostKeySettings {
        policy: HostKeyPolicy::AcceptNew,
        alias: (first & 1 == 1).then(|| "alias.example".to_owned()),
        user_files: vec![SCRATCH.write("known_hosts", content)],
        global_files: Vec::new(),
        hash_names: first & 2 == 2,
    };
    let port = if first & 4 == 4 { 2222 } else { 22 };
    let known = KnownHosts::new();
    for name in ["web1", "github.com", "192.168.4.63", "fe80::1", "*", ""] {
        for key in KEYS.iter() {
            drop(known.check(&settings, name, port, key));
        }
        drop(known.known_key_types(&settings, name, port));
        drop(known.has_authority(&settings, name, port));
    }
    drop(known.complaints());
    let Ok(Learned::New(_)) = known.learn(&settings, "web1", port, &KEYS[0]) else { return };
    let report = known.flush();
    assert!(report.errors.is_empty() && report.conflicts.is_empty() && report.written == 1, "{report:?}");
    let after = std::fs::read(SCRATCH.path("known_hosts")).expect("it was written");
    assert!(after.starts_with(content), "what stood there is lost");
    let answer = KnownHosts::new().check(&settings, "web1", port, &KEYS[0]);
    assert!(matches!(answer, Ok(HostKeyAnswer::Known(_))), "{answer:?}");
});
