//! What has to come after kubeadm is done: each with its own deadline, and with what was seen last when it does not come.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::cluster::NodeObject;
use super::machine::Machine;
use super::{Driver, Progress, Stage, Until, short};
use crate::change::journal::Outcome;
use crate::reach::capture::{Dial, Healthz};

const DEADLINE: Duration = Duration::from_secs(30);

/// The files that libcni loads.
const CNI_FILES: &str = "ls -1 \"${R-}/etc/cni/net.d\" 2>/dev/null";

/// What a look saw, in words.
enum Seen {
    Yes(String),
    NotYet(String),
}

/// Copies of what lay on the node before an earlier join are of no use once it has joined anew or was reset; the words where they
/// stay.
pub(super) async fn forget_others(worker: &Machine<'_>, run: &str) -> Option<String> {
    let forgotten = worker.repeat(|hand| async move { hand.forget_others(run).await }).await;
    forgotten
        .err()
        .map(|error| format!("copies of earlier runs are left in /var/lib/seaworthy: {}", short(&error.to_string())))
}

impl Driver<'_, '_> {
    /// Waits for what has to come; the node has joined whatever comes of it.
    pub(super) async fn after(&self, mut evidence: Vec<String>) -> Outcome {
        evidence.extend(forget_others(&self.worker, self.ctx.run).await);
        let limits = self.ctx.limits;
        let stages: &[(Stage, Duration)] = match self.ctx.until {
            Until::NodeObject => &[(Stage::Kubelet, limits.kubelet), (Stage::NodeObject, limits.node_object)],
            Until::NodeReady => &[
                (Stage::Kubelet, limits.kubelet),
                (Stage::NodeObject, limits.node_object),
                (Stage::CniConfig, limits.cni),
                (Stage::NodeReady, limits.ready),
            ],
        };
        for (stage, at_most) in stages {
            self.tell(Progress::Waiting(*stage));
            match self.wait(*stage, *at_most).await {
                Ok(seen) => evidence.push(seen),
                Err(last) => {
                    let (what, next) = words(*stage, &self.join.node_name);
                    evidence.push(format!("seen last: {last}"));
                    let why = format!("the node has joined, and {what} within {} s", at_most.as_secs());
                    return Outcome::Failed { why, next, evidence };
                }
            }
        }
        Outcome::Done { evidence }
    }

    async fn wait(&self, stage: Stage, at_most: Duration) -> Result<String, String> {
        let until = Instant::now() + at_most;
        loop {
            let seen = match stage {
                Stage::Kubelet => self.kubelet().await,
                Stage::NodeObject => self.object(false).await,
                Stage::NodeReady => self.object(true).await,
                Stage::CniConfig => self.cni().await,
            };
            match seen {
                Seen::Yes(words) => return Ok(words),
                Seen::NotYet(last) if Instant::now() + self.ctx.limits.poll > until => return Err(last),
                Seen::NotYet(_) => sleep(self.ctx.limits.poll).await,
            }
        }
    }

    /// By its own word; where its sshd does not forward, by its unit.
    async fn kubelet(&self) -> Seen {
        let said = self.ctx.visitor.kubelet(self.worker.hand().line()).await;
        match said.as_ref().map(|said| (&said.answer, &said.dial)) {
            Some((Some(Healthz::Answered { status: 200, .. }), _)) => {
                return Seen::Yes("the kubelet says that it is healthy".to_owned());
            }
            Some((Some(Healthz::Answered { status, words }), _)) => {
                return Seen::NotYet(format!("the kubelet answers {status}: {}", short(words)));
            }
            Some((Some(Healthz::Failed { words }), _)) => {
                return Seen::NotYet(format!("the kubelet does not answer: {}", short(words)));
            }
            Some((None, Dial::Failed { words, .. })) => {
                return Seen::NotYet(format!("nobody answers on the kubelet's health port: {}", short(words)));
            }
            Some((None, Dial::Silent { .. } | Dial::Open { .. })) => {
                return Seen::NotYet("the kubelet's health port does not answer".to_owned());
            }
            Some((None, Dial::Forbidden { .. } | Dial::Lost { .. } | Dial::NotTried { .. })) | None => {}
        }
        match self.worker.run("systemctl is-active kubelet", DEADLINE).await {
            Ok(ran) if ran.stdout.trim() == "active" => Seen::Yes("the kubelet's unit is active".to_owned()),
            Ok(ran) => Seen::NotYet(format!("the kubelet's unit is {}", short(&ran.stdout))),
            Err(error) => Seen::NotYet(short(&error.to_string())),
        }
    }

    async fn object(&self, wants_ready: bool) -> Seen {
        let name = &self.join.node_name;
        match self.cluster().node(name).await {
            Ok(NodeObject::There { ready: true, .. }) if wants_ready => Seen::Yes(format!("the Node {name} is Ready")),
            Ok(NodeObject::There { status, .. }) if wants_ready => {
                let because = self.cluster().not_ready_because(name).await;
                Seen::NotYet(format!(
                    "the Node {name} is {status}{}",
                    because.map(|why| format!(": {why}")).unwrap_or_default()
                ))
            }
            Ok(NodeObject::There { status, .. }) => Seen::Yes(format!("the Node {name} is there: {status}")),
            Ok(NodeObject::Absent) => Seen::NotYet(format!("there is no Node {name}")),
            Err(error) => Seen::NotYet(error.why),
        }
    }

    async fn cni(&self) -> Seen {
        match self.worker.run(CNI_FILES, DEADLINE).await {
            Ok(ran) => match loadable(&ran.stdout) {
                Some(file) => Seen::Yes(format!("/etc/cni/net.d has {file}")),
                None => Seen::NotYet("/etc/cni/net.d has no configuration".to_owned()),
            },
            Err(error) => Seen::NotYet(short(&error.to_string())),
        }
    }
}

/// The file that libcni would take: the first by name of those with its extensions.
fn loadable(listed: &str) -> Option<String> {
    let has = |name: &&str| [".conflist", ".conf", ".json"].iter().any(|extension| name.ends_with(extension));
    let mut names: Vec<&str> = listed.lines().map(str::trim).filter(has).collect();
    names.sort_unstable();
    names.first().map(|name| short(name))
}

/// What did not come, and what to do.
fn words(stage: Stage, name: &str) -> (&'static str, String) {
    match stage {
        Stage::Kubelet => ("its kubelet was not healthy", "on the node: journalctl -u kubelet -n 50".to_owned()),
        Stage::NodeObject => (
            "its Node object did not appear",
            "on the node: journalctl -u kubelet -n 200 | grep -i register; on the control plane: kubectl get nodes -o wide".to_owned(),
        ),
        Stage::CniConfig => (
            "it got no CNI configuration",
            format!("look at the flannel pod of {name} (kubectl -n kube-flannel get pods -o wide), or bring it with seaworthy flannel push"),
        ),
        Stage::NodeReady => ("it was not Ready", format!("on the control plane: kubectl describe node {name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_libcni_loads_is_a_configuration() {
        assert_eq!(
            loadable(".10-flannel.conflist.tmp\n20-x.conf\n10-flannel.conflist\n"),
            Some("10-flannel.conflist".to_owned())
        );
        assert_eq!(loadable("README\n.10-flannel.conflist.run.bak\n"), None);
    }
}
