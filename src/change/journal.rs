//! What a run began and what came of it: one line of JSON each, on the disk before the thing itself is done.
//!
//! - this file: the lines. Values only.
//! - [`mod@file`]: `journal.jsonl` and `plan.json` in the run's directory, written, locked and read back.
//! - [`replayed`]: how far a run came, from its lines. Pure.

pub mod file;
pub mod replayed;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of `journal.jsonl`, in its first line; a reader refuses a newer one.
pub const JOURNAL_SCHEMA: u32 = 1;

/// One line of `journal.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// RFC 3339, UTC.
    pub at: String,
    #[serde(flatten)]
    pub entry: Entry,
}

/// What happened. Names of nodes are the inventory's; actions go by their place in the node's plan, from 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Entry {
    /// The plan beside the journal was agreed to.
    Agreed {
        schema: u32,
        /// Of `plan.json`, 64 lower-case hex digits.
        plan_sha256: String,
    },
    /// Another process took the run up again.
    Resumed,
    Batch {
        /// From 1; 0 is of the nodes that a run which is taken up again had left in the middle.
        number: usize,
        nodes: Vec<String>,
    },
    NodeBegun {
        node: String,
    },
    ActionBegun {
        node: String,
        action: usize,
    },
    /// A token of this id was made on the control plane and has to be deleted there. The id is no secret.
    TokenMade {
        node: String,
        control_plane: String,
        id: String,
    },
    TokenDeleted {
        id: String,
    },
    /// What a join found before it changed anything, as far as its undoing has to know it.
    Found {
        node: String,
        found: Found,
    },
    /// What the node's join had changed is as it was before it.
    PutBack {
        node: String,
    },
    ActionEnded {
        node: String,
        action: usize,
        outcome: Outcome,
    },
    UndoBegun {
        node: String,
        action: usize,
    },
    UndoEnded {
        node: String,
        action: usize,
        outcome: Outcome,
    },
    NodeEnded {
        node: String,
        outcome: Outcome,
    },
    /// The run stopped: no further batch is begun.
    Stopped {
        why: String,
    },
    Ended,
}

/// What was there before a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Found {
    /// A Node object of its name.
    pub node_object: bool,
    /// Its kubelet ran, or tried to: a prepared node's ends at once and is started again for ever.
    pub kubelet_running: bool,
}

/// How an action, its undoing or a node ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Done and verified; what shows it.
    Done { evidence: Vec<String> },
    /// Left out, because a condition of the plan did not hold or it was done already.
    Skipped { why: String },
    /// Nothing was changed: the node is not what the plan was made for, or another run has it.
    Refused { why: String, next: String },
    Failed {
        /// What went wrong, without the node's name: the same words on two nodes are the same failure.
        why: String,
        next: String,
        evidence: Vec<String>,
    },
    /// Nobody knows how it ended: the connection was lost, or this program was killed.
    Unsettled { why: String },
}

impl Outcome {
    /// In a few words: `done`, `failed: the disk is full`.
    pub fn words(&self) -> String {
        match self {
            Self::Done { .. } => "done".to_owned(),
            Self::Skipped { why } => format!("left out: {why}"),
            Self::Refused { why, .. } => format!("refused: {why}"),
            Self::Failed { why, .. } => format!("failed: {why}"),
            Self::Unsettled { why } => format!("not settled: {why}"),
        }
    }
}
