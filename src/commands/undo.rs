//! `seaworthy undo RUN`: takes back what a run changed.

use super::Context;
use super::change::{self, Ask, Earlier};
use crate::cli::UndoArgs;
use crate::exit::ExitCode;

pub(super) fn run(
    args: &UndoArgs,
    context: &Context<'_>,
    quit: impl FnOnce() + Send + 'static,
) -> anyhow::Result<ExitCode> {
    let UndoArgs { run, consent, output, around } = args;
    let ask = Ask::of(*consent, *output)?;
    change::undo(&Earlier { run, ask, accept_unknown: &[], output: *output, around }, context, quit)
}
