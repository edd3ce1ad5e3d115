//! One line of a log: freed of what a terminal, a journal or klog put around what kubeadm said.

use std::borrow::Cow;
use std::fmt;

/// A line, taken apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::diagnose::join_log) struct Line<'t> {
    /// The host that a journal's prefix names.
    pub(in crate::diagnose::join_log) host: Option<&'t str>,
    /// The program that a journal's prefix names.
    pub(in crate::diagnose::join_log) program: Option<&'t str>,
    pub(in crate::diagnose::join_log) klog: Option<Klog>,
    /// Without the journal's prefix, with klog's.
    pub(in crate::diagnose::join_log) text: &'t str,
}

/// The head of a klog line: `I0910 14:17:04.356157  376688 join.go:413]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::diagnose::join_log) struct Klog {
    pub(in crate::diagnose::join_log) stamp: Stamp,
    pub(in crate::diagnose::join_log) pid: u32,
}

/// A time of the node's clock, with a year when the log tells one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::diagnose::join_log) struct Stamp {
    year: Option<u32>,
    month: u32,
    day: u32,
    /// Since midnight.
    seconds: f64,
}

impl Stamp {
    /// `0910`, `14:17:04.356157`.
    fn klog(date: &str, time: &str) -> Option<Self> {
        let (month, day) = (date.get(..2)?, date.get(2..)?);
        Self::new(None, number(month)?, number(day)?, time)
    }

    /// `2025-09-10 14:17:04.318228`, as Ansible writes it.
    pub(in crate::diagnose::join_log) fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.trim().split_once([' ', 'T'])?;
        let mut parts = date.split('-');
        let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
        Self::new(Some(number(year)?), number(month)?, number(day)?, time)
    }

    fn new(year: Option<u32>, month: u32, day: u32, time: &str) -> Option<Self> {
        let mut parts = time.splitn(3, ':');
        let (hours, minutes) = (number(parts.next()?)?, number(parts.next()?)?);
        let seconds: f64 = parts.next()?.parse().ok()?;
        let sound = (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && hours < 24
            && minutes < 60
            && (0.0..61.0).contains(&seconds);
        // Not before they are known to be small.
        sound.then(|| Self { year, month, day, seconds: f64::from(hours * 3600 + minutes * 60) + seconds })
    }

    /// The seconds until a later stamp of the same program; `None` when it is not later. A midnight may lie between them,
    /// no longer time.
    pub(in crate::diagnose::join_log) fn until(&self, later: &Self) -> Option<f64> {
        let same_day = (self.month, self.day) == (later.month, later.day);
        let midnight = if same_day { 0.0 } else { 86_400.0 };
        let seconds = later.seconds + midnight - self.seconds;
        // Stamps have microseconds; more digits are noise of the subtraction.
        (seconds >= 0.0).then(|| (seconds * 1e6).round() / 1e6)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(year) = self.year {
            write!(f, "{year:04}-")?;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "seconds of a day, checked when read"
        )]
        let seconds = self.seconds as u32;
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        write!(f, "{:02}-{:02} {hours:02}:{minutes:02}:{:02}", self.month, self.day, seconds % 60)
    }
}

fn number(digits: &str) -> Option<u32> {
    (digits.len() <= 9 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

/// Without escape sequences, and with typed corrections (backspaces) applied.
pub(in crate::diagnose::join_log) fn clean(line: &str) -> Cow<'_, str> {
    if !line.bytes().any(|byte| matches!(byte, 0x1b | 0x08 | 0)) {
        return Cow::Borrowed(line);
    }
    let mut clean = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\0' => {}
            '\x08' => {
                clean.pop();
            }
            '\x1b' => match chars.next() {
                // CSI: up to its final byte.
                Some('[') => while chars.next().is_some_and(|char| !('@'..='~').contains(&char)) {},
                // OSC and other strings: up to BEL or ESC \.
                Some(']' | 'P' | '_' | '^' | 'X') => {
                    while let Some(char) = chars.next() {
                        if char == '\x07' || (char == '\x1b' && chars.next_if_eq(&'\\').is_some()) {
                            break;
                        }
                    }
                }
                // A choice of character set takes one more.
                Some('(' | ')' | '#' | '%') => {
                    chars.next();
                }
                _ => {}
            },
            _ => clean.push(char),
        }
    }
    Cow::Owned(clean)
}

impl<'t> Line<'t> {
    pub(in crate::diagnose::join_log) fn parse(line: &'t str) -> Self {
        let text = line.trim_start().trim_start_matches("> ").trim_start();
        let (host, program, text) = journal(text).unwrap_or((None, None, text));
        Self { host, program, klog: klog(text), text }
    }
}

type Prefixed<'t> = (Option<&'t str>, Option<&'t str>, &'t str);

/// `Sep 10 14:09:10 host program[1]: text` and the same with an ISO time; an ISO time alone is taken off, too.
fn journal(text: &str) -> Option<Prefixed<'_>> {
    let bytes = text.as_bytes();
    let rest = if bytes.first()?.is_ascii_uppercase() && bytes.get(3) == Some(&b' ') {
        let time = text.get(7..15)?;
        (is_time(time) && bytes.get(15) == Some(&b' ')).then(|| text.get(16..)).flatten()?
    } else if bytes.first()?.is_ascii_digit() && bytes.get(4) == Some(&b'-') && bytes.get(10) == Some(&b'T') {
        let (stamp, rest) = text.split_once(' ')?;
        is_time(stamp.get(11..19)?).then_some(rest)?
    } else {
        return None;
    };
    let program = || {
        let (host, rest) = rest.split_once(' ')?;
        let (program, text) = rest.split_once(": ").or_else(|| rest.split_once(':'))?;
        let name = program.split('[').next().filter(|name| !name.is_empty() && !name.contains(' '))?;
        let sound = !host.is_empty() && !host.contains(['[', ']', ':']);
        sound.then_some((Some(host), Some(name), text))
    };
    Some(program().unwrap_or((None, None, rest)))
}

fn is_time(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, byte)| if at == 2 || at == 5 { byte == b':' } else { byte.is_ascii_digit() })
}

fn klog(text: &str) -> Option<Klog> {
    let rest = text.strip_prefix(['I', 'W', 'E', 'F'])?;
    let (head, _) = rest.split_once(']')?;
    let mut words = head.split_ascii_whitespace();
    let (date, time, pid) = (words.next()?, words.next()?, words.next()?);
    if date.len() != 4 {
        return None;
    }
    Some(Klog { stamp: Stamp::klog(date, time)?, pid: number(pid)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_come_off() {
        let cases = [
            ("[preflight] x", None, None, "[preflight] x"),
            ("  > [preflight] x", None, None, "[preflight] x"),
            ("Sep 10 14:09:10 node1 kubelet[9]: I0910 x", Some("node1"), Some("kubelet"), "I0910 x"),
            ("Sep  1 14:09:10 node1 join.sh: [preflight] x", Some("node1"), Some("join.sh"), "[preflight] x"),
            (
                "2026-01-02T03:04:05+0000 n1 kubeadm-join.sh[8]: error: y",
                Some("n1"),
                Some("kubeadm-join.sh"),
                "error: y",
            ),
            ("2026-01-02T03:04:05.123Z [kubelet-start] Starting", None, None, "[kubelet-start] Starting"),
            ("Set 10 things: to do", None, None, "Set 10 things: to do"),
            ("2026-01-02", None, None, "2026-01-02"),
            ("", None, None, ""),
        ];
        for (line, host, program, text) in cases {
            let parsed = Line::parse(line);
            assert_eq!((parsed.host, parsed.program, parsed.text), (host, program, text), "{line}");
        }
    }

    #[test]
    fn klog_tells_time_and_process() {
        let klog = |line| Line::parse(line).klog;
        let found = klog("I0910 23:59:59.900000  376688 join.go:413] [preflight] x").unwrap();
        assert_eq!((found.pid, found.stamp.to_string().as_str()), (376_688, "09-10 23:59:59"));
        let later = klog("W0911 00:00:00.100000 376688 x.go:1] y").unwrap();
        assert_eq!(found.stamp.until(&later.stamp), Some(0.2));
        assert_eq!(Stamp::parse("2025-09-10 14:17:04.318228").unwrap().to_string(), "2025-09-10 14:17:04");
        for odd in [
            "I1310 10:00:00.0 1 x]",
            "I0910 25:00:00.0 1 x]",
            "I0910 999999999:999999999:10.1 1 x]",
            "I0910 10:00 1 x]",
            "Info: x]",
            "I0910",
            "Iäöü 1:2:3 4 x]",
        ] {
            assert_eq!(klog(odd), None, "{odd}");
        }
        for odd in ["", "2025-09-10", "2025-9 10:00:00", "x-y-z 10:00:00", "2025-09-10 10:00:NaN"] {
            assert_eq!(Stamp::parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn terminals_leave_no_trace() {
        let cases = [
            ("\x1b[0;32m[INFO]\x1b[0m ok", "[INFO] ok"),
            ("\x1b]0;root@node\x07# ls", "# ls"),
            ("\x1b]0;title\x1b\\x", "x"),
            ("kubead\x08dm\x1b(B", "kubeadm"),
            ("ends \x1b[3", "ends "),
            ("\x1b", ""),
        ];
        for (line, expected) in cases {
            assert_eq!(clean(line), expected);
        }
    }
}
