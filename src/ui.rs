//! Progress and messages on standard error: the one consumer of the workers' events.
//!
//! Workers send an [`Event`] and go on. The channel has no bound, because the number of events is bounded by the number of
//! hosts, so a slow or stopped terminal (Ctrl-S) costs a little memory and never holds up a worker. A thread of its own draws,
//! at most ten times a second. Standard output is not touched here.

mod state;

use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::FailureKind;
use crate::text;

pub use state::{State, progress_line};

/// How often the line is drawn again while nothing happens, so that its clock goes on; also the shortest time between two.
const REDRAW: Duration = Duration::from_millis(100);

/// What the workers tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    RunStarted {
        hosts: usize,
    },
    HostStarted {
        name: String,
    },
    HostDone {
        name: String,
        outcome: HostOutcome,
    },
    /// A host that was not known before presented this key, and it was learned.
    HostKeyLearned {
        name: String,
        /// `SHA256:...`
        fingerprint: String,
        /// `ssh-ed25519`
        key_type: String,
    },
    /// Something is being done to a host: `restart containerd`.
    ActionBegun {
        name: String,
        action: String,
    },
    /// It ended, in a few words: `done`, `failed: the disk is full`.
    ActionEnded {
        name: String,
        action: String,
        ended: String,
    },
    /// How far a long action is: `TLS bootstrap`.
    ActionPhase {
        name: String,
        phase: String,
    },
    Warning(String),
    /// The first Ctrl-C: no further host is started.
    Interrupted,
    RunDone,
}

/// How a host's work ended, as far as progress cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostOutcome {
    Ok,
    /// Read, and something is wrong with it.
    Problems,
    Failed(FailureKind),
}

/// Whether the progress line is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// On standard error.
    Bar,
    /// Messages only.
    Off,
}

impl Progress {
    /// Never without a terminal that can redraw a line, and not when the user said `--no-progress` or `-q`.
    pub fn choose(stderr_is_terminal: bool, term: Option<&str>, unwanted: bool) -> Self {
        if stderr_is_terminal && term != Some("dumb") && !unwanted { Self::Bar } else { Self::Off }
    }
}

/// The workers' end. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Events {
    sender: Sender<Event>,
    screen: Arc<Mutex<()>>,
}

impl Events {
    /// Keeps the display from drawing as long as the guard lives, for a question on the terminal. The progress line may still
    /// stand there.
    pub fn hold(&self) -> MutexGuard<'_, ()> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never blocks and never fails: nobody's work depends on being watched.
    pub fn send(&self, event: Event) {
        // The only error is a display that has ended.
        let _ = self.sender.send(event);
    }
}

/// The display's end, for whoever waits for the run.
#[derive(Debug)]
pub struct Display {
    events: Events,
    finished: Receiver<()>,
}

impl Display {
    /// Starts the display on standard error.
    pub fn start(progress: Progress, unicode: bool) -> (Events, Self) {
        let screen = match progress {
            Progress::Bar => Screen::Bar(bar()),
            Progress::Off => Screen::Lines(Box::new(io::stderr())),
        };
        Self::on(screen, unicode)
    }

    fn on(screen: Screen, unicode: bool) -> (Events, Self) {
        let (sender, events) = mpsc::channel();
        let (done, finished) = mpsc::channel();
        // Not joined: a terminal that takes nothing would keep the program from ending. `finish` waits with a limit.
        let lock = Arc::new(Mutex::new(()));
        let drawing = Arc::clone(&lock);
        thread::spawn(move || {
            consume(&events, screen, &drawing, unicode);
            let _ = done.send(());
        });
        let events = Events { sender, screen: lock };
        (events.clone(), Self { events, finished })
    }

    /// Ends the display after what was sent so far is shown, so that nothing is drawn over the report. Gives up after
    /// `patience` when the terminal takes no more.
    pub fn finish(self, patience: Duration) {
        self.events.send(Event::RunDone);
        let _ = self.finished.recv_timeout(patience);
    }
}

/// Where messages and the progress line go.
enum Screen {
    Bar(ProgressBar),
    Lines(Box<dyn Write + Send>),
}

fn bar() -> ProgressBar {
    // Redraws are limited by the consumer already; indicatif's own limit only guards against a flood.
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(20));
    bar.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar
}

impl Screen {
    /// A message that stays. It is printed above the progress line.
    fn message(&mut self, message: &str) {
        // Nobody can be told when standard error is gone.
        let _ = match self {
            // Not the bar's own `println`, which drops the message when the bar is hidden.
            Self::Bar(bar) => bar.suspend(|| writeln!(io::stderr(), "{message}")),
            Self::Lines(out) => writeln!(out, "{message}"),
        };
    }

    fn draw(&self, state: &State, elapsed: Duration) {
        if let Self::Bar(bar) = self {
            bar.set_message(progress_line(state, elapsed, terminal_width()));
            bar.tick();
        }
    }

    fn end(&mut self) {
        match self {
            Self::Bar(bar) => bar.finish_and_clear(),
            Self::Lines(out) => {
                let _ = out.flush();
            }
        }
    }
}

/// The terminal's width now: it may be resized during a run. One column is left free, because some terminals wrap when the
/// last one is written.
fn terminal_width() -> usize {
    let columns = rustix::termios::tcgetwinsize(io::stderr()).map_or(0, |size| usize::from(size.ws_col));
    if columns == 0 { 79 } else { columns - 1 }
}

fn consume(events: &Receiver<Event>, mut screen: Screen, drawing: &Mutex<()>, unicode: bool) {
    let started = Instant::now();
    let mut state = State::default();
    let mut drawn: Option<Instant> = None;
    loop {
        let event = match events.recv_timeout(REDRAW) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        // Whoever asks the user something has the screen for itself.
        let _drawing = drawing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(event) = event {
            if event == Event::RunDone {
                break;
            }
            if let Some(message) = state.apply(event, started.elapsed()) {
                let message = if unicode { message.into() } else { text::to_ascii(&message) };
                screen.message(&message);
            }
        }
        if drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW) {
            screen.draw(&state, started.elapsed());
            drawn = Some(Instant::now());
        }
    }
    screen.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(name: &str) -> Event {
        Event::HostStarted { name: name.to_owned() }
    }

    fn done(name: &str, outcome: HostOutcome) -> Event {
        Event::HostDone { name: name.to_owned(), outcome }
    }

    #[test]
    fn only_a_capable_terminal_gets_a_bar() {
        assert_eq!(Progress::choose(true, Some("xterm"), false), Progress::Bar);
        assert_eq!(Progress::choose(true, None, false), Progress::Bar);
        assert_eq!(Progress::choose(false, Some("xterm"), false), Progress::Off);
        assert_eq!(Progress::choose(true, Some("dumb"), false), Progress::Off);
        assert_eq!(Progress::choose(true, Some("xterm"), true), Progress::Off);
    }

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn messages_come_in_order_and_harmless() {
        let out = Shared::default();
        let (events, display) = Display::on(Screen::Lines(Box::new(out.clone())), false);
        events.send(Event::RunStarted { hosts: 2 });
        events.send(started("a"));
        events.send(Event::HostKeyLearned {
            name: "a".to_owned(),
            fingerprint: "SHA256:abc\r".to_owned(),
            key_type: "ssh-ed25519".to_owned(),
        });
        events.send(Event::Warning("ünknown\nkey \u{1b}[31m".to_owned()));
        events.send(Event::Interrupted);
        events.send(Event::Interrupted);
        events.send(done("a", HostOutcome::Ok));
        display.finish(Duration::from_mins(1));
        // After the end nobody listens, and nobody minds.
        events.send(started("b"));
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        insta::assert_snapshot!(text, @r"
        a: learned its host key, ssh-ed25519 SHA256:abc\r
        warning: \u{fc}nknown\nkey \x1b[31m
        interrupted: starting no more hosts, ending the running ones (Ctrl-C again quits)
        ");
    }

    /// A terminal that takes nothing until the test lets it.
    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_terminal_holds_up_nobody() {
        let (release, stuck) = mpsc::channel();
        let (events, display) = Display::on(Screen::Lines(Box::new(Stuck(stuck))), true);
        for host in 0..10_000 {
            events.send(Event::Warning(format!("host {host}")));
        }
        display.finish(Duration::from_millis(20));
        // Getting here is the claim; without the limit the line above would wait for `release`.
        drop(release);
    }
}
