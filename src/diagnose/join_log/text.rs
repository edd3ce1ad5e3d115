//! The text of `seaworthy diagnose --join-log`: what failed, what is proven good, what is left, and what to run. Machines
//! that failed alike are told once.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::model::{
    Attempt, Caveat, Clue, Cut, Evidence, JoinLog, Machine, NextStep, Nothing, OtherKind, Outcome, Phase, Stream,
};
use super::table::TABLE;
use crate::report::style::{Style, Tone};
use crate::{duration, names, text};

/// The column of the values.
const INDENT: usize = 14;
/// Wider lines of prose are hard to read.
const WIDEST: usize = 110;
/// So many earlier attempts of a machine are told.
const MAX_EARLIER: usize = 8;

/// Why there is no join in a log, and what to do instead.
pub fn nothing_says(nothing: Nothing) -> &'static str {
    match nothing {
        Nothing::Empty => "the log is empty; save the join's output with: kubeadm join ... --v=5 2>&1 | tee join.log",
        Nothing::Binary => "this is no text; give the output of kubeadm join, not an archive or a program",
        Nothing::OnlyOther(OtherKind::Reset) => "only a kubeadm reset ran in this log, no kubeadm join",
        Nothing::OnlyOther(OtherKind::Init) => "only a kubeadm init ran in this log, no kubeadm join",
        Nothing::OnlyOther(OtherKind::Upgrade) => "only a kubeadm upgrade ran in this log, no kubeadm join",
        Nothing::OnlyCommand => {
            "the log holds the join command and nothing that kubeadm printed; save both streams with 2>&1"
        }
        Nothing::NoKubeadm => {
            "there is no output of kubeadm join in this log; if it is the kubelet's, give the output of the join instead"
        }
    }
}

/// The whole log as text for a terminal or a file.
pub fn render(log: &JoinLog, style: &Style) -> String {
    let mut page = Page { style: *style, width: style.width.min(WIDEST), out: String::new() };
    if let Some(nothing) = log.nothing {
        page.prose(nothing_says(nothing));
    }
    for (index, group) in groups(log).iter().enumerate() {
        if index > 0 {
            page.out.push('\n');
        }
        page.group(log, group);
    }
    page.clues(log);
    if log.left_out > 0 {
        page.out.push('\n');
        page.prose(&format!("{} earlier attempts are not listed", log.left_out));
    }
    if log.skipped_bytes > 0 {
        page.out.push('\n');
        page.prose(&format!("the first {} MiB of the log were not read", log.skipped_bytes.div_ceil(1 << 20)));
    }
    page.out
}

/// Last attempts of machines that ended alike, the worst first.
fn groups(log: &JoinLog) -> Vec<Vec<&Attempt>> {
    let key = |attempt: &Attempt| {
        let errors: Vec<String> = match &attempt.outcome {
            Outcome::Failed { errors, .. } => errors.iter().map(|error| error.name.clone()).collect(),
            _ => Vec::new(),
        };
        (attempt.reached, attempt.outcome.class().map(|class| class.id.clone()), errors, attempt.outcome.ending())
    };
    let mut places = BTreeMap::new();
    let mut groups: Vec<Vec<&Attempt>> = Vec::new();
    for attempt in log.last() {
        let place = *places.entry(key(attempt)).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(attempt),
            None => groups.push(vec![attempt]),
        }
    }
    groups.sort_by_key(|group| Reverse(group.first().map(|attempt| attempt.outcome.ending())));
    groups
}

/// The page that is being written.
struct Page {
    style: Style,
    width: usize,
    out: String,
}

impl Page {
    fn group(&mut self, log: &JoinLog, group: &[&Attempt]) {
        let Some(attempt) = group.first() else { return };
        let (headline, tone) = headline(attempt);
        let who = attempt.host.as_ref().map(|host| format!("{host}: ")).unwrap_or_default();
        for line in text::wrap(&self.style.text(&format!("{who}{headline}")), self.width) {
            let painted = self.style.paint(tone, &line).into_owned();
            let _ = writeln!(self.out, "{painted}");
        }
        if group.len() > 1 {
            let hosts = group.iter().skip(1).filter_map(|attempt| attempt.host.as_deref());
            self.field("also", &format!("{} ({})", names::folded(hosts), group.len() - 1));
        }
        self.attempt(log, attempt);
        self.conclusion(log, attempt);
        self.earlier(log, attempt);
    }

    fn attempt(&mut self, log: &JoinLog, attempt: &Attempt) {
        let total = log.attempts.iter().rfind(|other| other.host == attempt.host).map_or(1, |last| last.number);
        let started = attempt.started.as_ref().map(|at| format!(", started {at}")).unwrap_or_default();
        self.field("attempt", &format!("{} of {total}{started}", attempt.number));
        if attempt.reached != Phase::Joined {
            self.field(
                "stopped",
                &format!("in the phase {}: {}", attempt.reached.id(), TABLE.phase(attempt.reached).title),
            );
        }
        let reset = if attempt.after_reset { "; kubeadm reset ran in between" } else { "" };
        if let Some(before) = attempt.same_as {
            self.field(
                "changed",
                &format!(
                    "attempt {} changed nothing: same phase, same evidence as attempt {before}{reset}",
                    attempt.number
                ),
            );
        } else if attempt.after_reset && attempt.number > 1 {
            self.field("changed", "kubeadm reset ran since the attempt before");
        }
        if let Outcome::CutOff { by, .. } = attempt.outcome {
            self.field("cut off", cut_says(by));
        }
        if attempt.reached > Phase::Preflight && attempt.reached != Phase::Joined {
            self.field("proven good", &proven(attempt));
        }
        if let Some(left) = attempt.outcome.class().and_then(|class| class.leaves.as_ref()) {
            self.field("left", left);
        }
        if let Outcome::Failed { errors, .. } = &attempt.outcome {
            for error in errors {
                self.field("refused", &format!("{}: {}", error.name, error.says));
            }
        }
        for caveat in &attempt.caveats {
            self.caveat(caveat, attempt);
        }
        if let Some(command) = &attempt.command {
            self.field("command", command);
        }
        for (index, line) in attempt.evidence.iter().enumerate() {
            self.field(if index == 0 { "evidence" } else { "" }, &quoted(line));
        }
    }

    fn conclusion(&mut self, log: &JoinLog, attempt: &Attempt) {
        let Some(class) = attempt.outcome.class() else {
            match &attempt.outcome {
                Outcome::Joined => self.steps(&TABLE.phase(Phase::Joined).otherwise.next),
                _ => self.steps(&TABLE.phase(attempt.reached).otherwise.next),
            }
            return;
        };
        for (index, clue) in log.clues_for(class).into_iter().enumerate() {
            self.field(if index == 0 { "also said" } else { "" }, &clue_says(clue));
        }
        if !class.checks.is_empty() {
            self.field("confirm by", &class.checks.join(", "));
        }
        self.steps(&class.next);
    }

    fn steps(&mut self, steps: &[NextStep]) {
        let mut before = None;
        for step in steps {
            if before != Some(step.on) {
                let on = match step.on {
                    Machine::Node => "on the node:",
                    Machine::ControlPlane => "on the control plane:",
                };
                self.field(if before.is_none() { "next" } else { "" }, on);
                before = Some(step.on);
            }
            // Copied as a whole, so never wrapped.
            let run = self.style.text(&step.run).into_owned();
            let run = self.style.paint(Tone::Heading, &run).into_owned();
            let _ = writeln!(self.out, "{:INDENT$}  {run}", "");
            if let Some(why) = &step.why {
                self.lines("", &format!("({why})"), INDENT + 2);
            }
        }
    }

    fn caveat(&mut self, caveat: &Caveat, attempt: &Attempt) {
        match caveat {
            Caveat::IgnoresErrors { names } => {
                self.field("hid evidence", &format!("--ignore-preflight-errors={} turns errors into warnings", names.join(",")));
                for error in &attempt.ignored {
                    self.field("", &format!("{} was there: {}", error.name, error.says));
                }
            }
            Caveat::SkipsPhases { names } => {
                self.field("hid evidence", &format!("--skip-phases={}: these were not run", names.join(",")));
            }
            Caveat::ShortTimeout { seconds, own_wait_seconds } => self.field(
                "too short",
                &format!(
                    "the wrapper's timeout of {seconds} s: kubeadm itself may wait up to {own_wait_seconds} s, and a join that \
                     is killed before hides its end and leaves bootstrap-kubelet.conf behind"
                ),
            ),
            Caveat::UnpinnedCa => {
                self.field("unproven", "the CA: --discovery-token-unsafe-skip-ca-verification takes any cluster that knows the token");
            }
        }
    }

    fn earlier(&mut self, log: &JoinLog, attempt: &Attempt) {
        let before = log.attempts.iter().filter(|other| other.host == attempt.host && other.number < attempt.number);
        for (index, other) in before.rev().take(MAX_EARLIER).enumerate() {
            let started = other.started.as_ref().map(|at| format!(", started {at}")).unwrap_or_default();
            let (says, _) = headline(other);
            let same = attempt.same_as.is_some() && other.outcome.class() == attempt.outcome.class();
            let says = if same { "the same".to_owned() } else { says };
            self.field(if index == 0 { "before" } else { "" }, &format!("attempt {}{started}: {says}", other.number));
        }
    }

    /// What is said elsewhere and fits none of the failures.
    fn clues(&mut self, log: &JoinLog) {
        let told: Vec<&Clue> = log
            .last()
            .into_iter()
            .filter_map(|attempt| attempt.outcome.class())
            .flat_map(|class| log.clues_for(class))
            .collect();
        for (index, clue) in log.clues.iter().filter(|clue| !told.contains(clue)).enumerate() {
            if index == 0 {
                let heading = self.style.paint(Tone::Heading, "also in this log").into_owned();
                let _ = writeln!(self.out, "\n{heading}");
            }
            self.lines("  ", &format!("{} ({})", clue_says(clue), clue.checks.join(", ")), 4);
        }
    }

    /// A paragraph of this program's words.
    fn prose(&mut self, says: &str) {
        self.lines("", says, 0);
    }

    /// A label and its text.
    fn field(&mut self, label: &str, says: &str) {
        self.lines(&format!("  {label:INDENT$}"), says, INDENT + 2);
    }

    /// Untrusted text behind `first`, wrapped; further lines begin at the column.
    fn lines(&mut self, first: &str, says: &str, column: usize) {
        let pad = column.max(first.len());
        let clean = self.style.text(says).into_owned();
        for (index, line) in text::wrap(&clean, self.width.saturating_sub(pad).max(20)).iter().enumerate() {
            let gap = if index == 0 { format!("{first:pad$}") } else { " ".repeat(pad) };
            let gap = self.style.paint(Tone::Dim, &gap).into_owned();
            let _ = writeln!(self.out, "{}", format!("{gap}{line}").trim_end());
        }
    }
}

fn headline(attempt: &Attempt) -> (String, Tone) {
    match &attempt.outcome {
        Outcome::Joined => ("the node has joined".to_owned(), Tone::Heading),
        Outcome::Failed { class, .. } => (format!("the join failed: {}", class.says), Tone::Fail),
        Outcome::CutOff { class: Some(class), .. } => (format!("the join was cut off: {}", class.says), Tone::Fail),
        Outcome::CutOff { class: None, .. } => {
            (format!("the join was cut off while {}", TABLE.phase(attempt.reached).title), Tone::Fail)
        }
    }
}

fn cut_says(cut: Cut) -> &'static str {
    match cut {
        Cut::Timeout => "a time limit around the join ended it (status 124)",
        Cut::Signal => "the join was killed",
        Cut::NextCommand => "the next command of kubeadm began before this one had said how it ended",
        Cut::EndOfLog => {
            "the log ends before kubeadm says how it ended: it was killed by a wrapper, it is still running, or the log was copied too early"
        }
    }
}

fn proven(attempt: &Attempt) -> String {
    let took = attempt.proven.seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let took = took.map(|took| format!("; this took {}", duration::rough(took))).unwrap_or_default();
    format!("{}{took}", attempt.proven.what)
}

fn clue_says(clue: &Clue) -> String {
    let times = if clue.count > 1 { format!(", {} times", clue.count) } else { String::new() };
    format!("{}{times}: {}", clue.says, quoted(&clue.evidence))
}

fn quoted(evidence: &Evidence) -> String {
    let stream = match evidence.stream {
        Stream::Log => "line",
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    match evidence.line {
        Some(line) => format!("{stream} {line}: {}", evidence.text),
        None => evidence.text.clone(),
    }
}
