//! Running a command under sudo without ever handing a password to the wrong reader.
//!
//! The command line is plain words, so that it means the same to every login shell (bash, fish, csh), and makes the command
//! announce itself with a random line, [`Gate::ready`]. A password is sent once, and only after sudo has printed a random
//! prompt: sent blindly, it would run as the first line of the script where sudo asks for none. Pure: text in, actions out.

use rand::Rng as _;
use secrecy::SecretString;

use super::banner::quote;
use crate::failure::{Failure, FailureKind};
use crate::target::Sudo;

/// The conversation with one sudo.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) command: String,
    /// What sudo prints when it wants the password.
    prompt: String,
    /// What the command prints, as a line, once it runs.
    ready: String,
    password: Option<SecretString>,
    user: String,
    asked: bool,
    open: bool,
}

/// What the caller must do next.
#[derive(Debug)]
pub(super) enum Action {
    Nothing,
    /// Send this line to the command's input.
    Password(SecretString),
    /// The command runs: its input may be sent.
    Open,
    Stop(Failure),
}

impl Gate {
    /// Wraps `command`, a POSIX `sh` command line without newlines.
    pub(super) fn new(sudo: &Sudo, command: &str) -> Self {
        let nonce: u128 = rand::rng().random();
        Self::with_nonce(sudo, command, nonce)
    }

    fn with_nonce(sudo: &Sudo, command: &str, nonce: u128) -> Self {
        let prompt = format!("sudo-{:016x}:", nonce >> 64);
        let ready = format!("ready-{:016x}", nonce & u128::from(u64::MAX));
        let ask = match sudo.password {
            Some(_) => format!("-S -p {prompt}"),
            None => "-n".to_owned(),
        };
        // `exec` saves a process, where the command is nothing but words.
        let simple = command.chars().all(|c| c.is_ascii_alphanumeric() || " _./=:,@%+-".contains(c));
        let exec = if simple && !command.contains('=') { "exec " } else { "" };
        let inner = quoted(&format!("echo {ready}; {exec}{command}"));
        let user = if is_plain(&sudo.user) { sudo.user.clone() } else { quoted(&sudo.user) };
        Self {
            // LC_ALL: what sudo says is read below, and it speaks the user's language.
            command: format!("env LC_ALL=C sudo -H {ask} -u {user} -- sh -c {inner}"),
            prompt,
            ready,
            password: sudo.password.clone(),
            user: sudo.user.clone(),
            asked: false,
            open: false,
        }
    }

    /// The command's input must wait until [`Action::Open`]: sudo would read it as the password.
    pub(super) fn holds_input(&self) -> bool {
        self.password.is_some() && !self.open
    }

    /// The command runs.
    pub(super) const fn is_open(&self) -> bool {
        self.open
    }

    /// Looks at all of standard error so far.
    pub(super) fn stderr(&mut self, so_far: &[u8]) -> Action {
        if self.open {
            return Action::Nothing;
        }
        let prompts = count(so_far, self.prompt.as_bytes());
        match (&self.password, prompts) {
            (Some(password), 1) if !self.asked => {
                self.asked = true;
                Action::Password(password.clone())
            }
            (_, 2..) => Action::Stop(wrong_password(&self.user)),
            _ => Action::Nothing,
        }
    }

    /// Looks for the announcement in standard output, at most `recent` bytes from its end, and cuts it out.
    pub(super) fn stdout(&mut self, so_far: &mut Vec<u8>, recent: usize) -> Action {
        if self.open {
            return Action::Nothing;
        }
        let line = format!("{}\n", self.ready);
        let from = so_far.len().saturating_sub(recent + line.len());
        let Some(place) = find(so_far.get(from..).unwrap_or_default(), line.as_bytes()) else { return Action::Nothing };
        so_far.drain(from + place..from + place + line.len());
        self.open = true;
        Action::Open
    }

    /// The command ended; what sudo's part in it was. `None` when the command did run.
    pub(super) fn verdict(&self, code: Option<u32>, stderr: &[u8]) -> Option<Failure> {
        if self.open {
            return None;
        }
        let code = code?;
        let text = String::from_utf8_lossy(stderr).to_lowercase();
        let says = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
        let words = last_line(stderr, &self.prompt);
        let user = &self.user;
        let denied = |message: String, next: &str| Some(Failure::new(FailureKind::SudoDenied, message, next));
        if says(&["must have a tty", "you must have a tty"]) {
            return denied(
                "sudo on this host insists on a terminal (requiretty)".to_owned(),
                "add 'Defaults:USER !requiretty' to sudoers (visudo), with USER the login name",
            );
        }
        if says(&[
            "not in the sudoers",
            "not allowed to",
            "may not run sudo",
            "afraid i can't do that",
            "account validation",
        ]) {
            return denied(format!("sudo refuses: {words}"), "add a rule for this user to sudoers (visudo)");
        }
        if self.asked
            && says(&["sorry, try again", "incorrect password", "authentication failed", "incorrect authentication"])
        {
            return Some(wrong_password(user));
        }
        if says(&[
            "password is required",
            "authentication is required",
            "terminal is required",
            "no password was provided",
            "askpass",
        ]) {
            let message = format!("sudo wants a password to become {user}, and none is known");
            let next =
                "run with -K to be asked once, set ansible_become_password, or allow it with NOPASSWD in sudoers";
            return Some(Failure::new(FailureKind::SudoPassword, message, next));
        }
        if code == 127 {
            return denied(
                "sudo is not installed, or not in the PATH of non-interactive logins".to_owned(),
                "install sudo, or log in as root without -b",
            );
        }
        if says(&["setuid", "nosuid", "no new privileges"]) {
            return denied(
                format!("sudo does not work on this host: {words}"),
                "repair sudo: chown root:root and chmod 4755",
            );
        }
        if says(&[
            "unknown user",
            "unable to initialize policy",
            "no valid sudoers",
            "syntax error",
            "unrecognized option",
        ]) {
            return denied(
                format!("sudo refuses: {words}"),
                "check the user given to -b's become settings, and sudoers (visudo -c)",
            );
        }
        if words.is_empty() {
            // Nothing points at sudo: a forced command or a broken shell ends like this, too.
            let message = format!("the command never started under sudo (exit code {code})");
            return Some(Failure::new(FailureKind::Protocol, message, "run it by hand: ssh HOST sudo -n true"));
        }
        denied(format!("sudo did not start the command: {words}"), "run it by hand: ssh HOST sudo -n true")
    }

    /// Removes our own prompt from what is kept of standard error.
    pub(super) fn clean(&self, stderr: &mut Vec<u8>) {
        while let Some(place) = find(stderr, self.prompt.as_bytes()) {
            stderr.drain(place..place + self.prompt.len());
        }
    }
}

fn wrong_password(user: &str) -> Failure {
    let message = format!("sudo did not accept the password to become {user}; it was sent once");
    let next = "check the password (-K, ansible_become_password): sudo asks for the login user's own, not root's";
    Failure::new(FailureKind::SudoPassword, message, next)
}

/// Single quotes mean the same in POSIX shells, fish and csh.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) && !text.starts_with('-')
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn count(haystack: &[u8], needle: &[u8]) -> usize {
    haystack.windows(needle.len()).filter(|window| *window == needle).count()
}

fn last_line(stderr: &[u8], prompt: &str) -> String {
    let text = String::from_utf8_lossy(stderr).replace(prompt, "");
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned();
    quote(line.strip_prefix("sudo: ").unwrap_or(&line).as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gate(password: Option<&str>) -> Gate {
        let sudo = Sudo { user: "root".into(), password: password.map(Into::into) };
        Gate::with_nonce(&sudo, "sh -s", 0x1111_2222_3333_4444_5555_6666_7777_8888)
    }

    #[test]
    fn the_command_line_is_plain_words() {
        insta::assert_snapshot!(gate(None).command, @"env LC_ALL=C sudo -H -n -u root -- sh -c 'echo ready-5555666677778888; exec sh -s'");
        insta::assert_snapshot!(gate(Some("x")).command, @"env LC_ALL=C sudo -H -S -p sudo-1111222233334444: -u root -- sh -c 'echo ready-5555666677778888; exec sh -s'");
        let odd = Sudo { user: "o'neil".into(), password: None };
        insta::assert_snapshot!(Gate::with_nonce(&odd, "echo 'a b'; ls", 1).command, @r"env LC_ALL=C sudo -H -n -u 'o'\''neil' -- sh -c 'echo ready-0000000000000001; echo '\''a b'\''; ls'");
    }

    #[test]
    fn the_password_waits_for_the_prompt_and_is_sent_once() {
        let mut gate = gate(Some("secret"));
        assert!(gate.holds_input());
        assert!(matches!(gate.stderr(b"We trust you have received the usual lecture\n"), Action::Nothing));
        assert!(matches!(gate.stderr(b"sudo-1111222233334444:"), Action::Password(_)));
        assert!(matches!(gate.stderr(b"sudo-1111222233334444:\n"), Action::Nothing));
        let again = gate.stderr(b"sudo-1111222233334444:\nSorry, try again.\nsudo-1111222233334444:");
        assert!(matches!(again, Action::Stop(failure) if failure.kind == FailureKind::SudoPassword));
    }

    #[test]
    fn a_sudo_that_asks_for_nothing_is_sent_no_password() {
        let mut gate = gate(Some("secret"));
        let mut out = b"motd ready-5555666677778888\nfirst".to_vec();
        assert!(matches!(gate.stdout(&mut out, 1024), Action::Open));
        assert_eq!(out, b"motd first");
        assert!(!gate.holds_input());
        assert!(matches!(gate.stderr(b"sudo-1111222233334444:"), Action::Nothing), "the command's own output by now");
        assert!(gate.verdict(Some(1), b"a password is required").is_none());
    }

    #[test]
    fn the_announcement_is_found_across_chunks() {
        let mut gate = gate(None);
        let mut out = Vec::new();
        let line = b"noise\nready-5555666677778888\nx";
        let mut opened = 0;
        for byte in line {
            out.push(*byte);
            opened += usize::from(matches!(gate.stdout(&mut out, 1), Action::Open));
        }
        assert_eq!((out.as_slice(), opened), (b"noise\nx".as_slice(), 1));
    }

    #[test]
    fn what_sudo_says_is_classified() {
        use FailureKind::{Protocol, SudoDenied, SudoPassword};
        let cases: &[(u32, &str, FailureKind)] = &[
            (1, "sudo: a password is required\n", SudoPassword),
            (1, "sudo: interactive authentication is required\n", SudoPassword),
            (1, "ops is not in the sudoers file.\nThis incident has been reported to the administrator.\n", SudoDenied),
            (1, "Sorry, user ops is not allowed to execute '/bin/sh' as root on n1.\n", SudoDenied),
            (1, "Sorry, user ops may not run sudo on n1.\n", SudoDenied),
            (1, "sudo: I'm sorry ops. I'm afraid I can't do that\n", SudoDenied),
            (1, "sudo: sorry, you must have a tty to run sudo\n", SudoDenied),
            (127, "env: 'sudo': No such file or directory\n", SudoDenied),
            (1, "sudo: /usr/bin/sudo must be owned by uid 0 and have the setuid bit set\n", SudoDenied),
            (1, "sudo: unknown user nobody2\n", SudoDenied),
            (1, "sudo: something new\n", SudoDenied),
            (254, "", Protocol),
        ];
        for (code, text, kind) in cases {
            let failure = gate(None).verdict(Some(*code), text.as_bytes()).unwrap();
            assert_eq!(failure.kind, *kind, "{text}: {failure}");
        }
        assert!(gate(None).verdict(None, b"").is_none(), "a lost connection is not sudo's fault");
        let mut asked = gate(Some("x"));
        let _ = asked.stderr(b"sudo-1111222233334444:");
        let failure = asked.verdict(Some(1), b"sudo: 1 incorrect password attempt\n").unwrap();
        assert_eq!(failure.kind, SudoPassword);
        assert!(failure.message.contains("did not accept"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// No command line holds a NUL.
        #[test]
        fn a_shell_reads_any_word_as_it_is(words in proptest::collection::vec("[^\0]{0,40}", 1..20)) {
            let line = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
            let sh = std::process::Command::new("sh").args(["-c", &format!("printf '%s\\0' {line}")]).output().unwrap();
            let expected = words.join("\0") + "\0";
            prop_assert_eq!(String::from_utf8(sh.stdout).unwrap(), expected);
        }
    }
}
