//! Installed packages, holds, verification and what changed lately.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::read::{Reader, clip};

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Packages {
    /// Versions by name; a package that is not installed is not there.
    pub versions: Fact<BTreeMap<String, String>>,
    /// Packages that the package manager may not upgrade.
    pub held: Fact<Vec<String>>,
    /// What verification of an installed package complains of, as `name problem`.
    pub problems: Fact<Vec<String>>,
    pub repositories: Fact<Vec<String>>,
    /// Newest changes of configuration files, and of packages where rpm keeps them, newest first.
    pub changes: Fact<Vec<Change>>,
    /// Lines of dpkg's log; its times are local.
    pub dpkg_history: Fact<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Change {
    /// Seconds since 1970.
    pub epoch: i64,
    pub what: String,
}

impl Packages {
    pub(crate) fn parse(reader: Reader<'_>) -> Self {
        let text = reader.text("packages");
        let marked = |mark: &str| {
            text.as_ref().map(|text| {
                let lines = text.lines().filter_map(|line| line.trim().strip_prefix(mark)?.strip_prefix(' '));
                lines.map(|rest| clip(rest, 200)).collect::<Vec<_>>()
            })
        };
        Self {
            versions: text.as_ref().map(|text| text.lines().filter_map(package).collect()),
            held: marked("hold"),
            problems: marked("verify"),
            repositories: marked("repo"),
            dpkg_history: reader.text("changes").map(|text| {
                text.lines().filter_map(|line| line.strip_prefix("dpkg ")).map(|line| clip(line, 200)).collect()
            }),
            changes: reader.text("changes").map(|text| {
                let lines = text.lines().filter_map(|line| line.trim().split_once(' '));
                let mut changes: Vec<Change> = lines
                    .filter_map(|(epoch, what)| {
                        let epoch = epoch.split('.').next()?.parse().ok()?;
                        Some(Change { epoch, what: clip(what, 200) })
                    })
                    .collect();
                changes.sort_by(|a, b| b.epoch.cmp(&a.epoch).then_with(|| a.what.cmp(&b.what)));
                changes
            }),
        }
    }

    pub fn version(&self, name: &str) -> Fact<&str> {
        self.versions.as_ref().and_then(|versions| Fact::from_option(versions.get(name).map(String::as_str)))
    }
}

/// `name version status`; dpkg keeps names of removed packages, whose status is not `installed`.
fn package(line: &str) -> Option<(String, String)> {
    let mut words = line.split_ascii_whitespace();
    let (name, version) = (words.next()?, words.next()?);
    if matches!(name, "hold" | "verify" | "repo") {
        return None;
    }
    let status: Vec<&str> = words.collect();
    let installed = status.is_empty() || status.iter().any(|word| matches!(*word, "installed" | "ii" | "hi"));
    installed.then(|| (name.to_owned(), version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::record;
    use super::*;

    #[test]
    fn versions_holds_and_problems() {
        let record = record(&[
            (
                "packages",
                "",
                "kubelet 1.29.15-1.1 installed\ncontainerd 1.6.20~ds1-1+deb12u1 install ok installed\nrunc 1.1.5 config-files\nhold kubelet\nverify kubeadm missing /usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf\nrepo deb https://pkgs.k8s.io/core:/stable:/v1.29/deb/ /\n",
            ),
            (
                "changes",
                "",
                "100 /etc/a\n300 rpm kubelet-1.29\ndpkg 2025-09-10 13:00:00 install kubelet\n200.5 /etc/b\n",
            ),
        ]);
        let packages = Packages::parse(Reader::new(&record));
        assert_eq!(packages.version("kubelet"), Fact::Known("1.29.15-1.1"));
        assert_eq!(packages.version("containerd"), Fact::Known("1.6.20~ds1-1+deb12u1"));
        assert_eq!(packages.version("runc"), Fact::Absent);
        assert_eq!(packages.held, Fact::Known(vec!["kubelet".to_owned()]));
        assert!(packages.problems.known().unwrap()[0].starts_with("kubeadm missing"));
        let changes = packages.changes.known().unwrap();
        assert_eq!(changes.iter().map(|change| change.epoch).collect::<Vec<_>>(), [300, 200, 100]);
        assert_eq!(packages.dpkg_history.known().unwrap().len(), 1);
    }
}
