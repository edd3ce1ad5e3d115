//! How the result of a sweep is printed, whether it was just read or was kept.

use std::io;

use super::{Context, common};
use crate::checks::Checks;
use crate::cli::TerminalArgs;
use crate::record::Record;
use crate::report::model::Report;
use crate::report::style::Style;
use crate::report::{self, Format};

/// How the result is printed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Show {
    pub(super) format: Format,
    pub(super) style: Style,
}

impl Show {
    pub(super) fn print(
        self,
        report: &Report,
        records: &[Record],
        checks: &Checks,
        context: &Context<'_>,
    ) -> anyhow::Result<()> {
        common::print(|out| self.write(report, records, checks, context.terminal, out))
    }

    pub(super) fn write(
        self,
        report: &Report,
        records: &[Record],
        checks: &Checks,
        terminal: &TerminalArgs,
        mut out: &mut dyn io::Write,
    ) -> io::Result<()> {
        match (&report.run.gate, self.format) {
            (Some(gate), Format::Table) => report::gate::write(report, gate, checks, &self.style, &mut out)?,
            (Some(gate), Format::Wide) => {
                report::write(self.format, report, &self.style, &mut out)?;
                report::gate::write_lines(report, gate, checks, &self.style, &mut out)?;
            }
            _ => report::write(self.format, report, &self.style, &mut out)?,
        }
        if matches!(self.format, Format::Table | Format::Wide) {
            if terminal.verbose > 0 {
                writeln!(out)?;
                report::timings::write(report, &self.style, &mut out)?;
            }
            if terminal.verbose > 1 {
                report::noise::write(records, &self.style, &mut out)?;
            }
        }
        Ok(())
    }
}
