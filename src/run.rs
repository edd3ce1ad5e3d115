//! The run directory: what a run leaves behind, one record per host, written as it arrives.
//!
//! ```text
//! $XDG_STATE_HOME/seaworthy/runs/20261122T090102Z-1f3a/
//!     run.json            what was asked, when, of which hosts; rewritten when the run ends
//!     hosts/<name>.json   one record per host, renamed into place when it is whole
//! ```
//!
//! The run of one shard lies in a directory like any other; [`merge`] makes one run of all of them, and [`old`] deletes those that
//! are not to be kept for longer.
//!
//! What a later version adds to these files, an earlier one passes over; a new number in `schema` means that it must not.
//!
//! A crash, a full disk or a second Ctrl-C loses at most the hosts that were still on the way: [`Saved::load`] names them.
//! This module knows nothing of SSH and judges nothing.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::record::Record;
use crate::shard::Shard;
use crate::target::Role;
use crate::upgrade::version::Target;

pub mod merge;
pub mod old;
mod saved;

pub use saved::{Loaded, Saved, find, is_shard, list, load_as, read_file, unread};

/// The version of `run.json`; a reader refuses a newer one.
pub const RUN_SCHEMA: u32 = 1;

/// The largest record that is read back: a hand-edited or corrupt file must not fill the memory.
const RECORD_LIMIT: u64 = 64 << 20;

/// `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFile {
    pub schema: u32,
    pub id: String,
    /// The version of the program that made it.
    pub version: String,
    /// The subcommand that made it.
    pub command: String,
    /// RFC 3339, UTC.
    pub started: String,
    /// `None` as long as the run goes on, and for ever if it was killed.
    pub duration_ms: Option<u64>,
    /// Every host that was asked for, in the inventory's order.
    pub hosts: Vec<PlannedHost>,
    /// The inventory's sources, for `--rerun` from anywhere; empty when one of them cannot be read again.
    #[serde(default)]
    pub sources: Vec<String>,
    /// The version to upgrade to that the nodes were measured by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Set when `hosts` are only one part of those that were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// Set when it is one of many that `--every` made: the time from the start of one to the start of the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_ms: Option<u64>,
}

/// Which part of a sweep a run is, and all that must be the same in the other parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    pub shard: Shard,
    /// [`probe::fingerprint`](crate::probe::fingerprint) of the program that made it.
    pub probe: String,
    /// The hosts of all parts, in the inventory's order: what is missing when a part is, and how they are put in order again.
    pub whole: Vec<PlannedHost>,
}

impl RunFile {
    /// A run that begins now; its id is made of the time and a little chance.
    pub fn new(command: &str, started: SystemTime, hosts: Vec<PlannedHost>, sources: Vec<String>) -> Self {
        let stamp = jiff::Timestamp::try_from(started).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        Self {
            schema: RUN_SCHEMA,
            id: new_id(stamp),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: command.to_owned(),
            started: stamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            duration_ms: None,
            hosts,
            sources,
            target: None,
            part: None,
            every_ms: None,
        }
    }
}

fn new_id(stamp: jiff::Timestamp) -> String {
    format!("{}-{:04x}", stamp.strftime("%Y%m%dT%H%M%SZ"), rand::random::<u16>())
}

/// A host that the run set out to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedHost {
    pub name: String,
    pub groups: Vec<String>,
    pub role: Option<Role>,
}

/// What can go wrong with a run directory. None of it stops a sweep: the result is still printed.
#[derive(Debug, Error)]
pub enum RunError {
    #[error("no state directory: neither XDG_STATE_HOME nor HOME is set; name one with --run-dir, or pass --no-save")]
    NoStateDirectory,
    #[error("cannot write {path}: {source}; the result is printed all the same, but not kept")]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is not a saved run: {reason}")]
    Malformed { path: PathBuf, reason: String },
    #[error(
        "{path} was written by a newer seaworthy (schema {found}, this one reads up to {known}); upgrade seaworthy to read it"
    )]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error("cannot delete the old run {path}: {source}; delete it by hand, or give this user the right to")]
    Delete { path: PathBuf, source: io::Error },
    #[error("no run {wanted:?} in {directory}{hint}")]
    NotFound { wanted: String, directory: PathBuf, hint: String },
}

/// Where runs are kept: `--run-dir`, else the XDG state directory.
pub fn runs_directory(flag: Option<&Path>, xdg_state: Option<&Path>, home: Option<&Path>) -> Result<PathBuf, RunError> {
    if let Some(path) = flag {
        return Ok(path.to_owned());
    }
    let absolute = |path: &&Path| path.is_absolute();
    if let Some(state) = xdg_state.filter(absolute) {
        return Ok(state.join("seaworthy/runs"));
    }
    home.filter(absolute).map(|home| home.join(".local/state/seaworthy/runs")).ok_or(RunError::NoStateDirectory)
}

/// A run that is being written.
#[derive(Debug)]
pub struct Writer {
    directory: PathBuf,
    file: RunFile,
}

impl Writer {
    /// Makes a new directory below `runs`, readable by its owner only. Two runs at once get two directories: an id that is
    /// taken is changed.
    pub fn create(runs: &Path, mut file: RunFile) -> Result<Self, RunError> {
        let write_error = |path: &Path, source| RunError::Write { path: path.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(runs).map_err(|e| write_error(runs, e))?;
        loop {
            let directory = runs.join(&file.id);
            match fs::DirBuilder::new().mode(0o700).create(&directory) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let (time, _) = file.id.split_once('-').unwrap_or((&file.id, ""));
                    file.id = format!("{time}-{:04x}", rand::random::<u16>());
                }
                Err(error) => return Err(write_error(&directory, error)),
                Ok(()) => {
                    let writer = Self { directory, file };
                    return match writer.begin() {
                        Ok(()) => Ok(writer),
                        // On a full disk each further try would leave one more directory that is no run.
                        Err(error) => Err(writer.discard(error)),
                    };
                }
            }
        }
    }

    fn begin(&self) -> Result<(), RunError> {
        let records = self.directory.join("hosts");
        let made = fs::DirBuilder::new().mode(0o700).create(&records);
        made.map_err(|source| RunError::Write { path: records, source })?;
        replace_with_json(&self.directory.join("run.json"), &self.file)
    }

    /// Gives up a run that could not be kept whole, because of `error`: what was written of it goes.
    #[must_use]
    pub fn discard(&self, error: RunError) -> RunError {
        // Whatever is left cannot be helped: the disk has failed already.
        let _ = fs::remove_dir_all(&self.directory);
        error
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What the directory says of the run, its final id included.
    pub const fn file(&self) -> &RunFile {
        &self.file
    }

    /// Writes one host's record; afterwards it is there whole, or not at all.
    pub fn save(&self, record: &Record) -> Result<(), RunError> {
        let path = self.directory.join("hosts").join(file_name(&record.name));
        replace_with_json(&path, record)
    }

    /// Writes what came to be known of a host after its record was saved.
    pub fn amend(&self, host: &str, change: impl FnOnce(&mut Record)) -> Result<(), RunError> {
        let mut record = saved::read_record(&self.directory.join("hosts").join(file_name(host)))?;
        change(&mut record);
        self.save(&record)
    }

    /// Notes that the run ended.
    pub fn finish(&self, file: &RunFile) -> Result<(), RunError> {
        replace_with_json(&self.directory.join("run.json"), file)
    }
}

/// Notes that a run which was taken up again ended: how long it took is what it took before and now.
pub fn note_more_time(directory: &Path, file: &RunFile, took: Duration) -> Result<(), RunError> {
    let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let duration_ms = Some(file.duration_ms.unwrap_or(0).saturating_add(took));
    replace_with_json(&directory.join("run.json"), &RunFile { duration_ms, ..file.clone() })
}

/// Writes beside `path` and renames, so that a reader sees the old content or the new one.
fn replace_with_json(path: &Path, value: &impl Serialize) -> Result<(), RunError> {
    let temporary = path.with_extension("tmp");
    let write = || -> io::Result<()> {
        let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        let mut out = io::BufWriter::new(file);
        serde_json::to_writer(&mut out, value)?;
        out.write_all(b"\n")?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?;
        fs::rename(&temporary, path)
    };
    write().map_err(|source| {
        // Half a file would only take up the space that is missing.
        let _ = fs::remove_file(&temporary);
        RunError::Write { path: path.to_owned(), source }
    })
}

/// A host's file name: its own name, with everything but letters, digits, `.`, `-` and `_` as `%XX`. A leading dot and
/// very long names are changed too, so that every name gives a visible file of its own.
fn file_name(host: &str) -> String {
    use std::fmt::Write as _;

    use sha2::Digest as _;

    let mut name = String::with_capacity(host.len() + 5);
    for (at, byte) in host.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || (byte == b'.' && at > 0) {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "%{byte:02X}");
        }
    }
    if name.len() > 200 {
        let digest = sha2::Sha256::digest(host.as_bytes());
        name.truncate(150);
        name.push('~');
        for byte in &digest[..12] {
            let _ = write!(name, "{byte:02x}");
        }
    }
    name.push_str(".json");
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Failure, FailureKind};

    fn host(name: &str) -> PlannedHost {
        PlannedHost { name: name.to_owned(), groups: vec!["workers".to_owned()], role: Some(Role::Worker) }
    }

    fn record(name: &str) -> Record {
        let mut record = unread(&host(name), Failure::new(FailureKind::Dns, "no such name", "fix it"));
        record.timings.dns_ms = Some(12.345);
        record
    }

    #[test]
    fn a_run_that_is_taken_up_again_took_both_times() {
        let runs = tempfile::tempdir().unwrap();
        let file = RunFile::new("run", SystemTime::UNIX_EPOCH, vec![host("a")], vec![]);
        let writer = Writer::create(runs.path(), file).unwrap();
        let (directory, mut file) = (writer.directory().to_owned(), writer.file().clone());
        for expected in [1500, 3000] {
            note_more_time(&directory, &file, Duration::from_millis(1500)).unwrap();
            file = Saved::load(&directory).unwrap().run;
            assert_eq!(file.duration_ms, Some(expected));
        }
    }

    #[test]
    fn a_saved_run_reads_back_as_it_was() {
        let runs = tempfile::tempdir().unwrap();
        let mut file = RunFile::new("sweep", SystemTime::UNIX_EPOCH, vec![host("a"), host("b/../c")], vec![]);
        file.target = "1.35".parse().ok();
        let writer = Writer::create(runs.path(), file.clone()).unwrap();
        let other = Writer::create(runs.path(), RunFile { command: "exec".to_owned(), ..file.clone() }).unwrap();
        assert_ne!(other.directory(), writer.directory(), "two runs of one second are two runs");
        fs::remove_dir_all(other.directory()).unwrap();
        let directory = writer.directory().to_owned();
        writer.save(&record("b/../c")).unwrap();
        writer.save(&record("a")).unwrap();
        file.duration_ms = Some(1234);
        writer.finish(&file).unwrap();

        let saved = Saved::load(&directory).unwrap();
        assert_eq!(saved.records, [record("a"), record("b/../c")]);
        assert_eq!((saved.run.duration_ms, saved.run.target), (Some(1234), file.target));
        assert!(saved.damaged.is_empty());
        assert_eq!(find(runs.path(), "last", Some("sweep")).unwrap(), directory);
        assert_eq!(find(runs.path(), "19700101", None).unwrap(), directory);
        assert!(matches!(find(runs.path(), "last", Some("exec")), Err(RunError::NotFound { .. })));
    }

    #[test]
    fn a_missing_or_damaged_record_costs_its_own_host_only() {
        let runs = tempfile::tempdir().unwrap();
        let hosts = ["good", "missing", "cut", "newer", "swapped"].map(host);
        let writer =
            Writer::create(runs.path(), RunFile::new("sweep", SystemTime::now(), hosts.to_vec(), vec![])).unwrap();
        writer.save(&record("good")).unwrap();
        let at = |name: &str| writer.directory().join("hosts").join(file_name(name));
        fs::write(at("cut"), "{\"schema\":1,\"na").unwrap();
        fs::write(at("newer"), "{\"schema\":99,\"answer\":42}").unwrap();
        fs::write(at("swapped"), serde_json::to_string(&record("good")).unwrap()).unwrap();

        let saved = Saved::load(writer.directory()).unwrap();
        let kinds: Vec<_> = saved.records.iter().map(|r| (&*r.name, r.failure.as_ref().unwrap().kind)).collect();
        assert_eq!(
            kinds,
            [
                ("good", FailureKind::Dns),
                ("missing", FailureKind::Interrupted),
                ("cut", FailureKind::Protocol),
                ("newer", FailureKind::Protocol),
                ("swapped", FailureKind::Protocol),
            ]
        );
        assert_eq!(saved.damaged.len(), 3);
        assert!(saved.damaged.iter().any(|e| matches!(e, RunError::Newer { found: 99, .. })), "{:?}", saved.damaged);
    }

    #[test]
    fn names_become_distinct_harmless_file_names() {
        let long = "x".repeat(300);
        let names = ["a", ".a", "../a", "a/b", "a%2Fb", "A", "", "ä", "node[1]", &long, &format!("{long}y")];
        let files: std::collections::BTreeSet<String> = names.iter().map(|name| file_name(name)).collect();
        assert_eq!(files.len(), names.len(), "{files:?}");
        for file in &files {
            assert!(!file.contains('/') && file.len() < 250 && (!file.starts_with('.') || file == ".json"), "{file}");
        }
    }

    #[test]
    fn a_newer_run_file_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let run = RunFile {
            schema: RUN_SCHEMA + 1,
            id: "x".into(),
            version: "9".into(),
            command: "sweep".into(),
            started: String::new(),
            duration_ms: None,
            hosts: vec![],
            sources: vec![],
            target: None,
            part: None,
            every_ms: None,
        };
        fs::write(directory.path().join("run.json"), serde_json::to_string(&run).unwrap()).unwrap();
        assert!(matches!(Saved::load(directory.path()), Err(RunError::Newer { .. })));
    }

    #[test]
    fn the_state_directory_follows_xdg() {
        let path = |p: &'static str| Some(Path::new(p));
        assert_eq!(runs_directory(path("here"), path("/s"), path("/h")).unwrap(), Path::new("here"));
        assert_eq!(runs_directory(None, path("/s"), path("/h")).unwrap(), Path::new("/s/seaworthy/runs"));
        assert_eq!(
            runs_directory(None, path("relative"), path("/h")).unwrap(),
            Path::new("/h/.local/state/seaworthy/runs")
        );
        assert!(matches!(runs_directory(None, None, None), Err(RunError::NoStateDirectory)));
    }
}
