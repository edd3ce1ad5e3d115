//! SSH: from a [`Target`](crate::target::Target) to an open session and one command's output.
//!
//! - [`resolved`]: a connection with every setting decided.
//! - [`config`]: `ssh_config` and `ssh -G`; makes a `Resolved`.
//! - [`known_hosts`]: which keys are known, changed, revoked; learning new ones.
//! - [`keys`] and [`agents`](Agents): what can sign (`signing`); [`destination`]: a host with the hosts on the way to it.
//! - [`connect`], [`session`]: the way to an authenticated session. Inside: `stream`, `wire` and `banner` (bytes), `peer` (what the server
//!   says of itself), `algorithms`, `handshake`, `offers` and `auth` (the login), `proxy` (`ProxyCommand`), `bastion` and `crowd` (jump hosts, and how much they carry).
//! - [`exec`]: one command with its input, output, limits and deadline; `sudo` inside; [`local`]: the same on this machine.
//! - [`limits`]: open files and how many hosts at once.
//!
//! Every failure leaves here as a [`Failure`](crate::failure::Failure). This module knows nothing of probes, facts or Kubernetes,
//! and prints nothing. It tries nothing twice but what a jump host has no room for.

mod agent;
mod algorithms;
mod auth;
mod banner;
mod bastion;
pub mod config;
pub mod connect;
mod crowd;
pub mod destination;
pub mod exec;
mod handshake;
pub mod keys;
pub mod known_hosts;
pub mod limits;
pub mod local;
mod offers;
mod patience;
mod pattern;
mod peer;
mod proxy;
pub mod resolved;
pub mod session;
mod signing;
mod stream;
mod sudo;
mod transcript;
mod wire;

pub use agent::{AgentError, Agents};
pub use connect::{ConnectError, Connector, ConnectorOptions, Deadlines};
pub use destination::{Destination, Destinations};
pub(crate) use exec::timed_out;
pub use exec::{CommandChannel, ExecOutcome, ExecRequest, Exit, Live, Moment};
pub use keys::KeyRing;
pub use peer::UnknownKey;
pub use session::{NotForwarded, Session};
