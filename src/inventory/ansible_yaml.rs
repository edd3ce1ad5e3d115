//! Ansible's YAML inventory: from values to groups and hosts. Pure.
//!
//! Both shapes: everything below `all:`, and groups at top level. A group has `hosts`, `children` and `vars`, each a mapping.

use crate::inventory::draft::Draft;
use crate::inventory::error::{InventoryError, Warning, near_text};
use crate::inventory::model::GroupId;
use crate::inventory::names;
use crate::inventory::value::{Duplicate, Entry, Map, Node, Place, Value};

const SECTIONS: [&str; 3] = ["hosts", "children", "vars"];

/// Adds what `root` says to `draft`.
pub(in crate::inventory) fn read(root: Node, draft: &mut Draft) -> Result<(), InventoryError> {
    let Value::Map(map) = root.value else {
        return Err(shape(
            &root.place,
            "the inventory",
            &root.value,
            "a mapping of groups, such as `all:` or `workers:`",
        ));
    };
    if let Some(Node { value: Value::Scalar { text, .. }, place }) = map.get("plugin") {
        return Err(InventoryError::Plugin { place: place.clone(), plugin: text.to_string() });
    }
    no_duplicates(&map, "the inventory")?;
    for entry in map.entries {
        read_group(entry, draft)?;
    }
    Ok(())
}

/// The variables of a `group_vars/` or `host_vars/` file.
pub(in crate::inventory) fn variables_file(root: Node, draft: &mut Draft) -> Result<Vec<Entry>, InventoryError> {
    match root.value {
        Value::Map(map) => Ok(variables(map, draft)),
        other => Err(shape(&root.place, "a file of variables", &other, "a mapping, such as `ansible_user: root`")),
    }
}

fn read_group(group: Entry, draft: &mut Draft) -> Result<Option<GroupId>, InventoryError> {
    let Entry { key: name, key_place, node } = group;
    let map = match node.value {
        Value::Map(map) => map,
        Value::Null => Map::default(),
        other => {
            // Ansible skips these, too; but what was meant is usually a group.
            let message = format!("{name:?} is {}, not a group, and is left out", other.describe());
            draft.warnings.push(Warning::at(&key_place, message));
            return Ok(None);
        }
    };
    let id = draft.group(&name, &key_place)?;
    no_duplicates(&map, &format!("group {name:?}"))?;
    for section in map.entries {
        let what = || format!("`{}` of group {name:?}", section.key);
        match &*section.key {
            "hosts" => {
                for host in
                    mapping(section.node, &what, "a mapping: each host a key that ends in `:`, not a list item")?
                {
                    read_host(host, id, draft)?;
                }
            }
            "children" => {
                for child in
                    mapping(section.node, &what, "a mapping: each group a key that ends in `:`, not a list item")?
                {
                    let place = child.key_place.clone();
                    if let Some(child) = read_group(child, draft)? {
                        draft.nest(id, child, &place);
                    }
                }
            }
            "vars" => match section.node.value {
                Value::Null => {}
                Value::Map(map) => {
                    let variables = variables(map, draft);
                    draft.group_variables(id, variables);
                }
                other => return Err(shape(&section.node.place, &what(), &other, "a mapping of variables")),
            },
            other => {
                let near = near_text(&names::near(other, SECTIONS.into_iter()));
                let message =
                    format!("{other:?} in group {name:?} is left out; a group has hosts, children and vars{near}");
                draft.warnings.push(Warning::at(&section.key_place, message));
            }
        }
    }
    Ok(Some(id))
}

fn read_host(host: Entry, group: GroupId, draft: &mut Draft) -> Result<(), InventoryError> {
    let variables = match host.node.value {
        Value::Null => Vec::new(),
        Value::Map(map) => variables(map, draft),
        other => {
            let what = format!("host {:?}", &*host.key);
            return Err(shape(&host.node.place, &what, &other, "empty or a mapping of variables"));
        }
    };
    draft.add_hosts(&host.key, &host.key_place, group, variables)
}

/// The entries of a section. As in Ansible, `hosts: name` is short for `hosts: {name: }`.
fn mapping(node: Node, what: &dyn Fn() -> String, wanted: &str) -> Result<Vec<Entry>, InventoryError> {
    match node.value {
        Value::Null => Ok(Vec::new()),
        Value::Map(map) => {
            no_duplicates(&map, &what())?;
            Ok(map.entries)
        }
        Value::Scalar { text, .. } => {
            let nothing = Node { value: Value::Null, place: node.place.clone() };
            Ok(vec![Entry { key: (*text).into(), key_place: node.place, node: nothing }])
        }
        list @ Value::List(_) => Err(shape(&node.place, &what(), &list, wanted)),
    }
}

/// A variable given twice loses nothing but itself: the later wins, as in Ansible.
fn variables(map: Map, draft: &mut Draft) -> Vec<Entry> {
    for Duplicate { key, first, second } in &map.duplicates {
        let message = format!("{key} is given twice here; the first one ({first}) is not used");
        draft.warnings.push(Warning::at(second, message));
    }
    map.entries
}

/// A host or group given twice in one mapping would lose everything below its first mention: Ansible drops it in silence.
fn no_duplicates(map: &Map, within: &str) -> Result<(), InventoryError> {
    match map.duplicates.first() {
        None => Ok(()),
        Some(Duplicate { key, first, second }) => Err(InventoryError::Duplicate {
            key: key.to_string(),
            within: within.to_owned(),
            first: first.clone(),
            second: second.clone(),
        }),
    }
}

fn shape(place: &Place, what: &str, found: &Value, wanted: &str) -> InventoryError {
    InventoryError::Shape {
        place: place.clone(),
        what: what.to_owned(),
        found: found.describe().to_owned(),
        wanted: wanted.to_owned(),
    }
}
