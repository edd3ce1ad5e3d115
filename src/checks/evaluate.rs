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
        self.on(subject, |node, check| Some(node.judge(check)))
    }

    /// The same of the checks that are wanted, and without those that cannot be judged: for a node of which next to nothing is
    /// known, where asking each check what it lacks costs more than all else.
    pub fn evaluate_known(&self, subject: &Subject<'_>, wanted: impl Fn(&Check) -> bool) -> Vec<Finding> {
        let mut findings = self.on(subject, |node, check| match wanted(check).then(|| node.outcome(check))? {
            Outcome::Open => None,
            outcome => Some(node.told(check, outcome)),
        });
        findings.retain(|finding| finding.verdict != Verdict::Unknown);
        findings
    }

    /// The same without those that pass or do not apply, of which `quiet` is told: they are two hundred on every node.
    pub fn evaluate_loud(&self, subject: &Subject<'_>, mut quiet: impl FnMut(&Check, Verdict)) -> Vec<Finding> {
        self.on(subject, |node, check| match node.outcome(check) {
            Outcome::Quiet(verdict) => {
                quiet(check, verdict);
                None
            }
            outcome => Some(node.told(check, outcome)),
        })
    }

    fn on<'a>(
        &self,
        subject: &Subject<'a>,
        mut judge: impl FnMut(&Node<'_, Document<'a>>, &Check) -> Option<Finding>,
    ) -> Vec<Finding> {
        let document = Document::of(subject);
        let values = self.slots.fill(&document);
        let node = Node {
            document: &document,
            values: &values,
            context: context(&values),
            phase: subject.phase,
            roles: subject.roles,
            has_target: subject.facts.upgrade.is_some(),
        };
        let enabled = self.checks.iter().filter(|check| !check.change.as_ref().is_some_and(|change| change.disabled));
        enabled.filter_map(|check| judge(&node, check)).collect()
    }
}

/// What a check comes to.
enum Outcome {
    Told(Box<Finding>),
    /// It passes, or does not apply.
    Quiet(Verdict),
    /// It cannot be judged; [`Node::unknown`] tells why.
    Open,
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
    pub(super) values: &'a Values,
    pub(super) context: Context<'a, 'a>,
    pub(super) phase: Option<Phase>,
    pub(super) roles: &'a [Role],
    /// A version to upgrade to is given.
    pub(super) has_target: bool,
}

impl<D: Serialize> Node<'_, D> {
    /// One check about the node.
    pub(super) fn judge(&self, check: &Check) -> Finding {
        self.told(check, self.outcome(check))
    }

    fn told(&self, check: &Check, outcome: Outcome) -> Finding {
        match outcome {
            Outcome::Told(finding) => *finding,
            Outcome::Quiet(verdict) => finding(check, verdict, String::new(), Vec::new()),
            Outcome::Open => self.unknown(check),
        }
    }

    /// A check that cannot be judged, and why.
    fn unknown(&self, check: &Check) -> Finding {
        let lacks = self.lacking(check);
        let message = if lacks.is_empty() { self.why(check) } else { why_unknown(&lacks) };
        Finding { lacks, ..finding(check, Verdict::Unknown, message, Vec::new()) }
    }

    fn outcome(&self, check: &Check) -> Outcome {
        let Self { document, phase, roles, .. } = *self;
        let of_role = roles.is_empty() || roles.iter().any(|role| check.roles.contains(role));
        let of_sweep = !check.needs_target || self.has_target;
        if !of_role || !of_sweep || phase.is_some_and(|phase| !check.phases.contains(&phase)) {
            return Outcome::Quiet(Verdict::NotApplicable);
        }
        let found = |verdict| {
            let since = check.since.as_ref().and_then(|path| value_at(document, path)?.as_i64());
            let edges = check.explains.iter().filter(|edge| edge.when.as_ref().is_none_or(|guard| self.holds(guard)));
            Finding {
                cell: check.cell.fill(document),
                since,
                certain: check.certain.as_ref().is_some_and(|certain| self.holds(certain)),
                explains: edges.map(|edge| edge.id.clone()).collect(),
                ..finding(check, verdict, check.message.fill(document), evidence(check, document))
            }
        };
        let failing = self.run(&check.fail);
        let warning = check.warn.as_ref().map_or(Some(false), |warn| self.run(warn));
        let verdict = match (failing, warning) {
            (Some(true), _) => Verdict::Fail,
            (_, Some(true)) => Verdict::Warn,
            (Some(false), Some(false)) => return Outcome::Quiet(Verdict::Pass),
            (None, _) | (_, None) => return Outcome::Open,
        };
        let told = match phase {
            Some(phase) if check.expected_in.contains(&phase) => found(Verdict::Expected),
            // Whether it is a fault depends on what is not known.
            None if !check.expected_in.is_empty() || !check.phases.contains(&Phase::Unprepared) => {
                let why = "whether that is a fault depends on the node's phase, which is not known";
                let message = format!("{}; {why}", check.message.fill(document));
                finding(check, Verdict::Unknown, message, evidence(check, document))
            }
            _ if check.expected_when.as_ref().is_some_and(|expected| self.holds(expected)) => found(Verdict::Expected),
            _ => found(verdict),
        };
        Outcome::Told(Box::new(told))
    }

    /// `None` when it cannot be told.
    fn run(&self, expression: &Expression) -> Option<bool> {
        let answer = Cel::resolve_val(&expression.bound.expression, &self.context).ok()?;
        answer.downcast_ref::<CelBool>().map(|answer| *answer.inner())
    }

    fn holds(&self, expression: &Expression) -> bool {
        self.run(expression) == Some(true)
    }

    /// The facts that were not read, each with its reason.
    fn lacking(&self, check: &Check) -> Vec<Lack> {
        let expressions = || [&check.fail].into_iter().chain(&check.warn);
        // Nothing above a known fact is unknown, and no area as a whole.
        let known = |path: &str| {
            let mut below = expressions().flat_map(|expression| &expression.bound.slots).filter(|(named, _)| {
                named.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            });
            below.any(|(_, slot)| self.values.has(*slot))
        };
        let paths = expressions().flat_map(|expression| &expression.paths);
        let mut lacking: Vec<Lack> = Vec::new();
        for path in paths.filter(|path| path.contains('.') && !known(path)) {
            let Some(why) = value_at(self.document, path).and_then(unknown) else { continue };
            let lack = Lack { path: path.clone(), why: why.into() };
            if !lacking.contains(&lack) {
                lacking.push(lack);
            }
        }
        lacking
    }

    /// Why a check could not be judged though every fact is known: the error of its expression as it is written.
    fn why(&self, check: &Check) -> String {
        let document = serde_json::to_value(self.document).unwrap_or_default();
        let mut written = [&check.fail].into_iter().chain(&check.warn);
        let error = written.find_map(|expression| run_on(expression, &document).err());
        error.map_or_else(|| "it could not be judged".to_owned(), |error| format!("it could not be judged: {error}"))
    }
}

fn finding(check: &Check, verdict: Verdict, message: String, evidence: Vec<Evidence>) -> Finding {
    Finding {
        id: check.id.clone(),
        verdict,
        severity: check.severity,
        title: check.title.clone(),
        message: message.into(),
        cell: String::new(),
        evidence,
        lacks: Vec::new(),
        since: None,
        certain: false,
        explained_by: None,
        explains: Vec::new(),
    }
}

/// Facts by their slots.
pub(super) fn context(values: &Values) -> Context<'_, '_> {
    static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));
    let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
    context.set_variable_resolver(values);
    context
}

/// In words.
fn why_unknown(lacking: &[Lack]) -> String {
    // What one reason hides is named together.
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for Lack { path, why } in lacking {
        match reasons.iter_mut().find(|(known, _)| *known == why.as_str()) {
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
