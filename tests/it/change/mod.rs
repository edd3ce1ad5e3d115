//! Changes: what is done to nodes, under real shells below temporary roots and against pretended nodes.

pub(crate) mod api;
mod apply;
mod bench;
mod forbidden;
mod hand;
mod join;
#[allow(dead_code, reason = "what the tests of one area have no use for, those of another have")]
pub(crate) mod node;
mod resume;
mod resume_join;
mod undo;
