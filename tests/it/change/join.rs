//! Joins against pretended nodes: the order of what is done, what is noticed at once, what is put back, and that no token stays.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use futures::FutureExt as _;
use seaworthy::change::hand::Hand;
use seaworthy::change::join::settle::Settled;
use seaworthy::change::join::{self, JoinContext, Limits, Progress, Until, Way};
use seaworthy::change::journal::Outcome;
use seaworthy::change::journal::file::Journal;
use seaworthy::change::plan::{Join, Reset};
use seaworthy::diagnose::join_log::Phase;
use seaworthy::reach::{Bounds, Line, Visitor};
use seaworthy::ssh::Session;

use super::api::{Api, Shows};
use super::node::{ENDPOINT, Fleet, Node};
use crate::ssh::support::Client;

const RUN: &str = "20250910-141704";
const WAIT: Duration = Duration::from_secs(30);

/// A fleet of a control plane and one worker, with an API server, and the journal of a run.
struct Stage {
    fleet: Fleet,
    api: Api,
    journal: Journal,
    lines: Arc<Mutex<Vec<u8>>>,
}

fn stage() -> Stage {
    stage_with(&Shows::default())
}

fn stage_with(shows: &Shows) -> Stage {
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
struct Ways<'f> {
    fleet: &'f Fleet,
    node: &'static str,
    slots: [OnceLock<(Client, Session)>; 8],
    used: AtomicUsize,
}

impl<'f> Ways<'f> {
    fn new(fleet: &'f Fleet, node: &'static str) -> Self {
        Self { fleet, node, slots: Default::default(), used: AtomicUsize::new(0) }
    }

    async fn open(&self) -> Hand<'_> {
        let slot = &self.slots[self.used.fetch_add(1, Ordering::SeqCst)];
        assert!(slot.set(self.fleet.connect(self.node).await).is_ok());
        Hand::new(Line::Session(&slot.get().unwrap().1), None)
    }
}

/// What is done to a join while it runs, by what it tells.
type Meddle<'m> = &'m (dyn Fn(&Progress) + Send + Sync);

const NOTHING: Meddle<'static> = &|_| {};

#[derive(Clone, Copy)]
enum What {
    Run,
    Settle,
    Resume,
    Unjoin,
}

impl Stage {
    fn worker(&self) -> &Node {
        self.fleet.node("w1")
    }

    fn join(&self) -> Join {
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

    async fn go(&self, what: What, join: &Join, meddle: Meddle<'_>) -> (Outcome, Vec<Progress>) {
        let (worker, master) = (Ways::new(&self.fleet, "w1"), Ways::new(&self.fleet, "master"));
        let visitor = Visitor::new(Bounds { dial: WAIT, tls: WAIT, http: WAIT, after: WAIT });
        let told = Mutex::new(Vec::new());
        let tell = |progress: Progress| {
            self.api.tokens();
            meddle(&progress);
            told.lock().unwrap().push(progress);
        };
        let short = Duration::from_millis(50);
        let limits = Limits { signature: Duration::ZERO, watch: short, poll: short, ..Limits::default() };
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
            accept_unknown: &[],
            until: Until::NodeObject,
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

    async fn run(&self) -> Outcome {
        self.go(What::Run, &self.join(), NOTHING).await.0
    }

    /// All files of the worker but those of this program's own business and the stubs'.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let root = self.worker().path("/");
        let own = ["run/", "fail/", "hold/", "units/"];
        let all = self
            .worker()
            .files()
            .into_iter()
            .map(|path| (path.strip_prefix(&root).unwrap().to_owned(), fs::read(path).unwrap()));
        all.filter(|(path, _)| !own.iter().any(|own| path.starts_with(own))).collect()
    }

    fn calls(&self, node: &str, program: &str) -> Vec<String> {
        let calls = self.fleet.node(node).calls();
        calls.into_iter().filter(|call| call.starts_with(program)).collect()
    }

    /// No token in the cluster, on any disk, in the journal or in what was said; no job, and nothing that runs.
    fn assert_clean(&self, said: &impl std::fmt::Debug) {
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
        assert_eq!(self.worker().processes(), BTreeMap::new());
    }

    /// As before the join: no file was added, changed or left.
    fn assert_as_before(&self, before: &BTreeMap<PathBuf, Vec<u8>>) {
        assert_eq!(&self.files(), before);
        assert_eq!(
            self.worker().get("/units/kubelet").as_deref(),
            Some("active\n"),
            "it is tried again for ever, as before"
        );
    }
}

fn failed(outcome: &Outcome) -> (&str, &str) {
    match outcome {
        Outcome::Failed { why, next, .. } => (why, next),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_join_makes_a_token_proves_the_api_and_deletes_the_token() {
    let stage = stage();
    let (outcome, told) = stage.go(What::Run, &stage.join(), NOTHING).await;
    let Outcome::Done { evidence } = &outcome else { panic!("{outcome:?}") };
    assert!(evidence.iter().any(|line| line.contains("healthy")), "{evidence:?}");
    assert!(evidence.iter().any(|line| line.contains("the Node w1 is there")), "{evidence:?}");

    let made = format!("kubeadm token create --ttl 15m --description seaworthy {RUN} w1 --print-join-command");
    let on_master = stage.fleet.node("master").calls();
    let steps: Vec<&str> = on_master
        .iter()
        .map(|call| call.split(' ').take(3).collect::<Vec<_>>().join(" "))
        .map(|s| &*s.leak())
        .collect();
    assert!(on_master.contains(&made), "{on_master:?}");
    let place = |what: &str| steps.iter().position(|step| *step == what).unwrap_or_else(|| panic!("{what}: {steps:?}"));
    assert!(place("kubeadm token create") < place("kubeadm token delete"));
    assert_eq!(stage.calls("w1", "kubeadm"), ["kubeadm join --config config.yaml --v=5"]);
    let stages: Vec<&str> = told
        .iter()
        .filter_map(|progress| match progress {
            Progress::TokenMade { .. } => Some("token"),
            Progress::Proven { .. } => Some("proven"),
            Progress::Started { attempt: 1 } => Some("started"),
            Progress::Waiting(_) => Some("waiting"),
            _ => None,
        })
        .collect();
    assert_eq!(stages, ["token", "proven", "started", "waiting", "waiting"]);
    assert!(stage.worker().get("/etc/kubernetes/kubelet.conf").is_some());
    stage.assert_clean(&(outcome, told));
}

/// A process that looks like the kubelet of a unit.
struct Kubelet(Child);

impl Kubelet {
    fn start(node: &Node, arguments: &[&str]) -> Self {
        // An idle process with that command line; the flags are `sh`'s positional parameters.
        let mut command = Command::new("/bin/sh");
        command.arg0("/usr/bin/kubelet").args(["-c", "read line"]).args(arguments).stdin(std::process::Stdio::piped());
        let child = command.spawn().unwrap();
        let text = format!(
            "case $1 in show) echo MainPID={} ;; is-active) cat \"$R/units/kubelet\" ;; start) echo active >\"$R/units/kubelet\" ;; \
             stop) rm -f \"$R/units/kubelet\" ;; esac\n",
            child.id()
        );
        node.program("systemctl", &text);
        Self(child)
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_standalone_kubelet_is_noticed_while_kubeadm_still_waits() {
    let stage = stage();
    let _kubelet = Kubelet::start(stage.worker(), &[]);
    let before = stage.files();
    stage.worker().put("/hold/kubeadm-join", "");
    let (outcome, told) = stage.go(What::Run, &stage.join(), NOTHING).await;
    let (why, next) = failed(&outcome);
    assert!(why.contains("standalone") && next.contains("--force-confmiss"), "{why}\n{next}");
    assert!(told.contains(&Progress::Reached(Phase::TlsBootstrap)), "{told:?}");
    assert_eq!(stage.calls("w1", "kubeadm join").len(), 1, "it does not pass by itself");
    stage.assert_as_before(&before);
    stage.assert_clean(&(outcome, told));
}

#[tokio::test]
async fn a_kubelet_with_its_kubeconfig_is_waited_for() {
    let stage = stage();
    let _kubelet = Kubelet::start(stage.worker(), &["--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf"]);
    stage.worker().put("/hold/kubeadm-join", "");
    // After several looks for a certain failure it is still waited for.
    let hold = stage.worker().path("/hold/kubeadm-join");
    let looks = || stage.calls("master", "kubectl").iter().filter(|call| call.contains(" get csr ")).count();
    let join = stage.join();
    let (outcome, ()) = tokio::join!(stage.go(What::Run, &join, NOTHING), async {
        let mut turns = tokio::time::interval(Duration::from_millis(20));
        while looks() < 3 {
            turns.tick().await;
        }
        fs::remove_file(&hold).unwrap();
    });
    assert!(matches!(outcome.0, Outcome::Done { .. }), "{outcome:?}");
    stage.assert_clean(&outcome);
}

#[tokio::test]
async fn a_denied_certificate_is_noticed_at_once() {
    let stage = stage();
    let before = stage.files();
    stage.worker().put("/hold/kubeadm-join", "");
    stage.fleet.node("master").program(
        "kubectl",
        "case \" $* \" in\n*' get csr '*) echo \"system:bootstrap:$(head -c 6 \"$C/tokens\") csr-x7x Denied,\" ;;\n\
         *) echo 'Error from server (NotFound)' >&2; exit 1 ;; esac\n",
    );
    let (outcome, told) = stage.go(What::Run, &stage.join(), NOTHING).await;
    let (why, _) = failed(&outcome);
    assert!(why.contains("denied the kubelet's request"), "{why}");
    stage.assert_as_before(&before);
    stage.assert_clean(&(outcome, told));
}

#[tokio::test]
async fn an_api_that_would_refuse_the_join_is_seen_before_anything_is_touched() {
    for (shows, words) in [
        (Shows { signs: false, ..Shows::default() }, "does not sign cluster-info"),
        (Shows { other_ca: true, ..Shows::default() }, "and not the pinned"),
        (Shows { names: vec!["other".to_owned()], ..Shows::default() }, "is for other"),
        (Shows { years: (2020, 2021), ..Shows::default() }, "is over"),
        (Shows { years: (2099, 2100), ..Shows::default() }, "does not hold yet"),
    ] {
        let stage = stage_with(&shows);
        let before = stage.files();
        let (outcome, told) = stage.go(What::Run, &Join { attempts: 1, ..stage.join() }, NOTHING).await;
        assert!(failed(&outcome).0.contains(words), "{outcome:?}");
        assert_eq!(stage.calls("w1", "kubeadm"), Vec::<String>::new());
        assert_eq!(stage.calls("w1", "systemctl stop"), Vec::<String>::new());
        assert_eq!(stage.files(), before);
        stage.assert_clean(&(outcome, told));
    }
}

#[tokio::test]
async fn an_api_that_the_node_cannot_reach_is_seen_before_anything_is_touched() {
    let stage = stage();
    // Port 1 of this machine is nobody's.
    stage.worker().route("10.20.1.99", 6443, ("127.0.0.1", 1));
    let join = Join { endpoint: "10.20.1.99:6443".to_owned(), attempts: 1, ..stage.join() };
    let (outcome, told) = stage.go(What::Run, &join, NOTHING).await;
    assert!(failed(&outcome).0.contains("cannot reach the API at 10.20.1.99:6443"), "{outcome:?}");
    assert_eq!(stage.calls("w1", "kubeadm"), Vec::<String>::new());
    stage.assert_clean(&(outcome, told));
}

#[tokio::test]
async fn a_control_plane_that_makes_no_token_refuses() {
    let stage = stage();
    stage.fleet.node("master").put("/fail/kubeadm-token", "");
    let outcome = stage.run().await;
    let Outcome::Refused { why, next } = &outcome else { panic!("{outcome:?}") };
    assert!(why.contains("the API server does not answer") && next.contains("kube-apiserver"), "{why}\n{next}");
    stage.assert_clean(&outcome);
}

#[tokio::test]
async fn another_ca_than_the_plans_refuses() {
    let stage = stage();
    let join = Join { ca_pins: vec![format!("sha256:{}", "0".repeat(64))], ..stage.join() };
    let (outcome, told) = stage.go(What::Run, &join, NOTHING).await;
    assert!(matches!(&outcome, Outcome::Refused { why, .. } if why.contains("not the one of the plan")), "{outcome:?}");
    stage.assert_clean(&(outcome, told));
}

#[tokio::test]
async fn a_failed_attempt_is_put_back_exactly() {
    let stage = stage();
    let worker = stage.worker();
    worker.put("/etc/kubernetes/pki/ca.crt", "another cluster's CA\n");
    worker.put("/var/lib/kubelet/config.yaml", "kind: Old\n");
    worker.put("/var/lib/kubelet/pki/kubelet.crt", "self-signed\n");
    worker.put("/fail/kubeadm-join", "standalone");
    let before = stage.files();
    let join = Join { stale_ca: Some("/etc/kubernetes/pki/ca.crt".to_owned()), ..stage.join() };
    let (outcome, told) = stage.go(What::Run, &join, NOTHING).await;
    assert!(failed(&outcome).0.contains("never bootstrapped"), "{outcome:?}");
    stage.assert_as_before(&before);
    assert!(!worker.path("/var/lib/seaworthy").exists(), "nothing is kept any more");
    stage.assert_clean(&(outcome, told));
}

#[tokio::test]
async fn only_what_passes_by_itself_is_tried_again_and_with_another_token() {
    let stage = stage();
    stage.worker().put("/fail/kubeadm-join", "token 1");
    let (outcome, told) = stage.go(What::Run, &stage.join(), NOTHING).await;
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    assert_eq!(stage.api.tokens().len(), 2);
    assert_eq!(stage.calls("w1", "kubeadm"), vec!["kubeadm join --config config.yaml --v=5"; 2], "no reset in between");
    assert!(told.contains(&Progress::Retrying { attempt: 2, after: Duration::ZERO }));
    stage.assert_clean(&(outcome, told));
}

#[tokio::test]
async fn the_same_failure_twice_is_the_end() {
    for (fails, attempts) in [("network", 2), ("preflight", 1)] {
        let stage = stage();
        stage.worker().put("/fail/kubeadm-join", fails);
        let before = stage.files();
        let outcome = stage.run().await;
        let Outcome::Failed { evidence, .. } = &outcome else { panic!("{outcome:?}") };
        assert!(evidence.last().unwrap().starts_with("not tried again"), "{evidence:?}");
        assert_eq!(stage.calls("w1", "kubeadm join").len(), attempts, "{fails}");
        stage.assert_as_before(&before);
        stage.assert_clean(&outcome);
    }
}

#[tokio::test]
async fn a_lost_connection_finds_its_join_again() {
    let stage = stage();
    stage.worker().put("/hold/kubeadm-join", "");
    let hold = stage.worker().path("/hold/kubeadm-join");
    let (outcome, told) = stage
        .go(What::Run, &stage.join(), &|progress| match progress {
            Progress::Reached(Phase::TlsBootstrap) => stage.worker().cut(),
            Progress::FoundAgain => fs::remove_file(&hold).unwrap(),
            _ => {}
        })
        .await;
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    assert!(told.contains(&Progress::ConnectionLost));
    assert_eq!(stage.calls("w1", "kubeadm join").len(), 1);
    stage.assert_clean(&(outcome, told));
}

#[tokio::test]
async fn a_node_that_reboots_in_mid_join_is_put_back() {
    let stage = stage();
    let before = stage.files();
    stage.worker().put("/hold/kubeadm-join", "");
    let (outcome, told) = stage
        .go(What::Run, &stage.join(), &|progress| {
            if matches!(progress, Progress::Reached(Phase::TlsBootstrap)) {
                stage.worker().reboot();
            }
        })
        .await;
    assert!(failed(&outcome).0.contains("the node rebooted"), "{outcome:?}");
    let without_boot_id = |mut files: BTreeMap<PathBuf, Vec<u8>>| {
        files.remove(Path::new("proc/sys/kernel/random/boot_id"));
        files
    };
    assert_eq!(without_boot_id(stage.files()), without_boot_id(before));
    stage.assert_clean(&(outcome, told));
}

/// Lets a join run until its kubeadm waits, and forgets it there as a killed program does.
async fn abandoned(stage: &Stage) {
    stage.worker().put("/hold/kubeadm-join", "");
    let waits = tokio::sync::Notify::new();
    let join = stage.join();
    let meddle = |progress: &Progress| {
        if matches!(progress, Progress::Reached(Phase::TlsBootstrap)) {
            waits.notify_one();
        }
    };
    tokio::select! {
        (outcome, _) = stage.go(What::Run, &join, &meddle) => panic!("{outcome:?}"),
        () = waits.notified() => {}
    }
}

#[tokio::test]
async fn a_join_that_nobody_watched_is_found_and_brought_to_its_end() {
    let stage = stage();
    abandoned(&stage).await;
    assert_eq!(stage.fleet.tokens().len(), 1);
    fs::remove_file(stage.worker().path("/hold/kubeadm-join")).unwrap();
    let (outcome, told) = stage.go(What::Settle, &stage.join(), NOTHING).await;
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    stage.assert_clean(&(outcome, told));
}

#[tokio::test]
async fn a_join_that_a_reboot_ended_is_put_back_when_it_is_settled() {
    let stage = stage();
    let before = stage.files().into_iter().filter(|(path, _)| !path.ends_with("boot_id")).collect::<BTreeMap<_, _>>();
    abandoned(&stage).await;
    stage.worker().reboot();
    stage.worker().remove("/hold/kubeadm-join");
    let (outcome, told) = stage.go(What::Settle, &stage.join(), NOTHING).await;
    assert_eq!(outcome, Outcome::Skipped { why: "as before []".to_owned() });
    let after = stage.files().into_iter().filter(|(path, _)| !path.ends_with("boot_id")).collect::<BTreeMap<_, _>>();
    assert_eq!(after, before);
    stage.assert_clean(&(outcome, told));
}

#[tokio::test]
async fn a_join_that_a_reboot_ended_goes_on_with_another_attempt() {
    let stage = stage();
    abandoned(&stage).await;
    stage.worker().reboot();
    stage.worker().remove("/hold/kubeadm-join");
    let (outcome, told) = stage.go(What::Resume, &stage.join(), NOTHING).await;
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    assert_eq!(stage.api.tokens().len(), 2);
    stage.assert_clean(&(outcome, told));
}

#[tokio::test]
async fn a_join_that_came_as_far_as_its_identity_is_done_after_a_reboot() {
    let stage = stage();
    abandoned(&stage).await;
    stage.worker().reboot();
    stage.worker().remove("/hold/kubeadm-join");
    stage.worker().put("/etc/kubernetes/kubelet.conf", "client-certificate: x");
    fs::write(stage.fleet.shared("nodes").join("w1"), "").unwrap();
    let (outcome, told) = stage.go(What::Settle, &stage.join(), NOTHING).await;
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    assert_eq!(stage.worker().get("/etc/kubernetes/bootstrap-kubelet.conf"), None, "it has the token in it");
    stage.assert_clean(&(outcome, told));
}

#[tokio::test]
async fn a_token_that_no_journal_knows_is_found_by_its_description() {
    let stage = stage();
    let lines =
        [format!("abcdef.0123456789abcdef 15m seaworthy {RUN} w1"), "ghijkl.0123456789abcdef 24h mine".to_owned()];
    fs::write(stage.fleet.shared("tokens"), lines.join("\n") + "\n").unwrap();
    let (outcome, _) = stage.go(What::Settle, &stage.join(), NOTHING).await;
    assert_eq!(outcome, Outcome::Skipped { why: "as before []".to_owned() });
    assert_eq!(stage.fleet.tokens(), [lines[1].clone()], "others' tokens are left alone");
}

#[tokio::test]
async fn a_join_is_taken_back_unless_pods_would_be_lost() {
    let stage = stage();
    let before = stage.files();
    assert!(matches!(stage.run().await, Outcome::Done { .. }));
    let master = stage.fleet.node("master");
    let kubectl = fs::read_to_string(master.path("/").parent().unwrap().join("stubs/kubectl")).unwrap();
    master.program("kubectl", "case \" $* \" in *' get pods '*) echo 'default/web Running ReplicaSet ' ;; *) echo 'w1 Ready x 1m v' ;; esac\n");
    let (refused, _) = stage.go(What::Unjoin, &stage.join(), NOTHING).await;
    assert!(matches!(&refused, Outcome::Refused { why, .. } if why.contains("default/web")), "{refused:?}");
    assert!(stage.worker().get("/etc/kubernetes/kubelet.conf").is_some());

    fs::write(master.path("/").parent().unwrap().join("stubs/kubectl"), kubectl).unwrap();
    let (outcome, told) = stage.go(What::Unjoin, &stage.join(), NOTHING).await;
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    stage.assert_as_before(&before);
    assert!(!stage.fleet.shared("nodes").join("w1").exists(), "its Node object is gone");
    stage.assert_clean(&(outcome, told));
    let (again, _) = stage.go(What::Unjoin, &stage.join(), NOTHING).await;
    assert!(matches!(again, Outcome::Done { .. }), "{again:?}");
}

async fn reset(stage: &Stage, reset: &Reset) -> Outcome {
    let worker = Ways::new(&stage.fleet, "w1");
    let again = || worker.open().map(Ok).boxed();
    let way = Way { hand: worker.open().await, again: &again };
    join::reset::run(way, RUN, reset, WAIT).await
}

const MOUNTS: &str = "/dev/vda1 / ext4 rw 0 0\ntmpfs /run tmpfs rw 0 0\ntmpfs /dev/shm tmpfs rw 0 0\nnas:/srv/media /mnt/media nfs4 rw 0 0\n";

fn wanted() -> Reset {
    Reset { deletes: vec!["/var/lib/kubelet".to_owned()], mounts: vec!["/mnt/media nas:/srv/media".to_owned()] }
}

#[tokio::test]
async fn a_reset_leaves_storage_alone_and_shows_it() {
    let stage = stage();
    stage.worker().put("/proc/mounts", MOUNTS);
    stage.worker().put("/etc/kubernetes/kubelet.conf", "x");
    let outcome = reset(&stage, &wanted()).await;
    let Outcome::Done { evidence } = &outcome else { panic!("{outcome:?}") };
    assert!(evidence.iter().any(|line| line.contains("mounts of before are there")), "{evidence:?}");
    assert_eq!(stage.worker().get("/etc/kubernetes/kubelet.conf"), None);
    assert_eq!(stage.calls("w1", "kubeadm"), ["kubeadm reset -f"]);
    assert_eq!(stage.worker().processes(), BTreeMap::new());
}

#[tokio::test]
async fn a_reset_that_could_reach_data_or_a_control_plane_is_refused() {
    let stage = stage();
    let gone = MOUNTS.replace("/mnt/media", "/mnt/other");
    let below = format!("{MOUNTS}nas:/v /var/lib/kubelet/v nfs4 rw 0 0\n");
    for (mounts, words) in [(gone.as_str(), "is not mounted"), (below.as_str(), "/var/lib/kubelet/v")] {
        stage.worker().put("/proc/mounts", mounts);
        let outcome = reset(&stage, &wanted()).await;
        assert!(matches!(&outcome, Outcome::Refused { why, .. } if why.contains(words)), "{outcome:?}");
    }
    stage.worker().put("/proc/mounts", MOUNTS);
    stage.worker().put("/var/lib/etcd/member/wal", "x");
    let outcome = reset(&stage, &wanted()).await;
    assert!(matches!(&outcome, Outcome::Refused { why, .. } if why.contains("control plane")), "{outcome:?}");
    assert_eq!(stage.calls("w1", "kubeadm"), Vec::<String>::new());
}

#[tokio::test]
async fn a_reset_that_took_storage_away_says_so_aloud() {
    let stage = stage();
    stage.worker().put("/proc/mounts", MOUNTS);
    stage
        .worker()
        .program("kubeadm", "grep -v /mnt/media \"$R/proc/mounts\" >\"$R/m\"; mv \"$R/m\" \"$R/proc/mounts\"\n");
    let outcome = reset(&stage, &wanted()).await;
    assert!(failed(&outcome).0.contains("took storage away"), "{outcome:?}");
}
