//! How many hosts at once: the limit of open files, and a width that suits it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More than this at once costs more in cache misses than it wins in waiting less (measured on russh).
const MAX_WIDTH: usize = 128;
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

/// How many hosts to work on at once. `open_files` as from [`raise_open_files`]; three descriptors per host leave room for its
/// record, a `ProxyCommand`'s pipes and a resolver's socket. `cores` count because the key exchange is arithmetic.
pub fn auto_width(hosts: usize, open_files: Option<u64>, cores: usize) -> usize {
    let by_files = open_files.map_or(u64::MAX, |limit| limit.saturating_sub(RESERVED) / 3).max(1);
    let by_files = usize::try_from(by_files).unwrap_or(usize::MAX);
    let by_cores = cores.max(1).saturating_mul(64);
    hosts.min(MAX_WIDTH).min(by_files).min(by_cores).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_follows_the_tightest_bound() {
        for (hosts, files, cores, width) in [
            (3, Some(1024), 8, 3),
            (5000, Some(20_000), 8, 128),
            (5000, None, 8, 128),
            (5000, Some(256), 8, 64),
            (5000, Some(1024), 1, 64),
            (0, Some(0), 0, 1),
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
