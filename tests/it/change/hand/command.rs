//! Services and command lines.

use std::time::Duration;

use seaworthy::change::hand::HandError;
use secrecy::ExposeSecret as _;

use super::{Bench, no, sha256, shells};

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_command_leaves_both_outputs_and_its_code() {
    for shell in shells() {
        let bench = Bench::with(&shell).await;
        let ran = bench.hand().run("echo \"it's\"; printf x; echo err >&2; exit 3", LONG).await.unwrap();
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (3, "it's\nx", "err\n"), "{shell:?}");
        let ran = bench.hand().run("cat; kill -TERM $$", LONG).await.unwrap();
        assert_eq!((ran.code, ran.stdout.as_str()), (143, ""), "{shell:?}");
        assert_eq!(bench.names("/run"), ["systemd"]);
    }
}

#[tokio::test]
async fn every_byte_reaches_a_commands_input() {
    let mut input: Vec<u8> = (0..=255).collect();
    input.extend(input.clone().into_iter().rev());
    input.extend(vec![b'\''; 200 << 10]);
    for shell in shells() {
        let bench = Bench::with(&shell).await;
        let ran = bench.hand().run_with_input("sha256sum", &input, LONG).await.unwrap();
        assert_eq!(ran.stdout, format!("{}  -\n", sha256(&input)), "{shell:?}");
        // One that reads nothing of it is no failure.
        let ran = bench.hand().run_with_input("true", &input, LONG).await.unwrap();
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{shell:?}");
    }
}

#[tokio::test]
async fn output_is_bounded_and_holds_no_token_unless_it_is_the_secret() {
    let bench = Bench::new().await;
    let token = "echo abcdef.0123456789abcdef; echo token abcdef.0123456789abcdef >&2";
    let ran = bench.hand().run(token, LONG).await.unwrap();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("[redacted]\n", "token [redacted]\n"));
    let ran = bench.hand().run_for_secret(token, LONG).await.unwrap();
    assert_eq!((ran.stdout.expose_secret(), ran.stderr.as_str()), ("abcdef.0123456789abcdef\n", "token [redacted]\n"));
    assert!(!format!("{ran:?}").contains("0123456789abcdef"));

    let ran = bench.hand().run("yes | head -c 3000000; exit 4", LONG).await.unwrap();
    assert_eq!((ran.code, ran.stdout.len()), (4, 1 << 20));
}

#[tokio::test]
async fn a_command_that_hangs_is_ended_at_its_deadline() {
    for shell in shells() {
        let bench = Bench::with(&shell).await;
        let error = bench.hand().run("echo begun; sleep 1000", Duration::from_secs(1)).await.unwrap_err();
        assert!(matches!(error, HandError::Failed { .. }), "{error:?}");
        assert!(error.to_string().starts_with("the command did not end within 1 s"), "{error}");
        let gone = async {
            while bench.node().processes().values().any(|line| line.contains("sleep 1000")) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), gone)
            .await
            .unwrap_or_else(|_| panic!("{shell:?}: it still runs"));
    }
}

#[tokio::test]
async fn a_service_is_restarted_or_its_failure_is_told() {
    let bench = Bench::new().await;
    bench.hand().restart("containerd.service").await.unwrap();
    assert!(bench.node().calls().contains(&"systemctl restart -- containerd.service".to_owned()));
    bench.node().put("/fail/systemctl-containerd", "");
    let (why, next) = no(bench.hand().restart("containerd").await);
    assert!(why.starts_with("containerd does not restart: Job for containerd.service failed"), "{why}");
    assert_eq!(next, "look why: journalctl -u containerd -n 50 --no-pager");
    let (why, _) = no(bench.hand().restart("a; reboot").await);
    assert!(why.contains("no name of a unit"), "{why}");
}
