//! A run of changes from its plan to its undoing: the binary against pretended nodes.

use serde_json::Value;

use super::place::{Place, text};
use crate::change::node::Fleet;

const CONFLIST: &str = "/etc/cni/net.d/10-flannel.conflist";

/// What no step but flannel's would be allowed to write is written by a command, as the pretended nodes are Ready by that alone.
const MEND: &str = "name: mend\nsummary: s\nhosts: all\nsteps:\n  - command:\n      \
                    run: 'mkdir -p \"$SEAWORTHY_PRETENDED/etc/cni/net.d\" && echo {} > \"$SEAWORTHY_PRETENDED/etc/cni/net.d/10-flannel.conflist\"'\n      \
                    because: cni/config-missing\n      undo: 'rm \"$SEAWORTHY_PRETENDED/etc/cni/net.d/10-flannel.conflist\"'\n";

#[test]
fn a_playbook_is_applied_changes_nothing_the_second_time_and_is_taken_back() {
    let fleet = Fleet::start(["master", "w1", "w2"]);
    for node in ["w1", "w2"] {
        fleet.node(node).put("/etc/kubernetes/kubelet.conf", "x");
    }
    let place = Place::new();
    place.write("mend.yaml", MEND);
    let inventory = fleet.inventory();
    let inventory = inventory.to_str().unwrap();
    let there = || ["w1", "w2"].map(|node| fleet.node(node).get(CONFLIST).is_some());

    let output = place.run(&["run", "mend.yaml", "w1", "w2", "--yes", "-i", inventory]);
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert_eq!(there(), [true, true], "{shown}");
    // The plan, the run, before and after, and what to type next.
    for part in [
        "w[1-2]  to be changed",
        "because   cni/config-missing:",
        "order     in batches of 1, 1: w1 first",
        "mend: 2 nodes: 2 to change, 0 refused, 0 as it should be",
        " → ",
        "(cni/config-missing)",
        "w[1-2]  done",
        "undo      $ seaworthy undo 2",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(place.runs(), 1);

    let output = place.run(&["run", "mend.yaml", "w1", "w2", "--yes", "-i", inventory]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("mend: 2 nodes: 0 to change, 0 refused, 2 as it should be"), "{}", text(&output));

    // `last` is the last run that changed something. The inventory is the one of that run.
    let output = place.run(&["undo", "last", "--check"]);
    assert_eq!((output.status.code(), there()), (Some(2), [true, true]), "{}", text(&output));
    assert!(text(&output).contains("w[1-2]  to be taken back"), "{}", text(&output));
    let output = place.run(&["undo", "last", "--yes", "-o", "json"]);
    assert_eq!((output.status.code(), there()), (Some(0), [false, false]), "{}", text(&output));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let outcomes: Vec<&Value> =
        document["result"]["nodes"].as_array().unwrap().iter().map(|node| &node["outcome"]).collect();
    assert_eq!(outcomes, ["done", "done"], "{document}");
    let output = place.run(&["undo", "last", "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("nothing is left to be done"), "{}", text(&output));
}
