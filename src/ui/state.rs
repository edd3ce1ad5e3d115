//! What the progress line says, as a pure function of the events so far. No clock, no terminal.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ui::{Event, HostOutcome};
use crate::{duration, text};

/// What the progress line tells. Times are since the start of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    hosts: usize,
    ok: usize,
    problems: usize,
    failed: usize,
    /// When each host that is worked on was started.
    running: BTreeMap<String, Duration>,
    interrupted: bool,
}

impl State {
    /// Takes an event in; gives the harmless message that it is worth, if any. Lines are not cut: they may be copied.
    pub fn apply(&mut self, event: Event, now: Duration) -> Option<String> {
        match event {
            // A run may have several parts: it sweeps, changes, and sweeps again.
            Event::RunStarted { hosts } => *self = Self { hosts, interrupted: self.interrupted, ..Self::default() },
            Event::HostStarted { name } => {
                self.running.insert(name, now);
            }
            Event::HostDone { name, outcome } => {
                self.running.remove(&name);
                match outcome {
                    HostOutcome::Ok => self.ok += 1,
                    HostOutcome::Problems => self.problems += 1,
                    HostOutcome::Failed(_) => self.failed += 1,
                }
            }
            Event::HostKeyLearned { name, fingerprint, key_type } => {
                let [name, fingerprint, key_type] = [&name, &fingerprint, &key_type].map(|part| text::sanitize(part));
                return Some(format!("{name}: learned its host key, {key_type} {fingerprint}"));
            }
            Event::ActionBegun { name, action } => return Some(told(&name, &action)),
            Event::ActionEnded { name, action, ended } => {
                return Some(format!("{}: {}", told(&name, &action), text::sanitize(&ended)));
            }
            Event::ActionPhase { name, phase } => return Some(told(&name, &phase)),
            Event::Warning(warning) => return Some(format!("warning: {}", text::sanitize(&warning))),
            Event::Interrupted => {
                let first = !std::mem::replace(&mut self.interrupted, true);
                let message = "interrupted: starting no more hosts, ending the running ones (Ctrl-C again quits)";
                return first.then(|| message.to_owned());
            }
            Event::RunDone => self.running.clear(),
        }
        None
    }

    const fn done(&self) -> usize {
        self.ok + self.problems + self.failed
    }

    /// The host that has been worked on for the longest time.
    fn slowest(&self) -> Option<(&str, Duration)> {
        let (name, since) = self.running.iter().min_by_key(|(_, since)| **since)?;
        Some((name, *since))
    }
}

fn told(name: &str, what: &str) -> String {
    format!("{}: {}", text::sanitize(name), text::sanitize(what))
}

/// The progress line in at most `width` columns: `137/210 done · 3 failed · 64 running · slowest now: node7 3.2s`.
///
/// Parts that do not fit are left out from the end, never cut in the middle of a figure.
pub fn progress_line(state: &State, elapsed: Duration, width: usize) -> String {
    let mut parts = vec![format!("{}/{} done", state.done(), state.hosts)];
    if state.failed > 0 {
        parts.push(format!("{} failed", state.failed));
    }
    if state.problems > 0 {
        parts.push(format!("{} with problems", state.problems));
    }
    if state.interrupted {
        parts.push("stopping".to_owned());
    }
    if !state.running.is_empty() {
        parts.push(format!("{} running", state.running.len()));
    }
    if let Some((name, since)) = state.slowest() {
        let age = elapsed.saturating_sub(since);
        // A host that has just begun is not slow.
        if age >= Duration::from_secs(1) {
            let name = text::sanitize(name);
            let name = text::truncate(&name, 32, "...");
            parts.push(format!("slowest now: {name} {}", duration::rough(age)));
        }
    }
    let mut line = String::new();
    for part in parts {
        let gap = if line.is_empty() { "" } else { ", " };
        if text::width(&line) + gap.len() + text::width(&part) > width {
            break;
        }
        line.push_str(gap);
        line.push_str(&part);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind;

    fn started(name: &str) -> Event {
        Event::HostStarted { name: name.to_owned() }
    }

    fn done(name: &str, outcome: HostOutcome) -> Event {
        Event::HostDone { name: name.to_owned(), outcome }
    }

    fn state(events: impl IntoIterator<Item = (u64, Event)>) -> State {
        let mut state = State::default();
        for (millis, event) in events {
            state.apply(event, Duration::from_millis(millis));
        }
        state
    }

    #[test]
    fn the_line_tells_what_is_done_and_who_is_slow() {
        let state = state([
            (0, Event::RunStarted { hosts: 210 }),
            (0, started("node7")),
            (1, started("node8")),
            (2, started("node9")),
            (3, started("node10")),
            (3, started("node11")),
            (40, done("node8", HostOutcome::Ok)),
            (41, done("node9", HostOutcome::Failed(FailureKind::Refused))),
            (42, done("node11", HostOutcome::Problems)),
        ]);
        let line = |millis, width| progress_line(&state, Duration::from_millis(millis), width);
        insta::assert_snapshot!(line(3240, 100), @"3/210 done, 1 failed, 1 with problems, 2 running, slowest now: node7 3.2s");
        insta::assert_snapshot!(line(900, 100), @"3/210 done, 1 failed, 1 with problems, 2 running");
        insta::assert_snapshot!(line(3240, 60), @"3/210 done, 1 failed, 1 with problems, 2 running");
        insta::assert_snapshot!(line(3240, 19), @"3/210 done");
        insta::assert_snapshot!(line(3240, 5), @"");
    }

    #[test]
    fn a_name_cannot_break_the_line() {
        let name = format!("\u{1b}[2J\n{}", "x".repeat(500));
        let state = state([(0, Event::RunStarted { hosts: 1 }), (0, started(&name))]);
        insta::assert_snapshot!(
            progress_line(&state, Duration::from_secs(2), 100),
            @r"0/1 done, 1 running, slowest now: \x1b[2J\nxxxxxxxxxxxxxxxxxxxx... 2.0s"
        );
    }
}
