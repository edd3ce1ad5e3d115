//! What surrounds kubeadm's words: several attempts, Ansible, terminals, journals, noise, and what is no join at all.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use seaworthy::diagnose::join_log::{
    Caveat, Cut, Ending, JoinLog, MAX_BYTES, Nothing, OtherKind, Outcome, Phase, Stream, classify,
};
use serde_json::json;

use super::{READ, READ_NEW, RESET, STARTED, each_line, id, ids, joined, only, standalone};

fn read(text: &str) -> JoinLog {
    classify(text.as_bytes())
}

#[test]
fn a_second_attempt_that_changed_nothing_is_said_to_have() {
    let log = read(&format!("{}{RESET}{}", standalone(), standalone()));
    assert_eq!(ids(&log), ["never-bootstrapped", "never-bootstrapped"]);
    let second = &log.attempts[1];
    assert_eq!((second.number, second.same_as, second.after_reset), (2, Some(1), true));
    assert_eq!((log.attempts[0].same_as, log.attempts[0].after_reset), (None, false));
}

#[test]
fn attempts_that_end_differently_are_not_the_same() {
    let log = read(&format!(
        "{}{}{}",
        standalone(),
        standalone()
            .replace("40s passed.", "40s passed.\n[kubelet-check] It seems like the kubelet isn't running or healthy."),
        joined()
    ));
    assert_eq!(ids(&log), ["never-bootstrapped", "kubelet-down", "joined"]);
    assert_eq!(log.attempts.iter().map(|attempt| attempt.same_as).collect::<Vec<_>>(), [None, None, None]);
    assert_eq!(log.ending, Some(Ending::Joined), "the last attempt counts");
    assert!(!log.attempts[1].after_reset);
}

#[test]
fn a_reset_alone_is_no_join() {
    assert_eq!(read(RESET).nothing, Some(Nothing::OnlyOther(OtherKind::Reset)));
    let typed = "root@n1:~# kubeadm reset\n[preflight] Running pre-flight checks\nerror execution phase preflight: aborted reset operation\n";
    assert_eq!(read(typed).nothing, Some(Nothing::OnlyOther(OtherKind::Reset)));
    let newer = "[reset] Reading configuration from the \"kubeadm-config\" ConfigMap in namespace \"kube-system\"...\n"
        .to_owned()
        + RESET;
    assert_eq!(read(&newer).nothing, Some(Nothing::OnlyOther(OtherKind::Reset)));
    assert_eq!(ids(&read(&(newer + &joined()))), ["joined"]);
}

#[test]
fn an_init_is_no_join_although_it_names_one() {
    let init = "[init] Using Kubernetes version: v1.30.0
[preflight] Running pre-flight checks
[kubelet-start] Starting the kubelet
[wait-control-plane] Waiting for the kubelet to boot up the control plane as static Pods
[kubelet-check] The kubelet is healthy after 1s
[mark-control-plane] Marking the node cp as control-plane
[addons] Applied essential addon: CoreDNS

Your Kubernetes control-plane has initialized successfully!

kubeadm join 10.0.0.1:6443 --token abcdef.0123456789abcdef \\
\t--discovery-token-ca-cert-hash sha256:00
";
    assert_eq!(read(init).nothing, Some(Nothing::OnlyOther(OtherKind::Init)));
    assert_eq!(ids(&read(&format!("{init}{}", standalone()))), ["never-bootstrapped"]);
    let failed = "[init] Using Kubernetes version: v1.30.0\n[preflight] Running pre-flight checks\nerror execution phase preflight: [preflight] Some fatal errors occurred:\n\t[ERROR Port-6443]: Port 6443 is in use\n";
    assert_eq!(read(failed).nothing, Some(Nothing::OnlyOther(OtherKind::Init)));
}

#[test]
fn a_join_that_was_not_waited_for_is_cut_off() {
    let half = format!("{READ}{STARTED}[kubelet-start] Waiting for the kubelet to perform the TLS Bootstrap...\n");
    let by = |log: &JoinLog| match log.attempts[0].outcome {
        Outcome::CutOff { by, .. } => by,
        _ => panic!("{log:#?}"),
    };
    assert_eq!(only(&half), (Phase::TlsBootstrap, "cut-off".to_owned()));
    assert_eq!(by(&read(&half)), Cut::EndOfLog);
    assert_eq!(by(&read(&format!("{half}{RESET}"))), Cut::NextCommand);
    assert_eq!(by(&read(&format!("{half}^C\n"))), Cut::Signal);
    assert_eq!(by(&read(&format!("{half}Terminated\n"))), Cut::Signal);
    let killed = json!({"cmd": "timeout 120 kubeadm join 10.0.0.1:6443", "rc": 124, "stdout": half, "stderr": ""});
    let log = read(&format!("fatal: [n1]: FAILED! => {killed}\n"));
    assert_eq!(by(&log), Cut::Timeout);
    assert_eq!(log.attempts[0].caveats, [Caveat::ShortTimeout { seconds: 120, own_wait_seconds: 360 }]);
    let telling = format!("{half}[kubelet-check] Initial timeout of 40s passed.\n");
    assert_eq!(id(&read(&telling).attempts[0]), "cut-off never-bootstrapped");
    assert_eq!(read(&telling).ending, Some(Ending::CutOff));
}

/// One result of Ansible with the streams apart: kubeadm prints phases on one and klog's lines and the error on the other.
fn result() -> serde_json::Value {
    let stderr = "\
I0102 03:04:05.100000    99 join.go:413] [preflight] found NodeName empty; using OS hostname as NodeName
I0102 03:04:05.110000    99 preflight.go:93] [preflight] Running general checks
I0102 03:04:05.150000    99 join.go:532] [preflight] Discovering cluster-info
I0102 03:04:05.200000    99 token.go:135] [discovery] Cluster info signature and contents are valid and no TLS pinning was specified
I0102 03:04:05.300000    99 kubelet.go:172] [kubelet-start] Stopping the kubelet
timed out waiting for the condition
error execution phase kubelet-start
main.main";
    let out = standalone();
    let (stdout, _) = out.split_once("error execution").unwrap();
    json!({
        "changed": true, "cmd": "kubeadm join 10.0.0.1:6443 --token abcdef.0123456789abcdef --ignore-preflight-errors=Port-10250", "rc": 1,
        "start": "2025-01-02 03:04:05.0", "stderr": stderr, "stderr_lines": stderr.lines().collect::<Vec<_>>(),
        "stdout": stdout, "stdout_lines": stdout.lines().collect::<Vec<_>>(),
    })
}

#[test]
fn the_streams_of_a_result_are_one_attempt() {
    let layouts = [
        format!("TASK [join] ***\nfatal: [n1]: FAILED! => {}\n\nPLAY RECAP ***\n", result()),
        format!("fatal: [n1]: FAILED! => {:#}\n", result()),
        format!("n1 | FAILED! => {}\n", result()),
        format!("FAILED - RETRYING: [n1]: join (2 retries left).Result was: {}\n", result()),
        json!({"plays": [{"tasks": [{"hosts": {"n1": result()}, "task": {"name": "join"}}]}], "stats": {}}).to_string(),
        format!("{:#}", json!({"plays": [{"tasks": [{"hosts": {"n1": result()}}]}]})),
    ];
    for layout in layouts {
        let log = read(&layout);
        let [attempt] = &log.attempts[..] else { panic!("{layout}\n{log:#?}") };
        assert_eq!((attempt.host.as_deref(), id(attempt).as_str()), (Some("n1"), "never-bootstrapped"), "{layout}");
        assert_eq!(attempt.started.as_deref(), Some("01-02 03:04:05"));
        assert_eq!(attempt.proven.seconds, Some(0.2));
        assert_eq!(attempt.caveats, [Caveat::IgnoresErrors { names: vec!["Port-10250".to_owned()] }]);
        assert_eq!(
            attempt.command.as_deref(),
            Some("kubeadm join 10.0.0.1:6443 --token [redacted] --ignore-preflight-errors=Port-10250")
        );
        assert!(attempt.evidence.iter().any(|line| line.stream == Stream::Stderr));
        assert!(
            attempt.evidence.iter().any(|line| line.stream == Stream::Stdout && line.line == Some(7)),
            "{:#?}",
            attempt.evidence
        );
    }
}

#[test]
fn ansible_in_yaml_and_under_headings() {
    let result = result();
    let indented =
        |key: &str| result[key].as_str().unwrap().lines().fold(String::new(), |out, line| out + "    " + line + "\n");
    let yaml = |head: &str| {
        format!(
            "fatal: [n1]: FAILED! {head}\n  cmd: kubeadm join 10.0.0.1:6443\n  rc: 1\n  start: '2025-01-02 03:04:05.0'\n  stderr: |-\n{}  stderr_lines: <omitted>\n  stdout: |-\n{}  stdout_lines: <omitted>\n\nPLAY RECAP ***\n",
            indented("stderr"),
            indented("stdout")
        )
    };
    let plain = |key: &str| result[key].as_str().unwrap().to_owned();
    let debug = format!(
        "fatal: [n1]: FAILED! => {{\n    \"changed\": true,\n    \"cmd\": \"kubeadm join 10.0.0.1:6443\",\n    \"rc\": 1\n}}\n\nSTDOUT:\n\n{}\n\n\nSTDERR:\n\n{}\n\n\nMSG:\n\nnon-zero return code\n",
        plain("stdout"),
        plain("stderr")
    );
    for text in [yaml("=> changed=true"), yaml("=>"), debug] {
        let log = read(&text);
        assert_eq!(ids(&log), ["never-bootstrapped"], "{text}\n{log:#?}");
        assert_eq!(log.attempts[0].host.as_deref(), Some("n1"), "{text}");
        assert_eq!(log.attempts[0].command.as_deref(), Some("kubeadm join 10.0.0.1:6443"));
    }
}

#[test]
fn a_result_that_a_terminal_cut_off_still_counts() {
    let whole = format!("fatal: [n1]: FAILED! => {}", result());
    let behind = whole.find("40s passed").unwrap() + 20;
    let log = read(&format!("{}\nPLAY RECAP ***\n", &whole[..behind]));
    assert_eq!((log.attempts.len(), id(&log.attempts[0]).as_str()), (1, "never-bootstrapped"), "{log:#?}");
    let from = whole.find("\"stdout\":").unwrap();
    assert_eq!(id(&read(&whole[from..]).attempts[0]), "cut-off never-bootstrapped", "the beginning is lost");
    for width in [80, 213] {
        let lines: Vec<&str> = whole.as_bytes().chunks(width).map(|line| str::from_utf8(line).unwrap()).collect();
        let wrapped = lines.join("\n") + "\n";
        assert_eq!(ids(&read(&wrapped)), ["never-bootstrapped"], "wrapped at {width}");
    }
}

#[test]
fn a_copy_that_another_task_prints_is_not_a_second_attempt() {
    let result = result();
    let copies = format!(
        "fatal: [n1]: FAILED! => {result}\n...ignoring\nok: [n1] => {}\nok: [n1] => {}\nok: [n1] => {:#}\n",
        json!({"join.stdout_lines": result["stdout_lines"]}),
        json!({"msg": result["stdout"]}),
        json!({"join": result}),
    );
    let log = read(&copies);
    assert_eq!(log.attempts.len(), 1, "{:#?}", log.attempts);

    let again =
        format!("a: [n1] => {}\nb: [n1] => {}\n", json!({"stdout": standalone()}), json!({"stdout": standalone()}));
    assert_eq!(read(&again).attempts.len(), 2, "two joins may print the same");
}

#[test]
fn several_attempts_in_one_result_find_their_errors() {
    let out = each_line(&standalone(), |line| {
        if line.starts_with("error execution") { String::new() } else { line.to_owned() + "\n" }
    });
    let err = "error execution phase kubelet-start: timed out waiting for the condition\n";
    let result = json!({"stdout": format!("{out}{RESET}{out}{}", joined()), "stderr": err.repeat(2)});
    let log = read(&format!("changed: [n1] => {result}\n"));
    assert_eq!(ids(&log), ["never-bootstrapped", "never-bootstrapped", "joined"], "{log:#?}");
    assert_eq!(log.attempts[1].same_as, Some(1));
    assert!(log.attempts[1].after_reset);
}

#[test]
fn machines_are_kept_apart() {
    let mut text = String::new();
    for (host, out) in [("n1", standalone()), ("n2", joined()), ("n1", joined()), ("n3", standalone())] {
        let _ = writeln!(text, "x: [{host}] => {}", json!({"stdout": out, "stderr": ""}));
    }
    let log = read(&text);
    let found: Vec<_> =
        log.attempts.iter().map(|attempt| (attempt.host.clone().unwrap(), attempt.number, id(attempt))).collect();
    let expected =
        [("n1", 1, "never-bootstrapped"), ("n2", 1, "joined"), ("n1", 2, "joined"), ("n3", 1, "never-bootstrapped")];
    assert_eq!(found, expected.map(|(host, number, id)| (host.to_owned(), number, id.to_owned())));
    assert_eq!(log.ending, Some(Ending::Failed), "n3 has not joined");

    // Two machines that print at once, as under vagrant.
    let (one, two) = (standalone(), joined());
    let mut mixed = String::new();
    let mut two = two.lines();
    for line in one.lines() {
        let _ = writeln!(mixed, "    n1: {line}");
        if let Some(line) = two.next() {
            let _ = writeln!(mixed, "    n2: {line}");
        }
    }
    let log = read(&mixed);
    let found: Vec<_> = log.attempts.iter().map(|attempt| (attempt.host.as_deref().unwrap(), id(attempt))).collect();
    assert_eq!(found, [("n1", "never-bootstrapped".to_owned()), ("n2", "joined".to_owned())]);
}

#[test]
fn terminals_and_journals_do_not_matter() {
    let coloured = each_line(&standalone(), |line| format!("\x1b[0;32m{line}\x1b[0m\r\n"));
    let quoted = each_line(&standalone(), |line| format!("> {line}\n"));
    let journal = each_line(&standalone(), |line| format!("Jan 02 03:04:05 n1 kubeadm-join.sh[77]: {line}\n"));
    let stamped = each_line(&standalone(), |line| format!("2025-01-02T03:04:05.678Z {line}\n"));
    let wide: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(standalone().encode_utf16().flat_map(u16::to_le_bytes)).collect();
    for log in [coloured.as_bytes(), quoted.as_bytes(), journal.as_bytes(), stamped.as_bytes(), &wide] {
        assert_eq!(ids(&classify(log)), ["never-bootstrapped"], "{}", String::from_utf8_lossy(log));
    }
    assert_eq!(read(&journal).attempts[0].host.as_deref(), Some("n1"));
}

#[test]
fn the_kubelets_own_journal_is_no_kubeadm_and_may_confirm() {
    let journal = "Jan 02 03:04:06 n1 kubelet[9]: I0102 03:04:06.0 9 server.go:1] \"Standalone mode, no API client\"
Jan 02 03:04:07 n1 kubelet[9]: E0102 03:04:07.0 9 x.go:1] dial tcp 10.0.0.1:6443: connect: connection refused
Jan 02 03:04:08 n1 containerd[8]: error execution phase preflight: no space left on device
";
    let log = read(&format!("{}{journal}", standalone()));
    assert_eq!(ids(&log), ["never-bootstrapped"]);
    let class = log.attempts[0].outcome.class().unwrap();
    let clues: Vec<_> = log.clues_for(class).into_iter().map(|clue| (clue.id.as_str(), clue.count)).collect();
    assert_eq!(clues, [("standalone", 1)]);
    assert_eq!(read(journal).nothing, Some(Nothing::NoKubeadm));
}

#[test]
fn a_klog_process_is_one_attempt() {
    let verbose = |pid: u32| {
        format!(
            "I0102 03:04:05.1    {pid} join.go:413] [preflight] found NodeName empty\nI0102 03:04:05.2    {pid} join.go:532] [preflight] Discovering cluster-info\n"
        )
    };
    let log = read(&format!("{}{}", verbose(1), verbose(2)));
    assert_eq!(ids(&log), ["cut-off", "cut-off"]);
}

#[test]
fn an_ignored_error_that_is_there_is_named() {
    let log = read(&format!(
        "$ kubeadm join 10.0.0.1:6443 \\\n  --ignore-preflight-errors=Port-10250,Swap\n{}",
        standalone().replacen("checks\n", "checks\n\t[WARNING Port-10250]: Port 10250 is in use\n\t[WARNING Hostname]: hostname \"n1\" could not be reached\n", 1)
    ));
    let attempt = &log.attempts[0];
    assert_eq!(attempt.ignored.iter().map(|error| error.name.as_str()).collect::<Vec<_>>(), ["Port-10250"]);
    assert_eq!(log.clues.iter().map(|clue| clue.id.as_str()).collect::<Vec<_>>(), ["hostname"]);
}

#[test]
fn what_is_no_join_is_told_apart() {
    let random: Vec<u8> = (0..20_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
    let cases: [(&[u8], Nothing); 8] = [
        (b"", Nothing::Empty),
        (b" \r\n\t\n", Nothing::Empty),
        (&random, Nothing::Binary),
        (b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0", Nothing::Binary),
        ("Die Verbindung wurde vom Kommunikationspartner zurückgesetzt\n".as_bytes(), Nothing::NoKubeadm),
        (b"def main():\n    print('error: dial tcp: connection refused')\n", Nothing::NoKubeadm),
        (b"Gr\xfc\xdfe aus M\xfcnchen, in einer alten Kodierung\n", Nothing::NoKubeadm),
        (b"$ kubeadm join 10.0.0.1:6443 --token abcdef.0123456789abcdef\n$\n", Nothing::OnlyCommand),
    ];
    for (bytes, expected) in cases {
        let log = classify(bytes);
        assert_eq!(
            (log.nothing, log.ending, log.attempts.len()),
            (Some(expected), None, 0),
            "{}",
            String::from_utf8_lossy(bytes)
        );
    }
    let german = format!("Fehler beim Ausführen des Befehls:\n{}Vorgang abgebrochen\n", standalone());
    assert_eq!(ids(&read(&german)), ["never-bootstrapped"]);
}

#[test]
fn fifty_mebibytes_of_noise_with_a_join_at_the_end() {
    let noise =
        "Jan 02 03:04:05 n1 app[1]: {\"level\":\"info\",\"msg\":\"nothing to see here => [x] dial\",\"n\":123456789}\n";
    let mut log = noise.repeat((50 << 20) / noise.len());
    log.push_str(&standalone());
    let began = Instant::now();
    assert_eq!(ids(&read(&log)), ["never-bootstrapped"]);
    // Wide enough for a slow machine and a build without optimisation; one with it takes well under a second.
    assert!(began.elapsed() < Duration::from_mins(1), "{:?}", began.elapsed());
}

#[test]
fn of_a_longer_log_the_end_is_read() {
    let mut log = standalone();
    log.push_str(&("x".repeat(999) + "\n").repeat(MAX_BYTES / 1000 + 1));
    log.push_str(&joined());
    let read = read(&log);
    assert_eq!(ids(&read), ["joined"], "what lies before is not read");
    assert!(read.skipped_bytes > 0 && read.attempts[0].evidence.iter().all(|line| line.line.is_none()));
}

#[test]
fn hostile_logs_stay_cheap() {
    let began = Instant::now();
    let start = "[preflight] Running pre-flight checks\n";
    let many = read(&start.repeat(100_000));
    assert_eq!((many.attempts.len(), many.left_out), (10_000, 90_000));
    let nested = "{\"a\":\n".repeat(200_000);
    assert_eq!(read(&nested).nothing, Some(Nothing::NoKubeadm));
    let line = format!("{start}error execution phase preflight: {}\n", "dial tcp ".repeat(200_000));
    let evidence = &read(&line).attempts[0].evidence;
    assert!(evidence.iter().all(|line| line.text.chars().count() <= 301));
    assert!(began.elapsed() < Duration::from_mins(1), "{:?}", began.elapsed());
}

#[test]
fn no_secret_is_kept() {
    let token = "abcdef.0123456789abcdef";
    let long = format!("{} --token {token} {}", "x".repeat(1190), "y".repeat(3000));
    let text = format!(
        "$ kubeadm join 10.0.0.1:6443 --token {token} --certificate-key 00112233\n{READ}[kubelet-start] token={token} {long}\nerror execution phase kubelet-start: password={token} Bearer {token}xxxxx\n"
    );
    let said = serde_json::to_string(&read(&text)).unwrap();
    assert!(!said.contains("0123456789") && !said.contains("00112233"), "{said}");
    assert!(said.contains("--token [redacted]"));
}

/// Pieces of which logs are made.
const PIECES: &[&str] = &[
    READ,
    READ_NEW,
    STARTED,
    RESET,
    "[kubelet-check] x",
    "error execution phase kubelet-start: x",
    "This node has joined the cluster",
    "\n",
    "\r",
    "\t[ERROR Port-10250]: y\n",
    "\x1b[3",
    "=> {",
    "\"stdout\": \"",
    "\\n",
    "\"",
    "}",
    "I0102 03:04:05.1 7 a.go:1] ",
    "^C\n",
    "kubeadm join a:1 \\\n",
    "STDOUT:\n",
    "fatal: [h]: FAILED! => changed=true\n",
    "  stdout: |-\n",
    "    ",
    "ä€😀",
    "\0",
    "n1: ",
];

proptest! {
    #[test]
    fn nothing_panics(picks in prop::collection::vec((0..PIECES.len(), any::<Option<String>>()), 0..40)) {
        let text = picks.iter().flat_map(|(piece, odd)| [PIECES[*piece], odd.as_deref().unwrap_or_default()]).collect::<String>();
        let log = read(&text);
        prop_assert_eq!(log.attempts.is_empty(), log.nothing.is_some());
        prop_assert_eq!(log.ending.is_some(), log.nothing.is_none());
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(classify(&bytes).skipped_bytes == 0);
    }
}
