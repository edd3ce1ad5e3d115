//! CNI configurations: as a node has them, and as one to be pushed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seaworthy::change::steps::conflist;
use seaworthy_fuzz::section;

fuzz_target!(|data: &[u8]| {
    if let Ok(wanted) = conflist::read(data) {
        let again = conflist::read(wanted.text.as_bytes()).expect("what is pushed can be read");
        assert_eq!(again, wanted);
    }
    let (first, second) = seaworthy_fuzz::parted(data);
    let listing =
        "644 0:0 292 1757439600 f\t/etc/cni/net.d/10-a.conflist\n644 0:0 292 1757439600 f\t/etc/cni/net.d/20-b.conf";
    let sections = vec![
        section("cni-dir", Some("/etc/cni/net.d"), listing.to_owned()),
        section("cni-file", Some("/etc/cni/net.d/10-a.conflist"), String::from_utf8_lossy(first).into_owned()),
        section("cni-file", Some("/etc/cni/net.d/20-b.conf"), String::from_utf8_lossy(second).into_owned()),
    ];
    let facts = seaworthy::facts::parse(&seaworthy_fuzz::record("node1", sections));
    serde_json::to_string(&facts).expect("facts are JSON");
});
