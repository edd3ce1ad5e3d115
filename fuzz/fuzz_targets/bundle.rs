//! Saved runs: the run's file and one record. What can be read is saved and read again with the same report.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use seaworthy::report::{self, Format};
use seaworthy::run::{PlannedHost, RunFile, Saved};
use seaworthy_fuzz::{CHECKS, PLAIN, Scratch, assert_harmless};

static SCRATCH: LazyLock<Scratch> = LazyLock::new(Scratch::new);

fuzz_target!(|data: &[u8]| {
    let (record, run) = seaworthy_fuzz::parted(data);
    SCRATCH.write("run/hosts/homelab.json", record);
    if run.is_empty() {
        let hosts = vec![PlannedHost { name: "homelab".to_owned(), groups: Vec::new(), role: None }];
        let mut file = RunFile::new("sweep", std::time::SystemTime::UNIX_EPOCH, hosts, Vec::new());
        "20260101T000000Z-0000".clone_into(&mut file.id);
        SCRATCH.write("run/run.json", &serde_json::to_vec(&file).expect("a run is JSON"));
    } else {
        SCRATCH.write("run/run.json", run);
    }
    let Ok(first) = Saved::load(&SCRATCH.path("run")) else { return };
    for damage in &first.damaged {
        drop(damage.to_string());
    }
    // A handful of hosts says as much as thousands.
    if first.run.hosts.len() > 8 {
        return;
    }
    let before = json(&first.run, &first.records);
    assert_harmless("JSON", &before);
    let records = serde_json::to_vec(&first.records).expect("records are JSON");
    let run = serde_json::to_vec(&first.run).expect("a run is JSON");
    let records: Vec<seaworthy::record::Record> = serde_json::from_slice(&records).expect("records are read back");
    let run: RunFile = serde_json::from_slice(&run).expect("a run is read back");
    assert_eq!(before, json(&run, &records), "a replay says something else");
});

fn json(run: &RunFile, records: &[seaworthy::record::Record]) -> String {
    let report = seaworthy::fleet::report(run, records, &CHECKS);
    let mut out = Vec::new();
    report::write(Format::Json, &report, &PLAIN, &mut out).expect("memory can be written");
    String::from_utf8(out).expect("reports are UTF-8")
}
