//! From the login to the command: answers that never come, accounts that run nothing, channels that carry nothing.

use russh::MethodKind;
use seaworthy::failure::FailureKind;

use super::case::{Case, Expected, Is, Peer, case, steps};
use super::clean::{MARKDOWN, MARKUP, SHELL};
use crate::ssh::server::{Behaviour, Exec, Forward, Open};
use crate::ssh::steps::Step;

/// The node's facts are there, and it is as well as its neighbours.
pub(super) const WELL: Expected = Expected::Read(&[("/verdict", Is::Json("\"pass\""))]);

pub(super) fn cases() -> Vec<Case> {
    [logins(), accounts(), channels()].into_iter().flatten().collect()
}

fn asks(behaviour: &mut Behaviour, prompt: &str) {
    behaviour.keys.clear();
    behaviour.methods = vec![MethodKind::KeyboardInteractive];
    behaviour.password = Some("right".to_owned());
    prompt.clone_into(&mut behaviour.prompt);
}

fn logins() -> Vec<Case> {
    use Expected::Failure;
    use FailureKind::{Auth, AuthTimeout, ConnectionLost};
    use Peer::Ssh;
    vec![
        case(
            "login-silent",
            "never answers a login",
            Ssh(|behaviour| behaviour.silent_in_auth = true),
            Failure(AuthTimeout, "the login did not finish within 5s"),
        ),
        case(
            "login-closed",
            "closes at the login",
            Ssh(|behaviour| behaviour.drop_in_auth = true),
            Failure(ConnectionLost, "during the login"),
        ),
        case("login-refused", "takes no key", Ssh(|behaviour| behaviour.keys.clear()), Failure(Auth, "offered")),
        case(
            "login-notice",
            "refuses the login with a notice of 200 KiB, full of markup and terminal escapes",
            Ssh(|behaviour| {
                behaviour.keys.clear();
                let line = format!("\x1b]0;owned\x07{MARKUP} {MARKDOWN} {SHELL} \u{202e}\u{200b}\u{9b}2J\r\n");
                behaviour.banner = Some(line.repeat((200 << 10) / line.len()));
            }),
            Failure(Auth, "the server's notice"),
        ),
        case(
            "password-wrong",
            "does not accept the password",
            Ssh(|behaviour| {
                behaviour.keys.clear();
                behaviour.methods = vec![MethodKind::Password];
                behaviour.password = Some("right".to_owned());
            }),
            Failure(Auth, "tried the password"),
        )
        .vars("ansible_password: wrong"),
        case(
            "password-asked-for-ever",
            "asks for the password again and again",
            Ssh(|behaviour| asks(behaviour, "Password: ")),
            Failure(Auth, "tried the password"),
        )
        .vars("ansible_password: wrong"),
        case(
            "password-prompt-translated",
            "asks for the password in Japanese, with marks of direction",
            Ssh(|behaviour| asks(behaviour, "\u{202e}パスワード\u{200b}: ")),
            WELL,
        )
        .vars("ansible_password: right"),
        case(
            "password-expired-at-login",
            "wants a new password at the login",
            Ssh(|behaviour| asks(behaviour, "Your password has expired.\n\x1b[31mNew password: ")),
            Failure(Auth, "which only a person can answer"),
        )
        .vars("ansible_password: right"),
    ]
}

fn accounts() -> Vec<Case> {
    use Expected::Failure;
    use FailureKind::{ExecTimeout, Protocol};
    use Peer::Ssh;
    vec![
        case(
            "password-expired",
            "lets nobody run anything before the password is changed",
            Ssh(|behaviour| {
                let words = b"WARNING: Your password has expired.\nPassword change required but no TTY available.\n";
                steps(behaviour, vec![Step::Err(words.to_vec()), Step::Status(1), Step::Eof, Step::Close]);
            }),
            Failure(Protocol, "Your password has expired"),
        ),
        case(
            "no-shell",
            "accepts the login and has no shell for the account",
            Ssh(|behaviour| {
                let words = b"\x1b[1mThis account is currently not available.\n";
                steps(behaviour, vec![Step::Out(words.to_vec()), Step::Status(1), Step::Eof, Step::Close]);
            }),
            Failure(Protocol, "This account is currently not available"),
        ),
        case(
            "menu",
            "runs a menu that waits for a choice in place of the shell",
            Ssh(|behaviour| steps(behaviour, vec![Step::Out(b"1) status\n2) quit\n> ".to_vec())])),
            Failure(ExecTimeout, "did not end within 6s and never began; the host said: 1) status"),
        ),
        case(
            "expired-shell",
            "asks for a new password in German in place of the shell, and waits",
            Ssh(|behaviour| steps(behaviour, vec![Step::Err(b"Aktuelles Passwort: ".to_vec())])),
            Failure(ExecTimeout, "never began; the host said: Aktuelles Passwort:"),
        ),
    ]
}

fn channels() -> Vec<Case> {
    use Expected::Failure;
    use FailureKind::{Channel, ConnectionLost, ExecTimeout};
    use Peer::Ssh;
    vec![
        case(
            "channel-refused",
            "opens no channel",
            Ssh(|behaviour| behaviour.max_sessions = 0),
            Failure(Channel, "refused"),
        ),
        case(
            "channel-silent",
            "never says whether it opens a channel",
            Ssh(|behaviour| behaviour.open = Open::Never),
            Failure(Channel, "within 5s"),
        ),
        case(
            "channel-closed",
            "closes the connection when a channel is asked for",
            Ssh(|behaviour| behaviour.open = Open::Drop),
            Failure(ConnectionLost, "the connection"),
        ),
        case(
            "command-refused",
            "refuses to run a command",
            Ssh(|behaviour| behaviour.exec = Exec::Refuse),
            Failure(Channel, "refused to run a command"),
        ),
        case(
            "command-silent",
            "takes the command and says nothing",
            Ssh(|behaviour| steps(behaviour, Vec::new())),
            Failure(ExecTimeout, "never began; the host said: nothing"),
        ),
        case(
            "command-closed",
            "takes the command and closes the connection",
            Ssh(|behaviour| steps(behaviour, vec![Step::Drop])),
            Failure(ConnectionLost, "the server ended the connection"),
        ),
        case(
            "window-shut",
            "never has room for the script",
            Ssh(|behaviour| behaviour.window = (0, 32 << 10)),
            Failure(ExecTimeout, "never began; the host said: nothing"),
        ),
        case(
            "packets-of-one-byte",
            "takes one byte of the script in a packet",
            Ssh(|behaviour| behaviour.window = (2 << 20, 1)),
            WELL,
        ),
        case(
            "packets-of-nothing",
            "takes no byte of the script in a packet",
            Ssh(|behaviour| behaviour.window = (2 << 20, 0)),
            Failure(ConnectionLost, "Inconsistent state of the protocol"),
        ),
        case(
            "forward-silent",
            "never says whether it forwards a connection to its kubelet and its API server",
            Ssh(|behaviour| behaviour.forward = Forward::Never),
            Expected::Read(&[
                ("/facts/kubelet/unit/running", Is::Json("true")),
                ("/facts/reach/kubelet_healthz", Is::Unknown("")),
            ]),
        ),
        case(
            "forward-flood",
            "answers for its kubelet and its API server with HTTP that has no end",
            Ssh(|behaviour| {
                let head =
                    b"HTTP/1.1 200 \x1b[2JOK\r\nContent-Type: text/plain\r\n\r\n<script>alert(1)</script>\x1b]0;x\x07";
                behaviour.forward = Forward::Flood(head, &[b'y'; 8 << 10]);
            }),
            Expected::Read(&[("/facts/kubelet/unit/running", Is::Json("true"))]),
        ),
        case(
            "forward-flood-of-headers",
            "answers for its kubelet and its API server with HTTP headers that have no end",
            Ssh(|behaviour| behaviour.forward = Forward::Flood(b"HTTP/1.1 200 OK\r\n", b"X: \x1b[2Jy\r\n")),
            Expected::Read(&[
                ("/facts/kubelet/unit/running", Is::Json("true")),
                ("/facts/reach/kubelet_healthz", Is::Json("\"unhealthy\"")),
            ]),
        ),
    ]
}
