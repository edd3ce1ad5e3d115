//! Runs that change nodes: sweep, look, plan, show, ask, apply, sweep again, and say what came of it. What is done to a node, and
//! what stands in the way of it, is `change`'s; how it reads, `report::change`'s.
//!
//! - `choice`: which nodes are changed, and what the command line changes about the playbook.
//! - `engine`: the calls into `change`.
//! - `again`: `--resume` and `undo`, which begin with the directory of an earlier run.

mod again;
mod choice;
mod engine;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;

use self::engine::Course;
use super::answers::Answers;
use super::common::{self, Bounds, Fleet, Planned, UsageError};
use super::opening::{Asked, Compiled, Opening};
use super::sweep::{self, Purpose};
use super::{Context, hosts};
use crate::change::journal::file::Journal;
use crate::change::plan::{Decision, Plan};
use crate::change::steps::PlanOptions;
use crate::change::summary::Summary;
use crate::checks::Checks;
use crate::cli::{AroundArgs, ChangeArgs, ConsentArgs, JoinOptions, PlanFormat};
use crate::config;
use crate::exit::ExitCode;
use crate::fleet::{self, Assessed};
use crate::interrupt::Interrupt;
use crate::playbook::Playbook;
use crate::report::change::compare::{self, Compared};
use crate::report::change::document::{self, Document};
use crate::report::change::summary::{Doing, Ended};
use crate::report::change::{diff, plan as plan_text, summary as summary_text};
use crate::report::model::{Outcome, Report};
use crate::run::{RunFile, Writer};
use crate::target::Role;
use crate::ui::{Event, Events};

pub(super) use again::{Earlier, go_on, undo};

/// Below the run's directory: the sweeps that were made after it had changed something.
const AFTER: &str = "after";

/// For a whole run that changes nodes, unless told otherwise: joins take minutes each, and batches follow each other.
const RUN_DEADLINE: Duration = Duration::from_hours(12);

/// A change as asked for.
pub(super) struct Request<'a> {
    /// The subcommand, for the run's own file.
    pub(super) command: &'static str,
    /// As typed.
    pub(super) nodes: &'a [String],
    pub(super) how: &'a ChangeArgs,
    pub(super) join: JoinOptions,
    /// Push this file instead of the cluster's configuration.
    pub(super) config: Option<&'a Path>,
    /// Also replace what is valid and differs.
    pub(super) sync: bool,
    pub(super) output: PlanFormat,
    pub(super) around: &'a AroundArgs,
}

/// Runs a built-in playbook.
pub(super) fn run(
    playbook: &str,
    request: &Request<'_>,
    context: &Context<'_>,
    quit: impl FnOnce() + Send + 'static,
) -> anyhow::Result<ExitCode> {
    let config = hosts::configuration(context.environment)?;
    let around = request.around;
    let asked =
        Asked { playbook, nodes: request.nodes, hosts: &around.hosts, checks: Compiled::NotYet(&around.checks) };
    let opening = Opening::new(asked, &[], &config, context)?;
    start(opening, request, &config, context, quit)
}

/// Runs a playbook that has steps.
pub(super) fn start(
    mut opening: Opening,
    request: &Request<'_>,
    config: &config::Loaded,
    context: &Context<'_>,
    quit: impl FnOnce() + Send + 'static,
) -> anyhow::Result<ExitCode> {
    let ask = Ask::of(request.how.consent, request.output)?;
    choice::tailor(&mut opening.playbook, request, context)?;
    let chosen = choice::choose(&opening, request)?;
    opening.warnings.extend(choice::unknown_guards(&request.how.accept_unknown, &opening.checks));
    let around = request.around;
    let overrides =
        hosts::overrides(&around.connection, context.matches, config, context.environment, &mut Answers::default())?;
    let planned = common::plan(&opening.inventory, &chosen.read, &overrides);
    let file = RunFile::new(
        Purpose::Change(request.command).command(),
        SystemTime::now(),
        planned.iter().map(|planned| planned.host.clone()).collect(),
        opening.sources,
    );
    // A plan that is only shown leaves nothing behind.
    let writer = match ask {
        Ask::Only => None,
        Ask::First | Ask::Not => {
            let runs = common::runs_directory(around.runs.run_dir.as_deref(), &config.config, context.environment)?;
            Some(Arc::new(Writer::create(&runs, file.clone()).context("a change keeps a journal")?))
        }
    };
    let order = Order {
        file: writer.as_ref().map_or(file, |writer| writer.file().clone()),
        writer,
        playbook: opening.playbook,
        options: chosen.options,
        checks: opening.checks,
        show: Show { output: request.output, diff: request.how.diff },
        ask,
    };
    let bounds = bounds(around, config);
    with_fleet(planned, bounds, opening.warnings, context, quit, async |work| order.carry_out(work).await)
}

fn bounds(around: &AroundArgs, config: &config::Loaded) -> Bounds {
    let mut bounds = Bounds::new(&around.bounds, &config.config);
    if around.bounds.deadline.is_none() && config.config.timeouts.run.is_none() {
        bounds.run = RUN_DEADLINE;
    }
    bounds.reach = crate::reach::Bounds::patient();
    bounds
}

/// What is asked before anything is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// Nothing is changed at all.
    Only,
    First,
    Not,
}

impl Ask {
    /// Where nobody can be asked, that is said before anything is read.
    pub(super) fn of(consent: ConsentArgs, output: PlanFormat) -> anyhow::Result<Self> {
        let problem = match output {
            _ if consent.check => return Ok(Self::Only),
            _ if consent.yes => return Ok(Self::Not),
            PlanFormat::Json => "with -o json there is nobody to ask",
            PlanFormat::Text if !common::has_terminal() => "there is no terminal to ask on",
            PlanFormat::Text => return Ok(Self::First),
        };
        Err(UsageError::new(format!("{problem}: pass --yes to go on without a question, or --check to see the plan"))
            .into())
    }
}

/// How plan and end are printed.
#[derive(Debug, Clone, Copy)]
struct Show {
    output: PlanFormat,
    diff: bool,
}

/// The connections of a run, and everything that tells of it.
struct Work<'c> {
    fleet: Fleet,
    events: Events,
    interrupt: Interrupt,
    context: &'c Context<'c>,
    begun: Instant,
}

/// Opens what all parts of a run share, and closes it.
fn with_fleet(
    planned: Vec<Planned>,
    bounds: Bounds,
    warnings: Vec<String>,
    context: &Context<'_>,
    quit: impl FnOnce() + Send + 'static,
    run: impl AsyncFnOnce(&mut Work<'_>) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    let (events, display) = common::display(context.terminal, context.environment);
    for warning in warnings {
        events.send(Event::Warning(warning));
    }
    let runtime = common::runtime()?;
    let begun = Instant::now();
    let code = runtime.block_on(async {
        let interrupt = Interrupt::listen(quit);
        let fleet =
            common::prepare(planned, bounds, context.environment, interrupt.clone(), &events, &mut Answers::default())
                .await?;
        let mut work = Work { fleet, events: events.clone(), interrupt, context, begun };
        let code = run(&mut work).await;
        work.fleet.settle_host_keys().await;
        code
    });
    // Whatever still hangs (a resolver that never answers) must not hold up the end.
    runtime.shutdown_background();
    common::end_display(display);
    code
}

/// Everything that a change is made of, before anything is read.
struct Order {
    file: RunFile,
    /// `None` for a plan that is only shown.
    writer: Option<Arc<Writer>>,
    playbook: Playbook,
    options: PlanOptions,
    checks: Arc<Checks>,
    show: Show,
    ask: Ask,
}

impl Order {
    async fn carry_out(mut self, work: &mut Work<'_>) -> anyhow::Result<ExitCode> {
        let mut nodes = sweep::read(&mut work.fleet, self.writer.as_ref(), &work.events).await.nodes;
        if work.interrupt.has_fired() {
            self.finish(work);
            return Ok(ExitCode::Interrupted);
        }
        let to_change = &self.options.nodes;
        engine::try_forbidden(&work.fleet, &self.playbook, to_change, &mut nodes, self.writer.as_deref()).await;
        let before = fleet::assess(&self.file, nodes, &self.checks);
        choice::leave_out_control_planes(&mut self.options, &before.report);
        let states = engine::look(&work.fleet, &self.playbook, &before, &self.options.nodes).await;
        let plan = crate::change::steps::plan(&self.playbook, &self.options, &before, &states, &self.checks);
        let unread = unread(&before, &plan);
        let seen = code_of_plan(&plan, &unread);
        let only = self.ask == Ask::Only || plan.is_empty();
        work.print(|out, work| self.show.plan(&plan, only, work, out))?;
        let Some(directory) = self.writer.as_ref().map(|writer| writer.directory().to_owned()).filter(|_| !only) else {
            self.finish(work);
            return Ok(seen);
        };
        if self.ask == Ask::First && !common::confirm(&question(&plan), &work.events) {
            work.say("nothing was changed");
            self.finish(work);
            return Ok(if work.interrupt.has_fired() { ExitCode::Interrupted } else { seen });
        }
        let journal = Journal::create(&directory, &plan)?;
        let (planes, accepted) = (control_planes(&before.report), &self.options.accept_unknown);
        let run = engine::run_of(&self.file, &journal, &work.fleet, &self.checks, &planes, accepted);
        let summary = engine::go(Course::Apply, &run, &plan).await;
        let (doing, undo) = (Doing::Apply, engine::offers_undo(&run, &plan));
        let changed =
            Changed { run: &self.file.id, directory: &directory, plan: &plan, summary: &summary, doing, undo };
        work.tell_end(&changed, &before.report, &self.file, &self.checks, self.show).await?;
        self.finish(work);
        Ok(summary_text::exit_code(&plan, &summary, &unread))
    }

    /// Notes that the run ended, and says where it is kept.
    fn finish(&mut self, work: &Work<'_>) {
        let Some(writer) = self.writer.take() else { return };
        self.file.duration_ms = Some(u64::try_from(work.begun.elapsed().as_millis()).unwrap_or(u64::MAX));
        let directory = writer.directory().to_owned();
        match writer.finish(&self.file) {
            Ok(()) => work.say(&format!("kept in {}", directory.display())),
            Err(error) => work.events.send(Event::Warning(error.to_string())),
        }
    }
}

/// The run's names of those that are control planes, by the inventory or by what was read.
fn control_planes(report: &Report) -> Vec<String> {
    let planes = report.nodes.iter().filter(|node| node.roles.contains(&Role::ControlPlane));
    planes.map(|node| node.name.clone()).collect()
}

/// The nodes of the plan that the sweep could not read.
fn unread(before: &Assessed, plan: &Plan) -> Vec<String> {
    let lost =
        |name: &str| before.report.nodes.iter().any(|node| node.name == name && node.outcome() == Outcome::Unreachable);
    plan.nodes.iter().map(|node| node.node.clone()).filter(|name| lost(name)).collect()
}

/// What a plan that is not applied amounts to: something to do, or something in the way, is a problem.
fn code_of_plan(plan: &Plan, unread: &[String]) -> ExitCode {
    let codes = plan.nodes.iter().map(|node| match node.decision {
        Decision::Nothing { .. } => ExitCode::Ok,
        Decision::Refused { .. } if unread.contains(&node.node) => ExitCode::Unreachable,
        Decision::Refused { .. } | Decision::Change { .. } => ExitCode::Problems,
    });
    codes.fold(ExitCode::Ok, ExitCode::merge)
}

fn question(plan: &Plan) -> String {
    let count = plan.nodes.iter().filter(|node| matches!(node.decision, Decision::Change { .. })).count();
    let nodes = if count == 1 { "this node".to_owned() } else { format!("these {count} nodes") };
    format!("change {nodes}? [y/N] ")
}

/// A run that was applied or taken back.
struct Changed<'a> {
    run: &'a str,
    directory: &'a Path,
    plan: &'a Plan,
    summary: &'a Summary,
    doing: Doing,
    /// Something is left that can be taken back.
    undo: bool,
}

impl Show {
    /// JSON is one document: it is printed at the end, unless nothing comes after the plan.
    fn plan(self, plan: &Plan, only: bool, work: &Work<'_>, mut out: &mut dyn io::Write) -> io::Result<()> {
        let style = common::style(work.context.terminal, work.context.environment);
        match self.output {
            PlanFormat::Json if only => document::write(&Document::of(plan), &mut out),
            PlanFormat::Json => Ok(()),
            PlanFormat::Text => {
                if self.diff {
                    diff::write(plan, &style, &mut out)?;
                }
                plan_text::write(plan, &style, &mut out)
            }
        }
    }

    fn end(
        self,
        changed: &Changed<'_>,
        compared: &[Compared],
        work: &Work<'_>,
        mut out: &mut dyn io::Write,
    ) -> io::Result<()> {
        let Changed { run, plan, summary, doing, undo, .. } = *changed;
        let style = common::style(work.context.terminal, work.context.environment);
        match self.output {
            PlanFormat::Json => document::write(&Document::of(plan).ended(run, summary, compared), &mut out),
            PlanFormat::Text => {
                writeln!(out)?;
                if !compared.is_empty() {
                    compare::write(compared, &style, &mut out)?;
                    writeln!(out)?;
                }
                summary_text::write(Ended { run, plan, summary, doing, undo }, &style, &mut out)
            }
        }
    }
}

impl Work<'_> {
    /// Prints a part of the result while the display goes on.
    fn print(&self, write: impl FnOnce(&mut dyn io::Write, &Self) -> io::Result<()>) -> anyhow::Result<()> {
        common::print_between(&self.events, |out| write(out, self))
    }

    /// A remark that is no part of the result.
    fn say(&self, remark: &str) {
        if !self.context.terminal.quiet {
            let _screen = self.events.hold();
            // Nobody is left to read it when standard error is closed.
            let _ = writeln!(io::stderr(), "{remark}");
        }
    }

    /// Sweeps again and prints before, after and the summary. A run that was interrupted is not swept again: it ends.
    async fn tell_end(
        &mut self,
        changed: &Changed<'_>,
        before: &Report,
        file: &RunFile,
        checks: &Checks,
        show: Show,
    ) -> anyhow::Result<()> {
        let begun: Vec<String> = changed.summary.nodes.iter().map(|(node, _)| node.clone()).collect();
        let mut compared = Vec::new();
        if !self.interrupt.has_fired() && !begun.is_empty() {
            let after = self.sweep_again(changed.directory, file, checks).await;
            compared = compare::compare(before, &after, &begun);
        }
        self.print(|out, work| show.end(changed, &compared, work, out))
    }

    /// The same sweep, kept below the run's directory.
    async fn sweep_again(&mut self, directory: &Path, file: &RunFile, checks: &Checks) -> Report {
        let begun = Instant::now();
        let mut file = RunFile::new("sweep", SystemTime::now(), file.hosts.clone(), file.sources.clone());
        let after: PathBuf = directory.join(AFTER);
        let writer = match Writer::create(&after, file.clone()) {
            Ok(writer) => Some(Arc::new(writer)),
            Err(error) => {
                self.events.send(Event::Warning(error.to_string()));
                None
            }
        };
        let nodes = sweep::read(&mut self.fleet, writer.as_ref(), &self.events).await.nodes;
        file = writer.as_ref().map_or(file, |writer| writer.file().clone());
        file.duration_ms = Some(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
        if let Some(Err(error)) = writer.map(|writer| writer.finish(&file)) {
            self.events.send(Event::Warning(error.to_string()));
        }
        fleet::report_understood(&file, nodes, checks).0
    }
}
