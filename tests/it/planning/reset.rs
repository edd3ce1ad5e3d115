//! `kubeadm-reset`: of whom, and with which storage left alone.

use seaworthy::change::plan::Undo;
use seaworthy::facts::Fact;
use seaworthy::facts::listing::FileKind;
use seaworthy::facts::mounts::Mount;

use super::*;

fn resetting() -> Playbook {
    playbook(vec![Step::KubeadmReset])
}

fn worker() -> Scene {
    let mut scene = Scene::of(case("healthy"));
    scene.options.named = vec!["homelab".to_owned()];
    scene
}

fn after(change: impl FnOnce(&mut Judged)) -> Vec<String> {
    guards_of(&worker().judged(&resetting(), change))
}

fn mount(judged: &mut Judged, point: &str) {
    let Fact::Known(mounts) = &mut judged.facts().mounts.list else { panic!() };
    let root = Mount::clone(mounts.iter().find(|mount| mount.mount_point == "/").unwrap());
    mounts.push(Mount { mount_point: point.to_owned(), source: "nas:/x".to_owned(), ..root }.into());
}

#[test]
fn it_says_what_goes_and_what_stays() {
    let decision = worker().judged(&resetting(), |judged| mount(judged, "/mnt/media"));
    let Decision::Change { actions, .. } = decision else { panic!("{decision:?}") };
    let [Action { change: Change::KubeadmReset(reset), undo: Undo::Impossible { .. }, .. }] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    for path in ["/etc/kubernetes/kubelet.conf", "/etc/kubernetes/pki", "/var/lib/kubelet"] {
        assert!(reset.deletes.iter().any(|gone| gone == path), "{:?}", reset.deletes);
    }
    assert!(reset.deletes.iter().all(|path| path.starts_with('/')), "{:?}", reset.deletes);
    assert!(reset.mounts.contains(&"/mnt/media nas:/x".to_owned()), "{:?}", reset.mounts);
}

#[test]
fn only_of_nodes_that_are_named_one_by_one() {
    let mut scene = worker();
    scene.options.named.clear();
    scene.options.accept_unknown = vec!["named".to_owned()];
    assert_eq!(scene.refused(&resetting()), ["named: a reset is done only to nodes that are named one by one"]);
}

#[test]
fn never_where_storage_is_mounted_that_it_would_empty() {
    let below = |point: &'static str| after(move |judged| mount(judged, point));
    assert_eq!(below("/var/lib/kubelet/data"), ["reset/storage"]);
    assert_eq!(below("/mnt/var/lib/kubelet/x"), ["reset/storage"], "kubeadm takes it for its own");
    assert_eq!(below("/mnt/media"), Vec::<String>::new());
    assert_eq!(after(|judged| judged.facts().mounts.list = Fact::unknown("x")), ["reset/storage?"]);
    assert_eq!(after(|judged| judged.facts().nfs.mounts = Fact::unknown("x")), ["reset/storage?"]);
}

#[test]
fn never_through_a_link() {
    let linked = after(|judged| {
        let stat = judged.facts().permissions.paths.get_mut("/var/lib/kubelet").unwrap();
        let Fact::Known(stat) = stat else { panic!() };
        stat.kind = FileKind::Link;
    });
    assert_eq!(linked, ["reset/link"]);
}

#[test]
fn what_has_not_joined_has_nothing_to_reset() {
    let mut scene = prepared();
    scene.options.named.clone_from(&scene.options.nodes);
    assert_eq!(scene.nothing(&resetting()), "nothing of a join is on it");
}
