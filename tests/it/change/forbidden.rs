//! Joins planned by the program where a node's sshd forwards nothing.

use std::fs;

use assert_cmd::Command;

use super::api::{Api, Shows};
use super::node::{ENDPOINT, Fleet};

/// What `seaworthy join w1 --check` ends with and prints, where these programs of the node reach the API; `None` where this machine
/// lacks one.
fn planned(programs: &[&str], shows: &Shows) -> Option<(i32, String)> {
    let fleet = Fleet::start(["master", "w1"]);
    let api = Api::with(&fleet, &["master", "w1"], shows);
    if !api.only_by(fleet.node("w1"), programs) {
        return None;
    }
    let home = tempfile::tempdir().unwrap();
    let inventory = home.path().join("inventory.yaml");
    let text = fs::read_to_string(fleet.inventory()).unwrap();
    let vars = format!("  vars:\n    kube_api_endpoint: {ENDPOINT}\n");
    fs::write(&inventory, text.replacen("  vars:\n", &vars, 1)).unwrap();
    let output = Command::new(assert_cmd::cargo::cargo_bin!("seaworthy"))
        .env("HOME", home.path())
        .env("XDG_STATE_HOME", home.path())
        .args(["join", "w1", "--check", "-i"])
        .arg(&inventory)
        .output()
        .unwrap();
    Some((output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap()))
}

#[test]
fn the_nodes_own_programs_show_the_way() {
    for program in ["curl", "openssl"] {
        let Some((code, text)) = planned(&[program], &Shows::default()) else { return };
        assert_eq!(code, 2, "{program}: {text}");
        assert!(text.contains("kubeadm join") && text.contains("1 to change, 0 refused"), "{program}: {text}");
    }
}

#[test]
fn what_they_see_is_judged_as_what_this_program_sees() {
    let shows = [
        (Shows { names: vec!["other".to_owned()], ..Shows::default() }, "join/api-certificate-name"),
        (Shows { years: (2020, 2021), ..Shows::default() }, "join/api-certificate-dates"),
        (Shows { other_ca: true, ..Shows::default() }, "join/ca-pin-mismatch"),
    ];
    for (shows, guard) in shows {
        for program in ["curl", "openssl"] {
            let Some((code, text)) = planned(&[program], &shows) else { return };
            assert_eq!(code, 2, "{program}: {text}");
            assert!(text.contains("0 to change, 1 refused") && text.contains(guard), "{program}, {guard}: {text}");
        }
    }
}

#[test]
fn without_them_it_is_not_known_and_said_what_to_do() {
    let (code, text) = planned(&[], &Shows::default()).unwrap();
    assert_eq!(code, 2, "{text}");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in ["join/api-unreachable", "neither curl nor openssl", "AllowTcpForwarding yes"] {
        assert!(text.contains(words), "{words}: {text}");
    }
}
