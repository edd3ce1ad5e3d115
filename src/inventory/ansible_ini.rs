//! Ansible's INI inventory: `[group]`, `[group:children]`, `[group:vars]` and host lines. Pure.
//!
//! Quoting and comments follow Ansible to the letter, where they look odd, too: a `#` inside an unquoted word of a host line
//! begins a comment, and one behind a bare word in `[group:vars]` does not.

use std::sync::Arc;

use crate::inventory::draft::Draft;
use crate::inventory::error::{InventoryError, Warning};
use crate::inventory::model::{GroupId, UNGROUPED};
use crate::inventory::names;
use crate::inventory::value::{Entry, Node, Place, ScalarKind, Value};
use crate::inventory::words::{self, Comments, Unclosed};
use crate::inventory::yaml::show_line;

/// What the lines below a section's heading are.
#[derive(Clone, Copy)]
enum Section {
    Hosts(GroupId),
    Children(GroupId),
    Variables(GroupId),
}

/// A group that was named before it was defined.
struct Pending {
    name: String,
    section: String,
    place: Place,
}

/// Adds what `text` says to `draft`.
pub(in crate::inventory) fn read(text: &str, source: &Arc<str>, draft: &mut Draft) -> Result<(), InventoryError> {
    let mut reader =
        Reader { source, draft, section: Section::Hosts(UNGROUPED), heading: String::new(), pending: Vec::new() };
    let mut defined: std::collections::HashSet<String> = reader.draft.group_names().map(str::to_owned).collect();
    for (number, raw) in (1..).zip(text.lines()) {
        let line = raw.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let indent = raw.chars().take_while(|char| char.is_whitespace()).count();
        let line = Line { text: line, number, indent };
        match heading(line.text) {
            Some((group, kind)) => {
                if kind != Some("vars") {
                    defined.insert(group.to_owned());
                }
                reader.heading(group, kind, &line)?;
            }
            None if line.text.starts_with('[') && line.text.ends_with(']') => {
                return Err(line.syntax(
                    source,
                    1,
                    "a heading is [group], [group:children] or [group:vars], without spaces",
                ));
            }
            None => reader.line(&line)?,
        }
    }
    let pending = std::mem::take(&mut reader.pending);
    match pending.into_iter().find(|pending| !defined.contains(&pending.name)) {
        None => Ok(()),
        Some(Pending { name, section, place }) => {
            let near = names::near(&name, defined.iter().map(String::as_str));
            Err(InventoryError::UndefinedGroup { place, name, section, near })
        }
    }
}

struct Line<'t> {
    text: &'t str,
    number: usize,
    indent: usize,
}

impl Line<'_> {
    fn place(&self, source: &Arc<str>, column: usize) -> Place {
        Place::new(source, self.number, self.indent + column)
    }

    fn syntax(&self, source: &Arc<str>, column: usize, problem: impl Into<String>) -> InventoryError {
        let (place, problem) = (self.place(source, column), problem.into());
        InventoryError::Syntax { place, problem, excerpt: show_line(self.text) }
    }
}

struct Reader<'t> {
    source: &'t Arc<str>,
    draft: &'t mut Draft,
    section: Section,
    heading: String,
    pending: Vec<Pending>,
}

impl Reader<'_> {
    fn heading(&mut self, group: &str, kind: Option<&str>, line: &Line<'_>) -> Result<(), InventoryError> {
        let place = line.place(self.source, 2);
        let id = self.draft.group(group, &place)?;
        group.clone_into(&mut self.heading);
        self.section = match kind {
            None | Some("hosts") => Section::Hosts(id),
            Some("children") => Section::Children(id),
            Some("vars") => {
                let section = format!("{group}:vars");
                self.pending.push(Pending { name: group.to_owned(), section, place });
                Section::Variables(id)
            }
            Some(other) => {
                let problem = format!("{other:?} is no kind of section; known are hosts, children and vars");
                return Err(line.syntax(self.source, group.chars().count() + 3, problem));
            }
        };
        Ok(())
    }

    fn line(&mut self, line: &Line<'_>) -> Result<(), InventoryError> {
        match self.section {
            Section::Hosts(group) => self.host(line, group),
            Section::Children(group) => self.child(line, group),
            Section::Variables(group) => self.variable(line, group),
        }
    }

    fn host(&mut self, line: &Line<'_>, group: GroupId) -> Result<(), InventoryError> {
        let words = words::split(line.text, Comments::Skipped)
            .map_err(|Unclosed { column }| line.syntax(self.source, column, "this quote is never closed"))?;
        let mut words = words.into_iter();
        let Some(pattern) = words.next() else { return Ok(()) };
        let place = line.place(self.source, pattern.column);
        if pattern.text.ends_with(':') {
            let problem = "a host's name cannot end in `:` (is this YAML? then its first line must look like it)";
            return Err(line.syntax(self.source, pattern.column, problem));
        }
        let mut variables = Vec::with_capacity(words.len());
        for word in words {
            let Some((key, value)) = word.text.split_once('=') else {
                return Err(line.syntax(self.source, word.column, "expected key=value behind the host"));
            };
            let key_place = line.place(self.source, word.column);
            let node = Node { value: literal(value), place: key_place.clone() };
            variables.push(Entry { key: key.into(), key_place, node });
        }
        self.draft.add_hosts(&pattern.text, &place, group, variables)
    }

    fn child(&mut self, line: &Line<'_>, parent: GroupId) -> Result<(), InventoryError> {
        let name = line.text.split('#').next().unwrap_or_default().trim_end();
        if name.is_empty() || name.contains(|char: char| char.is_whitespace() || char == ':' || char == ']') {
            return Err(line.syntax(self.source, 1, "expected the name of one group"));
        }
        let place = line.place(self.source, 1);
        let child = self.draft.group(name, &place)?;
        let section = format!("{}:children", self.heading);
        self.pending.push(Pending { name: name.to_owned(), section, place: place.clone() });
        self.draft.nest(parent, child, &place);
        Ok(())
    }

    fn variable(&mut self, line: &Line<'_>, group: GroupId) -> Result<(), InventoryError> {
        let Some((key, value)) = line.text.split_once('=') else {
            return Err(line.syntax(self.source, 1, "expected key=value"));
        };
        let (name, value) = (key.trim(), value.trim());
        let key_place = line.place(self.source, 1);
        let node = Node { value: literal(value), place: key_place.clone() };
        if let Value::Scalar { text, kind: ScalarKind::Plain } = &node.value
            && text.contains(" #")
        {
            let message =
                format!("Ansible takes what stands behind # as part of the value of {name}; put it on its own line");
            self.draft.warnings.push(Warning::at(&key_place, message));
        }
        self.draft.group_variables(group, vec![Entry { key: name.into(), key_place, node }]);
        Ok(())
    }
}

/// `[group]` or `[group:kind]`, perhaps with a comment behind it.
fn heading(line: &str) -> Option<(&str, Option<&str>)> {
    let (inner, rest) = line.strip_prefix('[')?.split_once(']')?;
    let rest = rest.trim_start();
    if !(rest.is_empty() || rest.starts_with('#')) {
        return None;
    }
    let (group, kind) = match inner.split_once(':') {
        Some((group, kind)) => (group, Some(kind)),
        None => (inner, None),
    };
    let word = |text: &str| !text.is_empty() && text.chars().all(|char| char.is_alphanumeric() || char == '_');
    (!group.is_empty() && !group.contains(char::is_whitespace) && kind.is_none_or(word)).then_some((group, kind))
}

/// Ansible reads a value as a Python literal when it is one, and as the text that stands there otherwise.
fn literal(text: &str) -> Value {
    if let Some(quoted) = python_string(text) {
        return Value::scalar(&quoted, ScalarKind::Quoted);
    }
    let before_comment = text.split('#').next().unwrap_or_default().trim_end();
    let number = before_comment.parse::<i64>().is_ok() && !before_comment.starts_with('+');
    match before_comment {
        "None" => Value::Null,
        "True" | "False" => Value::scalar(before_comment, ScalarKind::Plain),
        digits if number => Value::scalar(digits, ScalarKind::Plain),
        _ => Value::scalar(text, ScalarKind::Plain),
    }
}

/// The content of a Python string literal with nothing but a comment behind it.
fn python_string(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|char| matches!(char, '"' | '\''))?;
    let mut content = String::new();
    let mut chars = text[1..].chars();
    loop {
        match chars.next()? {
            char if char == quote => break,
            '\\' => match chars.next()? {
                'n' => content.push('\n'),
                't' => content.push('\t'),
                char @ ('\\' | '"' | '\'') => content.push(char),
                char => content.extend(['\\', char]),
            },
            char => content.push(char),
        }
    }
    let rest = chars.as_str().trim_start();
    (rest.is_empty() || rest.starts_with('#')).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_python_literals_where_they_can_be() {
        for (written, text, kind) in [
            ("22", "22", ScalarKind::Plain),
            ("22 # ssh", "22", ScalarKind::Plain),
            ("True", "True", ScalarKind::Plain),
            ("'a b'", "a b", ScalarKind::Quoted),
            ("\"a # b\" # c", "a # b", ScalarKind::Quoted),
            ("\"a\" \"b\"", "\"a\" \"b\"", ScalarKind::Plain),
            ("'a", "'a", ScalarKind::Plain),
            ("foo # bar", "foo # bar", ScalarKind::Plain),
            ("-o A=b -J 'x'", "-o A=b -J 'x'", ScalarKind::Plain),
        ] {
            let Value::Scalar { text: found, kind: found_kind } = literal(written) else { panic!("{written}") };
            assert_eq!((&*found, found_kind), (text, kind), "{written}");
        }
        assert!(matches!(literal("None"), Value::Null));
    }

    #[test]
    fn headings() {
        assert_eq!(heading("[web]"), Some(("web", None)));
        assert_eq!(heading("[k8s-cluster:children]  # all"), Some(("k8s-cluster", Some("children"))));
        assert_eq!(heading("[web servers]"), None);
        assert_eq!(heading("[1:3].example.com"), None);
        assert_eq!(heading("[2001:db8::1]:22"), None);
    }
}
