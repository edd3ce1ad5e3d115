//! `seaworthy preflight`: a sweep whose nodes are measured by the version to upgrade to. The playbook is `pre-upgrade`.

use super::Context;
use super::sweep::{self, Purpose};
use crate::cli::PreflightArgs;
use crate::exit::ExitCode;

pub(super) fn run(
    args: &PreflightArgs,
    context: &Context<'_>,
    quit: impl FnOnce() + Send + 'static,
) -> anyhow::Result<ExitCode> {
    sweep::run(&args.sweep, Purpose::Preflight(args.to), context, quit)
}
