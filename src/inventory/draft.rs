//! An inventory that is being put together from its sources. Pure: the formats write into it, [`Draft::finish`] checks the
//! whole and makes the [`Inventory`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::inventory::error::{InventoryError, RangeProblem, Warning};
use crate::inventory::graph;
use crate::inventory::model::{
    ALL, Block, Group, GroupId, Host, HostId, Inventory, KeyFiles, ParsedArguments, Said, UNGROUPED,
};
use crate::inventory::names::{self, Known, Variable};
use crate::inventory::ranges::{self, MAX_HOSTS};
use crate::inventory::ssh_args::{self, SshArguments};
use crate::inventory::value::{Entry, Node, Place, ScalarKind, Value};

/// Hosts, groups and variables so far. No `Debug`: there are passwords among them.
pub(in crate::inventory) struct Draft {
    hosts: Vec<Host>,
    groups: Vec<Group>,
    host_ids: HashMap<Arc<str>, HostId>,
    group_ids: HashMap<Arc<str>, GroupId>,
    pub(in crate::inventory) warnings: Vec<Warning>,
    /// What is known of each variable name met so far; each is warned about once.
    known: HashMap<Box<str>, Known>,
    ssh_args: ParsedArguments,
}

impl Draft {
    pub(in crate::inventory) fn new() -> Self {
        let mut draft = Self {
            hosts: Vec::new(),
            groups: Vec::new(),
            host_ids: HashMap::new(),
            group_ids: HashMap::new(),
            warnings: Vec::new(),
            known: HashMap::new(),
            ssh_args: HashMap::new(),
        };
        draft.insert_group("all");
        draft.insert_group("ungrouped");
        draft
    }

    pub(in crate::inventory) fn host_count(&self) -> usize {
        self.hosts.len()
    }

    pub(in crate::inventory) fn host_id(&self, name: &str) -> Option<HostId> {
        self.host_ids.get(name).copied()
    }

    pub(in crate::inventory) fn group_id(&self, name: &str) -> Option<GroupId> {
        self.group_ids.get(name).copied()
    }

    pub(in crate::inventory) fn group_names(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(|group| &*group.name)
    }

    /// The group of that name, made when there is none yet.
    pub(in crate::inventory) fn group(&mut self, name: &str, place: &Place) -> Result<GroupId, InventoryError> {
        if let Some(id) = self.group_ids.get(name) {
            return Ok(*id);
        }
        check_name("group", name, place)?;
        Ok(self.insert_group(name))
    }

    fn insert_group(&mut self, name: &str) -> GroupId {
        let id = GroupId(u32::try_from(self.groups.len()).unwrap_or(u32::MAX));
        let name: Arc<str> = name.into();
        self.group_ids.insert(Arc::clone(&name), id);
        self.groups.push(Group {
            name,
            priority: 1,
            depth: 0,
            hosts: Vec::new(),
            parents: Vec::new(),
            children: Vec::new(),
            said: Said::default(),
        });
        id
    }

    /// Puts the hosts that `pattern` stands for (a name, a range, perhaps with a port) into `group`, with their variables.
    pub(in crate::inventory) fn add_hosts(
        &mut self,
        pattern: &str,
        place: &Place,
        group: GroupId,
        mut variables: Vec<Entry>,
    ) -> Result<(), InventoryError> {
        let wrong = |problem: RangeProblem| InventoryError::Range {
            place: place.clone(),
            pattern: pattern.to_owned(),
            problem,
        };
        let found = ranges::host_pattern(pattern).map_err(wrong)?;
        if let Some(port) = found.port {
            let node = Node { value: Value::scalar(port, ScalarKind::Plain), place: place.clone() };
            variables.insert(0, Entry { key: "ansible_port".into(), key_place: place.clone(), node });
        }
        let block = self.block(variables);
        for name in &found.names {
            let host = self.host(name, place)?;
            self.join(host, group);
            if let Some(block) = &block {
                self.hosts[host.0 as usize].said.inline.push(Arc::clone(block));
            }
        }
        Ok(())
    }

    /// The host of exactly that name, made when there is none yet.
    pub(in crate::inventory) fn host(&mut self, name: &str, place: &Place) -> Result<HostId, InventoryError> {
        if let Some(id) = self.host_ids.get(name) {
            return Ok(*id);
        }
        check_name("host", name, place)?;
        if self.hosts.len() >= MAX_HOSTS {
            return Err(InventoryError::TooManyHosts { place: place.clone(), limit: MAX_HOSTS });
        }
        let id = HostId(u32::try_from(self.hosts.len()).unwrap_or(u32::MAX));
        let name: Arc<str> = name.into();
        self.host_ids.insert(Arc::clone(&name), id);
        self.hosts.push(Host { name, groups: Vec::new(), lineage: 0, said: Said::default() });
        Ok(id)
    }

    pub(in crate::inventory) fn join(&mut self, host: HostId, group: GroupId) {
        let groups = &mut self.hosts[host.0 as usize].groups;
        if !groups.contains(&group) {
            groups.push(group);
            self.groups[group.0 as usize].hosts.push(host);
        }
    }

    /// Puts `child` into `parent`.
    pub(in crate::inventory) fn nest(&mut self, parent: GroupId, child: GroupId, place: &Place) {
        // The child's parents are few; the parent's children may be many.
        if !self.groups[child.0 as usize].parents.contains(&parent) {
            self.groups[child.0 as usize].parents.push(parent);
            self.groups[parent.0 as usize].children.push((child, place.clone()));
        }
    }

    /// Variables of a group in an inventory file.
    pub(in crate::inventory) fn group_variables(&mut self, group: GroupId, variables: Vec<Entry>) {
        for entry in &variables {
            if &*entry.key == "ansible_group_priority" {
                match &entry.node.value {
                    Value::Scalar { text, .. } if text.trim().parse::<i64>().is_ok() => {
                        self.groups[group.0 as usize].priority = text.trim().parse().unwrap_or(1);
                    }
                    _ => self.warnings.push(Warning::at(&entry.node.place, "ansible_group_priority is not a number")),
                }
            }
        }
        let block = self.block(variables);
        self.groups[group.0 as usize].said.inline.extend(block);
    }

    /// Variables of a host that a script gave in `_meta` or for `--host`.
    pub(in crate::inventory) fn host_variables(&mut self, host: HostId, variables: Vec<Entry>) {
        let block = self.block(variables);
        self.hosts[host.0 as usize].said.inline.extend(block);
    }

    /// Variables of a file in `group_vars/`.
    pub(in crate::inventory) fn group_file(&mut self, group: GroupId, variables: Vec<Entry>) {
        let block = self.block(variables);
        self.groups[group.0 as usize].said.in_files.extend(block);
    }

    /// Variables of a file in `host_vars/`.
    pub(in crate::inventory) fn host_file(&mut self, host: HostId, variables: Vec<Entry>) {
        let block = self.block(variables);
        self.hosts[host.0 as usize].said.in_files.extend(block);
    }

    fn block(&mut self, variables: Vec<Entry>) -> Option<Arc<Block>> {
        if variables.is_empty() {
            return None;
        }
        let mut block = Block::default();
        for entry in variables {
            let known = match self.known.get(&entry.key) {
                Some(known) => *known,
                None => self.meet(&entry),
            };
            match known {
                Known::Honoured(variable, spelling) => {
                    if matches!(variable, Variable::SshArgs | Variable::SshCommonArgs | Variable::SshExtraArgs) {
                        self.meet_ssh_args(spelling, &entry.node);
                    }
                    block.honoured.push((variable, spelling, entry.node));
                }
                Known::Ignored | Known::Suspicious(_) => block.others.push(entry),
            }
        }
        Some(Arc::new(block))
    }

    fn meet(&mut self, entry: &Entry) -> Known {
        let known = names::variable(&entry.key);
        if let Known::Suspicious(near) = known {
            let meant = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
            let message = format!("{} is no variable that Ansible knows, and is not used{meant}", entry.key);
            self.warnings.push(Warning::at(&entry.key_place, message));
        }
        self.known.insert(entry.key.clone(), known);
        known
    }

    fn meet_ssh_args(&mut self, spelling: &str, node: &Node) {
        let Value::Scalar { text, .. } = &node.value else { return };
        if self.ssh_args.contains_key(&**text) {
            return;
        }
        let parsed = ssh_args::parse(text);
        for ignored in parsed.iter().flat_map(|arguments| &arguments.ignored) {
            let message = format!("{ignored} in {spelling} is not used; known are -o -J -i -p -l -F -4 -6");
            self.warnings.push(Warning::at(&node.place, message));
        }
        self.ssh_args.insert((**text).into(), parsed);
    }

    /// All variables that name key files, with the text that names them: what the loading edge looks for on disk.
    pub(in crate::inventory) fn key_texts(&self) -> HashSet<(Arc<str>, String)> {
        let said = self.hosts.iter().map(|host| &host.said).chain(self.groups.iter().map(|group| &group.said));
        let mut texts = HashSet::new();
        // Hosts of one range share a block.
        let mut seen: HashSet<*const Block> = HashSet::new();
        for block in said.flat_map(|said| said.inline.iter().chain(&said.in_files)) {
            if !seen.insert(Arc::as_ptr(block)) {
                continue;
            }
            for (variable, _, node) in &block.honoured {
                let Value::Scalar { text, .. } = &node.value else { continue };
                let source = || Arc::clone(&node.place.source);
                match variable {
                    Variable::KeyFile => drop(texts.insert((source(), text.to_string()))),
                    Variable::SshArgs | Variable::SshCommonArgs | Variable::SshExtraArgs => {
                        let arguments = self.ssh_args.get(&**text).and_then(|parsed| parsed.as_ref().ok());
                        let files = arguments.into_iter().flat_map(SshArguments::identity_files);
                        texts.extend(files.map(|file| (source(), file.to_owned())));
                    }
                    _ => {}
                }
            }
        }
        texts
    }

    /// Checks the whole and works out what follows from it: `all`, `ungrouped`, cycles, depths, lineages.
    pub(in crate::inventory) fn finish(mut self, files: KeyFiles) -> Result<(Inventory, Vec<Warning>), InventoryError> {
        self.settle_ungrouped();
        let place = graph::nowhere();
        for index in 1..self.groups.len() {
            if self.groups[index].parents.is_empty() {
                self.nest(ALL, GroupId(u32::try_from(index).unwrap_or(u32::MAX)), &place);
            }
        }
        graph::check_cycles(&self.groups)?;
        graph::set_depths(&mut self.groups);
        let lineages = graph::lineages(&mut self.hosts, &self.groups);
        for group in &self.groups {
            if self.host_ids.contains_key(&group.name) {
                let message = format!("{:?} is both a host and a group; --limit takes it as the host", group.name);
                self.warnings.push(Warning::new(message));
            }
        }
        let Self { hosts, groups, host_ids, group_ids, warnings, ssh_args, .. } = self;
        Ok((Inventory { hosts, groups, host_ids, group_ids, lineages, ssh_args, files }, warnings))
    }

    /// `ungrouped` holds exactly the hosts that are in no group but `all`.
    fn settle_ungrouped(&mut self) {
        for (index, host) in self.hosts.iter_mut().enumerate() {
            let grouped = host.groups.iter().any(|group| !matches!(*group, ALL | UNGROUPED));
            let listed = host.groups.contains(&UNGROUPED);
            if grouped && listed {
                host.groups.retain(|group| *group != UNGROUPED);
            } else if !grouped && !listed {
                host.groups.push(UNGROUPED);
                self.groups[UNGROUPED.0 as usize].hosts.push(HostId(u32::try_from(index).unwrap_or(u32::MAX)));
            }
        }
        let hosts = &self.hosts;
        let ungrouped = &mut self.groups[UNGROUPED.0 as usize].hosts;
        ungrouped.retain(|host| hosts[host.0 as usize].groups.contains(&UNGROUPED));
        ungrouped.sort_unstable();
    }
}

/// Names become command-line arguments, file names and table cells, so what could be mistaken there is refused.
fn check_name(kind: &'static str, name: &str, place: &Place) -> Result<(), InventoryError> {
    let problem = if name.is_empty() {
        "it is empty"
    } else if name.len() > 255 {
        "it is longer than 255 bytes"
    } else if name.chars().any(char::is_control) {
        "there is a control character in it"
    } else if kind == "host" && name.contains(char::is_whitespace) {
        "there is a space in it"
    } else if kind == "host" && name.starts_with('-') {
        "it starts with `-`, which ssh would take for an option"
    } else if kind == "host" && (name == "." || name == "..") {
        "it is a directory's name"
    } else {
        return Ok(());
    };
    Err(InventoryError::BadName { place: place.clone(), kind, name: name.chars().take(80).collect(), problem })
}
