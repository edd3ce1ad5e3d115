//! What login shells printed around the probe, for `-vv`: usually why a tool that parses naively fails on that node.

use std::io::{self, Write};

use crate::names::natural_cmp;
use crate::record::Record;
use crate::report::style::Style;

/// Writes a paragraph per node that printed anything of its own.
pub fn write(records: &[Record], style: &Style, out: &mut impl Write) -> io::Result<()> {
    let mut noisy: Vec<(&str, &str, &str)> = records
        .iter()
        .filter_map(|record| {
            let probe = record.probe.as_ref()?;
            let (noise, stderr) = (probe.noise.trim(), probe.stderr.trim());
            (!noise.is_empty() || !stderr.is_empty()).then_some((record.name.as_str(), noise, stderr))
        })
        .collect();
    noisy.sort_by(|a, b| natural_cmp(a.0, b.0));
    for (name, noise, stderr) in noisy {
        for (what, text) in [("printed before the probe", noise), ("printed on standard error", stderr)] {
            if !text.is_empty() {
                writeln!(out, "\n{} {what}:", style.text(name))?;
                for line in text.lines() {
                    writeln!(out, "  {}", style.text(line))?;
                }
            }
        }
    }
    Ok(())
}
