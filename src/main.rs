//! The binary: keep its memory to itself, run the command line on a thread of its own, exit once.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

fn main() -> ExitCode {
    // Before there is any secret to keep. Where the kernel refuses, the work is still wanted.
    if let Err(error) = seaworthy::secret::keep_memory_private() {
        let _ = writeln!(std::io::stderr(), "seaworthy: a crash could write passwords into a core dump: {error}");
    }
    // The second Ctrl-C must end the process even while the worker is stuck (a terminal that does not read, a disk that
    // does not write): whichever message comes first decides.
    let (done, outcome) = mpsc::channel();
    let quit = done.clone();
    thread::spawn(move || {
        let code = seaworthy::commands::run(std::env::args_os(), move || {
            // Main is gone only if the process is ending already.
            let _ = quit.send(seaworthy::exit::ExitCode::Interrupted);
        });
        let _ = done.send(code);
    });
    // Without a message the worker panicked, and said so on standard error.
    outcome.recv().unwrap_or(seaworthy::exit::ExitCode::OwnError).into()
}
