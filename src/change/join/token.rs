//! Bootstrap tokens: what `kubeadm token` prints, read strictly, and the commands. The secret half never leaves memory but in
//! the file that a joining node is handed.
//!
//! Sources: `kubeadm token create|list|delete` of 1.20 to 1.35; the form of a token is `bootstraputil.IsValidBootstrapToken`.

use std::fmt;
use std::fmt::Write as _;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::secret::SecretText;

/// How long a token lives when nobody deletes it: longer than a join may take by kubeadm's own limits.
const TTL: &str = "15m";

/// A bootstrap token.
#[derive(Clone)]
pub struct Token {
    id: String,
    secret_half: SecretString,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Token {
    /// `abcdef.0123456789abcdef`
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret_half) = text.split_once('.')?;
        (is_id(id) && secret_half.len() == 16 && secret_half.bytes().all(is_letter))
            .then(|| Self { id: id.to_owned(), secret_half: SecretString::from(secret_half) })
    }

    /// Its first six characters, which are no secret.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) const fn secret_half(&self) -> &SecretString {
        &self.secret_half
    }

    /// As a joining node is told it.
    pub(super) fn whole(&self) -> SecretString {
        let mut whole = SecretText::default();
        for part in [&self.id, ".", self.secret_half.expose_secret()] {
            whole.push_str(part);
        }
        whole.finish()
    }
}

/// The first six characters of a token.
pub fn is_id(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(is_letter)
}

const fn is_letter(byte: u8) -> bool {
    byte.is_ascii_digit() || byte.is_ascii_lowercase()
}

/// What `kubeadm token create --print-join-command` says.
#[derive(Debug, Clone)]
pub struct Made {
    pub token: Token,
    /// `host:port`
    pub endpoint: String,
    /// `sha256:<64 hex digits>`, at least one.
    pub ca_pins: Vec<String>,
}

/// Whose tokens they are: every token of a run carries the run and the node in its description.
pub fn description(run: &str, node: &str) -> String {
    format!("{} {}", of_run(run), plain(node))
}

fn of_run(run: &str) -> String {
    format!("seaworthy {}", plain(run))
}

/// Names of runs and nodes are words already; whatever else there may be does not get into a command.
fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_ascii_alphanumeric() || "._-".contains(char) { char } else { '_' }).collect()
}

/// Makes a token. Its output holds the secret.
pub fn create(run: &str, node: &str) -> String {
    format!("kubeadm token create --ttl {TTL} --description '{}' --print-join-command", description(run, node))
}

/// Deletes a token; `None` when that is no token's id.
pub fn delete(id: &str) -> Option<String> {
    is_id(id).then(|| format!("kubeadm token delete {id}"))
}

/// Whether a deletion left no token of that id: gone already is as good as deleted.
pub fn is_deleted(code: i32, stderr: &str) -> bool {
    code == 0 || stderr.contains("not found")
}

/// Lists all tokens; as JSON where kubeadm can (since 1.19), else as a table. The secret halves are cut off on the way, so that
/// they are not even read here.
pub const LIST: &str = "{ kubeadm token list -o json 2>/dev/null || kubeadm token list; } | sed 's/\\([a-z0-9]\\{6\\}\\)\\.[a-z0-9]\\{16\\}/\\1/g'";

/// Reads the output of [`create`].
///
/// # Errors
/// What is missing, without the output itself: it may hold a token.
pub fn made(stdout: &str) -> Result<Made, &'static str> {
    let joined = Zeroizing::new(stdout.replace("\\\r\n", " "));
    let joined = Zeroizing::new(joined.replace("\\\n", " "));
    // Warnings are on stderr since 1.20 and were not always.
    let mut commands = joined.lines().map(str::trim).filter(|line| line.starts_with("kubeadm join "));
    let command = commands.next().ok_or("it printed no join command")?;
    if commands.next().is_some() {
        return Err("it printed several join commands");
    }
    let mut words = command.split_ascii_whitespace().skip(2);
    let endpoint = words.next().filter(|word| is_endpoint(word)).ok_or("its join command names no endpoint")?;
    let (mut token, mut ca_pins) = (None, Vec::new());
    while let Some(word) = words.next() {
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (word, words.next()),
        };
        let value = value.ok_or("its join command is cut off")?;
        match flag {
            "--token" => token = Some(Token::parse(value).ok_or("its join command's token is malformed")?),
            "--discovery-token-ca-cert-hash" if is_pin(value) => ca_pins.push(value.to_owned()),
            "--discovery-token-ca-cert-hash" => return Err("its join command's CA hash is malformed"),
            _ => return Err("its join command has flags that no worker's has"),
        }
    }
    let token = token.ok_or("its join command has no token")?;
    if ca_pins.is_empty() {
        return Err("its join command pins no CA");
    }
    Ok(Made { token, endpoint: endpoint.to_owned(), ca_pins })
}

fn is_endpoint(word: &str) -> bool {
    word.contains(':') && !word.contains("://") && crate::reach::Endpoint::parse(word).is_some()
}

/// `sha256:<64 hex digits>`
pub fn is_pin(text: &str) -> bool {
    let hex = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.strip_prefix("sha256:").is_some_and(hex)
}

/// The ids of this run's tokens in the output of [`LIST`], those of other nodes among them only when no node is given.
pub fn of_this_run(listed: &str, run: &str, node: Option<&str>) -> Vec<String> {
    let own = |said: &str| match node {
        Some(node) => said == description(run, node),
        None => said.strip_prefix(&of_run(run)).is_some_and(|rest| rest.starts_with(' ')),
    };
    let mut ids: Vec<String> = Vec::new();
    let mut stream = serde_json::Deserializer::from_str(listed).into_iter::<Listed>();
    while let Some(Ok(listed)) = stream.next() {
        if own(&listed.description) {
            ids.extend(listed.token.get(..6).map(str::to_owned));
        }
    }
    if ids.is_empty() {
        ids.extend(listed.lines().filter_map(|line| in_table(line, own)));
    }
    ids.retain(|id| is_id(id));
    ids.dedup();
    ids
}

/// One document of `kubeadm token list -o json`, which prints one per token.
#[derive(Deserialize)]
struct Listed {
    token: String,
    #[serde(default)]
    description: String,
}

/// `TOKEN TTL EXPIRES USAGES DESCRIPTION EXTRA GROUPS`: only the description has blanks of its own, and it ends where several
/// blanks, or the groups, follow.
fn in_table(line: &str, own: impl Fn(&str) -> bool) -> Option<String> {
    let (id, rest) = line.split_once(char::is_whitespace)?;
    let at = rest.find("seaworthy ")?;
    let mut words = rest.get(at..)?.split_ascii_whitespace();
    let mut said = words.next()?.to_owned();
    for word in words.take(2) {
        let _ = write!(said, " {word}");
    }
    own(&said).then(|| id.get(..6).map(str::to_owned)).flatten()
}

/// Why kubeadm made no token, and what to do: from its exit status and stderr.
pub fn refusal(code: i32, stderr: &str) -> (String, String) {
    let says = |needles: &[&str]| needles.iter().any(|needle| stderr.contains(needle));
    let (why, next) = if code == 127 || says(&["kubeadm: not found", "kubeadm: command not found"]) {
        (
            "kubeadm is not installed there, or not in root's PATH",
            "install kubeadm on the control plane, or name another control plane in the inventory",
        )
    } else if says(&["unknown flag"]) {
        ("its kubeadm is too old to print a join command", "upgrade kubeadm on the control plane")
    } else if says(&["is forbidden", "Forbidden"]) {
        ("its kubeconfig may not make tokens", "check that /etc/kubernetes/admin.conf is the cluster administrator's")
    } else if says(&["admin.conf", "no such file", "permission denied", "invalid configuration: no configuration"]) {
        (
            "its administrator's kubeconfig cannot be read",
            "check /etc/kubernetes/admin.conf, and that the login may become root",
        )
    } else if says(&["x509", "certificate has expired", "Unauthorized"]) {
        (
            "the API server and its kubeconfig do not accept each other",
            "look at it with kubeadm certs check-expiration on the control plane",
        )
    } else if says(&[
        "connection refused",
        "i/o timeout",
        "timed out",
        "deadline exceeded",
        "no route to host",
        "connect:",
    ]) {
        ("the API server does not answer", "look at it on the control plane: crictl ps -a --name kube-apiserver")
    } else {
        ("kubeadm failed", "run kubeadm token create on the control plane, and read its message")
    };
    let said = last_line(stderr).map(|line| format!(": {line}")).unwrap_or_default();
    (format!("no token could be made on the control plane: {why}{said}"), next.to_owned())
}

/// The last line that says something, redacted and short.
fn last_line(text: &str) -> Option<String> {
    let line =
        text.lines().map(str::trim).rfind(|line| !line.is_empty() && !line.starts_with("To see the stack trace"))?;
    Some(super::short(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIN: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn command(rest: &str) -> String {
        format!("kubeadm join 192.0.2.10:6443 --token abcdef.0123456789abcdef {rest}")
    }

    #[test]
    fn the_join_command_is_read() {
        let plain = command(&format!("--discovery-token-ca-cert-hash {PIN} \n"));
        let warned = format!("W0910 14:17:04.1 1 configset.go:348] WARNING: kubeadm cannot validate\n\n{plain}");
        let continued = command(&format!("\\\n\t--discovery-token-ca-cert-hash {PIN}"));
        for text in [plain, warned, continued] {
            let made = made(&text).unwrap();
            assert_eq!((made.endpoint.as_str(), made.token.id()), ("192.0.2.10:6443", "abcdef"));
            assert_eq!(made.ca_pins, [PIN]);
            assert_eq!(made.token.whole().expose_secret(), "abcdef.0123456789abcdef");
            assert!(!format!("{made:?}").contains("0123456789abcdef"));
        }
        let several =
            made(&command(&format!("--discovery-token-ca-cert-hash={PIN} --discovery-token-ca-cert-hash {PIN}")));
        assert_eq!(several.unwrap().ca_pins.len(), 2);
    }

    #[test]
    fn what_is_no_join_command_is_refused_without_being_repeated() {
        let pinned = |command: &str| format!("{command} --discovery-token-ca-cert-hash {PIN}");
        for text in [
            String::new(),
            "abcdef.0123456789abcdef\n".to_owned(),
            command(""),
            command("--discovery-token-ca-cert-hash sha256:12"),
            command("--discovery-token-ca-cert-hash"),
            pinned("kubeadm join --token abcdef.0123456789abcdef"),
            pinned("kubeadm join https://a:6443 --token abcdef.0123456789abcdef"),
            pinned("kubeadm join a:6443 --token abcdef.0123456789abcde"),
            pinned("kubeadm join a:6443"),
            format!("{} --control-plane", pinned(&command(""))),
            format!("{0}\n{0}", pinned(&command(""))),
        ] {
            let why = made(&text).unwrap_err();
            assert!(!why.contains("0123456789"), "{why}");
        }
    }

    #[test]
    fn names_do_not_get_into_a_command() {
        assert_eq!(
            create("20250910-1", "no'de; rm"),
            "kubeadm token create --ttl 15m --description 'seaworthy 20250910-1 no_de__rm' --print-join-command"
        );
        assert_eq!(delete("abcdef").unwrap(), "kubeadm token delete abcdef");
        assert_eq!(delete("abcde;"), None);
    }

    #[test]
    fn the_runs_own_tokens_are_found() {
        let json = r#"{"kind":"BootstrapToken","token":"abcdef","description":"seaworthy r1 a","ttl":"1h"}
{"kind":"BootstrapToken","token":"ghijkl","description":"seaworthy r1 b"}
{"kind":"BootstrapToken","token":"mnopqr"}
{"kind":"BootstrapToken","token":"stuvwx","description":"seaworthy r12 a"}"#;
        assert_eq!(of_this_run(json, "r1", None), ["abcdef", "ghijkl"]);
        assert_eq!(of_this_run(json, "r1", Some("b")), ["ghijkl"]);
        assert_eq!(of_this_run(json, "r3", None), Vec::<String>::new());
        let table = "\
TOKEN    TTL   EXPIRES                USAGES                  DESCRIPTION        EXTRA GROUPS
abcdef   14m   2025-09-10T14:17:04Z   authentication,signing  seaworthy r1 a     system:bootstrappers:kubeadm:default-node-token
ghijkl   23h   2025-09-11T14:17:04Z   authentication,signing  <none>             system:bootstrappers:kubeadm:default-node-token
stuvwx   23h   2025-09-11T14:17:04Z   authentication,signing  seaworthy r12 a    system:bootstrappers:kubeadm:default-node-token
";
        assert_eq!(of_this_run(table, "r1", None), ["abcdef"]);
        assert_eq!(of_this_run(table, "r1", Some("b")), Vec::<String>::new());
    }

    #[test]
    fn kubeadms_refusals_have_a_next_step() {
        for (code, stderr, why) in [
            (127, "sh: 1: kubeadm: not found", "not installed"),
            (1, "unknown flag: --print-join-command", "too old"),
            (1, "secrets is forbidden: User \"x\" cannot create", "may not make tokens"),
            (
                1,
                "failed to load admin kubeconfig: open /etc/kubernetes/admin.conf: no such file or directory",
                "cannot be read",
            ),
            (
                1,
                "dial tcp 192.0.2.10:6443: connect: connection refused\nTo see the stack trace of this error",
                "does not answer",
            ),
            (1, "timed out waiting for the condition", "does not answer"),
            (1, "something else abcdef.0123456789abcdef", "kubeadm failed"),
        ] {
            let (said, next) = refusal(code, stderr);
            assert!(said.contains(why) && !said.contains("0123456789") && !next.is_empty(), "{said}");
        }
    }
}
