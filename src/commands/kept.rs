//! What commands do with runs that were kept: load one, print it again, take the hosts that had problems in it.
//!
//! A run that was just merged is printed here too, so that it comes out as the same run printed again does.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;

use super::Context;
use super::common::{self, UsageError};
use super::show::Show;
use super::sweep::{Purpose, exit_code};
use crate::cli::{ChecksArgs, HostsArgs, Rerun};
use crate::exit::ExitCode;
use crate::fleet::{self, Understood};
use crate::inventory::limit::Limit;
use crate::inventory::model::Inventory;
use crate::report::model::Outcome;
use crate::run::{self, RunFile};

/// Prints a kept run as a sweep prints what it read.
pub(super) fn show(
    (mut run, nodes): (RunFile, Vec<Understood>),
    purpose: Purpose,
    checks: &ChecksArgs,
    show: Show,
    context: &Context<'_>,
) -> anyhow::Result<ExitCode> {
    run.target = match purpose {
        Purpose::Sweep | Purpose::Change(_) => None,
        Purpose::Preflight(target) => Some(target.or(run.target).ok_or_else(|| {
            UsageError::new(format!("the run {} was made for no target; name one, like --to 1.35", run.id))
        })?),
    };
    let checks = common::checks(checks, &run.sources)?;
    let (report, records) = fleet::report_understood(&run, nodes, &checks);
    show.print(&report, &records, &checks, context)?;
    let code = exit_code(&report);
    // The process ends: taking ten thousand nodes apart would take a tenth of the time that all else took.
    std::mem::forget((report, records));
    Ok(code)
}

/// A saved run, within the limit.
pub(super) fn load(
    directory: &Path,
    args: &HostsArgs,
    context: &Context<'_>,
) -> anyhow::Result<(RunFile, Vec<Understood>)> {
    let (run, mut nodes, damaged) = run::load_as(directory, Understood::new)?;
    let mut told: Vec<String> = damaged.iter().map(ToString::to_string).collect();
    if run.duration_ms.is_none() {
        told.push(format!("the run {} did not end by itself; what it read is shown", run.id));
    }
    if let Some(part) = &run.part {
        let (id, shard) = (&run.id, part.shard);
        told.push(format!("the run {id} is shard {shard} only; seaworthy merge puts all of them together"));
    }
    if !args.limit.is_empty() {
        let names = select(&run, &args.limit, context)?;
        nodes.retain(|node| names.contains(&node.record.name));
    }
    common::warn(&told);
    Ok((run, nodes))
}

/// The hosts of a run that patterns select.
pub(super) fn select(run: &RunFile, patterns: &[String], context: &Context<'_>) -> anyhow::Result<BTreeSet<String>> {
    let inventory = Inventory::of(run.hosts.iter().map(|host| (host.name.as_str(), host.groups.as_slice())))?;
    let read_file = |path: &Path| std::fs::read_to_string(context.environment.directory.join(path));
    let selection = inventory.select(&Limit::parse(patterns, &read_file)?)?;
    Ok(selection.hosts.iter().map(|host| inventory.host_name(*host).to_owned()).collect())
}

/// What `--rerun` takes from the last sweep.
pub(super) struct Earlier {
    pub(super) id: String,
    pub(super) names: BTreeSet<String>,
    pub(super) sources: Vec<String>,
}

pub(super) fn earlier(runs: &Path, which: Rerun, checks: &ChecksArgs) -> anyhow::Result<Earlier> {
    let directory = run::find(runs, "last", Some("sweep"))?;
    let (run, nodes, _) = run::load_as(&directory, Understood::new).context("cannot tell which hosts to take again")?;
    let checks = common::checks(checks, &run.sources)?;
    let (report, _) = fleet::report_understood(&run, nodes, &checks);
    let wanted = |outcome: Outcome| match which {
        Rerun::Failed => matches!(outcome, Outcome::Fail | Outcome::Unreachable | Outcome::Unknown),
        Rerun::Unreachable => outcome == Outcome::Unreachable,
    };
    let names = report.nodes.iter().filter(|node| wanted(node.outcome())).map(|node| node.name.clone()).collect();
    Ok(Earlier { id: run.id, names, sources: run.sources })
}
