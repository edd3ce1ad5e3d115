//! Ctrl-C and SIGTERM: the first stops the run and keeps what arrived, the second quits.

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
}

impl Signals {
    fn listen() -> Self {
        Self { interrupt: signal(SignalKind::interrupt()).ok(), terminate: signal(SignalKind::terminate()).ok() }
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
        }
    }
}
