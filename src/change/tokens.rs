//! Bootstrap tokens that a run left behind when its process ended: deleted when it is taken up again.

use std::collections::BTreeSet;

use super::apply::ChangeRun;
use super::hand::Hand;
use super::join::token;
use super::journal::Entry;
use super::journal::Outcome;
use super::journal::replayed::Token;
use super::summary::Summary;
use crate::ui::Event;

/// Deletes the tokens of all nodes that are settled. One of a node that is not may still be in use; it ends by itself soon.
pub(super) async fn delete_left(run: &ChangeRun<'_>, summary: &Summary) {
    let unsettled: BTreeSet<&str> = summary
        .nodes
        .iter()
        .filter(|(_, outcome)| matches!(outcome, Outcome::Unsettled { .. }))
        .map(|(node, _)| node.as_str())
        .collect();
    for token in run.journal.tokens() {
        if unsettled.contains(token.node.as_str()) {
            continue;
        }
        if let Err(why) = delete(run, &token).await {
            let Token { control_plane, id, .. } = token;
            run.tell(Event::Warning(format!("the token {id} is left on {control_plane} until it expires: {why}")));
        }
    }
}

async fn delete(run: &ChangeRun<'_>, token: &Token) -> Result<(), String> {
    let command = token::delete(&token.id).ok_or("the journal has no id of a token")?;
    let host = run.host(&token.control_plane).ok_or("the inventory has no such host any more")?;
    let opened = run.collector.open(host).await.map_err(|(failure, _)| failure.message)?;
    let hand = Hand::new(opened.line(), host.target.sudo.as_ref());
    let ran = hand.run(&command, run.waits.command).await;
    opened.close().await;
    let ran = ran.map_err(|error| error.to_string())?;
    if !token::is_deleted(ran.code, &ran.stderr) {
        return Err(ran.stderr.trim().to_owned());
    }
    let deleted = Entry::TokenDeleted { id: token.id.clone() };
    run.journal.note(deleted).await.map_err(|error| error.to_string())
}
