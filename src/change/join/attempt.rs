//! One attempt: token, proof, the files of before kept, kubeadm in its job, and its end. A failed one is put back.

use tokio::sync::{mpsc, watch as channel};
use tokio::time::{Duration, Instant, interval, sleep_until};

use super::cluster::NodeObject;
use super::heard::{Failed, Heard};
use super::machine::is_lost;
use super::proof::Proof;
use super::retry::Ended;
use super::token::{Made, Token};
use super::watch::{self, Certain};
use super::{Driver, JOB, Progress, discovery, of_hand, prove, short};
use crate::change::hand::{HandError, Job, JobEnd};
use crate::change::journal::{Entry, Found, Outcome};
use crate::diagnose::join_log::Phase;

/// What one attempt came to.
pub(super) enum Attempted {
    Joined {
        evidence: Vec<String>,
    },
    /// The node is as before.
    Failed(Failed),
}

/// How following the job ended.
pub(super) enum Followed {
    Ended {
        code: i32,
        heard: Heard,
    },
    Certain(Certain),
    /// There is no job any more: the node rebooted.
    Gone,
    Overdue,
}

/// What kubeadm is told, with the token.
const CONFIG: &str = "config.yaml";
const DEADLINE: Duration = Duration::from_mins(1);
/// How often what came is looked at: reading all of it for each line would be a waste.
const REFRESH: Duration = Duration::from_millis(300);

/// Removes nothing but a file; its copy is kept.
fn move_away(path: &str) -> String {
    format!(
        "rm -f -- \"${{R-}}{}\"",
        path.replace(|char: char| !(char.is_ascii_alphanumeric() || "/._-".contains(char)), "")
    )
}

/// The socket of containerd, where kubeadm finds several runtimes and would not choose.
const SOCKETS: &str = "n=0; for s in containerd/containerd.sock crio/crio.sock cri-dockerd.sock; do \
     [ -S \"${R-}/run/$s\" ] && n=$((n + 1)); done; [ $n -gt 1 ] && [ -S \"${R-}/run/containerd/containerd.sock\" ] && echo several; :";
const CONTAINERD: &str = "/run/containerd/containerd.sock";

impl Driver<'_, '_> {
    /// What is there before the first attempt of the run, noted for its undoing.
    pub(super) async fn found(&self) -> Result<Found, Outcome> {
        if let Some(found) = self.ctx.journal.found(self.ctx.node) {
            return Ok(found);
        }
        let object = self.cluster().node(&self.join.node_name).await.map_err(super::Unanswered::refused)?;
        let active = self.worker.run("systemctl is-active kubelet", DEADLINE).await;
        let active = active.map_err(|error| of_hand(&error))?;
        let found = Found {
            node_object: object != NodeObject::Absent,
            kubelet_running: matches!(active.stdout.trim(), "active" | "activating" | "reloading"),
        };
        self.note(Entry::Found { node: self.ctx.node.to_owned(), found }).await?;
        Ok(found)
    }

    /// One attempt; an error ends the whole join.
    pub(super) async fn attempt(&self, number: u32, found: Found) -> Result<Attempted, Outcome> {
        let made = self.make_token(number).await?;
        self.tell(Progress::TokenMade { id: made.token.id().to_owned() });
        let attempted = self.with_token(number, &made, found).await;
        // What is not settled still needs it: kubeadm may be at work there.
        if matches!(attempted, Err(Outcome::Unsettled { .. })) {
            return attempted;
        }
        let left = self.delete_token(made.token.id()).await;
        match (attempted, left) {
            (Ok(Attempted::Joined { mut evidence }), Some(left)) => {
                evidence.push(left);
                Ok(Attempted::Joined { evidence })
            }
            (Ok(Attempted::Failed(mut failed)), Some(left)) => {
                failed.evidence.push(left);
                Ok(Attempted::Failed(failed))
            }
            (attempted, _) => attempted,
        }
    }

    async fn make_token(&self, number: u32) -> Result<Made, Outcome> {
        let made = self.cluster().make_token(self.ctx.run, self.ctx.node).await;
        let made = made.map_err(|error| if number == 1 { error.refused() } else { error.outcome() })?;
        self.note(Entry::TokenMade {
            node: self.ctx.node.to_owned(),
            control_plane: self.join.control_plane.clone(),
            id: made.token.id().to_owned(),
        })
        .await?;
        Ok(made)
    }

    /// Deletes a token and notes it; the words when it stays.
    pub(super) async fn delete_token(&self, id: &str) -> Option<String> {
        match self.cluster().delete_token(id).await {
            Ok(()) => {
                // Where it cannot be noted, a later run deletes what is not there any more.
                let _ = self.note(Entry::TokenDeleted { id: id.to_owned() }).await;
                None
            }
            Err(error) => {
                Some(format!("the token {id} could not be deleted and ends by itself within 15 minutes: {}", error.why))
            }
        }
    }

    async fn with_token(&self, number: u32, made: &Made, found: Found) -> Result<Attempted, Outcome> {
        let join = self.join;
        if let Some(other) =
            made.ca_pins.iter().find(|pin| !join.ca_pins.iter().any(|known| known.eq_ignore_ascii_case(pin)))
        {
            return Err(Outcome::Refused {
                why: format!(
                    "the cluster's CA is not the one of the plan: {other} instead of {}",
                    join.ca_pins.join(", ")
                ),
                next: "run it again: it makes a new plan".to_owned(),
            });
        }
        let proof = prove::prove(&self.worker, self.ctx.visitor, join, &made.token, self.ctx.limits.signature).await;
        match proof.map_err(|error| of_hand(&error))? {
            Proof::Holds { evidence } => self.tell(Progress::Proven { evidence }),
            Proof::Fails(flaw) => {
                self.note_put_back().await;
                let evidence = vec![format!("seen from the node, before kubeadm was started ({})", flaw.kind.check())];
                let ended = Ended::new(flaw.kind.class(), &flaw.why);
                return Ok(Attempted::Failed(Failed { ended, why: flaw.why, next: flaw.next, evidence }));
            }
            Proof::Unknown { why } => {
                const CHECK: &str = "join/api-unreachable";
                if !self.ctx.accept_unknown.iter().any(|accepted| accepted == CHECK) {
                    return Err(Outcome::Refused {
                        why: format!("whether the node can join is not known: {why}"),
                        next: format!(
                            "allow forwarding in the node's sshd_config (AllowTcpForwarding), or accept it with --accept-unknown {CHECK}"
                        ),
                    });
                }
                self.tell(Progress::Proven { evidence: vec![format!("accepted as unknown: {why}")] });
            }
        }
        if let Err(error) = self.begin(number, &made.token).await {
            return Err(self.broken(&error, found).await);
        }
        self.tell(Progress::Started { attempt: number });
        self.conclude(self.follow(made.token.id()).await, found).await
    }

    /// Everything up to a running kubeadm.
    async fn begin(&self, number: u32, token: &Token) -> Result<(), HandError> {
        let (run, join) = (self.ctx.run, self.join);
        let mut kept = join.writes.clone();
        kept.extend(join.stale_ca.iter().filter(|path| !join.writes.contains(path)).cloned());
        let kept = kept.as_slice();
        self.worker.repeat(|hand| async move { hand.keep(run, kept).await }).await?;
        if let Some(path) = &join.stale_ca {
            let command = move_away(path);
            self.worker.run(&command, DEADLINE).await?;
        }
        let several = self.worker.run(SOCKETS, DEADLINE).await?;
        let socket = several.stdout.contains("several").then_some(CONTAINERD);
        let job = Job {
            name: JOB.to_owned(),
            run: run.to_owned(),
            attempt: number,
            // In the job's directory, which only the node knows.
            command: format!("kubeadm join --config {CONFIG} --v=5"),
            secret_file: Some((CONFIG.to_owned(), discovery::text(join, token, socket))),
        };
        let job = &job;
        self.worker.repeat(|hand| async move { hand.start_job(job).await }).await
    }

    /// Follows the job to its end, over as many connections as it takes.
    pub(super) async fn follow(&self, token_id: &str) -> Result<Followed, HandError> {
        let mut heard = Heard::default();
        let (reached, phases) = channel::channel(Phase::Start);
        let cluster = self.cluster();
        let certain = watch::certain(&self.worker, &cluster, token_id, self.ctx.limits.watch, phases);
        tokio::pin!(certain);
        let deadline = Instant::now() + self.ctx.limits.join;
        let mut refresh = interval(REFRESH);
        loop {
            let hand = self.worker.hand();
            let (tell, mut told) = mpsc::unbounded_channel();
            let end = {
                let following = hand.follow_job(JOB, heard.received, tell);
                tokio::pin!(following);
                loop {
                    tokio::select! {
                        Some(chunk) = told.recv() => heard.take(&chunk),
                        end = &mut following => break end,
                        _ = refresh.tick() => self.told(&mut heard, &reached),
                        certain = &mut certain => return Ok(Followed::Certain(certain)),
                        () = sleep_until(deadline) => return Ok(Followed::Overdue),
                    }
                }
            };
            while let Ok(chunk) = told.try_recv() {
                heard.take(&chunk);
            }
            self.told(&mut heard, &reached);
            match end {
                Ok(JobEnd::Exit(code)) => return Ok(Followed::Ended { code, heard }),
                Ok(JobEnd::Gone) => return Ok(Followed::Gone),
                Err(error) if is_lost(&error) => {
                    self.tell(Progress::ConnectionLost);
                    let there = self.worker.renew().await?.job(JOB).await?;
                    if there.is_none_or(|there| there.run != self.ctx.run) {
                        return Ok(Followed::Gone);
                    }
                    self.tell(Progress::FoundAgain);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn told(&self, heard: &mut Heard, reached: &channel::Sender<Phase>) {
        if let Some(phase) = heard.reached()
            && reached.send_replace(phase) != phase
        {
            self.tell(Progress::Reached(phase));
        }
    }

    /// What the job's end means; everything but a success is put back.
    pub(super) async fn conclude(
        &self,
        followed: Result<Followed, HandError>,
        found: Found,
    ) -> Result<Attempted, Outcome> {
        let failed = match followed {
            Ok(Followed::Ended { code: 0, .. }) => {
                self.tidy().await?;
                return Ok(Attempted::Joined { evidence: vec!["kubeadm joined the node".to_owned()] });
            }
            Ok(Followed::Ended { code, heard }) => heard.failed(code),
            Ok(Followed::Certain(certain)) => certain.failed(),
            Ok(Followed::Gone) if self.has_joined().await? => {
                self.tidy().await?;
                let evidence = vec!["kubeadm left no word, and the node has its kubelet.conf".to_owned()];
                return Ok(Attempted::Joined { evidence });
            }
            Ok(Followed::Gone) => Failed {
                ended: Ended::new("gone", "no word"),
                why: "the join ended without a word: the node rebooted, or somebody removed the job's directory"
                    .to_owned(),
                next: "look at the node's journal (journalctl --list-boots), then join again".to_owned(),
                evidence: Vec::new(),
            },
            Ok(Followed::Overdue) => Failed {
                ended: Ended::new("overdue", "no end"),
                why: format!("kubeadm join did not end within {} minutes", self.ctx.limits.join.as_secs().div_ceil(60)),
                next: "look at the node for what hangs (a dead mount, a slow disk), then join again".to_owned(),
                evidence: Vec::new(),
            },
            Err(error) => return Err(self.broken(&error, found).await),
        };
        self.tell(Progress::PuttingBack { why: failed.why.clone() });
        self.put_back(found).await?;
        Ok(Attempted::Failed(failed))
    }

    /// The hand failed in the middle: what can be put back is.
    async fn broken(&self, error: &HandError, found: Found) -> Outcome {
        let outcome = of_hand(error);
        if is_lost(error) {
            return outcome;
        }
        self.tell(Progress::PuttingBack { why: short(&error.to_string()) });
        match self.put_back(found).await {
            Ok(()) => outcome,
            Err(worse) => worse,
        }
    }

    /// The node as it was before the attempt. Once more is as good as once.
    pub(super) async fn put_back(&self, found: Found) -> Result<(), Outcome> {
        let run = self.ctx.run;
        let done = async {
            self.worker.repeat(|hand| async move { hand.stop_job(JOB).await }).await?;
            self.worker.run("systemctl stop kubelet", DEADLINE).await?;
            self.worker.repeat(|hand| async move { hand.put_back_kept(run).await }).await?;
            if found.kubelet_running {
                self.worker.run("systemctl start kubelet", DEADLINE).await?;
            }
            self.worker.repeat(|hand| async move { hand.clear_job(JOB).await }).await?;
            self.worker.repeat(|hand| async move { hand.forget_kept(run).await }).await
        };
        done.await.map_err(|error| match of_hand(&error) {
            Outcome::Failed { why, next, evidence } => {
                Outcome::Failed { why: format!("the join failed and could not be put back: {why}"), next, evidence }
            }
            other => other,
        })?;
        if !found.node_object {
            self.delete_node().await?;
        }
        self.note_put_back().await;
        Ok(())
    }

    async fn note_put_back(&self) {
        // Where it cannot be noted, an undo finds that there is nothing to do.
        let _ = self.note(Entry::PutBack { node: self.ctx.node.to_owned() }).await;
    }

    /// Deletes the Node object that this join made, if it came that far.
    pub(super) async fn delete_node(&self) -> Result<(), Outcome> {
        let name = &self.join.node_name;
        let deleted = match self.cluster().node(name).await {
            Ok(NodeObject::Absent) => Ok(()),
            Ok(NodeObject::There { .. }) => self.cluster().delete_node(name).await,
            Err(error) => Err(error),
        };
        deleted.map_err(|error| {
            let next = format!("kubectl delete node {name}, on the control plane, if it is there");
            let why = format!("the files of the node are as before; its Node object may be left: {}", error.why);
            Outcome::Failed { why, next, evidence: Vec::new() }
        })
    }

    /// Removes what a join leaves behind that was not ended by itself: its job, and the file in which kubeadm keeps the token.
    pub(super) async fn tidy(&self) -> Result<(), Outcome> {
        let command = move_away("/etc/kubernetes/bootstrap-kubelet.conf");
        let command = command.as_str();
        let done = async {
            self.worker.repeat(|hand| async move { hand.stop_job(JOB).await }).await?;
            self.worker.repeat(|hand| async move { hand.clear_job(JOB).await }).await?;
            self.worker.run(command, DEADLINE).await
        };
        done.await.map(drop).map_err(|error| of_hand(&error))
    }

    /// The kubelet has its identity: the last file of a join.
    pub(super) async fn has_joined(&self) -> Result<bool, Outcome> {
        let look = "[ -s \"${R-}/etc/kubernetes/kubelet.conf\" ] && echo joined; :";
        let ran = self.worker.run(look, DEADLINE).await.map_err(|error| of_hand(&error))?;
        Ok(ran.stdout.contains("joined"))
    }
}
