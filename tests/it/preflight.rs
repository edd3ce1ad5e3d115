//! "May I upgrade?": recorded nodes, sound and doctored, measured by a version, and the program as a user runs it.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::SystemTime;

use seaworthy::checks::{Checks, Finding};
use seaworthy::demo::{Behaviour, Fleet, Plan, State};
use seaworthy::exit::ExitCode;
use seaworthy::fleet;
use seaworthy::record::{Record, Section};
use seaworthy::report::model::{NodeReport, Report};
use seaworthy::run::{PlannedHost, RunFile, Writer};
use seaworthy::upgrade::gate::Gate;
use seaworthy::verdict::Verdict;
use serde_json::Value;

use crate::facts::case;

/// The healthy cluster, as it would be at another version, with a containerd that goes with it.
fn cluster_at(version: &str, containerd: &str) -> Vec<Record> {
    let mut records = case("healthy");
    for section in records.iter_mut().flat_map(sections) {
        section.text = section.text.replace("1.29.15", version);
        section.text = section.text.replace("1.6.20~ds1-1+deb12u1", containerd).replace("1.6.20~ds1", containerd);
        section.text = section.text.replace("\"minor\":\"29\"", "\"minor\":\"x\"");
    }
    records
}

fn sections(record: &mut Record) -> &mut Vec<Section> {
    &mut record.probe.as_mut().unwrap().sections
}

fn named<'r>(records: &'r mut [Record], name: &str) -> &'r mut Record {
    records.iter_mut().find(|record| record.name == name).unwrap()
}

/// Changes the text of a section of one node.
fn doctor(records: &mut [Record], node: &str, id: &str, change: impl FnOnce(&str) -> String) {
    let section = sections(named(records, node)).iter_mut().find(|section| section.id == id).unwrap();
    section.text = change(&section.text);
}

/// Gives one node a section more.
fn add(records: &mut [Record], node: &str, id: &str, arg: Option<&str>, text: &str) {
    let section = Section { arg: arg.map(str::to_owned), text: text.to_owned(), ..section(records, node) };
    sections(named(records, node)).push(Section { id: id.to_owned(), ..section });
}

fn section(records: &mut [Record], node: &str) -> Section {
    sections(named(records, node))[0].clone()
}

fn measure(records: &[Record], target: &str) -> Report {
    let mut run = RunFile::new("preflight", SystemTime::UNIX_EPOCH, Vec::new(), Vec::new());
    run.target = Some(target.parse().unwrap());
    fleet::report(&run, records, &Checks::built_in().unwrap())
}

fn gate(report: &Report) -> &Gate {
    report.run.gate.as_ref().unwrap()
}

fn node<'r>(report: &'r Report, name: &str) -> &'r NodeReport {
    report.nodes.iter().find(|node| node.name == name).unwrap()
}

fn finding<'r>(report: &'r Report, name: &str, id: &str) -> &'r Finding {
    let found = node(report, name).findings.iter().find(|finding| finding.id == id);
    found.unwrap_or_else(|| panic!("{name} has no {id}: {:?}", ids(node(report, name), Verdict::Fail)))
}

fn ids(node: &NodeReport, verdict: Verdict) -> Vec<&str> {
    let mut ids: Vec<&str> =
        node.findings.iter().filter(|finding| finding.verdict == verdict).map(|finding| finding.id.as_str()).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn a_sound_cluster_may_be_upgraded_by_one_minor() {
    let report = measure(&cluster_at("1.34.2", "2.2.1"), "1.35");
    for name in ["homelab", "masternode"] {
        assert_eq!(ids(node(&report, name), Verdict::Fail), [""; 0], "{name}");
        let unknown = ids(node(&report, name), Verdict::Unknown);
        assert!(unknown.iter().all(|id| !id.starts_with("upgrade/")), "{name}: {unknown:?}");
    }
    assert_eq!(gate(&report).may_upgrade.len(), 2);
    assert_eq!(gate(&report).exit_code(), ExitCode::Ok);
    // What kubeadm removes by itself is no blocker, and is told.
    assert_eq!(finding(&report, "homelab", "upgrade/flag-left-to-kubeadm").verdict, Verdict::Warn);
    assert_eq!(finding(&report, "homelab", "upgrade/packages-not-held").verdict, Verdict::Warn);
}

#[test]
fn a_sweep_knows_nothing_of_upgrades() {
    let mut records = cluster_at("1.34.2", "1.5.0");
    doctor(&mut records, "homelab", "ident", |text| text.replace("cgroup2fs", "tmpfs"));
    let report = crate::facts::report(&records);
    assert!(report.run.gate.is_none());
    let homelab = node(&report, "homelab");
    assert!(homelab.facts.as_ref().unwrap().upgrade.is_none());
    assert!(homelab.findings.iter().all(|finding| !finding.id.starts_with("upgrade/")));
}

#[test]
fn minors_are_not_skipped_and_nothing_goes_back() {
    let records = cluster_at("1.32.4", "2.2.1");
    let skipped = measure(&records, "1.35");
    assert_eq!(ids(node(&skipped, "masternode"), Verdict::Fail), ["upgrade/minor-skipped"]);
    assert!(finding(&skipped, "masternode", "upgrade/minor-skipped").message.contains("1.33, not 1.35"));
    assert_eq!(gate(&skipped).blocked_control_planes, ["masternode"]);
    // Three minors behind are allowed, four are not, and that follows from the jump.
    assert_eq!(ids(node(&skipped, "homelab"), Verdict::Fail), [""; 0]);
    let too_far = measure(&records, "1.36");
    let old = finding(&too_far, "homelab", "upgrade/kubelet-too-old");
    assert_eq!(old.explained_by.as_deref().map(String::as_str), Some("upgrade/minor-skipped"));
    for (target, ok) in [("1.31", false), ("1.32.3", false), ("1.32.4", true), ("1.32.9", true), ("1.33", true)] {
        let report = measure(&records, target);
        let back = ids(node(&report, "masternode"), Verdict::Fail).contains(&"upgrade/downgrade");
        assert_eq!(!back, ok, "{target}");
    }
}

#[test]
fn a_kubelet_that_is_too_old_or_too_new_blocks_its_node() {
    let mut records = cluster_at("1.34.2", "2.2.1");
    doctor(&mut records, "homelab", "packages", |text| text.replace("kubelet 1.34.2", "kubelet 1.31.0"));
    let report = measure(&records, "1.35");
    assert_eq!(ids(node(&report, "homelab"), Verdict::Fail), ["upgrade/kubelet-too-old"]);
    assert_eq!(gate(&report).may_upgrade, ["masternode"]);
    doctor(&mut records, "homelab", "packages", |text| text.replace("kubelet 1.31.0", "kubelet 1.35.1"));
    let report = measure(&records, "1.35");
    // Such a kubelet refuses a flag of its own already.
    assert_eq!(ids(node(&report, "homelab"), Verdict::Fail), ["upgrade/kubelet-newer"]);
}

#[test]
fn nodes_that_only_the_api_knows_count() {
    let mut records = cluster_at("1.34.2", "2.2.1");
    doctor(&mut records, "masternode", "api-nodes", |text| format!("{text}\nnode=attic\nkubelet=v1.30.1\n"));
    let report = measure(&records, "1.35");
    let unread = finding(&report, "masternode", "upgrade/unread-kubelet-too-old");
    assert!(unread.message.ends_with("attic (1.30.1)"), "{}", unread.message);
}

#[test]
fn cgroup_v1_is_refused_from_1_35_on_unless_allowed() {
    let mut records = cluster_at("1.34.2", "2.2.1");
    doctor(&mut records, "homelab", "ident", |text| text.replace("cgroup2fs", "tmpfs"));
    let of = |records: &[Record], target| {
        let report = measure(records, target);
        let found = node(&report, "homelab").findings.iter().find(|finding| finding.id == "upgrade/cgroup-v1");
        found.map(|finding| finding.verdict)
    };
    assert_eq!(of(&records, "1.34.9"), None);
    assert_eq!(of(&records, "1.35"), Some(Verdict::Fail));
    doctor(&mut records, "homelab", "kubelet-config", |text| format!("{text}failCgroupV1: false\n"));
    assert_eq!(of(&records, "1.35"), Some(Verdict::Warn));
    doctor(&mut records, "homelab", "kubelet-config", |text| text.replace("failCgroupV1: false", "failCgroupV1: true"));
    assert_eq!(of(&records, "1.35"), Some(Verdict::Fail));
}

#[test]
fn flags_and_feature_gates_that_the_target_refuses_are_found_in_files() {
    let mut records = cluster_at("1.34.2", "2.2.1");
    let flags = "KUBELET_EXTRA_ARGS=--pod-infra-container-image=registry.k8s.io/pause:3.9\n";
    add(&mut records, "homelab", "env-file", Some("/etc/default/kubelet"), flags);
    let gates = |text: &str| format!("{text}featureGates:\n  StatefulSetAutoDeletePVC: true\n");
    doctor(&mut records, "homelab", "kubelet-config", gates);
    assert_eq!(ids(node(&measure(&records, "1.34.9"), "homelab"), Verdict::Fail), [""; 0]);
    let report = measure(&records, "1.35");
    assert_eq!(ids(node(&report, "homelab"), Verdict::Fail), ["upgrade/removed-field", "upgrade/removed-flag"]);
    let flag = finding(&report, "homelab", "upgrade/removed-flag");
    assert!(flag.message.contains("/etc/default/kubelet (gone since 1.35)"), "{}", flag.message);
    assert!(flag.certain);
}

#[test]
fn the_kubelets_own_version_is_judged_by_the_same_table() {
    let mut records = case("healthy");
    add(&mut records, "homelab", "env-file", Some("/etc/sysconfig/kubelet"), "ARGS=--network-plugin=cni\n");
    let report = crate::facts::report(&records);
    let found = finding(&report, "homelab", "kubelet/removed-flag");
    // The running kubelet started before the file had it.
    assert_eq!(found.verdict, Verdict::Warn);
    assert!(found.evidence.iter().any(|shown| shown.value.to_string().contains("/etc/sysconfig/kubelet")));
}

#[test]
fn containerd_is_warned_of_refused_and_untested_by_the_table() {
    let verdict = |containerd: &str, target: &str, id: &str| {
        let server = format!("1.{}.1", target[2..].parse::<u32>().unwrap() - 1);
        let report = measure(&cluster_at(&server, containerd), target);
        let found = node(&report, "homelab").findings.iter().find(|finding| finding.id == id).cloned();
        found.map(|finding| finding.verdict)
    };
    let old = "upgrade/containerd-too-old";
    assert_eq!(verdict("1.7.28", "1.34", old), None);
    assert_eq!(verdict("1.7.28", "1.35", old), Some(Verdict::Warn));
    assert_eq!(verdict("1.7.28", "1.38", old), Some(Verdict::Fail));
    assert_eq!(verdict("1.5.18", "1.30", old), Some(Verdict::Fail));
    assert_eq!(verdict("2.2.1", "1.38", old), None);
    let untested = "upgrade/containerd-untested";
    assert_eq!(verdict("1.7.28", "1.35", untested), None);
    assert_eq!(verdict("1.7.27", "1.35", untested), Some(Verdict::Warn));
    assert_eq!(verdict("2.0.9", "1.35", untested), Some(Verdict::Warn));
    assert_eq!(verdict("2.4.0", "1.36", untested), None);
    let note = measure(&cluster_at("1.34.2", "1.7.28"), "1.35");
    let evidence = &finding(&note, "homelab", old).evidence;
    assert!(evidence.iter().any(|shown| shown.value.to_string().contains("sources disagree")), "{evidence:?}");
}

#[test]
fn space_certificates_kernel_and_repositories_are_measured() {
    let mut records = cluster_at("1.34.2", "2.2.1");
    for section in sections(named(&mut records, "homelab")).iter_mut().filter(|section| section.id == "df") {
        section.text = section.text.replace(" 190000000 ", " 3000000 ");
    }
    doctor(&mut records, "homelab", "ident", |text| text.replace("6.1.0-34-amd64", "3.10.0-1160"));
    let repositories = "repo /etc/apt/sources.list.d/k.list:deb https://apt.kubernetes.io/ kubernetes-xenial main\n";
    doctor(&mut records, "homelab", "packages", |text| format!("{text}{repositories}"));
    let channel = "repo /etc/apt/sources.list.d/k.list:deb https://pkgs.k8s.io/core:/stable:/v1.34/deb/ /\n";
    doctor(&mut records, "masternode", "packages", |text| format!("{text}{channel}"));
    // The certificates end on 2026-09-02; the nodes' clocks follow the records'.
    for record in &mut records {
        let clock = record.clock.as_mut().unwrap();
        clock.sent_ms += 1000 * 86_400 * 340;
        clock.received_ms += 1000 * 86_400 * 340;
        clock.node_ms += 1000 * 86_400 * 340;
    }
    let report = measure(&records, "1.35");
    for id in ["upgrade/no-headroom", "upgrade/certificate-ends", "upgrade/repository-frozen"] {
        assert_eq!(finding(&report, "homelab", id).verdict, Verdict::Fail, "{id}");
    }
    let space = &finding(&report, "homelab", "upgrade/no-headroom").message;
    assert_eq!(space, "/ has 2.8 GiB free of 8 GiB needed");
    assert!(finding(&report, "homelab", "upgrade/certificate-ends").message.contains("days"));
    // From 1.34 on kubeadm only warns of kernels.
    assert_eq!(finding(&report, "homelab", "upgrade/kernel-unsupported").verdict, Verdict::Warn);
    assert_eq!(finding(&report, "masternode", "upgrade/repository-channel").verdict, Verdict::Warn);
    assert!(finding(&measure(&records, "1.33"), "homelab", "upgrade/kernel-unsupported").verdict == Verdict::Fail);
}

#[test]
fn the_control_plane_must_be_sound_and_its_configuration_readable() {
    let mut records = cluster_at("1.35.2", "2.2.1");
    for name in ["homelab", "masternode"] {
        doctor(&mut records, name, "env-file", |_| "KUBELET_KUBEADM_ARGS=\"\"\n".to_owned());
    }
    let report = measure(&records, "1.36");
    assert_eq!(finding(&report, "masternode", "upgrade/kubeadm-config-api").verdict, Verdict::Fail);
    doctor(&mut records, "masternode", "api-readyz", |_| {
        "[-]etcd failed: reason withheld\nreadyz check failed\n".into()
    });
    let report = measure(&records, "1.36");
    let etcd = finding(&report, "masternode", "upgrade/control-plane-unhealthy");
    assert_eq!(etcd.message, "etcd failed: reason withheld");
    assert!(gate(&report).may_upgrade.contains(&"homelab".to_owned()));
    assert_eq!(gate(&report).blocked_control_planes, ["masternode"]);
}

#[test]
fn a_nodes_own_faults_block_its_upgrade() {
    let report = measure(&case("no-conflist-joined"), "1.30");
    let homelab = node(&report, "homelab");
    let failing = ids(homelab, Verdict::Fail);
    assert!(failing.contains(&"cni/config-missing") && failing.contains(&"upgrade/node-not-ready"), "{failing:?}");
    assert_eq!(gate(&report).blocked, ["homelab"]);
    assert!(report.root_causes.iter().any(|cause| cause.id == "cni/config-missing"));
}

#[test]
fn what_could_not_be_read_is_no_permission() {
    // Without a control plane nobody knows the cluster's version.
    let mut records = cluster_at("1.34.2", "2.2.1");
    records.retain(|record| record.name == "homelab");
    let report = measure(&records, "1.35");
    assert_eq!(gate(&report).undecided, ["homelab"]);
    assert!(!gate(&report).control_plane_read);
    assert_eq!(gate(&report).exit_code(), ExitCode::Problems);

    let mut records = cluster_at("1.34.2", "2.2.1");
    records.extend(case("silent"));
    records.extend(case("storage-after-reset"));
    let report = measure(&records, "1.35");
    assert_eq!(gate(&report).unread, ["cut", "gone"]);
    assert_eq!(gate(&report).undecided, ["empty"]);
    assert_eq!(gate(&report).outside, ["storagenode"]);
    assert_eq!(gate(&report).exit_code(), ExitCode::ProblemsAndUnreachable);
}

/// A run directory with these records, made by a sweep.
fn saved(directory: &Path, records: &[Record]) -> String {
    let host =
        |record: &Record| PlannedHost { name: record.name.clone(), groups: record.groups.clone(), role: record.role };
    let mut run = RunFile::new("sweep", SystemTime::UNIX_EPOCH, records.iter().map(host).collect(), Vec::new());
    run.duration_ms = Some(1000);
    let writer = Writer::create(directory, run.clone()).unwrap();
    for record in records {
        writer.save(record).unwrap();
    }
    let path = writer.directory().to_str().unwrap().to_owned();
    writer.finish(&run).unwrap();
    path
}

fn seaworthy(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seaworthy"));
    command.args(arguments).current_dir(directory).env_clear();
    command.env("HOME", directory).env("LANG", "C.UTF-8").stdin(Stdio::null()).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_answer_is_a_table_the_blockers_the_warnings_and_one_sentence() {
    let place = tempfile::tempdir().unwrap();
    let mut records = cluster_at("1.34.2", "2.2.1");
    let twin = named(&mut records, "homelab").clone();
    for name in ["homelab2", "homelab3"] {
        records.push(Record { name: name.to_owned(), ..twin.clone() });
    }
    for name in ["homelab2", "homelab3"] {
        doctor(&mut records, name, "ident", |text| text.replace("cgroup2fs", "tmpfs"));
    }
    let run = saved(place.path(), &records);
    let output = seaworthy(place.path(), &["preflight", "--from", &run, "--to", "v1.35"]);
    insta::assert_snapshot!(out(&output), @r#"
    NODE          PHASE    KUBELET  CONTAINERD  KERNEL          VERDICT
    homelab[2-3]  ready    1.34.2   2.2.1       6.1.0-34-amd64  blocked: the node has cgroup v1, which the target refuses
    homelab       ready    1.34.2   2.2.1       6.1.0-34-amd64  may be upgraded
    masternode    control  1.34.2   2.2.1       6.1.0-34-amd64  may be upgraded

    blockers
    homelab[2-3]  upgrade/cgroup-v1  the node has cgroup v1, and the kubelet of 1.35 needs v2 unless failCgroupV1 is false; next: Boot with cgroup v2: kernel argument systemd.unified_cgroup_hierarchy=1, or a newer release of the distribution. As a stopgap set `failCgroupV1: false` in the kubelet's configuration.

    warnings
    homelab[2-3]                       kernel/cgroup-v1              kubelet 1.34.2 gives up cgroup v1, and the node runs it
    masternode                         upgrade/kubeadm-config-api    the ConfigMap kubeadm-config is kubeadm.k8s.io/v1beta3, which kubeadm of 1.35 drops or is about to
    homelab2                           cluster/listed-twice          the inventory's homelab, homelab3 is this machine as well
    homelab3                           cluster/listed-twice          the inventory's homelab, homelab2 is this machine as well
    homelab                            cluster/listed-twice          the inventory's homelab2, homelab3 is this machine as well
    homelab, homelab[2-3], masternode  upgrade/flag-left-to-kubeadm  `kubeadm upgrade` removes: --pod-infra-container-image in /var/lib/kubelet/kubeadm-flags.env (gone since 1.35)
    homelab, homelab[2-3], masternode  upgrade/sandbox-image         containerd is set to registry.k8s.io/pause:3.6; kubeadm of 1.35 brings pause:3.10.1
    homelab, homelab[2-3]              upgrade/packages-not-held     nothing holds kubelet, kubeadm, kubectl at their version
    masternode                         upgrade/packages-not-held     nothing holds kubectl at their version

    2 of 4 nodes may be upgraded to 1.35; 2 are blocked
    "#);
    assert_eq!(output.status.code(), Some(2));

    let document: Value = serde_json::from_str(&out(&seaworthy(
        place.path(),
        &["preflight", "--from", &run, "--to", "1.35", "-o", "json"],
    )))
    .unwrap();
    assert_eq!(document["run"]["gate"]["target"], "1.35");
    assert_eq!(document["run"]["gate"]["blocked"], serde_json::json!(["homelab2", "homelab3"]));
    let wide = out(&seaworthy(place.path(), &["preflight", "--from", &run, "--to", "1.35", "-o", "wide"]));
    assert!(wide.contains("ADDRESS") && wide.contains("2 of 4 nodes may be upgraded to 1.35"), "{wide}");
    let sweep = out(&seaworthy(place.path(), &["sweep", "--from", &run]));
    assert!(!sweep.contains("upgrade"), "{sweep}");
}

#[test]
fn wrong_versions_are_wrong_use_and_say_what_may_have_been_meant() {
    let place = tempfile::tempdir().unwrap();
    let run = saved(place.path(), &case("healthy"));
    for (arguments, said) in [
        (&["preflight"][..], "--to"),
        (&["preflight", "-i", "a,", "--to", "35"], "did you mean 1.35?"),
        (&["preflight", "-i", "a,", "--to", "latest"], "one like 1.35"),
        (&["preflight", "--from", &run], "name one, like --to 1.35"),
    ] {
        let output = seaworthy(place.path(), arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {told}");
        assert!(told.contains(said), "{arguments:?}: {told}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_live_run_keeps_its_target_and_is_printed_again_alike() {
    let nodes = [
        (State::ControlPlane, Behaviour::Answer),
        (State::Worker, Behaviour::Answer),
        (State::Worker, Behaviour::Unreachable),
    ];
    let fleet = Fleet::start(Plan::of(7, nodes)).unwrap();
    let place = tempfile::tempdir().unwrap();
    let inventory = place.path().join("fleet.yaml");
    fleet.write_inventory(&inventory).unwrap();
    let inventory = inventory.to_str().unwrap();
    let live = seaworthy(place.path(), &["preflight", "-i", inventory, "--to", "1.99"]);
    let shown = out(&live);
    assert!(shown.contains("0 of 3 nodes may be upgraded to 1.99; 2 are blocked; 1 was not read"), "{shown}");
    assert_eq!(live.status.code(), Some(6), "{shown}");
    drop(fleet);
    let again = seaworthy(place.path(), &["preflight", "--from", "last"]);
    assert_eq!(out(&again), shown);
    let other = out(&seaworthy(place.path(), &["preflight", "--from", "last", "--to", "1.98"]));
    assert!(other.contains("upgraded to 1.98"), "{other}");
}
