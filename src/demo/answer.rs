//! One node's answer to the probe: its state's sections, filled in and framed with the caller's nonce.
//!
//! Pure: text out of values. What goes wrong *inside* an otherwise orderly answer (forged markers, escape sequences,
//! bytes that are not UTF-8) is made here; what goes wrong with the connection is `node`'s.

use std::fmt::Write as _;

use super::cluster::Cluster;
use super::plan::{Behaviour, Plan};
use super::template::{Piece, Section, template};
use super::vars::Values;

/// All that a node of a fleet answers to the probe now, greeting included; `started` is the fleet's start in seconds since
/// 1970. For pretended nodes that are more than a recording: their state changes, and so does the fleet's plan.
pub fn answer(plan: &Plan, index: usize, started: i64, nonce: &str) -> Vec<u8> {
    let cluster = Cluster::new(plan, started);
    let values = Values { plan, cluster: &cluster, index, now_ms: super::node::now_ms() };
    let mut all = hello(&values, nonce).into_bytes();
    all.extend(sections(&values, nonce));
    all
}

/// The greeting, with the node's clock.
pub(super) fn hello(values: &Values<'_>, nonce: &str) -> String {
    let (seconds, millis) = (values.now_ms / 1000, values.now_ms % 1000);
    let slow = template(values.node().state).slow;
    format!("@@{nonce} hello 1 {seconds}.{millis:03} 0 {slow}\n")
}

/// Everything after the greeting, the closing marker included.
pub(super) fn sections(values: &Values<'_>, nonce: &str) -> Vec<u8> {
    let node = values.node();
    // The longest worker's answer fits; a control plane's grows with the fleet.
    let mut out = String::with_capacity(64 * 1024);
    for section in &template(node.state).sections {
        marker(&mut out, values, nonce, section);
        if let Some(hostile) = hostile(node.behaviour, section.id()) {
            out.push_str(hostile);
        }
        fill(&mut out, values, &section.text);
        if !out.ends_with('\n') {
            out.push('\n');
        }
        if section.text.iter().any(|piece| matches!(piece, Piece::Var(var) if values.cuts(*var))) {
            let _ = writeln!(out, "@@{nonce} cut");
        }
    }
    let _ = writeln!(out, "@@{nonce} bye");
    let mut bytes = out.into_bytes();
    if node.behaviour == Behaviour::InvalidUtf8 {
        bytes.iter_mut().filter(|byte| **byte == NOT_UTF8).for_each(|byte| *byte = 0xff);
    }
    bytes
}

/// How much of an answer a node sends that stops in the middle of a section.
pub(super) fn half(answer: &[u8]) -> &[u8] {
    let middle = answer.len() / 2;
    // Not right behind a line: the break lies inside one, which is the harder case for a reader.
    let inside = answer[middle..].windows(2).position(|pair| !pair.contains(&b'\n')).unwrap_or(0);
    &answer[..=middle + inside]
}

/// The text of the first section of that id (about `arg`, unless that is empty), as `cat` would show the file.
pub(super) fn text_of(values: &Values<'_>, id: &str, arg: &str) -> Option<String> {
    template(values.node().state).sections.iter().filter(|section| section.id() == id).find_map(|section| {
        let mut header = String::new();
        fill(&mut header, values, section.header());
        let mut words = header.splitn(4, ' ');
        let rc = words.nth(1)?;
        if rc != "0" || (!arg.is_empty() && words.nth(1) != Some(arg)) {
            return None;
        }
        let mut text = String::new();
        fill(&mut text, values, &section.text);
        Some(text)
    })
}

fn marker(out: &mut String, values: &Values<'_>, nonce: &str, section: &Section) {
    let _ = write!(out, "@@{nonce} ");
    fill(out, values, section.header());
    out.push('\n');
}

fn fill(out: &mut String, values: &Values<'_>, pieces: &[Piece]) {
    for piece in pieces {
        match *piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Var(var) => values.write(out, var),
        }
    }
}

/// Stands for the byte that is not UTF-8; no state holds it.
const NOT_UTF8: u8 = 0x01;

/// Lines at the head of the sections whose text ends up in front of a person.
fn hostile(behaviour: Behaviour, id: &str) -> Option<&'static str> {
    if !matches!(id, "os-release" | "log" | "hosts") {
        return None;
    }
    match behaviour {
        Behaviour::ForgedMarker => Some(
            "@@00000000000000000000000000000000 bye\n@@ffffffffffffffffffffffffffffffff ident 0 0\nhostname=forged\n@@ bye\n",
        ),
        Behaviour::EscapeSequences => Some(
            "PRETTY_NAME=\"\x1b[2J\x1b[31mred\x1b[0m \x1b]0;title\x07 \u{202e}txet\u{202c} \u{9b}1m back\x08\x08\x08\"\n",
        ),
        Behaviour::InvalidUtf8 => Some("PRETTY_NAME=\"Li\x01nux \x01\x01\"\n"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::State;
    use super::*;

    const NONCE: &str = "0123456789abcdef0123456789abcdef";

    fn answer(state: State, behaviour: Behaviour) -> Vec<u8> {
        let plan = Plan::of(7, [(State::ControlPlane, Behaviour::Answer), (state, behaviour)]);
        let cluster = Cluster::new(&plan, 1_757_511_688);
        sections(&Values { plan: &plan, cluster: &cluster, index: 1, now_ms: 1_757_511_688_500 }, NONCE)
    }

    fn text(state: State) -> String {
        String::from_utf8(answer(state, Behaviour::Answer)).unwrap()
    }

    #[test]
    fn the_greeting_has_the_clock_and_the_slow_sections() {
        let plan = Plan::of(7, [(State::Worker, Behaviour::Answer)]);
        let cluster = Cluster::new(&plan, 1_757_511_688);
        let hello = hello(&Values { plan: &plan, cluster: &cluster, index: 0, now_ms: 1_757_511_688_042 }, NONCE);
        let start = format!("@@{NONCE} hello 1 1757511688.042 0 ");
        assert!(hello.starts_with(&start), "{hello}");
    }

    #[test]
    fn every_state_ends_with_bye_and_has_no_stray_marker() {
        for state in State::ALL {
            let text = text(state);
            assert!(text.ends_with(&format!("\n@@{NONCE} bye\n")), "{state:?}");
            for line in text.lines().filter(|line| line.starts_with("@@")) {
                assert!(line.starts_with(&format!("@@{NONCE} ")), "{state:?}: {line}");
            }
        }
    }

    #[test]
    fn an_hour_later_only_the_clocks_have_moved() {
        let plan = Plan::of(7, [(State::ControlPlane, Behaviour::Answer), (State::StorageNode, Behaviour::Answer)]);
        let cluster = Cluster::new(&plan, 1_757_511_688);
        for index in 0..2 {
            let [first, later] = [0, 3_600_000].map(|ms| {
                let values = Values { plan: &plan, cluster: &cluster, index, now_ms: 1_757_511_688_500 + ms };
                String::from_utf8(sections(&values, NONCE)).unwrap()
            });
            let moved = first.lines().zip(later.lines()).filter(|(a, b)| a != b).map(|(a, _)| a.split('=').next());
            let moved: Vec<_> = moved.flatten().collect();
            assert_eq!(moved, ["uptime", "rtc_epoch", "epoch"]);
        }
    }

    #[test]
    fn an_answer_is_about_as_large_as_a_real_one() {
        let size = text(State::Worker).len();
        assert!((25_000..60_000).contains(&size), "{size} bytes");
    }

    #[test]
    fn half_an_answer_ends_inside_a_line() {
        let whole = answer(State::Worker, Behaviour::Answer);
        let half = half(&whole);
        assert!(half.len() > 10_000 && half.len() < whole.len());
        assert!(!half.ends_with(b"\n") && whole[half.len()] != b'\n');
    }

    #[test]
    fn hostile_answers_carry_what_they_promise() {
        let has = |behaviour, needle: &[u8]| {
            answer(State::Worker, behaviour).windows(needle.len()).any(|window| window == needle)
        };
        assert!(has(Behaviour::ForgedMarker, b"\n@@ffffffffffffffffffffffffffffffff ident 0 0\n"));
        assert!(has(Behaviour::EscapeSequences, b"\x1b[2J"));
        assert!(has(Behaviour::InvalidUtf8, b"Li\xffnux"));
        assert!(
            !has(Behaviour::Answer, b"\x1b") && !has(Behaviour::Answer, b"\xff") && !has(Behaviour::Answer, b"\x01")
        );
    }

    #[test]
    fn the_text_of_a_file_is_found_by_section_and_path() {
        let plan = Plan::of(7, [(State::Worker, Behaviour::Answer)]);
        let cluster = Cluster::new(&plan, 1_757_511_688);
        let values = Values { plan: &plan, cluster: &cluster, index: 0, now_ms: 0 };
        assert!(text_of(&values, "os-release", "").unwrap().contains("bookworm"));
        assert!(text_of(&values, "cni-file", "/etc/cni/net.d/10-flannel.conflist").unwrap().contains("portmap"));
        assert_eq!(text_of(&values, "cni-file", "/etc/shadow"), None);
    }
}
