//! Facts: what a node's record says, typed and three-valued. One file per area; parsing never fails and never panics.
//!
//! A fact is what a check may ask for by name, so everything that takes thought is thought through here and kept as a
//! plain value: which CNI file decides, which mount holds a path, what the effective configuration is, whether the
//! kubelet is standalone. Nothing here judges: the same fact is a fault in one phase and normal in another.
//!
//! - `read`, `listing`: sections, keys and listings of `docs/probe.md` as three-valued texts.
//! - one module per area of [`NodeFacts`], with helpers for formats: `fstab`, `mountinfo`, `kernel_log`,
//!   `containerd_config`, `crictl`, `runtime`, `host_firewall`, `libcni`, `plugins`, `leases`, `vtep`, `elf`, `unit`,
//!   `wiring`, `logs`; `kubelet_config` and `kubelet_start` are the kubelet's own.
//! - `memo`: what many nodes say alike is understood once; [`alike`]: what is understood alike is in memory once.
//! - [`cluster`]: what the records of a whole run say together.

pub mod alike;
pub mod api;
mod blocks;
pub mod certs;
pub mod cluster;
pub mod cni;
pub mod components;
pub mod configuration;
pub mod containerd;
pub mod containerd_config;
pub mod control_plane;
pub mod crictl;
pub mod disk;
mod elf;
mod fact;
pub mod firewall;
pub mod flannel;
pub mod fstab;
mod host_firewall;
pub mod hosts;
pub mod identity;
mod ipv4;
pub mod join;
pub mod kernel;
pub mod kernel_log;
pub mod kubeadm;
pub mod kubelet;
pub mod kubelet_config;
pub mod kubelet_start;
mod leases;
pub(crate) mod libcni;
pub mod listing;
pub mod logs;
mod memo;
mod mountinfo;
pub mod mounts;
pub mod network;
pub mod nfs;
pub mod overlay;
pub mod packages;
pub mod permissions;
mod pieces;
mod plugins;
pub mod reach;
mod read;
pub mod reading;
pub mod runtime;
pub mod system;
pub mod time;
pub mod unit;
mod vtep;
pub mod wiring;
mod yaml;

pub use fact::Fact;
pub(crate) use mountinfo::unescape as unescape_mount;
pub(crate) use read::clip;

use schemars::JsonSchema;
use serde::Serialize;

use crate::record::Record;
use alike::Alike;
use read::Reader;

/// Everything that one node's record says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct NodeFacts {
    pub reading: reading::Reading,
    pub identity: Alike<identity::Identity>,
    pub system: Alike<system::System>,
    pub mounts: Alike<mounts::Mounts>,
    pub disk: Alike<disk::Disk>,
    pub permissions: Alike<permissions::Permissions>,
    pub containerd: Alike<containerd::Containerd>,
    pub cni: Alike<cni::Cni>,
    pub flannel: Alike<flannel::Flannel>,
    pub nfs: Alike<nfs::Nfs>,
    pub kubelet: Alike<kubelet::Kubelet>,
    pub certs: Alike<certs::Certs>,
    pub kubeadm: Alike<kubeadm::Kubeadm>,
    pub kernel: Alike<kernel::Kernel>,
    pub time: Alike<time::Time>,
    pub network: Alike<network::Network>,
    pub firewall: Alike<firewall::Firewall>,
    pub packages: Alike<packages::Packages>,
    pub api: Alike<api::Api>,
    pub control_plane: Alike<control_plane::ControlPlane>,
    pub hosts: Alike<hosts::Hosts>,
    /// Absent unless a log of `kubeadm join` was given beside the record: see [`join`].
    pub join: join::Join,
    pub reach: Alike<reach::Reach>,
    /// Hashes to compare nodes by.
    pub configuration: Alike<configuration::Configuration>,
    pub components: Alike<components::Components>,
    /// Measured by the version to upgrade to; `null` when none is asked about.
    pub upgrade: Option<Box<crate::upgrade::derived::Upgrade>>,
}

/// The node's own clock when it was read, in seconds since 1970.
pub(crate) fn now(record: &Record) -> Option<i64> {
    time::now(record, Reader::new(record))
}

/// What a record says. A record without a probe gives facts that are all unknown.
pub fn parse(record: &Record) -> NodeFacts {
    let reader = Reader::new(record);
    let now = time::now(record, reader);
    let identity = identity::Identity::parse(reader);
    let permissions = permissions::Permissions::parse(reader);
    let packages = packages::Packages::parse(reader);
    let network = network::Network::parse(reader);
    let containerd = containerd::Containerd::parse(reader, &permissions, now);
    let api = api::Api::parse(reader, now);
    let kubeadm = kubeadm::Kubeadm::parse(reader, &permissions, &packages, &identity, now);
    let system = system::System::parse(reader, now);
    let host = cni::Host { arch: &identity.arch, permissions: &permissions, uptime: &system.uptime, now };
    let cni = cni::Cni::parse(reader, &containerd, &host);
    let kubelet = kubelet::Kubelet::parse(reader, &permissions, &packages, &containerd, now);
    let mut facts = NodeFacts {
        reading: reading::Reading::parse(record, reader, &identity, &network),
        system: system.into(),
        mounts: mounts::Mounts::parse(reader, containerd.root()).into(),
        disk: disk::Disk::parse(reader, containerd.root()).into(),
        flannel: flannel::Flannel::parse(reader, &network, &cni).into(),
        nfs: nfs::Nfs::parse(reader, &network, identity.has_tool("mount.nfs")).into(),
        components: components::Components::parse(reader, &kubelet, now).into(),
        certs: certs::Certs::parse(reader, now).into(),
        kernel: kernel::Kernel::parse(reader).into(),
        time: time::Time::parse(record, reader).into(),
        firewall: firewall::Firewall::parse(reader, now).into(),
        control_plane: control_plane::ControlPlane::parse(reader, &api, &kubeadm, now).into(),
        hosts: hosts::Hosts::parse(reader).into(),
        join: join::Join::default(),
        api: api.into(),
        kubeadm: kubeadm.into(),
        reach: reach::Reach::parse(record, now).into(),
        upgrade: None,
        kubelet: kubelet.into(),
        identity: identity.into(),
        permissions: permissions.into(),
        containerd: containerd.into(),
        cni: cni.into(),
        network: network.into(),
        packages: packages.into(),
        configuration: Alike::default(),
    };
    facts.configuration = configuration::Configuration::parse(reader, &facts).into();
    facts
}
