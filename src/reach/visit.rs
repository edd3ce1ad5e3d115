//! The steps of one node: what is dialled beside its probe, what after it, and what is kept when time is up.
//!
//! Every step writes down what it found as soon as it found it, so that a visit may be dropped at any moment.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{join, join_all};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tokio_rustls::rustls::ClientConfig;

use super::capture::{
    ApiCapture, ClusterInfo, Dial, Healthz, HealthzCapture, Origin, ReachCapture, ServerCapture, Tls,
};
use super::cluster_info::Signed;
use super::dial::{Line, Stream};
use super::endpoint::{self, Candidate, Endpoint};
use super::gate::Gates;
use super::{cluster_info, http, tls, words};

/// Where a kubelet says how it is, unless its configuration moved that.
const HEALTHZ: (&str, u16) = ("127.0.0.1", 10248);
const NFS_PORT: u16 = 2049;
/// A node that names more servers than this names them for another reason.
const MAX_SERVERS: usize = 4;

/// How long each step of a visit may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// From asking the node to connect to its word on it: time for a lost packet and its second repetition.
    pub dial: Duration,
    pub tls: Duration,
    pub http: Duration,
    /// For all that is left to do when the probe is over.
    pub after: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        let step = Duration::from_secs(5);
        Self { dial: step, tls: step, http: step, after: Duration::from_secs(12) }
    }
}

impl Bounds {
    /// For what decides whether a node is changed: an API server that is slow just now is waited for, as a change that is
    /// refused for it has to be asked for again.
    pub fn patient() -> Self {
        let step = Duration::from_secs(15);
        Self { tls: step, http: step, after: Duration::from_secs(40), ..Self::default() }
    }
}

/// What the visits of a run share.
#[derive(Debug)]
pub struct Visitor {
    bounds: Bounds,
    tls: Result<Arc<ClientConfig>, String>,
    gates: Gates,
}

/// What the probe's answer adds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// `server` of the node's kubeconfigs.
    pub apis: Vec<(Origin, String)>,
    /// NFS servers that something waits for.
    pub nfs: Vec<String>,
}

/// What a visit has found so far; shared, so that it outlives the visit.
pub type Notes = Arc<Mutex<ReachCapture>>;

/// What one endpoint showed, without a probe.
#[derive(Debug)]
pub struct Call {
    /// With this endpoint alone, and the server that its cluster-info names.
    pub capture: ReachCapture,
    /// For who holds a token; no part of a record.
    pub signed: Option<Signed>,
}

/// One node's visit.
#[derive(Debug)]
pub struct Visit<'v> {
    visitor: &'v Visitor,
    line: Line<'v>,
    run: Option<Candidate>,
    notes: Notes,
    /// One dial at a time, so that a refusal's words are the ones of that dial. Holds whether an earlier dial was given up, which
    /// may still be refused.
    dialling: tokio::sync::Mutex<bool>,
    probe_is_over: watch::Sender<bool>,
}

impl Visitor {
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, tls: tls::client(), gates: Gates::default() }
    }

    pub const fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Goes to this endpoint alone, over `line`: TCP, TLS, cluster-info, and TCP to the server that cluster-info names.
    pub async fn call(&self, line: Line<'_>, candidate: &Candidate) -> Call {
        let visit = self.visit(line, None);
        visit.probe_is_over.send_replace(true);
        let signed = visit.api(visit.begin_api(candidate), &candidate.endpoint).await;
        let capture = std::mem::take(&mut *visit.noted());
        Call { capture, signed }
    }

    /// Asks the kubelet on the node's loopback address how it is, and nothing else.
    pub async fn kubelet(&self, line: Line<'_>) -> Option<HealthzCapture> {
        let visit = self.visit(line, None);
        visit.healthz().await;
        visit.noted().healthz.take()
    }

    /// A visit over `line`; `run` is the endpoint that the run names for the node.
    pub fn visit<'v>(&'v self, line: Line<'v>, run: Option<Candidate>) -> Visit<'v> {
        Visit {
            visitor: self,
            line,
            run,
            notes: Notes::default(),
            dialling: tokio::sync::Mutex::new(false),
            probe_is_over: watch::Sender::new(false),
        }
    }
}

impl Visit<'_> {
    /// Where the visit writes what it finds.
    pub fn notes(&self) -> Notes {
        Arc::clone(&self.notes)
    }

    /// Does what can be done beside the probe, and the rest once `told` says what the probe found. Ends early when nobody tells.
    pub async fn run(&self, told: oneshot::Receiver<Wanted>) {
        let early = self.run.as_ref().filter(|candidate| endpoint::beside_the_probe(candidate));
        let beside = join(self.healthz(), async {
            if let Some(candidate) = early {
                self.api(self.begin_api(candidate), &candidate.endpoint).await;
            }
        });
        let after = async {
            let Ok(wanted) = told.await else { return };
            self.probe_is_over.send_replace(true);
            join(self.own_api(&wanted, early.is_some()), self.nfs(&wanted)).await;
        };
        join(beside, after).await;
    }

    fn noted(&self) -> MutexGuard<'_, ReachCapture> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The endpoint of the node's own files, or the run's if it has none and that was not tried yet.
    async fn own_api(&self, wanted: &Wanted, run_was_tried: bool) {
        let own = endpoint::of_node(&wanted.apis);
        let Some(candidate) = own.as_ref().or(self.run.as_ref().filter(|_| !run_was_tried)) else { return };
        let tried = self.run.as_ref().filter(|_| run_was_tried);
        if tried.is_some_and(|tried| tried.endpoint.same_place(&candidate.endpoint)) {
            // The same place under the node's own name for it.
            if let Some(api) = self.noted().apis.first_mut() {
                api.origin = candidate.origin;
                api.endpoint.clone_from(&candidate.endpoint.written);
            }
            return;
        }
        self.api(self.begin_api(candidate), &candidate.endpoint).await;
    }

    /// Notes an endpoint before anything is known of it.
    fn begin_api(&self, candidate: &Candidate) -> usize {
        let mut notes = self.noted();
        notes.apis.push(ApiCapture {
            origin: candidate.origin,
            endpoint: candidate.endpoint.written.clone(),
            dial: not_reached(),
            tls: None,
            cluster_info: None,
            verified: None,
        });
        notes.apis.len() - 1
    }

    /// TCP, TLS, cluster-info, and TCP to the server that cluster-info names.
    async fn api(&self, place: usize, endpoint: &Endpoint) -> Option<Signed> {
        let note = |write: &dyn Fn(&mut ApiCapture)| {
            if let Some(api) = self.noted().apis.get_mut(place) {
                write(api);
            }
        };
        let (info, signed) = {
            let _turn = self.visitor.gates.enter(&endpoint.host, endpoint.port).await;
            let (stream, dial) = self.dial(&endpoint.host, endpoint.port).await;
            note(&|api| api.dial = dial.clone());
            let stream = stream?;
            let client = match &self.visitor.tls {
                Ok(client) => client,
                Err(words) => {
                    note(&|api| api.tls = Some(Tls::Failed { words: words.clone() }));
                    return None;
                }
            };
            let (stream, shown) = tls::handshake(client, stream, &endpoint.host, self.visitor.bounds.tls).await;
            note(&|api| api.tls = Some(shown.clone()));
            let stream = stream?;
            let host = if endpoint.host.contains(':') { format!("[{}]", endpoint.host) } else { endpoint.host.clone() };
            let host = format!("{host}:{}", endpoint.port);
            let answer = http::get(stream, &host, cluster_info::PATH, self.visitor.bounds.http).await;
            let (info, signed) = cluster_info::read(answer);
            note(&|api| api.cluster_info = Some(info.clone()));
            (info, signed)
        };
        if let Some(server) = named_server(&info).filter(|server| !server.same_place(endpoint)) {
            self.server(&server.host, server.port).await;
        }
        signed
    }

    async fn healthz(&self) {
        let (host, port) = HEALTHZ;
        let (stream, dial) = self.dial(host, port).await;
        self.noted().healthz = Some(HealthzCapture { dial, answer: None });
        let Some(stream) = stream else { return };
        let answer = match http::get(stream, &format!("{host}:{port}"), "/healthz", self.visitor.bounds.http).await {
            Ok(response) => {
                let text = words(&String::from_utf8_lossy(&response.body), 200);
                Healthz::Answered { status: response.status, words: text }
            }
            Err(why) => Healthz::Failed { words: words(&why, 200) },
        };
        if let Some(healthz) = &mut self.noted().healthz {
            healthz.answer = Some(answer);
        }
    }

    async fn nfs(&self, wanted: &Wanted) {
        let servers = wanted.nfs.iter().filter(|server| endpoint::is_host(server)).take(MAX_SERVERS);
        join_all(servers.map(|server| self.server(server, NFS_PORT))).await;
    }

    /// TCP and nothing more.
    async fn server(&self, host: &str, port: u16) {
        let place = {
            let mut notes = self.noted();
            notes.servers.push(ServerCapture { host: host.to_owned(), port, dial: not_reached() });
            notes.servers.len() - 1
        };
        let _turn = self.visitor.gates.enter(host, port).await;
        let (stream, dial) = self.dial(host, port).await;
        if let Some(server) = self.noted().servers.get_mut(place) {
            server.dial = dial;
        }
        if let Some(mut stream) = stream {
            let _ = timeout(Duration::from_secs(1), stream.shutdown()).await;
        }
    }

    async fn dial(&self, host: &str, port: u16) -> (Option<Box<dyn Stream>>, Dial) {
        if host.parse::<std::net::IpAddr>().is_err() {
            let mut over = self.probe_is_over.subscribe();
            if over.wait_for(|over| *over).await.is_err() {
                return (None, not_reached());
            }
        }
        let mut an_earlier_one_was_given_up = self.dialling.lock().await;
        if let (true, Line::Session(session)) = (*an_earlier_one_was_given_up, self.line) {
            session.forget_late_refusals();
        }
        let (stream, dial) = self.line.dial(host, port, self.visitor.bounds.dial).await;
        *an_earlier_one_was_given_up |= matches!(dial, Dial::Silent { .. });
        (stream, dial)
    }
}

/// What stays when the visit ends before the dial.
fn not_reached() -> Dial {
    Dial::NotTried { why: "the time was up before it was tried".to_owned() }
}

/// `server` of the kubeconfig in cluster-info.
pub(crate) fn named_server(info: &ClusterInfo) -> Option<Endpoint> {
    let ClusterInfo::Read { kubeconfig: Some(kubeconfig), .. } = info else { return None };
    crate::facts::reach::cluster_of(kubeconfig).server.known().and_then(|server| Endpoint::parse(server))
}
