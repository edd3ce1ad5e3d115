//! Words of settings as typed values: yes and no, times, ports. Pure.

use std::time::Duration;

use super::keyword::Keyword;
use super::proxy;
use super::said::{Said, Value};
use super::tokens::Tokens;
use crate::failure::Failure;

/// `yes`/`no` and their synonyms.
pub(super) fn flag(said: &Said, keyword: Keyword, default: bool) -> Result<bool, Failure> {
    let Some(value) = said.get(keyword) else { return Ok(default) };
    yes_or_no(value.word()).ok_or_else(|| bad(keyword, value, "neither yes nor no"))
}

pub(super) fn yes_or_no(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "yes" | "true" => Some(true),
        "no" | "false" => Some(false),
        _ => None,
    }
}

/// A time as in `1h30m`; `None` where it is not said, `none` or 0.
pub(super) fn time(said: &Said, keyword: Keyword) -> Result<Option<Duration>, Failure> {
    let Some(value) = said.get(keyword) else { return Ok(None) };
    let seconds = seconds(value.word()).ok_or_else(|| bad(keyword, value, "no time"))?;
    Ok((seconds > 0).then(|| Duration::from_secs(seconds)))
}

/// ssh's times: numbers with `s m h d w`, added up; seconds without a unit. `none` is 0.
fn seconds(word: &str) -> Option<u64> {
    if word.eq_ignore_ascii_case("none") {
        return Some(0);
    }
    let mut rest = word;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].chars().next();
        let factor = match unit.map(|unit| unit.to_ascii_lowercase()) {
            None | Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3_600,
            Some('d') => 86_400,
            Some('w') => 604_800,
            Some(_) => return None,
        };
        total = total.checked_add(number.checked_mul(factor)?)?;
        rest = &rest[digits + unit.map_or(0, char::len_utf8)..];
    }
    (!word.is_empty()).then_some(total)
}

pub(super) fn port(value: &Value) -> Result<u16, Failure> {
    value.word().parse().ok().filter(|&port| port != 0).ok_or_else(|| bad(Keyword::Port, value, "no port (1 to 65535)"))
}

pub(super) fn bad(keyword: Keyword, value: &Value, why: &str) -> Failure {
    value.origin.failure(format_args!("{} {:?} is {why}", keyword.name(), value.words.join(" ")))
}

/// A value in the one form that ways of writing it share, for comparing the own reading with ssh's. `None` means the same as
/// nothing said. With `tokens`, what `%` and `~` stand for is filled in, as newer versions of ssh print it.
pub(super) fn normal(keyword: Keyword, value: Option<&Value>, tokens: Option<&Tokens<'_>>) -> Option<String> {
    let value = value?;
    let word = value.word();
    match keyword {
        Keyword::ConnectTimeout | Keyword::ServerAliveInterval => {
            seconds(word).filter(|&seconds| seconds > 0).map(|seconds| seconds.to_string())
        }
        Keyword::ProxyCommand if word.eq_ignore_ascii_case("none") => None,
        Keyword::ProxyJump => match proxy::parse_jump(word) {
            Ok(hops) if hops.is_empty() => None,
            Ok(hops) => Some(format!("{hops:?}")),
            Err(_) => Some(word.to_owned()),
        },
        Keyword::StrictHostKeyChecking if word.eq_ignore_ascii_case("off") => Some("no".to_owned()),
        Keyword::AddressFamily
        | Keyword::CanonicalizeHostname
        | Keyword::HashKnownHosts
        | Keyword::IdentitiesOnly
        | Keyword::KbdInteractiveAuthentication
        | Keyword::PasswordAuthentication
        | Keyword::PubkeyAuthentication
        | Keyword::StrictHostKeyChecking => {
            let lower = word.to_ascii_lowercase();
            Some(yes_or_no(&lower).map_or(lower, |yes| if yes { "yes" } else { "no" }.to_owned()))
        }
        _ => {
            let shown = |word: &String| match tokens.map(|tokens| tokens.path(word)) {
                Some(Ok(path)) => path.to_string_lossy().into_owned(),
                _ => word.clone(),
            };
            Some(value.words.iter().map(shown).collect::<Vec<_>>().join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (word, expected) in [
            ("5", Some(5)),
            ("5s", Some(5)),
            ("1m30", Some(90)),
            ("1H", Some(3600)),
            ("none", Some(0)),
            ("", None),
            ("m", None),
            ("5y", None),
            ("5é", None),
            ("99999999999999999999", None),
            ("18446744073709551615w", None),
        ] {
            assert_eq!(seconds(word), expected, "{word}");
        }
    }
}
