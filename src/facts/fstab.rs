//! `/etc/fstab`: what is meant to be mounted.

use schemars::JsonSchema;
use serde::Serialize;

use super::mounts::unescape;

/// One line of fstab.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct FstabEntry {
    pub source: String,
    pub mount_point: String,
    pub fstype: String,
    pub options: Vec<String>,
    /// The source is a kernel name such as `/dev/sdb1`, which may be another disk after a reboot.
    pub kernel_name: bool,
}

impl FstabEntry {
    pub(crate) fn has(&self, option: &str) -> bool {
        self.options
            .iter()
            .any(|found| found == option || found.strip_prefix(option).is_some_and(|rest| rest.starts_with('=')))
    }

    pub(crate) fn is_nfs(&self) -> bool {
        matches!(self.fstype.as_str(), "nfs" | "nfs4")
    }

    /// It should be mounted now: not swap, not `noauto`, and not left to an automount.
    pub(crate) fn expected_now(&self) -> bool {
        self.fstype != "swap"
            && self.mount_point.starts_with('/')
            && !self.has("noauto")
            && !self.has("x-systemd.automount")
    }
}

/// Every line with at least three fields that is no comment.
pub(crate) fn parse(text: &str) -> impl Iterator<Item = FstabEntry> {
    text.lines().filter_map(|line| {
        let line = line.trim();
        if line.starts_with('#') {
            return None;
        }
        let mut fields = line.split_ascii_whitespace();
        let source = unescape(fields.next()?);
        let mount_point = unescape(fields.next()?);
        let fstype = fields.next()?.to_owned();
        let options = fields.next().unwrap_or("defaults").split(',').map(str::to_owned).collect();
        let kernel_name = is_kernel_name(&source);
        // "/mnt/" and "/mnt" are one mount point.
        let mount_point = match mount_point.trim_end_matches('/') {
            "" if mount_point.starts_with('/') => "/".to_owned(),
            trimmed => trimmed.to_owned(),
        };
        Some(FstabEntry { source, mount_point, fstype, options, kernel_name })
    })
}

fn is_kernel_name(source: &str) -> bool {
    let Some(name) = source.strip_prefix("/dev/") else { return false };
    // A hypervisor gives `vda` and `xvda` by their place; disks get the others in the order in which they answer.
    ["sd", "hd", "nvme"].iter().any(|prefix| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_their_escapes_and_options() {
        let text = "# comment\nUUID=1-2 / ext4 errors=remount-ro 0 1\n/dev/sdb1 /srv/my\\040media/ ext4\n\
                    /dev/mapper/vg-x /x xfs noauto,nofail 0 0\nnas:/m /mnt nfs x-systemd.automount,x-systemd.idle-timeout=60\nshort line\n";
        let entries: Vec<_> = parse(text).collect();
        assert_eq!(entries.len(), 4);
        assert_eq!(entries[0].mount_point, "/");
        assert_eq!(entries[1].mount_point, "/srv/my media");
        assert_eq!(entries.iter().map(|entry| entry.kernel_name).collect::<Vec<_>>(), [false, true, false, false]);
        assert_eq!(entries.iter().map(FstabEntry::expected_now).collect::<Vec<_>>(), [true, true, false, false]);
    }
}
