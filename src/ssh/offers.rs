//! What a host will be offered to log in with, in order, decided before it is dialled.
//!
//! Keys named for the host come first, then the agent's (at most [`MAX_AGENT_KEYS`], since each counts as a failed login and
//! servers hang up after six), then ssh's default files. Nothing is offered twice.

use std::path::Path;
use std::sync::Arc;

use russh::Signer;
use russh::keys::agent::AgentIdentity;
use russh::keys::ssh_key::HashAlg;
use russh::keys::{Certificate, PublicKey};

use super::agent::{Agent, AgentError, AgentKey, Agents, put};
use super::keys::{BadKey, KeyFile, KeyRing};
use super::resolved::{AgentChoice, Resolved};
use super::signing::SigningKey;
use crate::failure::{Failure, FailureKind};

const MAX_AGENT_KEYS: usize = 3;

/// One key or certificate to offer.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    /// As the user knows it: the path or the agent's comment, and the fingerprint.
    pub(super) label: String,
    pub(super) public: PublicKey,
    pub(super) certificate: Option<Certificate>,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    File(Arc<SigningKey>),
    Agent(Arc<Agent>, Box<AgentKey>),
}

/// Everything there is to offer, and what could not be.
#[derive(Debug, Default)]
pub(super) struct Offers {
    pub(super) keys: Vec<Offer>,
    /// Named keys that cannot be used. They fail the host only if nothing else lets it in.
    pub(super) unusable: Vec<Failure>,
    /// Why the agent was no help, in words: for the message of a failed login.
    pub(super) agent_note: Option<String>,
}

impl Offers {
    /// Collects the offers for one host.
    pub(super) async fn collect(resolved: &Resolved, ring: &KeyRing, agents: &Agents) -> Self {
        let mut offers = Self::default();
        if !resolved.methods.publickey {
            return offers;
        }
        let agent = agents.of(&resolved.agent);
        let held = offers.ask_agent(&resolved.agent, agent.as_ref()).await;
        let held = Held { agent, keys: held };
        let named = !resolved.identity_files_are_defaults;
        if named {
            offers.add_files(resolved, ring, &held, true);
        }
        offers.add_agent_keys(resolved, ring, &held);
        if !named {
            offers.add_files(resolved, ring, &held, false);
        }
        offers
    }

    async fn ask_agent(&mut self, choice: &AgentChoice, agent: Option<&Arc<Agent>>) -> Vec<AgentKey> {
        let Some(agent) = agent else {
            let why = match choice {
                AgentChoice::None => "no agent (IdentityAgent none)",
                _ => "no agent (SSH_AUTH_SOCK is not set)",
            };
            self.agent_note = Some(why.to_owned());
            return Vec::new();
        };
        match agent.identities().await {
            Ok([]) => {
                self.agent_note = Some(format!("the agent at {} holds no identities", agent.socket().display()));
                Vec::new()
            }
            Ok(keys) => keys.to_vec(),
            Err(error) => {
                self.agent_note = Some(error.to_string());
                Vec::new()
            }
        }
    }

    fn add_files(&mut self, resolved: &Resolved, ring: &KeyRing, held: &Held, named: bool) {
        for path in &resolved.identity_files {
            match ring.file(path) {
                Some(KeyFile::Usable(key)) => self.add_file(resolved, ring, path, key),
                Some(KeyFile::Locked { public, .. }) => {
                    let found =
                        public.as_ref().is_some_and(|public| self.add_from_agent(resolved, ring, held, public, path));
                    if !found {
                        self.unusable.push(Failure::new(
                            FailureKind::Key,
                            format!("the key file {} is encrypted and its passphrase is not known", path.display()),
                            format!("run from a terminal to be asked, or: ssh-add {}", path.display()),
                        ));
                    }
                }
                Some(KeyFile::PublicHalf { public, hardware }) => {
                    if !self.add_from_agent(resolved, ring, held, public, path) {
                        self.unusable.push(only_public(path, *hardware));
                    }
                }
                Some(KeyFile::Bad(BadKey::Missing)) if !named => {}
                Some(KeyFile::Bad(bad)) => self.unusable.push(bad.failure(path)),
                None => self.unusable.push(BadKey::Missing.failure(path)),
            }
        }
    }

    fn add_file(&mut self, resolved: &Resolved, ring: &KeyRing, path: &Path, key: &Arc<SigningKey>) {
        let public = key.public();
        let name = path.display().to_string();
        for certificate in ring.certificates_for(public, Some(path), &resolved.certificate_files) {
            self.add(&name, public, Some(certificate.clone()), Source::File(Arc::clone(key)));
        }
        self.add(&name, public, None, Source::File(Arc::clone(key)));
    }

    /// Offers the agent's copy of a key that a file names; false when the agent does not hold it.
    fn add_from_agent(
        &mut self,
        resolved: &Resolved,
        ring: &KeyRing,
        held: &Held,
        public: &PublicKey,
        path: &Path,
    ) -> bool {
        let Some(agent) = &held.agent else { return false };
        let mut found = false;
        for key in held.keys.iter().filter(|key| key.public.key_data() == public.key_data()) {
            found = true;
            let source = Source::Agent(Arc::clone(agent), Box::new(key.clone()));
            let name = format!("agent: {}", path.display());
            if key.certificate.is_none() {
                for certificate in ring.certificates_for(public, Some(path), &resolved.certificate_files) {
                    self.add(&name, public, Some(certificate.clone()), source.clone());
                }
            }
            self.add(&name, public, key.certificate.clone(), source);
        }
        found
    }

    fn add_agent_keys(&mut self, resolved: &Resolved, ring: &KeyRing, held: &Held) {
        let Some(agent) = &held.agent else { return };
        for key in &held.keys {
            let is_named =
                resolved.identity_files.iter().any(|path| ring.file(path).is_some_and(|file| file.is(&key.public)));
            let agents = self.keys.iter().filter(|offer| matches!(offer.source, Source::Agent(..))).count();
            if (resolved.identities_only && !is_named) || agents >= MAX_AGENT_KEYS {
                continue;
            }
            let source = Source::Agent(Arc::clone(agent), Box::new(key.clone()));
            self.add(&format!("agent: {}", key.comment), &key.public, key.certificate.clone(), source);
        }
    }

    fn add(&mut self, name: &str, public: &PublicKey, certificate: Option<Certificate>, source: Source) {
        let same = |offer: &Offer| {
            offer.public.key_data() == public.key_data()
                && offer.certificate.as_ref().map(Certificate::signature)
                    == certificate.as_ref().map(Certificate::signature)
        };
        if self.keys.iter().any(same) {
            return;
        }
        let kind = if certificate.is_some() { "certificate " } else { "" };
        let label = format!("{name} {kind}{}", public.fingerprint(HashAlg::Sha256));
        self.keys.push(Offer { label, public: public.clone(), certificate, source });
    }
}

struct Held {
    agent: Option<Arc<Agent>>,
    keys: Vec<AgentKey>,
}

impl KeyFile {
    fn is(&self, key: &PublicKey) -> bool {
        match self {
            Self::Usable(own) => own.public().key_data() == key.key_data(),
            Self::Locked { public: Some(own), .. } | Self::PublicHalf { public: own, .. } => {
                own.key_data() == key.key_data()
            }
            Self::Locked { public: None, .. } | Self::Bad(_) => false,
        }
    }
}

fn only_public(path: &Path, hardware: bool) -> Failure {
    let shown = path.display();
    if hardware {
        let message = format!("the key file {shown} belongs to a security key, and the agent does not hold it");
        return Failure::new(FailureKind::Key, message, format!("ssh-add {shown}"));
    }
    let message = format!("the key file {shown} is a public key, and the agent does not hold its private half");
    let next = "name the private key (usually the same path without .pub), or load it with ssh-add";
    Failure::new(FailureKind::Key, message, next)
}

/// Why a signature could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum SignError {
    #[error("the connection is gone")]
    Gone,
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error("the key cannot sign: {0}")]
    Key(String),
}

impl From<russh::SendError> for SignError {
    fn from(_: russh::SendError) -> Self {
        Self::Gone
    }
}

/// Signs a login with one offer. russh calls it once the server has said that it would accept the key.
pub(super) struct OfferSigner<'a>(pub(super) &'a Offer);

impl Signer for OfferSigner<'_> {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        _key: &AgentIdentity,
        hash: Option<HashAlg>,
        mut to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        let signature = match &self.0.source {
            Source::Agent(agent, key) => agent.sign(key, hash, &to_sign).await?,
            Source::File(key) => {
                let (key, data) = (Arc::clone(key), to_sign.clone());
                if key.is_slow() {
                    // Not on a thread that serves other connections.
                    tokio::task::spawn_blocking(move || sign(&key, hash, &data))
                        .await
                        .map_err(|error| SignError::Key(error.to_string()))??
                } else {
                    sign(&key, hash, &data)?
                }
            }
        };
        put(&mut to_sign, &signature);
        Ok(to_sign)
    }
}

fn sign(key: &SigningKey, hash: Option<HashAlg>, data: &[u8]) -> Result<Vec<u8>, SignError> {
    key.sign(hash, data).map_err(|error| SignError::Key(error.to_string()))
}
