//! A host's connection, for one piece of work or for many.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::{Collector, Host, Way};
use crate::failure::Failure;
use crate::reach::Line;
use crate::ssh::{ConnectError, ExecOutcome, ExecRequest, Session, local};
use crate::timings::Timings;
use crate::ui::Event;

/// A host that commands can be run on.
#[derive(Debug)]
pub struct Opened {
    pub(super) begun: Instant,
    /// `None` for this machine.
    session: Option<Session>,
}

impl Opened {
    pub fn line(&self) -> Line<'_> {
        self.session.as_ref().map_or(Line::Here, Line::Session)
    }

    pub(super) async fn exec(&self, request: ExecRequest<'_>) -> ExecOutcome {
        match &self.session {
            Some(session) => session.exec(request).await,
            None => local::exec(request).await,
        }
    }

    pub(super) fn timings(&self) -> Timings {
        self.session.as_ref().map(|session| session.timings).unwrap_or_default()
    }

    /// Says goodbye and closes; the time since the beginning.
    pub async fn close(self) -> Duration {
        if let Some(session) = self.session {
            session.close().await;
        }
        self.begun.elapsed()
    }
}

impl Collector {
    /// Connects. A host key that is new is learned or kept to be asked about, as in a sweep.
    pub async fn open(&self, host: &Host) -> Result<Opened, (Failure, Timings)> {
        let begun = Instant::now();
        let destination = match &host.way {
            Way::None(failure) => return Err((failure.clone(), Timings::default())),
            Way::Local => return Ok(Opened { begun, session: None }),
            Way::Ssh(destination) => destination,
        };
        match self.connector.connect(destination).await {
            Ok(mut session) => {
                if let Some(key) = session.learned.take() {
                    self.learned
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(key.name.clone(), host.target.name.clone());
                    self.events.send(Event::HostKeyLearned {
                        name: host.target.name.clone(),
                        fingerprint: key.fingerprint,
                        key_type: key.key_type,
                    });
                }
                Ok(Opened { begun, session: Some(session) })
            }
            Err(ConnectError { failure, timings, unknown_key }) => {
                if let Some(key) = unknown_key {
                    self.unknown_keys.lock().unwrap_or_else(PoisonError::into_inner).push(*key);
                }
                Err((failure, timings))
            }
        }
    }
}
