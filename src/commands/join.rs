//! `seaworthy join NODE…`: the playbook `join`.

use super::Context;
use super::change::{self, Ask, Earlier, Request};
use crate::cli::{ChangeArgs, JoinArgs};
use crate::exit::ExitCode;
use crate::playbook::load::JOIN;

pub(super) fn run(
    args: &JoinArgs,
    context: &Context<'_>,
    quit: impl FnOnce() + Send + 'static,
) -> anyhow::Result<ExitCode> {
    if let Some(run) = &args.resume {
        let (ChangeArgs { consent, accept_unknown, .. }, output) = (&args.change, args.output);
        let earlier = Earlier { run, ask: Ask::of(*consent, output)?, accept_unknown, output, around: &args.around };
        return change::go_on(&earlier, context, quit);
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
