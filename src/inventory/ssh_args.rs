//! `ansible_ssh_common_args` and its kin: an ssh command line, read without running ssh. Pure.
//!
//! Ansible gives these to `ssh`; this crate is its own client, so it takes from them what says how to reach a host, leaves out
//! in silence what has no meaning here (`-C`, `-q`, ...), and names the rest.

use crate::inventory::words::{self, Comments, Unclosed};

/// What the arguments say, in their order: for most settings ssh obeys the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::inventory) struct SshArguments {
    pub(in crate::inventory) settings: Vec<SshArgument>,
    /// Arguments that ssh knows and that are not used here, and words that are no option at all.
    pub(in crate::inventory) ignored: Vec<String>,
}

/// One setting. `-o Port=22` is the same as `-p 22`, and so for the others that have a field of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::inventory) struct SshArgument {
    pub(in crate::inventory) kind: Kind,
    /// The option's name; of interest for `Kind::Option`.
    pub(in crate::inventory) key: String,
    pub(in crate::inventory) value: String,
}

/// What an argument sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::inventory) enum Kind {
    /// `-o HostName`
    Host,
    Port,
    User,
    IdentityFile,
    Jump,
    ConfigFile,
    Option,
}

/// Why the arguments cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::inventory) enum SshArgsProblem {
    #[error("a quote opened at character {0} is never closed")]
    Unclosed(usize),
    #[error("-{0} needs a value")]
    NoValue(char),
    #[error("-o {0:?} is not of the form Key=Value")]
    NoKey(String),
}

/// Flags without a value and without a meaning for reading a node: verbosity, compression, forwarding, terminals.
const SILENT_FLAGS: &str = "aACfgKkNnqTtvxXYy";
/// Flags with a value.
const VALUE_FLAGS: &str = "oJiplFBbcDEeIiLmOPQRSWw";

impl SshArguments {
    /// The keys that are named.
    pub(in crate::inventory) fn identity_files(&self) -> impl Iterator<Item = &str> {
        let keys = self.settings.iter().filter(|setting| setting.kind == Kind::IdentityFile);
        keys.map(|setting| setting.value.as_str())
    }
}

/// Reads `text` as ssh's `getopt` would: `-p22`, `-p 22`, `-o K=V`, `-oK=V`, `-o "K V"`, `-Cqo K=V`.
pub(in crate::inventory) fn parse(text: &str) -> Result<SshArguments, SshArgsProblem> {
    let words = words::split(text, Comments::None).map_err(|Unclosed { column }| SshArgsProblem::Unclosed(column))?;
    let mut arguments = SshArguments::default();
    let mut words = words.into_iter().map(|word| word.text);
    while let Some(word) = words.next() {
        let Some(flags) = word.strip_prefix('-').filter(|flags| !flags.is_empty()) else {
            arguments.ignored.push(word);
            continue;
        };
        for (index, flag) in flags.char_indices() {
            if !VALUE_FLAGS.contains(flag) {
                arguments.flag(flag);
                continue;
            }
            let attached = &flags[index + flag.len_utf8()..];
            let value = if attached.is_empty() { words.next() } else { Some(attached.to_owned()) };
            arguments.value(flag, value.ok_or(SshArgsProblem::NoValue(flag))?)?;
            break;
        }
    }
    Ok(arguments)
}

/// Splits the value of `-o`: `Key=Value`, `Key Value` or `Key = Value`.
pub(in crate::inventory) fn option(text: &str) -> Result<SshArgument, SshArgsProblem> {
    let text = text.trim();
    let (key, value) = text
        .split_once(|char: char| char == '=' || char.is_whitespace())
        .map(|(key, value)| (key, value.trim_start().strip_prefix('=').unwrap_or(value).trim()))
        .filter(|(key, value)| !key.is_empty() && !value.is_empty())
        .ok_or_else(|| SshArgsProblem::NoKey(text.to_owned()))?;
    // `Key "a value"`: the quotes belong to the configuration's syntax. A command keeps its own.
    let command = key.to_ascii_lowercase().ends_with("command");
    let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).filter(|_| !command);
    Ok(named(key, bare.unwrap_or(value)))
}

/// Which setting an option of that name is; names are the same in any case.
pub(in crate::inventory) fn kind_of(key: &str) -> Kind {
    const FIELDS: [(&str, Kind); 5] = [
        ("HostName", Kind::Host),
        ("Port", Kind::Port),
        ("User", Kind::User),
        ("IdentityFile", Kind::IdentityFile),
        ("ProxyJump", Kind::Jump),
    ];
    FIELDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map_or(Kind::Option, |(_, kind)| *kind)
}

fn named(key: &str, value: &str) -> SshArgument {
    SshArgument { kind: kind_of(key), key: key.to_owned(), value: value.to_owned() }
}

impl SshArguments {
    fn flag(&mut self, flag: char) {
        match flag {
            '4' => self.settings.push(named("AddressFamily", "inet")),
            '6' => self.settings.push(named("AddressFamily", "inet6")),
            flag if SILENT_FLAGS.contains(flag) => {}
            flag => self.ignored.push(format!("-{flag}")),
        }
    }

    fn value(&mut self, flag: char, value: String) -> Result<(), SshArgsProblem> {
        self.settings.push(match flag {
            'o' => option(&value)?,
            'J' => named("ProxyJump", &value),
            'i' => named("IdentityFile", &value),
            'p' => named("Port", &value),
            'l' => named("User", &value),
            'F' => SshArgument { kind: Kind::ConfigFile, key: String::new(), value },
            'b' => named("BindAddress", &value),
            'c' => named("Ciphers", &value),
            'm' => named("MACs", &value),
            // Where a shared connection's socket lies: this client shares nothing with other processes.
            'S' => return Ok(()),
            _ => {
                self.ignored.push(format!("-{flag} {value}"));
                return Ok(());
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_all_forms_of_a_setting() {
        use Kind::{ConfigFile, IdentityFile, Jump, Option, Port, User};
        for (text, wanted) in [
            ("-o StrictHostKeyChecking=no", vec![(Option, "StrictHostKeyChecking", "no")]),
            ("-oStrictHostKeyChecking=no", vec![(Option, "StrictHostKeyChecking", "no")]),
            ("-o \"ConnectTimeout 5\"", vec![(Option, "ConnectTimeout", "5")]),
            ("-o 'ConnectTimeout = 5'", vec![(Option, "ConnectTimeout", "5")]),
            ("-J me@bastion:2222,inner", vec![(Jump, "ProxyJump", "me@bastion:2222,inner")]),
            ("-o proxyjump=bastion", vec![(Jump, "proxyjump", "bastion")]),
            ("-p2222", vec![(Port, "Port", "2222")]),
            ("-o port=2222", vec![(Port, "port", "2222")]),
            ("-l admin -i ~/key", vec![(User, "User", "admin"), (IdentityFile, "IdentityFile", "~/key")]),
            ("-F none", vec![(ConfigFile, "", "none")]),
            ("-4Cqo Compression=yes", vec![(Option, "AddressFamily", "inet"), (Option, "Compression", "yes")]),
            (r#"-o ProxyCommand="ssh -W %h:%p -q 'a b'""#, vec![(Option, "ProxyCommand", "ssh -W %h:%p -q 'a b'")]),
            (r#"-o 'UserKnownHostsFile "/a b"'"#, vec![(Option, "UserKnownHostsFile", "/a b")]),
            ("-C -q -vvv", vec![]),
        ] {
            let found = parse(text).unwrap().settings;
            let found: Vec<_> =
                found.iter().map(|found| (found.kind, found.key.as_str(), found.value.as_str())).collect();
            assert_eq!(found, wanted, "{text}");
        }
    }

    #[test]
    fn names_what_is_not_used() {
        assert_eq!(parse("-L 80:a:80 -Z host -C").unwrap().ignored, ["-L 80:a:80", "-Z", "host"]);
    }

    #[test]
    fn broken_arguments_are_refused() {
        assert_eq!(parse("-o 'a=b"), Err(SshArgsProblem::Unclosed(4)));
        assert_eq!(parse("-C -p"), Err(SshArgsProblem::NoValue('p')));
        assert_eq!(parse("-o Compression"), Err(SshArgsProblem::NoKey("Compression".to_owned())));
        assert_eq!(parse("-o =x"), Err(SshArgsProblem::NoKey("=x".to_owned())));
    }
}
