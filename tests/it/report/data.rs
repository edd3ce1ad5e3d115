//! The formats that scripts read, and the published schema.

use std::io::{self, Write};

use clap::ValueEnum as _;
use seaworthy::report::schema::schema;
use seaworthy::report::{self, Format};
use serde_json::Value;

use super::fixture::{self, PLAIN};
use super::render;

const SCHEMA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schema/report-v1.json");

#[test]
fn json_is_one_document() {
    insta::assert_snapshot!(render(Format::Json, &fixture::fleet_of(&["homelab"]), PLAIN), @r#"
    {
      "schema": "seaworthy/v1",
      "run": {
        "id": "20260726T134102Z-5f2a",
        "started": "2026-07-26T13:41:02Z",
        "duration_ms": 8412,
        "counts": {
          "total": 1,
          "ok": 0,
          "warn": 0,
          "fail": 0,
          "unknown": 0,
          "unreachable": 1
        }
      },
      "root_causes": [],
      "nodes": [
        {
          "name": "homelab",
          "address": "homelab.lan:22",
          "roles": [
            "worker"
          ],
          "phase": null,
          "verdict": "unknown",
          "summary": "unreachable: no route to host",
          "failure": {
            "kind": "no-route",
            "layer": "tcp",
            "message": "no route to 192.168.4.62 port 22",
            "next": "check that it is powered on and in the same network: ip route get 192.168.4.62"
          },
          "timings": {
            "dns_ms": 0.3,
            "tcp_ms": 3050.0,
            "kex_ms": null,
            "auth_ms": null,
            "open_ms": null,
            "exec_ms": null,
            "total_ms": 3050.3
          },
          "areas": [],
          "checks": {
            "fail": 0,
            "warn": 0,
            "unknown": 0,
            "pass": 0,
            "expected": 0,
            "not_applicable": 0
          },
          "findings": [],
          "facts": null
        }
      ]
    }
    "#);
}

#[test]
fn yaml_says_the_same_as_json() {
    let report = fixture::fleet();
    let yaml = render(Format::Yaml, &report, PLAIN);
    let json = render(Format::Json, &report, PLAIN);
    assert_eq!(serde_yaml::from_str::<Value>(&yaml).unwrap(), serde_json::from_str::<Value>(&json).unwrap());
    insta::assert_snapshot!(yaml.lines().take(24).collect::<Vec<_>>().join("\n"), @r#"
    schema: seaworthy/v1
    run:
      id: 20260726T134102Z-5f2a
      started: 2026-07-26T13:41:02Z
      duration_ms: 8412
      counts:
        total: 212
        ok: 201
        warn: 2
        fail: 4
        unknown: 1
        unreachable: 4
    root_causes: []
    nodes:
    - name: node100
      address: node100.lan:22
      roles:
      - worker
      phase: ready
      verdict: fail
      summary: containerd is down
      failure: null
      timings:
        dns_ms: 0.4
    "#);
    let empty = render(Format::Yaml, &fixture::report(Vec::new()), PLAIN);
    assert_eq!(serde_yaml::from_str::<Value>(&empty).unwrap()["nodes"], serde_json::json!([]));
}

#[test]
fn json_lines_are_the_run_and_then_the_nodes() {
    let report = fixture::hostile();
    let lines = render(Format::Jsonl, &report, PLAIN);
    let mut lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let document: Value = serde_json::from_str(&render(Format::Json, &report, PLAIN)).unwrap();
    let head = lines.next().unwrap();
    assert_eq!((&head["schema"], &head["run"]), (&document["schema"], &document["run"]));
    assert_eq!(lines.collect::<Vec<_>>(), *document["nodes"].as_array().unwrap());
}

#[test]
fn json_keeps_hostile_text_as_it_was() {
    let report = fixture::hostile();
    let document: Value = serde_json::from_str(&render(Format::Json, &report, PLAIN)).unwrap();
    let summaries: Vec<&str> =
        document["nodes"].as_array().unwrap().iter().map(|node| node["summary"].as_str().unwrap()).collect();
    assert_eq!(summaries, report.nodes.iter().map(|node| node.summary.as_str()).collect::<Vec<_>>());
}

#[test]
fn names_are_all_nodes_problems_first() {
    let names = render(Format::Name, &fixture::fleet(), PLAIN);
    let names: Vec<&str> = names.lines().collect();
    assert_eq!(names.len(), 212);
    assert_eq!(names[..6], ["node100", "node101", "node102", "storagenode", "homelab", "nas1"]);
    assert_eq!(names[11..14], ["masternode", "node004", "node005"]);
}

/// A reader that closes the pipe after some bytes, or a disk that is full.
struct Ends {
    room: usize,
    with: io::ErrorKind,
}

impl Write for Ends {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room < bytes.len() {
            return Err(self.with.into());
        }
        self.room -= bytes.len();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure_and_a_full_disk_is() {
    for format in Format::value_variants() {
        for room in [0, 30, 600] {
            let write = |with| report::write(*format, &fixture::fleet(), &PLAIN, &mut Ends { room, with });
            assert!(write(io::ErrorKind::BrokenPipe).is_ok(), "{format:?} {room}");
            assert_eq!(write(io::ErrorKind::StorageFull).unwrap_err().kind(), io::ErrorKind::StorageFull, "{format:?}");
        }
    }
}

#[test]
fn the_published_schema_is_the_one_of_the_types() {
    let current = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(SCHEMA_FILE, &current).unwrap();
    }
    let published = std::fs::read_to_string(SCHEMA_FILE).unwrap();
    assert!(
        published == current,
        "docs/schema/report-v1.json is not what the types say. Fields may be added under this version and never removed or \
         renamed; if that is what you did: UPDATE_SCHEMA=1 cargo test --test it published_schema"
    );
}

#[test]
fn what_is_printed_obeys_the_schema() {
    let schema = serde_json::to_value(schema()).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    for report in [fixture::fleet(), fixture::hostile(), fixture::report(Vec::new())] {
        let mut document: Value = serde_json::from_str(&render(Format::Json, &report, PLAIN)).unwrap();
        let errors: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        // And the schema is no empty promise.
        document["run"]["counts"]["ok"] = "many".into();
        assert!(!validator.is_valid(&document));
    }
}
