//! Untrusted text on its way to a terminal: made harmless, measured, cut and wrapped.
//!
//! Whatever a node, an inventory or a server said passes through here before it is printed. Escapes stay visible
//! (`\x1b`, `\u{202e}`) so that nothing disappears. Letters of right-to-left scripts are kept: only the characters that
//! *command* the direction are escaped.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar as _;

/// So many characters without a width may follow each other: enough for every living script, too few to paint over the
/// lines above and below.
const MAX_MARKS: usize = 4;

/// One line of harmless text: control characters (line breaks and tabs too), escape sequences, direction overrides and
/// invisible characters become visible escapes.
pub fn sanitize(text: &str) -> Cow<'_, str> {
    escape(text, false)
}

/// Harmless text of several lines: like [`sanitize`], but line feeds and tabs stay, and so that output of a terminal
/// reads well, a carriage return before a line feed is dropped. Bytes that are not UTF-8 become `\xff`.
pub fn sanitize_block(bytes: &[u8]) -> String {
    let mut clean = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        clean.push_str(&escape(chunk.valid(), true));
        for byte in chunk.invalid() {
            push_byte(&mut clean, *byte);
        }
    }
    clean
}

fn escape(text: &str, block: bool) -> Cow<'_, str> {
    // Nearly all text is plain, and then nothing is copied.
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte) || (block && matches!(byte, b'\n' | b'\t'))) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 16);
    let mut marks = 0;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        marks = if char.width() == Some(0) { marks + 1 } else { 0 };
        match char {
            '\n' | '\t' if block => clean.push(char),
            '\r' if block && chars.peek() == Some(&'\n') => {}
            '\n' => clean.push_str("\\n"),
            '\r' => clean.push_str("\\r"),
            '\t' => clean.push_str("\\t"),
            '\0'..='\x1f' | '\x7f' => push_byte(&mut clean, char as u8),
            _ if is_deceptive(char) || marks > MAX_MARKS => push_escape(&mut clean, char),
            _ => clean.push(char),
        }
    }
    Cow::Owned(clean)
}

/// Characters above ASCII that do something to a terminal or to a reader instead of showing: C1 controls, marks and
/// overrides of direction, joiners and other characters without a width, variation selectors, separators of lines and
/// paragraphs, tags, and code points that mean nothing.
pub fn is_deceptive(char: char) -> bool {
    matches!(char,
        '\u{80}'..='\u{9f}'
        | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{ffa0}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}'
    ) || (char as u32) & 0xfffe == 0xfffe
        || ('\u{fdd0}'..='\u{fdef}').contains(&char)
}

/// Text for a terminal whose locale is not UTF-8: the table's own signs have a plain form, everything else is escaped.
pub fn to_ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            '\0'..='\x7f' => plain.push(char),
            '·' => plain.push('.'),
            '…' => plain.push_str("..."),
            '–' | '—' | '‑' | '−' => plain.push('-'),
            '‘' | '’' => plain.push('\''),
            '“' | '”' => plain.push('"'),
            '→' => plain.push_str("->"),
            '×' => plain.push('x'),
            '≥' => plain.push_str(">="),
            '≤' => plain.push_str("<="),
            '①'..='⑳' => {
                let number = char as u32 - '①' as u32 + 1;
                let _ = write!(plain, "({number})");
            }
            _ => push_escape(&mut plain, char),
        }
    }
    Cow::Owned(plain)
}

fn push_byte(text: &mut String, byte: u8) {
    // Writing to a string cannot fail.
    let _ = write!(text, "\\x{byte:02x}");
}

fn push_escape(text: &mut String, char: char) {
    let _ = write!(text, "\\u{{{:x}}}", char as u32);
}

/// The columns that text takes on a terminal: two for wide characters, none for combining marks.
///
/// The sum over its characters, as terminals count, and never less than what a smarter terminal uses.
pub fn width(text: &str) -> usize {
    text.chars().map(|char| char.width().unwrap_or(0)).sum()
}

/// Text in at most `max` columns; what is cut off is replaced by `ellipsis`, as far as even that has room.
pub fn truncate<'a>(text: &'a str, max: usize, ellipsis: &str) -> Cow<'a, str> {
    // Bytes are never fewer than columns, so this spares measuring nearly every cell.
    if text.len() <= max || width(text) <= max {
        return Cow::Borrowed(text);
    }
    let ellipsis = split_at_width(ellipsis, max).0;
    let kept = split_at_width(text, max - width(ellipsis)).0;
    Cow::Owned(format!("{}{ellipsis}", kept.trim_end()))
}

/// Lines of at most `max` columns, broken between words; a word that is longer than a line is broken where it must.
/// At least one line, and every line makes progress even if a wide character alone is too wide.
pub fn wrap(text: &str, max: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let mut word = word;
        let mut word_width = width(word);
        if used > 0 && used + 1 + word_width > max {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        while word_width > max {
            let (head, tail) = split_at_width(word, max);
            let (head, tail) = if head.is_empty() {
                word.split_at(word.chars().next().map_or(0, char::len_utf8))
            } else {
                (head, tail)
            };
            lines.push(head.to_owned());
            word = tail;
            word_width -= width(head);
        }
        if word.is_empty() {
            continue;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += word_width;
    }
    if used > 0 || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// Lines of at most `max` columns, broken wherever a line is full, with every space kept: for what is copied as it stands.
pub fn chop(text: &str, max: usize) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    loop {
        let (head, tail) = split_at_width(rest, max);
        let (head, tail) = match (head.is_empty(), rest.chars().next()) {
            // Even a character that is too wide makes progress.
            (true, Some(char)) => rest.split_at(char.len_utf8()),
            _ => (head, tail),
        };
        lines.push(head);
        if tail.is_empty() {
            return lines;
        }
        rest = tail;
    }
}

/// The longest start of `text` that fits in `max` columns, and the rest. Combining marks stay with their letter.
fn split_at_width(text: &str, max: usize) -> (&str, &str) {
    let mut used = 0;
    for (at, char) in text.char_indices() {
        used += char.width().unwrap_or(0);
        if used > max {
            return text.split_at(at);
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_could_act_on_a_terminal_becomes_visible() {
        let cases = [
            ("plain text", "plain text"),
            ("grüße 漢字 😀 עברית", "grüße 漢字 😀 עברית"),
            ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
            ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\nb\r\nc\td\0", "a\\nb\\r\\nc\\td\\x00"),
            ("\x7f\x08", "\\x7f\\x08"),
            ("abc\u{202e}txt.exe", "abc\\u{202e}txt.exe"),
            ("\u{2066}x\u{2069}", "\\u{2066}x\\u{2069}"),
            ("ze\u{200b}ro\u{feff}", "ze\\u{200b}ro\\u{feff}"),
            ("tag\u{e0041}", "tag\\u{e0041}"),
            ("line\u{2028}sep", "line\\u{2028}sep"),
            ("e\u{301}", "e\u{301}"),
            ("z\u{300}\u{301}\u{302}\u{303}\u{304}", "z\u{300}\u{301}\u{302}\u{303}\\u{304}"),
        ];
        for (text, expected) in cases {
            assert_eq!(sanitize(text), expected);
        }
    }

    #[test]
    fn blocks_keep_their_lines() {
        assert_eq!(sanitize_block(b"a\r\n\tb\n\rc\x1b[2J"), "a\n\tb\n\\rc\\x1b[2J");
        assert_eq!(sanitize_block(b"bad \xff\xc3( bytes"), "bad \\xff\\xc3( bytes");
    }

    #[test]
    fn ascii_keeps_the_meaning() {
        assert_eq!(to_ascii("· … ① ⑫ 5 × 3 → ü"), ". ... (1) (12) 5 x 3 -> \\u{fc}");
    }

    #[test]
    fn cuts_by_columns() {
        let cases = [
            ("short", 5, "short"),
            ("longer text", 8, "longer…"),
            ("abcdefgh", 4, "abc…"),
            ("漢字漢字", 5, "漢字…"),
            ("漢字漢字", 4, "漢…"),
            ("ae\u{301}bcd", 3, "ae\u{301}…"),
            ("abc", 1, "…"),
            ("abc", 0, ""),
        ];
        for (text, max, expected) in cases {
            assert_eq!(truncate(text, max, "…"), expected, "{text} in {max}");
        }
        assert_eq!(truncate("abcdef", 5, "..."), "ab...");
        assert_eq!(truncate("abcdef", 2, "..."), "..");
    }

    #[test]
    fn wraps_between_words() {
        assert_eq!(wrap("one two  three", 8), ["one two", "three"]);
        assert_eq!(wrap("", 8), [""]);
        assert_eq!(wrap("/very/long/path is", 6), ["/very/", "long/p", "ath is"]);
        assert_eq!(wrap("漢字", 1), ["漢", "字"]);
        assert_eq!(wrap("any width at all", usize::MAX), ["any width at all"]);
        assert_eq!(wrap("ab", 0), ["a", "b"]);
    }

    #[test]
    fn chops_without_losing_a_space() {
        assert_eq!(chop("a  b c", 4), ["a  b", " c"]);
        assert_eq!(chop("", 4), [""]);
        assert_eq!(chop("漢字", 1), ["漢", "字"]);
        assert_eq!(chop("any", usize::MAX), ["any"]);
    }

    proptest! {
        #[test]
        fn nothing_unprintable_survives(text in any::<String>()) {
            let clean = sanitize(&text);
            prop_assert!(!clean.chars().any(|char| char.is_control() || is_deceptive(char)), "{clean:?}");
            prop_assert!(to_ascii(&clean).bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }

        #[test]
        fn nothing_unprintable_survives_in_a_block(bytes in any::<Vec<u8>>()) {
            let clean = sanitize_block(&bytes);
            prop_assert!(!clean.chars().any(|char| (char.is_control() && char != '\n' && char != '\t') || is_deceptive(char)));
        }

        #[test]
        fn cut_text_fits(text in any::<String>(), max in 0_usize..20) {
            let clean = sanitize(&text);
            prop_assert!(width(&truncate(&clean, max, "…")) <= max);
            if max >= 2 {
                prop_assert!(wrap(&clean, max).iter().all(|line| width(line) <= max));
            }
        }
    }
}
