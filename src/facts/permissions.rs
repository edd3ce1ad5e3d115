//! Owners, modes and mandatory access control of the paths that a node lives on.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::listing::{self, FileKind, FileStat};
use super::read::{Reader, clip};

#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Permissions {
    /// The fixed list of paths; `null` for one that does not exist.
    pub paths: BTreeMap<String, Fact<FileStat>>,
    /// Paths that the probe's user may not look at.
    pub denied: Fact<Vec<String>>,
    /// Paths that somebody other than root owns.
    pub foreign_owner: Fact<Vec<String>>,
    /// Paths that others than root may write to.
    pub writable_by_others: Fact<Vec<String>>,
    /// Paths that are not what they must be (a directory where a file belongs), with what they are.
    pub wrong_kind: Fact<Vec<String>>,
    /// Paths with the immutable attribute.
    pub immutable: Fact<Vec<String>>,
    /// `enforcing`, `permissive` or `disabled`.
    pub selinux: Fact<String>,
    pub selinux_enforcing: Fact<bool>,
    /// Denials that name CNI, flannel, containerd or the kubelet; the last of them.
    pub selinux_denials: Fact<Vec<String>>,
    pub apparmor_enabled: Fact<bool>,
    /// `AppArmor` is on and its parser is not installed: containers do not start.
    pub apparmor_without_parser: Fact<bool>,
}

/// What each path must be. Links are accepted everywhere, because their targets are not followed.
const KINDS: &[(&str, FileKind)] = &[
    ("/etc/cni/net.d", FileKind::Directory),
    ("/etc/containerd/config.toml", FileKind::File),
    ("/etc/kubernetes", FileKind::Directory),
    ("/etc/kubernetes/admin.conf", FileKind::File),
    ("/etc/kubernetes/bootstrap-kubelet.conf", FileKind::File),
    ("/etc/kubernetes/kubelet.conf", FileKind::File),
    ("/etc/kubernetes/manifests", FileKind::Directory),
    ("/etc/kubernetes/pki", FileKind::Directory),
    ("/etc/kubernetes/pki/ca.crt", FileKind::File),
    ("/opt/cni/bin", FileKind::Directory),
    ("/run/containerd/containerd.sock", FileKind::Socket),
    ("/run/flannel/subnet.env", FileKind::File),
    ("/run/xtables.lock", FileKind::File),
    ("/usr/bin/kubelet", FileKind::File),
    ("/var/lib/containerd", FileKind::Directory),
    ("/var/lib/kubelet", FileKind::Directory),
    ("/var/lib/kubelet/config.yaml", FileKind::File),
    ("/var/lib/kubelet/pki", FileKind::Directory),
];

/// Paths that need not belong to root.
const NOT_ROOTS: [&str; 3] = ["/dev/kmsg", "/etc/resolv.conf", "/var/lib/etcd"];

impl Permissions {
    pub(crate) fn parse(reader: Reader<'_>) -> Self {
        let listing = reader.text("stat");
        let paths: BTreeMap<String, Fact<FileStat>> = match &listing {
            Fact::Known(text) => listing::parse(text).map(|entry| (entry.path.to_owned(), entry.stat)).collect(),
            Fact::Absent | Fact::Unknown(_) => BTreeMap::new(),
        };
        let named = |test: &dyn Fn(&str, &Fact<FileStat>) -> bool| {
            listing.as_ref().map(|_| {
                let hit = paths.iter().filter(|(path, stat)| test(path, stat));
                hit.map(|(path, _)| path.clone()).collect::<Vec<_>>()
            })
        };
        let selinux = reader.keys("ident").text("selinux");
        let apparmor = reader.keys("ident").flag("apparmor");
        let parser = reader.keys("ident").flag("apparmor_parser");
        Self {
            denied: named(&|_, stat| stat.is_unknown()),
            foreign_owner: named(&|path, stat| {
                !NOT_ROOTS.contains(&path) && stat.is_known_and(|stat| stat.uid.is_known_and(|uid| *uid != 0))
            }),
            writable_by_others: named(&|path, stat| {
                !NOT_ROOTS.contains(&path)
                    && path != "/run/containerd/containerd.sock"
                    && stat.is_known_and(|stat| stat.writable_by_others().is_true())
            }),
            wrong_kind: listing.as_ref().map(|_| {
                let wrong = KINDS.iter().filter_map(|(path, kind)| {
                    let found = paths.get(*path)?.known()?.kind;
                    (found != *kind && found != FileKind::Link).then(|| format!("{path} is a {}", words(found)))
                });
                wrong.collect()
            }),
            paths,
            immutable: reader.text("lsattr").map(|text| {
                let hit = text.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
                let hit = hit.filter(|(flags, _)| flags.contains('i'));
                hit.map(|(_, path)| path.trim().to_owned()).collect()
            }),
            selinux_enforcing: selinux.as_ref().map(|mode| mode == "enforcing"),
            selinux,
            selinux_denials: reader.text("selinux-avc").map(|text| {
                let lines: Vec<&str> = text.lines().filter(|line| line.contains("denied")).collect();
                lines.iter().rev().take(10).rev().map(|line| clip(line, 400)).collect()
            }),
            apparmor_without_parser: match (&apparmor, parser) {
                (Fact::Known(true), Fact::Known(there)) => Fact::Known(!there),
                (Fact::Known(true), parser) => parser,
                (Fact::Known(false) | Fact::Absent, _) => Fact::Known(false),
                (Fact::Unknown(why), _) => Fact::unknown(why.as_str()),
            },
            apparmor_enabled: apparmor,
        }
    }

    /// One path of the fixed list.
    pub fn stat(&self, path: &str) -> Fact<&FileStat> {
        self.paths.get(path).map_or_else(Fact::default, Fact::as_ref)
    }

    /// Whether there is something of that name.
    pub fn exists(&self, path: &str) -> Fact<bool> {
        match self.stat(path) {
            Fact::Known(_) => Fact::Known(true),
            Fact::Absent => Fact::Known(false),
            Fact::Unknown(why) => Fact::Unknown(why),
        }
    }
}

pub(crate) const fn words(kind: FileKind) -> &'static str {
    match kind {
        FileKind::File => "file",
        FileKind::Directory => "directory",
        FileKind::Link => "symbolic link",
        FileKind::Socket => "socket",
        FileKind::BlockDevice | FileKind::CharDevice => "device",
        FileKind::Pipe => "pipe",
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::record;
    use super::*;

    fn parse(stat: &str, ident: &str) -> Permissions {
        Permissions::parse(Reader::new(&record(&[("stat", "", stat), ("ident", "", ident)])))
    }

    #[test]
    fn what_is_wrong_is_named() {
        let permissions = parse(
            "755 0:0 1 1 d\t/etc\n775 0:1000 1 1 d\t/etc/cni/net.d\n755 1000:0 1 1 d\t/opt/cni/bin\n\
             755 0:0 1 1 d\t/run/xtables.lock\n!\t/var/lib/kubelet/pki/kubelet-client-current.pem\n-\t/etc/crictl.yaml\n\
             777 0:0 29 1 l\t/etc/resolv.conf\t-> ../run/systemd/resolve/stub-resolv.conf\n",
            "selinux=enforcing\napparmor=Y\napparmor_parser=no\n",
        );
        let list = |path: &str| Fact::Known(vec![path.to_owned()]);
        assert_eq!(permissions.writable_by_others, list("/etc/cni/net.d"));
        assert_eq!(permissions.foreign_owner, list("/opt/cni/bin"));
        assert_eq!(permissions.wrong_kind, list("/run/xtables.lock is a directory"));
        assert_eq!(permissions.denied, list("/var/lib/kubelet/pki/kubelet-client-current.pem"));
        assert_eq!(permissions.selinux_enforcing, Fact::Known(true));
        assert_eq!(permissions.apparmor_without_parser, Fact::Known(true));
        assert_eq!(permissions.exists("/etc/crictl.yaml"), Fact::Known(false));
        assert!(permissions.exists("/never/asked").is_unknown());
    }

    #[test]
    fn no_listing_is_unknown_and_not_clean() {
        let permissions = Permissions::parse(Reader::new(&record(&[])));
        assert!(permissions.denied.is_unknown() && permissions.wrong_kind.is_unknown());
    }

    #[test]
    fn immutable_paths() {
        let record = record(&[(
            "lsattr",
            "",
            "--------------e------- /etc/kubernetes\n----i---------e------- /etc/resolv.conf\n",
        )]);
        assert_eq!(
            Permissions::parse(Reader::new(&record)).immutable,
            Fact::Known(vec!["/etc/resolv.conf".to_owned()])
        );
    }
}
