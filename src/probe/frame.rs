//! Frames: from the bytes that a host sent to a [`Capture`]. The format is that of `docs/probe.md`.
//!
//! Pure and total: whatever the bytes are, the result is a capture or a typed reason why there is none, and it is never
//! larger than the limits allow. What a section's text means is not known here.

use std::collections::BTreeSet;

use memchr::{memchr, memmem, memrchr};

use crate::record::{Capture, Section};

use super::Nonce;

/// How far into the output a greeting is timed.
pub const GREETING_WITHIN: usize = 256 << 10;

/// What the parser is ready to keep of one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Sections; later ones are dropped and the capture is not complete.
    pub sections: usize,
    /// Bytes of one section's text; less where the script itself sends less.
    pub section: usize,
    /// Bytes of all texts together.
    pub total: usize,
    /// Bytes of the noise before the greeting.
    pub noise: usize,
    /// Bytes of standard error.
    pub stderr: usize,
}

impl Limits {
    /// Room for a control plane of 5,000 nodes; an ordinary node sends less than 300 KiB.
    pub const DEFAULT: Self =
        Self { sections: 4096, section: 8 << 20, total: 16 << 20, noise: 1 << 10, stderr: 4 << 10 };
}

/// What the script cuts a section at, in bytes (`docs/probe.md`, "Limits").
fn cut_at(id: &str) -> usize {
    match id {
        "api-nodes" => 8 << 20,
        "api-pods-system" => 4 << 20,
        "api-daemonsets" | "api-pod-ips" => 1 << 20,
        "ip-route" | "ip-neigh" | "ip-fdb" | "api-csr" => 512 << 10,
        _ if id.starts_with("crictl-") => 512 << 10,
        "ip-link" | "containerd-dump" => 256 << 10,
        _ => 64 << 10,
    }
}

/// What is kept of a section's text, in bytes: twice what the script sends. A node that sends more does not run the script, and
/// what is made of a text may take many times its size.
fn room(id: &str) -> usize {
    cut_at(id) * 2
}

/// A marker names a path at most, which has 4,096 bytes; a line that is longer is text.
const LONGEST_MARKER: usize = 8 << 10;

/// The probe's first frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// The node's clock, in milliseconds since 1970; `None` on a node without `date`.
    pub node_ms: Option<i64>,
    pub uid: Option<u32>,
    /// Ids of the slow sections that follow.
    pub announced: Vec<String>,
}

/// Why there is no capture at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Nothing came.
    #[error("the probe sent nothing")]
    Silent,
    /// Something came, but no greeting: a login shell that is none, a forced command, a missing `sh`.
    #[error("the probe did not greet; the host said: {first_line}")]
    NoGreeting {
        /// The first line with something in it, cut to 200 characters, redacted, and not escaped.
        first_line: String,
    },
    /// The greeting is of a version that this program does not know.
    #[error("the probe greets with version {version}, this program knows version {}", Nonce::VERSION)]
    Version { version: String },
}

/// A frame's first line, without its nonce.
enum Marker {
    Hello(Result<Greeting, FrameError>),
    Begin { id: String, rc: i32, ms: u32, arg: Option<String> },
    Cut,
    Bye,
}

impl Marker {
    /// `None` for a line that is no marker of this run, and for one whose fields are nonsense: that is text.
    fn of(line: &str, nonce: &Nonce) -> Option<Self> {
        let rest = line.strip_prefix("@@")?.strip_prefix(nonce.as_str())?.strip_prefix(' ')?;
        match rest.split_once(' ') {
            None if rest == "bye" => Some(Self::Bye),
            None if rest == "cut" => Some(Self::Cut),
            Some(("hello", fields)) => Some(Self::Hello(parse_greeting(fields))),
            Some((id, fields)) if is_id(id) => {
                let (rc, fields) = fields.split_once(' ')?;
                let (ms, arg) = match fields.split_once(' ') {
                    Some((ms, arg)) => (ms, Some(arg)),
                    None => (fields, None),
                };
                // Absurd numbers are the node's mistake, not a reason to lose the section.
                let rc = integer(rc)?.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
                let ms = integer(ms)?.clamp(0, i64::from(u32::MAX));
                Some(Self::Begin {
                    id: id.to_owned(),
                    rc: i32::try_from(rc).unwrap_or(i32::MAX),
                    ms: u32::try_from(ms).unwrap_or(u32::MAX),
                    arg: arg.filter(|arg| !arg.is_empty()).map(|arg| arg.replace('\0', "")),
                })
            }
            _ => None,
        }
    }
}

/// What every marker of a run begins with, at the start of a line.
fn head(nonce: &Nonce) -> String {
    format!("@@{} ", nonce.as_str())
}

/// The markers of an answer and what lies between them, which is looked at as a whole: an answer has a thousand lines and a
/// hundred markers. As bytes: the text of 20 MB that are not UTF-8 would take 60.
struct Markers<'a> {
    /// Begins at the start of a line.
    rest: &'a [u8],
    /// Finds [`head`].
    finder: memmem::Finder<'a>,
    nonce: &'a Nonce,
}

struct Found<'a> {
    /// The whole lines before it.
    before: &'a [u8],
    /// Its own, without the newline.
    line: &'a [u8],
    marker: Marker,
}

impl<'a> Markers<'a> {
    /// Those of a run whose [`head`] this is.
    fn of(bytes: &'a [u8], head: &'a str, nonce: &'a Nonce) -> Self {
        Self { rest: bytes, finder: memmem::Finder::new(head), nonce }
    }

    /// The next marker whose line is whole, and may end with the CR of a terminal in between.
    fn next(&mut self, crlf: bool) -> Option<Found<'a>> {
        let mut from = 0;
        loop {
            let start = from + self.finder.find(self.rest.get(from..)?)?;
            from = start + 1;
            let (before, rest) = self.rest.split_at(start);
            if !(before.is_empty() || before.ends_with(b"\n")) {
                continue;
            }
            let (line, rest) = rest.split_at(memchr(b'\n', rest)?);
            let bare = if crlf { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
            if bare.len() > LONGEST_MARKER {
                continue;
            }
            if let Some(marker) = Marker::of(&String::from_utf8_lossy(bare), self.nonce) {
                self.rest = rest.get(1..).unwrap_or_default();
                return Some(Found { before, line, marker });
            }
        }
    }
}

fn is_id(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= 64
        && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !matches!(id, "bye" | "cut" | "hello")
}

/// A whole number of any length; one that does not fit is the largest of its sign.
fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(if text.starts_with('-') { i64::MIN } else { i64::MAX }))
}

/// `1700000000.123456789` as milliseconds.
fn epoch_ms(text: &str) -> Option<i64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().ok().filter(|s| *s >= 0)?;
    let mut millis = 0;
    for position in 0..3 {
        let digit = fraction.as_bytes().get(position).filter(|b| b.is_ascii_digit()).map_or(0, |b| i64::from(b - b'0'));
        millis = millis * 10 + digit;
    }
    seconds.checked_mul(1000)?.checked_add(millis)
}

fn parse_greeting(fields: &str) -> Result<Greeting, FrameError> {
    let mut fields = fields.split(' ');
    let version = fields.next().unwrap_or_default();
    if version != Nonce::VERSION {
        return Err(FrameError::Version { version: version.chars().take(20).collect() });
    }
    let node_ms = fields.next().and_then(epoch_ms);
    let uid = fields.next().and_then(|uid| uid.parse().ok());
    let announced: BTreeSet<&str> =
        fields.next().unwrap_or_default().split(',').filter(|id| is_id(id)).take(256).collect();
    Ok(Greeting { node_ms, uid, announced: announced.into_iter().map(ToOwned::to_owned).collect() })
}

/// Looks for the greeting in what has come so far, so that its arrival can be timed. `None`: not yet.
///
/// Only whole lines count, so a greeting that is cut in two reads is found when its second half has come. It is looked for
/// in the first [`GREETING_WITHIN`] bytes; a host that says more before it is not worth reading on.
pub fn greeting(bytes: &[u8], nonce: &Nonce) -> Option<Result<Greeting, FrameError>> {
    let bytes = bytes.get(..GREETING_WITHIN).unwrap_or(bytes);
    let head = head(nonce);
    let mut markers = Markers::of(bytes, &head, nonce);
    loop {
        if let Marker::Hello(greeting) = markers.next(true)?.marker {
            return Some(greeting);
        }
    }
}

/// Cuts a host's output into its sections.
///
/// Bytes that are not UTF-8 become U+FFFD, NULs are dropped. If the greeting ended with CR LF, a terminal stands in between
/// and one CR is taken from every line's end.
pub fn parse(stdout: &[u8], stderr: &[u8], nonce: &Nonce, limits: &Limits) -> Result<Capture, FrameError> {
    let mut capture = Capture { stderr: lossy_head(stderr, limits.stderr), ..Capture::default() };
    let head = head(nonce);
    let mut markers = Markers::of(stdout, &head, nonce);

    let mut noise = Kept::new(limits.noise);
    let (greeting, crlf) = loop {
        let Some(found) = markers.next(true) else { return Err(no_greeting(stdout)) };
        noise.push_bytes(found.before);
        match found.marker {
            Marker::Hello(greeting) => break (greeting?, found.line.ends_with(b"\r")),
            Marker::Begin { .. } | Marker::Cut | Marker::Bye => {
                noise.push_bytes(found.line);
                noise.push("\n");
            }
        }
    };
    // The newline before the greeting is the script's own.
    let own = if crlf { "\r\n" } else { "\n" };
    capture.noise = match noise.text.strip_suffix(own) {
        Some(text) => text.to_owned(),
        None => noise.text,
    };
    capture.uid = greeting.uid;

    let mut open: Option<Open> = None;
    let mut total = 0;
    let mut dropped = false;
    while let Some(found) = markers.next(crlf) {
        if let Some(open) = &mut open {
            open.lines(found.before, crlf);
        }
        match found.marker {
            Marker::Begin { id, rc, ms, arg } => {
                close(&mut open, &mut capture, &mut total);
                if capture.sections.len() >= limits.sections {
                    dropped = true;
                    break;
                }
                total += arg.as_ref().map_or(0, String::len);
                let room = limits.section.min(room(&id)).min(limits.total.saturating_sub(total));
                let section = Section { id, arg, rc, ms, truncated: false, text: String::new() };
                open = Some(Open { section, kept: Kept::new(room), empty: true });
            }
            Marker::Cut => {
                if let Some(open) = &mut open {
                    open.section.truncated = true;
                }
            }
            Marker::Bye => {
                close(&mut open, &mut capture, &mut total);
                capture.complete = true;
                break;
            }
            // A second greeting is nothing to act on, and not a section's text either.
            Marker::Hello(_) => {}
        }
    }
    if let Some(open) = &mut open {
        // The stream ended inside it: its last line may be half a line. Half a marker is neither a marker nor text.
        let (whole, half) = markers.rest.split_at(memrchr(b'\n', markers.rest).map_or(0, |end| end + 1));
        open.lines(whole, crlf);
        if !(half.starts_with(head.as_bytes()) || head.as_bytes().starts_with(half)) {
            open.lines(half, false);
        }
        open.section.truncated = true;
    }
    close(&mut open, &mut capture, &mut total);
    capture.complete &= !dropped;
    capture.missing =
        greeting.announced.into_iter().filter(|id| !capture.sections.iter().any(|section| section.id == *id)).collect();
    Ok(capture)
}

/// A section whose end has not come.
struct Open {
    section: Section,
    kept: Kept,
    /// No line has come, not even one with nothing in it.
    empty: bool,
}

impl Open {
    fn lines(&mut self, lines: &[u8], crlf: bool) {
        if lines.is_empty() {
            return;
        }
        // The newline before a marker is not part of the text, so newlines stand between lines only.
        if !self.empty {
            self.kept.push("\n");
        }
        self.empty = false;
        let last = lines.strip_suffix(b"\n").unwrap_or(lines);
        if !crlf {
            return self.kept.push_bytes(last);
        }
        for (number, line) in last.split(|byte| *byte == b'\n').enumerate() {
            if number > 0 {
                self.kept.push("\n");
            }
            self.kept.push_bytes(line.strip_suffix(b"\r").unwrap_or(line));
        }
    }
}

fn close(open: &mut Option<Open>, capture: &mut Capture, total: &mut usize) {
    if let Some(Open { mut section, kept, .. }) = open.take() {
        section.truncated |= kept.full;
        section.text = kept.text;
        *total += section.text.len();
        capture.sections.push(section);
    }
}

/// Text up to a limit in bytes, cut between characters; NULs are left out.
struct Kept {
    text: String,
    limit: usize,
    full: bool,
}

impl Kept {
    const fn new(limit: usize) -> Self {
        Self { text: String::new(), limit, full: false }
    }

    /// What is not UTF-8 becomes U+FFFD, as [`String::from_utf8_lossy`] has it.
    fn push_bytes(&mut self, more: &[u8]) {
        for chunk in more.utf8_chunks() {
            self.push(chunk.valid());
            if !chunk.invalid().is_empty() {
                self.push("\u{fffd}");
            }
            if self.full {
                return;
            }
        }
    }

    fn push(&mut self, more: &str) {
        if self.full {
            return;
        }
        for piece in more.split('\0') {
            let room = self.limit.saturating_sub(self.text.len());
            if piece.len() > room {
                self.full = true;
                let end = (0..=room).rev().find(|end| piece.is_char_boundary(*end)).unwrap_or(0);
                self.text.push_str(piece.get(..end).unwrap_or_default());
                return;
            }
            self.text.push_str(piece);
        }
    }
}

fn lossy_head(bytes: &[u8], limit: usize) -> String {
    let mut kept = Kept::new(limit);
    kept.push_bytes(bytes.get(..limit.min(bytes.len())).unwrap_or_default());
    kept.text
}

fn no_greeting(stdout: &[u8]) -> FrameError {
    const HEAD: usize = 1 << 10;
    let mut lines = stdout.split(|byte| *byte == b'\n').map(|line| lossy_head(line.trim_ascii(), HEAD));
    match lines.find(|line| !line.trim().is_empty()) {
        None => FrameError::Silent,
        Some(line) => {
            let head: String = line.trim().chars().take(200).collect();
            FrameError::NoGreeting { first_line: super::redact::text(&head).into_owned() }
        }
    }
}

/// Writes a capture as the probe would have printed it: what a fake node answers with.
///
/// `parse(render(capture))` gives the capture's sections back as long as no text holds a marker of this nonce.
pub fn render(greeting: &Greeting, sections: &[Section], nonce: &Nonce) -> String {
    use std::fmt::Write as _;
    let nonce = nonce.as_str();
    let mut out = String::new();
    let epoch =
        greeting.node_ms.map_or("-".to_owned(), |ms| format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000)));
    let uid = greeting.uid.map_or("-".to_owned(), |uid| uid.to_string());
    // Writing to a String cannot fail.
    let _ = writeln!(out, "@@{nonce} hello {} {epoch} {uid} {}", Nonce::VERSION, greeting.announced.join(","));
    for section in sections {
        let _ = write!(out, "@@{nonce} {} {} {}", section.id, section.rc, section.ms);
        if let Some(arg) = &section.arg {
            let _ = write!(out, " {arg}");
        }
        out.push('\n');
        if !section.text.is_empty() {
            out.push_str(&section.text);
            out.push('\n');
        }
        if section.truncated {
            let _ = writeln!(out, "@@{nonce} cut");
        }
    }
    let _ = writeln!(out, "@@{nonce} bye");
    out
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
