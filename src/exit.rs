//! The exit codes: what a script may rely on, and how several reasons become one code. Only `main` exits.

use crate::report::model::Counts;

/// How the program ends.
///
/// Problems and unreachable hosts are bits (2, 4, both: 6), the numbers that Ansible uses. Usage errors are 64 (`EX_USAGE` of
/// `sysexits.h`) and not clap's 2, which could not be told from "problems found".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitCode {
    /// Every node was read and none has a problem; warnings are no problem.
    Ok,
    /// The program could not do its own part: an inventory that cannot be read, a disk that is full.
    OwnError,
    /// A node fails, or could not be judged: not knowing is not health. For `exec`: a command ended with another code than 0.
    Problems,
    /// A node was not reached, or not read to the end.
    Unreachable,
    /// Both of the two above.
    ProblemsAndUnreachable,
    /// More nodes failed than the run's failure budget allows, so it was stopped.
    BudgetSpent,
    /// The command line cannot be understood.
    Usage,
    /// Ctrl-C; what had arrived was printed.
    Interrupted,
}

impl ExitCode {
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::OwnError,
        Self::Problems,
        Self::Unreachable,
        Self::ProblemsAndUnreachable,
        Self::BudgetSpent,
        Self::Usage,
        Self::Interrupted,
    ];

    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::OwnError => 1,
            Self::Problems => 2,
            Self::Unreachable => 4,
            Self::ProblemsAndUnreachable => 6,
            Self::BudgetSpent => 8,
            Self::Usage => 64,
            Self::Interrupted => 130,
        }
    }

    /// What the nodes of a run amount to.
    pub const fn from_counts(counts: &Counts) -> Self {
        match (counts.fail + counts.unknown > 0, counts.unreachable > 0) {
            (false, false) => Self::Ok,
            (true, false) => Self::Problems,
            (false, true) => Self::Unreachable,
            (true, true) => Self::ProblemsAndUnreachable,
        }
    }

    /// One code for two reasons: what cut the run short wins over what the run found, and the findings add up.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        match (self, other) {
            (Self::Problems, Self::Unreachable) | (Self::Unreachable, Self::Problems) => Self::ProblemsAndUnreachable,
            _ if self.weight() >= other.weight() => self,
            _ => other,
        }
    }

    /// What `--exit-zero` makes of it: what was found is no failure of the run; what kept the run from doing its part is.
    #[must_use]
    pub const fn without_findings(self) -> Self {
        match self {
            Self::Problems | Self::Unreachable | Self::ProblemsAndUnreachable => Self::Ok,
            Self::Ok | Self::OwnError | Self::BudgetSpent | Self::Usage | Self::Interrupted => self,
        }
    }

    const fn weight(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Problems | Self::Unreachable => 1,
            Self::ProblemsAndUnreachable => 2,
            Self::BudgetSpent => 3,
            Self::OwnError => 4,
            Self::Usage => 5,
            Self::Interrupted => 6,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(exit: ExitCode) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_manual() {
        assert_eq!(ExitCode::ALL.map(ExitCode::code), [0, 1, 2, 4, 6, 8, 64, 130]);
    }

    #[test]
    fn counts_become_a_code() {
        let counts = |ok, warn, fail, unknown, unreachable| Counts {
            total: ok + warn + fail + unknown + unreachable,
            ok,
            warn,
            fail,
            unknown,
            unreachable,
        };
        let cases = [
            (counts(0, 0, 0, 0, 0), ExitCode::Ok),
            (counts(9, 1, 0, 0, 0), ExitCode::Ok),
            (counts(9, 0, 1, 0, 0), ExitCode::Problems),
            (counts(9, 0, 0, 1, 0), ExitCode::Problems),
            (counts(9, 0, 0, 0, 1), ExitCode::Unreachable),
            (counts(9, 1, 1, 0, 1), ExitCode::ProblemsAndUnreachable),
        ];
        for (counts, expected) in cases {
            assert_eq!(ExitCode::from_counts(&counts), expected, "{counts:?}");
        }
    }

    #[test]
    fn without_findings_only_own_failures_are_left() {
        assert_eq!(ExitCode::ALL.map(|code| code.without_findings().code()), [0, 1, 0, 0, 0, 8, 64, 130]);
    }

    #[test]
    fn merging_does_not_depend_on_the_order() {
        for a in ExitCode::ALL {
            assert_eq!(a.merge(a), a);
            assert_eq!(a.merge(ExitCode::Ok), a);
            assert_eq!(a.merge(ExitCode::Interrupted), ExitCode::Interrupted);
            for b in ExitCode::ALL {
                assert_eq!(a.merge(b), b.merge(a), "{a:?} {b:?}");
                for c in ExitCode::ALL {
                    assert_eq!(a.merge(b).merge(c), a.merge(b.merge(c)), "{a:?} {b:?} {c:?}");
                }
            }
        }
        assert_eq!(ExitCode::Problems.merge(ExitCode::Unreachable).code(), 6);
    }
}
