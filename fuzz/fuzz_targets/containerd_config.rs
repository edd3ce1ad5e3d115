//! containerd's configuration: the file, one that it imports, and the dump of the effective one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seaworthy_fuzz::section;

fuzz_target!(|data: &[u8]| {
    let (file, rest) = seaworthy_fuzz::parted(data);
    let (import, dump) = seaworthy_fuzz::parted(rest);
    let section =
        |id: &str, arg: Option<&str>, text: &[u8]| section(id, arg, String::from_utf8_lossy(text).into_owned());
    let mut sections = vec![section("containerd-config", Some("/etc/containerd/config.toml"), file)];
    if !rest.is_empty() {
        sections.push(section("containerd-config", Some("/etc/containerd/conf.d/a.toml"), import));
        sections.push(section("containerd-dump", None, dump));
    }
    let facts = seaworthy::facts::parse(&seaworthy_fuzz::record("node1", sections));
    serde_json::to_string(&facts).expect("facts are JSON");
});
