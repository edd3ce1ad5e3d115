//! All that is said about reaching one host, the strongest first: the one walk that both the target and its explanation
//! are made from, so that they cannot differ.
//!
//! Nothing is judged here: a value that is never needed may be a template or nonsense.

use std::borrow::Cow;
use std::path::Path;

use secrecy::SecretString;

use crate::failure::{Failure, FailureKind};
use crate::inventory::model::{Holder, HostId, Inventory};
use crate::inventory::names::Variable;
use crate::inventory::origin::{Connection, Origin, Overrides};
use crate::inventory::ssh_args::{self, Kind};
use crate::inventory::value::{Node, Place, ScalarKind, Value};

/// A setting of a connection. Only `MoreKeys` and `Option` have more than one value at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::inventory) enum Slot {
    Connection,
    Address,
    Port,
    User,
    KeyFile,
    /// `-i` and `IdentityFile` among ssh arguments: offered besides the key file.
    MoreKeys,
    Password,
    Jump,
    ConfigFile,
    Option,
    Sudo,
    SudoUser,
    SudoMethod,
    SudoPassword,
}

pub(in crate::inventory) const SLOTS: usize = Slot::SudoPassword as usize + 1;

impl Slot {
    /// As `seaworthy inventory --host` calls it.
    pub(in crate::inventory) const fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Address => "address",
            Self::Port => "port",
            Self::User => "user",
            Self::KeyFile => "private key",
            Self::MoreKeys => "further key",
            Self::Password => "password",
            Self::Jump => "jump host",
            Self::ConfigFile => "ssh config",
            Self::Option => "ssh option",
            Self::Sudo => "sudo",
            Self::SudoUser => "sudo user",
            Self::SudoMethod => "sudo method",
            Self::SudoPassword => "sudo password",
        }
    }

    /// The flag that says the same for all hosts.
    pub(in crate::inventory) const fn flag(self) -> Option<&'static str> {
        match self {
            Self::Port => Some("--port"),
            Self::User => Some("--user"),
            Self::KeyFile => Some("--private-key"),
            Self::Password => Some("--ask-pass"),
            Self::Sudo => Some("--become"),
            Self::SudoUser => Some("--become-user"),
            Self::SudoPassword => Some("--ask-become-pass"),
            Self::Jump => Some("--jump"),
            Self::ConfigFile => Some("--ssh-config"),
            Self::Connection | Self::Address | Self::MoreKeys | Self::Option | Self::SudoMethod => None,
        }
    }
}

/// One thing that somebody said.
pub(in crate::inventory) struct Statement<'a> {
    pub(in crate::inventory) said: Words<'a>,
    pub(in crate::inventory) by: Speaker<'a>,
    /// The place in the order of strength over all slots: what ssh would read first.
    pub(in crate::inventory) rank: usize,
}

/// Who said it, without copies: most statements are never shown.
#[derive(Debug, Clone, Copy)]
pub(in crate::inventory) enum Speaker<'a> {
    Told(&'a Origin),
    Host { variable: &'static str, place: &'a Place },
    Group { variable: &'static str, group: &'a str, place: &'a Place },
}

impl Speaker<'_> {
    /// The variable's spelling, or whatever names the speaker best in a message.
    pub(in crate::inventory) fn name(&self) -> &str {
        match self {
            Self::Host { variable, .. } | Self::Group { variable, .. } => variable,
            Self::Told(Origin::Flag(name) | Origin::Environment(name)) => name,
            Self::Told(_) => "the setting",
        }
    }

    pub(in crate::inventory) fn origin(self) -> Origin {
        match self {
            Self::Told(origin) => origin.clone(),
            Self::Host { variable, place } => Origin::Host { variable: variable.into(), place: place.clone() },
            Self::Group { variable, group, place } => {
                Origin::Group { variable: variable.into(), group: group.into(), place: place.clone() }
            }
        }
    }
}

impl Statement<'_> {
    pub(in crate::inventory) fn is_proxy_command(&self) -> bool {
        matches!(&self.said, Words::Pair(key, _) if key.eq_ignore_ascii_case("ProxyCommand"))
    }
}

/// What was said, as it was said.
pub(in crate::inventory) enum Words<'a> {
    Node(&'a Node),
    Text(Cow<'a, str>),
    Path(&'a Path),
    Pair(&'a str, &'a str),
    Secret(&'a SecretString),
}

/// Everything said about one host.
#[derive(Default)]
pub(in crate::inventory) struct Statements<'a> {
    slots: [Vec<Statement<'a>>; SLOTS],
    /// The ssh arguments themselves, each with what it shadows.
    pub(in crate::inventory) arguments: Vec<(&'static str, Vec<Statement<'a>>)>,
    /// Ssh arguments that cannot be read.
    pub(in crate::inventory) broken: Vec<Failure>,
    count: usize,
}

impl<'a> Statements<'a> {
    /// What is said about `slot`, the strongest first.
    pub(in crate::inventory) fn of(&self, slot: Slot) -> &[Statement<'a>] {
        &self.slots[slot as usize]
    }

    /// Of a jump host and a `ProxyCommand`, ssh obeys what it reads first, and so does this: the other one's slot.
    pub(in crate::inventory) fn useless_way(&self) -> Option<Slot> {
        let jump = self.of(Slot::Jump).first()?.rank;
        let command = self.of(Slot::Option).iter().find(|statement| statement.is_proxy_command())?.rank;
        Some(if command < jump { Slot::Jump } else { Slot::Option })
    }

    pub(in crate::inventory) fn gather(inventory: &'a Inventory, host: HostId, overrides: &'a Overrides) -> Self {
        let mut all = Self::default();
        all.told(overrides, true);
        let said = Spoken::gather(inventory, host);
        // The order of the command line that Ansible gives to ssh, which obeys the first.
        all.ssh_arguments(&said, Variable::SshArgs, "ansible_ssh_args");
        for (variable, slot) in [
            (Variable::Connection, Slot::Connection),
            (Variable::Host, Slot::Address),
            (Variable::Port, Slot::Port),
            (Variable::User, Slot::User),
            (Variable::KeyFile, Slot::KeyFile),
            (Variable::Password, Slot::Password),
            (Variable::Become, Slot::Sudo),
            (Variable::BecomeUser, Slot::SudoUser),
            (Variable::BecomeMethod, Slot::SudoMethod),
            (Variable::BecomePassword, Slot::SudoPassword),
        ] {
            for (by, node) in said.of(variable) {
                all.add(slot, Words::Node(node), by);
            }
        }
        all.ssh_arguments(&said, Variable::SshCommonArgs, "ansible_ssh_common_args");
        all.ssh_arguments(&said, Variable::SshExtraArgs, "ansible_ssh_extra_args");
        all.told(overrides, false);
        all
    }

    fn add(&mut self, slot: Slot, said: Words<'a>, by: Speaker<'a>) {
        self.slots[slot as usize].push(Statement { said, by, rank: self.count });
        self.count += 1;
    }

    /// What flags and environment say (`above` the inventory), or what the configuration file says.
    fn told(&mut self, overrides: &'a Overrides, above: bool) {
        let Overrides { connection, user, port, key_files, password, jump, config_file, .. } = overrides;
        let Overrides { ssh_options, sudo, sudo_user, sudo_password, .. } = overrides;
        let mut tell = |slot, words, origin: &'a Origin| {
            if origin.outranks_inventory() == above {
                self.add(slot, words, Speaker::Told(origin));
            }
        };
        if let Some(told) = connection {
            let name = match told.value {
                Connection::Local => "local",
                Connection::Ssh => "ssh",
            };
            tell(Slot::Connection, Words::Text(name.into()), &told.origin);
        }
        if let Some(told) = port {
            tell(Slot::Port, Words::Text(told.value.to_string().into()), &told.origin);
        }
        for (slot, told) in [(Slot::User, user), (Slot::Jump, jump), (Slot::SudoUser, sudo_user)] {
            if let Some(told) = told {
                tell(slot, Words::Text(told.value.as_str().into()), &told.origin);
            }
        }
        for (slot, told) in [(Slot::Password, password), (Slot::SudoPassword, sudo_password)] {
            if let Some(told) = told {
                tell(slot, Words::Secret(&told.value), &told.origin);
            }
        }
        for told in key_files {
            tell(Slot::KeyFile, Words::Path(&told.value), &told.origin);
        }
        if let Some(told) = config_file {
            tell(Slot::ConfigFile, Words::Path(&told.value), &told.origin);
        }
        if let Some(told) = sudo {
            tell(Slot::Sudo, Words::Text(if told.value { "true" } else { "false" }.into()), &told.origin);
        }
        for told in ssh_options {
            let (slot, words) = place_argument(ssh_args::kind_of(&told.value.0), &told.value.0, &told.value.1);
            tell(slot, words, &told.origin);
        }
    }

    fn ssh_arguments(&mut self, said: &Spoken<'a>, variable: Variable, name: &'static str) {
        let spoken: Vec<(Speaker<'a>, &'a Node)> = said.of(variable).collect();
        let Some((by, node)) = spoken.first() else { return };
        let parsed = match &node.value {
            Value::Scalar { text, .. } => said.inventory.ssh_args.get(&**text),
            _ => None,
        };
        match literal(node, name).map(|text| text.and(parsed)) {
            Ok(None) => {}
            Ok(Some(Ok(arguments))) => {
                for argument in &arguments.settings {
                    let (slot, words) = place_argument(argument.kind, &argument.key, &argument.value);
                    self.add(slot, words, *by);
                }
            }
            Ok(Some(Err(problem))) => {
                let message = format!("{name} cannot be read: {problem} ({})", node.place);
                self.broken.push(Failure::new(FailureKind::Settings, message, format!("mend {name} in the inventory")));
            }
            Err(failure) => self.broken.push(failure),
        }
        let statements =
            spoken.into_iter().map(|(by, node)| Statement { said: Words::Node(node), by, rank: 0 }).collect();
        self.arguments.push((name, statements));
    }
}

fn place_argument<'a>(kind: Kind, key: &'a str, value: &'a str) -> (Slot, Words<'a>) {
    let slot = match kind {
        Kind::Host => Slot::Address,
        Kind::Port => Slot::Port,
        Kind::User => Slot::User,
        Kind::IdentityFile => Slot::MoreKeys,
        Kind::Jump => Slot::Jump,
        Kind::ConfigFile => Slot::ConfigFile,
        Kind::Option => return (Slot::Option, Words::Pair(key, value)),
    };
    (slot, Words::Text(value.into()))
}

/// The text of an inventory's value; `None` when it is empty, which is the same as unset. `name` is for the message.
pub(in crate::inventory) fn literal<'n>(node: &'n Node, name: &str) -> Result<Option<&'n str>, Failure> {
    let place = &node.place;
    let refuse = |what: &str, next: String| {
        Err(Failure::new(FailureKind::Settings, format!("{name} is {what} ({place})"), next))
    };
    match &node.value {
        Value::Null => Ok(None),
        Value::Scalar { kind: ScalarKind::Vaulted, .. } => refuse(
            "vaulted, and vaults are not opened here",
            format!("write {name} in plain text where only you can read it"),
        ),
        Value::Scalar { text, kind } if *kind != ScalarKind::Unsafe && (text.contains("{{") || text.contains("{%")) => {
            refuse(
                "a Jinja template, and templates are not evaluated here",
                format!("write the value of {name} itself"),
            )
        }
        Value::Scalar { text, .. } => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
        other => refuse(
            &format!("{}, but must be a single value", other.describe()),
            format!("mend {name} in the inventory"),
        ),
    }
}

/// What the inventory says about one host, by variable, the strongest first.
struct Spoken<'a> {
    inventory: &'a Inventory,
    by_variable: [Vec<(Holder, &'static str, &'a Node)>; Variable::GroupPriority as usize + 1],
}

impl<'a> Spoken<'a> {
    fn gather(inventory: &'a Inventory, host: HostId) -> Self {
        let mut by_variable: [Vec<_>; Variable::GroupPriority as usize + 1] = Default::default();
        for (holder, block) in inventory.blocks(host) {
            for (variable, spelling, node) in block.honoured.iter().rev() {
                by_variable[*variable as usize].push((holder, *spelling, node));
            }
        }
        Self { inventory, by_variable }
    }

    fn of(&self, variable: Variable) -> impl Iterator<Item = (Speaker<'a>, &'a Node)> {
        self.by_variable[variable as usize].iter().map(|(holder, variable, node)| {
            let place = &node.place;
            let by = match holder {
                Holder::Host => Speaker::Host { variable, place },
                Holder::Group(group) => Speaker::Group { variable, group: self.inventory.group_name(*group), place },
            };
            (by, *node)
        })
    }
}
