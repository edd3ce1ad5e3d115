//! `%` tokens, `~` and `${NAME}` in settings (`TOKENS` and `ENVIRONMENT VARIABLES` in `ssh_config(5)`). Pure.

use std::path::PathBuf;

use super::Environment;

/// What tokens stand for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tokens<'a> {
    pub(super) environment: &'a Environment,
    /// `%n`: the name as it was given.
    pub(super) alias: &'a str,
    /// `%h`: what is dialled.
    pub(super) host: &'a str,
    pub(super) port: u16,
    /// `%r`: the remote user.
    pub(super) user: &'a str,
    /// `%k`: the name that the host's key is filed under.
    pub(super) key_alias: Option<&'a str>,
    /// `%j`: the value of `ProxyJump`.
    pub(super) jump: &'a str,
}

/// Which tokens a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
    /// `%h`: `HostName`.
    Host,
    /// `%h %n %p %r`: `ProxyCommand`, `ProxyJump`.
    Proxy,
    /// Everything but `%C`, which is made for `ControlPath` and differs between versions of ssh.
    All,
}

impl Tokens<'_> {
    /// Replaces the tokens of `text`; the error names the one that has no meaning here.
    pub(super) fn expand(&self, text: &str, allowed: Allowed) -> Result<String, String> {
        let mut expanded = String::with_capacity(text.len());
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                expanded.push(c);
                continue;
            }
            let token = chars.next().ok_or_else(|| format!("{text:?} ends with a single %"))?;
            let environment = self.environment;
            match (token, allowed) {
                ('%', _) => expanded.push('%'),
                ('h', _) => expanded.push_str(self.host),
                ('n', Allowed::Proxy | Allowed::All) => expanded.push_str(self.alias),
                ('p', Allowed::Proxy | Allowed::All) => expanded.push_str(&self.port.to_string()),
                ('r', Allowed::Proxy | Allowed::All) => expanded.push_str(self.user),
                ('d', Allowed::All) => expanded.push_str(&environment.home.to_string_lossy()),
                ('i', Allowed::All) => expanded.push_str(&environment.uid.to_string()),
                ('j', Allowed::All) => expanded.push_str(self.jump),
                ('k', Allowed::All) => expanded.push_str(self.key_alias.unwrap_or(self.alias)),
                ('L', Allowed::All) => expanded.push_str(environment.hostname.split('.').next().unwrap_or_default()),
                ('l', Allowed::All) => expanded.push_str(&environment.hostname),
                ('u', Allowed::All) => expanded.push_str(&environment.user),
                (other, _) => return Err(format!("the token %{other} is not supported in {text:?}")),
            }
        }
        Ok(expanded)
    }

    /// A path: `~`, tokens and `${NAME}`.
    pub(super) fn path(&self, text: &str) -> Result<PathBuf, String> {
        let text = variables(text, self.environment)?;
        Ok(home(&self.expand(&text, Allowed::All)?, self.environment))
    }
}

/// Replaces `${NAME}`.
fn variables(text: &str, environment: &Environment) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or_else(|| format!("{text:?} has ${{ without }}"))?;
        let value =
            environment.variables.get(name).ok_or_else(|| format!("the environment variable {name} is not set"))?;
        expanded.push_str(before);
        expanded.push_str(value);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// Replaces a leading `~/`. `~somebody` stays as it is: a file of that name will be missing, and be said to be.
pub(super) fn home(text: &str, environment: &Environment) -> PathBuf {
    match text.strip_prefix('~') {
        Some("") => environment.home.clone(),
        Some(rest) if rest.starts_with('/') => environment.home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(text),
    }
}
