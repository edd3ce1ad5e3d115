//! Space and inodes of the file systems behind a fixed list of paths.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::alike::Alike;
use super::read::{Reader, number, percent};
use crate::record::rc;

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Disk {
    /// By path; a path that does not exist has no entry.
    pub paths: BTreeMap<String, Alike<Space>>,
    /// Paths whose file system did not answer.
    pub hung: Fact<Vec<String>>,
    /// The space of the file system that holds `/var/lib`.
    pub var_lib: Alike<Space>,
    /// Where images are kept: containerd's root, else `/var/lib/containerd`, else `/var/lib`.
    pub images: Alike<Space>,
    /// Where the kubelet keeps pods: `/var/lib/kubelet`, else `/var/lib`.
    pub pods: Alike<Space>,
    /// Of images and pods, the disk that is nearest to the kubelet's default limit for evicting pods, or furthest below it.
    pub tightest: Fact<Tight>,
    /// The same for inodes; absent when neither file system has a fixed number of them.
    pub tightest_inodes: Fact<Tight>,
    /// Of the other paths that must not fill up, the fullest.
    pub tightest_elsewhere: Fact<Tight>,
    /// `errors_count` of ext4 file systems that counted any, by device.
    pub ext4_errors: BTreeMap<String, Fact<u64>>,
    /// Devices with such errors.
    pub ext4_with_errors: Fact<Vec<String>>,
    /// btrfs devices that counted errors, as `1b2c.../1: 3 write_errs, 1 corruption_errs`.
    pub btrfs_with_errors: Fact<Vec<String>>,
    /// Thin pools' fill in percent, by name.
    pub thin_pools: Fact<BTreeMap<String, u32>>,
    /// The fullest of them, in percent; absent when there is none.
    pub thin_pool_fullest: Fact<u32>,
    /// What holds images if overlayfs cannot keep them there; absent when it can.
    pub images_unfit: Fact<String>,
}

/// A file system against the limit that matters for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Tight {
    /// The path that was looked at.
    pub path: String,
    /// What is kept there: `images`, `pods`; of other paths the path itself.
    pub what: String,
    /// Free, in percent of the whole.
    pub free_percent: u32,
    /// Below it something breaks.
    pub limit_percent: u32,
    /// `100% of 234G`
    pub figures: String,
}

/// One file system's figures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Space {
    pub size_kib: Fact<u64>,
    pub used_kib: Fact<u64>,
    /// What an ordinary user may still write; the blocks reserved for root are not in it.
    pub available_kib: Fact<u64>,
    /// As `df` prints it: used against used and available, rounded up.
    pub used_percent: Fact<u32>,
    /// Available against the whole size, rounded down: what the kubelet's eviction looks at.
    pub available_percent: Fact<u32>,
    pub reserved_percent: Fact<u32>,
    /// Absent on file systems that have no fixed number of inodes.
    pub inodes: Fact<u64>,
    pub inodes_free: Fact<u64>,
    pub inodes_free_percent: Fact<u32>,
    pub fstype: Fact<String>,
    pub device: Fact<String>,
    /// `2% of 456G`
    pub figures: Fact<String>,
}

/// The kubelet's defaults: below so much it evicts pods and taints the node.
const IMAGES_LIMIT: u32 = 15;
const PODS_LIMIT: u32 = 10;
const INODES_LIMIT: u32 = 5;
/// Of paths without such a default.
const ELSEWHERE_LIMIT: u32 = 5;

/// Paths that Kubernetes or the system itself stops without.
const ELSEWHERE: [&str; 7] = ["/", "/etc", "/opt", "/run", "/var", "/var/log", "/var/lib/etcd"];

/// File systems that cannot be the upper layer of an overlay.
const UNFIT: [&str; 12] =
    ["overlay", "nfs", "nfs4", "cifs", "smb3", "vfat", "msdos", "exfat", "ntfs", "ntfs3", "9p", "squashfs"];

impl Disk {
    pub(crate) fn parse(reader: Reader<'_>, containerd_root: Option<&str>) -> Self {
        let mut paths = BTreeMap::new();
        let mut hung = Vec::new();
        for section in reader.sections("df") {
            let path = section.arg.clone().unwrap_or_default();
            if section.rc == rc::TIMEOUT {
                hung.push(path.clone());
            }
            match super::read::read(section) {
                Fact::Known(text) => paths.insert(path, Alike::from(Space::parse(text))),
                Fact::Absent => None,
                Fact::Unknown(why) => paths.insert(path, Space::unknown(&why).into()),
            };
        }
        let nothing = paths.is_empty();
        let first = |wanted: &[&str]| {
            let found = wanted.iter().find_map(|path| paths.get_key_value(*path));
            match found {
                Some((path, space)) => (path.clone(), space.clone()),
                None => (String::new(), Space::unknown(reader.nothing::<()>("df").reason().unwrap_or_default()).into()),
            }
        };
        let images = first(&[containerd_root.unwrap_or_default(), "/var/lib/containerd", "/var/lib", "/var", "/"]);
        let pods = first(&["/var/lib/kubelet", "/var/lib", "/var", "/"]);
        let ext4_errors: BTreeMap<String, Fact<u64>> = reader
            .each("fs-errors")
            .map(|(device, text)| (device.to_owned(), text.and_then(number)))
            .filter(|(_, errors)| *errors != Fact::Known(0))
            .collect();
        let thin_pools = reader.text("lvm-thin").map(thin_pools);
        let inodes = |(path, space): &(String, Alike<Space>), what| {
            tight(path, what, space, &space.inodes_free_percent, INODES_LIMIT)
        };
        let fstype = images.1.fstype.as_ref();
        Self {
            var_lib: first(&["/var/lib", "/var", "/"]).1,
            tightest: tighter(
                tight(&images.0, "images", &images.1, &images.1.available_percent, IMAGES_LIMIT),
                tight(&pods.0, "pods", &pods.1, &pods.1.available_percent, PODS_LIMIT),
            ),
            tightest_inodes: tighter(inodes(&images, "images"), inodes(&pods, "pods")),
            tightest_elsewhere: if nothing { reader.nothing("df") } else { elsewhere(&paths, &images.1, &pods.1) },
            images_unfit: fstype.and_then(|fstype| {
                let unfit = UNFIT.contains(&fstype.as_str()) || fstype.starts_with("fuse");
                Fact::from_option(unfit.then(|| fstype.clone()))
            }),
            images: images.1,
            pods: pods.1,
            hung: if nothing { reader.nothing("df") } else { Fact::Known(hung) },
            ext4_with_errors: Fact::Known(
                ext4_errors.iter().filter(|(_, errors)| errors.is_known()).map(|(device, _)| device.clone()).collect(),
            ),
            ext4_errors,
            btrfs_with_errors: Fact::Known(
                reader.each("btrfs-errors").filter_map(|(device, text)| btrfs_errors(device, text.known()?)).collect(),
            ),
            thin_pool_fullest: thin_pools.as_ref().and_then(|pools| Fact::from_option(pools.values().copied().max())),
            thin_pools,
            paths,
        }
    }
}

impl Space {
    /// `blocks-1k used available inodes inodes-free fstype device`
    fn parse(text: &str) -> Self {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        if fields.len() < 3 {
            return Self::unknown("df printed no figures");
        }
        let figure = |index: usize| fields.get(index).map_or_else(Fact::default, |field| figure(field));
        let (size, used, available) = (figure(0), figure(1), figure(2));
        let (inodes, inodes_free) = (figure(3), figure(4));
        // Zero inodes means that the file system makes them as needed.
        let inodes = inodes.and_then(|inodes| Fact::from_option((inodes != 0).then_some(inodes)));
        let both = |a: &Fact<u64>, b: &Fact<u64>, f: fn(u64, u64) -> Fact<u32>| {
            a.clone().and_then(|a| b.clone().and_then(|b| f(a, b)))
        };
        let used_percent = both(&used, &available, |used, available| {
            let whole = used.saturating_add(available);
            percent(used.saturating_add(whole.saturating_sub(1) / 100), whole).map(|up| up.min(100))
        });
        Self {
            figures: match (&used_percent, &size) {
                (Fact::Known(used), Fact::Known(size)) => Fact::Known(format!("{used}% of {}", size_text(*size))),
                (used, _) => used.as_ref().map(|used| format!("{used}%")),
            },
            used_percent,
            available_percent: both(&available, &size, percent),
            reserved_percent: match (&size, &used, &available) {
                (Fact::Known(size), Fact::Known(used), Fact::Known(available)) => {
                    percent(size.saturating_sub(*used).saturating_sub(*available), *size)
                }
                _ => Fact::Absent,
            },
            inodes_free_percent: both(&inodes_free, &inodes, percent).map(|free| free.min(100)),
            inodes_free: if inodes.is_absent() { Fact::Absent } else { inodes_free },
            inodes,
            size_kib: size,
            used_kib: used,
            available_kib: available,
            fstype: fields.get(5).map_or_else(Fact::default, |fstype| Fact::Known((*fstype).to_owned())),
            device: fields.get(6).map_or_else(Fact::default, |device| Fact::Known((*device).to_owned())),
        }
    }

    fn unknown(why: &str) -> Self {
        Self {
            size_kib: Fact::unknown(why),
            used_kib: Fact::unknown(why),
            available_kib: Fact::unknown(why),
            used_percent: Fact::unknown(why),
            available_percent: Fact::unknown(why),
            reserved_percent: Fact::unknown(why),
            inodes: Fact::unknown(why),
            inodes_free: Fact::unknown(why),
            inodes_free_percent: Fact::unknown(why),
            fstype: Fact::unknown(why),
            device: Fact::unknown(why),
            figures: Fact::unknown(why),
        }
    }

    /// The same file system, as far as figures can tell.
    fn is(&self, other: &Self) -> bool {
        self.device == other.device && self.size_kib == other.size_kib
    }
}

fn tight(path: &str, what: &str, space: &Space, free: &Fact<u32>, limit_percent: u32) -> Fact<Tight> {
    free.as_ref().map(|free| Tight {
        path: path.to_owned(),
        what: what.to_owned(),
        free_percent: *free,
        limit_percent,
        figures: space.figures.known().cloned().unwrap_or_default(),
    })
}

/// The one with less between it and its limit; what is not known of one does not hide the other.
fn tighter(a: Fact<Tight>, b: Fact<Tight>) -> Fact<Tight> {
    let room = |tight: &Tight| i64::from(tight.free_percent) - i64::from(tight.limit_percent);
    match (a, b) {
        (Fact::Known(a), Fact::Known(b)) => Fact::Known(if room(&b) < room(&a) { b } else { a }),
        (known @ Fact::Known(_), _) | (_, known @ Fact::Known(_)) => known,
        (unknown @ Fact::Unknown(_), _) | (Fact::Absent, unknown) => unknown,
    }
}

/// A path on the disk of images or pods is judged with that.
fn elsewhere(paths: &BTreeMap<String, Alike<Space>>, images: &Space, pods: &Space) -> Fact<Tight> {
    let others = ELSEWHERE.iter().filter_map(|path| Some((*path, paths.get(*path)?)));
    let apart = others.filter(|(_, space)| !space.is(images) && !space.is(pods));
    apart
        .map(|(path, space)| tight(path, path, space, &space.available_percent, ELSEWHERE_LIMIT))
        .fold(Fact::Absent, tighter)
}

/// As `df -h`: powers of 1024, rounded up, one decimal below ten.
pub(crate) fn size_text(kib: u64) -> String {
    let mut unit: u64 = 1;
    for suffix in ["K", "M", "G", "T", "P"] {
        let tenths = kib.saturating_mul(10).div_ceil(unit);
        if tenths < 100 && suffix != "K" {
            return format!("{}.{}{suffix}", tenths / 10, tenths % 10);
        }
        let whole = kib.div_ceil(unit);
        if whole < 1024 {
            return format!("{whole}{suffix}");
        }
        unit = unit.saturating_mul(1024);
    }
    format!("{}P", kib.div_ceil(1 << 40))
}

/// `df` prints `-` where a file system has no such figure.
fn figure(field: &str) -> Fact<u64> {
    if field == "-" { Fact::Absent } else { number(field) }
}

/// `name: start length thin-pool transaction used/total used/total ...`, metadata before data: the fuller of the two.
fn thin_pools(text: &str) -> BTreeMap<String, u32> {
    let rows = text.lines().filter_map(|line| {
        let (name, rest) = line.split_once(": ")?;
        let fills = rest.split_ascii_whitespace().filter_map(|word| {
            let (used, total) = word.split_once('/')?;
            percent(used.parse().ok()?, total.parse().ok()?).known().copied()
        });
        Some((name.trim().to_owned(), fills.take(2).max()?))
    });
    rows.collect()
}

/// `write_errs 3` lines; `None` when all of them are 0.
fn btrfs_errors(device: &str, text: &str) -> Option<String> {
    let counts = text.lines().filter_map(|line| line.split_once(' '));
    let some = counts.filter(|(_, count)| count.parse::<u64>().is_ok_and(|count| count > 0));
    let said: Vec<String> = some.map(|(what, count)| format!("{count} {what}")).collect();
    (!said.is_empty()).then(|| super::read::clip(&format!("{device}: {}", said.join(", ")), 200))
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::{record_of, section};
    use super::*;

    #[test]
    fn figures_of_the_storage_node() {
        let space = Space::parse("478114568 7208960 446568448 30564352 30400000 ext4 /dev/mapper/vg-root\n");
        assert_eq!(space.used_percent, Fact::Known(2));
        assert_eq!(space.available_percent, Fact::Known(93));
        assert_eq!(space.reserved_percent, Fact::Known(5));
        assert_eq!(space.inodes_free_percent, Fact::Known(99));
        assert_eq!(space.fstype, Fact::Known("ext4".to_owned()));
    }

    #[test]
    fn a_file_system_filled_up_to_the_reserve_has_nothing_left() {
        let space = Space::parse("1000 950 0 100 0 ext4 /dev/sda1");
        assert_eq!((space.used_percent, space.available_percent), (Fact::Known(100), Fact::Known(0)));
        assert_eq!(space.inodes_free_percent, Fact::Known(0));
    }

    #[test]
    fn no_fixed_inodes_is_absent_not_full() {
        for inodes in ["0 0", "- -"] {
            let space = Space::parse(&format!("1000 500 500 {inodes} btrfs /dev/sda1"));
            assert_eq!(space.inodes_free_percent, Fact::Absent, "{inodes}");
        }
    }

    #[test]
    fn hung_and_missing_paths() {
        let record = record_of(vec![
            section("df", "/", 0, "1000 100 900 10 9 ext4 /dev/sda1"),
            section("df", "/var/lib/containerd", 124, ""),
            section("df", "/boot", 66, ""),
            section("fs-errors", "sda1", 0, "0\n"),
            section("fs-errors", "sdb1", 0, "3\n"),
            section("btrfs-errors", "1b2c/1", 0, "write_errs 0\nread_errs 0\n"),
            section("btrfs-errors", "1b2c/2", 0, "write_errs 3\nread_errs 0\ncorruption_errs 1\n"),
            section("lvm-thin", "", 0, "vg-pool: 0 1048576 thin-pool 1 52/1024 962/1000 - rw discard_passdown\n"),
        ]);
        let disk = Disk::parse(Reader::new(&record), None);
        assert_eq!(disk.hung, Fact::Known(vec!["/var/lib/containerd".to_owned()]));
        assert_eq!(disk.images.used_percent, Fact::unknown("did not answer in 2 s"));
        assert_eq!(disk.pods.used_percent, Fact::Known(10));
        assert!(!disk.paths.contains_key("/boot"));
        assert_eq!(disk.ext4_errors.keys().collect::<Vec<_>>(), ["sdb1"]);
        assert_eq!(disk.btrfs_with_errors, Fact::Known(vec!["1b2c/2: 3 write_errs, 1 corruption_errs".to_owned()]));
        assert_eq!(disk.thin_pools.known().unwrap()["vg-pool"], 96);
    }

    #[test]
    fn nothing_read_is_unknown() {
        let disk = Disk::parse(Reader::new(&record_of(vec![])), None);
        assert!(disk.hung.is_unknown() && disk.var_lib.used_percent.is_unknown());
        assert!(disk.tightest.is_unknown() && disk.images_unfit.is_unknown());
    }

    #[test]
    fn the_tightest_disk_is_the_one_nearest_to_its_limit() {
        let record = record_of(vec![
            section("df", "/", 0, "1000 100 900 10 9 ext4 /dev/sda1"),
            section("df", "/var/lib/containerd", 0, "10485760 8800000 1677722 100 50 nfs4 nas:/c"),
            section("df", "/var/lib/kubelet", 0, "1048576 900000 115344 0 0 btrfs /dev/sdc1"),
            section("df", "/run", 0, "1000 970 30 100 90 tmpfs tmpfs"),
        ]);
        let disk = Disk::parse(Reader::new(&record), None);
        // 16% against 15%, not 11% against 10%: equal room, so the images come first.
        let tight = disk.tightest.known().unwrap();
        assert_eq!((tight.what.as_str(), tight.free_percent, tight.limit_percent), ("images", 16, 15));
        assert_eq!((tight.path.as_str(), tight.figures.as_str()), ("/var/lib/containerd", "84% of 10G"));
        assert_eq!(disk.tightest_inodes.known().unwrap().free_percent, 50);
        assert_eq!(disk.tightest_elsewhere.known().unwrap().path, "/run");
        assert_eq!(disk.images_unfit, Fact::Known("nfs4".to_owned()));
    }

    #[test]
    fn sizes_as_df_prints_them() {
        for (kib, text) in [
            (0, "0K"),
            (1023, "1023K"),
            (1024, "1.0M"),
            (5120, "5.0M"),
            (478_114_568, "456G"),
            (1_922_728_840, "1.8T"),
            (10 * 1024 * 1024, "10G"),
            (u64::MAX, "16777216P"),
        ] {
            assert_eq!(size_text(kib), text, "{kib}");
        }
    }
}
