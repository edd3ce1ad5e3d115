//! One line of `ssh_config`: keyword and words, with ssh's quoting. Pure.

/// A line that says something.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Directive<'a> {
    pub(super) keyword: &'a str,
    /// Everything after the keyword and its `=`, for settings that take the line as it stands.
    pub(super) rest: &'a str,
}

/// Splits a line into keyword and rest; `None` for blank lines and comments. `Key value`, `Key=value` and `Key = value` mean
/// the same.
pub(super) fn directive(line: &str) -> Option<Directive<'_>> {
    let line = line.trim_matches(is_space);
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|c| is_space(c) || c == '=').unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(is_space);
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start_matches(is_space);
    Some(Directive { keyword: keyword.trim_matches('"'), rest })
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\u{c}')
}

/// The words of a value, as ssh splits them: `'…'` and `"…"` keep blanks together, `\` escapes quotes, itself and a blank, and
/// `#` at the start of a word ends the line. `None` when a quote is not closed.
pub(super) fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(&c) = chars.peek() {
        if is_space(c) {
            chars.next();
            continue;
        }
        if c == '#' {
            break;
        }
        let mut word = String::new();
        let mut quote = None;
        while let Some(c) = chars.next() {
            match (c, quote) {
                ('\\', _) => match chars.peek() {
                    Some(&next) if matches!(next, '\'' | '"' | '\\') || (quote.is_none() && next == ' ') => {
                        word.push(next);
                        chars.next();
                    }
                    _ => word.push(c),
                },
                (c, None) if is_space(c) => break,
                ('"' | '\'', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                (c, _) => word.push(c),
            }
        }
        if quote.is_some() {
            return None;
        }
        words.push(word);
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keyword_and_rest() {
        for (line, expected) in [
            ("Port 22", Some(("Port", "22"))),
            ("\tPort\t=  22  \r", Some(("Port", "22"))),
            ("port=22", Some(("port", "22"))),
            ("port ==22", Some(("port", "=22"))),
            ("Compression", Some(("Compression", ""))),
            ("  # comment", None),
            ("", None),
            ("   ", None),
        ] {
            assert_eq!(directive(line).map(|d| (d.keyword, d.rest)), expected, "{line:?}");
        }
    }

    #[test]
    fn words_with_quotes_escapes_and_comments() {
        for (text, expected) in [
            ("a b\tc", Some(vec!["a", "b", "c"])),
            ("\"a b\" 'c d'", Some(vec!["a b", "c d"])),
            ("a\\ b \"c\\\"d\"", Some(vec!["a b", "c\"d"])),
            ("a\\b", Some(vec!["a\\b"])),
            ("a #b", Some(vec!["a"])),
            ("a#b", Some(vec!["a#b"])),
            ("pre\"a b\"post", Some(vec!["prea bpost"])),
            ("\"\"", Some(vec![""])),
            ("\"open", None),
            ("", Some(vec![])),
        ] {
            assert_eq!(
                words(text).as_deref(),
                expected.map(|v| v.into_iter().map(String::from).collect::<Vec<_>>()).as_deref()
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_split_without_panic(text in ".{0,60}") {
            if let Some(directive) = directive(&text) {
                let _ = words(directive.rest);
            }
        }
    }
}
