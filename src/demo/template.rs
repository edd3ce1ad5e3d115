//! The recorded states: text files in the probe's own format, with placeholders.
//!
//! A file under `states/` looks like the probe's output (`docs/probe.md`) with the nonce left out, so that a recording
//! can be pasted in and a reader sees what the node said. Above the first section stand settings:
//!
//! ```text
//! # a comment
//! base: worker            start from that file; sections of the same id and argument replace its own
//! without: cni-file       leave these sections out (all of an id, or `id argument`)
//! slow: df,netmount       the ids that the greeting announces
//! ```
//!
//! `{{name}}` is replaced when a node answers, see [`Var`]. Files are cut into pieces once; an answer then only copies.

use std::sync::OnceLock;

use super::plan::State;
use super::vars::Var;

/// A state, ready to be filled in.
#[derive(Debug)]
pub(super) struct Template {
    /// The ids of slow sections, as the greeting lists them.
    pub(super) slow: &'static str,
    pub(super) sections: Vec<Section>,
}

/// One section: its header without the nonce, and its text.
#[derive(Debug)]
pub(super) struct Section {
    /// `id rc ms [arg]`; the argument may hold placeholders.
    header: Vec<Piece>,
    id: &'static str,
    arg: &'static str,
    pub(super) text: Vec<Piece>,
}

impl Section {
    pub(super) const fn id(&self) -> &'static str {
        self.id
    }

    pub(super) fn header(&self) -> &[Piece] {
        &self.header
    }
}

/// A stretch of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    Text(&'static str),
    Var(Var),
}

const WORKER: &str = include_str!("states/worker.txt");
const WORKER_NFS: &str = include_str!("states/worker-nfs.txt");
const WORKER_EL10: &str = include_str!("states/worker-el10.txt");
const CONTROL_PLANE: &str = include_str!("states/control-plane.txt");
const PREPARED: &str = include_str!("states/prepared.txt");
const STORAGE_NODE: &str = include_str!("states/storage-node.txt");
const NO_CNI: &str = include_str!("states/no-cni.txt");
const CONTAINERD_STOPPED: &str = include_str!("states/containerd-stopped.txt");
const DISK_FULL: &str = include_str!("states/disk-full.txt");

/// The template of a state; each is read once per process.
pub(super) fn template(state: State) -> &'static Template {
    static TEMPLATES: [OnceLock<Template>; State::ALL.len()] = [const { OnceLock::new() }; State::ALL.len()];
    let (slot, source) = match state {
        State::Worker => (0, WORKER),
        State::WorkerNfs => (1, WORKER_NFS),
        State::WorkerEl10 => (2, WORKER_EL10),
        State::ControlPlane => (3, CONTROL_PLANE),
        State::Prepared => (4, PREPARED),
        State::StorageNode => (5, STORAGE_NODE),
        State::NoCni => (6, NO_CNI),
        State::ContainerdStopped => (7, CONTAINERD_STOPPED),
        State::DiskFull => (8, DISK_FULL),
    };
    TEMPLATES[slot].get_or_init(|| parse(source))
}

/// Reads a state file. It is part of the program: what it cannot mean is a mistake that the tests below find.
fn parse(source: &'static str) -> Template {
    let (settings, body) = match source.find("@@ ") {
        Some(at) => source.split_at(at),
        None => (source, ""),
    };
    let mut template = Template { slow: "", sections: Vec::new() };
    for line in settings.lines() {
        match line.split_once(": ") {
            Some(("base", "worker")) => template = parse(WORKER),
            Some(("slow", ids)) => template.slow = ids,
            Some(("without", what)) => {
                let (id, arg) = what.split_once(' ').unwrap_or((what, ""));
                template.sections.retain(|section| section.id != id || (!arg.is_empty() && section.arg != arg));
            }
            _ => {}
        }
    }
    for section in sections(body) {
        match template.sections.iter_mut().find(|old| old.id == section.id && old.arg == section.arg) {
            Some(old) => *old = section,
            None => template.sections.push(section),
        }
    }
    template
}

fn sections(body: &'static str) -> impl Iterator<Item = Section> {
    let mut rest = body.strip_prefix("@@ ").unwrap_or(body);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (section, next) = match rest.find("\n@@ ") {
            Some(at) => (&rest[..=at], &rest[at + "\n@@ ".len()..]),
            None => (rest, ""),
        };
        rest = next;
        let (header, text) = section.split_once('\n').unwrap_or((section, ""));
        let mut words = header.splitn(4, ' ');
        let id = words.next().unwrap_or_default();
        let arg = words.nth(2).unwrap_or_default();
        Some(Section { id, arg, header: pieces(header), text: pieces(text) })
    })
}

/// Cuts text at its placeholders. What is in braces and no placeholder stays text.
fn pieces(text: &'static str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut from = 0;
    while let Some(open) = rest[from..].find("{{").map(|at| at + from) {
        let var = rest[open..].find("}}").and_then(|len| Some((len, Var::parse(&rest[open + 2..open + len])?)));
        let Some((len, var)) = var else {
            from = open + 2;
            continue;
        };
        if open > 0 {
            pieces.push(Piece::Text(&rest[..open]));
        }
        pieces.push(Piece::Var(var));
        rest = &rest[open + len + 2..];
        from = 0;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(template: &Template) -> Vec<String> {
        template.sections.iter().map(|s| format!("{} {} {}", s.id, s.arg, s.text.len())).collect()
    }

    #[test]
    fn sections_and_placeholders_are_cut() {
        let template =
            parse("slow: df,netmount\n@@ ident 0 3\nhostname={{hostname}}\nx={{\n@@ df 0 9 /var\n@@ bye-like 0 0\n");
        assert_eq!(template.slow, "df,netmount");
        assert_eq!(outline(&template), ["ident  3", "df /var 0", "bye-like  0"]);
        assert_eq!(template.sections[0].text[1], Piece::Var(Var::Hostname));
        assert_eq!(template.sections[0].text[2], Piece::Text("\nx={{\n"));
    }

    #[test]
    fn no_state_has_an_unknown_placeholder_or_a_bad_header() {
        for state in State::ALL {
            for section in &template(state).sections {
                for piece in section.header.iter().chain(&section.text) {
                    let Piece::Text(text) = piece else { continue };
                    assert!(!text.contains("{{"), "{state:?} {}: {text:.200}", section.id);
                }
                let Some(Piece::Text(header)) = section.header.first() else { panic!("{state:?}: no header") };
                let mut words = header.split(' ').skip(1);
                for what in ["rc", "ms"] {
                    let word = words.next().unwrap_or_default();
                    assert!(word.parse::<u32>().is_ok(), "{state:?} {}: {what} is {word:?}", section.id);
                }
            }
        }
    }

    #[test]
    fn a_state_with_a_base_differs_from_it_only_where_it_says_so() {
        let worker = outline(template(State::Worker));
        let stopped = outline(template(State::ContainerdStopped));
        assert!(worker.len() > 60, "{} sections", worker.len());
        assert!(stopped.iter().filter(|line| worker.contains(line)).count() > 40);
        assert_ne!(worker, stopped);
    }

    #[test]
    fn settings_name_things_that_exist() {
        for source in
            [WORKER_NFS, WORKER_EL10, CONTROL_PLANE, PREPARED, STORAGE_NODE, NO_CNI, CONTAINERD_STOPPED, DISK_FULL]
        {
            let settings = source.split("@@ ").next().unwrap();
            let mut base = parse(WORKER);
            for line in settings.lines().filter(|line| !line.starts_with('#')) {
                let (key, value) = line.split_once(": ").unwrap_or_else(|| panic!("not a setting: {line}"));
                match key {
                    "base" => assert_eq!(value, "worker"),
                    "slow" => {}
                    "without" => {
                        let (id, arg) = value.split_once(' ').unwrap_or((value, ""));
                        let before = base.sections.len();
                        base.sections.retain(|s| s.id != id || (!arg.is_empty() && s.arg != arg));
                        assert!(base.sections.len() < before, "without: {value} removes nothing");
                    }
                    other => panic!("unknown setting {other}"),
                }
            }
        }
    }
}
