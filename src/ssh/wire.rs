//! The byte stream that russh reads and writes.
//!
//! [`Wire`] is the one place that sees the raw bytes: it watches the identification (see [`banner`](super::banner)) and can be
//! cut from outside, because russh's session task otherwise outlives a handshake that hangs. [`Tcp`] keeps latency low. Nothing
//! here knows keys or commands.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::net::TcpStream;

use super::banner::{Greeting, NotSsh, Step};

/// One read for many packets instead of two per packet; larger buffers measured slower.
const READ_BUFFER: usize = 16 * 1024;

/// Any byte stream that can carry SSH.
pub(super) trait Carrier: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Carrier for T {}

/// A TCP connection whose acknowledgements are never held back.
///
/// sshd keeps Nagle's algorithm on until the command starts, so a delayed acknowledgement (40 ms) stalls the confirmation of
/// the channel. Linux forgets `TCP_QUICKACK` by itself, so it is set again after each read.
pub(super) struct Tcp(BufReader<TcpStream>);

impl Tcp {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self(BufReader::with_capacity(READ_BUFFER, stream))
    }
}

impl AsyncRead for Tcp {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let had = self.0.buffer().len();
        let result = ready!(Pin::new(&mut self.0).poll_read(cx, buf));
        #[cfg(target_os = "linux")]
        if had == 0 {
            let _ = rustix::net::sockopt::set_tcp_quickack(self.0.get_ref(), true);
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.0.get_mut()).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.0.get_mut()).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.0.get_mut()).poll_shutdown(cx)
    }
}

/// What is known about the other end's identification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hello {
    /// Nothing but perhaps some text; the last line of it.
    Waiting {
        silent: bool,
        last_words: Option<String>,
    },
    Seen(String),
    Not(NotSsh),
    /// The connection ended first.
    Closed {
        last_words: Option<String>,
    },
}

/// The owner's end of a [`Wire`]: cuts it when dropped, and tells what the identification was.
#[derive(Debug)]
pub(super) struct Leash(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    cut: AtomicBool,
    waker: AtomicWaker,
    hello: Mutex<Hello>,
}

impl Leash {
    pub(super) fn hello(&self) -> Hello {
        self.0.hello.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.cut.store(true, Ordering::Release);
        self.0.waker.wake();
    }
}

/// The stream handed to russh.
pub(super) struct Wire {
    inner: Box<dyn Carrier>,
    shared: Arc<Shared>,
    greeting: Option<Greeting>,
    /// Bytes read while looking for the identification, not yet given to russh.
    ahead: Vec<u8>,
}

impl Wire {
    pub(super) fn new(inner: Box<dyn Carrier>) -> (Self, Leash) {
        let shared = Arc::new(Shared {
            cut: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            hello: Mutex::new(Hello::Waiting { silent: true, last_words: None }),
        });
        let leash = Leash(Arc::clone(&shared));
        (Self { inner, shared, greeting: Some(Greeting::default()), ahead: Vec::new() }, leash)
    }

    fn set(&self, hello: Hello) {
        *self.shared.hello.lock().unwrap_or_else(PoisonError::into_inner) = hello;
    }

    /// Reads until the identification is complete. Text before it is dropped: it is allowed, and russh takes little of it.
    fn poll_greeting(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(greeting) = &mut self.greeting {
            let mut space = [0_u8; 4096];
            let mut chunk = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut chunk))?;
            let chunk = chunk.filled();
            let step = if chunk.is_empty() { None } else { Some(greeting.feed(chunk)) };
            let (silent, last_words) = (greeting.is_silent(), greeting.last_words());
            match step {
                None => {
                    self.set(Hello::Closed { last_words });
                    self.greeting = None;
                }
                Some(Step::More) => self.set(Hello::Waiting { silent, last_words }),
                Some(Step::Not(reason)) => {
                    self.set(Hello::Not(reason));
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
                Some(Step::Found { line, consumed }) => {
                    self.set(Hello::Seen(super::banner::quote(&line)));
                    self.ahead = line;
                    self.ahead.extend_from_slice(chunk.get(consumed..).unwrap_or_default());
                    self.greeting = None;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.shared.waker.register(cx.waker());
        if self.shared.cut.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        ready!(self.poll_greeting(cx))?;
        if !self.ahead.is_empty() {
            let count = self.ahead.len().min(buf.remaining());
            let rest = self.ahead.split_off(count);
            buf.put_slice(&self.ahead);
            self.ahead = rest;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.shared.cut.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wire_that_is_cut_wakes_its_reader() {
        let (near, _far) = tokio::io::duplex(64);
        let (mut wire, leash) = Wire::new(Box::new(near));
        let reading = tokio::spawn(async move { tokio::io::AsyncReadExt::read_u8(&mut wire).await });
        tokio::task::yield_now().await;
        assert_eq!(leash.hello(), Hello::Waiting { silent: true, last_words: None });
        drop(leash);
        assert_eq!(reading.await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }
}
