//! How far a run came, from the lines of its journal. Pure: the same lines give the same state.

use std::collections::BTreeMap;

use super::{Entry, Found, Line, Outcome};

/// A run as its journal tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    nodes: BTreeMap<String, Node>,
    /// Made and not known to be deleted, in the order of their making.
    pub tokens: Vec<Token>,
}

/// One node's part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    actions: BTreeMap<usize, Stage>,
    ended: Option<Outcome>,
    found: Option<Found>,
    /// Its join changed nothing that is not as it was before.
    put_back: bool,
}

/// A bootstrap token that has to be deleted. Its id is no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The node that it was made for.
    pub node: String,
    /// Where it was made, by the inventory's name.
    pub control_plane: String,
    pub id: String,
}

/// How far one action came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Stage {
    #[default]
    NotBegun,
    /// Nobody noted how it ended.
    Begun,
    Ended(Outcome),
    /// It is being taken back, and nobody noted how that ended. `of` is how the action itself had ended.
    UndoBegun {
        of: Option<Outcome>,
    },
    UndoEnded {
        of: Option<Outcome>,
        outcome: Outcome,
    },
}

impl Stage {
    /// How the action itself ended, whatever was done about it afterwards.
    pub const fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::NotBegun | Self::Begun => None,
            Self::Ended(outcome) => Some(outcome),
            Self::UndoBegun { of } | Self::UndoEnded { of, .. } => of.as_ref(),
        }
    }

    /// It was taken back, and that ended well.
    pub const fn is_undone(&self) -> bool {
        matches!(self, Self::UndoEnded { outcome: Outcome::Done { .. } | Outcome::Skipped { .. }, .. })
    }

    /// Its undoing began.
    pub const fn is_undo(&self) -> bool {
        matches!(self, Self::UndoBegun { .. } | Self::UndoEnded { .. })
    }
}

impl Replayed {
    pub fn of(lines: &[Line]) -> Self {
        let mut replayed = Self::default();
        for line in lines {
            replayed.take(&line.entry);
        }
        replayed
    }

    /// How far an action of a node came.
    pub fn stage(&self, node: &str, action: usize) -> &Stage {
        static NOT_BEGUN: Stage = Stage::NotBegun;
        self.nodes.get(node).and_then(|node| node.actions.get(&action)).unwrap_or(&NOT_BEGUN)
    }

    /// How the node ended, unless it went on after that.
    pub fn ended(&self, node: &str) -> Option<&Outcome> {
        self.nodes.get(node)?.ended.as_ref()
    }

    /// What a join found on the node before it changed anything.
    pub fn found(&self, node: &str) -> Option<Found> {
        self.nodes.get(node)?.found
    }

    /// Nothing of a failed join is left on the node.
    pub fn is_put_back(&self, node: &str) -> bool {
        self.nodes.get(node).is_none_or(|node| node.put_back || node.found.is_none())
    }

    /// Goes on by one line.
    pub fn take(&mut self, entry: &Entry) {
        match entry {
            Entry::Agreed { .. } | Entry::Resumed | Entry::Batch { .. } | Entry::Stopped { .. } | Entry::Ended => {}
            Entry::NodeBegun { node } => self.node(node).ended = None,
            Entry::NodeEnded { node, outcome } => self.node(node).ended = Some(outcome.clone()),
            Entry::ActionBegun { node, action } => {
                self.node(node).actions.insert(*action, Stage::Begun);
            }
            Entry::ActionEnded { node, action, outcome } => {
                self.node(node).actions.insert(*action, ended(outcome));
            }
            Entry::UndoBegun { node, action } => self.change(node, *action, |of| Stage::UndoBegun { of }),
            Entry::UndoEnded { node, action, outcome } => {
                let outcome = outcome.clone();
                self.change(node, *action, |of| Stage::UndoEnded { of, outcome });
            }
            Entry::TokenMade { node, control_plane, id } => {
                // Another attempt begins.
                self.node(node).put_back = false;
                self.tokens.push(Token { node: node.clone(), control_plane: control_plane.clone(), id: id.clone() });
            }
            // What a second join of the run finds is what the first one left.
            Entry::Found { node, found } => {
                self.node(node).found.get_or_insert(*found);
            }
            Entry::PutBack { node } => self.node(node).put_back = true,
            Entry::TokenDeleted { id } => self.tokens.retain(|token| token.id != *id),
        }
    }

    fn node(&mut self, name: &str) -> &mut Node {
        self.nodes.entry(name.to_owned()).or_default()
    }

    fn change(&mut self, node: &str, action: usize, next: impl FnOnce(Option<Outcome>) -> Stage) {
        let of = self.stage(node, action).outcome().cloned();
        self.node(node).actions.insert(action, next(of));
    }
}

/// What nobody knows the end of has not ended.
fn ended(outcome: &Outcome) -> Stage {
    match outcome {
        Outcome::Unsettled { .. } => Stage::Begun,
        Outcome::Done { .. } | Outcome::Skipped { .. } | Outcome::Refused { .. } | Outcome::Failed { .. } => {
            Stage::Ended(outcome.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done() -> Outcome {
        Outcome::Done { evidence: Vec::new() }
    }

    fn failed() -> Outcome {
        Outcome::Failed { why: "w".to_owned(), next: "n".to_owned(), evidence: Vec::new() }
    }

    fn replayed(entries: &[Entry]) -> Replayed {
        let lines: Vec<Line> = entries.iter().map(|entry| Line { at: String::new(), entry: entry.clone() }).collect();
        Replayed::of(&lines)
    }

    fn entries() -> Vec<Entry> {
        let node = || "a".to_owned();
        vec![
            Entry::NodeBegun { node: node() },
            Entry::ActionBegun { node: node(), action: 0 },
            Entry::ActionEnded { node: node(), action: 0, outcome: done() },
            Entry::ActionBegun { node: node(), action: 1 },
            Entry::TokenMade { node: node(), control_plane: "m".to_owned(), id: "abcdef".to_owned() },
            Entry::TokenDeleted { id: "abcdef".to_owned() },
            Entry::ActionEnded { node: node(), action: 1, outcome: failed() },
            Entry::UndoBegun { node: node(), action: 1 },
            Entry::UndoEnded { node: node(), action: 1, outcome: done() },
            Entry::NodeEnded { node: node(), outcome: failed() },
        ]
    }

    #[test]
    fn every_prefix_of_a_journal_has_its_state() {
        let all = entries();
        let second: Vec<Stage> = (0..=all.len()).map(|n| replayed(&all[..n]).stage("a", 1).clone()).collect();
        let of = Some(failed());
        let mut expected = vec![Stage::NotBegun; 4];
        expected.extend(vec![Stage::Begun; 3]);
        expected.extend([
            Stage::Ended(failed()),
            Stage::UndoBegun { of: of.clone() },
            Stage::UndoEnded { of: of.clone(), outcome: done() },
            Stage::UndoEnded { of, outcome: done() },
        ]);
        assert_eq!(second, expected);
        let last = replayed(&all);
        assert_eq!((last.stage("a", 0), last.stage("b", 0)), (&Stage::Ended(done()), &Stage::NotBegun));
        assert_eq!(last.ended("a"), Some(&failed()));
        assert!(last.stage("a", 1).is_undone() && !last.stage("a", 0).is_undone());
    }

    #[test]
    fn what_was_there_before_the_first_join_counts() {
        let found = |node_object| Found { node_object, kubelet_running: true };
        let entry = |node_object| Entry::Found { node: "a".to_owned(), found: found(node_object) };
        let replayed = replayed(&[entry(false), entry(true)]);
        assert_eq!((replayed.found("a"), replayed.found("b")), (Some(found(false)), None));
    }

    #[test]
    fn a_join_is_put_back_until_its_next_attempt() {
        let node = || "a".to_owned();
        let found = Entry::Found { node: node(), found: Found { node_object: false, kubelet_running: true } };
        let token = || Entry::TokenMade { node: node(), control_plane: "m".to_owned(), id: "abcdef".to_owned() };
        let all = [found, token(), Entry::PutBack { node: node() }, token()];
        let put_back: Vec<bool> = (0..=all.len()).map(|n| replayed(&all[..n]).is_put_back("a")).collect();
        assert_eq!(put_back, [true, false, false, true, false]);
    }

    #[test]
    fn a_token_stays_until_it_is_deleted() {
        let all = entries();
        let tokens: Vec<usize> = (0..=all.len()).map(|n| replayed(&all[..n]).tokens.len()).collect();
        assert_eq!(tokens, [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn what_nobody_knows_the_end_of_is_begun_and_a_node_that_goes_on_has_not_ended() {
        let unsettled = Outcome::Unsettled { why: "lost".to_owned() };
        let mut all = entries();
        all.truncate(4);
        all.push(Entry::ActionEnded { node: "a".to_owned(), action: 1, outcome: unsettled.clone() });
        all.push(Entry::NodeEnded { node: "a".to_owned(), outcome: unsettled.clone() });
        assert_eq!(replayed(&all).stage("a", 1), &Stage::Begun);
        assert_eq!(replayed(&all).ended("a"), Some(&unsettled));
        all.push(Entry::NodeBegun { node: "a".to_owned() });
        assert_eq!(replayed(&all).ended("a"), None);
    }
}
