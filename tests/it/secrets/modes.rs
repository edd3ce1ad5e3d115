//! What the program writes is its user's alone, whatever the umask is.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::change::node;

/// Everything below `directory` but what the test itself put there, with its mode.
fn modes(directory: &Path, own: &[&str]) -> Vec<(PathBuf, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if own.iter().any(|own| path.ends_with(own)) {
            continue;
        }
        let metadata = fs::symlink_metadata(&path).unwrap();
        found.push((path.clone(), metadata.permissions().mode() & 0o7777));
        if metadata.is_dir() {
            found.extend(modes(&path, own));
        }
    }
    found
}

fn with_umask(umask: &str, home: &Path, arguments: &[&str]) -> Output {
    Command::new("setsid")
        .args(["--wait", "sh", "-c", "umask \"$1\"; shift; exec \"$@\"", "sh", umask])
        .arg(env!("CARGO_BIN_EXE_seaworthy"))
        .args(arguments)
        .current_dir(home)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("TMPDIR", home.join("tmp"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn assert_private(home: &Path, umask: &str, names: &[&str]) {
    let found = modes(home, &["tmp", "run-me.yaml", "inventory.yaml"]);
    for (path, mode) in &found {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(*mode, expected, "umask {umask}: {}", path.display());
    }
    for name in names {
        let there = found.iter().any(|(path, _)| path.file_name().is_some_and(|found| found == *name));
        assert!(there, "{name} was not written, so that nothing is shown: {found:?}");
    }
}

#[test]
fn a_sweep_writes_what_only_its_user_reads() {
    for umask in ["000", "077"] {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("tmp")).unwrap();
        let fleet = node::Fleet::start(["master", "w1"]);
        // With host keys to learn, in a directory that is not there yet.
        let text = fs::read_to_string(fleet.inventory()).unwrap();
        fs::write(home.path().join("inventory.yaml"), text).unwrap();
        let known = home.path().join(".ssh/known_hosts");
        let known = known.to_str().unwrap();
        let arguments =
            ["sweep", "-i", "inventory.yaml", "--host-key", "accept-new", "--known-hosts", known, "-o", "name"];
        let output = with_umask(umask, home.path(), &arguments);
        let names = ["known_hosts", "run.json", "runs", ".ssh"];
        assert_private(home.path(), umask, &names);
        assert!(output.status.code().is_some_and(|code| code != 1), "{output:?}");
    }
}

#[test]
fn the_demo_keeps_its_keys_and_its_inventory_to_itself() {
    use std::io::{BufRead as _, BufReader};
    for umask in ["000", "077"] {
        let home = tempfile::tempdir().unwrap();
        let mut child = Command::new("sh")
            .args(["-c", "umask \"$1\"; shift; exec \"$@\"", "sh", umask, env!("CARGO_BIN_EXE_seaworthy")])
            .args(["demo", "-n", "2", "--serve", "--write-inventory", "fleet.yaml"])
            .current_dir(home.path())
            .env("HOME", home.path())
            .env("TMPDIR", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        let came = said.read_line(&mut line);
        let found = modes(home.path(), &[]);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(came.is_ok() && line.contains("nodes are up"), "{line}");
        assert!(found.iter().any(|(path, _)| path.ends_with("fleet.yaml")) && found.len() > 3, "{found:?}");
        for (path, mode) in found {
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode, expected, "umask {umask}: {}", path.display());
        }
    }
}

#[test]
fn a_change_keeps_a_journal_that_only_its_user_reads() {
    for umask in ["000", "077"] {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("tmp")).unwrap();
        let fleet = node::Fleet::start(["master", "w1"]);
        fleet.node("w1").put("/etc/kubernetes/kubelet.conf", "x");
        fs::copy(fleet.inventory(), home.path().join("inventory.yaml")).unwrap();
        let playbook = "name: look\nsummary: s\nhosts: workers\nsteps:\n  - command: { run: 'false', because: \
                        cni/config-missing, undo: none }\n";
        fs::write(home.path().join("run-me.yaml"), playbook).unwrap();
        let output = with_umask(umask, home.path(), &["run", "run-me.yaml", "-y", "-i", "inventory.yaml"]);
        let names = ["plan.json", "journal.jsonl"];
        assert!(output.status.code().is_some(), "{output:?}");
        assert_private(home.path(), umask, &names);
    }
}

#[test]
fn no_password_of_the_inventory_reaches_the_disk_or_the_output() {
    const PLANTED: &str = "pl4nted-s3cret";
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("tmp")).unwrap();
    let fleet = node::Fleet::start(["master", "w1"]);
    let vars = format!("  vars:\n    ansible_password: {PLANTED}\n    ansible_become_password: {PLANTED}\n");
    let text = fs::read_to_string(fleet.inventory()).unwrap().replacen("  vars:\n", &vars, 1);
    assert!(text.contains(PLANTED));
    fs::write(home.path().join("inventory.yaml"), text).unwrap();
    for arguments in [
        &["sweep", "-i", "inventory.yaml", "-o", "json", "-v"][..],
        &["inventory", "-i", "inventory.yaml", "--host", "w1"],
        &["run", "look.yaml", "--check", "-i", "inventory.yaml", "-o", "json"],
    ] {
        fs::write(home.path().join("look.yaml"), "name: look\nsummary: s\nhosts: workers\n").unwrap();
        let output = with_umask("022", home.path(), arguments);
        for said in [&output.stdout, &output.stderr] {
            assert!(!String::from_utf8_lossy(said).contains(PLANTED), "{arguments:?}");
        }
    }
    let written = modes(home.path(), &["inventory.yaml"]);
    assert!(written.iter().any(|(path, _)| path.ends_with("run.json")), "{written:?}");
    for (path, _) in written.iter().filter(|(path, _)| path.is_file()) {
        let bytes = fs::read(path).unwrap();
        let found = bytes.windows(PLANTED.len()).any(|window| window == PLANTED.as_bytes());
        assert!(!found, "{}", path.display());
    }
}
