//! Joins against pretended nodes: the order of what is done, what is noticed at once, what is put back, and that no token stays.

mod reset;
mod settle;
mod stage;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use seaworthy::change::join::{Progress, Until};
use seaworthy::change::journal::Outcome;
use seaworthy::change::plan::Join;
use seaworthy::diagnose::join_log::Phase;

use self::stage::{NOTHING, RUN, What, failed, stage, stage_with};
use super::api::Shows;
use super::node::Node;

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
    stage.assert_clean(&(outcome, told)).await;
}

#[tokio::test]
async fn a_node_that_gets_no_configuration_has_joined_and_says_what_it_waits_for() {
    let stage = stage();
    let (outcome, told) = stage.go_until(Until::NodeReady, &[], What::Run, &stage.join(), NOTHING).await;
    let (why, next) = failed(&outcome);
    assert!(why.starts_with("the node has joined, and it got no CNI configuration"), "{why}");
    assert!(next.contains("seaworthy flannel push"), "{next}");
    assert!(stage.worker().get("/etc/kubernetes/kubelet.conf").is_some(), "it stays joined");
    stage.assert_clean(&(outcome, told)).await;
}

#[tokio::test]
async fn a_node_whose_configuration_comes_is_followed_until_it_is_ready() {
    let stage = stage();
    stage.worker().put("/etc/cni/net.d/10-flannel.conflist", "{\"name\":\"cbr0\"}");
    let (outcome, told) = stage.go_until(Until::NodeReady, &[], What::Run, &stage.join(), NOTHING).await;
    let Outcome::Done { evidence } = &outcome else { panic!("{outcome:?}") };
    assert!(evidence.contains(&"the Node w1 is Ready".to_owned()), "{evidence:?}");
    stage.assert_clean(&(outcome, told)).await;
}

#[tokio::test]
async fn what_nobody_could_look_at_is_refused_unless_it_is_accepted() {
    let stage = stage();
    // To a place that the node's sshd does not forward to, and without a program for it.
    let join = Join { endpoint: "10.20.1.98:6443".to_owned(), ..stage.join() };
    for program in ["curl", "openssl"] {
        stage.worker().program(program, "exit 97\n");
    }
    let (outcome, told) = stage.go(What::Run, &join, NOTHING).await;
    let Outcome::Refused { why, next } = &outcome else { panic!("{outcome:?}") };
    assert!(why.contains("is not known") && next.contains("--accept-unknown join/api-unreachable"), "{why}\n{next}");
    assert_eq!(stage.calls("w1", "kubeadm"), Vec::<String>::new());
    stage.assert_clean(&(outcome, told)).await;
    let accepted = ["join/api-unreachable".to_owned()];
    let (outcome, told) = stage.go_until(Until::NodeObject, &accepted, What::Run, &join, NOTHING).await;
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    stage.assert_clean(&(outcome, told)).await;
}

/// A process that looks like the kubelet of a unit.
struct Kubelet(Child);

impl Kubelet {
    fn start(node: &Node, arguments: &[&str]) -> Self {
        // An idle process with that command line; the flags are `sh`'s positional parameters.
        let mut command = Command::new("/bin/sh");
        command.arg0("/usr/bin/kubelet").args(["-c", "read line"]).args(arguments).stdin(Stdio::piped());
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
    stage.assert_clean(&(outcome, told)).await;
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
    stage.assert_clean(&outcome).await;
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
    stage.assert_clean(&(outcome, told)).await;
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
        stage.assert_clean(&(outcome, told)).await;
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
    stage.assert_clean(&(outcome, told)).await;
}

#[tokio::test]
async fn where_sshd_does_not_forward_the_nodes_own_programs_prove_the_api() {
    for program in ["curl", "openssl"] {
        let stage = stage();
        if !stage.api.only_by(stage.worker(), &[program]) {
            return;
        }
        let (outcome, told) = stage.go(What::Run, &stage.join(), NOTHING).await;
        assert!(matches!(outcome, Outcome::Done { .. }), "{program}: {outcome:?}");
        stage.assert_clean(&(outcome, told)).await;
    }
    let stage = stage();
    stage.api.only_by(stage.worker(), &[]);
    let (outcome, told) = stage.go(What::Run, &stage.join(), NOTHING).await;
    let Outcome::Refused { why, .. } = &outcome else { panic!("{outcome:?}") };
    assert!(why.contains("neither curl nor openssl"), "{why}");
    stage.assert_clean(&(outcome, told)).await;
}

#[tokio::test]
async fn a_control_plane_that_makes_no_token_refuses() {
    let stage = stage();
    stage.fleet.node("master").put("/fail/kubeadm-token", "");
    let outcome = stage.run().await;
    let Outcome::Refused { why, next } = &outcome else { panic!("{outcome:?}") };
    assert!(why.contains("the API server does not answer") && next.contains("kube-apiserver"), "{why}\n{next}");
    stage.assert_clean(&outcome).await;
}

#[tokio::test]
async fn a_control_plane_whose_user_may_not_make_tokens_refuses() {
    let stage = stage();
    let forbidden = "echo 'failed to create or update bootstrap token: secrets is forbidden: User \"x\" cannot create resource' >&2; exit 1\n";
    stage.fleet.node("master").program("kubeadm", forbidden);
    let before = stage.files();
    let outcome = stage.run().await;
    assert!(matches!(&outcome, Outcome::Refused { why, .. } if why.contains("may not make tokens")), "{outcome:?}");
    assert_eq!(stage.files(), before);
    assert_eq!(stage.calls("w1", "kubeadm"), Vec::<String>::new());
}

#[tokio::test]
async fn another_ca_than_the_plans_refuses() {
    let stage = stage();
    let join = Join { ca_pins: vec![format!("sha256:{}", "0".repeat(64))], ..stage.join() };
    let (outcome, told) = stage.go(What::Run, &join, NOTHING).await;
    assert!(matches!(&outcome, Outcome::Refused { why, .. } if why.contains("not the one of the plan")), "{outcome:?}");
    stage.assert_clean(&(outcome, told)).await;
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
    stage.assert_clean(&(outcome, told)).await;
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
    stage.assert_clean(&(outcome, told)).await;
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
        stage.assert_clean(&outcome).await;
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
    stage.assert_clean(&(outcome, told)).await;
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
    stage.assert_clean(&(outcome, told)).await;
}
