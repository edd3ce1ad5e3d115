//! Checks as data: each is an entry of `playbooks/checks/<area>.yaml` with CEL expressions that judge facts.
//!
//! What takes thought (which file decides, what a configuration amounts to) is derived as a fact; a check only compares.
//! Everything is compiled and tried when it is loaded, so that a misspelt field is an error with its place and never a
//! check that silently knows nothing.
//!
//! - `parse`: the files, and what is wrong with them.
//! - `shape`: the types of all facts, and whether an expression names only fields that exist.
//! - `slots` and `convert`: what of the facts expressions read, and its values in their language.
//! - `evaluate`: one node's facts to findings.
//! - `words`: facts inside sentences.
//! - [`doc`]: the texts for people.
//!
//! Nothing here knows how facts come about, connects to anything or prints. Only [`Checks::with`] reads files.

mod convert;
pub mod doc;
mod evaluate;
mod parse;
mod shape;
mod slots;
mod words;

pub use words::words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cel::Program;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::facts::NodeFacts;
use crate::facts::alike::Alike;
use crate::facts::cluster::Member;
use crate::failure::Failure;
use crate::target::Role;
use crate::verdict::{Phase, Verdict};
use parse::Trial;
use slots::{Bound, Slots};
use words::Message;

/// How bad it is when a check fails. Ordered from worst to mildest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Stops a join, or makes the node unusable.
    Blocker,
    /// Breaks workloads, or the next reboot.
    High,
    /// Degraded or fragile.
    Medium,
    Low,
}

impl Severity {
    pub const fn label(self) -> &'static str {
        match self {
            Self::Blocker => "blocker",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// What a remedy asks of the one who runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Safety {
    /// Disturbs no workload and can be run again.
    Safe,
    /// Restarts or replaces something: look first.
    Confirm,
    /// Needs a decision that no program can take.
    Manual,
}

impl Safety {
    pub const fn label(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Confirm => "look before you run it",
            Self::Manual => "by hand",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Remedy {
    pub text: String,
    /// To be run on the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    pub safety: Safety,
}

/// A fact that is shown with a finding.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceOf {
    pub label: Alike<String>,
    /// `kubelet.standalone`
    pub path: Alike<String>,
}

/// Facts, laid over a document in which every fact is present and empty, with which a check must fail and pass.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    pub failing: BTreeMap<String, serde_json::Value>,
    pub passing: BTreeMap<String, serde_json::Value>,
}

/// What a user's own file changed about a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub file: String,
    /// Why, in the user's words.
    pub reason: String,
    pub disabled: bool,
    /// The severity before the change.
    pub severity_was: Severity,
}

/// One check.
#[derive(Debug)]
pub struct Check {
    /// `kubelet/drop-in-missing`
    pub id: Alike<String>,
    pub file: String,
    pub line: usize,
    pub severity: Severity,
    /// A few words.
    pub title: Alike<String>,
    /// What is wrong when it fails: a fragment, with facts in it.
    message: Message,
    /// The table's words for it, shorter than 20 letters.
    cell: Message,
    /// Where it applies.
    pub phases: Vec<Phase>,
    /// Where its failure is normal.
    pub expected_in: Vec<Phase>,
    /// What makes its failure normal whatever the phase: a node that has only just joined.
    expected_when: Option<Expression>,
    pub roles: Vec<Role>,
    pub evidence: Vec<EvidenceOf>,
    /// Checks whose failure this one's failure brings about.
    pub explains: Vec<Edge>,
    /// Whether its failure on one node explains failures on every node.
    pub reaches: Reach,
    /// A second fact that contradicts the first, so that a failure has no other reading.
    certain: Option<Expression>,
    /// The fact that says since when it fails, in seconds of Unix time on the node's clock.
    since: Option<String>,
    pub remedy: Remedy,
    pub explanation: String,
    /// Where the explanation's claims come from.
    pub source: String,
    pub cases: Cases,
    pub change: Option<Change>,
    fail: Expression,
    warn: Option<Expression>,
    needs_target: bool,
}

impl Check {
    /// `kubelet` of `kubelet/drop-in-missing`.
    pub fn area(&self) -> &str {
        self.id.split_once('/').map_or(self.id.as_str(), |(area, _)| area)
    }

    /// The expressions as written: `fail`, and the others if there are.
    pub fn expressions(&self) -> Expressions<'_> {
        fn text(expression: Option<&Expression>) -> Option<&str> {
            expression.map(|expression| expression.text.as_str())
        }
        Expressions {
            fail: &self.fail.text,
            warn: text(self.warn.as_ref()),
            expected_when: text(self.expected_when.as_ref()),
            certain: text(self.certain.as_ref()),
        }
    }

    /// The message as written, facts as `{path}`.
    pub fn message(&self) -> &str {
        self.message.text()
    }

    /// It measures a node by a version to upgrade to, so that it does not apply where none is given.
    pub const fn needs_target(&self) -> bool {
        self.needs_target
    }

    /// Whether its failure can bring about a failure of `id`.
    pub fn may_explain(&self, id: &str) -> bool {
        self.explains.iter().any(|edge| edge.id == id)
    }
}

/// The expressions of a check, as written.
#[derive(Debug, Clone, Copy)]
pub struct Expressions<'c> {
    pub fail: &'c str,
    pub warn: Option<&'c str>,
    pub expected_when: Option<&'c str>,
    pub certain: Option<&'c str>,
}

/// From a cause to what it brings about.
#[derive(Debug)]
pub struct Edge {
    pub id: Alike<String>,
    /// What has to hold on the node of the symptom.
    when: Option<Expression>,
}

impl Edge {
    /// The guard as written.
    pub fn guard(&self) -> Option<&str> {
        self.when.as_ref().map(|when| when.text.as_str())
    }
}

/// How far a failure's consequences go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    #[default]
    Node,
    /// What fails on a control plane shows on every node.
    Cluster,
}

/// A compiled expression.
#[derive(Debug)]
struct Expression {
    text: String,
    program: Program,
    /// The same with slots in place of paths: what is evaluated.
    bound: Bound,
    /// Paths of the facts that it names.
    paths: Vec<Alike<String>>,
}

/// A fact as found.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Evidence {
    pub label: Alike<String>,
    pub path: Alike<String>,
    /// As in the facts' JSON: untrusted.
    pub value: serde_json::Value,
}

/// A fact that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Lack {
    pub path: Alike<String>,
    pub why: Alike<String>,
}

/// What one check says about one node.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Finding {
    pub id: Alike<String>,
    pub verdict: Verdict,
    pub severity: Severity,
    /// The check's title; the same on every node.
    pub title: Alike<String>,
    /// The check's message; of an unknown one, what could not be read and why.
    pub message: Alike<String>,
    /// The table's words for it; empty when there is nothing to say.
    pub cell: String,
    /// Empty unless it fails, warns or is expected.
    pub evidence: Vec<Evidence>,
    /// Of an unknown one, the facts that were not read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<Lack>,
    /// Since when, in seconds of Unix time on the node's clock, where a fact says so.
    pub since: Option<i64>,
    /// Two facts of the node leave no other reading.
    pub certain: bool,
    /// The failing check that brings this one about; filled in by [`crate::diagnose`], which sees all findings of a run.
    pub explained_by: Option<Alike<String>>,
    /// What it can bring about here: its edges whose guard holds. The graph's, not the report's.
    #[serde(skip)]
    pub explains: Vec<Alike<String>>,
}

impl Finding {
    pub const fn is_fault(&self) -> bool {
        matches!(self.verdict, Verdict::Fail | Verdict::Warn)
    }
}

/// What a check looks at: one node in one run.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub facts: &'a NodeFacts,
    /// `None` when it could not be told; then a failure that would be normal in some phase is unknown.
    pub phase: Option<Phase>,
    pub roles: &'a [Role],
    pub member: &'a Member,
    /// Why the node could not be read to the end.
    pub failure: Option<&'a Failure>,
}

/// A mistake in a file of checks.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{file}:{line}: {message}")]
pub struct CheckError {
    pub file: String,
    /// Counts from 1.
    pub line: usize,
    pub message: String,
}

/// Why checks could not be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    #[error(transparent)]
    Check(#[from] CheckError),
    #[error("cannot read checks from {}: {why}", path.display())]
    Read { path: PathBuf, why: std::io::Error },
    #[error("cannot read checks from {}: larger than {MAX_FILE} bytes", path.display())]
    TooLarge { path: PathBuf },
}

/// All checks, in the order of their ids.
#[derive(Debug)]
pub struct Checks {
    checks: Vec<Check>,
    slots: Slots,
}

/// The checks that come with the program before the user's are added. Loading them needs nothing, so it can go on beside what
/// has to be known for the user's.
#[derive(Debug)]
pub struct BuiltIn(Checks);

impl BuiltIn {
    /// An error is a mistake in the program's own files, which a test excludes.
    pub fn load() -> Result<Self, CheckError> {
        parse::built_in(BUILT_IN, Trial::Done)
    }

    /// No checks at all. For fuzzing alone: a user's file is read hundreds of times faster without the built-in ones.
    #[doc(hidden)]
    pub fn none() -> Result<Self, CheckError> {
        parse::built_in(&[], Trial::Done)
    }
}

/// More is no file of checks.
const MAX_FILE: u64 = 1 << 20;

/// The files that come with the program, each with its path in the repository.
macro_rules! built_in {
    ($($area:literal),* $(,)?) => {
        &[$((
            concat!("playbooks/checks/", $area, ".yaml"),
            include_str!(concat!("../../playbooks/checks/", $area, ".yaml")),
        )),*]
    };
}

const BUILT_IN: &[(&str, &str)] = built_in![
    "cluster",
    "cni",
    "containerd",
    "control-plane",
    "disk",
    "firewall",
    "flannel",
    "identity",
    "join",
    "kernel",
    "kubelet",
    "mounts",
    "nfs",
    "node",
    "permissions",
    "ssh",
    "system",
    "time",
    "upgrade",
];

impl Checks {
    /// The checks that come with the program. An error is a mistake in the program's own files, which a test excludes.
    pub fn built_in() -> Result<Self, CheckError> {
        parse::load(parse::built_in(BUILT_IN, Trial::Done)?, &[])
    }

    /// The same, with every expression and every case of them tried: what a test does once for all users.
    pub fn built_in_tried() -> Result<Self, CheckError> {
        parse::load(parse::built_in(BUILT_IN, Trial::Due)?, &[])
    }

    /// The built-in checks and those of the user's `*.yaml` and `*.yml` in `dirs`, by file name. There, an entry with the
    /// id of a built-in check may change its severity or disable it, and must say why.
    pub fn with(built_in: BuiltIn, dirs: &[PathBuf]) -> Result<Self, LoadError> {
        let mut own = Vec::new();
        let mut paths = Vec::new();
        for dir in dirs {
            paths.extend(yaml_files(dir).map_err(|why| LoadError::Read { path: dir.clone(), why })?);
        }
        for path in paths {
            let read = |path: &Path| {
                let size = std::fs::metadata(path)?.len();
                if size > MAX_FILE { Ok(None) } else { std::fs::read_to_string(path).map(Some) }
            };
            match read(&path) {
                Ok(Some(text)) => own.push((path.display().to_string(), text)),
                Ok(None) => return Err(LoadError::TooLarge { path }),
                Err(why) => return Err(LoadError::Read { path, why }),
            }
        }
        let own: Vec<(&str, &str)> = own.iter().map(|(file, text)| (file.as_str(), text.as_str())).collect();
        Ok(parse::load(built_in, &own)?)
    }

    /// Nothing but the checks of one text.
    #[cfg(test)]
    pub(crate) fn of(text: &str) -> Self {
        let loaded = parse::built_in(&[("checks.yaml", text)], Trial::Due).and_then(|own| parse::load(own, &[]));
        loaded.unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn all(&self) -> &[Check] {
        &self.checks
    }

    pub fn get(&self, id: &str) -> Option<&Check> {
        self.checks.binary_search_by(|check| check.id.as_str().cmp(id)).ok().map(|place| &self.checks[place])
    }

    /// The areas that have checks, in order.
    pub fn areas(&self) -> Vec<&str> {
        let mut areas: Vec<&str> = self.checks.iter().map(Check::area).collect();
        areas.dedup();
        areas
    }

    /// The id or area that is most like `word`, if any is.
    pub fn nearest(&self, word: &str) -> Option<&str> {
        let ids = self.checks.iter().flat_map(|check| {
            let name = check.id.split_once('/').map_or("", |(_, name)| name);
            [(check.id.as_str(), check.id.as_str()), (name, check.id.as_str())]
        });
        let areas = self.areas().into_iter().map(|area| (area, area));
        nearest(word, ids.chain(areas))
    }
}

/// The second of the pair whose first is most like `word`.
pub(crate) fn nearest<'a>(word: &str, names: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|(name, answer)| (strsim::jaro_winkler(word, name), answer))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, answer)| answer)
}

fn yaml_files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
