//! The three-valued cell that every fact lives in.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::alike::Alike;

/// What is known about one thing on a node.
///
/// JSON: a known value is itself, an absent one is `null`, an unknown one is `{"unknown": "why"}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Fact<T> {
    /// It was read.
    Known(T),
    /// It was looked for and is not there.
    Absent,
    /// It could not be looked at, with the reason ("permission denied", "crictl is not installed"): one of few for all facts of
    /// all nodes, and in memory once.
    Unknown(Alike<String>),
}

impl<T> Fact<T> {
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Absent | Self::Unknown(_) => None,
        }
    }

    pub const fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }

    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    pub const fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    pub fn unknown(reason: impl Into<Alike<String>>) -> Self {
        Self::Unknown(reason.into())
    }

    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Self::Known(value) => Fact::Known(f(value)),
            Self::Absent => Fact::Absent,
            Self::Unknown(why) => Fact::Unknown(why),
        }
    }

    /// Continues with a reading that may itself come to nothing.
    pub fn and_then<U>(self, f: impl FnOnce(T) -> Fact<U>) -> Fact<U> {
        match self {
            Self::Known(value) => f(value),
            Self::Absent => Fact::Absent,
            Self::Unknown(why) => Fact::Unknown(why),
        }
    }

    /// This, or, when it is not known, another source of the same thing. If neither knows it, the first one's reason
    /// stays, because that is the source to mend; "absent" counts as an answer only if the other source has none.
    #[must_use]
    pub fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Known(_) => self,
            Self::Absent | Self::Unknown(_) => match other() {
                known @ Self::Known(_) => known,
                Self::Absent if self.is_unknown() => Self::Absent,
                Self::Absent | Self::Unknown(_) => self,
            },
        }
    }

    /// A value that a complete reading had or had not.
    pub fn from_option(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Self::Known)
    }

    pub fn is_known_and(&self, test: impl FnOnce(&T) -> bool) -> bool {
        self.known().is_some_and(test)
    }

    /// Why it is not known, if that is so.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Unknown(why) => Some(why),
            Self::Known(_) | Self::Absent => None,
        }
    }

    pub fn as_ref(&self) -> Fact<&T> {
        match self {
            Self::Known(value) => Fact::Known(value),
            Self::Absent => Fact::Absent,
            Self::Unknown(why) => Fact::Unknown(why.clone()),
        }
    }
}

impl<T: Clone> Fact<&T> {
    pub fn cloned(self) -> Fact<T> {
        self.map(T::clone)
    }
}

impl Fact<bool> {
    /// Known to be so. "Absent" and "unknown" are not.
    pub const fn is_true(&self) -> bool {
        matches!(self, Self::Known(true))
    }

    /// Known not to be so.
    pub const fn is_false(&self) -> bool {
        matches!(self, Self::Known(false))
    }
}

/// Nothing was read: the value of every fact of a node that sent nothing.
impl<T> Default for Fact<T> {
    fn default() -> Self {
        Self::unknown("not collected")
    }
}

#[derive(Serialize)]
struct Why<'a> {
    unknown: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnknownJson {
    unknown: String,
}

impl<T: Serialize> Serialize for Fact<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Known(value) => value.serialize(serializer),
            Self::Absent => serializer.serialize_none(),
            Self::Unknown(why) => Why { unknown: why }.serialize(serializer),
        }
    }
}

impl<'de, T: de::DeserializeOwned> Deserialize<'de> for Fact<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        if value.is_null() {
            return Ok(Self::Absent);
        }
        if let Ok(unknown) = UnknownJson::deserialize(&value) {
            return Ok(Self::unknown(unknown.unknown));
        }
        T::deserialize(value).map(Self::Known).map_err(de::Error::custom)
    }
}

impl<T: JsonSchema> JsonSchema for Fact<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Fact_of_{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let known = generator.subschema_for::<T>();
        json_schema!({
            "anyOf": [
                known,
                { "type": "null" },
                {
                    "type": "object",
                    "properties": { "unknown": { "type": "string" } },
                    "required": ["unknown"],
                    "additionalProperties": false,
                },
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_values_survive_json() {
        for fact in [Fact::Known(7_u8), Fact::Absent, Fact::unknown("no root")] {
            let json = serde_json::to_string(&fact).unwrap();
            assert_eq!(serde_json::from_str::<Fact<u8>>(&json).unwrap(), fact, "{json}");
        }
        assert_eq!(serde_json::to_string(&Fact::<u8>::Absent).unwrap(), "null");
    }

    #[test]
    fn the_second_source_is_asked_only_for_what_the_first_does_not_know() {
        let known = || Fact::Known(1);
        let unknown = || Fact::<i32>::unknown("b");
        assert_eq!(Fact::Known(0).or_else(known), Fact::Known(0));
        assert_eq!(Fact::unknown("a").or_else(known), Fact::Known(1));
        assert_eq!(Fact::Absent.or_else(known), Fact::Known(1));
        assert_eq!(Fact::unknown("a").or_else(|| Fact::Absent), Fact::<i32>::Absent);
        assert_eq!(Fact::unknown("a").or_else(unknown), Fact::unknown("a"));
        assert_eq!(Fact::Absent.or_else(unknown), Fact::Absent);
    }
}
