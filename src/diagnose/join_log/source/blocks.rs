//! Ansible's results in its other layouts: YAML, and `STDOUT:` headings.

use super::{Task, lines_from};

/// The headings that the `debug` callback puts before a stream.
const HEADINGS: [&str; 5] = ["STDOUT:", "STDERR:", "MSG:", "MODULE_STDOUT:", "MODULE_STDERR:"];

/// How lines begin that Ansible itself prints.
pub(super) const STARTS: [&str; 8] =
    ["TASK [", "PLAY ", "fatal: [", "changed: [", "ok: [", "failed: [", "skipping: [", "NO MORE HOSTS"];

/// Reads the YAML mapping whose lines begin at `start`, all of them indented. Returns where it ends.
pub(super) fn yaml(text: &str, start: usize, task: &mut Task) -> usize {
    let mut at = start;
    let mut base = None;
    let mut block: Option<Block> = None;
    for (line, next) in lines_from(text, start) {
        let indent = line.len() - line.trim_start_matches(' ').len();
        let blank = line.trim().is_empty();
        if !blank && indent == 0 {
            break;
        }
        at = next;
        if let Some(open) = &mut block
            && (blank || indent > base.unwrap_or_default())
        {
            open.push(line, indent, blank);
            continue;
        }
        if let Some(done) = block.take() {
            task.fill(&done.key, Some(done.text), None);
        }
        if blank {
            continue;
        }
        let base = *base.get_or_insert(indent);
        if indent == base
            && let Some((key, value)) = line.trim_start().split_once(':')
            && task.slot(key).is_some()
        {
            let value = value.trim();
            if value.starts_with(['|', '>']) {
                block = Some(Block { key: key.to_owned(), indent: None, text: String::new() });
            } else {
                task.fill(key, Some(unquote(value)), value.parse().ok());
            }
        }
    }
    if let Some(done) = block {
        task.fill(&done.key, Some(done.text), None);
    }
    at
}

/// A block scalar.
struct Block {
    key: String,
    indent: Option<usize>,
    text: String,
}

impl Block {
    fn push(&mut self, line: &str, indent: usize, blank: bool) {
        if !blank {
            let own = *self.indent.get_or_insert(indent);
            self.text.push_str(&line[own.min(indent)..]);
        }
        self.text.push('\n');
    }
}

/// A plain or quoted scalar on one line.
fn unquote(value: &str) -> String {
    let inner = |quote: char| value.strip_prefix(quote).map(|rest| rest.strip_suffix(quote).unwrap_or(rest));
    if let Some(text) = inner('\'') {
        return text.replace("''", "'");
    }
    match inner('"') {
        Some(text) => text.replace("\\n", "\n").replace("\\t", "\t").replace("\\\"", "\"").replace("\\\\", "\\"),
        None => value.to_owned(),
    }
}

/// Whether a line is a heading of the `debug` callback.
pub(super) fn is_heading(line: &str) -> bool {
    HEADINGS.contains(&line.trim_end())
}

/// Reads the streams under headings; the first heading begins at `start`. Returns where they end.
pub(super) fn headings(text: &str, start: usize, task: &mut Task) -> usize {
    let mut at = start;
    let mut stream: Option<(&str, String)> = None;
    for (line, next) in lines_from(text, start) {
        if is_heading(line) {
            if let Some((key, text)) = stream.take() {
                task.fill(key, Some(text), None);
            }
            let key = match line.trim_end() {
                "STDOUT:" | "MODULE_STDOUT:" => "stdout",
                "STDERR:" | "MODULE_STDERR:" => "stderr",
                _ => "msg",
            };
            stream = Some((key, String::new()));
        } else if STARTS.iter().any(|start| line.starts_with(start)) {
            break;
        } else if let Some((_, text)) = &mut stream {
            text.push_str(line);
            text.push('\n');
        }
        at = next;
    }
    if let Some((key, text)) = stream {
        task.fill(key, Some(text), None);
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_keeps_the_streams_apart() {
        let text = "  cmd: kubeadm join --config 'x'\n  rc: 124\n  stderr: |-\n    one\n      two\n\n    three\n  stderr_lines: <omitted>\n  stdout: 'it''s'\nnext\n";
        let mut task = Task::default();
        assert_eq!(&text[yaml(text, 0, &mut task)..], "next\n");
        assert_eq!(task.cmd.as_deref(), Some("kubeadm join --config 'x'"));
        assert_eq!(task.rc, Some(124));
        assert_eq!(task.stderr.as_deref(), Some("one\n  two\n\nthree\n"));
        assert_eq!(task.stdout.as_deref(), Some("it's"));
    }

    #[test]
    fn headings_keep_the_streams_apart() {
        let text = "STDOUT:\n\na\n\nSTDERR:\n\nb\n\nMSG:\n\nnon-zero return code\nPLAY RECAP ***\n";
        let mut task = Task::default();
        assert_eq!(&text[headings(text, 0, &mut task)..], "PLAY RECAP ***\n");
        assert_eq!((task.stdout.as_deref(), task.stderr.as_deref()), (Some("\na\n\n"), Some("\nb\n\n")));
    }
}
