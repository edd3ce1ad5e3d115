//! The arguments of sweeping again and again, and of how long runs are kept.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use clap::Args;

use crate::duration;

/// How often.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Again and again")]
pub struct RoundsArgs {
    /// Sweep again and again until Ctrl-C: a round begins every TIME (at least 1s), from start to start
    ///
    /// Each round is a whole sweep: configuration, inventory, `known_hosts` and `ssh_config` are read anew, every connection and
    /// every check of a host key is new. Only the checks are compiled once, and what was typed (passwords, passphrases) is kept in memory;
    /// nobody is asked after the first round. A round that takes longer than TIME makes the next one begin at once; two never run at a
    /// time, and what is skipped is said. A round that fails as a whole (an inventory that is wrong meanwhile) is told on
    /// standard error, and the next one comes; the first one ends the program.
    ///
    /// With -o table and wide, each round says what has changed since the one before, and shows the table where something has:
    /// a node that came or went, another phase or reason, a check that fails or warns now or does not any more. -o json is one
    /// document on a line, -o jsonl what it is otherwise; other formats are for one sweep: `sweep --from last -o html` prints the newest
    /// round in them, from another terminal. Ctrl-C between two rounds ends with the exit code of the last one, within a round as
    /// always; so does a reader that goes away (`| head`).
    ///
    /// The runs directory is kept small: see --keep-runs.
    #[arg(long, value_name = "TIME", value_parser = interval, conflicts_with_all = ["from", "rerun"])]
    pub every: Option<Duration>,
    /// End after N rounds
    #[arg(long, value_name = "N", requires = "every")]
    pub rounds: Option<NonZeroU64>,
}

/// What is deleted.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Run directory")]
pub struct OldRunsArgs {
    /// Afterwards delete older runs of this kind, so that N stay [default: 100 with --every, else all]
    ///
    /// Of a kind are runs of one command and shard, either those of --every or those that were made one by one. A run that has no
    /// end (it goes on, or was killed), that changed nodes, whose directory was renamed or holds more than the run itself is never
    /// deleted: rename a run to keep it. A node takes some 60 kB in each run.
    #[arg(long, env = "SEAWORTHY_KEEP_RUNS", value_name = "N")]
    pub keep_runs: Option<NonZeroU32>,
    /// Afterwards delete runs of this kind that began longer ago, like `36h` or `30d` [default: 7d with --every, else never]
    #[arg(long, env = "SEAWORTHY_KEEP_FOR", value_name = "TIME", value_parser = duration::parse)]
    pub keep_for: Option<Duration>,
}

/// Rounds that follow each other faster would only measure themselves.
const SHORTEST: Duration = Duration::from_secs(1);

fn interval(text: &str) -> Result<Duration, String> {
    let every = duration::parse(text).map_err(|error| error.to_string())?;
    if every < SHORTEST {
        return Err(format!("rounds begin at least {} apart", duration::exact(SHORTEST)));
    }
    Ok(every)
}
