//! Versions: the target of an upgrade as typed, minors of Kubernetes, and releases of anything that counts in dots.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// A minor of Kubernetes: `1.35`. There is only one major.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minor(pub u32);

impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

/// What to upgrade to: a minor, or one of its patch releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    pub minor: Minor,
    pub patch: Option<u32>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.minor)?;
        self.patch.map_or(Ok(()), |patch| write!(f, ".{patch}"))
    }
}

/// No version of Kubernetes, with what may have been meant.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a version of Kubernetes{hint}")]
pub struct VersionError {
    hint: String,
}

impl FromStr for Target {
    type Err = VersionError;

    /// `1.35`, `v1.35`, `1.35.2`.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let plain = text.trim();
        let plain = plain.strip_prefix(['v', 'V']).unwrap_or(plain);
        let parts: Vec<Option<u32>> = plain.split('.').map(number).collect();
        match parts[..] {
            [Some(1), Some(minor)] => Ok(Self { minor: Minor(minor), patch: None }),
            [Some(1), Some(minor), Some(patch)] => Ok(Self { minor: Minor(minor), patch: Some(patch) }),
            _ => Err(VersionError { hint: hint(plain) }),
        }
    }
}

/// Digits only, and no leading zero: `1.05` is a slip and not 1.5.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    if digits { text.parse().ok() } else { None }
}

/// What may have been meant, by the numbers in the text.
fn hint(text: &str) -> String {
    let runs = text.split(|char: char| !char.is_ascii_digit()).filter(|run| !run.is_empty());
    let numbers: Vec<u32> = runs.filter_map(|run| run.parse().ok()).collect();
    let meant = match numbers[..] {
        // `1,35`, and `35` alone.
        [1, minor] | [minor @ 10..=99] => Some(Target { minor: Minor(minor), patch: None }),
        // `1.35.2-00`, `1.35.2.1` and `35.2`.
        [1, minor, patch, ..] | [minor @ 10..=99, patch] => Some(Target { minor: Minor(minor), patch: Some(patch) }),
        // `135`, without its dot.
        [joined @ 110..=199] => Some(Target { minor: Minor(joined - 100), patch: None }),
        _ => None,
    };
    meant.map_or_else(
        || "; give one like 1.35 or 1.35.2".to_owned(),
        |meant| format!("; did you mean {meant}? It takes a minor like 1.35, or a release like 1.35.2"),
    )
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error| de::Error::custom(format_args!("{text:?}: {error}")))
    }
}

impl<'de> Deserialize<'de> for Minor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let target = Target::deserialize(deserializer)?;
        match target.patch {
            None => Ok(target.minor),
            Some(_) => Err(de::Error::custom(format_args!("{target} is a release, and a minor like 1.35 is wanted"))),
        }
    }
}

/// A release of anything: up to three numbers, of which those that are not given count as 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

impl Release {
    /// Reads the numbers at the start of a text, as loosely as nodes write them: `v1.29.15`, `6.1.0-34-amd64`, `2.0`.
    pub fn read(text: &str) -> Option<Self> {
        let plain = text.trim();
        let plain = plain.strip_prefix('v').unwrap_or(plain);
        let mut parts = plain.split('.').map(|part| {
            let end = part.find(|char: char| !char.is_ascii_digit()).unwrap_or(part.len());
            part[..end].parse::<u32>().ok()
        });
        let major = parts.next().flatten()?;
        let minor = parts.next().flatten()?;
        Some(Self { major, minor, patch: parts.next().flatten().unwrap_or(0) })
    }

    /// Of the same major and minor.
    pub const fn is_of_series(self, other: Self) -> bool {
        self.major == other.major && self.minor == other.minor
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl<'de> Deserialize<'de> for Release {
    /// Strictly: two or three numbers and nothing else.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let strict = (2..=3).contains(&text.split('.').count()) && text.split('.').all(|part| number(part).is_some());
        Self::read(&text)
            .filter(|_| strict)
            .ok_or_else(|| de::Error::custom(format_args!("{text:?} is no release like \"1.7.28\"")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_as_people_type_them() {
        for (text, shown) in [("1.35", "1.35"), ("v1.35", "1.35"), (" 1.35.2 ", "1.35.2"), ("1.9", "1.9")] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_version_says_what_may_have_been_meant() {
        for (text, meant) in [
            ("35", "did you mean 1.35?"),
            ("135", "did you mean 1.35?"),
            ("1,35", "did you mean 1.35?"),
            ("1.35.", "did you mean 1.35?"),
            ("1.35.2-00", "did you mean 1.35.2?"),
            ("1.35.x", "did you mean 1.35?"),
            ("kubernetes-1.35", "did you mean 1.35?"),
            ("35.2", "did you mean 1.35.2?"),
            ("1.05", "did you mean 1.5?"),
            ("latest", "one like 1.35"),
            ("", "one like 1.35"),
            ("2.0", "one like 1.35"),
            ("1.99999999999", "one like 1.35"),
        ] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains(meant), "{text:?}: {error}");
        }
    }

    #[test]
    fn releases_are_read_as_nodes_write_them() {
        for (text, shown) in
            [("v1.29.15", "1.29.15"), ("6.1.0-34-amd64", "6.1.0"), ("1.6.20~ds1", "1.6.20"), ("2.0", "2.0.0")]
        {
            assert_eq!(Release::read(text).unwrap().to_string(), shown, "{text}");
        }
        assert_eq!(Release::read("devel"), None);
        assert!(Release::read("1.10.0") > Release::read("1.9.9"));
    }
}
