//! The lock: one run at a time, and none that outlives its connection.

use std::time::Duration;

use seaworthy::change::hand::{Hand, HandError};
use seaworthy::reach::Line;
use tokio::time::timeout;

use super::{Bench, RUN, no, shells};

const OTHER: &str = "20250910T140000Z-1";

/// Takes the lock as soon as it is free.
async fn eventually(hand: Hand<'_>, run: &str) -> seaworthy::change::hand::Lock {
    let trying = async {
        loop {
            match hand.lock(run).await {
                Ok(lock) => return lock,
                Err(HandError::Locked { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    timeout(Duration::from_secs(20), trying).await.expect("it stays locked")
}

#[tokio::test]
async fn a_second_run_is_told_who_has_the_node() {
    for shell in shells() {
        let bench = Bench::with(&shell).await;
        let (_client, second) = bench.fleet.connect("w1").await;
        let other = Hand::new(Line::Session(&second), None);
        let lock = bench.hand().lock(RUN).await.unwrap();
        assert!(lock.is_held());
        let error = other.lock(OTHER).await.unwrap_err();
        assert_eq!(error, HandError::Locked { by: RUN.to_owned() }, "{shell:?}");
        // What the first one does goes on meanwhile.
        let file = bench.file("/etc/x", "y").await;
        bench.hand().write(&file, RUN).await.unwrap();
        lock.release().await;
        let lock = other.lock(OTHER).await.unwrap();
        assert_eq!(bench.hand().lock(RUN).await.unwrap_err(), HandError::Locked { by: OTHER.to_owned() });
        drop(lock);
        eventually(bench.hand(), RUN).await;
    }
}

#[tokio::test]
async fn it_ends_with_its_connection_and_with_its_process() {
    for shell in shells() {
        let mut bench = Bench::with(&shell).await;
        let lock = bench.hand().lock(RUN).await.unwrap();
        bench.node().cut();
        bench.connect_again().await;
        let again = eventually(bench.hand(), OTHER).await;
        assert!(!lock.is_held(), "{shell:?}");
        // Killed on the node: nothing of it stays but the name in the file.
        for pid in bench.node().processes().into_keys() {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        eventually(bench.hand(), RUN).await.release().await;
        drop(again);
        // busybox's timeout looks only once a second whether it is still needed.
        let gone = async {
            while !bench.node().processes().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), gone).await.unwrap_or_else(|_| panic!("{shell:?}: something runs on"));
    }
}

#[tokio::test]
async fn it_waits_for_what_a_lost_connection_left_running() {
    let mut bench = Bench::new().await;
    let file = bench.file("/etc/x", "y").await;
    // The write hangs in the middle until this is there.
    bench.node().program("chown", "while [ ! -e \"$C/go\" ]; do sleep 0.01; done; exec /bin/chown \"$@\"");
    bench.node().cut_at(super::super::node::Cut::During(1));
    let error = bench.hand().write(&file, RUN).await.unwrap_err();
    assert!(error.is_loss(), "{error:?}");
    bench.connect_again().await;
    let hung = timeout(Duration::from_millis(1500), bench.hand().lock(OTHER)).await;
    assert!(hung.is_err(), "it did not wait: {hung:?}");
    std::fs::write(bench.fleet.shared("go"), "").unwrap();
    let lock = eventually(bench.hand(), OTHER).await;
    // The write is over, one way or the other.
    let names = bench.names("/etc");
    assert!(names.contains(&"x".to_owned()) || bench.node().get("/etc/x").is_none());
    bench.hand().write(&file, OTHER).await.unwrap();
    assert_eq!(bench.node().get("/etc/x").as_deref(), Some("y"));
    assert!(!bench.names("/etc").iter().any(|name| name.contains(".seaworthy.")));
    lock.release().await;
}

#[tokio::test]
async fn a_node_that_cannot_be_locked_is_refused() {
    let bench = Bench::new().await;
    bench.node().without("flock");
    let (why, next) = no(bench.hand().lock(RUN).await);
    assert_eq!(why, "the node has no program flock");
    assert!(next.contains("util-linux"), "{next}");

    let bench = Bench::new().await;
    std::os::unix::fs::symlink("/tmp", bench.node().path("/run/seaworthy")).unwrap();
    let (why, _) = no(bench.hand().lock(RUN).await);
    assert_eq!(why, "/run/seaworthy is not a directory of this user's own");
}
