//! One run at a time on a node: a lock of the kernel, held by a shell that lives as long as the connection.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::answer::Answer;
use super::script::Script;
use super::{Hand, HandError, judge, request, settle, word};
use crate::probe;
use crate::ssh::{ExecOutcome, Live};

/// Far below the minute after which the node takes the connection for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// For as long as a run may take.
const EVER: Duration = Duration::from_hours(30 * 24);
/// For what an earlier connection left running.
const PATIENCE: Duration = Duration::from_secs(150);

/// The lock on a node. It ends when this is dropped, when the connection does, and on the node a minute after its last sign of life.
#[derive(Debug)]
pub struct Lock {
    /// Holds the shell's input open.
    heart: JoinHandle<()>,
    shell: JoinHandle<ExecOutcome>,
    /// The shell would be ended if nobody listened to it.
    _output: mpsc::UnboundedReceiver<Vec<u8>>,
}

impl Hand<'_> {
    /// Takes the node for this run, after what an earlier connection left running there has ended.
    pub async fn lock(&self, run: &str) -> Result<Lock, HandError> {
        let script = Script::new().set("RUN", word("a run", run)?).reading_on();
        let (nonce, text) = script.finish(&[include_str!("script/lock.sh")]);
        let (to_us, mut output) = mpsc::unbounded_channel();
        let (to_it, input) = mpsc::unbounded_channel();
        let (place, sudo) = (self.place().await?, self.sudo.cloned());
        let mut shell = tokio::spawn(async move {
            let command = probe::COMMAND.join(" ");
            let live = Live { output: Some(to_us), input: Some(input) };
            place.exec(request(&command, text.as_str(), sudo.as_ref(), EVER), live).await
        });
        let mut said = Vec::new();
        let answer = timeout(PATIENCE, async {
            while let Some(piece) = output.recv().await {
                said.extend_from_slice(&piece);
                if let Some(answer) = Answer::read(&said, &nonce) {
                    return Some(answer);
                }
            }
            None
        });
        match answer.await {
            Ok(Some(answer)) => {
                judge(answer)?;
            }
            Ok(None) => {
                let outcome = (&mut shell).await.map_err(|error| ours(&error))?;
                settle(&outcome, &said, &nonce)?;
            }
            Err(_) => {
                shell.abort();
                return Err(HandError::Connection(crate::ssh::timed_out(PATIENCE)));
            }
        }
        let heart = tokio::spawn(async move {
            loop {
                sleep(HEARTBEAT).await;
                if to_it.send(b".".to_vec()).is_err() {
                    return;
                }
            }
        });
        Ok(Lock { heart, shell, _output: output })
    }
}

fn ours(error: &tokio::task::JoinError) -> HandError {
    HandError::Failed { why: format!("the lock's own task broke: {error}"), next: "please report this".to_owned() }
}

impl Lock {
    /// As far as this side knows.
    pub fn is_held(&self) -> bool {
        !self.shell.is_finished()
    }

    /// Gives the node back, and waits until it is free.
    pub async fn release(mut self) {
        self.heart.abort();
        let _ = timeout(Duration::from_secs(20), &mut self.shell).await;
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.heart.abort();
    }
}
