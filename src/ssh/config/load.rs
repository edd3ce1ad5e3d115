//! Reading configuration files, with what they include.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Environment;
use super::said::Origin;
use super::tokens;
use super::tree::{self, Block, Condition, CriterionKind, Item};
use crate::failure::{Failure, FailureKind};

/// As in ssh.
const DEEPEST: usize = 16;

/// All that one choice of files says.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// The user's file, then the system's.
    pub(super) files: Vec<Vec<Block>>,
    /// `Match final` exists: everything is read a second time, with the name that `HostName` gave.
    pub(super) second_pass: bool,
    /// A criterion that only ssh can decide.
    pub(super) undecidable: bool,
    /// Odd but harmless.
    pub(super) complaints: Vec<String>,
}

impl Source {
    /// Reads the files: `named` (`-F`) alone, or those of user and system; `none` reads nothing.
    pub(super) fn load(named: Option<&Path>, environment: &Environment) -> Result<Self, Failure> {
        let user_directory = environment.home.join(".ssh");
        let files = match named {
            Some(path) if path.as_os_str().eq_ignore_ascii_case("none") => vec![],
            Some(path) => vec![(path.to_owned(), &user_directory, Found::Named)],
            None => vec![
                (user_directory.join("config"), &user_directory, Found::OfUser),
                (environment.system.join("ssh_config"), &environment.system, Found::OfSystem),
            ],
        };
        let mut source = Self::default();
        for (path, base, found) in files {
            let mut reader = Reader { environment, base, found, complaints: Vec::new(), open: Vec::new() };
            match reader.file(&path, None)? {
                Some(blocks) => source.files.push(blocks),
                None if found == Found::Named => {
                    return Err(Failure::new(
                        FailureKind::Settings,
                        format!("there is no ssh configuration file {}", path.display()),
                        "correct the path given with -F",
                    ));
                }
                None => {}
            }
            source.complaints.append(&mut reader.complaints);
        }
        let has = |wanted: fn(&CriterionKind) -> bool| source.files.iter().any(|blocks| any_criterion(blocks, wanted));
        source.second_pass = has(|kind| matches!(kind, CriterionKind::Final));
        source.undecidable = has(|kind| matches!(kind, CriterionKind::Undecidable));
        Ok(source)
    }
}

fn any_criterion(blocks: &[Block], wanted: fn(&CriterionKind) -> bool) -> bool {
    blocks.iter().any(|block| {
        let here = match &block.condition {
            Condition::Match(criteria) => criteria.iter().any(|criterion| wanted(&criterion.kind)),
            Condition::Always | Condition::Host(_) => false,
        };
        here || block.items.iter().any(|item| matches!(item, Item::Include(blocks) if any_criterion(blocks, wanted)))
    })
}

/// Why a file is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    /// `-F`: it must exist, and lies where the user wants it.
    Named,
    /// `~/.ssh/config` and what it includes: nobody else may write it.
    OfUser,
    OfSystem,
}

struct Reader<'a> {
    found: Found,
    environment: &'a Environment,
    /// What relative paths of `Include` start from.
    base: &'a Path,
    complaints: Vec<String>,
    /// The files that are being read, the outermost first.
    open: Vec<PathBuf>,
}

impl Reader<'_> {
    /// Reads and parses a file; `None` when it does not exist.
    fn file(&mut self, path: &Path, included_by: Option<&Origin>) -> Result<Option<Vec<Block>>, Failure> {
        if self.found == Found::OfUser {
            no_one_else_writes(path)?;
        }
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let by = included_by.map(|origin| format!(", included by {origin}")).unwrap_or_default();
                return Err(Failure::new(
                    FailureKind::Settings,
                    format!("cannot read the ssh configuration {}{by}: {error}", path.display()),
                    format!("make {} readable", path.display()),
                ));
            }
        };
        if let Some(origin) = included_by {
            if self.open.iter().any(|open| open == path) {
                return Err(origin.failure(format_args!("{} includes itself", path.display())));
            }
            if self.open.len() > DEEPEST {
                return Err(origin.failure(format_args!("files include each other more than {DEEPEST} deep")));
            }
        }
        self.open.push(path.to_owned());
        let mut complaints = Vec::new();
        let origin = Arc::new(path.to_owned());
        let text = String::from_utf8_lossy(&bytes);
        let blocks = tree::parse(&origin, &text, &mut |words, origin| self.include(words, origin), &mut complaints);
        self.open.pop();
        self.complaints.append(&mut complaints);
        blocks.map(Some)
    }

    fn include(&mut self, words: &[String], origin: &Origin) -> Result<Vec<Block>, Failure> {
        if words.is_empty() {
            return Err(origin.failure("Include has no file"));
        }
        let mut blocks = Vec::new();
        for word in words {
            let pattern = self.base.join(tokens::home(word, self.environment));
            for path in expand(&pattern).map_err(|error| origin.failure(error))? {
                // A file that vanished or never was is no error for ssh either.
                blocks.extend(self.file(&path, Some(origin))?.unwrap_or_default());
            }
        }
        Ok(blocks)
    }
}

/// ssh's own rule: such a file could name a program to run.
fn no_one_else_writes(path: &Path) -> Result<(), Failure> {
    let Ok(metadata) = fs::metadata(path) else { return Ok(()) };
    let uid = rustix::process::getuid().as_raw();
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if (owner == uid || owner == 0) && mode & 0o022 == 0 {
        return Ok(());
    }
    let shown = path.display();
    let message = format!("the ssh configuration {shown} may be written by others (user {owner}, mode {mode:04o})");
    Err(Failure::new(FailureKind::Settings, message, format!("chmod go-w {shown}, and let it belong to you")))
}

/// The files that a pattern names, sorted; hidden files only where the pattern says so.
fn expand(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let text = pattern.to_str().ok_or("the path is not UTF-8")?;
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::default() };
    let found = glob::glob_with(text, options).map_err(|error| format!("{text:?} is no pattern: {error}"))?;
    // A directory that may not be listed has no files for us, as for ssh.
    Ok(found.filter_map(Result::ok).collect())
}
