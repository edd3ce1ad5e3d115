//! The steps of a playbook: a closed set, each with its own fields and the guard that it cannot do without.

use std::time::Duration;

use super::fields::{Field, Fields, show, valid};
use super::{CommandUndo, ConfigSource, PlaybookError, Step, Surroundings};
use crate::change::state::MAX_CONTENT;
use crate::checks::Checks;
use crate::inventory::value::{Node, ScalarKind, Value};
use crate::probe::redact;

/// In the order of the documentation.
pub const NAMES: &[&str] =
    &["flannel", "kubeadm-join", "kubeadm-reset", "wait-for", "write-file", "restart-service", "command"];

/// A `kubeadm join` that does not succeed in a few attempts will not in many.
const MOST_ATTEMPTS: u32 = 10;
const ATTEMPTS: u32 = 3;
const BACKOFF: Duration = Duration::from_secs(10);
const WAIT: Duration = Duration::from_mins(5);
const FILE_MODE: u32 = 0o644;
/// The largest id of a user or group that Linux has for one.
const MOST_ID: u32 = u32::MAX - 1;
/// The longest line that is given to a shell, in bytes.
const LONGEST_COMMAND: usize = 4096;

/// Why a step that could do anything has to name a check.
const BECAUSE: &str =
    "the check whose failure asks for this step, which runs only where it fails and is done when it passes";

pub(super) fn steps(field: &Field<'_>, around: &Surroundings<'_>) -> Result<Vec<Step>, PlaybookError> {
    let Value::List(items) = &field.node.value else {
        return Err(field.error("must be a list of steps; leave it out for a playbook that only looks"));
    };
    if items.is_empty() {
        return Err(field.error("is empty: leave it out for a playbook that only looks"));
    }
    let mut steps: Vec<(Step, &Node)> = Vec::with_capacity(items.len());
    for item in items {
        let step = step(item, around)?;
        if let Some(problem) = beside(&step, &steps) {
            return Err(PlaybookError::at(&item.place, problem));
        }
        steps.push((step, item));
    }
    Ok(steps.into_iter().map(|(step, _)| step).collect())
}

/// What a step cannot share a playbook with.
fn beside(step: &Step, earlier: &[(Step, &Node)]) -> Option<String> {
    let line = |node: &Node| node.place.at.map_or(0, |at| at.line);
    earlier.iter().find_map(|(other, node)| match (other, step) {
        (Step::WriteFile { path: first, .. }, Step::WriteFile { path: second, .. }) if first == second => {
            Some(format!("`{}` is already written by the step at line {}", show(first), line(node)))
        }
        (Step::Flannel { .. }, Step::Flannel { .. }) | (Step::KubeadmJoin { .. }, Step::KubeadmJoin { .. }) => {
            Some(format!("the step {} stands already at line {}", step.name(), line(node)))
        }
        (Step::KubeadmReset, _) | (_, Step::KubeadmReset) => Some(format!(
            "kubeadm-reset stands alone: nothing else is done in the same run as a reset, and line {} has {}",
            line(node),
            other.name()
        )),
        _ => None,
    })
}

fn step(item: &Node, around: &Surroundings<'_>) -> Result<Step, PlaybookError> {
    let nothing = Node { value: Value::Null, place: item.place.clone() };
    let (name, place, body) = match &item.value {
        Value::Scalar { text, .. } => (&**text, &item.place, &nothing),
        Value::Map(map) if map.entries.len() == 1 && map.duplicates.is_empty() => {
            let entry = &map.entries[0];
            (&*entry.key, &entry.key_place, &entry.node)
        }
        other => {
            let message = format!(
                "a step is one name with its fields, like `- wait-for: {{ check: node/not-ready }}`, and this is {}{}",
                other.describe(),
                if matches!(other, Value::Map(_)) { " of several names (are the fields indented?)" } else { "" },
            );
            return Err(PlaybookError::at(&item.place, message));
        }
    };
    match name {
        "flannel" => flannel(body, around),
        "kubeadm-join" => kubeadm_join(body),
        "kubeadm-reset" => Fields::of("step kubeadm-reset", body, &[]).map(|_| Step::KubeadmReset),
        "wait-for" => wait_for(body, around),
        "write-file" => write_file(body, around),
        "restart-service" => restart_service(body, around),
        "command" => command(body, around),
        other => Err(PlaybookError::at(place, format!("there is no step `{}`{}", show(other), valid(other, NAMES)))),
    }
}

fn flannel(body: &Node, around: &Surroundings<'_>) -> Result<Step, PlaybookError> {
    let fields = Fields::of("step flannel", body, &["config", "sync"])?;
    let config = match fields.get("config") {
        None => ConfigSource::Cluster,
        Some(field) => match &field.node.value {
            Value::Scalar { text, kind: ScalarKind::Plain | ScalarKind::Quoted } if &**text == "from-cluster" => {
                ConfigSource::Cluster
            }
            Value::Map(_) => {
                let from = Fields::of("`config`", field.node, &["from"])?.required("from", "the file's path")?;
                let (path, content) = file(&from, around)?;
                ConfigSource::File { path, content }
            }
            _ => return Err(field.error("must be `from-cluster` or `{ from: FILE }`")),
        },
    };
    Ok(Step::Flannel { config, sync: fields.get("sync").map_or(Ok(false), |field| field.boolean())? })
}

fn kubeadm_join(body: &Node) -> Result<Step, PlaybookError> {
    let fields = Fields::of("step kubeadm-join", body, &["attempts", "backoff", "ignore"])?;
    let attempts = fields.get("attempts").map_or(Ok(ATTEMPTS), |field| field.number(1, MOST_ATTEMPTS, "a number"))?;
    let backoff = fields.get("backoff").map_or(Ok(BACKOFF), |field| field.duration(Duration::from_secs(1)))?;
    let name = |item: Field<'_>| {
        let text = item.text("the name of one of kubeadm's pre-flight checks")?;
        preflight_name(text).map(str::to_owned).map_err(|why| item.error(why))
    };
    let ignore = match fields.get("ignore") {
        Some(field) => field.list()?.into_iter().map(name).collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    Ok(Step::KubeadmJoin { attempts, backoff, ignore })
}

/// A name as kubeadm prints it in brackets: `[ERROR FileAvailable--etc-kubernetes-pki-ca.crt]`. Not `all`: errors that nobody
/// has seen are not ignored.
pub(crate) fn preflight_name(text: &str) -> Result<&str, String> {
    if text.eq_ignore_ascii_case("all") {
        return Err("is `all`, but errors are ignored by name only, like `Port-10250`".to_owned());
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if text.is_empty() || text.starts_with('-') || text.len() > 200 || !text.bytes().all(fits) {
        return Err(format!(
            "is `{}`, but must be the name of a pre-flight check of kubeadm, like `Port-10250`",
            show(text)
        ));
    }
    Ok(text)
}

fn wait_for(body: &Node, around: &Surroundings<'_>) -> Result<Step, PlaybookError> {
    let fields = Fields::of("step wait-for", body, &["check", "timeout"])?;
    let check = check(&fields.required("check", "the id of the check that has to pass")?, around)?;
    let timeout = fields.get("timeout").map_or(Ok(WAIT), |field| field.duration(Duration::from_secs(1)))?;
    Ok(Step::WaitFor { check, timeout })
}

fn write_file(body: &Node, around: &Surroundings<'_>) -> Result<Step, PlaybookError> {
    let fields = Fields::of("step write-file", body, &["path", "content", "from", "mode", "uid", "gid", "because"])?;
    let path = path(&fields.required("path", "where the file goes, from the root down")?)?;
    let (source, content) = match (fields.get("content"), fields.get("from")) {
        (Some(field), None) => {
            let text = field.content("the file's text")?.to_owned();
            if text.len() as u64 > MAX_CONTENT {
                return Err(field.error(format!("is larger than {} KiB", MAX_CONTENT >> 10)));
            }
            (field, text)
        }
        (None, Some(field)) => {
            let (_, bytes) = file(&field, around)?;
            let text = String::from_utf8(bytes)
                .map_err(|_| field.error("names a file that is not UTF-8 text, which no plan can show"))?;
            (field, text)
        }
        (None, None) => {
            return Err(fields.error("has neither `content` nor `from`: give the text, or the file with it"));
        }
        (Some(_), Some(field)) => return Err(field.error("stands beside `content`: give one of the two")),
    };
    refuse_secret(&source, &content)?;
    let id = |name| fields.get(name).map_or(Ok(0), |field: Field<'_>| field.number(0, MOST_ID, "a number"));
    Ok(Step::WriteFile {
        mode: fields.get("mode").map_or(Ok(FILE_MODE), |field| mode(&field))?,
        uid: id("uid")?,
        gid: id("gid")?,
        because: because(&fields, around)?,
        path,
        content,
    })
}

/// A path that names one file in one way, and none that another step or program owns.
fn path(field: &Field<'_>) -> Result<String, PlaybookError> {
    let text = field.line("an absolute path")?;
    if !text.starts_with('/') {
        return Err(field.error(format!("is `{}`, but must be absolute: begin it with a slash", show(text))));
    }
    if text.len() > 1024 || text.split('/').skip(1).any(|part| matches!(part, "" | "." | "..") || part.len() > 200) {
        let message = format!("is `{}`, but must name a file without `.`, `..`, double or final slashes", show(text));
        return Err(field.error(message));
    }
    let below = |directory: &str| text.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'));
    if below("/etc/cni/net.d") {
        return Err(field.error("lies in /etc/cni/net.d, where only the step flannel writes, under its guards"));
    }
    if below("/run/flannel") || below("/var/run/flannel") {
        return Err(field.error("is flannel's own: written by hand, two nodes may end up with one subnet"));
    }
    if ["/proc", "/sys", "/dev"].into_iter().any(below) {
        return Err(field.error("is a part of the kernel, where no file can be put in place by a rename"));
    }
    Ok(text.to_owned())
}

/// Octal, as for chmod: `0644`, `644` and `0o644` are the same. Without setuid, setgid and the sticky bit.
fn mode(field: &Field<'_>) -> Result<u32, PlaybookError> {
    let wanted = "permission bits in octal, like 0644";
    let text = field.text(wanted)?;
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let octal = (3..=4).contains(&digits.len()) && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let bits = if octal { u32::from_str_radix(digits, 8).ok() } else { None };
    match bits {
        Some(bits) if bits <= 0o777 => Ok(bits),
        Some(_) => {
            Err(field.error(format!("is `{}`, but setuid, setgid and sticky bits are not set here", show(text))))
        }
        None => Err(field.error(format!("is `{}`, but must be {wanted}", show(text)))),
    }
}

fn restart_service(body: &Node, around: &Surroundings<'_>) -> Result<Step, PlaybookError> {
    let fields = Fields::of("step restart-service", body, &["unit", "because"])?;
    let field = fields.required("unit", "the service, like `containerd`")?;
    let text = field.line("a service, like `containerd`")?;
    let name = text.strip_suffix(".service").unwrap_or(text);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_' | b'.' | b'\\' | b'@');
    let other_kind =
        [".socket", ".mount", ".automount", ".target", ".swap", ".slice", ".scope", ".timer", ".path", ".device"]
            .into_iter()
            .any(|kind| name.ends_with(kind));
    if name.is_empty() || name.starts_with(['-', '.']) || name.len() > 200 || !name.bytes().all(fits) || other_kind {
        return Err(field.error(format!("is `{}`, but must be the name of a service, like `containerd`", show(text))));
    }
    Ok(Step::RestartService { unit: text.to_owned(), because: because(&fields, around)? })
}

fn command(body: &Node, around: &Surroundings<'_>) -> Result<Step, PlaybookError> {
    let fields = Fields::of("step command", body, &["run", "because", "undo"])?;
    let line = |field: &Field<'_>| {
        let text = field.line("a line for sh")?;
        if text.len() > LONGEST_COMMAND {
            return Err(field.error(format!("is longer than {LONGEST_COMMAND} bytes")));
        }
        refuse_secret(field, text)?;
        Ok(text.to_owned())
    };
    let run = line(&fields.required("run", "a line for sh")?)?;
    let because = because(&fields, around)?;
    let undo = fields.required("undo", "the command that takes it back, or `none` when nothing can")?;
    let undo = match line(&undo)? {
        word if word == "none" => CommandUndo::None,
        command => CommandUndo::Command(command),
    };
    Ok(Step::Command { run, because, undo })
}

fn because(fields: &Fields<'_>, around: &Surroundings<'_>) -> Result<String, PlaybookError> {
    check(&fields.required("because", BECAUSE)?, around)
}

/// The id of a check that can fail in a run that changes something.
fn check(field: &Field<'_>, around: &Surroundings<'_>) -> Result<String, PlaybookError> {
    let text = field.text("the id of a check, like `kubelet/down`")?;
    let id = check_id(field, text, around.checks)?;
    if around.checks.get(&id).is_some_and(crate::checks::Check::needs_target) {
        return Err(field.error(format!("is `{id}`, which measures by a version to upgrade to, and a change has none")));
    }
    Ok(id)
}

/// An id that exists and that nobody switched off.
pub(super) fn check_id(field: &Field<'_>, text: &str, checks: &Checks) -> Result<String, PlaybookError> {
    let Some(check) = checks.get(text) else {
        let hint = checks.nearest(text).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        let message =
            format!("names `{}`, and there is no such check{hint} (`seaworthy explain` lists them)", show(text));
        return Err(field.error(message));
    };
    if let Some(change) = check.change.as_ref().filter(|change| change.disabled) {
        return Err(field.error(format!("is `{text}`, which {} switches off", change.file)));
    }
    Ok(text.to_owned())
}

/// The path as written and the content of a file that a field names.
fn file(field: &Field<'_>, around: &Surroundings<'_>) -> Result<(String, Vec<u8>), PlaybookError> {
    let path = field.line("the path of a file, relative to the playbook")?;
    let content =
        (around.read)(path).map_err(|why| field.error(format!("names {}, which cannot be read: {why}", show(path))))?;
    if content.len() as u64 > MAX_CONTENT {
        return Err(field.error(format!("names {}, which is larger than {} KiB", show(path), MAX_CONTENT >> 10)));
    }
    Ok((path.to_owned(), content))
}

/// A plan is shown, kept and sent around: no secret may stand in it.
fn refuse_secret(field: &Field<'_>, text: &str) -> Result<(), PlaybookError> {
    if redact::text(text) == text {
        return Ok(());
    }
    Err(field.error(
        "holds what looks like a secret, and plans are shown and kept: have the node fetch it from where it is safe",
    ))
}
