//! The *stat* line format: what a path is, without following links.

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::read::number;

/// What `lstat` says of one path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct FileStat {
    pub kind: FileKind,
    /// Octal permission bits, as `stat -c %a` prints them.
    pub mode: Fact<String>,
    pub uid: Fact<u32>,
    pub gid: Fact<u32>,
    /// Bytes.
    pub size: Fact<u64>,
    /// Seconds since 1970.
    pub modified: Fact<i64>,
    /// Where a symbolic link points.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    File,
    Directory,
    Link,
    Socket,
    BlockDevice,
    CharDevice,
    Pipe,
}

impl FileStat {
    fn bits(&self) -> Fact<u32> {
        self.mode.as_ref().map(|mode| u32::from_str_radix(mode, 8).unwrap_or(0))
    }

    /// Somebody who is neither the owner nor root may write.
    pub fn writable_by_others(&self) -> Fact<bool> {
        let group = self.gid.is_known_and(|gid| *gid != 0);
        self.bits().map(|bits| self.kind != FileKind::Link && (bits & 0o002 != 0 || (bits & 0o020 != 0 && group)))
    }

    pub fn executable(&self) -> Fact<bool> {
        self.bits().map(|bits| bits & 0o111 != 0)
    }
}

/// One line of a listing.
pub(crate) struct Entry<'a> {
    pub(crate) path: &'a str,
    pub(crate) stat: Fact<FileStat>,
    /// The first bytes of a regular file in hex, where the section has them.
    pub(crate) head: Option<&'a str>,
}

impl<'a> Entry<'a> {
    /// The last component of the path.
    pub(crate) fn name(&self) -> &'a str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }
}

/// The lines that can be understood; the others are noise.
pub(crate) fn parse(text: &str) -> impl Iterator<Item = Entry<'_>> {
    text.lines().filter_map(entry)
}

fn entry(line: &str) -> Option<Entry<'_>> {
    let mut fields = line.split('\t');
    let meta = fields.next()?.trim();
    let path = fields.next().filter(|path| !path.is_empty())?;
    let (mut target, mut head) = (None, None);
    for field in fields {
        match field.strip_prefix("-> ") {
            Some(to) => target = Some(to.to_owned()),
            None if !field.is_empty() => head = Some(field),
            None => {}
        }
    }
    let stat = match meta {
        "-" => Fact::Absent,
        _ if meta.starts_with('!') => Fact::unknown("permission denied"),
        _ => Fact::Known(stat(meta, target)?),
    };
    Some(Entry { path, stat, head })
}

/// A node without a usable `stat` sends the type and `?` for the rest.
fn stat(meta: &str, target: Option<String>) -> Option<FileStat> {
    let mut words = meta.split_ascii_whitespace();
    let mode = words.next().filter(|mode| *mode == "?" || u32::from_str_radix(mode, 8).is_ok())?;
    let (uid, gid) = words.next()?.split_once(':')?;
    let size = words.next()?;
    let modified = words.next()?;
    let kind = match words.next()? {
        "f" => FileKind::File,
        "d" => FileKind::Directory,
        "l" => FileKind::Link,
        "s" => FileKind::Socket,
        "b" => FileKind::BlockDevice,
        "c" => FileKind::CharDevice,
        "p" => FileKind::Pipe,
        _ => return None,
    };
    Some(FileStat {
        kind,
        mode: said(mode).map(str::to_owned),
        uid: said(uid).and_then(number),
        gid: said(gid).and_then(number),
        size: said(size).and_then(number),
        modified: said(modified).and_then(|seconds| number(seconds.split('.').next().unwrap_or_default())),
        target,
    })
}

fn said(word: &str) -> Fact<&str> {
    if word == "?" { Fact::unknown("stat is not installed") } else { Fact::Known(word) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_every_form() {
        let text = "644 0:0 292 1757526060 f\t/etc/cni/net.d/10-flannel.conflist\n\
                    777 0:0 9 1757526060 l\t/etc/link\t-> /etc/hosts\n\
                    755 0:0 2916136 1757526060 f\tflannel\t\t7f454c46\n\
                    - \t/gone\n!\t/hidden\nrubbish\n999 0:0 1 1 f\t/bad-mode\n";
        let entries: Vec<_> = parse(text).collect();
        assert_eq!(entries.len(), 5);
        let first = entries[0].stat.known().unwrap();
        assert_eq!((&first.mode, &first.size), (&Fact::Known("644".to_owned()), &Fact::Known(292)));
        assert_eq!(first.kind, FileKind::File);
        assert_eq!(entries[0].name(), "10-flannel.conflist");
        assert_eq!(entries[1].stat.known().unwrap().target.as_deref(), Some("/etc/hosts"));
        assert_eq!(entries[2].head, Some("7f454c46"));
        assert_eq!(entries[3].stat, Fact::Absent);
        assert_eq!(entries[4].stat, Fact::unknown("permission denied"));
    }

    #[test]
    fn the_sticky_root_group_is_not_others() {
        let stat = |meta| stat(meta, None).unwrap();
        for (meta, expected) in
            [("664 0:0 1 1 f", false), ("664 0:1000 1 1 f", true), ("1777 0:0 1 1 d", true), ("777 0:0 1 1 l", false)]
        {
            assert_eq!(stat(meta).writable_by_others(), Fact::Known(expected), "{meta}");
        }
    }

    #[test]
    fn without_stat_only_the_kind_is_known() {
        let stat = stat("? ?:? ? ? d", None).unwrap();
        assert_eq!(stat.kind, FileKind::Directory);
        assert!(stat.mode.is_unknown() && stat.modified.is_unknown() && stat.writable_by_others().is_unknown());
    }
}
