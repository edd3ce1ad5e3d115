//! Reports: a finished run as text or data. One file per format; all of them only read the model and write to any `Write`.
//!
//! - [`model`]: the run and its nodes, the one thing that every format shows.
//! - [`style`]: width, colour and signs; chosen at the edge.
//! - `table`, `wide`: for people, the latter with `cluster`. `rows` folds equal nodes, `plan` decides which columns fit,
//!   `grid` lays out, `causes`, `notes` and `closing` stand below.
//! - [`story`]: one node with all that is known of it.
//! - `markdown`, `html`: documents. `details` says facts in words, `groups` puts nodes with equal problems together.
//! - `json`, `jsonl`, `yaml`, `name`: for scripts. [`schema`] describes the first two.
//! - `junit`, `prometheus`: for machines that watch.
//! - [`gate`]: the answer to whether nodes may be upgraded, instead of the table.
//! - [`timings`]: where the time went.
//! - [`round`]: what has changed since the sweep before, where many follow each other.
//! - [`outputs`]: the folded outputs of `exec`.
//! - [`change`]: plans, how a run of changes goes and ended, and what it brought about.
//!
//! Nothing here connects, judges or reads the environment, and nothing prints by itself.

mod causes;
pub mod change;
mod closing;
mod cluster;
mod details;
pub mod gate;
mod grid;
mod groups;
pub(crate) mod html;
pub(crate) mod json;
mod jsonl;
mod junit;
mod markdown;
pub mod model;
mod name;
pub mod noise;
mod notes;
pub mod outputs;
mod plan;
mod prometheus;
pub mod round;
mod rows;
pub mod schema;
pub mod story;
pub mod style;
mod table;
pub mod timings;
mod wide;
pub(crate) mod yaml;

use std::io::{self, Write};

use model::Report;
use style::Style;

/// `-o`: how a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Equal nodes folded, within the terminal's width
    #[default]
    #[value(alias = "text")]
    Table,
    /// Every node and column, with addresses and all reasons
    Wide,
    /// One document
    Json,
    /// The same document as YAML, for reading
    Yaml,
    /// A line for the run, then one line per node
    Jsonl,
    /// The nodes' names, problems first
    Name,
    /// An analysis to read, paste and keep
    Markdown,
    /// One page for a browser that needs nothing else
    Html,
    /// Test results as XML for CI systems: a suite per node
    Junit,
    /// Metrics for the textfile collector of Prometheus
    Prometheus,
}

/// Writes a report. It is streamed, so `out` should be buffered; it is flushed at the end.
///
/// A reader that has seen enough (`| head`) is no failure.
pub fn write(format: Format, report: &Report, style: &Style, out: &mut impl Write) -> io::Result<()> {
    let written = match format {
        Format::Table => table::write(report, style, out),
        Format::Wide => wide::write(report, style, out),
        Format::Json => json::write(report, out),
        Format::Yaml => yaml::write(report, out),
        Format::Jsonl => jsonl::write(report, out),
        Format::Name => name::write(report, out),
        Format::Markdown => markdown::write(report, out),
        Format::Html => html::write(report, out),
        Format::Junit => junit::write(report, out),
        Format::Prometheus => prometheus::write(report, out),
    };
    forgive_broken_pipe(written.and_then(|()| out.flush()))
}

/// Turns the end of a pipe's reader into success.
pub(crate) fn forgive_broken_pipe(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
