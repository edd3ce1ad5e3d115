//! A line for each thing that a run of changes does, as it does it: the journal's entries in words.

use super::words;
use crate::change::journal::{Entry, Outcome};
use crate::change::plan::{Action, Decision, Plan};

/// What an entry tells somebody who watches: the node that it is about, empty for the whole run, and the words. `None` for what
/// is not worth a line. Untrusted: to be made harmless where it is shown.
pub fn line(plan: &Plan, entry: &Entry) -> Option<(String, String)> {
    let (node, words) = match entry {
        Entry::Agreed { .. } | Entry::TokenDeleted { .. } | Entry::Ended => return None,
        Entry::Resumed => ("", "taken up again".to_owned()),
        Entry::Batch { number, nodes } => {
            ("", format!("batch {number}: {}", crate::names::folded(nodes.iter().map(String::as_str))))
        }
        Entry::Stopped { why } => ("", format!("stopped: {why}")),
        Entry::NodeBegun { node } => (node.as_str(), "begun".to_owned()),
        Entry::TokenMade { node, control_plane, id } => {
            (node.as_str(), format!("has a token of its own, {id}, made on {control_plane}"))
        }
        Entry::ActionBegun { node, action } => (node.as_str(), numbered(plan, node, *action, "")),
        Entry::ActionEnded { node, action, outcome } => {
            (node.as_str(), format!("{}: {}", numbered(plan, node, *action, ""), ended(outcome)))
        }
        Entry::UndoBegun { node, action } => (node.as_str(), numbered(plan, node, *action, "undo ")),
        Entry::UndoEnded { node, action, outcome } => {
            (node.as_str(), format!("{}: {}", numbered(plan, node, *action, "undo "), ended(outcome)))
        }
        Entry::NodeEnded { node, outcome } => (node.as_str(), ended(outcome)),
    };
    Some((node.to_owned(), words))
}

/// `[2/4] write /etc/cni/net.d/10-flannel.conflist`.
fn numbered(plan: &Plan, node: &str, number: usize, doing: &str) -> String {
    let actions: &[Action] = plan
        .nodes
        .iter()
        .find(|planned| planned.node == node)
        .and_then(|planned| match &planned.decision {
            Decision::Change { actions, .. } => Some(actions.as_slice()),
            Decision::Nothing { .. } | Decision::Refused { .. } => None,
        })
        .unwrap_or_default();
    let what = actions.get(number).map_or_else(String::new, |action| words::action(&action.change));
    format!("[{}/{}] {doing}{what}", number + 1, actions.len())
}

fn ended(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done { .. } => "done".to_owned(),
        Outcome::Skipped { why } => format!("left out: {why}"),
        Outcome::Refused { why, .. } => format!("refused: {why}"),
        Outcome::Failed { why, .. } => format!("failed: {why}"),
        Outcome::Unsettled { why } => format!("not known how it ended: {why}"),
    }
}
