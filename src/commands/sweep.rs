//! `seaworthy sweep`: every node at once, one record each, one table.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures::{StreamExt, pin_mut};

use super::answers::{Answers, Asking};
use super::common::{self, Bounds, Fleet, Planned};
use super::opening::{Asked, Compiled, Opening};
use super::reading::{Keep, Reading};
use super::show::Show;
use super::{Context, hosts, kept, rounds};
use crate::checks::Checks;
use crate::cli::SweepArgs;
use crate::collect::{Collector, Host, Script, stopped_record};
use crate::config;
use crate::exit::ExitCode;
use crate::fanout::{Stop, Width, fan_out, in_turn};
use crate::fleet::{self, Understood};
use crate::interrupt::Interrupt;
use crate::playbook::load::{HEALTH_SWEEP, PRE_UPGRADE};
use crate::probe::{self, ScriptOptions};
use crate::record::Record;
use crate::report::model::Report;
use crate::run::old::Broom;
use crate::run::{self, Part, PlannedHost, RunFile, Writer};
use crate::shard::Shard;
use crate::ssh::UnknownKey;
use crate::ssh::known_hosts::{KnownHosts, Learned};
use crate::ui::{Event, Events};
use crate::upgrade::gate::Gate;
use crate::upgrade::version::Target;

/// What hosts are read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Sweep,
    /// To be upgraded to that version; `None` for the one of the saved run.
    Preflight(Option<Target>),
    /// To be changed by this subcommand.
    Change(&'static str),
}

impl Purpose {
    pub(super) const fn command(self) -> &'static str {
        match self {
            Self::Sweep => "sweep",
            Self::Preflight(_) => "preflight",
            Self::Change(command) => command,
        }
    }

    /// The playbook that the subcommand is short for.
    pub(super) const fn playbook(self) -> &'static str {
        match self {
            Self::Sweep | Self::Change(_) => HEALTH_SWEEP,
            Self::Preflight(_) => PRE_UPGRADE,
        }
    }

    const fn target(self) -> Option<Target> {
        match self {
            Self::Sweep | Self::Change(_) => None,
            Self::Preflight(target) => target,
        }
    }
}

pub(super) fn run(
    args: &SweepArgs,
    purpose: Purpose,
    context: &Context<'_>,
    quit: impl FnOnce() + Send + 'static,
) -> anyhow::Result<ExitCode> {
    if let Some(every) = args.rounds.every {
        return rounds::run(args, every, purpose, context, quit);
    }
    let config = hosts::configuration(context.environment)?;
    let runs = || common::runs_directory(args.keep.runs.run_dir.as_deref(), &config.config, context.environment);
    let show = Show { format: args.output, style: common::style(context.terminal, context.environment) };
    if let Some(wanted) = &args.from {
        // A path needs no directory of runs.
        let runs = runs().unwrap_or_default();
        // Any run will do for a preflight, also one that was made for another target.
        let command = if purpose == Purpose::Sweep { Some("sweep") } else { None };
        let kept = kept::load(&run::find(&runs, wanted, command)?, &args.hosts, context)?;
        let code = kept::show(kept, purpose, &args.checks, show, context)?;
        return Ok(args.outcome.of(code));
    }
    let earlier = args.rerun.map(|which| kept::earlier(&runs()?, which, &args.checks)).transpose()?;
    let remembered = earlier.as_ref().map(|earlier| earlier.sources.as_slice()).unwrap_or_default();
    let checks = Compiled::NotYet(&args.checks);
    let asked = Asked { playbook: purpose.playbook(), nodes: &[], hosts: &args.hosts, checks };
    let mut opening = Opening::new(asked, remembered, &config, context)?;
    if let Some(earlier) = &earlier {
        opening.hosts.retain(|host| earlier.names.contains(opening.inventory.host_name(*host)));
        if opening.hosts.is_empty() {
            let told = if earlier.names.is_empty() {
                "had none of these; nothing to do".to_owned()
            } else {
                format!("had {}, and none of them is in this inventory and limit", earlier.names.len())
            };
            let _ = writeln!(io::stderr(), "the last sweep ({}) {told}", earlier.id);
            return Ok(ExitCode::Ok);
        }
    }
    look(opening, Reading::of(args), purpose, &config, context, quit)
}

/// Runs a playbook that only looks.
pub(super) fn look(
    opening: Opening,
    reading: Reading<'_>,
    purpose: Purpose,
    config: &config::Loaded,
    context: &Context<'_>,
    quit: impl FnOnce() + Send + 'static,
) -> anyhow::Result<ExitCode> {
    let sweep = reading.sweep(opening, purpose, None, config, &mut Answers::default(), context)?;
    Ok(reading.outcome.of(sweep.run(context, quit)?))
}

/// A sweep that is ready to go; also what `demo` does.
pub(super) struct Sweep {
    pub(super) planned: Vec<Planned>,
    /// The part of them that is read.
    pub(super) shard: Option<Shard>,
    pub(super) bounds: Bounds,
    /// `None` to keep nothing.
    pub(super) keep: Option<Keep>,
    /// It is one of many that begin so often.
    pub(super) every: Option<Duration>,
    pub(super) sources: Vec<String>,
    pub(super) warnings: Vec<String>,
    pub(super) checks: Arc<Checks>,
    pub(super) purpose: Purpose,
    pub(super) show: Show,
}

impl Sweep {
    pub(super) fn run(self, context: &Context<'_>, quit: impl FnOnce() + Send + 'static) -> anyhow::Result<ExitCode> {
        let (show, keep) = (self.show, self.keep.clone());
        let mut swept = self.collect(context, || Interrupt::listen(quit), &mut Answers::default())?;
        let nodes = std::mem::take(&mut swept.nodes);
        let (report, records) = fleet::report_understood(&swept.run, nodes, &swept.checks);
        show.print(&report, &records, &swept.checks, context)?;
        let deleted =
            keep.filter(|_| swept.kept.is_some()).map_or(0, |keep| keep.delete_old(&mut Broom::default(), &swept.run));
        if deleted > 0 && !context.terminal.quiet {
            let _ = writeln!(io::stderr(), "deleted {deleted} older runs (--keep-runs, --keep-for)");
        }
        swept.end(&report, context)
    }

    /// Reads all nodes, and keeps what they said. `listen` is called within the runtime.
    pub(super) fn collect(
        self,
        context: &Context<'_>,
        listen: impl FnOnce() -> Interrupt,
        answers: &mut Answers,
    ) -> anyhow::Result<Swept> {
        let started = (SystemTime::now(), Instant::now());
        let (events, display) = common::display(context.terminal, context.environment);
        for warning in self.warnings {
            events.send(Event::Warning(warning));
        }
        let mut planned = self.planned;
        let whole: Vec<PlannedHost> = planned.iter().map(|planned| planned.host.clone()).collect();
        if let Some(shard) = self.shard {
            for planned in &mut planned {
                planned.elsewhere = !shard.owns(&planned.host.name);
            }
        }
        let own = planned.iter().filter(|planned| !planned.elsewhere).map(|planned| planned.host.clone()).collect();
        let mut run_file = RunFile::new(self.purpose.command(), started.0, own, self.sources);
        run_file.target = self.purpose.target();
        run_file.part = self.shard.map(|shard| Part { shard, probe: probe::fingerprint(), whole });
        run_file.every_ms = self.every.map(|every| u64::try_from(every.as_millis()).unwrap_or(u64::MAX));
        let writer = self.keep.and_then(|keep| match Writer::create(&keep.runs, run_file.clone()) {
            Ok(writer) => Some(Arc::new(writer)),
            Err(error) => {
                events.send(Event::Warning(error.to_string()));
                None
            }
        });
        let runtime = common::runtime()?;
        let outcome = runtime.block_on(async {
            let interrupt = listen();
            let stop = interrupt.clone();
            let mut fleet = common::prepare(planned, self.bounds, context.environment, stop, &events, answers).await?;
            let read = read(&mut fleet, writer.as_ref(), &events).await;
            anyhow::Ok((read, interrupt.has_fired()))
        });
        // Whatever still hangs (a resolver that never answers) must not hold up the end.
        runtime.shutdown_background();
        let (Read { nodes, lost }, interrupted) = outcome?;
        let mut run_file = writer.as_ref().map_or(run_file, |writer| writer.file().clone());
        let duration = started.1.elapsed();
        run_file.duration_ms = Some(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
        let kept = writer.map(|writer| {
            let finished = writer.finish(&run_file);
            // Nothing deletes a run that has no end, so many of them would fill the disk for good.
            let finished = if self.every.is_some() { finished.map_err(|e| writer.discard(e)) } else { finished };
            (writer.directory().to_owned(), finished)
        });
        if let Some((_, Err(error))) = &kept {
            events.send(Event::Warning(error.to_string()));
        }
        common::end_display(display);
        let kept = kept.and_then(|(directory, kept)| kept.is_ok().then_some(directory));
        Ok(Swept { run: run_file, nodes, checks: self.checks, interrupted, kept, lost })
    }
}

/// What a sweep read.
pub(super) struct Swept {
    pub(super) run: RunFile,
    pub(super) nodes: Vec<Understood>,
    pub(super) checks: Arc<Checks>,
    pub(super) interrupted: bool,
    kept: Option<PathBuf>,
    /// Records that could not be written.
    lost: usize,
}

impl Swept {
    /// Says where the run is kept, and what it amounts to. A shard that is not kept whole was read for nothing.
    pub(super) fn end(self, report: &Report, context: &Context<'_>) -> anyhow::Result<ExitCode> {
        let part = self.run.part.as_ref().map(|part| part.shard);
        if let Some(directory) = self.kept.as_ref().filter(|_| !context.terminal.quiet) {
            let next = part.map_or_else(
                || "print it again with --from last".to_owned(),
                |shard| format!("shard {shard}; put all of them together with seaworthy merge"),
            );
            let _ = writeln!(io::stderr(), "kept in {} ({next})", directory.display());
        }
        self.code(report)
    }

    /// What the run amounts to.
    pub(super) fn code(&self, report: &Report) -> anyhow::Result<ExitCode> {
        let part = self.run.part.as_ref().map(|part| part.shard);
        if self.interrupted {
            return Ok(ExitCode::Interrupted);
        }
        if let (Some(shard), false) = (part, self.kept.is_some() && self.lost == 0) {
            anyhow::bail!("shard {shard} was read but not kept, so there is nothing to merge; run it again");
        }
        Ok(exit_code(report))
    }
}

pub(super) fn exit_code(report: &Report) -> ExitCode {
    let counts = || ExitCode::from_counts(&report.run.counts);
    report.run.gate.as_ref().map_or_else(counts, Gate::exit_code)
}

/// What was read of a fleet.
pub(super) struct Read {
    /// In the order of the hosts.
    pub(super) nodes: Vec<Understood>,
    /// So many of them could not be kept.
    lost: usize,
}

/// Reads all hosts and writes down the host keys that were learned.
pub(super) async fn read(fleet: &mut Fleet, writer: Option<&Arc<Writer>>, events: &Events) -> Read {
    events.send(Event::RunStarted { hosts: fleet.hosts.len() });
    let Read { mut nodes, mut lost } = sweep(fleet, writer, events).await;
    for (name, failure) in fleet.settle_host_keys().await {
        let Some(node) = nodes.iter_mut().find(|node| node.record.name == name) else { continue };
        node.record.failure = Some(failure.clone());
        if let Some(Err(error)) = writer.map(|writer| writer.amend(&name, |record| record.failure = Some(failure))) {
            lost += 1;
            events.send(Event::Warning(error.to_string()));
        }
    }
    Read { nodes, lost }
}

async fn sweep(fleet: &Fleet, writer: Option<&Arc<Writer>>, events: &Events) -> Read {
    let Read { mut nodes, lost } =
        pass(&fleet.collector, &fleet.hosts, fleet.width, fleet.stop.clone(), writer, events).await;
    let unknown = fleet.collector.take_unknown_keys();
    let nobody = fleet.asking == Asking::Over || fleet.stop.interrupt.has_fired();
    if unknown.is_empty() || nobody || !ask_about(&unknown, &fleet.known_hosts, events) {
        return Read { nodes, lost };
    }
    // The accepted ones are known now: those hosts get their turn.
    fleet.collector.connector.forget_failed_jump_hosts();
    let refused: Vec<usize> = (0..nodes.len()).filter(|index| is_unknown_key(&nodes[*index].record)).collect();
    let again: Vec<Host> = refused.iter().map(|index| fleet.hosts[*index].clone()).collect();
    let second = pass(&fleet.collector, &again, fleet.width, fleet.stop.clone(), writer, events).await;
    for (index, node) in refused.into_iter().zip(second.nodes) {
        nodes[index] = node;
    }
    Read { nodes, lost: lost + second.lost }
}

fn is_unknown_key(record: &Record) -> bool {
    use crate::failure::FailureKind;
    // Behind a jump host the kind is the jump host's; its key may be the unknown one.
    record
        .failure
        .as_ref()
        .is_some_and(|failure| matches!(failure.kind, FailureKind::HostKeyUnknown | FailureKind::JumpHost))
}

/// Each record is written, then understood, where it was read: what is in memory of a node that is done is its facts.
async fn pass(
    collector: &Arc<Collector>,
    hosts: &[Host],
    width: Width,
    stop: Stop,
    writer: Option<&Arc<Writer>>,
    events: &Events,
) -> Read {
    let script = Arc::new(Script::new(&ScriptOptions::default()));
    let keep = {
        let writer = writer.map(Arc::clone);
        move |record: Record| {
            let kept = writer.as_ref().map_or(Ok(()), |writer| writer.save(&record));
            (Understood::new(record), kept)
        }
    };
    let work = {
        let (collector, keep) = (Arc::clone(collector), keep.clone());
        move |(_, host): (usize, Host)| {
            let (collector, script, keep) = (Arc::clone(&collector), Arc::clone(&script), keep.clone());
            async move { keep(collector.probe(&host, &script).await) }
        }
    };
    let mut nodes: Vec<Option<Understood>> = hosts.iter().map(|_| None).collect();
    let mut lost = Vec::new();
    let items = in_turn(hosts.iter().cloned().enumerate().collect(), |(_, host)| host.gate());
    let results = fan_out(items, width, stop, work);
    pin_mut!(results);
    while let Some(((index, host), result)) = results.next().await {
        let stopped = |reason| collector.finished(&host.target.name).unwrap_or_else(|| stopped_record(&host, &reason));
        let (node, kept) = result.unwrap_or_else(|reason| keep(stopped(reason)));
        lost.extend(kept.err());
        nodes[index] = Some(node);
    }
    if let Some(first) = lost.first() {
        events.send(Event::Warning(format!("{} records were not kept: {first}", lost.len())));
    }
    // Every item was answered.
    Read { nodes: nodes.into_iter().flatten().collect(), lost: lost.len() }
}

/// One question for all unknown keys; true when they were learned.
fn ask_about(unknown: &[UnknownKey], known_hosts: &KnownHosts, events: &Events) -> bool {
    let mut question = String::from("unknown host keys:\n");
    let distinct: BTreeSet<(&str, u16, &str)> =
        unknown.iter().map(|key| (key.name.as_str(), key.port, key.fingerprint.as_str())).collect();
    for (name, port, fingerprint) in &distinct {
        question.push_str(&["  ", name, ":", &port.to_string(), "  ", fingerprint, "\n"].concat());
    }
    question.push_str(&["learn ", &distinct.len().to_string(), " and go on? [y/N] "].concat());
    if !common::confirm(&question, events) {
        return false;
    }
    for key in unknown {
        match known_hosts.learn(&key.settings, &key.name, key.port, &key.key) {
            Ok(Learned::New(_)) => {}
            Ok(Learned::Not(answer)) => {
                events.send(Event::Warning(format!("{}: not learned: {answer:?}", key.name)));
            }
            Err(error) => events.send(Event::Warning(format!("{}: not learned: {error}", key.name))),
        }
    }
    true
}
