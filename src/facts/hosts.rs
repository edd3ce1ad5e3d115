//! `/etc/hosts`: who it says that the node itself is.

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::read::{Reader, clip};

/// More lines are no answer to "which one is it".
const KEPT: usize = 5;

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Hosts {
    /// The lines that name the node's own name, each with its number: `3: 192.168.4.63 homelab`.
    pub own_lines: Fact<Vec<String>>,
}

impl Hosts {
    pub(crate) fn parse(reader: Reader<'_>) -> Self {
        let name = reader.keys("ident").text("hostname");
        let own_lines = reader.text("hosts").and_then(|text| name.map(|name| own_lines(text, name.trim())));
        Self { own_lines }
    }
}

fn own_lines(text: &str, name: &str) -> Vec<String> {
    let names_it = |line: &str| {
        let words = line.split('#').next().unwrap_or_default().split_whitespace();
        words.skip(1).any(|word| word.eq_ignore_ascii_case(name) || word.split('.').next() == Some(name))
    };
    let hit = text.lines().enumerate().filter(|(_, line)| names_it(line));
    hit.take(KEPT).map(|(index, line)| format!("{}: {}", index + 1, clip(line, 200))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::record;
    use super::*;

    #[test]
    fn lines_of_the_nodes_own_name() {
        let text = "127.0.0.1 localhost\n# 192.168.4.62 homelab\n192.168.4.63 homelab home.lab\n::1 homelab.lan\n";
        let record = record(&[("ident", "", "hostname=homelab\n"), ("hosts", "", text)]);
        let lines = Hosts::parse(Reader::new(&record)).own_lines;
        assert_eq!(
            lines,
            Fact::Known(vec!["3: 192.168.4.63 homelab home.lab".to_owned(), "4: ::1 homelab.lan".to_owned()])
        );
        assert!(Hosts::parse(Reader::new(&super::super::read::test_support::record(&[]))).own_lines.is_unknown());
    }
}
