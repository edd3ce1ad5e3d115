//! The arguments of the commands that change nodes.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{BoundsArgs, ChecksArgs, ConnectionArgs, HostsArgs, OutcomeArgs, RunDirArgs, ShardArgs};
use crate::playbook::{self, Portion};
use crate::report::Format;
use crate::upgrade::version::Target;

/// What all commands that change nodes end with.
macro_rules! exit_codes {
    () => {
        "Exit codes: 0 done, or nothing to do; 2 a node was refused or failed, or --check found something to do; 4 hosts unreachable
(6 both); 8 the failure budget is spent; 64 wrong usage; 130 interrupted."
    };
}

#[derive(Debug, Args)]
#[command(after_help = concat!("\
Examples:
  seaworthy run health-sweep                   the same as seaworthy sweep
  seaworthy run playbooks/sysctls.yaml --check --diff
  seaworthy run playbooks/sysctls.yaml node[01-40] --batches 1,10%,100% --max-failed 5%
  seaworthy run --resume 20261122T0901         go on with a run that was cut off

A word is the name of a built-in playbook (health-sweep, pre-upgrade, flannel, join, reset); a path has a slash in it or ends in
.yaml. docs/playbooks.md says what a playbook can hold.

", exit_codes!()))]
pub struct RunArgs {
    /// A playbook: the name of a built-in one, or a path
    #[arg(required_unless_present = "resume")]
    pub playbook: Option<String>,
    /// Only these nodes: names, groups, patterns as with --limit
    #[arg(value_name = "NODE")]
    pub nodes: Vec<String>,
    /// Go on with a run that was cut off: its id or the beginning of one, its directory, or `last`
    #[arg(long, value_name = "RUN", conflicts_with_all = ["playbook", "nodes", "diff", "canary", "batches", "max_failed", "ignore_preflight", "attempts", "shard", "exit_zero"])]
    pub resume: Option<String>,
    /// Measure the nodes by this version of Kubernetes, in a playbook that only looks
    #[arg(long, value_name = "VERSION", conflicts_with = "resume")]
    pub to: Option<Target>,
    /// What to print; a plan is printed as `table` (also called `text`) or `json`
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
    #[command(flatten)]
    pub change: ChangeArgs,
    #[command(flatten)]
    pub join: JoinOptions,
    #[command(flatten)]
    pub around: AroundArgs,
    #[command(flatten)]
    pub shard: ShardArgs,
    #[command(flatten)]
    pub outcome: OutcomeArgs,
    /// Keep nothing of a run that only looks
    #[arg(long)]
    pub no_save: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seaworthy join node07 --check                say what would be done, and whether anything stands in the way
  seaworthy join 'node[01-08]' --canary 1 --batches 25%,100%
  seaworthy join --resume 20261122T0901        go on with a join that was cut off

Each node is looked at first; where a guard does not hold, nothing is done there, and the cause is named with its remedy.

Exit codes: 0 joined, or joined already; 2 a node was refused or failed, or --check found something to do; 4 hosts unreachable
(6 both); 8 the failure budget is spent; 64 wrong usage; 130 interrupted.")]
pub struct JoinArgs {
    /// The workers: names, groups, patterns as with --limit
    #[arg(value_name = "NODE", required_unless_present = "resume")]
    pub nodes: Vec<String>,
    /// Go on with a run that was cut off: its id or the beginning of one, its directory, or `last`
    #[arg(long, value_name = "RUN", conflicts_with_all = ["nodes", "diff", "canary", "batches", "max_failed", "ignore_preflight", "attempts"])]
    pub resume: Option<String>,
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help = PLAN_OUTPUT)]
    pub output: PlanFormat,
    #[command(flatten)]
    pub change: ChangeArgs,
    #[command(flatten)]
    pub join: JoinOptions,
    #[command(flatten)]
    pub around: AroundArgs,
}

#[derive(Debug, Args)]
pub struct FlannelArgs {
    #[command(subcommand)]
    pub command: FlannelCommand,
}

#[derive(Debug, Subcommand)]
pub enum FlannelCommand {
    /// Put the cluster's CNI configuration where it is missing or wrong and flannel's own pod cannot write it
    Push(PushArgs),
}

#[derive(Debug, Args)]
#[command(after_help = concat!("\
Examples:
  seaworthy flannel push node07 --check --diff
  seaworthy flannel push --sync                bring all workers to the cluster's configuration
  seaworthy flannel push node07 --config 10-flannel.conflist

Where flannel's pod can write the file itself, the push is refused and says so: mend the pod, and the file follows.

", exit_codes!()))]
pub struct PushArgs {
    /// Only these nodes: names, groups, patterns as with --limit; without any, all but control planes
    #[arg(value_name = "NODE")]
    pub nodes: Vec<String>,
    /// Push this file instead of what the cluster's kube-flannel-cfg holds
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Also replace a valid configuration that differs from the cluster's
    #[arg(long)]
    pub sync: bool,
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help = PLAN_OUTPUT)]
    pub output: PlanFormat,
    #[command(flatten)]
    pub change: ChangeArgs,
    #[command(flatten)]
    pub around: AroundArgs,
}

#[derive(Debug, Args)]
#[command(after_help = concat!("\
Examples:
  seaworthy reset node07 --check               say what would be deleted, and which mounts are kept
  seaworthy reset node07 node08

Groups and patterns are refused here, and so are control planes. A reset cannot be undone.

", exit_codes!()))]
pub struct ResetArgs {
    /// The workers, each by its own name
    #[arg(value_name = "NODE", required = true)]
    pub nodes: Vec<String>,
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help = PLAN_OUTPUT)]
    pub output: PlanFormat,
    #[command(flatten)]
    pub change: ChangeArgs,
    #[command(flatten)]
    pub around: AroundArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seaworthy undo 20261122T0901                 the id as the run's summary says it, or its beginning
  seaworthy undo last

On each node the last action is taken back first. Where somebody changed the node since, it is left alone and said.

Exit codes: 0 undone, or nothing to undo; 2 a node was refused or failed; 4 hosts unreachable (6 both); 64 wrong usage;
130 interrupted.")]
pub struct UndoArgs {
    /// The run: its id or the beginning of one, its directory, or `last`
    pub run: String,
    #[command(flatten)]
    pub consent: ConsentArgs,
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help = PLAN_OUTPUT)]
    pub output: PlanFormat,
    #[command(flatten)]
    pub around: AroundArgs,
}

const PLAN_OUTPUT: &str = "What to print: the plan, and how it ended";

/// How a plan is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// For people
    Text,
    /// The document `seaworthy/plan/v1`; needs --check or --yes, as there is nobody to ask
    Json,
}

/// Whether anything is changed, and whether that is asked about.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Change")]
pub struct ConsentArgs {
    /// Show the plan and change nothing; exit code 2 when there is something to do, or in the way
    #[arg(long, visible_alias = "dry-run")]
    pub check: bool,
    /// Do not ask; without a terminal there is nobody to ask
    #[arg(short, long)]
    pub yes: bool,
}

/// What is done to nodes, and how much of it at once.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Change")]
pub struct ChangeArgs {
    #[command(flatten)]
    pub consent: ConsentArgs,
    /// Show the files that are written as unified diffs
    #[arg(long)]
    pub diff: bool,
    /// Go on although this guard could not be judged (never although it fails); may be repeated
    #[arg(long, value_name = "ID")]
    pub accept_unknown: Vec<String>,
    /// So many nodes go first, one after the other
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub canary: Option<u32>,
    /// Sizes of the batches after that, in nodes or percent; the last one repeats
    #[arg(long, visible_alias = "serial", value_name = "SIZE,SIZE", value_delimiter = ',', value_parser = batch)]
    pub batches: Vec<Portion>,
    /// So many nodes, or percent of them, may fail or be unreachable before the run stops
    #[arg(long, value_name = "N|N%", value_parser = budget)]
    pub max_failed: Option<Portion>,
}

fn batch(text: &str) -> Result<Portion, String> {
    playbook::portion(text, 1).map_err(|problem| format!("it {problem}"))
}

fn budget(text: &str) -> Result<Portion, String> {
    playbook::portion(text, 0).map_err(|problem| format!("it {problem}"))
}

/// How `kubeadm join` is run, in playbooks that have this step.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Join")]
pub struct JoinOptions {
    /// Ignore the error of this pre-flight check of kubeadm, by the name in its brackets; may be repeated
    #[arg(long, value_name = "NAME", value_parser = preflight)]
    pub ignore_preflight: Vec<String>,
    /// At most so many attempts; only failures that may pass by themselves are tried again
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10))]
    pub attempts: Option<u32>,
}

fn preflight(text: &str) -> Result<String, String> {
    playbook::preflight_name(text).map(str::to_owned).map_err(|problem| format!("it {problem}"))
}

/// What every run of a playbook needs beside it.
#[derive(Debug, Clone, Args)]
pub struct AroundArgs {
    #[command(flatten)]
    pub checks: ChecksArgs,
    #[command(flatten)]
    pub hosts: HostsArgs,
    #[command(flatten)]
    pub connection: ConnectionArgs,
    #[command(flatten)]
    pub bounds: BoundsArgs,
    #[command(flatten)]
    pub runs: RunDirArgs,
}
