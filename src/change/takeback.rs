//! How one action is taken back. What it finds changed since is left alone: somebody else's work is not undone.

use super::act::{Gone, Work};
use super::joining;
use super::journal::Outcome;
use super::plan::{Action, Change, Undo};

/// Takes an action back that was done, or that nobody knows the end of. Once more is as good as once.
pub(super) async fn action(work: &Work<'_>, action: &Action) -> Result<Outcome, Gone> {
    let done = |what: String| Outcome::Done { evidence: vec![what] };
    match (&action.undo, &action.change) {
        (Undo::Nothing, _) => Ok(Outcome::Skipped { why: "nothing is to be taken back".to_owned() }),
        (Undo::Impossible { why }, _) => {
            let next = "decide by hand what is to become of it".to_owned();
            Ok(Outcome::Refused { why: format!("{} cannot be taken back: {why}", action.change.words()), next })
        }
        (Undo::Restore { path } | Undo::Remove { path }, Change::WriteFile(file)) => {
            match work.hand.put_back(file, &work.course.run.file.id).await {
                Ok(()) => Ok(done(format!("{path} is {} again", file.before.words()))),
                Err(error) => Work::not_done(error),
            }
        }
        (Undo::Command { run }, _) => {
            Ok(work.command(run).await?.map_or_else(|failed| failed, |()| done(format!("ran {run}"))))
        }
        (Undo::Restart { unit }, _) => match work.hand.restart(unit).await {
            Ok(()) => Ok(done(format!("{unit} was restarted with the files of before, and is active"))),
            Err(error) => Work::not_done(error),
        },
        (Undo::Unjoin, Change::KubeadmJoin(join)) => joining::unjoin(work, join).await,
        (Undo::Restore { .. } | Undo::Remove { .. } | Undo::Unjoin, change) => {
            let why = format!("the plan does not say how {} is taken back", change.words());
            Ok(Outcome::Refused { why, next: "decide by hand what is to become of it".to_owned() })
        }
    }
}
