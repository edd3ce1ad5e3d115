//! The probe's block format for lists of API objects: a line `kind=...` begins an object, `key=value` lines follow.

/// One object: its lines in order, the first one naming it.
pub(crate) struct Block<'a> {
    lines: Vec<(&'a str, &'a str)>,
}

/// The objects that begin with `kind=`. Of a text that was cut, the last one is left out, because half of it may be missing.
pub(crate) fn blocks<'a>(text: &'a str, kind: &str, cut: bool) -> Vec<Block<'a>> {
    let mut found: Vec<Block<'a>> = Vec::new();
    for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
        if key == kind {
            found.push(Block { lines: vec![(key, value)] });
        } else if let Some(block) = found.last_mut() {
            block.lines.push((key, value));
        }
    }
    if cut {
        found.pop();
    }
    found
}

impl<'a> Block<'a> {
    /// The first value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&'a str> {
        self.all(key).next()
    }

    /// Every value of a key that repeats.
    pub(crate) fn all<'s>(&'s self, key: &'s str) -> impl Iterator<Item = &'a str> + use<'a, 's> {
        self.lines.iter().filter(move |(name, _)| *name == key).map(|(_, value)| *value)
    }

    /// Of the values `NAME rest`, the rest of the one with that name.
    pub(crate) fn named(&self, key: &str, name: &str) -> Option<&'a str> {
        self.all(key).find_map(|value| value.split_once(' ').filter(|(found, _)| *found == name).map(|(_, rest)| rest))
    }
}

/// A value that may be a Go string literal: JSON's escapes and `\x41`.
pub(crate) fn unquote(value: &str) -> String {
    let Some(inner) = value.trim().strip_prefix('"') else { return value.to_owned() };
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('a') => out.push('\u{7}'),
            Some('v') => out.push('\u{b}'),
            Some('x') => out.push(code(&mut rest, 2)),
            Some('u') => out.push(code(&mut rest, 4)),
            Some('U') => out.push(code(&mut rest, 8)),
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

fn code(chars: &mut std::str::Chars<'_>, digits: usize) -> char {
    let hex: String = chars.take(digits).collect();
    u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_begin_with_their_kind() {
        let text = "noise=1\nnode=a\nrole=x\nrole=y\naddress=InternalIP 10.0.0.1\nnode=b\nnonsense\n";
        let found = blocks(text, "node", false);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].get("node"), Some("a"));
        assert_eq!(found[0].all("role").collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(found[0].named("address", "InternalIP"), Some("10.0.0.1"));
        assert_eq!(found[1].get("role"), None);
        assert_eq!(blocks(text, "node", true).len(), 1);
    }

    #[test]
    fn go_literals() {
        for (quoted, plain) in [
            (r#""a \"b\" \\ \n\t""#, "a \"b\" \\ \n\t"),
            (r#""\x41\u00e4\U0001f600""#, "Aä😀"),
            ("plain", "plain"),
            (r#""\xzz""#, "\u{fffd}"),
            (r#""half\"#, "half"),
        ] {
            assert_eq!(unquote(quoted), plain, "{quoted}");
        }
    }
}
