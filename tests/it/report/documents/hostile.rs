//! What nodes say cannot leave its place in any document, and no document grows with it.

use pulldown_cmark::{Event, Tag};
use seaworthy::checks::Severity;
use seaworthy::failure::{Failure, FailureKind};
use seaworthy::report::Format;
use seaworthy::report::model::{NodeReport, Report};
use seaworthy::text::is_deceptive;
use seaworthy::verdict::{Area, Verdict};
use serde_json::json;

use super::{ALL, fixture, html, junit, markdown, metrics, render};
use crate::report::fixture as plain;

const EVIL: [&str; 16] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "]]></failure><evil/>",
    "<!-- comment -->&amp;&#0;",
    "`tick` ``two`` ```three",
    "| a | b |\n|---|---|",
    "# heading\n\n## another\n- list\n1. list\n> quote",
    "[link](javascript:alert(1)) ![image](http://evil.example/x.png) <http://evil.example>",
    "https://evil.example www.evil.example",
    "\u{1b}[31mred\u{1b}]0;title\u{7}\u{9b}2J",
    "\u{202e}txt.exe\u{2066}\u{200b}\u{feff}",
    "nul\0byte\u{1}\u{7f}\u{fffe}\u{ffff}",
    "node=\"x\"} 1\n# HELP seaworthy_node_up evil\nevil 1",
    "{{ 7 * 7 }} {% raw %} ${x} </style></title></textarea>",
    "---\n***\n===\n    code\n\tcode",
];

/// A node in which every text is `text`, and the cause of its trouble.
fn report(texts: &[&str]) -> Report {
    let node = |text: &&str| -> NodeReport {
        let text: &str = text;
        let mut node = plain::with(
            plain::healthy(text, 20),
            Verdict::Fail,
            text,
            vec![
                plain::cell(Area::Kubelet, Verdict::Fail, text, &[text]),
                plain::cell(Area::Cni, Verdict::Warn, text, &[]),
            ],
        );
        text.clone_into(&mut node.address);
        for verdict in [Verdict::Fail, Verdict::Warn, Verdict::Unknown, Verdict::Expected] {
            let mut finding = fixture::finding("kubelet/standalone", verdict, Severity::High, text);
            finding.id = format!("kubelet/{verdict:?}").to_lowercase().into();
            text.clone_into(&mut finding.title);
            finding.evidence = vec![fixture::evidence("value", json!([text, { text: text }]))];
            finding.explained_by = Some(text.into());
            node.findings.push(finding);
        }
        let mut failure = Failure::new(FailureKind::Protocol, text, text);
        text.clone_into(&mut failure.next);
        node.failure = Some(failure);
        node.facts = fixture::storagenode().facts.map(|mut facts| {
            use seaworthy::facts::Fact;
            facts.identity.os_name = Fact::Known(text.to_owned());
            facts.kubelet.version = Fact::Known(text.to_owned());
            facts.cni.conf_dir = Fact::Known(text.to_owned());
            facts.cni.first = Fact::Known(text.to_owned());
            facts.api.flannel_cni_conf = Fact::Known(text.to_owned());
            facts
        });
        node
    };
    let causes = texts.iter().enumerate().map(|(place, text)| {
        let mut cause = fixture::cause("kubelet/standalone", Verdict::Fail, text, &[text]);
        cause.id = format!("kubelet/fault-{place}");
        cause.evidence = vec![fixture::evidence("value", json!(text))];
        cause.not_the_cause[0].what = (*text).to_owned();
        cause.explains[0].title = (*text).to_owned();
        cause.reservations[0].why = (*text).to_owned();
        cause
    });
    let names: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
    let mut report = fixture::report(texts.iter().map(node).collect(), causes.collect());
    report.cluster = Some(fixture::cluster(&names, texts[0], texts[0]));
    report.other_clusters = texts.iter().map(|text| fixture::cluster(&names, text, text)).collect();
    report
}

/// Together and one by one, which is another shape of document.
fn reports() -> Vec<Report> {
    let alone = EVIL.iter().map(|text| report(&[text]));
    std::iter::once(report(&EVIL)).chain(alone).collect()
}

#[test]
fn nothing_acts_on_a_terminal() {
    for report in reports() {
        for format in ALL {
            let text = render(format, &report);
            let leak =
                text.chars().find(|&char| (char.is_control() && !matches!(char, '\n' | '\t')) || is_deceptive(char));
            assert_eq!(leak, None, "{format:?}");
        }
    }
}

#[test]
fn html_and_xml_are_read_back_with_nothing_in_them_but_text() {
    for report in reports() {
        let page = render(Format::Html, &report);
        html::check(&page);
        assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
        let suites = render(Format::Junit, &report);
        let document = junit::check(&suites);
        assert!(document.descendants().all(|node| !node.has_tag_name("evil")));
        let said = |node: &roxmltree::Node<'_, '_>| node.attribute("classname").map(str::to_owned);
        assert!(document.descendants().filter_map(|node| said(&node)).all(|name| !name.is_empty()));
        metrics::check(&render(Format::Prometheus, &report));
    }
}

#[test]
fn markdown_has_the_structure_of_harmless_text() {
    let shape = |text: &str| -> Vec<String> {
        let name = |event: Event<'_>| match event {
            Event::Start(Tag::Item | Tag::List(_) | Tag::Paragraph) => None,
            Event::Start(tag) => Some(format!("{tag:?}").chars().take_while(|char| char.is_alphabetic()).collect()),
            Event::Html(_) | Event::InlineHtml(_) | Event::Rule => Some(format!("{event:?}")),
            _ => None,
        };
        markdown::parse(text).filter_map(name).collect()
    };
    let harmless = render(Format::Markdown, &report(&["words"]));
    let expected = shape(&harmless);
    for text in EVIL {
        let document = render(Format::Markdown, &report(&[text]));
        assert_eq!(shape(&document), expected, "{text}\n{document}");
        assert_eq!(markdown::headings(&document).len(), markdown::headings(&harmless).len());
    }
    let together = render(Format::Markdown, &report(&EVIL));
    let bad = |event: &Event<'_>| {
        matches!(
            event,
            Event::Html(_)
                | Event::InlineHtml(_)
                | Event::Rule
                | Event::Start(Tag::Link { .. } | Tag::Image { .. } | Tag::BlockQuote(_) | Tag::Emphasis)
        )
    };
    assert_eq!(markdown::parse(&together).find(bad), None);
}

#[test]
fn a_node_that_shouts_makes_no_document_large() {
    let long = format!("{}`|<&\"", "word ".repeat(1 << 15));
    for report in [report(&[&long]), report(&[&long, "x"])] {
        for format in ALL {
            let text = render(format, &report);
            assert!(text.len() < 150_000, "{format:?}: {}", text.len());
        }
    }
}
