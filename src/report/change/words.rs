//! What actions are called, in plans, progress and summaries alike. Words only; what they hold may be untrusted.

use crate::change::plan::{Change, Undo};
use crate::duration;

/// In the imperative: `write /etc/cni/net.d/10-flannel.conflist`.
pub(super) fn action(change: &Change) -> String {
    match change {
        Change::KubeadmJoin(join) => format!("kubeadm join {}", join.endpoint),
        Change::WaitFor { check, timeout } => {
            format!("wait until {check} passes, at most {}", duration::exact(*timeout))
        }
        Change::WriteFile(_) | Change::RestartService { .. } | Change::Command { .. } | Change::KubeadmReset(_) => {
            change.words()
        }
    }
}

/// How an action is taken back; `None` where there is nothing to take back.
pub(super) fn undo(undo: &Undo) -> Option<String> {
    match undo {
        Undo::Nothing | Undo::Command { .. } => None,
        Undo::Restart { unit } => Some(format!("restart {unit} again, once the files are back that it was restarted for")),
        Undo::Restore { path } => Some(format!("put back {path}, which is kept beside it")),
        Undo::Remove { path } => Some(format!("remove {path}, which is new")),
        Undo::Unjoin => Some(
            "take the node out of the cluster: stop the kubelet, put back every file that the join wrote, delete the Node"
                .to_owned(),
        ),
        Undo::Impossible { why } => Some(format!("IMPOSSIBLE: {why}")),
    }
}
