//! Recorded states of nodes through facts and assessment, and what must hold for any text a node may send.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::SystemTime;

use proptest::prelude::*;
use seaworthy::checks::Checks;
use seaworthy::facts::cluster::{ClusterView, view};
use seaworthy::facts::{Fact, NodeFacts, parse};
use seaworthy::fleet;
use seaworthy::record::{Capture, Record, Section};
use seaworthy::report::model::{NodeReport, Report};
use seaworthy::run::RunFile;
use seaworthy::verdict::{Area, Verdict};

/// The records of `tests/cases/<case>`, by name.
pub(crate) fn case(case: &str) -> Vec<Record> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(case);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()).collect()
}

/// Loses, cuts and swaps sections of the records against each other's, `hits` times, as `seed` has it.
pub(crate) fn damage(records: &mut [Record], seed: u64, hits: usize) {
    let mut dice = seed;
    let mut roll = |most: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(dice >> 33).unwrap_or(0) % most.max(1)
    };
    for _ in 0..hits {
        let which = roll(records.len());
        let Some(probe) = &mut records[which].probe else { continue };
        let place = roll(probe.sections.len());
        let other = roll(probe.sections.len());
        let how = roll(5);
        let taken = probe.sections.get(other).map(|section| section.text.clone()).unwrap_or_default();
        let Some(section) = probe.sections.get_mut(place) else { continue };
        match how {
            0 => section.rc = [66, 77, 124, 127][roll(4)],
            1 => section.text.clear(),
            2 => section.text = taken,
            3 => drop(probe.sections.remove(place)),
            _ => section.truncated = true,
        }
    }
}

/// The report on recorded nodes by the built-in checks, which are compiled once.
pub(crate) fn report(records: &[Record]) -> Report {
    static CHECKS: LazyLock<Checks> = LazyLock::new(|| Checks::built_in().unwrap());
    let run = RunFile::new("sweep", SystemTime::UNIX_EPOCH, Vec::new(), Vec::new());
    fleet::report(&run, records, &CHECKS)
}

/// Facts and entry of every record of a run, in the records' order.
pub(crate) fn judge(records: &[Record]) -> (ClusterView, Vec<(NodeFacts, NodeReport)>) {
    let facts: BTreeMap<String, NodeFacts> =
        records.iter().map(|record| (record.name.clone(), parse(record))).collect();
    let report = report(records);
    let judged = records.iter().map(|record| {
        let node = report.nodes.iter().find(|node| node.name == record.name).unwrap();
        (facts[&record.name].clone(), node.clone())
    });
    (view(&facts), judged.collect())
}

/// One line per node and one per area that is not plainly fine.
fn shown(name: &str) -> String {
    let records = case(name);
    let (_, judged) = judge(&records);
    let mut out = String::new();
    for (record, (_, assessment)) in records.iter().zip(&judged) {
        let phase = assessment.phase.map_or("-", seaworthy::verdict::Phase::label);
        let cells: Vec<&str> =
            assessment.areas.iter().map(|cell| if cell.text.is_empty() { "?" } else { &cell.text }).collect();
        writeln!(
            out,
            "{} {phase} | {} | {:?}: {}",
            record.name,
            cells.join(" · "),
            assessment.verdict,
            assessment.summary
        )
        .unwrap();
        for cell in assessment.areas.iter().filter(|cell| !cell.reasons.is_empty()) {
            writeln!(out, "  {:?} {:?}: {}", cell.area, cell.verdict, cell.reasons.join("; ")).unwrap();
        }
    }
    out
}

#[test]
fn the_storage_node_with_a_standalone_kubelet() {
    insta::assert_snapshot!(shown("storage-standalone"), @r#"
    storagenode joining | sdX in fstab · 2% of 456G · ok · 1.6.20 · flannel · loopback · no drop-in · ok · ok · ? | Fail: join blocked
      Mounts Warn: fstab names the disk of /srv/media by a name like /dev/sdb1, which the next boot may give to another disk
      Nfs Warn: the node mounts its own NFS export: /mnt/media
      Kubelet Fail: systemd starts the kubelet without a kubeconfig: it has no drop-in; the running kubelet has no --kubeconfig: it never contacts the API
      Api Unknown: no control plane was read: member.node
    "#);
    let (_, judged) = judge(&case("storage-standalone"));
    let facts = &judged[0].0;
    // The evidence that tells the cause from its symptoms.
    assert_eq!(facts.kubelet.wired, Fact::Known(false));
    assert_eq!(facts.kubelet.cgroup_driver, Fact::Known("cgroupfs".to_owned()));
    assert_eq!(facts.kubelet.config.cgroup_driver, Fact::Known("systemd".to_owned()));
    assert!(facts.network.ports.p10255.is_known() && facts.kubelet.log.has("standalone"));
    assert!(facts.packages.problems.is_known_and(|problems| problems[0].contains("10-kubeadm.conf")));
    assert_eq!(facts.kubeadm.running, Fact::Known(true));
}

#[test]
fn the_storage_node_after_its_reset_has_no_fault() {
    insta::assert_snapshot!(shown("storage-after-reset"), @r#"
    storagenode prepared | sdX in fstab · 2% of 456G · ok · 1.6.20 · none, expected · loopback · waiting, expected · ok · ok · - | Warn: not joined, no blocker found, 2 to look at
      Mounts Warn: fstab names the disk of /srv/media by a name like /dev/sdb1, which the next boot may give to another disk
      Cni Expected: no CNI configuration: /etc/cni/net.d has none; containerd says that the pod network is not ready: Network plugin returns error: cni plugin not initialized
      Nfs Warn: the node mounts its own NFS export: /mnt/media
      Kubelet Expected: the kubelet does not stay up: before a join it has no configuration to run with
    "#);
    let (_, judged) = judge(&case("storage-after-reset"));
    let facts = &judged[0].0;
    assert_eq!(facts.containerd.systemd_cgroup, Fact::Known(true));
    assert_eq!(
        facts.containerd.cri.networks,
        Fact::Known(vec![]),
        "the loopback network is always there and says nothing"
    );
    assert_eq!(facts.mounts.fstab_kernel_names, Fact::Known(vec!["/srv/media".to_owned()]));
    assert!(facts.kubelet.exit_reason.is_known_and(|why| why.contains("failed to load kubelet config file")));
}

#[test]
fn a_healthy_control_plane_and_worker() {
    insta::assert_snapshot!(shown("healthy"), @r#"
    homelab ready | ok · 19% of 234G · ok · 1.6.20 · flannel · ok · running · ok · ok · ok | Pass: ok
    masternode control | ok · 26% of 58G · ok · 1.6.20 · flannel · - · running · ok · ok · ok | Pass: ok
    "#);
    let (view, judged) = judge(&case("healthy"));
    assert_eq!(view.members["homelab"].pod_cidr_differs, Fact::Known(false));
    assert_eq!(view.nodes_not_in_run, Fact::Known(vec![]));
    let (worker, master) = (&judged[0].0, &judged[1].0);
    assert_eq!(worker.certs.ca.key_sha256, master.api.cluster_info_ca_sha256);
    assert_eq!(worker.flannel.config_without_runtime, Fact::Known(false));
    assert_eq!(worker.cni.disk_differs_from_runtime, Fact::Known(false));
}

#[test]
fn a_joined_worker_without_its_conflist_and_with_a_fast_clock() {
    insta::assert_snapshot!(shown("no-conflist-joined"), @r#"
    homelab not ready | ok · 19% of 234G · ok · 1.6.20 · none · ok · running · ok · +48s · NotReady | Fail: there is no CNI configuration, +1 more
      Cni Fail: no CNI configuration: /etc/cni/net.d has none; containerd says that the pod network is not ready: Network plugin returns error: cni plugin not initialized
      Time Fail: the clock is 48 s ahead of the control plane's
      Api Fail: the API says NotReady: container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized
    masternode control | ok · 26% of 58G · ok · 1.6.20 · flannel · - · running · ok · ok · ok | Pass: ok
    "#);
}

#[test]
fn a_cgroup_setting_outside_its_table() {
    insta::assert_snapshot!(shown("cgroup-driver"), @r#"
    homelab ready | ok · 29% of 70G · ok · config · flannel · - · foreign name · ok · ok · ? | Fail: SystemdCgroup is set where containerd ignores it, +1 more
      Containerd Fail: line 8 of /etc/containerd/config.toml sets SystemdCgroup outside the runtime's table, where containerd does not read it; cgroup drivers differ: kubelet systemd, containerd cgroupfs
      Kubelet Fail: the node's host name resolves to 192.168.4.63, which is no address of the node
      Api Unknown: no control plane named its endpoint: member.endpoint_differs; no control plane was read: member.cluster_dns, member.duplicates.flannel_public_ip, member.duplicates.internal_ip and 10 more
    "#);
    let (_, judged) = judge(&case("cgroup-driver"));
    let facts = &judged[0].0;
    assert_eq!(facts.containerd.systemd_cgroup_misplaced, Fact::Known(true));
    assert_eq!(facts.containerd.config.cri_disabled, Fact::Known(false), "the line that disables it is commented out");
    assert_eq!(facts.network.own_name_is_foreign, Fact::Known(true));
    assert_eq!(facts.kernel.inotify_max_instances, Fact::Known(128));
}

#[test]
fn an_ordinary_user_sees_less_and_claims_nothing() {
    insta::assert_snapshot!(shown("not-root"), @r#"
    homelab - | ok · 19% of 234G · ? · 1.6.20 · ? · ok · ? · ok · ok · ? | Pass: ok
      Permissions Unknown: 5 paths may not be looked at: permissions.wrong_kind; permission denied: permissions.immutable
      Cni Unknown: permission denied: cni.disk_differs_from_runtime, containerd.cri.network_ready
      Kubelet Unknown: no control plane was read: member.cluster_ca_sha256, member.node; only root may see the owner: network.ports.p10250.process; permission denied: certs.ca.key_sha256, certs.kubelet_client.common_name, certs.kubelet_client.expired and 11 more
      Api Unknown: no control plane was read: member.cluster_dns, member.duplicates.flannel_public_ip, member.duplicates.internal_ip and 10 more; permission denied: kubelet.config.cluster_dns, member.endpoint_differs
    "#);
}

#[test]
fn hosts_that_said_little_or_nothing() {
    insta::assert_snapshot!(shown("silent"), @r#"
    cut - | sdX in fstab · ? · ? · ? · ? · ? · ? · ? · ok · ? | Warn: not read to the end: connection lost
      Mounts Warn: fstab names the disk of /srv/media by a name like /dev/sdb1, which the next boot may give to another disk
      Disk Unknown: the connection ended before it was read: containerd.config.snapshotter, disk.hung, disk.images_unfit and 3 more
      Permissions Unknown: the connection ended before it was read: permissions.immutable, permissions.wrong_kind
      Containerd Unknown: the connection ended before it was read: cni.broken, containerd.cni_bin_dirs, containerd.config.cri_disabled and 15 more
      Cni Unknown: no control plane answered: member.overlay.runs; no control plane was read: member.overlay.peers, member.overlay.vxlan; the connection ended before it was read: cni.broken, cni.disk_differs_from_runtime, cni.file_count and 19 more
      Nfs Unknown: the connection ended before it was read: member.nfs_refused, nfs.declared_not_mounted, nfs.nfs_failing and 2 more
      Kubelet Unknown: no control plane answered: member.cluster_minor; no control plane was read: member.cluster_ca_sha256, member.node; not collected: kubeadm.bootstrap_conf, kubeadm.ca_crt, kubeadm.kubelet_conf and 4 more; the connection ended before it was read: certs.ca.key_sha256, certs.kubelet_client.common_name, certs.kubelet_client.expired and 30 more
      Kernel Unknown: the connection ended before it was read: firewall.closed_ports, firewall.flannel_rules, firewall.forward_policy and 18 more
      Api Unknown: no control plane was read: member.cluster_dns, member.duplicates.flannel_public_ip, member.duplicates.internal_ip and 10 more; not collected: member.endpoint_differs; the API server does not say how etcd is: control_plane.etcd.down; the connection ended before it was read: api.answers, api.ready, certs.api_server.expired and 9 more
    empty - |  | Unknown: nothing could be read
    gone - |  | Unknown: unreachable: no route to host
    "#);
}

#[test]
fn the_same_record_gives_the_same_bytes() {
    for record in case("healthy") {
        let json = || serde_json::to_string(&parse(&record)).unwrap();
        assert_eq!(json(), json());
    }
}

#[test]
fn facts_are_keyed_in_snake_case_and_have_a_schema() {
    fn check(value: &serde_json::Value, path: &str) {
        if let Some(properties) = value.get("properties").and_then(serde_json::Value::as_object) {
            for (key, inner) in properties {
                let snake = key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
                assert!(snake, "{path}.{key}");
                check(inner, &format!("{path}.{key}"));
            }
        }
    }
    let schema = serde_json::to_value(schemars::schema_for!(NodeFacts)).unwrap();
    check(&schema, "facts");
    let definitions = schema["$defs"].as_object().unwrap();
    assert!(definitions.contains_key("Kubelet") && definitions.contains_key("Cni"));
    for (name, definition) in definitions {
        check(definition, name);
    }
}

/// Nobody may read anything: then nothing is known, and nothing passes but what the greeting proves.
#[test]
fn what_may_not_be_read_never_passes() {
    for name in ["healthy", "storage-after-reset", "cgroup-driver"] {
        let mut records = case(name);
        for section in
            records.iter_mut().filter_map(|record| record.probe.as_mut()).flat_map(|probe| &mut probe.sections)
        {
            section.rc = 77;
            section.text = String::new();
        }
        for (_, assessment) in judge(&records).1 {
            let passing =
                assessment.areas.iter().filter(|cell| cell.verdict == Verdict::Pass && cell.area != Area::Time);
            assert_eq!(passing.map(|cell| cell.area).collect::<Vec<_>>(), [], "{name}");
            assert_eq!((assessment.verdict, assessment.phase), (Verdict::Unknown, None), "{name}");
        }
    }
}

/// Taking any one section away from a healthy node may leave a cell unknown; it never makes up a fault.
#[test]
fn a_missing_section_is_no_fault() {
    let records = case("healthy");
    let whole = records[0].probe.as_ref().unwrap().sections.len();
    for index in 0..whole {
        let mut records = records.clone();
        let gone = records[0].probe.as_mut().unwrap().sections.remove(index);
        records[0].probe.as_mut().unwrap().missing.push(gone.id.clone());
        let (_, judged) = judge(&records);
        for cell in &judged[0].1.areas {
            let fault = matches!(cell.verdict, Verdict::Fail | Verdict::Warn);
            assert!(!fault, "without {} {:?}: {cell:?}", gone.id, gone.arg);
        }
    }
}

fn all_sections() -> Vec<Section> {
    let names = ["storage-standalone", "storage-after-reset", "healthy", "cgroup-driver", "not-root"];
    let records = names.into_iter().flat_map(case);
    records.filter_map(|record| record.probe).flat_map(|probe| probe.sections).collect()
}

/// A text that a node might send in place of a good one: anything, a piece of a good one, or a good one with a hole.
fn hostile(text: String) -> impl Strategy<Value = String> {
    let length = text.chars().count();
    let other = text.clone();
    prop_oneof![
        any::<String>(),
        "[\\[\\]{}\",:=!\\t\n \\\\@0-9a-z/.-]{0,400}",
        (0..=length).prop_map(move |end| text.chars().take(end).collect()),
        (0..=length, any::<char>()).prop_map(move |(at, c)| other
            .chars()
            .take(at)
            .chain([c])
            .chain(other.chars().skip(at + 1))
            .collect()),
    ]
}

fn section() -> impl Strategy<Value = Section> {
    let known = proptest::sample::select(all_sections());
    let code = proptest::sample::select(vec![0, 0, 0, 0, 1, 66, 77, 124, 127, -1]);
    (known, code, any::<bool>(), any::<u32>()).prop_flat_map(|(section, rc, truncated, ms)| {
        hostile(section.text.clone()).prop_map(move |text| Section { text, rc, truncated, ms, ..section.clone() })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gives_facts_and_a_verdict(
        sections in proptest::collection::vec(section(), 1..40),
        complete in any::<bool>(),
        clock in any::<(i64, i64, i64)>(),
    ) {
        let mut records = case("healthy");
        let record = &mut records[0];
        record.probe = Some(Capture { complete, sections, ..Capture::default() });
        record.clock = Some(seaworthy::record::ClockSample { sent_ms: clock.0, received_ms: clock.1, node_ms: clock.2 });
        let (_, judged) = judge(&records);
        for (facts, assessment) in judged {
            prop_assert!(serde_json::to_string(&facts).is_ok());
            prop_assert!(!assessment.summary.is_empty());
        }
    }
}

/// A parser that follows a node's brackets down without a limit would end the whole run.
#[test]
fn bottomless_documents_do_not_exhaust_the_stack() {
    let deep = 20_000;
    let texts = [
        "[".repeat(deep),
        "{\"a\":".repeat(deep),
        format!("a = {}", "[".repeat(deep)),
        format!("a = {}", "{a=".repeat(deep)),
        format!("{}a = 1", "a.".repeat(deep)),
        format!("[{}a]\n", "a.".repeat(deep)),
        "a:\n".repeat(deep),
        "- ".repeat(deep),
        "? ".repeat(deep),
        "&a [*a, *a]\n".repeat(50),
    ];
    let mut records = case("healthy");
    for text in texts {
        for section in
            records.iter_mut().filter_map(|record| record.probe.as_mut()).flat_map(|probe| &mut probe.sections)
        {
            section.text.clone_from(&text);
        }
        let (_, judged) = judge(&records);
        assert_eq!(judged.len(), 2);
    }
}
