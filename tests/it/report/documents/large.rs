//! Five thousand nodes: no document grows beyond what a reader opens, whatever is wrong with how many of them.

use seaworthy::checks::Severity;
use seaworthy::diagnose::duplicates::Duplicate;
use seaworthy::diagnose::matrix::VersionValue;
use seaworthy::diagnose::outliers::Configuration;
use seaworthy::report::Format;
use seaworthy::report::model::cluster::{ClusterReport, MissingPod, NodeDifferences};
use seaworthy::report::model::{NodeReport, Report};
use seaworthy::verdict::{Area, Verdict};
use serde_json::json;

use super::{ALL, fixture, html, junit, metrics, render};
use crate::report::fixture as plain;

const NODES: u32 = 5_000;

/// Nodes of which every one is broken in its own way.
fn all_different() -> Report {
    let node = |number: u32| -> NodeReport {
        let summary = format!("fault {number}");
        let mut node = plain::with(
            plain::healthy(&format!("ip-10-{}-{}-{}", number % 7, number / 70, number % 70), number % 90),
            Verdict::Fail,
            &summary,
            vec![plain::cell(Area::Kubelet, Verdict::Fail, &summary, &[])],
        );
        for id in ["kubelet/a", "kubelet/b", "containerd/c", "disk/d"] {
            let mut finding =
                fixture::finding(id, Verdict::Fail, Severity::High, &format!("{number} is wrong with {id}"));
            finding.evidence =
                vec![fixture::evidence("process", json!(number)), fixture::evidence("path", json!("/etc"))];
            node.findings.push(finding);
        }
        node
    };
    let nodes: Vec<NodeReport> = (0..NODES).map(node).collect();
    let names: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let cause = fixture::cause("kubelet/a", Verdict::Fail, "a fault", &names);
    let mut report = fixture::report(nodes, vec![cause]);
    let owned: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    report.cluster = Some(all_configured_differently(&owned));
    report
}

/// Everything that can differ differs on each node.
fn all_configured_differently(names: &[String]) -> ClusterReport {
    let mut cluster = fixture::cluster(names, &names[0], "");
    let versions = &mut cluster.versions[0];
    versions.values = names
        .iter()
        .map(|name| VersionValue { value: format!("1.{name}"), minority: true, nodes: vec![name.clone()] })
        .collect();
    let duplicate = cluster.duplicates[0].clone();
    cluster.duplicates = names.iter().map(|name| Duplicate { value: name.clone(), ..duplicate.clone() }).collect();
    // Five thousand copies of all names would be no report.
    let split = fixture::cluster(&names[..9], &names[9], "").configurations.remove(0);
    cluster.configurations =
        names.iter().map(|name| Configuration { version: name.clone(), ..split.clone() }).collect();
    cluster.inventory.not_in_run = Some(names.iter().map(|name| format!("{name}.{name}")).collect());
    if let Some(flannel) = &mut cluster.flannel {
        let missing = flannel.missing[0].clone();
        flannel.missing = names
            .iter()
            .map(|name| MissingPod { node: name.clone(), detail: format!("because of {name}"), ..missing.clone() })
            .collect();
    }
    let differences = cluster.siblings[0].differences.clone();
    let mut of_node = |name: &String| {
        let mut differences = differences.clone();
        differences[0].path.clone_from(name);
        NodeDifferences { node: name.clone(), differences }
    };
    cluster.siblings = names.iter().take(50).map(&mut of_node).collect();
    cluster
}

#[test]
fn what_is_said_of_the_cluster_is_bounded_and_says_what_is_left_out() {
    let report = all_different();
    let text = render(Format::Html, &report);
    let page = html::check(&text);
    let section = page.descendants().find(|node| node.attribute("id") == Some("cluster")).unwrap();
    let rows = section.descendants().filter(|node| node.has_tag_name("tr")).count();
    assert!((100..350).contains(&rows), "{rows}");
    for words in [
        "and 4988 more versions",
        "and 4960 more parts",
        "and 4960 more of them",
        "and 4962 more states",
        "and 10 more",
    ] {
        assert!(text.contains(words), "{words} is missing");
    }
    let document = render(Format::Markdown, &report);
    let start = document.find("## The cluster").unwrap();
    let end = document.find("## Nodes with problems").unwrap();
    assert!(end - start < 150_000, "{}", end - start);
    assert!(document.contains("and 4988 more versions"));
}

fn all_sound() -> Report {
    fixture::report(
        (0..NODES).map(|number| plain::healthy(&format!("node{number:04}"), number % 70)).collect(),
        Vec::new(),
    )
}

#[test]
fn documents_stay_small() {
    let (broken, sound) = (all_different(), all_sound());
    for format in ALL {
        let size = render(format, &broken).len();
        assert!(size < 12_000_000, "{format:?}: {size}");
        let size = render(format, &sound).len();
        let most = if format == Format::Markdown { 10_000 } else { 5_000_000 };
        assert!(size < most, "{format:?}: {size}");
    }
}

#[test]
fn the_page_holds_every_node_and_shows_few_at_once() {
    let text = render(Format::Html, &all_different());
    let page = html::check(&text);
    let ids = page.descendants().filter_map(|node| node.attribute("id")).filter(|id| id.starts_with("node-")).count();
    assert_eq!(ids, NODES as usize);
    let articles = page.descendants().filter(|node| node.attribute("class") == Some("node f")).count();
    assert_eq!(articles, 1_000);
    let open = |node: roxmltree::Node<'_, '_>| {
        !node.ancestors().any(|above| above.has_tag_name("details") && above.attribute("open").is_none())
    };
    let rows = page.descendants().filter(|node| node.has_tag_name("tr") && open(*node)).count();
    assert!(rows < 100, "{rows}");
}

#[test]
fn machines_get_every_node() {
    let report = all_different();
    let suites = render(Format::Junit, &report);
    let document = junit::check(&suites);
    assert_eq!(document.descendants().filter(|node| node.has_tag_name("testsuite")).count(), NODES as usize);
    let text = render(Format::Prometheus, &report);
    metrics::check(&text);
    assert_eq!(text.lines().filter(|line| line.starts_with("seaworthy_node_up{")).count(), NODES as usize);
}
