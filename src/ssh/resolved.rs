//! Everything about one SSH connection after flags, inventory, `ssh_config` and defaults were merged: what `connect` obeys.
//!
//! Made by `ssh::config`; no field is "not said" any more. Data only.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// One destination, fully resolved.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The name as the user wrote it: what `Host` patterns and `%n` see.
    pub alias: String,
    /// What is dialled: a name or an address, without brackets.
    pub host: String,
    pub port: u16,
    pub user: String,
    /// Keys named by the user or the configuration, in the order they are offered; files may be missing.
    pub identity_files: Vec<PathBuf>,
    /// Keys that stand in the list only because they are ssh's defaults: silently left out when missing.
    pub identity_files_are_defaults: bool,
    /// OpenSSH certificates named by `CertificateFile`; `KEY-cert.pub` beside a key is found without being named.
    pub certificate_files: Vec<PathBuf>,
    /// Offer only the named keys, from files or from the agent.
    pub identities_only: bool,
    pub agent: AgentChoice,
    pub password: Option<SecretString>,
    pub methods: Methods,
    pub host_key: HostKeySettings,
    /// How the connection is carried.
    pub route: Route,
    pub connect_timeout: Option<Duration>,
    /// `ServerAliveInterval`; `None` when off.
    pub keepalive: Option<Duration>,
    pub address_family: AddressFamily,
    pub bind_address: Option<String>,
    /// `KexAlgorithms`, `Ciphers`, `MACs`, `HostKeyAlgorithms` when the user restricts them, as written (with `+ - ^`).
    pub kex_algorithms: Option<String>,
    pub ciphers: Option<String>,
    pub macs: Option<String>,
    pub host_key_algorithms: Option<String>,
}

impl Resolved {
    /// What is dialled, `host:port`, an IPv6 address in brackets.
    pub fn endpoint(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentChoice {
    /// `SSH_AUTH_SOCK`, if it is set.
    Environment,
    Socket(PathBuf),
    None,
}

/// Which kinds of authentication may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Methods {
    pub publickey: bool,
    pub password: bool,
    pub keyboard_interactive: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKeySettings {
    pub policy: HostKeyPolicy,
    /// The name that the host's key is filed under instead of its address.
    pub alias: Option<String>,
    pub user_files: Vec<PathBuf>,
    pub global_files: Vec<PathBuf>,
    /// Write new names hashed.
    pub hash_names: bool,
}

/// What happens to a host whose key is not known. A *changed* key is refused under each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKeyPolicy {
    Strict,
    /// Learn it, and say so with its fingerprint.
    AcceptNew,
    /// Refuse now; the command asks one question for all such hosts and runs them again.
    Ask,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    Direct,
    /// Through these hosts, the nearest first; each is an alias (or `user@host:port`) to be resolved by itself.
    Jump(Vec<JumpHop>),
    /// `sh -c` of this command carries the connection; `%` tokens are already replaced.
    Command(String),
}

/// One element of `ProxyJump`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JumpHop {
    pub user: Option<String>,
    pub host: String,
    pub port: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressFamily {
    Any,
    V4,
    V6,
}
