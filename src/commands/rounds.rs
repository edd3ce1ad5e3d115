//! `sweep --every`: whole sweeps, one after the other, until somebody has seen enough.
//!
//! What one round leaves for the next: the compiled checks, what was typed, what was said of the inventory, and the last report without
//! its facts. All else, connections and threads included, ends with the round.

mod beat;

use std::collections::BTreeSet;
use std::fs::File;
use std::future::pending;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileTypeExt as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum as _;
use clap::builder::PossibleValue;
use tokio::io::Interest;
use tokio::net::unix::pipe;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use self::beat::{Next, Woken};
use super::answers::Answers;
use super::common::{self, Reader, UsageError};
use super::opening::{Asked, Compiled, Opening};
use super::reading::{Keep, Reading};
use super::show::Show;
use super::sweep::Purpose;
use super::{Context, hosts};
use crate::checks::Checks;
use crate::cli::SweepArgs;
use crate::duration;
use crate::exit::ExitCode;
use crate::fleet;
use crate::interrupt::Interrupt;
use crate::record::Record;
use crate::report::model::Report;
use crate::report::round::{self, Round};
use crate::report::{Format, json};
use crate::run::old::Broom;

pub(super) fn run(
    args: &SweepArgs,
    every: Duration,
    purpose: Purpose,
    context: &Context<'_>,
    quit: impl FnOnce() + Send + 'static,
) -> anyhow::Result<ExitCode> {
    refuse_documents(args.output)?;
    // Signals have to be heard also while nothing else runs: each round has a runtime of its own, which ends with it.
    let listening = listening()?;
    let interrupt = {
        let _within = listening.enter();
        Interrupt::listen(quit)
    };
    let mut rounds = Rounds { args, every, purpose, interrupt: interrupt.clone(), left: Left::default() };
    let mut number = 1;
    loop {
        let begun = Instant::now();
        let environment = context.environment.measured_again();
        let ended = rounds.one(number, &Context { environment: &environment, ..*context });
        let ended = match ended {
            Ok(ended) => ended,
            Err(error) if number == 1 => return Err(error),
            Err(error) => {
                common::warn(&[format!("round {number} failed: {error:#}")]);
                Ended { code: ExitCode::OwnError, reader: Reader::Reads }
            }
        };
        let code = args.outcome.of(ended.code);
        let last = args.rounds.rounds.is_some_and(|rounds| number >= rounds.get());
        if last || ended.reader == Reader::Gone || interrupt.has_fired() {
            return Ok(code);
        }
        let now = Instant::now();
        let at = match beat::next(begun, every, now) {
            Next::At(at) => at,
            Next::AtOnce { missed } => {
                rounds.say_late(number, now - begun, missed, context);
                now
            }
        };
        match listening.block_on(beat::wait(at, interrupt.clone(), reader_gone())) {
            Woken::Time => number += 1,
            Woken::Interrupted | Woken::ReaderGone => return Ok(code),
        }
    }
}

/// Of the formats that are one document there cannot be many behind each other.
fn refuse_documents(format: Format) -> anyhow::Result<()> {
    if matches!(format, Format::Table | Format::Wide | Format::Json | Format::Jsonl) {
        return Ok(());
    }
    // Every format can be typed, so each has a name.
    let value = format.to_possible_value();
    let name = value.as_ref().map_or("", PossibleValue::get_name);
    let message = format!(
        "-o {name} is for one sweep, and --every makes many: take table, wide, json or jsonl, and print the newest round with \
         seaworthy sweep --from last -o {name} from another terminal"
    );
    Err(UsageError::new(message).into())
}

/// A runtime that hears signals and waits.
fn listening() -> anyhow::Result<Runtime> {
    let built = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    built.context("cannot start the thread that waits for the next round; look at this machine's limits (ulimit -a)")
}

/// Returns once nobody reads standard output any more, which only a pipe tells.
async fn reader_gone() {
    let pipe = || -> io::Result<Option<pipe::Sender>> {
        let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        if !out.metadata()?.file_type().is_fifo() {
            return Ok(None);
        }
        // Unchecked, as others write into the same pipe and must not find that it no longer blocks. Nothing is written here.
        pipe::Sender::from_file_unchecked(out).map(Some)
    };
    match pipe() {
        Ok(Some(out)) if out.ready(Interest::ERROR).await.is_ok() => {}
        Ok(_) | Err(_) => pending().await,
    }
}

struct Rounds<'a> {
    args: &'a SweepArgs,
    every: Duration,
    purpose: Purpose,
    interrupt: Interrupt,
    left: Left,
}

/// What earlier rounds left.
#[derive(Default)]
struct Left {
    checks: Option<Arc<Checks>>,
    answers: Answers,
    /// What the round before had to say before its first connection: it is said once.
    warned: BTreeSet<String>,
    before: Option<Report>,
    broom: Broom,
}

/// How a round ended.
struct Ended {
    code: ExitCode,
    reader: Reader,
}

impl Rounds<'_> {
    fn one(&mut self, number: u64, context: &Context<'_>) -> anyhow::Result<Ended> {
        let config = hosts::configuration(context.environment)?;
        let mut opening = self.open(&config, context)?;
        if number == 1 && opening.sources.is_empty() {
            let message =
                "--every reads the inventory anew for each round, and this one can be read only once; put it in a file";
            return Err(UsageError::new(message).into());
        }
        let warnings = std::mem::take(&mut opening.warnings);
        opening.warnings = warnings.iter().filter(|warning| !self.left.warned.contains(*warning)).cloned().collect();
        self.left.warned = warnings.into_iter().collect();

        let (reading, every, answers) = (Reading::of(self.args), Some(self.every), &mut self.left.answers);
        let sweep = reading.sweep(opening, self.purpose, every, &config, answers, context)?;
        let (show, keep) = (sweep.show, sweep.keep.clone());
        let interrupt = self.interrupt.clone();
        let mut swept = sweep.collect(context, || interrupt, answers)?;
        answers.close();
        let nodes = std::mem::take(&mut swept.nodes);
        let (report, records) = fleet::report_understood(&swept.run, nodes, &swept.checks);
        if let Some(keep) = &keep {
            if number == 1 {
                say_where(keep, context);
            }
            // Also when this one was not kept: a full disk is the reason to.
            keep.delete_old(&mut self.left.broom, &swept.run);
        }
        let reader = self.print(number, show, &report, &records, &swept.checks, context)?;
        let code = swept.code(&report)?;
        self.left.before = Some(without_facts(report));
        Ok(Ended { code, reader })
    }

    fn open(&mut self, config: &crate::config::Loaded, context: &Context<'_>) -> anyhow::Result<Opening> {
        let known = self.left.checks.clone();
        let checks = known.as_ref().map_or(Compiled::NotYet(&self.args.checks), Compiled::Already);
        let asked = Asked { playbook: self.purpose.playbook(), nodes: &[], hosts: &self.args.hosts, checks };
        let opening = Opening::new(asked, &[], config, context)?;
        self.left.checks = Some(Arc::clone(&opening.checks));
        Ok(opening)
    }

    fn print(
        &self,
        number: u64,
        show: Show,
        report: &Report,
        records: &[Record],
        checks: &Checks,
        context: &Context<'_>,
    ) -> anyhow::Result<Reader> {
        common::print_to_reader(|mut out| match show.format {
            Format::Json => json::write_line(report, &mut out),
            Format::Table | Format::Wide => {
                let round = Round::of(self.left.before.as_ref(), report);
                round::write(&round, number, report, &show.style, &mut out)?;
                if round.is_news() { show.write(report, records, checks, context.terminal, out) } else { Ok(()) }
            }
            _ => show.write(report, records, checks, context.terminal, out),
        })
    }

    fn say_late(&self, number: u64, took: Duration, missed: u128, context: &Context<'_>) {
        let missed = match missed {
            0 => String::new(),
            1 => ", and 1 was left out".to_owned(),
            missed => format!(", and {missed} were left out"),
        };
        let (took, every) = (duration::rough(took), duration::exact(self.every));
        say(&format!("round {number} took {took}, longer than {every}: the next one begins at once{missed}"), context);
    }
}

/// A remark that is no part of the result.
fn say(remark: &str, context: &Context<'_>) {
    if !context.terminal.quiet {
        // Nobody is left to read it when standard error is closed.
        let _ = writeln!(io::stderr(), "{remark}");
    }
}

fn say_where(keep: &Keep, context: &Context<'_>) {
    let most = keep.bound.runs.map(|runs| format!("the newest {runs}"));
    let age = keep.bound.age.map(|age| format!("none older than {}", duration::exact(age)));
    let bound: Vec<String> = most.into_iter().chain(age).collect();
    let remark = format!("rounds are kept in {}: {} (--keep-runs, --keep-for)", keep.runs.display(), bound.join(", "));
    say(&remark, context);
}

/// What the next round is compared with. The facts are the larger part of a report by far.
fn without_facts(mut report: Report) -> Report {
    for node in &mut report.nodes {
        node.facts = None;
    }
    report.cluster = None;
    report.other_clusters = Vec::new();
    report
}
