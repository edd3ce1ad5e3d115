//! One jump host of a run: one connection that all hosts behind it share, and the way through it.
//!
//! Room for one more connection further on may run out there, and mends itself: then it waits for another to end (`crowd`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use russh::ChannelStream;
use russh::client::Msg;
use tokio::time::sleep;

use super::crowd::{Crowd, Place};
use super::patience::pause;
use super::session::{NotForwarded, Session};
use super::stream::seconds;
use crate::failure::{Failure, FailureKind};

/// So often a host is refused for want of room before it is given up: while others of ours are open, and while none is.
const REFUSALS: u32 = 24;
const REFUSALS_ALONE: u32 = 6;
/// So often a host is asked for again when several were refused at the same moment and nobody can tell which words are whose.
const UNCLEAR: u32 = 4;
/// A jump host that is connected. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Bastion {
    pub(super) session: Arc<Session>,
    crowd: Arc<Crowd>,
}

impl Bastion {
    pub(super) fn new(session: Session) -> Self {
        Self { session: Arc::new(session), crowd: Arc::default() }
    }

    /// A connection from the jump host to `host:port` with its place among those that it carries, and how long the one that was
    /// answered took. It is waited for as long as the jump host has no room; `deadline` is for each time that it is asked.
    pub(super) async fn through(
        &self,
        host: &str,
        port: u16,
        deadline: Duration,
    ) -> (Result<(ChannelStream<Msg>, Place), Failure>, Duration) {
        let name = &self.session.name;
        let (mut refusals, mut alone, mut unclear) = (0, 0, 0);
        loop {
            let mut place = self.crowd.enter().await;
            let begun = Instant::now();
            let answer = self.session.forward(host, port, deadline).await;
            let took = begun.elapsed();
            let refused = match answer {
                Ok(stream) => {
                    place.admit();
                    return (Ok((stream, place)), took);
                }
                Err(NotForwarded::Unclear(_)) if unclear + 1 < UNCLEAR => {
                    unclear += 1;
                    drop(place);
                    sleep(pause(unclear)).await;
                    continue;
                }
                Err(refused) => refused,
            };
            let words = match lacks_room(&refused) {
                Some(words) => words.to_owned(),
                None => return (Err(failure(name, host, port, deadline, &refused)), took),
            };
            refusals += 1;
            let others = place.refuse();
            alone += u32::from(others == 0);
            if refusals >= REFUSALS || alone >= REFUSALS_ALONE {
                let message = format!("the jump host {name} has no room for a connection to {host}:{port}: {words}");
                let next =
                    format!("raise the limit of open files of {name}'s sshd, or sweep fewer hosts at once with -f");
                return (Err(Failure::new(FailureKind::JumpHost, message, next)), took);
            }
            if others == 0 {
                // Nothing of ours will end and make room.
                sleep(pause(alone)).await;
            }
        }
    }
}

/// The words of a jump host that cannot carry one more now. sshd says it in those of the C library, as a failure to connect.
fn lacks_room(refused: &NotForwarded) -> Option<&str> {
    const FULL: [&str; 6] = [
        "too many open files",
        "cannot assign requested address",
        "resource temporarily unavailable",
        "cannot allocate memory",
        "no buffer space",
        "resource shortage",
    ];
    match refused {
        NotForwarded::NoRoom(words) => Some(words),
        NotForwarded::Failed(words) => {
            let lower = words.to_lowercase();
            FULL.iter().any(|full| lower.contains(full)).then_some(words)
        }
        NotForwarded::Forbidden(_) | NotForwarded::Unclear(_) | NotForwarded::Silent | NotForwarded::Lost(_) => None,
    }
}

/// Why there is no way through, as the failure of the host behind.
fn failure(name: &str, host: &str, port: u16, deadline: Duration, refused: &NotForwarded) -> Failure {
    match refused {
        NotForwarded::Silent => {
            let message = format!("{host}:{port} did not answer {name} within {}", seconds(deadline));
            Failure::new(FailureKind::TcpTimeout, message, format!("check that the host is up, as seen from {name}"))
        }
        NotForwarded::Lost(how) => {
            let message = format!("the connection to {name} was lost: {how}");
            Failure::new(FailureKind::JumpHost, message, "run the hosts behind it again")
        }
        NotForwarded::Failed(words) | NotForwarded::Unclear(words) => cannot_connect(name, host, port, words),
        NotForwarded::Forbidden(words) | NotForwarded::NoRoom(words) => {
            let message = format!("the jump host {name} refuses to forward to {host}:{port}: {words}");
            let next = format!("allow it in {name}'s sshd_config (AllowTcpForwarding, PermitOpen)");
            Failure::new(FailureKind::JumpHost, message, next)
        }
    }
}

/// sshd reports why it could not connect further in the words of the C library.
fn cannot_connect(name: &str, host: &str, port: u16, words: &str) -> Failure {
    let lower = words.to_lowercase();
    let says = |needles: &[&str]| needles.iter().any(|needle| lower.contains(needle));
    let seen_from = format!("check it from {name}: nc -vz {host} {port}");
    let kind = if says(&["refused"]) {
        FailureKind::Refused
    } else if says(&["timed out"]) {
        FailureKind::TcpTimeout
    } else if says(&["not known", "resolve", "no address", "name resolution"]) {
        FailureKind::Dns
    } else {
        FailureKind::NoRoute
    };
    Failure::new(kind, format!("{name} cannot connect to {host}:{port}: {lower}"), seen_from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_far_side_of_a_jump_host_has_its_own_kinds() {
        for (words, kind) in [
            ("Connection refused", FailureKind::Refused),
            ("Connection timed out", FailureKind::TcpTimeout),
            ("No route to host", FailureKind::NoRoute),
            ("Name or service not known", FailureKind::Dns),
            ("connect failed", FailureKind::NoRoute),
        ] {
            assert_eq!(cannot_connect("b", "h", 22, words).kind, kind, "{words}");
        }
    }

    #[test]
    fn a_full_jump_host_is_told_from_a_host_that_does_not_answer() {
        let failed = |words: &str| NotForwarded::Failed(words.to_owned());
        assert_eq!(lacks_room(&NotForwarded::NoRoom("full".to_owned())), Some("full"));
        assert_eq!(lacks_room(&failed("Too many open files")), Some("Too many open files"));
        for refused in [failed("Connection refused"), NotForwarded::Silent, NotForwarded::Forbidden("open".to_owned())]
        {
            assert_eq!(lacks_room(&refused), None, "{refused:?}");
        }
    }

    #[test]
    fn pauses_grow_and_end() {
        for (round, least) in [(1, 100), (2, 200), (5, 1600), (7, 4000), (60, 4000)] {
            let pause = pause(round).as_millis();
            assert!((least..=least * 3 / 2).contains(&pause), "{round}: {pause}");
        }
    }
}
