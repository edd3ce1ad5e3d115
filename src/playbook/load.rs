//! Playbooks by name or by path. The only part that reads files.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{Playbook, PlaybookError, Surroundings, parse};
use crate::change::state::MAX_CONTENT;
use crate::checks::{Checks, nearest};

/// The playbook of `seaworthy sweep`.
pub const HEALTH_SWEEP: &str = "health-sweep";
/// The playbook of `seaworthy preflight`.
pub const PRE_UPGRADE: &str = "pre-upgrade";
/// The playbook of `seaworthy flannel push`.
pub const FLANNEL: &str = "flannel";
/// The playbook of `seaworthy join`.
pub const JOIN: &str = "join";
/// The playbook of `seaworthy reset`.
pub const RESET: &str = "reset";

/// The files that come with the program, each with its name and its path in the repository.
macro_rules! built_in {
    ($($name:ident = $file:literal),* $(,)?) => {
        &[$(($name, concat!("playbooks/", $file), include_str!(concat!("../../playbooks/", $file)))),*]
    };
}

const BUILT_IN: &[(&str, &str, &str)] = built_in![
    HEALTH_SWEEP = "health-sweep.yaml",
    PRE_UPGRADE = "pre-upgrade.yaml",
    FLANNEL = "flannel.yaml",
    JOIN = "join.yaml",
    RESET = "reset.yaml",
];

/// Why there is no playbook.
#[derive(Debug, Error)]
pub enum LoadError {
    #[error(transparent)]
    Wrong(#[from] PlaybookError),
    #[error("there is no built-in playbook `{name}`{hint}; built in are {}", names().collect::<Vec<_>>().join(", "))]
    NoName { name: String, hint: String },
    #[error("cannot read the playbook {}: {why}", path.display())]
    Read { path: PathBuf, why: io::Error },
}

/// The names of the built-in playbooks.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _, _)| *name)
}

/// Reads a playbook. With a slash in it or `.yaml` (`.yml`) at its end, `named` is the path of a file, from `directory` on;
/// anything else is the name of a built-in one. So no file takes the place of a built-in playbook unless it is asked for.
pub fn load(named: &str, directory: &Path, checks: &Checks) -> Result<Playbook, LoadError> {
    if is_path(named) {
        let path = directory.join(named);
        let limit = parse::MAX_BYTES as u64;
        let bytes = read_at_most(&path, limit).map_err(|why| LoadError::Read { path: named.into(), why })?;
        let beside = path.parent().unwrap_or(directory).to_owned();
        let read = move |file: &str| read_at_most(&beside.join(file), MAX_CONTENT);
        return Ok(parse(named, &bytes, &Surroundings { checks, read: &read })?);
    }
    let Some((_, file, text)) = BUILT_IN.iter().find(|(name, _, _)| *name == named) else {
        let hint = if directory.join(named).is_file() {
            format!("; for the file write ./{named}")
        } else {
            nearest(named, names().map(|name| (name, name)))
                .map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
        };
        return Err(LoadError::NoName { name: named.to_owned(), hint });
    };
    let none = |_: &str| Err(io::Error::other("a built-in playbook has no files beside it"));
    Ok(parse(file, text.as_bytes(), &Surroundings { checks, read: &none })?)
}

fn is_path(named: &str) -> bool {
    let extension = Path::new(named).extension();
    named.contains('/') || extension.is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// At most one byte more than `limit`, by which its reader sees that it is too large. Nothing but a regular file: a pipe could
/// hold up the run for ever.
pub(crate) fn read_at_most(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
