//! A log as it was saved, taken apart: plain lines, and results of Ansible whose streams are read apart. Total and bounded.

mod blocks;
mod json;
mod line;

pub(super) use line::{Line, Stamp, clean};

/// A result of an Ansible task, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) host: Option<String>,
    pub(super) cmd: Option<String>,
    pub(super) stdout: Option<String>,
    pub(super) stderr: Option<String>,
    /// What a `debug` task prints; both streams mixed.
    pub(super) message: Option<String>,
    pub(super) start: Option<String>,
    pub(super) rc: Option<i64>,
    /// A copy of a registered result, printed by another task.
    pub(super) copied: bool,
}

/// A member of a result that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Cmd,
    Stdout,
    Stderr,
    Message,
    Start,
    Rc,
}

impl Task {
    /// What a key is; `None` when it does not matter, or is known already from a better one.
    fn slot(&self, key: &str) -> Option<Slot> {
        // `msg` of a `debug` task is output; everywhere else it is Ansible's own word.
        match key.rsplit('.').next().unwrap_or(key) {
            "cmd" => Some(Slot::Cmd),
            "stdout" | "module_stdout" => Some(Slot::Stdout),
            "stderr" | "module_stderr" => Some(Slot::Stderr),
            "stdout_lines" => self.stdout.is_none().then_some(Slot::Stdout),
            "stderr_lines" => self.stderr.is_none().then_some(Slot::Stderr),
            "msg" => Some(Slot::Message),
            "start" => Some(Slot::Start),
            "rc" => Some(Slot::Rc),
            _ => None,
        }
    }

    fn fill(&mut self, key: &str, text: Option<String>, number: Option<i64>) {
        let Some(slot) = self.slot(key) else { return };
        self.copied |= key.contains('.');
        match slot {
            Slot::Cmd => self.cmd = text.or(self.cmd.take()),
            Slot::Stdout => self.stdout = text.or(self.stdout.take()),
            Slot::Stderr => self.stderr = text.or(self.stderr.take()),
            Slot::Message => self.message = text.or(self.message.take()),
            Slot::Start => self.start = text.or(self.start.take()),
            Slot::Rc => self.rc = number.or(self.rc),
        }
    }

    /// Whether there is output, or at least a command and its code.
    fn says_something(&self) -> bool {
        self.stdout.is_some()
            || self.stderr.is_some()
            || self.message.is_some()
            || self.cmd.is_some()
            || self.rc.is_some()
    }

    /// Whether there is output of a command. A message of one line is most likely no output but a word of Ansible, or a line
    /// of a log in JSON, which is read as a line.
    fn has_output(&self) -> bool {
        let is_output = |text: &String| text.contains('\n') || (self.host.is_some() && text.contains("kubeadm"));
        self.stdout.is_some() || self.stderr.is_some() || self.message.as_ref().is_some_and(is_output)
    }
}

/// A part of a log.
#[derive(Debug)]
pub(super) enum Item<'t> {
    /// A line without its end, counted from 1.
    Line {
        text: &'t str,
        number: u64,
    },
    Task(Task),
}

/// Takes a log apart, in its order.
pub(super) fn items(text: &str, mut sink: impl FnMut(Item<'_>)) {
    let mut results = Results { text, bare: None, plain_until: 0 };
    let (mut at, mut number) = (0, 0);
    while at < text.len() {
        let (line, next) = one_line(text, at);
        number += 1;
        let Some(end) = results.read(line, at, next, &mut |task| sink(Item::Task(task))) else {
            // A progress display overwrites its line: each state is a line here.
            line.split('\r').for_each(|text| sink(Item::Line { text, number }));
            at = next;
            continue;
        };
        // What is left of the last line is nothing of a command.
        at = if text[..end].ends_with('\n') { end } else { one_line(text, end).1 };
        number += text[next..at].bytes().filter(|byte| *byte == b'\n').count() as u64;
    }
}

/// Reads results where they begin.
struct Results<'t> {
    text: &'t str,
    /// The last result without output: headings with its output may follow.
    bare: Option<Task>,
    /// What was looked at as JSON and is none is not looked at again.
    plain_until: usize,
}

impl Results<'_> {
    /// If results begin on the line at `at`: hands them on and returns where they end, at least at `next`.
    fn read(&mut self, line: &str, at: usize, next: usize, sink: &mut impl FnMut(Task)) -> Option<usize> {
        let found = if at < self.plain_until { None } else { structure(line) };
        let (task, end) = match found? {
            Structure::Json { offset, host } => return self.json(at + offset, host, sink).map(|end| end.max(next)),
            Structure::Yaml { host } => {
                let mut task = Task { host: Some(host), ..Task::default() };
                let end = blocks::yaml(self.text, next, &mut task);
                (task, end)
            }
            Structure::Headings => {
                let mut task = self.bare.take().unwrap_or_default();
                let end = blocks::headings(self.text, at, &mut task);
                (task, end)
            }
        };
        task.has_output().then(|| {
            sink(task);
            end.max(next)
        })
    }

    fn json(&mut self, start: usize, host: Option<String>, sink: &mut impl FnMut(Task)) -> Option<usize> {
        let json::Walk { tasks, end } = json::walk(self.text, start, host.as_deref());
        let of_ansible = host.is_some() || tasks.iter().any(|task| task.cmd.is_some() || task.rc.is_some());
        self.bare = tasks.last().filter(|task| task.stdout.is_none() && task.stderr.is_none()).cloned();
        if self.bare.is_none() && host.is_some() {
            self.bare = Some(Task { host, ..Task::default() });
        }
        let mut output = false;
        for task in tasks.into_iter().filter(Task::has_output) {
            output = true;
            sink(task);
        }
        if !output && !of_ansible {
            self.plain_until = end;
            return None;
        }
        Some(end)
    }
}

/// The lines from a place on, each with the place behind it.
fn lines_from(text: &str, start: usize) -> impl Iterator<Item = (&str, usize)> {
    let mut at = start;
    std::iter::from_fn(move || {
        (at < text.len()).then(|| {
            let (line, next) = one_line(text, at);
            at = next;
            (line, next)
        })
    })
}

/// The line from a place on, without its end, and the place behind it.
fn one_line(text: &str, at: usize) -> (&str, usize) {
    let rest = text.get(at..).unwrap_or_default();
    match rest.find('\n') {
        Some(length) => (rest[..length].trim_end_matches('\r'), at + length + 1),
        None => (rest.trim_end_matches('\r'), text.len()),
    }
}

/// What begins on a line.
enum Structure {
    Json { offset: usize, host: Option<String> },
    Yaml { host: String },
    Headings,
}

fn structure(line: &str) -> Option<Structure> {
    if line.starts_with('{') || (line.trim_start().starts_with('{') && line.len() < 200) {
        let offset = line.find('{')?;
        let first = line[offset + 1..].trim_start().bytes().next();
        return matches!(first, None | Some(b'"')).then_some(Structure::Json { offset, host: None });
    }
    if blocks::is_heading(line) {
        return Some(Structure::Headings);
    }
    for mark in ["=> {", "Result was: {"] {
        if let Some(at) = line.find(mark) {
            return Some(Structure::Json { offset: at + mark.len() - 1, host: host(&line[..at]) });
        }
    }
    let head = line.trim_end();
    let mapped = head.ends_with("=>") || head.rfind("=> changed=").is_some_and(|at| !head[at..].contains('{'));
    // A cut-off beginning: the members of an object whose brace is gone.
    let member = || line.find("\"stdout\": \"").or_else(|| line.find("\"stdout_lines\": ["));
    if mapped {
        host(head).map(|host| Structure::Yaml { host })
    } else {
        member().map(|offset| Structure::Json { offset, host: None })
    }
}

/// The host that a line of Ansible names: `fatal: [node1 -> localhost]: FAILED!`, `node1 | FAILED!`.
fn host(head: &str) -> Option<String> {
    let name = match head.split_once(": [") {
        Some((_, rest)) => rest.split([']', ' ']).next(),
        None => head.split_once(" | ").map(|(name, _)| name.trim()),
    };
    name.filter(|name| !name.is_empty() && name.len() <= 256 && !name.contains(char::is_whitespace)).map(str::to_owned)
}
