//! `seaworthy flannel push`, and machines with two names: the binary against pretended nodes.

use super::place::{Place, text};
use crate::change::node::Fleet;

const CONFLIST: &str = "/etc/cni/net.d/10-flannel.conflist";
/// Valid, and not what the cluster wants.
const DRIFTED: &str =
    "{\"name\":\"cbr0\",\"cniVersion\":\"0.3.1\",\"plugins\":[{\"type\":\"flannel\",\"delegate\":{\"mtu\":900}}]}\n";

#[test]
fn a_configuration_that_drifted_is_shown_before_it_is_replaced() {
    let (fleet, place) = (Fleet::start(["master", "w1"]), Place::new());
    let node = fleet.node("w1");
    node.put("/etc/kubernetes/kubelet.conf", "x");
    node.put(CONFLIST, DRIFTED);
    let inventory = fleet.inventory();
    let push = |more: &[&str]| {
        let output = place.run(&[&["flannel", "push", "w1", "-i", inventory.to_str().unwrap()], more].concat());
        (output.status.code(), String::from_utf8(output.stdout.clone()).unwrap(), text(&output))
    };
    let (code, _, all) = push(&["--check"]);
    assert_eq!(code, Some(0), "what can be loaded is left alone unless asked for: {all}");

    let (code, shown, all) = push(&["--sync", "--check", "--diff"]);
    assert_eq!(code, Some(2), "{all}");
    let place_of = |words: &str| shown.find(words).unwrap_or_else(|| panic!("{words}: {all}"));
    assert!(place_of("\"mtu\":900") < place_of("to be changed"), "{shown}");
    assert!(shown.contains("+++ /etc/cni/net.d/10-flannel.conflist") && shown.contains("cni/conf-differs"), "{shown}");
    assert_eq!(node.get(CONFLIST).as_deref(), Some(DRIFTED), "it was only shown");
}

#[test]
fn one_machine_under_two_names_is_changed_under_one() {
    let (fleet, place) = (Fleet::start(["master", "w1"]), Place::new());
    fleet.node("w1").put("/etc/kubernetes/kubelet.conf", "x");
    let inventory = std::fs::read_to_string(fleet.inventory()).unwrap();
    let line = inventory.lines().find(|line| line.trim_start().starts_with("w1:")).unwrap();
    place.write("twice.yaml", &inventory.replace(line, &format!("{line}\n{}", line.replace("w1:", "again:"))));
    let command = "run-me.yaml";
    place.write(
        command,
        "name: twice\nsummary: s\nhosts: workers\nsteps:\n  - command: { run: 'true', because: cni/config-missing, undo: none }\n",
    );
    let output = place.run(&["run", command, "--check", "-i", "twice.yaml"]);
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(2), "{shown}");
    assert!(shown.contains("cluster/listed-twice") && shown.contains("1 to change, 1 refused"), "{shown}");
}
