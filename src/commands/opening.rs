//! What every run of a playbook begins with: configuration, inventory, checks, the playbook, and the hosts that it is about.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use super::common::{self, UsageError};
use super::{Context, hosts};
use crate::checks::Checks;
use crate::cli::{ChecksArgs, HostsArgs};
use crate::config;
use crate::inventory::limit::Limit;
use crate::inventory::model::{HostId, Inventory};
use crate::playbook::Playbook;
use crate::playbook::load::{LoadError, load};

/// Everything that is known before the first connection.
pub(super) struct Opening {
    pub(super) inventory: Inventory,
    /// The hosts of the playbook within the limit, or of them those that were named; in the inventory's order.
    pub(super) hosts: Vec<HostId>,
    /// The sources, as a later run can name them from anywhere; empty when one of them cannot be read again.
    pub(super) sources: Vec<String>,
    /// What was odd on the way.
    pub(super) warnings: Vec<String>,
    pub(super) checks: Arc<Checks>,
    pub(super) playbook: Playbook,
}

/// Which hosts, and which checks, as typed.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// A playbook's name or path.
    pub(super) playbook: &'a str,
    /// Hosts that were named; none for all of the playbook.
    pub(super) nodes: &'a [String],
    pub(super) hosts: &'a HostsArgs,
    pub(super) checks: Compiled<'a>,
}

/// Compiling the checks takes longer than everything else that comes before the first connection.
#[derive(Clone, Copy)]
pub(super) enum Compiled<'a> {
    NotYet(&'a ChecksArgs),
    /// By an earlier opening of the same program.
    Already(&'a Arc<Checks>),
}

impl Opening {
    /// `remembered` are the sources of an earlier run, used when this command line and the configuration name none.
    pub(super) fn new(
        asked: Asked<'_>,
        remembered: &[String],
        config: &config::Loaded,
        context: &Context<'_>,
    ) -> anyhow::Result<Self> {
        let choose = || hosts::choose(asked.hosts, remembered, config, context.environment);
        let (chosen, checks) = match asked.checks {
            Compiled::NotYet(args) => {
                let (chosen, checks) = common::checks_beside(args, choose, |chosen| &chosen.sources)?;
                (chosen, Arc::new(checks))
            }
            Compiled::Already(checks) => (choose()?, Arc::clone(checks)),
        };
        let playbook = match load(asked.playbook, &context.environment.directory, &checks) {
            Err(error @ LoadError::NoName { .. }) => return Err(UsageError::new(error.to_string()).into()),
            loaded => loaded?,
        };
        let mut opening = Self {
            inventory: chosen.inventory,
            hosts: chosen.hosts,
            sources: chosen.sources,
            warnings: chosen.warnings,
            checks,
            playbook,
        };
        opening.keep_hosts_of_playbook()?;
        opening.keep_named(asked.nodes, context)?;
        Ok(opening)
    }

    fn keep_hosts_of_playbook(&mut self) -> anyhow::Result<()> {
        let Playbook { name, hosts, .. } = &self.playbook;
        if hosts == "all" {
            return Ok(());
        }
        let limit = Limit::parse(std::slice::from_ref(hosts), &|path| std::fs::read_to_string(path))?;
        let its = self.inventory.select(&limit).with_context(|| format!("the playbook {name} is for hosts {hosts}"))?;
        self.warnings.extend(its.warnings.iter().map(ToString::to_string));
        let its: BTreeSet<HostId> = its.hosts.into_iter().collect();
        self.hosts.retain(|host| its.contains(host));
        if self.hosts.is_empty() {
            let message = format!("no host of the playbook {name} ({hosts}) is within the limit");
            return Err(UsageError::new(message).into());
        }
        Ok(())
    }

    /// A host that was named is not passed over in silence.
    fn keep_named(&mut self, nodes: &[String], context: &Context<'_>) -> anyhow::Result<()> {
        if nodes.is_empty() {
            return Ok(());
        }
        let read_file = |path: &Path| std::fs::read_to_string(context.environment.directory.join(path));
        let named = self.inventory.select(&Limit::parse(nodes, &read_file)?)?;
        self.warnings.extend(named.warnings.iter().map(ToString::to_string));
        if let Some(other) = named.hosts.iter().find(|host| !self.hosts.contains(host)) {
            let message = format!(
                "{} is named, but is not among the hosts of the playbook {} ({}) and of the limit",
                self.inventory.host_name(*other),
                self.playbook.name,
                self.playbook.hosts
            );
            return Err(UsageError::new(message).into());
        }
        self.hosts = named.hosts;
        Ok(())
    }
}
