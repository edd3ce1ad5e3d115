//! Runs that another version of the program wrote: older ones are read, what a newer one added is passed over, and what a newer one
//! changed is refused with the next move. `tests/data/runs/first` is a run as the first version wrote it; it is never written anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::SystemTime;

use assert_cmd::Command;
use seaworthy::failure::{Failure, FailureKind};
use seaworthy::reach::ReachCapture;
use seaworthy::record::{RECORD_SCHEMA, Record};
use seaworthy::run::{Part, PlannedHost, RUN_SCHEMA, RunFile, Saved, Writer, unread};
use serde::Deserialize;
use serde_json::{Value, json};

const FIRST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/runs/first");
const FILES: [&str; 3] = ["run.json", "hosts/homelab.json", "hosts/lost.json"];

/// A runs directory with a copy of the first version's run in it.
struct Runs {
    home: tempfile::TempDir,
}

impl Runs {
    /// Each file of the run as `change` makes it.
    fn new(change: impl Fn(&str, &mut Value)) -> Self {
        let runs = Self { home: tempfile::tempdir().unwrap() };
        fs::create_dir_all(runs.directory().join("hosts")).unwrap();
        for file in FILES {
            let mut value = serde_json::from_str(&fs::read_to_string(Path::new(FIRST).join(file)).unwrap()).unwrap();
            change(file, &mut value);
            fs::write(runs.directory().join(file), value.to_string()).unwrap();
        }
        runs
    }

    fn directory(&self) -> PathBuf {
        self.home.path().join("runs/20261122T105541Z-1f3a")
    }

    fn from(&self, wanted: &str) -> Output {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("seaworthy"));
        command.env_clear().env("HOME", self.home.path()).env("SEAWORTHY_RUN_DIR", self.home.path().join("runs"));
        command.args(["sweep", "--from", wanted, "-o", "json"]).output().unwrap()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The nodes of the report, without what its program is free to say in other words.
fn nodes(output: &Output) -> Vec<(String, Value, Value)> {
    let document: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(output)));
    let nodes = document["nodes"].as_array().unwrap().iter();
    let mut nodes: Vec<_> = nodes
        .map(|node| (node["name"].as_str().unwrap().to_owned(), node["failure"]["kind"].clone(), node["facts"].clone()))
        .collect();
    nodes.sort_by(|a, b| a.0.cmp(&b.0));
    nodes
}

#[test]
fn a_run_of_the_first_version_is_read() {
    let runs = Runs::new(|_, _| {});
    let output = runs.from("last");
    let found = nodes(&output);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert_eq!((&*found[0].0, &found[0].1), ("homelab", &Value::Null));
    assert_eq!(found[0].2["identity"]["hostname"], "homelab", "its facts are read");
    assert_eq!((&*found[1].0, &found[1].1), ("lost", &json!("no-route")));
    assert_eq!(said(&output), "");
    let saved = Saved::load(Path::new(FIRST)).unwrap();
    assert_eq!((saved.run.every_ms, saved.run.part, saved.run.sources), (None, None, Vec::new()));
}

/// Puts something new into every object and behind every list of objects that only grows.
fn grow(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(grow);
            fields.insert("added_later".to_owned(), json!({"deep": [1, {"x": null}]}));
        }
        Value::Array(values) => values.iter_mut().for_each(grow),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn what_a_newer_version_added_is_passed_over() {
    let plain = Runs::new(|_, _| {});
    let newer = Runs::new(|file, value| {
        grow(value);
        if file == "hosts/lost.json" {
            value["failure"]["kind"] = json!("host-on-fire");
        }
    });
    let (plain, newer) = (nodes(&plain.from("last")), newer.from("last"));
    assert_eq!(said(&newer), "");
    assert_eq!(newer.status.code(), Some(4));
    let newer = nodes(&newer);
    assert_eq!(plain[0], newer[0], "homelab");
    // A reason that is not known yet: the node is still one that was not read.
    assert_eq!(newer[1].1, "protocol");
}

#[test]
fn a_run_that_a_newer_version_changed_is_refused_with_the_next_move() {
    let refused = |output: &Output| {
        let said = said(output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(output.stdout.is_empty());
        assert!(
            said.contains("run.json was written by a newer seaworthy (schema 2, this one reads up to 1)"),
            "{said}"
        );
        assert!(said.contains("upgrade seaworthy to read it"), "{said}");
    };
    // It may look like one of ours, or not at all.
    let alike = Runs::new(|file, value| {
        if file == "run.json" {
            value["schema"] = json!(RUN_SCHEMA + 1);
        }
    });
    refused(&alike.from("2026"));
    let other = Runs::new(|file, value| {
        if file == "run.json" {
            *value = json!({"schema": 2, "command": "sweep", "hosts": {"homelab": {"tier": 3}}});
        }
    });
    refused(&other.from(other.directory().to_str().unwrap()));
    // `last` is the newest run, not the newest that can be read.
    let old = RunFile { duration_ms: Some(1), ..RunFile::new("sweep", SystemTime::UNIX_EPOCH, Vec::new(), Vec::new()) };
    Writer::create(&other.home.path().join("runs"), old).unwrap();
    refused(&other.from("last"));
}

#[test]
fn a_record_that_a_newer_version_changed_costs_its_own_host() {
    let runs = Runs::new(|file, value| {
        if file == "hosts/homelab.json" {
            value["schema"] = json!(RECORD_SCHEMA + 1);
        }
    });
    let output = runs.from("last");
    let found = nodes(&output);
    assert_eq!((&found[0].1, &found[1].1), (&json!("protocol"), &json!("no-route")));
    let said = said(&output);
    assert!(said.contains("homelab.json was written by a newer seaworthy (schema 2"), "{said}");
    assert!(said.contains("upgrade seaworthy to read it"), "{said}");
}

/// What the first version read of a run: all that it needs has to be there for ever, unless the schema's number says otherwise.
#[test]
fn the_first_version_reads_what_is_written_today() {
    #[derive(Deserialize)]
    struct FirstRun {
        schema: u32,
        id: String,
        version: String,
        command: String,
        started: String,
        duration_ms: Option<u64>,
        hosts: Vec<FirstHost>,
    }
    #[derive(Deserialize)]
    struct FirstHost {
        name: String,
        groups: Vec<String>,
        role: Option<String>,
    }
    #[derive(Deserialize)]
    struct FirstRecord {
        schema: u32,
        name: String,
        address: String,
        groups: Vec<String>,
        role: Option<String>,
        timings: serde_json::Map<String, Value>,
        clock: Option<Value>,
        failure: Option<FirstFailure>,
        probe: Option<Value>,
    }
    #[derive(Deserialize)]
    struct FirstFailure {
        kind: String,
        layer: String,
        message: String,
        next: String,
    }
    let runs = tempfile::tempdir().unwrap();
    let host = PlannedHost { name: "a".to_owned(), groups: vec!["workers".to_owned()], role: None };
    let file = RunFile::new("sweep", SystemTime::UNIX_EPOCH, vec![host.clone()], vec!["/hosts.yml".to_owned()]);
    let part = Part { shard: "1/2".parse().unwrap(), probe: "p".to_owned(), whole: vec![host.clone()] };
    let file =
        RunFile { duration_ms: Some(7), target: "1.35".parse().ok(), part: Some(part), every_ms: Some(30_000), ..file };
    let writer = Writer::create(runs.path(), file).unwrap();
    let failure = Failure::new(FailureKind::Dns, "no such name", "fix it");
    writer.save(&Record { reach: Some(ReachCapture::default()), ..unread(&host, failure) }).unwrap();

    let read = |file: &str| fs::read_to_string(writer.directory().join(file)).unwrap();
    let run: FirstRun = serde_json::from_str(&read("run.json")).unwrap();
    assert_eq!((run.schema, &*run.command, &*run.started), (1, "sweep", "1970-01-01T00:00:00Z"));
    assert_eq!((run.id, run.duration_ms, run.version.is_empty()), (writer.file().id.clone(), Some(7), false));
    assert_eq!((&*run.hosts[0].name, &*run.hosts[0].groups, &run.hosts[0].role), ("a", &host.groups[..], &None));
    let record: FirstRecord = serde_json::from_str(&read("hosts/a.json")).unwrap();
    assert_eq!((record.schema, &*record.name, &*record.address, record.role), (1, "a", "", None));
    assert!(record.groups == host.groups && record.clock.is_none() && record.probe.is_none());
    assert!(record.timings.contains_key("total_ms"));
    let FirstFailure { kind, layer, message, next } = record.failure.unwrap();
    assert_eq!([kind, layer, message, next], ["dns", "dns", "no such name", "fix it"]);
}
