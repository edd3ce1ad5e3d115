//! A `kubeadm join`'s output as a file: read within bounds, classified, and printed where no node is asked about.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::Path;

use anyhow::Context as _;

use super::common::UsageError;
use super::{Context, common};
use crate::cli::DiagnoseFormat;
use crate::diagnose::join_log::{self, Ending, JoinLog};
use crate::exit::ExitCode;
use crate::report::json;

/// How much is read at once.
const CHUNK: usize = 1 << 20;

/// Prints what the log alone says.
pub(super) fn show(
    path: &Path,
    log: &JoinLog,
    format: DiagnoseFormat,
    context: &Context<'_>,
) -> anyhow::Result<ExitCode> {
    match format {
        DiagnoseFormat::Json => common::print(|mut out| json::write_pretty(log, &mut out))?,
        DiagnoseFormat::Markdown | DiagnoseFormat::Html => {
            let message = "a join log alone is printed as text or json; name its node for a document".to_owned();
            return Err(UsageError::new(message).into());
        }
        DiagnoseFormat::Text => {
            refuse_nothing(path, log)?;
            let text = join_log::render(log, &common::style(context.terminal, context.environment));
            common::print(|out| out.write_all(text.as_bytes()))?;
        }
    }
    Ok(match log.ending {
        Some(Ending::Joined) => ExitCode::Ok,
        Some(Ending::Failed | Ending::CutOff) => ExitCode::Problems,
        None => ExitCode::OwnError,
    })
}

/// A log without a join in it is the wrong file.
pub(super) fn refuse_nothing(path: &Path, log: &JoinLog) -> anyhow::Result<()> {
    match log.nothing {
        Some(nothing) => anyhow::bail!("{}: {}", name(path), join_log::nothing_says(nothing)),
        None => Ok(()),
    }
}

fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

pub(super) fn read(path: &Path) -> anyhow::Result<JoinLog> {
    let read = || {
        if path == Path::new("-") {
            return tail(&mut io::stdin().lock());
        }
        let mut file = File::open(path)?;
        let size = file.metadata().map_or(0, |data| if data.is_file() { data.len() } else { 0 });
        // One byte more than is kept, so that the classifier knows that something is missing.
        let skipped = size.saturating_sub(join_log::MAX_BYTES as u64 + 1);
        file.seek(SeekFrom::Start(skipped)).or_else(|error| if skipped == 0 { Ok(0) } else { Err(error) })?;
        let (bytes, dropped) = tail(&mut file)?;
        Ok((bytes, skipped + dropped))
    };
    let (bytes, before) = read().with_context(|| format!("cannot read {}", name(path)))?;
    let mut log = join_log::classify(&bytes);
    log.skipped_bytes += before;
    Ok(log)
}

/// Reads to the end and keeps the last bytes, one more than the classifier takes; and how many were dropped before them.
/// Memory stays bounded whatever the other side sends.
fn tail(from: &mut impl Read) -> io::Result<(Vec<u8>, u64)> {
    let most = join_log::MAX_BYTES + 1;
    let mut kept = Vec::new();
    let mut dropped = 0;
    loop {
        let read = from.take(CHUNK as u64).read_to_end(&mut kept)?;
        let excess = kept.len().saturating_sub(most);
        // Dropped rarely: each time the rest is moved.
        if excess > most / 2 || (read == 0 && excess > 0) {
            kept.drain(..excess);
            dropped += excess as u64;
        }
        if read == 0 {
            return Ok((kept, dropped));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept() {
        let (kept, dropped) = tail(&mut io::repeat(b'x').take(3 * CHUNK as u64).chain(&b"end"[..])).unwrap();
        assert_eq!((kept.len(), dropped), (3 * CHUNK + 3, 0));
        let total = 2 * join_log::MAX_BYTES as u64;
        let (kept, dropped) = tail(&mut io::repeat(b'x').take(total - 3).chain(&b"end"[..])).unwrap();
        assert!(kept.ends_with(b"xend"));
        assert_eq!((kept.len(), kept.len() as u64 + dropped), (join_log::MAX_BYTES + 1, total));
    }
}
