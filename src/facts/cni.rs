//! CNI on a node: which configuration decides, whether it would load, whether its plugins can run, and what the runtime
//! has really loaded.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::containerd::Containerd;
use super::elf;
use super::libcni::{self, Network};
use super::listing::{self, FileKind};
use super::read::{Reader, clip};

#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
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
    /// Files of CNIs other than the first file's that sort before or after it.
    pub leftovers: Fact<Vec<String>>,
    /// Candidates with a leading dot: easily overlooked, and read all the same.
    pub hidden: Fact<Vec<String>>,
    /// Plugin binaries that pods need.
    pub needed: Fact<Vec<String>>,
    /// Those of them that cannot run, with why: `missing`, `directory`, `not-executable`, `wrong-machine`, `not-a-program`.
    pub broken: Fact<BTreeMap<String, PluginProblem>>,
    /// Where they were looked for.
    pub bin_dirs: Fact<Vec<String>>,
    /// The file system holds a valid configuration and the runtime says that there is none, or runs another one.
    pub disk_differs_from_runtime: Fact<bool>,
    /// Addresses leased by network: the entries of `/var/lib/cni/networks/<name>`.
    pub leases: BTreeMap<String, Fact<u64>>,
}

/// One candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
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

impl Cni {
    pub(crate) fn parse(reader: Reader<'_>, containerd: &Containerd, arch: &Fact<String>) -> Self {
        let conf_dir = containerd.cni_conf_dir.known().map_or("/etc/cni/net.d", String::as_str);
        let networks = candidates(reader, conf_dir, containerd.cni_max_conf_num.known().copied().unwrap_or(1));
        let files = networks.as_ref().map(|found| found.iter().map(|(file, _)| file.clone()).collect::<Vec<_>>());
        let first = networks.as_ref().and_then(|found| Fact::from_option(found.first().cloned()));
        let loaded = first.clone().and_then(|(_, network)| network);
        let error = files.as_ref().and_then(|files| error_of(conf_dir, files));
        let bin_dirs = containerd.cni_bin_dirs.clone().or_else(|| Fact::Known(vec!["/opt/cni/bin".to_owned()]));
        let needed = loaded.as_ref().map(Network::binaries);
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
            first_network: loaded.as_ref().map(|network| network.name.clone()),
            first_plugins: loaded.map(|network| network.plugins.into_iter().map(|plugin| plugin.kind).collect()),
            leftovers: files.as_ref().map(|files| {
                let names = files.iter().map(|file| file.name.clone());
                names.filter(|name| KNOWN_NAMES.iter().any(|known| name.starts_with(known))).collect()
            }),
            hidden: files
                .as_ref()
                .map(|files| files.iter().map(|file| file.name.clone()).filter(|name| name.starts_with('.')).collect()),
            broken: needed
                .as_ref()
                .and_then(|needed| bin_dirs.as_ref().and_then(|dirs| broken(reader, needed, dirs, arch))),
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

/// Which needed binaries cannot run. A plugin is taken from the first directory that has a file of that name.
fn broken(
    reader: Reader<'_>,
    needed: &[String],
    dirs: &[String],
    arch: &Fact<String>,
) -> Fact<BTreeMap<String, PluginProblem>> {
    let mut found: BTreeMap<&str, Option<PluginProblem>> = BTreeMap::new();
    for dir in dirs {
        match reader.text_of("cni-bin", dir) {
            Fact::Known(listing) => {
                for entry in listing::parse(listing) {
                    let Fact::Known(stat) = &entry.stat else { continue };
                    let problem = match stat.kind {
                        FileKind::Directory => Some(PluginProblem::Directory),
                        FileKind::File if stat.executable().is_false() => Some(PluginProblem::NotExecutable),
                        FileKind::File => {
                            entry.head.and_then(|head| elf::problem(head, arch.known().map(String::as_str)))
                        }
                        // Where a link points is not looked at.
                        _ => None,
                    };
                    found.entry(entry.name()).or_insert(problem);
                }
            }
            Fact::Absent => {}
            Fact::Unknown(why) => return Fact::Unknown(why),
        }
    }
    let problems = needed.iter().filter_map(|plugin| match found.get(plugin.as_str()) {
        None => Some((plugin.clone(), PluginProblem::Missing)),
        Some(problem) => problem.map(|problem| (plugin.clone(), problem)),
    });
    Fact::Known(problems.collect())
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
mod tests {
    use super::super::permissions::Permissions;
    use super::super::read::test_support::{record_of, section};
    use super::*;
    use crate::record::Section;

    const GOOD: &str = r#"{"name":"cbr0","cniVersion":"0.3.1","plugins":[{"type":"flannel"},{"type":"portmap"}]}"#;
    const BRIDGE: &str = r#"{"name":"placeholder","plugins":[{"type":"bridge","ipam":{"type":"host-local"}}]}"#;

    fn dir(names: &[&str]) -> Section {
        let lines: Vec<String> = names.iter().map(|name| format!("644 0:0 9 1 f\t/etc/cni/net.d/{name}")).collect();
        section("cni-dir", "/etc/cni/net.d", 0, &lines.join("\n"))
    }

    fn file(name: &str, text: &str) -> Section {
        section("cni-file", &format!("/etc/cni/net.d/{name}"), 0, text)
    }

    fn parse(sections: Vec<Section>) -> Cni {
        let record = record_of(sections);
        let reader = Reader::new(&record);
        let containerd = Containerd::parse(reader, &Permissions::parse(reader), None);
        Cni::parse(reader, &containerd, &Fact::Known("x86_64".to_owned()))
    }

    #[test]
    fn an_empty_directory_and_a_missing_one_have_no_files() {
        for sections in [vec![dir(&[])], vec![section("cni-dir", "/etc/cni/net.d", 66, "")]] {
            let cni = parse(sections);
            assert_eq!((&cni.file_count, &cni.first, &cni.valid), (&Fact::Known(0), &Fact::Absent, &Fact::Absent));
            assert_eq!(cni.error, Fact::Known("no network config found in /etc/cni/net.d".to_owned()));
        }
        let denied = parse(vec![section("cni-dir", "/etc/cni/net.d", 77, "")]);
        assert!(denied.file_count.is_unknown() && denied.error.is_unknown() && denied.valid.is_unknown());
    }

    #[test]
    fn bytes_decide_the_order() {
        let names = [
            "9-x.conf",
            "10-flannel.conflist",
            "10-Flannel.conflist",
            ".10-x.conflist",
            "100-b.conf",
            "05-c.conf",
            "x.bak",
        ];
        let cni = parse(vec![dir(&names)]);
        let order: Vec<_> = cni.files.known().unwrap().iter().map(|file| file.name.clone()).collect();
        assert_eq!(
            order,
            [".10-x.conflist", "05-c.conf", "10-Flannel.conflist", "10-flannel.conflist", "100-b.conf", "9-x.conf"]
        );
        assert_eq!(cni.hidden, Fact::Known(vec![".10-x.conflist".to_owned()]));
    }

    #[test]
    fn an_invalid_first_file_disables_the_valid_second() {
        let cni = parse(vec![
            dir(&["00-bad.conflist", "10-flannel.conflist"]),
            file("00-bad.conflist", "{}"),
            file("10-flannel.conflist", GOOD),
        ]);
        assert_eq!(cni.valid, Fact::Known(false));
        let error = "failed to load CNI config list file /etc/cni/net.d/00-bad.conflist: error parsing configuration list: no name";
        assert_eq!(cni.error, Fact::Known(error.to_owned()));
        assert!(cni.needed.is_unknown());
        let files = cni.files.known().unwrap();
        assert_eq!(files.iter().map(|file| file.decides).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn a_placeholder_that_sorts_first_decides() {
        let cni = parse(vec![
            dir(&["10-flannel.conflist", "00-placeholder.conflist"]),
            file("00-placeholder.conflist", BRIDGE),
            file("10-flannel.conflist", GOOD),
        ]);
        assert_eq!(cni.first, Fact::Known("00-placeholder.conflist".to_owned()));
        assert_eq!(cni.first_plugins, Fact::Known(vec!["bridge".to_owned()]));
        assert_eq!(cni.leftovers, Fact::Known(vec!["00-placeholder.conflist".to_owned()]));
    }

    #[test]
    fn a_dangling_link_and_a_directory() {
        let listing = "777 0:0 9 1 l\t/etc/cni/net.d/a.conf\t-> /gone\n755 0:0 9 1 d\t/etc/cni/net.d/b.conf\n";
        let cni = parse(vec![
            section("cni-dir", "/etc/cni/net.d", 0, listing),
            section("cni-file", "/etc/cni/net.d/a.conf", 66, ""),
        ]);
        let files = cni.files.known().unwrap();
        assert_eq!((files.len(), files[0].symlink), (1, true));
        assert!(cni.error.is_known_and(|why| why.contains("no such file or directory")));
    }

    #[test]
    fn a_file_that_may_not_be_read_is_neither_valid_nor_invalid() {
        let cni = parse(vec![dir(&["a.conf"]), section("cni-file", "/etc/cni/net.d/a.conf", 77, "")]);
        assert_eq!((cni.valid, cni.file_count), (Fact::unknown("permission denied"), Fact::Known(1)));
    }

    #[test]
    fn plugins_that_cannot_run() {
        let elf = "7f454c4602010100000000000000000002003e00";
        let arm = "7f454c460201010000000000000000000200b700";
        let listing = format!(
            "755 0:0 9 1 d\tflannel\n644 0:0 9 1 f\tportmap\t\t{elf}\n755 0:0 9 1 f\tbridge\t\t{arm}\n755 0:0 9 1 f\tloopback\t\t{elf}\n"
        );
        let cni = parse(vec![
            dir(&["10-flannel.conflist"]),
            file("10-flannel.conflist", GOOD),
            section("cni-bin", "/opt/cni/bin", 0, &listing),
        ]);
        let broken = cni.broken.known().unwrap();
        assert_eq!(broken["flannel"], PluginProblem::Directory);
        assert_eq!(broken["portmap"], PluginProblem::NotExecutable);
        assert_eq!(broken["bridge"], PluginProblem::WrongMachine);
        assert_eq!(broken["host-local"], PluginProblem::Missing);
        assert!(!broken.contains_key("loopback"));
    }

    #[test]
    fn the_disk_against_the_runtime() {
        let info = |networks: &str| {
            section(
                "crictl-info",
                "",
                0,
                &format!(r#"{{"cniconfig":{{"PluginMaxConfNum":1,"Networks":[{networks}]}}}}"#),
            )
        };
        let on_disk = |info| vec![dir(&["10-flannel.conflist"]), file("10-flannel.conflist", GOOD), info];
        assert_eq!(parse(on_disk(info(""))).disk_differs_from_runtime, Fact::Known(true));
        assert_eq!(parse(on_disk(info(r#"{"Config":{"Name":"cbr0"}}"#))).disk_differs_from_runtime, Fact::Known(false));
        assert_eq!(parse(vec![dir(&[]), info("")]).disk_differs_from_runtime, Fact::Known(false));
        assert_eq!(
            parse(vec![dir(&[]), info(r#"{"Config":{"Name":"old"}}"#)]).disk_differs_from_runtime,
            Fact::Known(true)
        );
        assert!(parse(vec![dir(&[])]).disk_differs_from_runtime.is_unknown());
    }
}
