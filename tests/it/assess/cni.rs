//! What lies behind a node without a pod network: chains of faults, and the one that explains the others.

use seaworthy::diagnose::root_cause::{Confidence, RootCause};
use seaworthy::verdict::{Area, Verdict};

use super::Change::{self, Add, Code, Text};
use super::{apply, broken};
use crate::facts::{case, report};

const FLANNEL_FILE: &str = "/etc/cni/net.d/10-flannel.conflist";
const PLACEHOLDER: &str = "/etc/cni/net.d/00-placeholder.conflist";
const BRIDGE: &str = r#"{"name":"placeholder","plugins":[{"type":"bridge","ipam":{"type":"host-local"}}]}"#;
const POD: &str = "container=kube-flannel 0 true running 2025-09-09T19:29:10Z\n";
const CRASHING: &str = "container=kube-flannel 7 false waiting CrashLoopBackOff \"\"\n";

/// Changes of the worker and of what the API says.
struct Faults<'c> {
    case: &'static str,
    worker: &'c [Change],
    api: &'c [Change],
}

/// The causes of CNI and flannel, each with what it explains.
fn causes(faults: &Faults<'_>) -> Vec<RootCause> {
    let mut records = case(faults.case);
    for record in &mut records {
        let changes = if record.name == "homelab" { faults.worker } else { faults.api };
        for change in changes {
            apply(record, change);
        }
    }
    let areas = ["cni/", "flannel/", "cluster/flannel", "containerd/bin-dir"];
    let failing =
        |cause: &RootCause| cause.verdict == Verdict::Fail && cause.nodes.iter().any(|node| node == "homelab");
    let causes = report(&records).root_causes.into_iter().filter(failing);
    causes.filter(|cause| areas.iter().any(|area| cause.id.starts_with(area))).collect()
}

/// `cause > consequence consequence`, one line each, in the order of ids.
fn chains(faults: &Faults<'_>) -> String {
    let line = |cause: &RootCause| {
        let sure = if cause.confidence == Confidence::Certain { " (certain)" } else { "" };
        let explains: Vec<&str> = cause.explains.iter().map(|consequence| consequence.id.as_str()).collect();
        format!("{}{sure} > {}", cause.id, explains.join(" ")).trim_end_matches(" > ").to_owned()
    };
    let mut lines: Vec<String> = causes(faults).iter().map(line).collect();
    lines.sort();
    lines.join("\n")
}

fn worker(worker: &[Change]) -> String {
    chains(&Faults { case: "healthy", worker, api: &[] })
}

#[test]
fn without_a_flannel_pod_nothing_installs_the_configuration() {
    let gone = [Text("api-pods-system", "", "node=homelab\n", "node=gone\n")];
    insta::assert_snapshot!(chains(&Faults { case: "no-conflist-joined", worker: &[], api: &gone }),
        @"cluster/flannel-pod-missing > cni/config-missing cni/network-not-ready node/not-ready");
    let crashing = [Text("api-pods-system", "", POD, CRASHING)];
    insta::assert_snapshot!(chains(&Faults { case: "no-conflist-joined", worker: &[], api: &crashing }), @r"
    cni/config-missing > cni/network-not-ready node/not-ready
    flannel/pod-failing
    ");
    let pulling = [crashing[0].clone(), Text("api-pods-system", "", "phase=Running", "phase=Pending")];
    insta::assert_snapshot!(chains(&Faults { case: "no-conflist-joined", worker: &[], api: &pulling }),
        @"flannel/pod-failing > cni/config-missing cni/network-not-ready node/not-ready");
}

#[test]
fn what_comes_out_of_the_tunnel_proves_the_way() {
    let counted = |text| [Add("overlay-traffic", "", text)];
    insta::assert_snapshot!(worker(&counted("rx_packets=398\ntx_packets=412\n")), @"");
    insta::assert_snapshot!(worker(&counted("rx_packets=0\ntx_packets=12\n")), @"");
    insta::assert_snapshot!(worker(&counted("rx_packets=0\ntx_packets=412\n")), @"flannel/nothing-arrives");
    let closed = [
        Add("overlay-traffic", "", "rx_packets=0\ntx_packets=412\n"),
        Text("firewall", "", "flannel_rules=", "ipt_drops=1\nflannel_rules="),
    ];
    insta::assert_snapshot!(worker(&closed), @"");
}

#[test]
fn a_missing_pod_cidr_stops_flannel_and_not_the_configuration() {
    let api = [Text("api-nodes", "", "podCIDR=10.244.2.0/24\n", ""), Text("api-pods-system", "", POD, CRASHING)];
    let flannel_is_gone = [
        Code("flannel-env", "", 66),
        Text("ip-link", "", "flannel.1", "vxlan9"),
        Text("ip-addr", "", "flannel.1", "vxlan9"),
        Add(
            "log-pod",
            "/var/log/pods/x.log",
            "2025-09-12T16:20:01.1Z stderr F E0912 16:20:01.1 1 main.go:332] Error registering network: failed to acquire lease: node \"homelab\" pod cidr not assigned\n",
        ),
    ];
    insta::assert_snapshot!(chains(&Faults { case: "healthy", worker: &flannel_is_gone, api: &api }),
        @"flannel/pod-cidr-missing (certain) > flannel/pod-failing flannel/subnet-env-missing");
    insta::assert_snapshot!(chains(&Faults { case: "no-conflist-joined", worker: &[], api: &api }), @r#"
    cni/config-missing > cni/network-not-ready node/not-ready
    flannel/pod-cidr-missing > flannel/pod-failing
    "#);
}

#[test]
fn the_file_that_decides() {
    let not_ready = |status: &'static str| {
        [
            Text("crictl-info", "", "\"NetworkReady\", \"status\": true", "\"NetworkReady\", \"status\": false"),
            Text("crictl-info", "", "{\"Config\": {\"Name\": \"cbr0\"", "{\"Config\": {\"Name\": \"cni-loopback\""),
            Text("crictl-info", "", "\"lastCNILoadStatus\": \"OK\"", status),
        ]
    };
    let first = [Text(
        "cni-dir",
        "",
        FLANNEL_FILE,
        "/etc/cni/net.d/10-flannel.conflist\n644 0:0 9 1 f\t/etc/cni/net.d/00-placeholder.conflist",
    )];
    let invalid = not_ready(
        "\"lastCNILoadStatus\": \"cni config load failed: failed to load CNI config list file /etc/cni/net.d/00-placeholder.conflist: error parsing configuration list: no name\"",
    );
    let changes: Vec<Change> =
        first.iter().chain(&invalid).cloned().chain([Add("cni-file", PLACEHOLDER, "{}")]).collect();
    insta::assert_snapshot!(worker(&changes), @"cni/config-invalid (certain) > cni/network-not-ready");

    let lost =
        not_ready("\"lastCNILoadStatus\": \"cni config load failed: no network config found in /etc/cni/net.d\"");
    insta::assert_snapshot!(worker(&lost), @"cni/not-loaded (certain) > cni/network-not-ready");

    let other = [Text("ip-addr", "", "inet 10.244.2.1/24", "inet 10.244.0.1/16")];
    insta::assert_snapshot!(worker(&other), @"flannel/cni0-differs");
    let loaded = [Add("cni-file", PLACEHOLDER, BRIDGE), Text("crictl-info", "", "cbr0", "placeholder")];
    let changes: Vec<Change> = first.iter().chain(&loaded).chain(&other).cloned().collect();
    insta::assert_snapshot!(worker(&changes), @"cni/shadowed (certain) > flannel/cni0-differs");
}

#[test]
fn plugins_that_are_missing_elsewhere_or_no_programs() {
    let elsewhere = [
        Text("crictl-info", "", "\"PluginDirs\": [\"/opt/cni/bin\"]", "\"PluginDirs\": [\"/usr/lib/cni\"]"),
        Text("containerd-dump", "", "bin_dir = \"/opt/cni/bin\"", "bin_dir = \"/usr/lib/cni\""),
        Add("cni-bin", "/usr/lib/cni", "755 0:0 9 1 f\tbridge\t\t7f454c4602010100000000000000000002003e00\n"),
    ];
    insta::assert_snapshot!(worker(&elsewhere), @"containerd/bin-dir > cni/plugin-missing");
    insta::assert_snapshot!(worker(&[Code("cni-bin", "/opt/cni/bin", 66)]), @"cni/plugin-missing");
    let directory = "755 0:0 4096 1683590400 d\t/opt/cni/bin/flannel\t\t";
    let flannel = "755 0:0 3007000 1683590400 f\t/opt/cni/bin/flannel\t\t";
    insta::assert_snapshot!(worker(&[Text("cni-bin", "", flannel, directory)]), @"cni/plugin-unusable (certain)");
}

#[test]
fn a_subnet_copied_from_another_node() {
    let copied = [
        Text("flannel-env", "", "10.244.2.1/24", "10.244.0.1/24"),
        Text("ip-addr", "", "inet 10.244.2.1/24", "inet 10.244.0.1/24"),
    ];
    insta::assert_snapshot!(worker(&copied), @"flannel/subnet-differs (certain) > flannel/interface-address flannel/subnet-shared");
}

#[test]
fn the_tunnel_and_the_way_to_the_others() {
    let route = "10.244.0.0/24 via 10.244.0.0 dev flannel.1 onlink\n";
    insta::assert_snapshot!(worker(&[Text("ip-route", "", route, "")]), @"flannel/peers-lost");
    let old = [Add("ip-neigh", "", "10.244.0.0 lladdr 00:00:00:00:00:01 PERMANENT\n")];
    insta::assert_snapshot!(worker(&old), @"flannel/peers-lost");
    insta::assert_snapshot!(worker(&[Text("ip-link", "", "4a:1c:32:00:00:01", "4a:1c:32:00:00:02")]),
        @"flannel/mac-differs (certain)");
    insta::assert_snapshot!(worker(&[Text("ip-link", "", "eno1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500", "eno1: <UP> mtu 1400")]),
        @"flannel/mtu-too-large (certain)");
    insta::assert_snapshot!(worker(&[Text("ip-link", "", "dstport 8472", "dstport 4789")]),
        @"flannel/vxlan-differs (certain)");
}

#[test]
fn before_a_join_a_bad_file_is_a_warning_and_after_a_boot_flannel_may_take_its_time() {
    let file = |text| {
        let listed = Text("cni-dir", "", "", "644 0:0 9 1 f\t/etc/cni/net.d/00-placeholder.conflist\n");
        let node = broken("storage-after-reset", "storagenode", &[listed, Add("cni-file", PLACEHOLDER, text)]);
        let cell = node.cell(Area::Cni).unwrap();
        (cell.verdict, cell.text.clone())
    };
    assert_eq!(file("{}"), (Verdict::Warn, "invalid".to_owned()));
    assert_eq!(file(BRIDGE).0, Verdict::Expected, "nobody knows yet that the cluster runs flannel");

    let booting = [
        Code("flannel-env", "", 66),
        Text("ip-link", "", "flannel.1", "vxlan9"),
        Text("ip-addr", "", "flannel.1", "vxlan9"),
    ];
    let cell = |changes: &[Change]| broken("healthy", "homelab", changes).cell(Area::Cni).unwrap().verdict;
    assert_eq!(cell(&booting), Verdict::Fail);
    let young = Text("ident", "", "uptime=181260.48", "uptime=60.00");
    let booting: Vec<Change> = booting.into_iter().chain([young]).collect();
    assert_eq!(cell(&booting), Verdict::Expected);
}
