//! Several files, and files that are missing or cannot be read.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn user_and_global_files_count_alike() {
    let files = Files::new(&format!("a {}\n", text(&ed25519(1))));
    let global = files.directory.path().join("global");
    fs::write(&global, format!("\n@revoked * {}\nb {}\n", text(&ed25519(9)), text(&ed25519(2)))).unwrap();
    assert_eq!(short(&files.check("b", 22, &ed25519(2))), ("known", 3));
    assert_eq!(short(&files.check("a", 22, &ed25519(9))), ("revoked", 2));
    let HostKeyAnswer::Changed { known, .. } = files.check("b", 22, &ed25519(3)) else { panic!("b has another key") };
    assert_eq!(known.place, Place { file: global, line: 3 });
}

#[test]
fn one_file_named_twice_is_one_file() {
    let files = Files::new(&format!("a {}\n", text(&ed25519(1))));
    let settings = HostKeySettings { global_files: vec![files.user()], ..files.settings() };
    assert_eq!(short(&files.hosts.check(&settings, "a", 22, &ed25519(1)).unwrap()), ("known", 1));
}

#[test]
fn a_missing_file_knows_nothing() {
    let files = Files::new("");
    fs::remove_file(files.user()).unwrap();
    assert_eq!(short(&files.check("a", 22, &ed25519(1))), ("unknown", 0));
}

#[test]
fn an_unreadable_file_is_an_error_and_never_empty() {
    let files = Files::new("");
    // A directory cannot be read as a file, not even by root.
    let settings = HostKeySettings { global_files: vec![files.directory.path().to_owned()], ..files.settings() };
    let error = files.hosts.check(&settings, "a", 22, &ed25519(1)).unwrap_err();
    assert!(matches!(error, HostKeyError::Unreadable { .. }), "{error}");
    assert!(files.hosts.learn(&settings, "a", 22, &ed25519(1)).is_err());
    assert_eq!(error.failure().kind, crate::failure::FailureKind::Local);

    // Where files cannot be opened at all, this one is not at fault.
    let source = std::io::Error::from_raw_os_error(24);
    let full = HostKeyError::Unreadable { file: files.user(), source }.failure();
    assert!(full.next.contains("ulimit -n"), "{full:?}");

    fs::set_permissions(files.user(), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(files.user()).is_ok() {
        eprintln!("skipped in part: root reads every file");
        return;
    }
    let fresh = KnownHosts::new().check(&files.settings(), "a", 22, &ed25519(1));
    assert!(matches!(fresh, Err(HostKeyError::Unreadable { .. })), "{fresh:?}");
}
