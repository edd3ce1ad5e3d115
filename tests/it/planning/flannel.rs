//! `flannel`: where the file is pushed, with which text, and where something else is the thing to do.

use seaworthy::change::plan::Undo;
use seaworthy::facts::Fact;
use seaworthy::facts::cluster::FlannelMissing;
use seaworthy::facts::mounts::Mount;

use super::*;

const TARGET: &str = "/etc/cni/net.d/10-flannel.conflist";

fn push() -> Playbook {
    playbook(vec![flannel(false)])
}

fn sync() -> Playbook {
    playbook(vec![flannel(true)])
}

fn with_file(content: &str) -> Playbook {
    let config = ConfigSource::File { path: "mine.conflist".to_owned(), content: content.as_bytes().to_vec() };
    playbook(vec![Step::Flannel { config, sync: false }])
}

fn after(change: impl FnOnce(&mut Judged)) -> Vec<String> {
    guards_of(&without_conflist().judged(&push(), change))
}

/// The scene with a CNI file on `homelab`.
fn with_conflist(name: &str, content: &str) -> Scene {
    let mut scene = without_conflist();
    let sections = &mut scene.record("homelab").probe.as_mut().unwrap().sections;
    for section in sections.iter_mut().filter(|section| section.id == "cni-dir") {
        section.text = format!("644 0:0 292 1757439600 f\t/etc/cni/net.d/{name}\n");
        (section.rc, section.arg) = (0, Some("/etc/cni/net.d".to_owned()));
    }
    scene.add("homelab", "cni-file", Some(&format!("/etc/cni/net.d/{name}")), content);
    scene
}

#[test]
fn a_joined_node_without_a_conflist_gets_the_clusters() {
    let scene = without_conflist();
    let actions = scene.actions(&push());
    let file = write(&actions);
    assert_eq!((file.path.as_str(), file.mode, file.uid, file.gid), (TARGET, 0o644, 0, 0));
    assert_eq!((&file.before, file.verify.as_ref().unwrap().network.as_str()), (&Path::Absent, "cbr0"));
    assert!(file.content.contains("\"portmap\""), "{}", file.content);
    assert_eq!(actions[0].undo, Undo::Remove { path: TARGET.to_owned() });
    let reason = &actions[0].reason;
    assert_eq!(reason.check.as_deref(), Some("cni/config-missing"));
    assert!(reason.text.contains("ImagePullBackOff"), "{}", reason.text);
    // Applied and planned again: its file is there.
    let content = file.content.clone();
    let again = with_conflist("10-flannel.conflist", &content);
    for playbook in [push(), sync()] {
        let loaded = again.judged(&playbook, |judged| {
            judged.own("cni/not-loaded", Verdict::Pass);
        });
        assert_eq!(guards_of(&loaded), [format!("nothing: {TARGET} is as the cluster wants it")]);
    }
}

#[test]
fn a_healthy_node_is_left_alone() {
    for playbook in [push(), sync()] {
        assert_eq!(Scene::of(case("healthy")).nothing(&playbook), format!("{TARGET} is as the cluster wants it"));
    }
}

#[test]
fn a_placeholder_in_front_is_named_with_the_next_move() {
    let placeholder = r#"{"name":"placeholder","cniVersion":"0.4.0","plugins":[{"type":"bridge"}]}"#;
    let scenes = [
        Scene::of(case("placeholder")),
        with_conflist("00-placeholder.conflist", placeholder),
        with_conflist("00-placeholder.conflist", "{"),
    ];
    for scene in scenes {
        for playbook in [push(), sync()] {
            let refusal = scene.refusal(&playbook, "cni/file-ahead");
            assert!(refusal.reason.contains("00-placeholder.conflist"), "{refusal:?}");
            assert!(
                refusal.next.contains(
                    "mv /etc/cni/net.d/00-placeholder.conflist /etc/cni/net.d/00-placeholder.conflist.disabled"
                ),
                "{refusal:?}"
            );
        }
    }
    // A name that a shell would read is not put into a command.
    let odd = with_conflist("00-$(reboot).conflist", placeholder);
    let refusal = odd.refusal(&push(), "cni/file-ahead");
    assert!(refusal.reason.contains("$(reboot)") && !refusal.next.contains("reboot"), "{refusal:?}");
}

#[test]
fn an_invalid_file_of_flannels_is_replaced_and_can_be_restored() {
    let scene = with_conflist("10-flannel.conflist", r#"{"cniVersion":"0.3.1","name":"cbr0","type":"flannel"}"#);
    let actions = scene.actions(&push());
    assert!(matches!(write(&actions).before, Path::File(_)));
    assert_eq!(actions[0].undo, Undo::Restore { path: TARGET.to_owned() });
    assert_eq!(actions[0].reason.check.as_deref(), Some("cni/config-invalid"));
}

#[test]
fn a_valid_file_that_differs_is_replaced_only_when_asked_for() {
    let mut scene = Scene::of(case("healthy"));
    scene.edit("homelab", "cni-file", "\"portMappings\": true", "\"portMappings\": false");
    assert_eq!(scene.nothing(&push()), "it has a CNI configuration that can be loaded");
    let actions = scene.actions(&sync());
    assert_eq!(actions[0].reason.check.as_deref(), Some("cni/conf-differs"));
    let Path::File(before) = &write(&actions).before else { panic!() };
    let shown = before.content.as_deref().unwrap();
    assert!(shown.contains("false") && !write(&actions).content.contains("false"), "the drift is before against after");
    // White space is no drift.
    let mut spaced = Scene::of(case("healthy"));
    spaced.edit("homelab", "cni-file", "\"name\": ", "\"name\"  :\n ");
    assert!(spaced.plan(&sync()).is_empty());
}

#[test]
fn flannels_pod_writes_the_file_itself_where_it_can() {
    let pod = |phase: &str, containers: &str| {
        let mut scene = without_conflist();
        scene.pod(phase, containers);
        guards_of(&scene.decision(&push(), "homelab"))
    };
    let running = "container=kube-flannel 0 true running 2025-09-10T00:00:00Z";
    assert_eq!(pod("phase=Running", running), ["flannel/pod-can-write"]);
    let crashing =
        "init=install-cni 0 true terminated Completed\ncontainer=kube-flannel 9 false waiting CrashLoopBackOff \"\"";
    assert_eq!(pod("phase=Running", crashing), ["flannel/pod-can-write"], "its init containers are through");
    let creating = "init=install-cni 0 false waiting PodInitializing \"\"";
    assert_eq!(pod("phase=Pending", creating), Vec::<String>::new(), "that lasts too long already");
    assert_eq!(pod("phase=Pending", ""), ["flannel/pod-failing?"]);
    assert_eq!(pod("x=y", ""), ["flannel/pod-failing?"]);
    let young = without_conflist().judged(&push(), |judged| {
        judged.own("cni/config-missing", Verdict::Expected);
        judged.facts().cni.settled = Fact::Known(false);
        if let Fact::Known(pod) = &mut judged.member().flannel_pod {
            pod.reason = Fact::Known("PodInitializing".to_owned());
        }
    });
    assert_eq!(guards_of(&young), ["cni/config-missing"], "it gets its five minutes");
    let certain = without_conflist().judged(&push(), |judged| {
        judged.own("cni/config-missing", Verdict::Expected);
        judged.facts().cni.settled = Fact::Known(false);
    });
    assert_eq!(guards_of(&certain), Vec::<String>::new(), "an image that does not come does not come");
}

#[test]
fn an_image_that_does_not_come_is_the_reason_and_no_refusal() {
    for id in ["containerd/image-pull", "containerd/sandbox-image"] {
        assert_eq!(
            after(|judged| {
                judged.own(id, Verdict::Fail);
            }),
            Vec::<String>::new(),
            "{id}"
        );
    }
    let else_ = after(|judged| {
        judged.own("containerd/down", Verdict::Fail);
    });
    assert_eq!(else_, ["containerd/down"]);
}

#[test]
fn where_no_pod_is_wanted_no_file_is_pushed() {
    let guard = "cluster/flannel-pod-missing";
    let missing = |because: Fact<FlannelMissing>| {
        after(move |judged| {
            judged.member().flannel_pod = Fact::Absent;
            judged.member().flannel_missing_because = because;
        })
    };
    for because in [FlannelMissing::Taint, FlannelMissing::NotSelected, FlannelMissing::NoDaemonset] {
        assert_eq!(missing(Fact::Known(because)), [guard], "{because:?}");
    }
    for because in [FlannelMissing::NotCreated, FlannelMissing::NotScheduled] {
        assert_eq!(missing(Fact::Known(because)), Vec::<String>::new(), "{because:?}");
    }
    assert_eq!(missing(Fact::Known(FlannelMissing::Unexplained)), [format!("{guard}?")]);
    assert_eq!(after(|judged| judged.member().flannel_pod = Fact::unknown("x")), [format!("{guard}?")]);
}

#[test]
fn only_in_a_cluster_of_one_flannel() {
    let network = "flannel/other-network";
    assert_eq!(after(|judged| judged.member().overlay.runs = Fact::Known(false)), [network]);
    assert_eq!(after(|judged| judged.member().overlay.runs = Fact::unknown("x")), [format!("{network}?")]);
    let two = "flannel/two-daemonsets";
    let sets = |namespaces: &'static [&'static str]| {
        after(move |judged| {
            let sets = judged.assessed.clusters[0].flannel_daemonsets.known().unwrap().clone();
            let set = |namespace: &&str| {
                let mut set = sets[0].clone();
                (*namespace).clone_into(&mut set.namespace);
                set
            };
            judged.assessed.clusters[0].flannel_daemonsets = Fact::Known(namespaces.iter().map(set).collect());
        })
    };
    assert_eq!(sets(&["kube-flannel", "kube-system"]), [two]);
    assert_eq!(sets(&["kube-system", "kube-system"]), Vec::<String>::new(), "one for each architecture");
    assert_eq!(
        after(|judged| judged.assessed.clusters[0].flannel_daemonsets = Fact::unknown("x")),
        [format!("{two}?")]
    );
}

#[test]
fn the_text_is_the_clusters_or_a_valid_one_of_the_users() {
    let config = "flannel/config";
    let cluster = |value| after(|judged| judged.control_plane().api.flannel_cni_conf = value);
    assert_eq!(cluster(Fact::Absent), [config]);
    assert_eq!(cluster(Fact::unknown("forbidden")), [format!("{config}?")]);
    assert_eq!(cluster(Fact::Known("{}".to_owned())), [config]);
    let mine = "{\"name\":\"cbr0\",\r\n\"plugins\":[{\"type\":\"flannel\"}]}\r\n";
    let actions = without_conflist().actions(&with_file(mine));
    assert_eq!(write(&actions).content, mine.replace("\r\n", "\n"), "Windows line ends become plain ones");
    let huge = format!("{mine}{}", " ".repeat(64 << 10));
    for (wrong, why) in [
        ("", "it is empty"),
        (" \r\n", "it is empty"),
        ("\u{feff}{}", "byte order mark"),
        (r#"{"name":"cbr0","type":"flannel"}"#, ""),
        (r#"{"name":"cbr0","plugins":[{"type":"flannel"}"#, ""),
        (r#"{"name":"cbr0","plugins":[]}"#, ""),
        (r#"{"name":"cbr0","plugins":[{"type":"bridge"}]}"#, "its first plugin is bridge"),
        (huge.as_str(), "bytes, and more than 65536 are no CNI configuration"),
    ] {
        let refusal = without_conflist().refusal(&with_file(wrong), config);
        let cannot = refusal.reason.starts_with("mine.conflist cannot be used: ");
        assert!(cannot && refusal.reason.contains(why), "{why}: {refusal:?}");
    }
}

#[test]
fn a_directory_that_containerd_watches_and_a_plain_file() {
    let lying = |path: &str, what: Path| {
        let mut scene = without_conflist();
        scene.lies("homelab", path, what);
        guards_of(&scene.decision(&push(), "homelab"))
    };
    let kind = |kind: &str| Path::Other { kind: kind.to_owned() };
    assert_eq!(lying("/etc/cni/net.d", kind("directory")), Vec::<String>::new());
    assert_eq!(lying("/etc/cni/net.d", Path::Absent), ["cni/directory"]);
    assert_eq!(lying("/etc/cni/net.d", kind("symbolic link")), ["cni/directory"]);
    assert_eq!(lying(TARGET, kind("symbolic link")), ["cni/file-kind"]);
    assert_eq!(lying(TARGET, Path::Unreadable { why: "x".to_owned() }), ["cni/file-kind?"]);
    assert_eq!(lying(TARGET, file("{}")), ["machine"], "it came since the node was read");
    let read_only = after(|judged| {
        let Fact::Known(mounts) = &mut judged.facts().mounts.list else { panic!() };
        let root = Mount::clone(mounts.iter().find(|mount| mount.mount_point == "/").unwrap());
        mounts.push(Mount { mount_point: "/etc/cni".to_owned(), read_only: true, ..root }.into());
    });
    assert_eq!(read_only, ["mounts/read-only"]);
    assert_eq!(after(|judged| judged.facts().cni.files = Fact::unknown("x")), ["cni/file-ahead?"]);
}

#[test]
fn a_file_that_containerd_does_not_see_is_containerds_matter() {
    let healthy = Scene::of(case("healthy"));
    let decision = healthy.judged(&push(), |judged| {
        judged.own("cni/not-loaded", Verdict::Fail);
    });
    let Decision::Refused { refusals } = decision else { panic!("{decision:?}") };
    assert_eq!(refusals[0].guard, "cni/not-loaded");
    assert!(refusals[0].next.contains("systemctl restart containerd"), "{refusals:?}");
}

#[test]
fn a_node_that_has_not_joined_needs_no_file() {
    assert_eq!(
        prepared().refused(&push()),
        ["joined: it has not joined, and before a join a missing CNI configuration is normal"]
    );
    assert_eq!(after(|judged| judged.member().node = Fact::Absent), ["node/not-registered"]);
    assert_eq!(after(|judged| judged.member().node = Fact::unknown("x")), ["node/not-registered?"]);
}

#[test]
fn a_clock_that_is_off_comes_first() {
    let mut scene = Scene::of(case("no-conflist-joined"));
    scene.pod("phase=Pending", "init=install-cni 0 false waiting ImagePullBackOff \"\"");
    assert_eq!(scene.refused(&push()), ["time/skew: the clock is 48 s ahead of the control plane's"]);
}
