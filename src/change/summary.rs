//! What a run of changes amounts to, per node. Values only.

use super::journal::Outcome;

/// How a run, a resumed one or an undo ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The nodes that work was begun on, in the plan's order.
    pub nodes: Vec<(String, Outcome)>,
    /// Why no further node was begun, when not all were.
    pub stopped: Option<String>,
    /// The nodes that were to be changed and that nothing was begun on, in the plan's order.
    pub untouched: Vec<String>,
    /// Those of `nodes` that could not be reached; nothing was changed on them.
    pub unreachable: Vec<String>,
    /// The user interrupted the run.
    pub interrupted: bool,
}
