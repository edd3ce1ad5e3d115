//! What one machine alone may have, and several do.
//!
//! Two names of the run may be one machine that the inventory lists twice; it shares nothing with itself. Containers read
//! the DMI of the machine below them, so that their product UUIDs say nothing. Of the interfaces only the one with the
//! default route counts: bridges and virtual ones have addresses that were made up, the same on many machines.

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::Serialize;

use super::cidr::Cidr;
use super::matching::{Matching, registered_name};
use crate::facts::api::ApiNode;
use crate::facts::{Fact, NodeFacts};

/// So many of the others are named.
const MOST_NAMES: usize = 5;

/// What other nodes have as well; absent where nobody else has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Duplicates {
    /// Other names in the run of this very machine: same machine-id, boot, hostname and network card.
    pub listed_as: Fact<Shared>,
    pub machine_id: Fact<Shared>,
    /// Absent also in a container, whose DMI is its host's, and where the vendor left a placeholder.
    pub product_uuid: Fact<Shared>,
    /// The MAC of the interface with the default route, among nodes of one IP network.
    pub mac: Fact<Shared>,
    /// The name that the kubelet registers.
    pub node_name: Fact<Shared>,
    /// The Node's podCIDR, or a part of it.
    pub pod_cidr: Fact<Shared>,
    /// The Node's internal address.
    pub internal_ip: Fact<Shared>,
    /// The address that flannel of other nodes sends to.
    pub flannel_public_ip: Fact<Shared>,
}

/// A value and who else has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Shared {
    pub value: String,
    /// How many others have it.
    pub count: u64,
    /// The first of them.
    pub nodes: Vec<String>,
}

/// Who has which value, each machine or Node object counted once.
#[derive(Default)]
struct Holders<'a> {
    by_value: HashMap<String, BTreeMap<usize, &'a str>>,
}

impl<'a> Holders<'a> {
    fn add(&mut self, value: String, holder: usize, name: &'a str) {
        self.by_value.entry(value).or_default().entry(holder).or_insert(name);
    }

    fn others(&self, value: &str, holder: usize) -> Fact<Shared> {
        let all = self.by_value.get(value);
        let others = all.into_iter().flatten().filter(|(other, _)| **other != holder);
        let nodes: Vec<String> = others.take(MOST_NAMES).map(|(_, name)| (*name).to_owned()).collect();
        if nodes.is_empty() {
            return Fact::Absent;
        }
        let count = all.map_or(0, |all| all.len() - usize::from(all.contains_key(&holder))) as u64;
        Fact::Known(Shared { value: value.to_owned(), count, nodes })
    }
}

/// What one node of the run has.
struct Own {
    /// Names of one machine share it.
    machine: usize,
    place: usize,
    machine_id: Fact<String>,
    product_uuid: Fact<String>,
    mac: Fact<String>,
    node_name: Fact<String>,
}

/// Every value of a run with its holders.
pub(super) struct Index<'a> {
    own: BTreeMap<&'a str, Own>,
    names: Vec<Holders<'a>>,
    machine_ids: Holders<'a>,
    product_uuids: Holders<'a>,
    macs: Holders<'a>,
    node_names: Holders<'a>,
    objects: Objects<'a>,
}

impl<'a> Index<'a> {
    pub(super) fn new(nodes: &'a BTreeMap<String, NodeFacts>, matching: &Matching<'a>) -> Self {
        let mut machines: HashMap<Machine<'a>, usize> = HashMap::new();
        let mut index = Self {
            own: BTreeMap::new(),
            names: Vec::new(),
            machine_ids: Holders::default(),
            product_uuids: Holders::default(),
            macs: Holders::default(),
            node_names: Holders::default(),
            objects: Objects::new(matching),
        };
        for (place, (name, facts)) in nodes.iter().enumerate() {
            let machine = Machine::of(facts).map_or(place, |machine| *machines.entry(machine).or_insert(place));
            let own = Own {
                machine,
                place,
                machine_id: machine_id(facts),
                product_uuid: product_uuid(facts),
                mac: mac(facts),
                node_name: registered_name(facts),
            };
            let parts = [
                (&own.machine_id, &mut index.machine_ids),
                (&own.product_uuid, &mut index.product_uuids),
                (&own.mac, &mut index.macs),
                (&own.node_name, &mut index.node_names),
            ];
            for (value, holders) in parts {
                if let Fact::Known(value) = value {
                    holders.add(value.clone(), machine, name);
                }
            }
            index.names.resize_with(place + 1, Holders::default);
            index.names[machine].add(String::new(), place, name);
            index.own.insert(name, own);
        }
        index
    }

    pub(super) fn of(&self, name: &str, node: &Fact<&ApiNode>) -> Duplicates {
        let Some(own) = self.own.get(name) else { return Duplicates::default() };
        let among = |value: &Fact<String>, holders: &Holders<'_>| {
            value.as_ref().and_then(|value| holders.others(value, own.machine))
        };
        let listed_as = self.names[own.machine].others("", own.place);
        Duplicates {
            listed_as: listed_as.map(|shared| Shared { value: name.to_owned(), ..shared }),
            machine_id: among(&own.machine_id, &self.machine_ids),
            product_uuid: among(&own.product_uuid, &self.product_uuids),
            mac: among(&own.mac, &self.macs),
            node_name: among(&own.node_name, &self.node_names),
            pod_cidr: node.clone().and_then(|node| self.objects.pod_cidr(node)),
            internal_ip: node.clone().and_then(|node| self.objects.internal_ip(node)),
            flannel_public_ip: node.clone().and_then(|node| self.objects.public_ip(node)),
        }
    }
}

/// What makes two names one machine. A clone boots by itself and so has a boot id of its own.
#[derive(PartialEq, Eq, Hash)]
struct Machine<'a> {
    id: &'a str,
    boot: &'a str,
    hostname: &'a str,
    mac: String,
}

impl<'a> Machine<'a> {
    fn of(facts: &'a NodeFacts) -> Option<Self> {
        Some(Self {
            id: facts.identity.machine_id.known()?,
            boot: facts.identity.boot_id.known()?,
            hostname: facts.identity.hostname.known()?,
            mac: mac(facts).known()?.clone(),
        })
    }
}

fn machine_id(facts: &NodeFacts) -> Fact<String> {
    facts.identity.machine_id.as_ref().and_then(|id| match id.trim() {
        "" | "uninitialized" => Fact::unknown("the machine-id is not set"),
        id => Fact::Known(id.to_lowercase()),
    })
}

fn product_uuid(facts: &NodeFacts) -> Fact<String> {
    if facts.identity.container.is_known_and(|kind| !kind.is_empty()) {
        return Fact::Absent;
    }
    facts.identity.product_uuid.as_ref().and_then(|uuid| {
        let uuid = uuid.trim().to_lowercase();
        if is_placeholder(&uuid) { Fact::Absent } else { Fact::Known(uuid) }
    })
}

/// What boards say whose vendor set nothing.
fn is_placeholder(uuid: &str) -> bool {
    let mut digits = uuid.chars().filter(char::is_ascii_alphanumeric);
    let first = digits.next();
    digits.all(|digit| Some(digit) == first)
        || matches!(uuid, "03000200-0400-0500-0006-000700080009" | "12345678-1234-5678-90ab-cddeefaabbcc")
}

/// The MAC with its IP network: the same one in another network does no harm.
fn mac(facts: &NodeFacts) -> Fact<String> {
    facts.network.default_interface.as_ref().and_then(|name| {
        let mac = facts.network.interfaces.as_ref().and_then(|all| Fact::from_option(all.get(name)));
        let mac = mac.and_then(|interface| interface.mac.as_ref()).and_then(|mac| {
            let mac = mac.to_lowercase();
            if mac.is_empty() || mac.starts_with("00:00:00:00:00:00") { Fact::Absent } else { Fact::Known(mac) }
        });
        let network = facts.network.addresses.as_ref().and_then(|all| {
            let own = all.iter().filter(|address| address.interface == *name);
            let own = own.filter_map(|own| Cidr::parse(&format!("{}/{}", own.address, own.prefix)));
            Fact::from_option(own.min().map(|network| format!("{:x}-{:x}", network.first, network.last)))
        });
        mac.and_then(|mac| network.map(|network| format!("{mac} in {network}")))
    })
}

/// Node objects against each other, of this run or not.
struct Objects<'a> {
    places: HashMap<&'a str, usize>,
    internal_ips: Holders<'a>,
    public_ips: Holders<'a>,
    /// Every podCIDR with its Node, in order.
    networks: Vec<(Cidr, &'a str)>,
    /// They are of different sizes, so that one may lie inside another.
    mixed: bool,
}

impl<'a> Objects<'a> {
    fn new(matching: &Matching<'a>) -> Self {
        let mut objects = Self {
            places: HashMap::new(),
            internal_ips: Holders::default(),
            public_ips: Holders::default(),
            networks: Vec::new(),
            mixed: false,
        };
        for (place, node) in matching.known().enumerate() {
            let name = node.name.as_str();
            objects.places.insert(name, place);
            for ip in &node.internal_ips {
                objects.internal_ips.add(ip.clone(), place, name);
            }
            if let Fact::Known(ip) = &node.flannel_public_ip {
                objects.public_ips.add(ip.clone(), place, name);
            }
            objects.networks.extend(node.pod_cidr.known().and_then(|cidr| Cidr::parse(cidr)).map(|cidr| (cidr, name)));
        }
        objects.networks.sort_unstable();
        objects.mixed = objects.networks.windows(2).any(|pair| pair[0].0.size() != pair[1].0.size());
        objects
    }

    fn place(&self, node: &ApiNode) -> usize {
        self.places.get(node.name.as_str()).copied().unwrap_or(usize::MAX)
    }

    fn internal_ip(&self, node: &ApiNode) -> Fact<Shared> {
        let mut shared = node.internal_ips.iter().map(|ip| self.internal_ips.others(ip, self.place(node)));
        shared.find(Fact::is_known).unwrap_or(Fact::Absent)
    }

    fn public_ip(&self, node: &ApiNode) -> Fact<Shared> {
        node.flannel_public_ip.as_ref().and_then(|ip| self.public_ips.others(ip, self.place(node)))
    }

    /// Networks either hold each other or have nothing in common, so those that share addresses with one stand around it
    /// in the order of their first addresses.
    fn pod_cidr(&self, node: &ApiNode) -> Fact<Shared> {
        node.pod_cidr.as_ref().and_then(|text| {
            let Some(own) = Cidr::parse(text) else { return Fact::unknown("the podCIDR is no network") };
            let inside = self.networks.partition_point(|(network, _)| *network < own.smallest());
            let inside = self.networks[inside..].iter().take_while(|(network, _)| own.holds(*network));
            let around = self.networks.iter().take(if self.mixed { usize::MAX } else { 0 });
            let around = around.filter(|(network, _)| network.holds(own) && *network != own);
            let others = around.chain(inside);
            let others: Vec<&str> = others.map(|(_, name)| *name).filter(|name| *name != node.name).collect();
            if others.is_empty() {
                return Fact::Absent;
            }
            let nodes = others.iter().take(MOST_NAMES).map(|name| (*name).to_owned()).collect();
            Fact::Known(Shared { value: text.clone(), count: others.len() as u64, nodes })
        })
    }
}
