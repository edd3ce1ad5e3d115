//! Why something was not done on a node. The words name no node, so that the same failure on two of them reads the same.

use crate::failure::{Failure, FailureKind};

/// What came instead of a call's result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandError {
    /// The connection, or the shell behind it. Nobody knows how much of the call was done.
    #[error("{0}")]
    Connection(Failure),
    /// What lies at the path is neither what the plan was made from nor what it wants. Nothing was changed.
    #[error("{path} has changed: was {expected}, is {found}")]
    Changed { path: String, expected: String, found: String },
    /// Nothing was changed, and nothing will be until somebody acts.
    #[error("{why}")]
    Refused { why: String, next: String },
    /// It was tried, and what was changed is put back where that is said nowhere else.
    #[error("{why}")]
    Failed { why: String, next: String },
    /// Another run has the node.
    #[error("another run is changing this node: {by}")]
    Locked {
        /// Its id.
        by: String,
    },
}

impl HandError {
    /// What the user does next.
    pub fn next(&self) -> String {
        match self {
            Self::Connection(failure) => failure.next.clone(),
            Self::Changed { .. } => "look at what changed it, and run it again: it is planned anew".to_owned(),
            Self::Refused { next, .. } | Self::Failed { next, .. } => next.clone(),
            Self::Locked { .. } => {
                "wait for that run to end, or end it; its lock ends with its connection, at the latest after a minute"
                    .to_owned()
            }
        }
    }

    /// The connection is gone: a new one may go on where this one was cut.
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::Connection(failure) if failure.kind == FailureKind::ConnectionLost)
    }

    pub(super) fn refused(why: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Refused { why: why.into(), next: next.into() }
    }
}
