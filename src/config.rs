//! The configuration file: `./seaworthy.yaml`, else `$XDG_CONFIG_HOME/seaworthy/config.yaml`, else
//! `/etc/seaworthy/config.yaml`. The first that exists and that nobody else may have put there is read, alone.
//!
//! It holds defaults of flags. For a connection it ranks below the inventory and above `ssh_config`; for everything else
//! flags and environment win over it. This module does not know what the values do.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};
use thiserror::Error;

use crate::trust::distrust;

/// The file's content; every field may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Inventory sources that are used when no `-i` is given, relative to the file.
    #[serde(default)]
    pub inventory: Vec<String>,
    pub user: Option<String>,
    pub port: Option<u16>,
    #[serde(default)]
    pub private_key: Vec<PathBuf>,
    pub ssh_config: Option<PathBuf>,
    pub jump: Option<String>,
    #[serde(default)]
    pub ssh_options: BTreeMap<String, String>,
    pub r#become: Option<bool>,
    pub become_user: Option<String>,
    pub host_key: Option<HostKey>,
    #[serde(default)]
    pub known_hosts: Vec<PathBuf>,
    pub forks: Option<std::num::NonZeroU32>,
    pub run_dir: Option<PathBuf>,
    /// Of each kind of run so many stay, whatever their age.
    pub keep_runs: Option<std::num::NonZeroU32>,
    /// How long runs stay.
    #[serde(default, deserialize_with = "duration")]
    pub keep_for: Option<Duration>,
    #[serde(default)]
    pub timeouts: Timeouts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostKey {
    Strict,
    AcceptNew,
    Ask,
}

/// Times like `10s` or `1m30s`, each bounding one step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    #[serde(default, deserialize_with = "duration")]
    pub dns: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    pub connect: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    pub kex: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    pub auth: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    pub open: Option<Duration>,
    /// The work on one host.
    #[serde(default, deserialize_with = "duration")]
    pub host: Option<Duration>,
    /// The whole run.
    #[serde(default, deserialize_with = "duration")]
    pub run: Option<Duration>,
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    crate::duration::parse(&text).map(Some).map_err(de::Error::custom)
}

/// A configuration file that is there and cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("the configuration {path} is wrong: {reason}")]
    Malformed { path: PathBuf, reason: String },
}

/// A configuration and where it was read.
#[derive(Debug, Default)]
pub struct Loaded {
    pub config: Config,
    pub path: Option<PathBuf>,
    /// Files that were passed over, and why.
    pub warnings: Vec<String>,
}

/// The places that are looked at, best first.
pub fn candidates(directory: &Path, xdg_config: Option<&Path>, home: Option<&Path>) -> Vec<PathBuf> {
    let user = match (xdg_config.filter(|path| path.is_absolute()), home) {
        (Some(xdg), _) => Some(xdg.join("seaworthy/config.yaml")),
        (None, Some(home)) => Some(home.join(".config/seaworthy/config.yaml")),
        (None, None) => None,
    };
    let mut all = vec![directory.join("seaworthy.yaml")];
    all.extend(user);
    all.push(PathBuf::from("/etc/seaworthy/config.yaml"));
    all
}

/// Reads the first of `candidates` that exists.
///
/// A file that somebody else may have put there ([`distrust`]) is passed over with a warning, as if it were not there: it could name a
/// program to run as `ProxyCommand`.
pub fn load(candidates: &[PathBuf]) -> Result<Loaded, ConfigError> {
    let mut loaded = Loaded::default();
    for path in candidates {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
            Err(source) => return Err(ConfigError::Read { path: path.clone(), source }),
        };
        if let Some(why) = distrust(path) {
            loaded.warnings.push(format!("the configuration {} is not obeyed: {why}", path.display()));
            continue;
        }
        loaded.config = parse(&text).map_err(|reason| ConfigError::Malformed { path: path.clone(), reason })?;
        loaded.path = Some(path.clone());
        break;
    }
    Ok(loaded)
}

fn parse(text: &str) -> Result<Config, String> {
    // An empty document is an empty configuration, not a missing one.
    serde_yaml::from_str::<Option<Config>>(text).map(Option::unwrap_or_default).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn every_field_is_read() {
        let config = parse(
            "inventory: [hosts.yml]\nuser: ops\nport: 2222\nprivate_key: [~/.ssh/ops]\nssh_config: none\njump: bastion\n\
             ssh_options: {Compression: 'no'}\nbecome: true\nbecome_user: root\nhost_key: strict\n\
             known_hosts: [kh]\nforks: 64\nrun_dir: /runs\nkeep_runs: 500\nkeep_for: 30d\ntimeouts: {connect: 5s, host: 1m30s}\n",
        )
        .unwrap();
        assert_eq!(config.user.as_deref(), Some("ops"));
        assert_eq!(config.host_key, Some(HostKey::Strict));
        assert_eq!(config.timeouts.host, Some(Duration::from_secs(90)));
        assert_eq!(config.keep_runs.map(std::num::NonZeroU32::get), Some(500));
        assert_eq!(config.keep_for, Some(Duration::from_hours(30 * 24)));
        assert_eq!(config.timeouts.dns, None);
    }

    #[test]
    fn mistakes_are_refused_with_their_place() {
        for (text, expected) in [
            ("usr: ops\n", "unknown field `usr`"),
            ("forks: 0\n", "line 1"),
            ("keep_runs: 0\n", "line 1"),
            ("keep_for: long\n", "is not a duration"),
            ("port: 70000\n", "line 1"),
            ("user: ops\ntimeouts: {connect: soon}\n", "line 2"),
            ("- a\n", "invalid type: sequence"),
            ("user: [\n", "line"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
        assert_eq!(parse("# nothing but a comment\n").unwrap(), Config::default());
    }

    #[test]
    fn the_first_file_wins_and_an_unsafe_one_is_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let all = candidates(directory.path(), Some(&directory.path().join("xdg")), None);
        assert!(load(&all[..2]).unwrap().path.is_none());

        fs::create_dir_all(all[1].parent().unwrap()).unwrap();
        fs::write(&all[1], "user: second\n").unwrap();
        assert_eq!(load(&all[..2]).unwrap().config.user.as_deref(), Some("second"));

        fs::write(&all[0], "user: first\n").unwrap();
        assert_eq!(load(&all[..2]).unwrap().config.user.as_deref(), Some("first"));

        fs::set_permissions(&all[0], fs::Permissions::from_mode(0o666)).unwrap();
        let loaded = load(&all[..2]).unwrap();
        assert_eq!(loaded.config.user.as_deref(), Some("second"), "it is as if it were not there");
        let [warning] = &loaded.warnings[..] else { panic!("{:?}", loaded.warnings) };
        let named = format!("the configuration {} is not obeyed: ", all[0].display());
        assert!(warning.starts_with(&named) && warning.contains("may be written by everybody"), "{warning}");
    }
}
