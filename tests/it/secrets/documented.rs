//! SECURITY.md and docs/reliability.md: every line of their tables names tests, and they exist.

use std::fs;
use std::path::Path;

/// The tables, one after the other: heading and lines, each line its cells.
fn tables(page: &str) -> Vec<(String, Vec<Vec<String>>)> {
    let mut found: Vec<(String, Vec<Vec<String>>)> = Vec::new();
    let mut heading = String::new();
    let mut inside = false;
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("### ") {
            title.clone_into(&mut heading);
        }
        if !line.starts_with('|') {
            inside = false;
            continue;
        }
        if !inside {
            found.push((heading.clone(), Vec::new()));
            inside = true;
        }
        let cells = line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
        found.last_mut().unwrap().1.push(cells);
    }
    found
}

/// What stands in backticks and has `::` in it: `path/of/file.rs::name_of_test`.
fn tests_named(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('`').skip(1).step_by(2).filter_map(|code| code.split_once("::"))
}

/// The file has a function of this name, and it is a test.
fn is_test(root: &Path, file: &str, name: &str) -> Result<(), String> {
    let text = fs::read_to_string(root.join(file)).map_err(|error| format!("{file}: {error}"))?;
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let place = lines
        .iter()
        .position(|line| line.trim_start_matches("async ").starts_with(&format!("fn {name}(")))
        .ok_or_else(|| format!("{file} has no fn {name}"))?;
    let marks = lines[..place].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
    let marked = marks.into_iter().any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"));
    if marked { Ok(()) } else { Err(format!("{file}: {name} is no test")) }
}

#[test]
fn every_line_of_the_threat_model_is_shown_by_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let tables = tables(&page);
    let headings: Vec<&str> = tables.iter().map(|(heading, _)| heading.as_str()).collect();
    assert_eq!(headings, ["A hostile node", "A hostile bastion", "Another local user", "A stolen run directory"]);
    let mut wrong = Vec::new();
    for (heading, lines) in &tables {
        assert_eq!(lines[0], ["", "What", "Shown by"], "{heading}");
        let kinds: Vec<&str> = lines[2..].iter().map(|line| line[0].as_str()).collect();
        assert!(kinds.contains(&"can") && kinds.contains(&"cannot"), "{heading}: {kinds:?}");
        for line in &lines[2..] {
            if line.len() != 3 || !["can", "cannot"].contains(&line[0].as_str()) {
                wrong.push(format!("{heading}: {line:?}"));
                continue;
            }
            if tests_named(&line[2]).next().is_none() {
                wrong.push(format!("{heading}: no test behind {:?}", line[1]));
            }
        }
    }
    wrong.extend(tests_named(&page).filter_map(|(file, name)| is_test(root, file, name).err()));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The tables of misbehaving nodes and faults are made of their tests and have no such names.
#[test]
fn every_promise_is_shown_by_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/reliability.md")).unwrap();
    let mut wrong: Vec<String> =
        tests_named(&page).filter_map(|(file, name)| is_test(root, file, name).err()).collect();
    let promises = tables(&page).into_iter().filter(|(_, lines)| lines[0] == ["Promise", "Figure", "Shown by"]);
    let lines: Vec<Vec<String>> = promises.flat_map(|(_, lines)| lines.into_iter().skip(2)).collect();
    assert!(lines.len() >= 14, "{}", lines.len());
    wrong.extend(
        lines.iter().filter(|line| tests_named(&line[2]).next().is_none()).map(|line| format!("no test: {line:?}")),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_name_of_no_test_is_noticed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = "tests/it/secrets/documented.rs";
    assert_eq!(is_test(root, own, "a_name_of_no_test_is_noticed"), Ok(()));
    assert!(is_test(root, own, "tables").unwrap_err().contains("is no test"));
    assert!(is_test(root, own, "nothing_of_that_name").unwrap_err().contains("has no fn"));
    assert!(is_test(root, "tests/it/nowhere.rs", "x").unwrap_err().contains("nowhere.rs"));
}
