//! Logging in: offers keys, then the password, and never the same thing twice.
//!
//! Failed logins are not retried: sshd counts them, closes the connection after six and, since 9.8, locks the whole machine out
//! for a while. A connection that is lost meanwhile looks to russh like "no method is left"; `Login::lost` tells the two apart.

use std::fmt::Write as _;
use std::time::Duration;

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse, Prompt};
use russh::keys::ssh_key::HashAlg;
use russh::{MethodKind, MethodSet};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use super::agent::AgentError;
use super::banner::quote;
use super::offers::{Offer, OfferSigner, Offers, SignError};
use super::peer::{Gone, Peer, Verifier};
use super::resolved::Resolved;
use crate::failure::{Failure, FailureKind, Layer};

/// What sshd does to addresses that fail to log in, for the "next" of every failure that may come from it.
pub(super) const PENALTY: &str = "wait 15 s or more: sshd's PerSourcePenalties shut out an address after failed logins, and MaxStartups drops \
     connections beyond its limit";

/// How far a login got; readable after its deadline.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Labels of the keys that were offered.
    offered: Vec<String>,
    /// Other ways that were tried.
    tried: Vec<&'static str>,
    /// What the server would still accept, as it last said.
    accepts: Option<MethodSet>,
    partial: bool,
    agent_failed: Option<AgentError>,
    /// The server asked what only a person can answer.
    for_a_person: bool,
    notes: Vec<String>,
}

enum Outcome {
    In,
    Refused,
    /// This step was accepted and the server wants another one.
    Partial,
}

/// One login on one connection.
pub(super) struct Login<'a> {
    pub(super) handle: &'a mut Handle<Verifier>,
    pub(super) peer: &'a Peer,
    pub(super) resolved: &'a Resolved,
    pub(super) offers: &'a Offers,
}

impl Login<'_> {
    /// Tries everything once; `Ok` when the server let us in.
    pub(super) async fn run(&mut self, progress: &mut Progress) -> Result<(), Failure> {
        let offers = self.offers;
        for offer in &offers.keys {
            if !accepts(progress, MethodKind::PublicKey) {
                break;
            }
            if let Outcome::In = self.offer(offer, progress).await? {
                return Ok(());
            }
        }
        if offers.keys.is_empty() && (self.resolved.password.is_none() || !self.resolved.methods.password) {
            // Nothing to show: some servers let anyone in, and the others say what they want.
            let user = self.resolved.user.clone();
            let answer = self.handle.authenticate_none(user).await;
            if let Outcome::In = self.take(answer, progress).await? {
                return Ok(());
            }
        }
        if let Some(password) = &self.resolved.password {
            // One of the two only: they ask for the same secret, and a wrong one would count twice.
            if self.resolved.methods.password && accepts(progress, MethodKind::Password) {
                progress.tried.push("the password");
                let (user, secret) = (self.resolved.user.clone(), password.expose_secret().to_owned());
                let answer = self.handle.authenticate_password(user, secret).await;
                match self.take(answer, progress).await? {
                    Outcome::In => return Ok(()),
                    Outcome::Refused => return Err(self.refused(progress)),
                    Outcome::Partial => {}
                }
            }
            if self.resolved.methods.keyboard_interactive && accepts(progress, MethodKind::KeyboardInteractive) {
                let password = password.clone();
                if let Outcome::In = self.keyboard_interactive(&password, progress).await? {
                    return Ok(());
                }
            }
        }
        Err(self.refused(progress))
    }

    async fn offer(&mut self, offer: &Offer, progress: &mut Progress) -> Result<Outcome, Failure> {
        let user = self.resolved.user.clone();
        let hash = if offer.public.algorithm().is_rsa() {
            match self.handle.best_supported_rsa_hash().await {
                Ok(Some(Some(hash))) => Some(hash),
                Ok(Some(None)) => {
                    progress.notes.push(format!("{} left out: the server takes RSA with SHA-1 only", offer.label));
                    return Ok(Outcome::Refused);
                }
                // The server does not say; every OpenSSH since 7.2 can do this one.
                Ok(None) => Some(HashAlg::Sha512),
                Err(_) => return Err(self.lost(progress).await),
            }
        } else {
            None
        };
        progress.offered.push(offer.label.clone());
        let mut signer = OfferSigner(offer);
        let answer = match &offer.certificate {
            None => self.handle.authenticate_publickey_with(user, offer.public.clone(), hash, &mut signer).await,
            Some(certificate) => {
                self.handle.authenticate_certificate_with(user, certificate.clone(), hash, &mut signer).await
            }
        };
        match answer {
            Ok(answer) => self.take(Ok(answer), progress).await,
            Err(SignError::Gone) => Err(self.lost(progress).await),
            Err(SignError::Agent(error)) => {
                progress.agent_failed.get_or_insert(error);
                Ok(Outcome::Refused)
            }
            Err(SignError::Key(why)) => {
                progress.notes.push(format!("{}: {why}", offer.label));
                Ok(Outcome::Refused)
            }
        }
    }

    /// Reads one answer, and tells a lost connection from a refusal.
    async fn take(
        &mut self,
        answer: Result<AuthResult, russh::Error>,
        progress: &mut Progress,
    ) -> Result<Outcome, Failure> {
        match answer {
            Ok(AuthResult::Success) => Ok(Outcome::In),
            Ok(AuthResult::Failure { remaining_methods, .. }) if remaining_methods.is_empty() => {
                Err(self.lost(progress).await)
            }
            Ok(AuthResult::Failure { remaining_methods, partial_success }) => {
                progress.accepts = Some(remaining_methods);
                progress.partial |= partial_success;
                Ok(if partial_success { Outcome::Partial } else { Outcome::Refused })
            }
            Err(_) => Err(self.lost(progress).await),
        }
    }

    /// Answers each prompt for a password with the password, once.
    async fn keyboard_interactive(
        &mut self,
        password: &SecretString,
        progress: &mut Progress,
    ) -> Result<Outcome, Failure> {
        progress.tried.push("the password at the server's prompt");
        let user = self.resolved.user.clone();
        let mut answer = self.handle.authenticate_keyboard_interactive_start(user, None).await;
        let mut given = false;
        loop {
            match answer {
                Ok(KeyboardInteractiveAuthResponse::Success) => return Ok(Outcome::In),
                Ok(KeyboardInteractiveAuthResponse::Failure { remaining_methods, partial_success }) => {
                    let result = AuthResult::Failure { remaining_methods, partial_success };
                    return self.take(Ok(result), progress).await;
                }
                Ok(KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. }) => {
                    if let Some(odd) = prompts.iter().find(|prompt| !wants_password(prompt)) {
                        progress.for_a_person = true;
                        progress.notes.push(format!(
                            "the server asks {:?}, which only a person can answer",
                            quote(odd.prompt.as_bytes())
                        ));
                        return Ok(Outcome::Refused);
                    }
                    if given && !prompts.is_empty() {
                        return Ok(Outcome::Refused);
                    }
                    given |= !prompts.is_empty();
                    let responses = prompts.iter().map(|_| password.expose_secret().to_owned()).collect();
                    answer = self.handle.authenticate_keyboard_interactive_respond(responses).await;
                }
                Err(_) => return Err(self.lost(progress).await),
            }
        }
    }

    /// The server let nobody in: what was offered, what it would take, and what to do.
    fn refused(&self, progress: &Progress) -> Failure {
        if let Some(error) = &progress.agent_failed {
            let message = format!("{error}; {}", progress.describe());
            let next = match error {
                AgentError::TimedOut(_) => "see whether the agent waits for a confirmation or a touch, or restart it",
                _ => "unlock the agent or add the key again (ssh-add), or name a key file",
            };
            return Failure::new(FailureKind::AgentRefused, message, next);
        }
        if let (Some(bad), false) = (self.offers.unusable.first(), progress.partial) {
            let others = if progress.offered.is_empty() { String::new() } else { format!("; {}", progress.describe()) };
            return Failure::new(FailureKind::Key, format!("{}{others}", bad.message), bad.next.clone());
        }
        let mut message = progress.describe();
        if progress.offered.is_empty() && progress.tried.is_empty() {
            let agent = self.offers.agent_note.as_deref().unwrap_or("the agent's keys are not wanted");
            message = format!("nothing to offer: no key file, no password, {agent}; {message}");
        }
        if let Some(notice) = self.peer.notice() {
            let _ = write!(message, "; the server's notice: {notice}");
        }
        let user = &self.resolved.user;
        let next = if progress.partial {
            "the server wants several steps: give it the missing one (ansible_password, another key)".to_owned()
        } else if progress.for_a_person {
            format!(
                "answer it by hand: ssh {user}@HOST; where it comes every time, log in with a key or as another user"
            )
        } else if !progress.tried.is_empty() {
            format!("check the password of {user} (-k, ansible_password), or whether it is locked or expired")
        } else if accepts(progress, MethodKind::PublicKey) {
            format!(
                "put the public key into ~{user}/.ssh/authorized_keys on the host, or name the right key or user \
                 (ansible_ssh_private_key_file, ansible_user)"
            )
        } else {
            "the server takes no keys: set ansible_password, or enable PubkeyAuthentication there".to_owned()
        };
        Failure::new(FailureKind::Auth, message, next)
    }

    /// The connection ended during the login: by whom, and why.
    async fn lost(&mut self, progress: &Progress) -> Failure {
        // The reason is written down when russh's task ends, which may be a moment after the answer.
        let _ = timeout(Duration::from_secs(1), &mut *self.handle).await;
        let after = progress.describe();
        match self.peer.gone() {
            Some(Gone::NoMethodLeft) => self.refused(progress),
            Some(Gone::Said(words)) if words.to_lowercase().contains("too many auth") => Failure::new(
                FailureKind::Auth,
                format!("the server ended the login: {words}; {after}"),
                "offer fewer keys: IdentitiesOnly yes and one IdentityFile for this host",
            ),
            _ => Failure {
                kind: FailureKind::ConnectionLost,
                layer: Layer::Auth,
                message: format!("{} during the login; {after}", self.peer.how_it_ended()),
                next: PENALTY.to_owned(),
            },
        }
    }
}

impl Progress {
    /// "offered 2 keys (…), tried the password, server accepts publickey".
    fn describe(&self) -> String {
        let mut parts = Vec::new();
        match self.offered.as_slice() {
            [] => {}
            [one] => parts.push(format!("offered {one}")),
            several => parts.push(format!("offered {} keys ({})", several.len(), several.join(", "))),
        }
        parts.extend(self.tried.iter().map(|way| format!("tried {way}")));
        if self.partial {
            parts.push("a part was accepted".to_owned());
        }
        if let Some(methods) = &self.accepts {
            let names: Vec<&str> = methods.iter().map(<&str>::from).collect();
            parts.push(format!("the server accepts {}", names.join(", ")));
        }
        parts.extend(self.notes.iter().cloned());
        if parts.is_empty() { "nothing was offered yet".to_owned() } else { parts.join(", ") }
    }

    /// The failure of a login whose deadline passed.
    pub(super) fn timed_out(&self, deadline: Duration) -> Failure {
        let message =
            format!("the login did not finish within {}: {}", super::stream::seconds(deadline), self.describe());
        let next = "look on the host for a slow PAM module, directory service or DNS (UseDNS), and at its load";
        Failure::new(FailureKind::AuthTimeout, message, next)
    }
}

fn accepts(progress: &Progress, method: MethodKind) -> bool {
    progress.accepts.as_ref().is_none_or(|methods| methods.contains(&method))
}

fn wants_password(prompt: &Prompt) -> bool {
    let text = prompt.prompt.to_lowercase();
    let second_factor = ["code", "otp", "token", "verification", "new password", "passcode"];
    !prompt.echo && !second_factor.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_prompts_for_the_password_are_answered() {
        let prompt = |text: &str, echo| Prompt { prompt: text.into(), echo };
        for (text, echo, expected) in [
            ("Password: ", false, true),
            ("(root@host) Passwort: ", false, true),
            ("Verification code: ", false, false),
            ("New password: ", false, false),
            ("Your name? ", true, false),
        ] {
            assert_eq!(wants_password(&prompt(text, echo)), expected, "{text}");
        }
    }

    #[test]
    fn progress_reads_as_one_sentence() {
        let mut progress = Progress::default();
        assert_eq!(progress.describe(), "nothing was offered yet");
        progress.offered = vec!["/root/.ssh/id_ed25519 SHA256:abc".into(), "agent: me SHA256:def".into()];
        progress.tried.push("the password");
        progress.accepts = Some(MethodSet::from(&[MethodKind::PublicKey, MethodKind::Password][..]));
        insta::assert_snapshot!(progress.describe(), @"offered 2 keys (/root/.ssh/id_ed25519 SHA256:abc, agent: me SHA256:def), tried the password, the server accepts publickey, password");
    }
}
