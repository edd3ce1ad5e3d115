//! The sweep as a user runs it: the binary against the embedded fleet, well-behaved and not.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use seaworthy::demo::{Behaviour, Fleet, Plan, State};
use serde_json::Value;

/// A place of its own for home, state and output.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The binary in an environment that has nothing of this machine's user.
    fn seaworthy(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seaworthy"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.seaworthy(arguments).output().unwrap()
    }

    fn inventory(&self, fleet: &Fleet) -> String {
        let path = self.path().join("fleet.yaml");
        fleet.write_inventory(&path).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn fleet(nodes: impl IntoIterator<Item = (State, Behaviour)>) -> Fleet {
    Fleet::start(Plan::of(7, nodes)).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(output)))
}

fn text(output: &Output) -> String {
    format!(
        "{}\n--- stdout\n{}\n--- stderr\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn nodes(document: &Value) -> BTreeMap<String, Value> {
    let nodes = document["nodes"].as_array().expect("nodes");
    nodes.iter().map(|node| (node["name"].as_str().unwrap().to_owned(), node.clone())).collect()
}

#[test]
fn each_misbehaviour_is_one_failure_kind_and_costs_nobody_else() {
    let cases = [
        (Behaviour::Unreachable, "refused"),
        (Behaviour::HangAfterTcp, "banner-timeout"),
        (Behaviour::HangInKex, "kex"),
        (Behaviour::HangInAuth, "auth-timeout"),
        (Behaviour::HangInProbe, "exec-timeout"),
        (Behaviour::DropMidSection, "connection-lost"),
        (Behaviour::GarbageBanner, "not-ssh"),
        (Behaviour::OldProtocol, "not-ssh"),
        (Behaviour::EndlessBanner, "not-ssh"),
        (Behaviour::RefuseKey, "auth"),
        (Behaviour::RefuseSessions, "channel"),
        (Behaviour::NoShell, "protocol"),
        (Behaviour::ChangedKey, "host-key-changed"),
        (Behaviour::HugeOutput, "output-limit"),
    ];
    let healthy = [
        (State::ControlPlane, Behaviour::Answer),
        (State::Worker, Behaviour::Answer),
        (State::Worker, Behaviour::NoisyShell),
        (State::Worker, Behaviour::ForgedMarker),
        (State::Worker, Behaviour::EscapeSequences),
        (State::Worker, Behaviour::InvalidUtf8),
    ];
    let fleet = fleet(healthy.into_iter().chain(cases.iter().map(|(behaviour, _)| (State::Worker, *behaviour))));
    let place = Place::new();
    let inventory = place.inventory(&fleet);
    let output = place.run(&[
        "sweep",
        "-i",
        &inventory,
        "-o",
        "json",
        "--timeout",
        "4s",
        "--kex-timeout",
        "4s",
        "--auth-timeout",
        "4s",
    ]);
    let found = nodes(&json(&output));
    for (index, (behaviour, kind)) in cases.iter().enumerate() {
        let node = &found[&fleet.nodes()[healthy.len() + index].name];
        let failure = &node["failure"];
        assert_eq!(failure["kind"], *kind, "{behaviour:?}: {failure}");
        for field in ["layer", "message", "next"] {
            assert!(failure[field].as_str().is_some_and(|text| !text.is_empty()), "{behaviour:?}: {failure}");
        }
    }
    for node in &fleet.nodes()[..healthy.len()] {
        let found = &found[&node.name];
        assert_eq!(found["failure"], Value::Null, "{:?}", node.behaviour);
        assert_eq!(found["verdict"], "pass", "{:?}: {}", node.behaviour, found["summary"]);
    }
    // Nothing fails a check, so unreachable hosts are the only reason.
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    // The part that the hung and the dropped node sent is kept.
    let hung = cases.iter().position(|(behaviour, _)| *behaviour == Behaviour::HangInProbe).unwrap();
    assert!(!found[&fleet.nodes()[healthy.len() + hung].name]["facts"].is_null());
}

#[test]
fn a_hung_node_takes_its_own_deadline_and_no_more() {
    let nodes =
        (0..20).map(|index| (State::Worker, if index == 7 { Behaviour::HangInProbe } else { Behaviour::Answer }));
    let fleet = fleet(nodes);
    let place = Place::new();
    let inventory = place.inventory(&fleet);
    let begun = Instant::now();
    let output = place.run(&["sweep", "-i", &inventory, "-o", "json", "--timeout", "6s"]);
    let took = begun.elapsed();
    let found = self::nodes(&json(&output));
    assert_eq!(found.values().filter(|node| node["verdict"] == "pass").count(), 19, "{}", text(&output));
    assert_eq!(found["node008"]["failure"]["kind"], "exec-timeout");
    // Generous, because debug builds of both sides share the machine; what counts is that nothing adds up.
    assert!(took < Duration::from_secs(6 + 20), "{took:?}");
}

#[test]
fn a_replay_gives_the_same_bytes_in_every_format() {
    let fleet = fleet([
        (State::ControlPlane, Behaviour::Answer),
        (State::StorageNode, Behaviour::Answer),
        (State::NoCni, Behaviour::EscapeSequences),
        (State::Worker, Behaviour::Unreachable),
    ]);
    let place = Place::new();
    let inventory = place.inventory(&fleet);
    for format in ["table", "wide", "json", "yaml", "jsonl", "name"] {
        let live = place.run(&["sweep", "-i", &inventory, "-o", format]);
        let again = place.run(&["sweep", "--from", "last", "-o", format]);
        assert_eq!(String::from_utf8_lossy(&live.stdout), String::from_utf8_lossy(&again.stdout), "{format}");
        assert_eq!(live.status.code(), again.status.code(), "{format}");
        assert_eq!(live.status.code(), Some(6), "{format}: {}", text(&live));
        assert!(!live.stdout.contains(&0x1b), "{format} lets an escape sequence through");
    }
    drop(fleet);
    let limited = json(&place.run(&["sweep", "--from", "last", "-l", "workers:!node004", "-o", "json"]));
    assert_eq!(nodes(&limited).keys().collect::<Vec<_>>(), ["node002", "node003"]);
}

#[test]
fn rerun_takes_the_failed_ones_only() {
    let fleet = fleet([
        (State::Worker, Behaviour::Answer),
        (State::ContainerdStopped, Behaviour::Answer),
        (State::Worker, Behaviour::RefuseKey),
    ]);
    let place = Place::new();
    let inventory = place.inventory(&fleet);
    let first = place.run(&["sweep", "-i", &inventory, "-o", "json"]);
    assert_eq!(json(&first)["run"]["counts"]["total"], 3);
    let again = |which: &str| {
        let names: Vec<String> =
            nodes(&json(&place.run(&["sweep", "--rerun", which, "-o", "json"]))).into_keys().collect();
        names
    };
    assert_eq!(again("failed"), ["node002", "node003"]);
    assert_eq!(again("unreachable"), ["node003"]);
}

#[test]
fn two_runs_at_once_keep_both_and_a_broken_run_directory_costs_no_result() {
    let fleet = fleet([(State::Worker, Behaviour::Answer)]);
    let place = Place::new();
    let inventory = place.inventory(&fleet);
    let arguments = ["sweep", "-i", &inventory, "-o", "json", "--run-dir", "runs"];
    let both: Vec<_> = (0..2).map(|_| place.seaworthy(&arguments).stdout(Stdio::piped()).spawn().unwrap()).collect();
    for child in both {
        let output = child.wait_with_output().unwrap();
        assert_eq!(json(&output)["run"]["counts"]["ok"], 1, "{}", text(&output));
    }
    assert_eq!(std::fs::read_dir(place.path().join("runs")).unwrap().count(), 2);

    std::fs::write(place.path().join("file"), "").unwrap();
    let output = place.run(&["sweep", "-i", &inventory, "-o", "json", "--run-dir", "file/runs"]);
    assert_eq!(json(&output)["run"]["counts"]["ok"], 1);
    assert!(String::from_utf8_lossy(&output.stderr).contains("file/runs"), "{}", text(&output));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn an_interrupt_prints_what_arrived_and_names_what_did_not() {
    use std::io::{BufRead as _, BufReader};
    let fleet = fleet([(State::Worker, Behaviour::Answer), (State::Worker, Behaviour::HangInProbe)]);
    let place = Place::new();
    let inventory = place.inventory(&fleet);
    let mut child = place
        .seaworthy(&["sweep", "-i", &inventory, "-o", "json", "--run-dir", "runs", "--timeout", "10m"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The first record on disk says that the healthy node is done.
    let deadline = Instant::now() + Duration::from_mins(1);
    let arrived = || {
        let run = std::fs::read_dir(place.path().join("runs")).ok()?.next()?.ok()?.path();
        run.join("hosts/node001.json").exists().then_some(())
    };
    while arrived().is_none() {
        assert!(Instant::now() < deadline, "the healthy node's record never came");
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let told = stderr.lines().map_while(Result::ok).any(|line| line.contains("interrupted"));
    let output = child.wait_with_output().unwrap();
    assert!(told);
    assert_eq!(output.status.code(), Some(130));
    let found = nodes(&json(&output));
    assert_eq!(found["node001"]["verdict"], "pass");
    assert_eq!(found["node002"]["failure"]["kind"], "interrupted");
}

#[test]
fn unknown_keys_follow_the_policy() {
    let fleet = fleet([(State::Worker, Behaviour::Answer)]);
    let place = Place::new();
    let inventory = place.inventory(&fleet);
    let sweep = |policy: &str| {
        let output = place.run(&[
            "sweep",
            "-i",
            &inventory,
            "-o",
            "json",
            "--host-key",
            policy,
            "--known-hosts",
            "own_known_hosts",
            "--no-save",
        ]);
        (json(&output)["nodes"][0].clone(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(sweep("strict").0["failure"]["kind"], "host-key-unknown");
    // Without a terminal nobody can be asked.
    assert_eq!(sweep("ask").0["failure"]["kind"], "host-key-unknown");
    assert!(!place.path().join("own_known_hosts").exists());
    let (node, said) = sweep("accept-new");
    assert_eq!(node["failure"], Value::Null);
    assert!(said.contains("SHA256:"), "{said}");
    let learned = std::fs::read_to_string(place.path().join("own_known_hosts")).unwrap();
    assert_eq!(learned.lines().count(), 1, "{learned}");
    assert_eq!(sweep("strict").0["failure"], Value::Null);
}

#[test]
fn exec_folds_equal_outputs() {
    let fleet = fleet([
        (State::Worker, Behaviour::Answer),
        (State::Worker, Behaviour::Answer),
        (State::Worker, Behaviour::Unreachable),
    ]);
    let place = Place::new();
    let inventory = place.inventory(&fleet);
    let output = place.run(&["exec", "-i", &inventory, "--", "echo", "hello"]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains("node[001-002] (2)\n  hello"), "{shown}");
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    let failing = place.run(&["exec", "-i", &inventory, "-l", "node001", "--", "false"]);
    assert_eq!(failing.status.code(), Some(2), "{}", text(&failing));
}

#[test]
fn wrong_use_is_64_and_says_what_to_do() {
    let place = Place::new();
    for (arguments, expected) in [
        (&["sweep"][..], "no inventory"),
        (&["sweep", "--frob"], "--frob"),
        (&["sweep", "-i", "a,", "--timeout", "soon"], "soon"),
        (&["sweep", "-i", "a,", "--ssh-option", "nothing"], "KEY=VALUE"),
        (&["sweep", "-i", "a,", "--port", "0"], "0"),
    ] {
        let output = place.run(arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {}", text(&output));
        assert!(String::from_utf8_lossy(&output.stderr).contains(expected), "{arguments:?}: {}", text(&output));
        assert!(output.stdout.is_empty());
    }
    for (arguments, expected) in [
        (&["sweep", "-i", "missing.yaml"][..], "missing.yaml"),
        (&["sweep", "-i", "a,b,", "-l", "c"], "no host matches"),
        (&["sweep", "--from", "nowhere"], "nowhere"),
    ] {
        let output = place.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output));
        assert!(String::from_utf8_lossy(&output.stderr).contains(expected), "{arguments:?}: {}", text(&output));
    }
}

#[test]
fn the_demo_works_without_any_set_up_and_leaves_nothing() {
    let place = Place::new();
    let output = place.seaworthy(&["demo", "-n", "12"]).env("TMPDIR", place.path()).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    for expected in ["NODE", "masternode", "storagenodeT3500", "standalone", "unreachable"] {
        assert!(shown.contains(expected), "{expected} is missing:\n{shown}");
    }
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "the demo left something behind");
}

#[test]
fn completions_manual_and_schema_are_printed() {
    let place = Place::new();
    for (arguments, expected) in [
        (&["completions", "bash"][..], "_seaworthy"),
        (&["completions", "zsh"], "#compdef seaworthy"),
        (&["completions", "fish"], "complete -c seaworthy"),
        (&["man"], ".TH seaworthy"),
        (&["completions", "bash"], "accept-unknown"),
        (&["man"], "seaworthy\\-join(1)"),
        (&["schema"], "\"title\": \"Report\""),
        (&["schema", "join-log"], "\"title\": \"JoinLog\""),
        (&["schema", "plan"], "\"title\": \"Document\""),
    ] {
        let output = place.run(arguments);
        assert!(String::from_utf8_lossy(&output.stdout).contains(expected), "{arguments:?}: {}", text(&output));
        assert_eq!(output.status.code(), Some(0));
    }
}

/// A server that accepts and says nothing, and the inventory of a node that is this machine and is to join there.
fn mute_endpoint(place: &Place) -> (std::net::TcpListener, String) {
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    // A name, because names are dialled when the probe is over.
    let endpoint = format!("localhost:{}", mute.local_addr().unwrap().port());
    let path = place.path().join("local.yaml");
    let vars = format!("{{ ansible_connection: local, kube_api_endpoint: '{endpoint}' }}");
    std::fs::write(&path, format!("all:\n  hosts:\n    here: {vars}\n")).unwrap();
    (mute, path.to_str().unwrap().to_owned())
}

#[test]
fn an_interrupt_while_the_api_is_tried_keeps_the_probe_and_what_was_found() {
    use std::io::Read as _;
    if ["kubelet.conf", "bootstrap-kubelet.conf"].iter().any(|file| Path::new("/etc/kubernetes").join(file).exists()) {
        eprintln!("skipped: this machine is a node and has an endpoint of its own");
        return;
    }
    let place = Place::new();
    let (mute, inventory) = mute_endpoint(&place);
    let arguments = ["sweep", "-i", &inventory, "-o", "json", "--run-dir", "runs"];
    let child = place.seaworthy(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The first byte of a handshake says that the probe is done; the handshake never is.
    mute.set_nonblocking(true).unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut connection = loop {
        match mute.accept() {
            Ok((connection, _)) => break connection,
            Err(_) => assert!(Instant::now() < deadline, "the endpoint was never dialled"),
        }
        std::thread::yield_now();
    };
    connection.set_nonblocking(false).unwrap();
    connection.read_exact(&mut [0]).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let node = nodes(&json(&output)).remove("here").unwrap();
    assert_eq!(node["failure"], Value::Null, "{}", text(&output));
    let api = &node["facts"]["reach"]["api"];
    assert_eq!((&api["origin"], &api["tcp"]), (&"inventory".into(), &"open".into()), "{api}");
    let again = place.run(&["sweep", "--from", "last", "--run-dir", "runs", "-o", "json"]);
    assert_eq!(nodes(&json(&again))["here"]["facts"]["reach"], node["facts"]["reach"]);
}
