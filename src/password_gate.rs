//! One host tries a sudo password before the others: a wrong one must not be sent to a whole fleet, where a directory service
//! would lock the account after a few of them.
//!
//! The others wait for the first one's answer, but not for long: a host that hangs must not hold them up.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::failure::{Failure, FailureKind};

/// How long a host waits for the first one's answer; sudo on a healthy node takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known of a password; `Undecided` until the first host's sudo has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Undecided,
    Accepted,
    /// By the host of that name.
    Refused(String),
}

/// The passwords of a run and what came of them.
#[derive(Debug, Default)]
pub struct PasswordGate {
    tried: Mutex<Vec<(SecretString, watch::Receiver<Answer>)>>,
}

/// Leave to use a password once. Say what came of it with [`settle`](Self::settle).
#[derive(Debug)]
pub struct Leave {
    /// Only the first host answers for the others.
    first: Option<watch::Sender<Answer>>,
}

impl PasswordGate {
    /// Asks for leave to use `password`. Fails with kind `SudoPassword` when another host's sudo has refused it.
    pub async fn enter(&self, password: Option<&SecretString>) -> Result<Leave, Failure> {
        let Some(password) = password else { return Ok(Leave { first: None }) };
        let mut answer = match self.look_up(password) {
            Ok(answer) => answer,
            Err(first) => return Ok(Leave { first: Some(first) }),
        };
        // A first host that vanished without an answer, or takes its time, is no reason to stop.
        let known = timeout(PATIENCE, answer.wait_for(|answer| *answer != Answer::Undecided)).await;
        match known {
            Ok(Ok(answer)) => match &*answer {
                Answer::Refused(host) => Err(Failure::new(
                    FailureKind::SudoPassword,
                    format!("the sudo password was refused on {host}, so it was not sent to this host"),
                    "check the password (-K, ansible_become_password): sudo asks for the login user's own, not root's",
                )),
                Answer::Accepted | Answer::Undecided => Ok(Leave { first: None }),
            },
            Ok(Err(_)) | Err(_) => Ok(Leave { first: None }),
        }
    }

    /// The first host's answer to come, or the duty to give it.
    fn look_up(&self, password: &SecretString) -> Result<watch::Receiver<Answer>, watch::Sender<Answer>> {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |(known, _): &&(SecretString, _)| known.expose_secret() == password.expose_secret();
        if let Some((_, answer)) = tried.iter().find(same) {
            return Ok(answer.clone());
        }
        let (sender, receiver) = watch::channel(Answer::Undecided);
        tried.push((password.clone(), receiver));
        Err(sender)
    }
}

impl Leave {
    /// Tells the others what came of it. `failure` is what the command on `host` ended with.
    pub fn settle(self, host: &str, failure: Option<&Failure>) {
        let Some(first) = self.first else { return };
        let answer = match failure.map(|failure| failure.kind) {
            Some(FailureKind::SudoPassword) => Answer::Refused(host.to_owned()),
            _ => Answer::Accepted,
        };
        first.send_replace(answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Failure {
        Failure::new(FailureKind::SudoPassword, "no", "try another")
    }

    #[tokio::test]
    async fn a_refused_password_is_not_sent_again() {
        let gate = PasswordGate::default();
        let (wrong, right) = (SecretString::from("wrong"), SecretString::from("right"));
        let first = gate.enter(Some(&wrong)).await.unwrap();
        let other = gate.enter(Some(&right)).await.unwrap();
        first.settle("a", Some(&refused()));
        other.settle("b", None);
        let failure = gate.enter(Some(&wrong)).await.unwrap_err();
        assert!(failure.message.contains("refused on a"), "{failure}");
        assert!(gate.enter(Some(&right)).await.is_ok());
        assert!(gate.enter(None).await.is_ok());
    }

    #[tokio::test]
    async fn the_others_wait_for_the_first() {
        let gate = PasswordGate::default();
        let password = SecretString::from("p");
        let first = gate.enter(Some(&password)).await.unwrap();
        let (second, ()) = tokio::join!(gate.enter(Some(&password)), async { first.settle("a", Some(&refused())) });
        assert!(second.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_host_that_hangs_or_vanishes_holds_nobody_up() {
        let gate = PasswordGate::default();
        let password = SecretString::from("p");
        let first = gate.enter(Some(&password)).await.unwrap();
        assert!(gate.enter(Some(&password)).await.is_ok(), "it hangs");
        drop(first);
        assert!(gate.enter(Some(&password)).await.is_ok(), "it vanished");
    }
}
