//! Shell patterns over names, as Python's `fnmatch` reads them: `*`, `?`, `[abc]`, `[a-f]`, `[!x]`. Pure, no backtracking
//! beyond the last star, so a hostile pattern costs at most pattern times name.

/// A compiled pattern.
#[derive(Debug)]
pub(in crate::inventory) struct Glob {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Char(char),
    AnyChar,
    AnyText,
    Class { negated: bool, spans: Vec<(char, char)> },
}

impl Glob {
    pub(in crate::inventory) fn new(pattern: &str) -> Self {
        let chars: Vec<char> = pattern.chars().collect();
        let mut pieces = Vec::new();
        let mut index = 0;
        while let Some(char) = chars.get(index) {
            index += 1;
            pieces.push(match char {
                '*' => Piece::AnyText,
                '?' => Piece::AnyChar,
                '[' => match class(&chars[index..]) {
                    Some((piece, length)) => {
                        index += length;
                        piece
                    }
                    // A bracket that is never closed is an ordinary character.
                    None => Piece::Char('['),
                },
                char => Piece::Char(*char),
            });
        }
        Self { pieces }
    }

    pub(in crate::inventory) fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut piece, mut at) = (0, 0);
        // Where the last star stands, and how far it reaches.
        let mut star: Option<(usize, usize)> = None;
        while at < name.len() {
            match self.pieces.get(piece) {
                Some(Piece::AnyText) => {
                    star = Some((piece, at));
                    piece += 1;
                }
                Some(other) if other.takes(name[at]) => {
                    piece += 1;
                    at += 1;
                }
                _ => match star {
                    Some((after, reach)) => {
                        star = Some((after, reach + 1));
                        piece = after + 1;
                        at = reach + 1;
                    }
                    None => return false,
                },
            }
        }
        self.pieces[piece..].iter().all(|piece| matches!(piece, Piece::AnyText))
    }
}

impl Piece {
    fn takes(&self, char: char) -> bool {
        match self {
            Self::Char(wanted) => *wanted == char,
            Self::AnyChar => true,
            Self::AnyText => false,
            Self::Class { negated, spans } => spans.iter().any(|(from, to)| (*from..=*to).contains(&char)) != *negated,
        }
    }
}

/// The class that starts behind a `[`, and how many characters it takes with its `]`.
fn class(chars: &[char]) -> Option<(Piece, usize)> {
    let negated = chars.first() == Some(&'!');
    let start = usize::from(negated);
    // A `]` in front is a member.
    let length = chars.iter().skip(start + 1).position(|char| *char == ']')? + start + 1;
    let members = &chars[start..length];
    let mut spans = Vec::new();
    let mut index = 0;
    while let Some(from) = members.get(index) {
        if let Some(['-', to]) = members.get(index + 1..index + 3) {
            spans.push((*from, *to));
            index += 3;
        } else {
            spans.push((*from, *from));
            index += 1;
        }
    }
    Some((Piece::Class { negated, spans }, length + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_fnmatch_does() {
        for (pattern, name, wanted) in [
            ("web*", "web", true),
            ("web*", "web12", true),
            ("web?", "web", false),
            ("web?", "webé", true),
            ("*.lan", "a.b.lan", true),
            ("*a*b*", "xxaxxb", true),
            ("*a*b*", "xxbxxa", false),
            ("web[12]", "web2", true),
            ("web[!12]", "web2", false),
            ("web[a-f0-9]", "webc", true),
            ("web[a-f0-9]", "webz", false),
            ("web[]x]", "web]", true),
            ("web[", "web[", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(name), wanted, "{pattern} {name}");
        }
    }
}
