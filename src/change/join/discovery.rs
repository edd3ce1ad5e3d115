//! The `JoinConfiguration` that kubeadm is given: how it finds and trusts the cluster, and as whom it joins. It is the one text
//! with a whole token in it, and lives in memory until it is handed to a file on a tmpfs.

use std::fmt::Write as _;

use secrecy::{ExposeSecret as _, SecretString};

use super::token::Token;
use crate::change::plan::Join;
use crate::secret::SecretText;

/// The `apiVersion` that a kubeadm reads: v1beta2 since 1.15, v1beta3 since 1.22, v1beta4 since 1.31. Each reads its
/// predecessor's as well for some minors, and warns; so each is given its own.
pub const fn api_version(minor: u32) -> &'static str {
    match minor {
        0..=21 => "kubeadm.k8s.io/v1beta2",
        22..=30 => "kubeadm.k8s.io/v1beta3",
        _ => "kubeadm.k8s.io/v1beta4",
    }
}

/// The text. `cri_socket` only where the node has several runtimes.
pub fn text(join: &Join, token: &Token, cri_socket: Option<&str>) -> SecretString {
    let version = api_version(join.kubeadm_minor);
    let whole = token.whole();
    let mut out = SecretText::default();
    // A token is letters, digits and a dot: in double quotes it needs no escapes.
    let _ = write!(
        out,
        "apiVersion: {version}\nkind: JoinConfiguration\ndiscovery:\n  bootstrapToken:\n    token: \"{}\"\n    apiServerEndpoint: {}\n    caCertHashes:\n",
        whole.expose_secret(),
        quoted(&join.endpoint),
    );
    for pin in &join.ca_pins {
        let _ = writeln!(out, "    - {}", quoted(pin));
    }
    let _ = writeln!(out, "nodeRegistration:\n  name: {}", quoted(&join.node_name));
    if let Some(socket) = cri_socket {
        // Until 1.23 a path, since 1.24 a URL; the URL was understood before.
        let socket = if socket.contains("://") { socket.to_owned() } else { format!("unix://{socket}") };
        let _ = writeln!(out, "  criSocket: {}", quoted(&socket));
    }
    if !join.ignore.is_empty() {
        out.push_str("  ignorePreflightErrors:\n");
        for name in &join.ignore {
            let _ = writeln!(out, "  - {}", quoted(name));
        }
    }
    out.finish()
}

/// A YAML string in double quotes, which are JSON's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use serde_yaml::Value;

    use super::*;

    fn join(minor: u32) -> Join {
        Join {
            control_plane: "cp".to_owned(),
            endpoint: "[2001:db8::1]:6443".to_owned(),
            ca_pins: vec!["sha256:aa".to_owned(), "sha256:bb".to_owned()],
            node_name: "no\": x\n# 1".to_owned(),
            kubeadm_minor: minor,
            ignore: Vec::new(),
            attempts: 1,
            backoff: Duration::ZERO,
            writes: Vec::new(),
            stale_ca: None,
        }
    }

    fn read(join: &Join, socket: Option<&str>) -> Value {
        let token = Token::parse("abcdef.0123456789abcdef").unwrap();
        serde_yaml::from_str(text(join, &token, socket).expose_secret()).unwrap()
    }

    #[test]
    fn it_says_what_the_plan_says_and_nothing_else() {
        let text = {
            let token = Token::parse("abcdef.0123456789abcdef").unwrap();
            let plain = Join { node_name: "worker-1".to_owned(), ..join(31) };
            text(&plain, &token, None).expose_secret().to_owned()
        };
        insta::assert_snapshot!(text, @r#"
        apiVersion: kubeadm.k8s.io/v1beta4
        kind: JoinConfiguration
        discovery:
          bootstrapToken:
            token: "abcdef.0123456789abcdef"
            apiServerEndpoint: "[2001:db8::1]:6443"
            caCertHashes:
            - "sha256:aa"
            - "sha256:bb"
        nodeRegistration:
          name: "worker-1"
        "#);
    }

    #[test]
    fn each_kubeadm_gets_its_own_version() {
        for (minor, version) in
            [(20, "v1beta2"), (21, "v1beta2"), (22, "v1beta3"), (30, "v1beta3"), (31, "v1beta4"), (35, "v1beta4")]
        {
            assert_eq!(read(&join(minor), None)["apiVersion"], Value::from(format!("kubeadm.k8s.io/{version}")));
        }
    }

    #[test]
    fn what_is_odd_stays_a_string() {
        let odd = Join { ignore: vec!["Swap".to_owned(), "- {a: b}".to_owned()], ..join(30) };
        let registration = &read(&odd, Some("/run/crio/crio.sock"))["nodeRegistration"];
        assert_eq!(registration["name"], Value::from(odd.node_name.as_str()));
        assert_eq!(registration["criSocket"], Value::from("unix:///run/crio/crio.sock"));
        assert_eq!(registration["ignorePreflightErrors"][1], Value::from("- {a: b}"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_yaml_string(text in any::<String>()) {
            let line = format!("a: {}\nb: 1\n", quoted(&text));
            let read: Value = serde_yaml::from_str(&line).unwrap();
            prop_assert_eq!(read["a"].as_str(), Some(text.as_str()));
            prop_assert_eq!(read["b"].as_u64(), Some(1));
        }
    }
}
