//! `flannel`: flannel's CNI file, where it is missing or proven wrong and flannel's pod cannot write it. With `sync` also where it
//! says something else than the cluster's.

use std::time::Duration;

use super::conflist::{self, Conflist};
use super::{Planned, Turn};
use crate::change::guards::flannel::{self as rules, FILE};
use crate::change::guards::{self, Cured, every};
use crate::change::plan::{Action, Change, Condition, Loaded, Reason, Refusal, Undo, WriteFile};
use crate::change::state::Path;
use crate::change::view::{Said, View};
use crate::digest::sha256;
use crate::facts::{Fact, libcni};
use crate::playbook::ConfigSource;

const MISSING: &str = "cni/config-missing";
const INVALID: &str = "cni/config-invalid";
const DIFFERS: &str = "cni/conf-differs";

/// How long flannel's own pod has after a join before the file is pushed.
const PATIENCE: Duration = Duration::from_mins(1);

/// Which files are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Those that are missing or cannot be loaded.
    Broken,
    /// Those as well that say something else than what is wanted.
    Differing,
}

pub(super) fn plan(turn: &Turn<'_>, source: &ConfigSource, reach: Reach) -> Result<Planned, Vec<Refusal>> {
    let node = turn.node;
    if let Some(refusal) = every::worker(node) {
        return Err(vec![refusal]);
    }
    let wanted = conflist::wanted(source, node).map_err(|refusal| vec![refusal])?;
    if joins(turn.earlier) {
        return after_join(turn, &wanted);
    }
    if !node.facts.kubeadm.kubelet_conf.is_true() {
        return Err(vec![not_joined(node)]);
    }
    let cured = Cured::by(turn.earlier);
    // Of these there is something to do, or to refuse, even where a valid file lies.
    let mut refusals = guards::refusals(rules::JOINED, node, &cured);
    let reason = match need(node, &wanted, reach) {
        Ok(Need::None(why)) if refusals.is_empty() => return Ok(Planned::Nothing(why)),
        Ok(Need::None(_)) => None,
        Ok(Need::Write(reason)) => Some(reason),
        Err(refusal) => {
            refusals.push(refusal);
            None
        }
    };
    refusals.extend(guards::refusals(rules::PLACE, node, &cured));
    if let Some(Reason { check: Some(check), .. }) = &reason
        && check != DIFFERS
        && let Err(refusal) = rules::why_the_pod_cannot(node)
    {
        refusals.push(refusal);
    }
    refusals.extend(guards::below_cni(node, &cured.and(rules::REASONS)));
    refusals.extend(guards::of_control_planes(node, rules::CONTROL_PLANE));
    let standing = guards::standing(refusals, &node.fleet.options.accept_unknown);
    match (reason, before(node)) {
        _ if !standing.is_empty() => Err(standing),
        (None, _) => Ok(Planned::Nothing("nothing that is known asks for a push".to_owned())),
        (Some(_), None) => Err(vec![unseen(node)]),
        (Some(reason), Some(before)) => {
            Ok(Planned::Actions(vec![turn.action(write(node, wanted, before.clone()), why(node, reason), undo(node))]))
        }
    }
}

fn unseen(node: &View<'_>) -> Refusal {
    node.not_known(guards::LOOKED_AT, &format!("{} was not looked at", rules::target(node.facts)))
}

/// In a playbook that joins the node first, the file is left to flannel's pod for a while.
fn after_join(turn: &Turn<'_>, wanted: &Conflist) -> Result<Planned, Vec<Refusal>> {
    let node = turn.node;
    let refusals = guards::refusals(rules::PLACE, node, &Cured::by(turn.earlier));
    let refusals = guards::standing(refusals, &node.fleet.options.accept_unknown);
    let check = match (&node.facts.cni.file_count, &node.facts.cni.valid) {
        (Fact::Known(0), _) => MISSING,
        (_, Fact::Known(false)) => INVALID,
        _ if refusals.is_empty() => {
            return Ok(Planned::Nothing(format!("{} is there already", rules::target(node.facts))));
        }
        _ => return Err(refusals),
    };
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let before = before(node).ok_or_else(|| vec![unseen(node)])?;
    if meaning(before).as_deref() == Some(&wanted.meaning) {
        return Ok(Planned::Nothing(format!("{} is there already", rules::target(node.facts))));
    }
    let text = "flannel's pod has a minute to install it; only if it does not, it is pushed".to_owned();
    let reason = Reason { check: Some(check.to_owned()), text };
    let action = turn.action(write(node, wanted.clone(), before.clone()), reason, undo(node));
    let only_if = vec![Condition::StillFails { check: check.to_owned(), after: PATIENCE }];
    Ok(Planned::Actions(vec![Action { only_if, ..action }]))
}

enum Need {
    /// Nothing has to be written, with why.
    None(String),
    Write(Reason),
}

fn need(node: &View<'_>, wanted: &Conflist, reach: Reach) -> Result<Need, Refusal> {
    let write =
        |check: &str, text: &str| Ok(Need::Write(Reason { check: Some(check.to_owned()), text: text.to_owned() }));
    let path = rules::target(node.facts);
    let now = before(node);
    let same = now.and_then(meaning).as_deref() == Some(&wanted.meaning);
    match (node.said(MISSING), node.said(INVALID)) {
        // The node has moved on since it was read: its pod has written the file.
        (Said::Fails(_) | Said::Expected(_), _) if same => return Ok(Need::None(format!("{path} has come meanwhile"))),
        (Said::Fails(_) | Said::Expected(_), _) if matches!(now, Some(Path::File(_))) => {
            return Err(Refusal {
                guard: guards::MACHINE.to_owned(),
                unknown: false,
                reason: format!("{path} has come since the node was read, and is not the cluster's"),
                next: "try again".to_owned(),
            });
        }
        // Within the first minutes its pod is on its way; what the pod itself says is asked as well.
        (Said::Fails(_) | Said::Expected(_), _) => return write(MISSING, "there is no CNI configuration"),
        (_, Said::Fails(_) | Said::Warns(_)) => {
            return write(INVALID, "the CNI configuration that decides cannot be loaded");
        }
        (Said::Unknown(why), _) => return Err(node.not_known(MISSING, &why)),
        (_, Said::Unknown(why)) => return Err(node.not_known(INVALID, &why)),
        _ => {}
    }
    if let Said::Fails(finding) = node.said("cni/shadowed") {
        return Err(node.refused_by(finding));
    }
    match reach {
        _ if same => Ok(Need::None(format!("{path} is as the cluster wants it"))),
        Reach::Broken => Ok(Need::None("it has a CNI configuration that can be loaded".to_owned())),
        Reach::Differing => write(DIFFERS, &format!("{FILE} says something else than what is wanted")),
    }
}

/// With why flannel's pod does not do it.
fn why(node: &View<'_>, reason: Reason) -> Reason {
    match (reason.check.as_deref(), rules::why_the_pod_cannot(node)) {
        (Some(MISSING | INVALID), Ok(why)) => Reason { text: format!("{}, and {why}", reason.text), ..reason },
        _ => reason,
    }
}

fn before<'a>(node: &View<'a>) -> Option<&'a Path> {
    node.state?.paths.get(&rules::target(node.facts))
}

/// What a file says that lies there; `None` where there is none that can be loaded.
fn meaning(path: &Path) -> Option<String> {
    let Path::File(file) = path else { return None };
    libcni::load(FILE, file.content.as_deref()?).ok().map(|network| network.sha256)
}

fn write(node: &View<'_>, wanted: Conflist, before: Path) -> Change {
    Change::WriteFile(WriteFile {
        path: rules::target(node.facts),
        sha256: sha256(wanted.text.as_bytes()),
        content: wanted.text,
        mode: 0o644,
        uid: 0,
        gid: 0,
        before,
        verify: Some(Loaded { network: wanted.network }),
    })
}

fn undo(node: &View<'_>) -> Undo {
    let path = rules::target(node.facts);
    match before(node) {
        Some(Path::File(_)) => Undo::Restore { path },
        _ => Undo::Remove { path },
    }
}

fn joins(earlier: &[Action]) -> bool {
    earlier.iter().any(|action| matches!(action.change, Change::KubeadmJoin(_)))
}

fn not_joined(node: &View<'_>) -> Refusal {
    const GUARD: &str = "joined";
    if let Some(why) = node.facts.kubeadm.kubelet_conf.reason() {
        return node.not_known(GUARD, &format!("whether it has joined is not known: {why}"));
    }
    Refusal {
        guard: GUARD.to_owned(),
        unknown: false,
        reason: "it has not joined, and before a join a missing CNI configuration is normal".to_owned(),
        next: format!("seaworthy join {}; in a playbook flannel comes after kubeadm-join", node.name),
    }
}
