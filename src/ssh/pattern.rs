//! ssh's patterns: `*` and `?` over a whole word, and comma-separated lists with `!`. Pure text; used for `Host`, `Match`,
//! `known_hosts` and certificate principals alike. There are no brackets and no escapes (`PATTERNS` in `ssh_config(5)`).

/// Whether `text` as a whole matches `pattern`. Case counts. Linear in practice, quadratic at worst: a hostile pattern
/// cannot make it exponential.
pub(crate) fn matches(text: &str, pattern: &str) -> bool {
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let (mut t, mut p) = (0, 0);
    // Where to take up again after a mismatch: the last `*`, and how much of the text it has swallowed.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                t += 1;
                p += 1;
            }
            _ => match star {
                Some((at, swallowed)) => {
                    star = Some((at, swallowed + 1));
                    p = at + 1;
                    t = swallowed + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

/// Whether any pattern of a comma-separated list matches and no negated one does. A list of negations alone never matches.
pub(crate) fn list_matches(text: &str, list: &str) -> bool {
    let mut found = false;
    for pattern in list.split(',') {
        match pattern.strip_prefix('!') {
            Some(negated) if matches(text, negated) => return false,
            Some(_) => {}
            None => found = found || matches(text, pattern),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_with_wildcards() {
        for (text, pattern, expected) in [
            ("node1", "node1", true),
            ("node1", "Node1", false),
            ("node1", "node", false),
            ("node1", "node?", true),
            ("node", "node?", false),
            ("node", "node*", true),
            ("", "", true),
            ("", "*", true),
            ("", "?", false),
            ("a.b.example.com", "*.example.com", true),
            ("example.com", "*.example.com", false),
            ("abcabc", "*abc", true),
            ("abxabc", "a*b*c", true),
            ("[10.0.0.1]:2222", "[10.0.0.*]:2222", true),
            ("x[", "x[", true),
        ] {
            assert_eq!(matches(text, pattern), expected, "{text} {pattern}");
        }
    }

    #[test]
    fn a_hostile_pattern_ends() {
        assert!(!matches(&"a".repeat(2000), &format!("{}b", "*a".repeat(500))));
    }

    #[test]
    fn lists_with_negation() {
        for (text, list, expected) in [
            ("a.x", "*.x,!b.x", true),
            ("b.x", "*.x,!b.x", false),
            ("b.x", "!b.x,*.x", false),
            ("c", "!b", false),
            ("c", "a,b", false),
            ("b", "a,b", true),
        ] {
            assert_eq!(list_matches(text, list), expected, "{text} {list}");
        }
    }
}
