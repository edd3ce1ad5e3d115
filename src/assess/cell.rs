//! Gathers what is wrong in one area and folds it into its cell.

use crate::facts::Fact;
use crate::verdict::{Area, AreaCell, Verdict};

/// A cell in the making. Reasons are fragments whose part before the first `": "` can stand alone.
pub(super) struct Cell {
    area: Area,
    findings: Vec<Finding>,
    unread: Vec<String>,
}

struct Finding {
    verdict: Verdict,
    text: String,
    reason: String,
}

impl Cell {
    pub(super) const fn new(area: Area) -> Self {
        Self { area, findings: Vec::new(), unread: Vec::new() }
    }

    /// A fault: `text` for the table, `reason` for people.
    pub(super) fn fail(&mut self, text: impl Into<String>, reason: impl Into<String>) {
        self.add(Verdict::Fail, text, reason);
    }

    pub(super) fn warn(&mut self, text: impl Into<String>, reason: impl Into<String>) {
        self.add(Verdict::Warn, text, reason);
    }

    /// It would be a fault in another phase.
    pub(super) fn expected(&mut self, text: impl Into<String>, reason: impl Into<String>) {
        self.add(Verdict::Expected, text, reason);
    }

    pub(super) fn add(&mut self, verdict: Verdict, text: impl Into<String>, reason: impl Into<String>) {
        self.findings.push(Finding { verdict, text: text.into(), reason: reason.into() });
    }

    /// A fact without which the area cannot pass.
    pub(super) fn need<'f, T>(&mut self, what: &str, fact: &'f Fact<T>) -> Option<&'f T> {
        if let Fact::Unknown(why) = fact {
            self.unread(what, why);
        }
        fact.known()
    }

    pub(super) fn unread(&mut self, what: &str, why: &str) {
        self.unread.push(format!("{what}: {why}"));
    }

    /// The worst finding; without any, unknown when something needed was not read, else a pass that says `text`.
    pub(super) fn finish(mut self, text: impl Into<String>) -> AreaCell {
        self.findings.sort_by_key(|finding| finding.verdict);
        let worst = self.findings.first().map(|finding| finding.verdict);
        match worst {
            Some(verdict @ (Verdict::Fail | Verdict::Warn)) => self.cell(verdict),
            _ if !self.unread.is_empty() => {
                AreaCell { area: self.area, verdict: Verdict::Unknown, text: String::new(), reasons: self.unread }
            }
            Some(verdict) => self.cell(verdict),
            None => AreaCell { area: self.area, verdict: Verdict::Pass, text: text.into(), reasons: Vec::new() },
        }
    }

    fn cell(self, verdict: Verdict) -> AreaCell {
        let text = self.findings.first().map(|finding| finding.text.clone()).unwrap_or_default();
        let reasons = self.findings.into_iter().map(|finding| finding.reason).collect();
        AreaCell { area: self.area, verdict, text, reasons }
    }

    /// The area does not apply to this node.
    pub(super) fn not_applicable(area: Area) -> AreaCell {
        AreaCell { area, verdict: Verdict::NotApplicable, text: "-".to_owned(), reasons: Vec::new() }
    }
}

/// `a`, `a and b`, `a, b and 3 more`.
pub(super) fn few(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [one, two] => format!("{one} and {two}"),
        [one, two, rest @ ..] => format!("{one}, {two} and {} more", rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_first_and_a_pass_needs_everything_read() {
        let mut cell = Cell::new(Area::Disk);
        cell.warn("w", "warned");
        cell.fail("f", "failed");
        cell.unread("inodes", "no df");
        let cell = cell.finish("ok");
        assert_eq!((cell.verdict, cell.text.as_str()), (Verdict::Fail, "f"));
        assert_eq!(cell.reasons, ["failed", "warned"]);

        let mut cell = Cell::new(Area::Disk);
        assert_eq!(cell.need("space", &Fact::<u8>::unknown("permission denied")), None);
        let cell = cell.finish("ok");
        assert_eq!((cell.verdict, cell.text.as_str()), (Verdict::Unknown, ""));
        assert_eq!(cell.reasons, ["space: permission denied"]);

        assert_eq!(Cell::new(Area::Disk).finish("ok").verdict, Verdict::Pass);
    }

    #[test]
    fn lists_stay_short() {
        let names: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        assert_eq!(
            (few(&names[..1]), few(&names[..2]), few(&names)),
            ("a".into(), "a and b".into(), "a, b and 2 more".into())
        );
    }
}
