//! The arguments of what several machines do together: one part of the hosts each, and all parts put together.

use clap::Args;

use super::{ChecksArgs, KeepArgs};
use crate::report::Format;
use crate::shard::Shard;

/// Which part of the hosts.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Hosts")]
pub struct ShardArgs {
    /// Only one of N equal parts of the hosts: `K/N` counts from 1 (`1/8` to `8/8`), `index:I/N` from 0 (`index:0/8` to `index:7/8`)
    ///
    /// For several machines that sweep one inventory between them; `seaworthy merge` makes one run of theirs. In an Indexed Job of
    /// Kubernetes it is `--shard index:$(JOB_COMPLETION_INDEX)/8` among the arguments of the container: that index counts from 0.
    ///
    /// A host's part follows from its name alone, on every machine and in every version: the first 8 bytes of the SHA-256 of the
    /// name, as a big-endian number, modulo N; part 1 has the remainder 0. Commands that change nodes have no shards: a canary and
    /// a failure budget are about all nodes of a change.
    #[arg(long, env = "SEAWORTHY_SHARD", value_name = "K/N")]
    pub shard: Option<Shard>,
}

/// What the exit code tells.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct OutcomeArgs {
    /// End with 0 also when problems were found or hosts not reached (2, 4, 6), for Jobs that would only be tried again
    #[arg(long)]
    pub exit_zero: bool,
}

/// Puts together what `--shard` took apart.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seaworthy merge /results                     all shards below a directory, as a Kubernetes Job leaves them
  seaworthy merge 20261122T0901 20261122T0902  two shards by their ids
  seaworthy merge /results -o html > fleet.html

The result is the one that a single sweep over all nodes would have given, what compares nodes with each other included; only the
run's id and times are its own. It is kept as a run: `--from last` prints it again and `--rerun failed` goes by it. Of a shard that
was cut off and run again, the run that ended is taken. Nodes of a shard that is missing are unknown, with that reason. Runs of
different inventories, limits, targets or versions of seaworthy are refused. docs/scale.md has the whole way.

Exit codes: those of a sweep over all nodes; 1 when the runs are no parts of one run.")]
pub struct MergeArgs {
    /// The shards' runs: directories, ids, or a directory that holds them
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<String>,
    /// What to print
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
    #[command(flatten)]
    pub outcome: OutcomeArgs,
    #[command(flatten)]
    pub checks: ChecksArgs,
    #[command(flatten)]
    pub keep: KeepArgs,
}
