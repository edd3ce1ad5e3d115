//! SSH: from a [`Target`](crate::target::Target) to an open session and one command's output.
//!
//! - [`resolved`]: a connection with every setting decided.
//! - `config`: `ssh_config` and `ssh -G`; makes a `Resolved`.
//! - `known_hosts`: which keys are known, changed, revoked; learning new ones.
//! - `connect`, `stream`, `auth`, `keys`, `jump`: the way to an authenticated session.
//! - `exec`, `sudo`: one command with its input, output, limits and deadline.
//! - `local`: the same for `ansible_connection=local`.
//!
//! Every failure leaves here as a [`Failure`](crate::failure::Failure). This module knows nothing of probes, facts or Kubernetes.

pub mod resolved;
