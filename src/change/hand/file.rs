//! A file put in place by a rename within its directory, and that taken back.

use std::time::Duration;

use super::look::lies;
use super::script::Script;
use super::{Answer, Hand, HandError, path, word};
use crate::change::plan::WriteFile;
use crate::change::state::Path;

const DEADLINE: Duration = Duration::from_mins(3);

/// What a write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrote {
    Written,
    /// It lay there as it should; nothing was done.
    AlreadyThere,
}

impl Hand<'_> {
    /// Puts the file in place, if what lies there is what the plan was made from. A cut at any moment leaves the old file or the new
    /// one, and the next call does the rest.
    pub async fn write(&self, file: &WriteFile, run: &str) -> Result<Wrote, HandError> {
        let script = settings(file, run)?.printing("content", file.content.as_bytes());
        let answer = self.ask(script, &[include_str!("script/write.sh")], DEADLINE).await?;
        match answer.status.as_str() {
            "written" => Ok(Wrote::Written),
            "already" => Ok(Wrote::AlreadyThere),
            _ => Err(changed(file, &answer)),
        }
    }

    /// Takes a write back: what lay there before is there again, and what the write kept is gone. Does nothing where that is so.
    /// What somebody else put there since is left alone ([`HandError::Changed`]).
    pub async fn put_back(&self, file: &WriteFile, run: &str) -> Result<(), HandError> {
        let answer = self.ask(settings(file, run)?, &[include_str!("script/put-back.sh")], DEADLINE).await?;
        if answer.status == "back" { Ok(()) } else { Err(changed(file, &answer)) }
    }
}

fn settings(file: &WriteFile, run: &str) -> Result<Script, HandError> {
    let before = match &file.before {
        Path::Absent => "absent".to_owned(),
        Path::File(old) => words(&old.sha256, old.mode, old.uid, old.gid),
        other @ (Path::Other { .. } | Path::Unreadable { .. }) => {
            let why = format!("{} is {}, and no file is put in its place", file.path, other.words());
            return Err(HandError::refused(why, format!("look at it: ls -l {}", file.path)));
        }
    };
    Ok(Script::new()
        .set("T", path(&file.path)?)
        .set("RUN", word("a run", run)?)
        .set("BEFORE", &before)
        .set("AFTER", &words(&file.sha256, file.mode, file.uid, file.gid))
        .set("OWNER", &format!("{}:{}", file.uid, file.gid))
        .set("MODE", &format!("{:o}", file.mode)))
}

/// As the script's `state` says it, without the size.
fn words(sha256: &str, mode: u32, uid: u32, gid: u32) -> String {
    format!("file {sha256} {mode:o} {uid} {gid}")
}

fn changed(file: &WriteFile, answer: &Answer) -> HandError {
    let found = lies(answer.get("found").unwrap_or_default()).words();
    HandError::Changed { path: file.path.clone(), expected: file.before.words(), found }
}
