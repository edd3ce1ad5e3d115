//! The texts of the table as numbers, and which of them stand on a line.

use std::collections::HashMap;

/// So many texts fit in [`Hits`].
pub(super) const MAX_PIECES: usize = 64 * HIT_WORDS;
const HIT_WORDS: usize = 6;

/// The table's texts that stand on one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Hits([u64; HIT_WORDS]);

impl Hits {
    pub(super) fn add(&mut self, piece: usize) {
        if let Some(word) = self.0.get_mut(piece / 64) {
            *word |= 1 << (piece % 64);
        }
    }

    pub(super) fn has(&self, piece: usize) -> bool {
        self.0.get(piece / 64).is_some_and(|word| word & (1 << (piece % 64)) != 0)
    }

    pub(super) fn any(&self, pieces: &[usize]) -> bool {
        pieces.iter().any(|piece| self.has(*piece))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0 == [0; HIT_WORDS]
    }
}

/// Numbers every text once.
#[derive(Default)]
pub(super) struct Pieces {
    pub(super) texts: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Pieces {
    pub(super) fn one(&mut self, text: String) -> usize {
        let next = self.texts.len();
        let number = *self.numbers.entry(text.clone()).or_insert(next);
        if number == next {
            self.texts.push(text);
        }
        number
    }

    pub(super) fn all(&mut self, texts: Vec<String>) -> Vec<usize> {
        texts.into_iter().map(|text| self.one(text)).collect()
    }
}
