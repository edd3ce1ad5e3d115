//! `--resume` and `undo`: what begins with the directory of an earlier run, its plan and its journal.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::engine::Course;
use super::{AFTER, Ask, Changed, Show, bounds, control_planes, engine, with_fleet};
use crate::change::journal::file::{JOURNAL_FILE, Journal};
use crate::change::plan::{Decision, Plan};
use crate::checks::Checks;
use crate::cli::{AroundArgs, PlanFormat};
use crate::commands::answers::Answers;
use crate::commands::common::{self, UsageError};
use crate::commands::{Context, hosts};
use crate::config;
use crate::exit::ExitCode;
use crate::fleet::{self, Understood};
use crate::inventory::model::{HostId, Inventory};
use crate::report::change::summary::Doing;
use crate::report::change::{plan as plan_text, summary as summary_text};
use crate::report::model::Report;
use crate::run::{self, RunFile};
use crate::ui::Event;

/// An earlier run as asked for.
pub(in crate::commands) struct Earlier<'a> {
    /// As typed: an id, the beginning of one, a directory, or `last`.
    pub(in crate::commands) run: &'a str,
    pub(in crate::commands) ask: Ask,
    /// Guards whose unknown is accepted, beside those of the plan.
    pub(in crate::commands) accept_unknown: &'a [String],
    pub(in crate::commands) output: PlanFormat,
    pub(in crate::commands) around: &'a AroundArgs,
}

/// Goes on with a run that was cut off.
pub(in crate::commands) fn go_on(
    earlier: &Earlier<'_>,
    context: &Context<'_>,
    quit: impl FnOnce() + Send + 'static,
) -> anyhow::Result<ExitCode> {
    take_up(earlier, Course::Resume, context, quit)
}

/// Takes back what a run changed.
pub(in crate::commands) fn undo(
    earlier: &Earlier<'_>,
    context: &Context<'_>,
    quit: impl FnOnce() + Send + 'static,
) -> anyhow::Result<ExitCode> {
    take_up(earlier, Course::Undo, context, quit)
}

fn take_up(
    earlier: &Earlier<'_>,
    course: Course,
    context: &Context<'_>,
    quit: impl FnOnce() + Send + 'static,
) -> anyhow::Result<ExitCode> {
    let Earlier { run: wanted, ask, accept_unknown: accepted, output, around } = *earlier;
    let config = hosts::configuration(context.environment)?;
    let directory = find(wanted, around, &config, context)?;
    let (file, nodes, damaged) = run::load_as(&directory, Understood::new)?;
    common::warn(&damaged.iter().map(ToString::to_string).collect::<Vec<_>>());
    let (journal, kept) = Journal::reopen(&directory)?;
    let chosen = hosts::choose(&around.hosts, &file.sources, &config, context.environment)?;
    let checks = common::checks(&around.checks, &chosen.sources)?;
    let read = hosts_of(&file, &kept.plan, &chosen.inventory)?;
    let overrides =
        hosts::overrides(&around.connection, context.matches, &config, context.environment, &mut Answers::default())?;
    let planned = common::plan(&chosen.inventory, &read, &overrides);
    let show = Show { output, diff: false };
    with_fleet(planned, bounds(around, &config), chosen.warnings, context, quit, async |work| {
        let (file, plan) = (&file, &kept.plan);
        let accepted: Vec<String> = plan.accept_unknown.iter().chain(accepted).cloned().collect();
        let (before, _) = fleet::report_understood(file, nodes, &checks);
        let planes = control_planes(&before);
        // What is taken back is held against what it was after the run, not before it.
        let before = if course == Course::Undo { last_after(&directory, &checks).unwrap_or(before) } else { before };
        let run = engine::run_of(file, &journal, &work.fleet, &checks, &planes, &accepted);
        let left = if course == Course::Undo { engine::left_to_undo(&run, plan) } else { Vec::new() };
        let nodes =
            if course == Course::Undo { left.iter().map(|(node, _)| node.clone()).collect() } else { changing(plan) };
        if nodes.is_empty() {
            work.say("nothing is left to be done");
            return Ok(ExitCode::Ok);
        }
        if output == PlanFormat::Text {
            let style = common::style(context.terminal, context.environment);
            work.print(|mut out, _| match course {
                Course::Undo => plan_text::write_undo(plan, &left, &style, &mut out),
                Course::Apply | Course::Resume => plan_text::write(plan, &style, &mut out),
            })?;
        }
        if ask == Ask::Only {
            return Ok(ExitCode::Problems);
        }
        if ask == Ask::First && !common::confirm(&question(course, &file.id, plan, &nodes), &work.events) {
            work.say("nothing was changed");
            return Ok(ExitCode::Problems);
        }
        let summary = engine::go(course, &run, plan).await;
        let doing = if course == Course::Undo { Doing::Undo } else { Doing::Apply };
        let undo = engine::offers_undo(&run, plan);
        let changed = Changed { run: &file.id, directory: &directory, plan, summary: &summary, doing, undo };
        work.tell_end(&changed, &before, file, &checks, show).await?;
        if let (Doing::Apply, Err(error)) = (doing, run::note_more_time(&directory, file, work.begun.elapsed())) {
            work.events.send(Event::Warning(error.to_string()));
        }
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

/// What the last sweep after the run found; `None` where there was none, or it cannot be read.
fn last_after(directory: &Path, checks: &Checks) -> Option<Report> {
    let runs = directory.join(AFTER);
    let last = run::list(&runs).ok()?.pop()?;
    let (file, nodes, _) = run::load_as(&runs.join(last), Understood::new).ok()?;
    Some(fleet::report_understood(&file, nodes, checks).0)
}

/// The hosts that the run read, as the inventory knows them now. Those that it was to change have to be there.
fn hosts_of(file: &RunFile, plan: &Plan, inventory: &Inventory) -> anyhow::Result<Vec<HostId>> {
    if let Some(gone) = changing(plan).into_iter().find(|name| inventory.host(name).is_none()) {
        let message = format!("the run {} changed {gone}, which the inventory does not have", file.id);
        return Err(UsageError::new(format!("{message}; name the inventory of that run with -i")).into());
    }
    Ok(file.hosts.iter().filter_map(|host| inventory.host(&host.name)).collect())
}

/// The nodes that the plan changes.
fn changing(plan: &Plan) -> Vec<String> {
    let changed = plan.nodes.iter().filter(|node| matches!(node.decision, Decision::Change { .. }));
    changed.map(|node| node.node.clone()).collect()
}

fn question(course: Course, run: &str, plan: &Plan, nodes: &[String]) -> String {
    let names = crate::names::folded(nodes.iter().map(String::as_str));
    let what = if course == Course::Undo { "take back what" } else { "go on with what" };
    format!("{what} the run {run} ({}) does on {names}? [y/N] ", plan.playbook)
}
