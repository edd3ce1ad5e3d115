//! Mounts: what holds the paths that a node lives on, and what fstab promised.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::alike::Alike;
use super::fstab::{self, FstabEntry};
use super::mountinfo::{self, MountLine, MountTree};
use super::read::Reader;

pub(crate) use super::mountinfo::unescape;

/// The paths that containerd, kubelet, CNI and flannel write to.
pub const CRITICAL: [&str; 10] = [
    "/",
    "/etc",
    "/etc/kubernetes",
    "/etc/cni/net.d",
    "/opt/cni/bin",
    "/run",
    "/var",
    "/var/lib",
    "/var/lib/containerd",
    "/var/lib/kubelet",
];

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Mounts {
    /// Mounts of the node itself; those of pods, containers, `/proc`, `/sys` and `/dev` are only counted.
    pub list: Fact<Vec<Alike<Mount>>>,
    pub count: Fact<u64>,
    /// Mounts below `/var/lib/kubelet/pods`; before a join they are left over from a reset.
    pub pod_mounts: Fact<u64>,
    /// For each of [`CRITICAL`] and containerd's root, the mount that holds it.
    pub holding: BTreeMap<String, Fact<Alike<Mount>>>,
    /// Critical paths that lie on a read-only mount. A root file system that is read-only by design, with writable mounts
    /// for `/etc` and `/var` upon it, does not count.
    pub read_only: Fact<Vec<String>>,
    /// Critical paths from which programs must run and that lie on a `noexec` mount.
    pub noexec: Fact<Vec<String>>,
    /// Critical paths that lie on a network or FUSE mount.
    pub remote: Fact<Vec<String>>,
    /// Mount points that several mounts lie on.
    pub overmounted: Fact<Vec<String>>,
    /// Those of them that are critical paths: what lies below cannot be seen, and figures of disks are of the upper one.
    pub overmounted_critical: Fact<Vec<String>>,
    /// `/` and `/var/lib/kubelet` pass mounts on to containers (`shared`).
    pub propagation_shared: Fact<bool>,
    pub root_fstype: Fact<String>,
    pub fstab: Fact<Vec<FstabEntry>>,
    /// Mount points of fstab that should be mounted and are not.
    pub fstab_missing: Fact<Vec<String>>,
    /// Those of them that are no NFS: why NFS is not mounted has causes of its own.
    pub local_missing: Fact<Vec<String>>,
    /// Those of them that hold, or lie below, a path that Kubernetes writes to: its data go to the file system beneath.
    pub critical_missing: Fact<Vec<String>>,
    /// Mount points of fstab, the root and swap apart, whose source is a kernel name such as `/dev/sdb1`.
    pub fstab_kernel_names: Fact<Vec<String>>,
    /// Processes (containerd, kubelet) that see other mounts than the node: mount points only one of both has.
    pub namespaces: BTreeMap<String, Fact<Vec<String>>>,
    /// Of these, what holds or lies below a critical path, as `containerd: /var/lib/containerd`.
    pub namespace_gaps: Fact<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Mount {
    pub mount_point: String,
    pub fstype: String,
    pub source: String,
    /// The directory of the file system that is mounted; not `/` for bind mounts.
    pub root: String,
    pub options: Vec<String>,
    pub super_options: Vec<String>,
    pub read_only: bool,
    pub noexec: bool,
    pub propagation: Propagation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Propagation {
    Shared,
    Slave,
    Private,
    Unbindable,
}

impl From<&MountLine> for Mount {
    fn from(line: &MountLine) -> Self {
        let tagged = |tag: &str| line.tags.iter().any(|found| found.starts_with(tag));
        Self {
            mount_point: line.mount_point.clone(),
            fstype: line.fstype.clone(),
            source: line.source.clone(),
            root: line.root.clone(),
            options: line.options.clone(),
            super_options: line.super_options.clone(),
            read_only: line.read_only(),
            noexec: line.has_option("noexec"),
            propagation: if tagged("shared:") {
                Propagation::Shared
            } else if tagged("master:") {
                Propagation::Slave
            } else if tagged("unbindable") {
                Propagation::Unbindable
            } else {
                Propagation::Private
            },
        }
    }
}

impl Mounts {
    /// `containerd_root`: where containerd keeps its data, if its configuration says so.
    pub(crate) fn parse(reader: Reader<'_>, containerd_root: Option<&str>) -> Self {
        let lines = match reader.text("mountinfo").map(mountinfo::parse) {
            Fact::Known(lines) if !lines.is_empty() => lines,
            Fact::Unknown(why) => return Self::unread(reader, &why),
            Fact::Known(_) | Fact::Absent => return Self::unread(reader, "mountinfo is empty or not understood"),
        };
        let tree = MountTree::new(&lines);
        let critical: Vec<&str> =
            CRITICAL.into_iter().chain(containerd_root.filter(|root| !CRITICAL.contains(root))).collect();
        let held = |test: fn(&MountLine) -> bool, among: &[&str]| {
            let hit = critical.iter().filter(|path| among.is_empty() || among.contains(path));
            let hit = hit.filter(|path| tree.holder(path).is_some_and(test));
            Fact::Known(hit.map(|path| (*path).to_owned()).collect::<Vec<_>>())
        };
        let root = tree.holder("/");
        let sealed_root = root.is_some_and(|root| sealed(root, &tree));
        let shared = |path| tree.holder(path).map(|mount| Mount::from(mount).propagation == Propagation::Shared);
        let fstab = reader.text("fstab").map(|text| fstab::parse(text).collect::<Vec<_>>());
        let is_mounted = |entry: &FstabEntry| lines.iter().any(|line| line.mount_point == entry.mount_point);
        let missing = |test: &dyn Fn(&FstabEntry) -> bool| {
            fstab.as_ref().map(|fstab| {
                let missing = fstab.iter().filter(|entry| entry.expected_now() && !is_mounted(entry) && test(entry));
                missing.map(|entry| entry.mount_point.clone()).collect()
            })
        };
        let namespaces: BTreeMap<String, Fact<Vec<String>>> =
            reader.each("mountinfo-of").map(|(name, text)| (name.to_owned(), differing(&lines, text))).collect();
        Self {
            list: Fact::Known(lines.iter().filter(|line| of_the_node(line)).map(mount).collect()),
            count: Fact::Known(lines.len() as u64),
            pod_mounts: Fact::Known(count(&lines, |line| line.mount_point.starts_with("/var/lib/kubelet/pods/"))),
            holding: critical
                .iter()
                .map(|path| ((*path).to_owned(), Fact::from_option(tree.holder(path).map(mount))))
                .collect(),
            read_only: held(MountLine::read_only, &[]).map(|paths| {
                let by_design =
                    |path: &String| sealed_root && tree.holder(path).map(|mount| mount.id) == root.map(|r| r.id);
                paths.into_iter().filter(|path| !by_design(path)).collect()
            }),
            noexec: held(
                |line| line.has_option("noexec"),
                &["/opt/cni/bin", "/var/lib/containerd", "/var/lib/kubelet"],
            ),
            remote: held(MountLine::remote, &[]),
            overmounted_critical: Fact::Known(
                overmounted(&lines).into_iter().filter(|point| critical.contains(&point.as_str())).collect(),
            ),
            overmounted: Fact::Known(overmounted(&lines)),
            propagation_shared: Fact::from_option(
                shared("/").and_then(|root| Some(root && shared("/var/lib/kubelet")?)),
            ),
            root_fstype: Fact::from_option(root.map(|root| root.fstype.clone())),
            fstab_missing: missing(&|_| true),
            local_missing: missing(&|entry| !entry.is_nfs()),
            critical_missing: missing(&|entry| !entry.is_nfs() && concerns(&entry.mount_point, &critical)),
            fstab_kernel_names: kernel_names(&fstab),
            fstab,
            namespace_gaps: gaps(&namespaces, &critical),
            namespaces,
        }
    }

    fn unread(reader: Reader<'_>, why: &str) -> Self {
        let fstab = reader.text("fstab").map(|text| fstab::parse(text).collect::<Vec<_>>());
        Self {
            list: Fact::unknown(why),
            count: Fact::unknown(why),
            pod_mounts: Fact::unknown(why),
            holding: CRITICAL.iter().map(|path| ((*path).to_owned(), Fact::unknown(why))).collect(),
            read_only: Fact::unknown(why),
            noexec: Fact::unknown(why),
            remote: Fact::unknown(why),
            overmounted: Fact::unknown(why),
            overmounted_critical: Fact::unknown(why),
            propagation_shared: Fact::unknown(why),
            root_fstype: Fact::unknown(why),
            fstab_missing: Fact::unknown(why),
            local_missing: Fact::unknown(why),
            critical_missing: Fact::unknown(why),
            fstab_kernel_names: kernel_names(&fstab),
            fstab,
            namespaces: BTreeMap::new(),
            namespace_gaps: Fact::unknown(why),
        }
    }
}

/// Most mounts are the same on most nodes, and hold several of the paths.
fn mount(line: &MountLine) -> Alike<Mount> {
    Mount::from(line).into()
}

fn kernel_names(fstab: &Fact<Vec<FstabEntry>>) -> Fact<Vec<String>> {
    fstab.as_ref().map(|fstab| {
        let named =
            fstab.iter().filter(|entry| entry.kernel_name && entry.fstype != "swap" && entry.mount_point != "/");
        named.map(|entry| entry.mount_point.clone()).collect()
    })
}

/// The root is meant to be read-only: what must be writable has mounts of its own.
fn sealed(root: &MountLine, tree: &MountTree<'_>) -> bool {
    let apart = |path| tree.holder(path).is_some_and(|mount| mount.id != root.id && !mount.read_only());
    root.read_only() && apart("/etc") && apart("/var")
}

/// What matters of the differences between namespaces; one that was not read leaves the answer open.
fn gaps(namespaces: &BTreeMap<String, Fact<Vec<String>>>, critical: &[&str]) -> Fact<Vec<String>> {
    let mut gaps = Vec::new();
    for (process, points) in namespaces {
        match points {
            Fact::Known(points) => gaps.extend(
                points.iter().filter(|point| concerns(point, critical)).map(|point| format!("{process}: {point}")),
            ),
            Fact::Unknown(why) => return Fact::unknown(why.as_str()),
            Fact::Absent => {}
        }
    }
    Fact::Known(gaps)
}

/// It holds a critical path, or lies below one that is more than a top-level directory.
fn concerns(point: &str, critical: &[&str]) -> bool {
    const WIDE: [&str; 4] = ["/", "/etc", "/run", "/var"];
    critical.iter().any(|path| {
        let holds = *path != "/" && mountinfo::below(path, point);
        holds || (!WIDE.contains(path) && mountinfo::below(point, path))
    })
}

fn count(lines: &[MountLine], test: impl Fn(&MountLine) -> bool) -> u64 {
    lines.iter().filter(|line| test(line)).count() as u64
}

/// Mounts that say something about the node and not about its pods or its kernel.
fn of_the_node(line: &MountLine) -> bool {
    const NOISE: [&str; 9] = [
        "/proc/",
        "/sys/",
        "/dev/",
        "/run/credentials/",
        "/run/netns/",
        "/run/user/",
        "/run/containerd/",
        "/var/lib/kubelet/pods/",
        "/var/lib/containers/",
    ];
    let noise = NOISE.iter().any(|prefix| line.mount_point.starts_with(prefix));
    line.remote() || !(noise || matches!(line.fstype.as_str(), "nsfs" | "squashfs"))
}

fn overmounted(lines: &[MountLine]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    // An automount point and what it mounts share one point by design.
    for line in lines.iter().filter(|line| line.fstype != "autofs" && of_the_node(line)) {
        *counts.entry(&line.mount_point).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| *count > 1).map(|(point, _)| point.to_owned()).collect()
}

fn differing(lines: &[MountLine], text: Fact<&str>) -> Fact<Vec<String>> {
    text.map(|text| {
        let theirs = mountinfo::parse(text);
        let points = |lines: &[MountLine]| -> Vec<String> {
            lines.iter().filter(|line| of_the_node(line)).map(|line| line.mount_point.clone()).collect()
        };
        let (ours, theirs) = (points(lines), points(&theirs));
        let mut only: Vec<String> = ours.iter().filter(|point| !theirs.contains(point)).cloned().collect();
        only.extend(theirs.iter().filter(|point| !ours.contains(point)).cloned());
        only.sort();
        only.dedup();
        only
    })
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::record;
    use super::*;

    fn parse(mountinfo: &str, fstab: &str) -> Mounts {
        let record = record(&[("mountinfo", "", mountinfo), ("fstab", "", fstab)]);
        Mounts::parse(Reader::new(&record), Some("/data/containerd"))
    }

    const GOOD: &str = "26 1 254:0 / / rw,relatime shared:1 - ext4 /dev/mapper/vg-root rw,errors=remount-ro\n\
        25 26 0:22 / /run rw,nosuid,nodev,noexec shared:5 - tmpfs tmpfs rw\n\
        90 26 0:99 / /var/lib/kubelet/pods/x/volumes/y rw shared:9 - tmpfs tmpfs rw\n";

    #[test]
    fn a_plain_node() {
        let mounts = parse(GOOD, "");
        assert_eq!(mounts.read_only, Fact::Known(vec![]));
        assert_eq!(mounts.noexec, Fact::Known(vec![]));
        assert_eq!(mounts.propagation_shared, Fact::Known(true));
        assert_eq!(mounts.root_fstype, Fact::Known("ext4".to_owned()));
        assert_eq!((mounts.count, mounts.pod_mounts), (Fact::Known(3), Fact::Known(1)));
        assert_eq!(mounts.list.known().unwrap().len(), 2);
        assert!(mounts.holding["/data/containerd"].is_known_and(|mount| mount.mount_point == "/"));
    }

    #[test]
    fn a_read_only_etc_names_the_paths_below_it() {
        let mounts = parse(&format!("{GOOD}91 26 8:1 / /etc ro,relatime shared:4 - ext4 /dev/sda1 rw\n"), "");
        let expected = ["/etc", "/etc/kubernetes", "/etc/cni/net.d"].map(str::to_owned).to_vec();
        assert_eq!(mounts.read_only, Fact::Known(expected));
    }

    #[test]
    fn a_root_that_is_sealed_by_design_is_no_fault() {
        let sealed = "26 1 254:0 / / ro shared:1 - erofs /dev/dm-0 ro\n27 26 8:3 / /etc rw shared:2 - ext4 /dev/sda3 rw\n\
            28 26 8:3 / /var rw shared:3 - ext4 /dev/sda3 rw\n29 26 0:22 / /run rw shared:5 - tmpfs tmpfs rw\n";
        assert_eq!(parse(sealed, "").read_only, Fact::Known(vec![]));
        let broken = sealed.replace("/var rw", "/var ro");
        assert!(parse(&broken, "").read_only.is_known_and(|paths| paths.contains(&"/var/lib".to_owned())));
    }

    #[test]
    fn noexec_matters_only_where_programs_run() {
        let mounts = parse(&format!("{GOOD}91 26 8:1 / /opt rw,noexec shared:4 - ext4 /dev/sda1 rw\n"), "");
        assert_eq!(mounts.noexec, Fact::Known(vec!["/opt/cni/bin".to_owned()]));
    }

    #[test]
    fn fstab_against_what_is_mounted() {
        let mounts = parse(
            GOOD,
            "/dev/sda1 / ext4 x 0 1\n/dev/sdb1 /srv ext4 defaults\nnas:/x /mnt nfs noauto\n/dev/sda2 none swap sw\n\
             nas:/y /mnt/y nfs _netdev\nUUID=3 /var/lib/containerd xfs defaults\n",
        );
        let list = |paths: &[&str]| Fact::Known(paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>());
        assert_eq!(mounts.fstab_missing, list(&["/srv", "/mnt/y", "/var/lib/containerd"]));
        assert_eq!(mounts.local_missing, list(&["/srv", "/var/lib/containerd"]));
        assert_eq!(mounts.critical_missing, list(&["/var/lib/containerd"]));
        assert_eq!(mounts.fstab_kernel_names, Fact::Known(vec!["/srv".to_owned()]));
    }

    #[test]
    fn overmounts_are_named_and_automounts_are_not() {
        let twice = "91 26 8:1 / /srv rw - ext4 /dev/sda1 rw\n92 91 8:2 / /srv rw - ext4 /dev/sdb1 rw\n\
                     93 26 0:1 / /auto rw - autofs systemd-1 rw\n94 93 8:2 / /auto rw - ext4 /dev/sdc1 rw\n";
        assert_eq!(parse(&format!("{GOOD}{twice}"), "").overmounted, Fact::Known(vec!["/srv".to_owned()]));
    }

    #[test]
    fn another_namespace_shows_what_only_one_side_has() {
        let record = record(&[
            ("mountinfo", "", &format!("{GOOD}91 26 8:1 / /srv rw - ext4 /dev/sda1 rw\n")),
            ("mountinfo-of", "containerd", GOOD),
        ]);
        let mounts = Mounts::parse(Reader::new(&record), None);
        assert_eq!(mounts.namespaces["containerd"], Fact::Known(vec!["/srv".to_owned()]));
        assert_eq!(mounts.namespace_gaps, Fact::Known(vec![]), "nothing of Kubernetes lies there");
    }

    #[test]
    fn garbage_is_unknown_and_never_writable() {
        let mounts = parse("not a mount\n", "");
        assert!(mounts.read_only.is_unknown() && mounts.holding["/"].is_unknown());
    }
}
