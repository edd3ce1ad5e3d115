//! One node's way through its actions: connected, locked, compared with what the plan was made from, and then action after action.
//!
//! How far it came stands in the journal and nowhere else, so that a node is taken up after a lost connection, a killed process or
//! a reboot by the same steps.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::act::{Gone, Work};
use super::apply::ChangeRun;
use super::hand::{Hand, HandError, Lock, Look};
use super::journal::file::JournalError;
use super::journal::replayed::Stage;
use super::journal::{Entry, Outcome};
use super::plan::{Action, Change, Undo};
use super::state::State;
use super::verify::Sight;
use crate::collect::{Host, Opened};
use crate::failure::{Failure, FailureKind};

/// So often may a node be lost in one run; after that it is left alone.
const MAX_LOSSES: u32 = 5;

/// A node that is to be changed.
pub(super) struct Course<'r> {
    pub(super) run: &'r ChangeRun<'r>,
    pub(super) sight: &'r Sight<'r>,
    pub(super) node: &'r str,
    /// What the plan was made from.
    pub(super) state: &'r State,
    pub(super) actions: &'r [Action],
}

/// Which way a node goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Through the plan.
    Forward,
    /// What was done is taken back, the last first.
    Back,
}

/// How far a node came before this process took it up.
pub(super) enum Standing {
    /// Nothing was done to it yet.
    Fresh,
    /// It was left in the middle.
    Begun,
    Finished(Outcome),
}

/// How a node ended.
#[derive(Debug)]
pub(super) enum Ended {
    Settled(Outcome),
    /// It could not be reached, and nothing was done to it.
    Unreachable(Failure),
    /// The journal could not be written, so that nothing more was begun.
    NotKept(String),
}

impl Ended {
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Settled(outcome) => outcome.clone(),
            Self::Unreachable(failure) => Outcome::Failed {
                why: format!("unreachable: {}", failure.message),
                next: failure.next.clone(),
                evidence: vec!["nothing was changed".to_owned()],
            },
            Self::NotKept(why) => Outcome::Unsettled { why: why.clone() },
        }
    }
}

impl From<JournalError> for Gone {
    fn from(error: JournalError) -> Self {
        Self::Journal(error.to_string())
    }
}

impl Course<'_> {
    /// How far the node came, by the journal.
    pub(super) fn standing(&self) -> Standing {
        let stages = || (0..self.actions.len()).map(|index| self.run.journal.stage(self.node, index));
        if stages().any(|stage| stage.is_undo() && !matches!(stage.outcome(), Some(Outcome::Failed { .. }))) {
            return Standing::Finished(self.taken_back());
        }
        match self.run.journal.ended(self.node) {
            _ if !self.is_begun() => Standing::Fresh,
            None | Some(Outcome::Unsettled { .. }) => Standing::Begun,
            Some(outcome) => Standing::Finished(outcome),
        }
    }

    /// What the user took back is not done again by going on.
    pub(super) fn taken_back(&self) -> Outcome {
        let next =
            format!("seaworthy undo {} takes back what is left of it; to do it again, run it anew", self.run.file.id);
        Outcome::Refused { why: "the run was taken back on this node".to_owned(), next }
    }

    /// The places of its actions that are left to be taken back, in the order in which they are: the last first, and then the
    /// services, which are to read the files of before.
    pub(super) fn pending(&self) -> Vec<usize> {
        let restarts = |index: &usize| matches!(self.actions[*index].undo, Undo::Restart { .. });
        let left = (0..self.actions.len()).filter(|index| self.is_pending(*index));
        let (services, mut others): (Vec<usize>, Vec<usize>) = left.partition(restarts);
        others.reverse();
        others.extend(services);
        others
    }

    fn is_pending(&self, index: usize) -> bool {
        if self.actions[index].undo == Undo::Nothing {
            return false;
        }
        match self.run.journal.stage(self.node, index) {
            Stage::NotBegun | Stage::Ended(Outcome::Skipped { .. } | Outcome::Refused { .. }) => false,
            Stage::Ended(Outcome::Failed { .. })
                if matches!(self.actions[index].change, Change::KubeadmJoin(_))
                    && self.run.journal.is_put_back(self.node) =>
            {
                false
            }
            Stage::Begun | Stage::Ended(_) | Stage::UndoBegun { .. } => true,
            stage @ Stage::UndoEnded { .. } => !stage.is_undone(),
        }
    }

    /// An action of it was begun.
    fn is_begun(&self) -> bool {
        (0..self.actions.len()).any(|index| self.run.journal.stage(self.node, index) != Stage::NotBegun)
    }

    /// Takes the node up and brings it as far as it can be brought.
    pub(super) async fn go(&self) -> Ended {
        let node = self.node.to_owned();
        if let Err(error) = self.run.journal.note(Entry::NodeBegun { node: node.clone() }).await {
            return Ended::NotKept(error.to_string());
        }
        let ended = self.until_settled(Direction::Forward).await;
        if matches!(ended, Ended::NotKept(_)) {
            return ended;
        }
        match self.run.journal.note(Entry::NodeEnded { node, outcome: ended.outcome() }).await {
            Ok(()) => ended,
            Err(error) => Ended::NotKept(error.to_string()),
        }
    }

    /// Takes back what was done to the node.
    pub(super) async fn go_back(&self) -> Ended {
        self.until_settled(Direction::Back).await
    }

    /// Connects as often as it takes.
    async fn until_settled(&self, direction: Direction) -> Ended {
        let Some(host) = self.run.host(self.node) else {
            let why = "the inventory has no such host any more".to_owned();
            return Ended::Settled(Outcome::Refused { why, next: "make a new plan".to_owned() });
        };
        let mut losses = 0;
        loop {
            let begun = self.is_begun();
            let opened = match self.connect(host, begun).await {
                Ok(opened) => opened,
                Err(failure) if begun => return Ended::Settled(self.unsettled(direction, &failure.message)),
                Err(failure) => return Ended::Unreachable(failure),
            };
            let hand = Hand::new(opened.line(), host.target.sudo.as_ref());
            let result = self.locked(host, hand, direction).await;
            opened.close().await;
            match result {
                Ok(outcome) => return Ended::Settled(outcome),
                Err(Gone::Journal(error)) => return Ended::NotKept(error),
                Err(Gone::Over(why)) => return Ended::Settled(self.unsettled(direction, why)),
                Err(Gone::Connection(failure)) if !self.is_begun() => return Ended::Unreachable(failure),
                Err(Gone::Connection(failure)) => {
                    losses += 1;
                    // A shell that is ended by a reboot says so before its connection does.
                    let passes = failure.kind.may_pass() || failure.kind == FailureKind::Protocol;
                    if losses > MAX_LOSSES || !passes {
                        return Ended::Settled(self.unsettled(direction, &failure.message));
                    }
                }
            }
        }
    }

    pub(super) fn unsettled(&self, direction: Direction, why: &str) -> Outcome {
        let command = match direction {
            Direction::Forward => "run --resume",
            Direction::Back => "undo",
        };
        Outcome::Unsettled { why: format!("{why}; go on with: seaworthy {command} {}", self.run.file.id) }
    }

    /// A node that was lost gets the time that a reboot takes; one that nothing was done to yet is tried once.
    async fn connect(&self, host: &Host, begun: bool) -> Result<Opened, Failure> {
        let patience = if begun { self.run.waits.reconnect } else { Duration::ZERO };
        let (since, mut interrupt) = (Instant::now(), self.run.stop.interrupt.clone());
        let mut pause = Duration::from_millis(500).min(self.run.waits.poll);
        loop {
            let failure = match self.run.collector.open(host).await {
                Ok(opened) => return Ok(opened),
                Err((failure, _)) => failure,
            };
            if since.elapsed() + pause > patience || !failure.kind.may_pass() {
                return Err(failure);
            }
            if timeout(pause, interrupt.wait()).await.is_ok() {
                return Err(failure);
            }
            pause = (pause * 2).min(self.run.waits.poll);
        }
    }

    async fn locked(&self, host: &Host, hand: Hand<'_>, direction: Direction) -> Result<Outcome, Gone> {
        let lock = match lock_for(self.run, hand).await {
            Ok(lock) => lock,
            Err(error) => return self.nothing_done(error, direction),
        };
        let work = Work { course: self, host, hand, lock: &lock };
        let result = match (self.compare(hand, direction).await, direction) {
            (Err(gone), _) => Err(gone),
            (Ok(Some(outcome)), _) => Ok(outcome),
            (Ok(None), Direction::Forward) => self.forward(work).await,
            (Ok(None), Direction::Back) => self.back(work).await,
        };
        lock.release().await;
        result
    }

    /// Looks again: a plan that was made for another state of the node is not applied, and what was done to one machine is not
    /// taken back on another.
    async fn compare(&self, hand: Hand<'_>, direction: Direction) -> Result<Option<Outcome>, Gone> {
        let mut expected = self.state.clone();
        match direction {
            Direction::Forward => expected.paths.retain(|path, _| self.is_untouched(path)),
            // Each file is looked at when it is taken back.
            Direction::Back => expected.paths.clear(),
        }
        let looks: Vec<Look> = expected.paths.keys().map(|path| Look { path: path.clone(), content: false }).collect();
        let now = match hand.look(&looks).await {
            Ok(now) => now,
            Err(error) => return self.nothing_done(error, direction).map(Some),
        };
        let begun = self.is_begun();
        if begun {
            // It may have rebooted in the middle of its work.
            expected.boot_id.clone_from(&now.boot_id);
        }
        let differences = expected.differences(&now);
        if differences.is_empty() {
            return Ok(None);
        }
        let why = format!("the node has changed since the plan was made: {}", differences.join("; "));
        if begun {
            return Ok(Some(self.unsettled(direction, &why)));
        }
        Ok(Some(Outcome::Refused { why, next: "run it again: it makes a new plan".to_owned() }))
    }

    /// No action that was begun may have changed what lies there.
    fn is_untouched(&self, path: &str) -> bool {
        let begun = self.actions.iter().enumerate();
        let begun = begun.filter(|(index, _)| self.run.journal.stage(self.node, *index) != Stage::NotBegun);
        begun.map(|(_, action)| &action.change).all(|change| match change {
            Change::WriteFile(file) => file.path != path,
            Change::WaitFor { .. } => true,
            Change::RestartService { .. }
            | Change::Command { .. }
            | Change::KubeadmJoin(_)
            | Change::KubeadmReset(_) => false,
        })
    }

    /// What an error amounts to that came before anything was done in this turn.
    fn nothing_done(&self, error: HandError, direction: Direction) -> Result<Outcome, Gone> {
        match Gone::of(error) {
            Ok((why, _)) if self.is_begun() => Ok(self.unsettled(direction, &why)),
            Ok((why, next)) => Ok(Outcome::Refused { why, next }),
            Err(gone) => Err(gone),
        }
    }

    async fn back(&self, work: Work<'_>) -> Result<Outcome, Gone> {
        let (mut shown, mut impossible) = (Vec::new(), None);
        for index in self.pending() {
            let action = &self.actions[index];
            if let Some(over) = self.run.is_over() {
                return Err(Gone::Over(over.words()));
            }
            work.holds()?;
            match work.take_back(index, action).await? {
                Outcome::Done { evidence } => shown.extend(evidence),
                Outcome::Skipped { why } => shown.push(why),
                // What was done before it can be taken back all the same.
                refused @ Outcome::Refused { .. } if matches!(action.undo, Undo::Impossible { .. }) => {
                    impossible.get_or_insert(refused);
                }
                // What was done before it may be what the node stands on.
                Outcome::Unsettled { why } => return Ok(self.unsettled(Direction::Back, &why)),
                bad @ (Outcome::Refused { .. } | Outcome::Failed { .. }) => return Ok(bad),
            }
        }
        Ok(impossible.unwrap_or(Outcome::Done { evidence: shown }))
    }

    async fn forward(&self, work: Work<'_>) -> Result<Outcome, Gone> {
        let mut shown = Vec::new();
        for index in 0..self.actions.len() {
            match work.action(index).await? {
                Outcome::Done { evidence } => shown.extend(evidence),
                Outcome::Skipped { why } => shown.push(why),
                Outcome::Unsettled { why } => return Ok(self.unsettled(Direction::Forward, &why)),
                bad @ (Outcome::Refused { .. } | Outcome::Failed { .. }) => return Ok(bad),
            }
        }
        Ok(Outcome::Done { evidence: shown })
    }
}

/// Takes the node for this run. A lock of the very same run is the one of a connection that was lost a moment ago and that the
/// node has not noticed yet.
pub(super) async fn lock_for(run: &ChangeRun<'_>, hand: Hand<'_>) -> Result<Lock, HandError> {
    let since = Instant::now();
    loop {
        match hand.lock(&run.file.id).await {
            Err(HandError::Locked { by }) if by == run.file.id && since.elapsed() < run.waits.reconnect => {
                sleep(run.waits.poll).await;
            }
            result => return result,
        }
    }
}
