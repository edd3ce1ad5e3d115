//! The table of what `kubeadm join` prints: read from `playbooks/join-phases.yaml`, and compiled so that one pass over a line
//! finds all of its texts. What the texts *mean* together is decided in `judge`.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use serde::Deserialize;

use super::model::{NextStep, OtherKind, Phase};
use super::pieces::{Hits, MAX_PIECES, Pieces};

const BUILT_IN: &str = include_str!("../../../playbooks/join-phases.yaml");

/// The built-in table.
pub(super) static TABLE: LazyLock<Table> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "the table is a constant of this program, compiled by its tests")]
    Table::parse(BUILT_IN).expect("the built-in table is well-formed")
});

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    phases: Vec<PhaseEntry>,
    anywhere: Vec<Entry>,
    preflight_errors: Vec<ErrorRow>,
    others: Vec<OtherEntry>,
    starts: Vec<String>,
    not_starts: Vec<String>,
    ended: Vec<String>,
    killed: Vec<String>,
    clues: Vec<Entry>,
    journals: Vec<String>,
    own_wait_seconds: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PhaseEntry {
    id: Phase,
    title: String,
    proves: String,
    #[serde(default)]
    ours: bool,
    entered: Vec<String>,
    failures: Vec<Entry>,
    otherwise: Entry,
}

/// A failure or a clue.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(default)]
    id: String,
    #[serde(default)]
    weak: bool,
    since: Option<Phase>,
    #[serde(default)]
    text: Vec<Vec<String>>,
    says: String,
    leaves: Option<String>,
    checks: Vec<String>,
    names: Option<String>,
    #[serde(default)]
    next: Vec<NextStep>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OtherEntry {
    kind: OtherKind,
    signs: Vec<String>,
    ends: Vec<String>,
}

/// What an `[ERROR X]` means.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ErrorRow {
    /// A name, or the beginning of one before `*`.
    pub(super) name: String,
    /// Only when this error is there, too.
    pub(super) alongside: Option<String>,
    pub(super) says: String,
    pub(super) checks: Vec<String>,
    /// The one of the checks that the text itself proves to fail.
    pub(super) names: Option<String>,
    pub(super) next: Vec<NextStep>,
}

/// Alternatives, each of pieces that must stand on one line.
type Alternatives = Vec<Vec<usize>>;

/// What a phase is and what it can fail of.
#[derive(Debug)]
pub(super) struct PhaseRow {
    pub(super) id: Phase,
    pub(super) title: String,
    pub(super) proves: String,
    /// No other command of kubeadm enters it.
    pub(super) ours: bool,
    entered: Vec<usize>,
    /// The class of an error that is in no list.
    pub(super) otherwise: Class,
}

/// A class of failures, or a clue.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) id: String,
    pub(super) says: String,
    pub(super) leaves: Option<String>,
    pub(super) checks: Vec<String>,
    /// The one of the checks that the text itself proves to fail.
    pub(super) names: Option<String>,
    pub(super) next: Vec<NextStep>,
}

/// A class with the texts that show it.
#[derive(Debug)]
pub(super) struct Failure {
    /// `None`: in any phase.
    pub(super) phase: Option<Phase>,
    /// The text may have been printed in this earlier phase already.
    pub(super) since: Option<Phase>,
    /// Counts only when nothing stronger was printed.
    pub(super) weak: bool,
    pub(super) class: Class,
    text: Alternatives,
}

#[derive(Debug)]
struct Other {
    kind: OtherKind,
    signs: Vec<usize>,
    ends: Vec<usize>,
}

#[derive(Debug)]
pub(super) struct Table {
    automaton: AhoCorasick,
    phases: Vec<PhaseRow>,
    /// In the order of the phases; those of any phase come last.
    pub(super) failures: Vec<Failure>,
    pub(super) preflight_errors: Vec<ErrorRow>,
    pub(super) clues: Vec<Failure>,
    others: Vec<Other>,
    starts: Vec<usize>,
    not_starts: Vec<usize>,
    ended: Vec<usize>,
    killed: Vec<usize>,
    kubeadm: usize,
    labels: Vec<usize>,
    journals: Vec<String>,
    /// Seconds that kubeadm itself may wait for the kubelet.
    pub(super) own_wait: u64,
}

/// A failure or clue as it is looked for.
fn failure(pieces: &mut Pieces, phase: Option<Phase>, entry: Entry) -> Failure {
    let Entry { id, weak, since, text, says, leaves, checks, names, next } = entry;
    let text = text.into_iter().map(|alternative| pieces.all(alternative)).collect();
    Failure { phase, since, weak, class: Class { id, says, leaves, checks, names, next }, text }
}

impl Table {
    /// Reads a table; the error says where it is wrong.
    fn parse(yaml: &str) -> Result<Self, String> {
        let file: File = serde_yaml::from_str(yaml).map_err(|error| error.to_string())?;
        let mut pieces = Pieces::default();
        let mut phases = Vec::new();
        let mut failures = Vec::new();
        for entry in file.phases {
            let PhaseEntry { id, title, proves, ours, entered, failures: own, otherwise } = entry;
            failures.extend(own.into_iter().map(|entry| failure(&mut pieces, Some(id), entry)));
            let mut otherwise = failure(&mut pieces, Some(id), otherwise).class;
            otherwise.id = format!("{}-otherwise", id.id());
            phases.push(PhaseRow { id, title, proves, ours, entered: pieces.all(entered), otherwise });
        }
        if !phases.iter().map(|row| row.id).eq(Phase::ALL) {
            return Err("every phase must be there once, in the order of a join".to_owned());
        }
        failures.extend(file.anywhere.into_iter().map(|entry| failure(&mut pieces, None, entry)));
        let other = |pieces: &mut Pieces, entry: OtherEntry| Other {
            kind: entry.kind,
            signs: pieces.all(entry.signs),
            ends: pieces.all(entry.ends),
        };
        let table = Self {
            phases,
            failures,
            preflight_errors: file.preflight_errors,
            clues: file.clues.into_iter().map(|entry| failure(&mut pieces, None, entry)).collect(),
            others: file.others.into_iter().map(|entry| other(&mut pieces, entry)).collect(),
            starts: pieces.all(file.starts),
            not_starts: pieces.all(file.not_starts),
            ended: pieces.all(file.ended),
            killed: pieces.all(file.killed),
            kubeadm: pieces.one("kubeadm".to_owned()),
            labels: pieces.all(vec!["[ERROR ".to_owned(), "[WARNING ".to_owned()]),
            journals: file.journals,
            own_wait: file.own_wait_seconds,
            automaton: AhoCorasick::new(&pieces.texts).map_err(|error| error.to_string())?,
        };
        if pieces.texts.len() > MAX_PIECES || pieces.texts.iter().any(String::is_empty) {
            return Err(format!("{} texts, of which none may be empty and {MAX_PIECES} may be", pieces.texts.len()));
        }
        Ok(table)
    }

    /// The texts that stand on a line.
    pub(super) fn find(&self, line: &str) -> Hits {
        let mut hits = Hits::default();
        for found in self.automaton.find_overlapping_iter(line) {
            hits.add(found.pattern().as_usize());
        }
        hits
    }

    /// Where the first of the table's texts stands on the line.
    pub(super) fn first(&self, line: &str) -> usize {
        self.automaton.find(line).map_or(0, |found| found.start())
    }

    pub(super) fn phase(&self, id: Phase) -> &PhaseRow {
        // All phases are there, in this order: `parse` has seen to it.
        &self.phases[id as usize]
    }

    /// The deepest phase that the line is of.
    pub(super) fn entered(&self, hits: &Hits) -> Option<Phase> {
        self.phases.iter().rev().find(|row| hits.any(&row.entered)).map(|row| row.id)
    }

    /// Whether a line is of a phase that only a join has.
    pub(super) fn is_ours(&self, hits: &Hits) -> bool {
        self.phases.iter().any(|row| row.ours && hits.any(&row.entered))
    }

    /// The texts of a join's beginning that stand on the line, as bits.
    pub(super) fn starts(&self, hits: &Hits) -> u8 {
        if hits.any(&self.not_starts) {
            return 0;
        }
        self.starts.iter().enumerate().fold(0, |bits, (bit, piece)| bits | (u8::from(hits.has(*piece)) << bit))
    }

    /// The other command of kubeadm that the line belongs to.
    pub(super) fn other(&self, hits: &Hits) -> Option<OtherKind> {
        self.others.iter().find(|other| hits.any(&other.signs)).map(|other| other.kind)
    }

    pub(super) fn other_ends(&self, kind: OtherKind, hits: &Hits) -> bool {
        self.others.iter().any(|other| other.kind == kind && hits.any(&other.ends))
    }

    pub(super) fn ended(&self, hits: &Hits) -> bool {
        hits.any(&self.ended)
    }

    pub(super) fn killed(&self, hits: &Hits) -> bool {
        hits.any(&self.killed)
    }

    /// Whether the program is named, so that the line may hold its command line.
    pub(super) fn names_kubeadm(&self, hits: &Hits) -> bool {
        hits.has(self.kubeadm)
    }

    /// Whether a pre-flight check's `[ERROR X]` or `[WARNING X]` may stand on the line.
    pub(super) fn is_labelled(&self, hits: &Hits) -> bool {
        hits.any(&self.labels)
    }

    /// Whether a program's lines are its own and never kubeadm's.
    pub(super) fn is_journal(&self, program: &str) -> bool {
        self.journals.iter().any(|known| known == program)
    }

    /// What an `[ERROR X]` means, given the names of all.
    pub(super) fn preflight_error(&self, name: &str, all: &[&str]) -> Option<&ErrorRow> {
        let fits = |pattern: &str, name: &str| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == pattern,
        };
        self.preflight_errors.iter().find(|row| {
            fits(&row.name, name) && row.alongside.as_ref().is_none_or(|other| all.iter().any(|name| fits(other, name)))
        })
    }
}

impl Failure {
    pub(super) fn is_on(&self, hits: &Hits) -> bool {
        self.text.iter().any(|pieces| pieces.iter().all(|piece| hits.has(*piece)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_built_in_table_is_well_formed() {
        let table = Table::parse(BUILT_IN).unwrap();
        let mut ids = BTreeSet::new();
        let kebab = |id: &str| {
            !id.is_empty()
                && id
                    .split('-')
                    .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
        };
        let classes = table.failures.iter().chain(&table.clues).map(|failure| &failure.class);
        for class in classes.chain(table.phases.iter().map(|row| &row.otherwise)) {
            assert!(ids.insert(&class.id), "{} stands there twice", class.id);
            assert!(kebab(&class.id), "{}", class.id);
        }
        let named =
            table.failures.iter().chain(&table.clues).map(|failure| (&failure.class.names, &failure.class.checks));
        for (name, checks) in named.chain(table.preflight_errors.iter().map(|row| (&row.names, &row.checks))) {
            assert!(name.as_ref().is_none_or(|name| checks.contains(name)), "{name:?} is none of {checks:?}");
        }
        let rows = table.preflight_errors.iter().map(|row| (&row.name, &row.says, &row.checks, &row.next));
        let classes = table.failures.iter().chain(&table.clues).map(|failure| &failure.class);
        let classes = classes.chain(table.phases.iter().map(|row| &row.otherwise));
        for (id, says, checks, next) in
            classes.map(|class| (&class.id, &class.says, &class.checks, &class.next)).chain(rows)
        {
            for check in checks {
                let (area, name) = check.split_once('/').unwrap_or_default();
                assert!(kebab(area) && kebab(name), "{id}: {check}");
            }
            assert!(!says.is_empty() && !says.ends_with('.') && !says.contains('\n'), "{id}: {says}");
            assert!(next.iter().all(|step| !step.run.is_empty() && !step.run.contains('\n')), "{id}");
        }
        for failure in &table.failures {
            assert!(
                !failure.text.is_empty() && failure.text.iter().all(|pieces| !pieces.is_empty()),
                "{}",
                failure.class.id
            );
            assert!(!failure.class.next.is_empty(), "{} says not what to run", failure.class.id);
            assert!(failure.since.is_none_or(|since| Some(since) < failure.phase), "{}", failure.class.id);
        }
        assert_eq!(table.preflight_errors.last().map(|row| row.name.as_str()), Some("*"), "every error has a row");
        assert!(table.starts.len() <= 8);
    }

    #[test]
    fn a_row_that_a_wider_one_hides_is_a_mistake() {
        let rows = &TABLE.preflight_errors;
        for (index, row) in rows.iter().enumerate() {
            let hidden = |earlier: &&ErrorRow| {
                earlier.alongside.is_none()
                    && earlier.name.strip_suffix('*').is_some_and(|start| row.name.starts_with(start))
            };
            assert_eq!(rows[..index].iter().find(hidden).map(|row| &row.name), None, "{}", row.name);
        }
    }

    #[test]
    fn mistakes_are_refused() {
        let cases = [
            (BUILT_IN.replace("id: discovery", "id: discoverie"), "discoverie"),
            (BUILT_IN.replace("weak: true", "week: true"), "week"),
            (BUILT_IN.replace("id: registration", "id: discovery"), "order of a join"),
            (BUILT_IN.replace("on: node", "on: nodes"), "nodes"),
            (BUILT_IN.replace("[\"no space left on device\"]", "[\"\"]"), "empty"),
        ];
        for (yaml, expected) in cases {
            let error = Table::parse(&yaml).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn texts_are_found_together() {
        let hits = TABLE.find("Get \"https://10.0.0.1:6443/x\": dial tcp 10.0.0.1:6443: connect: connection refused");
        let on: Vec<_> = TABLE
            .failures
            .iter()
            .filter(|failure| failure.is_on(&hits))
            .map(|failure| failure.class.id.as_str())
            .collect();
        assert_eq!(on, ["api-refused", "second-endpoint", "api-lost"]);
        assert!(TABLE.find("nothing of the kind").is_empty());
    }
}
