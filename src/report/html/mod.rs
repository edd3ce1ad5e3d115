//! One HTML page that needs nothing else: no script, no request, no font but the reader's own.
//!
//! A policy in the page itself forbids scripts and the network; the one style sheet is named in it by its hash. The markup
//! is also well-formed XML, so that tests can read it back strictly. Nothing relies on colour: marks have shapes and letters.
//!
//! - [`escape`]: what every value in a template passes through.
//! - `view`: the report as the templates want it. `anchors`: where each node is on the page.

mod anchors;
pub(crate) mod escape;
mod view;

use std::io::{self, Write};

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::report::model::Report;
use view::View;

const STYLE: &str = include_str!("style.css");

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'r> {
    view: View<'r>,
    style: &'static str,
    /// As the page's own policy names the style sheet.
    style_hash: String,
    version: &'static str,
}

pub(crate) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let page = Page {
        view: View::new(report),
        style: STYLE,
        style_hash: STANDARD.encode(Sha256::digest(STYLE)),
        version: env!("CARGO_PKG_VERSION"),
    };
    page.write_into(out)
}
