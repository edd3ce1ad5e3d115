//! `run --resume`: a run whose process ended in the middle goes on from where its journal says. What was begun is settled first;
//! then it is the same run, with the same batches and the same budget.

use super::apply::{self, ChangeRun};
use super::journal::Entry;
use super::plan::Plan;
use super::summary::Summary;
use super::tokens;
use crate::ui::Event;

/// Goes on with a run whose journal was opened again.
pub async fn run(run: &ChangeRun<'_>, plan: &Plan) -> Summary {
    if let Err(error) = run.journal.note(Entry::Resumed).await {
        // Nothing is begun without a journal: each node says so.
        run.tell(Event::Warning(error.to_string()));
    }
    let summary = apply::run(run, plan).await;
    tokens::delete_left(run, &summary).await;
    summary
}
