//! What of a node's files has to be looked at before a playbook can be planned for it: every path that a step writes, moves or
//! must find as it was. Pure; the look itself is `hand`'s.

use std::collections::BTreeMap;

use super::guards::flannel::{FILE, conf_dir, target};
use super::steps::join_writes;
use crate::facts::NodeFacts;
use crate::playbook::{Playbook, Step};

/// Whether a file's content is brought along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// Its hash is enough, or it may hold a secret.
    Left,
    /// For a diff.
    Brought,
}

/// The paths of one node, absolute, by what its sweep said.
pub fn wanted(playbook: &Playbook, facts: &NodeFacts) -> BTreeMap<String, Content> {
    let mut paths = BTreeMap::new();
    let mut look = |path: &str, content: Content| {
        let kept = paths.entry(path.to_owned()).or_insert(content);
        *kept = (*kept).max(content);
    };
    for step in &playbook.steps {
        match step {
            Step::WriteFile { path, mode, .. } => look(path, content_of(path, *mode)),
            Step::Flannel { .. } => {
                look(conf_dir(facts), Content::Left);
                look(&target(facts), Content::Brought);
                // What sorts before decides, and must not come or go unseen.
                for file in facts.cni.files.known().into_iter().flatten().filter(|file| file.name != FILE) {
                    look(&format!("{}/{}", conf_dir(facts), file.name), Content::Left);
                }
            }
            Step::KubeadmJoin { .. } => {
                let minor = facts.kubeadm.version_minor.known().copied().unwrap_or(u32::MAX);
                for path in join_writes(minor) {
                    look(&path, Content::Left);
                }
            }
            Step::KubeadmReset => look("/etc/kubernetes/kubelet.conf", Content::Left),
            Step::RestartService { .. } | Step::WaitFor { .. } | Step::Command { .. } => {}
        }
    }
    paths
}

/// A file that not everybody may read, or that lies where secrets do, is compared by its hash only.
fn content_of(path: &str, mode: u32) -> Content {
    const SECRET: [&str; 8] = [
        "/etc/kubernetes/",
        "/var/lib/kubelet/",
        "/etc/shadow",
        "/etc/gshadow",
        "/etc/ssh/ssh_host",
        "/root/",
        "/home/",
        "/etc/ssl/private/",
    ];
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    let secret = SECRET.iter().any(|place| path.starts_with(place)) || matches!(extension, "key" | "pem");
    if secret || mode & 0o004 == 0 { Content::Left } else { Content::Brought }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_of_what_may_be_secret_stays_on_the_node() {
        assert_eq!(content_of("/etc/sysctl.d/99-kubernetes.conf", 0o644), Content::Brought);
        for (path, mode) in [
            ("/etc/sysctl.d/99-kubernetes.conf", 0o640),
            ("/etc/kubernetes/kubelet.conf", 0o644),
            ("/etc/pki/tls/private/node.key", 0o644),
            ("/root/.kube/config", 0o644),
        ] {
            assert_eq!(content_of(path, mode), Content::Left, "{path}");
        }
    }
}
