//! What is applied needs nothing the second time, whatever state the nodes began in: the binary against pretended nodes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::place::{Place, text};
use crate::change::node::Fleet;

const CONFLIST: &str = "/etc/cni/net.d/10-flannel.conflist";
const WORKERS: [&str; 6] = ["w1", "w2", "w3", "w4", "w5", "w6"];

/// Whether it has joined, and what lies in its CNI directory.
const STATES: [(bool, Option<(&str, &str)>); 6] = [
    (false, None),
    (false, Some((CONFLIST, "{}\n"))),
    (true, None),
    (
        true,
        Some((
            CONFLIST,
            r#"{"name":"cbr0","cniVersion":"0.3.1","plugins":[{"type":"flannel","delegate":{"mtu":900}}]}"#,
        )),
    ),
    (true, Some((CONFLIST, r#"{"name":"other","cniVersion":"0.3.1","plugins":[{"type":"flannel"}]}"#))),
    (true, Some(("/etc/cni/net.d/00-first.conflist", "{"))),
];

/// Each node's decision, in one word.
fn decisions(document: &Value) -> BTreeMap<String, String> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let nodes = document["nodes"].as_array().unwrap().iter();
    nodes.map(|node| (word(&node["node"]), word(&node["decision"]["decision"]))).collect()
}

#[test]
fn a_second_plan_changes_no_node_that_the_first_has_changed() {
    for command in [&["flannel", "push", "--sync"][..], &["join"]] {
        let (fleet, place) = (Fleet::start(["master"].into_iter().chain(WORKERS)), Place::new());
        for (name, (joined, file)) in WORKERS.iter().zip(STATES) {
            let node = fleet.node(name);
            if joined {
                node.put("/etc/kubernetes/kubelet.conf", "x\n");
                std::fs::write(fleet.shared("nodes").join(name), "").unwrap();
            }
            if let Some((path, content)) = file {
                node.put(path, content);
            }
        }
        let inventory = fleet.inventory();
        let go = |more: &[&str]| {
            let all = [command, &WORKERS, more, &["-o", "json", "-i", inventory.to_str().unwrap()]].concat();
            let output = place.run(&all);
            let document: Value =
                serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)));
            (document, text(&output))
        };
        let (first, shown) = go(&["--yes", "--canary", "0", "--batches", "100%", "--max-failed", "100%"]);
        let begun = decisions(&first);
        let done: Vec<&str> = first["result"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|node| node["outcome"] == "done")
            .map(|node| node["node"].as_str().unwrap())
            .collect();
        assert!(!done.is_empty(), "{command:?}: {begun:?} {shown}");
        let (second, _) = go(&["--check"]);
        let then = decisions(&second);
        for (node, decision) in &begun {
            let wanted = if done.contains(&node.as_str()) { "nothing" } else { decision };
            assert_eq!(then[node], wanted, "{command:?} {node}: {first:#}\n{second:#}");
        }
    }
}
