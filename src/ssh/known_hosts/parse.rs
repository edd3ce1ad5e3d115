//! The lines of a `known_hosts` file (format: `sshd(8)`, under "`SSH_KNOWN_HOSTS` FILE FORMAT").
//!
//! Pure: bytes in, lines and complaints out. A line that cannot be understood is left out with a complaint, as ssh does;
//! it never hides another line and never shifts its number.

use base64::Engine as _;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use sha2::{Digest as _, Sha256};

/// What a line says about its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// The host has this key.
    Host,
    /// This key signs host certificates (`@cert-authority`).
    Authority,
    /// This key must not be used any more (`@revoked`).
    Revoked,
}

/// A key, as its wire bytes and the type that is written in them. Keys are compared byte by byte, so that types which this
/// program cannot use are still told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) key_type: Box<str>,
    pub(super) blob: Box<[u8]>,
}

impl Key {
    /// Reads the type from the wire form.
    pub(super) fn from_blob(blob: Vec<u8>) -> Option<Self> {
        let length = usize::try_from(u32::from_be_bytes(*blob.first_chunk::<4>()?)).ok()?;
        let key_type = std::str::from_utf8(blob.get(4..)?.get(..length)?).ok()?.into();
        Some(Self { key_type, blob: blob.into() })
    }

    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub(super) fn fingerprint(&self) -> String {
        format!("SHA256:{}", base64::engine::general_purpose::STANDARD_NO_PAD.encode(Sha256::digest(&self.blob)))
    }

    /// The key as it stands in a file: type and base64.
    pub(super) fn as_text(&self) -> String {
        format!("{} {}", self.key_type, BASE64.encode(&self.blob))
    }
}

/// Hosts that a line is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Names {
    /// `|1|salt|digest`: HMAC-SHA1 of one name, keyed with the salt.
    Hashed { salt: Vec<u8>, digest: [u8; 20] },
    /// Names without wildcards, in lower case.
    Exact(Vec<Box<str>>),
    /// A list with wildcards or negation, in lower case, to be matched as a whole.
    Patterns(Box<str>),
}

/// One understood line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Counts from 1; comments and blank lines count too.
    pub(super) number: usize,
    pub(super) marker: Marker,
    pub(super) names: Names,
    pub(super) key: Key,
}

/// Padding may be missing: ssh reads such keys.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Every line of `content`: `None` for blank lines, comments and SSH 1 keys, `Err` with the reason for the rest that says nothing.
pub(super) fn lines(content: &[u8]) -> impl Iterator<Item = (usize, Result<Option<Line>, &'static str>)> {
    let body = content.strip_suffix(b"\n").unwrap_or(content);
    let mut lines = body.split(|&b| b == b'\n').enumerate();
    if content.is_empty() {
        lines.next();
    }
    lines.map(|(index, bytes)| (index + 1, line(index + 1, bytes)))
}

fn line(number: usize, bytes: &[u8]) -> Result<Option<Line>, &'static str> {
    let trimmed = bytes.trim_ascii();
    if trimmed.is_empty() || trimmed.starts_with(b"#") {
        return Ok(None);
    }
    let text = std::str::from_utf8(trimmed).map_err(|_| "not UTF-8")?;
    let mut fields = text.split_ascii_whitespace();
    let mut names = fields.next().ok_or("no host")?;
    let marker = match names {
        "@cert-authority" => Marker::Authority,
        "@revoked" => Marker::Revoked,
        other if other.starts_with('@') => return Err("unknown marker"),
        _ => Marker::Host,
    };
    if marker != Marker::Host {
        names = fields.next().ok_or("no host after the marker")?;
    }
    let key_type = fields.next().ok_or("no key type")?;
    if key_type.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    let blob = BASE64.decode(fields.next().ok_or("no key")?).map_err(|_| "the key is not base64")?;
    let key = Key::from_blob(blob).ok_or("the key is cut short")?;
    if &*key.key_type != key_type {
        return Err("the key is not of the type that the line names");
    }
    Ok(Some(Line { number, marker, names: parse_names(names)?, key }))
}

fn parse_names(field: &str) -> Result<Names, &'static str> {
    if let Some(rest) = field.strip_prefix('|') {
        let parts: Vec<&str> = rest.split('|').collect();
        let ["1", salt, digest] = parts[..] else { return Err("unknown way of hashing names") };
        let salt = BASE64.decode(salt).map_err(|_| "the salt is not base64")?;
        let digest = BASE64.decode(digest).map_err(|_| "the hash is not base64")?;
        // ssh refuses other lengths as well.
        if salt.len() != 20 {
            return Err("the salt has the wrong length");
        }
        return Ok(Names::Hashed { salt, digest: digest.try_into().map_err(|_| "the hash has the wrong length")? });
    }
    let lower = field.to_ascii_lowercase();
    if lower.contains(['*', '?', '!']) {
        return Ok(Names::Patterns(lower.into()));
    }
    Ok(Names::Exact(lower.split(',').filter(|n| !n.is_empty()).map(Into::into).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxTQbTBVDOxDRpgmzRhVMLzGWkwpFbBj3zuL4ZJNLqU";

    fn one(text: &str) -> Result<Option<Line>, &'static str> {
        line(1, text.as_bytes())
    }

    #[test]
    fn fields_may_be_far_apart() {
        let expected = one(&format!("host {KEY}")).unwrap();
        assert!(expected.is_some());
        for text in [
            format!("host\t{}", KEY.replace(' ', "\t")),
            format!("  host   {}   a comment", KEY.replace(' ', "  \t ")),
            format!("HOST {KEY} # comment\r"),
        ] {
            assert_eq!(one(&text).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn bad_lines_say_why() {
        for (text, reason) in [
            ("@foo host ssh-ed25519 AAAA", "unknown marker"),
            ("@revoked", "no host after the marker"),
            ("host", "no key type"),
            ("host ssh-ed25519", "no key"),
            ("host ssh-ed25519 !!!!", "the key is not base64"),
            ("host ssh-ed25519 AAAA", "the key is cut short"),
            ("host ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIJxT", "the key is not of the type that the line names"),
            (&format!("|2|a|b {KEY}"), "unknown way of hashing names"),
            (&format!("|1|AAAA|AAAA {KEY}"), "the salt has the wrong length"),
        ] {
            assert_eq!(one(text), Err(reason), "{text}");
        }
    }

    #[test]
    fn blank_lines_comments_and_ssh1_count_but_say_nothing() {
        let content = format!("# one\n\n  # three\nhost 1024 35 1234\nhost {KEY}\n\nlast {KEY}");
        let numbers: Vec<usize> =
            lines(content.as_bytes()).filter_map(|(_, line)| line.unwrap()).map(|l| l.number).collect();
        assert_eq!(numbers, [5, 7]);
        assert_eq!(lines(b"").count(), 0);
        assert_eq!(lines(b"\n").count(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(content in proptest::collection::vec(any::<u8>(), 0..400)) {
            let newlines = content.split(|&b| b == b'\n').count() - 1;
            prop_assert!(lines(&content).count() <= newlines + 1);
        }

        #[test]
        fn almost_lines_are_read_without_panic(text in "[@|]?[a-z1|!*,\\[\\]:]{0,12}[ \t]{0,2}(ssh-rsa|1)?[ \t]{0,2}[A-Za-z0-9+/=]{0,40}\n?") {
            let _ = lines(text.as_bytes()).count();
        }
    }
}
