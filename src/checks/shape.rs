//! The types of all facts, taken from the schema of [`NodeFacts`], and whether an expression names only what exists.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, operators};
use serde_json::{Map, Value, json};

use super::nearest;
use crate::facts::NodeFacts;
use crate::facts::cluster::Member;
use crate::failure::Failure;

/// The type of a fact.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// Named fields, all of them always there.
    Struct(BTreeMap<String, Field>),
    /// Keys that differ from node to node.
    Map(Box<Field>),
    List(Box<Field>),
    Bool,
    Int,
    Text,
    /// The result of a computation.
    Any,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) shape: Shape,
    /// It may be `null`: looked for and not there.
    nullable: bool,
}

impl Field {
    const fn of(shape: Shape) -> Self {
        Self { shape, nullable: false }
    }
}

/// What expressions can name: every area of the facts, `node` and `member`.
pub(super) static ROOT: LazyLock<Shape> = LazyLock::new(|| {
    let Shape::Struct(mut fields) = from_schema(schemars::schema_for!(NodeFacts).as_value()).shape else {
        return Shape::Any;
    };
    fields.insert("member".to_owned(), from_schema(schemars::schema_for!(Member).as_value()));
    // Checks that name it are judged only when it is there.
    if let Some(upgrade) = fields.get_mut("upgrade") {
        upgrade.nullable = false;
    }
    let phase = Field { shape: Shape::Text, nullable: true };
    let roles = Field::of(Shape::List(Box::new(Field::of(Shape::Text))));
    let failure = Field { nullable: true, ..from_schema(schemars::schema_for!(Failure).as_value()) };
    let node =
        BTreeMap::from([("phase".to_owned(), phase), ("roles".to_owned(), roles), ("failure".to_owned(), failure)]);
    fields.insert("node".to_owned(), Field::of(Shape::Struct(node)));
    Shape::Struct(fields)
});

fn from_schema(root: &Value) -> Field {
    field(root, &root["$defs"])
}

fn field(schema: &Value, definitions: &Value) -> Field {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        return field(&definitions[name], definitions);
    }
    if let Some(options) = schema["anyOf"].as_array() {
        let known = options.iter().find(|option| option["type"] != "null").map(|option| field(option, definitions));
        return Field { shape: known.map_or(Shape::Any, |known| known.shape), nullable: true };
    }
    if schema["enum"].is_array() || schema["oneOf"].is_array() {
        return Field::of(Shape::Text);
    }
    let nullable = schema["type"].is_array();
    let kind = schema["type"].as_str().or_else(|| schema["type"].get(0).and_then(Value::as_str));
    let shape = match kind {
        Some("boolean") => Shape::Bool,
        Some("integer" | "number") => Shape::Int,
        Some("string") => Shape::Text,
        Some("array") => Shape::List(Box::new(field(&schema["items"], definitions))),
        Some("object") => match schema["properties"].as_object() {
            Some(fields) => {
                Shape::Struct(fields.iter().map(|(name, schema)| (name.clone(), field(schema, definitions))).collect())
            }
            None => Shape::Map(Box::new(field(&schema["additionalProperties"], definitions))),
        },
        _ => Shape::Any,
    };
    Field { shape, nullable }
}

/// What stands in for facts when an expression is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filling {
    /// `false`, zero, and nothing in any list.
    Empty,
    /// `true`, a large number, and one entry in every list.
    Full,
    /// `null` wherever a fact may be absent.
    Absent,
}

/// A document in which every field is present.
pub(super) fn document(filling: Filling) -> Value {
    static EMPTY: LazyLock<Value> = LazyLock::new(|| sample(&Field::of(ROOT.clone()), Filling::Empty));
    static FULL: LazyLock<Value> = LazyLock::new(|| sample(&Field::of(ROOT.clone()), Filling::Full));
    static ABSENT: LazyLock<Value> = LazyLock::new(|| sample(&Field::of(ROOT.clone()), Filling::Absent));
    match filling {
        Filling::Empty => EMPTY.clone(),
        Filling::Full => FULL.clone(),
        Filling::Absent => ABSENT.clone(),
    }
}

fn sample(field: &Field, filling: Filling) -> Value {
    if field.nullable && filling == Filling::Absent {
        return Value::Null;
    }
    let full = filling == Filling::Full;
    match &field.shape {
        Shape::Struct(fields) => {
            fields.iter().map(|(name, field)| (name.clone(), sample(field, filling))).collect::<Map<_, _>>().into()
        }
        Shape::Map(_) => json!({}),
        Shape::List(item) if filling != Filling::Empty => json!([sample(item, filling)]),
        Shape::List(_) => json!([]),
        Shape::Bool => json!(full),
        Shape::Int => json!(if full { 1_i64 << 40 } else { 0 }),
        Shape::Text | Shape::Any => json!(""),
    }
}

/// The type of the fact at a dotted path.
pub(super) fn at(path: &str) -> Result<&'static Shape, String> {
    let mut shape: &'static Shape = &ROOT;
    for (index, name) in path.split('.').enumerate() {
        let parent = path.split('.').take(index).collect::<Vec<_>>().join(".");
        shape = select(shape, &parent, name)?;
    }
    Ok(shape)
}

/// Of what a computation gives, and of a map's keys.
static ANY: Shape = Shape::Any;
static TEXT: Shape = Shape::Text;

fn select(shape: &'static Shape, parent: &str, name: &str) -> Result<&'static Shape, String> {
    match shape {
        Shape::Struct(fields) => {
            if let Some(field) = fields.get(name) {
                return Ok(&field.shape);
            }
            let of = if parent.is_empty() { String::new() } else { format!(" in `{parent}`") };
            let hint = nearest(name, fields.keys().map(|name| (name.as_str(), name.as_str())))
                .map(|near| format!("; did you mean `{near}`?"))
                .unwrap_or_default();
            Err(format!("no fact is called `{name}`{of}{hint}"))
        }
        Shape::Map(value) => Ok(&value.shape),
        Shape::Any => Ok(&ANY),
        Shape::List(_) | Shape::Bool | Shape::Int | Shape::Text => {
            Err(format!("`{parent}` has no fields, so there is no `{name}` in it"))
        }
    }
}

/// The paths of all facts that an expression names, or the first name that does not exist.
pub(super) fn paths(expression: &IdedExpr) -> Result<Vec<String>, String> {
    let mut walk = Walk { scope: Vec::new(), paths: Vec::new() };
    walk.shape(expression)?;
    walk.paths.sort();
    walk.paths.dedup();
    Ok(walk.paths)
}

struct Walk {
    /// Variables of `exists` and its like, innermost last.
    scope: Vec<(String, &'static Shape)>,
    paths: Vec<String>,
}

impl Walk {
    fn shape(&mut self, expression: &IdedExpr) -> Result<&'static Shape, String> {
        match &expression.expr {
            Expr::Ident(name) => {
                if let Some((_, shape)) = self.scope.iter().rev().find(|(variable, _)| variable == name) {
                    return Ok(shape);
                }
                self.paths.push(name.clone());
                select(&ROOT, "", name)
            }
            Expr::Select(selected) => {
                let of = self.shape(&selected.operand)?;
                let parent = written(&selected.operand).unwrap_or_default();
                if selected.test && matches!(of, Shape::Struct(_)) {
                    let name = &selected.field;
                    return Err(format!("has() takes an unread `{name}` for an absent one: compare it with null"));
                }
                if let Some(path) = written(expression) {
                    self.paths.push(path);
                }
                select(of, &parent, &selected.field)
            }
            Expr::Call(call) => {
                let target = call.target.iter().map(AsRef::as_ref);
                let shapes: Vec<&'static Shape> =
                    target.chain(&call.args).map(|part| self.shape(part)).collect::<Result<_, _>>()?;
                Ok(match (call.func_name.as_str(), shapes.into_iter().next()) {
                    (operators::INDEX, Some(Shape::List(item) | Shape::Map(item))) => &item.shape,
                    _ => &ANY,
                })
            }
            Expr::Comprehension(each) => {
                let item = match self.shape(&each.iter_range)? {
                    Shape::List(item) => &item.shape,
                    Shape::Map(_) => &TEXT,
                    _ => &ANY,
                };
                self.shape(&each.accu_init)?;
                let before = self.scope.len();
                self.scope.push((each.iter_var.clone(), item));
                self.scope.extend(each.iter_var2.clone().map(|name| (name, &ANY)));
                self.scope.push((each.accu_var.clone(), &ANY));
                for part in [&each.loop_cond, &each.loop_step, &each.result] {
                    self.shape(part)?;
                }
                self.scope.truncate(before);
                Ok(&ANY)
            }
            Expr::List(list) => {
                for element in &list.elements {
                    self.shape(element)?;
                }
                Ok(&ANY)
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.shape(&entry.key)?;
                        self.shape(&entry.value)?;
                    }
                }
                Ok(&ANY)
            }
            Expr::Literal(_) => Ok(&ANY),
            Expr::Struct(_) | Expr::Unspecified => Err("structures cannot be written in a check".to_owned()),
        }
    }
}

/// `a.b.c` of an expression that is written like that.
pub(super) fn written(expression: &IdedExpr) -> Option<String> {
    match &expression.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(selected) => Some(format!("{}.{}", written(&selected.operand)?, selected.field)),
        _ => None,
    }
}

/// Lays values over a document; refuses paths that no fact has and values of another type.
pub(super) fn patch(document: &mut Value, patch: &BTreeMap<String, Value>) -> Result<(), String> {
    for (path, value) in patch {
        let fits = match at(path)? {
            Shape::Struct(_) | Shape::Map(_) => value.is_object(),
            Shape::List(_) => value.is_array(),
            Shape::Bool => value.is_boolean(),
            Shape::Int => value.is_i64() || value.is_u64(),
            Shape::Text => value.is_string(),
            Shape::Any => true,
        };
        if !fits && !value.is_null() && value.get("unknown").is_none() {
            return Err(format!("a case gives `{path}` a value of another type: {value}"));
        }
        let mut place = &mut *document;
        for name in path.split('.') {
            if !place.is_object() {
                *place = json!({});
            }
            place = &mut place[name];
        }
        *place = value.clone();
    }
    Ok(())
}
