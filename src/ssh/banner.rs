//! The identification exchange (RFC 4253, 4.2): is the other end an SSH 2 server at all?
//!
//! russh reads this line too, but tells "an HTTP server", "SSH 1", "endless text" and "closed at once" apart only as "an
//! error". [`Greeting`] watches the bytes first. Pure: bytes in, a step out; no I/O, no clock.

use std::fmt::Write as _;

/// Lines before the identification are allowed; a server that sends more text than this does not mean to identify itself.
const MAX_PREAMBLE: usize = 16 * 1024;
/// OpenSSH's own limit on the number of such lines is 1024; two hundred are already a page-long notice.
const MAX_LINES: usize = 256;
/// RFC 4253: 255 characters with the line end.
const MAX_IDENTIFICATION: usize = 255;

/// Watches the first bytes of a connection until the identification line.
#[derive(Debug, Default)]
pub(super) struct Greeting {
    line: Vec<u8>,
    total: usize,
    lines: usize,
    last_line: Option<String>,
}

/// What the bytes so far amount to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    More,
    /// The identification was found. `consumed` bytes of the chunk were looked at; `line` has its line end.
    Found {
        line: Vec<u8>,
        consumed: usize,
    },
    Not(NotSsh),
}

/// Why the other end is no SSH 2 server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotSsh {
    Http(String),
    /// The version before the first minus, `1.5`.
    OldProtocol(String),
    /// Text or binary without an identification; the beginning of it.
    Noise(String),
    /// More text than anyone puts before an identification.
    Endless {
        bytes: usize,
    },
}

impl Greeting {
    /// Looks at the next bytes.
    pub(super) fn feed(&mut self, chunk: &[u8]) -> Step {
        for (index, &byte) in chunk.iter().enumerate() {
            self.line.push(byte);
            self.total += 1;
            let is_identification = self.line.starts_with(b"SSH-");
            if byte == b'\n' {
                if let Some(step) = self.end_of_line(index + 1) {
                    return step;
                }
            } else if is_identification && self.line.len() > MAX_IDENTIFICATION {
                return Step::Not(NotSsh::Noise(quote(&self.line)));
            }
            if self.total > MAX_PREAMBLE || self.lines > MAX_LINES {
                let noise = self.lines == 0;
                let sample = quote(&self.line);
                return Step::Not(if noise { NotSsh::Noise(sample) } else { NotSsh::Endless { bytes: self.total } });
            }
        }
        Step::More
    }

    fn end_of_line(&mut self, consumed: usize) -> Option<Step> {
        let line = std::mem::take(&mut self.line);
        self.lines += 1;
        if line.starts_with(b"SSH-2.0-") || line.starts_with(b"SSH-1.99-") {
            return Some(Step::Found { line, consumed });
        }
        if let Some(rest) = line.strip_prefix(b"SSH-") {
            let version = rest.split(|&byte| byte == b'-').next().unwrap_or(rest);
            return Some(Step::Not(NotSsh::OldProtocol(quote(version))));
        }
        if line.starts_with(b"HTTP/") {
            return Some(Step::Not(NotSsh::Http(quote(&line))));
        }
        if line.contains(&0) {
            return Some(Step::Not(NotSsh::Noise(quote(&line))));
        }
        self.last_line = Some(quote(&line));
        None
    }

    /// The last text before the connection ended, if any: sshd says there why it hangs up ("Exceeded `MaxStartups`").
    pub(super) fn last_words(&self) -> Option<String> {
        if self.line.is_empty() { self.last_line.clone() } else { Some(quote(&self.line)) }
    }

    /// No byte came so far.
    pub(super) fn is_silent(&self) -> bool {
        self.total == 0
    }
}

/// A short, printable form of untrusted bytes: one line, at most 80 characters, control characters escaped.
pub(super) fn quote(bytes: &[u8]) -> String {
    const MAX: usize = 80;
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::new();
    for character in text.trim().chars() {
        if out.chars().count() >= MAX {
            out.push('…');
            break;
        }
        if character.is_control() {
            let _ = write!(out, "{}", character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed_all(bytes: &[u8]) -> Step {
        Greeting::default().feed(bytes)
    }

    #[test]
    fn servers_are_told_apart_from_everything_else() {
        let noise = |text: &str| Step::Not(NotSsh::Noise(text.into()));
        let cases: &[(&[u8], Step)] = &[
            (b"SSH-2.0-OpenSSH_9.2\r\nrest", Step::Found { line: b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), consumed: 21 }),
            (b"SSH-1.99-Cisco\n", Step::Found { line: b"SSH-1.99-Cisco\n".to_vec(), consumed: 15 }),
            (b"Notice\r\nKeep out\r\nSSH-2.0-x\r\n", Step::Found { line: b"SSH-2.0-x\r\n".to_vec(), consumed: 29 }),
            (b"SSH-1.5-OldServer\n", Step::Not(NotSsh::OldProtocol("1.5".into()))),
            (b"HTTP/1.1 400 Bad Request\r\n", Step::Not(NotSsh::Http("HTTP/1.1 400 Bad Request".into()))),
            (b"\x16\x03\x01\0\n", noise("\\u{16}\\u{3}\\u{1}\\u{0}")),
            (b"SSH-2.0-half", Step::More),
        ];
        for (bytes, expected) in cases {
            assert_eq!(feed_all(bytes), *expected, "{}", quote(bytes));
        }
    }

    #[test]
    fn the_same_bytes_one_at_a_time_give_the_same_answer() {
        let mut greeting = Greeting::default();
        let bytes = b"hello\nSSH-2.0-x\r\n";
        let mut last = Step::More;
        for byte in bytes {
            last = greeting.feed(std::slice::from_ref(byte));
        }
        assert_eq!(last, Step::Found { line: b"SSH-2.0-x\r\n".to_vec(), consumed: 1 });
    }

    #[test]
    fn text_without_end_is_cut_off() {
        assert!(matches!(feed_all(&b"x\n".repeat(1000)), Step::Not(NotSsh::Endless { .. })));
        assert!(matches!(feed_all(&vec![b'x'; 20_000]), Step::Not(NotSsh::Noise(_))));
        let long = [b"SSH-2.0-".as_slice(), &[b'a'; 300]].concat();
        assert!(matches!(feed_all(&long), Step::Not(NotSsh::Noise(_))));
    }

    #[test]
    fn last_words_are_short_and_printable() {
        let mut greeting = Greeting::default();
        assert_eq!(greeting.feed(b"Exceeded MaxStartups\r\n"), Step::More);
        assert_eq!(greeting.last_words().as_deref(), Some("Exceeded MaxStartups"));
        assert_eq!(quote(b"\x1b[31mred\xff"), "\\u{1b}[31mred\u{fffd}");
        assert_eq!(quote(&[b'a'; 500]).chars().count(), 81);
    }
}
