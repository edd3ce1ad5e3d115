//! What an inventory script prints for `--list` and `--host`: JSON to groups and hosts. Pure.
//!
//! `serde_json::Value` sorts its keys, and the order of hosts is worth keeping; so the JSON is read into [`Value`]s.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::inventory::draft::Draft;
use crate::inventory::model::GroupId;
use crate::inventory::value::{Entry, Map, Node, Place, ScalarKind, Value};

/// Reads `text`; the error says where and why.
pub(in crate::inventory) fn parse(text: &str, source: &Arc<str>) -> Result<Node, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let node = Json { source }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(node)
}

/// Whether JSON from a *file* is a script's saved `--list` and not a YAML inventory in JSON's clothes.
pub(in crate::inventory) fn is_script_output(root: &Node) -> bool {
    let Value::Map(map) = &root.value else { return false };
    map.entries.iter().any(|entry| {
        &*entry.key == "_meta"
            || match &entry.node.value {
                Value::List(_) => true,
                Value::Map(group) => matches!(group.get("hosts"), Some(Node { value: Value::List(_), .. })),
                _ => false,
            }
    })
}

/// Why the output cannot be an inventory: what is wrong, in words.
pub(in crate::inventory) struct NotAnInventory(pub(in crate::inventory) String);

/// Hosts of the output whose variables must be asked for with `--host`, because there is no `_meta.hostvars`.
pub(in crate::inventory) enum HostVariables {
    Given,
    ToAsk(Vec<String>),
}

/// The output is no inventory, or one that `draft` refuses.
pub(in crate::inventory) enum ReadError {
    Shape(NotAnInventory),
    Inventory(crate::inventory::error::InventoryError),
}

impl From<crate::inventory::error::InventoryError> for ReadError {
    fn from(error: crate::inventory::error::InventoryError) -> Self {
        Self::Inventory(error)
    }
}

/// Adds what the output of `--list` says to `draft`.
pub(in crate::inventory) fn read(root: Node, draft: &mut Draft) -> Result<HostVariables, ReadError> {
    let Value::Map(map) = root.value else {
        return wrong(format!("the top level is {}, not an object of groups", root.value.describe()));
    };
    let mut hosts = Vec::new();
    let mut meta = None;
    for entry in map.entries {
        if &*entry.key == "_meta" {
            meta = Some(entry.node);
        } else {
            read_group(entry, draft, &mut hosts)?;
        }
    }
    let Some(Value::Map(meta)) = meta.map(|meta| meta.value) else { return Ok(HostVariables::ToAsk(hosts)) };
    let Some(hostvars) = meta.entries.into_iter().find(|entry| &*entry.key == "hostvars") else {
        return Ok(HostVariables::ToAsk(hosts));
    };
    let Value::Map(hostvars) = hostvars.node.value else {
        return wrong(format!("_meta.hostvars is {}, not an object", hostvars.node.value.describe()));
    };
    for host in hostvars.entries {
        // As Ansible: variables of hosts that are in no group say nothing.
        let (Some(id), Value::Map(variables)) = (draft.host_id(&host.key), host.node.value) else { continue };
        draft.host_variables(id, variables.entries);
    }
    Ok(HostVariables::Given)
}

fn read_group(group: Entry, draft: &mut Draft, hosts: &mut Vec<String>) -> Result<(), ReadError> {
    let Entry { key: name, key_place, node } = group;
    let id = draft.group(&name, &key_place)?;
    let map = match node.value {
        // The old short form: `"web": ["a", "b"]`.
        Value::List(list) => return add_hosts(list, &name, id, draft, hosts),
        Value::Map(map) => map,
        other => return wrong(format!("group {name:?} is {}, not an object", other.describe())),
    };
    for part in map.entries {
        match (&*part.key, part.node.value) {
            (_, Value::Null) => {}
            ("hosts", Value::List(list)) => add_hosts(list, &name, id, draft, hosts)?,
            ("vars", Value::Map(map)) => draft.group_variables(id, map.entries),
            ("children", Value::List(list)) => {
                for child in list {
                    let Value::Scalar { text, .. } = child.value else {
                        return wrong(format!("group {name:?} has {} among its children", child.value.describe()));
                    };
                    let child_id = draft.group(&text, &child.place)?;
                    draft.nest(id, child_id, &child.place);
                }
            }
            (key @ ("hosts" | "vars" | "children"), other) => {
                return wrong(format!("{key:?} of group {name:?} is {}", other.describe()));
            }
            _ => {}
        }
    }
    Ok(())
}

fn add_hosts(
    list: Vec<Node>,
    group: &str,
    id: GroupId,
    draft: &mut Draft,
    hosts: &mut Vec<String>,
) -> Result<(), ReadError> {
    for host in list {
        let Value::Scalar { text, .. } = host.value else {
            return wrong(format!("group {group:?} has {} among its hosts", host.value.describe()));
        };
        // Names are taken as they are: a script has no need for ranges.
        let host_id = draft.host(&text, &host.place)?;
        draft.join(host_id, id);
        hosts.push(text.to_string());
    }
    Ok(())
}

fn wrong<T>(reason: String) -> Result<T, ReadError> {
    Err(ReadError::Shape(NotAnInventory(reason)))
}

#[derive(Clone, Copy)]
struct Json<'s> {
    source: &'s Arc<str>,
}

impl Json<'_> {
    fn node(self, value: Value) -> Node {
        Node { value, place: Place::whole(self.source) }
    }

    fn scalar(self, text: &str, kind: ScalarKind) -> Node {
        self.node(Value::scalar(text, kind))
    }
}

impl<'de> DeserializeSeed<'de> for Json<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Node, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Json<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(self.node(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(self.scalar(if value { "true" } else { "false" }, ScalarKind::Plain))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(self.scalar(&value.to_string(), ScalarKind::Plain))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(self.scalar(&value.to_string(), ScalarKind::Plain))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(self.scalar(&value.to_string(), ScalarKind::Plain))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(self.scalar(text, ScalarKind::Quoted))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(self.node(Value::List(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Node, A::Error> {
        let mut map = Map::default();
        while let Some(Key(key)) = pairs.next_key()? {
            let node = pairs.next_value_seed(self)?;
            map.entries.push(Entry { key, key_place: Place::whole(self.source), node });
        }
        // `ansible-inventory --list` writes a vaulted or unsafe value as an object of one key.
        if let [Entry { key, node: Node { value: Value::Scalar { text, .. }, .. }, .. }] = &map.entries[..] {
            match &**key {
                "__ansible_vault" => return Ok(self.scalar(text, ScalarKind::Vaulted)),
                "__ansible_unsafe" => return Ok(self.scalar(text, ScalarKind::Unsafe)),
                _ => {}
            }
        }
        Ok(self.node(Value::Map(map)))
    }
}

/// A key of an object.
struct Key(Box<str>);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        Box::<str>::deserialize(reader).map(Key)
    }
}
