//! The formats for documents and for machines that watch: Markdown, HTML, `JUnit` XML and Prometheus' metrics. Each is read
//! back by a strict reader of its own.

mod fixture;
mod hostile;
mod html;
mod junit;
mod large;
mod markdown;
mod metrics;

use seaworthy::report::Format;
use seaworthy::report::model::Report;

/// The formats of this module.
const ALL: [Format; 4] = [Format::Markdown, Format::Html, Format::Junit, Format::Prometheus];

fn render(format: Format, report: &Report) -> String {
    super::render(format, report, super::fixture::PLAIN)
}
