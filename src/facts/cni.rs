//! CNI on a node: which configuration decides, whether it would load, whether its plugins can run, and what the runtime
//! has really loaded.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::containerd::Containerd;
use super::libcni::{self, Network};
use super::listing::{self, FileKind};
use super::permissions::Permissions;
use super::plugins::Plugins;
use super::read::{Reader, clip};

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Cni {
    /// The directory that containerd reads.
    pub conf_dir: Fact<String>,
    /// Files that containerd considers, in the order it reads them.
    pub files: Fact<Vec<CniFile>>,
    pub file_count: Fact<u64>,
    /// The file that decides: the first in the order of bytes. Absent when there is none.
    pub first: Fact<String>,
    /// Its network's name; unknown when it is not valid.
    pub first_network: Fact<String>,
    /// Types of its plugins.
    pub first_plugins: Fact<Vec<String>>,
    /// The deciding files can be loaded; absent when there are none.
    pub valid: Fact<bool>,
    /// What keeps them from being loaded, in containerd's words. An invalid first file disables the valid ones after it.
    pub error: Fact<String>,
    /// The type of the first plugin of the network that decides, where that is neither flannel's nor one that hands over
    /// to flannel's (multus).
    pub foreign: Fact<String>,
    /// Files that are not flannel's and sort before the one that flannel installs.
    pub before_flannel: Fact<Vec<String>>,
    /// The first file with a plugin of type flannel, whether it decides or not; absent when there is none.
    pub flannel_file: Fact<String>,
    /// SHA-256 of what that file says, without regard to white space and the order of keys.
    pub flannel_sha256: Fact<String>,
    /// Files of CNIs other than the first file's that sort before or after it.
    pub leftovers: Fact<Vec<String>>,
    /// Candidates with a leading dot: easily overlooked, and read all the same.
    pub hidden: Fact<Vec<String>>,
    /// Plugin binaries that pods need.
    pub needed: Fact<Vec<String>>,
    /// Those of them that cannot run, with why: `missing`, `directory`, `not-executable`, `wrong-machine`, `not-a-program`.
    pub broken: Fact<BTreeMap<String, PluginProblem>>,
    /// The missing ones of them.
    pub missing: Fact<Vec<String>>,
    /// Those that are there and cannot run, as `flannel is a directory`.
    pub unusable: Fact<Vec<String>>,
    /// Missing ones that lie where the runtime does not look, as `flannel in /opt/cni/bin`.
    pub found_elsewhere: Fact<Vec<String>>,
    /// Where they were looked for.
    pub bin_dirs: Fact<Vec<String>>,
    /// The file system holds a valid configuration and the runtime says that there is none, or runs another one.
    pub disk_differs_from_runtime: Fact<bool>,
    /// Seconds since the node got its identity, by its clock; absent when it has none.
    pub joined_seconds: Fact<i64>,
    /// It is five minutes since it joined and two since it booted: flannel has had the time to do its part.
    pub settled: Fact<bool>,
    /// Addresses leased by network: the entries of `/var/lib/cni/networks/<name>`.
    pub leases: BTreeMap<String, Fact<u64>>,
}

/// One candidate.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct CniFile {
    pub name: String,
    /// It is among the files that containerd loads (`max_conf_num`, 1 by default).
    pub decides: bool,
    pub symlink: bool,
    pub network: Fact<String>,
    pub plugins: Fact<Vec<String>>,
    /// Why it cannot be loaded; absent when it can.
    pub error: Fact<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PluginProblem {
    Missing,
    Directory,
    NotExecutable,
    WrongMachine,
    NotAProgram,
}

/// Beginnings of the file names that other CNI plugins and tools leave behind.
const KNOWN_NAMES: [&str; 12] = [
    "00-",
    "05-cilium",
    "10-calico",
    "10-canal",
    "10-containerd-net",
    "10-crio-bridge",
    "100-crio-bridge",
    "10-bridge",
    "10-weave",
    "87-podman",
    "99-loopback",
    "nerdctl-",
];

impl PluginProblem {
    /// As a predicate.
    const fn words(self) -> &'static str {
        match self {
            Self::Missing => "is missing",
            Self::Directory => "is a directory",
            Self::NotExecutable => "is not executable",
            Self::WrongMachine => "is for another machine",
            Self::NotAProgram => "is no program",
        }
    }
}

/// What CNI's facts need of the rest of the node.
pub(crate) struct Host<'a> {
    /// As `uname -m` has it.
    pub(crate) arch: &'a Fact<String>,
    pub(crate) permissions: &'a Permissions,
    /// Seconds.
    pub(crate) uptime: &'a Fact<u64>,
    /// The node's clock, in seconds since 1970.
    pub(crate) now: Option<i64>,
}

impl Host<'_> {
    /// The kubelet's kubeconfig is written once, when the node joins.
    fn joined_seconds(&self) -> Fact<i64> {
        let written = self.permissions.stat("/etc/kubernetes/kubelet.conf").and_then(|stat| stat.modified.clone());
        let now = self.now.map_or_else(|| Fact::unknown("the node's clock was not read"), Fact::Known);
        written.and_then(|written| now.map(|now| now.saturating_sub(written)))
    }

    /// A clock that was set back must not make an old node a young one.
    fn settled(&self, joined_seconds: &Fact<i64>) -> Fact<bool> {
        let young = joined_seconds.is_known_and(|seconds| (0..JOIN_SECONDS).contains(seconds))
            || self.uptime.is_known_and(|seconds| *seconds < BOOT_SECONDS);
        match (joined_seconds, self.uptime) {
            _ if young => Fact::Known(false),
            (Fact::Unknown(why), Fact::Unknown(_)) => Fact::unknown(why.as_str()),
            _ => Fact::Known(true),
        }
    }
}

/// How long flannel may take on a node that has just joined, with its images to be pulled.
const JOIN_SECONDS: i64 = 300;
/// And after a boot, which empties `/run`.
const BOOT_SECONDS: u64 = 120;

/// The file that flannel's init container writes.
const FLANNEL_FILE: &str = "10-flannel.conflist";

/// Types of plugins that are flannel's own or hand over to the file that follows.
const FLANNELS: [&str; 3] = ["flannel", "multus", "multus-shim"];

impl Cni {
    pub(crate) fn parse(reader: Reader<'_>, containerd: &Containerd, host: &Host<'_>) -> Self {
        let conf_dir = containerd.cni_conf_dir.known().map_or("/etc/cni/net.d", String::as_str);
        let networks = candidates(reader, conf_dir, containerd.cni_max_conf_num.known().copied().unwrap_or(1));
        let files = networks.as_ref().map(|found| found.iter().map(|(file, _)| file.clone()).collect::<Vec<_>>());
        let first = networks.as_ref().and_then(|found| Fact::from_option(found.first().cloned()));
        let loaded = first.clone().and_then(|(_, network)| network);
        let error = files.as_ref().and_then(|files| error_of(conf_dir, files));
        let bin_dirs = containerd.cni_bin_dirs.clone().or_else(|| Fact::Known(vec!["/opt/cni/bin".to_owned()]));
        let needed = loaded.as_ref().map(Network::binaries);
        let plugins = match (&needed, &bin_dirs) {
            (Fact::Known(needed), Fact::Known(dirs)) => Plugins::find(reader, needed, dirs, host.arch),
            (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => {
                Plugins { broken: Fact::unknown(why.as_str()), elsewhere: Fact::unknown(why.as_str()) }
            }
            _ => Plugins { broken: Fact::Absent, elsewhere: Fact::Absent },
        };
        let flannels = networks.as_ref().and_then(|all| {
            let is_flannel = |(_, network): &&Candidate| network.is_known_and(|network| network.runs(&["flannel"]));
            Fact::from_option(all.iter().find(is_flannel).cloned())
        });
        let joined_seconds = host.joined_seconds();
        let valid = match (&files, &error) {
            (Fact::Known(files), _) if files.is_empty() => Fact::Absent,
            (Fact::Known(_), Fact::Absent) => Fact::Known(true),
            (Fact::Known(_), Fact::Known(_)) => Fact::Known(false),
            (Fact::Known(_), Fact::Unknown(why)) | (Fact::Unknown(why), _) => Fact::unknown(why.as_str()),
            (Fact::Absent, _) => Fact::Absent,
        };
        Self {
            conf_dir: Fact::Known(conf_dir.to_owned()),
            file_count: files.as_ref().map(|files| files.len() as u64),
            first: first.map(|(file, _)| file.name),
            foreign: loaded.as_ref().and_then(|network| {
                let first = network.plugins.first().filter(|_| !network.runs(&FLANNELS));
                Fact::from_option(first.map(|plugin| plugin.kind.clone()))
            }),
            before_flannel: networks.as_ref().map(|all| {
                let first = all.iter().take_while(|(file, _)| file.name.as_bytes() < FLANNEL_FILE.as_bytes());
                let other = first.filter(|(_, network)| !network.is_known_and(|network| network.runs(&FLANNELS)));
                other.map(|(file, _)| file.name.clone()).collect()
            }),
            flannel_file: flannels.as_ref().map(|(file, _)| file.name.clone()),
            flannel_sha256: flannels.and_then(|(_, network)| network.map(|network| network.sha256)),
            first_network: loaded.as_ref().map(|network| network.name.clone()),
            first_plugins: loaded.map(|network| network.plugins.into_iter().map(|plugin| plugin.kind).collect()),
            leftovers: files.as_ref().map(|files| {
                let names = files.iter().map(|file| file.name.clone());
                names.filter(|name| KNOWN_NAMES.iter().any(|known| name.starts_with(known))).collect()
            }),
            hidden: files
                .as_ref()
                .map(|files| files.iter().map(|file| file.name.clone()).filter(|name| name.starts_with('.')).collect()),
            missing: plugins.broken.as_ref().map(|broken| {
                let missing = broken.iter().filter(|(_, problem)| **problem == PluginProblem::Missing);
                missing.map(|(name, _)| name.clone()).collect()
            }),
            unusable: plugins.broken.as_ref().map(|broken| {
                let unusable = broken.iter().filter(|(_, problem)| **problem != PluginProblem::Missing);
                unusable.map(|(name, problem)| format!("{name} {}", problem.words())).collect()
            }),
            broken: plugins.broken,
            found_elsewhere: plugins.elsewhere,
            settled: host.settled(&joined_seconds),
            joined_seconds,
            needed,
            bin_dirs,
            disk_differs_from_runtime: differs(&networks, &valid, containerd),
            leases: reader
                .each("cni-leases")
                .map(|(network, text)| {
                    let count = |text: &str| {
                        text.split_whitespace().filter(|word| word.parse::<std::net::IpAddr>().is_ok()).count()
                    };
                    (network.to_owned(), text.map(|text| count(text) as u64))
                })
                .collect(),
            valid,
            error,
            files,
        }
    }
}

type Candidate = (CniFile, Fact<Network>);

/// What the listing of the directory holds, in the order of bytes. Nothing is absent: a directory that does not exist
/// has no files either.
fn candidates(reader: Reader<'_>, dir: &str, max: u32) -> Fact<Vec<Candidate>> {
    let listing = match reader.text_of("cni-dir", dir) {
        Fact::Absent => return Fact::Known(Vec::new()),
        other => other,
    };
    listing.map(|listing| {
        let mut entries: Vec<_> = listing::parse(listing)
            .filter(|entry| libcni::is_candidate(entry.name()))
            .filter(|entry| {
                !entry.stat.is_known_and(|stat| stat.kind == FileKind::Directory) && !entry.stat.is_absent()
            })
            .collect();
        entries.sort_by(|a, b| a.name().as_bytes().cmp(b.name().as_bytes()));
        entries.dedup_by(|a, b| a.name() == b.name());
        let deciding = if max == 0 { usize::MAX } else { max as usize };
        entries
            .iter()
            .enumerate()
            .map(|(index, entry)| {
                let symlink = entry.stat.is_known_and(|stat| stat.kind == FileKind::Link);
                candidate(reader, dir, entry.name(), index < deciding, symlink)
            })
            .collect()
    })
}

fn candidate(reader: Reader<'_>, dir: &str, name: &str, decides: bool, symlink: bool) -> Candidate {
    let path = format!("{}/{name}", dir.trim_end_matches('/'));
    let found = reader.each_whole("cni-file").find(|(arg, _)| *arg == path || *arg == name);
    let (network, error) = match found.map_or_else(|| reader.nothing("cni-file"), |(_, text)| text) {
        Fact::Known(text) => match libcni::load(name, text) {
            Ok(network) => (Fact::Known(network), Fact::Absent),
            Err(why) => (Fact::unknown(clip(&why, 200)), Fact::Known(clip(&why, 400))),
        },
        Fact::Absent => {
            let why = format!("error reading {path}: no such file or directory");
            (Fact::unknown(why.as_str()), Fact::Known(why))
        }
        Fact::Unknown(why) => (Fact::unknown(why.as_str()), Fact::Unknown(why)),
    };
    let file = CniFile {
        name: name.to_owned(),
        decides,
        symlink,
        network: network.as_ref().map(|network| network.name.clone()),
        plugins: network.as_ref().map(|network| network.plugins.iter().map(|plugin| plugin.kind.clone()).collect()),
        error,
    };
    (file, network)
}

/// The whole directory fails with the first deciding file that fails.
fn error_of(dir: &str, files: &[CniFile]) -> Fact<String> {
    if files.is_empty() {
        return Fact::Known(format!("no network config found in {dir}"));
    }
    let deciding = files.iter().filter(|file| file.decides);
    let mut unread = None;
    for file in deciding {
        match &file.error {
            Fact::Known(why) => {
                let list = if file.name.ends_with(".conflist") { "list " } else { "" };
                let path = format!("{}/{}", dir.trim_end_matches('/'), file.name);
                return Fact::Known(format!("failed to load CNI config {list}file {path}: {why}"));
            }
            Fact::Unknown(why) => unread = unread.or(Some(why)),
            Fact::Absent => {}
        }
    }
    unread.map_or(Fact::Absent, |why| Fact::unknown(why.as_str()))
}

/// containerd reads the directory when it is told of a change; a lost notice leaves the two apart for good.
fn differs(networks: &Fact<Vec<Candidate>>, valid: &Fact<bool>, containerd: &Containerd) -> Fact<bool> {
    let (Fact::Known(networks), Fact::Known(valid)) = (networks, valid) else {
        return match (networks, valid) {
            (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::unknown(why.as_str()),
            _ => containerd.cri.networks.as_ref().map(|loaded| !loaded.is_empty()),
        };
    };
    containerd.cri.networks.as_ref().map(|loaded| {
        let on_disk = networks.iter().filter(|(file, _)| file.decides).filter_map(|(file, _)| file.network.known());
        *valid && !on_disk.eq(loaded.iter())
    })
}

#[cfg(test)]
mod tests;
