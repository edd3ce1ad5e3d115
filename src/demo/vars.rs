//! What differs between nodes of the same state: names, addresses, identities, percentages, times, certificates.
//!
//! All of it follows from the plan, the node's place in it and the clock, and is computed while an answer is written:
//! ten thousand nodes cost no memory for it. Times are relative to the fleet's start or to the node's boot, because a
//! recording with fixed ones would be "a join that has been running for a year".

use std::fmt::Write as _;

use jiff::Timestamp;

use super::cert::{self, Subject};
use super::cluster::{Api, Cluster};
use super::plan::{Node, Plan, mix};

/// A placeholder of the state files. The text between the braces is in each variant's first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Var {
    /// `hostname`: as the node has it, capitals included.
    Hostname,
    /// `node`: the name of its Node object, in lower case.
    NodeName,
    /// `ip`
    Ip,
    /// `cp`: the control plane's address.
    ControlPlane,
    /// `nfs`: the storage node's address.
    Nfs,
    /// `mac`: of the network card.
    Mac,
    /// `vtep`: the MAC of flannel.1.
    Vtep,
    /// `podnet`: the first three numbers of its pod CIDR (`10.244.7`).
    PodNet,
    /// `cluster-cidr`: the whole pod network.
    ClusterCidr,
    /// `hex32:N`: 32 hex digits of its own, the Nth such number.
    Hex32(u8),
    /// `uuid:N`: the same as a UUID.
    Uuid(u8),
    /// `pid:N`: a process number, ascending with N.
    Pid(u16),
    /// `uptime`: seconds with two decimals.
    Uptime,
    /// `load`: the three averages.
    Load,
    /// `used`, `avail`: of the root file system, in KiB.
    Used,
    Available,
    /// `inodes-free`
    InodesFree,
    /// `epoch:ORIGIN±SECONDS`, `iso:…`, `journal:…`, `klog:…`
    Time(TimeStyle, Origin, i32),
    /// `cert:SUBJECT`: PEM.
    Cert(Subject),
    /// `cert64:SUBJECT`: that PEM in base64, as in a kubeconfig.
    Cert64(Subject),
    /// `routes`, `neighbours`, `fdb`: one line for each other node.
    Peers(PeerTable),
    /// `api:NAME`: what the API server says.
    Api(Api),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeStyle {
    /// Seconds since 1970.
    Epoch,
    /// `2025-09-10T13:41:28Z`
    Iso,
    /// `Sep 10 13:41:28`
    Journal,
    /// `0910 13:41:28`
    Klog,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Now,
    /// The fleet's start: what has happened does not move on while the fleet is up.
    Start,
    Boot,
}

/// What flannel writes for each peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PeerTable {
    Routes,
    Neighbours,
    Fdb,
}

/// Peers beyond this number are left out, so that an answer's size does not grow with the fleet.
const MAX_PEERS: usize = 64;

impl Var {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (name, arg) = text.split_once(':').unwrap_or((text, ""));
        Some(match name {
            "hostname" => Self::Hostname,
            "node" => Self::NodeName,
            "ip" => Self::Ip,
            "cp" => Self::ControlPlane,
            "nfs" => Self::Nfs,
            "mac" => Self::Mac,
            "vtep" => Self::Vtep,
            "podnet" => Self::PodNet,
            "cluster-cidr" => Self::ClusterCidr,
            "hex32" => Self::Hex32(arg.parse().ok()?),
            "uuid" => Self::Uuid(arg.parse().ok()?),
            "pid" => Self::Pid(arg.parse().ok()?),
            "uptime" => Self::Uptime,
            "load" => Self::Load,
            "used" => Self::Used,
            "avail" => Self::Available,
            "inodes-free" => Self::InodesFree,
            "epoch" => Self::time(TimeStyle::Epoch, arg)?,
            "iso" => Self::time(TimeStyle::Iso, arg)?,
            "journal" => Self::time(TimeStyle::Journal, arg)?,
            "klog" => Self::time(TimeStyle::Klog, arg)?,
            "cert" => Self::Cert(Subject::parse(arg)?),
            "cert64" => Self::Cert64(Subject::parse(arg)?),
            "routes" => Self::Peers(PeerTable::Routes),
            "neighbours" => Self::Peers(PeerTable::Neighbours),
            "fdb" => Self::Peers(PeerTable::Fdb),
            "api" => Self::Api(Api::parse(arg)?),
            _ => return None,
        })
    }

    fn time(style: TimeStyle, arg: &str) -> Option<Self> {
        let origins = [("now", Origin::Now), ("start", Origin::Start), ("boot", Origin::Boot)];
        let (origin, shift) = origins.iter().find_map(|(name, origin)| Some((*origin, arg.strip_prefix(name)?)))?;
        let shift = if shift.is_empty() { 0 } else { shift.parse().ok()? };
        Some(Self::Time(style, origin, shift))
    }
}

/// One node at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) plan: &'a Plan,
    pub(super) cluster: &'a Cluster,
    pub(super) index: usize,
    /// The clock, in milliseconds since 1970.
    pub(super) now_ms: i64,
}

impl<'a> Values<'a> {
    pub(super) fn node(&self) -> &'a Node {
        &self.plan.nodes[self.index]
    }

    /// A number of this node's own; each stream gives another.
    fn own(&self, stream: u64) -> u64 {
        own(self.plan.seed, self.index, stream)
    }

    fn boot(&self) -> i64 {
        // Up for 2 to 60 days.
        let up = 2 * 86_400 + self.own(1) % (58 * 86_400);
        self.cluster.started - up.cast_signed()
    }

    /// How full the root file system is, in percent.
    fn percent(&self) -> u64 {
        11 + self.own(2) % 28
    }

    /// Writes what `var` stands for.
    pub(super) fn write(&self, out: &mut String, var: Var) {
        // Writing to a String cannot fail.
        let _ = match var {
            Var::Hostname => out.write_str(&self.node().name),
            Var::NodeName => write!(out, "{}", self.node().name.to_lowercase()),
            Var::Ip => write!(out, "{}", self.node().address),
            Var::ControlPlane => write!(out, "{}", self.cluster.control_plane),
            Var::Nfs => write!(out, "{}", self.cluster.storage),
            Var::Mac => {
                let [.., a, b, c] = self.own(3).to_be_bytes();
                write!(out, "52:54:00:{a:02x}:{b:02x}:{c:02x}")
            }
            Var::Vtep => out.write_str(&vtep(self.plan.seed, self.index)),
            Var::PodNet => out.write_str(&pod_net(self.plan, self.index)),
            Var::ClusterCidr => out.write_str(cluster_cidr(self.plan)),
            Var::Hex32(n) => write!(out, "{:032x}", self.wide(n)),
            Var::Uuid(n) => out.write_str(&uuid(self.wide(n))),
            Var::Pid(n) => write!(out, "{}", 480 + self.own(4) % 200 + 37 * u64::from(n)),
            Var::Uptime => write!(out, "{}.{:02}", self.now_ms / 1000 - self.boot(), self.own(5) % 100),
            Var::Load => write!(out, "0.{:02} 0.{:02} 0.{:02}", self.own(6) % 90, self.own(7) % 80, self.own(8) % 70),
            Var::Used => write!(out, "{}", ROOT_KIB * self.percent() / 100),
            // ext4 keeps 5 % back for root.
            Var::Available => write!(out, "{}", ROOT_KIB * (95 - self.percent()) / 100),
            Var::InodesFree => write!(out, "{}", 3_899_392 - 90_000 - self.own(9) % 300_000),
            Var::Time(style, origin, shift) => {
                let from = match origin {
                    Origin::Now => self.now_ms / 1000,
                    Origin::Start => self.cluster.started,
                    Origin::Boot => self.boot(),
                };
                write_time(out, style, from + i64::from(shift))
            }
            Var::Cert(subject) => out.write_str(cert::pem(subject, self).trim_end()),
            Var::Cert64(subject) => out.write_str(&cert::base64_pem(subject, self)),
            Var::Peers(table) => self.peers(out, table),
            Var::Api(api) => out.write_str(&self.cluster.text(api, self).text),
        };
    }

    fn wide(&self, n: u8) -> u128 {
        let stream = 100 + 2 * u64::from(n);
        u128::from(self.own(stream)) << 64 | u128::from(self.own(stream + 1))
    }

    /// The nodes that flannel on this one knows.
    fn others(&self) -> impl Iterator<Item = (usize, &'a Node)> {
        let nodes = self.plan.nodes.iter().enumerate();
        nodes.filter(move |(index, node)| *index != self.index && node.state.has_joined())
    }

    /// Whether the text of a placeholder leaves something out.
    pub(super) fn cuts(&self, var: Var) -> bool {
        match var {
            Var::Peers(_) => self.others().nth(MAX_PEERS).is_some(),
            Var::Api(api) => self.cluster.text(api, self).cut,
            _ => false,
        }
    }

    fn peers(&self, out: &mut String, table: PeerTable) -> std::fmt::Result {
        for (number, (index, node)) in self.others().take(MAX_PEERS).enumerate() {
            if number > 0 {
                out.push('\n');
            }
            let pods = pod_net(self.plan, index);
            let vtep = vtep(self.plan.seed, index);
            match table {
                PeerTable::Routes => write!(out, "{pods}.0/24 via {pods}.0 dev flannel.1 onlink ")?,
                PeerTable::Neighbours => write!(out, "{pods}.0 lladdr {vtep} PERMANENT")?,
                PeerTable::Fdb => write!(out, "{vtep} dst {} self permanent", node.address)?,
            }
        }
        Ok(())
    }
}

/// The root file system's size in KiB: 58 GiB.
const ROOT_KIB: u64 = 61_255_492;

fn own(seed: u64, index: usize, stream: u64) -> u64 {
    mix(mix(seed, index as u64), stream)
}

/// The hardware address of a node's flannel.1, as its Node object also says.
pub(super) fn vtep(seed: u64, index: usize) -> String {
    let [first, rest @ .., _, _] = own(seed, index, 10).to_be_bytes();
    // Locally administered, not multicast.
    let first = format!("{:02x}", first & 0xfc | 0x02);
    rest.iter().fold(first, |mac, byte| format!("{mac}:{byte:02x}"))
}

/// The first three numbers of a node's pod CIDR.
pub(super) fn pod_net(plan: &Plan, index: usize) -> String {
    if plan.nodes.len() <= 256 {
        format!("10.244.{index}")
    } else {
        format!("10.{}.{}", 128 + index / 256, index % 256)
    }
}

/// flannel's own default where it is large enough.
pub(super) fn cluster_cidr(plan: &Plan) -> &'static str {
    if plan.nodes.len() <= 256 { "10.244.0.0/16" } else { "10.128.0.0/9" }
}

/// A number as a UUID.
pub(super) fn uuid(number: u128) -> String {
    let hex = format!("{number:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn write_time(out: &mut String, style: TimeStyle, epoch: i64) -> std::fmt::Result {
    let format = match style {
        TimeStyle::Epoch => return write!(out, "{epoch}"),
        TimeStyle::Iso => "%Y-%m-%dT%H:%M:%SZ",
        TimeStyle::Journal => "%b %d %H:%M:%S",
        TimeStyle::Klog => "%m%d %H:%M:%S",
    };
    // A clock outside jiff's years 1..9999 is no clock; the demo then lives in 1970.
    let time = Timestamp::from_second(epoch).unwrap_or(Timestamp::UNIX_EPOCH);
    write!(out, "{}", time.strftime(format))
}

#[cfg(test)]
mod tests {
    use super::super::plan::plan;
    use super::*;

    fn fill(index: usize, text: &str) -> String {
        let plan = plan(12, 7).unwrap();
        let cluster = Cluster::new(&plan, 1_757_511_688);
        let mut out = String::new();
        Values { plan: &plan, cluster: &cluster, index, now_ms: 1_757_511_688_500 }
            .write(&mut out, Var::parse(text).unwrap_or_else(|| panic!("{text} is no placeholder")));
        out
    }

    #[test]
    fn every_placeholder_says_what_it_promises() {
        for (text, wanted) in [
            ("hostname", "storagenodeT3500"),
            ("node", "storagenodet3500"),
            ("ip", "10.20.1.2"),
            ("cp", "10.20.1.1"),
            ("nfs", "10.20.1.2"),
            ("podnet", "10.244.1"),
            ("cluster-cidr", "10.244.0.0/16"),
            ("epoch:start-120", "1757511568"),
            ("iso:now", "2025-09-10T13:41:28Z"),
            ("journal:start-1", "Sep 10 13:41:27"),
            ("klog:now", "0910 13:41:28"),
        ] {
            assert_eq!(fill(1, text), wanted, "{text}");
        }
        assert_eq!(fill(1, "hex32:1").len(), 32);
        assert_eq!(fill(1, "uuid:1").len(), 36);
        assert_eq!(fill(0, "routes").lines().count(), 10, "all but itself and the one that has not joined");
    }

    #[test]
    fn nodes_differ_and_one_node_stays_the_same() {
        for text in ["ip", "mac", "vtep", "podnet", "hex32:1", "uuid:2"] {
            assert_ne!(fill(2, text), fill(3, text), "{text}");
            assert_eq!(fill(2, text), fill(2, text), "{text}");
        }
    }

    #[test]
    fn what_is_no_placeholder_is_refused() {
        for text in ["", "nonsense", "epoch:later", "epoch:now-x", "hex32:", "cert:nobody", "api:secrets"] {
            assert_eq!(Var::parse(text), None, "{text}");
        }
    }
}
