//! YAML: the same document as JSON, for reading.
//!
//! YAML has no escape that every emitter uses, so characters that act on a terminal are replaced by visible escapes here.
//! A script that needs such text unchanged takes JSON.

use std::io::{self, Write};

use serde::Serialize;
use serde_yaml::Value;

use crate::report::jsonl::Head;
use crate::report::model::Report;
use crate::text;

pub(crate) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    write_value(&Head::of(report), out)?;
    if report.nodes.is_empty() {
        return writeln!(out, "nodes: []");
    }
    // One node at a time: a list of one, written without a document marker, continues the list above it.
    writeln!(out, "nodes:")?;
    report.nodes.iter().try_for_each(|node| write_value(&[node], out))
}

/// Any document, made safe in the same way.
pub(crate) fn write_value(value: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    let mut value = serde_yaml::to_value(value).map_err(io::Error::other)?;
    clean(&mut value);
    let text = serde_yaml::to_string(&value).map_err(io::Error::other)?;
    out.write_all(text.as_bytes())
}

fn clean(value: &mut Value) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(string) => *string = text::sanitize_block(string.as_bytes()),
        Value::Sequence(items) => items.iter_mut().for_each(clean),
        Value::Mapping(entries) => {
            // Keys may be a node's words too (names of sysctls, of files).
            *entries = std::mem::take(entries)
                .into_iter()
                .map(|(mut key, mut value)| {
                    clean(&mut key);
                    clean(&mut value);
                    (key, value)
                })
                .collect();
        }
        Value::Tagged(tagged) => clean(&mut tagged.value),
    }
}
