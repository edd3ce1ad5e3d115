//! In which portions the nodes of a plan are changed, and when a run stops. Pure.

use std::collections::BTreeMap;

use super::journal::Outcome;
use crate::playbook::{Portion, Strategy};

/// Cuts the nodes into batches, in their order: the canary's one by one, then the others. The last size repeats until none is
/// left; without a size the rest is one batch.
pub fn batches<T: Clone>(strategy: &Strategy, nodes: &[T]) -> Vec<Vec<T>> {
    let total = nodes.len();
    let canary = usize::try_from(strategy.canary).map_or(total, |canary| canary.min(total));
    let (first, mut rest) = nodes.split_at(canary);
    let mut batches: Vec<Vec<T>> = first.iter().map(|node| vec![node.clone()]).collect();
    let mut sizes = strategy.batches.iter().map(|portion| size(*portion, total));
    let mut current = total.max(1);
    while !rest.is_empty() {
        current = sizes.next().unwrap_or(current);
        let (batch, left) = rest.split_at(current.min(rest.len()));
        batches.push(batch.to_vec());
        rest = left;
    }
    batches
}

/// Of a batch: a part of a node is a node.
fn size(portion: Portion, total: usize) -> usize {
    match portion {
        Portion::Nodes(count) => usize::try_from(count).unwrap_or(total),
        Portion::Percent(percent) => (total * usize::from(percent)).div_ceil(100),
    }
    .max(1)
}

/// How many nodes may still fail.
#[derive(Debug)]
pub struct Budget {
    allowed: usize,
    spent: usize,
    stop_at_same_failure: bool,
    /// The first node that failed in these words.
    words: BTreeMap<String, String>,
}

impl Budget {
    /// For a run that changes `total` nodes. A part of a node is none: a budget of 5% of eight nodes allows no failure.
    pub fn new(strategy: &Strategy, total: usize) -> Self {
        let allowed = match strategy.max_failed {
            Portion::Nodes(count) => usize::try_from(count).unwrap_or(usize::MAX),
            Portion::Percent(percent) => total * usize::from(percent) / 100,
        };
        let stop_at_same_failure = strategy.stop_at_same_failure;
        Self { allowed, spent: 0, stop_at_same_failure, words: BTreeMap::new() }
    }

    /// Counts how a node ended; says why the run stops, if it does. One that could not be reached has failed, and one that
    /// nobody knows the end of may have.
    pub fn take(&mut self, node: &str, outcome: &Outcome) -> Option<String> {
        let why = match outcome {
            Outcome::Failed { why, .. } | Outcome::Unsettled { why } => why,
            Outcome::Done { .. } | Outcome::Skipped { .. } | Outcome::Refused { .. } => return None,
        };
        self.spent += 1;
        let first = self.words.entry(why.clone()).or_insert_with(|| node.to_owned());
        if self.stop_at_same_failure && first != node {
            return Some(format!("{node} failed in the same words as {first}: {why}"));
        }
        if self.spent <= self.allowed {
            return None;
        }
        let nodes = |count: usize| if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") };
        let allowed = if self.allowed == 0 { "none".to_owned() } else { self.allowed.to_string() };
        Some(format!("{} failed, and the budget allows {allowed}", nodes(self.spent)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy as _, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

    use super::*;

    fn strategy(canary: u32, batches: &[Portion]) -> Strategy {
        Strategy { canary, batches: batches.to_vec(), ..Strategy::default() }
    }

    fn sizes(canary: u32, portions: &[Portion], total: usize) -> Vec<usize> {
        let nodes: Vec<usize> = (0..total).collect();
        batches(&strategy(canary, portions), &nodes).iter().map(Vec::len).collect()
    }

    #[test]
    fn percentages_are_of_all_nodes_and_the_last_size_repeats() {
        use Portion::{Nodes, Percent};
        assert_eq!(sizes(1, &[Percent(25)], 8), [1, 2, 2, 2, 1]);
        assert_eq!(sizes(1, &[Percent(25), Percent(100)], 8), [1, 2, 5]);
        assert_eq!(sizes(0, &[Nodes(3)], 8), [3, 3, 2]);
        assert_eq!(sizes(2, &[Percent(1)], 5), [1, 1, 1, 1, 1]);
        assert_eq!(sizes(9, &[Nodes(1)], 3), [1, 1, 1]);
        assert_eq!(sizes(1, &[], 4), [1, 3]);
        assert_eq!(sizes(0, &[Nodes(0), Percent(0)], 2), [1, 1]);
        assert_eq!(sizes(1, &[Percent(25)], 0), [0_usize; 0]);
    }

    fn portion() -> impl proptest::strategy::Strategy<Value = Portion> {
        prop_oneof![any::<u32>().prop_map(Portion::Nodes), (0..=100_u8).prop_map(Portion::Percent)]
    }

    proptest! {
        #[test]
        fn every_node_is_in_one_batch_and_in_order(
            canary in 0..12_u32,
            portions in proptest::collection::vec(portion(), 0..4),
            total in 0..200_usize,
        ) {
            let nodes: Vec<usize> = (0..total).collect();
            let cut = batches(&strategy(canary, &portions), &nodes);
            prop_assert!(cut.iter().all(|batch| !batch.is_empty()));
            prop_assert_eq!(cut.concat(), nodes);
            let canary = (canary as usize).min(total);
            prop_assert!(cut[..canary].iter().all(|batch| batch.len() == 1));
            // But for the last one, a batch is as large as it was asked for.
            let rest = &cut[canary..];
            for (at, batch) in rest.iter().enumerate().take(rest.len().saturating_sub(1)) {
                let wanted = portions.get(at).or(portions.last()).map_or(total, |portion| size(*portion, total));
                prop_assert_eq!(batch.len(), wanted);
            }
        }
    }

    fn failed(why: &str) -> Outcome {
        Outcome::Failed { why: why.to_owned(), next: String::new(), evidence: Vec::new() }
    }

    #[test]
    fn the_budget_counts_failed_and_unsettled_nodes() {
        let strategy = Strategy { max_failed: Portion::Nodes(1), stop_at_same_failure: false, ..Strategy::default() };
        let mut budget = Budget::new(&strategy, 8);
        assert_eq!(budget.take("a", &Outcome::Done { evidence: vec![] }), None);
        assert_eq!(budget.take("b", &Outcome::Refused { why: "x".to_owned(), next: String::new() }), None);
        assert_eq!(budget.take("c", &failed("x")), None);
        let stop = budget.take("d", &Outcome::Unsettled { why: "x".to_owned() });
        assert_eq!(stop.as_deref(), Some("2 nodes failed, and the budget allows 1"));
    }

    #[test]
    fn a_percentage_of_the_budget_is_rounded_down() {
        for (percent, total, allowed) in [(5, 8, 0), (25, 8, 2), (5, 20, 1), (100, 3, 3), (0, 100, 0)] {
            let strategy =
                Strategy { max_failed: Portion::Percent(percent), stop_at_same_failure: false, ..Strategy::default() };
            let mut budget = Budget::new(&strategy, total);
            let stops = (0..total).position(|node| budget.take(&node.to_string(), &failed("x")).is_some());
            assert_eq!(stops, Some(allowed).filter(|allowed| *allowed < total), "{percent}% of {total}");
        }
    }

    #[test]
    fn the_same_words_on_a_second_node_stop_a_run_that_has_budget_left() {
        let strategy = Strategy { max_failed: Portion::Nodes(5), ..Strategy::default() };
        let mut budget = Budget::new(&strategy, 8);
        assert_eq!(budget.take("a", &failed("the disk is full")), None);
        assert_eq!(budget.take("b", &failed("another reason")), None);
        let stop = budget.take("c", &failed("the disk is full"));
        assert_eq!(stop.as_deref(), Some("c failed in the same words as a: the disk is full"));
    }
}
