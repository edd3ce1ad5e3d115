//! The lab cleans up after itself, however its owner ends.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::{Lab, eventually, lab_name, wanted};

#[test]
fn a_lab_whose_owner_is_killed_leaves_nothing() {
    if !wanted() {
        return;
    }
    let mut owner = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
    let lab = Lab::up(lab_name("k"), owner.id(), "one 10 plain\ntwo 11 hung-fuse\n");
    assert_eq!(lab.exec("one", "hostname").trim(), "one");
    let leftovers = || lab.script(["leftovers"]).output().unwrap();
    assert!(!leftovers().status.success(), "a running lab is not nothing");

    owner.kill().unwrap();
    owner.wait().unwrap();
    let gone = eventually(Duration::from_secs(30), || leftovers().status.success());
    assert!(gone, "left behind:\n{}", String::from_utf8_lossy(&leftovers().stdout));
}
