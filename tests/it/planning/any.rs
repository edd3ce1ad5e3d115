//! Whatever nodes say: no plan changes a control plane, none panics, and none is made of what was not looked at.

use std::process::{Command, Stdio};

use proptest::prelude::*;
use seaworthy::change::guards::OWN;
use seaworthy::demo::{Behaviour, Fleet, Plan as Demo, State as Shape};
use seaworthy::run::Saved;

use super::*;

pub(crate) const CASES: [&str; 16] = [
    "asleep",
    "cgroup-driver",
    "config-without-client",
    "control-plane-as-worker",
    "executable-moved",
    "healthy",
    "no-conflist-joined",
    "not-root",
    "placeholder",
    "plugin-directory",
    "removed-flag",
    "silent",
    "storage-after-reset",
    "storage-second-join",
    "storage-standalone",
    "two-roots",
];

fn playbooks() -> Vec<Playbook> {
    let restart = Step::RestartService { unit: "x".to_owned(), because: "cni/config-missing".to_owned() };
    let write = Step::WriteFile {
        path: "/etc/x".to_owned(),
        content: "x".to_owned(),
        mode: 0o644,
        uid: 0,
        gid: 0,
        because: "time/skew".to_owned(),
    };
    let wait = Step::WaitFor { check: "node/not-ready".to_owned(), timeout: std::time::Duration::from_secs(1) };
    let required = Playbook { require: vec!["*".to_owned()], ..playbook(vec![join()]) };
    vec![
        playbook(vec![join(), wait, flannel(false)]),
        playbook(vec![flannel(false)]),
        playbook(vec![flannel(true), join()]),
        playbook(vec![Step::KubeadmReset]),
        playbook(vec![restart, write]),
        required,
        playbook(Vec::new()),
    ]
}

/// Plans everything for every node, and looks at what came of it.
fn try_all(records: &[Record]) {
    let mut scene = Scene::of(records.to_vec());
    scene.options.nodes = records.iter().map(|record| record.name.clone()).collect();
    scene.options.named.clone_from(&scene.options.nodes);
    let assessed = scene.assessed();
    for playbook in playbooks() {
        let plan = scene.plan_of(assessed, &playbook);
        assert_eq!(plan.nodes.len(), records.len());
        for node in &plan.nodes {
            let report = assessed.report.nodes.iter().find(|report| report.name == node.node).unwrap();
            let control = report.facts.as_ref().is_none_or(|facts| !facts.identity.control_plane.is_false());
            match &node.decision {
                Decision::Change { actions, .. } => {
                    assert!(!control && !actions.is_empty(), "{}: {actions:?}", node.node);
                }
                Decision::Refused { refusals } => {
                    assert!(!refusals.is_empty(), "{}", node.node);
                    for refusal in refusals {
                        let known = OWN.contains(&refusal.guard.as_str()) || CHECKS.get(&refusal.guard).is_some();
                        assert!(known, "{} is neither a check nor a guard", refusal.guard);
                        assert!(!refusal.reason.is_empty() && !refusal.next.is_empty(), "{refusal:?}");
                    }
                }
                Decision::Nothing { why } => assert!(!why.is_empty(), "{}", node.node),
            }
        }
        let json = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan, "it survives being saved");
    }
}

#[test]
fn incidents() {
    for name in CASES {
        try_all(&case(name));
    }
}

#[test]
fn the_demos_nodes() {
    let shapes = Shape::ALL.into_iter().filter(|shape| *shape != Shape::ControlPlane);
    let nodes = std::iter::once(Shape::ControlPlane).chain(shapes).map(|shape| (shape, Behaviour::Answer));
    let fleet = Fleet::start(Demo::of(7, nodes)).unwrap();
    let home = tempfile::tempdir().unwrap();
    let inventory = home.path().join("fleet.yaml");
    fleet.write_inventory(&inventory).unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_seaworthy"))
        .args(["sweep", "-o", "name", "-i"])
        .arg(&inventory)
        .env_clear()
        .env("HOME", home.path())
        .env("XDG_STATE_HOME", home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.code().is_some());
    let runs = home.path().join("seaworthy/runs");
    let run = seaworthy::run::find(&runs, "last", None).unwrap();
    let records = Saved::load(&run).unwrap().records;
    assert!(records.iter().all(|record| record.probe.is_some()), "every node answered");
    try_all(&records);
    // The seed's situation, as the demo has it: its image never came.
    let mut scene = Scene::of(records);
    let assessed = scene.assessed();
    let bare =
        assessed.report.nodes.iter().find(|node| {
            node.facts.as_ref().is_some_and(|facts| facts.cni.file_count == seaworthy::facts::Fact::Known(0))
        });
    let bare = bare.unwrap().name.clone();
    scene.options.nodes = vec![bare];
    assert_eq!(write(&scene.actions(&playbook(vec![flannel(false)]))).path, "/etc/cni/net.d/10-flannel.conflist");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn broken_records(seed in any::<u64>(), pick in 0_usize..CASES.len(), hits in 1_usize..12) {
        let mut records = case(CASES[pick]);
        damage(&mut records, seed, hits);
        try_all(&records);
    }
}
