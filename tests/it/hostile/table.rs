//! The cases as docs/reliability.md lists them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::case::{Expected, Is};
use super::{GROUPS, exec};

/// Asserts that docs/reliability.md has this table at its `mark`, or puts it there.
pub(crate) fn assert_documented(mark: &str, table: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reliability.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (begin, end) = (format!("<!-- {mark} -->\n"), format!("<!-- /{mark} -->"));
    let (before, rest) = page.split_once(&begin).expect("a place for the table");
    let (kept, after) = rest.split_once(&end).expect("an end of the table");
    if kept != table && std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, [before, &begin, table, &end, after].concat()).unwrap();
        return;
    }
    assert!(
        kept == table,
        "docs/reliability.md is out of date: UPDATE_DOCS=1 cargo test --test it table -- --test-threads=1"
    );
}

fn promise(expected: &Expected) -> String {
    match expected {
        Expected::Failure(kind, _) => format!("`{kind}`"),
        Expected::Partly(kind, _) => format!("`{kind}`, and what it had said is kept"),
        Expected::Read(places) if places.iter().any(|(_, is)| matches!(is, Is::Unknown(_))) => {
            "read; what it did not say is unknown".to_owned()
        }
        Expected::Read(_) => "read".to_owned(),
    }
}

fn shown(expected: &Expected) -> String {
    let quoted = |words: &str| if words.is_empty() { String::new() } else { format!("\u{201c}{words}\u{201d}") };
    match expected {
        Expected::Failure(_, words) | Expected::Partly(_, words) => quoted(words),
        Expected::Read(places) => {
            let places = places.iter().map(|(place, is)| {
                let place = place.trim_start_matches("/facts").trim_start_matches('/').replace('/', ".");
                match is {
                    Is::Unknown(why) => format!("`{place}` unknown {}", quoted(why)).trim_end().to_owned(),
                    Is::Json(json) => format!("`{place}` {}", json.trim_matches('"')),
                    Is::Has(words) => format!("`{place}` with {}", quoted(words)),
                }
            });
            places.collect::<Vec<_>>().join(", ").replace('<', "&lt;")
        }
    }
}

fn table() -> String {
    let mut text = String::from("| The node | Promise | Shown | MiB | Test |\n|---|---|---|---|---|\n");
    for (group, cases) in GROUPS {
        for case in cases() {
            let (promise, shown) = (promise(&case.expected), shown(&case.expected));
            let row = format!("| {} | {promise} | {shown} | {} | `{group}`: {} |", case.does, case.memory, case.name);
            writeln!(text, "{row}").unwrap();
        }
    }
    text
}

fn table_of_exec() -> String {
    let mut text = String::from("| The command | Promise | Shown | MiB | Test |\n|---|---|---|---|---|\n");
    for exec::Case { name, does, failure, words, memory, .. } in exec::cases() {
        let promise = failure.map_or_else(|| "shown, and does nothing".to_owned(), |kind| format!("`{kind}`"));
        writeln!(text, "| {does} | {promise} | \u{201c}{words}\u{201d} | {memory} | `exec`: {name} |").unwrap();
    }
    text
}

#[test]
fn the_documentation_lists_every_command() {
    assert_documented("exec", &table_of_exec());
}

#[test]
fn the_documentation_lists_every_case() {
    assert_documented("hostile", &table());
}

#[test]
fn names_are_unique() {
    let names: Vec<&str> = GROUPS.iter().flat_map(|(_, cases)| cases()).map(|case| case.name).collect();
    assert!(names.len() >= 40, "{}", names.len());
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}
