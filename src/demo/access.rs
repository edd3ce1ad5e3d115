//! How to reach a fleet: host keys, the client's key, `known_hosts` and the inventory, as text.
//!
//! Pure but for the client key's randomness; `fleet` writes the files.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::ssh_key::{LineEnding, PrivateKey};
use sha2::{Digest as _, Sha256};

use super::plan::{Behaviour, Node, Plan};
use crate::target::Role;

/// The host key of a node. It follows from the seed, so that a fleet of the same seed has the same keys: a node of the
/// demo has nothing to protect, and ten thousand keys need not be kept.
pub(super) fn host_key(seed: u64, index: usize) -> PrivateKey {
    key_of(&format!("seaworthy demo host key {seed} {index}"))
}

/// The key that `known_hosts` names: the node's, or for a node with a changed key the one that it had before.
fn known_key(seed: u64, index: usize, node: &Node) -> PrivateKey {
    match node.behaviour {
        Behaviour::ChangedKey => key_of(&format!("seaworthy demo former host key {seed} {index}")),
        _ => host_key(seed, index),
    }
}

fn key_of(text: &str) -> PrivateKey {
    Ed25519Keypair::from_seed(&Sha256::digest(text).into()).into()
}

/// The client's key pair: random, because it opens whatever the fleet's machine lets it open.
pub(super) fn client_key() -> PrivateKey {
    Ed25519Keypair::from_seed(&rand::random()).into()
}

/// The private key's file.
pub(super) fn private_key_file(key: &PrivateKey) -> Result<String, russh::keys::ssh_key::Error> {
    Ok(key.to_openssh(LineEnding::LF)?.as_str().to_owned())
}

/// One line for each node.
pub(super) fn known_hosts(plan: &Plan, endpoints: &[SocketAddr]) -> Result<String, russh::keys::ssh_key::Error> {
    let mut out = String::with_capacity(plan.nodes.len() * 110);
    for (index, (node, endpoint)) in plan.nodes.iter().zip(endpoints).enumerate() {
        let key = known_key(plan.seed, index, node).public_key().to_openssh()?;
        let _ = writeln!(out, "[{}]:{} {key}", endpoint.ip(), endpoint.port());
    }
    Ok(out)
}

/// The fleet's Ansible inventory in YAML. It needs nothing of the user's own SSH configuration and changes none of it.
pub(super) fn inventory(plan: &Plan, endpoints: &[SocketAddr], key: &Path, known_hosts: &Path) -> String {
    let [key, known_hosts] = [key, known_hosts].map(|path| path.display().to_string());
    let options = [
        "-F none".to_owned(),
        format!("-o UserKnownHostsFile={known_hosts}"),
        "-o GlobalKnownHostsFile=/dev/null".to_owned(),
        "-o StrictHostKeyChecking=yes".to_owned(),
        "-o IdentitiesOnly=yes".to_owned(),
        "-o IdentityAgent=none".to_owned(),
    ]
    .join(" ");
    let mut out = format!(
        "# A demo fleet of seaworthy: {count} SSH nodes on this machine's loopback addresses.\n\
         # It works for as long as `seaworthy demo --serve` runs, with seaworthy and with every tool that reads\n\
         # Ansible's inventories:\n\
         #\n\
         #   seaworthy sweep -i THIS_FILE\n\
         #   ansible all -i THIS_FILE -m raw -a uptime\n\
         #\n\
         # The key and the known host keys are the fleet's own; nothing of ~/.ssh is read or written.\n\
         all:\n\
         \x20 vars:\n\
         \x20   ansible_user: {USER}\n\
         \x20   ansible_ssh_private_key_file: {key}\n\
         \x20   ansible_ssh_common_args: {options}\n\
         \x20 children:\n",
        count = plan.nodes.len(),
        key = quote(&key),
        options = quote(&options),
    );
    for (group, role) in [("control_plane", Role::ControlPlane), ("workers", Role::Worker)] {
        let mut members = plan.nodes.iter().zip(endpoints).filter(|(node, _)| node.role == role).peekable();
        if members.peek().is_none() {
            continue;
        }
        let _ = writeln!(out, "    {group}:\n      hosts:");
        for (node, endpoint) in members {
            let (name, host, port) = (&node.name, endpoint.ip(), endpoint.port());
            let _ = writeln!(out, "        {name}: {{ ansible_host: {host}, ansible_port: {port} }}");
        }
    }
    out
}

/// The only user that the nodes know.
pub(super) const USER: &str = "root";

/// A single-quoted YAML scalar.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::super::plan::State;
    use super::*;

    #[test]
    fn the_inventory_reads_like_one() {
        let plan = Plan::of(
            7,
            [
                (State::ControlPlane, Behaviour::Answer),
                (State::Worker, Behaviour::Answer),
                (State::Worker, Behaviour::Answer),
            ],
        );
        let endpoints: Vec<SocketAddr> = (2201..2204).map(|port| ([127, 0, 0, 1], port).into()).collect();
        let text = inventory(&plan, &endpoints, Path::new("/tmp/it's/key"), Path::new("/tmp/it's/known_hosts"));
        let yaml: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(yaml["all"]["vars"]["ansible_ssh_private_key_file"].as_str(), Some("/tmp/it's/key"));
        let hosts = text.split_once("  children:\n").unwrap().1;
        insta::assert_snapshot!(hosts, @r"
            control_plane:
              hosts:
                masternode: { ansible_host: 127.0.0.1, ansible_port: 2201 }
            workers:
              hosts:
                node002: { ansible_host: 127.0.0.1, ansible_port: 2202 }
                node003: { ansible_host: 127.0.0.1, ansible_port: 2203 }
        ");
    }

    #[test]
    fn known_hosts_has_each_nodes_key_and_the_former_one_of_a_changed_node() {
        let plan = Plan::of(7, [(State::Worker, Behaviour::Answer), (State::Worker, Behaviour::ChangedKey)]);
        let endpoints: Vec<SocketAddr> = (2201..2203).map(|port| ([127, 0, 0, 1], port).into()).collect();
        let text = known_hosts(&plan, &endpoints).unwrap();
        let served = |index| host_key(7, index).public_key().to_openssh().unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], format!("[127.0.0.1]:2201 {}", served(0)));
        assert_ne!(lines[1], format!("[127.0.0.1]:2202 {}", served(1)));
        assert!(lines[1].starts_with("[127.0.0.1]:2202 ssh-ed25519 "));
    }

    #[test]
    fn host_keys_differ_by_node_and_by_seed() {
        let print = |seed, index| host_key(seed, index).public_key().to_openssh().unwrap();
        assert_eq!(print(1, 1), print(1, 1));
        assert_ne!(print(1, 1), print(1, 2));
        assert_ne!(print(1, 1), print(2, 1));
    }
}
