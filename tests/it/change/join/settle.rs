//! Joins that nobody watched to their end, and joins that are taken back.

use std::collections::BTreeMap;
use std::fs;

use seaworthy::change::join::Progress;
use seaworthy::change::journal::Outcome;
use seaworthy::diagnose::join_log::Phase;

use super::stage::{NOTHING, RUN, Stage, What, stage};

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
    stage.assert_clean(&(outcome, told)).await;
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
    stage.assert_clean(&(outcome, told)).await;
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
    stage.assert_clean(&(outcome, told)).await;
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
    stage.assert_clean(&(outcome, told)).await;
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
async fn a_join_takes_the_copies_of_an_earlier_one_away_which_cannot_be_taken_back_then() {
    let stage = stage();
    let kept = |run: &str| stage.worker().path("/var/lib/seaworthy").join(run).exists();
    stage.worker().put("/var/lib/seaworthy/20240101-000000/kinds", "absent 0 /etc/kubernetes/kubelet.conf\n");
    assert!(matches!(stage.run().await, Outcome::Done { .. }));
    assert_eq!([kept("20240101-000000"), kept(RUN)], [false, true]);
    // As a later run leaves it.
    stage.worker().remove(&format!("/var/lib/seaworthy/{RUN}"));
    let (refused, _) = stage.go(What::Unjoin, &stage.join(), NOTHING).await;
    assert!(matches!(&refused, Outcome::Refused { why, .. } if why.contains("joined anew")), "{refused:?}");
    assert!(stage.worker().get("/etc/kubernetes/kubelet.conf").is_some());
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
    // One that was made in the moment in which the run was killed.
    fs::write(stage.fleet.shared("tokens"), format!("abcdef.0123456789abcdef 15m seaworthy {RUN} w1\n")).unwrap();
    let (outcome, told) = stage.go(What::Unjoin, &stage.join(), NOTHING).await;
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    stage.assert_as_before(&before);
    assert!(!stage.fleet.shared("nodes").join("w1").exists(), "its Node object is gone");
    stage.assert_clean(&(outcome, told)).await;
    let (again, _) = stage.go(What::Unjoin, &stage.join(), NOTHING).await;
    assert!(matches!(again, Outcome::Done { .. }), "{again:?}");
}
