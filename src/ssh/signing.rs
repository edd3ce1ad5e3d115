//! Signatures with private keys from files.
//!
//! An ed25519 key is made ready once: the way that russh offers works its public half out again for every signature, which is
//! more than half of the work. Other keys sign as russh has it. Nothing here knows files, agents or connections.

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey as Ed25519};
use russh::keys::ssh_encoding::Encode as _;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::ssh_key::{Algorithm, Error, HashAlg, Signature};
use russh::keys::{PrivateKey, PublicKey};

/// A private key that can sign at once: not encrypted, and no stub of a security key.
pub(super) struct SigningKey {
    key: PrivateKey,
    /// `None` for other kinds of keys, and where the two halves of the file do not belong together. Wiped when dropped.
    ed25519: Option<Ed25519>,
}

impl SigningKey {
    pub(super) fn new(key: PrivateKey) -> Self {
        let ed25519 = match key.key_data() {
            KeypairData::Ed25519(pair) => Ed25519::try_from(pair).ok(),
            _ => None,
        };
        Self { key, ed25519 }
    }

    pub(super) fn public(&self) -> &PublicKey {
        self.key.public_key()
    }

    /// Whether a signature takes milliseconds.
    pub(super) fn is_slow(&self) -> bool {
        self.key.algorithm().is_rsa()
    }

    /// The signature as SSH writes it: the algorithm's name, then its bytes. `hash` is for RSA keys.
    pub(super) fn sign(&self, hash: Option<HashAlg>, data: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = match (&self.ed25519, self.key.key_data()) {
            (Some(pair), _) => Signature::new(Algorithm::Ed25519, pair.sign(data).to_vec())?,
            (None, KeypairData::Rsa(pair)) => (pair, hash).try_sign(data)?,
            (None, other) => other.try_sign(data)?,
        };
        Ok(signature.encode_vec()?)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(self.public()).finish()
    }
}

#[cfg(test)]
mod tests {
    use russh::keys::ssh_key::private::Ed25519Keypair;
    use russh::keys::ssh_key::public::Ed25519PublicKey;

    use super::*;

    fn by_russh(key: &PrivateKey, data: &[u8]) -> Vec<u8> {
        let signature: Signature = key.key_data().try_sign(data).unwrap();
        signature.encode_vec().unwrap()
    }

    #[test]
    fn ed25519_signs_as_russh_would() {
        // ed25519 draws no lots: the same key and data give the same bytes.
        for seed in 0..8 {
            let key = PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]));
            let signing = SigningKey::new(key.clone());
            assert!(signing.ed25519.is_some() && !signing.is_slow());
            for data in [&b""[..], b"session", &[0xff; 1000]] {
                assert_eq!(signing.sign(None, data).unwrap(), by_russh(&key, data), "seed {seed}");
            }
        }
    }

    #[test]
    fn halves_that_do_not_belong_together_are_not_signed_with() {
        // Such a signature would give the private half away.
        let mut pair = Ed25519Keypair::from_seed(&[1; 32]);
        pair.public = Ed25519PublicKey(*Ed25519Keypair::from_seed(&[2; 32]).public.as_ref());
        let signing = SigningKey::new(PrivateKey::from(pair));
        assert!(signing.ed25519.is_none());
        assert!(signing.sign(None, b"session").is_err());
    }

    #[test]
    fn nothing_private_is_shown() {
        let key = PrivateKey::from(Ed25519Keypair::from_seed(&[0xab; 32]));
        let shown = format!("{:?}", SigningKey::new(key));
        assert!(!shown.to_lowercase().contains("abababab") && !shown.contains("171, 171"), "{shown}");
    }
}
