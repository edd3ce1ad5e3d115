//! The connection engine against servers in this process that misbehave on purpose, and against the real sshd where there is one.

mod auth;
pub(crate) mod bad_peers;
mod exec;
mod host_keys;
mod jump;
mod reach;
pub(crate) mod real_sshd;
pub(crate) mod server;
pub(crate) mod steps;
mod sudo;
pub(crate) mod support;
mod wire;
