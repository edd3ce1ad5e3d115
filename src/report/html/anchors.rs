//! Where each node is on the page. Names become ids that every browser takes, that stay the same from run to run, and that
//! never meet those of the page itself.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::report::model::NodeReport;

/// A longer name is told by its place.
const LONGEST: usize = 100;

/// The ids of all nodes by name.
#[derive(Debug)]
pub(super) struct Anchors<'r>(HashMap<&'r str, String>);

impl<'r> Anchors<'r> {
    pub(super) fn new(nodes: &'r [NodeReport]) -> Self {
        Self(nodes.iter().enumerate().map(|(place, node)| (node.name.as_str(), id(&node.name, place))).collect())
    }

    /// The id of a node; `None` for a name that is not in the report.
    pub(super) fn of(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

fn id(name: &str, place: usize) -> String {
    if name.len() > LONGEST {
        // No name begins with it: `_` is followed by two hexadecimal digits.
        return format!("node-_long{place}");
    }
    let mut id = String::from("node-");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.') {
            id.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(id, "_{byte:02x}");
        }
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_plain_and_told_apart() {
        assert_eq!(id("node-1.example.org", 0), "node-node-1.example.org");
        assert_eq!(id("a b\"<", 0), "node-a_20b_22_3c");
        assert_ne!(id("a_b", 0), id("a b", 0));
        assert_eq!(id(&"x".repeat(1 << 20), 7), "node-_long7");
    }
}
