//! Planned, applied, and planned again: nothing is left to do, whatever lay on the node.

use proptest::prelude::*;
use proptest::strategy::Strategy;

use super::*;

const DIRECTORY: &str = "/etc/cni/net.d";
const NAMES: [&str; 5] =
    ["10-flannel.conflist", "05-first.conflist", "99-last.conf", "10-flannel.conf", "10-flannel.conflist.bak"];

/// Puts a file into the node's CNI directory, or replaces it there.
fn put(scene: &mut Scene, node: &str, path: &str, content: &str) {
    let sections = &mut scene.record(node).probe.as_mut().unwrap().sections;
    for section in sections.iter_mut().filter(|section| section.id == "cni-dir") {
        (section.rc, section.arg) = (0, Some(DIRECTORY.to_owned()));
        let mut lines: Vec<String> =
            section.text.lines().filter(|line| !line.ends_with(&format!("\t{path}"))).map(str::to_owned).collect();
        lines.push(format!("644 0:0 {} 1757439600 f\t{path}", content.len()));
        section.text = lines.join("\n");
    }
    sections.retain(|section| !(section.id == "cni-file" && section.arg.as_deref() == Some(path)));
    scene.add(node, "cni-file", Some(path), content);
    scene.paths.remove(&(node.to_owned(), path.to_owned()));
}

/// What a CNI file may hold: the cluster's own with something else in it, another network's, or nothing that can be loaded.
fn content() -> impl Strategy<Value = String> {
    let own = without_conflist();
    let wanted = write(&own.actions(&playbook(vec![flannel(false)]))).content.clone();
    let (shorter, spaced, cut) = (wanted.replace("true", "false"), wanted.replace(':', " :\n"), wanted.clone());
    prop_oneof![
        Just(wanted.clone()),
        Just(shorter),
        Just(spaced),
        (0..=cut.len()).prop_map(move |end| cut.chars().take(end).collect()),
        Just(r#"{"name":"other","cniVersion":"0.4.0","plugins":[{"type":"bridge"}]}"#.to_owned()),
        any::<String>().prop_map(|text| text.replace('\0', "")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_second_plan_of_the_flannel_step_is_empty(
        healthy: bool,
        files in prop::collection::btree_map(0_usize..NAMES.len(), content(), 0..3),
        seed in any::<u64>(),
        hits in 0_usize..3,
        sync: bool,
    ) {
        let playbook = playbook(vec![flannel(sync)]);
        let mut scene = if healthy { Scene::of(case("healthy")) } else { without_conflist() };
        for (name, content) in &files {
            put(&mut scene, "homelab", &format!("{DIRECTORY}/{}", NAMES[*name]), content);
        }
        damage(scene.records(), seed, hits);
        let first = scene.decision(&playbook, "homelab");
        let Decision::Change { actions, .. } = &first else {
            prop_assert_eq!(scene.decision(&playbook, "homelab"), first, "the same node, the same plan");
            return Ok(());
        };
        let file = write(actions);
        put(&mut scene, "homelab", &file.path, &file.content);
        let again = scene.judged(&playbook, |judged| {
            // It was applied, so it is verified: the runtime has loaded it.
            judged.own("cni/not-loaded", Verdict::Pass);
        });
        prop_assert!(matches!(again, Decision::Nothing { .. }), "{first:#?}\nthen\n{again:#?}");
    }
}
