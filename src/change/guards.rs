//! Guards: what has to hold on a node before a step may run there. They are built into the steps and cannot be switched off.
//!
//! A guard is a row of a table. Where a check judges the matter, the row names it, and the check's own words and remedy are the
//! refusal's; the others are judged by a function beside the table. Each gives no refusal, or refusals that say what stands in
//! the way and what to do instead. What is not known refuses as well, marked as such; the user may accept that by name, but
//! never that it is unknown whether a node is a worker, or which machine it is.
//!
//! | table | for | rows |
//! |---|---|---|
//! | [`every`] | every step | read as root; a worker; the machine that was meant, once; at rest; writable; as it was read |
//! | [`join`] | `kubeadm-join` | prepared; nothing left of a join; name, version and CA of the cluster; the way to the API |
//! | [`flannel`] | `flannel` | joined; flannel's cluster; flannel's pod is wanted and cannot write the file itself |
//! | [`reset`] | `kubeadm-reset` | named by the user; no storage where it deletes |
//! | [`below_cni`] | `kubeadm-join`, `flannel` | no unresolved root cause below the pod network, on the node or on a control plane |
//! | [`required`] | every step | what the playbook's `require` names does not fail |

pub mod every;
pub mod flannel;
pub mod join;
pub mod proof;
pub mod reset;

use std::collections::BTreeSet;

use super::plan::{Action, Change, Refusal};
use super::view::{Said, View};
use crate::checks::{Finding, Reach, Severity};
use crate::verdict::Verdict;

/// Not knowing these is never accepted.
const FIRM: [&str; 5] = [WORKER, MACHINE, SWEPT, LOOKED_AT, NAMED];
/// The node is a worker.
pub const WORKER: &str = "worker";
/// It is the machine whose facts were read.
pub const MACHINE: &str = "machine";
/// It was read to the end.
pub const SWEPT: &str = "swept";
/// The files that a step changes were looked at.
pub const LOOKED_AT: &str = "looked-at";
/// The user wrote the node's own name.
pub const NAMED: &str = "named";

/// The guards that no check judges; all others go by their check's id.
pub const OWN: [&str; 17] = [
    "cni/directory",
    "cni/file-kind",
    "flannel/config",
    "flannel/other-network",
    "flannel/pod-can-write",
    "join/node-name",
    "joined",
    LOOKED_AT,
    MACHINE,
    NAMED,
    "phase",
    "reset/link",
    "reset/storage",
    SWEPT,
    WORKER,
    "write-file/kind",
    "write-file/path",
];

/// One row.
#[derive(Debug, Clone, Copy)]
pub enum Guard {
    /// The check must not fail.
    Sound(&'static str),
    /// The check must neither fail nor warn.
    Spotless(&'static str),
    /// Judged by a function.
    By(fn(&View<'_>) -> Option<Refusal>),
}

/// Checks whose failures earlier steps of the same plan put right, each verified before the next step begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cured<'a>(BTreeSet<&'a str>);

impl<'a> Cured<'a> {
    pub fn by(earlier: &'a [Action]) -> Self {
        // To wait for a check is not to do anything about it.
        let at_work = earlier.iter().filter(|action| !matches!(action.change, Change::WaitFor { .. }));
        Self(at_work.filter_map(|action| action.reason.check.as_deref()).collect())
    }

    #[must_use]
    pub fn and(mut self, ids: &'static [&'static str]) -> Self {
        self.0.extend(ids);
        self
    }

    pub fn has(&self, id: &str) -> bool {
        self.0.contains(id)
    }
}

/// What a table says no to.
pub fn refusals(table: &[Guard], node: &View<'_>, cured: &Cured<'_>) -> Vec<Refusal> {
    table.iter().filter_map(|guard| guard.refusal(node, cured)).collect()
}

impl Guard {
    fn refusal(self, node: &View<'_>, cured: &Cured<'_>) -> Option<Refusal> {
        let id = match self {
            Self::By(judge) => return judge(node),
            Self::Sound(id) | Self::Spotless(id) => id,
        };
        if cured.has(id) {
            return None;
        }
        match (node.said(id), self) {
            (Said::Fails(finding), _) | (Said::Warns(finding), Self::Spotless(_)) => Some(node.refused_by(finding)),
            (Said::Unknown(why), _) => Some(node.not_known(id, &why)),
            (Said::Sound | Said::Warns(_) | Said::Expected(_), _) => None,
        }
    }
}

/// The refusals that stand: none whose unknown the user accepted.
pub fn standing(mut refusals: Vec<Refusal>, accepted: &[String]) -> Vec<Refusal> {
    refusals.retain(|refusal| {
        !refusal.unknown || FIRM.contains(&refusal.guard.as_str()) || !accepted.contains(&refusal.guard)
    });
    refusals
}

/// Each guard's first word.
pub fn distinct(mut refusals: Vec<Refusal>) -> Vec<Refusal> {
    let mut seen = BTreeSet::new();
    refusals.retain(|refusal| seen.insert(refusal.guard.clone()));
    refusals
}

/// The areas below the pod network: while one of their faults is there, neither a join nor a CNI file helps.
const BELOW_CNI: [&str; 12] = [
    "ssh",
    "identity",
    "system",
    "time",
    "mounts",
    "disk",
    "kernel",
    "permissions",
    "containerd",
    "kubelet",
    "control-plane",
    "join",
];

fn is_below_cni(id: &str) -> bool {
    let area = id.split_once('/').map_or(id, |(area, _)| area);
    // An NFS mount concerns a node as such only where it hangs.
    BELOW_CNI.contains(&area) || id == "nfs/mount-hung"
}

/// The root causes behind what fails below the pod network, and what of that could make a node unusable and is not known.
pub fn below_cni(node: &View<'_>, cured: &Cured<'_>) -> Vec<Refusal> {
    let mut found = Vec::new();
    for finding in node.findings().iter().filter(|finding| is_below_cni(&finding.id)) {
        let severity = node.severity(finding);
        match finding.verdict {
            // What is only worth knowing breaks nothing.
            Verdict::Fail if severity != Severity::Low => {
                let root = node.root(finding);
                if !cured.has(&finding.id) && !cured.has(&root.id) {
                    found.push(node.refused_by(root));
                }
            }
            Verdict::Unknown
                if severity == Severity::Blocker && !lies_elsewhere(finding) && !cured.has(&finding.id) =>
            {
                found.push(node.not_known(&finding.id, &finding.message));
            }
            _ => {}
        }
    }
    found
}

/// What the API or the way to it would have told: the tables ask for that where it matters.
fn lies_elsewhere(finding: &Finding) -> bool {
    let asked_elsewhere = |path: &str| ["member.", "api.", "reach."].iter().any(|area| path.starts_with(area));
    !finding.lacks.is_empty() && finding.lacks.iter().all(|lack| asked_elsewhere(&lack.path))
}

/// Faults of control planes that show on every node, of these areas.
pub fn of_control_planes(node: &View<'_>, areas: &[&str]) -> Vec<Refusal> {
    let fleet = node.fleet;
    let wide = node.faults_of_control_planes().filter(|(_, fault)| {
        let check = fleet.checks.get(&fault.id);
        check.is_some_and(|check| check.reaches == Reach::Cluster && areas.contains(&check.area()))
    });
    let refused = wide.map(|(name, fault)| {
        let refusal = node.refused_by(fault);
        Refusal { reason: format!("on {name}: {}", refusal.reason), ..refusal }
    });
    refused.collect()
}

/// What a playbook requires: the ids of checks and areas (`kubelet/*`) that must not fail now. What is normal in the node's
/// phase does not count. A check that is named by its whole id must be known, too; of an area, what fails is what counts.
pub fn required(node: &View<'_>, patterns: &[String], cured: &Cured<'_>) -> Vec<Refusal> {
    let mut found = Vec::new();
    for pattern in patterns {
        if !pattern.contains('*') {
            match node.said(pattern) {
                _ if cured.has(pattern) => {}
                Said::Fails(finding) => found.push(node.refused_by(finding)),
                Said::Unknown(why) => found.push(node.not_known(pattern, &why)),
                Said::Sound | Said::Warns(_) | Said::Expected(_) => {}
            }
            continue;
        }
        let failing = node.findings().iter().filter(|finding| finding.verdict == Verdict::Fail);
        let named = failing.filter(|finding| fits(pattern, &finding.id) && !cured.has(&finding.id));
        found.extend(named.map(|finding| node.refused_by(finding)));
    }
    found
}

/// `*` stands for any text.
fn fits(pattern: &str, id: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = id.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.len() >= part.len() && rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_over_ids() {
        for (pattern, id, expected) in [
            ("kubelet/*", "kubelet/down", true),
            ("kubelet/*", "kubelets/down", false),
            ("*", "a/b", true),
            ("*/down", "kubelet/down", true),
            ("k*/d*n", "kubelet/down", true),
            ("k*/d*n", "kubelet/downs", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(fits(pattern, id), expected, "{pattern} {id}");
        }
    }

    #[test]
    fn an_unknown_is_accepted_by_name_but_not_who_a_node_is() {
        let refusal = |guard: &str, unknown| Refusal {
            guard: guard.to_owned(),
            unknown,
            reason: String::new(),
            next: String::new(),
        };
        let all = vec![refusal("a/b", true), refusal("a/b", true), refusal("a/c", false), refusal(WORKER, true)];
        let guards = |accepted: &[&str]| {
            let accepted: Vec<String> = accepted.iter().map(|id| (*id).to_owned()).collect();
            distinct(standing(all.clone(), &accepted)).into_iter().map(|refusal| refusal.guard).collect::<Vec<_>>()
        };
        assert_eq!(guards(&[]), ["a/b", "a/c", WORKER]);
        assert_eq!(guards(&["a/b", "a/c", WORKER]), ["a/c", WORKER]);
    }
}
