//! Every setting of one host with who said it and what that shadows. Pure, and never shows a secret.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::inventory::model::{Holder, HostId, Inventory};
use crate::inventory::names::looks_secret;
use crate::inventory::origin::{Origin, Overrides};
use crate::inventory::statements::{Slot, Statement, Statements, Words};
use crate::inventory::value::{ScalarKind, Value};

/// What stands where a secret would.
pub const HIDDEN: &str = "(hidden)";

/// One setting or variable of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// `port`, `ssh option ConnectTimeout`, or the name of a variable that changes nothing here.
    pub name: String,
    /// As it was said: not yet checked, and [`HIDDEN`] for secrets.
    pub value: String,
    pub origin: Origin,
    /// Weaker statements about the same, the strongest first.
    pub shadowed: Vec<Shadowed>,
}

/// A statement that another one wins over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadowed {
    pub value: String,
    pub origin: Origin,
}

/// All that is known about how a host is reached, and its other variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What decides how the host is reached.
    pub settings: Vec<Setting>,
    /// Variables without a meaning here, by name.
    pub variables: Vec<Setting>,
}

const SINGLE: [Slot; 12] = [
    Slot::Connection,
    Slot::Address,
    Slot::Port,
    Slot::User,
    Slot::KeyFile,
    Slot::Password,
    Slot::Jump,
    Slot::ConfigFile,
    Slot::Sudo,
    Slot::SudoUser,
    Slot::SudoMethod,
    Slot::SudoPassword,
];

impl Inventory {
    /// Explains `host`: the same statements that [`Inventory::target`] reads, the strongest first.
    pub fn explain(&self, host: HostId, overrides: &Overrides) -> Explanation {
        let all = Statements::gather(self, host, overrides);
        let mut settings = Vec::new();
        let useless_way = all.useless_way();
        for slot in SINGLE.into_iter().filter(|slot| useless_way != Some(*slot)) {
            match row(slot.name().to_owned(), all.of(slot).iter()) {
                Some(setting) => settings.push(setting),
                None => settings.extend(default(slot, self.host_name(host))),
            }
        }
        settings.extend(all.of(Slot::MoreKeys).iter().filter_map(|key| row(Slot::MoreKeys.name().to_owned(), [key])));
        let mut options: Vec<(&str, Vec<&Statement<'_>>)> = Vec::new();
        for statement in all.of(Slot::Option) {
            let Words::Pair(key, _) = &statement.said else { continue };
            if useless_way == Some(Slot::Option) && statement.is_proxy_command() {
                continue;
            }
            match options.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(key)) {
                Some((_, statements)) => statements.push(statement),
                None => options.push((key, vec![statement])),
            }
        }
        settings
            .extend(options.into_iter().filter_map(|(key, all)| row(format!("{} {key}", Slot::Option.name()), all)));
        settings.extend(all.arguments.iter().filter_map(|(name, said)| row((*name).to_owned(), said)));
        Explanation { settings, variables: self.other_variables(host) }
    }

    fn other_variables(&self, host: HostId) -> Vec<Setting> {
        let mut by_name: BTreeMap<&str, Vec<Shadowed>> = BTreeMap::new();
        for (holder, block) in self.blocks(host) {
            for entry in block.others.iter().rev() {
                let value = if looks_secret(&entry.key) { HIDDEN.to_owned() } else { show(&entry.node.value) };
                let (variable, place) = (entry.key.clone(), entry.node.place.clone());
                let origin = match holder {
                    Holder::Host => Origin::Host { variable, place },
                    Holder::Group(group) => Origin::Group { variable, group: self.group_name(group).into(), place },
                };
                by_name.entry(&entry.key).or_default().push(Shadowed { value, origin });
            }
        }
        by_name.into_iter().filter_map(|(name, all)| strongest(name.to_owned(), all)).collect()
    }
}

fn row<'s>(name: String, all: impl IntoIterator<Item = &'s Statement<'s>>) -> Option<Setting> {
    let said = |statement: &Statement<'_>| Shadowed { value: words(statement, &name), origin: statement.by.origin() };
    let all: Vec<Shadowed> = all.into_iter().map(said).collect();
    strongest(name, all)
}

fn strongest(name: String, all: Vec<Shadowed>) -> Option<Setting> {
    let mut all = all.into_iter();
    let Shadowed { value, origin } = all.next()?;
    Some(Setting { name, value, origin, shadowed: all.collect() })
}

fn default(slot: Slot, host: &str) -> Option<Setting> {
    let (value, consequence) = match slot {
        Slot::Connection => ("ssh", "nobody says otherwise"),
        Slot::Address => (host, "the host's name, unless ssh_config has a HostName"),
        Slot::Port => ("22", "unless ssh_config has a Port"),
        Slot::User => ("you", "the local user, unless ssh_config has a User"),
        Slot::Sudo => ("no", "nobody says otherwise"),
        _ => return None,
    };
    let (name, value) = (slot.name().to_owned(), value.to_owned());
    Some(Setting { name, value, origin: Origin::Default(consequence), shadowed: Vec::new() })
}

fn words(statement: &Statement<'_>, name: &str) -> String {
    let text = match &statement.said {
        _ if name == Slot::Password.name() || name == Slot::SudoPassword.name() => return HIDDEN.to_owned(),
        Words::Secret(_) => return HIDDEN.to_owned(),
        Words::Node(node) => show(&node.value),
        Words::Text(text) => text.to_string(),
        Words::Path(path) => path.display().to_string(),
        Words::Pair(_, value) => (*value).to_owned(),
    };
    // A proxy command may hold a password in its arguments.
    if text.contains("sshpass") { HIDDEN.to_owned() } else { text }
}

/// A value in one line, secrets below it hidden.
fn show(value: &Value) -> String {
    let mut text = String::new();
    write_value(value, &mut text);
    text
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Scalar { kind: ScalarKind::Vaulted, .. } => out.push_str("(vaulted)"),
        Value::Scalar { text, .. } if text.starts_with("$ANSIBLE_VAULT") => out.push_str("(vaulted)"),
        Value::Scalar { text, .. } => out.push_str(text.trim_end()),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_value(&item.value, out);
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push('{');
            for (index, entry) in map.entries.iter().enumerate() {
                // Writing to a String cannot fail.
                let _ = write!(out, "{}{}: ", if index == 0 { "" } else { ", " }, entry.key);
                if looks_secret(&entry.key) {
                    out.push_str(HIDDEN);
                } else {
                    write_value(&entry.node.value, out);
                }
            }
            out.push('}');
        }
    }
}
