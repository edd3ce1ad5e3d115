//! Values that many nodes have alike, in memory once.
//!
//! Most of what a node says is what its siblings say: modules, mounts, drop-ins, why something is not known. A value is looked for
//! when it is made, and whoever has it alike shares it; nothing shows whether that was so. What only one node has passes
//! through the pool and is forgotten there.

use std::any::{Any, TypeId};
use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use foldhash::fast::FixedState;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that is shared with all that were made equal to it. It reads, prints and compares as the value does; a change is its
/// holder's own.
pub struct Alike<T>(Arc<T>);

/// Places of the pool. Each knows the last value whose hash led there, so that a value of many nodes is made anew when one of a
/// single node came between: with about a hundred of those on a node, once in a hundred and fifty nodes.
const PLACES: usize = 1 << 14;

/// The pool itself keeps nothing alive.
type Place = Mutex<Option<Weak<dyn Any + Send + Sync>>>;

static POOL: LazyLock<Box<[Place]>> = LazyLock::new(|| std::iter::repeat_with(Place::default).take(PLACES).collect());

fn place<T: 'static>(value: &(impl Hash + ?Sized)) -> &'static Place {
    let bits = PLACES.trailing_zeros();
    #[allow(clippy::cast_possible_truncation, reason = "what is left is a number of a place")]
    let number = (hash(&(TypeId::of::<T>(), value)) >> (u64::BITS - bits)) as usize;
    &POOL[number]
}

/// Quick, the same in every run, and nothing to trust: whoever makes two values collide has the one forgotten for the other.
pub(crate) fn hash(value: &impl Hash) -> u64 {
    FixedState::default().hash_one(value)
}

fn find<T: Send + Sync + 'static>(place: &Place, is: impl FnOnce(&T) -> bool) -> Option<Alike<T>> {
    let there = place.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(Weak::upgrade)?;
    let known = Arc::downcast::<T>(there).ok()?;
    is(&known).then_some(Alike(known))
}

fn put<T: Send + Sync + 'static>(place: &Place, value: T) -> Alike<T> {
    let made = Arc::new(value);
    let known: Arc<dyn Any + Send + Sync> = Arc::<T>::clone(&made);
    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::downgrade(&known));
    Alike(made)
}

impl<T: Hash + Eq + Send + Sync + 'static> From<T> for Alike<T> {
    fn from(value: T) -> Self {
        let place = place::<T>(&value);
        find(place, |known| *known == value).unwrap_or_else(|| put(place, value))
    }
}

impl From<&str> for Alike<String> {
    fn from(text: &str) -> Self {
        let place = place::<String>(text);
        find(place, |known: &String| known == text).unwrap_or_else(|| put(place, text.to_owned()))
    }
}

impl<T> Deref for Alike<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Alike<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

impl<T> Clone for Alike<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: PartialEq> PartialEq for Alike<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || *self.0 == *other.0
    }
}

impl<T: Eq> Eq for Alike<T> {}

impl PartialEq<str> for Alike<String> {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Alike<String> {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<String> for Alike<String> {
    fn eq(&self, other: &String) -> bool {
        *self.0 == *other
    }
}

impl<T: PartialOrd> PartialOrd for Alike<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.0.partial_cmp(&other.0)
    }
}

impl<T: Ord> Ord for Alike<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

/// For maps that are asked by a text.
impl Borrow<str> for Alike<String> {
    fn borrow(&self) -> &str {
        self
    }
}

impl<T: Hash> Hash for Alike<T> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.0.hash(hasher);
    }
}

impl<T: Default + Hash + Eq + Send + Sync + 'static> Default for Alike<T> {
    fn default() -> Self {
        T::default().into()
    }
}

impl<T: fmt::Debug> fmt::Debug for Alike<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for Alike<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Serialize> Serialize for Alike<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Alike<T>
where
    T: Deserialize<'de> + Hash + Eq + Send + Sync + 'static,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::from)
    }
}

impl<T: JsonSchema> JsonSchema for Alike<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
    struct Unit {
        path: String,
        restarts: Option<u32>,
    }

    fn unit(path: &str) -> Alike<Unit> {
        Unit { path: path.to_owned(), restarts: Some(3) }.into()
    }

    #[test]
    fn what_is_equal_is_one_and_what_is_not_stays_apart() {
        let (one, same, other) = (unit("/a"), unit("/a"), unit("/b"));
        assert!(Arc::ptr_eq(&one.0, &same.0));
        assert_eq!((one == same, one == other, other.path.as_str()), (true, false, "/b"));
        let (written, spoken) = (Alike::<String>::from("no such file"), Alike::from("no such file".to_owned()));
        assert!(Arc::ptr_eq(&written.0, &spoken.0));
    }

    #[test]
    fn a_change_is_its_holders_own() {
        let (mut changed, kept) = (unit("/c"), unit("/c"));
        changed.path.push('d');
        assert_eq!((changed.path.as_str(), kept.path.as_str()), ("/cd", "/c"));
        assert_eq!(unit("/c").path, "/c");
        // Also when nobody else holds it any more.
        drop(kept);
        let mut last = unit("/c");
        last.path.push('e');
        assert_eq!(unit("/c").path, "/c");
    }

    #[test]
    fn what_nobody_holds_is_forgotten() {
        let place = place::<Unit>(&Unit::default());
        let known = Alike::from(Unit::default());
        assert!(find(place, |_: &Unit| true).is_some());
        drop(known);
        assert!(find(place, |_: &Unit| true).is_none());
    }

    #[test]
    fn it_is_written_and_described_as_the_value_is() {
        let value = Unit { path: "/f".to_owned(), restarts: None };
        let json = serde_json::to_string(&value).unwrap();
        assert_eq!(serde_json::to_string(&Alike::from(value)).unwrap(), json);
        assert_eq!(schemars::schema_for!(Alike<Unit>), schemars::schema_for!(Unit));
    }
}
