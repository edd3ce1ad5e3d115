//! One `known_hosts` file of a run: what it said when it was read, what was learned since, and what is still to be written.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::answer::HostKeyAnswer;
use super::file::{HostFile, hash_name};
use super::judge::{self, About};
use super::parse::Key;
use super::write::{self, Locked, Stamp};
use super::{FlushReport, HostKeyError, NewKey};

/// A key that was learned and is not on disk yet.
#[derive(Debug, Clone)]
pub(super) struct Queued {
    pub(super) new: NewKey,
    pub(super) key: Key,
    pub(super) hash_name: bool,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) file: HostFile,
    stamp: Option<Stamp>,
    queue: Vec<Queued>,
}

impl State {
    /// Makes a key known from now on, and queues it if there is a file to write it to.
    pub(super) fn learn(&mut self, queued: Queued) {
        self.file.add(&queued.new.name, queued.key.clone());
        if queued.new.file.is_some() {
            self.queue.push(queued);
        }
    }
}

#[derive(Debug)]
pub(super) struct Slot {
    path: PathBuf,
    state: RwLock<State>,
    /// One flush at a time.
    flushing: Mutex<()>,
}

impl Slot {
    pub(super) fn load(path: &Path) -> Result<Self, HostKeyError> {
        let (file, stamp) = read(path)?;
        Ok(Self {
            path: path.to_owned(),
            state: RwLock::new(State { file, stamp, queue: Vec::new() }),
            flushing: Mutex::new(()),
        })
    }

    /// Holds what is learned when no file is configured.
    pub(super) fn in_memory() -> Self {
        let state = State { file: HostFile::default(), stamp: None, queue: Vec::new() };
        Self { path: PathBuf::new(), state: RwLock::new(state), flushing: Mutex::new(()) }
    }

    // A poisoned lock only means that another thread died; every change of a state is whole before the lock is released.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the file again if somebody changed it. What was learned and is not written yet stays known.
    pub(super) fn refresh(&self) -> Result<(), HostKeyError> {
        if self.path.as_os_str().is_empty() || Stamp::now(&self.path) == self.read().stamp {
            return Ok(());
        }
        let (file, stamp) = read(&self.path)?;
        self.install(file, stamp);
        Ok(())
    }

    fn install(&self, file: HostFile, stamp: Option<Stamp>) {
        let mut state = self.write();
        state.file = file;
        state.stamp = stamp;
        for queued in state.queue.clone() {
            // Already written by the flush that changed the file: not a second time. A contradiction is found by the flush.
            if matches!(by_file(&state.file, &queued), HostKeyAnswer::Unknown { .. }) {
                state.file.add(&queued.new.name, queued.key);
            }
        }
    }

    /// Writes the queue.
    pub(super) fn flush(&self, report: &mut FlushReport) {
        let _one_at_a_time = self.flushing.lock().unwrap_or_else(PoisonError::into_inner);
        let (queue, known) = {
            let state = self.read();
            (state.queue.clone(), state.stamp)
        };
        if queue.is_empty() {
            return;
        }
        match write_queue(&self.path, &queue, known) {
            Ok(outcome) => {
                report.written += outcome.written;
                report.conflicts.extend(outcome.conflicts);
                self.done(queue.len(), known, outcome.stamp, outcome.file);
            }
            Err(source) => report.errors.push(HostKeyError::Unwritable { file: self.path.clone(), source }),
        }
    }

    /// Takes the written keys off the queue. `file` is there when the file on disk had changed.
    fn done(&self, written: usize, known: Option<Stamp>, stamp: Option<Stamp>, file: Option<HostFile>) {
        let mut state = self.write();
        state.queue.drain(..written);
        match file {
            Some(file) => {
                drop(state);
                self.install(file, stamp);
            }
            // Otherwise the file was read again in between, and that is as good.
            None if state.stamp == known => state.stamp = stamp,
            None => {}
        }
    }
}

fn read(path: &Path) -> Result<(HostFile, Option<Stamp>), HostKeyError> {
    let (content, stamp) =
        write::read(path).map_err(|source| HostKeyError::Unreadable { file: path.to_owned(), source })?;
    Ok((HostFile::parse(path, &content), stamp))
}

fn by_file(file: &HostFile, queued: &Queued) -> HostKeyAnswer {
    let about: Vec<About<'_>> = file.about(&queued.new.name).into_iter().map(|entry| (file, entry)).collect();
    judge::plain_key(&about, &[], &queued.key)
}

struct Outcome {
    written: usize,
    conflicts: Vec<(NewKey, HostKeyAnswer)>,
    stamp: Option<Stamp>,
    file: Option<HostFile>,
}

/// How often somebody may append without the lock while we write, before we give up.
const TRIES: usize = 20;

fn write_queue(path: &Path, queue: &[Queued], known: Option<Stamp>) -> io::Result<Outcome> {
    let Some(locked) = Locked::open(path)? else {
        return Ok(Outcome { written: 0, conflicts: Vec::new(), stamp: known, file: None });
    };
    let mut locked = locked;
    for _ in 0..TRIES {
        let (content, stamp) = locked.read()?;
        // A file that is still as we read it (or still empty) needs no second judgement, and what we know of it stays right.
        let unchanged = known.map_or(content.is_empty(), |known| known == stamp);
        let judged = if unchanged { None } else { Some(HostFile::parse(path, &content)) };
        let mut lines = String::new();
        let (mut written, mut conflicts) = (0, Vec::new());
        for queued in queue {
            match judged.as_ref().map(|file| by_file(file, queued)) {
                None | Some(HostKeyAnswer::Unknown { .. }) => {
                    lines.push_str(&line(queued));
                    written += 1;
                }
                Some(HostKeyAnswer::Known(_)) => {}
                Some(other) => conflicts.push((queued.new.clone(), other)),
            }
        }
        let stamp = if lines.is_empty() { Some(stamp) } else { locked.append(&content, stamp, lines.as_bytes())? };
        if stamp.is_some() {
            let file = judged.map(|_| {
                let newline = if content.is_empty() || content.ends_with(b"\n") { "" } else { "\n" };
                HostFile::parse(path, &[&content, newline.as_bytes(), lines.as_bytes()].concat())
            });
            return Ok(Outcome { written, conflicts, stamp, file });
        }
        let Some(again) = Locked::open(path)? else { break };
        locked = again;
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "other programs keep changing it"))
}

fn line(queued: &Queued) -> String {
    let salt: [u8; 20] = rand::random();
    let hashed = if queued.hash_name { hash_name(&salt, &queued.new.name) } else { None };
    let name = hashed.map_or_else(
        || queued.new.name.clone(),
        |digest| format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(digest)),
    );
    format!("{name} {}\n", queued.key.as_text())
}
