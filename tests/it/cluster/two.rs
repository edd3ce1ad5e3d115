//! Two clusters in one inventory: each is judged as if it were alone, and the smaller one is named.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use seaworthy::checks::Finding;
use seaworthy::record::Record;
use seaworthy::report::model::{NodeReport, Report};
use seaworthy::verdict::Verdict;

use super::report::{edit, records, report_of, sections, without_tunnels};
use crate::facts::case;

const OTHER: &str = "cluster/other-cluster";

/// The recorded cluster once more, with another CA, older kubelets and other settings. Names, addresses and ids are the
/// same as in the first: a copied lab.
fn copied() -> Vec<Record> {
    let mut records = case("healthy");
    records.iter_mut().for_each(of_another_ca);
    records
}

/// The node belongs to another cluster from here on.
fn of_another_ca(record: &mut Record) {
    record.name = format!("other-{}", record.name);
    let is_ca = |section: &&mut seaworthy::record::Section| {
        section.id == "cert" && section.arg.as_deref() == Some("/etc/kubernetes/pki/ca.crt")
    };
    let own = sections(record).find(is_ca).unwrap().text.clone();
    let other = own.replace("1pC29ZZa", "1pC29ZZb");
    assert_ne!(own, other);
    let (own64, other64) = (STANDARD.encode(&own), STANDARD.encode(&other));
    for section in sections(record) {
        section.text = section.text.replace(&own, &other).replace(&own64, &other64);
    }
    edit(record, "packages", |text| text.replace("kubelet 1.29.15", "kubelet 1.28.9"));
    edit(record, "kubelet-config", |text| text.replace("maxPods: 110", "maxPods: 90"));
    edit(record, "sysctl", |text| text.replace("kernel.panic=10", "kernel.panic=0"));
}

fn node<'r>(report: &'r Report, name: &str) -> &'r NodeReport {
    report.nodes.iter().find(|node| node.name == name).unwrap()
}

/// Everything that is said of a node, but that it is of another cluster.
fn said(node: &NodeReport) -> String {
    let findings: Vec<&Finding> = node.findings.iter().filter(|finding| finding.id != OTHER).collect();
    format!("{:?} {:?} {} {:?} {findings:#?}", node.phase, node.verdict, node.summary, node.areas)
}

fn first() -> Vec<Record> {
    let mut records = records();
    without_tunnels(&mut records);
    records
}

#[test]
fn each_cluster_is_judged_as_if_it_were_alone() {
    let (own, other) = (report_of(&first()), report_of(&copied()));
    let both = report_of(&[first(), copied()].concat());
    for node in own.nodes.iter().chain(&other.nodes) {
        assert_eq!(said(self::node(&both, &node.name)), said(node), "{}", node.name);
    }
    assert_eq!(both.cluster, own.cluster);
    assert_eq!(both.other_clusters, [other.cluster.unwrap()]);
    // Nobody is a duplicate, a stranger or an outlier of the other cluster.
    assert!(both.clusters().all(|cluster| cluster.duplicates.is_empty()));
    assert_eq!(both.cluster.unwrap().inventory.not_in_run, Some(Vec::new()));
}

#[test]
fn nodes_of_the_other_cluster_are_named_and_no_others() {
    let both = report_of(&[first(), copied()].concat());
    for node in &both.nodes {
        let found = node.findings.iter().find(|finding| finding.id == OTHER);
        assert_eq!(found.is_some(), node.name.starts_with("other-"), "{}", node.name);
    }
    let cause = both.root_causes.iter().find(|cause| cause.id == OTHER).unwrap();
    assert_eq!((cause.verdict, cause.nodes.len()), (Verdict::Warn, 2));
    assert!(cause.message.contains("other-masternode"), "{}", cause.message);
    assert!(report_of(&copied()).root_causes.iter().all(|cause| cause.id != OTHER), "alone there is no other");
}

#[test]
fn a_stray_worker_without_its_control_plane_is_foreign_and_changes_nobody() {
    let mut stray = records().into_iter().find(|record| record.name == "worker3").unwrap();
    let mut rest = first();
    rest.retain(|record| record.name != "worker3");
    // The first cluster has never heard of it.
    for record in rest.iter_mut().filter(|record| record.name == "masternode") {
        for (id, word) in [("api-nodes", "node="), ("api-pods-system", "pod=")] {
            edit(record, id, |text| {
                let blocks = text.split(word).filter(|block| !block.contains("worker3"));
                blocks.collect::<Vec<_>>().join(word)
            });
        }
    }
    // The certificate that the twins were made without says which CA that is.
    let ca = case("healthy").iter_mut().find_map(|record| {
        sections(record).find(|section| section.arg.as_deref() == Some("/etc/kubernetes/pki/ca.crt")).cloned()
    });
    for section in sections(&mut stray).filter(|section| section.arg.as_deref() == Some("/etc/kubernetes/pki/ca.crt")) {
        *section = ca.clone().unwrap();
    }
    of_another_ca(&mut stray);
    let alone = report_of(&rest);
    rest.push(stray);
    let report = report_of(&rest);
    for node in &alone.nodes {
        assert_eq!(said(self::node(&report, &node.name)), said(node), "{}", node.name);
    }
    let foreign = &node(&report, "other-worker3").findings;
    let failing: Vec<&str> =
        foreign.iter().filter(|finding| finding.verdict == Verdict::Fail).map(|finding| finding.id.as_str()).collect();
    assert!(failing.contains(&"kubelet/kubeconfig-foreign"), "{failing:?}");
    assert!(report.other_clusters.is_empty(), "no control plane speaks for it");
}
