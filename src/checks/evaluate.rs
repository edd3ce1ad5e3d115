//! One node's facts to findings.
//!
//! Facts become CEL values with the unknown ones left out, so that naming one is an error of the expression, and CEL's own
//! rules say when such an error matters: `true || unknown` is true.

use std::collections::HashMap;
use std::sync::Arc;

use cel::objects::{Key, Map};
use cel::{Context, ExecutionError, Value as Cel};
use serde_json::{Value, json};

use super::{Check, Checks, Evidence, Expression, Finding, Lack, Subject};
use crate::target::Role;
use crate::verdict::{Phase, Verdict};

impl Checks {
    /// What every check that is not disabled says about a node, in the order of ids.
    pub fn evaluate(&self, subject: &Subject<'_>) -> Vec<Finding> {
        let document = document(subject);
        let context = context(&document);
        let enabled = self.checks.iter().filter(|check| !check.change.as_ref().is_some_and(|change| change.disabled));
        enabled.map(|check| judge(check, &context, &document, subject.phase, subject.roles)).collect()
    }
}

/// Everything that an expression can name.
fn document(subject: &Subject<'_>) -> Value {
    let mut document = json!(subject.facts);
    document["member"] = json!(subject.member);
    document["node"] = json!({ "phase": subject.phase, "roles": subject.roles, "failure": subject.failure });
    document
}

/// One check about one node.
pub(super) fn judge(
    check: &Check,
    context: &Context<'_, '_>,
    document: &Value,
    phase: Option<Phase>,
    roles: &[Role],
) -> Finding {
    let finding = |verdict, message: String, evidence| Finding {
        id: check.id.clone(),
        verdict,
        severity: check.severity,
        title: check.title.clone(),
        message,
        cell: String::new(),
        evidence,
        lacks: Vec::new(),
        since: None,
        certain: false,
        explained_by: None,
        explains: Vec::new(),
    };
    let found = |verdict| {
        let since = check.since.as_ref().and_then(|path| lookup(document, path)?.as_i64());
        let holds = |expression: &Expression| matches!(run(expression, context), Ok(true));
        let edges = check.explains.iter().filter(|edge| edge.when.as_ref().is_none_or(holds));
        Finding {
            cell: check.cell.fill(document),
            since,
            certain: check.certain.as_ref().is_some_and(holds),
            explains: edges.map(|edge| edge.id.clone()).collect(),
            ..finding(verdict, check.message.fill(document), evidence(check, document))
        }
    };
    let of_role = roles.is_empty() || roles.iter().any(|role| check.roles.contains(role));
    let of_sweep = !check.needs_target() || !document["upgrade"].is_null();
    if !of_role || !of_sweep || phase.is_some_and(|phase| !check.phases.contains(&phase)) {
        return finding(Verdict::NotApplicable, String::new(), Vec::new());
    }
    let failing = run(&check.fail, context);
    let warning = check.warn.as_ref().map_or(Ok(false), |warn| run(warn, context));
    let verdict = match (&failing, &warning) {
        (Ok(true), _) => Verdict::Fail,
        (_, Ok(true)) => Verdict::Warn,
        (Ok(false), Ok(false)) => return finding(Verdict::Pass, String::new(), Vec::new()),
        (Err(error), _) | (_, Err(error)) => {
            let lacks = lacking(check, document);
            let message = why_unknown(&lacks, error);
            let lack = |(path, why): (&str, &str)| Lack { path: path.to_owned(), why: why.to_owned() };
            let lacks = lacks.into_iter().map(lack).collect();
            return Finding { lacks, ..finding(Verdict::Unknown, message, Vec::new()) };
        }
    };
    match phase {
        Some(phase) if check.expected_in.contains(&phase) => found(Verdict::Expected),
        // Whether it is a fault depends on what is not known.
        None if !check.expected_in.is_empty() || !check.phases.contains(&Phase::Unprepared) => {
            let why = "whether that is a fault depends on the node's phase, which is not known";
            let message = format!("{}; {why}", check.message.fill(document));
            finding(Verdict::Unknown, message, evidence(check, document))
        }
        _ if check.expected_when.as_ref().is_some_and(|expected| matches!(run(expected, context), Ok(true))) => {
            found(Verdict::Expected)
        }
        _ => found(verdict),
    }
}

fn run(expression: &Expression, context: &Context<'_, '_>) -> Result<bool, ExecutionError> {
    match expression.program.execute(context)? {
        Cel::Bool(answer) => Ok(answer),
        other => Err(ExecutionError::UnexpectedType { got: other.type_of().to_string(), want: "bool".to_owned() }),
    }
}

/// The facts that were not read, each with its reason.
fn lacking<'a>(check: &'a Check, document: &'a Value) -> Vec<(&'a str, &'a str)> {
    let warn = check.warn.iter().flat_map(|warn| &warn.paths);
    let paths = check.fail.paths.iter().chain(warn);
    let mut lacking: Vec<(&str, &str)> = Vec::new();
    for path in paths {
        let Some(why) = lookup(document, path).and_then(unknown) else { continue };
        if !lacking.contains(&(path.as_str(), why)) {
            lacking.push((path, why));
        }
    }
    lacking
}

/// In words; the expression's own error when no fact is the reason.
fn why_unknown(lacking: &[(&str, &str)], error: &ExecutionError) -> String {
    if lacking.is_empty() {
        return format!("it could not be judged: {error}");
    }
    // What one reason hides is named together.
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for (path, why) in lacking {
        match reasons.iter_mut().find(|(known, _)| known == why) {
            Some((_, paths)) => paths.push(path),
            None => reasons.push((why, vec![path])),
        }
    }
    let reasons: Vec<String> = reasons.iter().map(|(why, paths)| format!("{}: {why}", paths.join(", "))).collect();
    format!("not known: {}", reasons.join("; "))
}

fn evidence(check: &Check, document: &Value) -> Vec<Evidence> {
    let shown = check.evidence.iter().filter_map(|wanted| {
        // What could not be read proves nothing.
        let value = lookup(document, &wanted.path).filter(|value| !value.is_null() && unknown(value).is_none())?;
        Some(Evidence { label: wanted.label.clone(), path: wanted.path.clone(), value: value.clone() })
    });
    shown.collect()
}

pub(super) fn lookup<'d>(document: &'d Value, path: &str) -> Option<&'d Value> {
    path.split('.').try_fold(document, |value, name| value.get(name))
}

/// The reason in `{"unknown": "..."}`.
fn unknown(value: &Value) -> Option<&str> {
    let fields = value.as_object().filter(|fields| fields.len() == 1)?;
    fields.get("unknown")?.as_str()
}

/// Every top-level field of the document as a variable.
pub(super) fn context(document: &Value) -> Context<'static, 'static> {
    let mut context = Context::default();
    for (name, value) in document.as_object().into_iter().flatten() {
        if let Some(value) = to_cel(value) {
            context.add_variable_from_value(name.as_str(), value);
        }
    }
    context
}

/// `None` for an unknown fact. Numbers are all `int`, because CEL tells `int` from `uint`.
fn to_cel(value: &Value) -> Option<Cel> {
    if unknown(value).is_some() {
        return None;
    }
    Some(match value {
        Value::Null => Cel::Null,
        Value::Bool(bool) => Cel::Bool(*bool),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Cel::Int(number),
            (None, Some(number)) if !number.is_finite() || number < 0.0 => Cel::Float(number),
            _ => Cel::Int(i64::MAX),
        },
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(items) => Cel::List(Arc::new(items.iter().filter_map(to_cel).collect())),
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .filter_map(|(name, value)| Some((Key::String(Arc::new(name.clone())), to_cel(value)?)))
                .collect::<HashMap<_, _>>();
            Cel::Map(Map { map: Arc::new(fields) })
        }
    })
}

/// Tries an expression on a document; an error is one of types or names, never of facts that a map lacks.
pub(super) fn try_on(expression: &Expression, document: &Value) -> Result<(), String> {
    match run(expression, &context(document)) {
        Ok(_) | Err(ExecutionError::NoSuchKey(_)) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}
