//! NFS between nodes of one run: whether the server's exports let the client in, and whether the clients of one export mount
//! it alike.
//!
//! Only what addresses decide is judged. A name, a domain or a netgroup in an export may or may not be the client, and below a
//! root of its own (`fsid=0`) paths are others than the client's.

use std::collections::{BTreeMap, HashMap};

use super::cidr::Cidr;
use crate::facts::nfs::NetMount;
use crate::facts::{Fact, NodeFacts};

/// So many are named.
const MOST: usize = 5;

/// Options that have to be alike for clients to see failures of the server alike.
const COMPARED: [&str; 7] = ["hard", "soft", "softerr", "nolock", "ro", "rw", "vers="];

/// What one node mounts, or should.
struct Wanted<'a> {
    server: &'a str,
    path: &'a str,
}

/// The NFS servers and mounts of a run.
pub(super) struct Exports<'a> {
    /// Lines of the tables of exports by what a server is called; `None` where two nodes are called so.
    servers: HashMap<&'a str, Option<&'a [String]>>,
    /// How many nodes mount a source with which options.
    options: HashMap<&'a str, BTreeMap<String, usize>>,
}

impl<'a> Exports<'a> {
    pub(super) fn new(nodes: &'a BTreeMap<String, NodeFacts>) -> Self {
        let mut exports = Self { servers: HashMap::new(), options: HashMap::new() };
        for (name, facts) in nodes {
            let lines =
                facts.nfs.exports.known().filter(|_| facts.nfs.server_threads.is_known_and(|threads| *threads > 0));
            let addresses = facts.network.addresses.known().into_iter().flatten().map(|own| own.address.as_str());
            let names = [Some(name.as_str()), facts.identity.hostname.known().map(String::as_str)];
            let called: std::collections::BTreeSet<&str> = addresses.chain(names.into_iter().flatten()).collect();
            for called in called {
                let lines = lines.map_or(&[][..], Vec::as_slice);
                exports.servers.entry(called).and_modify(|known| *known = None).or_insert(Some(lines));
            }
            // Several mounts of one source on a node count once.
            let mounted: BTreeMap<&str, String> =
                mounted(facts).map(|mount| (mount.source.as_str(), compared(mount))).collect();
            for (source, options) in mounted {
                *exports.options.entry(source).or_default().entry(options).or_default() += 1;
            }
        }
        exports
    }

    /// What the node mounts or should, and its server exports to others only, as `192.168.4.61:/srv/media`.
    pub(super) fn refused(&self, facts: &NodeFacts) -> Fact<Vec<String>> {
        facts.network.addresses.as_ref().map(|addresses| {
            let own: Vec<&str> = addresses.iter().map(|own| own.address.as_str()).collect();
            let mut refused: Vec<String> = wanted(facts)
                .filter(|wanted| {
                    let lines = self.servers.get(wanted.server).copied().flatten();
                    lines.is_some_and(|lines| !lines.is_empty() && refuses(lines, wanted.path, &own))
                })
                .map(|wanted| format!("{}:{}", wanted.server, wanted.path))
                .collect();
            refused.sort();
            refused.dedup();
            refused.truncate(MOST);
            refused
        })
    }

    /// Sources that less than half of their clients mount as this node does, each with both ways.
    pub(super) fn options_differ(&self, facts: &NodeFacts) -> Fact<Vec<String>> {
        facts.nfs.mounts.as_ref().map(|_| {
            let differing = mounted(facts).filter_map(|mount| {
                let (own, all) = (compared(mount), self.options.get(mount.source.as_str())?);
                let total: usize = all.values().sum();
                let (usual, most) = all.iter().max_by_key(|(_, count)| **count)?;
                let alone = all.get(&own).copied().unwrap_or(0) * 2 < total && *usual != own && *most * 2 > total;
                alone.then(|| format!("{}: {own} instead of {usual}", mount.source))
            });
            let mut differing: Vec<String> = differing.collect();
            differing.sort();
            differing.dedup();
            differing.truncate(MOST);
            differing
        })
    }
}

fn mounted(facts: &NodeFacts) -> impl Iterator<Item = &NetMount> {
    facts.nfs.mounts.known().into_iter().flatten().filter(|mount| mount.nfs)
}

fn compared(mount: &NetMount) -> String {
    let counts = |option: &&String| {
        COMPARED.iter().any(|name| option == name || (name.ends_with('=') && option.starts_with(name)))
    };
    let mut options: Vec<&str> = mount.options.iter().filter(counts).map(String::as_str).collect();
    options.sort_unstable();
    options.dedup();
    options.join(",")
}

/// Mounted ones by the kernel's address of the server, those of fstab by what it says.
fn wanted(facts: &NodeFacts) -> impl Iterator<Item = Wanted<'_>> {
    let mounts = mounted(facts).filter_map(|mount| {
        let server = mount.server.known()?.as_str();
        Some(Wanted { server, path: mount.source.split_once(":/").map(|(host, _)| &mount.source[host.len() + 1..])? })
    });
    let declared = facts.mounts.fstab.known().into_iter().flatten();
    let declared = declared.filter(|entry| entry.is_nfs() && entry.expected_now()).filter_map(|entry| {
        let (server, _) = entry.source.split_once(":/")?;
        Some(Wanted { server: server.trim_matches(['[', ']']), path: &entry.source[server.len() + 1..] })
    });
    mounts.chain(declared)
}

/// No line lets one of these addresses in, and each line could be judged.
fn refuses(lines: &[String], path: &str, own: &[&str]) -> bool {
    if lines.iter().any(|line| line.contains("fsid=0,") || line.contains("fsid=0)") || line.contains("fsid=root")) {
        return false;
    }
    let of_path = lines.iter().filter_map(|line| {
        let (exported, client) = line.split_once(char::is_whitespace)?;
        let below = path
            .strip_prefix(exported.trim_end_matches('/'))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        below.then(|| client.trim().split('(').next().unwrap_or_default())
    });
    !of_path.into_iter().any(|client| lets_in(client, own) != Some(false))
}

/// `None` where addresses do not decide.
fn lets_in(client: &str, own: &[&str]) -> Option<bool> {
    if client.is_empty() || client == "*" || client == "<world>" {
        return Some(true);
    }
    if let Ok(address) = client.parse::<std::net::IpAddr>() {
        return Some(own.iter().any(|own| own.parse() == Ok(address)));
    }
    let (base, mask) = client.split_once('/')?;
    // `192.168.4.0/255.255.255.0` is as good as `/24`.
    let prefix = match mask.parse::<std::net::Ipv4Addr>() {
        Ok(mask) => u32::from(mask).leading_ones().to_string(),
        Err(_) => mask.to_owned(),
    };
    let network = Cidr::parse(&format!("{base}/{prefix}"))?;
    Some(own.iter().any(|own| network.has(own) == Some(true)))
}

#[cfg(test)]
mod tests {
    use super::super::super::read::test_support::record;
    use super::*;

    #[test]
    fn exports_by_address() {
        let own = ["127.0.0.1", "192.168.4.62"];
        let refused = |line: &str, path: &str| refuses(&[line.to_owned()], path, &own);
        assert!(!refused("/srv/media\t192.168.4.0/24(rw,sync)", "/srv/media"));
        assert!(!refused("/srv/media\t192.168.4.0/255.255.255.0(rw)", "/srv/media/films"));
        assert!(!refused("/srv/media 192.168.4.62(rw)", "/srv/media/"));
        assert!(refused("/srv/media 192.168.5.0/24(rw)", "/srv/media"));
        assert!(refused("/srv/other *(rw)", "/srv/media") && refused("/srv/med *(rw)", "/srv/media"));
        // Who is called so is not known here.
        assert!(!refused("/srv/media *.lan(rw)", "/srv/media") && !refused("/srv/media @nodes(rw)", "/srv/media"));
        assert!(!refused("/srv 10.0.0.0/8(rw,fsid=0,sync)", "/media"), "the server's root is another");
    }

    fn node(mounts: &str, fstab: &str, more: &[(&str, &str, &str)]) -> NodeFacts {
        let own = [("mountinfo", "", mounts), ("fstab", "", fstab)];
        crate::facts::parse(&record(&[&own, more].concat()))
    }

    #[test]
    fn a_server_and_its_clients() {
        let mount = |options: &str| {
            format!(
                "26 1 254:0 / / rw - ext4 /dev/sda1 rw\n31 26 0:44 / /mnt rw - nfs4 nas:/srv/media rw,{options},addr=192.168.4.61\n"
            )
        };
        let at = |third: u8| format!("2: eth0    inet 192.168.{third}.7/24\n");
        let address = at(4);
        let server = node(
            "26 1 254:0 / / rw - ext4 /dev/sda1 rw\n",
            "",
            &[
                ("ip-addr", "", "2: eth0    inet 192.168.4.61/24\n"),
                ("nfs-server", "", "threads=8\nexport=/srv/media\t192.168.4.0/24(rw,sync)\n"),
            ],
        );
        let hard = node(&mount("vers=4.2,hard"), "", &[("ip-addr", "", &address)]);
        let soft = node(&mount("vers=3,soft"), "", &[("ip-addr", "", &at(5))]);
        let fstab = "192.168.4.61:/srv/media /mnt nfs defaults 0 0\n";
        let waiting = node("26 1 254:0 / / rw - ext4 /dev/sda1 rw\n", fstab, &[("ip-addr", "", &at(9))]);
        let mut run = BTreeMap::new();
        run.insert("nas".to_owned(), server);
        run.insert("a".to_owned(), hard.clone());
        run.insert("b".to_owned(), hard);
        run.insert("c".to_owned(), soft);
        run.insert("d".to_owned(), waiting);
        let exports = Exports::new(&run);
        let refused = |name: &str| exports.refused(&run[name]).known().cloned().unwrap();
        assert_eq!(refused("a"), [""; 0]);
        assert_eq!(refused("c"), ["192.168.4.61:/srv/media"]);
        assert_eq!(refused("d"), ["192.168.4.61:/srv/media"]);
        assert_eq!(exports.options_differ(&run["a"]), Fact::Known(vec![]));
        let said = "nas:/srv/media: rw,soft,vers=3 instead of hard,rw,vers=4.2";
        assert_eq!(exports.options_differ(&run["c"]), Fact::Known(vec![said.to_owned()]));
    }
}
