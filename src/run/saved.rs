//! Reading runs back: which one is meant, and what of it can still be read.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{PlannedHost, RECORD_LIMIT, RUN_SCHEMA, RunError, RunFile, file_name};
use crate::failure::{Failure, FailureKind};
use crate::parallel;
use crate::record::{RECORD_SCHEMA, Record};

/// A run read back: every host that was asked for has a record, made up if need be.
#[derive(Debug)]
pub struct Saved {
    pub run: RunFile,
    /// In the order of `run.hosts`.
    pub records: Vec<Record>,
    /// Files that could not be read, with the reason; their hosts are shown as not read.
    pub damaged: Vec<RunError>,
}

impl Saved {
    /// Reads a run directory. A damaged record costs that host only.
    pub fn load(directory: &Path) -> Result<Self, RunError> {
        let (run, records, damaged) = load_as(directory, |record| record)?;
        Ok(Self { run, records, damaged })
    }
}

/// The run, what became of each record, in the order of `run.hosts`, and the files that could not be read.
pub type Loaded<T> = (RunFile, Vec<T>, Vec<RunError>);

/// The same as [`Saved::load`], with each record made into something else as soon as it is read: the texts of ten thousand
/// nodes need not be in memory at once.
pub fn load_as<T: Send>(directory: &Path, make: impl Fn(Record) -> T + Sync) -> Result<Loaded<T>, RunError> {
    let run = read_file(directory)?;
    let read = parallel::map(&run.hosts, |host| {
        let (record, damage) = record_of(directory, host);
        (make(record), damage)
    });
    let (records, damaged): (Vec<T>, Vec<Option<RunError>>) = read.into_iter().unzip();
    Ok((run, records, damaged.into_iter().flatten().collect()))
}

/// What a run directory says of its run.
pub fn read_file(directory: &Path) -> Result<RunFile, RunError> {
    read_versioned(&directory.join("run.json"), RUN_SCHEMA, |run: &RunFile| run.schema)
}

/// The record of one of the run's hosts, made up where there is none, and what is wrong with its file.
pub(super) fn record_of(directory: &Path, host: &PlannedHost) -> (Record, Option<RunError>) {
    let path = directory.join("hosts").join(file_name(&host.name));
    let again = "sweep it again with --rerun unreachable";
    let lost = |kind, why: &str| unread(host, Failure::new(kind, why, again));
    match read_record(&path) {
        Ok(record) if record.name == host.name => (record, None),
        Ok(record) => {
            let reason = format!("it is about {:?}, not {:?}", record.name, host.name);
            let damage = RunError::Malformed { path, reason };
            (lost(FailureKind::Protocol, "its saved record is about another host"), Some(damage))
        }
        Err(RunError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            (lost(FailureKind::Interrupted, "the run ended before this host was done"), None)
        }
        Err(damage) => (lost(FailureKind::Protocol, "its saved record cannot be read"), Some(damage)),
    }
}

/// The record of a host about which nothing is known but the reason.
pub fn unread(host: &PlannedHost, failure: Failure) -> Record {
    Record { failure: Some(failure), ..Record::blank(host.name.clone(), host.groups.clone(), host.role) }
}

pub(super) fn read_record(path: &Path) -> Result<Record, RunError> {
    read_versioned(path, RECORD_SCHEMA, |record: &Record| record.schema)
}

/// A document that says by which version of its schema it was written. One of a newer version is refused, whether it still looks
/// like one of ours or not: what it means may have changed.
fn read_versioned<T: DeserializeOwned>(path: &Path, known: u32, schema: impl Fn(&T) -> u32) -> Result<T, RunError> {
    #[derive(Deserialize)]
    struct Version {
        schema: u32,
    }
    let text = read_bounded(path)?;
    let read = serde_json::from_str::<T>(&text);
    let found = match &read {
        Ok(value) => Some(schema(value)),
        Err(_) => serde_json::from_str::<Version>(&text).ok().map(|version| version.schema),
    };
    match found {
        Some(found) if found > known => Err(RunError::Newer { path: path.to_owned(), found, known }),
        Some(_) | None => {
            read.map_err(|error| RunError::Malformed { path: path.to_owned(), reason: error.to_string() })
        }
    }
}

fn read_bounded(path: &Path) -> Result<String, RunError> {
    let read = || -> io::Result<String> {
        if fs::metadata(path)?.len() > RECORD_LIMIT {
            return Err(io::Error::other(format!("larger than {} MiB", RECORD_LIMIT >> 20)));
        }
        fs::read_to_string(path)
    };
    read().map_err(|source| RunError::Read { path: path.to_owned(), source })
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, RunError> {
    let text = read_bounded(path)?;
    serde_json::from_str(&text)
        .map_err(|error| RunError::Malformed { path: path.to_owned(), reason: error.to_string() })
}

/// Whether a run directory is one shard's; `None` when it cannot be read.
pub fn is_shard(directory: &Path) -> Option<bool> {
    let run: RunFile = read_json(&directory.join("run.json")).ok()?;
    Some(run.part.is_some())
}

/// What a run directory says of its command. Of a newer version's run this is understood, too: the `last` run must not be an older one
/// in silence.
#[derive(Deserialize)]
struct Command {
    command: String,
}

/// The directory of the run that the user means: a path, an id, the unambiguous beginning of one, or `last`.
///
/// `last` is the newest run of `command`, or of any command when that is `None`.
pub fn find(runs: &Path, wanted: &str, command: Option<&str>) -> Result<PathBuf, RunError> {
    let as_path = Path::new(wanted);
    if as_path.join("run.json").is_file() {
        return Ok(as_path.to_owned());
    }
    let known = list(runs)?;
    if wanted == "last" {
        let newest = known.iter().rev().map(|id| runs.join(id)).find(|directory| {
            command.is_none_or(|command| {
                read_json::<Command>(&directory.join("run.json")).is_ok_and(|run| run.command == command)
            })
        });
        return newest.ok_or_else(|| RunError::NotFound {
            wanted: wanted.to_owned(),
            directory: runs.to_owned(),
            hint: ": nothing was swept yet".to_owned(),
        });
    }
    let matching: Vec<&String> = known.iter().filter(|id| !wanted.is_empty() && id.starts_with(wanted)).collect();
    match matching[..] {
        [id] => Ok(runs.join(id)),
        [] => Err(RunError::NotFound {
            wanted: wanted.to_owned(),
            directory: runs.to_owned(),
            hint: known.last().map(|id| format!("; the newest is {id}")).unwrap_or_default(),
        }),
        [first, .., last] => Err(RunError::NotFound {
            wanted: wanted.to_owned(),
            directory: runs.to_owned(),
            hint: format!(": {} runs begin like that, {first} to {last}", matching.len()),
        }),
    }
}

/// The ids of all runs, oldest first.
pub fn list(runs: &Path) -> Result<Vec<String>, RunError> {
    let entries = match fs::read_dir(runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(RunError::Read { path: runs.to_owned(), source }),
    };
    // Ids begin with the time, to the second; within a second the file's own time decides.
    let mut found = BTreeMap::new();
    for entry in entries.flatten() {
        let marker = entry.path().join("run.json");
        if let (Ok(metadata), Ok(name)) = (fs::metadata(marker), entry.file_name().into_string()) {
            // It is being deleted.
            if name.starts_with('.') {
                continue;
            }
            let second = name.split('-').next().unwrap_or_default().to_owned();
            found.insert((second, metadata.modified().ok(), name.clone()), name);
        }
    }
    Ok(found.into_values().collect())
}
