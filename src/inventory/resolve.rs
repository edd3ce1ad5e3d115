//! From a host of the inventory to a [`Target`]: the strongest statement about each setting, read and checked. Pure.
//!
//! A value that cannot be used (a template, a vaulted value, a bad port) is the host's own failure, and only when the
//! connection needs it: a flag may shadow it, a local connection needs no port.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use crate::failure::{Failure, FailureKind};
use crate::inventory::model::{HostId, Inventory};
use crate::inventory::origin::Overrides;
use crate::inventory::statements::{Slot, Speaker, Statement, Statements, Words, literal};
use crate::target::{SshSettings, Sudo, Target, Via};

/// The variable with the endpoint of the API that a host is to join.
const API_ENDPOINT: &str = "kube_api_endpoint";

impl Inventory {
    /// The host with everything that inventory and `overrides` say about reaching it.
    pub fn target(&self, host: HostId, overrides: &Overrides) -> Result<Target, Failure> {
        let all = Statements::gather(self, host, overrides);
        let via = match connection(&all)? {
            Connection::Local => Via::Local,
            Connection::Ssh => Via::Ssh(Box::new(self.ssh(&all)?)),
        };
        Ok(Target {
            name: self.host_name(host).to_owned(),
            groups: self.groups_of(host).into_iter().map(str::to_owned).collect(),
            role: self.role(host),
            via,
            sudo: sudo(&all)?,
            api_endpoint: self.plain(host, API_ENDPOINT),
        })
    }

    /// The strongest plain text of a variable that no connection needs: what cannot be read here is as good as not said.
    fn plain(&self, host: HostId, name: &str) -> Option<String> {
        let mut said = self.blocks(host).flat_map(|(_, block)| block.others.iter().rev());
        let entry = said.find(|entry| &*entry.key == name)?;
        literal(&entry.node, name).ok().flatten().map(str::to_owned)
    }

    fn ssh(&self, all: &Statements<'_>) -> Result<SshSettings, Failure> {
        if let Some(failure) = all.broken.first() {
            return Err(failure.clone());
        }
        let address = text(all, Slot::Address)?;
        if let Some((address, statement)) = &address {
            check_word(Slot::Address, address, statement)?;
        }
        let user = text(all, Slot::User)?;
        if let Some((user, statement)) = &user {
            check_word(Slot::User, user, statement)?;
        }
        let mut options: Vec<(String, String)> = Vec::new();
        let useless_way = all.useless_way();
        let jump = if useless_way == Some(Slot::Jump) { None } else { text(all, Slot::Jump)? };
        if let Some((jump, statement)) = &jump {
            check_word(Slot::Jump, jump, statement)?;
        }
        for statement in all.of(Slot::Option) {
            let Words::Pair(key, value) = &statement.said else { continue };
            let useless = useless_way == Some(Slot::Option) && statement.is_proxy_command();
            if useless || options.iter().any(|(known, _)| known.eq_ignore_ascii_case(key)) {
                continue;
            }
            options.push((key.to_string(), value.to_string()));
        }
        Ok(SshSettings {
            host: address.map(|(address, _)| address),
            port: port(all)?,
            user: user.map(|(user, _)| user),
            identity_files: self.identity_files(all)?,
            password: secret(all, Slot::Password)?,
            options,
            jump: jump.map(|(jump, _)| jump),
            config_file: all.of(Slot::ConfigFile).first().map(|statement| self.path(statement)).transpose()?.flatten(),
        })
    }

    /// The key files of flags, or else the inventory's, and behind it those among the ssh arguments.
    fn identity_files(&self, all: &Statements<'_>) -> Result<Vec<PathBuf>, Failure> {
        let told = all.of(Slot::KeyFile).iter().take_while(|key| matches!(key.said, Words::Path(_))).count();
        let keys = all.of(Slot::KeyFile).iter().take(told.max(1)).chain(all.of(Slot::MoreKeys));
        let mut files = Vec::new();
        for key in keys {
            files.extend(self.path(key)?.filter(|file| !files.contains(file)));
        }
        Ok(files)
    }

    fn path(&self, statement: &Statement<'_>) -> Result<Option<PathBuf>, Failure> {
        let text = match &statement.said {
            Words::Path(path) => return Ok(Some(self.files.expand(path, None))),
            Words::Node(node) => literal(node, statement.by.name())?,
            Words::Text(text) => Some(&**text),
            Words::Pair(..) | Words::Secret(_) => None,
        };
        let source = match statement.by {
            Speaker::Host { place, .. } | Speaker::Group { place, .. } => Some(&place.source),
            Speaker::Told(_) => None,
        };
        Ok(text.map(|text| self.files.expand(Path::new(text), source)))
    }
}

impl crate::inventory::model::KeyFiles {
    /// `~` becomes the home directory; a relative path is one beside the inventory if it exists there, or else one of the
    /// working directory. `none`, and paths with ssh's `%` tokens, stay as they are.
    fn expand(&self, path: &Path, source: Option<&std::sync::Arc<str>>) -> PathBuf {
        if path == Path::new("none") || path.to_str().is_some_and(|path| path.contains('%')) {
            return path.to_owned();
        }
        if let (Ok(rest), Some(home)) = (path.strip_prefix("~"), &self.home) {
            return home.join(rest);
        }
        if path.is_absolute() {
            return path.to_owned();
        }
        let beside = source
            .zip(path.to_str())
            .and_then(|(source, path)| self.beside.get(&(std::sync::Arc::clone(source), path.to_owned())).cloned());
        beside.unwrap_or_else(|| self.cwd.join(path))
    }
}

enum Connection {
    Local,
    Ssh,
}

fn connection(all: &Statements<'_>) -> Result<Connection, Failure> {
    let Some((name, statement)) = text(all, Slot::Connection)? else { return Ok(Connection::Ssh) };
    match name.strip_prefix("ansible.builtin.").unwrap_or(&name) {
        "local" => Ok(Connection::Local),
        "ssh" | "smart" | "paramiko" | "paramiko_ssh" => Ok(Connection::Ssh),
        other => {
            let message =
                format!("{} {other:?} is not supported, only ssh and local", label(Slot::Connection, statement));
            Err(Failure::new(
                FailureKind::Settings,
                message,
                "leave this host out with --limit, or mend its ansible_connection",
            ))
        }
    }
}

fn port(all: &Statements<'_>) -> Result<Option<u16>, Failure> {
    let Some((text, statement)) = text(all, Slot::Port)? else { return Ok(None) };
    match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(Some(port)),
        _ => {
            let message = format!("{} is {text:?}, but must be a number from 1 to 65535", label(Slot::Port, statement));
            Err(Failure::new(FailureKind::Settings, message, "mend it there, or give --port"))
        }
    }
}

fn sudo(all: &Statements<'_>) -> Result<Option<Sudo>, Failure> {
    let Some((word, statement)) = text(all, Slot::Sudo)? else { return Ok(None) };
    // The words that Ansible takes for true and false.
    match word.to_ascii_lowercase().as_str() {
        "y" | "yes" | "on" | "1" | "true" | "t" | "1.0" => {}
        "n" | "no" | "off" | "0" | "false" | "f" | "0.0" => return Ok(None),
        _ => {
            let message = format!("{} is {word:?}, but must be true or false", label(Slot::Sudo, statement));
            return Err(Failure::new(FailureKind::Settings, message, "mend it there, or give --become"));
        }
    }
    if let Some((method, statement)) = text(all, Slot::SudoMethod)?
        && !matches!(method.strip_prefix("ansible.builtin.").unwrap_or(&method), "sudo")
    {
        let message = format!("{} is {method:?}, and only sudo is supported", label(Slot::SudoMethod, statement));
        return Err(Failure::new(
            FailureKind::Settings,
            message,
            "set ansible_become_method to sudo, or connect as root",
        ));
    }
    let user = match text(all, Slot::SudoUser)? {
        Some((user, statement)) => {
            check_word(Slot::SudoUser, &user, statement)?;
            user
        }
        None => "root".to_owned(),
    };
    Ok(Some(Sudo { user, password: secret(all, Slot::SudoPassword)? }))
}

/// The strongest statement about `slot`, as text.
fn text<'s, 'a>(all: &'s Statements<'a>, slot: Slot) -> Result<Option<(String, &'s Statement<'a>)>, Failure> {
    let Some(statement) = all.of(slot).first() else { return Ok(None) };
    let text = match &statement.said {
        Words::Node(node) => with_flag(literal(node, statement.by.name()), slot)?.map(str::to_owned),
        Words::Text(text) => Some(text.to_string()),
        Words::Path(path) => Some(path.to_string_lossy().into_owned()),
        Words::Pair(..) | Words::Secret(_) => None,
    };
    Ok(text.map(|text| (text, statement)))
}

fn secret(all: &Statements<'_>, slot: Slot) -> Result<Option<SecretString>, Failure> {
    match all.of(slot).first().map(|statement| (&statement.said, statement.by)) {
        Some((Words::Secret(secret), _)) => Ok(Some((*secret).clone())),
        Some((Words::Node(node), by)) => Ok(with_flag(literal(node, by.name()), slot)?.map(SecretString::from)),
        _ => Ok(None),
    }
}

/// Adds the flag that helps to a failure's next move.
fn with_flag<T>(result: Result<T, Failure>, slot: Slot) -> Result<T, Failure> {
    result.map_err(|mut failure| {
        if let Some(flag) = slot.flag() {
            failure.next = format!("{}, or give {flag}", failure.next);
        }
        failure
    })
}

/// An address, jump host or user becomes an argument of `ssh -G` and a piece of a table: only single words that are no options.
fn check_word(slot: Slot, word: &str, statement: &Statement<'_>) -> Result<(), Failure> {
    let odd = |char: char| char.is_whitespace() || char.is_control();
    if !word.starts_with('-') && !word.contains(odd) {
        return Ok(());
    }
    let message = format!("{} is {word:?}, which is no single word", label(slot, statement));
    Err(Failure::new(FailureKind::Settings, message, "mend it there"))
}

fn label(slot: Slot, statement: &Statement<'_>) -> String {
    format!("{} ({})", slot.name(), statement.by.origin())
}
