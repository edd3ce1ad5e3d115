//! One inventory swept by several machines: which hosts a shard has, what a merge makes of them, and the Job of `docs/scale`.

mod bad_input;
mod job;
mod merged;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use seaworthy::demo::{Behaviour, Fleet, Plan, State};
use seaworthy::record::Record;
use seaworthy::run::{Part, RunFile, Saved, Writer};
use seaworthy::shard::Shard;

/// A home of its own for the binary.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn seaworthy(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seaworthy"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.seaworthy(arguments).output().unwrap()
    }
}

fn text(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{}\n--- stdout\n{out}\n--- stderr\n{err}", output.status)
}

/// A small cluster with something of everything: causes on one node that follow from another, nodes that cannot be read.
fn cluster() -> Plan {
    let answering = [
        State::ControlPlane,
        State::StorageNode,
        State::NoCni,
        State::ContainerdStopped,
        State::DiskFull,
        State::Prepared,
        State::WorkerNfs,
        State::WorkerEl10,
    ];
    let answering = answering.into_iter().chain(std::iter::repeat_n(State::Worker, 6));
    let failing = [(State::Worker, Behaviour::Unreachable), (State::Worker, Behaviour::RefuseKey)];
    Plan::of(7, answering.map(|state| (state, Behaviour::Answer)).chain(failing))
}

/// What one sweep over all nodes of [`cluster`] kept: read once, as a bundle is the same wherever it is split.
static WHOLE: LazyLock<Saved> = LazyLock::new(|| {
    let (fleet, place) = (Fleet::start(cluster()).unwrap(), Place::new());
    let inventory = fleet.inventory_path();
    let output = place.run(&["sweep", "-i", inventory.to_str().unwrap(), "--run-dir", "runs", "-o", "name"]);
    let run = seaworthy::run::find(&place.path().join("runs"), "last", None);
    Saved::load(&run.unwrap_or_else(|error| panic!("{error}: {}", text(&output)))).unwrap()
});

/// When the made-up runs begin.
const BEGAN: Duration = Duration::from_secs(1_700_000_000);

/// Writes a run as a sweep would have: `began` after [`BEGAN`], `took` long or cut off.
fn keep(runs: &Path, mut file: RunFile, records: &[Record]) -> PathBuf {
    let writer = Writer::create(runs, file.clone()).unwrap();
    for record in records {
        writer.save(record).unwrap();
    }
    let directory = writer.directory().to_owned();
    file.id.clone_from(&writer.file().id);
    writer.finish(&file).unwrap();
    directory
}

/// The whole run, from [`BEGAN`] on and as long as all shards of [`shard`] together.
fn whole(runs: &Path) -> PathBuf {
    let file = RunFile::new("sweep", SystemTime::UNIX_EPOCH + BEGAN, WHOLE.run.hosts.clone(), Vec::new());
    keep(runs, RunFile { duration_ms: Some(9_500), ..file }, &WHOLE.records)
}

/// One shard of the whole run. The first begins first, the last ends 9.5 s later.
fn shard(number: u32, count: u32) -> (RunFile, Vec<Record>) {
    let shard: Shard = format!("{number}/{count}").parse().unwrap();
    let own = WHOLE.run.hosts.iter().filter(|host| shard.owns(&host.name)).cloned().collect();
    let later = Duration::from_secs(if number == 1 { 0 } else { 4 });
    let mut file = RunFile::new("sweep", SystemTime::UNIX_EPOCH + BEGAN + later, own, Vec::new());
    file.duration_ms = Some(if number == count { 9_500 - u64::try_from(later.as_millis()).unwrap() } else { 5_000 });
    let probe = seaworthy::probe::fingerprint();
    file.part = Some(Part { shard, probe, whole: WHOLE.run.hosts.clone() });
    let records = WHOLE.records.iter().filter(|record| shard.owns(&record.name)).cloned().collect();
    (file, records)
}

/// All shards of the whole run, each in a directory of its own below `runs`.
fn shards(runs: &Path, count: u32) -> Vec<PathBuf> {
    let one = |number| {
        let (file, records) = shard(number, count);
        keep(runs, file, &records)
    };
    (1..=count).map(one).collect()
}

/// The nodes of a shard.
fn names(number: u32, count: u32) -> Vec<String> {
    shard(number, count).1.into_iter().map(|record| record.name).collect()
}

/// A shard that has nodes.
fn filled(count: u32) -> u32 {
    (1..=count).find(|number| names(*number, count).len() > 1).unwrap()
}

fn count(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn paths(directories: &[PathBuf]) -> Vec<&str> {
    directories.iter().map(|directory| directory.to_str().unwrap()).collect()
}
