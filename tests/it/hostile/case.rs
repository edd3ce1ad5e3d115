//! One misbehaving node as data.

use futures::future::BoxFuture;
use seaworthy::failure::FailureKind;
use tokio::net::TcpStream;

use super::answer::Answer;
use crate::ssh::server::{Behaviour, Exec};
use crate::ssh::steps::{Step, Talk};

pub(super) struct Case {
    /// Kebab-case, and unique.
    pub name: &'static str,
    /// What the node does, as documentation says it.
    pub does: &'static str,
    pub peer: Peer,
    /// Of the node in the inventory, beside its address.
    pub vars: &'static str,
    pub expected: Expected,
    /// MiB over a sweep of the neighbours alone.
    pub memory: u64,
}

/// What answers at the node's port.
pub(super) enum Peer {
    /// No SSH server.
    Tcp(fn(TcpStream) -> BoxFuture<'static, ()>),
    /// An SSH server that answers the probe well, but for this.
    Ssh(fn(&mut Behaviour)),
    /// The same with another host key from the second connection on, and so far down the inventory under a second name.
    Turncoat,
    /// An SSH server that answers the probe with this in its answer.
    Says(fn(&mut Answer)),
}

/// What the node's row says.
pub(super) enum Expected {
    /// The node failed so, and these words are in the message.
    Failure(FailureKind, &'static str),
    /// It failed so, and what it had said before was read.
    Partly(FailureKind, &'static str),
    /// It was read to the end, and these places in its JSON are so.
    Read(&'static [(&'static str, Is)]),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Is {
    /// An unknown fact whose reason has these words.
    Unknown(&'static str),
    /// This JSON.
    Json(&'static str),
    /// A text or list that has this in its JSON.
    Has(&'static str),
}

/// So many MiB more than without the node, where a case does not say otherwise.
const MEMORY: u64 = 12;

pub(super) const fn case(name: &'static str, does: &'static str, peer: Peer, expected: Expected) -> Case {
    Case { name, does, peer, vars: "", expected, memory: MEMORY }
}

impl Case {
    pub(super) const fn vars(self, vars: &'static str) -> Self {
        Self { vars, ..self }
    }

    pub(super) const fn memory(self, memory: u64) -> Self {
        Self { memory, ..self }
    }
}

/// Whatever the command.
pub(super) fn steps(behaviour: &mut Behaviour, steps: Vec<Step>) {
    behaviour.exec = Exec::Steps(steps);
}

/// With the marker of the script's nonce, `@@` and 32 digits.
pub(super) fn talk(behaviour: &mut Behaviour, then: fn(&str) -> Vec<Step>) {
    behaviour.exec = Exec::Talk(Talk::new(move |nonce| then(&format!("@@{}", nonce.as_str()))));
}
