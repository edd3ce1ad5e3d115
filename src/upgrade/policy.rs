//! The table of what goes with which version: `playbooks/upgrade-policy.yaml`, embedded and strictly read.
//!
//! A row says what is so, since when, and where that is written. What it means for a node is worked out in `derived`; nothing
//! here knows nodes.

use std::sync::LazyLock;

use serde::Deserialize;
use thiserror::Error;

use super::version::{Minor, Release};

/// The table's place in the repository.
pub const FILE: &str = "playbooks/upgrade-policy.yaml";

/// The only layout that there is.
const SCHEMA: u32 = 1;

/// The whole table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    pub schema: u32,
    /// The newest minor that the rows were made for.
    pub knows_up_to: Minor,
    pub skew: Skew,
    pub kubelet_flags: Vec<RemovedFlags>,
    pub kubelet_config: Vec<RemovedField>,
    pub cgroup_v1: CgroupV1,
    /// Oldest minor first.
    pub containerd: Vec<Tested>,
    pub containerd_limits: Vec<RuntimeLimit>,
    pub containerd_config: Vec<RemovedSetting>,
    pub kubeadm_config: Vec<ConfigApi>,
    /// Oldest minor first.
    pub kernels: Vec<Kernels>,
    /// Oldest minor first.
    pub sandbox_images: Vec<SandboxImage>,
    pub headroom: Headroom,
    pub certificates: CertificateMargins,
    pub frozen_repositories: Vec<FrozenRepository>,
    pub flannel: Vec<FlannelLimit>,
}

/// The day on which a row was last compared with its source, as `2026-11-22`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Day(pub String);

impl TryFrom<String> for Day {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.parse::<jiff::civil::Date>() {
            Ok(_) => Ok(Self(text)),
            Err(_) => Err(format!("{text:?} is no day like 2026-11-22")),
        }
    }
}

/// How far components may be apart.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skew {
    /// So many minors may an upgrade of the control plane go at once.
    pub control_plane_step: u32,
    /// Oldest minor first.
    pub kubelet_behind: Vec<KubeletBehind>,
    pub source: String,
    pub checked: Day,
}

/// From an API server of this minor on, a kubelet may be so many minors older.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KubeletBehind {
    pub from: Minor,
    pub minors: u32,
}

/// Flags that end a kubelet.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemovedFlags {
    pub removed_in: Minor,
    pub flags: Vec<String>,
    /// `kubeadm upgrade` takes them out of `kubeadm-flags.env`.
    #[serde(default)]
    pub kubeadm_cleans: bool,
    pub source: String,
    pub checked: Day,
}

/// A field of `KubeletConfiguration`, dotted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemovedField {
    pub field: String,
    pub removed_in: Minor,
    pub effect: FieldEffect,
    pub source: String,
    pub checked: Day,
}

/// What a kubelet does with a field that it no longer knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldEffect {
    /// It says so in its log.
    Ignored,
    /// It ends.
    Exits,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CgroupV1 {
    pub refused_from: Minor,
    /// The kubelet's field that, set to false, allows it all the same.
    pub allowed_by: String,
    pub source: String,
    pub checked: Day,
}

/// Releases of containerd that a minor is tested with: the first of each series.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tested {
    pub kubernetes: Minor,
    pub releases: Vec<Release>,
    pub source: String,
    pub checked: Day,
}

/// What becomes of releases of containerd before one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimeLimit {
    pub below: Release,
    /// From here on kubeadm warns.
    pub warned_from: Option<Minor>,
    /// From here on the kubelet does not start with it.
    pub refused_from: Minor,
    pub note: Option<String>,
    pub source: String,
    pub checked: Day,
}

/// A setting of containerd's configuration: names separated by `/`, `*` for any, `=value` at the end if the value counts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemovedSetting {
    pub setting: String,
    /// The release of containerd without it.
    pub removed_in: Release,
    pub instead: String,
    pub source: String,
    pub checked: Day,
}

/// A version of kubeadm's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigApi {
    pub api: String,
    pub deprecated_in: Minor,
    pub removed_in: Minor,
    pub source: String,
    pub checked: Day,
}

/// The kernels that kubeadm takes from a minor on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernels {
    pub from: Minor,
    #[serde(default)]
    pub series: Vec<Release>,
    pub any_from: Release,
    pub others: OtherKernels,
    pub note: Option<String>,
    pub source: String,
    pub checked: Day,
}

/// What kubeadm does with the other kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OtherKernels {
    Refused,
    Warned,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxImage {
    pub from: Minor,
    pub tag: String,
    pub source: String,
    pub checked: Day,
}

/// Free space that an upgrade needs, in GiB.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Headroom {
    pub root: u32,
    pub images: u32,
    pub source: String,
    pub checked: Day,
}

/// Days that certificates must have left.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateMargins {
    pub fail_below: u32,
    pub warn_below: u32,
    pub source: String,
    pub checked: Day,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrozenRepository {
    pub host: String,
    pub source: String,
    pub checked: Day,
}

/// Releases of flannel before one, and the minor that their manifest cannot be applied to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlannelLimit {
    pub below: Release,
    pub refused_from: Minor,
    pub why: String,
    pub source: String,
    pub checked: Day,
}

/// A mistake in the table.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{FILE}:{line}: {message}")]
pub struct PolicyError {
    /// Counts from 1.
    pub line: usize,
    pub message: String,
}

impl Policy {
    /// The table that comes with the program. An error is a mistake in the program's own file, which a test excludes.
    pub fn built_in() -> Result<&'static Self, &'static PolicyError> {
        static POLICY: LazyLock<Result<Policy, PolicyError>> =
            LazyLock::new(|| Policy::parse(include_str!("../../playbooks/upgrade-policy.yaml")));
        POLICY.as_ref()
    }

    /// Reads a table: unknown fields, wrong versions and rows out of order are refused, each with its line.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let policy: Self = serde_yaml::from_str(text).map_err(|error| PolicyError {
            line: error.location().map_or(1, |location| location.line()),
            message: error.to_string(),
        })?;
        let place = |key: &str| {
            let line = text.lines().position(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')));
            line.map_or(1, |line| line + 1)
        };
        if policy.schema != SCHEMA {
            let message = format!("schema {} is not known, only {SCHEMA} is", policy.schema);
            return Err(PolicyError { line: place("schema"), message });
        }
        let ordered: [(&str, Vec<Minor>); 4] = [
            ("skew", policy.skew.kubelet_behind.iter().map(|row| row.from).collect()),
            ("containerd", policy.containerd.iter().map(|row| row.kubernetes).collect()),
            ("kernels", policy.kernels.iter().map(|row| row.from).collect()),
            ("sandbox_images", policy.sandbox_images.iter().map(|row| row.from).collect()),
        ];
        for (key, minors) in ordered {
            if minors.is_empty() || !minors.is_sorted() {
                let message = format!("the rows of `{key}` must begin with the oldest minor, and there must be one");
                return Err(PolicyError { line: place(key), message });
            }
        }
        Ok(policy)
    }

    /// So many minors may a kubelet be behind an API server.
    pub fn kubelet_behind(&self, server: Minor) -> u32 {
        let row = self.skew.kubelet_behind.iter().rfind(|row| row.from <= server);
        row.or(self.skew.kubelet_behind.first()).map_or(0, |row| row.minors)
    }

    /// The row of containerd's releases for a minor: of one that is too new for the table, the newest.
    pub fn tested(&self, minor: Minor) -> Option<&Tested> {
        self.containerd.iter().rfind(|row| row.kubernetes <= minor)
    }

    pub fn kernels(&self, minor: Minor) -> Option<&Kernels> {
        self.kernels.iter().rfind(|row| row.from <= minor)
    }

    /// The pause image's tag; `None` for minors before the table.
    pub fn sandbox_tag(&self, minor: Minor) -> Option<&str> {
        self.sandbox_images.iter().rfind(|row| row.from <= minor).map(|row| row.tag.as_str())
    }

    /// The row of a flag that some kubelet refuses.
    pub fn removed_flag(&self, flag: &str) -> Option<&RemovedFlags> {
        self.kubelet_flags.iter().find(|row| row.flags.iter().any(|removed| removed == flag))
    }
}

impl RemovedSetting {
    /// Whether a setting (`plugins/x/y=value`) is this one, or stands below it.
    pub fn is(&self, setting: &str) -> bool {
        let (wanted, value) = split(&self.setting);
        let (path, found) = split(setting);
        let mut names = path.split('/');
        wanted.split('/').all(|name| names.next().is_some_and(|found| name == "*" || name == found))
            && value.is_none_or(|value| names.next().is_none() && found == Some(value))
    }
}

fn split(setting: &str) -> (&str, Option<&str>) {
    setting.split_once('=').map_or((setting, None), |(path, value)| (path, Some(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = include_str!("../../playbooks/upgrade-policy.yaml");

    #[test]
    fn the_table_is_read_and_every_row_has_a_source() {
        let policy = Policy::built_in().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(policy.kubelet_behind(Minor(27)), 2);
        assert_eq!(policy.kubelet_behind(Minor(35)), 3);
        assert_eq!(policy.sandbox_tag(Minor(33)), Some("3.10"));
        assert_eq!(policy.tested(Minor(40)).unwrap().kubernetes, Minor(36));
        assert_eq!(policy.removed_flag("network-plugin").unwrap().removed_in, Minor(24));
        assert_eq!(TEXT.matches("source:").count(), TEXT.matches("checked:").count());
        assert!(!TEXT.contains("source: ,") && !TEXT.contains("source:\n"));
        let limit = policy.containerd_limits.iter().find(|limit| limit.warned_from.is_some()).unwrap();
        assert!(limit.note.as_deref().unwrap().contains("disagree"));
    }

    #[test]
    fn mistakes_are_refused_with_their_line() {
        let line_of = |text: &str| TEXT.lines().position(|line| line.contains(text)).unwrap() + 1;
        let cases = [
            ("refused_from: \"1.35\"", "refused_form: \"1.35\"", "refused_form"),
            ("removed_in: \"1.27\"", "removed_in: \"27\"", "did you mean 1.27"),
            ("knows_up_to: \"1.37\"", "knows_up_to: \"1.37.1\"", "is a release"),
            ("below: \"1.6.0\"", "below: \"1.6.x\"", "no release"),
            ("effect: ignored", "effect: logged", "logged"),
            ("others: warned", "others: maybe", "maybe"),
            ("schema: 1", "schema: 2", "schema 2"),
        ];
        for (right, wrong, said) in cases {
            let error = Policy::parse(&TEXT.replacen(right, wrong, 1)).unwrap_err();
            assert!(error.to_string().contains(said), "{wrong}: {error}");
            // A field that is missing is noticed at its mapping's start.
            let line = line_of(right);
            assert!(error.line <= line && error.line + 3 > line, "{wrong}: {error}, not line {line}");
        }
        let day = Policy::parse(&TEXT.replacen("checked: 2026-11-22", "checked: last week", 1)).unwrap_err();
        assert!(day.message.contains("last week"), "{day}");
        let order = Policy::parse(&TEXT.replacen("kubernetes: \"1.26\"", "kubernetes: \"1.31\"", 1)).unwrap_err();
        assert_eq!(order.line, line_of("containerd:\n".trim_end()), "{order}");
    }

    #[test]
    fn settings_match_by_name_and_value() {
        let rows = &Policy::built_in().unwrap().containerd_config;
        let hits = |setting: &str| rows.iter().filter(|row| row.is(setting)).count();
        let cri = "plugins/io.containerd.grpc.v1.cri";
        assert_eq!(hits(&format!("{cri}/registry/mirrors/docker.io/endpoint")), 1);
        assert_eq!(hits(&format!("{cri}/containerd/runtimes/runc/runtime_root")), 1);
        assert_eq!(hits(&format!("{cri}/containerd/runtimes/runc/runtime_type=io.containerd.runc.v1")), 1);
        assert_eq!(hits(&format!("{cri}/containerd/runtimes/runc/runtime_type=io.containerd.runc.v2")), 0);
        assert_eq!(hits(&format!("{cri}/containerd/snapshotter=overlayfs")), 0);
        assert_eq!(hits(&format!("{cri}/registry/config_path")), 0);
        assert_eq!(hits(&format!("{cri}/registry")), 0);
    }
}
