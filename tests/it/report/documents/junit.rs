//! `JUnit` XML, read back by a strict parser.

use roxmltree::{Document, Node};
use seaworthy::report::Format;

use super::{fixture, render};
use crate::report::fixture as plain;

/// Reads the document and checks that its counts are those of its cases.
pub(super) fn check(text: &str) -> Document<'_> {
    let document = Document::parse(text).unwrap();
    let root = document.root_element();
    assert_eq!(root.tag_name().name(), "testsuites");
    for suite in root.children().filter(Node::is_element).chain([root]) {
        let count = |name: &str| suite.descendants().filter(|node| node.has_tag_name(name)).count().to_string();
        for (attribute, element) in
            [("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")]
        {
            assert_eq!(suite.attribute(attribute), Some(count(element).as_str()), "{attribute} of {suite:?}");
        }
        assert!(suite.attribute("time").unwrap().parse::<f64>().is_ok());
    }
    document
}

#[test]
fn every_check_that_did_not_pass_is_a_case() {
    let text = render(Format::Junit, &fixture::one());
    check(&text);
    insta::assert_snapshot!(text, @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="seaworthy" tests="7" failures="3" errors="0" skipped="3" time="8.412">
      <testsuite name="storagenode" tests="7" failures="3" errors="0" skipped="3" time="0.335" timestamp="2026-07-26T13:41:02" hostname="storagenode.lan:22">
        <testcase classname="storagenode" name="kubelet/drop-in-missing" time="0">
          <failure type="blocker" message="kubeadm&apos;s drop-in is missing">the title of kubelet/drop-in-missing
    drop-in: missing
    process: 2214</failure>
        </testcase>
        <testcase classname="storagenode" name="kubelet/standalone" time="0">
          <failure type="blocker" message="the kubelet never contacts the API">the title of kubelet/standalone
    follows from kubelet/drop-in-missing</failure>
        </testcase>
        <testcase classname="storagenode" name="time/not-synchronized" time="0">
          <failure type="warning-medium" message="nothing disciplines the clock">the title of time/not-synchronized</failure>
        </testcase>
        <testcase classname="storagenode" name="kernel/old" time="0">
          <skipped message="worth knowing: a newer kernel is installed"/>
        </testcase>
        <testcase classname="storagenode" name="time/skew" time="0">
          <skipped message="not judged: not known: member.skew_ms: no control plane was read"/>
        </testcase>
        <testcase classname="storagenode" name="cni/config-missing" time="0">
          <skipped message="normal in this phase: the CNI directory has no configuration"/>
        </testcase>
        <testcase classname="storagenode" name="20 checks passed" time="0"/>
      </testsuite>
    </testsuites>
    "#);
}

#[test]
fn a_node_that_was_not_read_is_an_error() {
    let text = render(Format::Junit, &plain::fleet_of(&["homelab"]));
    let document = check(&text);
    let error = document.descendants().find(|node| node.has_tag_name("error")).unwrap();
    assert_eq!(error.attribute("type"), Some("no-route"));
    assert_eq!(error.attribute("message"), Some("no route to 192.168.4.62 port 22"));
    assert!(error.text().unwrap().starts_with("next: check that it is powered on"));
    // Nothing was judged, so nothing passed.
    assert!(!text.contains("passed"));
}

#[test]
fn other_fleets_are_read_back_as_well() {
    for report in [fixture::fleet(), plain::fleet(), plain::hostile(), plain::report(Vec::new())] {
        let text = render(Format::Junit, &report);
        let document = check(&text);
        let suites = document.root_element().children().filter(Node::is_element).count();
        assert_eq!(suites, report.nodes.len());
    }
}
