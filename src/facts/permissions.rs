//! Owners, modes and mandatory access control of the paths that a node lives on.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::alike::Alike;
use super::listing::{self, FileKind, FileStat};
use super::read::{Reader, clip};

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Permissions {
    /// The fixed list of paths; `null` for one that does not exist.
    pub paths: BTreeMap<Alike<String>, Fact<Alike<FileStat>>>,
    /// Paths that the probe's user may not look at.
    pub denied: Fact<Vec<String>>,
    /// Paths that somebody other than root owns. Of these three lists, "none" is known only if every path could be seen.
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
    /// Denials since boot that name CNI, flannel, containerd or the kubelet, the last of them; what permissive mode only
    /// reports is not among them.
    pub selinux_denials: Fact<Vec<String>>,
    /// The last one: what was denied, to which program, on what.
    pub selinux_denial: Fact<String>,
    /// When the first of them was written, in seconds since 1970.
    pub selinux_denied_since: Fact<i64>,
    /// The types of `SELinux` of the directories that pods and the runtime write to, by path; absent where it is off.
    pub selinux_types: Fact<BTreeMap<String, String>>,
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
        let paths: BTreeMap<Alike<String>, Fact<Alike<FileStat>>> = match &listing {
            Fact::Known(text) => {
                listing::parse(text).map(|entry| (entry.path.into(), entry.stat.map(Alike::from))).collect()
            }
            Fact::Absent | Fact::Unknown(_) => BTreeMap::new(),
        };
        let named = |test: &dyn Fn(&str, &Fact<Alike<FileStat>>) -> bool| {
            listing.as_ref().map(|_| {
                let hit = paths.iter().filter(|(path, stat)| test(path, stat));
                hit.map(|(path, _)| String::clone(path)).collect::<Vec<_>>()
            })
        };
        let blind = paths.values().filter(|stat| stat.is_unknown()).count();
        let seen = |found: Fact<Vec<String>>| {
            found.and_then(|found| match blind {
                0 => Fact::Known(found),
                _ if !found.is_empty() => Fact::Known(found),
                1 => Fact::unknown("one path may not be looked at"),
                _ => Fact::unknown(format!("{blind} paths may not be looked at")),
            })
        };
        let denials = selinux_denials(reader);
        let selinux = reader.keys("ident").text("selinux");
        let apparmor = reader.keys("ident").flag("apparmor");
        let parser = reader.keys("ident").flag("apparmor_parser");
        Self {
            denied: named(&|_, stat| stat.is_unknown()),
            foreign_owner: seen(named(&|path, stat| {
                !NOT_ROOTS.contains(&path) && stat.is_known_and(|stat| stat.uid.is_known_and(|uid| *uid != 0))
            })),
            writable_by_others: seen(named(&|path, stat| {
                !NOT_ROOTS.contains(&path)
                    && path != "/run/containerd/containerd.sock"
                    && stat.is_known_and(|stat| stat.writable_by_others().is_true())
            })),
            wrong_kind: seen(listing.as_ref().map(|_| {
                let wrong = KINDS.iter().filter_map(|(path, kind)| {
                    let found = paths.get(*path)?.known()?.kind;
                    (found != *kind && found != FileKind::Link).then(|| format!("{path} is a {}", words(found)))
                });
                wrong.collect()
            })),
            paths,
            immutable: reader.text("lsattr").map(|text| {
                let hit = text.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
                let hit = hit.filter(|(flags, _)| flags.contains('i'));
                hit.map(|(_, path)| path.trim().to_owned()).collect()
            }),
            selinux_enforcing: selinux.as_ref().map(|mode| mode == "enforcing"),
            selinux,
            selinux_denial: denials
                .as_ref()
                .and_then(|lines| Fact::from_option(lines.last().map(|line| denial_words(line)))),
            selinux_denied_since: denials
                .as_ref()
                .and_then(|lines| lines.first().map_or(Fact::Absent, |line| audit_time(line))),
            selinux_denials: denials
                .map(|lines| lines.iter().rev().take(10).rev().map(|line| clip(line, 400)).collect()),
            apparmor_without_parser: match (&apparmor, parser) {
                (Fact::Known(true), Fact::Known(there)) => Fact::Known(!there),
                (Fact::Known(true), parser) => parser,
                (Fact::Known(false) | Fact::Absent, _) => Fact::Known(false),
                (Fact::Unknown(why), _) => Fact::unknown(why.as_str()),
            },
            selinux_types: match reader.sections("selinux-label").next() {
                Some(_) => reader.text("selinux-label").map(selinux_types),
                None => reader.none_of("selinux-label"),
            },
            apparmor_enabled: apparmor,
        }
    }

    /// One path of the fixed list.
    pub fn stat(&self, path: &str) -> Fact<&FileStat> {
        self.paths.get(path).map_or_else(Fact::default, |stat| stat.as_ref().map(|stat| &**stat))
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

/// Lines of the audit log that denied something since the machine started.
fn selinux_denials(reader: Reader<'_>) -> Fact<Vec<&str>> {
    let number = |section: &str, key: &str| {
        let text = reader.keys(section).get(key);
        text.known().and_then(|text| text.split(['.', ' ']).next()?.parse::<i64>().ok())
    };
    let booted = number("time", "epoch").zip(number("ident", "uptime")).map(|(now, uptime)| now.saturating_sub(uptime));
    reader.text("selinux-avc").map(|text| {
        let denied = text.lines().filter(|line| line.contains("denied") && !line.contains("permissive=1"));
        let of_this_boot = |line: &&str| match (audit_time(line), booted) {
            (Fact::Known(at), Some(booted)) => at >= booted,
            _ => true,
        };
        denied.filter(of_this_boot).collect()
    })
}

/// `system_u:object_r:etc_t:s0 /etc/cni/net.d` lines; a file system without labels says `?`.
fn selinux_types(text: &str) -> BTreeMap<String, String> {
    let typed = |line: &str| {
        let (context, path) = line.split_once(' ').filter(|(_, path)| path.starts_with('/'))?;
        Some((clip(path, 200), clip(context.split(':').nth(2)?, 80)))
    };
    text.lines().filter_map(typed).collect()
}

/// `msg=audit(1757525900.123:456)`
fn audit_time(line: &str) -> Fact<i64> {
    let stamp = line.split_once("audit(").and_then(|(_, rest)| rest.split(['.', ':']).next()?.parse().ok());
    stamp.map_or_else(|| Fact::unknown("the audit log's line has no time"), Fact::Known)
}

/// `{ write } for install-cni on net.d (etc_t)`: what a person needs of a line of the audit log.
fn denial_words(line: &str) -> String {
    let value = |key: &str| {
        let rest = line.split_once(&format!(" {key}="))?.1;
        let word = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split('"').next(),
            None => rest.split(' ').next(),
        };
        word.filter(|word| !word.is_empty())
    };
    let Some((what, _)) = line.split_once("denied").and_then(|(_, rest)| rest.trim().split_once('}')) else {
        return clip(line, 200);
    };
    let mut said = what.trim_start_matches('{').trim().to_owned();
    if let Some(program) = value("comm") {
        said = format!("{said} for {program}");
    }
    if let Some(target) = value("path").or_else(|| value("name")) {
        said = format!("{said} on {target}");
    }
    if let Some(label) = value("tcontext").and_then(|context| context.split(':').nth(2)) {
        said = format!("{said} ({label})");
    }
    clip(&said, 200)
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
        assert!(parse("!\t/etc/cni/net.d\n755 0:0 1 1 d\t/etc\n", "").foreign_owner.is_unknown());
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
    fn labels_of_directories() {
        let label = "system_u:object_r:etc_t:s0 /etc/cni/net.d\n? /opt/cni/bin\nstat: cannot statx '/run/flannel'\n";
        let types = Permissions::parse(Reader::new(&record(&[("selinux-label", "", label)]))).selinux_types;
        assert_eq!(
            types.known().unwrap().iter().collect::<Vec<_>>(),
            [(&"/etc/cni/net.d".to_owned(), &"etc_t".to_owned())]
        );
        assert_eq!(parse("", "").selinux_types, Fact::Absent);
    }

    #[test]
    fn denials_are_those_of_this_boot_that_were_enforced() {
        let line = |at: u32, more: &str| {
            format!(
                "type=AVC msg=audit({at}.123:45): avc:  denied  {{ write }} for  pid=9 comm=\"cp\" name=\"net.d\" \
                 dev=\"sda2\" scontext=system_u:system_r:container_t:s0 tcontext=system_u:object_r:etc_t:s0 tclass=dir {more}\n"
            )
        };
        let log = format!("{}{}{}", line(100, "permissive=0"), line(950, "permissive=1"), line(960, "permissive=0"));
        let record =
            record(&[("selinux-avc", "", &log), ("time", "", "epoch=1000\n"), ("ident", "", "uptime=100.5 3\n")]);
        let permissions = Permissions::parse(Reader::new(&record));
        assert_eq!(permissions.selinux_denials.known().map(Vec::len), Some(1));
        assert_eq!(permissions.selinux_denied_since, Fact::Known(960));
        assert_eq!(permissions.selinux_denial, Fact::Known("write for cp on net.d (etc_t)".to_owned()));
        let garbage = record_with("denied {\n");
        assert_eq!(garbage.selinux_denial, Fact::Known("denied {".to_owned()));
    }

    fn record_with(log: &str) -> Permissions {
        Permissions::parse(Reader::new(&record(&[("selinux-avc", "", log)])))
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
