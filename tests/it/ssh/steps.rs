//! What a server of `server` does with a command: it runs it, plays it step by step, or talks with whoever sends a script.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use russh::server::{Handle, Msg};
use russh::{Channel, ChannelId, ChannelMsg, ChannelReadHalf, Sig};
use seaworthy::probe::Nonce;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[derive(Clone)]
pub(crate) enum Step {
    Out(Vec<u8>),
    Err(Vec<u8>),
    /// A piece over and over, so many times. It is made as the client takes it.
    Repeat(Vec<u8>, u64),
    ErrRepeat(Vec<u8>, u64),
    /// One byte after the other, so far apart.
    Drip(Vec<u8>, Duration),
    /// Waits for a line from the client.
    Line,
    Status(u32),
    Killed(Sig),
    Eof,
    Close,
    /// Ends the whole connection.
    Drop,
}

/// Without end, as far as anybody will wait.
pub(crate) const ENDLESS: u64 = u64::MAX;

type Answering = dyn Fn(&Nonce) -> Vec<Step> + Send + Sync;

/// One who reads a script before it answers. Whatever comes after its last step, the channel stays open.
#[derive(Clone)]
pub(crate) struct Talk {
    /// By the command line, before the script: what sudo does.
    pub before: fn(&str) -> Vec<Step>,
    /// By the script's nonce.
    pub then: Arc<Answering>,
}

impl Talk {
    pub(crate) fn new(then: impl Fn(&Nonce) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self { before: |_| Vec::new(), then: Arc::new(then) }
    }

    pub(super) async fn hold(self, handle: Handle, channel: Channel<Msg>, command: String) {
        let id = channel.id();
        let (mut reader, _writer) = channel.split();
        let mut heard = Heard { bytes: Vec::new() };
        for step in (self.before)(&command) {
            if matches!(step, Step::Line) {
                if heard.line(&mut reader).await.is_none() {
                    return;
                }
            } else {
                play(handle.clone(), id, vec![step]).await;
            }
        }
        let Some(first) = heard.line(&mut reader).await else { return };
        let Some(nonce) = Nonce::of_script(&first) else { return };
        let steps = play(handle, id, (self.then)(&nonce));
        let rest = async { while reader.wait().await.is_some() {} };
        tokio::join!(steps, rest);
    }
}

/// What the client said and nobody read.
struct Heard {
    bytes: Vec<u8>,
}

impl Heard {
    async fn line(&mut self, reader: &mut ChannelReadHalf) -> Option<String> {
        loop {
            if let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line).into_owned());
            }
            match reader.wait().await? {
                ChannelMsg::Data { data } => self.bytes.extend_from_slice(&data),
                ChannelMsg::Close => return None,
                _ => {}
            }
        }
    }
}

/// A client that has gone is no concern of these: results are dropped, and what has no end ends with it.
pub(super) async fn play(handle: Handle, id: ChannelId, steps: Vec<Step>) {
    for step in steps {
        let _gone = match step {
            Step::Out(bytes) => {
                for piece in bytes.chunks(32 * 1024) {
                    let _ = handle.data(id, piece.to_vec()).await;
                }
                Ok(())
            }
            Step::Err(bytes) => handle.extended_data(id, 1, bytes).await.map_err(drop),
            Step::Repeat(piece, times) => {
                let mut left = times;
                while left > 0 && handle.data(id, piece.clone()).await.is_ok() {
                    left -= 1;
                }
                Ok(())
            }
            Step::ErrRepeat(piece, times) => {
                let mut left = times;
                while left > 0 && handle.extended_data(id, 1, piece.clone()).await.is_ok() {
                    left -= 1;
                }
                Ok(())
            }
            Step::Drip(bytes, apart) => {
                for byte in bytes {
                    tokio::time::sleep(apart).await;
                    if handle.data(id, vec![byte]).await.is_err() {
                        break;
                    }
                }
                Ok(())
            }
            Step::Line => Ok(()),
            Step::Status(code) => handle.exit_status_request(id, code).await,
            Step::Killed(signal) => handle.exit_signal_request(id, signal, false, String::new(), String::new()).await,
            Step::Eof => handle.eof(id).await,
            Step::Close => handle.close(id).await,
            Step::Drop => {
                let reason = russh::Disconnect::ByApplication;
                handle.disconnect(reason, "going down".into(), String::new()).await.map_err(drop)
            }
        };
    }
}

/// Really runs the command, with `path` first in `PATH`.
pub(super) async fn run(handle: Handle, channel: Channel<Msg>, command: String, path: Option<PathBuf>) {
    let id = channel.id();
    let own = std::env::var("PATH").unwrap_or_default();
    let path = path.map_or(own.clone(), |first| format!("{}:{own}", first.display()));
    let mut child = tokio::process::Command::new("sh")
        .args(["-c", &command])
        .env("PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take();
    let (mut reader, _writer) = channel.split();
    let feeding = tokio::spawn(async move {
        while let Some(message) = reader.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    if let Some(pipe) = &mut stdin {
                        let _ = pipe.write_all(&data).await;
                    }
                }
                ChannelMsg::Eof => stdin = None,
                _ => {}
            }
        }
    });
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let outs = async {
        let mut space = vec![0; 32 * 1024];
        while let Ok(count @ 1..) = out.read(&mut space).await {
            let _ = handle.data(id, space[..count].to_vec()).await;
        }
    };
    let errs = async {
        let mut space = vec![0; 4096];
        while let Ok(count @ 1..) = err.read(&mut space).await {
            let _ = handle.extended_data(id, 1, space[..count].to_vec()).await;
        }
    };
    tokio::join!(outs, errs);
    let status = child.wait().await.unwrap();
    let _ = handle.exit_status_request(id, u32::try_from(status.code().unwrap_or(255)).unwrap()).await;
    let _ = handle.eof(id).await;
    let _ = handle.close(id).await;
    feeding.abort();
}
