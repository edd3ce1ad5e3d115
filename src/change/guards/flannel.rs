//! Guards of `flannel`: the file is flannel's own to write. It is pushed only in a cluster of flannel's, where nothing would
//! shadow it, into a directory that containerd watches, and where flannel's pod is wanted and cannot write it.

use super::{Guard, LOOKED_AT, Refusal, View};
use crate::change::state::Path;
use crate::change::view::{Said, clip};
use crate::facts::api::Pod;
use crate::facts::cluster::FlannelMissing;
use crate::facts::{Fact, NodeFacts};

/// The file that flannel's own init container writes; any other name would stay beside it.
pub const FILE: &str = "10-flannel.conflist";

/// Of every push, also of one that is planned before the node joins.
pub const PLACE: &[Guard] = &[
    Guard::By(flannels_cluster),
    Guard::By(one_flannel),
    Guard::By(nothing_ahead),
    Guard::By(directory),
    Guard::By(writable),
    Guard::By(plain_file),
];

/// Of a push to a node that has joined.
pub const JOINED: &[Guard] = &[
    Guard::By(registered),
    // A valid file that containerd does not see is not helped by another one.
    Guard::Sound("cni/not-loaded"),
    Guard::Sound("flannel/two-daemonsets"),
];

/// Areas whose faults on a control plane are put right first.
pub const CONTROL_PLANE: &[&str] = &["control-plane"];

/// What keeps flannel's pod from starting is why the file is pushed, and nothing against it: an image that does not come.
pub const REASONS: &[&str] = &["containerd/image-pull", "containerd/sandbox-image"];

/// How a directory is called in a state.
const DIRECTORY: &str = "directory";

/// The directory that the node's containerd reads.
pub fn conf_dir(facts: &NodeFacts) -> &str {
    facts.cni.conf_dir.known().map_or("/etc/cni/net.d", |dir| dir.trim_end_matches('/'))
}

/// Where flannel's file belongs on the node.
pub fn target(facts: &NodeFacts) -> String {
    format!("{}/{FILE}", conf_dir(facts))
}

fn refusal(guard: &str, reason: &str, next: &str) -> Refusal {
    Refusal { guard: guard.to_owned(), unknown: false, reason: clip(reason), next: clip(next) }
}

fn flannels_cluster(node: &View<'_>) -> Option<Refusal> {
    const GUARD: &str = "flannel/other-network";
    match &node.member.overlay.runs {
        Fact::Known(true) => None,
        Fact::Known(false) | Fact::Absent => Some(refusal(
            GUARD,
            "the cluster's pod network is not flannel: it has no daemon set and no pod of it",
            "let the network that the cluster has install its own configuration",
        )),
        Fact::Unknown(why) => {
            Some(node.not_known(GUARD, &format!("whether the cluster's pod network is flannel: {why}")))
        }
    }
}

/// Older manifests put flannel into kube-system, newer ones into kube-flannel.
fn one_flannel(node: &View<'_>) -> Option<Refusal> {
    const GUARD: &str = "flannel/two-daemonsets";
    let sets = match &node.cluster.flannel_daemonsets {
        Fact::Known(sets) => sets,
        // Whether there is flannel at all is asked before.
        Fact::Absent => return None,
        Fact::Unknown(why) => return Some(node.not_known(GUARD, why)),
    };
    let at_work: Vec<_> = sets.iter().filter(|set| set.desired != Fact::Known(0)).collect();
    let first = at_work.first()?;
    // One daemon set for each architecture is one flannel.
    let two = at_work.iter().any(|set| set.namespace != first.namespace);
    let names: Vec<String> = at_work.iter().map(|set| format!("{}/{}", set.namespace, set.name)).collect();
    two.then(|| node.refused(GUARD, &format!("the cluster has two flannels: {}", names.join(", "))))
}

/// The file that sorts first is the one that counts: containerd does not go on to the next, not even past a broken one.
fn nothing_ahead(node: &View<'_>) -> Option<Refusal> {
    const GUARD: &str = "cni/file-ahead";
    let files = match &node.facts.cni.files {
        Fact::Known(files) => files,
        Fact::Absent => return None,
        Fact::Unknown(why) => return Some(node.not_known(GUARD, why)),
    };
    let ahead: Vec<&str> =
        files.iter().map(|file| file.name.as_str()).filter(|name| name.as_bytes() < FILE.as_bytes()).collect();
    let first = *ahead.first()?;
    let dir = conf_dir(node.facts);
    // A name as the node gave it is not put into a command line unless it is a plain one.
    let plain = |name: &&&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    let moves: Vec<String> =
        ahead.iter().filter(plain).map(|name| format!("mv {dir}/{name} {dir}/{name}.disabled")).collect();
    let after = match node.said("cni/shadowed") {
        Said::Fails(_) => "; then restart flannel's pod, and see `seaworthy explain cni/shadowed` about cni0",
        _ => "; then push again",
    };
    Some(refusal(
        GUARD,
        &format!("{first} in {dir} sorts before {FILE} and is used instead of it"),
        &format!("give it a name that containerd does not load, on the node: {}{after}", moves.join("; ")),
    ))
}

/// It is never made anew: containerd goes on watching the old one and sees no file any more.
fn directory(node: &View<'_>) -> Option<Refusal> {
    const GUARD: &str = "cni/directory";
    let dir = conf_dir(node.facts);
    match node.state?.paths.get(dir) {
        Some(Path::Other { kind }) if kind == DIRECTORY => None,
        Some(Path::Absent) => Some(refusal(
            GUARD,
            &format!("{dir} is not there: it was deleted, and containerd no longer watches it"),
            "restart containerd on the node, which makes the directory and watches it: systemctl restart containerd; then try again",
        )),
        Some(other) => Some(refusal(
            GUARD,
            &format!("{dir} is {}, and not a directory", other.words()),
            "find out who put it there; containerd is to be restarted after it is a directory again",
        )),
        None => Some(node.not_known(LOOKED_AT, &format!("{dir} was not looked at"))),
    }
}

fn writable(node: &View<'_>) -> Option<Refusal> {
    let dir = conf_dir(node.facts);
    let mounts = node.facts.mounts.list.known()?;
    let holds = |point: &str| {
        dir.strip_prefix(point.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    // The last of several mounts on one point is the one that is seen.
    let holder = mounts.iter().filter(|mount| holds(&mount.mount_point)).max_by_key(|mount| mount.mount_point.len())?;
    holder.read_only.then(|| node.refused("mounts/read-only", &format!("{dir} is on a read-only file system")))
}

fn plain_file(node: &View<'_>) -> Option<Refusal> {
    const GUARD: &str = "cni/file-kind";
    let path = target(node.facts);
    match node.state?.paths.get(&path) {
        Some(Path::Absent | Path::File(_)) => None,
        Some(Path::Other { kind }) => Some(refusal(
            GUARD,
            &format!("{path} is a {kind}, and only a file is replaced"),
            "find out who put it there, and move it away",
        )),
        Some(Path::Unreadable { why }) => Some(node.not_known(GUARD, &format!("{path}: {why}"))),
        None => Some(node.not_known(LOOKED_AT, &format!("{path} was not looked at"))),
    }
}

fn registered(node: &View<'_>) -> Option<Refusal> {
    const GUARD: &str = "node/not-registered";
    match &node.member.node {
        Fact::Known(_) => None,
        Fact::Absent => {
            Some(node.refused(GUARD, "the cluster has no Node object of it, so that no flannel would run there"))
        }
        Fact::Unknown(why) => Some(node.not_known(GUARD, why)),
    }
}

/// Why flannel's pod cannot write the file itself; or why nothing is to be pushed here.
pub fn why_the_pod_cannot(node: &View<'_>) -> Result<String, Refusal> {
    const GUARD: &str = "cluster/flannel-pod-missing";
    match (&node.member.flannel_pod, &node.member.flannel_missing_because) {
        (Fact::Known(pod), _) => of_pod(node, pod),
        (Fact::Unknown(why), _) => Err(node.not_known(GUARD, &format!("whether flannel's pod is there: {why}"))),
        (Fact::Absent, Fact::Known(because)) => {
            let detail = node.member.flannel_missing_detail.known().map_or("the API does not say why", String::as_str);
            match because {
                FlannelMissing::NotScheduled | FlannelMissing::NotCreated if node.facts.cni.settled.is_true() => {
                    Ok(format!("flannel has no pod here: {detail}"))
                }
                FlannelMissing::NotScheduled | FlannelMissing::NotCreated => Err(on_its_way("flannel's pod")),
                FlannelMissing::Unexplained => Err(node.not_known(GUARD, detail)),
                FlannelMissing::NoNodeObject
                | FlannelMissing::NoDaemonset
                | FlannelMissing::Taint
                | FlannelMissing::NotSelected => {
                    Err(node.refused(GUARD, &format!("flannel's daemon set wants no pod here: {detail}")))
                }
            }
        }
        (Fact::Absent, other) => Err(node.not_known(GUARD, other.reason().unwrap_or("the API does not say why"))),
    }
}

fn on_its_way(pod: &str) -> Refusal {
    refusal(
        "cni/config-missing",
        &format!("it has only just joined or booted, and {pod} is on its way"),
        "give it five minutes; then push, if the file is still missing",
    )
}

/// What a pod says while its containers are being made: no reason yet, unless it lasts.
const ON_ITS_WAY: [&str; 2] = ["PodInitializing", "ContainerCreating"];

fn of_pod(node: &View<'_>, pod: &Pod) -> Result<String, Refusal> {
    const GUARD: &str = "flannel/pod-can-write";
    let name = clip(&format!("{}/{}", pod.namespace, pod.name));
    let delete = format!("kubectl -n {} delete pod {}", pod.namespace, pod.name);
    let settled = node.facts.cni.settled.is_true();
    match (pod.phase.known().map(String::as_str), pod.reason.known().map(String::as_str)) {
        (Some("Pending"), reason) => match reason.filter(|reason| settled || !ON_ITS_WAY.contains(reason)) {
            Some(reason) => Ok(format!("its pod {name} has not come through its init containers: {}", clip(reason))),
            None if settled => {
                Err(node.not_known("flannel/pod-failing", &format!("the pod {name} is pending, and does not say why")))
            }
            None => Err(on_its_way(&format!("flannel's pod {name}"))),
        },
        (Some("Failed"), Some(reason)) => Ok(format!("its pod {name} failed: {}", clip(reason))),
        (Some(phase), _) => Err(refusal(
            GUARD,
            &format!(
                "flannel's pod {name} ({}) is through its init containers, so it can write the file itself",
                clip(phase)
            ),
            &format!("delete the pod, on the control plane; the next one writes the file: {delete}"),
        )),
        (None, _) => Err(node.not_known("flannel/pod-failing", &format!("the state of the pod {name} is not known"))),
    }
}
