//! The demo's fleet, seen from a client: logging in, asking, and every way in which a node misbehaves.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use russh::client::{self, AuthResult, Handle};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{ChannelMsg, ChannelStream, Preferred, kex};
use seaworthy::demo::{Addressing, Behaviour, Fleet, Plan, State, plan};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

const NONCE: &str = "0123456789abcdef0123456789abcdef";
/// Longer than anything here takes: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long something must stay silent to count as hanging. Passing never depends on the machine's speed.
const SILENCE: Duration = Duration::from_millis(150);

/// Accepts exactly the host key that the fleet's `known_hosts` has.
struct Known(PublicKey);

impl client::Handler for Known {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(matches!(key, PublicKeyOrCertificate::PublicKey { key, .. } if key.key_data() == self.0.key_data()))
    }
}

fn fleet(nodes: impl IntoIterator<Item = (State, Behaviour)>) -> Fleet {
    Fleet::start(Plan::of(7, nodes)).unwrap()
}

fn one(behaviour: Behaviour) -> Fleet {
    fleet([(State::Worker, behaviour)])
}

fn known(fleet: &Fleet, index: usize) -> Known {
    let address = fleet.address(index).unwrap();
    let prefix = format!("[{}]:{} ", address.ip(), address.port());
    let lines = std::fs::read_to_string(fleet.known_hosts_path()).unwrap();
    let line = lines.lines().find_map(|line| line.strip_prefix(&prefix)).expect("the node is in known_hosts");
    Known(PublicKey::from_openssh(line).unwrap())
}

async fn connect(fleet: &Fleet, index: usize) -> Result<Handle<Known>, russh::Error> {
    let stream = TcpStream::connect(fleet.address(index).unwrap()).await.map_err(russh::Error::IO)?;
    // Without optimisation the post-quantum exchange alone takes longer than everything else here.
    let preferred = Preferred { kex: Cow::Borrowed(&[kex::CURVE25519]), ..Preferred::DEFAULT };
    let config = client::Config { nodelay: true, preferred, ..client::Config::default() };
    let connecting = client::connect_stream(Arc::new(config), stream, known(fleet, index));
    timeout(PATIENCE, connecting).await.expect("the node answers")
}

async fn authenticate(fleet: &Fleet, handle: &mut Handle<Known>, user: &str) -> AuthResult {
    let key = PrivateKey::from_openssh(std::fs::read_to_string(fleet.key_path()).unwrap()).unwrap();
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
    timeout(PATIENCE, handle.authenticate_publickey(user, key)).await.unwrap().unwrap()
}

async fn login(fleet: &Fleet, index: usize) -> Handle<Known> {
    let mut handle = connect(fleet, index).await.unwrap();
    assert!(authenticate(fleet, &mut handle, "root").await.success());
    handle
}

#[derive(Debug, Default)]
struct Answer {
    stdout: Vec<u8>,
    stderr: String,
    status: Option<u32>,
    /// Neither end nor more output came for [`SILENCE`].
    hung: bool,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// Runs a command with that input and reads to the channel's end, to silence, or until more than `limit` bytes came.
async fn run(handle: &Handle<Known>, command: &str, input: &str, patience: Duration, limit: usize) -> Answer {
    let mut channel = handle.channel_open_session().await.unwrap();
    channel.exec(false, command).await.unwrap();
    if !input.is_empty() {
        channel.data(input.as_bytes()).await.unwrap();
    }
    channel.eof().await.unwrap();
    let mut answer = Answer::default();
    while answer.stdout.len() <= limit {
        match timeout(patience, channel.wait()).await {
            Err(_) => {
                answer.hung = true;
                break;
            }
            Ok(None) => break,
            Ok(Some(ChannelMsg::Data { data })) => answer.stdout.extend_from_slice(&data),
            Ok(Some(ChannelMsg::ExtendedData { data, .. })) => answer.stderr += &String::from_utf8_lossy(&data),
            Ok(Some(ChannelMsg::ExitStatus { exit_status })) => answer.status = Some(exit_status),
            Ok(Some(_)) => {}
        }
    }
    answer
}

async fn exec(handle: &Handle<Known>, command: &str) -> Answer {
    run(handle, command, "", PATIENCE, usize::MAX).await
}

async fn probe(handle: &Handle<Known>, patience: Duration) -> Answer {
    run(handle, "sh -s", &format!("N={NONCE} P= C=65536\n{{ : the rest; }}\n"), patience, 256 << 10).await
}

#[tokio::test]
async fn a_node_answers_the_probe_in_frames() {
    for addressing in [Addressing::Ports, Addressing::Loopback] {
        let plan = Plan::of(7, [(State::ControlPlane, Behaviour::Answer), (State::Worker, Behaviour::Answer)]);
        let fleet = Fleet::start_with(plan, addressing).unwrap();
        for (index, name) in ["masternode", "node002"].into_iter().enumerate() {
            let answer = probe(&login(&fleet, index).await, PATIENCE).await;
            let text = answer.text();
            assert!(text.starts_with(&format!("@@{NONCE} hello 1 ")), "{addressing:?}: {text:.100}");
            assert!(text.ends_with(&format!("\n@@{NONCE} bye\n")), "{addressing:?}");
            assert!(text.contains(&format!("\nhostname={name}\n")), "{addressing:?}");
            assert_eq!(answer.status, Some(0));
        }
    }
}

#[tokio::test]
async fn sudo_and_a_nonce_in_the_command_are_the_probe_too() {
    let fleet = one(Behaviour::Answer);
    let handle = login(&fleet, 0).await;
    for (command, input) in [
        ("sudo -S -p ffffffffffffffffffffffffffffffff -u root -- sh -s", format!("N={NONCE}\n")),
        (&*format!("sh -s -- {NONCE}"), String::new()),
    ] {
        let answer = run(&handle, command, &input, PATIENCE, usize::MAX).await;
        assert!(answer.text().starts_with(&format!("@@{NONCE} hello 1 ")), "{command}: {answer:?}");
    }
}

#[tokio::test]
async fn the_greeting_does_not_wait_for_the_script() {
    let fleet = one(Behaviour::Answer);
    let mut channel = login(&fleet, 0).await.channel_open_session().await.unwrap();
    channel.exec(false, "sh -s").await.unwrap();
    channel.data(format!("N={NONCE}\n").as_bytes()).await.unwrap();
    // The input is still open.
    let greeting = loop {
        match timeout(PATIENCE, channel.wait()).await.unwrap() {
            Some(ChannelMsg::Data { data }) => break String::from_utf8(data.to_vec()).unwrap(),
            Some(_) => {}
            None => panic!("the channel closed"),
        }
    };
    assert!(greeting.starts_with(&format!("@@{NONCE} hello ")) && greeting.lines().count() == 1, "{greeting}");
}

#[tokio::test]
async fn commands_and_small_scripts_run() {
    let fleet = one(Behaviour::Answer);
    let handle = login(&fleet, 0).await;
    assert_eq!(exec(&handle, "hostname").await.text(), "node001\n");
    let unknown = exec(&handle, "frobnicate").await;
    assert_eq!((unknown.stderr.as_str(), unknown.status), ("sh: 1: frobnicate: not found\n", Some(127)));
    let script = run(&handle, "sh -s", "hostname\nfalse\n", PATIENCE, usize::MAX).await;
    assert_eq!((script.text().as_str(), script.status), ("node001\n", Some(1)));
}

#[tokio::test]
async fn only_the_fleets_key_and_user_open_a_node() {
    let fleet = one(Behaviour::Answer);
    let mut handle = connect(&fleet, 0).await.unwrap();
    assert!(!authenticate(&fleet, &mut handle, "nobody").await.success());
    assert!(!handle.authenticate_password("root", "root").await.unwrap().success());
    let other = one(Behaviour::Answer);
    assert!(!authenticate(&other, &mut handle, "root").await.success(), "another fleet's key");
    assert!(authenticate(&fleet, &mut handle, "root").await.success());
}

#[tokio::test]
async fn a_terminal_is_granted_and_what_a_node_does_not_offer_is_refused() {
    let fleet = fleet([(State::Worker, Behaviour::Answer), (State::Worker, Behaviour::Answer)]);
    let handle = login(&fleet, 0).await;
    let mut channel = handle.channel_open_session().await.unwrap();
    channel.request_subsystem(true, "sftp").await.unwrap();
    assert!(matches!(timeout(PATIENCE, channel.wait()).await.unwrap(), Some(ChannelMsg::Failure)));
    // Ansible asks for one, and does nothing without it.
    channel.request_pty(true, "xterm", 80, 24, 0, 0, &[]).await.unwrap();
    assert!(matches!(timeout(PATIENCE, channel.wait()).await.unwrap(), Some(ChannelMsg::Success)));
    let target = fleet.address(1).unwrap();
    assert!(forward(&handle, target).await.is_err());
}

async fn forward(handle: &Handle<Known>, to: SocketAddr) -> Result<ChannelStream<client::Msg>, russh::Error> {
    let open = handle.channel_open_direct_tcpip(to.ip().to_string(), to.port().into(), "127.0.0.1", 0);
    Ok(timeout(PATIENCE, open).await.unwrap()?.into_stream())
}

#[tokio::test]
async fn a_bastion_forwards_to_the_fleet_and_nowhere_else() {
    let fleet = fleet([
        (State::Worker, Behaviour::Bastion),
        (State::Worker, Behaviour::Answer),
        (State::Worker, Behaviour::Unreachable),
    ]);
    let bastion = login(&fleet, 0).await;
    let stream = forward(&bastion, fleet.address(1).unwrap()).await.unwrap();
    let mut behind = client::connect_stream(Arc::default(), stream, known(&fleet, 1)).await.unwrap();
    assert!(authenticate(&fleet, &mut behind, "root").await.success());
    assert_eq!(exec(&behind, "hostname").await.text(), "node002\n");

    assert!(forward(&bastion, fleet.address(2).unwrap()).await.is_err(), "nothing listens there");
    let elsewhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert!(forward(&bastion, elsewhere.local_addr().unwrap()).await.is_err(), "not one of the fleet's");
}

/// Reads what comes on a bare connection until it ends, falls silent or exceeds a limit; true if it ended.
async fn bare(fleet: &Fleet) -> (Vec<u8>, bool) {
    let mut stream = TcpStream::connect(fleet.address(0).unwrap()).await.unwrap();
    let mut got = Vec::new();
    let mut buffer = [0; 4096];
    while got.len() < 1 << 20 {
        match timeout(SILENCE, stream.read(&mut buffer)).await {
            Err(_) => return (got, false),
            Ok(Ok(0) | Err(_)) => return (got, true),
            Ok(Ok(n)) => got.extend_from_slice(&buffer[..n]),
        }
    }
    (got, false)
}

#[tokio::test]
async fn nodes_that_are_no_ssh_server() {
    let (text, ended) = bare(&one(Behaviour::HangAfterTcp)).await;
    assert_eq!((text.len(), ended), (0, false));
    let (text, ended) = bare(&one(Behaviour::HangInKex)).await;
    assert_eq!((String::from_utf8(text).unwrap().as_str(), ended), ("SSH-2.0-seaworthy_demo\r\n", false));
    let (text, ended) = bare(&one(Behaviour::OldProtocol)).await;
    assert!(text.starts_with(b"SSH-1.5-") && ended);
    let (text, ended) = bare(&one(Behaviour::GarbageBanner)).await;
    assert!(text.starts_with(b"HTTP/1.1 400 ") && ended);
    let (text, _) = bare(&one(Behaviour::EndlessBanner)).await;
    assert!(text.len() >= 1 << 20 && !text.windows(4).any(|window| window == b"SSH-"));
    let refused = TcpStream::connect(one(Behaviour::Unreachable).address(0).unwrap()).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn nodes_that_do_not_let_one_in() {
    let fleet = one(Behaviour::ChangedKey);
    assert!(matches!(connect(&fleet, 0).await, Err(russh::Error::UnknownKey)));

    let fleet = one(Behaviour::RefuseKey);
    let mut handle = connect(&fleet, 0).await.unwrap();
    assert!(!authenticate(&fleet, &mut handle, "root").await.success());

    let fleet = one(Behaviour::HangInAuth);
    let mut handle = connect(&fleet, 0).await.unwrap();
    assert!(timeout(SILENCE, authenticate(&fleet, &mut handle, "root")).await.is_err());

    let fleet = one(Behaviour::RefuseSessions);
    assert!(login(&fleet, 0).await.channel_open_session().await.is_err());
}

#[tokio::test]
async fn nodes_that_fail_in_the_probe() {
    let begins = |answer: &Answer| answer.text().starts_with(&format!("@@{NONCE} hello "));
    let ends = |answer: &Answer| answer.text().ends_with(&format!("@@{NONCE} bye\n"));

    let fleet = one(Behaviour::HangInProbe);
    let hung = probe(&login(&fleet, 0).await, SILENCE).await;
    assert!(hung.hung && begins(&hung) && !ends(&hung), "{hung:?}");

    let fleet = one(Behaviour::DropMidSection);
    let dropped = probe(&login(&fleet, 0).await, PATIENCE).await;
    assert!(!dropped.hung && begins(&dropped) && !ends(&dropped) && dropped.status.is_none());

    let fleet = one(Behaviour::HugeOutput);
    let handle = login(&fleet, 0).await;
    let huge = probe(&handle, PATIENCE).await;
    assert!(begins(&huge) && huge.stdout.len() > 256 << 10);
    assert!(run(&handle, "hostname", "", PATIENCE, 256 << 10).await.stdout.len() > 256 << 10);

    let fleet = one(Behaviour::NoShell);
    let none = probe(&login(&fleet, 0).await, PATIENCE).await;
    assert_eq!((none.text().as_str(), none.status), ("This account is currently not available.\n", Some(1)));

    let fleet = one(Behaviour::NoisyShell);
    let answer = probe(&login(&fleet, 0).await, PATIENCE).await;
    let text = answer.text();
    let (noise, rest) = text.split_once(&format!("@@{NONCE} hello ")).unwrap();
    assert!(noise.contains("Authorised use only") && rest.ends_with("bye\nlogout\n"));

    for behaviour in [Behaviour::ForgedMarker, Behaviour::EscapeSequences, Behaviour::InvalidUtf8] {
        let fleet = one(behaviour);
        let hostile = probe(&login(&fleet, 0).await, PATIENCE).await;
        assert!(begins(&hostile) && ends(&hostile), "{behaviour:?}");
    }
}

#[tokio::test]
async fn many_clients_at_once_all_get_their_own_nodes_answer() {
    let nodes = std::iter::repeat_n((State::Worker, Behaviour::Answer), 25);
    let fleet = Fleet::start_with(Plan::of(3, nodes), Addressing::Loopback).unwrap();
    let fleet = &fleet;
    let clients = futures::stream::iter(0..100).for_each_concurrent(20, |client| async move {
        let index = client % 25;
        let answer = exec(&login(fleet, index).await, "hostname").await;
        assert_eq!(answer.text().trim_end(), fleet.nodes()[index].name);
    });
    clients.await;
}

#[test]
fn a_large_fleet_shares_a_listener_and_keeps_its_addresses_apart() {
    let fleet = Fleet::start(plan(600, 1).unwrap()).unwrap();
    let reachable = |index: &usize| fleet.nodes()[*index].behaviour != Behaviour::Unreachable;
    let addresses: Vec<SocketAddr> = (0..600).filter(reachable).map(|index| fleet.address(index).unwrap()).collect();
    let ips: std::collections::BTreeSet<_> = addresses.iter().map(SocketAddr::ip).collect();
    if cfg!(target_os = "linux") {
        assert_eq!(ips.len(), addresses.len());
        assert!(addresses.iter().all(|address| address.port() == addresses[0].port()));
    }
}

#[test]
fn nothing_is_left_of_a_fleet() {
    let fleet = one(Behaviour::Answer);
    let dir = fleet.key_path().parent().unwrap().to_owned();
    let address = fleet.address(0).unwrap();
    assert!(dir.is_dir());
    let idle = std::net::TcpStream::connect(address).unwrap();
    drop(fleet);
    assert!(!dir.exists());
    assert!(std::net::TcpStream::connect(address).is_err(), "the listener is closed when drop returns");
    idle.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut rest = Vec::new();
    // The end or a reset, and not a timeout.
    match std::io::Read::read_to_end(&mut &idle, &mut rest) {
        Ok(_) => {}
        Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock),
    }
}

#[tokio::test]
async fn a_fleet_serves_until_its_owner_stops_it() {
    let fleet = one(Behaviour::Answer);
    let address = fleet.address(0).unwrap();
    let (stop, rx) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(fleet.serve_until(async { rx.await.unwrap() }));
    drop(TcpStream::connect(address).await.unwrap());
    stop.send(()).unwrap();
    timeout(PATIENCE, server).await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[cfg(unix)]
#[test]
fn its_files_are_the_owners_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let fleet = one(Behaviour::Answer);
    for path in [fleet.key_path(), fleet.known_hosts_path(), fleet.inventory_path()] {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
    let error = fleet.write_inventory(std::path::Path::new("/nonexistent/inventory")).unwrap_err();
    assert!(error.to_string().starts_with("cannot write /nonexistent/inventory: "), "{error}");
}

#[test]
fn the_installed_ssh_takes_the_inventorys_options() {
    if Command::new("ssh").arg("-V").output().is_err() {
        return;
    }
    let fleet = fleet([(State::ControlPlane, Behaviour::Answer), (State::Worker, Behaviour::ChangedKey)]);
    let text = std::fs::read_to_string(fleet.inventory_path()).unwrap();
    let inventory: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    let vars = &inventory["all"]["vars"];
    let options = vars["ansible_ssh_common_args"].as_str().unwrap();
    let ssh = |group: &str, name: &str| {
        let host = &inventory["all"]["children"][group]["hosts"][name];
        Command::new("ssh")
            .args(options.split(' '))
            .args(["-o", "BatchMode=yes", "-i", vars["ansible_ssh_private_key_file"].as_str().unwrap()])
            .args(["-p", &host["ansible_port"].as_u64().unwrap().to_string()])
            .args(["-l", vars["ansible_user"].as_str().unwrap(), host["ansible_host"].as_str().unwrap(), "hostname"])
            .output()
            .unwrap()
    };
    let good = ssh("control_plane", "masternode");
    assert_eq!(String::from_utf8_lossy(&good.stdout), "masternode\n", "{}", String::from_utf8_lossy(&good.stderr));
    let changed = ssh("workers", "node002");
    assert!(String::from_utf8_lossy(&changed.stderr).contains("REMOTE HOST IDENTIFICATION HAS CHANGED"));
}
