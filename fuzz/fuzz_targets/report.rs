//! Two nodes judged, and every report of them: nothing that a node sends acts on the reader's terminal.
#![no_main]

use std::time::SystemTime;

use clap::ValueEnum as _;
use libfuzzer_sys::fuzz_target;
use seaworthy::record::Record;
use seaworthy::report::style::Style;
use seaworthy::report::{self, Format, story};
use seaworthy::run::{PlannedHost, RunFile};
use seaworthy_fuzz::{CHECKS, PLAIN, assert_harmless, sections};

fuzz_target!(|data: &[u8]| {
    let (one, two) = seaworthy_fuzz::parted(data);
    let records = [one, two].map(sections::of).into_iter().filter(|sections| !sections.is_empty()).zip(["a1", "a2"]);
    let records: Vec<Record> = records.map(|(sections, name)| seaworthy_fuzz::record(name, sections)).collect();
    let planned = records.iter().map(|record| PlannedHost {
        name: record.name.clone(),
        groups: record.groups.clone(),
        role: record.role,
    });
    let mut run = RunFile::new("sweep", SystemTime::UNIX_EPOCH, planned.collect(), Vec::new());
    "20260101T000000Z-0000".clone_into(&mut run.id);
    let report = seaworthy::fleet::report(&run, &records, &CHECKS);
    // Two of the ten formats at a time, by the input's length: rendering all of them takes most of the time.
    for format in Format::value_variants().iter().skip(data.len() % 5).step_by(5) {
        let text = written(|out| report::write(*format, &report, &PLAIN, out));
        assert_harmless(&format!("{format:?}"), &text);
    }
    for width in [26, 60] {
        let narrow = Style { width, unicode: false, ..PLAIN };
        let text = written(|out| report::write(Format::Table, &report, &narrow, out));
        assert!(text.is_ascii(), "{text}");
        assert!(text.lines().all(|line| line.len() <= width), "wider than {width}:\n{text}");
    }
    for node in &report.nodes {
        let more = story::More::default();
        assert_harmless("story", &written(|out| story::write(&report, node, more, &PLAIN, out)));
    }
});

fn written(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).expect("memory can be written");
    String::from_utf8(out).expect("reports are UTF-8")
}
