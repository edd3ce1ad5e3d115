//! Jump hosts: one connection for all hosts behind them, and failures that name the hop.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use russh::ChannelOpenFailure;
use seaworthy::failure::FailureKind;
use seaworthy::ssh::config::{Environment, Resolver};
use seaworthy::ssh::resolved::{HostKeyPolicy, JumpHop, Resolved, Route};
use seaworthy::ssh::{Deadlines, Destination, Destinations};
use seaworthy::target::SshSettings;

use super::server::{self, Behaviour, Forward, Seen, Server};
use super::support::{Client, connector_with, patient, request};

async fn node(client: &Client, forward: Forward) -> Server {
    let keys = vec![client.key.public_key().clone()];
    server::start(Behaviour { keys, forward, ..Behaviour::default() }).await
}

pub(super) fn named(client: &Client, server: &Server, alias: &str) -> Resolved {
    Resolved { alias: alias.into(), ..client.resolved(server.port) }
}

pub(super) fn behind(mut resolved: Resolved, hops: Vec<Arc<Destination>>) -> Destination {
    let hop = |hop: &Arc<Destination>| JumpHop { user: None, host: hop.resolved.alias.clone(), port: None };
    resolved.route = Route::Jump(hops.iter().map(hop).collect());
    Destination { resolved, hops }
}

#[tokio::test]
async fn twenty_hosts_share_one_connection_to_their_bastion() {
    let client = Client::new();
    let (bastion, target) = (node(&client, Forward::Real).await, node(&client, Forward::Real).await);
    let hop = Arc::new(Destination::direct(named(&client, &bastion, "bastion")));
    let destination = behind(named(&client, &target, "node"), vec![hop]);
    let connector = connector_with(patient(), &destination.connections(), None);
    let sessions = join_all((0..20).map(|_| connector.connect(&destination))).await;
    for session in sessions {
        let session = session.unwrap();
        assert_eq!(session.exec(request("echo here", b"")).await.stdout, b"here\n");
        assert!(session.timings.dns_ms.is_none() && session.timings.tcp_ms.is_some());
        session.close().await;
    }
    assert_eq!(Seen::count(&bastion.seen.connections), 1);
    assert_eq!(Seen::count(&bastion.seen.logins), 1);
    assert_eq!(Seen::count(&target.seen.connections), 20);
}

#[tokio::test]
async fn a_bastion_with_little_room_is_found_out_and_every_host_behind_it_gets_its_turn() {
    let client = Client::new();
    let (bastion, target) = (node(&client, Forward::Room(4)).await, node(&client, Forward::Real).await);
    let hop = Arc::new(Destination::direct(named(&client, &bastion, "bastion")));
    let destination = behind(named(&client, &target, "node"), vec![hop]);
    let connector = connector_with(patient(), &destination.connections(), None);
    let hosts = join_all((0..24).map(|_| async {
        let session = connector.connect(&destination).await.unwrap();
        let outcome = session.exec(request("echo here", b"")).await;
        session.close().await;
        outcome.stdout
    }));
    assert!(hosts.await.iter().all(|said| said == b"here\n"));
    assert_eq!(Seen::count(&bastion.seen.connections), 1);
    assert_eq!(Seen::count(&bastion.seen.most_forwards), 4);
    // The first rush, and now and then one more that is tried: far fewer than if all had gone on asking.
    let refused = Seen::count(&bastion.seen.no_room);
    assert!((1..=60).contains(&refused), "{refused} refusals");
}

#[tokio::test]
async fn a_bastion_without_any_room_is_given_up_by_name() {
    let client = Client::new();
    let (bastion, target) = (node(&client, Forward::Room(0)).await, node(&client, Forward::Real).await);
    let hop = Arc::new(Destination::direct(named(&client, &bastion, "bastion")));
    let destination = behind(named(&client, &target, "node"), vec![hop]);
    let connector = connector_with(patient(), &destination.connections(), None);
    let failure = connector.connect(&destination).await.unwrap_err().failure;
    assert_eq!(failure.kind, FailureKind::JumpHost);
    assert!(
        failure.message.starts_with("the jump host bastion has no room for a connection to 127.0.0.1:"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_bastion_that_drops_connections_at_first_is_tried_again_by_one_for_all() {
    let client = Client::new();
    let keys = vec![client.key.public_key().clone()];
    let bastion = server::start(Behaviour { keys: keys.clone(), drop_first: 3, ..Behaviour::default() }).await;
    let target = node(&client, Forward::Real).await;
    let hop = Arc::new(Destination::direct(named(&client, &bastion, "bastion")));
    let destination = behind(named(&client, &target, "node"), vec![hop]);
    let connector = connector_with(patient(), &destination.connections(), None);
    for session in join_all((0..5).map(|_| connector.connect(&destination))).await {
        session.unwrap().close().await;
    }
    assert_eq!(Seen::count(&bastion.seen.connections), 4);

    // For ever: no host behind it is tried on its own.
    let bastion = server::start(Behaviour { keys, drop_first: usize::MAX, ..Behaviour::default() }).await;
    let hop = Arc::new(Destination::direct(named(&client, &bastion, "bastion")));
    let destination = behind(named(&client, &target, "node"), vec![hop]);
    let connector = connector_with(patient(), &destination.connections(), None);
    for result in join_all((0..5).map(|_| connector.connect(&destination))).await {
        let failure = result.unwrap_err().failure;
        assert_eq!(failure.kind, FailureKind::JumpHost);
        assert!(failure.message.contains("6 times"), "{failure}");
    }
    assert_eq!(Seen::count(&bastion.seen.connections), 6);
}

#[tokio::test]
async fn a_chain_leads_through_every_hop() {
    let client = Client::new();
    let (outer, inner, target) =
        (node(&client, Forward::Real).await, node(&client, Forward::Real).await, node(&client, Forward::Real).await);
    let hops = vec![
        Arc::new(Destination::direct(named(&client, &outer, "outer"))),
        Arc::new(Destination::direct(named(&client, &inner, "inner"))),
    ];
    let destination = behind(named(&client, &target, "node"), hops);
    let connector = connector_with(patient(), &destination.connections(), None);
    let session = connector.connect(&destination).await.unwrap();
    assert_eq!(session.exec(request("echo here", b"")).await.stdout, b"here\n");
    for server in [&outer, &inner, &target] {
        assert_eq!(Seen::count(&server.seen.connections), 1);
    }
}

#[tokio::test]
async fn a_bastion_that_fails_fails_each_host_behind_it_by_name_and_is_tried_once() {
    let client = Client::new();
    let keyless = server::start(Behaviour::default()).await;
    let target = node(&client, Forward::Real).await;
    let hop = Arc::new(Destination::direct(named(&client, &keyless, "bastion")));
    let destination = behind(named(&client, &target, "node"), vec![hop]);
    let connector = connector_with(patient(), &destination.connections(), None);
    for error in join_all((0..5).map(|_| connector.connect(&destination))).await {
        let failure = error.unwrap_err().failure;
        assert_eq!(failure.kind, FailureKind::JumpHost);
        let begins = format!("the jump host bastion (root@127.0.0.1:{}) failed: auth: offered ", keyless.port);
        assert!(failure.message.starts_with(&begins), "{failure}");
    }
    assert_eq!(Seen::count(&keyless.seen.connections), 1);
}

#[tokio::test]
async fn the_bastions_own_host_key_is_verified() {
    let client = Client::new();
    let (bastion, target) = (node(&client, Forward::Real).await, node(&client, Forward::Real).await);
    let mut hop = named(&client, &bastion, "bastion");
    hop.host_key.policy = HostKeyPolicy::Ask;
    let destination = behind(named(&client, &target, "node"), vec![Arc::new(Destination::direct(hop))]);
    let connector = connector_with(patient(), &destination.connections(), None);
    let error = connector.connect(&destination).await.unwrap_err();
    assert_eq!(error.failure.kind, FailureKind::JumpHost);
    assert!(error.failure.message.contains("failed: host-key-unknown"), "{}", error.failure);
    assert_eq!(Seen::count(&bastion.seen.key_offers), 0);

    // Approved, and run again.
    let unknown = error.unknown_key.unwrap();
    assert_eq!(unknown.port, bastion.port);
    connector.known_hosts().learn(&unknown.settings, &unknown.name, unknown.port, &unknown.key).unwrap();
    assert!(connector.connect(&destination).await.is_err(), "nothing is tried twice unasked");
    connector.forget_failed_jump_hosts();
    connector.connect(&destination).await.unwrap().close().await;
}

#[tokio::test]
async fn what_the_bastion_cannot_reach_is_the_targets_failure() {
    let client = Client::new();
    let cases = [
        (Forward::Fail(ChannelOpenFailure::AdministrativelyProhibited), FailureKind::JumpHost),
        (Forward::Fail(ChannelOpenFailure::ConnectFailed), FailureKind::NoRoute),
        (Forward::Never, FailureKind::TcpTimeout),
    ];
    for (forward, kind) in cases {
        let (bastion, target) = (node(&client, forward).await, node(&client, Forward::Real).await);
        let hop = Arc::new(Destination::direct(named(&client, &bastion, "bastion")));
        let destination = behind(named(&client, &target, "node"), vec![hop]);
        let deadlines = Deadlines { tcp: Duration::from_millis(500), ..patient() };
        let connector = connector_with(deadlines, &destination.connections(), None);
        let failure = connector.connect(&destination).await.unwrap_err().failure;
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.message.contains("bastion"), "{failure}");
    }
}

/// Destinations as resolved from this text as `~/.ssh/config`.
pub(super) fn destinations(client: &Client, config: &str) -> Destinations {
    let ssh = client.dir.path().join(".ssh");
    std::fs::create_dir_all(&ssh).unwrap();
    std::fs::write(ssh.join("config"), config).unwrap();
    let environment = Environment {
        home: client.dir.path().into(),
        user: "me".into(),
        uid: 1000,
        hostname: "here".into(),
        agent: None,
        variables: std::collections::BTreeMap::new(),
        system: client.dir.path().join("etc"),
        ssh: None,
    };
    Destinations::new(Resolver::new(environment))
}

#[tokio::test]
async fn chains_are_resolved_hop_by_hop_each_with_its_own_settings() {
    let client = Client::new();
    let config = "\
        Host node*\n  ProxyJump near,ops@far:2222\n\
        Host near\n  HostName 10.0.0.1\n  User gate\n  ProxyJump edge\n\
        Host edge\n  HostName 192.0.2.1\n\
        Host far\n  HostName 10.0.0.2\n  ProxyJump edge\n";
    let destinations = destinations(&client, config);
    let one = destinations.resolve("node1", &SshSettings::default()).await.unwrap();
    let addresses: Vec<String> =
        one.connections().iter().map(|it| format!("{}@{}:{}", it.user, it.host, it.port)).collect();
    // Only the nearest hop's own ProxyJump counts, as with ssh -J.
    assert_eq!(addresses, ["me@node1:22", "gate@10.0.0.1:22", "me@192.0.2.1:22", "ops@10.0.0.2:2222"]);
}

#[tokio::test]
async fn jump_hosts_in_a_circle_are_a_mistake_in_the_settings() {
    let client = Client::new();
    let destinations = destinations(&client, "Host a\n  ProxyJump b\nHost b\n  ProxyJump c\nHost c\n  ProxyJump b\n");
    let failure = destinations.resolve("a", &SshSettings::default()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Settings);
    assert!(failure.message.contains("circle"), "{failure}");
}
