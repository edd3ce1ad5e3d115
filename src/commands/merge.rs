//! `seaworthy merge RUN…`: reads the runs of all shards, keeps what they are together, and prints it as any kept run.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::show::Show;
use super::sweep::Purpose;
use super::{Context, common, hosts, kept};
use crate::cli::MergeArgs;
use crate::exit::ExitCode;
use crate::fleet::Understood;
use crate::run::merge::{Merge, Merged, Piece};
use crate::run::{self, RunError, Writer};

pub(super) fn run(args: &MergeArgs, context: &Context<'_>) -> anyhow::Result<ExitCode> {
    let config = hosts::configuration(context.environment)?;
    let runs = || common::runs_directory(args.keep.runs.run_dir.as_deref(), &config.config, context.environment);
    // A path needs no directory of runs.
    let known = runs().unwrap_or_default();
    let mut told = Vec::new();
    let mut merge = Merge::default();
    for directory in directories(&args.runs, &known, context, &mut told)? {
        match run::read_file(&directory) {
            Ok(run) => merge.add(Piece { directory, run })?,
            // Its shard is missing then, unless there is another run of it; all others are still worth merging.
            Err(error @ (RunError::Malformed { .. } | RunError::Read { .. })) => told.push(error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    let mut merged = merge.finish(SystemTime::now()).inspect_err(|_| common::warn(&told))?;
    let runs = if args.keep.no_save { None } else { Some(runs()?) };
    let Read { nodes, damaged, kept } = read(&mut merged, runs.as_deref());
    told.extend(damaged.iter().map(ToString::to_string));
    told.extend(notes(&merged));
    // What cannot be written stops nothing: the result is still printed.
    let kept = kept.and_then(|kept| kept.map_err(|error| told.push(error.to_string())).ok());
    common::warn(&told);

    let purpose = merged.run.target.map_or(Purpose::Sweep, |target| Purpose::Preflight(Some(target)));
    let show = Show { format: args.output, style: common::style(context.terminal, context.environment) };
    let code = kept::show((merged.run, nodes), purpose, &args.checks, show, context)?;
    if let Some(directory) = kept.filter(|_| !context.terminal.quiet) {
        let _ = writeln!(io::stderr(), "kept in {} (print it again with --from last)", directory.display());
    }
    Ok(args.outcome.of(code))
}

/// The runs that are meant. A directory that is no run stands for the runs of shards that it holds.
fn directories(
    wanted: &[String],
    runs: &Path,
    context: &Context<'_>,
    told: &mut Vec<String>,
) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for wanted in wanted {
        let path = context.environment.directory.join(wanted);
        if !path.is_dir() || path.join("run.json").exists() {
            let given = if path.is_dir() { path } else { run::find(runs, wanted, None)? };
            found.push(given);
            continue;
        }
        let mut below = run::list(&path)?.into_iter().map(|id| path.join(id)).collect::<BTreeSet<_>>();
        let all = below.len();
        below.retain(|directory| run::is_shard(directory) != Some(false));
        let (left, held) = (all - below.len(), path.display());
        anyhow::ensure!(!below.is_empty(), "{held} is no run, and holds no run of a shard; name a directory that does");
        if left > 0 {
            told.push(format!("{left} runs in {held} are no shards, and are left out"));
        }
        found.extend(below);
    }
    Ok(found)
}

/// What somebody who reads the result has to know.
fn notes(merged: &Merged) -> Vec<String> {
    let missing = merged.missing.iter().map(|(shard, hosts)| {
        format!("shard {shard} is missing: its {hosts} nodes are unknown; run it and merge again")
    });
    let cut_off = merged.cut_off.iter().map(|(shard, directory)| {
        format!("shard {shard} ({}) did not end by itself; what it read is shown", directory.display())
    });
    let superseded = merged.superseded.iter().map(|(shard, directory)| {
        format!("{} was cut off and is left out: another run of shard {shard} ended", directory.display())
    });
    missing.chain(cut_off).chain(superseded).collect()
}

/// What became of the records, and of keeping them.
struct Read {
    nodes: Vec<Understood>,
    damaged: Vec<RunError>,
    /// The new run's directory; `None` where nothing is to be kept.
    kept: Option<Result<PathBuf, RunError>>,
}

/// Reads all records, and keeps each below `runs` before its texts are dropped.
fn read(merged: &mut Merged, runs: Option<&Path>) -> Read {
    let writer = match runs.map(|runs| Writer::create(runs, merged.run.clone())).transpose() {
        Ok(writer) => writer,
        Err(error) => return Read { kept: Some(Err(error)), ..read(merged, None) },
    };
    if let Some(writer) = &writer {
        merged.run.id.clone_from(&writer.file().id);
    }
    let (read, damaged) = merged.load_as(|record| {
        let saved = writer.as_ref().map_or(Ok(()), |writer| writer.save(&record));
        (Understood::new(record), saved)
    });
    let (nodes, saved): (Vec<Understood>, Vec<Result<(), RunError>>) = read.into_iter().unzip();
    let kept = writer.map(|writer| {
        saved.into_iter().collect::<Result<(), RunError>>()?;
        writer.finish(&merged.run)?;
        Ok(writer.directory().to_owned())
    });
    Read { nodes, damaged, kept }
}
