//! `seaworthy demo`: starts the embedded fleet and sweeps it as any other inventory, or keeps it up for other tools.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::common::{self, Bounds};
use super::show::Show;
use super::sweep::{Purpose, Sweep};
use super::{Context, hosts};
use crate::checks::Checks;
use crate::cli::{DemoArgs, HostsArgs};
use crate::config;
use crate::demo::Fleet;
use crate::demo::plan;
use crate::exit::ExitCode;
use crate::interrupt::Interrupt;
use crate::inventory::origin::Overrides;
use crate::ssh::{Deadlines, limits};

/// The same fleet every time.
const SEED: u64 = 20_250_910;

/// Nodes on loopback answer at once: what takes longer hangs on purpose.
const HOST_DEADLINE: Duration = Duration::from_secs(4);

pub(super) fn run(
    args: &DemoArgs,
    context: &Context<'_>,
    quit: impl FnOnce() + Send + 'static,
) -> anyhow::Result<ExitCode> {
    limits::raise_open_files();
    let nodes = usize::try_from(args.nodes).context("too many nodes")?;
    let fleet = Fleet::start(plan(nodes, SEED)?)?;
    if args.serve {
        return serve(args, fleet, context, quit);
    }
    let inventory = fleet
        .inventory_path()
        .into_os_string()
        .into_string()
        .ok()
        .context("the temporary directory's name is not UTF-8")?;
    let chosen = hosts::choose(
        &HostsArgs { inventory: vec![inventory], limit: args.limit.clone() },
        &[],
        &config::Loaded::default(),
        context.environment,
    )?;
    let sweep = Sweep {
        planned: common::plan(&chosen.inventory, &chosen.hosts, &Overrides::default()),
        shard: None,
        bounds: Bounds {
            deadlines: Deadlines::default(),
            host: HOST_DEADLINE,
            run: Duration::from_mins(10),
            forks: None,
            reach: crate::reach::Bounds::default(),
        },
        keep: None,
        every: None,
        sources: Vec::new(),
        warnings: chosen.warnings,
        checks: Arc::new(Checks::built_in()?),
        purpose: Purpose::Sweep,
        show: Show { format: args.output, style: common::style(context.terminal, context.environment) },
    };
    let code = sweep.run(context, quit)?;
    if context.environment.columns().is_some() && !context.terminal.quiet {
        let _ = writeln!(
            io::stderr(),
            "\nThese nodes are pretended: {nodes} SSH servers inside this process. Your own: seaworthy sweep -i INVENTORY -b"
        );
    }
    drop(fleet);
    // The faults are part of the show.
    Ok(if code == ExitCode::Interrupted { code } else { ExitCode::Ok })
}

/// Keeps the fleet up until the user ends it.
fn serve(
    args: &DemoArgs,
    fleet: Fleet,
    context: &Context<'_>,
    quit: impl FnOnce() + Send + 'static,
) -> anyhow::Result<ExitCode> {
    let inventory = match &args.write_inventory {
        Some(path) => {
            let path = context.environment.directory.join(path);
            fleet.write_inventory(&path)?;
            path
        }
        None => fleet.inventory_path(),
    };
    let _ = writeln!(
        io::stderr(),
        "{} nodes are up until Ctrl-C. In another terminal:\n  seaworthy sweep -i {path}\n  seaworthy exec -i {path} -- uptime\n  ssh -F none -i {key} -o UserKnownHostsFile={known} -p {port} root@{ip} hostname",
        fleet.nodes().len(),
        path = inventory.display(),
        key = fleet.key_path().display(),
        known = fleet.known_hosts_path().display(),
        port = fleet.address(0).map_or(0, |address| address.port()),
        ip = fleet.address(0).map_or_else(String::new, |address| address.ip().to_string()),
    );
    common::runtime()?.block_on(async {
        let mut interrupt = Interrupt::listen(quit);
        fleet.serve_until(async move { interrupt.wait().await }).await;
    });
    if let Some(path) = &args.write_inventory {
        // It names keys that are gone now.
        let _ = std::fs::remove_file(context.environment.directory.join(path));
    }
    Ok(ExitCode::Ok)
}
