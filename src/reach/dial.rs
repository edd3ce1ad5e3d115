//! One connection as the node makes it: through its session, or from this machine when that is the node.

use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};

use super::capture::Dial;
use crate::ssh::{NotForwarded, Session, local};

/// The way from the node to others.
#[derive(Debug, Clone, Copy)]
pub enum Line<'s> {
    /// The node is this machine.
    Here,
    Session(&'s Session),
}

/// A connection that the node made.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Line<'_> {
    /// Dials once; the stream if that worked, and how it went.
    pub(super) async fn dial(self, host: &str, port: u16, deadline: Duration) -> (Option<Box<dyn Stream>>, Dial) {
        let begun = Instant::now();
        let result: Result<Box<dyn Stream>, NotForwarded> = match self {
            Self::Here => local::dial(host, port, deadline).await.map(|stream| Box::new(stream) as Box<dyn Stream>),
            Self::Session(session) => session.forward(host, port, deadline).await.map(|stream| Box::new(stream) as _),
        };
        let ms = whole_ms(begun.elapsed());
        match result {
            Ok(stream) => (Some(stream), Dial::Open { ms }),
            Err(NotForwarded::Failed(words) | NotForwarded::Unclear(words)) => (None, Dial::Failed { ms, words }),
            Err(NotForwarded::Forbidden(words) | NotForwarded::NoRoom(words)) => (None, Dial::Forbidden { words }),
            Err(NotForwarded::Silent) => (None, Dial::Silent { ms }),
            Err(NotForwarded::Lost(words)) => (None, Dial::Lost { words }),
        }
    }
}

pub(super) fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
