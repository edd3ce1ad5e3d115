//! Texts that many nodes send alike (a dump of containerd's configuration, the kubelet's file, the cluster's CA), understood once.
//!
//! What is kept is the answer of a pure function, so nothing shows whether it was kept. What each node says differently
//! passes through and is forgotten.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Texts at once. A fleet has few kinds of nodes; more would be searched longer than it takes to parse.
const KEPT: usize = 16;

/// Bytes of a text that is kept. Longer ones are the answers of one API server.
const LONGEST: usize = 64 << 10;

/// The answers to the last texts, the newest first.
pub(crate) struct Memo<T> {
    kept: Mutex<VecDeque<(Box<str>, Arc<T>)>>,
}

impl<T> Memo<T> {
    pub(crate) const fn new() -> Self {
        Self { kept: Mutex::new(VecDeque::new()) }
    }

    /// What `parse` makes of the text; the same function has to be given each time.
    pub(crate) fn get(&self, text: &str, parse: impl FnOnce(&str) -> T) -> Arc<T> {
        if text.len() > LONGEST {
            return Arc::new(parse(text));
        }
        if let Some(known) = self.find(text) {
            return known;
        }
        // Not under the lock: others have texts of their own.
        let answer = Arc::new(parse(text));
        let mut kept = self.lock();
        kept.truncate(KEPT - 1);
        kept.push_front((text.into(), Arc::clone(&answer)));
        answer
    }

    fn find(&self, text: &str) -> Option<Arc<T>> {
        let mut kept = self.lock();
        let place = kept.iter().position(|(known, _)| **known == *text)?;
        let found = kept.remove(place)?;
        let answer = Arc::clone(&found.1);
        kept.push_front(found);
        Some(answer)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Box<str>, Arc<T>)>> {
        // A panic of `parse` happens outside: what is kept is whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_parsed_again_only_after_many_others() {
        let memo = Memo::new();
        let parsed = std::cell::Cell::new(0);
        let length = |text: &str| {
            *memo.get(text, |text| {
                parsed.set(parsed.get() + 1);
                text.len()
            })
        };
        for _ in 0..3 {
            assert_eq!((length("a"), length("bb")), (1, 2));
        }
        assert_eq!(parsed.get(), 2);
        let others: Vec<String> = (0..KEPT).map(|number| format!("number {number}")).collect();
        for text in &others {
            assert_eq!(length(text), text.len());
        }
        assert_eq!((length("a"), parsed.get()), (1, 3 + KEPT));
    }

    #[test]
    fn a_huge_text_is_not_kept() {
        let memo = Memo::new();
        let text = "x".repeat(LONGEST + 1);
        assert_eq!((*memo.get(&text, str::len), *memo.get(&text, |_| 0)), (LONGEST + 1, 0));
    }
}
