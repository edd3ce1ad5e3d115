//! Removes secrets from what a host sent, before anything is kept.
//!
//! The probe cuts out most of them on the node. This is the second, complete pass: it also covers nodes without `awk`, the
//! login shell's noise and whatever a log line repeats. Pure and total. A secret is replaced by [`MARK`]; public material
//! stays, because the checks need it: certificates, CA data and hashes, digests, names, token *ids*.

use std::borrow::Cow;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex::{Captures, Regex};

use crate::record::Capture;

/// What stands in a secret's place.
pub const MARK: &str = "[redacted]";

/// Redacts every text of a capture.
pub fn capture(capture: &mut Capture) {
    redact(&mut capture.noise);
    redact(&mut capture.stderr);
    for section in &mut capture.sections {
        redact(&mut section.text);
        if let Some(arg) = &mut section.arg {
            redact(arg);
        }
    }
}

fn redact(slot: &mut String) {
    if let Cow::Owned(clean) = text(slot) {
        *slot = clean;
    }
}

/// The text without its secrets; borrowed when there was none.
pub fn text(text: &str) -> Cow<'_, str> {
    let signs = Signs::of(text);
    redacted(text, |rule| signs.has(rule.sign))
}

fn redacted(text: &str, may_apply: impl Fn(&Rule) -> bool) -> Cow<'_, str> {
    let mut out = Cow::Borrowed(text);
    for rule in RULES.iter().filter(|rule| may_apply(rule)) {
        if let Cow::Owned(clean) = rule.apply(&out) {
            out = Cow::Owned(clean);
        }
    }
    out
}

/// Something that is in every text with a secret of some kind, and quickly seen not to be there: next to no text holds a secret,
/// and the patterns cost more than a key exchange. What one rule puts in a secret's place is no sign of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    PrivateKey,
    EncodedKey,
    /// The name of a setting that holds a secret, with what makes it a name in JSON right behind it.
    InJson,
    InYaml,
    Assigned,
    Flag,
    Address,
    Authorization,
    WebToken,
    BootstrapToken,
}

/// The last word of a setting that holds a secret. `tokenFile`, `secretName`, `token-ttl` and `key-file` do not end so.
const SETTINGS: [&str; 14] = [
    "key-data",
    "certificate-key",
    "certificatekey",
    "token",
    "password",
    "passwrd",
    "passwod",
    "passwd",
    "passphrase",
    "secret",
    "access_key",
    "accesskey",
    "api_key",
    "apikey",
];

/// The whole name of one.
const SETTING: &str = "auth";

const WORDS: [(&str, Sign); 6] = [
    ("PRIVATE KEY-----", Sign::PrivateKey),
    ("LS0tLS1CRUdJTiB", Sign::EncodedKey),
    ("://", Sign::Address),
    ("bearer", Sign::Authorization),
    ("basic", Sign::Authorization),
    ("eyJ", Sign::WebToken),
];

/// The signs of a text.
#[derive(Debug, Clone, Copy, Default)]
struct Signs(u16);

impl Signs {
    fn of(text: &str) -> Self {
        static FINDER: LazyLock<AhoCorasick> = LazyLock::new(|| {
            let words = WORDS.iter().map(|(word, _)| *word).chain(SETTINGS).chain([SETTING]);
            let mut builder = AhoCorasick::builder();
            #[expect(clippy::expect_used, reason = "the words are constants of this file")]
            builder.ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA)).build(words).expect("a few words")
        });
        let mut signs = Self::default();
        for found in FINDER.find_overlapping_iter(text) {
            match WORDS.get(found.pattern().as_usize()) {
                Some((_, sign)) => signs.add(*sign),
                None => signs.add_setting(text.as_bytes().get(found.end()..).unwrap_or_default()),
            }
        }
        if text.match_indices('.').any(|(dot, _)| is_token_around(text.as_bytes(), dot)) {
            signs.add(Sign::BootstrapToken);
        }
        signs
    }

    const fn add(&mut self, sign: Sign) {
        self.0 |= 1 << sign as u16;
    }

    const fn has(self, sign: Sign) -> bool {
        self.0 & (1 << sign as u16) != 0
    }

    /// By what follows the name.
    fn add_setting(&mut self, rest: &[u8]) {
        match rest {
            [b'"', b':', ..] => {
                self.add(Sign::InJson);
                self.add(Sign::InYaml);
            }
            [b'"', ..] | [b'\\', b'"', ..] => self.add(Sign::InJson),
            [b':', ..] | [b'\'', b':', ..] => self.add(Sign::InYaml),
            [b'\r' | b'\n', ..] => self.add(Sign::Flag),
            [b' ' | b'\t', ..] => {
                self.add(Sign::Flag);
                if rest.iter().find(|byte| !matches!(byte, b' ' | b'\t')) == Some(&b'=') {
                    self.add(Sign::Assigned);
                }
            }
            [b'=', ..] => self.add(Sign::Assigned),
            _ => {}
        }
    }
}

/// Whether what stands around a dot has the shape of a bootstrap token.
fn is_token_around(text: &[u8], dot: usize) -> bool {
    let is_part = |range: Option<&[u8]>| {
        range.is_some_and(|part| part.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()))
    };
    is_part(dot.checked_sub(6).and_then(|start| text.get(start..dot))) && is_part(text.get(dot + 1..dot + 17))
}

/// One kind of secret.
struct Rule {
    sign: Sign,
    /// In the match, group 1 stays and the rest goes; a group 3 stays, too.
    pattern: Regex,
    /// Whether this match is one after all.
    is_secret: fn(&Captures<'_>, &str) -> bool,
}

impl Rule {
    fn new(sign: Sign, pattern: &str, is_secret: fn(&Captures<'_>, &str) -> bool) -> Self {
        #[expect(clippy::expect_used, reason = "the patterns are constants of this file, compiled by its tests")]
        let pattern = Regex::new(pattern).expect("a constant pattern is valid");
        Self { sign, pattern, is_secret }
    }

    fn apply<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.pattern.replace_all(text, |found: &Captures<'_>| {
            let whole = found.get(0).map_or("", |whole| whole.as_str());
            if (self.is_secret)(found, text) {
                let kept = |group| found.get(group).map_or("", |kept| kept.as_str());
                format!("{}{MARK}{}", kept(1), kept(3))
            } else {
                whole.to_owned()
            }
        })
    }
}

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let key = format!("[A-Za-z0-9_.-]*(?i-u:{})|(?i-u:{SETTING})", SETTINGS.join("|"));
    vec![
        // A private key in PEM, also with `\n` written out, also when its end was cut off.
        Rule::new(
            Sign::PrivateKey,
            r"(?s)()-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)",
            always,
        ),
        // The same in base64, under whatever name: BEGIN PRIVATE, RSA, EC, OPENSSH, ENCRYPTED.
        Rule::new(Sign::EncodedKey, r"()LS0tLS1CRUdJTiB(?:QUklW|SU0Eg|FQyBQ|PUEVO|FTkNS)[A-Za-z0-9+/=]*", always),
        // JSON, also inside a JSON string: "token": "x", \"token\":\"x\".
        Rule::new(Sign::InJson, &format!(r#"(\\?"(?:{key})\\?"\s*:\s*\\?")([^"\\]+)"#), is_value),
        // YAML, also inside a JSON string: at the start of a line or of a flow mapping's entry.
        Rule::new(
            Sign::InYaml,
            &format!(
                r#"(?m)((?:^(?:[ \t]|- )*|\\n(?:[ \t]|- )*|[{{,][ \t]*)["']?(?:{key})["']?:[ \t]+["']?)([^\s"'\\,;}}]+)"#
            ),
            is_value,
        ),
        // Assignments: password = "x", DB_PASSWORD=x, --token=x.
        Rule::new(
            Sign::Assigned,
            &format!(r#"((?:^|[^A-Za-z0-9_.-])(?:{key})[ \t]*=[ \t]*\\?["']?)([^\s"'\\,;&}}]+)"#),
            is_value,
        ),
        // Flags whose value is the next word, or the next argument of a process.
        Rule::new(
            Sign::Flag,
            r#"(--[a-z-]*(?:token|certificate-key|password|passwd|secret)(?:[ \t]+|\r?\narg=)["']?)([^\s"',]+)"#,
            |found, _| found.get(2).is_none_or(|value| !value.as_str().starts_with("--")),
        ),
        // user:password@ in an address.
        Rule::new(Sign::Address, r#"(://)([^\s/@"'<>]+)(@)"#, |found, _| {
            found.get(2).is_some_and(|userinfo| userinfo.as_str().contains(':') || userinfo.len() >= 20)
        }),
        // Authorization headers, and tokens of service accounts wherever they stand.
        Rule::new(Sign::Authorization, r"((?i-u:bearer|basic)[ \t]+)[A-Za-z0-9._~+/=-]{16,}", always),
        Rule::new(Sign::WebToken, r"()eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}", always),
        // Bootstrap tokens.
        Rule::new(Sign::BootstrapToken, r"()[a-z0-9]{6}\.[a-z0-9]{16}", stands_alone),
    ]
});

fn always(_: &Captures<'_>, _: &str) -> bool {
    true
}

/// A setting's value that tells nothing is left alone, so that `automountServiceAccountToken: true` stays what it is.
fn is_value(found: &Captures<'_>, _: &str) -> bool {
    let value = found.get(2).map_or("", |value| value.as_str());
    !matches!(value, "true" | "false" | "null" | "~" | "none" | "yes" | "no" | "<nil>" | MARK)
}

/// A bootstrap token is a word of its own; in a longer one (a host's name, a file's name) the same letters mean nothing.
fn stands_alone(found: &Captures<'_>, text: &str) -> bool {
    let Some(whole) = found.get(0) else { return false };
    let before = text.get(..whole.start()).and_then(|head| head.chars().next_back());
    let after = text.get(whole.end()..).and_then(|tail| tail.chars().next());
    !before.is_some_and(|c| c.is_ascii_alphanumeric() || "./-".contains(c))
        && !after.is_some_and(|c| c.is_ascii_alphanumeric() || ".-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_go() {
        let table = [
            ("    client-key-data: LS0tLS1CRUdJTiBS", "    client-key-data: [redacted]"),
            ("    token: abcdef.0123456789abcdef", "    token: [redacted]"),
            ("  - token: \"kubelet-token\"", "  - token: \"[redacted]\""),
            (
                r#"{"user":{"token":"s3cr3t","client-key-data": "QUJD"}}"#,
                r#"{"user":{"token":"[redacted]","client-key-data": "[redacted]"}}"#,
            ),
            (
                r#""kubeconfig": "users:\n- user:\n    token: abc\n""#,
                r#""kubeconfig": "users:\n- user:\n    token: [redacted]\n""#,
            ),
            (r#"{\"password\":\"x y\"}"#, r#"{\"password\":\"[redacted]\"}"#),
            (
                "kubeadm join 10.0.0.1:6443 --token abcdef.0123456789abcdef --v=5",
                "kubeadm join 10.0.0.1:6443 --token [redacted] --v=5",
            ),
            ("--discovery-token=abcdef.0123456789abcdef", "--discovery-token=[redacted]"),
            ("arg=--token\narg=abcdef.0123456789abcdef\narg=--v", "arg=--token\narg=[redacted]\narg=--v"),
            ("arg=--certificate-key\narg=0011223344", "arg=--certificate-key\narg=[redacted]"),
            (
                "the token abcdef.0123456789abcdef, and (ghijkl.0123456789abcdef)",
                "the token [redacted], and ([redacted])",
            ),
            ("abcdef.0123456789abcdef", "[redacted]"),
            ("abcdef.0123456789abcdef ghijkl.0123456789abcdef", "[redacted] [redacted]"),
            (
                "Environment=DB_PASSWORD=hunter2 HTTP_PROXY=http://u:p@proxy:3128",
                "Environment=DB_PASSWORD=[redacted] HTTP_PROXY=http://[redacted]@proxy:3128",
            ),
            ("HTTPS_PROXY=https://ghp_abcdefghijklmnopqrst@proxy", "HTTPS_PROXY=https://[redacted]@proxy"),
            ("  password = \"p w\"", "  password = \"[redacted] w\""),
            ("  auth = \"dXNlcjpwYXNz\"", "  auth = \"[redacted]\""),
            ("Authorization: Bearer abcdefghijklmnop.q", "Authorization: Bearer [redacted]"),
            ("x eyJhbGciOiJSUzI1.eyJpc3MiOiJrdWJl.c2lnbmF0dXJl y", "x [redacted] y"),
            ("a\n-----BEGIN EC PRIVATE KEY-----\nMHc=\n-----END EC PRIVATE KEY-----\nb", "a\n[redacted]\nb"),
            ("a\n-----BEGIN PRIVATE KEY-----\nMHc=", "a\n[redacted]"),
            (
                r#""k": "-----BEGIN RSA PRIVATE KEY-----\nMHc=\n-----END RSA PRIVATE KEY-----\n""#,
                r#""k": "[redacted]\n""#,
            ),
            ("tls.key: LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVk=", "tls.key: [redacted]"),
        ];
        for (given, wanted) in table {
            assert_eq!(text(given), wanted);
            assert_eq!(text(wanted), wanted, "redacting twice changes nothing");
        }
    }

    #[test]
    fn what_is_public_stays() {
        for kept in [
            "image: registry.k8s.io/pause:3.9",
            "registry.k8s.io/kube-proxy@sha256:d137dd922e588abc7b0e2f20afd338065e9abccdecfe705abfb19f588fbac11d",
            "--discovery-token-ca-cert-hash sha256:d137dd922e588abc7b0e2f20afd338065e9abccdecfe705abfb19f588fbac11d",
            "pod=kube-system coredns-76f75df574-8xkzq",
            "kube-flannel-ds-abcde.1763f2a1b2c3d4e5",
            "my-worker.0123456789abcdef worker.0123456789abcdef.example.org",
            "certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUM",
            "client-certificate-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUM",
            "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----",
            "-----BEGIN PUBLIC KEY-----\nMIIC\n-----END PUBLIC KEY-----",
            "tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token",
            "--service-account-key-file=/etc/kubernetes/pki/sa.pub --token-auth-file=/x --token-ttl=24h",
            "automountServiceAccountToken: true",
            r#""automountServiceAccountToken": true"#,
            "could not find a JWS signature in the cluster-info ConfigMap for token ID \"abcdef\"",
            "token id \"abcdef\" is invalid for this cluster or it has expired",
            "1700000000.5 node kubelet[1]: E0910 13:41:00.1 1 x.go:1] invalid bearer token: expired",
            "\"jws-kubeconfig-abcdef\": \"eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiY2RlZiJ9..c2lnbmF0dXJlc2ln\"",
            "secret:\n  secretName: kubelet-secrets",
            "authorization:\n  mode: Webhook\n  webhook: {}",
            "ssh://root@node-1:22 https://10.0.0.1:6443/readyz",
            "machineID=0123456789abcdef0123456789abcdef",
            "arg=--token\narg=--v=5",
        ] {
            assert!(matches!(text(kept), Cow::Borrowed(_)) || text(kept) == kept, "{kept}\nbecame\n{}", text(kept));
        }
    }

    #[test]
    fn every_part_of_a_capture_is_covered() {
        let secret = "--token abcdef.0123456789abcdef".to_owned();
        let section = crate::record::Section {
            id: "log".to_owned(),
            arg: Some(secret.clone()),
            rc: 0,
            ms: 0,
            truncated: false,
            text: secret.clone(),
        };
        let mut all = Capture { noise: secret.clone(), stderr: secret, sections: vec![section], ..Capture::default() };
        capture(&mut all);
        assert!(!format!("{all:?}").contains("0123456789"), "{all:?}");
    }

    #[test]
    fn every_setting_of_the_patterns_has_a_sign() {
        for end in SETTINGS.iter().chain([&SETTING]).map(|end| end.to_uppercase()) {
            for line in [
                format!("{end}: abc"),
                format!("'{end}': abc"),
                format!("{end}=abc"),
                format!("{{\"{end}\": \"abc\"}}"),
            ] {
                assert!(text(&line).contains(MARK), "{line}");
            }
        }
    }

    proptest! {
        #[test]
        fn without_its_sign_no_rule_applies(odd in "(?s)(.|[a-z0-9.]|token|auth|api_key|: |=|\"|'|\\\\|--|\narg=|-----BEGIN RSA PRIVATE KEY-----|LS0tLS1CRUdJTiBSU0Eg|\n|://|@|bearer |eyJhbGciOiJ|abcdef[.]0123456789abcdef){0,40}") {
            prop_assert_eq!(text(&odd), redacted(&odd, |_| true));
        }

        #[test]
        fn no_text_is_too_odd_and_twice_is_once(odd in "(?s)(.|token|: |=|\"|--|BEGIN RSA PRIVATE KEY-----|-----|\n|://|@|abcdef[.]0123456789abcdef){0,40}") {
            let once = text(&odd).into_owned();
            prop_assert_eq!(text(&once), once.clone());
        }

        #[test]
        fn a_join_token_never_survives_as_a_word(id in "[a-z0-9]{6}", secret in "[a-z0-9]{16}", left in "[ \t\"'(,:=]", right in "[ \t\"'),:]") {
            let line = format!("x{left}{id}.{secret}{right}y");
            prop_assert!(!text(&line).contains(&secret), "{}", text(&line));
        }
    }
}
