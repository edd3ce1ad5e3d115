//! Which algorithms are offered: safe defaults, the user's lists, and the host keys that are already known first.
//!
//! Pure. A known key type must lead the negotiation, or a host known by its ed25519 key would present another type and look
//! unknown.

use std::borrow::Cow;

use russh::keys::ssh_key::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Preferred, cipher, kex, mac};

use super::pattern;
use super::resolved::Resolved;
use crate::failure::{Failure, FailureKind};

/// Post-quantum first as in OpenSSH 10, then the curves; group exchange last, as it asks old servers for slow groups.
const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_G16_SHA512,
    kex::DH_G14_SHA256,
    kex::DH_G18_SHA512,
    kex::DH_GEX_SHA256,
];
/// Markers that ride in the list of key exchanges.
const KEX_MARKERS: &[kex::Name] = &[kex::EXTENSION_SUPPORT_AS_CLIENT, kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT];
/// AES-GCM costs a tenth less per host than `ChaCha20` on every CPU with AES instructions.
const CIPHERS: &[cipher::Name] = &[
    cipher::AES_128_GCM,
    cipher::AES_256_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_128_CTR,
    cipher::AES_192_CTR,
    cipher::AES_256_CTR,
];
const MACS: &[mac::Name] = &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM, mac::HMAC_SHA256, mac::HMAC_SHA512];

/// What russh can also do, and nobody may ask for: no encryption, no integrity.
const OFF: &[&str] = &["none", "clear"];

/// SHA-1 signatures (`ssh-rsa`) are not offered unless the user asks for them.
fn host_keys() -> Vec<Algorithm> {
    vec![
        Algorithm::Ed25519,
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
        Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
        Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
    ]
}

/// The lists for one connection. `known` are the key types that the files know for this host, `certified` whether an authority is
/// trusted for it.
pub(super) fn preferred(resolved: &Resolved, known: &[Algorithm], certified: bool) -> Result<Preferred, Failure> {
    let kex = choose("KexAlgorithms", resolved.kex_algorithms.as_deref(), KEX, |name| kex::Name::try_from(name).ok())?;
    let ciphers = choose("Ciphers", resolved.ciphers.as_deref(), CIPHERS, |name| cipher::Name::try_from(name).ok())?;
    let macs = choose("MACs", resolved.macs.as_deref(), MACS, |name| mac::Name::try_from(name).ok())?;
    let defaults = host_keys();
    let chosen = choose("HostKeyAlgorithms", resolved.host_key_algorithms.as_deref(), &defaults, |name| {
        // Certificate names stand for their plain ones: certificates are offered when an authority is trusted.
        Algorithm::new(name.strip_suffix("-cert-v01@openssh.com").unwrap_or(name)).ok()
    })?;
    let keys = known_first(chosen, known);
    Ok(Preferred {
        kex: Cow::Owned(kex.into_iter().chain(KEX_MARKERS.iter().copied()).collect()),
        host_key_certificates: Cow::Owned(if certified { keys.clone() } else { Vec::new() }),
        key: Cow::Owned(keys),
        cipher: Cow::Owned(ciphers),
        mac: Cow::Owned(macs),
        compression: Cow::Borrowed(&[russh::compression::NONE]),
    })
}

fn known_first(keys: Vec<Algorithm>, known: &[Algorithm]) -> Vec<Algorithm> {
    let is_rsa = |key: &Algorithm| matches!(key, Algorithm::Rsa { .. });
    let is_known = |key: &Algorithm| known.iter().any(|other| other == key || (is_rsa(other) && is_rsa(key)));
    let (mut first, rest): (Vec<_>, Vec<_>) = keys.into_iter().partition(is_known);
    first.extend(rest);
    first
}

/// Applies a list as `ssh_config` writes it: `a,b` replaces, `+a` appends, `-a*` removes, `^a` puts first. Names that this
/// program does not know are left out, as they can never be agreed on.
fn choose<T: Clone + PartialEq + AsRef<str>>(
    setting: &str,
    list: Option<&str>,
    defaults: &[T],
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, Failure> {
    let Some(list) = list.map(str::trim).filter(|list| !list.is_empty()) else { return Ok(defaults.to_vec()) };
    let names = |text: &str| -> Vec<T> {
        text.split(',').map(str::trim).filter(|name| !OFF.contains(name)).filter_map(&parse).collect()
    };
    let chosen = if let Some(more) = list.strip_prefix('+') {
        let mut chosen = defaults.to_vec();
        chosen.extend(names(more).into_iter().filter(|name| !defaults.contains(name)));
        chosen
    } else if let Some(fewer) = list.strip_prefix('-') {
        let patterns: Vec<&str> = fewer.split(',').map(str::trim).collect();
        let unwanted = |name: &T| patterns.iter().any(|pattern| pattern::matches(name.as_ref(), pattern));
        defaults.iter().filter(|name| !unwanted(name)).cloned().collect()
    } else if let Some(first) = list.strip_prefix('^') {
        let mut chosen = names(first);
        let rest: Vec<T> = defaults.iter().filter(|name| !chosen.contains(name)).cloned().collect();
        chosen.extend(rest);
        chosen
    } else {
        names(list)
    };
    if chosen.is_empty() {
        let ours: Vec<&str> = defaults.iter().map(AsRef::as_ref).collect();
        let message = format!("{setting} {list:?} leaves nothing that this program knows");
        return Err(Failure::new(FailureKind::Settings, message, format!("name some of {}", ours.join(", "))));
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ciphers(list: &str) -> Result<Vec<String>, Failure> {
        let chosen = choose("Ciphers", Some(list), CIPHERS, |name| cipher::Name::try_from(name).ok())?;
        Ok(chosen.iter().map(|name| name.as_ref().to_owned()).collect())
    }

    #[test]
    fn lists_are_applied_as_ssh_does() {
        let cases: &[(&str, &[&str])] = &[
            ("aes256-ctr,nonsense", &["aes256-ctr"]),
            ("^aes256-ctr", &["aes256-ctr", "aes128-gcm@openssh.com"]),
            ("-*gcm*,aes*", &["chacha20-poly1305@openssh.com"]),
            ("-aes128-gcm@openssh.com", &["aes256-gcm@openssh.com"]),
        ];
        for (list, begins) in cases {
            let chosen = ciphers(list).unwrap();
            assert_eq!(
                chosen.iter().take(begins.len()).collect::<Vec<_>>(),
                begins.iter().collect::<Vec<_>>(),
                "{list}"
            );
        }
        assert_eq!(ciphers("+aes256-ctr,aes128-cbc,rot13").unwrap().last().unwrap(), "aes128-cbc");
        for nothing in ["rot13", "none", "clear", "-*"] {
            assert_eq!(ciphers(nothing).unwrap_err().kind, FailureKind::Settings, "{nothing}");
        }
    }

    #[test]
    fn known_key_types_lead_and_rsa_counts_with_every_hash() {
        let rsa = known_first(host_keys(), &[Algorithm::Rsa { hash: None }]);
        assert!(rsa[..2].iter().all(|key| matches!(key, Algorithm::Rsa { .. })));
        assert_eq!(rsa[2], Algorithm::Ed25519);
        let ecdsa = Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 };
        assert_eq!(known_first(host_keys(), std::slice::from_ref(&ecdsa))[0], ecdsa);
        assert_eq!(known_first(host_keys(), &[]), host_keys());
    }

    #[test]
    fn sha1_is_never_offered_by_default() {
        assert!(!host_keys().contains(&Algorithm::Rsa { hash: None }));
    }
}
