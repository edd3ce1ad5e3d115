//! Changing a `known_hosts` file so that nobody loses anything: under a lock, by an atomic replacement.
//!
//! The lock is `flock` on the file itself, so that no lock file stays behind. As the replacement gives the name to another
//! inode, whoever gets the lock looks whether the name still leads to the locked inode, and starts again otherwise. ssh
//! itself appends without a lock; so the file is looked at once more just before it is replaced.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The largest file that is read: far beyond any real one, and a bound for a path that never ends.
const LARGEST: u64 = 64 << 20;
/// Others hold the lock for milliseconds.
const LOCK_DEADLINE: Duration = Duration::from_secs(10);
const LOCK_POLL: Duration = Duration::from_millis(5);

/// What a file looked like when it was read; equal stamps mean that nobody changed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    /// The stamp now; `None` when there is no such file.
    pub(super) fn now(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().as_ref().map(Self::of)
    }
}

/// Reads a file that may be missing. Anything but "missing" is an error: an unreadable file is not an empty one.
pub(super) fn read(path: &Path) -> io::Result<(Vec<u8>, Option<Stamp>)> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok((Vec::new(), None));
        }
        Err(error) => return Err(error),
    };
    // Taken before reading: a change in between makes the stamp old, and the file is read again.
    let stamp = Stamp::of(&file.metadata()?);
    Ok((read_whole(&file)?, Some(stamp)))
}

fn read_whole(file: &File) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "more than 64 MiB"));
    }
    Ok(content)
}

/// Where a path leads after symbolic links, also when the last target does not exist yet.
fn target_of(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..40 {
        match fs::read_link(&path) {
            Ok(link) => path = path.parent().unwrap_or_else(|| Path::new("")).join(link),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "too many symbolic links"))
}

/// A file that this process alone may change, until dropped.
pub(super) struct Locked {
    target: PathBuf,
    file: File,
}

impl Locked {
    /// Opens and locks the file, which is made (0600, its directory 0700) when it is missing. `None` when the path leads to
    /// something that is no regular file, such as `/dev/null`: nothing can be kept there.
    pub(super) fn open(path: &Path) -> io::Result<Option<Self>> {
        let target = target_of(path)?;
        if fs::metadata(&target).is_ok_and(|metadata| !metadata.is_file()) {
            return Ok(None);
        }
        if let Some(directory) = target.parent().filter(|d| !d.as_os_str().is_empty() && !d.exists()) {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let deadline = Instant::now() + LOCK_DEADLINE;
        loop {
            let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&target)?;
            lock(&file, deadline)?;
            let ours = file.metadata()?;
            if fs::metadata(&target).is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino())) {
                return Ok(Some(Self { target, file }));
            }
        }
    }

    pub(super) fn read(&self) -> io::Result<(Vec<u8>, Stamp)> {
        use std::io::Seek as _;
        let mut file = &self.file;
        let stamp = Stamp::of(&file.metadata()?);
        file.rewind()?;
        Ok((read_whole(file)?, stamp))
    }

    /// Adds `lines` after `content`, which [`read`](Self::read) gave together with `stamp`. `None` when somebody changed the
    /// file meanwhile without the lock: read and judge again.
    pub(super) fn append(&self, content: &[u8], stamp: Stamp, lines: &[u8]) -> io::Result<Option<Stamp>> {
        let newline: &[u8] = if content.is_empty() || content.ends_with(b"\n") { b"" } else { b"\n" };
        match self.replace(&[content, newline, lines], stamp) {
            // The directory cannot be written, or the file is a mount of its own (as in containers): add to it in place.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::PermissionDenied
                        | io::ErrorKind::ResourceBusy
                        | io::ErrorKind::ReadOnlyFilesystem
                        | io::ErrorKind::CrossesDevices
                ) =>
            {
                let mut file = &self.file;
                file.write_all(&[newline, lines].concat())?;
                file.sync_all()?;
                Ok(Some(Stamp::of(&file.metadata()?)))
            }
            other => other,
        }
    }

    fn replace(&self, parts: &[&[u8]], stamp: Stamp) -> io::Result<Option<Stamp>> {
        let old = self.file.metadata()?;
        let directory = self.target.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let temporary = directory.join(format!(".known_hosts.{}.{:016x}", std::process::id(), rand::random::<u64>()));
        let written = (|| {
            let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            for part in parts {
                new.write_all(part)?;
            }
            let made = new.metadata()?;
            if (made.uid(), made.gid()) != (old.uid(), old.gid()) {
                // root writing another user's file; for everybody else the ids are the same or the change is refused.
                std::os::unix::fs::fchown(&new, Some(old.uid()), Some(old.gid()))?;
            }
            new.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
            new.sync_all()?;
            if Stamp::now(&self.target) != Some(stamp) {
                return Ok(None);
            }
            let new_stamp = Stamp::of(&new.metadata()?);
            fs::rename(&temporary, &self.target)?;
            Ok(Some(new_stamp))
        })();
        match written {
            Ok(Some(_)) => File::open(directory)?.sync_all()?,
            // Already renamed or never made: either way there is nothing more to do about the temporary file.
            Ok(None) | Err(_) => drop(fs::remove_file(&temporary)),
        }
        written
    }
}

fn lock(file: &File, deadline: Instant) -> io::Result<()> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "another process keeps it locked"));
            }
            Err(TryLockError::WouldBlock) => wait(),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the condition is another process's lock, and the loop around this has a deadline"
)]
fn wait() {
    std::thread::sleep(LOCK_POLL);
}
