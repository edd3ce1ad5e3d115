//! `seaworthy undo RUN`: takes back what a run changed.

use super::Context;
use super::change;
use crate::cli::UndoArgs;
use crate::exit::ExitCode;

pub(super) fn run(
    args: &UndoArgs,
    context: &Context<'_>,
    quit: impl FnOnce() + Send + 'static,
) -> anyhow::Result<ExitCode> {
    change::undo(&args.run, args.yes, args.output, &args.around, context, quit)
}
