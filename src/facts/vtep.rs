//! What a node's kernel knows of the way to each peer through flannel.1: routes, neighbours, forwarding entries.
//!
//! In a large cluster each node has one of each for every other node, so they are kept as numbers in shared pieces, for the view
//! of the cluster only, and never shown.

use super::Fact;
use super::ipv4::{Net, ip};
use super::pieces::Pieces;
use super::read::Reader;

/// The three tables of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tables {
    /// Networks with a gateway, and whether they go through flannel.1.
    pub(crate) routes: Fact<Pieces<(Net, bool)>>,
    /// Hardware addresses of flannel.1's neighbours.
    pub(crate) neighbours: Fact<Pieces<(u32, u64)>>,
    /// Where flannel.1 sends what is for a hardware address.
    pub(crate) forwarding: Fact<Pieces<(u64, u32)>>,
}

impl Tables {
    pub(crate) fn parse(reader: Reader<'_>) -> Self {
        Self {
            routes: table(reader, "ip-route", |line| {
                let through = after(line, "dev") == Some("flannel.1");
                after(line, "via")?;
                Some((Net::parse(line.split_ascii_whitespace().next()?)?, through))
            }),
            neighbours: table(reader, "ip-neigh", |line| {
                Some((ip(line.split_ascii_whitespace().next()?)?, mac(after(line, "lladdr")?)?))
            }),
            forwarding: table(reader, "ip-fdb", |line| {
                Some((mac(line.split_ascii_whitespace().next()?)?, ip(after(line, "dst")?)?))
            }),
        }
    }
}

/// A cut table would say that peers are missing.
fn table<T>(reader: Reader<'_>, id: &str, entry: impl Fn(&str) -> Option<T>) -> Fact<Pieces<T>>
where
    Pieces<T>: FromIterator<T>,
{
    reader.whole(id).map(|text| text.lines().filter_map(entry).collect())
}

fn after<'l>(line: &'l str, key: &str) -> Option<&'l str> {
    let mut words = line.split_ascii_whitespace();
    words.find(|word| *word == key)?;
    words.next()
}

/// `4a:1c:32:00:00:01` as a number.
pub(crate) fn mac(text: &str) -> Option<u64> {
    let mut parts = text.split(':');
    let number = parts.by_ref().take(6).try_fold(0_u64, |number, part| {
        let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        Some(number << 8 | u64::from(u8::from_str_radix(part, 16).ok().filter(|_| digits)?))
    })?;
    (parts.next().is_none() && text.len() == 17).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::{record, record_of, section};
    use super::*;

    #[test]
    fn the_three_tables() {
        let record = record(&[
            (
                "ip-route",
                "",
                "default via 192.168.4.1 dev eno1\n10.244.2.0/24 via 192.168.4.9 dev eno1\n\
                 10.244.0.0/24 via 10.244.0.0 dev flannel.1 onlink\n10.244.1.0/24 dev cni0 proto kernel\n",
            ),
            ("ip-neigh", "", "10.244.0.0 lladdr 4a:1c:32:00:00:01 PERMANENT\n10.244.9.0  FAILED\n"),
            ("ip-fdb", "", "4a:1c:32:00:00:01 dst 192.168.4.63 self permanent\n"),
        ]);
        let tables = Tables::parse(Reader::new(&record));
        let net = |text| Net::parse(text).unwrap();
        assert_eq!(
            tables.routes.map(|all| all.entries()),
            Fact::Known(vec![(net("10.244.0.0/24"), true), (net("10.244.2.0/24"), false)])
        );
        let master = mac("4A:1c:32:00:00:01").unwrap();
        assert_eq!(tables.neighbours.map(|all| all.entries()), Fact::Known(vec![(ip("10.244.0.0").unwrap(), master)]));
        assert_eq!(
            tables.forwarding.map(|all| all.entries()),
            Fact::Known(vec![(master, ip("192.168.4.63").unwrap())])
        );
    }

    #[test]
    fn a_cut_table_is_unknown() {
        let mut cut = section("ip-route", "", 0, "10.244.0.0/24 via 10.244.0.0 dev flannel.1");
        cut.truncated = true;
        assert!(Tables::parse(Reader::new(&record_of(vec![cut]))).routes.is_unknown());
    }

    #[test]
    fn hardware_addresses() {
        assert_eq!(mac("00:00:00:00:01:02"), Some(0x102));
        for text in ["", "00:00:00:00:01", "00:00:00:00:01:02:03", "00:00:00:00:01:+2", "0:0:0:0:1:2"] {
            assert_eq!(mac(text), None, "{text}");
        }
    }
}
