//! One GET of HTTP/1.1 that ends its connection. Answers are bounded, and read as leniently as is safe.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::dial::whole_ms;

/// Status line, headers and body.
const MAX_ANSWER: usize = 256 * 1024;

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) ms: u64,
}

/// Asks for `path`; `host` is for the server's eyes. An error is a fragment in words.
pub(super) async fn get(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    host: &str,
    path: &str,
    deadline: Duration,
) -> Result<Response, String> {
    let begun = Instant::now();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: seaworthy/{}\r\nAccept: application/json\r\nConnection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    let talk = async {
        stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
        stream.flush().await.map_err(|error| error.to_string())?;
        let answer = read(&mut stream).await?;
        let (status, body) = parse(&answer)?;
        Ok(Response { status, body, ms: whole_ms(begun.elapsed()) })
    };
    timeout(deadline, talk).await.unwrap_or_else(|_| Err(format!("no answer within {} s", deadline.as_secs())))
}

/// Reads to the end of the answer, which most servers mark by closing.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, String> {
    let mut answer = Vec::new();
    let mut piece = vec![0; 16 * 1024];
    let mut head: Option<Head> = None;
    loop {
        let count = match stream.read(&mut piece).await {
            Ok(count) => count,
            // Many servers leave TLS without saying goodbye.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !answer.is_empty() => 0,
            Err(error) => return Err(error.to_string()),
        };
        if count == 0 {
            return if answer.is_empty() { Err("closed without an answer".to_owned()) } else { Ok(answer) };
        }
        let seen = answer.len().saturating_sub(3);
        answer.extend_from_slice(&piece[..count]);
        if answer.len() > MAX_ANSWER {
            return Err(format!("the answer is longer than {} KiB", MAX_ANSWER / 1024));
        }
        if head.is_none() {
            let end = answer[seen..].windows(4).position(|window| window == b"\r\n\r\n").map(|at| seen + at + 4);
            head = end.map(|end| Head::of(&answer, end));
        }
        if head.as_ref().is_some_and(|head| head.is_complete(&answer)) {
            return Ok(answer);
        }
    }
}

/// Where the body begins and ends.
struct Head {
    body: usize,
    length: Option<usize>,
    chunked: bool,
}

impl Head {
    fn of(answer: &[u8], body: usize) -> Self {
        let text = String::from_utf8_lossy(&answer[..body]);
        let header = |name: &str| {
            let lines = text.lines().skip(1).filter_map(|line| line.split_once(':'));
            let mut found = lines.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name));
            found.next().map(|(_, value)| value.trim().to_ascii_lowercase())
        };
        Self {
            body,
            length: header("content-length").and_then(|length| length.parse().ok()),
            chunked: header("transfer-encoding").is_some_and(|coding| coding.ends_with("chunked")),
        }
    }

    fn is_complete(&self, answer: &[u8]) -> bool {
        if self.chunked {
            return answer[self.body..].ends_with(b"0\r\n\r\n");
        }
        self.length.is_some_and(|length| answer.len() - self.body >= length)
    }
}

/// Status and body of a whole answer.
pub(crate) fn parse(answer: &[u8]) -> Result<(u16, Vec<u8>), String> {
    let status = answer
        .strip_prefix(b"HTTP/1.")
        .and_then(|rest| std::str::from_utf8(rest.get(2..5)?).ok()?.parse::<u16>().ok())
        .filter(|status| (100..600).contains(status))
        .ok_or_else(|| "the answer is no HTTP".to_owned())?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let head = Head::of(answer, end.ok_or_else(|| "the answer was cut off".to_owned())? + 4);
    let body = &answer[head.body..];
    let body = if head.chunked {
        unchunk(body).ok_or_else(|| "the answer was cut off".to_owned())?
    } else {
        match head.length {
            Some(length) => body.get(..length).ok_or_else(|| "the answer was cut off".to_owned())?.to_vec(),
            None => body.to_vec(),
        }
    };
    Ok((status, body))
}

/// Joins `SIZE\r\nDATA\r\n` chunks up to the one of no size.
fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(rest.get(..end)?).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        rest = rest.get(end + 2..)?;
        if size == 0 {
            return Some(out);
        }
        out.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What comes of a server that sends this and then keeps the connection open, or closes it.
    async fn answer(text: &[u8], closes: bool) -> Result<(u16, String), String> {
        let (near, mut far) = tokio::io::duplex(1024);
        let serve = async {
            let _ = far.write_all(text).await;
            if closes {
                let _ = far.shutdown().await;
            }
            far
        };
        let ask = get(near, "h", "/healthz", Duration::from_secs(5));
        let (result, _open) = tokio::join!(ask, serve);
        result.map(|response| (response.status, String::from_utf8(response.body).unwrap()))
    }

    #[tokio::test(start_paused = true)]
    async fn every_way_to_end_an_answer() {
        let ok = |body: &str| Ok((200, body.to_owned()));
        assert_eq!(answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false).await, ok("ok"));
        assert_eq!(answer(b"HTTP/1.0 200 OK\r\n\r\nok", true).await, ok("ok"));
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nok\r\n1\r\n!\r\n0\r\n\r\n";
        assert_eq!(answer(chunked, false).await, ok("ok!"));
        assert_eq!(
            answer(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", false).await,
            Ok((403, String::new()))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_answer_says_so() {
        let why = |text: &'static [u8], closes| async move { answer(text, closes).await.unwrap_err() };
        assert_eq!(why(b"SSH-2.0-x\r\n", true).await, "the answer is no HTTP");
        assert_eq!(why(b"", true).await, "closed without an answer");
        assert_eq!(why(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", true).await, "the answer was cut off");
        assert_eq!(why(b"HTTP/1.1 200 OK\r\nX: y\r\n", true).await, "the answer was cut off");
        assert_eq!(
            why(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", true).await,
            "the answer was cut off"
        );
        assert_eq!(why(b"HTTP/1.1 200 OK\r\n", false).await, "no answer within 5 s");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_without_end_is_cut() {
        let endless = vec![b'x'; MAX_ANSWER + 1];
        assert_eq!(answer(&endless, true).await.unwrap_err(), "the answer is longer than 256 KiB");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(answer in "(?s)(HTTP/1.1 200 OK\r\n)?(\r\n|[0-9a-fA-F]{1,17}|;|Content-Length: |Transfer-Encoding: chunked|0\r\n\r\n|.){0,30}") {
            if let Ok((_, body)) = parse(answer.as_bytes()) {
                prop_assert!(body.len() <= answer.len());
            }
            if let Some(end) = answer.as_bytes().windows(4).position(|window| window == b"\r\n\r\n") {
                let _ = Head::of(answer.as_bytes(), end + 4).is_complete(answer.as_bytes());
            }
        }

        #[test]
        fn chunks_are_joined(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..8)) {
            let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for chunk in &chunks {
                answer.extend(format!("{:x}\r\n", chunk.len()).bytes());
                answer.extend(chunk.iter().chain(b"\r\n"));
            }
            answer.extend(b"0\r\n\r\n");
            prop_assert_eq!(parse(&answer), Ok((200, chunks.concat())));
        }
    }
}
