//! The text of flannel's CNI configuration, from the cluster or from a file of the user's, read as libcni would read it. There
//! is no template: what cannot be had from one of the two is not made up.
//!
//! Windows line ends become plain ones. libcni takes both, but flannel's own copy and every comparison by bytes would differ.

use crate::change::plan::Refusal;
use crate::change::view::{View, clip};
use crate::facts::{Fact, libcni};
use crate::playbook::ConfigSource;

use super::super::guards::flannel::FILE;
use super::super::guards::proof::no_control_plane;

/// The largest text in bytes. flannel's own has 300.
pub const MAX: usize = 64 << 10;

const GUARD: &str = "flannel/config";

/// A configuration that containerd loads and that runs flannel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflist {
    pub text: String,
    /// The network's name, which the runtime shows when it has loaded it.
    pub network: String,
    /// Of what it says, without regard to white space and the order of keys.
    pub meaning: String,
}

/// The wanted text; a refusal says what is wrong with it.
pub fn wanted(source: &ConfigSource, node: &View<'_>) -> Result<Conflist, Refusal> {
    let refused =
        |reason: String, next: String| Refusal { guard: GUARD.to_owned(), unknown: false, reason: clip(&reason), next };
    match source {
        ConfigSource::File { path, content } => read(content).map_err(|why| {
            let next = "take it from the cluster: leave out --config".to_owned();
            refused(format!("{path} cannot be used: {why}"), next)
        }),
        ConfigSource::Cluster => {
            let Some(control_plane) = node.control_plane() else { return Err(no_control_plane(node)) };
            match &control_plane.facts.api.flannel_cni_conf {
                Fact::Known(text) => read(text.as_bytes()).map_err(|why| {
                    let next = format!(
                        "correct it on {}: kubectl -n kube-flannel edit configmap kube-flannel-cfg",
                        control_plane.name
                    );
                    refused(format!("cni-conf.json of the cluster's kube-flannel-cfg cannot be used: {why}"), next)
                }),
                Fact::Absent => {
                    let next =
                        "apply flannel's manifest of the version that runs, or give its file with --config".to_owned();
                    Err(refused("the cluster has no cni-conf.json in a kube-flannel-cfg".to_owned(), next))
                }
                Fact::Unknown(why) => {
                    Err(node.not_known(GUARD, &format!("the cluster's kube-flannel-cfg could not be read: {why}")))
                }
            }
        }
    }
}

/// By libcni's rules for a list, and of flannel's kind.
pub fn read(bytes: &[u8]) -> Result<Conflist, String> {
    if bytes.len() > MAX {
        return Err(format!("it has {} bytes, and more than {MAX} are no CNI configuration", bytes.len()));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    if text.starts_with('\u{feff}') {
        return Err("it begins with a byte order mark, which containerd does not read past".to_owned());
    }
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    let text = text.replace("\r\n", "\n");
    let network = libcni::load(FILE, &text)?;
    if !is_name(&network.name) {
        return Err(format!("{:?} is no name of a network", clip(&network.name)));
    }
    match network.plugins.first() {
        Some(first) if first.kind == "flannel" => {}
        Some(first) => return Err(format!("its first plugin is {}, and not flannel", clip(&first.kind))),
        None => return Err("it has no plugins".to_owned()),
    }
    Ok(Conflist { text, network: network.name, meaning: network.sha256 })
}

/// As libcni asks of a network's name before it makes directories of it (`utils.ValidateNetworkName`).
fn is_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric) && name.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "{\n  \"name\": \"cbr0\",\n  \"plugins\": [ { \"type\": \"flannel\" }, { \"type\": \"portmap\" } ]\n}\n";

    #[test]
    fn windows_line_ends_become_plain_ones() {
        let plain = read(GOOD.as_bytes()).unwrap();
        assert_eq!((plain.text.as_str(), plain.network.as_str()), (GOOD, "cbr0"));
        assert_eq!(read(GOOD.replace('\n', "\r\n").as_bytes()).unwrap(), plain);
    }

    #[test]
    fn what_containerd_would_not_load_is_refused_with_the_reason() {
        let large = format!("{GOOD}{}", " ".repeat(MAX));
        for (bytes, said) in [
            (&b""[..], "empty"),
            (b" \n", "empty"),
            (b"\xef\xbb\xbf{}", "byte order mark"),
            (b"\xff\xfe{", "UTF-8"),
            (b"{\"name\":\"cbr0\"", "unexpected end of JSON input"),
            (br#"{"cniVersion":"0.3.1","name":"cbr0","type":"flannel"}"#, "no 'plugins' key"),
            (br#"{"name":"cbr0","plugins":[]}"#, "no plugins"),
            (br#"{"plugins":[{"type":"flannel"}]}"#, "no name"),
            (br#"{"name":"../x","plugins":[{"type":"flannel"}]}"#, "no name of a network"),
            (br#"{"name":"","plugins":[{"type":"flannel"}]}"#, "no name of a network"),
            (br#"{"name":"cbr0","plugins":[{"type":"bridge"},{"type":"flannel"}]}"#, "bridge, and not flannel"),
            (large.as_bytes(), "more than"),
        ] {
            let why = read(bytes).unwrap_err();
            assert!(why.contains(said), "{why}");
        }
    }
}
