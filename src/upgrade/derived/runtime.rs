//! What the target makes of the node's containerd.

use schemars::JsonSchema;
use serde::Serialize;

use super::Subject;
use crate::facts::Fact;
use crate::upgrade::policy::RuntimeLimit;
use crate::upgrade::version::Release;

#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Containerd {
    /// A kubelet of the target does not start with it.
    pub refused: Fact<bool>,
    /// kubeadm of the target warns of it.
    pub warned: Fact<bool>,
    /// The minor from which on it is refused: `1.38`.
    pub ends_in: Fact<String>,
    /// The release that is old enough for that: `2.0.0`.
    pub needs: Fact<String>,
    /// Where sources disagree.
    pub note: Fact<String>,
    /// containerd's project tests the target with it, or with an older one of its series.
    pub tested: Fact<bool>,
    /// What it tests the target with: `1.7.28, 2.1.5, 2.2.0`, each or later.
    pub tested_with: Fact<Vec<String>>,
    /// What it uses that containerd drops: settings of its files, and what `ctr deprecations` lists.
    pub deprecations: Fact<Vec<String>>,
    /// The pause image that kubeadm of the target brings: `3.10`.
    pub sandbox_tag: Fact<String>,
    /// containerd is set to another one.
    pub sandbox_differs: Fact<bool>,
}

impl Containerd {
    pub(super) fn of(subject: &Subject<'_>) -> Self {
        let Subject { target, policy, own, .. } = subject;
        let version = own.containerd.version.as_ref().and_then(|version| {
            Release::read(version).map_or_else(|| Fact::unknown(format!("no version: {version}")), Fact::Known)
        });
        let limit = version.as_ref().map(|version| {
            let hit = |limit: &&RuntimeLimit| {
                let told = limit.warned_from.unwrap_or(limit.refused_from).min(limit.refused_from);
                *version < limit.below && told <= target.minor
            };
            policy.containerd_limits.iter().find(hit)
        });
        let of_limit = |f: fn(&RuntimeLimit) -> Option<String>| {
            limit.clone().and_then(|limit| Fact::from_option(limit.and_then(f)))
        };
        let row = policy.tested(target.minor);
        let sandbox_tag = Fact::from_option(policy.sandbox_tag(target.minor).map(str::to_owned));
        Self {
            refused: limit.clone().map(|limit| limit.is_some_and(|limit| limit.refused_from <= target.minor)),
            warned: limit.clone().map(|limit| limit.is_some_and(|limit| limit.refused_from > target.minor)),
            ends_in: of_limit(|limit| Some(limit.refused_from.to_string())),
            needs: of_limit(|limit| Some(limit.below.to_string())),
            note: of_limit(|limit| limit.note.clone()),
            tested: match row {
                Some(row) => version.map(|version| tested(version, &row.releases)),
                None => Fact::Absent,
            },
            tested_with: Fact::from_option(row.map(|row| row.releases.iter().map(Release::to_string).collect())),
            deprecations: deprecations(own),
            sandbox_differs: sandbox_tag.as_ref().and_then(|wanted| {
                own.containerd.sandbox_image.as_ref().map(|image| tag(image) != Some(wanted.as_str()))
            }),
            sandbox_tag,
        }
    }
}

/// At least the first tested release of its series, or of a series newer than all of them.
fn tested(version: Release, releases: &[Release]) -> bool {
    match releases.iter().find(|release| release.is_of_series(version)) {
        Some(first) => version >= *first,
        None => releases.iter().all(|release| *release < version),
    }
}

/// Both sources, or the one that was read.
fn deprecations(own: &crate::facts::NodeFacts) -> Fact<Vec<String>> {
    let (settings, listed) = (&own.components.containerd_settings, &own.containerd.deprecations);
    if let (Fact::Unknown(why), false) = (settings, listed.is_known()) {
        return Fact::unknown(why.as_str());
    }
    let both = settings.known().into_iter().chain(listed.known()).flatten();
    Fact::Known(both.cloned().collect())
}

fn tag(image: &str) -> Option<&str> {
    let name = image.split('@').next()?;
    name.rsplit('/').next()?.rsplit_once(':').map(|(_, tag)| tag)
}
