//! Where a setting comes from, and what flags, environment and the tool's own configuration say about all hosts. Data only.

use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;

use crate::inventory::value::Place;

/// Who said a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag of the command line, such as `--user`.
    Flag(&'static str),
    /// An environment variable.
    Environment(&'static str),
    /// A variable of the host itself, in the inventory or in `host_vars/`.
    Host { variable: Box<str>, place: Place },
    /// A variable of one of its groups, in the inventory or in `group_vars/`.
    Group { variable: Box<str>, group: Box<str>, place: Place },
    /// The tool's configuration file; the text is the place in it.
    Config(String),
    /// Nobody; the text says what follows from that.
    Default(&'static str),
}

impl Origin {
    /// Flags and environment win over the inventory, the tool's configuration file does not.
    pub const fn outranks_inventory(&self) -> bool {
        matches!(self, Self::Flag(_) | Self::Environment(_))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Host { variable, place } => write!(f, "{variable} of the host, {place}"),
            Self::Group { variable, group, place } => write!(f, "{variable} of group {group}, {place}"),
            Self::Config(place) => write!(f, "configuration {place}"),
            Self::Default(consequence) => write!(f, "default: {consequence}"),
        }
    }
}

/// A value with who said it.
#[derive(Debug, Clone)]
pub struct Told<T> {
    pub value: T,
    pub origin: Origin,
}

/// What `ansible_connection` may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    Local,
    Ssh,
}

/// What is said about all hosts at once, outside the inventory. Each value's origin decides whether it wins over the
/// inventory (flag, environment) or loses to it (configuration file). Give the strongest where several say something.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub connection: Option<Told<Connection>>,
    pub user: Option<Told<String>>,
    pub port: Option<Told<u16>>,
    /// Replace `ansible_ssh_private_key_file`.
    pub key_files: Vec<Told<PathBuf>>,
    pub password: Option<Told<SecretString>>,
    pub jump: Option<Told<String>>,
    pub config_file: Option<Told<PathBuf>>,
    /// `--ssh-option Key=Value`, in order.
    pub ssh_options: Vec<Told<(String, String)>>,
    pub sudo: Option<Told<bool>>,
    pub sudo_user: Option<Told<String>>,
    pub sudo_password: Option<Told<SecretString>>,
}
