//! Writing what was learned while a run goes on: many keys at a time, so that 10,000 new hosts do not rewrite the file
//! 10,000 times.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{FlushReport, KnownHosts};

/// How long keys are collected. A run that is killed loses at most these; the next one learns them again.
const COLLECT: Duration = Duration::from_millis(500);

/// Flushes what was learned now and then while a run goes on, and surely at its end.
#[derive(Debug)]
pub struct Learner {
    stop: oneshot::Sender<()>,
    task: JoinHandle<FlushReport>,
}

impl Learner {
    /// Starts flushing in the background, within a tokio runtime.
    pub fn start(hosts: Arc<KnownHosts>) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut report = FlushReport::default();
            loop {
                tokio::select! {
                    _ = &mut stopped => break,
                    () = hosts.learned.notified() => {}
                }
                tokio::select! {
                    _ = &mut stopped => break,
                    () = tokio::time::sleep(COLLECT) => report.add(flush(&hosts).await),
                }
            }
            report.add(flush(&hosts).await);
            report
        });
        Self { stop, task }
    }

    /// Writes the rest. The report covers the whole run.
    pub async fn finish(self) -> FlushReport {
        // Fails only when the task is gone, which the next line notices.
        let _ = self.stop.send(());
        self.task.await.unwrap_or_default()
    }
}

async fn flush(hosts: &Arc<KnownHosts>) -> FlushReport {
    let hosts = Arc::clone(hosts);
    tokio::task::spawn_blocking(move || hosts.flush()).await.unwrap_or_default()
}

impl FlushReport {
    fn add(&mut self, later: Self) {
        self.written += later.written;
        self.conflicts.extend(later.conflicts);
        // What failed before is still queued, so that the last attempt alone counts.
        self.errors = later.errors;
    }
}
