//! Every guard where it holds, where it fails, and where it is not known.

use seaworthy::change::guards::{Guard, every, flannel, join as rules, reset as resets};
use seaworthy::checks::{BuiltIn, Lack, Severity};
use seaworthy::facts::Fact;
use seaworthy::facts::api::ApiNode;
use seaworthy::target::Role;
use seaworthy::verdict::Phase;

use super::*;

fn joining() -> Playbook {
    playbook(vec![join()])
}

/// The guards that refuse a join of the prepared worker after a change.
fn after(change: impl FnOnce(&mut Judged)) -> Vec<String> {
    guards_of(&prepared().judged(&joining(), change))
}

/// The rows that are judged by a check.
fn checks(table: &[Guard]) -> Vec<(&'static str, bool)> {
    let rows = table.iter().filter_map(|guard| match guard {
        Guard::Sound(id) => Some((*id, false)),
        Guard::Spotless(id) => Some((*id, true)),
        Guard::By(_) => None,
    });
    rows.collect()
}

/// Each row of a table on a node where all else holds.
fn try_rows(table: &[Guard], scene: &Scene, playbook: &Playbook) {
    assert_eq!(guards_of(&scene.judged(playbook, |_| ())), Vec::<String>::new());
    for (id, spotless) in checks(table) {
        let with = |scene: &Scene, verdict| {
            guards_of(&scene.judged(playbook, |judged| {
                judged.own(id, verdict);
            }))
        };
        assert!(with(scene, Verdict::Fail).contains(&id.to_owned()), "{id} fails");
        assert!(with(scene, Verdict::Unknown).contains(&format!("{id}?")), "{id} is unknown");
        assert_eq!(with(scene, Verdict::Warn).contains(&id.to_owned()), spotless, "{id} warns");
        assert_eq!(with(scene, Verdict::Pass), Vec::<String>::new(), "{id} passes");
        let mut knowing = scene.clone();
        knowing.options.accept_unknown = vec![id.to_owned()];
        assert_eq!(with(&knowing, Verdict::Unknown), Vec::<String>::new(), "{id} is accepted");
        assert!(with(&knowing, Verdict::Fail).contains(&id.to_owned()), "{id} fails, and is no matter of accepting");
        // As where a user's file switches it off.
        let off = scene.judged(playbook, |judged| {
            let node = judged.node.clone();
            judged.assessed.findings.get_mut(&node).unwrap().retain(|finding| finding.id != id);
        });
        assert_eq!(guards_of(&off), [format!("{id}?")], "{id} is not made");
    }
}

#[test]
fn the_rows_of_a_join() {
    try_rows(rules::JOIN, &prepared(), &joining());
    try_rows(every::EVERY, &prepared(), &joining());
}

#[test]
fn the_rows_of_a_push() {
    try_rows(flannel::JOINED, &without_conflist(), &playbook(vec![super::flannel(false)]));
    try_rows(every::EVERY, &without_conflist(), &playbook(vec![super::flannel(false)]));
}

#[test]
fn the_rows_of_a_reset() {
    let mut scene = Scene::of(case("healthy"));
    scene.options.named = vec!["homelab".to_owned()];
    try_rows(resets::RESET, &scene, &playbook(vec![Step::KubeadmReset]));
}

#[test]
fn a_refusal_has_the_checks_reason_and_remedy() {
    let decision = prepared().judged(&joining(), |judged| {
        judged.own("kernel/swap-on", Verdict::Fail);
    });
    let Decision::Refused { refusals } = decision else { panic!("{decision:?}") };
    assert_eq!(refusals[0].reason, "it was made up");
    assert!(refusals[0].next.contains("swapoff -a"), "{}", refusals[0].next);
}

#[test]
fn a_check_that_is_switched_off_is_a_guard_that_nobody_knows() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("own.yaml"), "- { id: kubelet/drop-in-missing, disabled: true, reason: mine }\n")
        .unwrap();
    let checks = Checks::with(BuiltIn::load().unwrap(), &[dir.path().to_owned()]).unwrap();
    let scene = prepared();
    let run = RunFile::new("sweep", SystemTime::UNIX_EPOCH, Vec::new(), Vec::new());
    let assessed = fleet::assess(&run, fleet::understand(&scene.records), &checks);
    let state = scene.state(&assessed, &joining(), "storagenode");
    let states = [("storagenode".to_owned(), state)].into();
    let plan = steps::plan(&joining(), &scene.options, &assessed, &states, &checks);
    let Decision::Refused { refusals } = &plan.nodes[0].decision else { panic!("{plan:?}") };
    assert_eq!(refusals.len(), 1);
    assert!(refusals[0].unknown && refusals[0].reason.contains("switched off in"), "{}", refusals[0].reason);
}

#[test]
fn a_worker() {
    let control = |value| after(|judged| judged.facts().identity.control_plane = value);
    assert_eq!(control(Fact::Known(false)), Vec::<String>::new());
    assert_eq!(control(Fact::Known(true)), ["worker"]);
    assert_eq!(control(Fact::unknown("no root")), ["worker?"]);
    assert_eq!(after(|judged| judged.report().roles = vec![Role::ControlPlane]), ["worker"]);
    let known = ApiNode { control_plane: true, ..ApiNode::default() };
    assert_eq!(after(|judged| judged.member().node = Fact::Known(known)), ["worker"]);
    // Nobody may accept not to know it.
    let mut scene = prepared();
    scene.options.accept_unknown = vec!["worker".to_owned(), "machine".to_owned()];
    let unknown = scene.judged(&joining(), |judged| judged.facts().identity.control_plane = Fact::unknown("no root"));
    assert_eq!(guards_of(&unknown), ["worker?"]);
}

#[test]
fn a_control_plane_in_the_workers_group_is_refused_in_the_checks_words() {
    let mut scene = Scene::of(case("control-plane-as-worker"));
    scene.options.nodes = vec!["masternode".to_owned()];
    scene.options.named.clone_from(&scene.options.nodes);
    for step in [join(), super::flannel(true), Step::KubeadmReset] {
        let refusal = scene.refusal(&playbook(vec![step]), "identity/control-plane-as-worker");
        assert!(!refusal.unknown && refusal.reason.contains("control plane"), "{refusal:?}");
    }
}

#[test]
fn read_as_root_in_a_known_phase() {
    assert_eq!(after(|judged| judged.facts().identity.root = Fact::Known(false)), ["permissions/not-root"]);
    assert_eq!(after(|judged| judged.facts().identity.root = Fact::unknown("?")), ["permissions/not-root?"]);
    assert_eq!(after(|judged| judged.report().phase = None), ["phase?"]);
    assert_eq!(after(|judged| judged.report().phase = Some(Phase::Prepared)), Vec::<String>::new());
}

#[test]
fn the_machine_that_was_meant() {
    let guard = "identity/named-otherwise";
    assert_eq!(
        after(|judged| {
            judged.own(guard, Verdict::Fail);
        }),
        [format!("{guard}?")]
    );
    assert_eq!(
        after(|judged| {
            judged.own(guard, Verdict::Unknown);
        }),
        Vec::<String>::new()
    );
    let mut scene = prepared();
    scene.options.accept_unknown = vec![guard.to_owned()];
    let confirmed = scene.judged(&joining(), |judged| {
        judged.own(guard, Verdict::Fail);
    });
    assert_eq!(guards_of(&confirmed), Vec::<String>::new());
}

#[test]
fn one_machine_under_two_names_is_changed_once() {
    let mut scene = prepared();
    let mut twin = scene.records[1].clone();
    twin.name = "twin".to_owned();
    scene.push(twin);
    scene.options.nodes.push("twin".to_owned());
    let plan = scene.plan(&joining());
    assert!(matches!(plan.nodes[0].decision, Decision::Change { .. }), "{:?}", plan.nodes[0]);
    assert_eq!(guards_of(&plan.nodes[1].decision), ["cluster/listed-twice"]);
    // A clone has a boot of its own.
    let boot = "11111111-2702-4e98-9182-24cdae67e66e";
    scene.edit("twin", "ident", "fd38f3bf-2702-4e98-9182-24cdae67e66e", boot);
    let plan = scene.plan(&joining());
    assert!(guards_of(&plan.nodes[1].decision).contains(&"cluster/duplicate-machine-id".to_owned()));
    let alone = Scene { options: PlanOptions { nodes: vec!["twin".to_owned()], ..PlanOptions::default() }, ..scene };
    assert!(!guards_of(&alone.plan(&joining()).nodes[0].decision).contains(&"cluster/listed-twice".to_owned()));
}

#[test]
fn at_rest() {
    let words = |judged: &mut Judged, words: &[&str]| {
        judged.facts().kubeadm.running = Fact::Known(true);
        judged.facts().kubeadm.arguments = Fact::Known(words.iter().map(|word| (*word).to_owned()).collect());
        judged.facts().kubeadm.bootstrap_conf_written = Fact::Known(1_757_525_895);
    };
    let reason = |change: &dyn Fn(&mut Judged)| {
        let decision = prepared().judged(&joining(), change);
        let Decision::Refused { refusals } = decision else { panic!("{decision:?}") };
        assert_eq!(refusals.len(), 1, "{refusals:?}");
        said(&refusals[0])
    };
    assert_eq!(
        reason(&|judged| words(judged, &["kubeadm", "join"])),
        "join/running: a join is running since 2025-09-10 17:38:15 UTC"
    );
    assert!(reason(&|judged| words(judged, &["kubeadm", "reset"])).contains("a kubeadm reset is running"));
    let lock = |judged: &mut Judged| judged.facts().kubeadm.locks = Fact::Known(vec!["/var/lib/dpkg/lock".to_owned()]);
    assert_eq!(reason(&lock), "join/running: a package manager is at work: it holds /var/lib/dpkg/lock");
    assert!(reason(&|judged| judged.facts().kubeadm.ansible = Fact::Known(true)).contains("Ansible"));
    assert!(reason(&|judged| judged.facts().kubeadm.running = Fact::unknown("x")).starts_with("join/running?"));
    assert!(reason(&|judged| judged.facts().kubeadm.locks = Fact::unknown("x")).starts_with("join/running?"));
}

#[test]
fn looked_at_and_as_it_was_read() {
    let scene = prepared();
    let assessed = scene.assessed();
    let state = scene.state(assessed, &joining(), "storagenode");
    let with = |state: Option<State>| {
        let states = state.into_iter().map(|state| ("storagenode".to_owned(), state)).collect();
        guards_of(&steps::plan(&joining(), &scene.options, assessed, &states, &CHECKS).nodes[0].decision)
    };
    assert_eq!(with(None), ["looked-at?"]);
    assert_eq!(with(Some(State { machine_id: "another".to_owned(), ..state.clone() })), ["machine"]);
    assert_eq!(with(Some(State { boot_id: "another".to_owned(), ..state.clone() })), ["machine"]);
    assert_eq!(with(Some(state)), Vec::<String>::new());
    assert_eq!(after(|judged| judged.facts().identity.boot_id = Fact::Absent), ["machine?"]);
}

#[test]
fn a_node_that_was_not_read_is_not_changed() {
    let mut scene = Scene::of(case("asleep"));
    scene.options.nodes = vec!["storagenodeT3500".to_owned(), "nobody".to_owned()];
    scene.options.accept_unknown = vec!["swept".to_owned()];
    let plan = scene.plan(&joining());
    for node in &plan.nodes {
        assert_eq!(guards_of(&node.decision), ["swept?"], "{}", node.node);
    }
    let Decision::Refused { refusals } = &plan.nodes[0].decision else { panic!() };
    assert!(refusals[0].reason.starts_with("unreachable: ") && !refusals[0].next.is_empty(), "{refusals:?}");
}

#[test]
fn root_causes_below_the_pod_network() {
    let fail = |id: &'static str| {
        after(move |judged| {
            judged.own(id, Verdict::Fail);
        })
    };
    assert_eq!(fail("disk/full"), ["disk/full"]);
    assert_eq!(fail("nfs/mount-hung"), ["nfs/mount-hung"]);
    // Neither what is only worth knowing nor what lies above.
    for id in ["nfs/not-mounted", "system/reboot-required", "flannel/interface-missing", "cni/plugin-missing"] {
        assert_eq!(fail(id), Vec::<String>::new(), "{id}");
    }
    // The cause is named, not its consequences.
    let chain = after(|judged| {
        judged.own("containerd/down", Verdict::Fail);
        judged.own("containerd/cri-disabled", Verdict::Fail).explained_by = Some("containerd/down".into());
        judged.own("system/no-kmsg", Verdict::Fail).explained_by = Some("containerd/down".into());
    });
    assert_eq!(chain, ["containerd/down"]);
    // A blocker that could not be judged on the node itself.
    let unknown = |path: &'static str| {
        after(move |judged| {
            let lacks = vec![Lack { path: path.into(), why: "x".into() }];
            judged.own("containerd/down", Verdict::Unknown).lacks = lacks;
        })
    };
    assert_eq!(unknown("containerd.service"), ["containerd/down?"]);
    assert_eq!(unknown("member.node"), Vec::<String>::new());
    let minor = after(|judged| {
        let finding = judged.own("disk/full", Verdict::Unknown);
        finding.severity = Severity::High;
    });
    assert_eq!(minor, Vec::<String>::new());
}

#[test]
fn faults_of_the_control_plane_that_show_everywhere() {
    let down = "control-plane/controller-manager-down";
    let wide = |judged: &mut Judged, id: &str| {
        judged.check("masternode", id, Verdict::Fail);
    };
    assert_eq!(after(|judged| wide(judged, down)), [down]);
    assert_eq!(after(|judged| wide(judged, "join/csr-refused")), ["join/csr-refused"]);
    assert_eq!(after(|judged| wide(judged, "disk/full")), Vec::<String>::new(), "its own trouble");
    let push = |id: &'static str| {
        let flannel = playbook(vec![super::flannel(false)]);
        let decision = without_conflist().judged(&flannel, |judged| wide(judged, id));
        let reason = match &decision {
            Decision::Refused { refusals } => refusals[0].reason.clone(),
            _ => String::new(),
        };
        (guards_of(&decision), reason)
    };
    assert_eq!(push(down), (vec![down.to_owned()], "on masternode: it was made up".to_owned()));
    assert_eq!(push("join/csr-refused").0, Vec::<String>::new());
}

#[test]
fn what_a_playbook_requires() {
    let required = |pattern: &str, change: &dyn Fn(&mut Judged)| {
        let playbook = Playbook { require: vec![pattern.to_owned()], ..joining() };
        guards_of(&prepared().judged(&playbook, change))
    };
    let make = |id: &'static str, verdict| {
        move |judged: &mut Judged| {
            judged.own(id, verdict);
        }
    };
    assert_eq!(required("nfs/*", &make("nfs/not-mounted", Verdict::Fail)), ["nfs/not-mounted"]);
    assert_eq!(required("nfs/not-mounted", &make("nfs/not-mounted", Verdict::Fail)), ["nfs/not-mounted"]);
    assert_eq!(required("nfs/not-mounted", &make("nfs/not-mounted", Verdict::Unknown)), ["nfs/not-mounted?"]);
    assert_eq!(required("nfs/*", &make("nfs/not-mounted", Verdict::Unknown)), Vec::<String>::new());
    for verdict in [Verdict::Warn, Verdict::Expected, Verdict::Pass] {
        assert_eq!(required("nfs/*", &make("nfs/not-mounted", verdict)), Vec::<String>::new(), "{verdict:?}");
    }
    assert_eq!(required("cni/*", &|_| ()), Vec::<String>::new(), "what is normal before a join is no failure");
}

#[test]
fn what_an_earlier_step_puts_right_is_no_reason_against_the_next() {
    let off = Step::Command {
        run: "swapoff -a".to_owned(),
        because: "kernel/swap-on".to_owned(),
        undo: seaworthy::playbook::CommandUndo::None,
    };
    let playbook = Playbook { require: vec!["kernel/*".to_owned()], ..playbook(vec![off, join()]) };
    let swapping = |judged: &mut Judged| {
        judged.own("kernel/swap-on", Verdict::Fail);
    };
    let decision = prepared().judged(&playbook, swapping);
    let Decision::Change { actions, .. } = decision else { panic!("{decision:?}") };
    assert!(matches!(actions[0].change, Change::Command { .. }) && matches!(actions[1].change, Change::KubeadmJoin(_)));
    // Without that step it is.
    assert_eq!(after(swapping), ["kernel/swap-on"]);
    // And waiting is not putting right.
    let wait = Step::WaitFor { check: "kernel/swap-on".to_owned(), timeout: std::time::Duration::from_secs(1) };
    let restart = Step::RestartService { unit: "x".to_owned(), because: "time/no-daemon".to_owned() };
    let playbook = super::playbook(vec![restart, wait, join()]);
    let decision = prepared().judged(&playbook, |judged| {
        judged.own("time/no-daemon", Verdict::Fail);
        swapping(judged);
    });
    assert_eq!(guards_of(&decision), ["kernel/swap-on"]);
}
