//! The calls into `change` that touch nodes.

use std::collections::BTreeMap;

use crate::change::journal::file::Journal;
use crate::change::plan::Plan;
use crate::change::state::State;
use crate::change::summary::Summary;
use crate::checks::Checks;
use crate::commands::common::Fleet;
use crate::fleet::Assessed;
use crate::playbook::Playbook;
use crate::run::RunFile;

/// What is done with a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    Apply,
    Resume,
    Undo,
}

/// Looks at what the plan is made from: the paths that the playbook's steps touch. Nothing is changed. A node that could not be
/// looked at is left out, which the plan refuses.
pub(super) async fn look(
    _fleet: &Fleet,
    _playbook: &Playbook,
    _assessed: &Assessed,
    _checks: &Checks,
    _nodes: &[String],
) -> BTreeMap<String, State> {
    BTreeMap::new()
}

/// Applies a plan, goes on with it, or takes it back.
pub(super) async fn go(
    _course: Course,
    _file: &RunFile,
    _journal: &Journal,
    _fleet: &Fleet,
    _checks: &Checks,
    _plan: &Plan,
) -> anyhow::Result<Summary> {
    anyhow::bail!("changes are not wired yet")
}
