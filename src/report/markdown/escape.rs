//! Untrusted text in Markdown: harmless for a terminal, for Markdown's own signs, and for the HTML that Markdown lets through.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use crate::text;

/// A line of running text. It can begin no heading, list or quote, and hold no emphasis, link, image, HTML or table border.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a>(pub(super) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clean = text::sanitize(self.0);
        let clean = clean.trim();
        let mut before = None;
        // Digits at the beginning make a list with the sign that follows them.
        let mut counting = true;
        for (at, char) in clean.char_indices() {
            let next = clean[at + char.len_utf8()..].chars().next();
            match char {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '\\' | '`' | '*' | '[' | ']' | '|' | '~' | '$' | '#' => write!(f, "\\{char}")?,
                // Inside a word it means nothing.
                '_' if is_letter(before) && is_letter(next) => f.write_char(char)?,
                '_' => f.write_str("\\_")?,
                '-' | '+' | '=' if before.is_none() => write!(f, "\\{char}")?,
                '.' | ')' if counting && before.is_some() => write!(f, "\\{char}")?,
                // Addresses would become links.
                ':' if next == Some('/') => f.write_str("\\:")?,
                '.' if at >= 3 && clean.as_bytes()[at - 3..at].eq_ignore_ascii_case(b"www") => f.write_str("\\.")?,
                _ => f.write_char(char)?,
            }
            counting &= char.is_ascii_digit();
            before = Some(char);
        }
        Ok(())
    }
}

fn is_letter(char: Option<char>) -> bool {
    char.is_some_and(char::is_alphanumeric)
}

/// A code span whose fence is longer than any run of backticks in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Code<'a>(pub(super) &'a str);

impl fmt::Display for Code<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        span(&text::sanitize(self.0), f)
    }
}

/// A code span in a table, where even in code a border is a border.
#[derive(Debug, Clone, Copy)]
pub(super) struct CellCode<'a>(pub(super) &'a str);

impl fmt::Display for CellCode<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        span(&text::sanitize(self.0).replace('|', "\\|"), f)
    }
}

fn span(clean: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if clean.trim().is_empty() {
        return f.write_str("(empty)");
    }
    let fence = "`".repeat(longest_run(clean) + 1);
    // A reader takes one space off both ends when both have one.
    let open = |char: Option<char>| matches!(char, Some('`' | ' '));
    let pad = if open(clean.chars().next()) || open(clean.chars().next_back()) { " " } else { "" };
    write!(f, "{fence}{pad}{clean}{pad}{fence}")
}

/// Lines of code, indented so that they can stand in a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block<'a> {
    pub(super) language: &'static str,
    pub(super) text: &'a str,
    pub(super) indent: usize,
}

impl fmt::Display for Block<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clean = text::sanitize_block(self.text.trim_end().as_bytes());
        let indent = " ".repeat(self.indent);
        let fence = "`".repeat((longest_run(&clean) + 1).max(3));
        writeln!(f, "{indent}{fence}{}", self.language)?;
        for line in clean.lines() {
            writeln!(f, "{}", format_args!("{indent}{line}").to_string().trim_end())?;
        }
        writeln!(f, "{indent}{fence}")
    }
}

fn longest_run(text: &str) -> usize {
    text.split(|char| char != '`').map(str::len).max().unwrap_or(0)
}

/// The text of a check, in which its author marks code with backticks: those stay, everything else is escaped. An odd
/// backtick is one like any other.
pub(super) fn prose(text: &str) -> Cow<'_, str> {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len() < 3 || parts.len().is_multiple_of(2) {
        return Cow::Owned(Text(text).to_string());
    }
    let mut out = String::with_capacity(text.len() + 16);
    for (index, part) in parts.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = if index % 2 == 1 {
            write!(out, "{}", Code(part))
        } else {
            // Spaces around code spans stay.
            let start = &part[..part.len() - part.trim_start().len()];
            let end = &part[part.trim_end().len().max(start.len())..];
            let space = |gap: &str| if gap.is_empty() { "" } else { " " };
            write!(out, "{}{}{}", space(start), Text(part), if part.trim().is_empty() { "" } else { space(end) })
        };
    }
    Cow::Owned(out.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser, Tag};

    use super::*;

    #[test]
    fn signs_of_markdown_mean_nothing() {
        for (text, escaped) in [
            ("plain words, 5% of 456G (ext4)", "plain words, 5% of 456G (ext4)"),
            ("# a", "\\# a"),
            ("- a", "\\- a"),
            ("12. a", "12\\. a"),
            ("1.6.20", "1\\.6.20"),
            ("a - b", "a - b"),
            ("what grew.", "what grew."),
            ("<script>&", "&lt;script&gt;&amp;"),
            ("*a* __b__ c_d", "\\*a\\* \\_\\_b\\_\\_ c_d"),
            ("[x](y) | z", "\\[x\\](y) \\| z"),
            ("https://evil.example www.evil.example", "https\\://evil.example www\\.evil.example"),
            ("a\n\n# b", "a\\\\n\\\\n\\# b"),
            ("\x1b[2J", "\\\\x1b\\[2J"),
        ] {
            assert_eq!(Text(text).to_string(), escaped);
        }
    }

    #[test]
    fn code_spans_hold_backticks() {
        assert_eq!(Code("a").to_string(), "`a`");
        assert_eq!(Code("a`b``c").to_string(), "```a`b``c```");
        assert_eq!(Code("`").to_string(), "`` ` ``");
        assert_eq!(Code(" ").to_string(), "(empty)");
        assert_eq!(CellCode("a|b").to_string(), "`a\\|b`");
        let block = Block { language: "sh", text: "a\n````\nb\n", indent: 2 };
        assert_eq!(block.to_string(), "  `````sh\n  a\n  ````\n  b\n  `````\n");
    }

    #[test]
    fn prose_keeps_its_code() {
        assert_eq!(prose("on RPM systems `dnf a*b`."), "on RPM systems `dnf a*b`.");
        assert_eq!(prose("`a` and `b`"), "`a` and `b`");
        assert_eq!(prose("an odd ` stays"), "an odd \\` stays");
    }

    /// What a reader of GitHub's dialect finds: its texts and its code, each in one; anything else as its name.
    fn read(markdown: &str) -> (String, String, Vec<String>) {
        let (mut text, mut code, mut other) = (String::new(), String::new(), Vec::new());
        for event in
            Parser::new_ext(markdown, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_GFM)
        {
            match event {
                Event::Text(part) => text.push_str(&part),
                Event::Code(part) => code.push_str(&part),
                Event::Start(
                    Tag::Paragraph
                    | Tag::Table(_)
                    | Tag::TableHead
                    | Tag::TableRow
                    | Tag::TableCell
                    | Tag::CodeBlock(_),
                )
                | Event::End(_) => {}
                odd => other.push(format!("{odd:?}")),
            }
        }
        (text, code, other)
    }

    /// Text with what means something to Markdown in it more often than by chance.
    fn odd() -> impl Strategy<Value = String> {
        prop_oneof![any::<String>(), "(?s)([ -~]|[-#*_`|<>&~+=.)(!:\\[\\]\\\\]|[0-9]|www[.]|://|\n|  |é|\\PC){0,30}"]
    }

    proptest! {
        #[test]
        fn any_text_is_only_text(text in odd()) {
            let (read, code, other) = read(&Text(&text).to_string());
            prop_assert_eq!((code, other), (String::new(), Vec::new()), "{}", Text(&text));
            prop_assert_eq!(read, text::sanitize(&text).trim().to_owned());
        }

        #[test]
        fn any_code_is_one_span(text in odd()) {
            let clean = text::sanitize(&text).into_owned();
            prop_assume!(!clean.trim().is_empty());
            prop_assert_eq!(read(&Code(&text).to_string()), (String::new(), clean, Vec::new()));
        }

        #[test]
        fn any_code_stays_in_its_cell(text in odd()) {
            let clean = text::sanitize(&text).into_owned();
            prop_assume!(!clean.trim().is_empty());
            let table = format!("| a | b |\n|---|---|\n| {} | c |\n", CellCode(&text));
            prop_assert_eq!(read(&table), ("abc".to_owned(), clean, Vec::new()), "{}", table);
        }

        #[test]
        fn any_block_ends_where_it_should(text in odd()) {
            let block = Block { language: "sh", text: &text, indent: 0 }.to_string();
            let lines = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
            let (read, code, other) = read(&format!("{block}after\n"));
            let clean = text::sanitize_block(text.trim_end().as_bytes());
            prop_assert_eq!((code, other), (String::new(), Vec::new()));
            prop_assert_eq!(lines(&read), lines(&format!("{clean}{}after", if clean.is_empty() { "" } else { "\n" })));
        }
    }
}
