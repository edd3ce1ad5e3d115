//! Guards of every step: that the node is a worker, the machine that was meant, at rest, and as it was when it was read.

use super::{Guard, LOOKED_AT, MACHINE, SWEPT, WORKER};
use crate::change::plan::Refusal;
use crate::change::view::{Said, View, clip, machine};
use crate::facts::{Fact, NodeFacts};
use crate::target::Role;

/// In the order in which they are worth reading.
pub const EVERY: &[Guard] = &[
    Guard::By(worker),
    Guard::By(as_root),
    Guard::By(phase_known),
    Guard::Sound("identity/wrong-machine"),
    Guard::By(confirmed),
    Guard::By(once),
    Guard::By(at_rest),
    Guard::Sound("mounts/read-only"),
    Guard::By(looked_at),
    Guard::By(as_read),
];

/// The node was not read, or not to the end: then nothing else is worth asking.
pub fn unread(node: &View<'_>) -> Option<Refusal> {
    let refused =
        |guard: &str, reason: String, next: String| Refusal { guard: guard.to_owned(), unknown: true, reason, next };
    if let Some(failure) = &node.report.failure {
        return Some(refused(SWEPT, format!("unreachable: {}", failure.message), failure.next.clone()));
    }
    if node.report.facts.is_none() {
        return Some(refused(
            SWEPT,
            "nothing of it could be read".to_owned(),
            format!("seaworthy diagnose {}", node.name),
        ));
    }
    None
}

/// What is meant for workers destroys a control plane.
pub fn worker(node: &View<'_>) -> Option<Refusal> {
    let refused = |reason: &str, next: &str| {
        Some(Refusal { guard: WORKER.to_owned(), unknown: false, reason: reason.to_owned(), next: next.to_owned() })
    };
    let own = &node.facts.identity.control_plane;
    if let (true, Said::Fails(finding)) = (own.is_true(), node.said("identity/control-plane-as-worker")) {
        return Some(node.refused_by(finding));
    }
    let leave = "leave it out: nothing is changed on a control plane";
    if own.is_true() {
        return refused("it is a control plane", leave);
    }
    if node.member.node.is_known_and(|known| known.control_plane) {
        return refused("the cluster has it as a control plane", leave);
    }
    if node.report.roles.contains(&Role::ControlPlane) {
        return refused("the inventory lists it as a control plane", "correct the inventory if it is a worker");
    }
    own.reason().map(|why| Refusal {
        next: "sweep it with -b, so that root looks for /etc/kubernetes/manifests and /var/lib/etcd".to_owned(),
        ..node.not_known(WORKER, &format!("whether it is a worker is not known: {why}"))
    })
}

/// An ordinary user sees too little to judge by.
fn as_root(node: &View<'_>) -> Option<Refusal> {
    const GUARD: &str = "permissions/not-root";
    match &node.facts.identity.root {
        Fact::Known(true) => None,
        Fact::Known(false) | Fact::Absent => Some(Refusal {
            guard: GUARD.to_owned(),
            unknown: false,
            reason: "it was read as an ordinary user, who sees only part of it".to_owned(),
            next: "use -b: root is needed for what is to be done, too".to_owned(),
        }),
        Fact::Unknown(why) => Some(node.not_known(GUARD, why)),
    }
}

/// The same fact is a fault in one phase and normal in another.
fn phase_known(node: &View<'_>) -> Option<Refusal> {
    // An ordinary user's view is refused already.
    let unknown = node.report.phase.is_none() && !node.facts.identity.root.is_false();
    unknown.then(|| node.not_known("phase", "whether it has joined is not known"))
}

/// Something says that it is the machine that was meant: its name, or the address that was dialled.
fn confirmed(node: &View<'_>) -> Option<Refusal> {
    const GUARD: &str = "identity/named-otherwise";
    match node.said(GUARD) {
        Said::Fails(finding) => {
            let next = format!(
                "look at it; if it is {}, go on with --accept-unknown {GUARD}, or correct the inventory",
                node.name
            );
            Some(Refusal { unknown: true, next, ..node.refused_by(finding) })
        }
        // The names can only be compared where both are known; the check itself is no more than a hint then.
        _ => None,
    }
}

/// One machine under two names would be changed twice at the same time.
fn once(node: &View<'_>) -> Option<Refusal> {
    let twin = node.fleet.first_of_machine(node).filter(|first| first.name != node.name)?;
    let same_boot = boot(twin.facts).is_some() && boot(twin.facts) == boot(node.facts);
    Some(if same_boot {
        Refusal {
            guard: "cluster/listed-twice".to_owned(),
            unknown: false,
            reason: format!("it is the same machine as {}, which is changed in this run", twin.name),
            next: "take one of the two names out of the inventory, or out of the run".to_owned(),
        }
    } else {
        Refusal {
            guard: "cluster/duplicate-machine-id".to_owned(),
            unknown: false,
            reason: format!("it has the machine-id of {}, which is changed in this run", twin.name),
            next:
                "give the clone a machine-id of its own and reboot it: seaworthy explain cluster/duplicate-machine-id"
                    .to_owned(),
        }
    })
}

fn boot(facts: &NodeFacts) -> Option<&str> {
    facts.identity.boot_id.known().map(|id| id.trim()).filter(|id| !id.is_empty())
}

/// Neither kubeadm nor a package manager is at work: half of what they do may be there.
pub fn at_rest(node: &View<'_>) -> Option<Refusal> {
    const GUARD: &str = "join/running";
    let kubeadm = &node.facts.kubeadm;
    let busy = |reason: String| {
        let next = format!("wait until it is done, then try again: seaworthy diagnose {}", node.name);
        Some(Refusal { guard: GUARD.to_owned(), unknown: false, reason, next })
    };
    if kubeadm.running.is_true() {
        let word = kubeadm.arguments.known().and_then(|words| words.get(1)).map_or("join", String::as_str);
        let word = if word == "join" { "join".to_owned() } else { format!("kubeadm {word}") };
        let since = kubeadm.bootstrap_conf_written.known().and_then(|at| jiff::Timestamp::from_second(*at).ok());
        let since = since.map_or_else(String::new, |at| format!(" since {}", at.strftime("%F %T UTC")));
        return busy(clip(&format!("a {word} is running{since}")));
    }
    if let Some(lock) = kubeadm.locks.known().and_then(|locks| locks.first()) {
        return busy(clip(&format!("a package manager is at work: it holds {lock}")));
    }
    if kubeadm.ansible.is_true() {
        return busy("an Ansible run is at work on it".to_owned());
    }
    let why = kubeadm.running.reason().or_else(|| kubeadm.locks.reason())?;
    Some(node.not_known(GUARD, &format!("whether kubeadm or a package manager is at work is not known: {why}")))
}

fn looked_at(node: &View<'_>) -> Option<Refusal> {
    let unseen = node.state.is_none();
    unseen.then(|| Refusal {
        next: "try again; the look needs a connection and root".to_owned(),
        ..node.not_known(LOOKED_AT, "the files that would be changed could not be looked at")
    })
}

/// Between the reading and the look it is the same machine in the same boot.
fn as_read(node: &View<'_>) -> Option<Refusal> {
    let state = node.state?;
    let again = "try again: the plan has to be made of one machine in one boot";
    let refused = |reason: &str| Refusal {
        guard: MACHINE.to_owned(),
        unknown: false,
        reason: reason.to_owned(),
        next: again.to_owned(),
    };
    match (machine(node.facts), boot(node.facts)) {
        (Some(id), _) if id != state.machine_id.trim() => {
            Some(refused("another machine answered than the one that was read (machine-id)"))
        }
        (_, Some(id)) if id != state.boot_id.trim() => Some(refused("it has rebooted since it was read")),
        (Some(_), Some(_)) => None,
        _ => Some(Refusal {
            next: "give it a machine-id (systemd-machine-id-setup)".to_owned(),
            ..node.not_known(MACHINE, "it has no machine-id or boot id to be known by")
        }),
    }
}
