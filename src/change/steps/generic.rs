//! The steps that mean anything only together with a check: `write-file`, `restart-service`, `command` and `wait-for`. They are
//! planned where their check fails or warns now, and nowhere else.

use std::time::Duration;

use super::{Planned, Turn};
use crate::change::guards::LOOKED_AT;
use crate::change::guards::flannel::conf_dir;
use crate::change::plan::{Change, Reason, Refusal, Undo, WriteFile};
use crate::change::state::{File, Path};
use crate::change::view::{Said, View, clip};
use crate::digest::sha256;
use crate::facts::libcni;
use crate::playbook::{CommandUndo, Step};

/// A step that asks for `change` while its check fails.
pub(super) fn because(turn: &Turn<'_>, check: &str, change: Change, undo: Undo) -> Result<Planned, Vec<Refusal>> {
    match asked(turn.node, check)? {
        Some(reason) => Ok(Planned::Actions(vec![turn.action(change, reason, undo)])),
        None => Ok(Planned::Nothing(format!("{check} does not fail"))),
    }
}

/// `None` where the check does not ask for anything.
fn asked(node: &View<'_>, check: &str) -> Result<Option<Reason>, Vec<Refusal>> {
    match node.said(check) {
        Said::Fails(finding) | Said::Warns(finding) => {
            Ok(Some(Reason { check: Some(check.to_owned()), text: clip(&finding.message) }))
        }
        Said::Sound | Said::Expected(_) => Ok(None),
        // Accepted by name, it is taken for sound: a step that nobody asks for is left out.
        Said::Unknown(_) if node.fleet.options.accept_unknown.iter().any(|id| id == check) => Ok(None),
        Said::Unknown(why) => Err(vec![node.not_known(check, &why)]),
    }
}

/// What a service was restarted for it reads only by being restarted, also when that is taken back.
pub(super) fn restart_service(turn: &Turn<'_>, unit: &str, check: &str) -> Result<Planned, Vec<Refusal>> {
    let writes = turn.earlier.iter().any(|action| matches!(action.change, Change::WriteFile(_)));
    let undo = if writes { Undo::Restart { unit: unit.to_owned() } } else { Undo::Nothing };
    because(turn, check, Change::RestartService { unit: unit.to_owned() }, undo)
}

pub(super) fn command(turn: &Turn<'_>, run: &str, check: &str, undo: &CommandUndo) -> Result<Planned, Vec<Refusal>> {
    let undo = match undo {
        CommandUndo::None => Undo::Impossible { why: "the playbook says that it cannot be taken back".to_owned() },
        CommandUndo::Command(run) => Undo::Command { run: run.clone() },
    };
    because(turn, check, Change::Command { run: run.to_owned() }, undo)
}

/// Waits for what was changed; where nothing is, there is nothing to wait for.
pub(super) fn wait_for(turn: &Turn<'_>, check: &str, timeout: Duration) -> Planned {
    if turn.earlier.is_empty() {
        return Planned::Nothing(String::new());
    }
    let reason = Reason { check: Some(check.to_owned()), text: "to see that what was done has worked".to_owned() };
    let change = Change::WaitFor { check: check.to_owned(), timeout };
    Planned::Actions(vec![turn.action(change, reason, Undo::Nothing)])
}

pub(super) fn write_file(turn: &Turn<'_>, step: &Step) -> Result<Planned, Vec<Refusal>> {
    let Step::WriteFile { path, content, mode, uid, gid, because } = step else {
        return Ok(Planned::Nothing(String::new()));
    };
    let node = turn.node;
    let Some(reason) = asked(node, because)? else {
        return Ok(Planned::Nothing(format!("{because} does not fail")));
    };
    if let Some(refusal) = not_for_files(node, path) {
        return Err(vec![refusal]);
    }
    let sha256 = sha256(content.as_bytes());
    let before = match node.state.and_then(|state| state.paths.get(path)) {
        Some(before @ (Path::Absent | Path::File(_))) => before.clone(),
        Some(Path::Other { kind }) => {
            let reason = format!("{path} is a {kind}, and only a file is replaced");
            let next = "find out who put it there, and move it away".to_owned();
            return Err(vec![Refusal { guard: "write-file/kind".to_owned(), unknown: false, reason, next }]);
        }
        Some(Path::Unreadable { why }) => return Err(vec![node.not_known(LOOKED_AT, &format!("{path}: {why}"))]),
        None => return Err(vec![node.not_known(LOOKED_AT, &format!("{path} was not looked at"))]),
    };
    if let Path::File(File { sha256: own, mode: own_mode, uid: own_uid, gid: own_gid, .. }) = &before
        && (own, own_mode, own_uid, own_gid) == (&sha256, mode, uid, gid)
    {
        return Ok(Planned::Nothing(format!("{path} is as wanted")));
    }
    let undo = match &before {
        Path::File(_) => Undo::Restore { path: path.clone() },
        _ => Undo::Remove { path: path.clone() },
    };
    let file = WriteFile {
        path: path.clone(),
        content: content.clone(),
        sha256,
        mode: *mode,
        uid: *uid,
        gid: *gid,
        before,
        verify: None,
    };
    Ok(Planned::Actions(vec![turn.action(Change::WriteFile(file), reason, undo)]))
}

/// Files that a step of their own writes under its guards, or that nobody may write by hand.
fn not_for_files(node: &View<'_>, path: &str) -> Option<Refusal> {
    let refused = |reason: String, next: &str| {
        Some(Refusal { guard: "write-file/path".to_owned(), unknown: false, reason, next: next.to_owned() })
    };
    let below = |dir: &str| path.strip_prefix(dir).and_then(|rest| rest.strip_prefix('/'));
    if let Some(name) = below(conf_dir(node.facts)).or_else(|| below("/etc/cni/net.d"))
        && libcni::is_candidate(name)
    {
        return refused(
            format!("{path} would be loaded as a CNI configuration"),
            "use the step flannel, which has the guards for it",
        );
    }
    if below("/run/flannel").or_else(|| below("/var/run/flannel")).is_some() {
        let why = "flannel's subnet file is flannel's: written by hand, two nodes may end up with one subnet";
        return refused(format!("{path}: {why}"), "find out why flannel's pod fails");
    }
    None
}
