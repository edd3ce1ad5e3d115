//! The probe: the script that reads a node, its framing, and what may be kept of its output.
//!
//! Here: the script's text for one run ([`script`]), the command that it is sent to, the frames' parser ([`frame`]) and
//! the removal of secrets ([`redact`]). Not here: how bytes reach a host, and what sections mean (`docs/probe.md` is the
//! contract, `facts` its reader).

pub mod frame;
pub mod redact;

use std::fmt;
use std::time::Duration;

use crate::record::Capture;

pub use frame::{FrameError, Greeting, Limits};

/// The command that reads the script from its standard input.
///
/// The words need no quoting in any login shell. With sudo they follow `sudo ... --`.
pub const COMMAND: [&str; 2] = ["sh", "-s"];

/// The random word that tells the probe's markers from everything else that a host may print.
#[derive(Clone, PartialEq, Eq)]
pub struct Nonce(String);

impl Nonce {
    /// The version that the greeting must carry.
    pub const VERSION: &str = "1";

    /// A new one for one host of one run: 32 hex digits.
    pub fn random() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    /// One that is given, for recorded output; `None` unless it is 32 lower-case hex digits.
    pub fn from_hex(hex: &str) -> Option<Self> {
        let ok = hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        ok.then(|| Self(hex.to_owned()))
    }

    /// The nonce that a script begins with: how a fake node learns what to answer with.
    pub fn of_script(script: &str) -> Option<Self> {
        Self::from_hex(script.lines().next()?.strip_prefix("N=")?.split(' ').next()?)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What one run of the script may take. Durations are rounded up to whole seconds, because that is what `timeout` takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptOptions {
    /// Bytes of an ordinary section; those that grow with a cluster have larger caps of their own in the script.
    pub section_cap: u32,
    /// Deadline of a command that is quick on a healthy node, and of the look at a mount.
    pub quick: Duration,
    /// Deadline of a slow one (systemctl, journalctl, crictl, containerd, package tools).
    pub slow: Duration,
    /// Deadline of one kubectl.
    pub kubectl: Duration,
    /// Whether a control plane's API is asked. Leaving it out makes the script a sixth shorter.
    pub api: bool,
    /// The PATH on the node instead of the usual directories. Anything but `[A-Za-z0-9/._:+-]` is left out.
    pub path: Option<String>,
}

impl Default for ScriptOptions {
    fn default() -> Self {
        Self {
            section_cap: 64 << 10,
            quick: Duration::from_secs(3),
            slow: Duration::from_secs(5),
            kubectl: Duration::from_secs(8),
            api: true,
            path: None,
        }
    }
}

/// The longest time that the script needs on a node where every command hangs until it is killed.
///
/// Nothing is started after twice kubectl's deadline, so it is that and one more command's. A command that hangs in the
/// kernel and cannot be killed takes longer: the deadline of the whole belongs to the client.
pub fn worst_case(options: &ScriptOptions) -> Duration {
    options.kubectl * 2 + options.kubectl.max(options.slow).max(options.quick)
}

/// What a host sent, cut into sections and free of secrets: the only way to a [`Capture`] that may be kept.
pub fn read(stdout: &[u8], stderr: &[u8], nonce: &Nonce, limits: &Limits) -> Result<Capture, FrameError> {
    let mut capture = frame::parse(stdout, stderr, nonce, limits)?;
    redact::capture(&mut capture);
    Ok(capture)
}

/// The script's parts up to the control plane's, that one, and the rest.
const PARTS: ([&str; 6], &str, [&str; 2]) = (
    [
        include_str!("script/1-helpers.sh"),
        include_str!("script/2-filter.sh"),
        include_str!("script/3-quick.sh"),
        include_str!("script/4-files.sh"),
        include_str!("script/5-slow.sh"),
        include_str!("script/6-services.sh"),
    ],
    include_str!("script/7-api.sh"),
    [include_str!("script/8-mounts.sh"), include_str!("script/9-main.sh")],
);

/// The script for one host. It holds no secret and nothing that a shell would have to be protected from.
pub fn script(nonce: &Nonce, options: &ScriptOptions) -> String {
    let path: String = options
        .path
        .iter()
        .flat_map(|path| path.chars())
        .filter(|c| c.is_ascii_alphanumeric() || "/._:+-".contains(*c))
        .collect();
    let mut script = format!(
        "N={} P={path} C={} T1={} T2={} T3={}\n",
        nonce.as_str(),
        options.section_cap.max(1024),
        whole_seconds(options.quick),
        whole_seconds(options.slow),
        whole_seconds(options.kubectl),
    );
    let (before, api, after) = PARTS;
    let api = options.api.then_some(api);
    for part in before.into_iter().chain(api).chain(after) {
        strip(part, &mut script);
    }
    script
}

/// The probe's text as sixteen hex digits: two programs with the same one ask nodes the same.
pub fn fingerprint() -> String {
    use sha2::Digest as _;

    let text = script(&Nonce("0".repeat(32)), &ScriptOptions::default());
    let digest = sha2::Sha256::digest(text.as_bytes());
    let first = digest.iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{first:016x}")
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0)).clamp(1, 600)
}

/// Takes comment lines, blank lines and indentation away from a script.
pub(crate) fn strip(source: &str, out: &mut String) {
    for line in source.lines().map(str::trim_start) {
        if !line.is_empty() && !line.starts_with('#') {
            out.push_str(line);
            out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripping_takes_comments_and_indentation() {
        let mut out = String::new();
        strip("# head\n{\n  a # b\n\n\t d \n}\n", &mut out);
        assert_eq!(out, "{\na # b\nd \n}\n");
    }

    #[test]
    fn the_prelude_holds_numbers_and_harmless_words_only() {
        let nonce = Nonce::random();
        let options = ScriptOptions {
            section_cap: 0,
            quick: Duration::from_millis(1500),
            slow: Duration::ZERO,
            kubectl: Duration::MAX,
            path: Some("/opt/bin:/usr/bin;$(reboot)`x`\n'\"".to_owned()),
            ..ScriptOptions::default()
        };
        let script = script(&nonce, &options);
        let first = script.lines().next().unwrap();
        assert_eq!(first, format!("N={} P=/opt/bin:/usr/binrebootx C=1024 T1=2 T2=1 T3=600", nonce.as_str()));
        assert_eq!(Nonce::of_script(&script), Some(nonce));
    }

    #[test]
    fn the_script_without_the_api_asks_no_kubectl() {
        let nonce = Nonce::random();
        let with = script(&nonce, &ScriptOptions::default());
        let without = script(&nonce, &ScriptOptions { api: false, ..ScriptOptions::default() });
        assert!(with.contains("x kubectl") && !without.contains("x kubectl"));
        // It travels to every node of a sweep: growth should be noticed.
        assert!(with.len() < 48_200, "{}", with.len());
        assert!(without.len() < 41_600, "{}", without.len());
    }

    #[test]
    fn nonces_differ_and_are_hex() {
        let (a, b) = (Nonce::random(), Nonce::random());
        assert_ne!(a, b);
        assert_eq!(Nonce::from_hex(a.as_str()), Some(a));
        for bad in ["", "0123", "0123456789abcdef0123456789abcdeF", "0123456789abcdef0123456789abcde\n"] {
            assert_eq!(Nonce::from_hex(bad), None, "{bad:?}");
        }
    }
}
