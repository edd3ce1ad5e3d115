//! Whether a token signed the cluster's `cluster-info`: what a joining node trusts the cluster by, checked here without
//! handing the token to anybody.
//!
//! The signature is a JWS without its payload (RFC 7515, appendix F) by HS256 over the kubeconfig, keyed with the token's
//! secret: `DetachedTokenIsValid` of k8s.io/cluster-bootstrap.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use sha2::Sha256;

use super::token::Token;
use crate::reach::Signed;

/// What a signature is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    Valid,
    /// cluster-info is not signed for the token: it is new, or the cluster does not know it.
    Missing,
    /// It is signed by something else; in words.
    Wrong(String),
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: String,
}

/// Whether `token` signed what was read.
pub fn verify(signed: &Signed, token: &Token) -> Signature {
    let Some(jws) = signed.signatures.get(token.id()) else { return Signature::Missing };
    let key = token.secret_half().expose_secret().as_bytes();
    match check(jws, &signed.kubeconfig, token.id(), key) {
        Ok(()) => Signature::Valid,
        Err(why) => Signature::Wrong(why.to_owned()),
    }
}

fn check(jws: &str, payload: &str, id: &str, key: &[u8]) -> Result<(), &'static str> {
    let malformed = "the signature in cluster-info is malformed";
    let (header, signature) = jws.split_once("..").ok_or(malformed)?;
    let decoded = URL_SAFE_NO_PAD.decode(header).map_err(|_| malformed)?;
    let read: Header = serde_json::from_slice(&decoded).map_err(|_| malformed)?;
    if read.alg != "HS256" || read.kid != id {
        return Err("the signature in cluster-info is not one of this token");
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| malformed)?;
    mac.update(header.as_bytes());
    mac.update(b".");
    mac.update(URL_SAFE_NO_PAD.encode(payload).as_bytes());
    mac.verify_slice(&signature)
        .map_err(|_| "cluster-info was signed with another token of this id, or was changed since")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const KUBECONFIG: &str = "apiVersion: v1\nkind: Config\n";

    fn token(text: &str) -> Token {
        Token::parse(text).unwrap()
    }

    fn sign(token: &Token, header: &str, payload: &str) -> String {
        let header = URL_SAFE_NO_PAD.encode(header);
        let mut mac = Hmac::<Sha256>::new_from_slice(token.secret_half().expose_secret().as_bytes()).unwrap();
        mac.update(format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload)).as_bytes());
        format!("{header}..{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    fn signed(jws: &str) -> Signed {
        let signatures = BTreeMap::from([("abcdef".to_owned(), jws.to_owned())]);
        Signed { kubeconfig: KUBECONFIG.to_owned(), signatures }
    }

    const HEADER: &str = r#"{"alg":"HS256","kid":"abcdef"}"#;

    #[test]
    fn the_clusters_own_signatures_are_understood() {
        // From jws_test.go of k8s.io/cluster-bootstrap.
        let text = "Hello from the other side. I must have called a thousand times.";
        let jws = "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9..VShe2taLd-YTrmWuRkcL_8QTNDHYxQIEBsAYYiIj1_8";
        assert_eq!(check(jws, text, "joshua", b"my voice is my passcode"), Ok(()));
        assert!(check(jws, text, "joshua", b"your voice").is_err());
    }

    #[test]
    fn only_this_token_over_this_text_is_valid() {
        let own = token("abcdef.0123456789abcdef");
        assert_eq!(verify(&signed(&sign(&own, HEADER, KUBECONFIG)), &own), Signature::Valid);
        let wrong = |jws: &str| matches!(verify(&signed(jws), &own), Signature::Wrong(_));
        assert!(wrong(&sign(&token("abcdef.fedcba9876543210"), HEADER, KUBECONFIG)), "another secret");
        assert!(wrong(&sign(&own, HEADER, "clusters: []\n")), "another text");
        assert!(wrong(&sign(&own, r#"{"alg":"none","kid":"abcdef"}"#, KUBECONFIG)), "another algorithm");
        assert!(wrong(&sign(&own, r#"{"alg":"HS256","kid":"ghijkl"}"#, KUBECONFIG)), "another token's");
        for malformed in ["", "..", "e30", "e30..", "e30..!!", "!..x", "bm8..x"] {
            assert!(wrong(malformed), "{malformed}");
        }
        let whole = sign(&own, HEADER, KUBECONFIG);
        assert!(wrong(&whole[..whole.len() - 4]), "cut off");
    }

    #[test]
    fn a_cluster_that_signs_for_others_only_does_not_know_it() {
        let jws = sign(&token("abcdef.0123456789abcdef"), HEADER, KUBECONFIG);
        assert_eq!(verify(&signed(&jws), &token("ghijkl.0123456789abcdef")), Signature::Missing);
    }
}
