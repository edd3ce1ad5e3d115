//! What a run amounts to: the faults to put right, each with what it explains and what it is not. Data only.

use schemars::JsonSchema;
use serde::Serialize;

use crate::checks::{Evidence, Remedy, Severity};
use crate::verdict::Verdict;

/// How sure it is that this is the cause and not a symptom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// Two facts of the node leave no other reading, or an error's own text names it.
    Certain,
    /// It explains two or more other faults.
    Likely,
    /// Nothing that fails explains it, and it explains little.
    Possible,
}

impl Confidence {
    pub const fn label(self) -> &'static str {
        match self {
            Self::Certain => "certain",
            Self::Likely => "likely",
            Self::Possible => "possible",
        }
    }
}

/// Where a cause is to be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// So many nodes have it that the control plane, the image or a roll-out is to be looked at first.
    Fleet,
    /// Each node by itself.
    Node,
}

/// A fault that no other fault explains.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct RootCause {
    /// The check's id: `kubelet/drop-in-missing`.
    pub id: String,
    pub title: String,
    /// What is wrong, on the first of the nodes.
    pub message: String,
    /// `fail`, or `warn` for what should be looked at and breaks nothing now.
    pub verdict: Verdict,
    pub severity: Severity,
    pub confidence: Confidence,
    pub scope: Scope,
    /// In natural order.
    pub nodes: Vec<String>,
    /// As found on the first of the nodes.
    pub evidence: Vec<Evidence>,
    /// The faults that it brings about, on any of its nodes.
    pub explains: Vec<Consequence>,
    pub not_the_cause: Vec<NotTheCause>,
    /// Causes behind it that could not be ruled out, because they could not be read.
    pub reservations: Vec<Reservation>,
    pub remedy: Remedy,
}

/// A fault that follows from a root cause.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Consequence {
    pub id: String,
    pub title: String,
    /// On how many nodes.
    pub nodes: usize,
}

/// What looks like the cause and is not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct NotTheCause {
    pub what: String,
    pub why: String,
}

/// A possible cause of which too little could be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Reservation {
    pub id: String,
    pub title: String,
    /// Why it could not be judged.
    pub why: String,
}
