//! A sweep as typed: flags over configuration become what is read, how, where it is kept and how many of its kind stay.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::answers::Answers;
use super::common::{self, Bounds, UsageError};
use super::opening::Opening;
use super::show::Show;
use super::sweep::{Purpose, Sweep};
use super::{Context, hosts};
use crate::cli::{BoundsArgs, ConnectionArgs, OldRunsArgs, OutcomeArgs, RunDirArgs, SweepArgs};
use crate::config;
use crate::exit::ExitCode;
use crate::report::Format;
use crate::run::RunFile;
use crate::run::old::{Bound, Broom, Swept};
use crate::shard::Shard;

/// How hosts are read and what is made of it, as typed.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) connection: &'a ConnectionArgs,
    pub(super) bounds: &'a BoundsArgs,
    pub(super) runs: &'a RunDirArgs,
    pub(super) old_runs: OldRunsArgs,
    pub(super) no_save: bool,
    pub(super) output: Format,
    pub(super) shard: Option<Shard>,
    pub(super) outcome: OutcomeArgs,
}

impl<'a> Reading<'a> {
    pub(super) const fn of(args: &'a SweepArgs) -> Self {
        Self {
            connection: &args.connection,
            bounds: &args.bounds,
            runs: &args.keep.runs,
            old_runs: args.old_runs,
            no_save: args.keep.no_save,
            output: args.output,
            shard: args.shard.shard,
            outcome: args.outcome,
        }
    }

    /// A sweep of what was opened. `every` says that it is one of many, and how often they begin.
    pub(super) fn sweep(
        self,
        opening: Opening,
        purpose: Purpose,
        every: Option<Duration>,
        config: &config::Loaded,
        answers: &mut Answers,
        context: &Context<'_>,
    ) -> anyhow::Result<Sweep> {
        let overrides = hosts::overrides(self.connection, context.matches, config, context.environment, answers)?;
        if let (Some(shard), true) = (self.shard, self.no_save) {
            let message =
                format!("--no-save keeps nothing of shard {shard}, and there would be nothing to merge; leave it out");
            return Err(UsageError::new(message).into());
        }
        let keep = if self.no_save {
            None
        } else {
            let runs = common::runs_directory(self.runs.run_dir.as_deref(), &config.config, context.environment)?;
            Some(Keep { runs, bound: self.old_runs.bound(&config.config, every) })
        };
        Ok(Sweep {
            planned: common::plan(&opening.inventory, &opening.hosts, &overrides),
            shard: self.shard,
            bounds: Bounds::new(self.bounds, &config.config),
            keep,
            every,
            sources: opening.sources,
            warnings: opening.warnings,
            checks: opening.checks,
            purpose,
            show: Show { format: self.output, style: common::style(context.terminal, context.environment) },
        })
    }
}

/// So many rounds of `--every` are kept unless told otherwise.
const KEPT_ROUNDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);
/// And for so long.
const KEPT_FOR: Duration = Duration::from_hours(7 * 24);

impl OldRunsArgs {
    /// Flags over configuration; nothing is deleted by default but what `--every` itself writes.
    fn bound(self, config: &config::Config, every: Option<Duration>) -> Bound {
        Bound {
            runs: self.keep_runs.or(config.keep_runs).or(every.map(|_| KEPT_ROUNDS)),
            age: self.keep_for.or(config.keep_for).or(every.map(|_| KEPT_FOR)),
        }
    }
}

/// Where a run is kept, and how many of its kind.
#[derive(Debug, Clone)]
pub(super) struct Keep {
    pub(super) runs: PathBuf,
    pub(super) bound: Bound,
}

impl Keep {
    /// Deletes what is too old, and says what could not be deleted. Returns how many runs are gone.
    pub(super) fn delete_old(&self, broom: &mut Broom, own: &RunFile) -> usize {
        let Swept { deleted, failed } = broom.sweep(&self.runs, own, self.bound, SystemTime::now());
        if let Some(first) = failed.first() {
            let others = if failed.len() > 1 { format!(" (and {} more)", failed.len() - 1) } else { String::new() };
            common::warn(&[format!("{first}{others}")]);
        }
        deleted
    }
}

impl OutcomeArgs {
    /// The code that the program ends with.
    pub(super) const fn of(self, code: ExitCode) -> ExitCode {
        if self.exit_zero { code.without_findings() } else { code }
    }
}
