//! Saved runs that are not as they were written: the damage costs its own host, is named, and everything else is reported.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::SystemTime;

use assert_cmd::Command;
use proptest::prelude::*;
use seaworthy::demo::{self, Behaviour, Plan, State};
use seaworthy::probe::{self, Limits, Nonce};
use seaworthy::record::{ClockSample, Record};
use seaworthy::report::{self, Format};
use seaworthy::run::{PlannedHost, RunFile, Saved, Writer};
use serde_json::{Value, json};

use crate::facts::{self, case, damage};
use crate::planning::any::CASES;

/// A run directory made of a recorded case.
struct Bundle {
    home: tempfile::TempDir,
    directory: PathBuf,
}

impl Bundle {
    fn of(records: &[Record]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let planned = |record: &Record| PlannedHost {
            name: record.name.clone(),
            groups: record.groups.clone(),
            role: record.role,
        };
        let mut file = RunFile::new("sweep", SystemTime::UNIX_EPOCH, records.iter().map(planned).collect(), Vec::new());
        let writer = Writer::create(home.path(), file.clone()).unwrap();
        for record in records {
            writer.save(record).unwrap();
        }
        let directory = writer.directory().to_owned();
        file.id = writer.file().id.clone();
        file.duration_ms = Some(400);
        writer.finish(&file).unwrap();
        Self { home, directory }
    }

    fn record(&self, host: &str) -> PathBuf {
        self.directory.join("hosts").join(format!("{host}.json"))
    }

    /// Changes a record's JSON by hand.
    fn edit(&self, host: &str, change: impl FnOnce(&mut Value)) {
        let path = self.record(host);
        let mut value: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        change(&mut value);
        std::fs::write(path, value.to_string()).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("seaworthy"));
        command.env_clear().env("HOME", self.home.path()).args(arguments).output().unwrap()
    }

    fn sweep(&self) -> (Value, String, Option<i32>) {
        let output = self.run(&["sweep", "-o", "json", "--from", text(&self.directory)]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
        (document, said, output.status.code())
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn node<'v>(document: &'v Value, name: &str) -> &'v Value {
    document["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name).unwrap()
}

/// Only `homelab` was damaged: what is said of the control plane is what was said before.
fn only_homelab_is_lost(bundle: &Bundle, words: &str) {
    let sound = Bundle::of(&case("healthy"));
    let (before, ..) = sound.sweep();
    let (after, said, code) = bundle.sweep();
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("homelab.json") && said.contains(words), "{said}");
    assert_eq!(node(&after, "homelab")["failure"]["kind"], "protocol");
    for field in ["verdict", "phase", "areas"] {
        assert_eq!(node(&after, "masternode")[field], node(&before, "masternode")[field], "{field}");
    }
}

#[test]
fn a_truncated_record() {
    let bundle = Bundle::of(&case("healthy"));
    let whole = std::fs::read(bundle.record("homelab")).unwrap();
    std::fs::write(bundle.record("homelab"), &whole[..whole.len() / 2]).unwrap();
    only_homelab_is_lost(&bundle, "EOF");
}

#[test]
fn a_record_of_a_newer_version() {
    let bundle = Bundle::of(&case("healthy"));
    bundle.edit("homelab", |record| {
        record["schema"] = json!(99);
        record["probe"] = json!("something else altogether");
    });
    only_homelab_is_lost(&bundle, "99");
}

#[test]
fn a_record_with_wrong_types() {
    let bundle = Bundle::of(&case("healthy"));
    bundle.edit("homelab", |record| record["probe"]["sections"] = json!({ "not": "a list" }));
    only_homelab_is_lost(&bundle, "invalid type");
}

#[test]
fn a_record_under_another_hosts_name() {
    let bundle = Bundle::of(&case("healthy"));
    std::fs::copy(bundle.record("masternode"), bundle.record("homelab")).unwrap();
    only_homelab_is_lost(&bundle, "masternode");
}

#[test]
fn a_run_of_a_newer_version_is_refused() {
    let bundle = Bundle::of(&case("healthy"));
    let path = bundle.directory.join("run.json");
    let mut run: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    run["schema"] = json!(99);
    std::fs::write(path, run.to_string()).unwrap();
    let output = bundle.run(&["sweep", "--from", text(&bundle.directory)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("99"));
    assert!(output.stdout.is_empty());
}

#[test]
fn facts_that_contradict_each_other_are_no_crash_and_nobody_elses_matter() {
    let bundle = Bundle::of(&case("healthy"));
    bundle.edit("homelab", |record| {
        let sections = record["probe"]["sections"].as_array_mut().unwrap();
        // Everything once more, with every figure and word turned round.
        let twice: Vec<Value> = sections
            .iter()
            .map(|section| {
                let mut section = section.clone();
                let text = section["text"].as_str().unwrap_or_default();
                section["text"] = json!(text.replace("true", "false").replace('1', "7").replace("active", "failed"));
                section
            })
            .collect();
        sections.extend(twice);
    });
    let (document, said, code) = bundle.sweep();
    assert!(matches!(code, Some(0 | 2)), "{said}");
    assert_eq!(node(&document, "masternode")["verdict"], "pass");
}

#[test]
fn diagnose_reads_a_saved_run_as_well() {
    let bundle = Bundle::of(&case("storage-standalone"));
    let output = bundle.run(&["diagnose", "storagenode", "--from", text(&bundle.directory)]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for words in ["root cause\n", "kubelet/standalone", "what follows from that", "sound\n"] {
        assert!(said.contains(words), "{words} is missing:\n{said}");
    }
    let analysis = bundle.run(&["diagnose", "storagenode", "-o", "markdown", "--from", text(&bundle.directory)]);
    let analysis = String::from_utf8_lossy(&analysis.stdout).into_owned();
    assert!(analysis.starts_with("# ") && analysis.contains("kubeadm's drop-in"), "{analysis}");
    let unknown = bundle.run(&["diagnose", "nobody", "--from", text(&bundle.directory)]);
    assert_ne!(unknown.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("nobody"));
}

/// What a demo node of each state answers.
fn demo_records() -> Vec<Record> {
    let states = State::ALL.into_iter().filter(|state| *state != State::ControlPlane);
    let nodes = std::iter::once(State::ControlPlane).chain(states).map(|state| (state, Behaviour::Answer));
    let plan = Plan::of(7, nodes);
    let nonce = Nonce::from_hex("0123456789abcdef0123456789abcdef").unwrap();
    let records = plan.nodes.iter().enumerate().map(|(index, node)| {
        let answer = demo::answer(&plan, index, 1_757_000_000, nonce.as_str());
        let probe = probe::read(&answer, b"", &nonce, &Limits::DEFAULT).unwrap();
        let clock =
            ClockSample { sent_ms: 1_757_500_000_000, received_ms: 1_757_500_000_031, node_ms: 1_757_500_000_014 };
        let mut record = Record::blank(node.name.clone(), vec!["all".to_owned()], Some(node.role));
        (record.probe, record.clock) = (Some(probe), Some(clock));
        record
    });
    records.collect()
}

fn report_of(records: &[Record]) -> String {
    let mut out = Vec::new();
    let style = report::style::Style { width: 100, color: false, unicode: true };
    report::write(Format::Json, &facts::report(records), &style, &mut out).unwrap();
    // The run's id is of the moment.
    let mut document: Value = serde_json::from_slice(&out).unwrap();
    document["run"] = Value::Null;
    document.to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_saved_run_says_the_same_when_it_is_read_again(
        seed in any::<u64>(),
        pick in 0_usize..2 * CASES.len(),
        hits in 0_usize..40,
        odd in any::<String>(),
    ) {
        let mut records = CASES.get(pick).map_or_else(demo_records, |name| case(name));
        damage(&mut records, seed, hits);
        if let Some(section) = records.iter_mut().filter_map(|record| record.probe.as_mut()).flat_map(|probe| &mut probe.sections).nth(hits) {
            section.text = odd;
        }
        let bundle = Bundle::of(&records);
        let saved = Saved::load(&bundle.directory).unwrap();
        prop_assert!(saved.damaged.is_empty(), "{:?}", saved.damaged);
        prop_assert_eq!(&saved.records, &records);
        prop_assert_eq!(report_of(&saved.records), report_of(&records));
    }
}
