//! A target: one host of the inventory with everything that was *said* about reaching it.
//!
//! Made by `inventory` (variables) and `cli` (flags), consumed by `ssh` (which adds `ssh_config` and the defaults).
//! What was not said stays `None` here: "port 22" and "no port" are different statements. This module does no I/O.

use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// What a node is in its cluster, as far as the inventory's groups tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    ControlPlane,
    Worker,
}

impl Role {
    /// As in JSON and in tables.
    pub const fn label(self) -> &'static str {
        match self {
            Self::ControlPlane => "control-plane",
            Self::Worker => "worker",
        }
    }
}

/// One host to work on.
#[derive(Debug, Clone)]
pub struct Target {
    /// The inventory's name of the host: unique in a run, and the name of its record.
    pub name: String,
    /// All groups that the host is in, ancestors included, sorted.
    pub groups: Vec<String>,
    /// The role that the groups name; `None` when they say nothing.
    pub role: Option<Role>,
    pub via: Via,
    /// Set when commands run under sudo.
    pub sudo: Option<Sudo>,
    /// The endpoint of the API that the host is to join, as written.
    pub api_endpoint: Option<String>,
}

/// How commands reach the host.
#[derive(Debug, Clone)]
pub enum Via {
    /// A child process of this one (`ansible_connection=local`).
    Local,
    Ssh(Box<SshSettings>),
}

/// What flags, environment and inventory say about an SSH connection; `None` and empty mean "not said".
#[derive(Debug, Clone, Default)]
pub struct SshSettings {
    /// Address or name to dial; the target's name when not said.
    pub host: Option<String>,
    pub port: Option<u16>,
    pub user: Option<String>,
    /// Private keys named for this host, `~` expanded. They are offered before any other.
    pub identity_files: Vec<PathBuf>,
    pub password: Option<SecretString>,
    /// `-o Key=Value` settings; the first of a key wins, and all of them win over the configuration file.
    pub options: Vec<(String, String)>,
    /// `-J`: `[user@]host[:port]`, comma-separated; `none` switches an inherited one off.
    pub jump: Option<String>,
    /// `-F`: read this instead of `~/.ssh/config` and the system's file; `none` reads neither.
    pub config_file: Option<PathBuf>,
}

/// Running commands as another user.
#[derive(Debug, Clone)]
pub struct Sudo {
    /// `root` unless said otherwise.
    pub user: String,
    pub password: Option<SecretString>,
}
