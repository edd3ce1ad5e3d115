//! Joins and resets: which machines they work on, over which connections, and where their progress goes.
//!
//! What runs for minutes outlives its connection: while it does, a lost connection is opened again, with the run's lock, beside
//! the one that the node's other actions go through.

use std::sync::OnceLock;

use futures::future::BoxFuture;

use super::act::{Gone, Turn, Work};
use super::apply::ChangeRun;
use super::course::lock_for;
use super::hand::{Hand, HandError, Lock};
use super::join::{self, JoinContext, Progress, Stage, Until, Way, settle, unjoin};
use super::journal::Outcome;
use super::plan::{Action, Change, Join, Reset};
use crate::collect::{Host, Opened};
use crate::failure::Failure;
use crate::ui::Event;

/// What is done about a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Run,
    Settle,
    Unjoin,
}

/// Joins, or brings a join to its end that was begun before.
pub(super) async fn join(work: &Work<'_>, index: usize, join: &Join, turn: Turn) -> Result<Outcome, Gone> {
    let deed = match turn {
        Turn::First => Deed::Run,
        Turn::Again => Deed::Settle,
    };
    let later = work.course.actions.get(index + 1..).unwrap_or_default();
    with_control_plane(work, join, deed, until(later)).await
}

/// Takes a join back.
pub(super) async fn unjoin(work: &Work<'_>, join: &Join) -> Result<Outcome, Gone> {
    with_control_plane(work, join, Deed::Unjoin, Until::NodeObject).await
}

/// Resets a worker.
pub(super) async fn reset(work: &Work<'_>, reset: &Reset) -> Result<Outcome, Gone> {
    let run = work.course.run;
    let connections = Connections::new(run, work.host, Locked::Yes);
    let again = || -> BoxFuture<'_, _> { Box::pin(connections.again()) };
    let worker = Way { hand: work.hand, again: &again };
    Ok(join::reset::run(worker, &run.file.id, reset, run.waits.reconnect).await)
}

/// A configuration that is still to come is what a node waits for to be Ready.
fn until(later: &[Action]) -> Until {
    let brings_network = |action: &Action| matches!(&action.change, Change::WriteFile(file) if file.verify.is_some());
    if later.iter().any(brings_network) { Until::NodeObject } else { Until::NodeReady }
}

async fn with_control_plane(work: &Work<'_>, join: &Join, deed: Deed, until: Until) -> Result<Outcome, Gone> {
    let run = work.course.run;
    let unreachable = |failure: Failure| {
        let why = format!("the control plane {} cannot be reached: {}", join.control_plane, failure.message);
        match deed {
            Deed::Run => Outcome::Refused { why, next: failure.next },
            Deed::Settle | Deed::Unjoin => Outcome::Unsettled { why },
        }
    };
    let Some(host) = run.host(&join.control_plane) else {
        let why = format!("the inventory has no {} any more", join.control_plane);
        return Ok(Outcome::Refused { why, next: "put the control plane back into the inventory".to_owned() });
    };
    let opened = match run.collector.open(host).await {
        Ok(opened) => opened,
        Err((failure, _)) => return Ok(unreachable(failure)),
    };
    let connections = [Connections::new(run, work.host, Locked::Yes), Connections::new(run, host, Locked::No)];
    let outcome = {
        let [of_worker, of_plane] = &connections;
        let again_worker = || -> BoxFuture<'_, _> { Box::pin(of_worker.again()) };
        let again_plane = || -> BoxFuture<'_, _> { Box::pin(of_plane.again()) };
        let tell = |progress: Progress| {
            let name = work.course.node.to_owned();
            run.tell(Event::ActionPhase { name, phase: words(&progress) });
        };
        let context = JoinContext {
            run: &run.file.id,
            node: work.course.node,
            worker: Way { hand: work.hand, again: &again_worker },
            control_plane: Way { hand: Hand::new(opened.line(), host.target.sudo.as_ref()), again: &again_plane },
            visitor: &run.collector.visitor,
            journal: run.journal,
            progress: &tell,
            interrupted: &|| run.is_over().is_some(),
            accept_unknown: run.accept_unknown,
            until,
            limits: run.waits.join,
        };
        match deed {
            Deed::Run => join::run(&context, join).await,
            Deed::Settle => settle::resume(&context, join).await,
            Deed::Unjoin => unjoin::run(&context, join).await,
        }
    };
    for connections in connections {
        connections.close().await;
    }
    opened.close().await;
    Ok(outcome)
}

fn words(progress: &Progress) -> String {
    match progress {
        Progress::TokenMade { id } => format!("made the token {id}"),
        Progress::Proven { .. } => "the API answers from here, and is the one of the token".to_owned(),
        Progress::Started { attempt: 1 } => "kubeadm join runs".to_owned(),
        Progress::Started { attempt } => format!("kubeadm join runs, attempt {attempt}"),
        Progress::Reached(phase) => format!("kubeadm join: {}", phase.id()),
        Progress::ConnectionLost => "the connection is lost; the join goes on".to_owned(),
        Progress::FoundAgain => "found the join again".to_owned(),
        Progress::PuttingBack { why } => format!("putting back what the join wrote: {why}"),
        Progress::Retrying { attempt, after } => {
            format!("attempt {attempt} begins in {}", crate::duration::exact(*after))
        }
        Progress::Waiting(stage) => format!("waiting for {}", awaited(*stage)),
    }
}

const fn awaited(stage: Stage) -> &'static str {
    match stage {
        Stage::Kubelet => "the kubelet",
        Stage::NodeObject => "the Node",
        Stage::CniConfig => "a CNI configuration",
        Stage::NodeReady => "the Node to be Ready",
    }
}

/// Whether a connection has the node for this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Locked {
    Yes,
    No,
}

/// Connections to one machine that were opened after the first was lost. All live as long as the work on it, because the hands
/// that work through them do.
struct Connections<'c> {
    run: &'c ChangeRun<'c>,
    host: &'c Host,
    locked: Locked,
    first: OnceLock<Box<Link>>,
}

struct Link {
    opened: Opened,
    lock: OnceLock<Lock>,
    next: OnceLock<Box<Link>>,
}

impl<'c> Connections<'c> {
    const fn new(run: &'c ChangeRun<'c>, host: &'c Host, locked: Locked) -> Self {
        Self { run, host, locked, first: OnceLock::new() }
    }

    async fn again(&self) -> Result<Hand<'_>, HandError> {
        let opened = self.run.collector.open(self.host).await.map_err(|(failure, _)| HandError::Connection(failure))?;
        let link = self.keep(opened);
        let hand = Hand::new(link.opened.line(), self.host.target.sudo.as_ref());
        if self.locked == Locked::Yes {
            let lock = lock_for(self.run, hand).await?;
            // This link was made a moment ago, and nobody else knows it.
            let _ = link.lock.set(lock);
        }
        Ok(hand)
    }

    /// Connections are asked for one after the other.
    fn keep(&self, opened: Opened) -> &Link {
        let mut end = &self.first;
        while let Some(taken) = end.get() {
            end = &taken.next;
        }
        end.get_or_init(|| Box::new(Link { opened, lock: OnceLock::new(), next: OnceLock::new() }))
    }

    async fn close(mut self) {
        let mut next = self.first.take();
        while let Some(link) = next {
            let Link { opened, lock, next: mut after } = *link;
            if let Some(lock) = lock.into_inner() {
                lock.release().await;
            }
            opened.close().await;
            next = after.take();
        }
    }
}
