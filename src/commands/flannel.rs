//! `seaworthy flannel push [NODE…]`: the playbook `flannel`.

use super::Context;
use super::change::{self, Request};
use crate::cli::{FlannelArgs, FlannelCommand, JoinOptions};
use crate::exit::ExitCode;
use crate::playbook::load::FLANNEL;

pub(super) fn run(
    args: &FlannelArgs,
    context: &Context<'_>,
    quit: impl FnOnce() + Send + 'static,
) -> anyhow::Result<ExitCode> {
    let FlannelCommand::Push(args) = &args.command;
    let request = Request {
        command: "flannel push",
        nodes: &args.nodes,
        how: &args.change,
        join: JoinOptions::default(),
        config: args.config.as_deref(),
        sync: args.sync,
        output: args.output,
        around: &args.around,
    };
    change::run(FLANNEL, &request, context, quit)
}
