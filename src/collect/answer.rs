//! What a probe's output amounts to: sections in the record, or the failure that only the output shows.

use std::time::SystemTime;

use crate::failure::{Failure, FailureKind};
use crate::probe::frame::{self, FrameError, Limits};
use crate::probe::{self, Nonce, redact};
use crate::record::{Capture, ClockSample, Record};
use crate::ssh::{ExecOutcome, Exit};

/// Cuts the output into sections, and adds the failure that only the output shows.
pub(super) fn read(record: &mut Record, outcome: &ExecOutcome, nonce: &Nonce) {
    match probe::read(&outcome.stdout, &outcome.stderr, nonce, &Limits::DEFAULT) {
        Ok(capture) => {
            record.clock = clock(outcome, nonce);
            name_what_is_missing(record, &capture, outcome);
            record.probe = Some(capture);
        }
        Err(error) => match &mut record.failure {
            None => record.failure = Some(no_capture(&error, outcome)),
            Some(failure) if failure.kind == FailureKind::ExecTimeout => never_began(failure, &error, outcome),
            // Such as a lost connection, which says more than the missing greeting that follows from it.
            Some(_) => {}
        },
    }
}

/// The first line on standard error with something in it, of a printable length.
fn complaint(outcome: &ExecOutcome) -> String {
    let stderr = String::from_utf8_lossy(&outcome.stderr);
    let said = stderr.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    redact::text(said).chars().take(200).collect()
}

/// A login that waits for something is another thing than a probe that hangs.
fn never_began(failure: &mut Failure, error: &FrameError, outcome: &ExecOutcome) {
    let said = match error {
        FrameError::NoGreeting { first_line } => first_line.clone(),
        FrameError::Silent | FrameError::Version { .. } => complaint(outcome),
    };
    let said = if said.is_empty() { "nothing".to_owned() } else { said };
    let next = "look at what comes before a command there: a home on a dead mount, a prompt (new password, sudo), a menu, \
                a startup file that waits";
    *failure = Failure::new(failure.kind, format!("{} and never began; the host said: {said}", failure.message), next);
}

/// Why there is nothing to parse although the command ended.
fn no_capture(error: &FrameError, outcome: &ExecOutcome) -> Failure {
    let said = complaint(outcome);
    let (message, next) = match error {
        FrameError::Silent if said.is_empty() => (
            format!("the login shell ended {} without running the probe", ended(&outcome.exit)),
            "give the account a shell that runs `sh -s` (not nologin, no forced command)",
        ),
        FrameError::Silent => (
            format!("the login shell ended {} without running the probe: {said}", ended(&outcome.exit)),
            "run `sh -s </dev/null` over ssh there by hand and mend what it says",
        ),
        FrameError::NoGreeting { .. } => {
            (error.to_string(), "give the account a shell that runs `sh -s` (not nologin, no forced command)")
        }
        FrameError::Version { .. } => (error.to_string(), "sweep with the version of seaworthy that the script is of"),
    };
    Failure::new(FailureKind::Protocol, message, next)
}

fn ended(exit: &Exit) -> String {
    match exit {
        Exit::Code(code) => format!("with exit code {code}"),
        Exit::Signal(signal) => format!("by signal {signal}"),
        Exit::Missing => "without an exit code".to_owned(),
    }
}

/// Says which sections a cut-off probe did not get to, as that is where the node hangs.
fn name_what_is_missing(record: &mut Record, capture: &Capture, outcome: &ExecOutcome) {
    let missing = || {
        let shown = capture.missing.iter().take(4).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = capture.missing.len().saturating_sub(4);
        match (shown.is_empty(), more) {
            (true, _) => "all that it announced came".to_owned(),
            (false, 0) => format!("it did not get to {shown}"),
            (false, _) => format!("it did not get to {shown} and {more} more"),
        }
    };
    match &mut record.failure {
        Some(failure) if failure.kind == FailureKind::ExecTimeout && capture.complete => {
            let next =
                "its answer is whole; look for what keeps a session open there (a process that the login shell starts)";
            *failure = Failure::new(failure.kind, format!("{}, though the probe did", failure.message), next);
        }
        Some(failure) if failure.kind == FailureKind::ExecTimeout => {
            failure.message = format!("{}; {}", failure.message, missing());
        }
        None if !capture.complete && capture.sections.len() >= Limits::DEFAULT.sections => {
            record.failure = Some(Failure::new(
                FailureKind::OutputLimit,
                format!("the host sent more than {} sections", Limits::DEFAULT.sections),
                "what answers there is not the probe: look at the account's shell and any forced command",
            ));
        }
        None if !capture.complete => {
            record.failure = Some(Failure::new(
                FailureKind::Protocol,
                format!("the probe ended early {}; {}", ended(&outcome.exit), missing()),
                "run the command `sh -s </dev/null` there by hand, and look at the node's memory and limits",
            ));
        }
        Some(_) | None => {}
    }
}

fn clock(outcome: &ExecOutcome, nonce: &Nonce) -> Option<ClockSample> {
    let node_ms = frame::greeting(&outcome.stdout, nonce)?.ok()?.node_ms?;
    let marker = format!("@@{} hello", nonce.as_str());
    let offset = outcome.stdout.windows(marker.len()).position(|window| window == marker.as_bytes())?;
    Some(ClockSample {
        sent_ms: epoch_ms(outcome.sent?.clock),
        received_ms: epoch_ms(outcome.arrived(offset)?.clock),
        node_ms,
    })
}

fn epoch_ms(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
