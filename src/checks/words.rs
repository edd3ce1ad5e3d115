//! Facts in the words of a sentence: in messages with `{path}` in them, and as evidence.
//!
//! Values come from nodes: what leaves here is still untrusted text, escaped by whoever prints it.

use serde::Serialize;
use serde_json::Value;

use super::shape;
use super::slots::value_at;

/// So many entries of a list are named.
const MOST: usize = 4;

/// A value of a fact as people write it: `yes`, `10250`, `/etc/cni/net.d`, `a, b and 2 more`.
pub fn words(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => few(items.iter().map(words).collect()),
        Value::Object(fields) if fields.is_empty() => "none".to_owned(),
        Value::Object(fields) => match fields.get("unknown").and_then(Value::as_str) {
            Some(why) if fields.len() == 1 => format!("not known ({why})"),
            _ => few(fields
                .iter()
                .filter(|(_, value)| !is_nothing(value))
                .map(|(name, value)| format!("{name} {}", words(value)))
                .collect()),
        },
    }
}

/// It adds nothing to a list of a record's fields.
fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.get("unknown").is_some()
}

/// The first of a list, and how many more there are.
fn few(mut items: Vec<String>) -> String {
    let more = items.len().saturating_sub(MOST);
    items.truncate(MOST);
    let named = items.join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}

/// A message in which `{kubelet.pid}` stands for a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Fact(String),
}

impl Message {
    /// Refuses paths that no fact has, and braces without one.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (path, after) = after.split_once('}').ok_or_else(|| format!("`{{` without `}}` in `{text}`"))?;
            shape::at(path)?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Fact(path.to_owned()));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self { text: text.to_owned(), parts })
    }

    /// As written in the check.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What is not there is left out, with the sign that announced it.
    pub(super) fn fill(&self, document: &impl Serialize) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) if out.ends_with(' ') => out.push_str(text.trim_start()),
                Part::Text(text) => out.push_str(text),
                Part::Fact(path) => {
                    if let Some(value) = value_at(document, path).filter(|value| !value.is_null()) {
                        out.push_str(&words(&value));
                    }
                }
            }
        }
        out.truncate(out.trim_end_matches([' ', ':', ';', ',']).len());
        out
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_read_like_words() {
        for (value, said) in [
            (json!(null), "none"),
            (json!(true), "yes"),
            (json!(10250), "10250"),
            (json!([]), "none"),
            (json!(["a", "b", "c", "d", "e", "f"]), "a, b, c, d and 2 more"),
            (json!({ "flannel": "directory", "x": null }), "flannel directory"),
            (json!({ "unknown": "permission denied" }), "not known (permission denied)"),
        ] {
            assert_eq!(words(&value), said);
        }
    }

    #[test]
    fn messages_hold_facts() {
        let message = Message::parse("process {kubelet.pid} ends").unwrap();
        assert_eq!(message.fill(&json!({ "kubelet": { "pid": 12 } })), "process 12 ends");
        assert_eq!(message.fill(&json!({ "kubelet": { "pid": null } })), "process ends");
        let last = Message::parse("it does not stay up: {kubelet.exit_reason}").unwrap();
        assert_eq!(last.fill(&json!({})), "it does not stay up");
        assert!(Message::parse("{kubelet.pod}").unwrap_err().contains("pod"));
        assert!(Message::parse("{kubelet.pid").unwrap_err().contains("without"));
    }
}
