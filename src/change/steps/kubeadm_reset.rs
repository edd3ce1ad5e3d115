//! `kubeadm-reset`: takes a worker out of its cluster. It cannot be undone, so it is planned only for nodes that are named, and
//! says beforehand what goes and which mounts stay.

use super::{Planned, Turn};
use crate::change::guards::{self, Cured, every, reset as rules};
use crate::change::plan::{Change, Reason, Refusal, Reset, Undo};
use crate::change::view::View;

/// Files that kubeadm deletes one by one.
///
/// Source: kubeadm's `cleanup-node` phase of a reset.
const FILES: [&str; 5] = [
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/kubelet.conf",
    "/etc/kubernetes/bootstrap-kubelet.conf",
    "/etc/kubernetes/controller-manager.conf",
    "/etc/kubernetes/scheduler.conf",
];
/// Directories whose content it deletes.
const DIRECTORIES: [&str; 3] = ["/etc/kubernetes/manifests", "/etc/kubernetes/pki", rules::KUBELET];
/// Before 1.27 of these, too.
const OLDER: [&str; 2] = ["/var/lib/cni", "/var/run/kubernetes"];

pub(super) fn plan(turn: &Turn<'_>) -> Result<Planned, Vec<Refusal>> {
    let node = turn.node;
    if let Some(refusal) = every::worker(node) {
        return Err(vec![refusal]);
    }
    let kubeadm = &node.facts.kubeadm;
    if kubeadm.kubelet_conf.is_false() && kubeadm.bootstrap_conf.is_false() && kubeadm.ca_crt.is_false() {
        return Ok(Planned::Nothing("nothing of a join is on it".to_owned()));
    }
    let refusals = guards::refusals(rules::RESET, node, &Cured::by(turn.earlier));
    let refusals = guards::standing(refusals, &node.fleet.options.accept_unknown);
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let reset = Reset { deletes: deletes(node), mounts: mounts(node) };
    let pods =
        node.facts.containerd.pods.known().map(|pods| pods.values().fold(0_u64, |sum, part| sum.saturating_add(*part)));
    let pods = pods.map_or_else(|| "all its pods".to_owned(), |count| format!("its {count} pods"));
    let text = format!("a reset of this node was asked for by its name; {pods} go with it");
    let reason = Reason { check: None, text };
    let why = "its identity in the cluster and the data of its pods are deleted; it can only join anew".to_owned();
    Ok(Planned::Actions(vec![turn.action(Change::KubeadmReset(reset), reason, Undo::Impossible { why })]))
}

/// What is there of what a reset deletes: files, and directories that it empties.
fn deletes(node: &View<'_>) -> Vec<String> {
    let paths = &node.facts.permissions.paths;
    // One that nobody looked for may be there.
    let there = |path: &str| paths.get(path).is_none_or(|stat| !stat.is_absent());
    let seen = |path: &str| paths.get(path).is_some_and(|stat| !stat.is_absent());
    let mut found: Vec<String> = FILES.into_iter().filter(|path| seen(path)).map(str::to_owned).collect();
    found.extend(DIRECTORIES.into_iter().filter(|path| there(path)).map(str::to_owned));
    if node.facts.kubeadm.version_minor.known().is_none_or(|minor| *minor < 27) {
        found.extend(OLDER.into_iter().map(str::to_owned));
    }
    found
}

/// Every mount that is not the kubelet's own, as `MOUNTPOINT SOURCE`.
fn mounts(node: &View<'_>) -> Vec<String> {
    let own = |point: &str| {
        point.contains("/var/lib/kubelet/") || point.starts_with("/run/") || point.starts_with("/var/run/")
    };
    let list = node.facts.mounts.list.known().into_iter().flatten();
    let listed = list.map(|mount| (mount.mount_point.as_str(), mount.source.as_str()));
    let networked = node.facts.nfs.mounts.known().into_iter().flatten();
    let networked = networked.map(|mount| (mount.mount_point.as_str(), mount.source.as_str()));
    let all: std::collections::BTreeSet<(&str, &str)> =
        listed.chain(networked).filter(|(point, _)| !own(point)).collect();
    all.into_iter().map(|(point, source)| format!("{point} {source}")).collect()
}
