//! What one command printed on many nodes: equal outputs are shown once, under the folded names of their nodes.
//!
//! Used by `exec`. Outputs are compared by hash, so ten thousand large ones cost one pass; nothing is copied. What a node says is
//! set in, so that no node can print a heading in another's name.

use std::collections::HashMap;
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::names;
use crate::report::style::{Style, Tone};
use crate::report::{forgive_broken_pipe, grid, json};
use crate::text;

/// The version of the document.
pub const OUTPUTS_SCHEMA: &str = "seaworthy/exec/v1";

/// Before every line below a heading.
const MARGIN: &str = "  ";

/// What came of one command on one node.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NodeOutput {
    pub name: String,
    /// The command's exit code; `null` when it is not known because the node was not reached or the command not seen to end.
    pub exit: Option<i32>,
    /// What it printed. In JSON, bytes that are not UTF-8 are replaced by U+FFFD.
    #[serde(serialize_with = "lossy")]
    #[schemars(with = "String")]
    pub stdout: Vec<u8>,
    #[serde(serialize_with = "lossy")]
    #[schemars(with = "String")]
    pub stderr: Vec<u8>,
    /// `null` when the command ran to its end.
    pub failure: Option<Failure>,
}

fn lossy<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(bytes))
}

/// Nodes with the same output, exit code and failure.
#[derive(Debug)]
pub struct Group<'a> {
    /// In natural order.
    pub names: Vec<&'a str>,
    /// The one that stands for all; its name means nothing.
    pub output: &'a NodeOutput,
}

/// Groups equal outputs: the largest group first, groups of one size by their first names.
pub fn groups(outputs: &[NodeOutput]) -> Vec<Group<'_>> {
    type Key<'a> = (Option<i32>, &'a [u8], &'a [u8], Option<(&'a str, &'a str)>);
    let mut places: HashMap<Key<'_>, usize> = HashMap::new();
    let mut groups: Vec<Group<'_>> = Vec::new();
    for output in outputs {
        let failure = output.failure.as_ref().map(|failure| (failure.message.as_str(), failure.next.as_str()));
        // The map hashes each output once and compares only those whose hashes are equal.
        let place = *places.entry((output.exit, &output.stdout, &output.stderr, failure)).or_insert_with(|| {
            groups.push(Group { names: Vec::new(), output });
            groups.len() - 1
        });
        groups[place].names.push(&output.name);
    }
    for group in &mut groups {
        group.names.sort_by(|a, b| names::natural_cmp(a, b));
    }
    groups.sort_by(|a, b| {
        b.names.len().cmp(&a.names.len()).then_with(|| match (a.names.first(), b.names.first()) {
            (Some(a), Some(b)) => names::natural_cmp(a, b),
            (a, b) => a.cmp(&b),
        })
    });
    groups
}

/// What the program's exit code says about these outputs.
pub fn exit_code(outputs: &[NodeOutput]) -> ExitCode {
    outputs.iter().fold(ExitCode::Ok, |code, output| {
        code.merge(match (&output.failure, output.exit) {
            (Some(_), _) => ExitCode::Unreachable,
            (None, Some(0)) => ExitCode::Ok,
            (None, _) => ExitCode::Problems,
        })
    })
}

/// How outputs are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum OutputsFormat {
    /// Equal outputs folded
    #[default]
    Folded,
    /// One document
    Json,
    /// One line per node
    Jsonl,
}

/// Writes what all nodes printed. A reader that has seen enough is no failure.
pub fn write(format: OutputsFormat, outputs: &[NodeOutput], style: &Style, out: &mut impl Write) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'a> {
        schema: &'static str,
        nodes: &'a [NodeOutput],
    }
    let written = match format {
        OutputsFormat::Folded => write_folded(outputs, style, out),
        OutputsFormat::Json => json::write_pretty(&Document { schema: OUTPUTS_SCHEMA, nodes: outputs }, out),
        OutputsFormat::Jsonl => outputs.iter().try_for_each(|output| json::write_line(output, out)),
    };
    forgive_broken_pipe(written.and_then(|()| out.flush()))
}

fn write_folded(outputs: &[NodeOutput], style: &Style, out: &mut impl Write) -> io::Result<()> {
    for (index, group) in groups(outputs).iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        write_group(group, style, out)?;
    }
    Ok(())
}

fn write_group(group: &Group<'_>, style: &Style, out: &mut impl Write) -> io::Result<()> {
    let folded: Vec<String> = names::fold(group.names.iter().copied()).iter().map(ToString::to_string).collect();
    let mut header = style.text(&folded.join(",")).into_owned();
    if group.names.len() > 1 {
        header = format!("{header} ({})", group.names.len());
    }
    write!(out, "{}", style.paint(Tone::Heading, &header))?;

    let output = group.output;
    let state = match (&output.failure, output.exit) {
        (Some(failure), _) => Some(style.text(&failure.message).into_owned()),
        (None, Some(0)) => None,
        (None, Some(code)) => Some(format!("exit {code}")),
        (None, None) => Some("exit unknown".to_owned()),
    };
    if let Some(state) = state {
        grid::write_spaces(out, grid::GAP)?;
        write!(out, "{}", style.paint(Tone::Fail, &state))?;
    }
    writeln!(out)?;

    write_block(&output.stdout, Tone::Plain, style, out)?;
    if !output.stderr.is_empty() {
        writeln!(out, "{MARGIN}{}", style.paint(Tone::Dim, "stderr:"))?;
        write_block(&output.stderr, Tone::Warn, style, out)?;
    }
    if let Some(failure) = output.failure.as_ref().filter(|failure| !failure.next.is_empty()) {
        writeln!(out, "{MARGIN}{}  {}", style.paint(Tone::Dim, "next"), style.text(&failure.next))?;
    }
    Ok(())
}

/// Writes text line by line, so that colours end where their lines end, and a long line piece by piece: escapes are four times as
/// long as what they stand for.
fn write_block(bytes: &[u8], tone: Tone, style: &Style, out: &mut impl Write) -> io::Result<()> {
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        out.write_all(MARGIN.as_bytes())?;
        let mut rest = line;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(piece_of(rest));
            let clean = text::sanitize_block(piece);
            write!(out, "{}", style.paint(tone, &style.signs(clean.trim_end_matches('\n'))))?;
            rest = behind;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// How many bytes of a text are sanitised at once; no character is cut in two.
fn piece_of(text: &[u8]) -> usize {
    const PIECE: usize = 64 << 10;
    const CHARACTER: usize = 4;
    if text.len() <= PIECE + CHARACTER {
        return text.len();
    }
    let inside = |at: &usize| text.get(*at).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
    (PIECE..PIECE + CHARACTER).find(|at| !inside(at)).unwrap_or(PIECE)
}
