//! `seaworthy diagnose --join-log` as it is run: exit codes, streams, text and the published schema.

use std::fmt::Write as _;
use std::io::Write as _;

use assert_cmd::Command;
use seaworthy::diagnose::join_log::{classify, render, schema};
use seaworthy::report::style::Style;
use serde_json::Value;

use super::{RESET, joined, standalone};

const SCHEMA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schema/join-log-v1.json");

fn diagnose(log: &str, more: &[&str]) -> (i32, String, String) {
    let mut command = Command::cargo_bin("seaworthy").unwrap();
    let output = command.args(["diagnose", "--join-log", "-"]).args(more).write_stdin(log).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn plain(log: &str, width: usize) -> String {
    render(&classify(log.as_bytes()), &Style { width, color: false, unicode: true })
}

#[test]
fn the_exit_code_tells_how_the_last_attempt_ended() {
    let failed_then_joined = standalone() + &joined();
    let cases = [
        (joined(), 0),
        (failed_then_joined, 0),
        (joined() + &standalone(), 2),
        (RESET.to_owned(), 1),
        (String::new(), 1),
    ];
    for (log, code) in cases {
        let (status, stdout, stderr) = diagnose(&log, &[]);
        assert_eq!(status, code, "{log}\n{stderr}");
        assert_eq!((stdout.is_empty(), stderr.is_empty()), (code == 1, code != 1), "{stdout}{stderr}");
    }
    let (_, _, stderr) = diagnose(RESET, &[]);
    assert_eq!(stderr, "seaworthy: standard input: only a kubeadm reset ran in this log, no kubeadm join\n");
}

#[test]
fn files_are_read_and_their_errors_named() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(joined().as_bytes()).unwrap();
    let run = |path: &std::path::Path| {
        Command::cargo_bin("seaworthy").unwrap().args(["diagnose", "--join-log"]).arg(path).output().unwrap()
    };
    assert_eq!(run(file.path()).status.code(), Some(0));
    let missing = run(&file.path().with_extension("missing"));
    assert_eq!(missing.status.code(), Some(1));
    let stderr = String::from_utf8(missing.stderr).unwrap();
    assert!(stderr.starts_with("seaworthy: cannot read /") && stderr.contains("No such file"), "{stderr}");
    assert_eq!(run(file.path().parent().unwrap()).status.code(), Some(1), "a directory");
    assert_eq!(Command::cargo_bin("seaworthy").unwrap().arg("diagnose").output().unwrap().status.code(), Some(64));
}

#[test]
fn json_is_what_the_schema_says() {
    let validator = jsonschema::validator_for(&serde_json::to_value(schema()).unwrap()).unwrap();
    let refused = "[preflight] Running pre-flight checks\nerror execution phase preflight: [preflight] Some fatal errors occurred:\n\t[ERROR Swap]: x\n";
    let command = "$ timeout 5 kubeadm join a:1 --ignore-preflight-errors=all --skip-phases=preflight --discovery-token-unsafe-skip-ca-verification\n";
    for (log, code) in [
        (joined(), 0),
        (standalone() + RESET + &standalone(), 2),
        (refused.to_owned(), 2),
        (format!("{command}{}", &standalone()[..200]), 2),
        (RESET.to_owned(), 1),
        ("\u{202e}x".to_owned(), 1),
    ] {
        let (status, stdout, stderr) = diagnose(&log, &["-o", "json"]);
        let document: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!((status, stderr.as_str()), (code, ""), "{log}");
        assert_eq!(document["schema"], "seaworthy/join-log/v1");
        assert!(
            validator.is_valid(&document),
            "{:?}",
            validator.iter_errors(&document).map(|e| e.to_string()).collect::<Vec<_>>()
        );
    }
}

#[test]
fn the_published_schema_is_the_one_of_the_types() {
    let current = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(SCHEMA_FILE, &current).unwrap();
    }
    assert!(
        std::fs::read_to_string(SCHEMA_FILE).is_ok_and(|published| published == current),
        "docs/schema/join-log-v1.json is not what the types say. Fields may be added under this version and never removed or \
         renamed; if that is what you did: UPDATE_SCHEMA=1 cargo test --test it published_schema"
    );
}

#[test]
fn the_text_says_what_failed_what_is_left_and_what_to_run() {
    let command = "$ timeout 120 kubeadm join 10.0.0.1:6443 --token abcdef.0123456789abcdef\n";
    let journal = "Jan 02 03:04:06 n1 kubelet[9]: I0102 03:04:06.0 9 server.go:1] \"Standalone mode, no API client\"\n";
    let log = format!("{command}{}{RESET}{command}{}{journal}", standalone(), standalone());
    insta::assert_snapshot!(plain(&log, 80), @r#"
    the join failed: the kubelet is healthy and never bootstrapped - it did not ask
    the API for a certificate, or got none
      attempt       2 of 2
      stopped       in the phase tls-bootstrap: waiting for the kubelet and its
                    first certificate
      changed       attempt 2 changed nothing: same phase, same evidence as attempt
                    1; kubeadm reset ran in between
      proven good   network, TLS, token, CA, the cluster's configuration and the
                    files on the node
      left          the kubelet's command line (without its kubeadm drop-in it runs
                    standalone), the signing of its request, and the kubelet's way
                    to the endpoint in cluster-info
      too short     the wrapper's timeout of 120 s: kubeadm itself may wait up to
                    360 s, and a join that is killed before hides its end and leaves
                    bootstrap-kubelet.conf behind
      command       timeout 120 kubeadm join 10.0.0.1:6443 --token [redacted]
      evidence      line 31: [kubelet-start] Waiting for the kubelet to perform the
                    TLS Bootstrap...
                    line 32: [kubelet-check] Initial timeout of 40s passed.
                    line 39: error execution phase kubelet-start: timed out waiting
                    for the condition
      also said     the kubelet itself says that it runs standalone: line 41: I0102
                    03:04:06.0 9 server.go:1] "Standalone mode, no API client"
      confirm by    kubelet/standalone, kubelet/drop-in-missing, join/csr-refused,
                    join/endpoint-differs
      next          on the node:
                    tr '\0' ' ' </proc/$(pidof -s kubelet)/cmdline; systemctl cat kubelet
                    (without --bootstrap-kubeconfig it runs standalone and never
                    contacts the API)
                    on the control plane:
                    kubectl get csr
                    (a Pending or Denied request of system:bootstrap means the
                    cluster does not sign)
      before        attempt 1: the same
    "#);
}

#[test]
fn the_text_of_refused_checks() {
    let log = "$ kubeadm join 10.0.0.1:6443 --ignore-preflight-errors=Swap\n[preflight] Running pre-flight checks
\t[WARNING Swap]: swap is supported for cgroup v2 only
error execution phase preflight: [preflight] Some fatal errors occurred:
\t[ERROR Port-10250]: Port 10250 is in use
\t[ERROR FileExisting-conntrack]: conntrack not found in system path
";
    insta::assert_snapshot!(plain(log, 80), @r#"
    the join failed: pre-flight checks refuse it: Port-10250, FileExisting-conntrack
      attempt       1 of 1
      stopped       in the phase preflight: checking the node before the join
      refused       Port-10250: something listens on the kubelet's port; a kubelet
                    that runs standalone is the cause of the failed join, not an
                    obstacle to remove
      refused       FileExisting-conntrack: a needed program is missing
      hid evidence  --ignore-preflight-errors=Swap turns errors into warnings
                    Swap was there: swap is on
      command       kubeadm join 10.0.0.1:6443 --ignore-preflight-errors=Swap
      evidence      line 4: error execution phase preflight: [preflight] Some fatal
                    errors occurred:
                    line 5: [ERROR Port-10250]: Port 10250 is in use
                    line 6: [ERROR FileExisting-conntrack]: conntrack not found in
                    system path
      confirm by    kubelet/port-taken, kubelet/standalone, join/program-missing
      next          on the node:
                    ss -ltnp 'sport = :10250'
                    command -v conntrack crictl ip iptables mount nsenter
    "#);
}

#[test]
fn machines_that_failed_alike_are_told_once() {
    let mut log = String::new();
    for host in ["n1", "n2", "n3", "x9"] {
        let out = if host == "x9" { joined() } else { standalone() };
        let _ = writeln!(log, "x: [{host}] => {}", serde_json::json!({"stdout": out}));
    }
    let text = plain(&log, 100);
    assert_eq!(text.matches("never bootstrapped").count(), 1, "{text}");
    assert!(text.contains("also          n[2-3] (2)") && text.contains("x9: the node has joined"), "{text}");
}

#[test]
fn no_line_is_wider_than_the_terminal_but_commands_and_nothing_acts_on_it() {
    let odd = "[preflight] Running pre-flight checks\nerror execution phase preflight: \u{202e}\u{9b}31m dial tcp x: connection refused \x07\n";
    let log = format!("$ kubeadm join 10.0.0.1:6443 --x \u{200b}\n{odd}");
    for width in [30, 60, 100] {
        let text = plain(&log, width);
        let wide: Vec<_> = text
            .lines()
            .filter(|line| line.chars().count() > width.max(40) && !line.starts_with("                "))
            .collect();
        assert_eq!(wide, Vec::<&str>::new());
        assert!(
            !text.chars().any(|char| (char.is_control() && char != '\n') || "\u{202e}\u{200b}\u{9b}".contains(char)),
            "{text}"
        );
    }
    let ascii = render(&classify(log.as_bytes()), &Style { width: 80, color: true, unicode: false });
    assert!(ascii.is_ascii() && ascii.contains("\x1b["));
}
