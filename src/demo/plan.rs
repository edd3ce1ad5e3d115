//! Which nodes a fleet has: pure, and the same for the same numbers.
//!
//! A node is a *state* (what it says about itself) and a *behaviour* (how it says it). The two are independent, so that
//! a test can have a control plane whose connection drops. This module knows neither sockets nor SSH.

use std::net::Ipv4Addr;

use crate::target::Role;

/// The largest fleet: what one machine can reasonably pretend to be.
pub const MAX_NODES: usize = 10_000;

/// What a node's records say: one file under `states/` each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Debian 12, containerd 1.6.20, kubelet 1.29.15, flannel: nothing wrong.
    Worker,
    /// The same with an NFS mount that answers.
    WorkerNfs,
    /// RHEL 10 with containerd 1.7.27.
    WorkerEl10,
    /// The control plane, which lists every node of the fleet that has joined.
    ControlPlane,
    /// Ready to be joined: everything is installed, and the kubelet waits for kubeadm to start it.
    Prepared,
    /// A join is waiting for a kubelet that runs standalone, because its kubeadm drop-in is gone.
    StorageNode,
    /// Joined, and no CNI configuration was ever written.
    NoCni,
    /// Joined, and containerd is stopped.
    ContainerdStopped,
    /// Joined, and the root file system is full.
    DiskFull,
}

impl State {
    /// Every state, in the order of the documentation.
    pub const ALL: [Self; 9] = [
        Self::Worker,
        Self::WorkerNfs,
        Self::WorkerEl10,
        Self::ControlPlane,
        Self::Prepared,
        Self::StorageNode,
        Self::NoCni,
        Self::ContainerdStopped,
        Self::DiskFull,
    ];

    /// When its join began, in seconds before the fleet's start.
    pub(super) const fn join_began(self) -> i64 {
        match self {
            Self::StorageNode => 109,
            Self::NoCni => 1140,
            _ => 80 * 86_400,
        }
    }

    /// Whether the API server has a Node object for it.
    pub(super) const fn has_joined(self) -> bool {
        !matches!(self, Self::Prepared | Self::StorageNode)
    }
}

/// How a node deals with a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Behaviour {
    /// Like a node should.
    Answer,
    /// Its shell prints a banner and control characters before and after everything.
    NoisyShell,
    /// It also forwards connections (`direct-tcpip`) to the other nodes of the fleet, and only to them.
    Bastion,
    /// Nothing listens on its port.
    Unreachable,
    /// TCP connects and not one byte comes.
    HangAfterTcp,
    /// The identification string comes, and then nothing.
    HangInKex,
    /// Key exchange works; the answer to authentication never comes.
    HangInAuth,
    /// The probe starts, sends a few sections and stops in the middle of one, for ever.
    HangInProbe,
    /// The connection ends in the middle of a section.
    DropMidSection,
    /// What listens is not an SSH server.
    GarbageBanner,
    /// It speaks SSH 1.
    OldProtocol,
    /// Lines before the identification string, without end.
    EndlessBanner,
    /// It accepts no key.
    RefuseKey,
    /// It authenticates and then opens no session channel.
    RefuseSessions,
    /// The account has no shell.
    NoShell,
    /// It presents another host key than the one in the fleet's `known_hosts`.
    ChangedKey,
    /// Every command prints without end.
    HugeOutput,
    /// The probe's text holds section markers with a made-up nonce.
    ForgedMarker,
    /// The probe's text holds terminal escape sequences.
    EscapeSequences,
    /// The probe's text holds bytes that are not UTF-8.
    InvalidUtf8,
}

/// One node of a fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The inventory's name and the node's hostname.
    pub name: String,
    pub role: Role,
    pub state: State,
    pub behaviour: Behaviour,
    /// The address that the node believes to have; it is dialled at a loopback address instead.
    pub address: Ipv4Addr,
}

/// A fleet on paper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Varies host keys, identities and percentages.
    pub seed: u64,
    pub nodes: Vec<Node>,
}

/// The number of nodes asked for is not between 1 and [`MAX_NODES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a demo fleet has 1 to {MAX_NODES} nodes, not {0}")]
pub struct BadSize(pub usize);

/// The nodes that are not plain healthy workers, in the order in which a growing fleet gets them: position, name
/// (`None`: numbered), what it is.
const CAST: [(usize, Option<&'static str>, State, Behaviour); 10] = [
    (0, Some("masternode"), State::ControlPlane, Behaviour::Answer),
    (1, Some("storagenodeT3500"), State::StorageNode, Behaviour::Answer),
    (3, Some("homelab"), State::Worker, Behaviour::Unreachable),
    (5, None, State::Worker, Behaviour::HangInProbe),
    (7, None, State::Worker, Behaviour::RefuseKey),
    (9, None, State::NoCni, Behaviour::Answer),
    (12, None, State::ContainerdStopped, Behaviour::Answer),
    (14, None, State::DiskFull, Behaviour::Answer),
    (16, None, State::Worker, Behaviour::NoisyShell),
    (18, None, State::NoCni, Behaviour::Answer),
];

/// In a large fleet, how many of a thousand further nodes have which fault.
const FAULTS_PER_MILLE: [(u64, State, Behaviour); 6] = [
    (4, State::Worker, Behaviour::Unreachable),
    (2, State::Worker, Behaviour::RefuseKey),
    (1, State::Worker, Behaviour::HangInProbe),
    (5, State::NoCni, Behaviour::Answer),
    (4, State::ContainerdStopped, Behaviour::Answer),
    (4, State::DiskFull, Behaviour::Answer),
];

/// Lays out the demo's fleet: a control plane, mostly healthy workers, and one of everything that goes wrong.
pub fn plan(nodes: usize, seed: u64) -> Result<Plan, BadSize> {
    if nodes == 0 || nodes > MAX_NODES {
        return Err(BadSize(nodes));
    }
    let width = (nodes.ilog10() as usize + 1).max(3);
    let mut number = 0;
    let nodes = (0..nodes)
        .map(|index| {
            let cast = CAST.iter().find(|(position, ..)| *position == index);
            let (name, state, behaviour) =
                cast.map_or_else(|| extra(seed, index, nodes), |&(_, name, state, behaviour)| (name, state, behaviour));
            let name = name.map_or_else(
                || {
                    number += 1;
                    format!("node{number:0width$}")
                },
                str::to_owned,
            );
            node(index, name, state, behaviour)
        })
        .collect();
    Ok(Plan { seed, nodes })
}

impl Plan {
    /// A fleet of exactly these nodes, named `node001` and so on (a control plane: `masternode`).
    pub fn of(seed: u64, nodes: impl IntoIterator<Item = (State, Behaviour)>) -> Self {
        let nodes = nodes
            .into_iter()
            .enumerate()
            .map(|(index, (state, behaviour))| {
                let name = match (index, state) {
                    (0, State::ControlPlane) => "masternode".to_owned(),
                    _ => format!("node{:03}", index + 1),
                };
                node(index, name, state, behaviour)
            })
            .collect();
        Self { seed, nodes }
    }
}

fn node(index: usize, name: String, state: State, behaviour: Behaviour) -> Node {
    let role = if state == State::ControlPlane { Role::ControlPlane } else { Role::Worker };
    // 10.20.1.1 upwards, 250 to a /24, so that no address looks like a network's or a broadcast.
    let [high, low] = [index / 250 + 1, index % 250 + 1].map(|part| u8::try_from(part).unwrap_or(u8::MAX));
    Node { name, role, state, behaviour, address: Ipv4Addr::new(10, 20, high, low) }
}

/// A node beyond the cast: in a small fleet healthy; in a large one sometimes at fault.
fn extra(seed: u64, index: usize, nodes: usize) -> (Option<&'static str>, State, Behaviour) {
    let dice = mix(seed, index as u64);
    if nodes > 100 && index > 20 {
        let mut roll = dice % 1000;
        for (share, state, behaviour) in FAULTS_PER_MILLE {
            if roll < share {
                return (None, state, behaviour);
            }
            roll -= share;
        }
    }
    // Like machines are bought together: runs of ten of a kind, and in the smallest fleet still one of each.
    let state = match (nodes > 20, index) {
        (false, 8) => State::WorkerNfs,
        (false, 10 | 11) => State::WorkerEl10,
        (false, _) => State::Worker,
        (true, _) => match mix(seed, (index / 10) as u64) % 4 {
            0 => State::WorkerNfs,
            1 => State::WorkerEl10,
            _ => State::Worker,
        },
    };
    (None, state, Behaviour::Answer)
}

/// `SplitMix64` of a seed and a stream: cheap, well spread, and the same everywhere.
pub(super) const fn mix(seed: u64, stream: u64) -> u64 {
    let mut z = seed.wrapping_add(stream.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn count(plan: &Plan, wanted: impl Fn(&Node) -> bool) -> usize {
        plan.nodes.iter().filter(|node| wanted(node)).count()
    }

    #[test]
    fn twelve_nodes_show_one_of_everything() {
        let plan = plan(12, 7).unwrap();
        let healthy = [State::Worker, State::WorkerNfs, State::WorkerEl10];
        let lines: Vec<_> =
            plan.nodes.iter().map(|node| format!("{} {:?} {:?}", node.name, node.state, node.behaviour)).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        masternode ControlPlane Answer
        storagenodeT3500 StorageNode Answer
        node001 Worker Answer
        homelab Worker Unreachable
        node002 Worker Answer
        node003 Worker HangInProbe
        node004 Worker Answer
        node005 Worker RefuseKey
        node006 WorkerNfs Answer
        node007 NoCni Answer
        node008 WorkerEl10 Answer
        node009 WorkerEl10 Answer
        ");
        assert_eq!(count(&plan, |n| healthy.contains(&n.state) && n.behaviour == Behaviour::Answer), 6);
    }

    #[test]
    fn the_size_is_checked() {
        assert_eq!(plan(0, 1), Err(BadSize(0)));
        assert_eq!(plan(MAX_NODES + 1, 1), Err(BadSize(MAX_NODES + 1)));
        for nodes in [1, 2, 11, 101, MAX_NODES] {
            assert_eq!(plan(nodes, 1).unwrap().nodes.len(), nodes);
        }
    }

    #[test]
    fn names_and_addresses_are_unique_in_the_largest_fleet() {
        let plan = plan(MAX_NODES, 3).unwrap();
        let names: BTreeSet<_> = plan.nodes.iter().map(|node| &node.name).collect();
        let addresses: BTreeSet<_> = plan.nodes.iter().map(|node| node.address).collect();
        assert_eq!((names.len(), addresses.len()), (MAX_NODES, MAX_NODES));
    }

    #[test]
    fn a_large_fleet_is_mostly_healthy_and_the_same_for_the_same_seed() {
        let first = plan(1000, 42).unwrap();
        assert_eq!(first, plan(1000, 42).unwrap());
        assert_ne!(first, plan(1000, 43).unwrap());
        let faulty = count(&first, |node| node.behaviour != Behaviour::Answer);
        assert!((4..30).contains(&faulty), "{faulty} of 1000 nodes misbehave");
        assert!(count(&first, |node| node.behaviour == Behaviour::HangInProbe) < 6);
    }
}
