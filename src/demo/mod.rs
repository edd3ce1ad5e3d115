//! The demo: an embedded fleet of SSH nodes on loopback, swept by the ordinary client.
//!
//! The nodes speak real SSH with real host keys and take a real key; only what they *say* is recorded. So the demo shows
//! the program's own code path on a machine without a cluster, and tests have nodes for every way in which one can
//! misbehave.
//!
//! - [`plan`](plan()) lays out which nodes there are, and [`Plan::of`] does it node by node for tests.
//! - [`Fleet::start`] makes them listen and writes key, `known_hosts` and inventory into a directory of their own.
//! - `template`, `vars`, `cert`, `cluster` and `answer` turn a state file into one node's answer; they are pure.
//! - `node`, `shell` and `wire` are the node's side of a connection.
//!
//! The fleet knows the probe only by its contract (`docs/probe.md`) and the client not at all.

mod access;
mod answer;
mod cert;
mod cluster;
mod fleet;
mod node;
mod plan;
mod shell;
mod template;
mod vars;
mod wire;

pub use answer::answer;
pub use fleet::{Addressing, Fleet, FleetError};
pub use plan::{BadSize, Behaviour, MAX_NODES, Node, Plan, State, plan};
