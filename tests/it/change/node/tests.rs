//! The pretended nodes themselves.

use assert_cmd::Command;

use super::Fleet;
use crate::ssh::support::request;

#[tokio::test]
async fn scripts_run_below_the_root_and_commands_meet_the_stubs() {
    let fleet = Fleet::start(["master", "w1"]);
    let (_client, session) = fleet.connect("w1").await;
    let script = b"N=0123456789abcdef0123456789abcdef R= P=\necho $R; PATH=$P; kubeadm version -o short";
    let outcome = session.exec(request("sh -s", script)).await;
    let root = fleet.node("w1").path("/");
    assert_eq!(
        String::from_utf8(outcome.stdout).unwrap(),
        format!("{}\nv1.29.15\n", root.display().to_string().trim_end_matches('/'))
    );
    assert_eq!(fleet.node("w1").calls(), ["kubeadm version -o short"]);
}

#[test]
fn a_sweep_sees_the_state_of_the_root() {
    let fleet = Fleet::start(["master", "w1", "w2", "w3"]);
    for (node, files) in [
        ("w2", &["/etc/kubernetes/kubelet.conf"][..]),
        ("w3", &["/etc/kubernetes/kubelet.conf", "/etc/cni/net.d/10-flannel.conflist"]),
    ] {
        for file in files {
            fleet.node(node).put(file, "x");
        }
    }
    let mut sweep = Command::new(assert_cmd::cargo::cargo_bin!("seaworthy"));
    let home = tempfile::tempdir().unwrap();
    let output = sweep
        .env("HOME", home.path())
        .env("XDG_STATE_HOME", home.path())
        .args(["sweep", "-i"])
        .arg(fleet.inventory())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for (node, phase) in [("master", "control"), ("w1", "prepared"), ("w2", "not ready"), ("w3", "ready")] {
        let row = text.lines().find(|line| line.starts_with(&format!("{node} "))).unwrap_or_else(|| panic!("{text}"));
        assert!(row.contains(phase), "{row}");
    }
    assert!(!text.contains("left-over"), "{text}");
}
