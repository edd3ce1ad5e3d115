//! Large sorted sets that many nodes have nearly alike, in memory nearly once.
//!
//! In a cluster with VXLAN each node knows the way to all others, so that the tables of all nodes grow with the square of their
//! number; and each has in them what its siblings have, but for itself. A set is cut where its own entries say so, so that one
//! entry more or less changes one piece, and the others are shared.

use std::hash::Hash;

use super::alike::{self, Alike};

/// How long a piece is on average: short ones are shared more often, and each costs a pointer.
const LENGTH: u64 = 16;

/// A sorted set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Pieces<T>(Box<[Alike<Vec<T>>]>);

impl<T: Copy + Ord + Hash + Send + Sync + 'static> Pieces<T> {
    pub(crate) fn contains(&self, entry: &T) -> bool {
        let after = self.0.partition_point(|piece| piece.first().is_some_and(|first| first <= entry));
        after.checked_sub(1).is_some_and(|place| self.0[place].binary_search(entry).is_ok())
    }

    #[cfg(test)]
    pub(crate) fn entries(&self) -> Vec<T> {
        self.0.iter().flat_map(|piece| piece.iter().copied()).collect()
    }
}

impl<T: Copy + Ord + Hash + Send + Sync + 'static> FromIterator<T> for Pieces<T> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        let mut entries: Vec<T> = entries.into_iter().collect();
        entries.sort_unstable();
        entries.dedup();
        // The upper bits: the lower ones of small numbers are hardly mixed.
        let begins = |entry: &T| alike::hash(entry) >> 32 & (LENGTH - 1) == 0;
        Self(entries.chunk_by(|_, next| !begins(next)).map(|piece| Alike::from(piece.to_vec())).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ptr;

    use super::*;

    #[test]
    fn it_holds_what_it_was_made_of() {
        let set: Pieces<u32> = [5, 3, 9, 3, 70_000].into_iter().collect();
        assert_eq!(set.entries(), [3, 5, 9, 70_000]);
        let many: Pieces<u32> = (0..1000).rev().map(|number| number * 3).collect();
        for number in 0..3100 {
            assert_eq!(many.contains(&number), number % 3 == 0 && number < 3000, "{number}");
        }
        let empty: Pieces<u32> = [].into_iter().collect();
        assert!(!empty.contains(&0) && empty == Pieces::default());
    }

    #[test]
    fn sets_that_differ_in_one_entry_share_the_rest() {
        let all =
            |without: u64| (0..2000_u64).filter(move |number| *number != without).map(|number| (number << 8, true));
        let (one, other): (Pieces<_>, Pieces<_>) = (all(700).collect(), all(1400).collect());
        let places = |set: &Pieces<_>| set.0.iter().map(|piece| ptr::from_ref(&**piece)).collect::<BTreeSet<_>>();
        let shared = places(&one).intersection(&places(&other)).count();
        let mean = 2000 / one.0.len();
        assert!((8..=32).contains(&mean), "{mean}");
        // Each entry changes the piece that it is in, or joins or parts two. Another piece may have come to the same place of the
        // pool in between.
        assert!(one.0.len() - shared <= 6, "{} of {}", one.0.len() - shared, one.0.len());
    }
}
