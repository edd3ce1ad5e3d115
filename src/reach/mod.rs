//! What a node can reach over its own network path, with no tool on the node: the API server, its own kubelet, NFS servers.
//!
//! Each connection is a `direct-tcpip` channel of the session that the probe runs on, so the node's sshd connects and this
//! program speaks: TLS and HTTP are done here. It only reads, trusts nobody and proves nothing to anybody: certificates are
//! written down and not verified, requests are anonymous, and of a bootstrap token only the id is ever seen.
//!
//! - [`endpoint`]: what is dialled, and which endpoints are tried for a node. Pure.
//! - [`capture`]: what came of it, as saved in the node's record; `facts::reach` reads it.
//! - `dial`, `tls`, `http`, `cluster_info`: one step each, each bounded in time and size.
//! - `gate`: how many connections at once one server gets from a whole run.
//! - [`visit`]: the steps of one node in their order, beside and after its probe; or one endpoint alone, for a proof before a join.
//!
//! Nothing here judges, prints, or fails a node: what did not work is part of the capture.

pub mod capture;
pub(crate) mod cluster_info;
mod dial;
pub mod endpoint;
mod gate;
pub(crate) mod http;
mod tls;
pub mod visit;

pub use capture::ReachCapture;
pub use cluster_info::Signed;
pub use dial::Line;
pub use endpoint::Endpoint;
pub(crate) use tls::issued_by;
pub use visit::{Bounds, Call, Visit, Visitor, Wanted};

/// A stranger's words as they are kept: on one line, short, and without what looks like a secret.
pub(crate) fn words(text: &str, max: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let clean = crate::probe::redact::text(&line);
    match clean.char_indices().nth(max) {
        None => clean.into_owned(),
        Some((end, _)) => format!("{}...", &clean[..end]),
    }
}
