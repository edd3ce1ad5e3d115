//! One command: its output is complete or its loss is named, whatever the server does.

use std::time::Duration;

use russh::Sig;
use seaworthy::failure::FailureKind;
use seaworthy::ssh::{ExecOutcome, ExecRequest, Exit, Live, local};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::server::{self, Behaviour, Exec, Seen, Server};
use super::steps::Step;
use super::support::{Client, connect, request};

async fn serve(exec: Exec) -> (Client, Server) {
    let client = Client::new();
    let keys = vec![client.key.public_key().clone()];
    let server = server::start(Behaviour { keys, exec, ..Behaviour::default() }).await;
    (client, server)
}

async fn run(exec: Exec, request: ExecRequest<'_>) -> ExecOutcome {
    let (client, server) = serve(exec).await;
    let session = connect(&client.resolved(server.port)).await;
    session.exec(request).await
}

#[tokio::test]
async fn a_script_on_stdin_is_run_and_both_outputs_are_kept() {
    let outcome = run(Exec::Run(None), request("sh -s", b"echo out; echo err >&2; exit 3")).await;
    assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
    assert_eq!(outcome.exit, Exit::Code(3));
    assert_eq!((outcome.stdout.as_slice(), outcome.stderr.as_slice()), (b"out\n".as_slice(), b"err\n".as_slice()));
    let (sent, first) = (outcome.sent.unwrap(), outcome.first_byte().unwrap());
    assert!(sent.instant <= first.instant && outcome.open.is_some() && outcome.exec.is_some());
}

#[tokio::test]
async fn the_status_may_come_before_or_after_the_end_of_output() {
    use Step::{Close, Eof, Out, Status};
    let out = || Out(b"x".to_vec());
    for steps in [
        vec![out(), Status(7), Eof, Close],
        vec![out(), Eof, Status(7), Close],
        vec![Status(7), out(), Eof, Close],
        vec![Status(7), out(), Close],
    ] {
        let outcome = run(Exec::Steps(steps), request("true", b"")).await;
        assert_eq!((outcome.exit, outcome.stdout.as_slice()), (Exit::Code(7), b"x".as_slice()));
        assert!(outcome.failure.is_none());
    }
}

#[tokio::test]
async fn a_signal_is_an_end_and_a_missing_status_is_a_loss() {
    let killed = run(Exec::Steps(vec![Step::Killed(Sig::KILL), Step::Close]), request("true", b"")).await;
    assert_eq!(killed.exit, Exit::Signal("KILL".into()));
    assert!(killed.failure.is_none());

    let silent =
        run(Exec::Steps(vec![Step::Out(b"kept".to_vec()), Step::Eof, Step::Close]), request("true", b"")).await;
    assert_eq!((silent.exit, silent.stdout.as_slice()), (Exit::Missing, b"kept".as_slice()));
    assert_eq!(silent.failure.unwrap().kind, FailureKind::ConnectionLost);

    let lost = run(
        Exec::Steps(vec![Step::Out(b"kept".to_vec()), Step::Err(b"too".to_vec()), Step::Drop]),
        request("true", b""),
    )
    .await;
    let failure = lost.failure.unwrap();
    assert_eq!(failure.kind, FailureKind::ConnectionLost);
    assert_eq!(failure.message, "the server ended the connection: going down");
    assert_eq!((lost.stdout.as_slice(), lost.stderr.as_slice()), (b"kept".as_slice(), b"too".as_slice()));
}

#[tokio::test]
async fn a_command_that_never_ends_is_left_at_its_deadline_with_what_it_said() {
    let (client, server) = serve(Exec::Steps(vec![Step::Out(b"so far".to_vec())])).await;
    let session = connect(&client.resolved(server.port)).await;
    let hung = ExecRequest { deadline: Duration::from_secs(1), ..request("true", b"") };
    let outcome = session.exec(hung).await;
    assert_eq!(outcome.failure.unwrap().kind, FailureKind::ExecTimeout);
    assert_eq!(outcome.stdout, b"so far");
    assert!(outcome.exec.unwrap() < Duration::from_secs(10));
    // The server was asked to end it.
    let told = async {
        while Seen::count(&server.seen.signals) < 2 || Seen::count(&server.seen.channels_closed) < 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), told).await.unwrap();
}

#[tokio::test]
async fn ten_megabytes_arrive_whole_or_are_cut_at_the_limit() {
    const SIZE: usize = 10 << 20;
    let steps = || Exec::Steps(vec![Step::Out(vec![b'x'; SIZE]), Step::Status(0), Step::Eof, Step::Close]);
    let whole = run(steps(), request("true", b"")).await;
    assert_eq!((whole.stdout.len(), whole.failure.is_none()), (SIZE, true));
    let cut = run(steps(), ExecRequest { stdout_cap: 1 << 20, ..request("true", b"") }).await;
    assert_eq!(cut.stdout.len(), 1 << 20);
    assert_eq!(cut.failure.unwrap().kind, FailureKind::OutputLimit);
}

#[tokio::test]
async fn input_larger_than_every_window_arrives() {
    let big = vec![b'x'; 8 << 20];
    let outcome = run(Exec::Run(None), request("wc -c", &big)).await;
    assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
    assert_eq!(String::from_utf8(outcome.stdout).unwrap().trim(), big.len().to_string());
}

#[tokio::test]
async fn much_on_stderr_does_not_hold_up_stdout() {
    let script = b"i=0; while [ $i -lt 3000 ]; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx >&2; i=$((i+1)); done; echo done";
    let outcome = run(Exec::Run(None), ExecRequest { stderr_cap: 1000, ..request("sh -s", script) }).await;
    assert_eq!((outcome.stdout.as_slice(), outcome.stderr.len()), (b"done\n".as_slice(), 1000));
    assert!(outcome.failure.is_none());
}

#[tokio::test]
async fn refused_channels_and_commands_are_channel_failures() {
    let client = Client::new();
    let keys = vec![client.key.public_key().clone()];
    let server = server::start(Behaviour { keys, max_sessions: 0, ..Behaviour::default() }).await;
    let session = connect(&client.resolved(server.port)).await;
    let failure = session.exec(request("true", b"")).await.failure.unwrap();
    assert_eq!(failure.kind, FailureKind::Channel);
    assert!(failure.next.contains("MaxSessions"), "{}", failure.next);

    let failure = run(Exec::Refuse, request("true", b"")).await.failure.unwrap();
    assert_eq!(failure.kind, FailureKind::Channel);
    assert!(failure.message.contains("refused to run a command"), "{failure}");
}

#[tokio::test]
async fn several_commands_share_a_session() {
    let (client, server) = serve(Exec::Run(None)).await;
    let session = connect(&client.resolved(server.port)).await;
    let (one, two) = tokio::join!(session.exec(request("echo one", b"")), session.exec(request("echo two", b"")));
    assert_eq!((one.stdout.as_slice(), two.stdout.as_slice()), (b"one\n".as_slice(), b"two\n".as_slice()));
    assert_eq!(Seen::count(&server.seen.connections), 1);
}

/// A command that says what it is told, line by line, until its input ends.
const ECHO: &str = "while read -r line; do echo \"got $line\"; done; echo over; exit 4";

/// Talks to `ECHO`: its answers come while it runs, and it runs for as long as its input is open.
async fn talk(
    running: impl Future<Output = ExecOutcome>,
    say: mpsc::UnboundedSender<Vec<u8>>,
    mut heard: mpsc::UnboundedReceiver<Vec<u8>>,
) {
    let talking = async {
        let mut all = Vec::new();
        for number in 0..3 {
            say.send(format!("line {number}\n").into_bytes()).unwrap();
            while !all.ends_with(format!("got line {number}\n").as_bytes()) {
                all.extend(heard.recv().await.unwrap());
            }
        }
        drop(say);
        while let Some(piece) = heard.recv().await {
            all.extend(piece);
        }
        String::from_utf8(all).unwrap()
    };
    let (outcome, all) = timeout(Duration::from_secs(20), async { tokio::join!(running, talking) }).await.unwrap();
    assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
    assert_eq!((outcome.exit, outcome.stdout.len()), (Exit::Code(4), 0));
    assert_eq!(all, "got line 0\ngot line 1\ngot line 2\nover\n");
}

#[tokio::test]
async fn output_comes_as_it_is_printed_and_input_may_go_on() {
    let (client, server) = serve(Exec::Run(None)).await;
    let session = connect(&client.resolved(server.port)).await;
    let (output, heard) = mpsc::unbounded_channel();
    let (say, input) = mpsc::unbounded_channel();
    let live = Live { output: Some(output), input: Some(input) };
    let channel = session.command_channel().await.unwrap();
    talk(channel.exec(request(ECHO, b""), live), say, heard).await;

    let (output, heard) = mpsc::unbounded_channel();
    let (say, input) = mpsc::unbounded_channel();
    let live = Live { output: Some(output), input: Some(input) };
    talk(local::exec_live(request(ECHO, b""), live), say, heard).await;
}

#[tokio::test]
async fn a_command_that_nobody_waits_for_any_more_is_ended() {
    let (client, server) = serve(Exec::Steps(vec![Step::Out(b"so far".to_vec())])).await;
    let session = connect(&client.resolved(server.port)).await;
    let (output, mut heard) = mpsc::unbounded_channel();
    let channel = session.command_channel().await.unwrap();
    let live = Live { output: Some(output), input: None };
    tokio::select! {
        outcome = channel.exec(request("true", b""), live) => panic!("{outcome:?}"),
        piece = heard.recv() => assert_eq!(piece.unwrap(), b"so far"),
    }
    let told = async {
        while Seen::count(&server.seen.signals) < 2 || Seen::count(&server.seen.channels_closed) < 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), told).await.unwrap();
    assert!(!session.is_closed());
}

#[tokio::test]
async fn what_is_passed_on_counts_against_the_limit() {
    let (client, server) = serve(Exec::Run(None)).await;
    let session = connect(&client.resolved(server.port)).await;
    let (output, mut heard) = mpsc::unbounded_channel();
    let endless = ExecRequest { stdout_cap: 1 << 20, ..request("yes", b"") };
    let live = Live { output: Some(output), input: None };
    let channel = session.command_channel().await.unwrap();
    let outcome = channel.exec(endless, live).await;
    assert_eq!(outcome.failure.unwrap().kind, FailureKind::OutputLimit);
    let mut size = 0;
    while let Ok(piece) = heard.try_recv() {
        size += piece.len();
    }
    assert_eq!(size, 1 << 20);
}

#[tokio::test]
async fn what_a_command_printed_is_not_in_its_debug_form() {
    let client = Client::new();
    let server = server::start(Behaviour { keys: vec![client.key.public_key().clone()], ..Behaviour::default() }).await;
    let session = connect(&client.resolved(server.port)).await;
    let outcome = session.exec(request("echo abcdef.0123456789abcdef; echo abcdef >&2", b"")).await;
    assert_eq!(outcome.stdout, b"abcdef.0123456789abcdef\n");
    let (shown, first) = (format!("{outcome:?}"), format!("{:?}", b"abcdef"));
    assert!(!shown.contains("abcdef") && !shown.contains(first.trim_matches(['[', ']'])), "{shown}");
}
