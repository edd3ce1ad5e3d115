//! Which nodes share what one machine alone may have: every shared thing once, with all that have it.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::siblings::Peer;
use crate::facts::Fact;
use crate::facts::cluster::{Member, Shared};
use crate::{names, text};

/// No id, address or name is longer; what a node sends may be.
const WIDEST: usize = 80;

/// What no two machines may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unique {
    /// The machine itself: the inventory lists it under several names.
    Machine,
    MachineId,
    ProductUuid,
    Mac,
    NodeName,
    PodCidr,
    InternalIp,
    FlannelPublicIp,
}

impl Unique {
    const ALL: [Self; 8] = [
        Self::Machine,
        Self::MachineId,
        Self::ProductUuid,
        Self::Mac,
        Self::NodeName,
        Self::PodCidr,
        Self::InternalIp,
        Self::FlannelPublicIp,
    ];

    pub const fn label(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::MachineId => "machine-id",
            Self::ProductUuid => "product UUID",
            Self::Mac => "MAC",
            Self::NodeName => "node name",
            Self::PodCidr => "podCIDR",
            Self::InternalIp => "internal address",
            Self::FlannelPublicIp => "flannel's public address",
        }
    }

    const fn of(self, member: &Member) -> &Fact<Shared> {
        let all = &member.duplicates;
        match self {
            Self::Machine => &all.listed_as,
            Self::MachineId => &all.machine_id,
            Self::ProductUuid => &all.product_uuid,
            Self::Mac => &all.mac,
            Self::NodeName => &all.node_name,
            Self::PodCidr => &all.pod_cidr,
            Self::InternalIp => &all.internal_ip,
            Self::FlannelPublicIp => &all.flannel_public_ip,
        }
    }

    /// What the API says of Nodes is said by their names there.
    fn holder<'m>(self, run_name: &'m str, member: &'m Member) -> &'m str {
        match self {
            Self::PodCidr | Self::InternalIp | Self::FlannelPublicIp => {
                member.node.known().map_or(run_name, |node| node.name.as_str())
            }
            Self::Machine | Self::MachineId | Self::ProductUuid | Self::Mac | Self::NodeName => run_name,
        }
    }
}

/// One thing that several have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Duplicate {
    pub what: Unique,
    /// Of podCIDRs that overlap, one of them.
    pub value: String,
    /// In natural order: the run's names, or those of Nodes for what only the API knows.
    pub nodes: Vec<String>,
}

/// Everything that is shared, by what it is and then by its first node.
pub fn duplicates(nodes: &[Peer<'_>]) -> Vec<Duplicate> {
    let mut found = Vec::new();
    for what in Unique::ALL {
        // Each node names the first of the others, so that all of them meet at the very first.
        let mut groups: BTreeMap<&str, (&str, BTreeSet<&str>)> = BTreeMap::new();
        for node in nodes {
            let Some((member, shared)) = node.member.and_then(|member| Some((member, what.of(member).known()?))) else {
                continue;
            };
            let own = what.holder(node.name, member);
            let all = shared.nodes.iter().map(String::as_str).chain([own]);
            let first = all.clone().min().unwrap_or(own);
            groups.entry(first).or_insert_with(|| (&shared.value, BTreeSet::new())).1.extend(all);
        }
        found.extend(groups.into_values().map(|(value, holders)| {
            // A MAC counts within its network, which is named behind it.
            let value = value.split_once(" in ").filter(|_| what == Unique::Mac).map_or(value, |(mac, _)| mac);
            let mut nodes: Vec<String> = holders.into_iter().map(str::to_owned).collect();
            nodes.sort_by(|a, b| names::natural_cmp(a, b));
            Duplicate { what, value: text::truncate(value, WIDEST, "...").into_owned(), nodes }
        }));
    }
    found
}
