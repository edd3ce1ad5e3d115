//! Ansible's results in JSON, read with patience: an object that a terminal cut off or wrapped still gives what it holds up to
//! there. Any depth that matters, any layout (one line, pretty, a whole document), in time linear in the text.

use super::Task;
use super::blocks::STARTS;

/// Deeper objects are skipped: Ansible's documents end at about ten.
const MAX_DEPTH: usize = 64;
/// Lines shorter than this are not what a terminal wrapped.
const NARROWEST_TERMINAL: usize = 40;

/// What was read from one `{` on.
#[derive(Debug)]
pub(super) struct Walk {
    /// Results in the order in which they end; those without output of a command among them.
    pub(super) tasks: Vec<Task>,
    /// Where reading can go on: behind the object, or behind the line on which it breaks.
    pub(super) end: usize,
}

/// Reads the object that begins at `start`; or, where its beginning was cut off, the members that begin there.
pub(super) fn walk(text: &str, start: usize, host: Option<&str>) -> Walk {
    let mut walker = Walker { text, at: start, split: false, tasks: Vec::new() };
    if walker.begin(host).is_ok() {
        return Walk { tasks: walker.tasks, end: walker.at };
    }
    // JSON has no line break within a string: a terminal has put it there, or the rest is lost.
    if walker.split
        && let Some((joined, end)) = unwrap(text, start)
    {
        let mut again = Walker { text: &joined, at: 0, split: false, tasks: Vec::new() };
        let _ = again.begin(host);
        return Walk { tasks: again.tasks, end };
    }
    let (_, end) = line_from(text, walker.at);
    Walk { tasks: walker.tasks, end }
}

/// What a terminal has wrapped, joined again, and where it ends: lines as wide as the one of `start`, and the next one.
fn unwrap(text: &str, start: usize) -> Option<(String, usize)> {
    let line_start = text.get(..start)?.rfind('\n').map_or(0, |at| at + 1);
    let (first, mut at) = line_from(text, line_start);
    let width = first.chars().count();
    let mut joined = text.get(start..line_start + first.len())?.to_owned();
    let mut lines = 1;
    while width >= NARROWEST_TERMINAL && at < text.len() {
        let (line, end) = line_from(text, at + 1);
        let wide = line.chars().count();
        if wide > width || STARTS.iter().any(|start| line.starts_with(start)) || line.contains("=> {") {
            break;
        }
        joined.push_str(line);
        (at, lines) = (end, lines + 1);
        if wide < width {
            break;
        }
    }
    (lines > 1).then_some((joined, at))
}

/// The line from a place on, without its end, and where its line feed stands.
fn line_from(text: &str, at: usize) -> (&str, usize) {
    let rest = text.get(at..).unwrap_or_default();
    let length = rest.find('\n').unwrap_or(rest.len());
    (rest[..length].trim_end_matches('\r'), at + length)
}

/// The text ends here, or it is no JSON.
struct Broken;

enum Value {
    Text(String),
    Texts(Vec<String>),
    Number(i64),
    Other,
}

struct Walker<'t> {
    text: &'t str,
    at: usize,
    /// A line ended within a string.
    split: bool,
    tasks: Vec<Task>,
}

impl Walker<'_> {
    /// Reads an object, or members without one.
    fn begin(&mut self, host: Option<&str>) -> Result<(), Broken> {
        if self.peek() != Some(b'"') {
            return self.value("", host, 0, false).map(|_| ());
        }
        let mut task = Task { host: host.map(str::to_owned), ..Task::default() };
        let end = self.members(&mut task, "", host, 0);
        self.tasks.push(task);
        end
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    /// Takes the byte if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        self.space();
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// A value; its text is kept only if asked for. `host` is the machine that the objects within are about.
    fn value(&mut self, key: &str, host: Option<&str>, depth: usize, keep: bool) -> Result<Value, Broken> {
        self.space();
        match self.peek().ok_or(Broken)? {
            b'{' if depth < MAX_DEPTH => self.object(key, host, depth).map(|()| Value::Other),
            b'[' if depth < MAX_DEPTH => self.array(host, depth, keep),
            b'"' => {
                let mut text = String::new();
                self.string(&mut text, keep).map(|()| Value::Text(text))
            }
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => Ok(self.word()),
            _ => Err(Broken),
        }
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Value {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')) {
            self.at += 1;
        }
        let word = self.text.get(start..self.at).unwrap_or_default();
        word.parse().map_or(Value::Other, Value::Number)
    }

    fn array(&mut self, host: Option<&str>, depth: usize, keep: bool) -> Result<Value, Broken> {
        self.at += 1;
        let mut texts = Vec::new();
        if self.take(b']') {
            return Ok(Value::Texts(texts));
        }
        loop {
            if let Value::Text(text) = self.value("", host, depth + 1, keep)?
                && keep
            {
                texts.push(text);
            }
            if self.take(b']') {
                return Ok(Value::Texts(texts));
            }
            if !self.take(b',') {
                // What is cut off in its middle is worth as much as it holds.
                return if texts.is_empty() { Err(Broken) } else { Ok(Value::Texts(texts)) };
            }
        }
    }

    fn object(&mut self, own_key: &str, host: Option<&str>, depth: usize) -> Result<(), Broken> {
        self.at += 1;
        let mut task = Task { host: host.map(str::to_owned), ..Task::default() };
        let end = self.members(&mut task, own_key, host, depth);
        if task.says_something() {
            self.tasks.push(task);
        }
        end
    }

    fn members(&mut self, task: &mut Task, own_key: &str, host: Option<&str>, depth: usize) -> Result<(), Broken> {
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(Broken);
            }
            let mut key = String::new();
            self.string(&mut key, true)?;
            if !self.take(b':') {
                return Err(Broken);
            }
            let host = if own_key == "hosts" { Some(key.as_str()) } else { host };
            let slot = task.slot(&key);
            self.space();
            if slot.is_some() && self.peek() == Some(b'"') {
                let mut text = String::new();
                let end = self.string(&mut text, true);
                task.fill(&key, Some(text), None);
                end?;
            } else {
                match self.value(&key, host, depth + 1, slot.is_some())? {
                    Value::Text(text) => task.fill(&key, Some(text), None),
                    Value::Texts(texts) => {
                        task.fill(&key, Some(texts.join(if key == "cmd" { " " } else { "\n" })), None);
                    }
                    Value::Number(number) => task.fill(&key, None, Some(number)),
                    Value::Other => {}
                }
            }
            if self.take(b'}') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(Broken);
            }
        }
    }

    /// A string. What was read of it is in `into` even if it breaks off.
    fn string(&mut self, into: &mut String, keep: bool) -> Result<(), Broken> {
        self.at += 1;
        loop {
            let rest = self.text.get(self.at..).ok_or(Broken)?;
            let length = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | b'\n')).unwrap_or(rest.len());
            if keep {
                into.push_str(&rest[..length]);
            }
            self.at += length;
            match self.peek().ok_or(Broken)? {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\n' => {
                    self.split = true;
                    return Err(Broken);
                }
                _ => {
                    self.at += 1;
                    self.escape(into, keep)?;
                }
            }
        }
    }

    /// What follows a backslash.
    fn escape(&mut self, into: &mut String, keep: bool) -> Result<(), Broken> {
        let byte = self.peek().ok_or(Broken)?;
        self.split = byte == b'\n';
        let char = match byte {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\x08',
            b'f' => '\x0c',
            b'u' => {
                self.at += 1;
                let char = self.unicode()?;
                if keep {
                    into.push(char);
                }
                return Ok(());
            }
            b'"' | b'\\' | b'/' => char::from(byte),
            _ => return Err(Broken),
        };
        self.at += 1;
        if keep {
            into.push(char);
        }
        Ok(())
    }

    /// The four digits of `\u`, and the second half of a pair.
    fn unicode(&mut self) -> Result<char, Broken> {
        let unit = self.four_digits()?;
        if (0xd800..0xdc00).contains(&unit) && self.text.get(self.at..).is_some_and(|rest| rest.starts_with("\\u")) {
            let back = self.at;
            self.at += 2;
            let low = self.four_digits()?;
            if (0xdc00..0xe000).contains(&low) {
                let code = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn four_digits(&mut self) -> Result<u32, Broken> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(Broken)?;
        self.split = digits.contains('\n');
        let unit = u32::from_str_radix(digits, 16).map_err(|_| Broken)?;
        self.at += 4;
        Ok(unit)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tasks(text: &str) -> Vec<Task> {
        walk(text, text.find('{').unwrap(), None).tasks
    }

    #[test]
    fn a_result_gives_its_streams() {
        let text = r#"=> {"changed": true, "cmd": ["kubeadm", "join"], "delta": "0:05:00.66", "rc": 1, "start": "2025-01-01 00:00:00", "stderr": "a\n\u00e4 \"q\"", "stderr_lines": ["a"], "stdout": "\u001b[0m\ud83d\ude00"} tail"#;
        let walk = walk(text, 3, Some("node1"));
        let [task] = &walk.tasks[..] else { panic!("{walk:?}") };
        assert_eq!(task.host.as_deref(), Some("node1"));
        assert_eq!(task.cmd.as_deref(), Some("kubeadm join"));
        assert_eq!((task.rc, task.start.as_deref()), (Some(1), Some("2025-01-01 00:00:00")));
        assert_eq!(task.stderr.as_deref(), Some("a\nä \"q\""));
        assert_eq!(task.stdout.as_deref(), Some("\x1b[0m😀"));
        assert_eq!(&text[walk.end..], " tail");
    }

    #[test]
    fn what_is_cut_off_counts_up_to_there() {
        let whole = r#"{"rc": 1, "stderr": "abc", "stdout": "def"}"#;
        for end in whole.find(": \"abc").unwrap() + 4..whole.len() {
            let tasks = tasks(&whole[..end]);
            assert!(tasks[0].stderr.as_deref().is_some_and(|text| "abc".starts_with(text)), "{end}: {tasks:?}");
        }
        let text = "{\"stdout\": \"def\nTASK [next] ***";
        assert_eq!(&text[walk(text, 0, None).end..], "\nTASK [next] ***", "the next line is not swallowed");
    }

    #[test]
    fn what_a_terminal_wrapped_is_whole_again() {
        let whole = format!(r#"{{"stdout": "{}", "rc": 1}}"#, r"01234\n \u00e4".repeat(20));
        for width in 40..70 {
            let lines: Vec<&str> = whole.as_bytes().chunks(width).map(|line| str::from_utf8(line).unwrap()).collect();
            let wrapped = lines.join("\n") + "\n";
            assert_eq!(tasks(&wrapped), tasks(&whole), "{width}");
        }
    }

    #[test]
    fn lines_that_were_all_cut_at_one_width_stay_apart() {
        let line = |host: &str| format!("fatal: [{host}]: FAILED! => {{\"stdout\": \"{}", "x".repeat(80));
        let text = format!("{}\n{}\n", line("a"), line("b"));
        let walk = walk(&text, text.find('{').unwrap(), None);
        assert_eq!(walk.tasks[0].stdout.as_ref().map(String::len), Some(80));
        assert_eq!(walk.end, line("a").len());
    }

    #[test]
    fn a_whole_document_names_its_hosts() {
        let text = r#"{"plays": [{"tasks": [{"hosts": {"n1": {"stdout": "a"}, "n2": {"results": [{"stdout": "b"}, {"stdout": "c"}]}}}]}]}"#;
        let found: Vec<_> = tasks(text).into_iter().map(|task| (task.host, task.stdout)).collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(found, [(some("n1"), some("a")), (some("n2"), some("b")), (some("n2"), some("c"))]);
    }

    #[test]
    fn lines_stand_in_for_a_text_that_is_missing() {
        let found = tasks(r#"{"join.stdout_lines": ["a", "b"], "stderr": "x", "stderr_lines": ["y"]}"#);
        assert_eq!((found[0].stdout.as_deref(), found[0].stderr.as_deref()), (Some("a\nb"), Some("x")));
    }

    #[test]
    fn deep_nesting_is_no_trouble() {
        for open in ["[", "{\"a\":", "{\"hosts\":"] {
            let text = format!("{{\"a\": {}", open.repeat(100_000));
            assert!(walk(&text, 0, None).tasks.is_empty());
        }
    }

    proptest! {
        #[test]
        fn anything_ends(text in "\\{(.|\"stdout\"|\"|:|,|\\{|\\}|\\[|\\]|\\\\u|\\\\|d83d|\n| |1|true){0,60}") {
            let walk = walk(&text, 0, None);
            prop_assert!(walk.end <= text.len() && text.is_char_boundary(walk.end));
        }
    }
}
