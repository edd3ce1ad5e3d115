//! Splitting a line into words as a POSIX shell does, without expanding anything. Pure.
//!
//! Host lines of an INI inventory and `ansible_ssh_common_args` are split like Python's `shlex` does for Ansible, because
//! files that work there must mean the same here: an unquoted `#` begins a comment even inside a word.

/// A word and the column (from 1, in characters) where it starts.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::inventory) struct Word {
    pub(in crate::inventory) text: String,
    pub(in crate::inventory) column: usize,
}

/// What `#` means outside quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::inventory) enum Comments {
    Skipped,
    /// `#` is a character like any other.
    None,
}

/// A quote that is opened at this column is never closed (or a backslash ends the text).
#[derive(Debug, PartialEq, Eq)]
pub(in crate::inventory) struct Unclosed {
    pub(in crate::inventory) column: usize,
}

/// Splits `line`.
pub(in crate::inventory) fn split(line: &str, comments: Comments) -> Result<Vec<Word>, Unclosed> {
    let mut words: Vec<Word> = Vec::new();
    let mut word: Option<Word> = None;
    let mut chars = (1..).zip(line.chars());
    while let Some((column, char)) = chars.next() {
        if char.is_whitespace() {
            words.extend(word.take());
            continue;
        }
        if char == '#' && comments == Comments::Skipped {
            break;
        }
        let text = &mut word.get_or_insert_with(|| Word { text: String::new(), column }).text;
        match char {
            '\'' => loop {
                match chars.next() {
                    Some((_, '\'')) => break,
                    Some((_, char)) => text.push(char),
                    None => return Err(Unclosed { column }),
                }
            },
            '"' => loop {
                match chars.next() {
                    Some((_, '"')) => break,
                    Some((_, '\\')) => match chars.next() {
                        Some((_, char @ ('"' | '\\'))) => text.push(char),
                        Some((_, char)) => text.extend(['\\', char]),
                        None => return Err(Unclosed { column }),
                    },
                    Some((_, char)) => text.push(char),
                    None => return Err(Unclosed { column }),
                }
            },
            '\\' => match chars.next() {
                Some((_, char)) => text.push(char),
                None => return Err(Unclosed { column }),
            },
            char => text.push(char),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_like_a_shell() {
        for (line, words) in [
            ("", vec![]),
            ("  a  b\tc ", vec!["a", "b", "c"]),
            ("a='b c' d=\"e 'f'\"", vec!["a=b c", "d=e 'f'"]),
            (r#"a="x\"y\\z\n""#, vec![r#"a=x"y\z\n"#]),
            (r"a\ b '\'", vec!["a b", "\\"]),
            ("a='' ''", vec!["a=", ""]),
            ("a # b", vec!["a"]),
            // As Python's shlex, and so as Ansible.
            ("a=b#c d", vec!["a=b"]),
            ("a='b#c' \"#d\"", vec!["a=b#c", "#d"]),
        ] {
            let found: Vec<String> =
                split(line, Comments::Skipped).unwrap().into_iter().map(|word| word.text).collect();
            assert_eq!(found, words, "{line}");
        }
        assert_eq!(split("a#b", Comments::None).unwrap()[0].text, "a#b");
    }

    #[test]
    fn says_where_words_and_open_quotes_are() {
        let columns: Vec<usize> =
            split("é  b='c d' e", Comments::None).unwrap().iter().map(|word| word.column).collect();
        assert_eq!(columns, [1, 4, 12]);
        assert_eq!(split("ab 'c", Comments::None), Err(Unclosed { column: 4 }));
        assert_eq!(split("ab \"c\\", Comments::None), Err(Unclosed { column: 4 }));
        assert_eq!(split("ab \\", Comments::None), Err(Unclosed { column: 4 }));
    }
}
