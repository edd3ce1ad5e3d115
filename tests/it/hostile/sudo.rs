//! A sudo that does not do what sudo does.

use seaworthy::failure::FailureKind;

use super::case::{Case, Expected, Peer, case};
use super::login::WELL;
use crate::ssh::server::{Behaviour, Exec};
use crate::ssh::steps::{ENDLESS, Step};

/// Logged in as somebody, to be root under the password `right`.
const BECOME: &str = "ansible_user: ops, ansible_become: true, ansible_become_password: right";

fn before(behaviour: &mut Behaviour, before: fn(&str) -> Vec<Step>) {
    let Exec::Talk(talk) = &mut behaviour.exec else { panic!("the good answer is a talk") };
    talk.before = before;
}

/// The word behind `-p`.
fn prompt(command: &str) -> Step {
    Step::Err(command.split(" -p ").nth(1).unwrap().split(' ').next().unwrap().as_bytes().to_vec())
}

/// What the command says once it runs.
fn runs(command: &str) -> Step {
    let line = command.split("echo ").nth(1).unwrap().split(';').next().unwrap();
    Step::Out(format!("{line}\n").into_bytes())
}

fn err(text: &str) -> Step {
    Step::Err(text.as_bytes().to_vec())
}

fn over() -> [Step; 3] {
    [Step::Status(1), Step::Eof, Step::Close]
}

pub(super) fn cases() -> Vec<Case> {
    use Expected::Failure;
    use FailureKind::{ExecTimeout, SudoDenied, SudoPassword};
    use Peer::Ssh;
    let all = vec![
        case(
            "sudo-asks-for-ever",
            "asks for the sudo password again and again, whatever it gets",
            Ssh(|behaviour| {
                before(behaviour, |command| (0..100).flat_map(|_| [prompt(command), Step::Line]).collect());
            }),
            Failure(SudoPassword, "it was sent once"),
        ),
        case(
            "sudo-password-wrong",
            "does not accept the sudo password",
            Ssh(|behaviour| {
                before(behaviour, |command| {
                    let mut all = vec![prompt(command), Step::Line, err("sudo: 1 incorrect password attempt\n")];
                    all.extend(over());
                    all
                });
            }),
            Failure(SudoPassword, "did not accept the password"),
        ),
        case(
            "sudo-lecture",
            "lectures on sudo before it asks, with terminal escapes",
            Ssh(|behaviour| {
                before(behaviour, |command| {
                    let lecture = "\x1b[2JWe trust you have received the usual lecture.\n\u{202e}#1) Respect\n";
                    vec![err(&lecture.repeat(20)), prompt(command), Step::Line, runs(command)]
                });
            }),
            WELL,
        ),
        case(
            "sudo-prompt-of-its-own",
            "asks for the sudo password in words of its own, in German, and waits",
            Ssh(|behaviour| before(behaviour, |_| vec![err("[sudo] Passwort für ops: "), Step::Line])),
            Failure(ExecTimeout, "never began; the host said: [sudo] Passwort für ops:"),
        ),
        case(
            "sudo-silent",
            "runs a sudo that says nothing",
            Ssh(|behaviour| before(behaviour, |_| vec![Step::Line])),
            Failure(ExecTimeout, "never began; the host said: nothing"),
        ),
        case(
            "sudo-flood",
            "fills standard error before sudo asks, without end",
            Ssh(|behaviour| before(behaviour, |_| vec![Step::ErrRepeat(b"lecture\n".repeat(1024), ENDLESS)])),
            Failure(ExecTimeout, "never began; the host said: lecture"),
        ),
        case(
            "sudo-denied-translated",
            "denies sudo in French",
            Ssh(|behaviour| {
                before(behaviour, |_| {
                    let mut all = vec![err("ops n'apparaît pas dans le fichier \x1b[1msudoers.\n")];
                    all.extend(over());
                    all
                });
            }),
            Failure(SudoDenied, "sudoers"),
        ),
        case(
            "sudo-password-expired",
            "wants a new password before sudo goes on",
            Ssh(|behaviour| {
                before(behaviour, |command| {
                    let words = "sudo: Account or password is expired, reset your password and try again\n";
                    let mut all = vec![prompt(command), Step::Line, err(words)];
                    all.extend(over());
                    all
                });
            }),
            Failure(SudoDenied, "expired"),
        ),
    ];
    all.into_iter().map(|case| case.vars(BECOME)).collect()
}
