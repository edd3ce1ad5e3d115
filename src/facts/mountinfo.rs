//! `/proc/self/mountinfo`: its line format, and which mount a path lies on.

use std::collections::BTreeMap;

/// One line, with every field kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountLine {
    pub(crate) id: u32,
    pub(crate) parent: u32,
    /// `major:minor`.
    pub(crate) device: String,
    /// Which directory of the file system is mounted; not `/` for bind mounts.
    pub(crate) root: String,
    pub(crate) mount_point: String,
    pub(crate) options: Vec<String>,
    /// The optional fields (`shared:1`, `master:2`).
    pub(crate) tags: Vec<String>,
    pub(crate) fstype: String,
    pub(crate) source: String,
    pub(crate) super_options: Vec<String>,
}

impl MountLine {
    /// Read-only as a mount or as a file system; either suffices.
    pub(crate) fn read_only(&self) -> bool {
        has(&self.options, "ro") || has(&self.super_options, "ro")
    }

    pub(crate) fn has_option(&self, option: &str) -> bool {
        has(&self.options, option)
    }

    /// Its files come from another machine or from a user-space program: looking at them may never return.
    pub(crate) fn remote(&self) -> bool {
        is_remote(&self.fstype)
    }
}

fn is_remote(fstype: &str) -> bool {
    const REMOTE: [&str; 10] = ["nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs", "9p", "lustre", "afs", "beegfs"];
    REMOTE.contains(&fstype) || fstype == "fuse" || fstype.starts_with("fuse.")
}

fn has(options: &[String], wanted: &str) -> bool {
    options.iter().any(|option| option == wanted)
}

/// The lines that have the format; the others are left out.
pub(crate) fn parse(text: &str) -> Vec<MountLine> {
    text.lines().filter_map(line).collect()
}

/// Those of [`parse`] that are [`MountLine::remote`]: few of many, told by a word.
pub(crate) fn parse_remote(text: &str) -> Vec<MountLine> {
    let may_be = |line: &&str| {
        line.split_once(" - ")
            .is_some_and(|(_, filesystem)| is_remote(filesystem.split(' ').next().unwrap_or_default()))
    };
    text.lines().filter(may_be).filter_map(line).collect()
}

fn line(line: &str) -> Option<MountLine> {
    // The list of optional fields ends at a lone dash; a mount point cannot hold one, because spaces are escaped.
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut fields = mount.split(' ');
    let id = fields.next()?.parse().ok()?;
    let parent = fields.next()?.parse().ok()?;
    let device = fields.next()?.to_owned();
    let root = unescape(fields.next()?);
    let mount_point = unescape(fields.next()?);
    let options = list(fields.next()?);
    let tags = fields.map(str::to_owned).collect();
    let mut fields = filesystem.split(' ');
    let fstype = unescape(fields.next()?);
    let source = unescape(fields.next()?);
    let super_options = list(fields.next().unwrap_or_default());
    Some(MountLine { id, parent, device, root, mount_point, options, tags, fstype, source, super_options })
}

fn list(options: &str) -> Vec<String> {
    options.split(',').filter(|option| !option.is_empty()).map(unescape).collect()
}

/// Undoes the kernel's three-digit octal escapes (`\040`); anything else stays as it is.
pub(crate) fn unescape(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let digits = bytes.get(index + 1..index + 4).filter(|digits| digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        match digits {
            Some(digits) if bytes[index] == b'\\' => {
                let value = digits.iter().fold(0_u32, |value, digit| value * 8 + u32::from(digit - b'0'));
                if let Ok(byte) = u8::try_from(value) {
                    out.push(byte);
                    index += 4;
                    continue;
                }
                out.push(b'\\');
            }
            _ => out.push(bytes[index]),
        }
        index += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// `path` lies at or below `mount_point`.
pub(crate) fn below(path: &str, mount_point: &str) -> bool {
    mount_point == "/" || path.strip_prefix(mount_point).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Finds the mount that holds a path by walking the tree of mounts as the kernel walks a path: from the root, at each
/// mount to the child that the path meets first. The order of lines alone would not do, because a mount that the initial
/// RAM disk made stands before the root that it was moved into.
pub(crate) struct MountTree<'a> {
    children: BTreeMap<u32, Vec<&'a MountLine>>,
    root: Option<&'a MountLine>,
}

impl<'a> MountTree<'a> {
    pub(crate) fn new(mounts: &'a [MountLine]) -> Self {
        let mut children: BTreeMap<u32, Vec<&MountLine>> = BTreeMap::new();
        for mount in mounts.iter().filter(|mount| mount.id != mount.parent) {
            children.entry(mount.parent).or_default().push(mount);
        }
        // The bottom root is the one whose parent is not a root of this namespace.
        let roots: Vec<_> = mounts.iter().filter(|mount| mount.mount_point == "/").collect();
        let root = roots
            .iter()
            .find(|mount| !roots.iter().any(|other| other.id == mount.parent && other.id != mount.id))
            .or(roots.first())
            .copied();
        Self { children, root }
    }

    pub(crate) fn holder(&self, path: &str) -> Option<&'a MountLine> {
        let mut current = self.root?;
        // Each step goes one mount deeper; the bound only matters for a listing that was made up.
        for _ in 0..=self.children.len() {
            let candidates = self.children.get(&current.id).map_or(&[][..], Vec::as_slice);
            let mut next: Option<&MountLine> = None;
            for child in candidates.iter().filter(|child| below(path, &child.mount_point)) {
                // The shortest mount point is met first; of two on one point, the later lies on top.
                if next.is_none_or(|best| child.mount_point.len() <= best.mount_point.len()) {
                    next = Some(child);
                }
            }
            match next {
                Some(child) => current = child,
                None => break,
            }
        }
        Some(current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORAGE: &str = "\
21 26 0:19 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
26 1 254:0 / / rw,relatime shared:1 - ext4 /dev/mapper/debian--vg-root rw,errors=remount-ro
25 26 0:22 / /run rw,nosuid,nodev,noexec,relatime shared:5 - tmpfs tmpfs rw,size=812136k,mode=755
78 26 8:17 / /srv/my\\040media rw,relatime - ext4 /dev/sdb1 rw
311 26 0:44 / /mnt/media rw,relatime shared:140 master:2 - nfs4 192.168.4.61:/srv/media rw,vers=4.2,addr=192.168.4.61
";

    #[test]
    fn fields_escapes_and_optional_fields() {
        let mounts = parse(STORAGE);
        assert_eq!(mounts.len(), 5);
        assert_eq!(mounts[3].mount_point, "/srv/my media");
        assert!(mounts[3].tags.is_empty());
        assert_eq!(mounts[4].tags, ["shared:140", "master:2"]);
        assert!(mounts[4].remote());
        assert_eq!(mounts[4].source, "192.168.4.61:/srv/media");
    }

    #[test]
    fn escapes() {
        for (escaped, plain) in
            [("a\\040b", "a b"), ("\\134x", "\\x"), ("\\9", "\\9"), ("\\777", "\\777"), ("\\04", "\\04")]
        {
            assert_eq!(unescape(escaped), plain);
        }
    }

    #[test]
    fn read_only_by_mount_or_by_file_system() {
        let by_mount = parse("1 0 8:1 / / ro,relatime - ext4 /dev/sda1 rw\n");
        let by_super = parse("1 0 8:1 / / rw,relatime - ext4 /dev/sda1 ro,errors=remount-ro\n");
        let neither = parse("1 0 8:1 / / rw,relatime - ext4 /dev/sda1 rw,errors=remount-ro\n");
        assert!(by_mount[0].read_only() && by_super[0].read_only() && !neither[0].read_only());
    }

    fn holder<'a>(mounts: &'a [MountLine], path: &str) -> &'a str {
        MountTree::new(mounts).holder(path).map_or("", |mount| mount.source.as_str())
    }

    #[test]
    fn a_mount_made_before_its_root_still_lies_on_it() {
        let mounts = parse(STORAGE);
        assert_eq!(holder(&mounts, "/sys/fs/cgroup"), "sysfs");
        assert_eq!(holder(&mounts, "/var/lib/kubelet"), "/dev/mapper/debian--vg-root");
        assert_eq!(holder(&mounts, "/run/flannel"), "tmpfs");
        assert_eq!(holder(&mounts, "/runner"), "/dev/mapper/debian--vg-root");
        assert_eq!(holder(&mounts, "/mnt/media/x"), "192.168.4.61:/srv/media");
    }

    #[test]
    fn the_last_of_several_on_one_point_holds_it() {
        let mounts =
            parse("1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /var rw - ext4 b rw\n3 2 8:3 / /var rw - ext4 c rw\n");
        assert_eq!(holder(&mounts, "/var/lib"), "c");
        let siblings =
            parse("1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /var rw - ext4 b rw\n3 1 8:3 / /var rw - ext4 c rw\n");
        assert_eq!(holder(&siblings, "/var/lib"), "c");
        let roots = parse("1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / / rw - overlay b rw\n");
        assert_eq!(holder(&roots, "/var/lib"), "b");
    }

    #[test]
    fn a_parent_mounted_later_hides_the_mounts_below_it() {
        let mounts = parse(
            "1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /var/lib rw - ext4 hidden rw\n3 1 8:3 / /var rw - ext4 c rw\n",
        );
        assert_eq!(holder(&mounts, "/var/lib/kubelet"), "c");
    }

    #[test]
    fn a_circle_ends() {
        let mounts = parse("1 2 8:1 / / rw - ext4 a rw\n2 1 8:1 / / rw - ext4 b rw\n");
        assert!(!holder(&mounts, "/var").is_empty());
    }
}
