//! `seaworthy join NODE…`: the playbook `join`.

use super::Context;
use super::change::{self, Request};
use crate::cli::JoinArgs;
use crate::exit::ExitCode;
use crate::playbook::load::JOIN;

pub(super) fn run(
    args: &JoinArgs,
    context: &Context<'_>,
    quit: impl FnOnce() + Send + 'static,
) -> anyhow::Result<ExitCode> {
    if let Some(run) = &args.resume {
        return change::go_on(run, args.change.yes, args.output, &args.around, context, quit);
    }
    let request = Request {
        command: "join",
        nodes: &args.nodes,
        how: &args.change,
        join: args.join.clone(),
        config: None,
        sync: false,
        output: args.output,
        around: &args.around,
    };
    change::run(JOIN, &request, context, quit)
}
