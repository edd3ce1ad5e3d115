//! `seaworthy reset`: the binary against pretended nodes that have storage.

use seaworthy::demo::State;
use serde_json::Value;

use super::place::{Place, text};
use crate::change::node::Fleet;

const PRECIOUS: [&str; 3] = ["/mnt/media/film.mkv", "/srv/export/book.pdf", "/var/lib/other/data"];

/// A worker that has joined, with an NFS mount that its fstab names, and what its plan says of its storage.
struct Joined {
    fleet: Fleet,
    place: Place,
}

impl Joined {
    fn new() -> Self {
        let fleet = Fleet::start(["master", "w1"]);
        let node = fleet.node("w1");
        node.pretend(State::WorkerNfs);
        for path in ["/etc/kubernetes/kubelet.conf", "/etc/cni/net.d/10-flannel.conflist"].iter().chain(&PRECIOUS) {
            node.put(path, "x");
        }
        Self { fleet, place: Place::new() }
    }

    /// The exit code, and the document on standard output.
    fn reset(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let inventory = self.fleet.inventory();
        let all = [&["reset"], arguments, &["-o", "json", "-i", inventory.to_str().unwrap()]].concat();
        let output = self.place.run(&all);
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output))))
    }

    /// The change of the only action, after everything that is mounted by the probe's word is mounted.
    fn planned(&self) -> Value {
        let (code, document) = self.reset(&["w1", "--check"]);
        assert_eq!(code, Some(2), "{document}");
        let change = document["nodes"][0]["decision"]["actions"][0]["change"].clone();
        let line = |mount: &Value| {
            let (point, source) = mount.as_str().unwrap().split_once(' ').unwrap();
            let kind = if source.contains(":/") {
                "nfs4"
            } else if point == "/run" {
                "tmpfs"
            } else {
                "ext4"
            };
            format!("{source} {point} {kind} rw 0 0\n")
        };
        let mounts: Vec<String> = change["mounts"].as_array().unwrap().iter().map(line).collect();
        self.fleet.node("w1").put("/proc/mounts", mounts.concat());
        change
    }

    fn precious(&self) -> Vec<bool> {
        PRECIOUS.iter().map(|path| self.fleet.node("w1").get(path).is_some()).collect()
    }

    fn resets(&self) -> usize {
        self.fleet.node("w1").calls().iter().filter(|call| *call == "kubeadm reset -f").count()
    }
}

#[test]
fn it_shows_what_goes_and_leaves_storage_alone() {
    let joined = Joined::new();
    let change = joined.planned();
    let has = |key: &str, wanted: &str| {
        change[key].as_array().unwrap().iter().any(|entry| entry.as_str().unwrap().starts_with(wanted))
    };
    assert!(has("deletes", "/etc/kubernetes/kubelet.conf") && has("deletes", "/var/lib/kubelet"), "{change}");
    assert!(has("mounts", "/mnt/media ") && !has("deletes", "/mnt"), "{change}");
    assert_eq!(joined.resets(), 0, "it was only shown");

    let (code, document) = joined.reset(&["w1", "--yes"]);
    let ended = &document["result"]["nodes"][0];
    assert_eq!((code, &ended["outcome"]), (Some(0), &"done".into()), "{document}");
    let evidence = ended["evidence"].to_string();
    assert!(evidence.contains("mounts of before are there"), "{evidence}");
    assert_eq!(joined.fleet.node("w1").get("/etc/kubernetes/kubelet.conf"), None);
    assert_eq!(joined.precious(), [true; 3]);
    assert_eq!(joined.resets(), 1);
}

#[test]
fn storage_that_is_gone_before_it_begins_stops_it() {
    let joined = Joined::new();
    joined.planned();
    let node = joined.fleet.node("w1");
    let mounts = node.get("/proc/mounts").unwrap();
    let without: Vec<&str> = mounts.lines().filter(|line| !line.contains("/mnt/media")).collect();
    node.put("/proc/mounts", without.join("\n") + "\n");
    let (code, document) = joined.reset(&["w1", "--yes"]);
    let ended = &document["result"]["nodes"][0];
    assert_eq!((code, &ended["outcome"]), (Some(2), &"refused".into()), "{document}");
    assert!(ended["why"].as_str().unwrap().contains("/mnt/media"), "{document}");
    assert_eq!((joined.resets(), joined.precious()), (0, vec![true; 3]));
}

#[test]
fn a_control_plane_is_never_reset_whoever_names_it() {
    let joined = Joined::new();
    let (code, document) = joined.reset(&["master", "--yes"]);
    assert_eq!(code, Some(2), "{document}");
    let refusals = &document["nodes"][0]["decision"]["refusals"];
    assert_eq!(refusals[0]["guard"], "worker", "{document}");
    assert!(!joined.fleet.node("master").calls().iter().any(|call| call.starts_with("kubeadm reset")));
}
