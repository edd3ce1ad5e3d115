//! From a playbook and what was found out about the nodes to a plan: which step does what on which node, and why not.
//!
//! Each step has a planner in a file of its own. It says that there is nothing to do, or what is to be done, or what stands in
//! the way. One refusal refuses the whole node: a join without what should come before it is worse than none. Planning again
//! from the state that a plan brought about gives nothing. Pure: nothing here connects, reads files or prints.

pub mod conflist;
mod flannel;
mod generic;
mod kubeadm_join;
mod kubeadm_reset;

use std::collections::BTreeMap;

use super::guards::{self, Cured, every};
use super::plan::{Action, Change, Decision, NodePlan, PLAN_SCHEMA, Plan, Reason, Refusal, Undo};
use super::state::State;
use super::view::{Fleet, View};
use crate::checks::Checks;
use crate::fleet::Assessed;
use crate::playbook::{Playbook, Step};

pub use kubeadm_join::writes as join_writes;

/// What the user asked for beside the playbook.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanOptions {
    /// Ids of checks and names of guards that may be unknown.
    pub accept_unknown: Vec<String>,
    /// kubeadm's pre-flight checks whose errors are ignored.
    pub ignore_preflight: Vec<String>,
    /// The nodes to be changed, in the order of the inventory.
    pub nodes: Vec<String>,
    /// Those of them that the user wrote by their own names, not by a group or a pattern. Only these are reset.
    pub named: Vec<String>,
}

/// What a step comes to on one node.
enum Planned {
    /// It is as the step wants it, with why.
    Nothing(String),
    Actions(Vec<Action>),
}

/// A step's turn on one node.
struct Turn<'a> {
    node: &'a View<'a>,
    /// The step's place in the playbook.
    place: usize,
    /// What the steps before it do on the node.
    earlier: &'a [Action],
}

impl Turn<'_> {
    const fn action(&self, change: Change, reason: Reason, undo: Undo) -> Action {
        Action { step: self.place, change, reason, undo, only_if: Vec::new() }
    }
}

/// Plans a playbook for the nodes of `options`. `states`: what a look at the paths of [`super::observe_paths`] found.
pub fn plan(
    playbook: &Playbook,
    options: &PlanOptions,
    assessed: &Assessed,
    states: &BTreeMap<String, State>,
    checks: &Checks,
) -> Plan {
    let fleet = Fleet::new(assessed, checks, options);
    let nodes = options.nodes.iter().map(|name| {
        let decision = match fleet.view(name, states.get(name)) {
            Some(node) => of_node(playbook, &node),
            None => Decision::Refused { refusals: vec![not_swept()] },
        };
        NodePlan { node: name.clone(), decision }
    });
    Plan {
        schema: PLAN_SCHEMA,
        playbook: playbook.name.clone(),
        strategy: playbook.strategy.clone(),
        accept_unknown: options.accept_unknown.clone(),
        nodes: nodes.collect(),
    }
}

fn not_swept() -> Refusal {
    Refusal {
        guard: guards::SWEPT.to_owned(),
        unknown: true,
        reason: "it was not read in this run".to_owned(),
        next: "try again".to_owned(),
    }
}

fn of_node(playbook: &Playbook, node: &View<'_>) -> Decision {
    if let Some(refusal) = every::unread(node) {
        return Decision::Refused { refusals: vec![refusal] };
    }
    let accepted = &node.fleet.options.accept_unknown;
    let mut actions: Vec<Action> = Vec::new();
    let mut refusals = Vec::new();
    let mut idle: Vec<String> = Vec::new();
    for (place, step) in playbook.steps.iter().enumerate() {
        let turn = Turn { node, place, earlier: &actions };
        match of_step(&turn, step) {
            Ok(Planned::Nothing(why)) => idle.push(why),
            Ok(Planned::Actions(more)) => actions.extend(more),
            Err(said) => {
                refusals.extend(said);
                // What comes after a join is judged by a state that there will not be.
                if matches!(step, Step::KubeadmJoin { .. }) {
                    break;
                }
            }
        }
    }
    if refusals.is_empty() && actions.is_empty() {
        idle.dedup();
        return Decision::Nothing { why: idle.into_iter().find(|why| !why.is_empty()).unwrap_or_else(nothing) };
    }
    let cured = Cured::by(&actions).and(kubeadm_join::cured(playbook));
    let mut all = guards::refusals(every::EVERY, node, &cured);
    all.extend(guards::required(node, &playbook.require, &cured));
    let mut all = guards::standing(all, accepted);
    // The steps know themselves what of theirs may be accepted.
    all.extend(refusals);
    let refusals = guards::distinct(all);
    match node.state {
        _ if !refusals.is_empty() => Decision::Refused { refusals },
        Some(state) if !actions.is_empty() => Decision::Change { state: state.clone(), actions },
        _ => Decision::Nothing { why: nothing() },
    }
}

fn nothing() -> String {
    "it is as the playbook wants it".to_owned()
}

fn of_step(turn: &Turn<'_>, step: &Step) -> Result<Planned, Vec<Refusal>> {
    match step {
        Step::WriteFile { .. } => generic::write_file(turn, step),
        Step::RestartService { unit, because } => generic::restart_service(turn, unit, because),
        Step::Command { run, because, undo } => generic::command(turn, run, because, undo),
        Step::WaitFor { check, timeout } => Ok(generic::wait_for(turn, check, *timeout)),
        Step::Flannel { config, sync } => {
            let reach = if *sync { flannel::Reach::Differing } else { flannel::Reach::Broken };
            flannel::plan(turn, config, reach)
        }
        Step::KubeadmJoin { attempts, backoff, ignore } => {
            kubeadm_join::plan(turn, &kubeadm_join::Wish { attempts: *attempts, backoff: *backoff, ignore })
        }
        Step::KubeadmReset => kubeadm_reset::plan(turn),
    }
}
