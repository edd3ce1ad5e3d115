//! The calls into `change` that touch nodes.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};

use crate::change::apply::{self, ChangeRun, Waits};
use crate::change::hand::{Hand, Look};
use crate::change::journal::file::Journal;
use crate::change::observe_paths::{Content, wanted};
use crate::change::plan::Plan;
use crate::change::state::State;
use crate::change::summary::Summary;
use crate::change::{resume, undo};
use crate::checks::Checks;
use crate::collect::Host;
use crate::commands::common::Fleet;
use crate::fleet::Assessed;
use crate::playbook::Playbook;
use crate::run::RunFile;
use crate::ui::Event;

/// What is done with a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    Apply,
    Resume,
    Undo,
}

/// Looks at what the plan is made from: the paths that the playbook's steps touch. Nothing is changed. A node that could not be
/// looked at is left out, which the plan refuses; why, is told.
pub(super) async fn look(
    fleet: &Fleet,
    playbook: &Playbook,
    assessed: &Assessed,
    nodes: &[String],
) -> BTreeMap<String, State> {
    let asked = nodes.iter().filter_map(|name| {
        let host = fleet.hosts.iter().find(|host| host.target.name == *name)?;
        let facts = assessed.report.nodes.iter().find(|node| node.name == *name)?.facts.as_ref()?;
        let paths = wanted(playbook, facts);
        let looks = paths.into_iter().map(|(path, content)| Look { path, content: content == Content::Brought });
        Some((host, looks.collect::<Vec<Look>>()))
    });
    let asked: Vec<_> = asked.collect();
    let looked = stream::iter(asked).map(|(host, looks)| async move {
        let name = host.target.name.clone();
        match look_at(fleet, host, &looks).await {
            Ok(state) => Some((name, state)),
            Err(why) => {
                fleet.collector.events.send(Event::Warning(format!("{name}: not looked at: {why}")));
                None
            }
        }
    });
    looked.buffer_unordered(fleet.width.max(1)).filter_map(async |found| found).collect().await
}

async fn look_at(fleet: &Fleet, host: &Host, looks: &[Look]) -> Result<State, String> {
    let opened = fleet.collector.open(host).await.map_err(|(failure, _)| failure.message)?;
    let state = Hand::new(opened.line(), host.target.sudo.as_ref()).look(looks).await;
    opened.close().await;
    state.map_err(|error| error.to_string())
}

/// Applies a plan, goes on with it, or takes it back.
pub(super) async fn go(
    course: Course,
    file: &RunFile,
    journal: &Journal,
    fleet: &Fleet,
    checks: &Checks,
    plan: &Plan,
    accept_unknown: &[String],
) -> Summary {
    let run = ChangeRun {
        file,
        journal,
        collector: &fleet.collector,
        hosts: &fleet.hosts,
        checks,
        accept_unknown,
        width: fleet.width,
        stop: &fleet.stop,
        waits: Waits::default(),
    };
    match course {
        Course::Apply => apply::run(&run, plan).await,
        Course::Resume => resume::run(&run, plan).await,
        Course::Undo => undo::run(&run, plan).await,
    }
}
