//! `ssh_config`, and a file that it may include.
#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use seaworthy::ssh::config::{Environment, Resolver};
use seaworthy::target::SshSettings;
use seaworthy_fuzz::Scratch;

static SCRATCH: LazyLock<Scratch> = LazyLock::new(Scratch::new);

fuzz_target!(|data: &[u8]| {
    // `Match exec` runs what it says, and `Include` reads what it names: neither may leave this directory.
    let letters: Vec<u8> = data.iter().filter(|byte| byte.is_ascii_alphabetic()).map(u8::to_ascii_lowercase).collect();
    let has = |word: &[u8]| letters.windows(word.len()).any(|window| window == word);
    let goes_far = data.iter().any(|byte| matches!(byte, b'/' | b'~' | b'%' | b'$'));
    if has(b"exec") || (has(b"include") && goes_far) {
        return;
    }
    let (config, other) = seaworthy_fuzz::parted(data);
    SCRATCH.write(".ssh/config", config);
    SCRATCH.write(".ssh/other", other);
    let environment = Environment {
        home: SCRATCH.path(""),
        user: "op".to_owned(),
        uid: 1000,
        hostname: "here".to_owned(),
        agent: None,
        variables: BTreeMap::from([("NAME".to_owned(), "value".to_owned())]),
        system: SCRATCH.path("system"),
        ssh: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers");
    let resolver = Resolver::new(environment);
    for name in ["web1", "db.example.org", "op@[2001:db8::7]:2222"] {
        drop(runtime.block_on(resolver.resolve(name, &SshSettings::default())));
    }
    drop(resolver.take_warnings());
});
