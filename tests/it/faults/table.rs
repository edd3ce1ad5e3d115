//! The faults as docs/reliability.md lists them: made of the tests' own comments.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::hostile::table::assert_documented;

const SOURCES: [(&str, &str); 6] = [
    ("network", include_str!("network.rs")),
    ("sshd", include_str!("sshd.rs")),
    ("node", include_str!("node.rs")),
    ("here", include_str!("here.rs")),
    ("lab", include_str!("../../lab/faults.rs")),
    ("vm", include_str!("../../lab/vm.rs")),
];

/// Name, fault and promise of each test in a source.
fn tests(source: &str) -> Vec<(String, String, String)> {
    let (mut comment, mut is_test, mut found) = (String::new(), false, Vec::new());
    for line in source.lines() {
        let name = line.trim_start_matches("async ").strip_prefix("fn ").and_then(|rest| rest.split('(').next());
        if let Some(words) = line.strip_prefix("/// ") {
            comment = [&comment, words].join(" ");
        } else if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if !line.starts_with("#[") {
            if let (true, Some(name)) = (is_test, name) {
                let (fault, promise) =
                    comment.trim().split_once(": ").unwrap_or_else(|| panic!("{name} promises nothing"));
                found.push((name.to_owned(), fault.to_owned(), promise.to_owned()));
            }
            (comment, is_test) = (String::new(), false);
        }
    }
    found
}

#[test]
fn the_documentation_lists_every_fault() {
    let mut table = String::from("| Fault | Promise | Test |\n|---|---|---|\n");
    let mut names = BTreeSet::new();
    for (group, source) in SOURCES {
        let tests = tests(source);
        let attributes = source.lines().filter(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"));
        assert_eq!(tests.len(), attributes.count(), "{group}");
        for (name, fault, promise) in tests {
            writeln!(table, "| {fault} | {promise} | `{group}`: {name} |").unwrap();
            assert!(names.insert(name.clone()), "{name} twice");
        }
    }
    assert!(names.len() >= 20, "{}", names.len());
    assert_documented("faults", &table);
}
