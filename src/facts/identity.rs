//! Who the node is: names, ids, system, and what the node's own files say about its role.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::alike::Alike;
use super::listing::{self, FileStat};
use super::read::Reader;

/// Names, ids and the operating system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Identity {
    pub hostname: Fact<String>,
    /// The name that the kubelet registers: the hostname in lower case.
    pub node_name: Fact<String>,
    /// `/etc/hostname`.
    pub etc_hostname: Fact<String>,
    /// `/etc/hostname` holds another name, which the next boot sets.
    pub renamed_at_boot: Fact<bool>,
    pub machine_id: Fact<String>,
    /// DMI product UUID; only root may read it.
    pub product_uuid: Fact<String>,
    pub boot_id: Fact<String>,
    /// `uname -r`.
    pub kernel: Fact<String>,
    pub kernel_major: Fact<u32>,
    pub kernel_minor: Fact<u32>,
    /// `uname -m`.
    pub arch: Fact<String>,
    /// `ID` of os-release (`debian`, `rhel`).
    pub os_id: Fact<String>,
    /// `VERSION_ID` of os-release.
    pub os_version: Fact<String>,
    /// `PRETTY_NAME` of os-release.
    pub os_name: Fact<String>,
    /// Name of process 1.
    pub init: Fact<String>,
    pub systemd: Fact<bool>,
    /// `container=` of process 1's environment.
    pub container: Fact<String>,
    /// What `systemd-detect-virt` says.
    pub virtualization: Fact<String>,
    /// The uid that the probe ran as.
    pub uid: Fact<u32>,
    pub root: Fact<bool>,
    /// Paths of the tools that were looked for; absent ones are `null`.
    pub tools: Alike<BTreeMap<String, Fact<String>>>,
    /// A control plane lives here: it has an API server manifest or an etcd member's data.
    pub control_plane: Fact<bool>,
}

impl Identity {
    pub(crate) fn parse(reader: Reader<'_>) -> Self {
        let keys = reader.keys("ident");
        let hostname = keys.text("hostname");
        let etc_hostname = keys.text("etc_hostname");
        let kernel = keys.text("kernel");
        let release = kernel.as_ref().map(|release| release_numbers(release));
        let os = reader.text("os-release");
        let init = keys.text("pid1");
        let uid = reader.uid().map_or_else(|| keys.number("uid"), Fact::Known);
        Self {
            node_name: hostname.as_ref().map(|name| name.trim().to_lowercase()),
            renamed_at_boot: renamed_at_boot(&hostname, &etc_hostname),
            hostname,
            etc_hostname,
            machine_id: keys.text("machine_id"),
            product_uuid: keys.text("product_uuid"),
            boot_id: keys.text("boot_id"),
            kernel_major: release.clone().and_then(|(major, _)| Fact::from_option(major)),
            kernel_minor: release.and_then(|(_, minor)| Fact::from_option(minor)),
            kernel,
            arch: keys.text("arch"),
            os_id: os_value(&os, "ID"),
            os_version: os_value(&os, "VERSION_ID"),
            os_name: os_value(&os, "PRETTY_NAME"),
            systemd: init.as_ref().map(|init| init == "systemd"),
            init,
            container: keys.text("container"),
            virtualization: keys.text("virt"),
            root: uid.as_ref().map(|uid| *uid == 0),
            uid,
            tools: reader
                .keys("tools")
                .all()
                .iter()
                .map(|(tool, path)| ((*tool).to_owned(), path.as_ref().map(|path| (*path).to_owned())))
                .collect::<BTreeMap<_, _>>()
                .into(),
            control_plane: control_plane(&reader.text("stat")),
        }
    }

    /// Whether a tool is there; unknown when it was not looked for.
    pub fn has_tool(&self, tool: &str) -> Fact<bool> {
        match self.tools.get(tool) {
            Some(Fact::Known(_)) => Fact::Known(true),
            Some(Fact::Absent) => Fact::Known(false),
            Some(Fact::Unknown(why)) => Fact::unknown(why.as_str()),
            None => Fact::default(),
        }
    }
}

/// An empty file or a `localhost` leaves the name to whoever gives the address.
fn renamed_at_boot(now: &Fact<String>, file: &Fact<String>) -> Fact<bool> {
    now.as_ref().and_then(|now| {
        file.as_ref().map(|file| {
            let (now, file) = (now.trim().to_lowercase(), file.trim().to_lowercase());
            !(file.is_empty() || file.starts_with('#') || file.starts_with("localhost") || file == now)
        })
    })
}

fn release_numbers(release: &str) -> (Option<u32>, Option<u32>) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse().ok());
    (numbers.next().flatten(), numbers.next().flatten())
}

fn os_value(text: &Fact<&str>, key: &str) -> Fact<String> {
    text.clone().and_then(|text| {
        Fact::from_option(text.lines().find_map(|line| {
            let value = line.trim().strip_prefix(key)?.strip_prefix('=')?;
            Some(value.trim().trim_matches(['"', '\'']).to_owned())
        }))
    })
}

/// Either file proves a control plane. That there is none is proven only if both could be looked for, or if the manifest
/// is missing and etcd has no directory at all.
fn control_plane(listing: &Fact<&str>) -> Fact<bool> {
    listing.clone().and_then(|text| {
        let find = |path| stat_of(text, path);
        let manifest = find("/etc/kubernetes/manifests/kube-apiserver.yaml");
        let member = find("/var/lib/etcd/member");
        let etcd = find("/var/lib/etcd");
        match (manifest, member) {
            (Fact::Known(_), _) | (_, Fact::Known(_)) => Fact::Known(true),
            (Fact::Absent, Fact::Absent) => Fact::Known(false),
            (Fact::Absent, Fact::Unknown(_)) if etcd.is_absent() => Fact::Known(false),
            (Fact::Unknown(why), _) | (Fact::Absent, Fact::Unknown(why)) => Fact::Unknown(why),
        }
    })
}

/// One path of the `stat` listing.
pub(crate) fn stat_of(text: &str, path: &str) -> Fact<FileStat> {
    listing::parse(text).find(|entry| entry.path == path).map_or_else(Fact::default, |entry| entry.stat)
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::record;
    use super::*;

    fn parse(sections: &[(&str, &str, &str)]) -> Identity {
        Identity::parse(Reader::new(&record(sections)))
    }

    #[test]
    fn names_numbers_and_system() {
        let identity = parse(&[
            (
                "ident",
                "",
                "hostname=storagenodeT3500\nkernel=6.1.0-34-amd64\narch=x86_64\nproduct_uuid!permission denied\npid1=systemd\n",
            ),
            ("os-release", "", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n"),
            ("tools", "", "ss=/usr/bin/ss\nnetstat-\n"),
        ]);
        assert_eq!(identity.node_name, Fact::Known("storagenodet3500".to_owned()));
        assert_eq!((&identity.kernel_major, &identity.kernel_minor), (&Fact::Known(6), &Fact::Known(1)));
        assert_eq!(identity.os_id, Fact::Known("debian".to_owned()));
        assert_eq!(identity.os_version, Fact::Known("12".to_owned()));
        assert_eq!(identity.product_uuid, Fact::unknown("permission denied"));
        assert_eq!(identity.systemd, Fact::Known(true));
        assert_eq!(identity.has_tool("ss"), Fact::Known(true));
        assert_eq!(identity.has_tool("netstat"), Fact::Known(false));
        assert!(identity.has_tool("nc").is_unknown());
    }

    #[test]
    fn a_name_that_changes_with_the_next_boot() {
        let renamed = |file: &str| parse(&[("ident", "", &format!("hostname=Node1\n{file}\n"))]).renamed_at_boot;
        assert_eq!(renamed("etc_hostname=node1"), Fact::Known(false));
        assert_eq!(renamed("etc_hostname=node2"), Fact::Known(true));
        assert_eq!(renamed("etc_hostname=localhost.localdomain"), Fact::Known(false));
        assert_eq!(renamed("etc_hostname-"), Fact::Absent);
    }

    #[test]
    fn a_kernel_release_without_numbers_has_none() {
        let identity = parse(&[("ident", "", "kernel=custom\n")]);
        assert_eq!(identity.kernel_major, Fact::Absent);
    }

    #[test]
    fn a_control_plane_is_told_by_either_file_and_never_guessed() {
        let manifest = "600 0:0 4000 1 f\t/etc/kubernetes/manifests/kube-apiserver.yaml\n";
        let no_manifest = "-\t/etc/kubernetes/manifests/kube-apiserver.yaml\n";
        let cases = [
            (format!("{manifest}!\t/var/lib/etcd/member\n"), Fact::Known(true)),
            (format!("{no_manifest}700 0:0 1 1 d\t/var/lib/etcd/member\n"), Fact::Known(true)),
            (format!("{no_manifest}-\t/var/lib/etcd/member\n"), Fact::Known(false)),
            (format!("{no_manifest}!\t/var/lib/etcd/member\n-\t/var/lib/etcd\n"), Fact::Known(false)),
            (
                format!("{no_manifest}!\t/var/lib/etcd/member\n700 0:0 1 1 d\t/var/lib/etcd\n"),
                Fact::unknown("permission denied"),
            ),
        ];
        for (listing, expected) in cases {
            assert_eq!(parse(&[("stat", "", &listing)]).control_plane, expected, "{listing}");
        }
        assert!(parse(&[]).control_plane.is_unknown());
    }
}
