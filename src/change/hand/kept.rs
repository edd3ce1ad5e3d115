//! Copies of what something else is going to overwrite, on the node's own disk, and putting all of it back.

use std::time::Duration;

use super::script::Script;
use super::{Hand, HandError, path, word};

const DEADLINE: Duration = Duration::from_mins(3);

impl Hand<'_> {
    /// Copies these files, links and directories to `/var/lib/seaworthy/RUN`, and notes which of them are not there. Whole or not at
    /// all; what is kept already for the run is left as it is, and refused when it is of other paths.
    pub async fn keep(&self, run: &str, paths: &[String]) -> Result<(), HandError> {
        let mut checked = Vec::with_capacity(paths.len());
        for one in paths {
            checked.push(path(one)?);
        }
        let script = Script::new().set("RUN", word("a run", run)?).arguments(checked);
        self.ask(script, &[include_str!("script/keep.sh")], DEADLINE).await.map(drop)
    }

    /// Makes everything that is kept for the run as it was: what was not there is removed, directories with all in them. Does nothing
    /// where nothing is kept.
    pub async fn put_back_kept(&self, run: &str) -> Result<(), HandError> {
        let script = Script::new().set("RUN", word("a run", run)?);
        self.ask(script, &[include_str!("script/put-back-kept.sh")], DEADLINE).await.map(drop)
    }

    /// Whether copies are kept for the run.
    pub async fn keeps(&self, run: &str) -> Result<bool, HandError> {
        let script = Script::new().set("RUN", word("a run", run)?);
        let answer = self
            .ask(script, &["[ -e \"$R/var/lib/seaworthy/$RUN/kinds\" ] && end kept\nend nothing\n"], DEADLINE)
            .await?;
        Ok(answer.status == "kept")
    }

    /// Removes the copies of all runs but this one.
    pub async fn forget_others(&self, run: &str) -> Result<(), HandError> {
        let script = Script::new().set("RUN", word("a run", run)?);
        self.ask(script, &[include_str!("script/forget-others.sh")], DEADLINE).await.map(drop)
    }

    /// Removes the copies.
    pub async fn forget_kept(&self, run: &str) -> Result<(), HandError> {
        let script = Script::new().set("RUN", word("a run", run)?);
        self.ask(script, &[include_str!("script/forget-kept.sh")], DEADLINE).await.map(drop)
    }
}
