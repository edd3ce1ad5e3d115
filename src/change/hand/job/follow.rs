//! Following a job's log while it is written.

use std::time::Duration;

use tokio::sync::mpsc;

use super::super::script::Script;
use super::super::{Answer, Hand, HandError, judge, request, settle, word};
use super::{COMMON, JobEnd};
use crate::probe::{self, Nonce};
use crate::ssh::{ExecRequest, Live};

/// Far beyond what a job may take: whoever follows decides how long.
const EVER: Duration = Duration::from_hours(7 * 24);
/// Bytes of a log that one call brings: far more than kubeadm has to say.
const LOG_CAP: usize = 64 << 20;
/// A line of the script's own is never longer.
const LINE: usize = 8 << 10;

impl Hand<'_> {
    /// Sends everything that the job prints from byte `from` of its log on, as it comes, until it ends; what it printed before is
    /// sent first. A lost connection is a [`HandError::Connection`], and the next call goes on behind the bytes that came. The node
    /// is asked about three times a second. Drop the future to stop.
    pub async fn follow_job(
        &self,
        name: &str,
        from: u64,
        sink: mpsc::UnboundedSender<Vec<u8>>,
    ) -> Result<JobEnd, HandError> {
        let script = Script::new().set("NAME", word("a job", name)?).set("FROM", &from.to_string());
        let (nonce, text) = script.finish(&[COMMON, include_str!("../script/job-follow.sh")]);
        let command = probe::COMMAND.join(" ");
        let (to_us, mut output) = mpsc::unbounded_channel();
        let place = self.place().await?;
        let live = Live { output: Some(to_us), input: None };
        let request = ExecRequest { stdout_cap: LOG_CAP, ..request(&command, text.as_str(), self.sudo, EVER) };
        let running = place.exec(request, live);
        tokio::pin!(running);
        let mut stream = Stream::new(&nonce);
        let mut outcome = None;
        let answer = loop {
            let piece = tokio::select! {
                biased;
                piece = output.recv() => piece,
                ended = &mut running, if outcome.is_none() => { outcome = Some(ended); continue }
            };
            let Some(piece) = piece else { break None };
            if let Some(data) = stream.push(&piece)
                && sink.send(data).is_err()
            {
                let why = "nobody listens to the job any more".to_owned();
                return Err(HandError::Failed { why, next: "run it again".to_owned() });
            }
            if let Some(answer) = stream.answer() {
                break Some(answer);
            }
        };
        let answer = match (answer, outcome) {
            (Some(answer), _) => judge(answer)?,
            (None, Some(outcome)) => settle(&outcome, &stream.lines, &nonce)?,
            (None, None) => settle(&running.await, &stream.lines, &nonce)?,
        };
        let code = answer.get("code").and_then(|code| code.parse().ok());
        Ok(match (answer.status.as_str(), code) {
            ("ended", Some(code)) => JobEnd::Exit(code),
            _ => JobEnd::Gone,
        })
    }
}

/// Takes the log's bytes out of the script's lines.
struct Stream {
    nonce: Nonce,
    data: Vec<u8>,
    tick: Vec<u8>,
    /// Bytes of the log that follow.
    expected: usize,
    /// The script's lines as far as they are kept, with noise before them.
    lines: Vec<u8>,
    /// Where the line begins that has not ended.
    open: usize,
}

impl Stream {
    fn new(nonce: &Nonce) -> Self {
        let mark = |word: &str| format!("@@{} {word} ", nonce.as_str()).into_bytes();
        Self { nonce: nonce.clone(), data: mark("data"), tick: mark("tick"), expected: 0, lines: Vec::new(), open: 0 }
    }

    /// The log's bytes in this piece.
    fn push(&mut self, mut piece: &[u8]) -> Option<Vec<u8>> {
        let mut found = Vec::new();
        while !piece.is_empty() {
            if self.expected > 0 {
                let (data, rest) = piece.split_at(self.expected.min(piece.len()));
                found.extend_from_slice(data);
                self.expected -= data.len();
                piece = rest;
                continue;
            }
            let end = piece.iter().position(|byte| *byte == b'\n').map_or(piece.len(), |end| end + 1);
            let (part, rest) = piece.split_at(end);
            piece = rest;
            self.lines.extend_from_slice(part);
            let line = self.lines.get(self.open..).unwrap_or_default();
            if line.last() != Some(&b'\n') {
                if line.len() > LINE {
                    // Noise without end.
                    self.lines.truncate(self.open);
                }
                continue;
            }
            if let Some(count) = line.strip_prefix(self.data.as_slice()) {
                self.expected = String::from_utf8_lossy(count).trim().parse().unwrap_or(0);
                self.lines.truncate(self.open);
            } else if line.starts_with(&self.tick) || self.lines.len() > 16 * LINE {
                self.lines.truncate(self.open);
            }
            self.open = self.lines.len();
        }
        (!found.is_empty()).then_some(found)
    }

    fn answer(&self) -> Option<Answer> {
        if self.expected > 0 { None } else { Answer::read(&self.lines, &self.nonce) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_exact_however_it_is_cut() {
        let nonce = Nonce::random();
        let mark = format!("@@{}", nonce.as_str());
        let log = format!("[preflight] x\n{mark} end ended\n\n@@data 3\n");
        let text = format!(
            "motd\n\n{mark} begin\n{mark} data {}\n{log}{mark} tick 10\n{mark} data 2\nyz{mark} code 1\n{mark} end ended\n",
            log.len()
        );
        for size in [1, 2, 3, 7, 50, 10_000] {
            let mut stream = Stream::new(&nonce);
            let mut found = Vec::new();
            for (index, piece) in text.as_bytes().chunks(size).enumerate() {
                assert_eq!(stream.answer(), None, "{index}");
                found.extend(stream.push(piece).unwrap_or_default());
            }
            assert_eq!(String::from_utf8(found).unwrap(), format!("{log}yz"));
            let answer = stream.answer().unwrap();
            assert_eq!((answer.status.as_str(), answer.get("code")), ("ended", Some("1")));
        }
    }

    #[test]
    fn noise_without_end_is_not_kept() {
        let mut stream = Stream::new(&Nonce::random());
        for _ in 0..1000 {
            assert_eq!(stream.push(&[b'x'; 4096]), None);
            assert_eq!(stream.push(b"short\n"), None);
        }
        assert!(stream.lines.len() < 20 * LINE, "{}", stream.lines.len());
    }
}
