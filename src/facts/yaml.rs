//! YAML of a node's files, within bounds: what a file may hold is known, and a node may send something else.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser};
use serde_yaml::Value;

use super::Fact;
use super::memo::Memo;
use super::read::clip;

/// Brackets that may be open at once; no file of Kubernetes comes near it.
const MAX_BRACKETS: usize = 200;

/// Values that a file with aliases may come to. The longest file of Kubernetes has a few hundred, and aliases of aliases are
/// written in a line and take a gigabyte.
const MAX_ALIASED: usize = 20_000;

/// YAML that is a mapping, or why not.
///
/// Open brackets are counted first, because the parser needs time in the square of their depth before it gives up, and a
/// node may send as many as its section holds.
pub(crate) fn yaml(text: &str) -> Fact<Arc<Value>> {
    static KNOWN: Memo<Fact<Arc<Value>>> = Memo::new();
    Fact::clone(&KNOWN.get(text, |text| mapping(text).map(Arc::new)))
}

fn mapping(text: &str) -> Fact<Value> {
    if is_deep(text) {
        return Fact::unknown("no valid YAML: nested too deeply");
    }
    if text.contains('&') && text.contains('*') && values(text).is_none_or(|values| values > MAX_ALIASED) {
        return Fact::unknown("no valid YAML: its aliases make it too large");
    }
    match serde_yaml::from_str::<Value>(text) {
        Ok(value) if value.is_mapping() => Fact::Known(value),
        Ok(_) => Fact::unknown("no YAML mapping"),
        Err(error) => Fact::unknown(format!("no valid YAML: {}", clip(&error.to_string(), 160))),
    }
}

fn is_deep(text: &str) -> bool {
    let mut open: usize = 0;
    text.bytes().any(|byte| {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        open > MAX_BRACKETS
    })
}

/// How many values a text has once every alias stands for what it names, up to where it is no YAML; `None` when an alias stands
/// inside its own anchor.
fn values(text: &str) -> Option<usize> {
    let mut anchored: HashMap<usize, usize> = HashMap::new();
    // The collections that are open: their anchors, and how many values there were before them.
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut values: usize = 0;
    for event in Parser::new_from_str(text).map_while(Result::ok) {
        match event.0 {
            Event::Scalar(_, _, anchor, _) => {
                values = values.saturating_add(1);
                anchored.insert(anchor, 1);
            }
            Event::Alias(anchor) => values = values.saturating_add(*anchored.get(&anchor)?),
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                open.push((anchor, values));
                values = values.saturating_add(1);
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some((anchor, before)) = open.pop() {
                    anchored.insert(anchor, values - before);
                }
            }
            _ => {}
        }
        if values > MAX_ALIASED {
            break;
        }
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_count_as_what_they_stand_for() {
        assert_eq!(values("a: &x [1, 2]\nb: *x\nc: *x\n"), Some(13));
        assert_eq!(values("a: &x [*x]\n"), None);
        assert!(yaml("a: &x {k: v}\nb: *x\n").is_known());
    }

    #[test]
    fn what_aliases_make_too_large_is_not_read() {
        let levels = (1..40).map(|level| format!("b{level}: &b{level} [*b{}, *b{}]\n", level - 1, level - 1));
        let bomb: String = std::iter::once("b0: &b0 {k: v}\n".to_owned()).chain(levels).collect();
        for text in [bomb.as_str(), "a: &x [*x]\n"] {
            assert_eq!(yaml(text).reason(), Some("no valid YAML: its aliases make it too large"));
        }
    }
}
