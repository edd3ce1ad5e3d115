//! Which nodes a run changes and which it reads beside them, and what the command line changes about the playbook.

use super::Request;
use crate::change::guards::OWN;
use crate::change::state::MAX_CONTENT;
use crate::change::steps::PlanOptions;
use crate::checks::Checks;
use crate::commands::Context;
use crate::commands::common::UsageError;
use crate::commands::opening::Opening;
use crate::inventory::model::{HostId, Inventory};
use crate::playbook::load::read_at_most;
use crate::playbook::{ConfigSource, Playbook, Step};
use crate::report::model::Report;
use crate::target::Role;

/// The hosts of a run.
pub(super) struct Chosen {
    /// The nodes to be changed are in it.
    pub(super) options: PlanOptions,
    /// These, and beside them every control plane, which knows what the cluster wants; in the inventory's order.
    pub(super) read: Vec<HostId>,
}

/// Control planes that are not named by their own names are read and not changed. Where the inventory calls no host a control plane, all hosts
/// without a role are read: one of them may be it.
pub(super) fn choose(opening: &Opening, request: &Request<'_>) -> anyhow::Result<Chosen> {
    let inventory = &opening.inventory;
    let name = |host: &HostId| inventory.host_name(*host).to_owned();
    let named: Vec<String> = request.nodes.iter().filter(|node| inventory.host(node).is_some()).cloned().collect();
    if opening.playbook.steps.contains(&Step::KubeadmReset) {
        refuse_patterns(request.nodes, inventory)?;
    }
    let mut change = opening.hosts.clone();
    change.retain(|host| inventory.role(*host) != Some(Role::ControlPlane) || named.contains(&name(host)));
    if change.is_empty() {
        let message = "no host is left to be changed: control planes are changed only when they are named";
        return Err(UsageError::new(message).into());
    }
    let is = |role: Option<Role>| move |host: &HostId| inventory.role(*host) == role;
    let beside =
        if inventory.hosts().any(|host| is(Some(Role::ControlPlane))(&host)) { Some(Role::ControlPlane) } else { None };
    let read = inventory.hosts().filter(|host| change.contains(host) || is(beside)(host)).collect();
    let options = PlanOptions {
        accept_unknown: request.how.accept_unknown.clone(),
        ignore_preflight: request.join.ignore_preflight.clone(),
        nodes: change.iter().map(name).collect(),
        named,
    };
    Ok(Chosen { options, read })
}

/// What cannot be undone is not done to whatever a pattern happens to match.
fn refuse_patterns(nodes: &[String], inventory: &Inventory) -> anyhow::Result<()> {
    let problem = match nodes.iter().find(|node| inventory.host(node).is_none()) {
        None if nodes.is_empty() => "a reset needs the names of its nodes".to_owned(),
        None => return Ok(()),
        Some(other) => format!("a reset takes each node by its own name, and `{other}` is no host of the inventory"),
    };
    Err(UsageError::new(format!("{problem}; groups and patterns are refused here, as a reset cannot be undone")).into())
}

/// The same for nodes that turn out to be control planes, where the inventory does not say so.
pub(super) fn leave_out_control_planes(options: &mut PlanOptions, report: &Report) {
    if options.named.is_empty() {
        let is_control_plane =
            |name: &str| report.nodes.iter().any(|node| node.name == name && node.roles.contains(&Role::ControlPlane));
        options.nodes.retain(|name| !is_control_plane(name));
    }
}

/// Puts what the command line says over what the playbook says.
pub(super) fn tailor(playbook: &mut Playbook, request: &Request<'_>, context: &Context<'_>) -> anyhow::Result<()> {
    let how = request.how;
    let strategy = &mut playbook.strategy;
    strategy.canary = how.canary.unwrap_or(strategy.canary);
    strategy.max_failed = how.max_failed.unwrap_or(strategy.max_failed);
    if !how.batches.is_empty() {
        strategy.batches.clone_from(&how.batches);
    }
    let mut joins = false;
    for step in &mut playbook.steps {
        match step {
            Step::KubeadmJoin { attempts, .. } => {
                joins = true;
                *attempts = request.join.attempts.unwrap_or(*attempts);
            }
            Step::Flannel { config, sync } => {
                *sync |= request.sync;
                if let Some(path) = request.config {
                    let bytes = read_at_most(&context.environment.directory.join(path), MAX_CONTENT)
                        .map_err(|why| UsageError::new(format!("--config {}: {why}", path.display())))?;
                    if bytes.len() as u64 > MAX_CONTENT {
                        let message = format!("--config {} is larger than {} KiB", path.display(), MAX_CONTENT >> 10);
                        return Err(UsageError::new(message).into());
                    }
                    *config = ConfigSource::File { path: path.display().to_string(), content: bytes };
                }
            }
            _ => {}
        }
    }
    if !joins && (request.join.attempts.is_some() || !request.join.ignore_preflight.is_empty()) {
        let message =
            format!("--attempts and --ignore-preflight are for a join, and the playbook {} has none", playbook.name);
        return Err(UsageError::new(message).into());
    }
    Ok(())
}

/// Warnings about names that are accepted and that no check has. Some guards have names of their own, so it is no error.
pub(super) fn unknown_guards(accepted: &[String], checks: &Checks) -> Vec<String> {
    let unknown = accepted.iter().filter(|id| checks.get(id).is_none() && !OWN.contains(&id.as_str()));
    let warning = |id: &String| {
        let hint = checks.nearest(id).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        format!("--accept-unknown {id}: there is no check of that name{hint}")
    };
    unknown.map(warning).collect()
}
