//! What a node's "shell" understands: the probe, and a handful of commands.
//!
//! Nothing is executed. A command line is cut into words like a shell would, and looked up in a fixed list; what is
//! not there is "not found", as on a machine with very little installed.

use std::fmt::Write as _;

use super::answer;
use super::vars::{Values, Var};

/// What a client asked a node to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    /// A shell that reads its script from standard input (`sh -s`, under sudo or not), with the script's arguments.
    Script(Vec<String>),
    /// A command line.
    Command(String),
}

/// What a command printed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) status: u32,
}

/// Tells the two apart.
pub(super) fn request(command: &str) -> Request {
    let lists = split(command);
    let [(_, words)] = lists.as_slice() else { return Request::Command(command.to_owned()) };
    match strip_prefixes(words) {
        [shell] if is_shell(shell) => Request::Script(Vec::new()),
        [shell, option, arguments @ ..] if is_shell(shell) && option == "-s" => Request::Script(arguments.to_vec()),
        _ => Request::Command(command.to_owned()),
    }
}

/// The probe's nonce: the first word of exactly 32 hex digits.
pub(super) fn nonce(script: &[u8]) -> Option<&str> {
    let word = script.split(|byte| !byte.is_ascii_alphanumeric()).find(|word| is_nonce(word))?;
    std::str::from_utf8(word).ok()
}

fn is_nonce(word: &[u8]) -> bool {
    word.len() == 32 && word.iter().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte))
}

/// The nonce of a script that begins as the probe does, with `N=<nonce>`: what tools send that give a script as the command
/// line and not on standard input. Nowhere else in a command line does such a word ask for anything.
fn probe_nonce(script: &str) -> Option<&str> {
    let word = script.strip_prefix("N=")?.split([' ', '\n']).next()?;
    is_nonce(word.as_bytes()).then_some(word)
}

/// Runs a command line, or a script that did not name the probe's nonce while it arrived.
pub(super) fn run(values: &Values<'_>, script: &str) -> Output {
    run_nested(values, script, 0)
}

fn run_nested(values: &Values<'_>, script: &str, depth: u8) -> Output {
    if let Some(nonce) = probe_nonce(script) {
        let sections = answer::sections(values, nonce);
        let stdout = answer::hello(values, nonce) + &String::from_utf8_lossy(&sections);
        return Output { stdout, ..Output::default() };
    }
    let mut all = Output::default();
    for (joint, words) in split(script) {
        let skipped = match joint {
            Joint::Always => false,
            Joint::IfTrue => all.status != 0,
            Joint::IfFalse => all.status == 0,
        };
        if skipped {
            continue;
        }
        let words = strip_prefixes(&words);
        if let [exit, rest @ ..] = words
            && exit == "exit"
        {
            all.status = rest.first().and_then(|word| word.parse().ok()).unwrap_or(all.status);
            break;
        }
        let one = match words {
            // A shell inside a shell inside a shell is somebody playing.
            [shell, option, script, ..] if is_shell(shell) && option.ends_with('c') && depth < 4 => {
                run_nested(values, script, depth + 1)
            }
            _ => command(values, words),
        };
        all.stdout += &one.stdout;
        all.stderr += &one.stderr;
        all.status = one.status;
    }
    all
}

fn command(values: &Values<'_>, words: &[String]) -> Output {
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| !is_redirection(word)).collect();
    let var = |var| {
        let mut text = String::new();
        values.write(&mut text, var);
        text
    };
    let print = |text: String| Output { stdout: text + "\n", ..Output::default() };
    let ident = |key: &str| {
        let text = answer::text_of(values, "ident", "").unwrap_or_default();
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        value.unwrap_or_default().to_owned()
    };
    match words.as_slice() {
        [] | ["true" | ":" | "cd" | "export" | "umask" | "set", ..] => Output::default(),
        ["false", ..] => Output { status: 1, ..Output::default() },
        ["echo", "-n", rest @ ..] => Output { stdout: rest.join(" "), ..Output::default() },
        ["echo", rest @ ..] => print(rest.join(" ")),
        ["hostname", ..] | ["uname", "-n"] => print(var(Var::Hostname)),
        ["whoami"] => print("root".to_owned()),
        ["id", "-u"] => print("0".to_owned()),
        ["id"] => print("uid=0(root) gid=0(root) groups=0(root)".to_owned()),
        ["nproc"] => print(ident("cpus")),
        ["date", "+%s"] => print((values.now_ms / 1000).to_string()),
        ["uname"] => print("Linux".to_owned()),
        ["uname", "-r"] => print(ident("kernel")),
        ["uname", "-m"] => print(ident("arch")),
        ["uname", "-a"] => {
            let [kernel, arch] = ["kernel", "arch"].map(ident);
            print(format!("Linux {} {kernel} #1 SMP PREEMPT_DYNAMIC {arch} GNU/Linux", var(Var::Hostname)))
        }
        ["uptime"] => {
            let seconds: u64 = var(Var::Uptime).split('.').next().and_then(|text| text.parse().ok()).unwrap_or(0);
            print(format!(
                " up {} days,  0 users,  load average: {}",
                seconds / 86_400,
                var(Var::Load).replace(' ', ", ")
            ))
        }
        ["systemctl", "is-active", unit] => {
            let unit = unit.trim_end_matches(".service");
            let text = answer::text_of(values, "unit", unit).unwrap_or_default();
            let state = text.lines().find_map(|line| line.strip_prefix("ActiveState=")).unwrap_or("inactive");
            Output { status: if state == "active" { 0 } else { 3 }, ..print(state.to_owned()) }
        }
        ["cat", paths @ ..] => cat(values, paths),
        [name, ..] => Output { stderr: format!("sh: 1: {name}: not found\n"), status: 127, ..Output::default() },
    }
}

fn cat(values: &Values<'_>, paths: &[&str]) -> Output {
    let mut out = Output::default();
    for path in paths {
        if let Some(text) = file(values, path) {
            out.stdout += &text;
        } else {
            let _ = writeln!(out.stderr, "cat: {path}: No such file or directory");
            out.status = 1;
        }
    }
    out
}

/// A file's content, from the section that holds it.
fn file(values: &Values<'_>, path: &str) -> Option<String> {
    let (id, arg) = match path {
        "/etc/os-release" => ("os-release", ""),
        "/etc/hosts" => ("hosts", ""),
        "/etc/fstab" => ("fstab", ""),
        "/etc/resolv.conf" => ("resolv-conf", ""),
        "/proc/meminfo" => ("meminfo", ""),
        "/proc/self/mountinfo" => ("mountinfo", ""),
        "/var/lib/kubelet/config.yaml" => ("kubelet-config", ""),
        "/run/flannel/subnet.env" => ("flannel-env", ""),
        "/etc/hostname" | "/etc/machine-id" | "/proc/loadavg" | "/proc/uptime" => {
            let (var, rest) = match path {
                "/etc/hostname" => (Var::Hostname, ""),
                "/etc/machine-id" => (Var::Hex32(0), ""),
                "/proc/loadavg" => (Var::Load, " 1/312 4242"),
                _ => (Var::Uptime, " 0.00"),
            };
            let mut text = String::new();
            values.write(&mut text, var);
            return Some(text + rest + "\n");
        }
        _ => {
            let ids = ["cni-file", "unit-file", "env-file", "containerd-config", "sysctl-file", "modules-file"];
            return ids.iter().find_map(|id| answer::text_of(values, id, path));
        }
    };
    answer::text_of(values, id, arg)
}

fn is_shell(word: &str) -> bool {
    matches!(word.rsplit('/').next(), Some("sh" | "bash" | "dash" | "ash"))
}

fn is_redirection(word: &str) -> bool {
    word.starts_with("2>") || word.starts_with(">/dev/") || word.starts_with("</dev/")
}

/// Without `sudo` and its options, `env`, `exec` and assignments.
fn strip_prefixes(words: &[String]) -> &[String] {
    match words {
        [first, rest @ ..] if first == "sudo" => {
            let mut rest = rest;
            while let [option, after @ ..] = rest {
                match option.as_str() {
                    "--" => return strip_prefixes(after),
                    // The options that take a value.
                    "-u" | "-p" | "-g" | "-C" | "-T" | "--user" | "--prompt" => {
                        rest = after.get(1..).unwrap_or_default();
                    }
                    _ if option.starts_with('-') => rest = after,
                    _ => break,
                }
            }
            strip_prefixes(rest)
        }
        [first, rest @ ..] if first == "env" || first == "exec" || first == "command" => strip_prefixes(rest),
        [first, rest @ ..] if is_assignment(first) => strip_prefixes(rest),
        _ => words,
    }
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
    })
}

/// When a command of a list runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joint {
    Always,
    IfTrue,
    IfFalse,
}

/// Cuts a script into commands and words: quotes, backslashes, comments, `;`, `&&`, `||` and newlines; no expansion.
fn split(script: &str) -> Vec<(Joint, Vec<String>)> {
    let mut commands = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut joint = Joint::Always;
    let mut chars = script.chars().peekable();
    while let Some(char) = chars.next() {
        let next_joint = match char {
            '\'' => {
                word.get_or_insert_default().extend(chars.by_ref().take_while(|char| *char != '\''));
                continue;
            }
            '"' => {
                let word = word.get_or_insert_default();
                while let Some(char) = chars.next().filter(|char| *char != '"') {
                    let escaped =
                        char == '\\' && chars.peek().is_some_and(|next| matches!(next, '"' | '\\' | '$' | '`'));
                    word.extend(if escaped { chars.next() } else { Some(char) });
                }
                continue;
            }
            '\\' => {
                // A backslash before a newline joins the lines.
                let next = chars.next().filter(|next| *next != '\n');
                if let Some(next) = next {
                    word.get_or_insert_default().push(next);
                }
                continue;
            }
            '#' if word.is_none() => {
                while chars.peek().is_some_and(|next| *next != '\n') {
                    chars.next();
                }
                continue;
            }
            ';' | '\n' => Joint::Always,
            '&' if chars.next_if_eq(&'&').is_some() => Joint::IfTrue,
            '|' if chars.next_if_eq(&'|').is_some() => Joint::IfFalse,
            char if char.is_whitespace() => {
                words.extend(word.take());
                continue;
            }
            char => {
                word.get_or_insert_default().push(char);
                continue;
            }
        };
        words.extend(word.take());
        if !words.is_empty() {
            commands.push((joint, std::mem::take(&mut words)));
            joint = next_joint;
        }
    }
    words.extend(word);
    if !words.is_empty() {
        commands.push((joint, words));
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::super::cluster::Cluster;
    use super::super::plan::{Behaviour, Plan, State};
    use super::*;

    fn sh(script: &str) -> Output {
        let plan = Plan::of(7, [(State::ContainerdStopped, Behaviour::Answer)]);
        let cluster = Cluster::new(&plan, 1_757_511_688);
        run(&Values { plan: &plan, cluster: &cluster, index: 0, now_ms: 1_757_511_688_500 }, script)
    }

    #[test]
    fn shells_that_read_a_script_are_told_from_commands() {
        for script in [
            "sh -s",
            "sh",
            "/bin/sh -s -- 0123456789abcdef0123456789abcdef",
            "exec sh -s",
            "sudo -n sh -s",
            "sudo -S -p 'marker:' -u root -- /bin/sh -s",
            "LC_ALL=C sudo --prompt x -- env A=b sh -s",
        ] {
            assert!(matches!(request(script), Request::Script(_)), "{script}");
        }
        assert_eq!(request("sudo -p 'a b' -- sh -s -- x"), Request::Script(vec!["--".to_owned(), "x".to_owned()]));
        for command in ["sh -c 'sh -s'", "echo sh -s", "hostname; sh -s", "", "sudo", "sudo -u", "sh ./script"] {
            assert!(matches!(request(command), Request::Command(_)), "{command}");
        }
    }

    #[test]
    fn the_nonce_is_a_whole_word() {
        let wanted = "0123456789abcdef0123456789abcdef";
        assert_eq!(nonce(b"N=0123456789abcdef0123456789abcdef\n"), Some(wanted));
        assert_eq!(nonce(b"set -- '0123456789abcdef0123456789abcdef'"), Some(wanted));
        assert_eq!(nonce(b"0123456789abcdef0123456789abcdef0"), None);
        assert_eq!(nonce(b"0123456789ABCDEF0123456789ABCDEF"), None);
        assert_eq!(nonce(b"\xff\xfe"), None);
    }

    #[test]
    fn the_probe_as_a_command_line_is_answered_like_the_probe() {
        const NONCE: &str = "0123456789abcdef0123456789abcdef";
        for script in [format!("N={NONCE} P= C=1\necho 'x'\n"), format!("sudo -n sh -c 'N={NONCE}\necho \"x\"'")] {
            let output = sh(&script);
            assert!(output.stdout.starts_with(&format!("@@{NONCE} hello 1 ")), "{script}");
            assert!(output.stdout.ends_with(&format!("\n@@{NONCE} bye\n")), "{script}");
            assert_eq!((output.stderr.as_str(), output.status), ("", 0), "{script}");
        }
        for script in
            [format!("sudo -p {NONCE} hostname"), format!("hostname; N={NONCE}"), format!("N={NONCE}0\nhostname")]
        {
            assert_eq!(sh(&script).stdout, "node001\n", "{script}");
        }
    }

    #[test]
    fn commands_print_what_the_node_is() {
        for (script, stdout, status) in [
            ("hostname", "node001\n", 0),
            ("sudo -n -- sh -c 'hostname && id -u'", "node001\n0\n", 0),
            ("echo a  'b  c' \"d\\\"\" 2>/dev/null", "a b  c d\"\n", 0),
            ("false || echo no; true && echo yes", "no\nyes\n", 0),
            ("false && echo never", "", 1),
            ("echo one # two\necho three", "one\nthree\n", 0),
            ("exit 3; echo never", "", 3),
            ("systemctl is-active containerd", "failed\n", 3),
            ("cat /proc/uptime /etc/hostname", &format!("{}node001\n", sh("cat /proc/uptime").stdout), 0),
        ] {
            let output = sh(script);
            assert_eq!((output.stdout.as_str(), output.status), (stdout, status), "{script}: {}", output.stderr);
        }
    }

    #[test]
    fn what_it_does_not_know_is_not_found() {
        let unknown = sh("frobnicate --now");
        assert_eq!((unknown.stderr.as_str(), unknown.status), ("sh: 1: frobnicate: not found\n", 127));
        assert_eq!(sh("cat /etc/shadow").status, 1);
        for script in ["'", "\"", "\\", "a 'b", "sh -c \"sh -c 'sh -c \\\"sh -c\"", "|||", "&&;"] {
            sh(script);
        }
    }
}
