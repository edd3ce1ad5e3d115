//! Host certificates: each condition alone refuses.

use std::time::{Duration, UNIX_EPOCH};

use russh::keys::PrivateKey;
use russh::keys::ssh_key::certificate::{Builder, CertType};

use super::*;

const FROM: u64 = 1_000_000;
const TO: u64 = 2_000_000;

fn pair(n: u8) -> PrivateKey {
    Ed25519Keypair::from_seed(&[n; 32]).into()
}

/// A certificate for key 1 by the authority with key 7, valid for `principals`.
fn builder(principals: &[&str]) -> Builder {
    builder_of(CertType::Host, principals)
}

fn builder_of(kind: CertType, principals: &[&str]) -> Builder {
    let mut builder = Builder::new(vec![1; 16], ed25519(1), FROM, TO).unwrap();
    builder.cert_type(kind).unwrap();
    for principal in principals {
        builder.valid_principal(*principal).unwrap();
    }
    if principals.is_empty() {
        builder.all_principals_valid().unwrap();
    }
    builder
}

fn sign(builder: Builder) -> Certificate {
    builder.sign(&pair(7)).unwrap()
}

fn check_at(files: &Files, name: &str, port: u16, certificate: &Certificate, seconds: u64) -> HostKeyAnswer {
    let now = UNIX_EPOCH + Duration::from_secs(seconds);
    files.hosts.check_certificate(&files.settings(), name, port, certificate, now).unwrap()
}

fn reason(answer: HostKeyAnswer) -> String {
    match answer {
        HostKeyAnswer::CertificateRefused { reason, .. } => reason,
        other => panic!("not refused: {other:?}"),
    }
}

fn authority() -> Files {
    Files::new(&format!("# authorities\n@cert-authority *.lab,node? {}\n", text(&ed25519(7))))
}

#[test]
fn a_certificate_by_the_host_s_authority_is_known() {
    let files = authority();
    let certificate = sign(builder(&["other", "a.lab"]));
    assert_eq!(short(&check_at(&files, "a.lab", 22, &certificate, FROM)), ("known", 2));
    assert_eq!(short(&check_at(&files, "A.lab", 22, &certificate, TO - 1)), ("known", 2));
    // Principals never carry a port; the authority's line is found by the bare name.
    assert_eq!(short(&check_at(&files, "a.lab", 2222, &certificate, FROM)), ("known", 2));
    assert_eq!(short(&check_at(&files, "b.lab", 22, &sign(builder(&["*.Lab"])), FROM)), ("known", 2));
}

#[test]
fn the_alias_is_what_principals_are_compared_with() {
    let files = authority();
    let settings = HostKeySettings { alias: Some("node1".into()), ..files.settings() };
    let certificate = sign(builder(&["node1"]));
    let now = UNIX_EPOCH + Duration::from_secs(FROM);
    let answer = files.hosts.check_certificate(&settings, "10.0.0.1", 22, &certificate, now).unwrap();
    assert_eq!(short(&answer), ("known", 2));
}

#[test]
fn each_condition_alone_refuses() {
    let files = authority();
    let user = builder_of(CertType::User, &["a.lab"]);
    let mut critical = builder(&["a.lab"]);
    critical.critical_option("force-command", "true").unwrap();
    for (certificate, now, expected) in [
        (sign(builder(&["a.lab"])), FROM - 1, "it is not valid yet"),
        (sign(builder(&["a.lab"])), TO, "it has expired"),
        (sign(builder(&["b.lab", "c.lab"])), FROM, "it is for b.lab, c.lab and not for a.lab"),
        (sign(builder(&[])), FROM, "it names no host"),
        (sign(user), FROM, "it is a user's certificate"),
        (sign(critical), FROM, "it has critical options, and none are defined for hosts"),
    ] {
        assert_eq!(reason(check_at(&files, "a.lab", 22, &certificate, now)), expected);
    }
}

#[test]
fn a_forged_signature_refuses() {
    let certificate = sign(builder(&["a.lab"]));
    let mut bytes = certificate.to_bytes().unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let forged = Certificate::from_bytes(&bytes).unwrap();
    assert_eq!(reason(check_at(&authority(), "a.lab", 22, &forged, FROM)), "its signature is wrong");
}

#[test]
fn another_authority_refuses_unless_the_key_itself_is_known() {
    let by_other = builder(&["a.lab"]).sign(&pair(8)).unwrap();
    assert!(reason(check_at(&authority(), "a.lab", 22, &by_other, FROM)).contains("is not one that known_hosts names"));

    let with_key = Files::new(&format!("@cert-authority *.lab {}\na.lab {}\n", text(&ed25519(7)), text(&ed25519(1))));
    assert_eq!(short(&check_at(&with_key, "a.lab", 22, &by_other, FROM)), ("known", 2));
}

#[test]
fn without_an_authority_for_the_host_the_key_itself_counts() {
    let certificate = sign(builder(&["c.example"]));
    let files = authority();
    assert_eq!(short(&check_at(&files, "c.example", 22, &certificate, FROM)), ("unknown", 0));
    let changed = Files::new(&format!("c.example {}\n", text(&ed25519(2))));
    assert_eq!(short(&check_at(&changed, "c.example", 22, &certificate, FROM)), ("changed", 1));
}

#[test]
fn revoking_the_authority_or_the_key_wins() {
    let certificate = sign(builder(&["a.lab"]));
    for revoked in [7, 1] {
        let files = Files::new(&format!(
            "@cert-authority *.lab {}\na.lab {}\n@revoked * {}\n",
            text(&ed25519(7)),
            text(&ed25519(1)),
            text(&ed25519(revoked))
        ));
        assert_eq!(short(&check_at(&files, "a.lab", 22, &certificate, FROM)), ("revoked", 3), "key {revoked}");
    }
}
