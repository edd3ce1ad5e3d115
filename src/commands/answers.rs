//! What the user was asked and typed: login password, sudo password, passphrases of keys. A command that reads everything else
//! anew again and again asks once and keeps the answers here, in memory and in their secret types, as long as it runs.
//!
//! What is asked for, and when, is decided elsewhere.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;

use super::common::ask_secret;
use crate::secret::secret;
use crate::ssh::keys::Locked;
use crate::ui::{Event, Events};

/// Whether somebody is there to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Asking {
    #[default]
    Open,
    /// Nobody may look at the terminal any more: a question would stop everything until somebody does.
    Over,
}

/// All answers so far.
#[derive(Debug, Default)]
pub(super) struct Answers {
    login: Option<SecretString>,
    sudo: Option<SecretString>,
    passphrases: BTreeMap<PathBuf, SecretString>,
    asking: Asking,
}

impl Answers {
    /// From now on nobody is asked: what was typed is all that there is.
    pub(super) const fn close(&mut self) {
        self.asking = Asking::Over;
    }

    pub(super) const fn asking(&self) -> Asking {
        self.asking
    }

    pub(super) fn login_password(&mut self) -> anyhow::Result<SecretString> {
        once(&mut self.login, "login password", "leave -k out and use a key")
    }

    pub(super) fn sudo_password(&mut self) -> anyhow::Result<SecretString> {
        once(&mut self.sudo, "sudo password", "use --become-password-file")
    }

    /// The passphrase of a key after so many wrong ones. Without a terminal the key stays locked, and the hosts that need it
    /// say so.
    pub(super) fn passphrase(&mut self, key: &Locked, wrong_so_far: u32, events: &Events) -> Option<SecretString> {
        if self.asking == Asking::Over {
            return self.passphrases.get(&key.path).filter(|_| wrong_so_far == 0).cloned();
        }
        let fingerprint = key.fingerprint.as_deref().map(|print| format!(" ({print})")).unwrap_or_default();
        let again = if wrong_so_far > 0 { "wrong, once more: " } else { "" };
        let path = key.path.display();
        let Ok(answer) = rpassword::prompt_password(format!("{again}passphrase of {path}{fingerprint}: ")) else {
            events.send(Event::Warning(format!(
                "{path} is encrypted and there is no terminal to ask for its passphrase on; add it to an agent"
            )));
            return None;
        };
        let answer = secret(answer);
        self.passphrases.insert(key.path.clone(), answer.clone());
        Some(answer)
    }
}

fn once(known: &mut Option<SecretString>, what: &str, instead: &str) -> anyhow::Result<SecretString> {
    if let Some(known) = known {
        return Ok(known.clone());
    }
    Ok(known.insert(ask_secret(what, instead)?).clone())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::ui::{Display, Progress};

    #[test]
    fn afterwards_what_was_typed_is_all_that_there_is() {
        let known = |path: &str| Locked { path: path.into(), fingerprint: None };
        let mut answers = Answers {
            login: Some("login".to_owned().into()),
            sudo: Some("sudo".to_owned().into()),
            passphrases: [("a".into(), "phrase".to_owned().into())].into(),
            asking: Asking::Open,
        };
        answers.close();
        assert_eq!(answers.asking(), Asking::Over);
        let (events, display) = Display::start(Progress::Off, true);
        let mut phrase = |path, wrong| {
            answers.passphrase(&known(path), wrong, &events).map(|phrase| phrase.expose_secret().to_owned())
        };
        // A passphrase that no longer fits, or that was never typed, is not asked for.
        assert_eq!([phrase("a", 0), phrase("a", 1), phrase("b", 0)], [Some("phrase".to_owned()), None, None]);
        assert_eq!(answers.login_password().unwrap().expose_secret(), "login");
        assert_eq!(answers.sudo_password().unwrap().expose_secret(), "sudo");
        assert!(!format!("{answers:?}").contains("phrase\""), "secrets are not printed");
        display.finish(Duration::from_mins(1));
    }
}
