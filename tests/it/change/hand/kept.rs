//! Copies of what is going to be overwritten.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::{Bench, RUN, no, shells};

const CONF: &str = "/etc/kubernetes/kubelet.conf";

#[tokio::test]
async fn files_come_back_with_mode_and_time_and_what_was_absent_goes() {
    for shell in shells() {
        let bench = Bench::with(&shell).await;
        let (node, hand) = (bench.node(), bench.hand());
        node.put(CONF, "a key");
        fs::set_permissions(node.path(CONF), fs::Permissions::from_mode(0o600)).unwrap();
        let old = fs::metadata(node.path(CONF)).unwrap();
        let paths =
            [CONF, "/etc/kubernetes/pki/ca.crt", "/var/lib/kubelet/pki", "/etc/new/deep/file"].map(str::to_owned);
        hand.keep(RUN, &paths).await.unwrap();
        let dir = fs::metadata(node.path("/var/lib/seaworthy")).unwrap();
        assert_eq!(dir.mode() & 0o777, 0o700, "{shell:?}");

        node.put(CONF, "another key");
        node.put("/etc/kubernetes/pki/ca.crt", "new");
        node.put("/var/lib/kubelet/pki/kubelet.crt", "new");
        node.put("/etc/new/deep/file", "new");
        node.put("/etc/new/of-another", "stays");
        // A second attempt of the run keeps what was there before the first.
        hand.keep(RUN, &paths).await.unwrap();
        hand.put_back_kept(RUN).await.unwrap();
        let back = fs::metadata(node.path(CONF)).unwrap();
        assert_eq!(node.get(CONF).as_deref(), Some("a key"));
        assert_eq!((back.mode(), back.uid(), back.mtime()), (old.mode(), old.uid(), old.mtime()));
        assert_eq!(bench.names("/etc/kubernetes"), ["kubelet.conf", "manifests"], "{shell:?}");
        assert!(!node.path("/var/lib/kubelet/pki").exists(), "{shell:?}");
        // Directories on the way to a file go as well, unless somebody else uses them.
        assert_eq!(bench.names("/etc/new"), ["of-another"], "{shell:?}");

        hand.forget_kept(RUN).await.unwrap();
        hand.forget_kept(RUN).await.unwrap();
        assert!(!node.path("/var/lib/seaworthy").exists());
    }
}

#[tokio::test]
async fn copies_of_other_runs_go_and_those_of_this_one_stay() {
    for shell in shells() {
        let bench = Bench::with(&shell).await;
        let (node, hand) = (bench.node(), bench.hand());
        hand.forget_others(RUN).await.unwrap();
        node.put(CONF, "a key");
        for run in ["20250101-000000", "20250102-000000", RUN] {
            hand.keep(run, &[CONF.to_owned()]).await.unwrap();
        }
        node.put("/var/lib/seaworthy/.20250103-000000.new/0", "cut off");
        hand.forget_others(RUN).await.unwrap();
        assert_eq!(bench.names("/var/lib/seaworthy"), [RUN], "{shell:?}");
        assert!(hand.keeps(RUN).await.unwrap() && !hand.keeps("20250101-000000").await.unwrap());
        hand.forget_others("another").await.unwrap();
        assert!(!node.path("/var/lib/seaworthy").exists());
    }
}

#[tokio::test]
async fn other_paths_for_the_same_run_are_refused() {
    let bench = Bench::new().await;
    bench.hand().keep(RUN, &[CONF.to_owned()]).await.unwrap();
    let (why, _) = no(bench.hand().keep(RUN, &["/etc/fstab".to_owned()]).await);
    assert_eq!(why, "other files are kept for this run already");
}

#[tokio::test]
async fn what_something_is_mounted_in_is_neither_copied_nor_removed() {
    let bench = Bench::new().await;
    let (node, hand) = (bench.node(), bench.hand());
    let kubelet = "/var/lib/kubelet".to_owned();
    let mounts = node.get("/proc/mounts").unwrap();
    let with_mount = format!("{mounts}nas:/x /var/lib/kubelet/pods/1/volumes/nfs nfs4 rw 0 0\n");
    node.put("/proc/mounts", &with_mount);
    let (why, next) = no(hand.keep(RUN, std::slice::from_ref(&kubelet)).await);
    assert!(why.contains("something is mounted there"), "{why}");
    assert_eq!(next, "look at it: findmnt -R /var/lib/kubelet");
    assert!(!node.path("/var/lib/seaworthy").exists());

    node.put("/proc/mounts", &mounts);
    node.remove(&kubelet);
    hand.keep(RUN, std::slice::from_ref(&kubelet)).await.unwrap();
    node.put("/var/lib/kubelet/pods/1/volumes/nfs/precious", "x");
    node.put("/proc/mounts", with_mount);
    no(hand.put_back_kept(RUN).await);
    assert_eq!(node.get("/var/lib/kubelet/pods/1/volumes/nfs/precious").as_deref(), Some("x"));
}
