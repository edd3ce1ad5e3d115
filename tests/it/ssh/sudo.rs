//! sudo over a real channel, played by scripts that stand first in `PATH`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use seaworthy::failure::FailureKind;
use seaworthy::ssh::{ExecOutcome, ExecRequest, Exit, Live, Session};
use seaworthy::target::Sudo;
use tokio::sync::mpsc;

use super::server::{self, Behaviour, Exec, Server};
use super::support::{Client, connect, request};

/// Reads the options as sudo does and leaves `$prompt`, `$interactive` and the command in `"$@"`.
const OPTIONS: &str = r#"#!/bin/sh
interactive=yes
while :; do case "$1" in
    -n) interactive=no; shift;;
    -H|-S) shift;;
    -p) prompt=$2; shift 2;;
    -u) shift 2;;
    --) shift; break;;
    *) echo "sudo: bad option $1" >&2; exit 1;;
esac; done
"#;

/// Asks for the password `right`, a byte at a time as sudo does, and runs the command.
const ASKS: &str = r#"
[ $interactive = no ] && { echo 'sudo: a password is required' >&2; exit 1; }
echo asked >> "$0.log"
printf %s "$prompt" >&2
read -r line
if [ "$line" != right ]; then
    echo 'Sorry, try again.' >&2
    echo asked >> "$0.log"
    printf %s "$prompt" >&2
    read -r line
    echo "second try: $line" >> "$0.log"
    exit 1
fi
exec "$@"
"#;

struct Stage {
    client: Client,
    _server: Server,
    session: Session,
    stub: PathBuf,
}

impl Stage {
    async fn new(body: &str) -> Self {
        let client = Client::new();
        let bin = client.dir.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let stub = bin.join("sudo");
        fs::write(&stub, format!("{OPTIONS}{body}")).unwrap();
        fs::set_permissions(&stub, fs::Permissions::from_mode(0o755)).unwrap();
        let keys = vec![client.key.public_key().clone()];
        let server = server::start(Behaviour { keys, exec: Exec::Run(Some(bin)), ..Behaviour::default() }).await;
        let mut resolved = client.resolved(server.port);
        resolved.user = "ops".into();
        let session = connect(&resolved).await;
        Self { client, _server: server, session, stub }
    }

    async fn run(&self, password: Option<&str>) -> ExecOutcome {
        let sudo = Sudo { user: "root".into(), password: password.map(Into::into) };
        let script = b"echo first line\necho last line\n";
        self.session.exec(ExecRequest { sudo: Some(&sudo), ..request("sh -s", script) }).await
    }

    fn log(&self) -> String {
        fs::read_to_string(self.stub.with_extension("log")).unwrap_or_default()
    }
}

#[tokio::test]
async fn without_a_question_the_script_runs_and_no_password_reaches_it() {
    for password in [None, Some("right")] {
        let stage = Stage::new("exec \"$@\"").await;
        let outcome = stage.run(password).await;
        assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
        assert_eq!(String::from_utf8(outcome.stdout).unwrap(), "first line\nlast line\n");
        assert_eq!(outcome.exit, Exit::Code(0));
        assert!(outcome.stderr.is_empty(), "a password would have been run as a command");
    }
}

#[tokio::test]
async fn a_right_password_opens_the_way() {
    let stage = Stage::new(ASKS).await;
    let outcome = stage.run(Some("right")).await;
    assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
    assert_eq!(String::from_utf8(outcome.stdout).unwrap(), "first line\nlast line\n");
    assert!(outcome.stderr.is_empty(), "our own prompt is not the command's output");
}

#[tokio::test]
async fn input_that_goes_on_waits_for_the_password_too() {
    let stage = Stage::new(ASKS).await;
    let sudo = Sudo { user: "root".into(), password: Some("right".into()) };
    let (output, mut heard) = mpsc::unbounded_channel();
    let (say, input) = mpsc::unbounded_channel();
    say.send(b"two\n".to_vec()).unwrap();
    drop(say);
    let channel = stage.session.command_channel().await.unwrap();
    let request = ExecRequest { sudo: Some(&sudo), ..request("cat", b"one\n") };
    let outcome = channel.exec(request, Live { output: Some(output), input: Some(input) }).await;
    assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
    let mut all = Vec::new();
    while let Some(piece) = heard.recv().await {
        all.extend(piece);
    }
    assert_eq!(String::from_utf8(all).unwrap(), "one\ntwo\n");
}

#[tokio::test]
async fn a_wrong_password_is_noticed_and_not_sent_again() {
    let stage = Stage::new(ASKS).await;
    let failure = stage.run(Some("wrong")).await.failure.unwrap();
    assert_eq!(failure.kind, FailureKind::SudoPassword);
    assert!(failure.message.contains("it was sent once"), "{failure}");
    assert!(!failure.message.contains("wrong"));
    assert!(!stage.log().contains("second try: wrong"), "{}", stage.log());
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let cases = [
        (ASKS, FailureKind::SudoPassword, "wants a password"),
        ("echo 'ops is not in the sudoers file.' >&2; exit 1", FailureKind::SudoDenied, "not in the sudoers"),
        ("echo 'sudo: sorry, you must have a tty to run sudo' >&2; exit 1", FailureKind::SudoDenied, "requiretty"),
        ("exit 127", FailureKind::SudoDenied, "not installed"),
    ];
    for (body, kind, words) in cases {
        let stage = Stage::new(body).await;
        let outcome = stage.run(None).await;
        let failure = outcome.failure.unwrap();
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.message.contains(words), "{failure}");
        assert!(outcome.stdout.is_empty());
        drop(stage.client);
    }
}

#[tokio::test]
async fn a_command_that_fails_under_sudo_is_not_sudos_failure() {
    let stage = Stage::new("exec \"$@\"").await;
    let sudo = Sudo { user: "root".into(), password: None };
    let command = "echo 'a password is required' >&2; exit 1";
    let outcome = stage.session.exec(ExecRequest { sudo: Some(&sudo), ..request(command, b"") }).await;
    assert_eq!((outcome.exit, outcome.failure), (Exit::Code(1), None));
}

#[tokio::test]
async fn becoming_oneself_needs_no_sudo() {
    let stage = Stage::new("exit 1").await;
    let sudo = Sudo { user: "ops".into(), password: None };
    let outcome = stage.session.exec(ExecRequest { sudo: Some(&sudo), ..request("echo plain", b"") }).await;
    assert_eq!(outcome.stdout, b"plain\n");
}
