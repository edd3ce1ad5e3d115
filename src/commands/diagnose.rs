//! `seaworthy diagnose NODE…`: one node's whole story, with what its control plane and its siblings say, and with what its
//! `kubeadm join` printed. Without NODE, a join log alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::answers::Answers;
use super::common::{self, Bounds, UsageError};
use super::kept::select;
use super::show::Show;
use super::sweep::Sweep;
use super::{Context, hosts, join_log, kept, sweep};
use crate::cli::{DiagnoseArgs, DiagnoseFormat};
use crate::diagnose::join_log::JoinLog;
use crate::exit::ExitCode;
use crate::fleet;
use crate::interrupt::Interrupt;
use crate::inventory::limit::Limit;
use crate::inventory::model::{HostId, Inventory};
use crate::report::model::{Counts, Report};
use crate::report::story::{self, More};
use crate::report::{self, Format, json};
use crate::run;
use crate::target::Role;

/// So many other nodes are read to compare with.
const SIBLINGS: usize = 12;

pub(super) fn run(
    args: &DiagnoseArgs,
    context: &Context<'_>,
    quit: impl FnOnce() + Send + 'static,
) -> anyhow::Result<ExitCode> {
    let log = args.join_log.as_deref().map(|path| Ok::<_, anyhow::Error>((path, join_log::read(path)?))).transpose()?;
    if args.nodes.is_empty() {
        let (path, log) = log.ok_or_else(|| UsageError::new("name a node, or a join log".to_owned()))?;
        return join_log::show(path, &log, args.output, context);
    }
    if let Some((path, log)) = &log {
        join_log::refuse_nothing(path, log)?;
    }
    let log = log.map(|(_, log)| log);
    let config = hosts::configuration(context.environment)?;
    if let Some(wanted) = &args.from {
        let runs = common::runs_directory(None, &config.config, context.environment).unwrap_or_default();
        let (mut run, nodes) = kept::load(&run::find(&runs, wanted, Some("sweep"))?, &args.hosts, context)?;
        run.target = None;
        let named = select(&run, &args.nodes, context)?;
        refuse_many(&named, log.as_ref())?;
        let checks = common::checks(&args.checks, &run.sources)?;
        let (report, _) = fleet::report_with(&run, nodes, &checks, &logs(&named, log.as_ref()));
        return tell(&report, &named, log.as_ref(), args.output, context);
    }
    let chosen = hosts::choose(&args.hosts, &[], &config, context.environment)?;
    let (named, read) = with_companions(&chosen.inventory, &chosen.hosts, args, context)?;
    refuse_many(&named, log.as_ref())?;
    let overrides =
        hosts::overrides(&args.connection, context.matches, &config, context.environment, &mut Answers::default())?;
    let checks = common::checks(&args.checks, &chosen.sources)?;
    let sweep = Sweep {
        purpose: sweep::Purpose::Sweep,
        planned: common::plan(&chosen.inventory, &read, &overrides),
        shard: None,
        bounds: Bounds::new(&args.bounds, &config.config),
        keep: None,
        every: None,
        sources: chosen.sources,
        warnings: chosen.warnings,
        checks: Arc::new(checks),
        show: Show { format: Format::Json, style: common::style(context.terminal, context.environment) },
    };
    let swept = sweep.collect(context, || Interrupt::listen(quit), &mut Answers::default())?;
    let (report, _) = fleet::report_with(&swept.run, swept.nodes, &swept.checks, &logs(&named, log.as_ref()));
    let code = tell(&report, &named, log.as_ref(), args.output, context)?;
    Ok(if swept.interrupted { ExitCode::Interrupted } else { code })
}

/// The log is the named node's.
fn logs(named: &BTreeSet<String>, log: Option<&JoinLog>) -> BTreeMap<String, JoinLog> {
    named.iter().cloned().zip(log.cloned()).collect()
}

fn refuse_many(named: &BTreeSet<String>, log: Option<&JoinLog>) -> anyhow::Result<()> {
    if log.is_some() && named.len() > 1 {
        return Err(UsageError::new(format!("a join log is one node's, and {} are named", named.len())).into());
    }
    Ok(())
}

/// The named hosts, and with them every control plane and some siblings: what the API says of a node, and what a healthy
/// node looks like.
fn with_companions(
    inventory: &Inventory,
    hosts: &[HostId],
    args: &DiagnoseArgs,
    context: &Context<'_>,
) -> anyhow::Result<(BTreeSet<String>, Vec<HostId>)> {
    let read_file = |path: &Path| std::fs::read_to_string(context.environment.directory.join(path));
    let selection = inventory.select(&Limit::parse(&args.nodes, &read_file)?)?;
    let mut siblings = 0;
    let mut read: Vec<HostId> = selection.hosts.clone();
    for host in hosts.iter().filter(|host| !selection.hosts.contains(host)) {
        if inventory.role(*host) != Some(Role::ControlPlane) {
            siblings += 1;
            if siblings > SIBLINGS {
                continue;
            }
        }
        read.push(*host);
    }
    let names = selection.hosts.iter().map(|host| inventory.host_name(*host).to_owned()).collect();
    Ok((names, read))
}

fn document(format: Format, report: &Report, context: &Context<'_>) -> anyhow::Result<()> {
    let style = common::style(context.terminal, context.environment);
    common::print(|mut out| report::write(format, report, &style, &mut out))
}

/// Prints the named nodes of a report; the exit code is about them.
fn tell(
    report: &Report,
    named: &BTreeSet<String>,
    log: Option<&JoinLog>,
    format: DiagnoseFormat,
    context: &Context<'_>,
) -> anyhow::Result<ExitCode> {
    let own = report.only(named);
    match format {
        DiagnoseFormat::Json => common::print(|mut out| json::write_pretty(&own, &mut out))?,
        DiagnoseFormat::Markdown => document(Format::Markdown, &own, context)?,
        DiagnoseFormat::Html => document(Format::Html, &own, context)?,
        DiagnoseFormat::Text => {
            let style = common::style(context.terminal, context.environment);
            common::print(|mut out| {
                for (place, node) in own.nodes.iter().enumerate() {
                    if place > 0 {
                        writeln!(out)?;
                    }
                    story::write(report, node, More { join_log: log }, &style, &mut out)?;
                }
                Ok(())
            })?;
        }
    }
    let counts: Counts = own.run.counts;
    Ok(ExitCode::from_counts(&counts))
}
