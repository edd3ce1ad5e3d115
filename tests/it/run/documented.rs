//! `docs/playbooks.md` says what is so.

use seaworthy::checks::Checks;
use seaworthy::playbook::load::names;
use seaworthy::playbook::{STEPS, Surroundings, parse};

const PAGE: &str = include_str!("../../../docs/playbooks.md");

#[test]
fn every_example_is_a_playbook_and_every_step_has_one_or_is_in_one() {
    let checks = Checks::built_in().unwrap();
    let read = |path: &str| Err(std::io::Error::other(format!("no example has a file, not even {path}")));
    let around = Surroundings { checks: &checks, read: &read };
    let mut steps = Vec::new();
    let examples: Vec<&str> = PAGE.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    for example in &examples {
        let playbook = parse("docs/playbooks.md", example.as_bytes(), &around)
            .unwrap_or_else(|error| panic!("{error}\n{example}"));
        steps.extend(playbook.steps.iter().map(seaworthy::playbook::Step::name));
    }
    for step in STEPS {
        assert!(steps.contains(step), "no example has the step {step}");
        assert!(PAGE.contains(&format!("\n### {step}\n")), "no chapter is about the step {step}");
    }
}

#[test]
fn every_built_in_playbook_is_listed() {
    for name in names() {
        assert!(PAGE.contains(&format!("| [{name}](../playbooks/{name}.yaml) |")), "{name}");
    }
}

const SCHEMA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schema/plan-v1.json");

#[test]
fn the_published_schema_is_the_one_of_the_types() {
    let current = serde_json::to_string_pretty(&seaworthy::report::change::document::schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(SCHEMA_FILE, &current).unwrap();
    }
    assert!(
        std::fs::read_to_string(SCHEMA_FILE).is_ok_and(|published| published == current),
        "docs/schema/plan-v1.json is not what the types say. Fields may be added under this version and never removed or \
         renamed; if that is what you did: UPDATE_SCHEMA=1 cargo test --test it published_schema"
    );
}
