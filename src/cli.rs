//! The command line, as typed: clap's derive and nothing else. What it *means* is decided in `options` and the commands.

mod change;
mod rounds;
mod shard;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::change::{
    AroundArgs, ChangeArgs, ConsentArgs, FlannelArgs, FlannelCommand, JoinArgs, JoinOptions, PlanFormat, PushArgs,
    ResetArgs, RunArgs, UndoArgs,
};
pub use self::rounds::{OldRunsArgs, RoundsArgs};
pub use self::shard::{MergeArgs, OutcomeArgs, ShardArgs};
use crate::commands::inventory::ShowArgs;
use crate::duration::parse as duration;
use crate::report::Format;
use crate::report::outputs::OutputsFormat;
use crate::report::style::ColorChoice;
use crate::upgrade::version::Target;

/// Sweep the nodes of Kubernetes clusters over SSH: what is wrong, why, and what to type next.
#[derive(Debug, Parser)]
#[command(name = "seaworthy", version, max_term_width = 100, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "\
Exit codes: 0 healthy, 1 own error, 2 problems found, 4 hosts unreachable (6 both), 8 failure budget spent, 64 wrong usage,
130 interrupted.
Every flag with an [env: ...] note can also stand in that variable or in seaworthy.yaml.")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub terminal: TerminalArgs,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Probe all nodes at once and print the cluster-wide table
    Sweep(SweepArgs),
    /// Say which nodes may be upgraded to a version of Kubernetes, and what stands in the way
    Preflight(PreflightArgs),
    /// Make one run of the runs of all shards, and print it as one sweep over all nodes
    Merge(MergeArgs),
    /// Run any command on all nodes and fold equal outputs
    Exec(ExecArgs),
    /// Say why a `kubeadm join` failed, from what it printed
    Diagnose(DiagnoseArgs),
    /// Bring prepared workers into the cluster: proven first, shown, in batches, undone when it fails
    Join(JoinArgs),
    /// flannel's configuration on the nodes
    Flannel(FlannelArgs),
    /// Take workers out of the cluster with `kubeadm reset`, after showing what it deletes
    Reset(ResetArgs),
    /// Run a playbook: a file, or a built-in one by name
    Run(RunArgs),
    /// Take back what a run changed
    Undo(UndoArgs),
    /// List the inventory, draw its groups, explain one host's settings
    Inventory(InventoryArgs),
    /// Say what a check looks at, what its failure means and what to do about it
    Explain(ExplainArgs),
    /// Sweep an embedded fleet of pretended nodes: needs no cluster
    Demo(DemoArgs),
    /// Print a shell completion script
    Completions { shell: clap_complete::Shell },
    /// Print the manual page (roff)
    Man,
    /// Print the JSON schema of `-o json`
    Schema {
        /// Of which document
        #[arg(default_value = "report")]
        document: SchemaOf,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// `seaworthy/v1`: what sweep, diagnose NODE and preflight print
    Report,
    /// `seaworthy/join-log/v1`: what diagnose --join-log prints without a node
    JoinLog,
    /// `seaworthy/plan/v1`: what run, join, flannel push, reset and undo print
    Plan,
}

/// How to talk to the terminal.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Terminal")]
pub struct TerminalArgs {
    /// When to colour the output; `NO_COLOR` and `CLICOLOR=0` switch `auto` off
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
    /// Show no progress line
    #[arg(long, global = true, env = "SEAWORTHY_NO_PROGRESS", value_parser = clap::builder::FalseyValueParser::new())]
    pub no_progress: bool,
    /// Print the result and errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Show how long each step took on each host; twice shows what the login shells and sudo said
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

#[derive(Debug, Args)]
pub struct SweepArgs {
    /// What to print
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
    /// Print a saved run again instead of connecting: a directory, a run's id, or `last`
    #[arg(long, value_name = "RUN", conflicts_with_all = ["rerun", "no_save", "shard"])]
    pub from: Option<String>,
    /// Take the hosts of the last sweep that had problems (`failed`) or were not read (`unreachable`)
    #[arg(long, value_name = "WHICH", conflicts_with = "shard")]
    pub rerun: Option<Rerun>,
    #[command(flatten)]
    pub outcome: OutcomeArgs,
    #[command(flatten)]
    pub checks: ChecksArgs,
    #[command(flatten)]
    pub hosts: HostsArgs,
    #[command(flatten)]
    pub shard: ShardArgs,
    #[command(flatten)]
    pub connection: ConnectionArgs,
    #[command(flatten)]
    pub bounds: BoundsArgs,
    #[command(flatten)]
    pub rounds: RoundsArgs,
    #[command(flatten)]
    pub keep: KeepArgs,
    #[command(flatten)]
    pub old_runs: OldRunsArgs,
}

/// Looks at the cluster as `sweep` does, and measures what it finds by the target.
#[derive(Debug, Args)]
#[command(after_help = "\
A node is blocked when a check of severity blocker or high fails on it, whether the target brings that about or not.
Read the control plane too: without it nobody knows the cluster's own version. `seaworthy explain upgrade` lists the checks.

Exit codes: 0 all may be upgraded, 2 some are blocked or could not be judged, 4 hosts unreachable (6 both).")]
pub struct PreflightArgs {
    /// The version to upgrade to: `1.35`, `v1.35` or `1.35.2`; with --from by default the one of that run
    #[arg(long, value_name = "VERSION", required_unless_present = "from")]
    pub to: Option<Target>,
    #[command(flatten)]
    pub sweep: SweepArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Rerun {
    /// Hosts with problems, and those that were not read
    Failed,
    /// Hosts that were not read to the end
    Unreachable,
}

#[derive(Debug, Args)]
pub struct ExecArgs {
    /// What to print
    #[arg(short, long, value_name = "FORMAT", default_value = "folded")]
    pub output: OutputsFormat,
    /// The command; its words are joined by spaces and given to the login shell (with -b: to `sh -c` under sudo)
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<String>,
    #[command(flatten)]
    pub hosts: HostsArgs,
    #[command(flatten)]
    pub connection: ConnectionArgs,
    #[command(flatten)]
    pub bounds: BoundsArgs,
}

#[derive(Debug, Args)]
pub struct DiagnoseArgs {
    /// The nodes: names, groups, patterns as with --limit. Control planes and some siblings are read beside them
    #[arg(value_name = "NODE", required_unless_present = "join_log")]
    pub nodes: Vec<String>,
    /// What a `kubeadm join` printed, also within Ansible's output; `-` reads standard input. Without NODE no host is needed
    #[arg(long, value_name = "FILE")]
    pub join_log: Option<PathBuf>,
    /// What to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: DiagnoseFormat,
    /// Take a saved run instead of connecting: a directory, a run's id, or `last`
    #[arg(long, value_name = "RUN")]
    pub from: Option<String>,
    #[command(flatten)]
    pub checks: ChecksArgs,
    #[command(flatten)]
    pub hosts: HostsArgs,
    #[command(flatten)]
    pub connection: ConnectionArgs,
    #[command(flatten)]
    pub bounds: BoundsArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DiagnoseFormat {
    /// For people
    Text,
    /// The report's document with these nodes; without NODE the document `seaworthy/join-log/v1`
    Json,
    /// An analysis to read, paste and keep
    Markdown,
    /// The same as one page
    Html,
}

#[derive(Debug, Args)]
pub struct InventoryArgs {
    #[command(flatten)]
    pub show: ShowArgs,
    #[command(flatten)]
    pub hosts: HostsArgs,
    #[command(flatten)]
    pub shard: ShardArgs,
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A check's id, or an area for a list of its checks; without it, all checks
    #[arg(value_name = "ID|AREA")]
    pub topic: Option<String>,
    #[command(flatten)]
    pub checks: ChecksArgs,
}

/// Where checks of the user's own come from.
#[derive(Debug, Clone, Args)]
pub struct ChecksArgs {
    /// Also load your own checks from the `*.yaml` files of this directory [default: `checks` beside the inventory]
    #[arg(long = "checks", value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// How many nodes the fleet has
    #[arg(short, long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub nodes: u32,
    /// Sweep only these nodes
    #[arg(short, long, value_name = "PATTERN", conflicts_with = "serve")]
    pub limit: Vec<String>,
    /// Keep the fleet up until Ctrl-C instead of sweeping it
    #[arg(long)]
    pub serve: bool,
    /// Write the fleet's inventory to this file
    #[arg(long, value_name = "FILE", requires = "serve")]
    pub write_inventory: Option<PathBuf>,
    /// What to print
    #[arg(short, long, value_name = "FORMAT", default_value = "table", conflicts_with = "serve")]
    pub output: Format,
}

/// Which hosts.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Hosts")]
pub struct HostsArgs {
    /// Inventory: a file (Ansible's YAML or INI), a directory, an executable, `host,host,` or `-`; may be repeated
    #[arg(short, long, env = "SEAWORTHY_INVENTORY", value_name = "SOURCE", value_delimiter = None)]
    pub inventory: Vec<String>,
    /// Only these hosts: `web*:&prod:!x`, `node[1-3]`, a group, `@file`; may be repeated
    #[arg(short, long, value_name = "PATTERN", allow_hyphen_values = true)]
    pub limit: Vec<String>,
}

/// How to reach them.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectionArgs {
    /// Log in as this user
    #[arg(short, long, env = "SEAWORTHY_USER")]
    pub user: Option<String>,
    /// Port of the SSH server
    #[arg(long, env = "SEAWORTHY_PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Private key to log in with; may be repeated
    #[arg(long, alias = "key", env = "SEAWORTHY_PRIVATE_KEY", value_name = "FILE")]
    pub private_key: Vec<PathBuf>,
    /// Ask for the login password once
    #[arg(short = 'k', long)]
    pub ask_pass: bool,
    /// Jump hosts, as for ssh -J: `[user@]host[:port]`, comma-separated
    #[arg(short = 'J', long, env = "SEAWORTHY_JUMP", value_name = "HOSTS")]
    pub jump: Option<String>,
    /// Read this instead of `~/.ssh/config` and `/etc/ssh/ssh_config`; `none` reads neither
    #[arg(short = 'F', long, env = "SEAWORTHY_SSH_CONFIG", value_name = "FILE")]
    pub ssh_config: Option<PathBuf>,
    /// Any setting of `ssh_config`, as for ssh -o; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub ssh_option: Vec<String>,
    /// Reach all hosts as this machine itself (`local`) or over SSH
    #[arg(long, value_name = "KIND")]
    pub connection: Option<ConnectionKind>,
    /// Run under sudo
    #[arg(short, long, env = "SEAWORTHY_BECOME", value_parser = clap::builder::FalseyValueParser::new())]
    pub r#become: bool,
    /// Become this user instead of root; implies -b
    #[arg(long, env = "SEAWORTHY_BECOME_USER", value_name = "USER")]
    pub become_user: Option<String>,
    /// Ask for the sudo password once; implies -b
    #[arg(short = 'K', long)]
    pub ask_become_pass: bool,
    /// Read the sudo password from the first line of this file, which nobody else may read; implies -b
    #[arg(long, env = "SEAWORTHY_BECOME_PASSWORD_FILE", value_name = "FILE", conflicts_with = "ask_become_pass")]
    pub become_password_file: Option<PathBuf>,
    /// What to do with unknown host keys; a changed key is refused always
    #[arg(long, env = "SEAWORTHY_HOST_KEY", value_name = "POLICY")]
    pub host_key: Option<HostKeyArg>,
    /// Known hosts file, instead of the configured ones; may be repeated
    #[arg(long, env = "SEAWORTHY_KNOWN_HOSTS", value_name = "FILE")]
    pub known_hosts: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConnectionKind {
    Ssh,
    Local,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HostKeyArg {
    /// Refuse unknown keys
    Strict,
    /// Learn unknown keys and print their fingerprints (the default)
    AcceptNew,
    /// Show all unknown keys and ask once
    Ask,
}

/// How much at once and how long.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Bounds")]
pub struct BoundsArgs {
    /// How many hosts at once; if not given, more while the network is slow and fewer while the processor is full
    #[arg(short, long, visible_alias = "width", env = "SEAWORTHY_FORKS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub forks: Option<u32>,
    /// Longest wait for a name to resolve
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub dns_timeout: Option<Duration>,
    /// Longest wait for TCP to connect
    #[arg(long, env = "SEAWORTHY_CONNECT_TIMEOUT", value_name = "TIME", value_parser = duration)]
    pub connect_timeout: Option<Duration>,
    /// Longest wait for banner and key exchange
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub kex_timeout: Option<Duration>,
    /// Longest wait for authentication
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub auth_timeout: Option<Duration>,
    /// Longest wait for a channel
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub open_timeout: Option<Duration>,
    /// Longest time for the work on one host, once connected
    #[arg(long, env = "SEAWORTHY_TIMEOUT", value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Longest time for the whole run
    #[arg(long, env = "SEAWORTHY_DEADLINE", value_name = "TIME", value_parser = duration)]
    pub deadline: Option<Duration>,
}

/// What is kept.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Run directory")]
pub struct RunDirArgs {
    /// Keep runs below this directory instead of `$XDG_STATE_HOME/seaworthy/runs`
    #[arg(long, env = "SEAWORTHY_RUN_DIR", value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
}

/// What is kept of a run that only looks.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Run directory")]
pub struct KeepArgs {
    #[command(flatten)]
    pub runs: RunDirArgs,
    /// Keep nothing of this run
    #[arg(long)]
    pub no_save: bool,
}
