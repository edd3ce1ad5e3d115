//! The reading itself: which address led here, whether it is the machine that was meant, and which parts did not answer.

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use super::identity::Identity;
use super::network::Network;
use super::read::{Reader, clip};
use crate::record::{Record, Section, rc};

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Reading {
    /// The inventory's name of the node.
    pub name: Fact<String>,
    /// The host part of what was dialled.
    pub dialled: Fact<String>,
    /// What was dialled is an address of the node itself; absent when a name was dialled. A floating address or a forwarded
    /// port is none.
    pub dialled_is_own: Fact<bool>,
    /// The node's host name is another one than the inventory's; domains and case do not count.
    pub named_otherwise: Fact<bool>,
    /// How many parts of the reading came.
    pub parts: u64,
    /// The probe came to its end.
    pub complete: Fact<bool>,
    /// Parts of the reading that did not answer before their deadline, as `df /srv`.
    pub timed_out: Fact<Vec<String>>,
    /// Parts that were cut off with the connection.
    pub cut_off: Fact<Vec<String>>,
    /// What the login shell printed before the probe could speak.
    pub noise: Fact<String>,
}

impl Reading {
    pub(crate) fn parse(record: &Record, reader: Reader<'_>, identity: &Identity, network: &Network) -> Self {
        let host = host(&record.address);
        let Some(capture) = record.probe.as_ref() else {
            return Self {
                name: Fact::Known(record.name.clone()),
                dialled: Fact::from_option(host),
                dialled_is_own: reader.nothing("ident"),
                named_otherwise: reader.nothing("ident"),
                parts: 0,
                complete: reader.nothing("ident"),
                timed_out: reader.nothing("ident"),
                cut_off: reader.nothing("ident"),
                noise: reader.nothing("ident"),
            };
        };
        let late = capture.sections.iter().filter(|section| section.rc == rc::TIMEOUT).map(label).collect();
        Self {
            dialled_is_own: match &host {
                Some(host) if host.parse::<std::net::IpAddr>().is_ok() => network.owns(host),
                _ => Fact::Absent,
            },
            named_otherwise: identity.hostname.as_ref().map(|own| short(own) != short(&record.name)),
            name: Fact::Known(record.name.clone()),
            dialled: Fact::from_option(host),
            parts: capture.sections.len() as u64,
            complete: Fact::Known(capture.complete),
            timed_out: Fact::Known(late),
            cut_off: Fact::Known(capture.missing.iter().map(|id| clip(id, 60)).collect()),
            noise: Fact::from_option(Some(clip(&capture.noise, 200)).filter(|noise| !noise.is_empty())),
        }
    }
}

fn label(section: &Section) -> String {
    match &section.arg {
        Some(arg) => format!("{} {}", clip(&section.id, 60), clip(arg, 200)),
        None => clip(&section.id, 60),
    }
}

/// `192.0.2.1` of `192.0.2.1:22`, `2001:db8::1` of `[2001:db8::1]:22`; nothing of `local`.
fn host(address: &str) -> Option<String> {
    let (host, _port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty()).then(|| host.to_owned())
}

fn short(name: &str) -> String {
    name.trim().split('.').next().unwrap_or_default().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::super::read::test_support::{record_of, section};
    use super::*;

    fn parse(change: impl FnOnce(&mut Record)) -> Reading {
        let mut record = record_of(vec![
            section("ident", "", 0, "hostname=Node.example.org\n"),
            section("ip-addr", "", 0, "2: enp5s0    inet 192.0.2.1/24 brd 192.0.2.255\n"),
            section("df", "/srv", 124, ""),
        ]);
        change(&mut record);
        let reader = Reader::new(&record);
        Reading::parse(&record, reader, &Identity::parse(reader), &Network::parse(reader))
    }

    #[test]
    fn the_machine_that_was_meant() {
        let reading = parse(|_| ());
        assert_eq!(reading.dialled, Fact::Known("192.0.2.1".to_owned()));
        assert_eq!((reading.dialled_is_own, reading.named_otherwise), (Fact::Known(true), Fact::Known(false)));
        let other = parse(|record| (record.address, record.name) = ("192.0.2.9:22".to_owned(), "storage".to_owned()));
        assert_eq!((other.dialled_is_own, other.named_otherwise), (Fact::Known(false), Fact::Known(true)));
        assert_eq!(parse(|record| record.address = "node:22".to_owned()).dialled_is_own, Fact::Absent);
        assert_eq!(parse(|record| record.address = "local".to_owned()).dialled, Fact::Absent);
    }

    #[test]
    fn what_did_not_answer() {
        assert_eq!(parse(|_| ()).timed_out, Fact::Known(vec!["df /srv".to_owned()]));
        let unread = parse(|record| record.probe = None);
        assert!(unread.timed_out.is_unknown() && unread.named_otherwise.is_unknown());
    }
}
