//! SSH: from a [`Target`](crate::target::Target) to an open session and one command's output.
//!
//! - [`resolved`]: a connection with every setting decided.
//! - [`config`]: `ssh_config` and `ssh -G`; makes a `Resolved`.
//! - [`known_hosts`]: which keys are known, changed, revoked; learning new ones.
//!
//! Every failure leaves here as a [`Failure`](crate::failure::Failure). This module knows nothing of probes, facts or Kubernetes,
//! retries nothing, and prints nothing.

pub mod config;
pub mod known_hosts;
mod pattern;
pub mod resolved;
