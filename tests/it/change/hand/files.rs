//! Files put in place, and taken back.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use seaworthy::change::hand::{HandError, Wrote};
use seaworthy::change::plan::WriteFile;
use seaworthy::change::state;

use super::{Bench, CONFLIST, RUN, no, shells};

const BACKUP: &str = ".10-flannel.conflist.20250910T134128Z-4242.bak";

#[tokio::test]
async fn a_new_file_is_there_as_it_should_be_and_a_second_time_changes_nothing() {
    for shell in shells() {
        let bench = Bench::with(&shell).await;
        let file = WriteFile { mode: 0o640, ..bench.file(CONFLIST, "{}\n").await };
        assert_eq!(bench.hand().write(&file, RUN).await.unwrap(), Wrote::Written, "{shell:?}");
        let written = fs::metadata(bench.node().path(CONFLIST)).unwrap();
        assert_eq!((written.mode() & 0o7777, written.uid(), written.len()), (0o640, file.uid, 3));
        assert_eq!(bench.names("/etc/cni/net.d"), ["10-flannel.conflist"]);
        assert_eq!(bench.hand().write(&file, RUN).await.unwrap(), Wrote::AlreadyThere);
        let again = fs::metadata(bench.node().path(CONFLIST)).unwrap();
        assert_eq!((written.ino(), written.mtime_nsec()), (again.ino(), again.mtime_nsec()));

        bench.hand().put_back(&file, RUN).await.unwrap();
        bench.hand().put_back(&file, RUN).await.unwrap();
        assert_eq!(bench.names("/etc/cni/net.d"), [""; 0]);
    }
}

#[tokio::test]
async fn a_replaced_file_is_kept_and_comes_back_as_the_very_same() {
    for shell in shells() {
        let bench = Bench::with(&shell).await;
        bench.node().put(CONFLIST, "old");
        let old = fs::metadata(bench.node().path(CONFLIST)).unwrap();
        let file = bench.file(CONFLIST, "new").await;
        assert_eq!(bench.hand().write(&file, RUN).await.unwrap(), Wrote::Written, "{shell:?}");
        assert_eq!(bench.names("/etc/cni/net.d"), [BACKUP, "10-flannel.conflist"]);
        assert_eq!(bench.node().get(CONFLIST).as_deref(), Some("new"));
        assert_eq!(bench.node().get(&format!("/etc/cni/net.d/{BACKUP}")).as_deref(), Some("old"));

        bench.hand().put_back(&file, RUN).await.unwrap();
        bench.hand().put_back(&file, RUN).await.unwrap();
        assert_eq!(bench.names("/etc/cni/net.d"), ["10-flannel.conflist"]);
        assert_eq!(bench.node().get(CONFLIST).as_deref(), Some("old"));
        assert_eq!(fs::metadata(bench.node().path(CONFLIST)).unwrap().ino(), old.ino());
    }
}

#[tokio::test]
async fn every_content_arrives_exactly() {
    let all: String = ('\u{1}'..='\u{7ff}').collect();
    let large = "{\"a\": \"it's 100% \\\\ `x` $(y)\"}\n".repeat(7000);
    assert!(large.len() > 200 << 10);
    for shell in shells() {
        let bench = Bench::with(&shell).await;
        for content in
            ["", "\n", "no line feed", "\r\na\r\n", "-n %s %% \\n \\0 \\\\ '\"'", "\0a\0", "\u{feff}é\n", &all, &large]
        {
            let file = bench.file("/etc/x", content).await;
            let wrote = bench.hand().write(&file, RUN).await;
            assert!(wrote.is_ok(), "{shell:?} {content:.20?}: {wrote:?}");
            assert!(fs::read(bench.node().path("/etc/x")).unwrap() == content.as_bytes(), "{shell:?} {content:.20?}");
            let _ = fs::remove_file(bench.node().path(&format!("/etc/.x.{RUN}.bak")));
        }
    }
}

#[tokio::test]
async fn what_changed_since_the_plan_is_left_alone() {
    let bench = Bench::new().await;
    let planned = bench.file(CONFLIST, "ours").await;
    bench.node().put(CONFLIST, "somebody else's");
    let error = bench.hand().write(&planned, RUN).await.unwrap_err();
    assert!(
        matches!(&error, HandError::Changed { path, expected, .. } if path == CONFLIST && expected == "absent"),
        "{error:?}"
    );
    assert!(error.to_string().contains("was absent, is a file of 15 bytes"), "{error}");

    // Undoing does not remove it either.
    assert!(matches!(bench.hand().put_back(&planned, RUN).await, Err(HandError::Changed { .. })));
    assert_eq!(bench.node().get(CONFLIST).as_deref(), Some("somebody else's"));

    let replacing = bench.file(CONFLIST, "ours").await;
    fs::set_permissions(bench.node().path(CONFLIST), fs::Permissions::from_mode(0o600)).unwrap();
    let error = bench.hand().write(&replacing, RUN).await.unwrap_err();
    assert!(error.to_string().contains("mode 0600"), "{error}");
    assert_eq!(bench.names("/etc/cni/net.d"), ["10-flannel.conflist"]);
}

#[tokio::test]
async fn nothing_but_a_file_is_replaced() {
    let bench = Bench::new().await;
    let planned = bench.file("/etc/x", "ours").await;
    symlink("/nowhere", bench.node().path("/etc/x")).unwrap();
    let error = bench.hand().write(&planned, RUN).await.unwrap_err();
    assert!(error.to_string().ends_with("was absent, is a symbolic link"), "{error}");
    let planned = bench.file("/etc/x", "ours").await;
    assert!(matches!(planned.before, state::Path::Other { .. }));
    let (why, next) = no(bench.hand().write(&planned, RUN).await);
    assert_eq!(
        (why.as_str(), next.as_str()),
        ("/etc/x is a symbolic link, and no file is put in its place", "look at it: ls -l /etc/x")
    );

    let planned = bench.file("/etc/none/x", "ours").await;
    let (why, _) = no(bench.hand().write(&planned, RUN).await);
    assert_eq!(why, "the directory of /etc/none/x is not there");
}

#[tokio::test]
async fn a_write_that_fails_leaves_the_old_file_and_nothing_else() {
    for (program, message) in [
        ("mv", "no way"),
        ("chown", "no way"),
        ("chmod", "no way"),
        ("sync", "no way"),
        ("sha256sum", "what arrived on the disk is not what was sent"),
    ] {
        let bench = Bench::new().await;
        bench.node().put(CONFLIST, "old");
        let file = bench.file(CONFLIST, "new").await;
        let fails = match program {
            // Right for the file that is there, wrong for the one that was written.
            "sha256sum" => {
                "if [ -e \"$R/etc/cni/net.d/.10-flannel.conflist.seaworthy.tmp\" ]; then echo 0; else exec /usr/bin/sha256sum; fi"
            }
            // Without an argument it flushes everything, which is tried second.
            "sync" => "echo no way >&2; exit 1",
            _ => "case $* in *net.d*) echo no way >&2; exit 1 ;; esac",
        };
        bench.node().program(program, fails);
        let (why, next) = no(bench.hand().write(&file, RUN).await);
        assert!(why.starts_with(&format!("{CONFLIST} was not written: ")) && why.contains(message), "{program}: {why}");
        assert!(!next.is_empty());
        assert_eq!(bench.names("/etc/cni/net.d"), ["10-flannel.conflist"], "{program}");
        assert_eq!(bench.node().get(CONFLIST).as_deref(), Some("old"));
    }
}

#[tokio::test]
async fn where_links_are_not_possible_the_old_file_is_copied() {
    let bench = Bench::new().await;
    bench.node().put(CONFLIST, "old");
    bench.node().program("ln", "exit 1");
    let file = bench.file(CONFLIST, "new").await;
    bench.hand().write(&file, RUN).await.unwrap();
    assert_eq!(bench.names("/etc/cni/net.d"), [BACKUP, "10-flannel.conflist"]);
    bench.hand().put_back(&file, RUN).await.unwrap();
    assert_eq!((bench.names("/etc/cni/net.d").len(), bench.node().get(CONFLIST).as_deref()), (1, Some("old")));
}

#[tokio::test]
async fn an_old_file_that_was_lost_is_said() {
    let bench = Bench::new().await;
    bench.node().put(CONFLIST, "old");
    let file = bench.file(CONFLIST, "new").await;
    bench.hand().write(&file, RUN).await.unwrap();
    bench.node().remove(&format!("/etc/cni/net.d/{BACKUP}"));
    let (why, _) = no(bench.hand().put_back(&file, RUN).await);
    assert!(why.contains("was kept as /etc/cni/net.d/.10-flannel") && why.ends_with("that is now: absent"), "{why}");
    assert_eq!(bench.node().get(CONFLIST).as_deref(), Some("new"));
}
