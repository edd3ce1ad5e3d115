//! A pretended cluster's API server, as far as a joining node asks it: TLS by the cluster's CA, and cluster-info signed with the
//! tokens that the cluster has at that moment. Beside it the kubelets' health ports.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::{env, fs};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PublicKeyData as _};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::node::{ENDPOINT, Fleet, Node, PIN};

/// What an API server shows.
#[derive(Debug, Clone)]
pub(crate) struct Shows {
    /// Names and addresses in its certificate.
    pub names: Vec<String>,
    /// The years between which it holds.
    pub years: (i32, i32),
    /// It signs cluster-info for the cluster's tokens.
    pub signs: bool,
    /// cluster-info has another CA than the one that the control plane tells.
    pub other_ca: bool,
}

impl Default for Shows {
    fn default() -> Self {
        let host = ENDPOINT.rsplit_once(':').unwrap().0;
        Self { names: vec![host.to_owned()], years: (2020, 2100), signs: true, other_ca: false }
    }
}

/// The API server of a fleet; it ends when dropped.
pub(crate) struct Api {
    /// `sha256:…` of the CA: what the control plane tells with its tokens.
    pub pin: String,
    seen: Arc<Mutex<BTreeSet<String>>>,
    tokens: PathBuf,
    /// Where it listens on this machine.
    port: u16,
    runtime: Option<Runtime>,
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "kubernetes");
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

impl Api {
    /// These nodes reach it, and their kubelets are healthy.
    pub(crate) fn with(fleet: &Fleet, nodes: &[&str], shows: &Shows) -> Self {
        let own = authority();
        let pin = format!("sha256:{:x}", Sha256::digest(own.key().subject_public_key_info()));
        let told = if shows.other_ca { authority().pem() } else { own.pem() };
        fs::write(fleet.shared("pin"), &pin).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let seen = Arc::new(Mutex::new(BTreeSet::new()));
        let tokens = fleet.shared("tokens");
        let info =
            Info { tokens: tokens.clone(), ca: STANDARD.encode(told), signs: shows.signs, seen: Arc::clone(&seen) };
        let port = serve(&runtime, info, acceptor(&own, shows));
        let health = healthy(&runtime);
        let (host, api_port) = ENDPOINT.rsplit_once(':').unwrap();
        for node in nodes {
            let node = fleet.node(node);
            node.route(host, api_port.parse().unwrap(), ("127.0.0.1", port));
            node.route("127.0.0.1", 10248, ("127.0.0.1", health));
            // What its probe says of the cluster's CA is true here.
            node.says(PIN.trim_start_matches("sha256:"), pin.trim_start_matches("sha256:"));
            node.has_ca(&own.pem());
        }
        Self { pin, seen, tokens, port, runtime: Some(runtime) }
    }

    /// This node's sshd forwards nowhere any more, and these of its programs reach the API. `false` where this machine lacks one.
    pub(crate) fn only_by(&self, node: &Node, programs: &[&str]) -> bool {
        node.forbid_forwarding();
        for program in ["curl", "openssl"] {
            node.without(program);
        }
        programs.iter().all(|program| {
            let path = env::var_os("PATH").unwrap();
            let Some(real) = env::split_paths(&path).map(|dir| dir.join(program)).find(|path| path.is_file()) else {
                eprintln!("skipped: this machine has no {program}");
                return false;
            };
            let text = format!(
                "n=$#; while [ $n -gt 0 ]; do case $1 in {ENDPOINT}) set -- \"$@\" 127.0.0.1:{0} ;; https://{ENDPOINT}/*) \
                 set -- \"$@\" --connect-to {ENDPOINT}:127.0.0.1:{0} \"$1\" ;; *) set -- \"$@\" \"$1\" ;; esac; shift; n=$((n - 1)); \
                 done\nexec {1} \"$@\"\n",
                self.port,
                real.display()
            );
            node.program(program, &text);
            true
        })
    }

    /// Every token that the cluster was seen to have, with its secret.
    pub(crate) fn tokens(&self) -> BTreeSet<String> {
        note(&self.tokens, &self.seen);
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[derive(Clone)]
struct Info {
    tokens: PathBuf,
    /// In base64.
    ca: String,
    signs: bool,
    seen: Arc<Mutex<BTreeSet<String>>>,
}

fn note(tokens: &PathBuf, seen: &Mutex<BTreeSet<String>>) -> Vec<String> {
    let text = fs::read_to_string(tokens).unwrap_or_default();
    let found: Vec<String> = text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    seen.lock().unwrap().extend(found.iter().cloned());
    found
}

impl Info {
    fn answer(&self) -> String {
        let kubeconfig = format!(
            "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {}\n    server: https://{ENDPOINT}\n  name: \"\"\n",
            self.ca
        );
        let mut data = serde_json::Map::new();
        for token in note(&self.tokens, &self.seen) {
            let (id, secret) = token.split_once('.').unwrap();
            if self.signs {
                data.insert(format!("jws-kubeconfig-{id}"), sign(id, secret, &kubeconfig).into());
            }
        }
        data.insert("kubeconfig".to_owned(), kubeconfig.into());
        let body = serde_json::json!({ "kind": "ConfigMap", "data": data }).to_string();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }
}

fn sign(id: &str, secret: &str, text: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","kid":"{id}"}}"#));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{header}.{}", URL_SAFE_NO_PAD.encode(text)).as_bytes());
    format!("{header}..{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn acceptor(own: &Authority, shows: &Shows) -> TlsAcceptor {
    let mut leaf = CertificateParams::new(shows.names.clone()).unwrap();
    leaf.not_before = rcgen::date_time_ymd(shows.years.0, 1, 1);
    leaf.not_after = rcgen::date_time_ymd(shows.years.1, 1, 1);
    let key = KeyPair::generate().unwrap();
    let chain = vec![leaf.signed_by(&key, own).unwrap().der().clone()];
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

fn listen(runtime: &Runtime) -> (TcpListener, u16) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let _inside = runtime.enter();
    (TcpListener::from_std(listener).unwrap(), port)
}

fn serve(runtime: &Runtime, info: Info, acceptor: TlsAcceptor) -> u16 {
    let (listener, port) = listen(runtime);
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (info, acceptor) = (info.clone(), acceptor.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = [0; 4096];
                let count = stream.read(&mut request).await.unwrap_or(0);
                let asked = String::from_utf8_lossy(&request[..count]).to_ascii_lowercase();
                assert!(!asked.contains("authorization"), "{asked}");
                let _ = stream.write_all(info.answer().as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    port
}

fn healthy(runtime: &Runtime) -> u16 {
    let (listener, port) = listen(runtime);
    runtime.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            });
        }
    });
    port
}
