//! Whether a file that was merely found may be obeyed: one that somebody else may have put there could name a program to run. And
//! whether a secret is one: others may have read it.
//!
//! Looks at owners and modes only. What the user names is obeyed wherever it lies; that is not decided here.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Why `path` is not to be trusted, as the end of a sentence; `None` when only its user and root may write it and the directory that
/// it lies in. What is not there is not distrusted. The sticky bit does not help: it lets everybody add files.
pub fn distrust(path: &Path) -> Option<String> {
    let uid = rustix::process::geteuid().as_raw();
    // A link leads into another directory, whose owner decides what is read.
    let real = path.canonicalize().ok()?;
    let mut places: Vec<PathBuf> = vec![real.clone()];
    places.extend([path, &real].map(directory_of));
    places.dedup();
    places.iter().find_map(|place| {
        let why = others_may_write(&std::fs::metadata(place).ok()?, uid)?;
        let target = place.display();
        Some(format!("{target} {why} (chmod go-w {target})"))
    })
}

/// The mode of a file with a secret in it that others may read. As with ssh's private keys: whoever else owns a file can be trusted with
/// it, so only those of `uid` are looked at; what is no file (a pipe from a password manager) was made for this process.
pub fn exposed(metadata: &Metadata, uid: u32) -> Option<u32> {
    let mode = metadata.mode() & 0o777;
    (metadata.is_file() && metadata.uid() == uid && mode & 0o077 != 0).then_some(mode)
}

fn directory_of(path: &Path) -> PathBuf {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// Root's own group is root.
fn others_may_write(metadata: &Metadata, uid: u32) -> Option<String> {
    let (mode, owner, group) = (metadata.mode(), metadata.uid(), metadata.gid());
    if mode & 0o002 != 0 {
        return Some(format!("may be written by everybody (mode {:04o})", mode & 0o7777));
    }
    let by_group = mode & 0o020 != 0 && group != 0;
    (by_group && owner != uid).then(|| format!("belongs to user {owner} and may be written by group {group}"))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_is_as_safe_as_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("f");
        assert_eq!(distrust(&file), None, "it is not there");
        fs::write(&file, "").unwrap();
        for (of_directory, of_file, bad) in [
            (0o700, 0o600, None),
            (0o755, 0o644, None),
            // One's own group, as a umask of 002 leaves it.
            (0o775, 0o664, None),
            (0o777, 0o600, Some(directory.path())),
            (0o1777, 0o600, Some(directory.path())),
            (0o755, 0o666, Some(file.as_path())),
        ] {
            set(directory.path(), of_directory);
            set(&file, of_file);
            let why = distrust(&file);
            let named = bad.map(|path| path.canonicalize().unwrap().display().to_string());
            assert_eq!(why.is_some(), named.is_some(), "{of_directory:o} {of_file:o}: {why:?}");
            if let (Some(why), Some(named)) = (why, named) {
                assert!(why.starts_with(&format!("{named} may be written by everybody (mode ")), "{why}");
            }
        }
    }

    #[test]
    fn a_link_is_as_safe_as_what_it_leads_to() {
        let (safe, open) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(open.path().join("f"), "").unwrap();
        set(open.path(), 0o1777);
        symlink(open.path().join("f"), safe.path().join("link")).unwrap();
        assert!(distrust(&safe.path().join("link")).is_some());
        set(open.path(), 0o700);
        assert_eq!(distrust(&safe.path().join("link")), None);
        // And as where the link itself lies.
        set(safe.path(), 0o777);
        assert!(distrust(&safe.path().join("link")).is_some());
    }

    #[test]
    fn what_belongs_to_somebody_else_may_not_be_open_to_a_group() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("f");
        fs::write(&file, "").unwrap();
        if chown(&file, Some(12_345), Some(12_345)).is_err() {
            eprintln!("not shown: only root gives files away");
            return;
        }
        set(&file, 0o664);
        let why = distrust(&file).unwrap();
        assert!(why.contains("belongs to user 12345 and may be written by group 12345"), "{why}");
        set(&file, 0o644);
        assert_eq!(distrust(&file), None, "root reads what its users wrote");
        chown(&file, Some(12_345), Some(0)).unwrap();
        set(&file, 0o664);
        assert_eq!(distrust(&file), None, "the group of root is root");
    }
}
