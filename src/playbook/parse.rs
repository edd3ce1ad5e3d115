//! The text of a playbook to [`Playbook`]; every mistake has its file, line and column, and the right names. Pure: files that
//! it names are read by whoever calls.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::fields::{Field, Fields, show, valid};
use super::steps;
use super::{Gather, Playbook, PlaybookError, Step, Strategy, Surroundings};
use crate::inventory::error::InventoryError;
use crate::inventory::limit::Limit;
use crate::inventory::value::{Node, Place};
use crate::inventory::yaml;

/// More values than any playbook has; what aliases make counts.
const MAX_VALUES: usize = 10_000;
/// More is no playbook.
pub(super) const MAX_BYTES: usize = 1 << 20;

const FIELDS: &[&str] = &["name", "summary", "hosts", "strategy", "gather", "require", "steps"];
const STRATEGY: &[&str] = &["canary", "batches", "max_failed", "parallel", "stop_at_same_failure"];

/// Reads a playbook. `file` is what messages call it.
pub fn parse(file: &str, bytes: &[u8], around: &Surroundings<'_>) -> Result<Playbook, PlaybookError> {
    let source: Arc<str> = file.into();
    let whole = Place::whole(&source);
    if bytes.len() > MAX_BYTES {
        return Err(PlaybookError::at(&whole, format!("is larger than {} KiB: no playbook is", MAX_BYTES >> 10)));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(&source, bytes, error.valid_up_to()))?;
    let root = yaml::parse_at_most(text, &source, MAX_VALUES).map_err(syntax)?;
    let Some(root) = root else {
        return Err(PlaybookError::at(&whole, "says nothing; a playbook has a name, a summary, hosts and steps"));
    };
    playbook(&root, around)
}

fn syntax(error: InventoryError) -> PlaybookError {
    match error {
        InventoryError::Syntax { place, problem, excerpt } if excerpt.is_empty() => {
            PlaybookError { place, message: problem }
        }
        InventoryError::Syntax { place, problem, excerpt } => {
            PlaybookError { place, message: format!("{problem}: {excerpt:?}") }
        }
        // The parser has no other.
        other => PlaybookError { place: Place::whole(&"playbook".into()), message: other.to_string() },
    }
}

fn not_utf8(source: &Arc<str>, bytes: &[u8], at: usize) -> PlaybookError {
    let before = String::from_utf8_lossy(bytes.get(..at).unwrap_or_default());
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    PlaybookError::at(&Place::new(source, line, column), "is not UTF-8 text from here on")
}

fn playbook(root: &Node, around: &Surroundings<'_>) -> Result<Playbook, PlaybookError> {
    let fields = Fields::of("a playbook", root, FIELDS)?;
    let name = fields.required("name", "a word by which plans and reports call it")?;
    let summary = fields.required("summary", "one line for people")?.line("one line for people")?.to_owned();
    let hosts = hosts(&fields.required("hosts", "which hosts it is for, as for --limit; `all` for every host")?)?;
    let gather = fields.get("gather").map_or_else(|| Ok(vec![Gather::All]), |field| gather(&field))?;
    let require = fields.get("require").map_or_else(|| Ok(Vec::new()), |field| require(&field, around))?;
    let strategy = fields.get("strategy");
    let steps: Vec<Step> = match fields.get("steps") {
        Some(field) => steps::steps(&field, around)?,
        None => Vec::new(),
    };
    if steps.is_empty()
        && let Some(field) = strategy.or_else(|| fields.get("require"))
    {
        return Err(field.error("is for the steps of a playbook, and this one has none: it only looks"));
    }
    Ok(Playbook {
        name: word(&name)?,
        summary,
        hosts,
        gather,
        require,
        steps,
        strategy: strategy.map_or_else(|| Ok(Strategy::default()), |field| self::strategy(&field))?,
    })
}

/// `join`, `our-sysctls`: it stands in file names and messages.
fn word(field: &Field<'_>) -> Result<String, PlaybookError> {
    const MOST: usize = 64;
    let wanted = "a word of lowercase letters, digits and dashes";
    let text = field.text(wanted)?;
    let is_word = |text: &str| {
        text.len() <= MOST
            && text.split('-').all(|part| {
                !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            })
    };
    if !is_word(text) {
        return Err(field.error(format!("is `{}`, but must be {wanted}", show(text))));
    }
    Ok(text.to_owned())
}

fn hosts(field: &Field<'_>) -> Result<String, PlaybookError> {
    let text = field.line("a pattern as for --limit, such as `all` or `workers:!rack7`")?;
    // Whether it matches anything is the inventory's to say; here only its form can be wrong.
    Limit::parse(&[text.to_owned()], &|_| Ok(String::new()))
        .map_err(|error| field.error(format!("is no pattern of hosts: {error}")))?;
    Ok(text.to_owned())
}

fn gather(field: &Field<'_>) -> Result<Vec<Gather>, PlaybookError> {
    let part = |item: Field<'_>| match item.text("a part of the probe")? {
        "all" => Ok(Gather::All),
        other => {
            Err(item.error(format!("names `{}`, which is no part of the probe{}", show(other), valid(other, &["all"]))))
        }
    };
    field.list()?.into_iter().map(part).collect()
}

fn require(field: &Field<'_>, around: &Surroundings<'_>) -> Result<Vec<String>, PlaybookError> {
    let required = |item: Field<'_>| {
        let text = item.text("a check's id or an area such as `kubelet/*`")?;
        let Some(area) = text.strip_suffix("/*") else { return steps::check_id(&item, text, around.checks) };
        let areas = around.checks.areas();
        if areas.contains(&area) {
            return Ok(text.to_owned());
        }
        Err(item.error(format!("names `{}`, and no check has that area{}", show(text), valid(area, &areas))))
    };
    field.list()?.into_iter().map(required).collect()
}

fn strategy(field: &Field<'_>) -> Result<Strategy, PlaybookError> {
    let fields = Fields::of("`strategy`", field.node, STRATEGY)?;
    let mut strategy = Strategy::default();
    if let Some(canary) = fields.get("canary") {
        strategy.canary = canary.number(0, 1000, "a number of nodes")?;
    }
    if let Some(batches) = fields.get("batches") {
        strategy.batches = batches.list()?.iter().map(|size| size.portion(1)).collect::<Result<_, _>>()?;
    }
    if let Some(failed) = fields.get("max_failed") {
        strategy.max_failed = failed.portion(0)?;
    }
    if let Some(parallel) = fields.get("parallel") {
        strategy.parallel = NonZeroU32::new(parallel.number(1, 10_000, "a number of nodes")?);
    }
    if let Some(stop) = fields.get("stop_at_same_failure") {
        strategy.stop_at_same_failure = stop.boolean()?;
    }
    Ok(strategy)
}
