//! CNI plugin binaries: which of those that a network needs can run from where the runtime looks.

use std::collections::BTreeMap;

use super::Fact;
use super::cni::PluginProblem;
use super::elf;
use super::listing::{self, FileKind};
use super::read::Reader;

/// What was found of the needed plugins.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Plugins {
    /// Those that cannot run, with why.
    pub(crate) broken: Fact<BTreeMap<String, PluginProblem>>,
    /// Missing ones that lie in a directory where the runtime does not look, as `flannel in /opt/cni/bin`.
    pub(crate) elsewhere: Fact<Vec<String>>,
}

impl Plugins {
    /// A plugin is taken from the first of `dirs` that has a file of that name.
    pub(crate) fn find(reader: Reader<'_>, needed: &[String], dirs: &[String], arch: &Fact<String>) -> Self {
        let arch = arch.known().map(String::as_str);
        let mut found: BTreeMap<&str, Option<PluginProblem>> = BTreeMap::new();
        // An empty word is no directory: containerd finds nothing in it.
        for dir in dirs.iter().filter(|dir| !dir.is_empty()) {
            match reader.text_of("cni-bin", dir) {
                Fact::Known(text) => {
                    for (name, problem) in programs(text, arch) {
                        found.entry(name).or_insert(problem);
                    }
                }
                Fact::Absent => {}
                Fact::Unknown(why) => {
                    return Self { broken: Fact::unknown(why.as_str()), elsewhere: Fact::Unknown(why) };
                }
            }
        }
        let problems = needed.iter().filter_map(|plugin| match found.get(plugin.as_str()) {
            None => Some((plugin.clone(), PluginProblem::Missing)),
            Some(problem) => problem.map(|problem| (plugin.clone(), problem)),
        });
        let broken: BTreeMap<String, PluginProblem> = problems.collect();
        let mut elsewhere = Vec::new();
        for (dir, text) in reader.each("cni-bin").filter(|(dir, _)| !dirs.iter().any(|used| used == dir)) {
            let Fact::Known(text) = text else { continue };
            let usable = programs(text, arch).filter(|(name, problem)| {
                problem.is_none() && broken.get(*name).is_some_and(|why| *why == PluginProblem::Missing)
            });
            elsewhere.extend(usable.map(|(name, _)| format!("{name} in {dir}")));
        }
        Self { broken: Fact::Known(broken), elsewhere: Fact::Known(elsewhere) }
    }
}

/// What a directory holds, by name, with what keeps it from running.
fn programs<'t>(text: &'t str, arch: Option<&str>) -> impl Iterator<Item = (&'t str, Option<PluginProblem>)> {
    listing::parse(text).filter_map(move |entry| {
        let Fact::Known(stat) = &entry.stat else { return None };
        let problem = match stat.kind {
            FileKind::Directory => Some(PluginProblem::Directory),
            FileKind::File if stat.executable().is_false() => Some(PluginProblem::NotExecutable),
            FileKind::File => entry.head.and_then(|head| elf::problem(head, arch)),
            // Where a link points is not looked at.
            _ => None,
        };
        Some((entry.name(), problem))
    })
}
