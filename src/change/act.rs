//! One action on one node: noted, done, verified, noted again; and what is done about one that failed or that nobody knows the end
//! of.

use super::apply::{ChangeRun, Over};
use super::course::Course;
use super::hand::{Hand, HandError, Lock};
use super::journal::replayed::Stage;
use super::journal::{Entry, Outcome};
use super::plan::{Action, Change, Condition, Undo, WriteFile};
use super::verify::{Answer, Patience, Question, Waited, within};
use super::{joining, takeback};
use crate::collect::Host;
use crate::failure::{Failure, FailureKind};
use crate::ui::Event;

/// Why work on a node stops before its action has ended.
#[derive(Debug)]
pub(super) enum Gone {
    /// The connection is lost, or cannot be used any more.
    Connection(Failure),
    /// The journal cannot be written, in words.
    Journal(String),
    /// The user wants to stop, or the run's time is over.
    Over(&'static str),
}

impl Gone {
    /// A hand's error: the connection is gone, or why and what next.
    pub(super) fn of(error: HandError) -> Result<(String, String), Self> {
        match error {
            HandError::Connection(failure) => Err(Self::Connection(failure)),
            other => Ok((other.to_string(), other.next())),
        }
    }
}

/// Whether an action is done for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    First,
    /// It was begun before, and nobody knows how far it came.
    Again,
}

/// A locked node that is at work.
#[derive(Clone, Copy)]
pub(super) struct Work<'w> {
    pub(super) course: &'w Course<'w>,
    pub(super) host: &'w Host,
    pub(super) hand: Hand<'w>,
    pub(super) lock: &'w Lock,
}

impl<'w> Work<'w> {
    const fn run(&self) -> &'w ChangeRun<'w> {
        self.course.run
    }

    fn node(&self) -> String {
        self.course.node.to_owned()
    }

    /// The node is still this run's. A machine that slept finds that it is not.
    pub(super) fn holds(&self) -> Result<(), Gone> {
        if self.lock.is_held() {
            return Ok(());
        }
        let next = "run it again";
        Err(Gone::Connection(Failure::new(FailureKind::ConnectionLost, "the lock on the node was lost", next)))
    }

    /// Brings an action to its end, from wherever the journal says that it is.
    pub(super) async fn action(&self, index: usize) -> Result<Outcome, Gone> {
        let action = &self.course.actions[index];
        self.holds()?;
        match self.run().journal.stage(self.course.node, index) {
            Stage::NotBegun => {
                if let Some(over) = self.run().is_over() {
                    return Err(Gone::Over(over.words()));
                }
                if let Some(outcome) = self.left_out(action).await? {
                    self.note(Entry::ActionEnded { node: self.node(), action: index, outcome: outcome.clone() })
                        .await?;
                    return Ok(outcome);
                }
                // Looking may have taken minutes.
                self.holds()?;
                self.note(Entry::ActionBegun { node: self.node(), action: index }).await?;
                self.perform(index, action, Turn::First).await
            }
            Stage::Begun => self.perform(index, action, Turn::Again).await,
            Stage::Ended(outcome) => self.settled(index, action, outcome).await,
            Stage::UndoBegun { of: Some(outcome @ Outcome::Failed { .. }) }
            | Stage::UndoEnded { of: Some(outcome @ Outcome::Failed { .. }), .. } => {
                self.settled(index, action, outcome).await
            }
            Stage::UndoBegun { .. } | Stage::UndoEnded { .. } => Ok(self.course.taken_back()),
        }
    }

    async fn note(&self, entry: Entry) -> Result<(), Gone> {
        Ok(self.run().journal.note(entry).await?)
    }

    async fn perform(&self, index: usize, action: &Action, turn: Turn) -> Result<Outcome, Gone> {
        let (name, words) = (self.node(), action.change.words());
        self.run().tell(Event::ActionBegun { name: name.clone(), action: words.clone() });
        let outcome = self.change(index, action, turn).await?;
        self.note(Entry::ActionEnded { node: self.node(), action: index, outcome: outcome.clone() }).await?;
        self.run().tell(Event::ActionEnded { name, action: words, ended: outcome.words() });
        self.settled(index, action, outcome).await
    }

    /// An action that failed is taken back where that is safe; the outcome says what came of it.
    async fn settled(&self, index: usize, action: &Action, outcome: Outcome) -> Result<Outcome, Gone> {
        let Outcome::Failed { why, next, mut evidence } = outcome else { return Ok(outcome) };
        if is_taken_back(action) {
            let stage = self.run().journal.stage(self.course.node, index);
            let undone = match stage {
                Stage::UndoEnded { outcome, .. } => outcome,
                _ => self.take_back(index, action).await?,
            };
            evidence.push(match undone {
                Outcome::Done { .. } | Outcome::Skipped { .. } => "it was taken back: the node is as before".to_owned(),
                bad => format!("it could not be taken back: {}", bad.words()),
            });
        }
        Ok(Outcome::Failed { why, next, evidence })
    }

    /// Takes an action back and notes it.
    pub(super) async fn take_back(&self, index: usize, action: &Action) -> Result<Outcome, Gone> {
        let (name, words) = (self.node(), format!("take back: {}", action.change.words()));
        self.note(Entry::UndoBegun { node: self.node(), action: index }).await?;
        self.run().tell(Event::ActionBegun { name: name.clone(), action: words.clone() });
        let outcome = takeback::action(self, action).await?;
        self.note(Entry::UndoEnded { node: self.node(), action: index, outcome: outcome.clone() }).await?;
        self.run().tell(Event::ActionEnded { name, action: words, ended: outcome.words() });
        Ok(outcome)
    }

    /// Why an action is not needed any more, or cannot be judged.
    async fn left_out(&self, action: &Action) -> Result<Option<Outcome>, Gone> {
        for Condition::StillFails { check, after } in &action.only_if {
            let question = Question::Check(check);
            match self.course.sight.wait(self.host, question, *after, Patience::UntilInterrupted).await {
                Waited::Yes(evidence) => return Ok(Some(Outcome::Skipped { why: evidence })),
                Waited::Late(Answer::No(_) | Answer::Yes(_)) => {}
                Waited::Late(Answer::Unknown(why)) => {
                    return Ok(Some(self.failed("whether it is needed could not be told", vec![why])));
                }
                Waited::Interrupted => return Err(Gone::Over(Over::Interrupted.words())),
            }
        }
        Ok(None)
    }

    /// Does it and verifies it.
    async fn change(&self, index: usize, action: &Action, turn: Turn) -> Result<Outcome, Gone> {
        let check = action.reason.check.as_deref();
        match &action.change {
            Change::WriteFile(file) => {
                // The same write again comes to the same end, wherever the first one was cut off.
                if let Err(error) = self.hand.write(file, &self.run().file.id).await {
                    return Self::not_done(error);
                }
                self.written(file, check).await
            }
            Change::RestartService { unit } => {
                if let (Turn::Again, Some(Answer::Yes(evidence))) = (turn, self.ask(check).await) {
                    return Ok(Outcome::Done { evidence: vec![evidence] });
                }
                if let Err(error) = self.hand.restart(unit).await {
                    return Self::not_done(error);
                }
                self.verified(check, vec![format!("{unit} is active")]).await
            }
            Change::Command { run } => {
                if turn == Turn::Again {
                    match self.ask(check).await {
                        Some(Answer::Yes(evidence)) => return Ok(Outcome::Done { evidence: vec![evidence] }),
                        Some(Answer::No(_)) => {}
                        Some(Answer::Unknown(_)) | None => {
                            let why = "nobody knows whether the command ran to its end, and nothing shows it";
                            return Ok(Outcome::Unsettled { why: format!("{why}: {run}") });
                        }
                    }
                }
                match self.command(run).await? {
                    Ok(()) => self.verified(check, Vec::new()).await,
                    Err(failed) => Ok(failed),
                }
            }
            Change::KubeadmJoin(join) => joining::join(self, index, join, turn).await,
            Change::KubeadmReset(reset) => joining::reset(self, reset).await,
            Change::WaitFor { check, timeout } => {
                let question = Question::Check(check);
                match self.course.sight.wait(self.host, question, *timeout, Patience::UntilInterrupted).await {
                    Waited::Yes(evidence) => Ok(Outcome::Done { evidence: vec![evidence] }),
                    Waited::Late(answer) => Ok(self.failed(
                        &format!("{check} did not pass {}", within(*timeout)),
                        vec![answer.words().to_owned()],
                    )),
                    Waited::Interrupted => Err(Gone::Over(Over::Interrupted.words())),
                }
            }
        }
    }

    /// A command's own failure is an outcome.
    pub(super) async fn command(&self, command: &str) -> Result<Result<(), Outcome>, Gone> {
        match self.hand.run(command, self.run().waits.command).await {
            Ok(ran) if ran.code == 0 => Ok(Ok(())),
            Ok(ran) => {
                let said = [&ran.stderr, &ran.stdout].into_iter().flat_map(|text| text.lines().rev());
                let said = said.map(str::trim).filter(|line| !line.is_empty()).take(3);
                let evidence = said.map(str::to_owned).collect();
                Ok(Err(self.failed(&format!("{command} ended with exit code {}", ran.code), evidence)))
            }
            Err(error) => Ok(Err(Self::not_done(error)?)),
        }
    }

    async fn ask(&self, check: Option<&str>) -> Option<Answer> {
        Some(self.course.sight.ask(self.host, Question::Check(check?)).await)
    }

    /// The check that the action was done for passes by now.
    async fn verified(&self, check: Option<&str>, mut evidence: Vec<String>) -> Result<Outcome, Gone> {
        if let Some(check) = check {
            let at_most = self.run().waits.check;
            match self.course.sight.wait(self.host, Question::Check(check), at_most, Patience::ToTheEnd).await {
                Waited::Yes(shown) => evidence.push(shown),
                Waited::Late(answer) => {
                    evidence.push(answer.words().to_owned());
                    return Ok(self.failed(&format!("{check} did not pass {}", within(at_most)), evidence));
                }
                Waited::Interrupted => return Err(Gone::Over(Over::Interrupted.words())),
            }
        }
        Ok(Outcome::Done { evidence })
    }

    /// Loaded, then Ready, and flannel itself on its own: a pushed configuration makes a node Ready before flannel works.
    async fn written(&self, file: &WriteFile, check: Option<&str>) -> Result<Outcome, Gone> {
        let mut evidence = vec![format!("{} has the sha256 {}", file.path, file.sha256)];
        let Some(loaded) = &file.verify else { return self.verified(check, evidence).await };
        let (waits, sight) = (&self.run().waits, self.course.sight);
        let question = Question::Loaded(&loaded.network);
        let (waited, seen) = sight.wait_and_see(self.host, question, waits.loaded, Patience::ToTheEnd).await;
        let was_asked = match waited {
            Waited::Yes(shown) => {
                evidence.push(shown);
                true
            }
            // Without a tool that could ask the runtime, only a node that gets Ready shows it.
            Waited::Late(Answer::Unknown(why)) => {
                evidence.push(why);
                false
            }
            Waited::Late(answer) => {
                evidence.push(answer.words().to_owned());
                let why = format!("the runtime did not load the network {} {}", loaded.network, within(waits.loaded));
                return Ok(self.failed(&why, evidence));
            }
            Waited::Interrupted => return Err(Gone::Over(Over::Interrupted.words())),
        };
        if was_asked && seen.has_no_node() {
            evidence.push("the API has no Node of it yet, which would get Ready".to_owned());
            return Ok(Outcome::Done { evidence });
        }
        let (waited, seen) = sight.wait_and_see(self.host, Question::Ready, waits.ready, Patience::ToTheEnd).await;
        match waited {
            Waited::Yes(shown) => evidence.push(shown),
            Waited::Late(answer) => {
                evidence.push(answer.words().to_owned());
                return Ok(self.failed(&format!("the node did not get Ready {}", within(waits.ready)), evidence));
            }
            Waited::Interrupted => return Err(Gone::Over(Over::Interrupted.words())),
        }
        evidence.push(seen.flannel());
        Ok(Outcome::Done { evidence })
    }

    pub(super) fn failed(&self, why: &str, evidence: Vec<String>) -> Outcome {
        let next = format!("seaworthy diagnose {}", self.course.node);
        Outcome::Failed { why: why.to_owned(), next, evidence }
    }

    /// A hand's error as the action's outcome.
    pub(super) fn not_done(error: HandError) -> Result<Outcome, Gone> {
        let refused = matches!(error, HandError::Changed { .. } | HandError::Refused { .. });
        let (why, next) = Gone::of(error)?;
        Ok(if refused { Outcome::Refused { why, next } } else { Outcome::Failed { why, next, evidence: Vec::new() } })
    }
}

/// An action that failed is taken back at once: the file or the command of it, never more. A join puts back what it wrote itself.
const fn is_taken_back(action: &Action) -> bool {
    match (&action.change, &action.undo) {
        (Change::WriteFile(_), Undo::Restore { .. } | Undo::Remove { .. })
        | (Change::Command { .. }, Undo::Command { .. }) => true,
        (
            Change::WriteFile(_)
            | Change::RestartService { .. }
            | Change::Command { .. }
            | Change::KubeadmJoin(_)
            | Change::KubeadmReset(_)
            | Change::WaitFor { .. },
            _,
        ) => false,
    }
}
