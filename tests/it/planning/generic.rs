//! Steps that mean something only together with a check.

use seaworthy::change::plan::Undo;
use seaworthy::playbook::CommandUndo;

use super::*;

const CHECK: &str = "time/no-daemon";
const PATH: &str = "/etc/sysctl.d/99-kubernetes.conf";

fn file_step(path: &str) -> Playbook {
    playbook(vec![Step::WriteFile {
        path: path.to_owned(),
        content: "net.ipv4.ip_forward = 1\n".to_owned(),
        mode: 0o644,
        uid: 0,
        gid: 0,
        because: CHECK.to_owned(),
    }])
}

/// A healthy worker on which the check comes out like this.
fn with(playbook: &Playbook, scene: &Scene, verdict: Verdict) -> Decision {
    scene.judged(playbook, |judged| {
        judged.own(CHECK, verdict);
    })
}

fn healthy() -> Scene {
    Scene::of(case("healthy"))
}

#[test]
fn they_are_planned_where_their_check_fails_or_warns() {
    let restart = playbook(vec![Step::RestartService { unit: "chronyd".to_owned(), because: CHECK.to_owned() }]);
    for verdict in [Verdict::Fail, Verdict::Warn] {
        let Decision::Change { actions, .. } = with(&restart, &healthy(), verdict) else { panic!("{verdict:?}") };
        assert_eq!((actions[0].reason.check.as_deref(), &actions[0].undo), (Some(CHECK), &Undo::Nothing));
    }
    for verdict in [Verdict::Pass, Verdict::Expected, Verdict::NotApplicable] {
        assert_eq!(guards_of(&with(&restart, &healthy(), verdict)), [format!("nothing: {CHECK} does not fail")]);
    }
    assert_eq!(guards_of(&with(&restart, &healthy(), Verdict::Unknown)), [format!("{CHECK}?")]);
    let mut knowing = healthy();
    knowing.options.accept_unknown = vec![CHECK.to_owned()];
    assert!(matches!(with(&restart, &knowing, Verdict::Unknown), Decision::Nothing { .. }));
    assert_eq!(knowing.plan(&restart).accept_unknown, [CHECK], "for whoever goes on with the run");
}

#[test]
fn a_service_that_is_restarted_for_a_file_is_restarted_for_the_file_of_before() {
    let mut steps = file_step(PATH).steps;
    steps.push(Step::RestartService { unit: "chronyd".to_owned(), because: CHECK.to_owned() });
    let Decision::Change { actions, .. } = with(&playbook(steps), &healthy(), Verdict::Fail) else { panic!() };
    assert_eq!(actions[1].undo, Undo::Restart { unit: "chronyd".to_owned() });
}

#[test]
fn a_control_plane_is_left_alone_even_where_the_check_fails() {
    let restart = playbook(vec![Step::RestartService { unit: "chronyd".to_owned(), because: CHECK.to_owned() }]);
    let mut scene = healthy();
    scene.options.nodes = vec!["masternode".to_owned()];
    assert_eq!(guards_of(&with(&restart, &scene, Verdict::Fail)), ["worker"]);
}

#[test]
fn a_command_is_taken_back_as_the_playbook_says() {
    let undo = |undo| {
        let step = Step::Command { run: "timedatectl set-ntp true".to_owned(), because: CHECK.to_owned(), undo };
        let decision = with(&playbook(vec![step]), &healthy(), Verdict::Fail);
        let Decision::Change { mut actions, .. } = decision else { panic!("{decision:?}") };
        actions.remove(0).undo
    };
    let back = "timedatectl set-ntp false".to_owned();
    assert_eq!(undo(CommandUndo::Command(back.clone())), Undo::Command { run: back });
    assert!(matches!(undo(CommandUndo::None), Undo::Impossible { .. }));
}

#[test]
fn a_file_that_is_as_wanted_is_not_written() {
    let lying = |what: Option<Path>| {
        let mut scene = healthy();
        if let Some(what) = what {
            scene.lies("homelab", PATH, what);
        }
        with(&file_step(PATH), &scene, Verdict::Fail)
    };
    let Decision::Change { actions, .. } = lying(None) else { panic!() };
    assert_eq!(actions[0].undo, Undo::Remove { path: PATH.to_owned() });
    let Decision::Change { actions, .. } = lying(Some(file("other\n"))) else { panic!() };
    assert_eq!(actions[0].undo, Undo::Restore { path: PATH.to_owned() });
    let same = file("net.ipv4.ip_forward = 1\n");
    assert_eq!(guards_of(&lying(Some(same.clone()))), [format!("nothing: {PATH} is as wanted")]);
    let Path::File(narrow) = same else { panic!() };
    let narrow = Path::File(File { mode: 0o600, ..narrow });
    assert!(matches!(lying(Some(narrow)), Decision::Change { .. }), "the mode is part of it");
    let link = Path::Other { kind: "symbolic link".to_owned() };
    assert_eq!(guards_of(&lying(Some(link))), ["write-file/kind"]);
    assert_eq!(guards_of(&lying(Some(Path::Unreadable { why: "x".to_owned() }))), ["looked-at?"]);
}

#[test]
fn what_other_steps_guard_is_not_written_as_a_plain_file() {
    for path in ["/etc/cni/net.d/05-own.conflist", "/etc/cni/net.d/x.conf", "/run/flannel/subnet.env"] {
        assert_eq!(guards_of(&with(&file_step(path), &healthy(), Verdict::Fail)), ["write-file/path"], "{path}");
    }
    assert!(matches!(with(&file_step("/etc/cni/net.d/README"), &healthy(), Verdict::Fail), Decision::Change { .. }));
}
