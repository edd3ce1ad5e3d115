//! Deleting old runs, so that a runs directory does not fill the disk: the newest so many stay, and those that are young enough.
//!
//! Only like is counted with like: runs of one command, of one shard, and either those that `--every` makes or those that somebody
//! made one by one. What is not surely such a run stays: one without its end (it may be going on), one of a newer version, one whose
//! directory was renamed or holds anything but the run (the journal of a change, somebody's notes), a link.
//!
//! A run goes in two steps: its directory is renamed to `.ID.deleted`, so that nobody reads half a run, and then deleted. What
//! a program that was killed left of that, the next one deletes.

use std::collections::BTreeMap;
use std::fs::{self, DirEntry};
use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::saved::read_json;
use super::{RUN_SCHEMA, RunError, RunFile};
use crate::shard::Shard;

/// How many runs of one kind are kept, and for how long; `None` for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// The newest so many, the one that was just written included.
    pub runs: Option<NonZeroU32>,
    /// Since they began.
    pub age: Option<Duration>,
}

/// What became of the old runs.
#[derive(Debug, Default)]
pub struct Swept {
    pub deleted: usize,
    /// Those that could not be deleted; they are tried again the next time.
    pub failed: Vec<RunError>,
}

/// Deletes old runs, and remembers from one time to the next what lies in the directory: a run that has ended is read once.
#[derive(Debug, Default)]
pub struct Broom {
    known: BTreeMap<String, Content>,
}

/// What a directory below the runs directory is.
#[derive(Debug)]
enum Content {
    Run(Old),
    /// Nothing that is deleted.
    Other,
}

/// A run that has ended.
#[derive(Debug, Clone, PartialEq)]
struct Old {
    kind: Kind,
    started: Timestamp,
    /// When its end was noted: decides between runs that began in the same second.
    ended: SystemTime,
}

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kind {
    command: String,
    shard: Option<Shard>,
    made: Made,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// By somebody, or by a timer.
    OneByOne,
    /// By `--every`.
    InRounds,
}

impl Kind {
    fn new(command: &str, shard: Option<Shard>, every_ms: Option<u64>) -> Self {
        let made = if every_ms.is_some() { Made::InRounds } else { Made::OneByOne };
        Self { command: command.to_owned(), shard, made }
    }

    fn of(run: &RunFile) -> Self {
        Self::new(&run.command, run.part.as_ref().map(|part| part.shard), run.every_ms)
    }
}

impl Broom {
    /// Deletes what is too old of the runs that are like `own`, which itself stays. `now` is this machine's clock.
    pub fn sweep(&mut self, runs: &Path, own: &RunFile, bound: Bound, now: SystemTime) -> Swept {
        let mut swept = Swept::default();
        if bound.runs.is_none() && bound.age.is_none() {
            return swept;
        }
        let entries = match fs::read_dir(runs) {
            Ok(entries) => entries,
            // Where no run could be kept, there is none to delete.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return swept,
            Err(source) => {
                swept.failed.push(RunError::Read { path: runs.to_owned(), source });
                return swept;
            }
        };
        let mut found = BTreeMap::new();
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            // Does not follow links.
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if is_leftover(&name) {
                swept.failed.extend(delete(&entry.path()).err());
                continue;
            }
            if let Some(content) = self.known.remove(&name).or_else(|| examine(&entry, &name)) {
                found.insert(name, content);
            }
        }
        self.known = found;
        let kind = Kind::of(own);
        let like: Vec<(&str, &Old)> = self
            .known
            .iter()
            .filter_map(|(name, content)| match content {
                Content::Run(old) if old.kind == kind => Some((name.as_str(), old)),
                Content::Run(_) | Content::Other => None,
            })
            .collect();
        for name in too_old(like, &own.id, bound, now) {
            match put_away(runs, &name) {
                Ok(Gone::Deleted) => {
                    swept.deleted += 1;
                    self.known.remove(&name);
                }
                // It is somebody's own by now.
                Ok(Gone::Kept) => {
                    self.known.insert(name, Content::Other);
                }
                Err(error) => swept.failed.push(error),
            }
        }
        swept
    }
}

/// Which of these runs go, by the names of their directories.
fn too_old(mut like: Vec<(&str, &Old)>, own: &str, bound: Bound, now: SystemTime) -> Vec<String> {
    like.sort_by_key(|(_, old)| std::cmp::Reverse((old.started, old.ended)));
    let most = bound.runs.and_then(|runs| usize::try_from(runs.get()).ok()).unwrap_or(usize::MAX);
    let now = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH);
    let age = bound.age.and_then(|age| SignedDuration::try_from(age).ok());
    let has_own = like.iter().any(|(name, _)| *name == own);
    // The own run counts, wherever the clock puts it.
    let most = most - usize::from(has_own);
    let others = like.into_iter().filter(|(name, _)| *name != own).enumerate();
    let gone = others
        .filter(|(place, (_, old))| *place >= most || age.is_some_and(|age| now.duration_since(old.started) > age));
    gone.map(|(_, (name, _))| name.to_owned()).collect()
}

/// `None` for what may still become a run that has ended.
fn examine(entry: &DirEntry, name: &str) -> Option<Content> {
    /// What decides, of `run.json`; its list of hosts is not kept in memory.
    #[derive(Deserialize)]
    struct Head {
        schema: u32,
        id: String,
        command: String,
        started: String,
        duration_ms: Option<u64>,
        #[serde(default)]
        part: Option<Part>,
        #[serde(default)]
        every_ms: Option<u64>,
    }
    #[derive(Deserialize)]
    struct Part {
        shard: Shard,
    }
    let path = entry.path().join("run.json");
    let head: Head = read_json(&path).ok()?;
    head.duration_ms?;
    let (Ok(started), true) = (head.started.parse(), head.schema <= RUN_SCHEMA && head.id == name) else {
        return Some(Content::Other);
    };
    let ended = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok()?;
    let kind = Kind::new(&head.command, head.part.map(|part| part.shard), head.every_ms);
    Some(Content::Run(Old { kind, started, ended }))
}

enum Gone {
    Deleted,
    /// There is more in it than a run.
    Kept,
}

/// Deletes a run's directory, unless it holds something else.
fn put_away(runs: &Path, name: &str) -> Result<Gone, RunError> {
    let directory = runs.join(name);
    let failed = |source| RunError::Delete { path: directory.clone(), source };
    let entries = match fs::read_dir(&directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Gone::Deleted),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        if name != "run.json" && name != "hosts" {
            return Ok(Gone::Kept);
        }
    }
    let leftover = runs.join(format!(".{name}{LEFTOVER}"));
    fs::rename(&directory, &leftover).map_err(failed)?;
    delete(&leftover)?;
    Ok(Gone::Deleted)
}

const LEFTOVER: &str = ".deleted";

/// `.20261122T090102Z-1f3a.deleted`
fn is_leftover(name: &str) -> bool {
    let id = name.strip_prefix('.').and_then(|rest| rest.strip_suffix(LEFTOVER));
    let parts = id.and_then(|id| id.split_once('-'));
    parts.is_some_and(|(time, chance)| {
        let digits = time.bytes().filter(u8::is_ascii_digit).count();
        time.len() == 16 && digits == 14 && chance.len() == 4 && chance.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Another program may be deleting the same: gone is gone.
fn delete(directory: &Path) -> Result<(), RunError> {
    match fs::remove_dir_all(directory) {
        Err(source) if directory.exists() => Err(RunError::Delete { path: PathBuf::from(directory), source }),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Part, Writer, list};

    const DAY: Duration = Duration::from_hours(24);

    fn bound(runs: u32, age: Option<Duration>) -> Bound {
        Bound { runs: NonZeroU32::new(runs), age }
    }

    /// When the run of that day began.
    fn on(day: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * day
    }

    fn file(command: &str, day: u32) -> RunFile {
        RunFile { duration_ms: Some(1), ..RunFile::new(command, on(day), Vec::new(), Vec::new()) }
    }

    /// Writes a run, and gives what its directory says of it.
    fn keep(runs: &Path, file: RunFile) -> RunFile {
        Writer::create(runs, file).unwrap().file().clone()
    }

    fn days(runs: &Path) -> Vec<String> {
        list(runs).unwrap().into_iter().map(|id| id[6..8].to_owned()).collect()
    }

    #[test]
    fn the_newest_and_the_young_stay() {
        let runs = tempfile::tempdir().unwrap();
        let mut broom = Broom::default();
        let mut own = keep(runs.path(), file("sweep", 0));
        for day in 1..6 {
            own = keep(runs.path(), file("sweep", day));
            let swept = broom.sweep(runs.path(), &own, bound(3, None), on(day));
            assert!(swept.failed.is_empty(), "{:?}", swept.failed);
            assert_eq!(swept.deleted, usize::from(day > 2));
        }
        assert_eq!(days(runs.path()), ["04", "05", "06"]);
        // The age is counted from the start; a whole day is not yet more than a day.
        broom.sweep(runs.path(), &own, bound(3, Some(DAY)), on(5));
        assert_eq!(days(runs.path()), ["05", "06"]);
        // The own run stays, however old its clock makes it.
        broom.sweep(runs.path(), &own, bound(3, Some(DAY)), on(90));
        assert_eq!(days(runs.path()), ["06"]);
        assert_eq!(fs::read_dir(runs.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn without_a_bound_nothing_is_deleted() {
        let runs = tempfile::tempdir().unwrap();
        keep(runs.path(), file("sweep", 0));
        let own = keep(runs.path(), file("sweep", 9));
        let swept = Broom::default().sweep(runs.path(), &own, Bound { runs: None, age: None }, on(20_000));
        assert_eq!((swept.deleted, days(runs.path()).len()), (0, 2));
    }

    #[test]
    fn only_ended_runs_of_the_same_kind_go() {
        let runs = tempfile::tempdir().unwrap();
        let shard = "1/2".parse().unwrap();
        let part = Some(Part { shard, probe: String::new(), whole: Vec::new() });
        let rounds = |day| RunFile { every_ms: Some(30_000), ..file("sweep", day) };
        let mut stay = vec![
            keep(runs.path(), RunFile { duration_ms: None, ..rounds(1) }).id,
            keep(runs.path(), file("sweep", 1)).id,
            keep(runs.path(), RunFile { part: part.clone(), ..rounds(1) }).id,
            keep(runs.path(), RunFile { schema: RUN_SCHEMA + 1, ..rounds(1) }).id,
        ];
        for command in ["preflight", "join", "run", "reset"] {
            stay.push(keep(runs.path(), RunFile { every_ms: Some(30_000), ..file(command, 1) }).id);
        }
        // A change's journal, somebody's notes, and a run that was given a name of its own.
        for added in ["journal.jsonl", "notes.txt"] {
            let id = keep(runs.path(), rounds(1)).id;
            fs::write(runs.path().join(&id).join(added), "").unwrap();
            stay.push(id);
        }
        let renamed = keep(runs.path(), rounds(1)).id;
        fs::rename(runs.path().join(renamed), runs.path().join("incident-42")).unwrap();
        stay.push("incident-42".to_owned());
        fs::create_dir(runs.path().join("no-run")).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let linked = keep(elsewhere.path(), rounds(1)).id;
        std::os::unix::fs::symlink(elsewhere.path().join(&linked), runs.path().join(&linked)).unwrap();
        stay.push(linked.clone());
        // What a killed program left.
        fs::create_dir(runs.path().join(".19700102T000000Z-00ff.deleted")).unwrap();
        fs::create_dir(runs.path().join(".mine.deleted")).unwrap();

        let goes = keep(runs.path(), rounds(1)).id;
        let own = keep(runs.path(), rounds(2));
        stay.extend([own.id.clone(), "no-run".to_owned(), ".mine.deleted".to_owned()]);
        let mut broom = Broom::default();
        for deleted in [1, 0] {
            let swept = broom.sweep(runs.path(), &own, bound(1, Some(DAY)), on(400));
            assert!(swept.failed.is_empty(), "{:?}", swept.failed);
            assert_eq!(swept.deleted, deleted);
        }
        assert!(!runs.path().join(goes).exists());
        assert!(elsewhere.path().join(&linked).join("run.json").exists());
        let mut left: Vec<String> =
            fs::read_dir(runs.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        stay.sort();
        assert_eq!(left, stay);
    }

    #[test]
    fn a_run_that_ends_later_goes_later() {
        let runs = tempfile::tempdir().unwrap();
        let going_on = keep(runs.path(), RunFile { duration_ms: None, ..file("sweep", 1) });
        let own = keep(runs.path(), file("sweep", 2));
        let mut broom = Broom::default();
        assert_eq!(broom.sweep(runs.path(), &own, bound(1, None), on(3)).deleted, 0);
        let path = runs.path().join(&going_on.id).join("run.json");
        fs::write(path, serde_json::to_string(&RunFile { duration_ms: Some(1), ..going_on }).unwrap()).unwrap();
        assert_eq!(broom.sweep(runs.path(), &own, bound(1, None), on(3)).deleted, 1);
    }
}
