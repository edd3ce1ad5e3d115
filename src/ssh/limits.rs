//! How many hosts at once: the limit of open files, and bounds for a width that suits it and the cores.

use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::fanout::Width;

/// Memory: a connection holds 70 kB, and what a host sends comes on top.
const MOST: usize = 1024;
/// Names that are looked up at once. The system's resolver holds its thread for 30 s where three name servers are silent, long after
/// the host was given up; with too few threads it would keep those of other hosts waiting. A thread that waits holds some 20 kB.
pub const MOST_LOOKUPS: usize = 8 * MOST;
/// With a process for each connection, as a `ProxyCommand` is: ten times the memory, on cores that nobody counts.
pub const MOST_PROCESSES: usize = 128;
/// To begin with: on a core, and in all. Measured on russh: from 200 at once on, cache misses cost a sixth where nothing waits.
const FIRST_OF_CORE: usize = 64;
const FIRST: usize = 128;
/// With as many a core has always something to do on a near network; fewer cost no less.
const LEAST_OF_CORE: usize = 16;
const LEAST: usize = 32;
/// Descriptors for everything that is not a connection: the run directory, the agent, the terminal, libraries.
const RESERVED: u64 = 64;

/// Raises the soft limit of open files to the hard one and returns what now holds; `None` is no limit. Only this process and its
/// children are affected.
pub fn raise_open_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if limit.current == limit.maximum || setrlimit(Resource::Nofile, raised).is_err() {
        return limit.current;
    }
    limit.maximum
}

/// What to do where the system has no room for one more file or connection; whatever was to be opened is not at fault.
pub const NO_ROOM: &str = "raise the limit of open files (ulimit -n), or work on fewer hosts at once (-f)";

/// The system, or this process, has no room for one more.
pub fn is_no_room(error: &io::Error) -> bool {
    let known = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS];
    error.raw_os_error().is_some_and(|number| known.iter().any(|errno| errno.raw_os_error() == number))
}

/// How many hosts to work on at once when nobody said: within these bounds as `fanout::pace` has it. `open_files` as
/// from [`raise_open_files`]; three descriptors per host leave room for its record, a `ProxyCommand`'s pipes and a resolver's
/// socket. `cores` count because the key exchange is arithmetic.
pub fn auto_width(hosts: usize, open_files: Option<u64>, cores: usize) -> Width {
    let by_files = open_files.map_or(u64::MAX, |limit| limit.saturating_sub(RESERVED) / 3).max(1);
    let by_files = usize::try_from(by_files).unwrap_or(usize::MAX);
    let of_cores = |each: usize| cores.max(1).saturating_mul(each);
    let least = of_cores(LEAST_OF_CORE).clamp(LEAST, FIRST);
    Width::between(least, of_cores(FIRST_OF_CORE).min(FIRST), hosts.min(by_files).min(MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_follows_the_tightest_bound() {
        for (hosts, files, cores, width) in [
            (3, Some(1024), 8, Width::exactly(3)),
            (5000, Some(20_000), 2, Width::between(32, 128, 1024)),
            (5000, None, 1, Width::between(32, 64, 1024)),
            (5000, None, 8, Width::between(128, 128, 1024)),
            (5000, None, 64, Width::between(128, 128, 1024)),
            (200, None, 2, Width::between(32, 128, 200)),
            (5000, Some(256), 2, Width::between(32, 64, 64)),
            (0, Some(0), 0, Width::exactly(1)),
        ] {
            assert_eq!(auto_width(hosts, files, cores), width, "{hosts} hosts, {files:?} files, {cores} cores");
        }
    }

    #[test]
    fn the_soft_limit_ends_at_the_hard_one() {
        let reached = raise_open_files();
        assert_eq!(reached, getrlimit(Resource::Nofile).maximum);
    }
}
