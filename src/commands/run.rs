//! `seaworthy run FILE|NAME [NODE…]`: any playbook. `sweep`, `preflight`, `join`, `flannel push` and `reset` are short names of
//! built-in ones.

use super::change::{self, Ask, Earlier, Request};
use super::common::UsageError;
use super::opening::{Asked, Compiled, Opening};
use super::reading::Reading;
use super::sweep::{self, Purpose};
use super::{Context, hosts};
use crate::cli::{ChangeArgs, OldRunsArgs, PlanFormat, RunArgs};
use crate::exit::ExitCode;
use crate::playbook::load::PRE_UPGRADE;
use crate::report::Format;

pub(super) fn run(
    args: &RunArgs,
    context: &Context<'_>,
    quit: impl FnOnce() + Send + 'static,
) -> anyhow::Result<ExitCode> {
    if let Some(run) = &args.resume {
        let ChangeArgs { consent, accept_unknown, .. } = &args.change;
        let output = plan_format(args.output)?;
        let earlier = Earlier { run, ask: Ask::of(*consent, output)?, accept_unknown, output, around: &args.around };
        return change::go_on(&earlier, context, quit);
    }
    let playbook = args.playbook.as_deref().unwrap_or_default();
    let config = hosts::configuration(context.environment)?;
    let around = &args.around;
    let asked = Asked { playbook, nodes: &args.nodes, hosts: &around.hosts, checks: Compiled::NotYet(&around.checks) };
    let opening = Opening::new(asked, &[], &config, context)?;
    if opening.playbook.only_looks() {
        let reading = Reading {
            connection: &around.connection,
            bounds: &around.bounds,
            runs: &around.runs,
            old_runs: OldRunsArgs::default(),
            no_save: args.no_save,
            output: args.output,
            shard: args.shard.shard,
            outcome: args.outcome,
        };
        return sweep::look(opening, reading, purpose(args, playbook)?, &config, context, quit);
    }
    if let Some(shard) = args.shard.shard {
        let message = format!(
            "the playbook {playbook} changes nodes, and a change has no shards ({shard}): its canary, its batches and its failure \
             budget are about all of its nodes; choose some with --limit"
        );
        return Err(UsageError::new(message).into());
    }
    if args.outcome.exit_zero {
        let message = "--exit-zero is for playbooks that only look: whether a change worked is never passed over";
        return Err(UsageError::new(message).into());
    }
    if args.to.is_some() {
        let message = format!("--to measures nodes by a version, and the playbook {playbook} changes them");
        return Err(UsageError::new(message).into());
    }
    if args.no_save {
        let message = "--no-save is for playbooks that only look: a change keeps its journal, to be undone and resumed";
        return Err(UsageError::new(message).into());
    }
    let request = Request {
        command: "run",
        nodes: &args.nodes,
        how: &args.change,
        join: args.join.clone(),
        config: None,
        sync: false,
        output: plan_format(args.output)?,
        around,
    };
    change::start(opening, &request, &config, context, quit)
}

/// A playbook that only looks measures nodes by a version if it is given one.
fn purpose(args: &RunArgs, playbook: &str) -> anyhow::Result<Purpose> {
    match args.to {
        None if playbook == PRE_UPGRADE => {
            let message = "the playbook pre-upgrade needs the version to upgrade to, like --to 1.35";
            Err(UsageError::new(message).into())
        }
        None => Ok(Purpose::Sweep),
        Some(target) => Ok(Purpose::Preflight(Some(target))),
    }
}

fn plan_format(format: Format) -> anyhow::Result<PlanFormat> {
    match format {
        Format::Table => Ok(PlanFormat::Text),
        Format::Json => Ok(PlanFormat::Json),
        _ => Err(UsageError::new(
            "a plan is printed as text or json; the other formats are for playbooks that only look",
        )
        .into()),
    }
}
