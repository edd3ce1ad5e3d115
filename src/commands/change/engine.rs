//! The calls into `change` that touch nodes.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};

use crate::change::apply::{self, ChangeRun, Waits};
use crate::change::hand::{Hand, Look};
use crate::change::join::by_tools;
use crate::change::journal::file::Journal;
use crate::change::observe_paths::{Content, wanted};
use crate::change::plan::Plan;
use crate::change::resume;
use crate::change::state::State;
use crate::change::summary::Summary;
use crate::change::undo;
use crate::checks::Checks;
use crate::collect::{Collector, Host};
use crate::commands::common::Fleet;
use crate::fleet::{Assessed, Understood};
use crate::playbook::{Playbook, Step};
use crate::reach::ReachCapture;
use crate::run::{RunFile, Writer};
use crate::ui::Event;

/// What is done with a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    Apply,
    Resume,
    Undo,
}

/// Looks at what the plan is made from: the paths that the playbook's steps touch. Nothing is changed. A node that could not be
/// looked at is left out and warned about; the plan refuses it.
pub(super) async fn look(
    fleet: &Fleet,
    playbook: &Playbook,
    assessed: &Assessed,
    nodes: &[String],
) -> BTreeMap<String, State> {
    let hosts = fleet.hosts.iter().filter(|host| nodes.contains(&host.target.name));
    // Of a node that was not read nobody knows where to look.
    let read = hosts.filter_map(|host| {
        let node = assessed.report.nodes.iter().find(|node| node.name == host.target.name)?;
        Some((host, wanted(playbook, node.facts.as_ref()?)))
    });
    let read: Vec<_> = read.collect();
    let looks = stream::iter(read).map(|(host, wanted)| async move {
        let name = host.target.name.clone();
        let paths: Vec<Look> =
            wanted.into_iter().map(|(path, content)| Look { path, content: content == Content::Brought }).collect();
        (name, look_at(&fleet.collector, host, &paths).await)
    });
    let found: Vec<(String, Result<State, String>)> = looks.buffer_unordered(fleet.width.first()).collect().await;
    let mut states = BTreeMap::new();
    for (name, state) in found {
        match state {
            Ok(state) => {
                states.insert(name, state);
            }
            Err(why) => {
                let warning = format!("{name}: its files could not be looked at: {why}");
                fleet.collector.events.send(Event::Warning(warning));
            }
        }
    }
    states
}

/// Tries the way to the API by programs on the nodes whose sshd forbids it, where a join asks for the proof.
pub(super) async fn try_forbidden(
    fleet: &Fleet,
    playbook: &Playbook,
    nodes: &[String],
    read: &mut [Understood],
    writer: Option<&Writer>,
) {
    if !playbook.steps.iter().any(|step| matches!(step, Step::KubeadmJoin { .. })) {
        return;
    }
    let wanted = |node: &&mut Understood| nodes.contains(&node.record.name) && by_tools::is_wanted(&node.record);
    let forbidden = read.iter_mut().filter(wanted);
    let tries = stream::iter(forbidden).for_each_concurrent(fleet.width.first(), async |node| {
        let name = node.record.name.clone();
        let Some(host) = fleet.hosts.iter().find(|host| host.target.name == name) else { return };
        let Some(reach) = node.record.reach.clone() else { return };
        let tried = try_by_tools(&fleet.collector, host, reach).await;
        let kept = tried.and_then(|reach| {
            let saved = writer.map(|writer| writer.amend(&name, |record| record.reach = Some(reach.clone())));
            node.set_reach(reach);
            saved.transpose().map_err(|error| error.to_string())
        });
        if let Err(why) = kept {
            fleet.collector.events.send(Event::Warning(format!("{name}: {why}")));
        }
    });
    tries.await;
}

async fn try_by_tools(collector: &Collector, host: &Host, mut reach: ReachCapture) -> Result<ReachCapture, String> {
    let opened = collector.open(host).await.map_err(|(failure, _)| failure.message)?;
    let looked = by_tools::look(Hand::new(opened.line(), host.target.sudo.as_ref()), &mut reach).await;
    opened.close().await;
    looked.map(|()| reach).map_err(|error| error.to_string())
}

async fn look_at(collector: &Collector, host: &Host, paths: &[Look]) -> Result<State, String> {
    let opened = collector.open(host).await.map_err(|(failure, _)| failure.message)?;
    let looked = Hand::new(opened.line(), host.target.sudo.as_ref()).look(paths).await;
    opened.close().await;
    looked.map_err(|error| error.to_string())
}

/// Applies a plan, goes on with it, or takes it back.
pub(super) async fn go(course: Course, run: &ChangeRun<'_>, plan: &Plan) -> Summary {
    match course {
        Course::Apply => apply::run(run, plan).await,
        Course::Resume => resume::run(run, plan).await,
        Course::Undo => undo::run(run, plan).await,
    }
}

/// The nodes that something is left to be taken back on, each with the places of these actions.
pub(super) fn left_to_undo(run: &ChangeRun<'_>, plan: &Plan) -> Vec<(String, Vec<usize>)> {
    undo::pending_actions(run, plan)
}

/// Something is left of it that can be taken back.
pub(super) fn offers_undo(run: &ChangeRun<'_>, plan: &Plan) -> bool {
    undo::is_offered(run, plan)
}

/// What all three work with.
pub(super) fn run_of<'r>(
    file: &'r RunFile,
    journal: &'r Journal,
    fleet: &'r Fleet,
    checks: &'r Checks,
    control_planes: &'r [String],
    accept_unknown: &'r [String],
) -> ChangeRun<'r> {
    ChangeRun {
        file,
        journal,
        collector: &fleet.collector,
        hosts: &fleet.hosts,
        control_planes,
        checks,
        accept_unknown,
        width: fleet.width.first(),
        stop: &fleet.stop,
        waits: Waits::default(),
    }
}
