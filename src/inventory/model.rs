//! The inventory after loading: hosts, groups, who is in what, and all that was said about them. Never changes any more.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::inventory::names::{self, Variable};
use crate::inventory::ssh_args::{SshArgsProblem, SshArguments};
use crate::inventory::value::{Entry, Node, Place};
use crate::target::Role;

/// A host of this inventory. Ids are in inventory order: the order of first mention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostId(pub(in crate::inventory) u32);

/// A group of this inventory, in the order of first mention; `all` and `ungrouped` come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub(in crate::inventory) u32);

/// Every host is in it.
pub const ALL: GroupId = GroupId(0);
/// The hosts that are in no other group but `all`.
pub const UNGROUPED: GroupId = GroupId(1);

/// Hosts and groups with their variables. Made by [`load`](crate::inventory::load::load).
pub struct Inventory {
    pub(in crate::inventory) hosts: Vec<Host>,
    pub(in crate::inventory) groups: Vec<Group>,
    pub(in crate::inventory) host_ids: HashMap<Arc<str>, HostId>,
    pub(in crate::inventory) group_ids: HashMap<Arc<str>, GroupId>,
    /// For each distinct set of groups: these and all their ancestors, the weakest first.
    pub(in crate::inventory) lineages: Vec<Vec<GroupId>>,
    pub(in crate::inventory) ssh_args: ParsedArguments,
    pub(in crate::inventory) files: KeyFiles,
}

/// Each distinct text of ssh arguments, read once: thousands of hosts usually share one.
pub(in crate::inventory) type ParsedArguments = HashMap<Box<str>, Result<SshArguments, SshArgsProblem>>;

#[derive(Debug)]
pub(in crate::inventory) struct Host {
    pub(in crate::inventory) name: Arc<str>,
    pub(in crate::inventory) groups: Vec<GroupId>,
    /// Index into [`Inventory::lineages`].
    pub(in crate::inventory) lineage: usize,
    pub(in crate::inventory) said: Said,
}

#[derive(Debug)]
pub(in crate::inventory) struct Group {
    pub(in crate::inventory) name: Arc<str>,
    /// `ansible_group_priority`: among groups of one depth the greater wins.
    pub(in crate::inventory) priority: i64,
    /// The longest way from `all`.
    pub(in crate::inventory) depth: u32,
    pub(in crate::inventory) hosts: Vec<HostId>,
    pub(in crate::inventory) parents: Vec<GroupId>,
    pub(in crate::inventory) children: Vec<(GroupId, Place)>,
    pub(in crate::inventory) said: Said,
}

/// The variables of one host or group. Blocks are shared by the hosts of a range; a later block wins over an earlier one.
#[derive(Debug, Default)]
pub(in crate::inventory) struct Said {
    /// In the inventory's own files.
    pub(in crate::inventory) inline: Vec<Arc<Block>>,
    /// In `group_vars/` and `host_vars/`.
    pub(in crate::inventory) in_files: Vec<Arc<Block>>,
}

/// Variables that were written together; a later one wins over an earlier one of the same meaning.
#[derive(Debug, Default)]
pub(in crate::inventory) struct Block {
    pub(in crate::inventory) honoured: Vec<(Variable, &'static str, Node)>,
    pub(in crate::inventory) others: Vec<Entry>,
}

/// What the loading edge found out about paths, so that resolving a target touches no disk.
#[derive(Debug, Default)]
pub(in crate::inventory) struct KeyFiles {
    /// What `~` stands for.
    pub(in crate::inventory) home: Option<std::path::PathBuf>,
    pub(in crate::inventory) cwd: std::path::PathBuf,
    /// Relative paths of keys that exist beside the source that names them.
    pub(in crate::inventory) beside: HashMap<(Arc<str>, String), std::path::PathBuf>,
}

/// What a host is made of, in Ansible's order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::inventory) enum Holder {
    Group(GroupId),
    Host,
}

/// Only sizes: there are passwords among the variables, and in the arguments of proxy commands.
impl fmt::Debug for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inventory({} hosts, {} groups)", self.hosts.len(), self.groups.len())
    }
}

impl Inventory {
    /// All hosts in inventory order.
    pub fn hosts(&self) -> impl ExactSizeIterator<Item = HostId> + use<> {
        (0..u32::try_from(self.hosts.len()).unwrap_or(u32::MAX)).map(HostId)
    }

    pub fn host(&self, name: &str) -> Option<HostId> {
        self.host_ids.get(name).copied()
    }

    pub fn host_name(&self, host: HostId) -> &str {
        &self.hosts[host.0 as usize].name
    }

    pub fn group(&self, name: &str) -> Option<GroupId> {
        self.group_ids.get(name).copied()
    }

    pub fn group_name(&self, group: GroupId) -> &str {
        &self.groups[group.0 as usize].name
    }

    /// All groups, `all` and `ungrouped` first.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = GroupId> + use<> {
        (0..u32::try_from(self.groups.len()).unwrap_or(u32::MAX)).map(GroupId)
    }

    /// The groups directly inside `group`.
    pub fn children(&self, group: GroupId) -> impl Iterator<Item = GroupId> {
        self.groups[group.0 as usize].children.iter().map(|(child, _)| *child)
    }

    /// The hosts directly in `group`; those of `all` and `ungrouped` are the hosts that are in no other group.
    pub fn members(&self, group: GroupId) -> &[HostId] {
        &self.groups[group.0 as usize].hosts
    }

    /// The names of the groups that `host` is in, ancestors included and `all` left out, sorted.
    pub fn groups_of(&self, host: HostId) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.lineage(host).iter().filter(|group| **group != ALL).map(|group| self.group_name(*group)).collect();
        names.sort_unstable();
        names
    }

    /// The role that the groups tell. Control plane wins: such a node is often a worker, too.
    pub fn role(&self, host: HostId) -> Option<Role> {
        let roles = || self.lineage(host).iter().filter_map(|group| names::role_of_group(self.group_name(*group)));
        roles().find(|role| *role == Role::ControlPlane).or_else(|| roles().next())
    }

    /// The host's groups with their ancestors, the weakest first.
    pub(in crate::inventory) fn lineage(&self, host: HostId) -> &[GroupId] {
        &self.lineages[self.hosts[host.0 as usize].lineage]
    }

    /// Every block that speaks about `host`, the strongest first, as Ansible ranks them: `host_vars/`, the host in the
    /// inventory, `group_vars/` of its groups, `group_vars/all`, the groups in the inventory, `all` in the inventory.
    pub(in crate::inventory) fn blocks(&self, host: HostId) -> impl Iterator<Item = (Holder, &Block)> {
        let said = &self.hosts[host.0 as usize].said;
        let of_host = said.in_files.iter().rev().chain(said.inline.iter().rev()).map(|block| (Holder::Host, &**block));
        let groups = |blocks: fn(&Said) -> &[Arc<Block>]| {
            self.lineage(host).iter().rev().flat_map(move |group| {
                let said = &self.groups[group.0 as usize].said;
                blocks(said).iter().rev().map(|block| (Holder::Group(*group), &**block))
            })
        };
        of_host.chain(groups(|said| &said.in_files)).chain(groups(|said| &said.inline))
    }
}
