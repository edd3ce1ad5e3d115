//! What the tests of this module share: keys made from a number, and files in a directory of their own.

use std::fs;
use std::path::{Path, PathBuf};

use russh::keys::PublicKey;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::ssh_key::public::{Ed25519PublicKey, KeyData};
use tempfile::TempDir;

use super::*;
use crate::ssh::resolved::HostKeyPolicy;

mod certificates;
mod files;
mod keys;
mod learning;

/// An ed25519 key that differs with `n`.
fn ed25519(n: u8) -> PublicKey {
    let pair = Ed25519Keypair::from_seed(&[n; 32]);
    KeyData::Ed25519(Ed25519PublicKey(pair.public.0)).into()
}

fn ecdsa() -> PublicKey {
    PublicKey::from_openssh(
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc=",
    )
    .unwrap()
}

fn text(key: &PublicKey) -> String {
    key.to_openssh().unwrap()
}

/// A directory with a user's and a global file.
struct Files {
    directory: TempDir,
    hosts: KnownHosts,
}

impl Files {
    fn new(user: &str) -> Self {
        let files = Self { directory: tempfile::tempdir().unwrap(), hosts: KnownHosts::new() };
        fs::write(files.user(), user).unwrap();
        files
    }

    fn user(&self) -> PathBuf {
        self.directory.path().join("known_hosts")
    }

    fn content(&self) -> String {
        fs::read_to_string(self.user()).unwrap()
    }

    fn settings(&self) -> HostKeySettings {
        settings(&self.user())
    }

    fn check(&self, name: &str, port: u16, key: &PublicKey) -> HostKeyAnswer {
        self.hosts.check(&self.settings(), name, port, key).unwrap()
    }

    fn learn(&self, name: &str, port: u16, key: &PublicKey) -> Learned {
        self.hosts.learn(&self.settings(), name, port, key).unwrap()
    }
}

fn settings(user: &Path) -> HostKeySettings {
    HostKeySettings {
        policy: HostKeyPolicy::AcceptNew,
        alias: None,
        user_files: vec![user.to_owned()],
        global_files: vec![user.with_file_name("global")],
        hash_names: false,
    }
}

/// The answer without its evidence, and the line that it rests on.
fn short(answer: &HostKeyAnswer) -> (&'static str, usize) {
    match answer {
        HostKeyAnswer::Known(place) => ("known", place.line),
        HostKeyAnswer::Changed { known, .. } => ("changed", known.place.line),
        HostKeyAnswer::OtherType { known, .. } => ("other type", known.place.line),
        HostKeyAnswer::Revoked { place, .. } => ("revoked", place.line),
        HostKeyAnswer::CertificateRefused { .. } => ("refused", 0),
        HostKeyAnswer::Unknown { .. } => ("unknown", 0),
    }
}

/// Runs ssh-keygen; `None` (said on stderr) where it is not installed.
fn ssh_keygen(arguments: &[&str]) -> Option<String> {
    match std::process::Command::new("ssh-keygen").args(arguments).output() {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(error) => {
            eprintln!("skipped: ssh-keygen cannot be run: {error}");
            None
        }
    }
}
