//! One node's facts to findings.
//!
//! An unknown fact is left out of what an expression sees, so that naming one is an error of the expression.

use std::sync::{Arc, LazyLock};

use cel::common::types::CelBool;
use cel::{Context, Env, ExecutionError, Value as Cel};
use serde::Serialize;
use serde_json::Value;

use super::convert::{Convert, Depth};
use super::slots::{Values, value_at};
use super::{Check, Checks, Evidence, Expression, Finding, Lack, Subject};
use crate::facts::NodeFacts;
use crate::facts::cluster::Member;
use crate::failure::Failure;
use crate::target::Role;
use crate::verdict::{Phase, Verdict};

impl Checks {
    /// What every check that is not disabled says about a node, in the order of ids.
    pub fn evaluate(&self, subject: &Subject<'_>) -> Vec<Finding> {
        let document = Document::of(subject);
        let values = self.slots.fill(&document);
        let node = Node {
            document: &document,
            context: context(&values),
            phase: subject.phase,
            roles: subject.roles,
            has_target: subject.facts.upgrade.is_some(),
        };
        let enabled = self.checks.iter().filter(|check| !check.change.as_ref().is_some_and(|change| change.disabled));
        enabled.map(|check| node.judge(check)).collect()
    }
}

/// Everything that an expression can name.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    facts: &'a NodeFacts,
    member: &'a Member,
    node: Named<'a>,
}

#[derive(Serialize)]
struct Named<'a> {
    phase: Option<Phase>,
    roles: &'a [Role],
    failure: Option<&'a Failure>,
}

impl<'a> Document<'a> {
    const fn of(subject: &Subject<'a>) -> Self {
        let node = Named { phase: subject.phase, roles: subject.roles, failure: subject.failure };
        Self { facts: subject.facts, member: subject.member, node }
    }
}

/// What the checks judge: the facts, and what the slots hold of them.
pub(super) struct Node<'a, D> {
    pub(super) document: &'a D,
    pub(super) context: Context<'a, 'a>,
    pub(super) phase: Option<Phase>,
    pub(super) roles: &'a [Role],
    /// A version to upgrade to is given.
    pub(super) has_target: bool,
}

impl<D: Serialize> Node<'_, D> {
    /// One check about the node.
    pub(super) fn judge(&self, check: &Check) -> Finding {
        let Self { document, phase, roles, .. } = *self;
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
        let of_role = roles.is_empty() || roles.iter().any(|role| check.roles.contains(role));
        let of_sweep = !check.needs_target || self.has_target;
        if !of_role || !of_sweep || phase.is_some_and(|phase| !check.phases.contains(&phase)) {
            return finding(Verdict::NotApplicable, String::new(), Vec::new());
        }
        let found = |verdict| {
            let since = check.since.as_ref().and_then(|path| value_at(document, path)?.as_i64());
            let edges = check.explains.iter().filter(|edge| edge.when.as_ref().is_none_or(|guard| self.holds(guard)));
            Finding {
                cell: check.cell.fill(document),
                since,
                certain: check.certain.as_ref().is_some_and(|certain| self.holds(certain)),
                explains: edges.map(|edge| edge.id.clone()).collect(),
                ..finding(verdict, check.message.fill(document), evidence(check, document))
            }
        };
        let failing = self.run(&check.fail);
        let warning = check.warn.as_ref().map_or(Some(false), |warn| self.run(warn));
        let verdict = match (failing, warning) {
            (Some(true), _) => Verdict::Fail,
            (_, Some(true)) => Verdict::Warn,
            (Some(false), Some(false)) => return finding(Verdict::Pass, String::new(), Vec::new()),
            (None, _) | (_, None) => {
                let lacks = lacking(check, document);
                let message = if lacks.is_empty() { self.why(check) } else { why_unknown(&lacks) };
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
            _ if check.expected_when.as_ref().is_some_and(|expected| self.holds(expected)) => found(Verdict::Expected),
            _ => found(verdict),
        }
    }

    /// `None` when it cannot be told.
    fn run(&self, expression: &Expression) -> Option<bool> {
        let answer = Cel::resolve_val(&expression.bound, &self.context).ok()?;
        answer.downcast_ref::<CelBool>().map(|answer| *answer.inner())
    }

    fn holds(&self, expression: &Expression) -> bool {
        self.run(expression) == Some(true)
    }

    /// Why a check could not be judged though every fact is known: the error of its expression as it is written.
    fn why(&self, check: &Check) -> String {
        let document = serde_json::to_value(self.document).unwrap_or_default();
        let written = check.warn.iter().chain([&check.fail]);
        let error = written.filter_map(|expression| run_on(expression, &document).err()).last();
        error.map_or_else(|| "it could not be judged".to_owned(), |error| format!("it could not be judged: {error}"))
    }
}

/// Facts by their slots.
pub(super) fn context(values: &Values) -> Context<'_, '_> {
    static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));
    let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
    context.set_variable_resolver(values);
    context
}

/// The facts that were not read, each with its reason.
fn lacking(check: &Check, document: &impl Serialize) -> Vec<Lack> {
    let warn = check.warn.iter().flat_map(|warn| &warn.paths);
    let mut lacking: Vec<Lack> = Vec::new();
    // A whole area is never unknown.
    for path in check.fail.paths.iter().chain(warn).filter(|path| path.contains('.')) {
        let Some(why) = value_at(document, path).and_then(unknown) else { continue };
        let lack = Lack { path: path.clone(), why };
        if !lacking.contains(&lack) {
            lacking.push(lack);
        }
    }
    lacking
}

/// In words.
fn why_unknown(lacking: &[Lack]) -> String {
    // What one reason hides is named together.
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for Lack { path, why } in lacking {
        match reasons.iter_mut().find(|(known, _)| known == why) {
            Some((_, paths)) => paths.push(path),
            None => reasons.push((why, vec![path])),
        }
    }
    let reasons: Vec<String> = reasons.iter().map(|(why, paths)| format!("{}: {why}", paths.join(", "))).collect();
    format!("not known: {}", reasons.join("; "))
}

fn evidence(check: &Check, document: &impl Serialize) -> Vec<Evidence> {
    let shown = check.evidence.iter().filter_map(|wanted| {
        // What could not be read proves nothing.
        let value = value_at(document, &wanted.path).filter(|value| !value.is_null() && !is_unknown(value))?;
        Some(Evidence { label: wanted.label.clone(), path: wanted.path.clone(), value })
    });
    shown.collect()
}

/// The reason in `{"unknown": "..."}`.
fn unknown(value: Value) -> Option<String> {
    match value {
        Value::Object(mut fields) if fields.len() == 1 => match fields.remove("unknown")? {
            Value::String(why) => Some(why),
            _ => None,
        },
        _ => None,
    }
}

fn is_unknown(value: &Value) -> bool {
    value.as_object().is_some_and(|fields| fields.len() == 1 && fields.get("unknown").is_some_and(Value::is_string))
}

/// An expression as written, on a whole document: for its errors, which name paths and not slots.
fn run_on(expression: &Expression, document: &Value) -> Result<bool, ExecutionError> {
    let mut context = Context::default();
    for (name, value) in document.as_object().into_iter().flatten() {
        if let Some(value) = value.serialize(Convert(Depth::Whole)).ok().flatten() {
            context.add_variable_as_val(name.as_str(), value);
        }
    }
    match expression.program.execute(&context)? {
        Cel::Bool(answer) => Ok(answer),
        other => Err(ExecutionError::UnexpectedType { got: other.type_of().to_string(), want: "bool".to_owned() }),
    }
}

/// Tries an expression on a document; an error is one of types or names, never of facts that a map lacks.
pub(super) fn try_on(expression: &Expression, document: &Value) -> Result<(), String> {
    match run_on(expression, document) {
        Ok(_) | Err(ExecutionError::NoSuchKey(_)) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}
