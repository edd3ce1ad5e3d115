//! Files that somebody else may have put where the program looks by itself: configuration, inventory, checks.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A working directory that everybody may write, as `/tmp` is, and a home beside it.
struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new(mode: u32) -> Self {
        let place = Self { root: tempfile::tempdir().unwrap() };
        for name in ["here", "home"] {
            fs::create_dir(place.root.path().join(name)).unwrap();
        }
        fs::set_permissions(place.here(), Permissions::from_mode(mode)).unwrap();
        place
    }

    fn here(&self) -> std::path::PathBuf {
        self.root.path().join("here")
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.here().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_seaworthy"))
            .args(arguments)
            .current_dir(self.here())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.root.path().join("home"))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn exists(&self, name: &str) -> bool {
        self.here().join(name).exists()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn shown(path: &Path) -> String {
    path.canonicalize().unwrap().display().to_string()
}

#[test]
fn a_configuration_in_a_directory_of_everybody_is_not_obeyed() {
    for mode in [0o1777, 0o777] {
        let place = Place::new(mode);
        place.write("seaworthy.yaml", "ssh_options: { ProxyCommand: 'touch obeyed; false' }\n", 0o644);
        let output = place.run(&["exec", "-i", "127.0.0.1,", "--ssh-config", "none", "--", "true"]);
        let said = said(&output);
        assert!(said.contains("seaworthy.yaml is not obeyed: "), "{said}");
        assert!(
            said.contains(&format!("{} may be written by everybody (mode {mode:04o})", shown(&place.here()))),
            "{said}"
        );
        assert!(!place.exists("obeyed"), "{said}");
    }
    // The same file in a directory of one's own.
    let place = Place::new(0o755);
    place.write("seaworthy.yaml", "ssh_options: { ProxyCommand: 'touch obeyed; false' }\n", 0o644);
    let output = place.run(&["exec", "-i", "127.0.0.1,", "--ssh-config", "none", "--", "true"]);
    assert!(place.exists("obeyed") && !said(&output).contains("is not obeyed"), "{}", said(&output));
}

#[test]
fn an_inventory_in_a_directory_of_everybody_is_not_run_unless_it_is_named() {
    let place = Place::new(0o1777);
    place.write("inventory", "#!/bin/sh\ntouch obeyed\necho '{\"all\":{\"hosts\":[\"n1\"]}}'\n", 0o755);
    let output = place.run(&["inventory"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(said(&output).contains("the inventory inventory was found here and is not obeyed: "), "{}", said(&output));
    assert!(
        said(&output).contains("if you trust it, pass -i inventory") && !place.exists("obeyed"),
        "{}",
        said(&output)
    );
    let output = place.run(&["inventory", "-i", "inventory"]);
    assert!(output.status.success() && place.exists("obeyed"), "{}", said(&output));
}

#[test]
fn checks_that_everybody_may_write_are_not_obeyed_unless_they_are_named() {
    let place = Place::new(0o755);
    place.write("inventory.yaml", "all: { hosts: { n1: { ansible_connection: local } } }\n", 0o644);
    place.write("checks/mine.yaml", "nonsense: [\n", 0o644);
    fs::set_permissions(place.here().join("checks"), Permissions::from_mode(0o777)).unwrap();
    let sweep = ["sweep", "--no-save", "-o", "name"];
    let output = place.run(&sweep);
    assert!(
        said(&output).contains("the checks in ") && said(&output).contains("are not obeyed: "),
        "{}",
        said(&output)
    );
    assert!(matches!(output.status.code(), Some(0 | 2)), "{}", said(&output));
    let named = place.run(&[&sweep[..], &["--checks", "checks"]].concat());
    assert!(named.status.code() == Some(1) && said(&named).contains("mine.yaml"), "{}", said(&named));
    // Closed, they are read again.
    fs::set_permissions(place.here().join("checks"), Permissions::from_mode(0o755)).unwrap();
    let output = place.run(&sweep);
    assert!(output.status.code() == Some(1) && said(&output).contains("mine.yaml"), "{}", said(&output));
}

#[test]
fn a_sudo_password_that_others_may_read_is_not_used() {
    let place = Place::new(0o755);
    let exec = ["exec", "-i", "127.0.0.1,", "--ssh-config", "none", "--ssh-option", "ProxyCommand=touch used; false"];
    let with_password = [&exec[..], &["--become-password-file", "password", "--", "true"]].concat();
    for mode in [0o644, 0o640, 0o604] {
        place.write("password", "s3cret\n", mode);
        let output = place.run(&with_password);
        let expected = format!("can be read by other users (mode {mode:03o}): chmod 600 ");
        assert!(output.status.code() == Some(1) && said(&output).contains(&expected), "{}", said(&output));
        assert!(!place.exists("used") && !said(&output).contains("s3cret"), "{}", said(&output));
    }
    place.write("password", "s3cret\n", 0o600);
    let output = place.run(&with_password);
    assert!(output.status.code() == Some(4) && place.exists("used"), "{}", said(&output));
}
