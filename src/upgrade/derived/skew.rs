//! How far API server, kubelets and kube-proxy are from the target and from each other.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Subject, either};
use crate::facts::Fact;
use crate::upgrade::version::{Minor, Release};

#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Skew {
    /// The API server's version.
    pub server: Fact<String>,
    /// Minors from the API server to the target, negative to an older one.
    pub server_steps: Fact<i64>,
    /// The minor to upgrade to next, `1.30`.
    pub next: Fact<String>,
    /// The target is more minors ahead of the API server than one upgrade may go.
    pub skips: Fact<bool>,
    /// The target is older than the API server.
    pub back: Fact<bool>,
    pub kubelet: Fact<String>,
    /// So many minors older than the target the kubelet is.
    pub kubelet_behind: Fact<i64>,
    /// The oldest minor of a kubelet that an API server of the target takes.
    pub oldest_kubelet: String,
    pub kubelet_too_old: Fact<bool>,
    /// Newer than the API server as it is now, or than the target.
    pub kubelet_newer: Fact<bool>,
    pub kube_proxy: Fact<String>,
    pub kube_proxy_too_old: Fact<bool>,
    /// Nodes that the API knows, that were not read, and whose kubelet is too old for the target: `name (1.28.6)`.
    pub unread_too_old: Fact<Vec<String>>,
}

impl Skew {
    pub(super) fn of(subject: &Subject<'_>) -> Self {
        let Subject { target, policy, own, member, view, answers } = subject;
        let oldest = Minor(target.minor.0.saturating_sub(policy.kubelet_behind(target.minor)));
        let server = own.api.version.clone().or_else(|| match view.source {
            Fact::Known(_) => view.version.clone(),
            _ => Fact::unknown("no control plane answered"),
        });
        let server_release = release(&server);
        let minor = |release: &Fact<Release>| release.as_ref().map(|release| release.minor);
        let server_minor = minor(&server_release);
        let step = policy.skew.control_plane_step;
        let kubelet = own.kubelet.version.clone().or_else(|| {
            let said = member.node.as_ref().and_then(|node| node.kubelet_version.clone());
            // Without the API's word the node's own reason stays.
            said
        });
        let kubelet_minor = minor(&release(&kubelet));
        let too_old = |minor: Fact<u32>| minor.map(|minor| minor < oldest.0);
        let behind = |minor: Fact<u32>| minor.map(|minor| i64::from(target.minor.0) - i64::from(minor));
        let newer_than_server =
            kubelet_minor.as_ref().and_then(|kubelet| server_minor.as_ref().map(|server| *kubelet > *server));
        Self {
            server_steps: behind(server_minor.clone()),
            next: server_minor.as_ref().map(|minor| Minor(minor + step).to_string()),
            skips: server_minor.as_ref().map(|minor| target.minor.0 > minor.saturating_add(step)),
            back: server_release.map(|release| match target.patch {
                Some(patch) if target.minor.0 == release.minor => patch < release.patch,
                _ => target.minor.0 < release.minor,
            }),
            server,
            kubelet_behind: behind(kubelet_minor.clone()),
            oldest_kubelet: oldest.to_string(),
            kubelet_too_old: too_old(kubelet_minor.clone()),
            kubelet_newer: either(kubelet_minor.map(|minor| minor > target.minor.0), newer_than_server),
            kubelet,
            kube_proxy_too_old: too_old(minor(&release(&answers.kube_proxy))),
            kube_proxy: answers.kube_proxy.clone(),
            unread_too_old: view.nodes_not_in_run.as_ref().map(|unread| {
                let found = unread.iter().filter_map(|name| {
                    let version = answers.kubelets.get(name)?;
                    (Release::read(version)?.minor < oldest.0).then(|| format!("{name} ({version})"))
                });
                found.collect()
            }),
        }
    }
}

fn release(version: &Fact<String>) -> Fact<Release> {
    version.as_ref().and_then(|version| {
        Release::read(version).map_or_else(|| Fact::unknown(format!("no version: {version}")), Fact::Known)
    })
}
