//! No report lets anything through that a terminal, a browser or a shell would act on.

use clap::ValueEnum as _;
use pulldown_cmark::{Event, Parser, Tag};
use seaworthy::record::Record;
use seaworthy::report::model::Report;
use seaworthy::report::style::Style;
use seaworthy::report::{self, Format, noise, story, timings};
use seaworthy::text::is_deceptive;

/// Markup that some cases put wherever a node may say something: what must not be an element of any page.
pub(super) const MARKUP: &str = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'>]]><!--";
/// A link that runs something, an image that is fetched, a row of a table, a heading.
pub(super) const MARKDOWN: &str = "[a](javascript:alert(1)) ![b](http://evil.invalid/p.png) | ` ``` # **x**";
/// What a shell would act on.
pub(super) const SHELL: &str = "'; touch /tmp/owned; $(touch /tmp/owned) `touch /tmp/owned` \" | & #";

pub(super) fn assert_clean(case: &str, report: &Report, records: &[Record]) {
    let style = Style { width: 120, color: false, unicode: true };
    for format in Format::value_variants() {
        let mut out = Vec::new();
        report::write(*format, report, &style, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_plain(case, &format!("{format:?}"), &text);
        match format {
            Format::Html => assert_page(case, &text),
            Format::Junit => assert_junit(case, &text),
            Format::Markdown => assert_markdown(case, &text),
            _ => {}
        }
    }
    let mut out = Vec::new();
    noise::write(records, &style, &mut out).unwrap();
    timings::write(report, &style, &mut out).unwrap();
    for node in &report.nodes {
        story::write(report, node, story::More::default(), &style, &mut out).unwrap();
    }
    assert_plain(case, "what is told at length", &String::from_utf8(out).unwrap());
    assert_commands(case, report);
}

/// Nothing that does something to a terminal instead of being seen.
pub(super) fn assert_plain(case: &str, what: &str, text: &str) {
    let raw = |char: &char| (char.is_control() && *char != '\n') || is_deceptive(*char);
    if let Some((place, char)) = text.char_indices().find(|(_, char)| raw(char)) {
        let around: String = text[..place].chars().rev().take(80).collect::<Vec<_>>().into_iter().rev().collect();
        panic!("{case}: {what} has {char:?} behind {around}");
    }
}

fn assert_page(case: &str, text: &str) {
    for element in ["<script>alert", "<img", "onerror=alert(1)>", "javascript:alert(1)\""] {
        assert!(!text.contains(element), "{case}: the page has {element}");
    }
}

fn assert_junit(case: &str, text: &str) {
    let document = roxmltree::Document::parse(text).unwrap_or_else(|error| panic!("{case}: {error}"));
    let foreign = document.descendants().find(|node| ["script", "img"].contains(&node.tag_name().name()));
    assert!(foreign.is_none(), "{case}: {foreign:?}");
}

fn assert_markdown(case: &str, text: &str) {
    for event in Parser::new_ext(text, pulldown_cmark::Options::all()) {
        match event {
            Event::Start(Tag::Image { dest_url, .. }) => panic!("{case}: an image of {dest_url}"),
            Event::Start(Tag::Link { dest_url, .. }) => {
                assert!(!dest_url.contains("javascript"), "{case}: a link to {dest_url}");
            }
            Event::Html(html) | Event::InlineHtml(html) => {
                assert!(!html.contains("script") && !html.contains("img"), "{case}: {html}");
            }
            _ => {}
        }
    }
}

/// What a user is told to type holds nothing that a node said.
fn assert_commands(case: &str, report: &Report) {
    let commands = report.root_causes.iter().filter_map(|cause| cause.remedy.command.as_deref());
    for command in commands {
        assert!(!command.contains("owned"), "{case}: {command}");
    }
    for node in &report.nodes {
        let next = node.failure.as_ref().map_or("", |failure| failure.next.as_str());
        assert!(!next.contains("owned"), "{case}: {next}");
    }
}
