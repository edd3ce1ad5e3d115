//! Ctrl-C, SIGTERM and SIGHUP: the first stops the run and keeps what arrived, the second quits.

use std::fs;
use std::future::pending;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Tells every worker that the user wants to stop. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Interrupt {
    fired: watch::Receiver<bool>,
}

impl Interrupt {
    /// Listens from now on, within a tokio runtime. `quit` is called at the second signal.
    pub fn listen(quit: impl FnOnce() + Send + 'static) -> Self {
        let (fire, fired) = watch::channel(false);
        let mut signals = Signals::listen();
        tokio::spawn(async move {
            signals.next().await;
            // Without a worker that listens there is nobody to stop.
            let _ = fire.send(true);
            // A terminal that goes away may say so twice, by the system and by the shell: that is nobody in a hurry.
            signals.hangup = None;
            signals.next().await;
            quit();
        });
        Self { fired }
    }

    /// Fires when that has happened. Within a tokio runtime.
    pub fn when(happened: impl Future<Output = ()> + Send + 'static) -> Self {
        let (fire, fired) = watch::channel(false);
        tokio::spawn(async move {
            happened.await;
            let _ = fire.send(true);
        });
        Self { fired }
    }

    /// One that never fires.
    pub fn never() -> Self {
        let (_, fired) = watch::channel(false);
        Self { fired }
    }

    /// Returns once the first signal came.
    pub async fn wait(&mut self) {
        if self.fired.wait_for(|fired| *fired).await.is_err() {
            // The listener is gone: no signal can come any more.
            pending::<()>().await;
        }
    }

    pub fn has_fired(&self) -> bool {
        *self.fired.borrow()
    }
}

struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    /// The terminal is gone, or the connection that it was on.
    hangup: Option<Signal>,
}

impl Signals {
    fn listen() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        // Under nohup the run goes on. Where the system does not say what is ignored, it does what the system does.
        let hangup = if hears_hangup(&status) { signal(SignalKind::hangup()).ok() } else { None };
        Self {
            interrupt: signal(SignalKind::interrupt()).ok(),
            terminate: signal(SignalKind::terminate()).ok(),
            hangup,
        }
    }

    async fn next(&mut self) {
        async fn one(source: Option<&mut Signal>) {
            match source {
                Some(source) => {
                    source.recv().await;
                }
                None => pending().await,
            }
        }
        tokio::select! {
            () = one(self.interrupt.as_mut()) => {}
            () = one(self.terminate.as_mut()) => {}
            () = one(self.hangup.as_mut()) => {}
        }
    }
}

/// Whether a process with this `/proc/self/status` does not ignore SIGHUP, which is the first bit.
fn hears_hangup(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hangup_is_heard_unless_it_is_ignored() {
        for (status, hears) in [
            ("Name:\tx\nSigIgn:\t0000000000001000\nSigCgt:\t0000000000000001\n", true),
            ("Name:\tx\nSigIgn:\t0000000000001001\n", false),
            ("Name:\tx\n", false),
        ] {
            assert_eq!(hears_hangup(status), hears, "{status}");
        }
    }
}
