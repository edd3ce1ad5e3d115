//! Joins and resets, with connections that are opened again when they are lost.

use super::act::{Gone, Turn, Work};
use super::journal::Outcome;
use super::plan::{Join, Reset};

pub(super) async fn join(work: &Work<'_>, _index: usize, _join: &Join, _turn: Turn) -> Result<Outcome, Gone> {
    Ok(work.failed("joins are not wired yet", Vec::new()))
}

pub(super) async fn unjoin(work: &Work<'_>, _join: &Join) -> Result<Outcome, Gone> {
    Ok(work.failed("joins are not wired yet", Vec::new()))
}

pub(super) async fn reset(work: &Work<'_>, _reset: &Reset) -> Result<Outcome, Gone> {
    Ok(work.failed("resets are not wired yet", Vec::new()))
}
