//! One run made of the runs of all shards: the same hosts in the same order with the same records as one run over all of them.
//!
//! Judging is not done here, and no record is read before it is known from where each host's is taken: [`Merged::load_as`] then
//! reads them one by one as [`load_as`](super::load_as) does those of one run. What truly differs from one run over all hosts is
//! the id, which is new, and the time: the merged run began when the first shard did and ended when the last one did.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use thiserror::Error;

use super::saved::{record_of, unread};
use super::{Part, PlannedHost, RunError, RunFile};
use crate::failure::{Failure, FailureKind};
use crate::parallel;
use crate::record::Record;
use crate::shard::Shard;

/// A shard's run and where it lies.
#[derive(Debug)]
pub struct Piece {
    pub directory: PathBuf,
    pub run: RunFile,
}

/// What came of a merge.
#[derive(Debug)]
pub struct Merged {
    pub run: RunFile,
    /// Of each host of the run, in its order.
    origins: Vec<Origin>,
    /// Shards of which there is no run, with the number of their hosts.
    pub missing: Vec<(Shard, usize)>,
    /// Runs that were cut off and are part of the result: their hosts that were not done are unknown.
    pub cut_off: Vec<(Shard, PathBuf)>,
    /// Runs that were cut off and left out, as the same shard was run again to its end.
    pub superseded: Vec<(Shard, PathBuf)>,
}

/// Where a host's record comes from.
#[derive(Debug)]
enum Origin {
    Run(Arc<Path>),
    /// There is no run of its shard.
    Missing(Shard),
}

impl Merged {
    /// What becomes of each host's record, in the order of the run, and the files that could not be read.
    pub fn load_as<T: Send>(&self, make: impl Fn(Record) -> T + Sync) -> (Vec<T>, Vec<RunError>) {
        let hosts: Vec<(&PlannedHost, &Origin)> = self.run.hosts.iter().zip(&self.origins).collect();
        let read = parallel::map(&hosts, |(host, origin)| {
            let (record, damage) = match origin {
                Origin::Run(directory) => record_of(directory, host),
                Origin::Missing(shard) => (unread(host, no_shard(*shard)), None),
            };
            (make(record), damage)
        });
        let (records, damaged): (Vec<T>, Vec<Option<RunError>>) = read.into_iter().unzip();
        (records, damaged.into_iter().flatten().collect())
    }
}

/// What is not the same in two runs that should be parts of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    Version,
    Probe,
    Command,
    Target,
    Shards,
    /// The inventory or the limit, with the first host that tells.
    Hosts(String),
}

/// Why runs are no parts of one run.
#[derive(Debug, Error)]
pub enum MergeError {
    #[error("none of these runs can be read")]
    Nothing,
    #[error("{directory} is no shard: it was made without --shard and is whole; print it with --from", directory = .0.display())]
    Whole(PathBuf),
    #[error("{first} and {second} are the same run ({id}); name it once", first = first.display(), second = second.display())]
    Twice { id: String, first: PathBuf, second: PathBuf },
    #[error(
        "{first} and {second} are both shard {shard}, and {both}; name one of them",
        first = first.display(), second = second.display(), both = if *ended { "both ended" } else { "both were cut off" }
    )]
    SameShard { shard: Shard, first: PathBuf, second: PathBuf, ended: bool },
    #[error("{host} is in {first} and in {second}: these shards overlap", first = first.display(), second = second.display())]
    Overlap { host: String, first: PathBuf, second: PathBuf },
    #[error("{host} is in {directory}, but is none of the hosts that its shards are of", directory = directory.display())]
    Stranger { host: String, directory: PathBuf },
    #[error("{first} and {second} are no parts of one run: {difference}", first = first.display(), second = second.display())]
    Differ { first: PathBuf, second: PathBuf, difference: Differ },
}

/// A difference with both sides in words.
#[derive(Debug)]
pub struct Differ {
    pub what: Difference,
    pub sides: [String; 2],
}

impl fmt::Display for Differ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = &self.sides;
        match &self.what {
            Difference::Version => write!(f, "seaworthy {first} made one and {second} the other"),
            Difference::Probe => {
                write!(f, "their probes differ ({first}, {second}): two builds of seaworthy made them")
            }
            Difference::Command => write!(f, "one is a {first} and the other a {second}"),
            Difference::Target => write!(f, "one measures by {first} and the other by {second}"),
            Difference::Shards => write!(f, "one is of {first} shards and the other of {second}"),
            Difference::Hosts(host) => write!(
                f,
                "their inventories or limits differ, first at {host} (hosts in all: {first} and {second}); \
                 run all shards with the same inventory and --limit"
            ),
        }
    }
}

/// A merge under way. Runs are added one by one, so that only one of them is held with the names of all shards' hosts.
#[derive(Debug, Default)]
pub struct Merge {
    /// The first run without its hosts, and what all others are held against.
    first: Option<(PathBuf, RunFile, Part)>,
    chosen: BTreeMap<Shard, (PathBuf, RunFile)>,
    /// By their ids.
    seen: BTreeMap<String, PathBuf>,
    superseded: Vec<(Shard, PathBuf)>,
}

impl Merge {
    /// Takes one shard's run. A run that was cut off gives way to one of the same shard that ended.
    pub fn add(&mut self, piece: Piece) -> Result<(), MergeError> {
        let Piece { directory, mut run } = piece;
        let Some(part) = run.part.take() else { return Err(MergeError::Whole(directory)) };
        if let Some(first) = self.seen.insert(run.id.clone(), directory.clone()) {
            return Err(MergeError::Twice { id: run.id, first, second: directory });
        }
        let shard = part.shard;
        if let Some((first, other, known)) = &self.first {
            same((other, known), (&run, &part)).map_err(|difference| {
                let (first, second) = (first.clone(), directory.clone());
                MergeError::Differ { first, second, difference }
            })?;
        } else {
            let first = RunFile { hosts: Vec::new(), ..run.clone() };
            self.first = Some((directory.clone(), first, part));
        }
        let ended = run.duration_ms.is_some();
        let Some((other, earlier)) = self.chosen.remove(&shard) else {
            self.chosen.insert(shard, (directory, run));
            return Ok(());
        };
        let (kept, left) = match (earlier.duration_ms.is_some(), ended) {
            (true, false) => ((other, earlier), directory),
            (false, true) => ((directory, run), other),
            (ended, _) => return Err(MergeError::SameShard { shard, first: other, second: directory, ended }),
        };
        self.chosen.insert(shard, kept);
        self.superseded.push((shard, left));
        Ok(())
    }

    /// Puts the runs together. `now` is the time in the new run's id.
    pub fn finish(self, now: SystemTime) -> Result<Merged, MergeError> {
        let Self { first, chosen, superseded, .. } = self;
        let Some((_, first, Part { shard, whole, .. })) = first else { return Err(MergeError::Nothing) };
        let count = shard.count();
        let files: Vec<&RunFile> = chosen.values().map(|(_, run)| run).collect();
        let run = whole_run(&first, &files, whole, now);
        let names: BTreeSet<&str> = run.hosts.iter().map(|host| host.name.as_str()).collect();
        let mut missing: BTreeMap<Shard, usize> =
            Shard::all(count).filter(|shard| !chosen.contains_key(shard)).map(|shard| (shard, 0)).collect();
        let mut directories: BTreeMap<String, Arc<Path>> = BTreeMap::new();
        let mut cut_off = Vec::new();
        for (shard, (directory, run)) in chosen {
            if run.duration_ms.is_none() {
                cut_off.push((shard, directory.clone()));
            }
            let directory: Arc<Path> = directory.into();
            for PlannedHost { name: host, .. } in run.hosts {
                if !names.contains(host.as_str()) {
                    return Err(MergeError::Stranger { host, directory: directory.to_path_buf() });
                }
                if let Some(first) = directories.insert(host.clone(), Arc::clone(&directory)) {
                    let (first, second) = (first.to_path_buf(), directory.to_path_buf());
                    return Err(MergeError::Overlap { host, first, second });
                }
            }
        }
        let origin = |host: &PlannedHost| {
            if let Some(directory) = directories.remove(&host.name) {
                return Origin::Run(directory);
            }
            let shard = Shard::of(&host.name, count);
            *missing.entry(shard).or_default() += 1;
            Origin::Missing(shard)
        };
        let origins = run.hosts.iter().map(origin).collect();
        let missing = missing.into_iter().collect();
        Ok(Merged { run, origins, missing, cut_off, superseded })
    }
}

fn no_shard(shard: Shard) -> Failure {
    let message = format!("its shard {shard} is not among the merged runs");
    let next = format!("run that shard (--shard {shard}), and merge again");
    Failure::new(FailureKind::ShardMissing, message, next)
}

/// What the run of all hosts says of itself.
fn whole_run(first: &RunFile, files: &[&RunFile], whole: Vec<PlannedHost>, now: SystemTime) -> RunFile {
    let began = |file: &RunFile| file.started.parse::<jiff::Timestamp>().ok();
    let ended = |file: &RunFile| {
        let took = i64::try_from(file.duration_ms?).ok()?;
        began(file)?.checked_add(jiff::SignedDuration::from_millis(took)).ok()
    };
    let start = files.iter().filter_map(|file| began(file)).min();
    let end = files.iter().filter_map(|file| ended(file)).max();
    let took = start.zip(end).map(|(start, end)| end.duration_since(start).as_millis());
    // Where they were read from differs between machines; one that is not the same for all cannot be read again from here.
    let sources =
        if files.iter().all(|file| file.sources == first.sources) { first.sources.clone() } else { Vec::new() };
    let started = start.map_or_else(|| first.started.clone(), |start| start.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    RunFile {
        version: first.version.clone(),
        started,
        duration_ms: Some(took.and_then(|took| u64::try_from(took).ok()).unwrap_or(0)),
        target: first.target,
        ..RunFile::new(&first.command, now, whole, sources)
    }
}

/// Whether two runs can be parts of one.
fn same((one, part): (&RunFile, &Part), (other, other_part): (&RunFile, &Part)) -> Result<(), Differ> {
    let target = |run: &RunFile| run.target.map_or_else(|| "no version".to_owned(), |target| target.to_string());
    let pairs = [
        (Difference::Version, [one.version.clone(), other.version.clone()]),
        (Difference::Probe, [part.probe.clone(), other_part.probe.clone()]),
        (Difference::Command, [one.command.clone(), other.command.clone()]),
        (Difference::Target, [target(one), target(other)]),
        (Difference::Shards, [part.shard.count().to_string(), other_part.shard.count().to_string()]),
    ];
    for (what, sides) in pairs {
        if sides[0] != sides[1] {
            return Err(Differ { what, sides });
        }
    }
    let (whole, other_whole) = (&part.whole, &other_part.whole);
    if whole == other_whole {
        return Ok(());
    }
    let differs = whole.iter().zip(other_whole).find(|(one, other)| one != other).map(|(one, _)| one);
    let longer = if whole.len() > other_whole.len() { whole } else { other_whole };
    let host = differs.or_else(|| longer.get(whole.len().min(other_whole.len())));
    let what = Difference::Hosts(host.map(|host| host.name.clone()).unwrap_or_default());
    Err(Differ { what, sides: [whole.len().to_string(), other_whole.len().to_string()] })
}
