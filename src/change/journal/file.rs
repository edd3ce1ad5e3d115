//! `plan.json` and `journal.jsonl` in the directory of a run.
//!
//! A line is on the disk when [`Journal::note`] returns, and only then is the thing done that it announces. One process at a time
//! has the journal: the lock is the kernel's, so that it ends with the process, however that ends. Knows nothing of nodes.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::Deserialize;
use thiserror::Error;

use super::replayed::{Replayed, Stage, Token};
use super::{Entry, Found, JOURNAL_SCHEMA, Line, Outcome};
use crate::change::plan::{PLAN_SCHEMA, Plan};
use crate::digest;

const PLAN_FILE: &str = "plan.json";
/// Its presence in a run directory says that the run has changed something, or meant to.
pub const JOURNAL_FILE: &str = "journal.jsonl";

/// The largest file that is read back: a corrupt one must not fill the memory.
const LIMIT: u64 = 256 << 20;

/// Why a journal cannot be written or read.
#[derive(Debug, Error)]
pub enum JournalError {
    #[error("cannot write {}: {source}; without its journal no change is begun", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} belongs to no run that changes nodes: there is no {JOURNAL_FILE}", path.display())]
    NoChange { path: PathBuf },
    #[error("{}:{line}: not a line of a journal: {reason}; only the last line may be torn", path.display())]
    Malformed { path: PathBuf, line: usize, reason: String },
    #[error("{}: not a plan: {reason}", path.display())]
    Plan { path: PathBuf, reason: String },
    #[error("{} is not the plan that was agreed to: it was changed after the run began", path.display())]
    OtherPlan { path: PathBuf },
    #[error(
        "{} was written by a newer seaworthy (schema {found}, this one reads up to {known}); upgrade seaworthy to go on with it",
        path.display()
    )]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error("another seaworthy is at work on the run in {}; wait for it, or stop it first", path.display())]
    Busy { path: PathBuf },
}

/// The journal of a run that this process has for itself, and how far the run came by it. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    append: Arc<Mutex<Append>>,
    path: PathBuf,
    replayed: Arc<Mutex<Replayed>>,
}

/// Brings one line, its newline included, to the disk.
type Append = dyn FnMut(&[u8]) -> io::Result<()> + Send;

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A run as its directory tells it.
#[derive(Debug)]
pub struct Kept {
    pub plan: Plan,
    pub lines: Vec<Line>,
}

impl Journal {
    /// Keeps the plan in a run's directory and begins its journal.
    pub fn create(directory: &Path, plan: &Plan) -> Result<Self, JournalError> {
        // In this order: a journal whose plan is missing would be of no use.
        let plan_sha256 = save_plan(directory, plan)?;
        let path = directory.join(JOURNAL_FILE);
        let mut file = new_file(&path)?;
        lock(&file, &path)?;
        let first = to_line(Entry::Agreed { schema: JOURNAL_SCHEMA, plan_sha256 });
        let write = first.and_then(|line| {
            file.write_all(&line)?;
            file.sync_all()?;
            sync_directory(directory)
        });
        write.map_err(|source| JournalError::Write { path: path.clone(), source })?;
        Ok(Self::of(file, path, Replayed::default()))
    }

    /// Takes a run up again that another process left. A torn last line is cut off: what it announced was not begun.
    pub fn reopen(directory: &Path) -> Result<(Self, Kept), JournalError> {
        let path = directory.join(JOURNAL_FILE);
        let write_error = |source| JournalError::Write { path: path.clone(), source };
        let mut file = match OpenOptions::new().read(true).append(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(JournalError::NoChange { path: directory.to_owned() });
            }
            other => other.map_err(write_error)?,
        };
        lock(&file, &path)?;
        let (kept, whole) = load(directory, &mut file, &path)?;
        file.set_len(whole).and_then(|()| file.sync_all()).map_err(write_error)?;
        Ok((Self::of(file, path, Replayed::of(&kept.lines)), kept))
    }

    /// The journal of a run that came as far as `lines` say, and whose further lines `append` brings to the disk; it is given
    /// each with its newline.
    pub fn through(path: &Path, lines: &[Line], append: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static) -> Self {
        let replayed = Arc::new(Mutex::new(Replayed::of(lines)));
        Self { append: Arc::new(Mutex::new(append)), path: path.to_owned(), replayed }
    }

    fn of(file: File, path: PathBuf, replayed: Replayed) -> Self {
        let mut locked = Locked(file);
        let append = move |line: &[u8]| {
            locked.0.write_all(line)?;
            locked.0.sync_data()
        };
        Self { append: Arc::new(Mutex::new(append)), path, replayed: Arc::new(Mutex::new(replayed)) }
    }

    /// Writes a line and returns when it is on the disk.
    pub async fn note(&self, entry: Entry) -> Result<(), JournalError> {
        let (append, replayed) = (Arc::clone(&self.append), Arc::clone(&self.replayed));
        // A disk may take its time, and other nodes' work goes on meanwhile.
        let written = tokio::task::spawn_blocking(move || {
            let line = to_line(entry.clone())?;
            let mut append = append.lock().unwrap_or_else(PoisonError::into_inner);
            append(&line)?;
            replayed.lock().unwrap_or_else(PoisonError::into_inner).take(&entry);
            Ok(())
        });
        let written = written.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        written.map_err(|source| JournalError::Write { path: self.path.clone(), source })
    }

    /// How far an action of a node came, in this process or an earlier one.
    pub fn stage(&self, node: &str, action: usize) -> Stage {
        self.replayed().stage(node, action).clone()
    }

    /// How the node ended, unless it went on after that.
    pub fn ended(&self, node: &str) -> Option<Outcome> {
        self.replayed().ended(node).cloned()
    }

    /// What a join found on the node before it changed anything, in this process or an earlier one.
    pub fn found(&self, node: &str) -> Option<Found> {
        self.replayed().found(node)
    }

    /// Nothing of a failed join is left on the node.
    pub fn is_put_back(&self, node: &str) -> bool {
        self.replayed().is_put_back(node)
    }

    /// The tokens that were made and are not known to be deleted.
    pub fn tokens(&self) -> Vec<Token> {
        self.replayed().tokens.clone()
    }

    fn replayed(&self) -> MutexGuard<'_, Replayed> {
        self.replayed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that is unlocked when dropped. Closing it is not enough: a child that is just being started has it open as well until its
/// own program runs.
struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        // It would be an error of a file that is closed next.
        let _ = self.0.unlock();
    }
}

/// Reads a run's plan and journal, whether or not another process is at work on it.
pub fn read(directory: &Path) -> Result<Kept, JournalError> {
    let path = directory.join(JOURNAL_FILE);
    let mut file = File::open(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => JournalError::NoChange { path: directory.to_owned() },
        _ => JournalError::Read { path: path.clone(), source },
    })?;
    Ok(load(directory, &mut file, &path)?.0)
}

/// Plan and lines, and how many bytes of the journal are whole lines.
fn load(directory: &Path, file: &mut File, path: &Path) -> Result<(Kept, u64), JournalError> {
    let bytes = read_bounded(file).map_err(|source| JournalError::Read { path: path.to_owned(), source })?;
    let (lines, whole) = parse(&bytes, path)?;
    let Some(Line { entry: Entry::Agreed { schema, plan_sha256 }, .. }) = lines.first() else {
        let reason = "a journal begins with the plan that was agreed to".to_owned();
        return Err(JournalError::Malformed { path: path.to_owned(), line: 1, reason });
    };
    newer(path, *schema, JOURNAL_SCHEMA)?;
    let plan = load_plan(directory, plan_sha256)?;
    Ok((Kept { plan, lines }, whole))
}

/// The lines, and where the last whole one ends.
fn parse(bytes: &[u8], path: &Path) -> Result<(Vec<Line>, u64), JournalError> {
    #[derive(Deserialize)]
    struct Version {
        schema: u32,
    }
    let (mut lines, mut whole) = (Vec::new(), 0);
    for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
        if piece.last() != Some(&b'\n') {
            // Torn: this process, or the machine, ended while it was written.
            break;
        }
        match serde_json::from_slice(piece) {
            Ok(line) => lines.push(line),
            Err(error) => {
                if let (true, Ok(version)) = (lines.is_empty(), serde_json::from_slice::<Version>(piece)) {
                    newer(path, version.schema, JOURNAL_SCHEMA)?;
                }
                let (line, reason) = (lines.len() + 1, error.to_string());
                return Err(JournalError::Malformed { path: path.to_owned(), line, reason });
            }
        }
        whole += piece.len() as u64;
    }
    Ok((lines, whole))
}

fn newer(path: &Path, found: u32, known: u32) -> Result<(), JournalError> {
    if found > known { Err(JournalError::Newer { path: path.to_owned(), found, known }) } else { Ok(()) }
}

fn to_line(entry: Entry) -> io::Result<Vec<u8>> {
    let at = jiff::Timestamp::try_from(SystemTime::now()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let line = Line { at: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), entry };
    let mut bytes = serde_json::to_vec(&line)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// A file of its owner's alone, whatever the umask is.
fn new_file(path: &Path) -> Result<File, JournalError> {
    let open = || -> io::Result<File> {
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        Ok(file)
    };
    open().map_err(|source| JournalError::Write { path: path.to_owned(), source })
}

fn lock(file: &File, path: &Path) -> Result<(), JournalError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => JournalError::Busy { path: path.parent().unwrap_or(path).to_owned() },
        TryLockError::Error(source) => JournalError::Write { path: path.to_owned(), source },
    })
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Writes the plan and gives its digest.
fn save_plan(directory: &Path, plan: &Plan) -> Result<String, JournalError> {
    let path = directory.join(PLAN_FILE);
    let mut file = new_file(&path)?;
    let mut write = || -> io::Result<String> {
        let mut bytes = serde_json::to_vec(plan)?;
        bytes.push(b'\n');
        file.write_all(&bytes)?;
        file.sync_all()?;
        Ok(digest::sha256(&bytes))
    };
    write().map_err(|source| JournalError::Write { path, source })
}

fn load_plan(directory: &Path, sha256: &str) -> Result<Plan, JournalError> {
    #[derive(Deserialize)]
    struct Version {
        schema: u32,
    }
    let path = directory.join(PLAN_FILE);
    let bytes = File::open(&path).and_then(|mut file| read_bounded(&mut file));
    let bytes = bytes.map_err(|source| JournalError::Read { path: path.clone(), source })?;
    // Before anything else: a newer plan need not look like one of ours.
    if let Ok(version) = serde_json::from_slice::<Version>(&bytes) {
        newer(&path, version.schema, PLAN_SCHEMA)?;
    }
    if digest::sha256(&bytes) != sha256 {
        return Err(JournalError::OtherPlan { path });
    }
    serde_json::from_slice(&bytes).map_err(|error| JournalError::Plan { path, reason: error.to_string() })
}

fn read_bounded(file: &mut File) -> io::Result<Vec<u8>> {
    if file.metadata()?.len() > LIMIT {
        return Err(io::Error::other(format!("larger than {} MiB", LIMIT >> 20)));
    }
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::playbook::Strategy;

    fn plan() -> Plan {
        Plan {
            schema: PLAN_SCHEMA,
            playbook: "x".to_owned(),
            strategy: Strategy::default(),
            accept_unknown: Vec::new(),
            nodes: Vec::new(),
        }
    }

    fn begun(action: usize) -> Entry {
        Entry::ActionBegun { node: "a".to_owned(), action }
    }

    async fn written(directory: &Path, actions: usize) {
        let journal = Journal::create(directory, &plan()).unwrap();
        for action in 0..actions {
            journal.note(begun(action)).await.unwrap();
        }
    }

    fn entries(kept: &Kept) -> Vec<Entry> {
        kept.lines.iter().skip(1).map(|line| line.entry.clone()).collect()
    }

    #[tokio::test]
    async fn what_was_noted_is_read_back_and_readable_by_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        written(directory.path(), 2).await;
        let kept = read(directory.path()).unwrap();
        assert_eq!(kept.plan, plan());
        assert_eq!(entries(&kept), [begun(0), begun(1)]);
        for name in [PLAN_FILE, JOURNAL_FILE] {
            let mode = fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[tokio::test]
    async fn a_line_torn_at_any_byte_is_cut_and_the_journal_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        written(directory.path(), 2).await;
        let path = directory.path().join(JOURNAL_FILE);
        let whole = fs::read(&path).unwrap();
        let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        for cut in last..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let (journal, kept) = Journal::reopen(directory.path()).unwrap();
            assert_eq!(entries(&kept), [begun(0)], "cut at {cut}");
            assert_eq!([0, 1].map(|action| journal.stage("a", action)), [Stage::Begun, Stage::NotBegun]);
            journal.note(begun(7)).await.unwrap();
            drop(journal);
            assert_eq!(entries(&read(directory.path()).unwrap()), [begun(0), begun(7)], "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn garbage_before_the_end_is_an_error_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        written(directory.path(), 3).await;
        let path = directory.path().join(JOURNAL_FILE);
        let whole = fs::read_to_string(&path).unwrap();
        for (garbled, line) in [
            (whole.replacen("action-begun", "action-bogus", 1), 2),
            (whole.replacen("\"action\":1}", "\"action\":1", 1), 3),
            (format!("{whole}\n"), 5),
            (String::new(), 1),
            (whole.split_once('\n').unwrap().1.to_owned(), 1),
        ] {
            fs::write(&path, garbled).unwrap();
            let error = read(directory.path()).unwrap_err();
            assert!(matches!(error, JournalError::Malformed { line: found, .. } if found == line), "{line}: {error}");
            assert!(error.to_string().contains(&format!("journal.jsonl:{line}:")), "{error}");
        }
    }

    #[tokio::test]
    async fn newer_and_changed_files_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        written(directory.path(), 1).await;
        let [plan, journal] = [PLAN_FILE, JOURNAL_FILE].map(|name| directory.path().join(name));
        let [plan_text, journal_text] = [&plan, &journal].map(|path| fs::read_to_string(path).unwrap());

        fs::write(&plan, plan_text.replacen("\"schema\":1", "\"schema\":9,\"more\":1", 1)).unwrap();
        assert!(matches!(read(directory.path()), Err(JournalError::Newer { found: 9, .. })));
        fs::write(&plan, plan_text.replacen("\"x\"", "\"y\"", 1)).unwrap();
        assert!(matches!(read(directory.path()), Err(JournalError::OtherPlan { .. })));
        fs::write(&plan, &plan_text).unwrap();

        for newer in ["\"schema\":2", "\"schema\":2,\"event\":\"other\""] {
            fs::write(&journal, journal_text.replacen("\"schema\":1", newer, 1)).unwrap();
            let error = read(directory.path()).unwrap_err();
            assert!(matches!(error, JournalError::Newer { found: 2, .. }), "{error}");
        }
        fs::write(&journal, journal_text).unwrap();
        read(directory.path()).unwrap();
    }

    #[tokio::test]
    async fn a_run_has_one_process_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(Journal::reopen(directory.path()), Err(JournalError::NoChange { .. })));
        let journal = Journal::create(directory.path(), &plan()).unwrap();
        assert!(matches!(Journal::reopen(directory.path()), Err(JournalError::Busy { .. })));
        assert!(matches!(Journal::create(directory.path(), &plan()), Err(JournalError::Write { .. })));
        read(directory.path()).unwrap();
        drop(journal);
        Journal::reopen(directory.path()).unwrap();
    }
}
