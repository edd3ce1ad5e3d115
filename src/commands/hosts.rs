//! Which hosts a command works on: flags, configuration and inventory merged into targets.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ArgMatches;
use clap::parser::ValueSource;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::answers::Answers;
use super::common::UsageError;
use crate::cli::{ConnectionArgs, ConnectionKind, HostKeyArg, HostsArgs};
use crate::config;
use crate::environment::Environment;
use crate::inventory::limit::Limit;
use crate::inventory::load::{self, SCRIPT_DEADLINE, Source, Surroundings};
use crate::inventory::model::{HostId, Inventory};
use crate::inventory::origin::{Connection, Origin, Overrides, Told};
use crate::trust::{distrust, exposed};

/// Looked for in the working directory when nothing else names an inventory.
const DEFAULT_SOURCES: [&str; 5] = ["inventory.yaml", "inventory.yml", "inventory.ini", "inventory", "hosts.yml"];

/// The loaded inventory, the hosts chosen from it, and what was odd on the way.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) inventory: Inventory,
    pub(super) hosts: Vec<HostId>,
    /// The sources, as a later run can name them from anywhere; empty when one of them cannot be read again.
    pub(super) sources: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// Loads the configuration file.
pub(super) fn configuration(environment: &Environment) -> anyhow::Result<config::Loaded> {
    let places =
        config::candidates(&environment.directory, environment.xdg_config.as_deref(), environment.home.as_deref());
    Ok(config::load(&places)?)
}

/// Loads the inventory and applies the limit.
///
/// `remembered` are the sources of an earlier run, used when this command line and the configuration name none.
pub(super) fn choose(
    args: &HostsArgs,
    remembered: &[String],
    config: &config::Loaded,
    environment: &Environment,
) -> anyhow::Result<Chosen> {
    let mut warnings: Vec<String> = config.warnings.clone();
    let sources = sources(args, remembered, config, environment)?;
    let surroundings = Surroundings {
        cwd: environment.directory.clone(),
        home: environment.home.clone(),
        script_deadline: SCRIPT_DEADLINE,
    };
    let loaded = load::load(&sources, &surroundings, &mut io::stdin().lock())?;
    warnings.extend(loaded.warnings.iter().map(ToString::to_string));

    let read_file = |path: &Path| std::fs::read_to_string(environment.directory.join(path));
    let limit = Limit::parse(&args.limit, &read_file)?;
    let selection = loaded.inventory.select(&limit)?;
    warnings.extend(selection.warnings.iter().map(ToString::to_string));
    Ok(Chosen {
        hosts: selection.hosts,
        sources: rememberable(&sources, environment),
        inventory: loaded.inventory,
        warnings,
    })
}

fn sources(
    args: &HostsArgs,
    remembered: &[String],
    config: &config::Loaded,
    environment: &Environment,
) -> anyhow::Result<Vec<Source>> {
    let here = environment.directory.as_path();
    let all = |arguments: &[String], from: &Path| -> Vec<Source> {
        arguments
            .iter()
            .map(|argument| match Source::from_argument(argument, from) {
                Source::Path(path) => Source::Path(from.join(path)),
                other => other,
            })
            .collect()
    };
    if !args.inventory.is_empty() {
        return Ok(args.inventory.iter().map(|argument| Source::from_argument(argument, here)).collect());
    }
    if !remembered.is_empty() {
        return Ok(all(remembered, here));
    }
    if !config.config.inventory.is_empty() {
        let beside = config.path.as_deref().and_then(Path::parent).unwrap_or(here);
        return Ok(all(&config.config.inventory, beside));
    }
    let Some(found) = DEFAULT_SOURCES.iter().find(|name| here.join(name).exists()) else {
        let message =
            "no inventory: pass -i FILE (an Ansible inventory as it is) or -i 'host,host,', or put inventory.yaml here";
        return Err(UsageError::new(message).into());
    };
    // It may be a program, or name one.
    if let Some(why) = distrust(&here.join(found)) {
        let message =
            format!("the inventory {found} was found here and is not obeyed: {why}; if you trust it, pass -i {found}");
        return Err(UsageError::new(message).into());
    }
    Ok(vec![Source::Path(PathBuf::from(found))])
}

fn rememberable(sources: &[Source], environment: &Environment) -> Vec<String> {
    let absolute = |source: &Source| match source {
        Source::Stdin => None,
        Source::Inline(list) => Some(list.clone()),
        Source::Path(path) => environment.directory.join(path).into_os_string().into_string().ok(),
    };
    sources.iter().map(absolute).collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// What flags, environment and configuration say about all hosts. Asks for passwords where the user wants to be asked.
pub(super) fn overrides(
    args: &ConnectionArgs,
    matches: &ArgMatches,
    config: &config::Loaded,
    environment: &Environment,
    answers: &mut Answers,
) -> anyhow::Result<Overrides> {
    let said = Said { matches };
    let file = &config.config;
    let from_file = |key: &str| from_file(config, key);
    let mut told = Overrides {
        connection: args.connection.map(|kind| Told {
            value: match kind {
                ConnectionKind::Ssh => Connection::Ssh,
                ConnectionKind::Local => Connection::Local,
            },
            origin: Origin::Flag("--connection"),
        }),
        user: said
            .value("user", "--user", "SEAWORTHY_USER", args.user.clone())
            .or_else(|| told(file.user.clone(), || from_file("user"))),
        port: said
            .value("port", "--port", "SEAWORTHY_PORT", args.port)
            .or_else(|| told(file.port, || from_file("port"))),
        jump: said
            .value("jump", "--jump", "SEAWORTHY_JUMP", args.jump.clone())
            .or_else(|| told(file.jump.clone(), || from_file("jump"))),
        config_file: said
            .value("ssh_config", "--ssh-config", "SEAWORTHY_SSH_CONFIG", args.ssh_config.clone())
            .or_else(|| told(file.ssh_config.clone(), || from_file("ssh_config"))),
        ..Overrides::default()
    };
    let origin = said.origin("private_key", "--private-key", "SEAWORTHY_PRIVATE_KEY");
    told.key_files = all(&args.private_key, &origin);
    if told.key_files.is_empty() {
        told.key_files = all(&file.private_key, &from_file("private_key"));
    }
    told.ssh_options = ssh_options(args, &said, file, &from_file)?;
    sudo(&mut told, args, &said, config, environment, answers)?;
    if args.ask_pass {
        told.password = Some(Told { value: answers.login_password()?, origin: Origin::Flag("--ask-pass") });
    }
    Ok(told)
}

fn ssh_options(
    args: &ConnectionArgs,
    said: &Said<'_>,
    file: &config::Config,
    from_file: &dyn Fn(&str) -> Origin,
) -> anyhow::Result<Vec<Told<(String, String)>>> {
    let mut options = Vec::new();
    let mut push = |key: &str, value: String, origin: Origin| {
        options.push(Told { value: (key.to_owned(), value), origin });
    };
    let policy = |policy: HostKeyArg| match policy {
        HostKeyArg::Strict => "yes",
        HostKeyArg::AcceptNew => "accept-new",
        HostKeyArg::Ask => "ask",
    };
    if let Some(chosen) = args.host_key {
        let origin = said.origin("host_key", "--host-key", "SEAWORTHY_HOST_KEY");
        push("StrictHostKeyChecking", policy(chosen).to_owned(), origin);
    }
    if !args.known_hosts.is_empty() {
        let origin = said.origin("known_hosts", "--known-hosts", "SEAWORTHY_KNOWN_HOSTS");
        push("UserKnownHostsFile", known_hosts(&args.known_hosts), origin);
    }
    for option in &args.ssh_option {
        let (key, value) = option
            .split_once('=')
            .or_else(|| option.split_once(char::is_whitespace))
            .map(|(key, value)| (key.trim(), value.trim()))
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| UsageError::new(format!("--ssh-option {option:?} is not KEY=VALUE")))?;
        push(key, value.to_owned(), Origin::Flag("--ssh-option"));
    }
    if let Some(chosen) = file.host_key {
        let chosen = match chosen {
            config::HostKey::Strict => HostKeyArg::Strict,
            config::HostKey::AcceptNew => HostKeyArg::AcceptNew,
            config::HostKey::Ask => HostKeyArg::Ask,
        };
        push("StrictHostKeyChecking", policy(chosen).to_owned(), from_file("host_key"));
    }
    if !file.known_hosts.is_empty() {
        push("UserKnownHostsFile", known_hosts(&file.known_hosts), from_file("known_hosts"));
    }
    for (key, value) in &file.ssh_options {
        push(key, value.clone(), from_file("ssh_options"));
    }
    Ok(options)
}

fn known_hosts(files: &[PathBuf]) -> String {
    files.iter().map(|file| format!("\"{}\"", file.display())).collect::<Vec<_>>().join(" ")
}

fn sudo(
    told: &mut Overrides,
    args: &ConnectionArgs,
    said: &Said<'_>,
    config: &config::Loaded,
    environment: &Environment,
    answers: &mut Answers,
) -> anyhow::Result<()> {
    let file = &config.config;
    told.sudo_user = said
        .value("become_user", "--become-user", "SEAWORTHY_BECOME_USER", args.become_user.clone())
        .or_else(|| self::told(file.become_user.clone(), || from_file(config, "become_user")));
    if args.ask_become_pass {
        let value = answers.sudo_password()?;
        told.sudo_password = Some(Told { value, origin: Origin::Flag("--ask-become-pass") });
    } else if let Some(path) = &args.become_password_file {
        let path = environment.directory.join(path);
        let text = read_secret(&path)?;
        let first = text.lines().next().unwrap_or_default();
        anyhow::ensure!(
            !first.is_empty(),
            "the first line of {} is empty, so there is no sudo password",
            path.display()
        );
        let origin = said.origin("become_password_file", "--become-password-file", "SEAWORTHY_BECOME_PASSWORD_FILE");
        told.sudo_password = Some(Told { value: SecretString::from(first), origin });
    }
    let implied = args.become_user.is_some() || told.sudo_password.is_some();
    told.sudo = if args.r#become {
        Some(Told { value: true, origin: said.origin("become", "--become", "SEAWORTHY_BECOME") })
    } else if implied {
        Some(Told { value: true, origin: Origin::Flag("--become") })
    } else {
        self::told(file.r#become, || from_file(config, "become"))
    };
    Ok(())
}

fn read_secret(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let shown = path.display();
    let cannot = || format!("cannot read the sudo password from {shown}");
    let mut file = File::open(path).with_context(cannot)?;
    let metadata = file.metadata().with_context(cannot)?;
    if let Some(mode) = exposed(&metadata, rustix::process::geteuid().as_raw()) {
        anyhow::bail!(
            "the sudo password in {shown} can be read by other users (mode {mode:03o}): chmod 600 {shown}, and change it"
        );
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text).with_context(cannot)?;
    Ok(text)
}

fn from_file(config: &config::Loaded, key: &str) -> Origin {
    let path = config.path.as_deref().unwrap_or(Path::new("seaworthy.yaml"));
    Origin::Config(format!("{}: {key}", path.display()))
}

fn told<T>(value: Option<T>, origin: impl FnOnce() -> Origin) -> Option<Told<T>> {
    value.map(|value| Told { value, origin: origin() })
}

fn all(paths: &[PathBuf], origin: &Origin) -> Vec<Told<PathBuf>> {
    paths.iter().map(|path| Told { value: path.clone(), origin: origin.clone() }).collect()
}

/// Tells a flag from the variable behind it.
struct Said<'m> {
    matches: &'m ArgMatches,
}

impl Said<'_> {
    fn origin(&self, id: &str, flag: &'static str, variable: &'static str) -> Origin {
        match self.matches.value_source(id) {
            Some(ValueSource::EnvVariable) => Origin::Environment(variable),
            _ => Origin::Flag(flag),
        }
    }

    fn value<T>(&self, id: &str, flag: &'static str, variable: &'static str, value: Option<T>) -> Option<Told<T>> {
        told(value, || self.origin(id, flag, variable))
    }
}
