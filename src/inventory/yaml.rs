//! YAML text to [`Value`]s with places. Pure.
//!
//! `serde_yaml` gives the position of an error but not of a value, and knows no unknown tags without an enum for them; so
//! this stands on the event parser of `saphyr`. Bounded: the depth of nesting and the number of values that aliases make.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use crate::inventory::error::InventoryError;
use crate::inventory::names::looks_secret;
use crate::inventory::value::{Duplicate, Entry, Map, Node, Place, ScalarKind, Value};

/// Deeper nesting is a mistake or an attack; real inventories stay below 20.
const MAX_DEPTH: usize = 128;
/// Values after aliases were expanded.
const MAX_VALUES: usize = 4_000_000;
/// Below this, comparing keys pairwise is faster than hashing them.
const FEW_KEYS: usize = 12;

/// Reads one document; `None` when there is nothing but comments.
pub(in crate::inventory) fn parse(text: &str, source: &Arc<str>) -> Result<Option<Node>, InventoryError> {
    parse_at_most(text, source, MAX_VALUES)
}

/// The same for what is never as large as an inventory: refused when there are more than `most` values. The only errors are
/// of [`InventoryError::Syntax`].
pub(crate) fn parse_at_most(text: &str, source: &Arc<str>, most: usize) -> Result<Option<Node>, InventoryError> {
    let mut builder = Builder { text, source, most, stack: Vec::new(), anchors: HashMap::new(), values: 0, root: None };
    let mut documents = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let marker = error.marker();
            builder.syntax(marker.line(), marker.col() + 1, error.info())
        })?;
        let (line, column) = (span.start.line(), span.start.col() + 1);
        if let Event::DocumentStart(_) = event {
            documents += 1;
            if documents > 1 {
                return Err(builder.syntax(line, column, "a second document starts here; use one"));
            }
        }
        builder.event(event, line, column)?;
    }
    Ok(builder.root.filter(|root| !matches!(root.value, Value::Null)))
}

/// A collection that is not closed yet.
enum Open {
    List { items: Vec<Node>, place: Place, anchor: usize },
    Map { map: Map, key: Option<(Box<str>, Place)>, place: Place, anchor: usize, merges: Vec<Node> },
}

struct Builder<'t> {
    text: &'t str,
    source: &'t Arc<str>,
    /// More values than this are refused.
    most: usize,
    stack: Vec<Open>,
    /// Anchored values and how many values each stands for.
    anchors: HashMap<usize, (Node, usize)>,
    values: usize,
    root: Option<Node>,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, line: usize, column: usize) -> Result<(), InventoryError> {
        let place = Place::new(self.source, line, column);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref());
                self.add(Node { value, place }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.open(Open::List { items: Vec::new(), place, anchor }, line, column),
            Event::MappingStart(anchor, _) => {
                let open = Open::Map { map: Map::default(), key: None, place, anchor, merges: Vec::new() };
                self.open(open, line, column)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some(Open::List { items, place, anchor }) => {
                    self.add(Node { value: Value::List(items), place }, anchor)
                }
                Some(Open::Map { map, place, anchor, merges, .. }) => {
                    let map = finish_map(map, merges);
                    self.add(Node { value: Value::Map(map), place }, anchor)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor) else {
                    return Err(self.syntax(line, column, "an alias stands inside its own anchor"));
                };
                let (node, size) = (node.clone(), *size);
                self.values += size;
                self.add(node, 0)
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
        }
    }

    fn open(&mut self, open: Open, line: usize, column: usize) -> Result<(), InventoryError> {
        if let Some(Open::Map { key: None, .. }) = self.stack.last() {
            let problem =
                "a key must be a single word, not a list or mapping (a value that starts with {{ needs quotes)";
            return Err(self.syntax(line, column, problem));
        }
        if self.stack.len() >= MAX_DEPTH {
            return Err(self.syntax(line, column, &format!("nested more than {MAX_DEPTH} levels deep")));
        }
        self.stack.push(open);
        Ok(())
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), InventoryError> {
        self.values += 1;
        if self.values > self.most {
            let at = node.place.at.map_or((1, 1), |at| (at.line as usize, at.column as usize));
            let problem = format!("more than {} values (aliases that multiply?)", self.most);
            return Err(self.syntax(at.0, at.1, &problem));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size(&node.value)));
        }
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { map, key, merges, .. }) => match key.take() {
                Some((name, _)) if &*name == "<<" && !matches!(node.value, Value::Scalar { .. }) => merges.push(node),
                Some((name, place)) => map.entries.push(Entry { key: name, key_place: place, node }),
                None => match node.value {
                    Value::Scalar { text, .. } => *key = Some(((*text).into(), node.place)),
                    Value::Null => *key = Some(("".into(), node.place)),
                    Value::List(_) | Value::Map(_) => {
                        let at = node.place.at.map_or((1, 1), |at| (at.line as usize, at.column as usize));
                        return Err(self.syntax(at.0, at.1, "a key must be a single word"));
                    }
                },
            },
        }
        Ok(())
    }

    /// A syntax error with the line that it is about, which is not shown where it may hold a password.
    fn syntax(&self, line: usize, column: usize, info: &str) -> InventoryError {
        let mut excerpt = "";
        let mut excerpt_line = line;
        for (number, text) in (1..=line).zip(self.text.lines()) {
            if !text.trim().is_empty() {
                (excerpt, excerpt_line) = (text, number);
            }
        }
        let indent = &excerpt[..excerpt.len() - excerpt.trim_start().len()];
        let problem = if indent.contains('\t') {
            "a tab indents this line, and YAML allows only spaces there".to_owned()
        } else {
            format!("not valid YAML: {info}")
        };
        // The parser notices a half-written file behind its last line.
        let cut_off = excerpt_line != line;
        let problem = if cut_off { format!("{problem}; the file seems to be cut off here") } else { problem };
        let (line, column) = if excerpt_line == line { (line, column) } else { (excerpt_line, indent.len() + 1) };
        InventoryError::Syntax { place: Place::new(self.source, line, column), problem, excerpt: show_line(excerpt) }
    }
}

/// A line of an inventory as it may stand in a message: short, and without a value that may be secret.
pub(in crate::inventory) fn show_line(line: &str) -> String {
    let line = line.trim();
    if let Some(end) = line.find([':', '='])
        && line.split([':', '=', ' ', '"', '\'']).any(looks_secret)
    {
        return format!("{}{} (hidden)", line[..end].chars().take(60).collect::<String>(), &line[end..=end]);
    }
    let mut short: String = line.chars().take(80).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    short
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let kind = match tag {
        Some(tag) if tag.handle == "!" && tag.suffix.starts_with("vault") => ScalarKind::Vaulted,
        Some(tag) if tag.handle == "!" && tag.suffix == "unsafe" => ScalarKind::Unsafe,
        None if style == ScalarStyle::Plain => ScalarKind::Plain,
        Some(_) | None => ScalarKind::Quoted,
    };
    if kind == ScalarKind::Plain && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        return Value::Null;
    }
    Value::scalar(text, kind)
}

fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Scalar { .. } => 1,
        Value::List(items) => 1 + items.iter().map(|node| size(&node.value)).sum::<usize>(),
        Value::Map(map) => 1 + map.entries.iter().map(|entry| size(&entry.node.value)).sum::<usize>(),
    }
}

/// Takes out keys that occur twice (the later wins) and adds what `<<` brings in (which never overrides).
fn finish_map(mut map: Map, merges: Vec<Node>) -> Map {
    remove_duplicates(&mut map);
    for merge in merges {
        let nodes = match merge.value {
            Value::List(items) => items,
            _ => vec![merge],
        };
        for node in nodes {
            let Value::Map(other) = node.value else { continue };
            for entry in other.entries {
                if map.get(&entry.key).is_none() {
                    map.entries.push(entry);
                }
            }
        }
    }
    map
}

fn remove_duplicates(map: &mut Map) {
    let entries = &map.entries;
    let repeats = if entries.len() <= FEW_KEYS {
        entries.iter().enumerate().any(|(index, entry)| entries[..index].iter().any(|other| other.key == entry.key))
    } else {
        let mut seen = HashSet::with_capacity(entries.len());
        !entries.iter().all(|entry| seen.insert(&entry.key))
    };
    if !repeats {
        return;
    }
    let mut kept: Vec<Entry> = Vec::with_capacity(entries.len());
    let mut index_of: HashMap<Box<str>, usize> = HashMap::new();
    for entry in std::mem::take(&mut map.entries) {
        if let Some(&index) = index_of.get(&entry.key) {
            let first = std::mem::replace(&mut kept[index], entry);
            let second = kept[index].key_place.clone();
            map.duplicates.push(Duplicate { key: first.key, first: first.key_place, second });
        } else {
            index_of.insert(entry.key.clone(), kept.len());
            kept.push(entry);
        }
    }
    map.entries = kept;
}
