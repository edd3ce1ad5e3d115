//! The shapes that inventories have in the wild, and how they are merged.

use super::*;

#[test]
fn yaml_without_extension_with_groups_below_all() {
    let directory = directory(&[(
        "hosts",
        "---\nall:\n  children:\n    monitoring_nodes:\n      hosts:\n        masternode:\n          ansible_host: 192.168.4.63\n          ansible_connection: local\n    \
         storage_nodes:\n      hosts:\n        storagenode:\n          ansible_host: 192.168.4.61\n          ansible_user: root\n    \
         compute_nodes:\n      hosts:\n        homelab: {ansible_host: 192.168.4.62, ansible_become: 'yes'}\n",
    )]);
    let inventory = try_load(&directory, &["hosts"]).unwrap().inventory;
    assert_eq!(names(&inventory), ["masternode", "storagenode", "homelab"]);
    assert!(matches!(target(&inventory, "masternode").unwrap().via, Via::Local));
    assert_eq!(ssh(&inventory, "storagenode").host.as_deref(), Some("192.168.4.61"));
    assert_eq!(target(&inventory, "homelab").unwrap().sudo.unwrap().user, "root");
    assert_eq!(target(&inventory, "masternode").unwrap().role, None);
}

#[test]
fn yaml_with_groups_at_top_level_and_all_behind_them() {
    let inventory = text(
        "monitoring_nodes:\n  hosts:\n    masternode:\n      ansible_host: 10.0.0.1\nworkers:\n  hosts:\n    w1:\n    w2:\n      \
         ansible_user: other\nall:\n  vars:\n    ansible_user: root\n    ansible_ssh_private_key_file: ~/.ssh/id_k3s\n",
    );
    assert_eq!(names(&inventory), ["masternode", "w1", "w2"]);
    assert_eq!(ssh(&inventory, "w1").user.as_deref(), Some("root"));
    assert_eq!(ssh(&inventory, "w2").user.as_deref(), Some("other"));
    assert_eq!(ssh(&inventory, "w1").identity_files, [Path::new("/home/op/.ssh/id_k3s")]);
    assert_eq!(target(&inventory, "w1").unwrap().role, Some(Role::Worker));
}

#[test]
fn ini_with_children_and_a_host_in_several_groups() {
    let inventory = text(
        "# cluster\n[kube-master]\nmaster ansible_host=10.0.0.1 ansible_user='op'  # the first\n\n[kube-node]\nmaster\n\
         node1 ansible_host=10.0.0.2 ansible_port=2222\n; old\n[k8s-cluster:children]\nkube-master\nkube-node\n\n\
         [k8s-cluster:vars]\nansible_user=root\nansible_ssh_common_args=-o StrictHostKeyChecking=no -J bastion\n[all:vars]\nansible_become=true\n",
    );
    assert_eq!(names(&inventory), ["master", "node1"]);
    assert_eq!(groups_of(&inventory, "master"), ["k8s-cluster", "kube-master", "kube-node"]);
    assert_eq!(target(&inventory, "master").unwrap().role, Some(Role::ControlPlane));
    assert_eq!(target(&inventory, "node1").unwrap().role, Some(Role::Worker));
    let node = ssh(&inventory, "node1");
    assert_eq!((node.user.as_deref(), node.port, node.jump.as_deref()), (Some("root"), Some(2222), Some("bastion")));
    assert_eq!(node.options, [("StrictHostKeyChecking".to_owned(), "no".to_owned())]);
    assert_eq!(ssh(&inventory, "master").user.as_deref(), Some("op"));
    assert!(target(&inventory, "node1").unwrap().sudo.is_some());
}

#[test]
fn windows_line_ends_and_byte_order_marks_change_nothing() {
    let yaml = text("\u{feff}all:\r\n  hosts:\r\n    a:\r\n      ansible_user: root\r\n");
    let ini = text("\u{feff}[web]\r\na ansible_user=root\r\n\r\n[web:vars]\r\nansible_port=22\r\n");
    assert_eq!(ssh(&yaml, "a").user.as_deref(), Some("root"));
    assert_eq!((ssh(&ini, "a").user.as_deref(), ssh(&ini, "a").port), (Some("root"), Some(22)));
}

#[test]
fn lists_and_ranges() {
    let directory = directory(&[]);
    let inventory = try_load(&directory, &["web,db[1:2]:2200,[2001:db8::1]:22,"]).unwrap().inventory;
    assert_eq!(names(&inventory), ["web", "db1", "db2", "2001:db8::1"]);
    assert_eq!(ssh(&inventory, "db2").port, Some(2200));
    assert_eq!(groups_of(&inventory, "web"), ["ungrouped"]);
    let inventory = text("node[01:03]-[a:b] ansible_user=x\n");
    assert_eq!(names(&inventory), ["node01-a", "node01-b", "node02-a", "node02-b", "node03-a", "node03-b"]);
    assert_eq!(ssh(&inventory, "node03-b").user.as_deref(), Some("x"));
}

#[test]
fn a_directory_is_merged_and_its_chaff_left_out() {
    let directory = directory(&[
        ("inv/10-hosts.yml", "web:\n  hosts:\n    a:\n      ansible_user: first\n      ansible_port: 1\n"),
        ("inv/20-more", "[db]\nb\n[web]\na ansible_user=second\n"),
        ("inv/30-sub/c.ini", "c\n"),
        ("inv/group_vars/web.yml", "ansible_ssh_private_key_file: keys/web\n"),
        ("inv/keys/web", "KEY"),
        ("inv/host_vars/b/main.yml", "ansible_host: 10.0.0.2\n"),
        ("inv/host_vars/b/.hidden.yml", "ansible_host: 10.9.9.9\n"),
        ("inv/40-old.bak", "not: [valid"),
        ("inv/.hidden", "not: [valid"),
        ("inv/notes.md", "not: [valid"),
        ("inv/ansible.cfg", "[defaults]\nx = y\n"),
        ("inv/helper.py", "#!/usr/bin/python\nprint()\n"),
        ("inv/90-empty", "# nothing yet\n"),
    ]);
    // A key directory inside an inventory would be read as one; so it lies beside it in real life.
    fs::rename(directory.path().join("inv/keys"), directory.path().join("inv/.keys")).unwrap();
    fs::write(directory.path().join("inv/group_vars/web.yml"), "ansible_ssh_private_key_file: .keys/web\n").unwrap();
    let Loaded { inventory, warnings } = try_load(&directory, &["inv"]).unwrap();
    assert_eq!(names(&inventory), ["a", "b", "c"]);
    let a = ssh(&inventory, "a");
    assert_eq!((a.user.as_deref(), a.port), (Some("second"), Some(1)));
    assert_eq!(a.identity_files, [directory.path().join("inv/.keys/web")]);
    assert_eq!(ssh(&inventory, "b").host.as_deref(), Some("10.0.0.2"));
    let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, ["inv/helper.py starts with `#!` but is not executable, and is left out"]);
}

#[test]
fn repeated_sources_are_merged_and_the_later_wins() {
    let directory = directory(&[
        ("one/hosts", "web:\n  hosts:\n    a:\n      ansible_user: one\n      ansible_port: 1\n"),
        ("two.ini", "[db]\na ansible_user=two\n[web:vars]\nansible_host=x\n"),
    ]);
    let inventory = try_load(&directory, &["one/hosts", "two.ini", "b,"]).unwrap().inventory;
    assert_eq!(names(&inventory), ["a", "b"]);
    assert_eq!(groups_of(&inventory, "a"), ["db", "web"]);
    let a = ssh(&inventory, "a");
    assert_eq!((a.user.as_deref(), a.port, a.host.as_deref()), (Some("two"), Some(1), Some("x")));
}
