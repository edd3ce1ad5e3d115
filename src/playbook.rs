//! Playbooks: what a run looks at, as data. `seaworthy sweep` is the short name of the built-in `health-sweep`.
//!
//! The files of `playbooks/` are embedded, so that the binary needs nothing beside it. This module only reads the YAML.

use serde::Deserialize;

/// The playbook of `seaworthy sweep`.
pub const HEALTH_SWEEP: &str = include_str!("../playbooks/health-sweep.yaml");

/// The playbook of `seaworthy preflight`.
pub const PRE_UPGRADE: &str = include_str!("../playbooks/pre-upgrade.yaml");

/// One playbook.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Playbook {
    pub name: String,
    /// One line for people.
    pub summary: String,
    /// The hosts that it is for, as for `--limit`.
    pub hosts: String,
    /// What is read on each host.
    pub gather: Vec<Gather>,
}

/// A part of the probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gather {
    /// Every section.
    All,
}

/// Reads a playbook; the error names line and column.
pub fn parse(text: &str) -> Result<Playbook, String> {
    serde_yaml::from_str(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_playbooks_read_all_hosts_and_sections() {
        let playbook = parse(HEALTH_SWEEP).unwrap();
        assert_eq!((playbook.name.as_str(), playbook.hosts.as_str()), ("health-sweep", "all"));
        assert_eq!(playbook.gather, [Gather::All]);
        let playbook = parse(PRE_UPGRADE).unwrap();
        assert_eq!((playbook.name.as_str(), playbook.hosts.as_str()), ("pre-upgrade", "all"));
    }

    #[test]
    fn unknown_fields_and_parts_are_refused_with_their_place() {
        let with = |line: &str| format!("name: x\nsummary: y\nhosts: all\n{line}\n");
        let error = parse(&with("gather: [some]")).unwrap_err();
        assert!(error.contains("some") && error.contains("line 4"), "{error}");
        let error = parse(&with("gather: [all]\nsteps: []")).unwrap_err();
        assert!(error.contains("steps") && error.contains("line 5"), "{error}");
    }
}
