//! How long each stage takes between a record and the table: `cargo bench --bench stages`.
//!
//! The times are those of a whole fleet of [`NODES`] nodes on one thread, so a stage's time divided by their number is what
//! a node costs. What must not grow unnoticed is counted by `benches/count`; this is to look closer.

mod fleet;

use divan::{Bencher, black_box};
use seaworthy::checks::{Checks, Subject};
use seaworthy::facts::cluster::{self, Member};
use seaworthy::facts::{self, NodeFacts};
use seaworthy::fleet::report;
use seaworthy::record::Record;
use seaworthy::report::model::Report;
use seaworthy::report::style::Style;
use seaworthy::report::{self as formats, Format};
use seaworthy::run::RunFile;
use seaworthy::verdict::Phase;

const NODES: usize = 200;

const STYLE: Style = Style { width: 120, color: false, unicode: true };

fn main() {
    divan::main();
}

fn facts() -> Vec<(Record, NodeFacts)> {
    fleet::records(NODES)
        .into_iter()
        .map(|record| {
            let facts = facts::parse(&record);
            (record, facts)
        })
        .collect()
}

fn judged() -> Report {
    let checks = Checks::built_in().expect("the program's own checks");
    let run = RunFile::new("sweep", std::time::SystemTime::UNIX_EPOCH, Vec::new(), Vec::new());
    report(&run, &fleet::records(NODES), &checks)
}

/// A saved record's JSON to a record.
#[divan::bench(sample_count = 10)]
fn read(bencher: Bencher<'_, '_>) {
    let texts: Vec<String> =
        fleet::records(NODES).iter().map(|record| serde_json::to_string(record).expect("JSON")).collect();
    bencher.bench_local(|| {
        for text in &texts {
            black_box(serde_json::from_str::<Record>(text).expect("a record"));
        }
    });
}

/// Records to facts.
#[divan::bench(sample_count = 10)]
fn parse(bencher: Bencher<'_, '_>) {
    let records = fleet::records(NODES);
    bencher.bench_local(|| {
        for record in &records {
            black_box(facts::parse(record));
        }
    });
}

/// Facts to findings, every check.
#[divan::bench(sample_count = 10)]
fn checks(bencher: Bencher<'_, '_>) {
    let facts = facts();
    let checks = Checks::built_in().expect("the program's own checks");
    let member = Member::default();
    bencher.bench_local(|| {
        for (record, facts) in &facts {
            let roles: Vec<_> = record.role.into_iter().collect();
            let subject = Subject { facts, phase: Some(Phase::Ready), roles: &roles, member: &member, failure: None };
            black_box(checks.evaluate(&subject));
        }
    });
}

/// What the nodes say about each other.
#[divan::bench(sample_count = 10)]
fn views(bencher: Bencher<'_, '_>) {
    let facts = facts();
    bencher
        .with_inputs(|| {
            cluster::split(facts.iter().map(|(record, facts)| (record.name.clone(), facts.clone())).collect())
        })
        .bench_local_values(|clusters| black_box(cluster::views(&clusters)));
}

/// Records to the report, with everything in between.
#[divan::bench(sample_count = 5)]
fn whole(bencher: Bencher<'_, '_>) {
    let checks = Checks::built_in().expect("the program's own checks");
    let run = RunFile::new("sweep", std::time::SystemTime::UNIX_EPOCH, Vec::new(), Vec::new());
    bencher
        .with_inputs(|| fleet::records(NODES))
        .bench_local_values(|records| black_box(report(&run, &records, &checks)));
}

/// The report to a format.
#[divan::bench(args = [Format::Table, Format::Json, Format::Html], sample_count = 10)]
fn render(bencher: Bencher<'_, '_>, format: Format) {
    let report = judged();
    bencher.bench_local(|| {
        let mut out = Vec::new();
        formats::write(format, &report, &STYLE, &mut out).expect("memory takes everything");
        black_box(out)
    });
}
