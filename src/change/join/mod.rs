//! A `kubeadm join` of one worker, from its token to a Node in the cluster; its end after an interruption, and its undoing.
//!
//! ```text
//! token ─► proof ─► files kept ─► job ─► its output, classified ─► joined ─► kubelet, Node object, Ready
//!   ▲                               │
//!   └── again, if it may pass ◄── failed: put back
//! ```
//!
//! - [`token`], [`jws`], [`discovery`], [`proof`], [`retry`]: what is said, meant and decided. Pure.
//! - `machine`, `cluster`, `tools`, `prove`: the worker and the control plane, asked. [`by_tools`]: the API by the worker's programs.
//! - `attempt`, `heard`, `watch`: one run of kubeadm; `waits`: what has to come after it.
//! - [`settle`], [`unjoin`], [`reset`]: the end of an interrupted join, its undoing, and `kubeadm reset`.
//!
//! A node is left as it was or joined. The token's secret is in memory and in one file on a tmpfs of the node. Knows no
//! playbook and no batch, and prints nothing.

mod attempt;
pub mod by_tools;
mod cluster;
pub mod discovery;
mod heard;
pub mod jws;
mod machine;
pub mod proof;
mod prove;
pub mod reset;
pub mod retry;
pub mod settle;
pub mod token;
mod tools;
pub mod unjoin;
mod waits;
mod watch;

use std::time::Duration;

use tokio::time::sleep;

pub use machine::{Again, Way};

use crate::change::hand::HandError;
use crate::change::journal::file::{Journal, JournalError};
use crate::change::journal::{Entry, Outcome};
use crate::change::plan::Join;
use crate::diagnose::join_log::Phase;
use crate::reach::Visitor;
use attempt::Attempted;
use cluster::{Cluster, Unanswered};
use machine::Machine;

/// What a join works with.
pub struct JoinContext<'a> {
    /// The run's id: in the description of its tokens, and on what is kept.
    pub run: &'a str,
    /// The inventory's name.
    pub node: &'a str,
    pub worker: Way<'a>,
    pub control_plane: Way<'a>,
    /// For the proof, over the worker's connection.
    pub visitor: &'a Visitor,
    pub journal: &'a Journal,
    pub progress: &'a (dyn Fn(Progress) + Send + Sync),
    /// The user wants to stop: what runs is finished, and no further attempt is begun.
    pub interrupted: &'a (dyn Fn() -> bool + Send + Sync),
    /// Checks whose unknown the user accepted.
    pub accept_unknown: &'a [String],
    pub until: Until,
    pub limits: Limits,
}

/// How far a join is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The Node object is there: a later step brings the CNI configuration that it needs to be Ready.
    NodeObject,
    /// The Node is Ready.
    NodeReady,
}

/// How long what may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The cluster signs for a new token.
    pub signature: Duration,
    /// `kubeadm join` as a whole. It ends by itself after at most 5 minutes of discovery, 4 for the kubelet and 5 for its
    /// certificate; what is shorter than that hides how it would have ended.
    pub join: Duration,
    /// Between two looks for a failure that is certain.
    pub watch: Duration,
    /// A lost connection comes back.
    pub reconnect: Duration,
    /// The kubelet is healthy.
    pub kubelet: Duration,
    /// The Node object is there.
    pub node_object: Duration,
    /// A CNI configuration is there.
    pub cni: Duration,
    /// The Node is Ready.
    pub ready: Duration,
    /// Between two looks at one of these.
    pub poll: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            signature: seconds(15),
            join: seconds(1200),
            watch: seconds(5),
            reconnect: seconds(300),
            kubelet: seconds(60),
            node_object: seconds(60),
            cni: seconds(120),
            ready: seconds(180),
            poll: seconds(2),
        }
    }
}

/// What a join is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    TokenMade {
        id: String,
    },
    Proven {
        evidence: Vec<String>,
    },
    /// kubeadm runs; attempts are counted from 1.
    Started {
        attempt: u32,
    },
    Reached(Phase),
    ConnectionLost,
    FoundAgain,
    PuttingBack {
        why: String,
    },
    Retrying {
        attempt: u32,
        after: Duration,
    },
    Waiting(Stage),
}

/// What has to come after kubeadm is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Kubelet,
    NodeObject,
    CniConfig,
    NodeReady,
}

/// The name of the job directory of a join on the node.
const JOB: &str = "join";

/// One join with its machines.
struct Driver<'c, 'a> {
    ctx: &'c JoinContext<'a>,
    join: &'c Join,
    worker: Machine<'a>,
    control_plane: Machine<'a>,
}

/// Joins the worker.
///
/// When it ends well, the copies of the files of before are still kept on the node, for an undo, which removes them; a later join or
/// reset of the node removes them, too. In every other end but [`Outcome::Unsettled`] the node is as it was, or the outcome says what is not.
pub async fn run(ctx: &JoinContext<'_>, join: &Join) -> Outcome {
    let driver = Driver::new(ctx, join);
    let outcome = match Box::pin(driver.run()).await {
        Ok(outcome) | Err(outcome) => outcome,
    };
    bounded(outcome)
}

impl<'c, 'a> Driver<'c, 'a> {
    fn new(ctx: &'c JoinContext<'a>, join: &'c Join) -> Self {
        let patience = ctx.limits.reconnect;
        Self {
            ctx,
            join,
            worker: Machine::new(ctx.worker, patience),
            control_plane: Machine::new(ctx.control_plane, patience),
        }
    }

    fn cluster(&self) -> Cluster<'_, 'a> {
        Cluster(&self.control_plane)
    }

    fn tell(&self, progress: Progress) {
        (self.ctx.progress)(progress);
    }

    async fn note(&self, entry: Entry) -> Result<(), Outcome> {
        self.ctx.journal.note(entry).await.map_err(|error| unwritten(&error))
    }

    async fn run(&self) -> Result<Outcome, Outcome> {
        let found = self.found().await?;
        let mut before = None;
        let mut number = 1;
        loop {
            let failed = match self.attempt(number, found).await? {
                Attempted::Joined { evidence } => return Ok(self.after(evidence).await),
                Attempted::Failed(failed) => failed,
            };
            let Join { attempts, backoff, .. } = *self.join;
            let decision = retry::decide(&failed.ended, before.as_ref(), number, attempts, backoff);
            let enough = match decision {
                retry::Decision::Enough(why) => Some(why),
                retry::Decision::Again(_) if (self.ctx.interrupted)() => Some("the run was interrupted".to_owned()),
                retry::Decision::Again(pause) => {
                    number += 1;
                    self.tell(Progress::Retrying { attempt: number, after: pause });
                    sleep(pause).await;
                    None
                }
            };
            if let Some(why) = enough {
                let mut evidence = failed.evidence;
                evidence.push(format!("not tried again: {why}"));
                return Ok(Outcome::Failed { why: failed.why, next: failed.next, evidence });
            }
            before = Some(failed.ended);
        }
    }
}

fn unwritten(error: &JournalError) -> Outcome {
    let next = "make room for the run directory, then go on with --resume".to_owned();
    Outcome::Failed { why: short(&error.to_string()), next, evidence: Vec::new() }
}

/// An error of the worker's hand while nothing was changed that is not put back.
fn of_hand(error: &HandError) -> Outcome {
    match error {
        HandError::Connection(failure) => Outcome::Unsettled { why: short(&failure.message) },
        HandError::Locked { .. } => Outcome::Refused { why: short(&error.to_string()), next: short(&error.next()) },
        HandError::Changed { .. } | HandError::Refused { .. } | HandError::Failed { .. } => {
            Outcome::Failed { why: short(&error.to_string()), next: short(&error.next()), evidence: Vec::new() }
        }
    }
}

impl Unanswered {
    fn outcome(self) -> Outcome {
        Outcome::Failed { why: self.why, next: self.next, evidence: Vec::new() }
    }

    fn refused(self) -> Outcome {
        Outcome::Refused { why: self.why, next: self.next }
    }
}

/// So much evidence is enough.
fn bounded(outcome: Outcome) -> Outcome {
    const MAX: usize = 16;
    match outcome {
        Outcome::Done { mut evidence } => {
            evidence.truncate(MAX);
            Outcome::Done { evidence }
        }
        other => other,
    }
}

/// A stranger's words: on one line, without secrets, and short.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let clean = crate::probe::redact::text(&line);
    crate::text::truncate(&crate::text::sanitize(&clean), 400, "…").into_owned()
}
