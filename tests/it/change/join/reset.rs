//! Resets of workers: what is mounted is there before and after, or the reset is refused or fails aloud.

use std::collections::BTreeMap;

use futures::FutureExt as _;
use seaworthy::change::join::{self, Way};
use seaworthy::change::journal::Outcome;
use seaworthy::change::plan::Reset;

use super::stage::{RUN, Stage, WAIT, Ways, failed, stage};

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
    stage.worker().put("/var/lib/seaworthy/20240101-000000/kinds", "");
    let outcome = reset(&stage, &wanted()).await;
    assert!(!stage.worker().path("/var/lib/seaworthy").exists(), "nothing of an earlier join is left to be taken back");
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
