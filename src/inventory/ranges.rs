//! `node[01:40]`: many host names written as one. Pure.
//!
//! Ansible's `[first:last]`, `[first:last:step]` and `[a:c]`, and pdsh's `[01-40]` and `[1,4,7-9]`; several in one name give
//! every combination. Leading zeros are kept. Nothing is expanded before its size is known.

use std::net::Ipv6Addr;

use crate::inventory::error::RangeProblem;

/// The most hosts that one pattern, and one inventory, may give.
pub const MAX_HOSTS: usize = 1_000_000;

/// The longest name that a range may give: no name of the DNS is longer. A million longer ones would fill the memory.
const MAX_NAME: usize = 255;

/// A host as an inventory writes it: its names, and the port behind `:` when there is one (as text: not checked here).
#[derive(Debug, PartialEq, Eq)]
pub struct HostPattern<'t> {
    pub names: Vec<String>,
    pub port: Option<&'t str>,
}

/// Reads `name`, `name:2222`, `[2001:db8::1]:22`, a bare IPv6 address, and any of them with ranges.
pub fn host_pattern(text: &str) -> Result<HostPattern<'_>, RangeProblem> {
    let (name, port) = split_port(text);
    Ok(HostPattern { names: expand(name)?, port })
}

fn split_port(text: &str) -> (&str, Option<&str>) {
    // `[address]:port`, the only way to give a port to an IPv6 address.
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|inner| inner.split_once(']'))
        && address.parse::<Ipv6Addr>().is_ok()
    {
        match rest.strip_prefix(':') {
            None if rest.is_empty() => return (address, None),
            Some(port) => return (address, Some(port)),
            None => {}
        }
    }
    let mut depth = 0_u32;
    let mut colons = Vec::new();
    for (index, char) in text.char_indices() {
        match char {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            ':' if depth == 0 => colons.push(index),
            _ => {}
        }
    }
    match colons[..] {
        [colon] if !text[colon + 1..].is_empty() => (&text[..colon], Some(&text[colon + 1..])),
        // None, or an IPv6 address.
        _ => (text, None),
    }
}

/// All names that `pattern` stands for, in order; the pattern itself when there is no bracket in it.
pub fn expand(pattern: &str) -> Result<Vec<String>, RangeProblem> {
    if !pattern.contains(['[', ']']) {
        return Ok(vec![pattern.to_owned()]);
    }
    let parts = parts(pattern)?;
    let total = parts.iter().try_fold(1_usize, |total, part| total.checked_mul(part.len()));
    if total.is_none_or(|total| total > MAX_HOSTS) {
        return Err(RangeProblem::TooMany);
    }
    if parts.iter().map(Part::longest).sum::<usize>() > MAX_NAME {
        return Err(RangeProblem::TooLong);
    }
    let mut names = vec![String::new()];
    for part in &parts {
        names = names
            .iter()
            .flat_map(|head| {
                (0..part.len()).map(move |index| {
                    let mut name = head.clone();
                    part.write(index, &mut name);
                    name
                })
            })
            .collect();
    }
    Ok(names)
}

enum Part<'t> {
    Text(&'t str),
    Choice(Vec<Span>),
}

/// An arithmetic series of numbers (padded to `width`) or of letters.
struct Span {
    first: u64,
    count: usize,
    step: u64,
    shape: Shape,
}

enum Shape {
    Number { width: usize },
    Letter,
}

impl Span {
    fn longest(&self) -> usize {
        let last = self.first + self.step * (self.count as u64 - 1);
        match self.shape {
            Shape::Number { width } => width.max(last.checked_ilog10().map_or(1, |log| log as usize + 1)),
            Shape::Letter => 1,
        }
    }
}

const LETTERS: &[u8; 52] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

impl Part<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Text(_) => 1,
            Self::Choice(spans) => spans.iter().map(|span| span.count).fold(0, usize::saturating_add),
        }
    }

    /// Bytes of what it gives, at most.
    fn longest(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Choice(spans) => spans.iter().map(Span::longest).max().unwrap_or(0),
        }
    }

    fn write(&self, index: usize, name: &mut String) {
        use std::fmt::Write as _;
        match self {
            Self::Text(text) => name.push_str(text),
            Self::Choice(spans) => {
                let mut index = index;
                for span in spans {
                    if index >= span.count {
                        index -= span.count;
                        continue;
                    }
                    let value = span.first + span.step * index as u64;
                    match span.shape {
                        // Writing to a String cannot fail.
                        Shape::Number { width } => drop(write!(name, "{value:0width$}")),
                        Shape::Letter => {
                            name.extend(usize::try_from(value).ok().map(|value| char::from(LETTERS[value])));
                        }
                    }
                    return;
                }
            }
        }
    }
}

fn parts(pattern: &str) -> Result<Vec<Part<'_>>, RangeProblem> {
    let mut parts = Vec::new();
    let mut rest = pattern;
    while let Some(open) = rest.find(['[', ']']) {
        let (head, tail) = rest.split_at(open);
        let (body, after) =
            tail.strip_prefix('[').and_then(|tail| tail.split_once(']')).ok_or(RangeProblem::Bracket)?;
        if body.contains('[') {
            return Err(RangeProblem::Bracket);
        }
        parts.push(Part::Text(head));
        parts.push(Part::Choice(body.split(',').map(|item| span(item.trim())).collect::<Result<_, _>>()?));
        rest = after;
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}

fn span(item: &str) -> Result<Span, RangeProblem> {
    let separator = if item.contains(':') { ':' } else { '-' };
    let bounds: Vec<&str> = item.split(separator).collect();
    let (first, last, step) = match bounds[..] {
        // A single number or letter, as in `[1,4,7-9]`.
        [only] if !only.is_empty() => (only, only, "1"),
        // Ansible lets the first be left out.
        [first, last] => (if first.is_empty() { "0" } else { first }, last, "1"),
        [first, last, step] if item.contains(':') => (if first.is_empty() { "0" } else { first }, last, step),
        _ => return Err(RangeProblem::Form),
    };
    if last.is_empty() {
        return Err(RangeProblem::Form);
    }
    let step: u64 = step.parse().ok().filter(|step| *step > 0).ok_or(RangeProblem::Step)?;
    let (from, to, shape) = match (letter(first), letter(last)) {
        (Some(from), Some(to)) => (from, to, Shape::Letter),
        (None, None) => {
            let number = |text: &str| -> Result<u64, RangeProblem> {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                if digits { text.parse().map_err(|_| RangeProblem::TooMany) } else { Err(RangeProblem::Ends) }
            };
            let padded = first.len() > 1 && first.starts_with('0');
            if padded && first.len() != last.len() {
                return Err(RangeProblem::Padding);
            }
            (number(first)?, number(last)?, Shape::Number { width: if padded { first.len() } else { 0 } })
        }
        _ => return Err(RangeProblem::Ends),
    };
    if from > to {
        return Err(RangeProblem::Backwards);
    }
    let count = usize::try_from((to - from) / step).ok().and_then(|steps| steps.checked_add(1));
    Ok(Span { first: from, count: count.ok_or(RangeProblem::TooMany)?, step, shape })
}

fn letter(text: &str) -> Option<u64> {
    let [byte] = text.as_bytes() else { return None };
    LETTERS.iter().position(|letter| letter == byte).map(|index| index as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn expands_as_ansible_and_pdsh_do() {
        for (pattern, names) in [
            ("node", "node"),
            ("node[1:3]", "node1 node2 node3"),
            ("node[08:11]", "node08 node09 node10 node11"),
            ("node[08-11].lan", "node08.lan node09.lan node10.lan node11.lan"),
            ("node[:2]", "node0 node1 node2"),
            ("db-[a:c]", "db-a db-b db-c"),
            ("[y:B]", "y z A B"),
            ("node[1:10:4]", "node1 node5 node9"),
            ("node[01:10:9]", "node01 node10"),
            ("r[1:2]-n[a:b]", "r1-na r1-nb r2-na r2-nb"),
            ("node[1,4,07-09]", "node1 node4 node07 node08 node09"),
            ("node[5:5]", "node5"),
        ] {
            assert_eq!(expand(pattern).unwrap().join(" "), names, "{pattern}");
        }
    }

    #[test]
    fn wrong_ranges_are_refused() {
        for (pattern, problem) in [
            ("node[1:3", RangeProblem::Bracket),
            ("node1:3]", RangeProblem::Bracket),
            ("node[[1:3]]", RangeProblem::Bracket),
            ("node[]", RangeProblem::Form),
            ("node[1:]", RangeProblem::Form),
            ("node[1:2:3:4]", RangeProblem::Form),
            ("node[1-2-3]", RangeProblem::Form),
            ("node[a:3]", RangeProblem::Ends),
            ("node[aa:bb]", RangeProblem::Ends),
            ("node[3:1]", RangeProblem::Backwards),
            ("node[c:a]", RangeProblem::Backwards),
            ("node[1:9:0]", RangeProblem::Step),
            ("node[1:9:x]", RangeProblem::Step),
            ("node[01:100]", RangeProblem::Padding),
            ("node[0:1000000]", RangeProblem::TooMany),
            ("node[0:18446744073709551615]", RangeProblem::TooMany),
            ("node[0:99999999999999999999]", RangeProblem::TooMany),
            ("[0:999][0:999][0:1]", RangeProblem::TooMany),
            (&format!("{}[0:999999]", "x".repeat(250)), RangeProblem::TooLong),
            (&format!("[{0}1:{0}9]", "0".repeat(255)), RangeProblem::TooLong),
        ] {
            assert_eq!(expand(pattern), Err(problem), "{pattern}");
        }
        // The longest name that can be.
        assert_eq!(expand(&format!("{}[1:2]", "x".repeat(254))).unwrap()[1].len(), 255);
    }

    #[test]
    fn ports_are_told_from_addresses_and_ranges() {
        for (text, name, port) in [
            ("web", "web", None),
            ("web:2222", "web", Some("2222")),
            ("web[1:1]:2222", "web1", Some("2222")),
            ("10.0.0.1:22", "10.0.0.1", Some("22")),
            ("2001:db8::1", "2001:db8::1", None),
            ("[2001:db8::1]", "2001:db8::1", None),
            ("[2001:db8::1]:22", "2001:db8::1", Some("22")),
            ("web:70000", "web", Some("70000")),
        ] {
            assert_eq!(host_pattern(text).unwrap(), HostPattern { names: vec![name.to_owned()], port }, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_range_gives_each_number_once_in_order(first in 0_u32..2000, count in 0_u32..500, step in 1_u32..9, dash: bool) {
            let last = first + count;
            let pattern = if dash && step == 1 { format!("n[{first}-{last}]x") } else { format!("n[{first}:{last}:{step}]x") };
            let wanted: Vec<String> = (first..=last).step_by(step as usize).map(|n| format!("n{n}x")).collect();
            prop_assert_eq!(expand(&pattern).unwrap(), wanted);
        }

        #[test]
        fn padding_is_kept(width in 2_usize..6, first in 0_u32..50, count in 0_u32..49) {
            let last = first + count;
            let names = expand(&format!("[{first:0width$}:{last:0width$}]")).unwrap();
            prop_assert_eq!(names.len(), count as usize + 1);
            let padded = format!("{first:0width$}").starts_with('0');
            prop_assert!(!padded || names.iter().all(|name| name.len() == width));
        }

        #[test]
        fn nothing_panics(pattern in "[a-c0-9:,\\[\\]-]{0,24}") {
            if let Ok(names) = expand(&pattern) {
                prop_assert!(names.len() <= MAX_HOSTS);
            }
        }
    }
}
