//! What a node reaches, seen through its SSH session: a server that forwards for real, an API server with TLS behind it, and
//! every way in which one of them does not answer.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PublicKeyData};
use russh::ChannelOpenFailure;
use seaworthy::facts::Fact;
use seaworthy::facts::reach::{Reach, Tcp};
use seaworthy::reach::capture::{Dial, Origin};
use seaworthy::reach::endpoint::{Candidate, of_run};
use seaworthy::reach::{Bounds, Line, ReachCapture, Visitor, Wanted};
use seaworthy::record::{Capture, ClockSample, Record};
use seaworthy::ssh::Session;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::server::{self, Behaviour, Forward, Server};
use super::support::{Client, connect};

/// Seconds since 1970 of a day in 2026, at which the node's clock stands.
const NOW: i64 = 1_780_000_000;

async fn node(forward: Forward) -> (Client, Server) {
    let client = Client::new();
    let keys = vec![client.key.public_key().clone()];
    let server = server::start(Behaviour { keys, forward, ..Behaviour::default() }).await;
    (client, server)
}

/// An API server that answers every request alike.
struct Api {
    port: u16,
    ca_sha256: String,
}

/// What an API server shows and says.
struct Shows<'a> {
    names: &'a [&'a str],
    years: (i32, i32),
    status: &'a str,
    /// `{CA}` stands for the CA's certificate in base64, `{PORT}` for its own port.
    body: &'a str,
}

const INFO: &str = r#"{"kind":"ConfigMap","data":{"jws-kubeconfig-abcdef":"eyJhbGciOiJIUzI1NiJ9..c2ln",
    "kubeconfig":"apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {CA}\n    server: https://127.0.0.1:{PORT}\n  name: \"\"\n"}}"#;

const FINE: Shows<'_> =
    Shows { names: &["kubernetes", "127.0.0.1"], years: (2020, 2040), status: "200 OK", body: INFO };

async fn api(shows: &Shows<'_>) -> Api {
    use base64::Engine as _;
    use sha2::Digest as _;

    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "kubernetes");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let names: Vec<String> = shows.names.iter().map(|name| (*name).to_owned()).collect();
    let mut leaf = CertificateParams::new(names).unwrap();
    leaf.not_before = rcgen::date_time_ymd(shows.years.0, 1, 1);
    leaf.not_after = rcgen::date_time_ymd(shows.years.1, 1, 1);
    let key = KeyPair::generate().unwrap();
    let chain = vec![leaf.signed_by(&key, &authority).unwrap().der().clone()];
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let ca = base64::engine::general_purpose::STANDARD.encode(authority.pem());
    let body = shows.body.replace("{CA}", &ca).replace("{PORT}", &port.to_string());
    let answer = format!("HTTP/1.1 {}\r\nContent-Length: {}\r\n\r\n{body}", shows.status, body.len());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4096];
            let count = stream.read(&mut request).await.unwrap_or(0);
            let asked = String::from_utf8_lossy(&request[..count]).into_owned();
            assert!(!asked.to_ascii_lowercase().contains("authorization"), "{asked}");
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    let key = authority.key().subject_public_key_info();
    let ca_sha256 = format!("{:x}", sha2::Sha256::digest(key));
    Api { port, ca_sha256 }
}

fn bounds() -> Bounds {
    let long = Duration::from_secs(20);
    Bounds { dial: long, tls: long, http: long, after: long }
}

async fn visit(session: &Session, bounds: Bounds, run: Option<Candidate>, wanted: Wanted) -> ReachCapture {
    let visitor = Visitor::new(bounds);
    let visit = visitor.visit(Line::Session(session), run);
    let (tell, told) = oneshot::channel();
    tell.send(wanted).unwrap();
    visit.run(told).await;
    let notes = visit.notes();
    notes.lock().unwrap().clone()
}

fn facts(capture: ReachCapture) -> Reach {
    let mut record = Record::blank("node".to_owned(), Vec::new(), None);
    record.probe = Some(Capture { complete: true, ..Capture::default() });
    record.clock = Some(ClockSample { sent_ms: NOW * 1000, received_ms: NOW * 1000, node_ms: NOW * 1000 });
    record.reach = Some(capture);
    // As a saved run gives it back.
    let saved = serde_json::to_string(&record).unwrap();
    let replayed: Record = serde_json::from_str(&saved).unwrap();
    assert_eq!(replayed, record);
    Reach::clone(&seaworthy::facts::parse(&replayed).reach)
}

fn inventory(endpoint: &str) -> Option<Candidate> {
    of_run(Some(endpoint), None)
}

#[tokio::test]
async fn an_api_server_is_read_through_the_nodes_session() {
    let (api, (client, server)) = (api(&FINE).await, node(Forward::Real).await);
    let session = connect(&client.resolved(server.port)).await;
    let endpoint = format!("https://127.0.0.1:{}", api.port);
    let reach = facts(visit(&session, bounds(), inventory(&endpoint), Wanted::default()).await);
    let found = reach.api;
    assert_eq!((found.endpoint, found.origin), (Fact::Known(endpoint.clone()), Fact::Known(Origin::Inventory)));
    assert_eq!((found.tcp, found.tls), (Fact::Known(Tcp::Open), Fact::Known(true)));
    assert_eq!(found.names, Fact::Known(vec!["kubernetes".to_owned(), "127.0.0.1".to_owned()]));
    assert_eq!((found.name_matches, found.dates_ok), (Fact::Known(true), Fact::Known(true)));
    assert_eq!((found.cluster_info_status, found.cluster_info_error), (Fact::Known(200), Fact::Absent));
    assert_eq!(found.token_ids, Fact::Known(vec!["abcdef".to_owned()]));
    assert_eq!(found.ca_hashes, Fact::Known(vec![api.ca_sha256]));
    assert_eq!((found.server, found.server_differs), (Fact::Known(endpoint), Fact::Known(false)));
    assert_eq!(found.server_tcp, Fact::Known(Tcp::Open));
}

#[tokio::test]
async fn wrong_certificates_are_read_like_right_ones() {
    let (client, server) = node(Forward::Real).await;
    let session = connect(&client.resolved(server.port)).await;
    let expired = api(&Shows { years: (2020, 2021), ..FINE }).await;
    let other = api(&Shows { names: &["10.96.0.1", "*.example.net"], years: (2035, 2040), ..FINE }).await;
    let mut found = Vec::new();
    for api in [&expired, &other] {
        let run = inventory(&format!("127.0.0.1:{}", api.port));
        found.push(facts(visit(&session, bounds(), run, Wanted::default()).await).api);
    }
    let [expired, other] = found.try_into().unwrap();
    assert_eq!((expired.dates_ok, expired.expired), (Fact::Known(false), Fact::Known(true)));
    assert_eq!(expired.name_matches, Fact::Known(true));
    assert_eq!((other.name_matches, other.not_yet_valid), (Fact::Known(false), Fact::Known(true)));
}

#[tokio::test]
async fn a_forbidden_cluster_info_and_a_server_that_nobody_reaches() {
    let (client, server) = node(Forward::Real).await;
    let session = connect(&client.resolved(server.port)).await;
    let body = r#"{"message":"configmaps \"cluster-info\" is forbidden: User \"system:anonymous\" cannot get"}"#;
    let forbidden = api(&Shows { status: "403 Forbidden", body, ..FINE }).await;
    let run = inventory(&format!("127.0.0.1:{}", forbidden.port));
    let found = facts(visit(&session, bounds(), run, Wanted::default()).await).api;
    assert_eq!(found.cluster_info_status, Fact::Known(403));
    assert!(found.cluster_info_error.is_known_and(|words| words.contains("system:anonymous")));
    assert!(found.token_ids.is_unknown() && found.ca_hashes.is_unknown() && found.server_tcp.is_unknown());

    // Port 1 of this machine is nobody's.
    let moved = api(&Shows { body: &INFO.replace("{PORT}", "1"), ..FINE }).await;
    let run = inventory(&format!("127.0.0.1:{}", moved.port));
    let found = facts(visit(&session, bounds(), run, Wanted::default()).await).api;
    assert_eq!(
        (found.server_differs, found.server),
        (Fact::Known(true), Fact::Known("https://127.0.0.1:1".to_owned()))
    );
    assert_eq!(found.server_tcp, Fact::Known(Tcp::Failed), "this server does not say why");
}

#[tokio::test]
async fn the_nodes_own_endpoint_counts_more_than_the_runs_and_is_not_dialled_twice() {
    let (api, (client, server)) = (api(&FINE).await, node(Forward::Real).await);
    let session = connect(&client.resolved(server.port)).await;
    let own = format!("https://127.0.0.1:{}", api.port);
    let wanted = Wanted { apis: vec![(Origin::KubeletConf, own.clone())], nfs: vec![] };
    let same = visit(&session, bounds(), inventory(&format!("127.0.0.1:{}", api.port)), wanted.clone()).await;
    assert_eq!(same.apis.len(), 1);
    assert_eq!((same.apis[0].origin, &same.apis[0].endpoint), (Origin::KubeletConf, &own));

    let both = visit(&session, bounds(), inventory("127.0.0.1:1"), wanted).await;
    assert_eq!(both.apis.len(), 2);
    let found = facts(both).api;
    assert_eq!((found.origin, found.tcp), (Fact::Known(Origin::KubeletConf), Fact::Known(Tcp::Open)));
}

#[tokio::test]
async fn a_server_that_does_not_forward_leaves_everything_unknown() {
    let (client, server) = node(Forward::Fail(ChannelOpenFailure::AdministrativelyProhibited)).await;
    let session = connect(&client.resolved(server.port)).await;
    let wanted = Wanted { nfs: vec!["192.0.2.9".to_owned()], ..Wanted::default() };
    let reach = facts(visit(&session, bounds(), inventory("192.0.2.1:6443"), wanted).await);
    assert!(reach.api.tcp.reason().is_some_and(|why| why.contains("does not forward")), "{:?}", reach.api.tcp);
    assert!(
        reach.api.dates_ok.is_unknown() && reach.kubelet_healthz.is_unknown() && reach.nfs_unreachable.is_unknown()
    );
}

#[tokio::test]
async fn without_an_endpoint_nothing_is_tried_and_nothing_is_claimed() {
    let (client, server) = node(Forward::Real).await;
    let session = connect(&client.resolved(server.port)).await;
    let reach = facts(visit(&session, bounds(), None, Wanted::default()).await);
    assert!(reach.api.tcp.reason().is_some_and(|why| why.contains("kube_api_endpoint")), "{:?}", reach.api.tcp);
    assert_eq!((reach.nfs_unreachable, reach.nfs.map(|nfs| nfs.len())), (Fact::Known(vec![]), Fact::Known(0)));
}

#[tokio::test]
async fn silence_ends_at_each_steps_own_deadline() {
    let (client, server) = node(Forward::Never).await;
    let session = connect(&client.resolved(server.port)).await;
    let short = Bounds { dial: Duration::from_millis(200), ..bounds() };
    let capture = visit(&session, short, inventory("192.0.2.1:6443"), Wanted::default()).await;
    assert!(matches!(capture.apis[0].dial, Dial::Silent { .. }), "{capture:?}");
    assert_eq!(facts(capture).api.tcp, Fact::Known(Tcp::TimedOut));

    // A listener that accepts and says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (client, server) = node(Forward::Real).await;
    let session = connect(&client.resolved(server.port)).await;
    let short = Bounds { tls: Duration::from_millis(200), ..bounds() };
    let run = inventory(&format!("127.0.0.1:{}", mute.local_addr().unwrap().port()));
    let found = facts(visit(&session, short, run, Wanted::default()).await).api;
    // It may be a busy API server: that it speaks no TLS is not known.
    assert_eq!(found.tcp, Fact::Known(Tcp::Open));
    assert!(found.tls.reason().is_some_and(|why| why.starts_with("no answer to the handshake")), "{:?}", found.tls);
    assert!(found.cluster_info_status.is_unknown());
}

#[tokio::test]
async fn a_visit_that_is_dropped_leaves_what_it_found() {
    let api = api(&FINE).await;
    let (client, server) = node(Forward::Real).await;
    let session = connect(&client.resolved(server.port)).await;
    let visitor = Visitor::new(bounds());
    let visit = visitor.visit(Line::Session(&session), inventory(&format!("127.0.0.1:{}", api.port)));
    let notes = visit.notes();
    let (_tell, told) = oneshot::channel();
    let mut running = Box::pin(visit.run(told));
    // Nobody ever tells it that the probe is over, so that it never ends by itself.
    let read = async {
        while notes.lock().unwrap().apis.first().is_none_or(|api| api.cluster_info.is_none()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = &mut running => panic!("it ended"),
        () = read => {}
    }
    drop(running);
    assert_eq!(facts(notes.lock().unwrap().clone()).api.cluster_info_status, Fact::Known(200));
}
