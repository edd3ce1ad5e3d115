//! A join that nobody knows the end of: this program was killed, or the node was lost. It is found again and followed, read, or
//! put back; afterwards the node has joined or is as it was, and the run has no token left.

use super::attempt::Attempted;
use super::{Driver, JOB, JoinContext, Progress, bounded, of_hand};
use crate::change::hand::JobState;
use crate::change::journal::{Found, Outcome};
use crate::change::plan::Join;

/// What became of a begun join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    Ended(Outcome),
    /// It did not come to an end, and the node is as it was. What could not be tidied up, in words.
    AsBefore {
        left: Vec<String>,
    },
}

/// Brings a begun join to its end. Begins no attempt.
pub async fn run(ctx: &JoinContext<'_>, join: &Join) -> Settled {
    let driver = Driver::new(ctx, join);
    match Box::pin(driver.settle()).await {
        Ok(Settled::Ended(outcome)) | Err(outcome) => Settled::Ended(bounded(outcome)),
        Ok(as_before) => as_before,
    }
}

/// Brings a begun join to its end, by another attempt where it is as before.
pub async fn resume(ctx: &JoinContext<'_>, join: &Join) -> Outcome {
    match run(ctx, join).await {
        Settled::Ended(outcome) => outcome,
        Settled::AsBefore { left } if (ctx.interrupted)() => Outcome::Failed {
            why: "the join was interrupted before it was done; the node is as before".to_owned(),
            next: "join it again".to_owned(),
            evidence: left,
        },
        Settled::AsBefore { .. } => super::run(ctx, join).await,
    }
}

impl Driver<'_, '_> {
    async fn settle(&self) -> Result<Settled, Outcome> {
        // Without a note nothing was changed yet.
        let noted = self.ctx.journal.found(self.ctx.node);
        let found = noted.unwrap_or(Found { node_object: true, kubelet_running: false });
        let job =
            self.worker.repeat(|hand| async move { hand.job(JOB).await }).await.map_err(|error| of_hand(&error))?;
        let own: Option<JobState> = job.filter(|job| job.run == self.ctx.run);
        let attempted = if own.is_some() {
            self.tell(Progress::FoundAgain);
            let tokens = self.ctx.journal.tokens();
            let id = tokens.iter().rev().find(|token| token.node == self.ctx.node).map(|token| token.id.as_str());
            let followed = self.follow(id.unwrap_or_default()).await;
            self.conclude(followed, found).await
        } else if noted.is_some() && self.has_joined().await? {
            self.tidy().await?;
            Ok(Attempted::Joined { evidence: vec!["the node has its kubelet.conf".to_owned()] })
        } else {
            if noted.is_some() {
                self.put_back(found).await?;
            }
            return Ok(Settled::AsBefore { left: self.delete_tokens().await });
        };
        if let Err(outcome @ Outcome::Unsettled { .. }) = attempted {
            return Ok(Settled::Ended(outcome));
        }
        let left = self.delete_tokens().await;
        Ok(Settled::Ended(match attempted? {
            Attempted::Joined { mut evidence } => {
                evidence.extend(left);
                self.after(evidence).await
            }
            Attempted::Failed(failed) => {
                let mut evidence = failed.evidence;
                evidence.extend(left);
                Outcome::Failed { why: failed.why, next: failed.next, evidence }
            }
        }))
    }

    /// Deletes what tokens the run has left: by the journal and by their descriptions. The words for each that could not be.
    pub(super) async fn delete_tokens(&self) -> Vec<String> {
        let noted = self.ctx.journal.tokens();
        let mut ids: Vec<String> =
            noted.into_iter().filter(|token| token.node == self.ctx.node).map(|token| token.id).collect();
        let mut left = Vec::new();
        // One that was made in the moment of the end is in no journal.
        match self.cluster().tokens_of(self.ctx.run, Some(self.ctx.node)).await {
            Ok(listed) => ids.extend(listed),
            Err(error) => left.push(format!("whether the run left a token could not be seen: {}", error.why)),
        }
        ids.sort();
        ids.dedup();
        for id in ids {
            left.extend(self.delete_token(&id).await);
        }
        left
    }
}
