//! The subcommands, one file each. Here the command line becomes a call, and an error becomes a message and an exit code.

use std::ffi::OsString;
use std::io::{self, Write};

use clap::{ArgMatches, CommandFactory, FromArgMatches};

use crate::cli::{Cli, Command, SchemaOf, TerminalArgs};
use crate::environment::Environment;
use crate::exit::ExitCode;

mod answers;
mod change;
mod common;
mod demo;
mod diagnose;
mod exec;
mod explain;
mod flannel;
mod hosts;
pub mod inventory;
mod join;
mod join_log;
mod kept;
mod merge;
mod opening;
mod preflight;
mod reading;
mod reset;
mod rounds;
mod run;
mod show;
mod sweep;
mod undo;

/// What every subcommand gets: how to talk to the terminal, where it runs, and which values clap took from where.
struct Context<'c> {
    terminal: &'c TerminalArgs,
    environment: &'c Environment,
    matches: &'c ArgMatches,
}

/// Parses and runs a command line. `quit` is called when the user insists on ending at once.
pub fn run(arguments: impl IntoIterator<Item = OsString>, quit: impl FnOnce() + Send + 'static) -> ExitCode {
    let parsed = Cli::command()
        .try_get_matches_from(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches).map(|cli| (cli, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            let asked_for = !error.use_stderr();
            return if error.print().is_ok() && asked_for { ExitCode::Ok } else { ExitCode::Usage };
        }
    };
    let environment = Environment::read();
    let empty = ArgMatches::default();
    let context =
        Context { terminal: &cli.terminal, environment: &environment, matches: leaf(&matches).unwrap_or(&empty) };
    dispatch(&cli.command, &context, quit).unwrap_or_else(|error| {
        // Nobody is left to read it when standard error is closed.
        let _ = writeln!(io::stderr(), "seaworthy: {}", crate::text::sanitize_block(format!("{error:#}").as_bytes()));
        error.downcast_ref::<common::UsageError>().map_or(ExitCode::OwnError, |_| ExitCode::Usage)
    })
}

/// What was matched for the innermost subcommand.
fn leaf(matches: &ArgMatches) -> Option<&ArgMatches> {
    let (_, inner) = matches.subcommand()?;
    Some(leaf(inner).unwrap_or(inner))
}

fn dispatch(
    command: &Command,
    context: &Context<'_>,
    quit: impl FnOnce() + Send + 'static,
) -> anyhow::Result<ExitCode> {
    match command {
        Command::Sweep(args) => return sweep::run(args, sweep::Purpose::Sweep, context, quit),
        Command::Preflight(args) => return preflight::run(args, context, quit),
        Command::Merge(args) => return merge::run(args, context),
        Command::Exec(args) => return exec::run(args, context, quit),
        Command::Diagnose(args) => return diagnose::run(args, context, quit),
        Command::Run(args) => return run::run(args, context, quit),
        Command::Join(args) => return join::run(args, context, quit),
        Command::Flannel(args) => return flannel::run(args, context, quit),
        Command::Reset(args) => return reset::run(args, context, quit),
        Command::Undo(args) => return undo::run(args, context, quit),
        Command::Demo(args) => return demo::run(args, context, quit),
        Command::Inventory(args) => inventory::run(args, context)?,
        Command::Explain(args) => explain::run(args)?,
        Command::Completions { shell } => common::print(|out| {
            // Generated whole first: clap's generator panics when the reader goes away.
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "seaworthy", &mut script);
            out.write_all(&script)
        })?,
        Command::Man => common::print(|out| clap_mangen::Man::new(Cli::command()).render(out))?,
        Command::Schema { document } => common::print(|out| {
            let schema = match document {
                SchemaOf::Report => crate::report::schema::schema(),
                SchemaOf::JoinLog => crate::diagnose::join_log::schema(),
                SchemaOf::Plan => crate::report::change::document::schema(),
            };
            serde_json::to_writer_pretty(&mut *out, &schema)?;
            writeln!(out)
        })?,
    }
    Ok(ExitCode::Ok)
}
