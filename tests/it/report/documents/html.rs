//! HTML: well-formed, complete in itself, and every link leads somewhere.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roxmltree::{Document, Node, ParsingOptions};
use seaworthy::report::Format;
use seaworthy::report::model::Report;
use sha2::{Digest as _, Sha256};

use super::{fixture, render};
use crate::report::fixture as plain;

/// Reads the page as strictly as XML, and checks what holds for every page.
pub(super) fn check(text: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, nodes_limit: u32::MAX, ..ParsingOptions::default() };
    let page = Document::parse_with_options(text, options).unwrap();
    let mut ids = BTreeSet::new();
    for node in page.descendants().filter(Node::is_element) {
        let name = node.tag_name().name();
        assert!(!matches!(name, "script" | "iframe" | "object" | "embed" | "img" | "form" | "base"), "{name}");
        for attribute in node.attributes() {
            assert!(!attribute.name().starts_with("on"), "{attribute:?}");
            assert!(!matches!(attribute.name(), "src" | "style" | "srcset" | "action" | "xlink:href"), "{attribute:?}");
        }
        if let Some(id) = node.attribute("id") {
            assert!(ids.insert(id), "{id} twice");
        }
    }
    for link in page.descendants().filter_map(|node| node.attribute("href")) {
        let inside = link.strip_prefix('#').is_some_and(|id| ids.contains(id));
        assert!(inside || link == "data:,", "{link}");
    }
    page
}

fn html(report: &Report) -> String {
    render(Format::Html, report)
}

fn words(node: Node<'_, '_>) -> String {
    let text: Vec<&str> = node.descendants().filter(Node::is_text).filter_map(|node| node.text()).collect();
    text.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn by_id<'a, 'd>(page: &'a Document<'d>, id: &str) -> Node<'a, 'd> {
    page.descendants().find(|node| node.attribute("id") == Some(id)).unwrap()
}

#[test]
fn every_page_is_complete_in_itself() {
    let reports = [fixture::fleet(), fixture::one(), plain::fleet(), plain::hostile(), plain::report(Vec::new())]
        .map(|it| html(&it));
    for text in &reports {
        check(text);
        assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("url("), "{text}");
    }
}

#[test]
fn the_policy_names_the_style_sheet_and_nothing_else() {
    let text = html(&fixture::fleet());
    let page = check(&text);
    let policy =
        page.descendants().find(|node| node.attribute("http-equiv") == Some("Content-Security-Policy")).unwrap();
    let style = text.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    let hash = STANDARD.encode(Sha256::digest(style));
    let expected =
        format!("default-src 'none'; style-src 'sha256-{hash}'; img-src data:; base-uri 'none'; form-action 'none'");
    assert_eq!(policy.attribute("content"), Some(expected.as_str()));
}

#[test]
fn the_page_says_what_the_report_says() {
    let text = html(&fixture::fleet());
    let page = check(&text);
    let heading = page.descendants().find(|node| node.has_tag_name("h1")).unwrap();
    assert_eq!(words(heading), "3 of 23 nodes need attention");
    insta::assert_snapshot!(words(by_id(&page, "cause-1")), @"1 the kubelet lacks kubeadm's drop-in fails blocker certain kubelet/drop-in-missing the kubelet lacks kubeadm's drop-in, at length on storagenode evidence command line /usr/bin/kubelet, --v=2 explains the join failed not the cause mounts read and sound not ruled out the disk is full df hangs next Reinstall it, with dnf on RPM systems. on the node · look before you run it apt-get install --reinstall kubeadm systemctl daemon-reload");
    let node = words(by_id(&page, "node-storagenode"));
    assert!(node.contains("kubeadm's drop-in is missing blocker · kubelet/drop-in-missing · root cause 1"), "{node}");
    assert!(node.contains("follows from kubelet/drop-in-missing"), "{node}");
    assert!(node.contains("1 check could not be judged"), "{node}");
    assert!(words(by_id(&page, "node-node58")).starts_with("node58"));
    assert!(words(by_id(&page, "node-node07")).starts_with("node07"));
}

#[test]
fn those_who_do_not_see_it_can_find_their_way() {
    let text = html(&plain::fleet());
    let page = check(&text);
    let count = |name: &str| page.descendants().filter(|node| node.has_tag_name(name)).count();
    assert_eq!([count("main"), count("header"), count("nav"), count("footer"), count("h1")], [1, 1, 1, 1, 1]);
    assert!(page.descendants().filter(|node| node.has_tag_name("th")).all(|node| node.attribute("scope").is_some()));
    assert!(
        page.descendants().filter(|node| node.has_tag_name("svg")).all(|node| node.attribute("aria-label").is_some())
    );
    let html = page.root_element();
    assert_eq!(html.attribute("lang"), Some("en"));
    let skip = page.descendants().find(|node| node.attribute("class") == Some("skip")).unwrap();
    assert_eq!(skip.attribute("href"), Some("#main"));
    // Headings descend one level at a time.
    let mut last = 0;
    for heading in page.descendants() {
        let Some(level) = heading.tag_name().name().strip_prefix('h').and_then(|level| level.parse::<u32>().ok())
        else {
            continue;
        };
        assert!(level <= last + 1, "{}", words(heading));
        last = level;
    }
}

#[test]
fn the_cluster_is_told_in_tables() {
    let text = html(&fixture::fleet());
    let page = check(&text);
    let cluster = by_id(&page, "cluster");
    let said = words(cluster);
    for part in [
        "kubelet 1.29.15 20 node[01-20] 1.28.9 (few) 1 storagenode",
        "kubelet of workers: lines that differ from node[01-20]",
        "storagenode (few) cgroupDriver = cgroupfs cgroupDriver = systemd none maxPods = 110 and 7 more lines",
        "and 3 more kinds",
        "machine-id 0fa06b48 2 node01, storagenode",
        "kube-flannel/kube-flannel-ds 5 4 ?",
        "none: it does not tolerate the taint gpu:NoExecute 1 storagenode",
        "not ready: CrashLoopBackOff 1 other",
        "joined, and the cluster does not know it 1 storagenode",
        "in the cluster and not in this run 1 gone",
        "kernel.ip_forward no yes 12 of 12 cni.first none yes 12 of 12",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    let tables: Vec<_> = cluster.descendants().filter(|node| node.has_tag_name("table")).collect();
    assert_eq!(tables.len(), 8);
    for table in tables {
        // Who cannot see or point reads and scrolls it all the same.
        assert!(!words(table.first_element_child().filter(|first| first.has_tag_name("caption")).unwrap()).is_empty());
        let region = table.parent().unwrap();
        assert_eq!((region.attribute("role"), region.attribute("tabindex")), (Some("region"), Some("0")));
        assert!(region.attribute("aria-label").is_some_and(|label| !label.is_empty()));
        let columns = table.descendants().filter(|node| node.attribute("scope") == Some("col")).count();
        for body in table.children().filter(|node| node.has_tag_name("tbody")) {
            let lines: Vec<_> = body.children().filter(Node::is_element).collect();
            let heads: Vec<_> = body.descendants().filter(|node| node.attribute("scope") == Some("rowgroup")).collect();
            assert_eq!(heads.len(), 1);
            assert_eq!(heads[0].attribute("rowspan"), Some(lines.len().to_string().as_str()));
            for (place, line) in lines.iter().enumerate() {
                let cells = line.children().filter(Node::is_element).count();
                assert_eq!(cells, columns - usize::from(place > 0));
            }
        }
    }
    assert!(page.descendants().any(|node| node.attribute("href") == Some("#cluster")));
}

#[test]
fn several_clusters_are_told_apart() {
    let mut report = fixture::fleet();
    report.other_clusters = vec![fixture::cluster(&["x1".to_owned(), "x2".to_owned()], "x3", "")];
    report.other_clusters[0].control_planes = vec!["x-master".to_owned()];
    let text = html(&report);
    let page = check(&text);
    assert!(words(by_id(&page, "cluster")).starts_with("The cluster of master "));
    assert!(words(by_id(&page, "cluster-2")).starts_with("The cluster of x-master "));
}
