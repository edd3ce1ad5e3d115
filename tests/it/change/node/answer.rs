//! What a pretended node answers to a probe: a demo node's words, in the state that its root is in.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use seaworthy::demo::{self, Behaviour, Plan, State};
use seaworthy::target::Role;

use super::Node;

impl Node {
    /// Makes the root's identity that of its answers to probes.
    pub(super) fn identify(&self) {
        let answer = self.answer("0".repeat(32).as_str());
        let value = |key: &str| {
            let line = answer.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.to_owned()
        };
        let (machine, boot) = (value("machine_id="), value("boot_id="));
        self.put("/etc/machine-id", format!("{machine}\n"));
        self.put("/proc/sys/kernel/random/boot_id", format!("{boot}\n"));
        *self.boot_id.lock().unwrap() = (boot.clone(), boot);
    }

    /// Its answer to a probe.
    pub(super) fn answer(&self, nonce: &str) -> String {
        let cluster = &self.cluster;
        let pretended = cluster.pretended.lock().unwrap().clone();
        let nodes = cluster.members.iter().enumerate().map(|(index, (name, root))| demo::Node {
            name: name.clone(),
            role: if index == 0 { Role::ControlPlane } else { Role::Worker },
            state: pretended.get(name).copied().unwrap_or_else(|| state_of(root)),
            behaviour: Behaviour::Answer,
            address: Ipv4Addr::new(10, 20, 1, u8::try_from(index + 1).unwrap()),
        });
        let plan = Plan { seed: 7, nodes: nodes.collect() };
        let answer = demo::answer(&plan, self.index, cluster.started, nonce);
        let mut answer = String::from_utf8_lossy(&answer).into_owned();
        let (first, now) = self.boot_id.lock().unwrap().clone();
        if first != now {
            answer = answer.replace(&first, &now);
        }
        for (instead_of, this) in self.said.lock().unwrap().iter() {
            answer = answer.replace(instead_of, this);
        }
        answer
    }
}

fn state_of(root: &Path) -> State {
    let has = |path: &str| root.join(path).exists();
    if has("etc/kubernetes/manifests/kube-apiserver.yaml") {
        return State::ControlPlane;
    }
    if !has("etc/kubernetes/kubelet.conf") {
        return if has("etc/kubernetes/bootstrap-kubelet.conf") { State::StorageNode } else { State::Prepared };
    }
    let conflists = fs::read_dir(root.join("etc/cni/net.d")).into_iter().flatten().flatten();
    let loadable = |name: std::ffi::OsString| name.to_string_lossy().ends_with(".conflist");
    if conflists.map(|entry| entry.file_name()).any(loadable) { State::Worker } else { State::NoCni }
}
