//! The commands that change nodes, up to the point where something would be changed: the binary against the embedded fleet.

use seaworthy::demo::{Behaviour, Fleet, Plan, State};
use serde_json::Value;

use super::place::{Place, text};

fn fleet() -> Fleet {
    let nodes = [State::ControlPlane, State::Worker, State::Worker].map(|state| (state, Behaviour::Answer));
    Fleet::start(Plan::of(7, nodes)).unwrap()
}

const WORKERS: &str = "all:\n  children:\n    control_plane: { hosts: { cp1: { ansible_connection: local } } }\n    \
                       workers: { hosts: { w1: { ansible_connection: local }, w2: { ansible_connection: local } } }\n";

#[test]
fn what_cannot_be_asked_or_understood_is_refused_before_anything_is_read() {
    let place = Place::new();
    place.write("hosts.yml", WORKERS);
    place.write("look.yaml", "name: look\nsummary: s\nhosts: all\n");
    place.write("files.yaml", "name: files\nsummary: s\nhosts: workers\nsteps:\n  - flanel\n");
    place.write("push.yaml", "name: push\nsummary: s\nhosts: workers\nsteps: [flannel]\n");
    place.write("huge.conflist", &"x".repeat(300 << 10));
    let mut wrong = Vec::new();
    for (line, code, said) in [
        ("join w1", 64, "there is no terminal to ask on: pass --yes to go on without a question, or --check"),
        ("flannel push", 64, "there is no terminal to ask on"),
        ("reset w1", 64, "there is no terminal to ask on"),
        ("run push.yaml", 64, "there is no terminal to ask on"),
        ("run --resume last", 64, "there is no terminal to ask on"),
        ("undo last", 64, "there is no terminal to ask on"),
        ("join w1 -o json", 64, "with -o json there is nobody to ask"),
        ("join", 64, "NODE"),
        ("reset", 64, "NODE"),
        ("run", 64, "PLAYBOOK"),
        ("run jion -y", 64, "there is no built-in playbook `jion`; did you mean `join`?"),
        ("run gone.yaml -y", 1, "cannot read the playbook gone.yaml"),
        ("run files.yaml -y", 1, "files.yaml:5:5: there is no step `flanel`; did you mean `flannel`?"),
        ("run push.yaml cp1 -y", 64, "cp1 is named, but is not among the hosts of the playbook push (workers)"),
        ("run push.yaml -y -l cp1", 64, "no host of the playbook push (workers) is within the limit"),
        ("run push.yaml -y --to 1.35", 64, "--to measures nodes by a version, and the playbook push.yaml changes them"),
        ("run push.yaml -y --no-save", 64, "a change keeps its journal"),
        ("run push.yaml -y -o html", 64, "a plan is printed as text or json"),
        ("run push.yaml -y --attempts 2", 64, "--attempts and --ignore-preflight are for a join"),
        ("run pre-upgrade", 64, "needs the version to upgrade to, like --to 1.35"),
        ("run push.yaml --resume last -y", 64, "cannot be used with"),
        ("join w1 --resume last -y", 64, "cannot be used with"),
        ("join w1 -y --batches 0", 64, "it is `0`, but must be 1 or more nodes"),
        ("join w1 -y --batches 1,0%", 64, "it is `0%`, but must be 1 or more nodes"),
        ("join w1 -y --max-failed 101%", 64, "it is `101%`, but must be 0 or more nodes"),
        ("join w1 -y --attempts 0", 64, "0 is not in 1..=10"),
        ("join w1 -y --ignore-preflight all", 64, "errors are ignored by name only"),
        ("join nobody -y", 1, "no host matches"),
        ("reset workers -y", 64, "a reset takes each node by its own name, and `workers` is no host"),
        ("reset w[1-2] -y", 64, "a reset takes each node by its own name, and `w[1-2]` is no host"),
        ("run reset -y", 64, "a reset needs the names of its nodes"),
        ("flannel push -l cp1 -y", 64, "control planes are changed only when they are named"),
        ("flannel push w1 -y --config gone.conflist", 64, "--config gone.conflist: No such file"),
        ("flannel push w1 -y --config huge.conflist", 64, "--config huge.conflist is larger than 256 KiB"),
        ("undo last -y", 1, "has changed anything"),
        ("undo 2026 -y", 1, "no run \"2026\""),
    ] {
        let mut arguments: Vec<&str> = line.split(' ').collect();
        arguments.extend(["-i", "hosts.yml"]);
        let (found, error) = place.refused(&arguments);
        if (found, error.contains(said)) != (Some(code), true) {
            wrong.push(format!("{line}: {found:?}: {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(place.runs(), 0, "nothing was begun");
}

#[test]
fn sweep_and_preflight_are_short_names_of_playbooks() {
    let (place, fleet) = (Place::new(), fleet());
    fleet.write_inventory(&place.path().join("fleet.yaml")).unwrap();
    place.write("look.yaml", "name: look\nsummary: s\nhosts: all\n");
    let table = |arguments: &[&str]| {
        let output = place.run(&[arguments, &["-i", "fleet.yaml"]].concat());
        let table = String::from_utf8(output.stdout).unwrap();
        // The last line tells how long it took.
        let rows: Vec<&str> = table.lines().filter(|line| !line.contains(" nodes in ")).collect();
        (output.status.code(), rows.join("\n"))
    };
    let sweep = table(&["sweep"]);
    assert!(sweep.1.contains("CONTAINERD"), "{}", sweep.1);
    assert_eq!(table(&["run", "health-sweep"]), sweep);
    assert_eq!(table(&["run", "./look.yaml"]), sweep);
    let preflight = table(&["preflight", "--to", "1.35"]);
    assert_ne!(preflight, sweep);
    assert_eq!(table(&["run", "pre-upgrade", "--to", "1.35"]), preflight);
    assert_eq!(table(&["run", "look.yaml", "--to", "1.35"]), preflight);
}

#[test]
fn a_plan_that_is_only_shown_leaves_nothing_behind() {
    let (place, fleet) = (Place::new(), fleet());
    fleet.write_inventory(&place.path().join("fleet.yaml")).unwrap();
    let names: Vec<&str> = fleet.nodes().iter().map(|node| node.name.as_str()).collect();
    let (control_plane, worker) = (names[0], names[1]);
    let output = place.run(&["join", control_plane, worker, "--check", "-i", "fleet.yaml", "-o", "json"]);
    let plan: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)));
    assert_eq!((&plan["schema"], &plan["playbook"]), (&"seaworthy/plan/v1".into(), &"join".into()));
    assert_eq!(output.status.code(), Some(2), "a control plane was named: {}", text(&output));
    let decision = |name: &str| {
        plan["nodes"].as_array().unwrap().iter().find(|node| node["node"] == name).unwrap()["decision"]["decision"]
            .clone()
    };
    assert_eq!(decision(control_plane), "refused", "{plan}");
    assert!(plan["result"].is_null());
    assert_eq!(place.runs(), 0);

    // Nobody named it, so that it is read and not changed.
    let output = place.run(&["run", "join", "--check", "-i", "fleet.yaml"]);
    let shown = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(shown.contains("join: 2 nodes: "), "{}", text(&output));
    assert!(!shown.lines().any(|line| line.starts_with(control_plane)), "{shown}");
}
