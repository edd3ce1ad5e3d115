//! What a probe's answer adds to the places that are tried from the node.

use super::super::Fact;
use super::super::fstab;
use super::super::network::Network;
use super::super::nfs::{MountState, Nfs};
use super::super::read::Reader;
use super::cluster_info::cluster_of;
use crate::reach::Wanted;
use crate::reach::capture::Origin;
use crate::record::Record;

/// The node's own endpoints of the API, and the NFS servers that something waits for.
pub(crate) fn wanted(record: &Record) -> Wanted {
    let reader = Reader::new(record);
    let server = |origin: Origin, path: &str| {
        let text = reader.text_of("kubeconfig", path);
        let server = text.known().and_then(|text| cluster_of(text).server.known().cloned());
        server.map(|server| (origin, server))
    };
    let apis = [
        server(Origin::KubeletConf, "/etc/kubernetes/kubelet.conf"),
        server(Origin::BootstrapConf, "/etc/kubernetes/bootstrap-kubelet.conf"),
    ];
    Wanted { apis: apis.into_iter().flatten().collect(), nfs: nfs_servers(reader) }
}

/// Servers of NFS mounts that hang or fail, and of those of fstab that are not mounted.
fn nfs_servers(reader: Reader<'_>) -> Vec<String> {
    let facts = Nfs::parse(reader, &Network::default(), Fact::Absent);
    let troubled = facts.mounts.known().into_iter().flatten().filter(|mount| {
        let state = mount.state.known();
        mount.nfs && matches!(state, Some(MountState::Hung | MountState::Error))
    });
    let mut servers: Vec<String> = troubled.filter_map(|mount| mount.server.known().cloned()).collect();
    let missing = facts.declared_not_mounted.known().map_or(&[][..], Vec::as_slice);
    let declared = reader.text("fstab").map(|text| fstab::parse(text).collect::<Vec<_>>());
    for entry in declared.known().into_iter().flatten().filter(|entry| missing.contains(&entry.mount_point)) {
        let source = entry.source.as_str();
        let server = match source.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => source.split(':').next().unwrap_or_default(),
        };
        servers.push(server.to_owned());
    }
    let mut seen = std::collections::BTreeSet::new();
    servers.retain(|server| !server.is_empty() && seen.insert(server.clone()));
    servers
}
