//! Nodes that are no SSH server: what happens on TCP before, or instead of, the protocol.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::plan::Behaviour;

/// Plays the behaviours that need no SSH; `None` if this one does, and the stream is still untouched.
pub(super) async fn play(behaviour: Behaviour, stream: TcpStream) -> Option<TcpStream> {
    let greeting: &[u8] = match behaviour {
        Behaviour::HangInKex => b"SSH-2.0-seaworthy_demo\r\n",
        Behaviour::OldProtocol => b"SSH-1.5-seaworthy_demo\r\n",
        Behaviour::GarbageBanner => b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        Behaviour::HangAfterTcp | Behaviour::EndlessBanner => b"",
        _ => return Some(stream),
    };
    // Errors mean that the client has gone, which is the end of each of these.
    let _ = match behaviour {
        Behaviour::EndlessBanner => banner_for_ever(stream).await,
        Behaviour::GarbageBanner | Behaviour::OldProtocol => say(stream, greeting).await,
        _ => say_and_wait(stream, greeting).await,
    };
    None
}

async fn say(mut stream: TcpStream, text: &[u8]) -> io::Result<()> {
    stream.write_all(text).await?;
    stream.shutdown().await?;
    drain(stream).await
}

async fn say_and_wait(mut stream: TcpStream, text: &[u8]) -> io::Result<()> {
    stream.write_all(text).await?;
    drain(stream).await
}

/// Reads until the client leaves, so that the connection ends with it.
async fn drain(stream: TcpStream) -> io::Result<()> {
    tokio::io::copy(&mut BufReader::new(stream), &mut tokio::io::sink()).await.map(drop)
}

async fn banner_for_ever(stream: TcpStream) -> io::Result<()> {
    let (mut read, mut write) = stream.into_split();
    let line = "This line is part of a banner that has no end.\r\n".repeat(64);
    let reading = async {
        let mut buffer = [0; 1024];
        while read.read(&mut buffer).await? > 0 {}
        Ok(())
    };
    let writing = async {
        loop {
            write.write_all(line.as_bytes()).await?;
        }
    };
    tokio::select! {
        done = reading => done,
        done = writing => done,
    }
}
