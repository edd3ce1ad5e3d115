//! The judgement on a host certificate. The SSH library verified that the server holds the certified key; all else that makes
//! a certificate trustworthy is checked here (`PROTOCOL.certkeys`, and what OpenSSH's client does).

use std::time::{SystemTime, UNIX_EPOCH};

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, HashAlg};

use super::answer::HostKeyAnswer;
use super::judge::{About, HostName, describe};
use super::parse::{Key, Marker};
use crate::ssh::pattern;

/// The answer of the authorities: `None` when no line names one for this host.
pub(super) fn by_authority(
    about: &[About<'_>],
    host: &HostName,
    certificate: &Certificate,
    (certified, signer): (&Key, &Key),
    now: SystemTime,
) -> Option<HostKeyAnswer> {
    let mut authorities = about.iter().filter(|(_, entry)| entry.marker == Marker::Authority).peekable();
    authorities.peek()?;
    let refused = |reason: String| HostKeyAnswer::CertificateRefused { reason, presented: describe(certified) };
    let Some((file, entry)) = authorities.find(|(_, entry)| entry.key == *signer) else {
        return Some(refused(format!(
            "its authority {} is not one that known_hosts names for this host",
            describe(signer)
        )));
    };
    Some(match invalid(certificate, &host.principal, now) {
        Some(reason) => refused(reason),
        None => HostKeyAnswer::Known(file.place(entry)),
    })
}

/// Why a certificate is not valid for this name now; `None` when it is.
fn invalid(certificate: &Certificate, name: &str, now: SystemTime) -> Option<String> {
    if certificate.cert_type() != CertType::Host {
        return Some("it is a user's certificate".to_owned());
    }
    if !certificate.critical_options().is_empty() {
        return Some("it has critical options, and none are defined for hosts".to_owned());
    }
    // OpenSSH's CASignatureAlgorithms leave out SHA-1 and DSA.
    if matches!(certificate.signature().algorithm(), Algorithm::Rsa { hash: None } | Algorithm::Dsa) {
        return Some("its authority signed it with an algorithm that is broken".to_owned());
    }
    let principals = certificate.valid_principals();
    // OpenSSH before 10.3 took an empty list for "any host"; since then it matches none, which is the safe reading.
    if principals.is_empty() {
        return Some("it names no host".to_owned());
    }
    if !principals.iter().any(|principal| pattern::matches(name, &principal.to_ascii_lowercase())) {
        return Some(format!("it is for {} and not for {name}", principals.join(", ")));
    }
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if now < certificate.valid_after() {
        return Some("it is not valid yet".to_owned());
    }
    if now >= certificate.valid_before() {
        return Some("it has expired".to_owned());
    }
    // Checks the signature once more with the window; the authority itself was compared in full by the caller.
    let authority = certificate.signature_key().fingerprint(HashAlg::Sha256);
    certificate.validate_at(now, [&authority]).err().map(|_| "its signature is wrong".to_owned())
}
