//! What the tests of joins share: a fleet with an API server, the journal of a run, and one call for what is done to it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use futures::FutureExt as _;
use seaworthy::change::hand::Hand;
use seaworthy::change::join::settle::Settled;
use seaworthy::change::join::{self, JoinContext, Limits, Progress, Until, Way};
use seaworthy::change::journal::Outcome;
use seaworthy::change::journal::file::Journal;
use seaworthy::change::plan::Join;
use seaworthy::reach::{Bounds, Line, Visitor};
use seaworthy::ssh::Session;

use crate::change::api::{Api, Shows};
use crate::change::bench::until;
use crate::change::node::{ENDPOINT, Fleet, Node};
use crate::ssh::support::Client;

pub(super) const RUN: &str = "20250910-141704";
pub(super) const WAIT: Duration = Duration::from_secs(30);

/// A fleet of a control plane and one worker, with an API server, and the journal of a run.
pub(super) struct Stage {
    pub(super) fleet: Fleet,
    pub(super) api: Api,
    journal: Journal,
    lines: Arc<Mutex<Vec<u8>>>,
}

pub(super) fn stage() -> Stage {
    stage_with(&Shows::default())
}

pub(super) fn stage_with(shows: &Shows) -> Stage {
    let fleet = Fleet::start(["master", "w1"]);
    let api = Api::with(&fleet, &["w1"], shows);
    fleet.node("w1").put("/units/kubelet", "activating\n");
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    let journal = Journal::through(Path::new("journal.jsonl"), &[], move |line| {
        kept.lock().unwrap().extend_from_slice(line);
        Ok(())
    });
    Stage { fleet, api, journal, lines }
}

/// Connections to one node, opened as they are needed; they live as long as this does.
pub(super) struct Ways<'f> {
    fleet: &'f Fleet,
    node: &'static str,
    slots: [OnceLock<(Client, Session)>; 8],
    used: AtomicUsize,
}

impl<'f> Ways<'f> {
    pub(super) fn new(fleet: &'f Fleet, node: &'static str) -> Self {
        Self { fleet, node, slots: Default::default(), used: AtomicUsize::new(0) }
    }

    pub(super) async fn open(&self) -> Hand<'_> {
        let slot = &self.slots[self.used.fetch_add(1, Ordering::SeqCst)];
        assert!(slot.set(Box::pin(self.fleet.connect(self.node)).await).is_ok());
        Hand::new(Line::Session(&slot.get().unwrap().1), None)
    }
}

/// What is done to a join while it runs, by what it tells.
pub(super) type Meddle<'m> = &'m (dyn Fn(&Progress) + Send + Sync);

pub(super) const NOTHING: Meddle<'static> = &|_| {};

#[derive(Clone, Copy)]
pub(super) enum What {
    Run,
    Settle,
    Resume,
    Unjoin,
}

impl Stage {
    pub(super) fn worker(&self) -> &Node {
        self.fleet.node("w1")
    }

    pub(super) fn join(&self) -> Join {
        Join {
            control_plane: "master".to_owned(),
            endpoint: ENDPOINT.to_owned(),
            ca_pins: vec![self.api.pin.clone()],
            node_name: "w1".to_owned(),
            kubeadm_minor: 29,
            ignore: Vec::new(),
            attempts: 3,
            backoff: Duration::ZERO,
            writes: [
                "/etc/kubernetes/pki/ca.crt",
                "/etc/kubernetes/bootstrap-kubelet.conf",
                "/etc/kubernetes/kubelet.conf",
                "/var/lib/kubelet/config.yaml",
                "/var/lib/kubelet/kubeadm-flags.env",
                "/var/lib/kubelet/pki",
            ]
            .map(str::to_owned)
            .to_vec(),
            stale_ca: None,
        }
    }

    pub(super) async fn go(&self, what: What, join: &Join, meddle: Meddle<'_>) -> (Outcome, Vec<Progress>) {
        self.go_until(Until::NodeObject, &[], what, join, meddle).await
    }

    pub(super) async fn go_until(
        &self,
        until: Until,
        accept_unknown: &[String],
        what: What,
        join: &Join,
        meddle: Meddle<'_>,
    ) -> (Outcome, Vec<Progress>) {
        Box::pin(self.do_it(until, accept_unknown, what, join, meddle)).await
    }

    async fn do_it(
        &self,
        until: Until,
        accept_unknown: &[String],
        what: What,
        join: &Join,
        meddle: Meddle<'_>,
    ) -> (Outcome, Vec<Progress>) {
        let (worker, master) = (Ways::new(&self.fleet, "w1"), Ways::new(&self.fleet, "master"));
        let visitor = Visitor::new(Bounds { dial: WAIT, tls: WAIT, http: WAIT, after: WAIT });
        let told = Mutex::new(Vec::new());
        let tell = |progress: Progress| {
            self.api.tokens();
            meddle(&progress);
            told.lock().unwrap().push(progress);
        };
        let short = Duration::from_millis(50);
        let limits = Limits { signature: Duration::ZERO, watch: short, poll: short, cni: short, ..Limits::default() };
        let worker_again = || worker.open().map(Ok).boxed();
        let master_again = || master.open().map(Ok).boxed();
        let ctx = JoinContext {
            run: RUN,
            node: "w1",
            worker: Way { hand: worker.open().await, again: &worker_again },
            control_plane: Way { hand: master.open().await, again: &master_again },
            visitor: &visitor,
            journal: &self.journal,
            progress: &tell,
            interrupted: &|| false,
            accept_unknown,
            until,
            limits,
        };
        let outcome = match what {
            What::Run => join::run(&ctx, join).await,
            What::Resume => join::settle::resume(&ctx, join).await,
            What::Settle => match join::settle::run(&ctx, join).await {
                Settled::Ended(outcome) => outcome,
                Settled::AsBefore { left } => Outcome::Skipped { why: format!("as before {left:?}") },
            },
            What::Unjoin => join::unjoin::run(&ctx, join).await,
        };
        (outcome, told.into_inner().unwrap())
    }

    pub(super) async fn run(&self) -> Outcome {
        self.go(What::Run, &self.join(), NOTHING).await.0
    }

    /// All files of the worker but those of this program's own business and the stubs'.
    pub(super) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let root = self.worker().path("/");
        let own = ["run/", "fail/", "hold/", "units/"];
        let all = self
            .worker()
            .files()
            .into_iter()
            .map(|path| (path.strip_prefix(&root).unwrap().to_owned(), fs::read(path).unwrap()));
        all.filter(|(path, _)| !own.iter().any(|own| path.starts_with(own))).collect()
    }

    pub(super) fn calls(&self, node: &str, program: &str) -> Vec<String> {
        let calls = self.fleet.node(node).calls();
        calls.into_iter().filter(|call| call.starts_with(program)).collect()
    }

    /// No token in the cluster, on any disk, in the journal or in what was said; no job, and nothing that runs.
    pub(super) async fn assert_clean(&self, said: &impl std::fmt::Debug) {
        assert_eq!(self.fleet.tokens(), Vec::<String>::new());
        let tokens = self.api.tokens();
        let journal = String::from_utf8(self.lines.lock().unwrap().clone()).unwrap();
        let said = format!("{said:?}");
        for token in tokens {
            let secret = token.split_once('.').unwrap().1;
            assert_eq!(self.fleet.on_disk(secret), Vec::<PathBuf>::new());
            assert!(!journal.contains(secret), "{journal}");
            assert!(!said.contains(secret), "{said}");
            assert!(!self.worker().calls().iter().any(|call| call.contains(secret)));
        }
        assert!(!self.worker().path("/run/seaworthy/join").exists());
        // Who watched the job over a connection that is gone sees its end a moment later.
        until("something still runs on the node", || self.worker().processes().is_empty()).await;
    }

    /// As before the join: no file was added, changed or left.
    pub(super) fn assert_as_before(&self, before: &BTreeMap<PathBuf, Vec<u8>>) {
        assert_eq!(&self.files(), before);
        assert_eq!(
            self.worker().get("/units/kubelet").as_deref(),
            Some("active\n"),
            "it is tried again for ever, as before"
        );
    }
}

pub(super) fn failed(outcome: &Outcome) -> (&str, &str) {
    match outcome {
        Outcome::Failed { why, next, .. } => (why, next),
        other => panic!("{other:?}"),
    }
}
