//! `--resume` and `undo`: what begins with the directory of an earlier run, its plan and its journal.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;

use super::engine::Course;
use super::{Ask, Changed, Show, bounds, engine, with_fleet};
use crate::change::journal::file::{JOURNAL_FILE, Journal};
use crate::change::plan::{Decision, Plan};
use crate::cli::{AroundArgs, PlanFormat};
use crate::commands::common::{self, UsageError};
use crate::commands::{Context, hosts};
use crate::config;
use crate::exit::ExitCode;
use crate::fleet;
use crate::inventory::model::{HostId, Inventory};
use crate::report::change::summary::Doing;
use crate::report::change::{plan as plan_text, summary as summary_text};
use crate::run::{self, Saved};

/// Goes on with a run that was cut off.
pub(in crate::commands) fn go_on(
    run: &str,
    yes: bool,
    output: PlanFormat,
    around: &AroundArgs,
    context: &Context<'_>,
    quit: impl FnOnce() + Send + 'static,
) -> anyhow::Result<ExitCode> {
    take_up(run, Ask::unless(yes, output)?, Course::Resume, output, around, context, quit)
}

/// Takes back what a run changed.
pub(in crate::commands) fn undo(
    run: &str,
    yes: bool,
    output: PlanFormat,
    around: &AroundArgs,
    context: &Context<'_>,
    quit: impl FnOnce() + Send + 'static,
) -> anyhow::Result<ExitCode> {
    take_up(run, Ask::unless(yes, output)?, Course::Undo, output, around, context, quit)
}

fn take_up(
    wanted: &str,
    ask: Ask,
    course: Course,
    output: PlanFormat,
    around: &AroundArgs,
    context: &Context<'_>,
    quit: impl FnOnce() + Send + 'static,
) -> anyhow::Result<ExitCode> {
    let config = hosts::configuration(context.environment)?;
    let directory = find(wanted, around, &config, context)?;
    let saved = Saved::load(&directory)?;
    common::warn(&saved.damaged.iter().map(ToString::to_string).collect::<Vec<_>>());
    let (journal, kept) = Journal::reopen(&directory)?;
    let chosen = hosts::choose(&around.hosts, &saved.run.sources, &config, context.environment)?;
    let checks = common::checks(&around.checks, &chosen.sources)?;
    let read = hosts_of(&saved, &kept.plan, &chosen.inventory)?;
    let overrides = hosts::overrides(&around.connection, context.matches, &config, context.environment)?;
    let planned = common::plan(&chosen.inventory, &read, &overrides);
    let show = Show { output, diff: false };
    with_fleet(planned, bounds(around, &config), chosen.warnings, context, quit, async |work| {
        let (file, plan) = (&saved.run, &kept.plan);
        if let (PlanFormat::Text, Course::Resume) = (output, course) {
            let style = common::style(context.terminal, context.environment);
            work.print(|mut out, _| plan_text::write(plan, &style, &mut out))?;
        }
        if ask == Ask::First && !common::confirm(&question(course, &file.id, plan), &work.events) {
            work.say("nothing was changed");
            return Ok(ExitCode::Problems);
        }
        let summary = engine::go(course, file, &journal, &work.fleet, &checks, plan, &[]).await;
        let doing = if course == Course::Undo { Doing::Undo } else { Doing::Apply };
        let changed = Changed { run: &file.id, directory: &directory, plan, summary: &summary, doing };
        let before = fleet::assess(file, &saved.records, &checks, &BTreeMap::new()).report;
        work.tell_end(&changed, &before, file, &checks, show).await?;
        Ok(match doing {
            Doing::Apply => summary_text::exit_code(plan, &summary, &[]),
            Doing::Undo => summary_text::exit_code_of_undo(&summary),
        })
    })
}

/// The directory that is meant; `last` is the newest run that has changed something, or meant to.
fn find(wanted: &str, around: &AroundArgs, config: &config::Loaded, context: &Context<'_>) -> anyhow::Result<PathBuf> {
    let runs = common::runs_directory(around.runs.run_dir.as_deref(), &config.config, context.environment);
    if wanted == "last" {
        let runs = runs?;
        let changed =
            run::list(&runs)?.into_iter().rev().map(|id| runs.join(id)).find(|run| run.join(JOURNAL_FILE).is_file());
        return changed.with_context(|| format!("no run in {} has changed anything", runs.display()));
    }
    // A path needs no directory of runs.
    Ok(run::find(&runs.unwrap_or_default(), wanted, None)?)
}

/// The hosts that the run read, as the inventory knows them now. Those that it was to change have to be there.
fn hosts_of(saved: &Saved, plan: &Plan, inventory: &Inventory) -> anyhow::Result<Vec<HostId>> {
    let changed = plan.nodes.iter().filter(|node| matches!(node.decision, Decision::Change { .. }));
    if let Some(gone) = changed.map(|node| &node.node).find(|name| inventory.host(name).is_none()) {
        let message = format!("the run {} changed {gone}, which the inventory does not have", saved.run.id);
        return Err(UsageError::new(format!("{message}; name the inventory of that run with -i")).into());
    }
    Ok(saved.run.hosts.iter().filter_map(|host| inventory.host(&host.name)).collect())
}

fn question(course: Course, run: &str, plan: &Plan) -> String {
    let nodes = plan.nodes.iter().filter(|node| matches!(node.decision, Decision::Change { .. }));
    let names = crate::names::folded(nodes.map(|node| node.node.as_str()));
    let what = if course == Course::Undo { "take back what" } else { "go on with what" };
    format!("{what} the run {run} ({}) does on {names}? [y/N] ", plan.playbook)
}
