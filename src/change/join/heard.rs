//! What a running join has printed so far, and what that says: bounded, and classified while it grows.

use crate::diagnose::join_log::{self, Attempt, FailureClass, Machine, NextStep, Outcome, Phase};

use super::retry::Ended;

/// Of a longer output the beginning is forgotten. kubeadm prints some kilobytes.
const MAX_BYTES: usize = 1 << 20;
const MAX_EVIDENCE: usize = 8;

/// The output of one attempt.
#[derive(Debug, Default)]
pub(super) struct Heard {
    bytes: Vec<u8>,
    /// All that came, what was forgotten included: where to go on.
    pub(super) received: u64,
    fresh: bool,
}

/// A failed attempt, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) ended: Ended,
    pub(super) why: String,
    pub(super) next: String,
    pub(super) evidence: Vec<String>,
}

impl Heard {
    pub(super) fn take(&mut self, chunk: &[u8]) {
        self.received += chunk.len() as u64;
        self.fresh = true;
        self.bytes.extend_from_slice(chunk);
        let over = self.bytes.len().saturating_sub(MAX_BYTES);
        self.bytes.drain(..over);
    }

    /// The phase that it reached, when something came since the last question.
    pub(super) fn reached(&mut self) -> Option<Phase> {
        if !std::mem::take(&mut self.fresh) {
            return None;
        }
        join_log::classify(&self.bytes).attempts.last().map(|attempt| attempt.reached)
    }

    /// What a join that ended with this status failed of.
    pub(super) fn failed(&self, code: i32) -> Failed {
        let log = join_log::classify(&self.bytes);
        let last = log.attempts.last();
        let ended = last.and_then(Ended::of);
        match (last, ended) {
            (Some(attempt), Some(ended)) => Self::classified(attempt, ended, &log),
            _ => self.unclassified(code),
        }
    }

    fn classified(attempt: &Attempt, ended: Ended, log: &join_log::JoinLog) -> Failed {
        let class = attempt.outcome.class();
        let clues = class.map(|class| log.clues_for(class)).unwrap_or_default();
        let mut evidence: Vec<String> = attempt.evidence.iter().map(|line| super::short(&line.text)).collect();
        evidence.extend(clues.iter().map(|clue| super::short(&clue.evidence.text)));
        evidence.truncate(MAX_EVIDENCE);
        let refused = match &attempt.outcome {
            Outcome::Failed { errors, .. } => errors.iter().map(|error| super::short(&error.message)).collect(),
            Outcome::Joined | Outcome::CutOff { .. } => Vec::new(),
        };
        let says = class.map_or("kubeadm failed", |class| class.says.as_str());
        let words = if refused.is_empty() { String::new() } else { format!(" ({})", refused.join("; ")) };
        Failed {
            why: super::short(&format!("kubeadm join failed: {says}{words}")),
            next: class.map(next_of).unwrap_or_default(),
            ended,
            evidence,
        }
    }

    /// Nothing in it is known.
    fn unclassified(&self, code: i32) -> Failed {
        let text = String::from_utf8_lossy(&self.bytes);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let evidence: Vec<String> = lines.iter().rev().take(3).rev().map(|line| super::short(line)).collect();
        let last = evidence.last().cloned().unwrap_or_default();
        let why = if last.is_empty() {
            format!("kubeadm join ended with status {code} and said nothing")
        } else {
            format!("kubeadm join ended with status {code}: {last}")
        };
        let next = "run kubeadm version -o short on the node, and read the message".to_owned();
        Failed { ended: Ended::new("unknown", &last), why: super::short(&why), next, evidence }
    }
}

/// What to run next, and where.
fn next_of(class: &FailureClass) -> String {
    class.next.iter().map(step).collect::<Vec<_>>().join("; then ")
}

fn step(step: &NextStep) -> String {
    let machine = match step.on {
        Machine::Node => "on the node",
        Machine::ControlPlane => "on the control plane",
    };
    let why = step.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    format!("{machine}: {}{why}", step.run)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(text: &str) -> Heard {
        let mut heard = Heard::default();
        heard.take(text.as_bytes());
        heard
    }

    #[test]
    fn the_phase_is_told_while_it_grows_and_once() {
        let mut heard = heard("[preflight] Running pre-flight checks\n");
        assert_eq!((heard.reached(), heard.reached()), (Some(Phase::Preflight), None));
        heard.take(
            b"[kubelet-start] Starting the kubelet\n[kubelet-start] Waiting for the kubelet to perform the TLS Bootst",
        );
        assert_eq!(heard.reached(), Some(Phase::KubeletStart));
        heard.take(b"rap...\n");
        assert_eq!(heard.reached(), Some(Phase::TlsBootstrap));
    }

    #[test]
    fn a_known_failure_has_its_class_words_and_next_step() {
        let failed = heard(
            "[preflight] Running pre-flight checks\nerror execution phase preflight: [preflight] Some fatal errors occurred:\n\
             \t[ERROR Port-10250]: Port 10250 is in use\n",
        )
        .failed(1);
        assert_eq!(failed.ended.class, "preflight-checks");
        assert!(failed.why.contains("something listens on the kubelet's port"), "{}", failed.why);
        assert!(failed.next.contains("on the node: ss -ltnp"), "{}", failed.next);
        assert!(failed.evidence.iter().any(|line| line.contains("Port 10250 is in use")));
    }

    #[test]
    fn an_unknown_failure_keeps_the_last_words() {
        let failed = heard("something\nof the abcdef.0123456789abcdef kind\n").failed(2);
        assert_eq!(failed.why, "kubeadm join ended with status 2: of the [redacted] kind");
        assert_eq!(heard("").failed(3).why, "kubeadm join ended with status 3 and said nothing");
    }

    #[test]
    fn the_beginning_of_an_endless_output_is_forgotten() {
        let mut heard = Heard::default();
        for _ in 0..40 {
            heard.take(&vec![b'x'; 64 << 10]);
        }
        assert_eq!((heard.bytes.len(), heard.received), (MAX_BYTES, 40 * (64 << 10)));
    }
}
