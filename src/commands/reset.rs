//! `seaworthy reset NODE…`: the playbook `reset`.

use super::Context;
use super::change::{self, Request};
use crate::cli::{JoinOptions, ResetArgs};
use crate::exit::ExitCode;
use crate::playbook::load::RESET;

pub(super) fn run(
    args: &ResetArgs,
    context: &Context<'_>,
    quit: impl FnOnce() + Send + 'static,
) -> anyhow::Result<ExitCode> {
    let request = Request {
        command: "reset",
        nodes: &args.nodes,
        how: &args.change,
        join: JoinOptions::default(),
        config: None,
        sync: false,
        output: args.output,
        around: &args.around,
    };
    change::run(RESET, &request, context, quit)
}
