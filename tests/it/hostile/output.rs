//! How much is said, and how it ends.

use std::time::Duration;

use russh::Sig;
use seaworthy::failure::FailureKind;
use seaworthy::probe::Nonce;

use super::answer::Answer;
use super::case::{Case, Expected, Is, Peer, case, talk};
use super::clean::SHELL;
use super::login::WELL;
use crate::ssh::steps::{ENDLESS, Step};

const PIECE: usize = 32 << 10;
/// Where a node may make the program keep as much as its limits let it, in MiB: see docs/reliability.md.
pub(super) const MUCH: u64 = 32;

pub(super) fn cases() -> Vec<Case> {
    [endless(), much(), ends()].into_iter().flatten().collect()
}

/// The good answer of a script with that marker.
fn good(mark: &str) -> Answer {
    Answer::good(&Nonce::from_hex(&mark[2..]).unwrap())
}

fn begin(mark: &str) -> Step {
    Step::Out(format!("{mark} hello 1 1700000000.000 0 dmesg\n{mark} dmesg 0 1\n").into_bytes())
}

fn lines(of: u8) -> Vec<u8> {
    let mut line = vec![of; 63];
    line.push(b'\n');
    line.repeat(PIECE / 64)
}

fn endless() -> Vec<Case> {
    use Expected::Failure;
    use FailureKind::{ExecTimeout, OutputLimit};
    use Peer::Ssh;
    vec![
        case(
            "one-gibibyte",
            "answers with 1 GiB",
            Ssh(|behaviour| {
                talk(behaviour, |mark| {
                    let times = (1 << 30) / u64::try_from(PIECE).unwrap();
                    vec![begin(mark), Step::Repeat(lines(b'y'), times), Step::Status(0), Step::Eof, Step::Close]
                });
            }),
            Failure(OutputLimit, "more than 20971520 bytes"),
        )
        .memory(MUCH),
        case(
            "endless-output",
            "prints without end, and not one line break",
            Ssh(|behaviour| talk(behaviour, |mark| vec![begin(mark), Step::Repeat(vec![b'y'; PIECE], ENDLESS)])),
            Failure(OutputLimit, "more than 20971520 bytes"),
        )
        .memory(MUCH),
        case(
            "endless-noise",
            "prints without end before the probe can speak",
            Ssh(|behaviour| talk(behaviour, |_| vec![Step::Repeat(lines(b'y'), ENDLESS)])),
            Failure(OutputLimit, "more than 20971520 bytes"),
        )
        .memory(MUCH),
        case(
            "endless-not-utf8",
            "prints bytes that are not UTF-8, without end",
            Ssh(|behaviour| talk(behaviour, |mark| vec![begin(mark), Step::Repeat(lines(0xff), ENDLESS)])),
            Failure(OutputLimit, "more than 20971520 bytes"),
        )
        .memory(MUCH),
        case(
            "endless-control-characters",
            "prints control characters without end",
            Ssh(|behaviour| talk(behaviour, |mark| vec![begin(mark), Step::Repeat(lines(0x1b), ENDLESS)])),
            Failure(OutputLimit, "more than 20971520 bytes"),
        )
        .memory(MUCH),
        case(
            "slow-output",
            "answers at one byte a second",
            Ssh(|behaviour| {
                talk(behaviour, |mark| vec![begin(mark), Step::Drip(vec![b'y'; 1000], Duration::from_secs(1))]);
            }),
            Failure(ExecTimeout, "did not end within 6s"),
        ),
        case(
            "stderr-endless",
            "prints on standard error without end",
            Ssh(|behaviour| talk(behaviour, |_| vec![Step::ErrRepeat(lines(b'e'), ENDLESS)])),
            Failure(ExecTimeout, "never began; the host said: eee"),
        ),
    ]
}

fn much() -> Vec<Case> {
    use Peer::{Says, Ssh};
    vec![
        case(
            "stderr-flood",
            "prints 16 MiB on standard error before its answer",
            Ssh(|behaviour| {
                talk(behaviour, |mark| {
                    let flood = Step::ErrRepeat(lines(b'e'), (16 << 20) / u64::try_from(PIECE).unwrap());
                    vec![flood, Step::Out(good(mark).bytes()), Step::Status(0), Step::Eof, Step::Close]
                });
            }),
            WELL,
        ),
        case(
            "motd",
            "greets with a message of the day of 1 MiB, full of terminal escapes",
            Says(|answer| {
                let line = format!("\x1b]0;owned\x07\x1b[2J\u{202e}{SHELL}\n").into_bytes();
                answer.noise = line.repeat((1 << 20) / line.len());
            }),
            Expected::Read(&[
                ("/facts/kubelet/unit/running", Is::Json("true")),
                ("/facts/reading/noise", Is::Has("]0;owned")),
            ]),
        ),
        case(
            "rekey-in-mid-stream",
            "exchanges keys anew after every 64 KiB of an answer of 2 MiB",
            Ssh(|behaviour| {
                behaviour.rekey_after = Some(64 << 10);
                talk(behaviour, |mark| {
                    let mut answer = good(mark);
                    answer.add("unheard-of 0 0", lines(b'n').repeat((2 << 20) / PIECE));
                    vec![Step::Out(answer.bytes()), Step::Status(0), Step::Eof, Step::Close]
                });
            }),
            WELL,
        )
        .memory(16),
    ]
}

fn half(mark: &str) -> Step {
    let mut bytes = good(mark).bytes();
    bytes.truncate(bytes.len() / 2);
    Step::Out(bytes)
}

fn ends() -> Vec<Case> {
    use Expected::{Failure, Partly};
    use FailureKind::{ConnectionLost, ExecTimeout, Protocol};
    use Peer::Ssh;
    vec![
        case(
            "exit-without-output",
            "ends well and says nothing",
            Ssh(|behaviour| talk(behaviour, |_| vec![Step::Status(0), Step::Eof, Step::Close])),
            Failure(Protocol, "without running the probe"),
        ),
        case(
            "exit-before-output",
            "says how the command ended before its output",
            Ssh(|behaviour| {
                talk(behaviour, |mark| vec![Step::Status(0), Step::Out(good(mark).bytes()), Step::Eof, Step::Close]);
            }),
            WELL,
        ),
        case(
            "no-exit-status",
            "closes the channel after its answer and does not say how the command ended",
            Ssh(|behaviour| {
                talk(behaviour, |mark| vec![Step::Out(good(mark).bytes()), Step::Eof, Step::Close]);
            }),
            Partly(ConnectionLost, "without saying how the command ended"),
        ),
        case(
            "no-end-of-channel",
            "answers, says how the command ended, and never closes the channel",
            Ssh(|behaviour| talk(behaviour, |mark| vec![Step::Out(good(mark).bytes()), Step::Status(0)])),
            Partly(ExecTimeout, "did not end within 6s, though the probe did"),
        ),
        case(
            "killed",
            "is killed in the middle of its answer",
            Ssh(|behaviour| {
                talk(behaviour, |mark| vec![half(mark), Step::Killed(Sig::KILL), Step::Eof, Step::Close]);
            }),
            Partly(Protocol, "by signal KILL"),
        ),
        case(
            "killed-by-markup",
            "is killed by a signal whose name is markup and terminal escapes",
            Ssh(|behaviour| {
                talk(behaviour, |mark| {
                    let name = format!("\x1b[2J\u{202e}<script>alert(1)</script>{SHELL}");
                    vec![half(mark), Step::Killed(Sig::Custom(name)), Step::Eof, Step::Close]
                });
            }),
            Partly(Protocol, "by signal"),
        ),
        case(
            "exit-code-absurd",
            "ends with the exit code 4294967295 after a good answer",
            Ssh(|behaviour| {
                talk(behaviour, |mark| {
                    vec![Step::Out(good(mark).bytes()), Step::Status(u32::MAX), Step::Eof, Step::Close]
                });
            }),
            Expected::Read(&[("/facts/kubelet/unit/running", Is::Json("true"))]),
        ),
        case(
            "closes-in-mid-answer",
            "closes the connection in the middle of its answer",
            Ssh(|behaviour| talk(behaviour, |mark| vec![half(mark), Step::Drop])),
            Partly(ConnectionLost, "the server ended the connection"),
        ),
        case(
            "hangs-in-mid-answer",
            "stops in the middle of its answer, for ever",
            Ssh(|behaviour| talk(behaviour, |mark| vec![half(mark)])),
            Partly(ExecTimeout, "it did not get to"),
        ),
    ]
}
