//! Guards of `kubeadm-reset`: it empties directories and unmounts what lies below the kubelet's, so nothing of anybody's may lie
//! there. kubeadm takes every mount whose path holds `/var/lib/kubelet/` for one of its own.

use super::{Guard, NAMED, Refusal, View};
use crate::change::view::clip;
use crate::facts::Fact;
use crate::facts::listing::FileKind;

pub const RESET: &[Guard] = &[
    Guard::By(named),
    Guard::By(no_storage_below),
    Guard::By(no_links),
    Guard::Sound("nfs/mount-hung"),
    Guard::Sound("mounts/hung"),
];

/// What a reset empties.
pub const KUBELET: &str = "/var/lib/kubelet";
const EMPTIED: [&str; 4] = [KUBELET, "/etc/kubernetes", "/etc/kubernetes/pki", "/etc/kubernetes/manifests"];

/// A reset is for nodes that somebody wrote down, not for whatever a pattern matches.
fn named(node: &View<'_>) -> Option<Refusal> {
    let missing = !node.fleet.options.named.iter().any(|name| name == node.name);
    missing.then(|| Refusal {
        guard: NAMED.to_owned(),
        unknown: false,
        reason: "a reset is done only to nodes that are named one by one".to_owned(),
        next: format!("name it: --limit {}", node.name),
    })
}

/// Storage that is mounted below the kubelet's directory would be unmounted, and emptied where that fails.
fn no_storage_below(node: &View<'_>) -> Option<Refusal> {
    const GUARD: &str = "reset/storage";
    let below = |point: &str| point.contains("/var/lib/kubelet/") || point == KUBELET;
    let networked = match &node.facts.nfs.mounts {
        Fact::Known(mounts) => mounts.iter().find(|mount| below(&mount.mount_point)).map(|mount| &mount.mount_point),
        Fact::Absent => None,
        Fact::Unknown(why) => return Some(node.not_known(GUARD, &format!("its network mounts are not known: {why}"))),
    };
    let own = match &node.facts.mounts.list {
        Fact::Known(mounts) => {
            let foreign = mounts.iter().find(|mount| mount.mount_point.contains("/var/lib/kubelet/"));
            foreign.map(|mount| &mount.mount_point)
        }
        Fact::Absent => None,
        Fact::Unknown(why) => return Some(node.not_known(GUARD, &format!("its mounts are not known: {why}"))),
    };
    let point = networked.or(own)?;
    Some(Refusal {
        guard: GUARD.to_owned(),
        unknown: false,
        reason: clip(&format!("{point} is mounted where a reset deletes")),
        next: "drain the node first (kubectl drain --ignore-daemonsets NODE), and unmount what is left there"
            .to_owned(),
    })
}

/// Through a link a reset would empty another place.
fn no_links(node: &View<'_>) -> Option<Refusal> {
    let linked = EMPTIED.into_iter().find(|path| {
        let stat = node.facts.permissions.paths.get(*path).and_then(Fact::known);
        stat.is_some_and(|stat| stat.kind == FileKind::Link)
    })?;
    Some(Refusal {
        guard: "reset/link".to_owned(),
        unknown: false,
        reason: format!("{linked} is a symbolic link, and a reset deletes what it leads to"),
        next: "reset this node by hand, after a look at where the link leads".to_owned(),
    })
}
