//! The ssh-agent: which identities it holds, and signatures from it (draft-miller-ssh-agent).
//!
//! russh has a client for this; the own one exists because russh's loses all identities when one cannot be decoded, has no
//! deadline, and opens a connection per use. One [`Agent`] serves a whole run: it is asked for its identities once, over at
//! most [`LANES`] connections, because agents answer one request at a time and fall over under hundreds. Keys that are
//! constrained to destinations (`ssh-add -h`) are not supported: they need a connection bound to each session.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use russh::keys::ssh_key::HashAlg;
use russh::keys::{Certificate, PublicKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::timeout;

use super::banner::quote;
use super::resolved::AgentChoice;
use super::stream::{plain, seconds};

const LANES: usize = 4;
/// An agent that does not answer within this is taken for dead, for the rest of the run.
const ANSWER: Duration = Duration::from_secs(5);
/// Security keys wait for a touch.
const TOUCH: Duration = Duration::from_secs(30);
/// OpenSSH's own limit on a message.
const MAX_FRAME: usize = 256 * 1024;

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// One identity that the agent holds.
#[derive(Debug, Clone)]
pub(super) struct AgentKey {
    /// As the agent names it; handed back to it for a signature.
    blob: Vec<u8>,
    pub(super) public: PublicKey,
    pub(super) certificate: Option<Certificate>,
    pub(super) comment: String,
}

/// Why the agent is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgentError {
    #[error("the agent's socket {} cannot be used: {why}", socket.display())]
    Socket { socket: PathBuf, why: String },
    #[error("the agent did not answer within {}", seconds(*.0))]
    TimedOut(Duration),
    #[error("the agent refused to sign")]
    Refused,
    #[error("the agent's answer cannot be understood: {0}")]
    Protocol(String),
}

/// The agents of a run: one per socket.
#[derive(Debug, Default)]
pub struct Agents {
    /// `SSH_AUTH_SOCK`.
    environment: Option<PathBuf>,
    sockets: Mutex<BTreeMap<PathBuf, Arc<Agent>>>,
}

impl Agents {
    /// `environment` is the value of `SSH_AUTH_SOCK`, if it is set and not empty.
    pub fn new(environment: Option<PathBuf>) -> Self {
        Self { environment, sockets: Mutex::default() }
    }

    /// The agent that a host is to use; `None` when it is to use none.
    pub(super) fn of(&self, choice: &AgentChoice) -> Option<Arc<Agent>> {
        let socket = match choice {
            AgentChoice::None => return None,
            AgentChoice::Environment => self.environment.as_ref()?,
            AgentChoice::Socket(socket) => socket,
        };
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let agent = sockets.entry(socket.clone()).or_insert_with(|| Arc::new(Agent::new(socket.clone())));
        Some(Arc::clone(agent))
    }
}

/// One agent.
#[derive(Debug)]
pub(super) struct Agent {
    socket: PathBuf,
    lanes: Semaphore,
    idle: Mutex<Vec<UnixStream>>,
    identities: OnceCell<Result<Vec<AgentKey>, AgentError>>,
    dead: OnceLock<AgentError>,
}

impl Agent {
    fn new(socket: PathBuf) -> Self {
        Self {
            socket,
            lanes: Semaphore::new(LANES),
            idle: Mutex::default(),
            identities: OnceCell::new(),
            dead: OnceLock::new(),
        }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// What the agent holds; asked once. An empty list is an agent without identities, not an error.
    pub(super) async fn identities(&self) -> Result<&[AgentKey], AgentError> {
        let list = || async { parse_identities(&self.ask(&[REQUEST_IDENTITIES], ANSWER).await?) };
        match self.identities.get_or_init(list).await {
            Ok(keys) => Ok(keys),
            Err(error) => Err(error.clone()),
        }
    }

    /// The agent's signature over `data`, in the form that an SSH packet carries.
    pub(super) async fn sign(&self, key: &AgentKey, hash: Option<HashAlg>, data: &[u8]) -> Result<Vec<u8>, AgentError> {
        let flags: u32 = match hash {
            Some(HashAlg::Sha256) => 2,
            Some(HashAlg::Sha512) => 4,
            _ => 0,
        };
        let mut request = vec![SIGN_REQUEST];
        put(&mut request, &key.blob);
        put(&mut request, data);
        request.extend(flags.to_be_bytes());
        let patience = if key.public.algorithm().as_str().starts_with("sk-") { TOUCH } else { ANSWER };
        let answer = self.ask(&request, patience).await?;
        let mut rest = answer.get(1..).unwrap_or_default();
        match answer.first() {
            Some(&SIGN_RESPONSE) => {}
            Some(&FAILURE) => return Err(AgentError::Refused),
            other => return Err(AgentError::Protocol(format!("message {other:?} instead of a signature"))),
        }
        let signature = take(&mut rest).ok_or_else(|| AgentError::Protocol("a signature cut short".into()))?;
        let mut inside = signature;
        let algorithm = take(&mut inside).unwrap_or_default();
        if flags != 0 && algorithm == b"ssh-rsa" {
            return Err(AgentError::Protocol("it signs RSA with SHA-1 only, which servers no longer take".into()));
        }
        Ok(signature.to_vec())
    }

    async fn ask(&self, request: &[u8], patience: Duration) -> Result<Vec<u8>, AgentError> {
        if let Some(dead) = self.dead.get() {
            return Err(dead.clone());
        }
        let Ok(_lane) = self.lanes.acquire().await else { return Err(AgentError::Refused) };
        if let Some(dead) = self.dead.get() {
            return Err(dead.clone());
        }
        let exchange = async {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut stream = match idle {
                Some(stream) => stream,
                None => UnixStream::connect(&self.socket).await?,
            };
            let mut frame = Vec::with_capacity(request.len() + 4);
            put(&mut frame, request);
            stream.write_all(&frame).await?;
            let length = usize::try_from(stream.read_u32().await?).unwrap_or(usize::MAX);
            if length > MAX_FRAME {
                return Err(std::io::ErrorKind::InvalidData.into());
            }
            let mut answer = vec![0; length];
            stream.read_exact(&mut answer).await?;
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
            Ok(answer)
        };
        match timeout(patience, exchange).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(AgentError::Socket { socket: self.socket.clone(), why: plain(&error) }),
            Err(_) => Err(self.dead.get_or_init(|| AgentError::TimedOut(patience)).clone()),
        }
    }
}

/// An identity that cannot be decoded (a type that this program does not know) is left out; the others are kept.
fn parse_identities(answer: &[u8]) -> Result<Vec<AgentKey>, AgentError> {
    let cut = || AgentError::Protocol("a list of identities cut short".into());
    let mut rest = match answer.split_first() {
        Some((&IDENTITIES_ANSWER, rest)) => rest,
        // A locked agent says so.
        Some((&FAILURE, _)) => return Ok(Vec::new()),
        other => return Err(AgentError::Protocol(format!("message {:?} instead of identities", other.map(|it| it.0)))),
    };
    let count = take_u32(&mut rest).ok_or_else(cut)?;
    let mut keys = Vec::new();
    for _ in 0..count {
        let blob = take(&mut rest).ok_or_else(cut)?.to_vec();
        let comment = quote(take(&mut rest).ok_or_else(cut)?);
        if let Ok(certificate) = Certificate::from_bytes(&blob) {
            let public = PublicKey::new(certificate.public_key().clone(), "");
            keys.push(AgentKey { blob, public, certificate: Some(certificate), comment });
        } else if let Ok(public) = russh::keys::key::parse_public_key(&blob) {
            keys.push(AgentKey { blob, public, certificate: None, comment });
        }
    }
    Ok(keys)
}

/// Appends a length and the bytes.
pub(super) fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend(length.to_be_bytes());
    out.extend_from_slice(bytes);
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    let (head, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(u32::from_be_bytes(*head))
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_u32(rest)?).ok()?;
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use russh::keys::{Algorithm, PrivateKey};

    use super::*;

    fn answer(blobs: &[(&[u8], &str)]) -> Vec<u8> {
        let mut out = vec![IDENTITIES_ANSWER];
        out.extend(u32::try_from(blobs.len()).unwrap().to_be_bytes());
        for (blob, comment) in blobs {
            put(&mut out, blob);
            put(&mut out, comment.as_bytes());
        }
        out
    }

    #[test]
    fn one_identity_that_cannot_be_decoded_does_not_lose_the_others() {
        let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap();
        let blob = key.public_key().to_bytes().unwrap();
        let keys = parse_identities(&answer(&[(b"\0\0\0\x04rot", "odd"), (&blob, "good\x1b[31m")])).unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0].public.key_data(), key.public_key().key_data());
        assert_eq!(keys[0].comment, "good\\u{1b}[31m");
    }

    #[test]
    fn a_list_cut_short_is_an_error_and_a_locked_agent_is_empty() {
        let whole = answer(&[(b"x", "y")]);
        assert!(matches!(parse_identities(&whole[..8]), Err(AgentError::Protocol(_))));
        assert!(matches!(parse_identities(&[]), Err(AgentError::Protocol(_))));
        assert!(parse_identities(&[FAILURE]).unwrap().is_empty());
        let lying = [&[IDENTITIES_ANSWER][..], &u32::MAX.to_be_bytes()].concat();
        assert!(matches!(parse_identities(&lying), Err(AgentError::Protocol(_))));
    }
}
