//! `ProxyJump`: a chain of hosts as text. Pure.

use crate::ssh::resolved::JumpHop;

/// The hops of a chain, the nearest first; empty for `none`.
pub(super) fn parse_jump(text: &str) -> Result<Vec<JumpHop>, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(Vec::new());
    }
    text.split(',')
        .map(|hop| parse_hop(hop.trim()).ok_or_else(|| format!("{hop:?} is no [user@]host[:port]")))
        .collect()
}

fn parse_hop(text: &str) -> Option<JumpHop> {
    let text = text.strip_prefix("ssh://").map_or(text, |rest| rest.strip_suffix('/').unwrap_or(rest));
    // A user's name may hold an @ of its own; a host's may not.
    let (user, address) = text.rsplit_once('@').map_or((None, text), |(user, address)| (Some(user), address));
    let (host, port) = if let Some(rest) = address.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        match after.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if after.is_empty() => (host, None),
            None => return None,
        }
    } else {
        match address.split_once(':') {
            // More than one colon and no brackets: an IPv6 address.
            Some((_, rest)) if rest.contains(':') => (address, None),
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        }
    };
    let port = match port {
        Some(port) => Some(port.parse().ok().filter(|&port: &u16| port != 0)?),
        None => None,
    };
    if user.is_some_and(str::is_empty) || host.is_empty() || host.starts_with('-') || host.contains(char::is_whitespace)
    {
        return None;
    }
    Some(JumpHop { user: user.map(str::to_owned), host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_of_every_form() {
        let hop = |user: Option<&str>, host: &str, port| JumpHop {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
        };
        for (text, expected) in [
            ("none", vec![]),
            ("None", vec![]),
            ("b", vec![hop(None, "b", None)]),
            ("ann@b:2222", vec![hop(Some("ann"), "b", Some(2222))]),
            ("ann@corp@b", vec![hop(Some("ann@corp"), "b", None)]),
            (
                "a,ssh://ann@b:22/,[::1]:33",
                vec![hop(None, "a", None), hop(Some("ann"), "b", Some(22)), hop(None, "::1", Some(33))],
            ),
            ("[fe80::1%eth0]", vec![hop(None, "fe80::1%eth0", None)]),
            ("::1", vec![hop(None, "::1", None)]),
        ] {
            assert_eq!(parse_jump(text).unwrap(), expected, "{text}");
        }
        for text in ["", "a,", "@b", "b:0", "b:70000", "b:x", "[::1", "[::1]x", "-oProxyCommand=x", "a b"] {
            assert!(parse_jump(text).is_err(), "{text}");
        }
    }
}
