//! Logging in: what is offered, in which order, how often, and what is said when nothing is accepted.

use std::fs;
use std::time::Duration;

use russh::MethodKind;
use russh::keys::ssh_key::certificate::{Builder, CertType};
use russh::keys::{Algorithm, PrivateKey};
use seaworthy::failure::{FailureKind, Layer};
use seaworthy::ssh::resolved::AgentChoice;
use seaworthy::ssh::{Agents, Deadlines, Destination, KeyRing};

use super::server::{self, Behaviour, Seen};
use super::support::{
    Client, Signs, connect, connect_as, connector_with, failure, fake_agent, new_key, new_rsa_key, patient, write_key,
};

#[tokio::test]
async fn a_refused_login_lists_what_was_offered_and_is_tried_once() {
    let client = Client::new();
    let server = server::start(Behaviour::default()).await;
    let mut resolved = client.resolved(server.port);
    resolved.identity_files.push(write_key(client.dir.path(), "second", &new_key()));
    let failure = failure(&resolved).await;
    assert_eq!(failure.kind, FailureKind::Auth);
    assert!(failure.message.starts_with("offered 2 keys ("), "{failure}");
    assert!(failure.message.contains(&format!("{} SHA256:", client.key_file.display())), "{failure}");
    assert!(failure.message.ends_with("the server accepts publickey"), "{failure}");
    assert!(failure.next.contains("~root/.ssh/authorized_keys"), "{}", failure.next);
    assert_eq!(Seen::count(&server.seen.connections), 1);
    assert_eq!(Seen::count(&server.seen.key_offers), 2);
}

#[tokio::test]
async fn every_key_type_logs_in() {
    let curve = Algorithm::Ecdsa { curve: russh::keys::EcdsaCurve::NistP256 };
    let ecdsa = PrivateKey::random(&mut russh::keys::key::safe_rng(), curve).unwrap();
    for key in [new_key(), ecdsa, new_rsa_key()] {
        let client = Client::new();
        let server = server::start(Behaviour { keys: vec![key.public_key().clone()], ..Behaviour::default() }).await;
        let mut resolved = client.resolved(server.port);
        resolved.identity_files = vec![write_key(client.dir.path(), "other", &key)];
        connect(&resolved).await.close().await;
    }
}

#[tokio::test]
async fn certificates_are_offered_before_their_key() {
    let client = Client::new();
    let authority = new_key();
    let behaviour = Behaviour { authority: Some(authority.public_key().clone()), ..Behaviour::default() };
    let server = server::start(behaviour).await;
    let rng = &mut russh::keys::key::safe_rng();
    let mut builder = Builder::new_with_random_nonce(rng, client.key.public_key(), 0, u64::MAX - 1).unwrap();
    builder.cert_type(CertType::User).unwrap().valid_principal("root").unwrap().key_id("test").unwrap();
    let text = builder.sign(&authority).unwrap().to_openssh().unwrap();

    // Beside the key, without being named.
    fs::write(client.dir.path().join("id-cert.pub"), &text).unwrap();
    connect(&client.resolved(server.port)).await.close().await;
    assert_eq!(Seen::count(&server.seen.key_offers), 1, "the plain key was not needed");

    // Named, elsewhere.
    fs::rename(client.dir.path().join("id-cert.pub"), client.dir.path().join("elsewhere")).unwrap();
    let mut resolved = client.resolved(server.port);
    assert_eq!(failure(&resolved).await.kind, FailureKind::Auth);
    resolved.certificate_files = vec![client.dir.path().join("elsewhere")];
    connect(&resolved).await.close().await;
}

#[tokio::test]
async fn a_password_is_sent_once_whichever_way_the_server_asks() {
    for methods in [
        vec![MethodKind::Password],
        vec![MethodKind::KeyboardInteractive],
        vec![MethodKind::Password, MethodKind::KeyboardInteractive],
    ] {
        let client = Client::new();
        let behaviour = Behaviour { methods: methods.clone(), password: Some("right".into()), ..Behaviour::default() };
        let server = server::start(behaviour).await;
        let mut resolved = client.resolved(server.port);
        resolved.identity_files.clear();
        resolved.password = Some("right".into());
        connect(&resolved).await.close().await;
        resolved.password = Some("wrong".into());
        let refused = failure(&resolved).await;
        assert_eq!(refused.kind, FailureKind::Auth, "{methods:?}");
        assert!(refused.next.starts_with("check the password of root"), "{}", refused.next);
        assert!(!refused.message.contains("wrong") && !format!("{resolved:?}").contains("wrong"));
        assert_eq!(Seen::count(&server.seen.passwords), 2, "{methods:?}: one right, one wrong");
    }
}

#[tokio::test]
async fn a_key_and_then_a_password_when_the_server_wants_both() {
    let client = Client::new();
    let behaviour = Behaviour {
        keys: vec![client.key.public_key().clone()],
        two_steps: true,
        password: Some("second".into()),
        ..Behaviour::default()
    };
    let server = server::start(behaviour).await;
    let mut resolved = client.resolved(server.port);
    let refused = failure(&resolved).await;
    assert!(refused.message.contains("a part was accepted"), "{refused}");
    assert!(refused.next.contains("several steps"), "{}", refused.next);
    resolved.password = Some("second".into());
    connect(&resolved).await.close().await;
}

#[tokio::test]
async fn a_prompt_for_a_code_is_not_answered_with_the_password() {
    let client = Client::new();
    let behaviour = Behaviour {
        methods: vec![MethodKind::KeyboardInteractive],
        prompt: "Verification code: ".into(),
        password: Some("right".into()),
        ..Behaviour::default()
    };
    let server = server::start(behaviour).await;
    let mut resolved = client.resolved(server.port);
    resolved.password = Some("right".into());
    let failure = failure(&resolved).await;
    assert!(failure.message.contains("Verification code"), "{failure}");
    assert!(failure.next.starts_with("answer it by hand"), "{}", failure.next);
    assert_eq!(Seen::count(&server.seen.passwords), 0);
}

#[tokio::test]
async fn a_connection_lost_in_the_login_is_not_a_refused_login() {
    let client = Client::new();
    let server = server::start(Behaviour { drop_in_auth: true, ..Behaviour::default() }).await;
    let failure = failure(&client.resolved(server.port)).await;
    assert_eq!((failure.kind, failure.layer), (FailureKind::ConnectionLost, Layer::Auth), "{failure}");
    assert!(failure.next.contains("MaxStartups"));
}

#[tokio::test]
async fn a_login_that_is_never_answered_ends_at_its_deadline() {
    let client = Client::new();
    let server = server::start(Behaviour { silent_in_auth: true, ..Behaviour::default() }).await;
    let deadlines = Deadlines { auth: Duration::from_secs(1), ..patient() };
    let error = connect_as(&client.resolved(server.port), deadlines).await.unwrap_err();
    assert_eq!(error.failure.kind, FailureKind::AuthTimeout);
    assert!(error.failure.message.contains("within 1s: offered "), "{}", error.failure);
    assert!(error.timings.auth_ms.unwrap() >= 999.0);
}

#[tokio::test]
async fn a_door_closed_after_a_refused_login_names_the_penalties() {
    let client = Client::new();
    let server = server::start(Behaviour::default()).await;
    let resolved = client.resolved(server.port);
    let connector = connector_with(patient(), &[&resolved], None);
    let destination = Destination::direct(resolved);
    assert_eq!(connector.connect(&destination).await.unwrap_err().failure.kind, FailureKind::Auth);
    drop(server);
    let refused = loop {
        let failure = connector.connect(&destination).await.unwrap_err().failure;
        if failure.kind == FailureKind::Refused {
            break failure;
        }
    };
    assert!(refused.message.ends_with("it refused a login earlier in this run"), "{refused}");
    assert!(refused.next.contains("PerSourcePenalties"));
}

#[tokio::test]
async fn unusable_keys_fail_only_the_hosts_that_name_them_and_before_dialling() {
    let client = Client::new();
    let behaviour = Behaviour { keys: vec![client.key.public_key().clone()], ..Behaviour::default() };
    let server = server::start(behaviour).await;
    let good = client.resolved(server.port);
    let mut bad = good.clone();
    bad.identity_files = vec![client.dir.path().join("missing")];
    let connector = connector_with(patient(), &[&good, &bad], None);
    let failure = connector.connect(&Destination::direct(bad.clone())).await.unwrap_err().failure;
    assert_eq!(failure.kind, FailureKind::Key);
    assert!(failure.message.ends_with("does not exist"), "{failure}");
    assert_eq!(Seen::count(&server.seen.connections), 0);
    connector.connect(&Destination::direct(good.clone())).await.unwrap().close().await;

    // A second, good key makes up for it, as with ssh.
    bad.identity_files.push(client.key_file.clone());
    connect(&bad).await.close().await;

    // Default keys that do not exist are no news.
    bad.identity_files = vec![client.dir.path().join("missing")];
    bad.identity_files_are_defaults = true;
    let failure = super::support::failure(&bad).await;
    assert_eq!(failure.kind, FailureKind::Auth);
    assert!(failure.message.starts_with("nothing to offer"), "{failure}");
}

#[tokio::test]
async fn an_encrypted_key_is_asked_for_once_and_shared() {
    let client = Client::new();
    let behaviour = Behaviour { keys: vec![client.key.public_key().clone()], ..Behaviour::default() };
    let server = server::start(behaviour).await;
    let locked = client.key.encrypt(&mut russh::keys::key::safe_rng(), "open sesame").unwrap();
    let path = write_key(client.dir.path(), "locked", &locked);
    let mut first = client.resolved(server.port);
    first.identity_files = vec![path.clone()];
    let second = first.clone();

    let failure = failure(&first).await;
    assert_eq!(failure.kind, FailureKind::Key);
    assert!(failure.message.ends_with("is encrypted and its passphrase is not known"), "{failure}");

    let mut ring = KeyRing::load([&first, &second]);
    let asked = ring.locked([&first, &second], &Agents::default()).await;
    assert_eq!(asked.len(), 1, "one question for two hosts");
    assert_eq!(asked[0].path, path);
    assert!(asked[0].fingerprint.as_ref().unwrap().starts_with("SHA256:"));
    assert!(!ring.unlock(&path, &"wrong".into()));
    assert!(ring.unlock(&path, &"open sesame".into()));
    assert!(ring.locked([&first], &Agents::default()).await.is_empty());

    // With the key in the agent there is nothing to ask.
    let socket = fake_agent(client.dir.path(), &[&client.key], Signs::Refuses);
    let ring = KeyRing::load([&first]);
    first.agent = AgentChoice::Socket(socket);
    assert!(ring.locked([&first], &Agents::default()).await.is_empty());
}

#[tokio::test]
async fn an_agent_that_refuses_is_told_from_a_server_that_does() {
    for (signs, words) in
        [(Signs::Refuses, "the agent refused to sign"), (Signs::Garbage, "the agent's answer cannot be understood")]
    {
        let client = Client::new();
        let behaviour = Behaviour { keys: vec![client.key.public_key().clone()], ..Behaviour::default() };
        let server = server::start(behaviour).await;
        let mut resolved = client.resolved(server.port);
        resolved.identity_files.clear();
        resolved.agent = AgentChoice::Socket(fake_agent(client.dir.path(), &[&client.key], signs));
        let failure = failure(&resolved).await;
        assert_eq!(failure.kind, FailureKind::AgentRefused);
        assert!(failure.message.starts_with(words), "{failure}");
    }
}

#[tokio::test]
async fn after_a_refusing_agent_the_next_key_still_gets_in() {
    let client = Client::new();
    let in_agent = new_key();
    let keys = vec![client.key.public_key().clone(), in_agent.public_key().clone()];
    let server = server::start(Behaviour { keys, ..Behaviour::default() }).await;
    let mut resolved = client.resolved(server.port);
    // As a default key it is offered after the agent's.
    resolved.identity_files_are_defaults = true;
    resolved.agent = AgentChoice::Socket(fake_agent(client.dir.path(), &[&in_agent], Signs::Refuses));
    connect(&resolved).await.close().await;
    assert_eq!(Seen::count(&server.seen.key_offers), 2);
}

#[tokio::test]
async fn a_hung_agent_costs_five_seconds_and_the_rest_of_the_run_nothing() {
    let client = Client::new();
    let behaviour = Behaviour { keys: vec![client.key.public_key().clone()], ..Behaviour::default() };
    let server = server::start(behaviour).await;
    let mut resolved = client.resolved(server.port);
    resolved.identity_files.clear();
    resolved.agent = AgentChoice::Environment;
    let socket = fake_agent(client.dir.path(), &[&client.key], Signs::Never);
    let connector = connector_with(patient(), &[&resolved], Some(socket));
    let destination = Destination::direct(resolved);
    let begun = std::time::Instant::now();
    for _ in 0..3 {
        let failure = connector.connect(&destination).await.unwrap_err().failure;
        assert_eq!(failure.kind, FailureKind::AgentRefused, "{failure}");
        assert!(failure.message.starts_with("the agent did not answer within 5s"), "{failure}");
    }
    assert!(begun.elapsed().as_secs() < 10);
}

#[tokio::test]
async fn at_most_three_agent_keys_are_offered_and_only_named_ones_with_identities_only() {
    let client = Client::new();
    let server = server::start(Behaviour::default()).await;
    let held: Vec<PrivateKey> = (0..6).map(|_| new_key()).collect();
    let socket = fake_agent(client.dir.path(), &held.iter().collect::<Vec<_>>(), Signs::Refuses);
    let mut resolved = client.resolved(server.port);
    resolved.identity_files.clear();
    resolved.agent = AgentChoice::Socket(socket.clone());
    assert!(failure(&resolved).await.message.starts_with("offered 3 keys (agent: me@laptop SHA256:"));

    // The fifth, named by its public half only.
    let named = client.dir.path().join("fifth.pub");
    fs::write(&named, held[4].public_key().to_openssh().unwrap()).unwrap();
    resolved.identity_files = vec![named.clone()];
    resolved.identities_only = true;
    let message = failure(&resolved).await.message;
    assert!(message.starts_with(&format!("offered agent: {} SHA256:", named.display())), "{message}");

    // Without an agent that holds it, a public key is a mistake.
    resolved.agent = AgentChoice::None;
    let failure = failure(&resolved).await;
    assert_eq!(failure.kind, FailureKind::Key);
    assert!(failure.message.contains("is a public key"), "{failure}");
}

#[tokio::test]
async fn a_missing_agent_and_an_empty_one_are_told_apart() {
    let client = Client::new();
    let server = server::start(Behaviour::default()).await;
    let mut resolved = client.resolved(server.port);
    resolved.identity_files.clear();
    resolved.agent = AgentChoice::Environment;
    let cases = [
        (None, "no agent (SSH_AUTH_SOCK is not set)"),
        (Some(client.dir.path().join("nothing")), "cannot be used: no such file or directory"),
        (Some(fake_agent(client.dir.path(), &[], Signs::Refuses)), "holds no identities"),
    ];
    for (agent, words) in cases {
        let connector = connector_with(patient(), &[&resolved], agent);
        let failure = connector.connect(&Destination::direct(resolved.clone())).await.unwrap_err().failure;
        assert_eq!(failure.kind, FailureKind::Auth);
        assert!(failure.message.contains(words), "{failure}");
    }
}

#[tokio::test]
async fn a_server_that_asks_for_nothing_lets_in() {
    let client = Client::new();
    let server = server::start(Behaviour { methods: vec![MethodKind::None], ..Behaviour::default() }).await;
    let mut resolved = client.resolved(server.port);
    resolved.identity_files.clear();
    connect(&resolved).await.close().await;
}
