//! From what was said to a decision: defaults, tokens, types. Pure.

use std::path::PathBuf;

use super::Environment;
use super::evaluate;
use super::keyword::Keyword;
use super::proxy;
use super::said::{Said, Value};
use super::tokens::{Allowed, Tokens};
use super::values::{bad, flag, port, time};
use crate::failure::{Failure, FailureKind};
use crate::ssh::resolved::{AddressFamily, AgentChoice, HostKeyPolicy, HostKeySettings, Methods, Resolved, Route};
use crate::target::SshSettings;

/// ssh's default keys, in its order. Keys on hardware (`_sk`) are used through an agent.
const DEFAULT_KEYS: [&str; 3] = ["id_rsa", "id_ecdsa", "id_ed25519"];

/// Characters that ssh refuses in the name of a destination, as they would mean something to the shell of a `ProxyCommand`.
const SHELL: &[char] = &['\'', '`', '"', '$', '\\', ';', '&', '<', '>', '|', '(', ')', '{', '}', ','];

/// Checks the destination before it is used for anything.
pub(super) fn destination(name: &str) -> Result<&str, Failure> {
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    if bare.is_empty()
        || bare.starts_with('-')
        || bare.contains(|c: char| c.is_whitespace() || c.is_control() || SHELL.contains(&c))
    {
        return Err(Failure::new(
            FailureKind::Settings,
            format!("{name:?} is no host's name or address"),
            "correct the host's address in the inventory",
        ));
    }
    Ok(bare)
}

/// Decides everything. `complaints` gets what was said and is not done.
pub(super) fn settle(
    said: &Said,
    alias: &str,
    settings: &SshSettings,
    environment: &Environment,
    complaints: &mut Vec<String>,
) -> Result<Resolved, Failure> {
    let host = evaluate::host_name(said, alias, environment)?.to_ascii_lowercase();
    let port = match (settings.port, said.get(Keyword::Port)) {
        (Some(0), _) => {
            return Err(Failure::new(
                FailureKind::Settings,
                "port 0 cannot be dialled",
                "correct the port in the inventory",
            ));
        }
        (Some(port), _) => port,
        (None, Some(value)) => port(value)?,
        (None, None) => 22,
    };
    let user = match (&settings.user, said.get(Keyword::User)) {
        (Some(user), _) => user.clone(),
        (None, Some(value)) => value.word().to_owned(),
        (None, None) => environment.user.clone(),
    };
    check_user(&user)?;
    let jump = said.get(Keyword::ProxyJump).map_or("", Value::word);
    let key_alias = said.get(Keyword::HostKeyAlias).map(Value::word);
    let tokens = Tokens { environment, alias, host: &host, port, user: &user, key_alias, jump };
    let paths = |keyword: Keyword| -> Result<Vec<PathBuf>, Failure> {
        let Some(value) = said.get(keyword) else { return Ok(Vec::new()) };
        let words = value.words.iter().filter(|word| !word.eq_ignore_ascii_case("none"));
        words.map(|word| tokens.path(word).map_err(|problem| explain(keyword, value, &problem))).collect()
    };
    let mut identity_files = settings.identity_files.clone();
    identity_files.extend(paths(Keyword::IdentityFile)?);
    let identity_files_are_defaults = identity_files.is_empty() && said.get(Keyword::IdentityFile).is_none();
    if identity_files_are_defaults {
        identity_files = DEFAULT_KEYS.map(|name| environment.home.join(".ssh").join(name)).into();
    }
    let word = |keyword: Keyword| said.get(keyword).map(|value| value.word().to_owned());
    Ok(Resolved {
        alias: alias.to_owned(),
        identity_files,
        identity_files_are_defaults,
        certificate_files: paths(Keyword::CertificateFile)?,
        identities_only: flag(said, Keyword::IdentitiesOnly, false)?,
        agent: agent(said, &tokens)?,
        password: settings.password.clone(),
        methods: methods(said)?,
        host_key: HostKeySettings {
            policy: policy(said, complaints)?,
            alias: word(Keyword::HostKeyAlias),
            user_files: match said.get(Keyword::UserKnownHostsFile) {
                Some(_) => paths(Keyword::UserKnownHostsFile)?,
                None => ["known_hosts", "known_hosts2"].map(|name| environment.home.join(".ssh").join(name)).into(),
            },
            global_files: match said.get(Keyword::GlobalKnownHostsFile) {
                Some(_) => paths(Keyword::GlobalKnownHostsFile)?,
                None => ["ssh_known_hosts", "ssh_known_hosts2"].map(|name| environment.system.join(name)).into(),
            },
            hash_names: flag(said, Keyword::HashKnownHosts, false)?,
        },
        route: route(said, &tokens)?,
        connect_timeout: time(said, Keyword::ConnectTimeout)?,
        keepalive: time(said, Keyword::ServerAliveInterval)?,
        address_family: address_family(said)?,
        bind_address: word(Keyword::BindAddress),
        kex_algorithms: word(Keyword::KexAlgorithms),
        ciphers: word(Keyword::Ciphers),
        macs: word(Keyword::Macs),
        host_key_algorithms: word(Keyword::HostKeyAlgorithms),
        host,
        port,
        user,
    })
}

fn explain(keyword: Keyword, value: &Value, problem: &str) -> Failure {
    value.origin.failure(format_args!("{}: {problem}", keyword.name()))
}

/// As ssh: the name may reach a shell through `%r`.
fn check_user(user: &str) -> Result<(), Failure> {
    let is_shell = |c: char| c.is_control() || (SHELL.contains(&c) && !matches!(c, '\\' | '$' | ','));
    if user.is_empty() || user.starts_with('-') || user.ends_with('\\') || user.contains(is_shell) {
        return Err(Failure::new(
            FailureKind::Settings,
            format!("{user:?} is no user's name"),
            "correct the user in the inventory or the ssh configuration",
        ));
    }
    Ok(())
}

fn agent(said: &Said, tokens: &Tokens<'_>) -> Result<AgentChoice, Failure> {
    let Some(value) = said.get(Keyword::IdentityAgent) else { return Ok(AgentChoice::Environment) };
    Ok(match value.word() {
        none if none.eq_ignore_ascii_case("none") => AgentChoice::None,
        "SSH_AUTH_SOCK" => AgentChoice::Environment,
        word => match word.strip_prefix('$').filter(|rest| !rest.starts_with('{')) {
            Some(variable) => {
                let path = tokens.environment.variables.get(variable);
                path.map_or(AgentChoice::None, |path| AgentChoice::Socket(PathBuf::from(path)))
            }
            None => AgentChoice::Socket(
                tokens.path(word).map_err(|problem| explain(Keyword::IdentityAgent, value, &problem))?,
            ),
        },
    })
}

fn methods(said: &Said) -> Result<Methods, Failure> {
    let publickey = match said.get(Keyword::PubkeyAuthentication).map(Value::word) {
        // Both are ways of using keys.
        Some(word) if word.eq_ignore_ascii_case("unbound") || word.eq_ignore_ascii_case("host-bound") => true,
        _ => flag(said, Keyword::PubkeyAuthentication, true)?,
    };
    let preferred = said.get(Keyword::PreferredAuthentications).map(|value| value.word().to_ascii_lowercase());
    let wanted = |name: &str| preferred.as_ref().is_none_or(|list| list.split(',').any(|method| method == name));
    Ok(Methods {
        publickey: publickey && wanted("publickey"),
        password: flag(said, Keyword::PasswordAuthentication, true)? && wanted("password"),
        keyboard_interactive: flag(said, Keyword::KbdInteractiveAuthentication, true)?
            && wanted("keyboard-interactive"),
    })
}

fn policy(said: &Said, complaints: &mut Vec<String>) -> Result<HostKeyPolicy, Failure> {
    let Some(value) = said.get(Keyword::StrictHostKeyChecking) else { return Ok(HostKeyPolicy::AcceptNew) };
    match value.word().to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(HostKeyPolicy::Strict),
        "ask" => Ok(HostKeyPolicy::Ask),
        "accept-new" => Ok(HostKeyPolicy::AcceptNew),
        "no" | "off" | "false" => {
            complaints.push(format!(
                "{}: StrictHostKeyChecking {} counts as accept-new: a changed host key is always refused",
                value.origin,
                value.word()
            ));
            Ok(HostKeyPolicy::AcceptNew)
        }
        _ => Err(bad(Keyword::StrictHostKeyChecking, value, "none of yes, ask, accept-new, no")),
    }
}

fn route(said: &Said, tokens: &Tokens<'_>) -> Result<Route, Failure> {
    if let Some(value) = said.get(Keyword::ProxyJump) {
        let problem = |problem: String| explain(Keyword::ProxyJump, value, &problem);
        let mut hops = proxy::parse_jump(value.word()).map_err(problem)?;
        for hop in &mut hops {
            hop.host = tokens.expand(&hop.host, Allowed::Proxy).map_err(problem)?;
            destination(&hop.host)?;
            let is_itself = hop.host.eq_ignore_ascii_case(tokens.alias)
                && hop.port.unwrap_or(tokens.port) == tokens.port
                && hop.user.as_deref().unwrap_or(tokens.user) == tokens.user;
            if is_itself {
                return Err(Failure::new(
                    FailureKind::Settings,
                    format!("{}: ProxyJump {:?} leads to the host itself", value.origin, value.word()),
                    format!("set ProxyJump none for {}", tokens.alias),
                ));
            }
        }
        if !hops.is_empty() {
            return Ok(Route::Jump(hops));
        }
    }
    match said.get(Keyword::ProxyCommand) {
        None => Ok(Route::Direct),
        Some(value) if value.word().eq_ignore_ascii_case("none") => Ok(Route::Direct),
        Some(value) => {
            let command = tokens.expand(value.word(), Allowed::Proxy);
            command.map(Route::Command).map_err(|problem| explain(Keyword::ProxyCommand, value, &problem))
        }
    }
}

fn address_family(said: &Said) -> Result<AddressFamily, Failure> {
    let Some(value) = said.get(Keyword::AddressFamily) else { return Ok(AddressFamily::Any) };
    match value.word().to_ascii_lowercase().as_str() {
        "any" => Ok(AddressFamily::Any),
        "inet" => Ok(AddressFamily::V4),
        "inet6" => Ok(AddressFamily::V6),
        _ => Err(bad(Keyword::AddressFamily, value, "none of any, inet, inet6")),
    }
}
