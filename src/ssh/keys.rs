//! Private keys from files: read once, decrypted once, shared by every host of a run.
//!
//! A [`KeyRing`] is filled before the first connection, so that nobody is asked for a passphrase in the middle of a sweep and
//! a bad key file is known before a server counts it as a failed login. What is wrong with a file is kept, not thrown: it
//! concerns only the hosts that name it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::ssh_key::HashAlg;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{Certificate, PrivateKey, PublicKey, decode_secret_key};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::agent::Agents;
use super::resolved::Resolved;
use super::signing::SigningKey;
use super::stream::plain;
use crate::failure::{Failure, FailureKind};
use crate::trust::exposed;

/// A private key of 16384-bit RSA has 13 KB.
const MAX_FILE: usize = 64 * 1024;

/// All key and certificate files that the hosts of a run name.
#[derive(Debug, Default)]
pub struct KeyRing {
    files: BTreeMap<PathBuf, KeyFile>,
    certificates: BTreeMap<PathBuf, Certificate>,
}

/// One file named as a private key.
#[derive(Debug)]
pub(super) enum KeyFile {
    Usable(Arc<SigningKey>),
    /// Encrypted. The public half, where the format or a `.pub` file beside it tells.
    Locked {
        text: SecretString,
        public: Option<PublicKey>,
    },
    /// A public key, or a stub of a security key: only an agent can sign with it.
    PublicHalf {
        public: PublicKey,
        hardware: bool,
    },
    Bad(BadKey),
}

/// What is wrong with a key file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadKey {
    #[error("does not exist")]
    Missing,
    #[error("cannot be read: {0}")]
    Unreadable(String),
    #[error("is not a regular file")]
    NotAFile,
    #[error("can be read by other users (mode {0:03o})")]
    Exposed(u32),
    #[error("is empty")]
    Empty,
    #[error("is not a private key: {0}")]
    Garbage(String),
}

/// A key whose passphrase is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locked {
    pub path: PathBuf,
    /// `SHA256:…`, if the file tells it without the passphrase.
    pub fingerprint: Option<String>,
}

impl KeyRing {
    /// Reads every key and certificate that these connections name, each file once. Blocking.
    pub fn load<'a>(connections: impl IntoIterator<Item = &'a Resolved>) -> Self {
        let uid = rustix::process::geteuid().as_raw();
        let mut ring = Self::default();
        for resolved in connections {
            for path in &resolved.identity_files {
                if !ring.files.contains_key(path) {
                    ring.files.insert(path.clone(), read_key(path, uid));
                    ring.read_certificate(&beside(path, "-cert.pub"));
                }
            }
            for path in &resolved.certificate_files {
                ring.read_certificate(path);
            }
        }
        ring
    }

    fn read_certificate(&mut self, path: &Path) {
        if self.certificates.contains_key(path) {
            return;
        }
        let bytes = read_limited(path).unwrap_or_default();
        let text = std::str::from_utf8(&bytes).ok();
        if let Some(certificate) = text.and_then(|text| Certificate::from_openssh(text.trim()).ok()) {
            self.certificates.insert(path.to_path_buf(), certificate);
        }
    }

    /// The encrypted keys worth a question: named ones, or default ones of a host that has nothing else to offer. Keys that
    /// the agent holds are not asked for.
    pub async fn locked<'a>(
        &self,
        connections: impl IntoIterator<Item = &'a Resolved>,
        agents: &Agents,
    ) -> Vec<Locked> {
        let mut wanted = BTreeMap::new();
        for resolved in connections {
            let held = match agents.of(&resolved.agent) {
                Some(agent) => agent.identities().await.map(<[_]>::to_vec).unwrap_or_default(),
                None => Vec::new(),
            };
            let usable = |path: &PathBuf| matches!(self.files.get(path), Some(KeyFile::Usable(_)));
            let something =
                !held.is_empty() || resolved.identity_files.iter().any(usable) || resolved.password.is_some();
            if resolved.identity_files_are_defaults && something {
                continue;
            }
            for path in &resolved.identity_files {
                let Some(KeyFile::Locked { public, .. }) = self.files.get(path) else { continue };
                let same = |key: &PublicKey| held.iter().any(|other| other.public.key_data() == key.key_data());
                if !public.as_ref().is_some_and(same) {
                    let fingerprint = public.as_ref().map(|key| key.fingerprint(HashAlg::Sha256).to_string());
                    wanted.insert(path.clone(), Locked { path: path.clone(), fingerprint });
                }
            }
        }
        wanted.into_values().collect()
    }

    /// Decrypts one key; false when the passphrase is wrong. Slow by design (bcrypt), so call it once per key. Blocking.
    pub fn unlock(&mut self, path: &Path, passphrase: &SecretString) -> bool {
        let Some(KeyFile::Locked { text, .. }) = self.files.get(path) else { return true };
        let Ok(key) = decode_secret_key(text.expose_secret(), Some(passphrase.expose_secret())) else { return false };
        self.files.insert(path.to_path_buf(), KeyFile::Usable(Arc::new(SigningKey::new(key))));
        true
    }

    /// Asks for each of these keys' passphrases, at most three times each; `ask` is told how many answers were wrong so far
    /// and gives up with `None`. Blocking.
    pub fn unlock_all(&mut self, locked: &[Locked], mut ask: impl FnMut(&Locked, u32) -> Option<SecretString>) {
        for key in locked {
            for wrong in 0..3 {
                let Some(passphrase) = ask(key, wrong) else { break };
                if self.unlock(&key.path, &passphrase) {
                    break;
                }
            }
        }
    }

    pub(super) fn file(&self, path: &Path) -> Option<&KeyFile> {
        self.files.get(path)
    }

    /// The certificates for a key: those named for this host and the one beside the key's file.
    pub(super) fn certificates_for<'a>(
        &'a self,
        public: &'a PublicKey,
        key_file: Option<&Path>,
        named: &'a [PathBuf],
    ) -> impl Iterator<Item = &'a Certificate> {
        let beside = key_file.map(|path| beside(path, "-cert.pub"));
        let mut paths: Vec<PathBuf> = named.to_vec();
        paths.extend(beside.filter(|path| !named.contains(path)));
        paths
            .into_iter()
            .filter_map(|path| self.certificates.get(&path))
            .filter(|certificate| certificate.public_key() == public.key_data())
    }
}

impl BadKey {
    /// As the failure of a host that names this file.
    pub(super) fn failure(&self, path: &Path) -> Failure {
        let shown = path.display();
        let next = match self {
            Self::Missing => "name an existing private key (ansible_ssh_private_key_file, IdentityFile)".to_owned(),
            Self::Unreadable(_) => format!("make {shown} readable for this user"),
            Self::NotAFile => "name the file of a private key".to_owned(),
            Self::Exposed(_) => format!("chmod 600 {shown}"),
            Self::Empty | Self::Garbage(_) => "name a private key in OpenSSH or PEM form".to_owned(),
        };
        Failure::new(FailureKind::Key, format!("the key file {shown} {self}"), next)
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Wiped when it is dropped, and never moved: the room is taken before a byte is read.
fn read_limited(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE + 1));
    fs::File::open(path)?.take(MAX_FILE as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn read_key(path: &Path, uid: u32) -> KeyFile {
    // Looked at before it is opened: opening a pipe would wait for ever.
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return KeyFile::Bad(BadKey::Missing),
        Err(error) => return KeyFile::Bad(BadKey::Unreadable(plain(&error))),
    };
    if !metadata.is_file() {
        return KeyFile::Bad(BadKey::NotAFile);
    }
    let bytes = match read_limited(path) {
        Ok(bytes) => bytes,
        Err(error) => return KeyFile::Bad(BadKey::Unreadable(plain(&error))),
    };
    if bytes.is_empty() {
        return KeyFile::Bad(BadKey::Empty);
    }
    let Ok(text) = std::str::from_utf8(&bytes) else { return KeyFile::Bad(BadKey::Garbage("it is binary".into())) };
    if let Ok(public) = PublicKey::from_openssh(text.trim()) {
        return KeyFile::PublicHalf { public, hardware: false };
    }
    if let Some(mode) = exposed(&metadata, uid) {
        return KeyFile::Bad(BadKey::Exposed(mode));
    }
    decode(path, text)
}

fn decode(path: &Path, text: &str) -> KeyFile {
    let container = PrivateKey::from_openssh(text).ok();
    let public_file = || {
        let text = fs::read_to_string(beside(path, ".pub")).ok()?;
        PublicKey::from_openssh(text.trim()).ok()
    };
    if container.as_ref().is_some_and(PrivateKey::is_encrypted) || is_encrypted_pem(text) {
        let public = container.map(|key| key.public_key().clone()).or_else(public_file);
        return KeyFile::Locked { text: text.into(), public };
    }
    match decode_secret_key(text, None) {
        Ok(key) => match key.key_data() {
            KeypairData::SkEd25519(_) | KeypairData::SkEcdsaSha2NistP256(_) => {
                KeyFile::PublicHalf { public: key.public_key().clone(), hardware: true }
            }
            _ => KeyFile::Usable(Arc::new(SigningKey::new(key))),
        },
        Err(_) if !text.contains("PRIVATE KEY") && !text.starts_with("PuTTY-User-Key-File") => {
            KeyFile::Bad(BadKey::Garbage("it has no PRIVATE KEY block".into()))
        }
        Err(error) => KeyFile::Bad(BadKey::Garbage(error.to_string().to_lowercase())),
    }
}

fn is_encrypted_pem(text: &str) -> bool {
    text.contains("BEGIN ENCRYPTED PRIVATE KEY")
        || text.contains("Proc-Type: 4,ENCRYPTED")
        || (text.starts_with("PuTTY-User-Key-File") && !text.contains("Encryption: none"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use russh::keys::Algorithm;
    use russh::keys::ssh_key::LineEnding;

    use super::*;

    fn write(dir: &Path, name: &str, text: &[u8], mode: u32) -> PathBuf {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn pem(key: &PrivateKey) -> String {
        key.to_openssh(LineEnding::LF).unwrap().to_string()
    }

    #[test]
    fn each_kind_of_bad_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let judge = |path: &Path| match read_key(path, uid) {
            KeyFile::Bad(bad) => bad.failure(path).message.replace(&dir.path().display().to_string(), ""),
            KeyFile::Usable(_) => "usable".into(),
            KeyFile::Locked { public, .. } => format!("locked, public known: {}", public.is_some()),
            KeyFile::PublicHalf { .. } => "public".into(),
        };
        let good = pem(&key);
        let cases: &[(&str, Vec<u8>, u32, &str)] = &[
            ("good", good.clone().into(), 0o600, "usable"),
            ("group", good.clone().into(), 0o640, "the key file /group can be read by other users (mode 640)"),
            ("half", good.as_bytes()[..200].to_vec(), 0o600, "the key file /half is not a private key: "),
            ("empty", Vec::new(), 0o600, "the key file /empty is empty"),
            ("binary", vec![0xff, 0, 1], 0o600, "the key file /binary is not a private key: it is binary"),
            ("text", b"hello".to_vec(), 0o600, "the key file /text is not a private key: it has no PRIVATE KEY block"),
            ("x.pub", key.public_key().to_openssh().unwrap().into(), 0o644, "public"),
        ];
        for (name, text, mode, expected) in cases {
            let path = write(dir.path(), name, text, *mode);
            let judged = judge(&path);
            assert!(judged.starts_with(expected), "{name}: {judged}");
        }
        assert_eq!(judge(&dir.path().join("none")), "the key file /none does not exist");
        assert_eq!(judge(dir.path()), "the key file  is not a regular file");
    }

    #[test]
    fn an_encrypted_key_is_unlocked_once_with_the_right_passphrase() {
        let dir = tempfile::tempdir().unwrap();
        let random = &mut russh::keys::key::safe_rng();
        let key = PrivateKey::random(random, Algorithm::Ed25519).unwrap();
        let path = write(dir.path(), "id", pem(&key.encrypt(random, "right").unwrap()).as_bytes(), 0o600);
        let mut ring = KeyRing::default();
        ring.files.insert(path.clone(), read_key(&path, rustix::process::geteuid().as_raw()));
        assert!(matches!(ring.file(&path), Some(KeyFile::Locked { public: Some(_), .. })));
        let locked = [Locked { path: path.clone(), fingerprint: None }];
        let mut answers = vec!["right", "wrong"];
        ring.unlock_all(&locked, |_, _| answers.pop().map(Into::into));
        assert!(answers.is_empty(), "asked again after a wrong answer, and not after the right one");
        assert!(matches!(ring.file(&path), Some(KeyFile::Usable(_))));
    }
}
