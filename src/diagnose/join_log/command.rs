//! Command lines of kubeadm: found in a line of a log, freed of secrets, and read for what hides evidence.

use super::model::{Caveat, OtherKind};
use crate::probe::redact;

/// Longer commands are cut.
const MAX_CHARS: usize = 600;

/// A command line found in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// With what stands before it: `sudo timeout 300 kubeadm join ...`.
    Join(String),
    Other(OtherKind),
}

/// The last command of kubeadm on a line: typed, or echoed by a wrapper. Prose that mentions one is none.
pub(super) fn find(line: &str) -> Option<Command> {
    line.rmatch_indices("kubeadm").find_map(|(at, name)| {
        let (before, after) = (line.get(..at)?, line.get(at + name.len()..)?);
        let bounded =
            before.chars().next_back().is_none_or(|char| char.is_whitespace() || "/\"'`+$#>;&|(".contains(char));
        let mut words = after.split_whitespace();
        if !bounded || !after.starts_with(char::is_whitespace) {
            return None;
        }
        match words.next()? {
            "join" => words
                .next()
                .is_some_and(|word| word.starts_with("--") || word == "\\" || word == "phase" || is_endpoint(word))
                .then(|| Command::Join(format!("{}{name}{after}", wrapper(before)))),
            verb => {
                let kind = match verb {
                    "reset" => OtherKind::Reset,
                    "init" => OtherKind::Init,
                    "upgrade" => OtherKind::Upgrade,
                    _ => return None,
                };
                let head = before.strip_suffix(wrapper(before)).unwrap_or(before).trim_end();
                let typed = head.is_empty() || head.ends_with(['$', '#', '+', '%', '>']);
                typed.then_some(Command::Other(kind))
            }
        }
    })
}

fn is_endpoint(word: &str) -> bool {
    let port = word.trim_matches(['"', '\'']).rsplit_once(':').map(|(_, port)| port);
    port.is_some_and(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The words right before `kubeadm` that run it: its path, `sudo`, `timeout 300`, settings of its environment.
fn wrapper(before: &str) -> &str {
    let mut start = before.len();
    let mut rest = before;
    loop {
        let trimmed = rest.trim_end();
        let word = trimmed.rsplit(char::is_whitespace).next().unwrap_or_default();
        let word_at = trimmed.len() - word.len();
        let path = start == before.len() && rest.len() == trimmed.len() && word.starts_with('/');
        let name = word.rsplit('/').next().unwrap_or(word);
        let runs = matches!(name, "sudo" | "timeout" | "env" | "nohup" | "time" | "nice" | "stdbuf");
        let setting = word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit())
        });
        if word.is_empty() || !(path || runs || setting || word.starts_with('-') || seconds(word).is_some()) {
            return &before[start..];
        }
        start = word_at;
        rest = &before[..word_at];
    }
}

/// The line of a script that joins, or its last line.
pub(super) fn of_script(script: &str) -> String {
    let lines = || script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let join = lines().rfind(|line| matches!(find(line), Some(Command::Join(_))));
    join.or_else(|| lines().rfind(|line| line.contains("join")))
        .or_else(|| lines().next_back())
        .unwrap_or_default()
        .to_owned()
}

/// A command as it may be shown.
pub(super) fn shown(command: &str) -> String {
    let one_line = command.replace("\\\n", " ");
    let words: Vec<&str> = one_line.split_whitespace().collect();
    let clean = redact::text(&words.join(" ")).into_owned();
    match clean.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean,
    }
}

/// What is odd about a command, given how many seconds kubeadm itself may wait.
pub(super) fn caveats(command: &str, own_wait: u64) -> Vec<Caveat> {
    let one_line = command.replace("\\\n", " ");
    let words: Vec<&str> = one_line.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
    let mut caveats = Vec::new();
    let names = values(&words, "--ignore-preflight-errors");
    if !names.is_empty() {
        caveats.push(Caveat::IgnoresErrors { names });
    }
    let names = values(&words, "--skip-phases");
    if !names.is_empty() {
        caveats.push(Caveat::SkipsPhases { names });
    }
    let unpinned = |word: &&&str| {
        word.strip_prefix("--discovery-token-unsafe-skip-ca-verification").is_some_and(|value| value != "=false")
    };
    if words.iter().any(|word| unpinned(&word)) {
        caveats.push(Caveat::UnpinnedCa);
    }
    if let Some(seconds) = timeout(&words)
        && seconds < own_wait
    {
        caveats.push(Caveat::ShortTimeout { seconds, own_wait_seconds: own_wait });
    }
    caveats
}

/// The comma-separated values of a flag, wherever it stands.
fn values(words: &[&str], flag: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let value = match word.strip_prefix(flag) {
            Some("") => words.get(index + 1).copied().filter(|next| !next.starts_with('-')),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        };
        for name in value.unwrap_or_default().split(',').map(|name| name.trim_matches(['"', '\''])) {
            if !name.is_empty() && !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
    }
    names
}

/// The limit of `timeout [-k 10s] [-s KILL] 300`, in seconds.
fn timeout(words: &[&str]) -> Option<u64> {
    let at = words.iter().position(|word| word.rsplit('/').next() == Some("timeout"))?;
    let mut rest = words.get(at + 1..)?.iter();
    while let Some(word) = rest.next() {
        match *word {
            "-k" | "-s" | "--kill-after" | "--signal" => {
                rest.next();
            }
            option if option.starts_with('-') => {}
            word => return seconds(word),
        }
    }
    None
}

/// `300`, `2.5m`, `1h`.
fn seconds(word: &str) -> Option<u64> {
    let (number, unit) = match word.strip_suffix(['s', 'm', 'h', 'd']) {
        Some(number) => (number, &word[number.len()..]),
        None => (word, "s"),
    };
    let sound = number.len() <= 9 && number.starts_with(|first: char| first.is_ascii_digit());
    let number: f64 = number.parse().ok().filter(|_| sound)?;
    let unit = match unit {
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => 1.0,
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most nine digits of days, not negative"
    )]
    let seconds = (number * unit) as u64;
    Some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(text: &str) -> Command {
        Command::Join(text.to_owned())
    }

    #[test]
    fn commands_are_told_from_prose() {
        let cases = [
            ("kubeadm join 10.0.0.1:6443 --token x", Some(join("kubeadm join 10.0.0.1:6443 --token x"))),
            ("root@n1:~# sudo kubeadm join --config f", Some(join("sudo kubeadm join --config f"))),
            ("Enhanced command: timeout 360 kubeadm join a:6443", Some(join("timeout 360 kubeadm join a:6443"))),
            (
                "+ A_B=1 timeout -k 5s 2m /usr/bin/kubeadm join [::1]:6443",
                Some(join("A_B=1 timeout -k 5s 2m /usr/bin/kubeadm join [::1]:6443")),
            ),
            ("$ kubeadm join \\", Some(join("kubeadm join \\"))),
            ("kubeadm join command succeeded but monitoring failed", None),
            ("Changes made to this host by 'kubeadm init' or 'kubeadm join' will be reverted", None),
            ("run kubeadm reset first", None),
            ("root@n1:~# kubeadm reset -f", Some(Command::Other(OtherKind::Reset))),
            ("+ sudo kubeadm init --x", Some(Command::Other(OtherKind::Init))),
            ("wide\u{2007}space\u{2007}sudo kubeadm join --x", Some(join("sudo kubeadm join --x"))),
            ("mykubeadm join --x", None),
            ("kubeadm", None),
        ];
        for (line, expected) in cases {
            assert_eq!(find(line), expected, "{line}");
        }
    }

    #[test]
    fn what_hides_evidence_is_named() {
        let command = "timeout -k 9s 2m kubeadm join a:1 --ignore-preflight-errors=Swap,'Port-10250' --ignore-preflight-errors all \\\n --skip-phases=preflight --discovery-token-unsafe-skip-ca-verification";
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(
            caveats(command, 360),
            [
                Caveat::IgnoresErrors { names: names(&["Swap", "Port-10250", "all"]) },
                Caveat::SkipsPhases { names: names(&["preflight"]) },
                Caveat::UnpinnedCa,
                Caveat::ShortTimeout { seconds: 120, own_wait_seconds: 360 },
            ]
        );
        for harmless in ["timeout 360 kubeadm join a:1", "kubeadm join a:1 --v=5", "timeout kubeadm", "timeout", ""] {
            assert_eq!(caveats(harmless, 360), [], "{harmless}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let shown = shown("kubeadm  join a:1 --token abcdef.0123456789abcdef \\\n  --certificate-key 00ff --v=5");
        assert_eq!(shown, "kubeadm join a:1 --token [redacted] --certificate-key [redacted] --v=5");
        assert!(super::shown(&"x ".repeat(5000)).chars().count() <= MAX_CHARS + 1);
    }

    #[test]
    fn a_script_is_known_by_its_join() {
        assert_eq!(of_script("# kubeadm join x:1\nset -e\nkubeadm join y:1\nexit"), "kubeadm join y:1");
        assert_eq!(of_script("export A=1\n/tmp/join.sh \"$B\"\n"), "/tmp/join.sh \"$B\"");
        assert_eq!(of_script(""), "");
    }
}
