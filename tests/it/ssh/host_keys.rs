//! Host keys: learned aloud, asked about in a batch, and fatal when changed or revoked.

use std::fs;
use std::sync::Arc;

use seaworthy::failure::FailureKind;
use seaworthy::ssh::known_hosts::KnownHosts;
use seaworthy::ssh::resolved::{HostKeyPolicy, Resolved};
use seaworthy::ssh::{Agents, ConnectError, Connector, ConnectorOptions, Destination, KeyRing, Session};

use super::server::{self, Behaviour, Seen, Server};
use super::support::{Client, new_key, patient};

async fn with_store(resolved: &Resolved, store: &Arc<KnownHosts>) -> Result<Session, ConnectError> {
    let connector = Connector::new(ConnectorOptions {
        deadlines: patient(),
        known_hosts: Arc::clone(store),
        keys: KeyRing::load([resolved]),
        agents: Agents::default(),
        keepalive: std::time::Duration::from_secs(15),
    });
    connector.connect(&Destination::direct(resolved.clone())).await
}

async fn server_for(client: &Client, host_key: russh::keys::PrivateKey) -> Server {
    let keys = vec![client.key.public_key().clone()];
    server::start(Behaviour { host_key, keys, ..Behaviour::default() }).await
}

fn line(resolved: &Resolved, key: &russh::keys::PrivateKey, marker: &str) -> String {
    format!("{marker}[127.0.0.1]:{} {}\n", resolved.port, key.public_key().to_openssh().unwrap())
}

#[tokio::test]
async fn a_new_key_is_learned_once_and_told() {
    let client = Client::new();
    let host_key = new_key();
    let fingerprint = host_key.fingerprint(russh::keys::HashAlg::Sha256).to_string();
    let server = server_for(&client, host_key).await;
    let resolved = client.resolved(server.port);
    let store = Arc::new(KnownHosts::new());
    let session = with_store(&resolved, &store).await.unwrap();
    assert_eq!(session.learned.as_ref().unwrap().fingerprint, fingerprint);
    assert!(with_store(&resolved, &store).await.unwrap().learned.is_none(), "known by now");
    assert_eq!(store.flush().written, 1);
    let later = Arc::new(KnownHosts::new());
    assert!(with_store(&resolved, &later).await.unwrap().learned.is_none(), "from the file");
}

#[tokio::test]
async fn a_changed_or_revoked_key_is_fatal_under_every_policy_and_nothing_is_sent() {
    for policy in [HostKeyPolicy::Strict, HostKeyPolicy::AcceptNew, HostKeyPolicy::Ask] {
        let client = Client::new();
        let host_key = new_key();
        let server = server_for(&client, host_key.clone()).await;
        let mut resolved = client.resolved(server.port);
        resolved.host_key.policy = policy;
        let cases = [
            (line(&resolved, &new_key(), ""), FailureKind::HostKeyChanged),
            (line(&resolved, &host_key, "@revoked "), FailureKind::HostKeyRevoked),
        ];
        for (text, kind) in cases {
            fs::write(&resolved.host_key.user_files[0], &text).unwrap();
            let error = with_store(&resolved, &Arc::new(KnownHosts::new())).await.unwrap_err();
            assert_eq!(error.failure.kind, kind, "{policy:?}");
            assert!(error.unknown_key.is_none());
            assert_eq!(fs::read_to_string(&resolved.host_key.user_files[0]).unwrap(), text, "not replaced");
        }
        assert_eq!(Seen::count(&server.seen.key_offers), 0, "no key was offered to it");
    }
}

#[tokio::test]
async fn an_unknown_key_is_handed_back_to_be_asked_about() {
    let client = Client::new();
    let host_key = new_key();
    let server = server_for(&client, host_key.clone()).await;
    let mut resolved = client.resolved(server.port);
    for policy in [HostKeyPolicy::Ask, HostKeyPolicy::Strict] {
        resolved.host_key.policy = policy;
        let store = Arc::new(KnownHosts::new());
        let error = with_store(&resolved, &store).await.unwrap_err();
        assert_eq!(error.failure.kind, FailureKind::HostKeyUnknown);
        let unknown = error.unknown_key.unwrap();
        assert!(error.failure.message.contains(&unknown.fingerprint));
        assert_eq!(unknown.key.key_data(), host_key.public_key().key_data());
        assert_eq!(Seen::count(&server.seen.key_offers), 0);

        // Approved: learn it and run again.
        store.learn(&unknown.settings, &unknown.name, unknown.port, &unknown.key).unwrap();
        with_store(&resolved, &store).await.unwrap().close().await;
        server.seen.key_offers.store(0, std::sync::atomic::Ordering::SeqCst);
    }
}

#[tokio::test]
async fn the_known_type_is_the_one_negotiated() {
    let client = Client::new();
    let ecdsa = russh::keys::Algorithm::Ecdsa { curve: russh::keys::EcdsaCurve::NistP256 };
    let host_key = russh::keys::PrivateKey::random(&mut russh::keys::key::safe_rng(), ecdsa).unwrap();
    let server = server_for(&client, host_key.clone()).await;
    let mut resolved = client.resolved(server.port);
    resolved.host_key.policy = HostKeyPolicy::Strict;
    fs::write(&resolved.host_key.user_files[0], line(&resolved, &host_key, "")).unwrap();
    with_store(&resolved, &Arc::new(KnownHosts::new())).await.unwrap().close().await;
}

#[tokio::test]
async fn a_host_certificate_of_a_trusted_authority_is_enough() {
    use russh::keys::ssh_key::certificate::{Builder, CertType};
    let client = Client::new();
    let (host_key, authority) = (new_key(), new_key());
    let rng = &mut russh::keys::key::safe_rng();
    let mut builder = Builder::new_with_random_nonce(rng, host_key.public_key(), 0, u64::MAX - 1).unwrap();
    builder.cert_type(CertType::Host).unwrap().valid_principal("127.0.0.1").unwrap().key_id("n").unwrap();
    let certificate = builder.sign(&authority).unwrap();
    let keys = vec![client.key.public_key().clone()];
    let behaviour = Behaviour { keys, host_key, host_certificates: vec![certificate], ..Behaviour::default() };
    let server = server::start(behaviour).await;
    let mut resolved = client.resolved(server.port);
    resolved.host_key.policy = HostKeyPolicy::Strict;
    fs::write(&resolved.host_key.user_files[0], line(&resolved, &authority, "@cert-authority ")).unwrap();
    with_store(&resolved, &Arc::new(KnownHosts::new())).await.unwrap().close().await;
    fs::write(&resolved.host_key.user_files[0], line(&resolved, &new_key(), "@cert-authority ")).unwrap();
    with_store(&resolved, &Arc::new(KnownHosts::new())).await.unwrap_err();
}

#[tokio::test]
async fn an_unreadable_store_learns_nothing() {
    let client = Client::new();
    let server = server_for(&client, new_key()).await;
    let mut resolved = client.resolved(server.port);
    // A directory cannot be read as a file, not even by root.
    resolved.host_key.user_files = vec![client.dir.path().to_path_buf()];
    let error = with_store(&resolved, &Arc::new(KnownHosts::new())).await.unwrap_err();
    assert_eq!(error.failure.kind, FailureKind::Local);
}
