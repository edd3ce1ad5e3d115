//! The way into a record: sections as three-valued texts, and the two line formats that many of them share.
//!
//! Knows the frames of `docs/probe.md` and nothing of what the sections mean.

use std::fmt::Write as _;
use std::str::FromStr;

use super::Fact;
use crate::record::{Capture, Record, Section, rc};

/// Longest piece of a node's own text in a reason.
const REASON_CHARS: usize = 160;

/// One record's sections.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    capture: Option<&'a Capture>,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(record: &'a Record) -> Self {
        Self { capture: record.probe.as_ref() }
    }

    /// The uid that the probe ran as.
    pub(crate) fn uid(self) -> Option<u32> {
        self.capture.and_then(|capture| capture.uid)
    }

    /// The text of the only section of that id.
    pub(crate) fn text(self, id: &str) -> Fact<&'a str> {
        match self.capture.and_then(|capture| capture.section(id)) {
            Some(section) => read(section),
            None => self.nothing(id),
        }
    }

    /// The text of the section of that id about `arg`.
    pub(crate) fn text_of(self, id: &str, arg: &str) -> Fact<&'a str> {
        match self.capture.and_then(|capture| capture.section_of(id, arg)) {
            Some(section) => read(section),
            None => self.nothing(id),
        }
    }

    /// The text of the only section of that id, unless it was cut: for formats that mean nothing in part.
    pub(crate) fn whole(self, id: &str) -> Fact<&'a str> {
        match self.capture.and_then(|capture| capture.section(id)) {
            Some(section) => read_whole(section),
            None => self.nothing(id),
        }
    }

    /// Every section of that id: what it is about, and its text.
    pub(crate) fn each(self, id: &'a str) -> impl Iterator<Item = (&'a str, Fact<&'a str>)> + use<'a> {
        self.sections(id).map(|section| (section.arg.as_deref().unwrap_or_default(), read(section)))
    }

    /// [`Self::each`], with cut texts unknown.
    pub(crate) fn each_whole(self, id: &'a str) -> impl Iterator<Item = (&'a str, Fact<&'a str>)> + use<'a> {
        self.sections(id).map(|section| (section.arg.as_deref().unwrap_or_default(), read_whole(section)))
    }

    pub(crate) fn sections(self, id: &'a str) -> impl Iterator<Item = &'a Section> + use<'a> {
        self.capture.into_iter().flat_map(move |capture| capture.sections(id))
    }

    /// The *keys* section of that id.
    pub(crate) fn keys(self, id: &str) -> Keys<'a> {
        Keys::new(self.text(id))
    }

    /// The *keys* section of that id about `arg`.
    pub(crate) fn keys_of(self, id: &str, arg: &str) -> Keys<'a> {
        Keys::new(self.text_of(id, arg))
    }

    /// Absent when the probe came to its end without any section of that id: for ids that stand for "one per thing".
    pub(crate) fn none_of<T>(self, id: &str) -> Fact<T> {
        match self.capture {
            Some(capture) if capture.complete && !capture.missing.iter().any(|missing| missing == id) => Fact::Absent,
            _ => self.nothing(id),
        }
    }

    /// Why there is no section of that id.
    pub(crate) fn nothing<T>(self, id: &str) -> Fact<T> {
        Fact::unknown(match self.capture {
            None => "the node was not read",
            Some(capture) if capture.missing.iter().any(|missing| missing == id) => "cut off before it answered",
            Some(capture) if !capture.complete => "the connection ended before it was read",
            Some(_) => "not collected",
        })
    }
}

/// A section's text, or why there is none.
pub(crate) fn read(section: &Section) -> Fact<&str> {
    match section.rc {
        rc::OK => Fact::Known(section.text.as_str()),
        rc::ABSENT => Fact::Absent,
        rc::DENIED => Fact::unknown("permission denied"),
        rc::TIMEOUT if section.ms == 0 => Fact::unknown("not asked: the probe's time was up"),
        rc::TIMEOUT => Fact::unknown(format!("did not answer in {} s", section.ms.div_ceil(1000))),
        rc::NO_TOOL => Fact::unknown(format!("{} is not installed", tool_of(&section.id))),
        code => {
            let mut reason = format!("{} failed with exit code {code}", tool_of(&section.id));
            if let Some(line) = section.text.lines().map(str::trim).rfind(|line| !line.is_empty()) {
                let _ = write!(reason, ": {}", clip(line, REASON_CHARS));
            }
            Fact::unknown(reason)
        }
    }
}

fn read_whole(section: &Section) -> Fact<&str> {
    if section.truncated && section.rc == rc::OK {
        Fact::unknown("its answer was too long and was cut off")
    } else {
        read(section)
    }
}

/// Which program reads a section, for "... is not installed".
fn tool_of(id: &str) -> &str {
    const TOOLS: &[(&str, &str)] = &[
        ("crictl", "crictl"),
        ("ctr", "ctr"),
        ("containerd", "containerd"),
        ("runc", "runc"),
        ("kubelet-version", "kubelet"),
        ("kubeadm-version", "kubeadm"),
        ("unit", "systemctl"),
        ("log-pod", "tail"),
        ("log", "journalctl"),
        ("ip-fdb", "bridge"),
        ("ip-", "ip"),
        ("firewalld", "firewall-cmd"),
        ("lvm-thin", "dmsetup"),
        ("api-", "kubectl"),
        ("packages", "a package manager"),
        ("resolve", "getent"),
    ];
    TOOLS.iter().find(|(prefix, _)| id.starts_with(prefix)).map_or(id, |(_, tool)| tool)
}

/// A section of `key=value`, `key-` and `key!reason` lines.
pub(crate) struct Keys<'a> {
    lines: Fact<Vec<(&'a str, Fact<&'a str>)>>,
}

impl<'a> Keys<'a> {
    pub(crate) fn new(text: Fact<&'a str>) -> Self {
        Self { lines: text.map(|text| text.lines().filter_map(key_line).collect()) }
    }

    /// The first line of that key.
    pub(crate) fn get(&self, key: &str) -> Fact<&'a str> {
        match &self.lines {
            Fact::Known(lines) => lines
                .iter()
                .find(|(name, _)| *name == key)
                .map_or_else(|| Fact::unknown("not collected"), |(_, value)| value.clone()),
            Fact::Absent => Fact::Absent,
            Fact::Unknown(why) => Fact::Unknown(why.clone()),
        }
    }

    pub(crate) fn text(&self, key: &str) -> Fact<String> {
        self.get(key).map(str::to_owned)
    }

    pub(crate) fn number<T: FromStr>(&self, key: &str) -> Fact<T> {
        self.get(key).and_then(number)
    }

    /// `yes`/`no`, `y`/`n`, `1`/`0`.
    pub(crate) fn flag(&self, key: &str) -> Fact<bool> {
        self.get(key).and_then(flag)
    }

    /// Every line, in order.
    pub(crate) fn all(&self) -> &[(&'a str, Fact<&'a str>)] {
        self.lines.known().map_or(&[], Vec::as_slice)
    }

    /// Every known value of a key that repeats.
    pub(crate) fn values(&self, key: &str) -> Fact<Vec<String>> {
        self.lines.as_ref().map(|lines| {
            lines
                .iter()
                .filter(|(name, _)| *name == key)
                .filter_map(|(_, value)| value.known().map(|value| (*value).to_owned()))
                .collect()
        })
    }

    /// Whether the section itself was read.
    pub(crate) fn read(&self) -> Fact<()> {
        self.lines.as_ref().map(|_| ())
    }
}

fn key_line(line: &str) -> Option<(&str, Fact<&str>)> {
    let end = line.bytes().position(|byte| matches!(byte, b'=' | b'!')).unwrap_or(line.len());
    let (key, rest) = line.split_at(end);
    if let Some(value) = rest.strip_prefix('=') {
        return Some((key, Fact::Known(value)));
    }
    if let Some(why) = rest.strip_prefix('!') {
        let why = if why.is_empty() { "could not be read".to_owned() } else { clip(why, REASON_CHARS) };
        return Some((key, Fact::unknown(why)));
    }
    key.trim_end().strip_suffix('-').map(|key| (key, Fact::Absent))
}

/// A number, or why it is none.
pub(crate) fn number<T: FromStr>(text: &str) -> Fact<T> {
    let text = text.trim();
    text.parse().map_or_else(|_| Fact::unknown(format!("not a number in range: {}", clip(text, 40))), Fact::Known)
}

/// Yes or no, in the spellings of the probe, systemd and the kernel.
pub(crate) fn flag(text: &str) -> Fact<bool> {
    match text.trim() {
        "yes" | "y" | "Y" | "1" | "true" | "on" => Fact::Known(true),
        "no" | "n" | "N" | "0" | "false" | "off" => Fact::Known(false),
        other => Fact::unknown(format!("neither yes nor no: {}", clip(other, 40))),
    }
}

/// At most `limit` characters of a node's text.
pub(crate) fn clip(text: &str, limit: usize) -> String {
    let text = text.trim();
    if text.len() <= limit {
        return text.to_owned();
    }
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

/// Whole percents of a part, rounded down; absent when there is no whole.
pub(crate) fn percent(part: u64, whole: u64) -> Fact<u32> {
    if whole == 0 {
        return Fact::Absent;
    }
    let percent = u128::from(part) * 100 / u128::from(whole);
    Fact::Known(u32::try_from(percent).unwrap_or(u32::MAX))
}

/// Builds records for the tests of all areas.
#[cfg(test)]
pub(crate) mod test_support {
    use crate::record::{Capture, ClockSample, RECORD_SCHEMA, Record, Section};
    use crate::timings::Timings;

    /// A record whose sections are `(id, arg, text)`, all read; `""` stands for no argument.
    pub(crate) fn record(sections: &[(&str, &str, &str)]) -> Record {
        let sections = sections.iter().map(|(id, arg, text)| section(id, arg, 0, text)).collect();
        record_of(sections)
    }

    pub(crate) fn section(id: &str, arg: &str, rc: i32, text: &str) -> Section {
        Section {
            id: id.to_owned(),
            arg: (!arg.is_empty()).then(|| arg.to_owned()),
            rc,
            ms: 1500,
            truncated: false,
            text: text.to_owned(),
        }
    }

    pub(crate) fn record_of(sections: Vec<Section>) -> Record {
        Record {
            schema: RECORD_SCHEMA,
            name: "node".to_owned(),
            address: "192.0.2.1:22".to_owned(),
            groups: Vec::new(),
            role: None,
            timings: Timings::default(),
            clock: Some(ClockSample {
                sent_ms: 1_757_526_000_000,
                received_ms: 1_757_526_000_100,
                node_ms: 1_757_526_000_050,
            }),
            failure: None,
            probe: Some(Capture { complete: true, uid: Some(0), sections, ..Capture::default() }),
            reach: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::test_support::{record_of, section};
    use super::*;

    #[test]
    fn every_exit_code_says_why() {
        let cases = [
            (0, Fact::Known("boom\n")),
            (66, Fact::Absent),
            (77, Fact::unknown("permission denied")),
            (124, Fact::unknown("did not answer in 2 s")),
            (127, Fact::unknown("crictl is not installed")),
            (1, Fact::unknown("crictl failed with exit code 1: boom")),
        ];
        for (code, expected) in cases {
            assert_eq!(read(&section("crictl-info", "", code, "boom\n")), expected);
        }
        let late = Section { ms: 0, ..section("crictl-info", "", 124, "") };
        assert_eq!(read(&late), Fact::unknown("not asked: the probe's time was up"));
    }

    #[test]
    fn a_missing_section_tells_cut_off_from_never_asked() {
        let mut record = record_of(vec![]);
        assert_eq!(Reader::new(&record).text("ident"), Fact::unknown("not collected"));
        assert_eq!(Reader::new(&record).none_of::<u8>("process"), Fact::Absent);
        if let Some(capture) = &mut record.probe {
            capture.complete = false;
            capture.missing = vec!["netmount".to_owned()];
        }
        assert_eq!(Reader::new(&record).text("ident"), Fact::unknown("the connection ended before it was read"));
        assert_eq!(Reader::new(&record).text("netmount"), Fact::unknown("cut off before it answered"));
        record.probe = None;
        assert_eq!(Reader::new(&record).none_of::<u8>("process"), Fact::unknown("the node was not read"));
    }

    #[test]
    fn a_cut_text_is_not_whole() {
        let mut cut = section("crictl-info", "", 0, "{\"status\":");
        cut.truncated = true;
        let record = record_of(vec![cut]);
        assert!(Reader::new(&record).text("crictl-info").is_known());
        assert_eq!(Reader::new(&record).whole("crictl-info"), Fact::unknown("its answer was too long and was cut off"));
    }

    #[test]
    fn key_lines() {
        let keys = Keys::new(Fact::Known("a=1=2!3\nb-\nc!no root\niptables-save=/x\nip-save-\nd=\nnoise\na=9\n"));
        assert_eq!(keys.get("a"), Fact::Known("1=2!3"));
        assert_eq!(keys.get("b"), Fact::Absent);
        assert_eq!(keys.get("c"), Fact::unknown("no root"));
        assert_eq!(keys.get("iptables-save"), Fact::Known("/x"));
        assert_eq!(keys.get("ip-save"), Fact::Absent);
        assert_eq!(keys.get("d"), Fact::Known(""));
        assert_eq!(keys.get("noise"), Fact::unknown("not collected"));
        assert_eq!(keys.values("a"), Fact::Known(vec!["1=2!3".to_owned(), "9".to_owned()]));
        assert_eq!(keys.number::<u8>("a"), Fact::unknown("not a number in range: 1=2!3"));
    }

    #[test]
    fn clip_respects_characters() {
        assert_eq!(clip("äöü", 2), "äö...");
        assert_eq!(clip(" äöü ", 3), "äöü");
    }
}
