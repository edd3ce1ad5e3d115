//! Secrets in memory: nothing prints them, and nobody gets to see the memory.

use std::fmt::Debug;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use seaworthy::change::hand::{Job, SecretRan};
use seaworthy::change::join::token::{self, Token};
use seaworthy::inventory::load::{self, Source, Surroundings};
use seaworthy::inventory::origin::{Origin, Overrides, Told};
use seaworthy::password_gate::PasswordGate;
use seaworthy::ssh::resolved::Resolved;
use seaworthy::ssh::{ExecRequest, KeyRing};
use seaworthy::target::Sudo;
use secrecy::SecretString;

use crate::ssh::support::Client;

const PLANTED: &str = "pl4nted-s3cret";
const TOKEN: &str = "abcdef.0123456789abcdef";

/// As text, as the numbers of its bytes, and in pieces.
fn assert_hides(what: &(impl Debug + ?Sized), secret: &str) {
    let bytes: Vec<String> = secret.bytes().map(|byte| byte.to_string()).collect();
    for shown in [format!("{what:?}"), format!("{what:#?}")] {
        let joined: String = shown.split_whitespace().collect();
        assert!(!shown.contains(secret) && !joined.contains(&bytes.join(",")), "{shown}");
    }
}

#[test]
fn no_debug_form_shows_a_secret() {
    let text = format!(
        "all:\n  hosts: {{ n1: {{ ansible_password: {PLANTED}, vault_of_mine: {PLANTED} }} }}\n  \
         vars: {{ ansible_become: true, ansible_become_password: {PLANTED} }}\n"
    );
    let surroundings = Surroundings { cwd: PathBuf::from("/"), home: None, script_deadline: Duration::from_secs(10) };
    let loaded = load::load(&[Source::Stdin], &surroundings, &mut text.as_bytes()).unwrap();
    assert_hides(&loaded, PLANTED);
    let host = loaded.inventory.host("n1").unwrap();
    let told = Told { value: SecretString::from(PLANTED), origin: Origin::Flag("--ask-pass") };
    let overrides = Overrides { password: Some(told.clone()), sudo_password: Some(told), ..Overrides::default() };
    assert_hides(&overrides, PLANTED);
    for overrides in [Overrides::default(), overrides] {
        let target = loaded.inventory.target(host, &overrides).unwrap();
        assert!(target.sudo.as_ref().is_some_and(|sudo| sudo.password.is_some()));
        assert_hides(&target, PLANTED);
    }

    let client = Client::new();
    let resolved = Resolved { password: Some(PLANTED.into()), ..client.resolved(22) };
    assert_hides(&resolved, PLANTED);
    let sudo = Sudo { user: "root".into(), password: Some(PLANTED.into()) };
    let input = format!("token: {TOKEN}");
    let request = ExecRequest {
        command: "sh -s",
        stdin: input.as_bytes(),
        sudo: Some(&sudo),
        deadline: Duration::from_secs(1),
        stdout_cap: 1,
        stderr_cap: 1,
    };
    assert_hides(&request, PLANTED);
    assert_hides(&request, TOKEN);

    let made = token::made(&format!(
        "kubeadm join 192.0.2.10:6443 --token {TOKEN} --discovery-token-ca-cert-hash sha256:{}\n",
        "0".repeat(64)
    ));
    let job = Job {
        name: "join".into(),
        run: "r".into(),
        attempt: 1,
        command: "true".into(),
        secret_file: Some(("discovery.yaml".into(), TOKEN.into())),
    };
    let ran = SecretRan { code: 0, stdout: TOKEN.into(), stderr: String::new() };
    let things: [&dyn Debug; 4] = [&made.unwrap(), &Token::parse(TOKEN).unwrap(), &job, &ran];
    for thing in things {
        // The first six characters are a token's public name.
        assert_hides(thing, "0123456789abcdef");
    }
}

#[tokio::test]
async fn no_debug_form_shows_a_tried_password_or_a_key() {
    let gate = PasswordGate::default();
    let leave = gate.enter(Some(&PLANTED.into())).await.unwrap();
    assert_hides(&(&gate, &leave), PLANTED);

    let client = Client::new();
    let text = std::fs::read_to_string(&client.key_file).unwrap();
    let ring = KeyRing::load([&client.resolved(22)]);
    for line in text.lines().filter(|line| !line.starts_with("---")) {
        assert_hides(&ring, line);
    }
}

/// Whether the process's memory is root's and not its own user's; root itself cannot tell.
fn is_private(process: u32) -> Option<bool> {
    let owner = std::fs::metadata(format!("/proc/{process}/mem")).unwrap().uid();
    (!rustix::process::geteuid().is_root()).then_some(owner == 0)
}

/// How it ends when it is aborted once `ready` stands on its standard error, with no limit on core dumps; and what
/// [`is_private`] says before.
fn aborted(program: &Path, arguments: &[&str], ready: &str) -> (ExitStatus, Option<bool>) {
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -c unlimited 2>/dev/null; exec \"$@\"", "sh"])
        .arg(program)
        .args(arguments)
        .current_dir(directory.path())
        .env("HOME", directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains(ready) {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "it ended early");
    }
    let private = is_private(child.id());
    kill_process(Pid::from_child(&child), Signal::ABORT).unwrap();
    (child.wait().unwrap(), private)
}

#[test]
fn an_abort_leaves_no_core_dump() {
    let seaworthy = Path::new(env!("CARGO_BIN_EXE_seaworthy"));
    let (other, open) = aborted(Path::new("sh"), &["-c", "echo ready >&2; exec sleep 600"], "ready");
    assert_eq!((other.signal(), open.unwrap_or_default()), (Some(6), false));
    if !other.core_dumped() {
        eprintln!("not shown: this machine dumps no core of any program");
    }
    let (own, private) = aborted(seaworthy, &["demo", "--serve", "-n", "1"], "nodes are up");
    assert_eq!((own.signal(), own.core_dumped(), private.unwrap_or(true)), (Some(6), false, true));
}
