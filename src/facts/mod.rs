//! Facts: what a node's record says, typed and three-valued. One file per area; parsing never fails and never panics.

mod fact;

pub use fact::Fact;

use schemars::JsonSchema;
use serde::Serialize;

/// Everything that one node's record says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct NodeFacts {}
