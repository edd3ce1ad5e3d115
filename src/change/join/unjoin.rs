//! A join taken back: the node leaves the cluster, and what the join wrote is as it was before.

use std::time::Duration;

use super::cluster::NodeObject;
use super::{Driver, JoinContext, bounded, of_hand};
use crate::change::journal::Outcome;
use crate::change::plan::Join;

/// Pods hold secrets in file systems in memory, which are the only ones that are unmounted here.
const STOP_PODS: &str = "systemctl stop kubelet; command -v crictl >/dev/null 2>&1 || { echo no crictl; exit 0; }; \
     s=; [ ! -S /run/containerd/containerd.sock ] || s='-r unix:///run/containerd/containerd.sock'; \
     for p in $(crictl $s pods -q 2>/dev/null); do crictl $s stopp \"$p\"; crictl $s rmp -f \"$p\"; done >/dev/null 2>&1; \
     while read -r _ m t _; do case $m,$t in /var/lib/kubelet/pods/*,tmpfs) umount \"$m\" ;; esac; done <\"${R-}/proc/mounts\"; :";
const DEADLINE: Duration = Duration::from_mins(3);
/// So many pods are named.
const MAX_NAMED: usize = 5;

/// Takes a join back, unless the Node runs what would be lost with it. Once more is as good as once.
pub async fn run(ctx: &JoinContext<'_>, join: &Join) -> Outcome {
    let driver = Driver::new(ctx, join);
    let outcome = match Box::pin(driver.unjoin()).await {
        Ok(outcome) | Err(outcome) => outcome,
    };
    bounded(outcome)
}

impl Driver<'_, '_> {
    async fn unjoin(&self) -> Result<Outcome, Outcome> {
        let Some(found) = self.ctx.journal.found(self.ctx.node) else {
            return Ok(Outcome::Skipped { why: "the join had not changed anything".to_owned() });
        };
        self.refuse_a_later_join().await?;
        self.refuse_to_lose_pods().await?;
        let pods = self.stop_pods().await?;
        self.put_back(found).await?;
        let mut evidence = vec!["the kubelet's files are as they were before the join".to_owned()];
        if !found.node_object {
            evidence.push(format!("there is no Node {} any more", self.join.node_name));
        }
        evidence.extend(pods);
        evidence.extend(self.delete_tokens().await);
        Ok(Outcome::Done { evidence })
    }

    /// A run that joined the node anew has removed the copies of this one.
    async fn refuse_a_later_join(&self) -> Result<(), Outcome> {
        let run = self.ctx.run;
        let kept = self.worker.repeat(|hand| async move { hand.keeps(run).await }).await;
        if kept.map_err(|error| of_hand(&error))? || !self.has_joined().await? {
            return Ok(());
        }
        Err(Outcome::Refused {
            why: "the node was joined anew since, and what lay there before this run is not kept any more".to_owned(),
            next: format!("take back the later run, or take the node out: seaworthy reset {}", self.ctx.node),
        })
    }

    /// Pods of `DaemonSet`s and static ones belong to the node; others would be killed without being moved.
    async fn refuse_to_lose_pods(&self) -> Result<(), Outcome> {
        let name = &self.join.node_name;
        let object = self.cluster().node(name).await.map_err(super::Unanswered::refused)?;
        if object == NodeObject::Absent {
            return Ok(());
        }
        let pods = self.cluster().pods(name).await.map_err(super::Unanswered::refused)?;
        let lost: Vec<String> = pods.into_iter().filter(|pod| !pod.stays_behind).map(|pod| pod.name).collect();
        if lost.is_empty() {
            return Ok(());
        }
        let named = lost.iter().take(MAX_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = lost.len().saturating_sub(MAX_NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Err(Outcome::Refused {
            why: format!("the Node runs pods that would be lost: {named}{more}"),
            next: format!("kubectl drain {name} --ignore-daemonsets, on the control plane, then undo again"),
        })
    }

    /// Ends the kubelet and its pods, which would run on without it; the words when they cannot be ended.
    async fn stop_pods(&self) -> Result<Option<String>, Outcome> {
        let ran = self.worker.run(STOP_PODS, DEADLINE).await.map_err(|error| of_hand(&error))?;
        let words = "the containers of its pods run on until they are removed or it reboots: the node has no crictl";
        Ok(ran.stdout.contains("no crictl").then(|| words.to_owned()))
    }
}
