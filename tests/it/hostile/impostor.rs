//! A node that answers in a neighbour's name, word for word: both rows say that they are one machine, and the neighbour's own facts stay.

use seaworthy::demo::Fleet;
use serde_json::Value;

use super::answer::{Answer, plan};
use super::driver::{NAME, behaviour, key_of, line_of, run};
use crate::ssh::server::{self, Exec};
use crate::ssh::steps::{Step, Talk};

/// The neighbour in the fleet, and its name.
const NEIGHBOUR: (usize, &str) = (1, "node002");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_answers_in_a_neighbours_name_is_found_out() {
    let fleet = Fleet::start(plan()).unwrap();
    let exec = Exec::Talk(Talk::new(|nonce| {
        vec![Step::Out(Answer::of(NEIGHBOUR.0, nonce).bytes()), Step::Status(0), Step::Eof, Step::Close]
    }));
    let server = server::start(server::Behaviour { exec, ..behaviour(key_of(&fleet)) }).await;
    let sweep = async |lines: &str, limit: &[&str]| -> Value {
        let ran = run(&fleet, lines, &["sweep", "-o", "json", "--no-save"], limit).await;
        serde_json::from_slice(&ran.stdout).unwrap()
    };
    let alone = sweep("", &["-l", "masternode,node002"]).await;
    let beside = sweep(&line_of(NAME, server.port, ""), &[]).await;
    let row = |document: &Value, name: &str| {
        document["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name).unwrap().clone()
    };
    for (name, other) in [(NEIGHBOUR.1, "node003"), ("node003", NEIGHBOUR.1)] {
        let row = row(&beside, name);
        let said = row["findings"].as_array().unwrap().iter().find(|finding| finding["id"] == "cluster/listed-twice");
        let said = said.unwrap_or_else(|| panic!("{name}: {}", row["findings"]));
        assert_eq!(said["message"], format!("the inventory's {other} is this machine as well"));
    }
    // What the neighbour said of itself is as it was, and the third node has no part of it.
    for fact in ["identity", "kubelet", "containerd", "mounts"] {
        let facts = [&alone, &beside].map(|document| row(document, NEIGHBOUR.1)["facts"][fact].clone());
        assert_eq!(facts[0], facts[1], "{fact}");
    }
    assert_eq!(row(&beside, "masternode")["verdict"], row(&alone, "masternode")["verdict"]);
}
