//! Inventories that are wrong: each a clear error with its place.

use std::fmt::Write as _;

use super::*;

#[test]
fn unusable_files_are_told_apart() {
    let directory = directory(&[
        ("empty", ""),
        ("comments", "# nothing\n; here\n"),
        ("binary", "\u{7f}ELF\0\0"),
        ("vaulted", "$ANSIBLE_VAULT;1.1;AES256\n3132\n"),
        ("emptydir/.keep", ""),
        ("chaff/readme.md", "x"),
        ("typo", "web:\n  hsots:\n    a:\n"),
        ("nohosts", "[web]\n[web:vars]\nx=1\n"),
        ("aws.yml", "plugin: amazon.aws.aws_ec2\nregions: []\n"),
    ]);
    fs::write(directory.path().join("latin"), b"h\xf6st\n").unwrap();
    fs::File::create(directory.path().join("huge")).unwrap().set_len(load::MAX_BYTES + 1).unwrap();
    let names = [
        "missing",
        "missing/file",
        "empty/child",
        "empty",
        "comments",
        "binary",
        "latin",
        "vaulted",
        "emptydir",
        "chaff",
        "nohosts",
        "typo",
        "aws.yml",
        "huge",
    ];
    let all: String = names.iter().map(|name| load_error(&directory, name) + "\n").collect();
    assert_snapshot!(all, @r##"
    missing: there is no such file or directory (a list of hosts needs a comma: -i host,)
    missing/file: there is no such file or directory
    empty/child: cannot be read: Not a directory (os error 20)
    empty: says nothing; it is empty or has only comments
    comments: says nothing; it is empty or has only comments
    binary: is not text (a zero byte at offset 4); an inventory is UTF-8 text in Ansible's YAML or INI form
    latin: is not text (not UTF-8 in line 1); an inventory is UTF-8 text in Ansible's YAML or INI form
    vaulted: is encrypted with ansible-vault; decrypt it first: ansible-vault view vaulted | seaworthy sweep -i -
    emptydir: the directory has no inventory file in it (ignored there, as Ansible does: .keep)
    chaff: the directory has no inventory file in it (ignored there, as Ansible does: readme.md)
    nohosts: there are no hosts in it
    typo: there are no hosts in it (typo:2:3: "hsots" in group "web" is left out; a group has hosts, children and vars; did you mean "hosts"?)
    aws.yml:1:9: configures the Ansible inventory plugin "amazon.aws.aws_ec2", which only Ansible can run; give its result instead: ansible-inventory -i aws.yml --list > hosts.json
    huge: is larger than 64 MiB, which is more than an inventory may have
    "##);
}

#[test]
fn a_file_that_may_not_be_read_is_named() {
    let directory = directory(&[("secret", "host\n")]);
    fs::set_permissions(directory.path().join("secret"), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(directory.path().join("secret")).is_ok() {
        return; // root reads everything
    }
    assert_eq!(load_error(&directory, "secret"), "secret: cannot be read: Permission denied (os error 13)");
}

#[test]
fn broken_yaml_is_refused_with_its_place() {
    let all: String = [
        "all:\n  hosts:\n\ta:\n",
        "all:\n  hosts:\n    a:\n      ansible_host: 10.0.0.1\n      ansible_us",
        "all:\n  hosts:\n    a: \"x\n    b:\n",
        "all:\n  hosts: {a: , b: \n",
        "all:\n  vars:\n    ansible_password: \"hunter2\n  hosts:\n    a:\n",
        "- a\n- b\n",
        "[a, b]\n",
        "all:\n  hosts:\n    - a\n    - b\n",
        "all:\n  children: [web]\n",
        "all:\n  vars: 3\n",
        "all:\n  hosts:\n    a: [1]\n",
        "all:\n  hosts:\n    a: 10.0.0.1\n",
        "all:\n  hosts:\n    a: {ansible_host: {{ x }}}\n",
        "---\nall:\n---\nall:\n",
        "all:\n  hosts:\n    a:\n    b:\n    a:\n",
        "web:\n  hosts:\n    a:\nweb:\n  hosts:\n    b:\n",
        "all:\n  hosts:\n    -x:\n",
        "all:\n  hosts:\n    node[3:1]:\n",
        "all:\n  hosts:\n    node[0:9999999]:\n",
        "a: &a {children: {b: &b {children: {c: *a}}}}\n",
    ]
    .iter()
    .map(|text| error(text) + "\n")
    .collect();
    assert_snapshot!(all, @r##"
    (stdin):3:2: a tab indents this line, and YAML allows only spaces there: "a:"
    (stdin):5:7: not valid YAML: simple key expected; the file seems to be cut off here: "ansible_us"
    (stdin):3:8: not valid YAML: invalid indentation in quoted scalar: "a: \"x"
    (stdin):2:3: not valid YAML: while parsing a node, did not find expected node content; the file seems to be cut off here: "hosts: {a: , b:"
    (stdin):3:23: not valid YAML: invalid indentation in quoted scalar: "ansible_password: (hidden)"
    (stdin):1:1: the inventory is a list, but must be a mapping of groups, such as `all:` or `workers:`
    (stdin):1:1: the inventory is a list, but must be a mapping of groups, such as `all:` or `workers:`
    (stdin):3:5: `hosts` of group "all" is a list, but must be a mapping: each host a key that ends in `:`, not a list item
    (stdin):2:13: `children` of group "all" is a list, but must be a mapping: each group a key that ends in `:`, not a list item
    (stdin):2:9: `vars` of group "all" is a single value, but must be a mapping of variables
    (stdin):3:8: host "a" is a list, but must be empty or a mapping of variables
    (stdin):3:8: host "a" is a single value, but must be empty or a mapping of variables
    (stdin):3:24: not valid YAML: a key must be a single word, not a list or mapping (a value that starts with {{ needs quotes): "a: {ansible_host: {{ x }}}"
    (stdin):3:1: not valid YAML: a second document starts here; use one: "---"
    (stdin):5:5: "a" is defined twice in `hosts` of group "all", and the first one ((stdin):3:5) would be lost; merge them
    (stdin):4:1: "web" is defined twice in the inventory, and the first one ((stdin):1:1) would be lost; merge them
    (stdin):3:5: "-x" cannot be a host's name: it starts with `-`, which ssh would take for an option
    (stdin):3:5: the host range "node[3:1]" is wrong: the first is greater than the last
    (stdin):3:5: the host range "node[0:9999999]" is wrong: it gives more than 1000000 hosts
    (stdin):1:40: not valid YAML: an alias stands inside its own anchor: "a: &a {children: {b: &b {children: {c: *a}}}}"
    "##);
}

#[test]
fn broken_ini_is_refused_with_its_place() {
    let all: String = [
        "[web servers]\na\n",
        "[web:hosst]\na\n",
        "[web]\na ansible_host\n",
        "[web]\n  a ansible_user='x\n",
        "[web]\na ansible_password=hunter2 oops\n",
        "[web]\na:\n",
        "[web]\na\n[web:vars]\nnonsense\n",
        "[web]\na\n[top:children]\nweb db\n",
        "[web]\na\n[top:children]\nwbe\n",
        "[web]\na\n[wbe:vars]\nx=1\n",
        "[web]\nnode[1:x]\n",
        "[web]\nnode[01:100]\n",
        "[web]\nnode[1:3\n",
    ]
    .iter()
    .map(|text| error(text) + "\n")
    .collect();
    assert_snapshot!(all, @r##"
    (stdin):1:1: a heading is [group], [group:children] or [group:vars], without spaces: "[web servers]"
    (stdin):1:6: "hosst" is no kind of section; known are hosts, children and vars: "[web:hosst]"
    (stdin):2:3: expected key=value behind the host: "a ansible_host"
    (stdin):2:18: this quote is never closed: "a ansible_user='x"
    (stdin):2:28: expected key=value behind the host: "a ansible_password= (hidden)"
    (stdin):2:1: a host's name cannot end in `:` (is this YAML? then its first line must look like it): "a:"
    (stdin):4:1: expected key=value: "nonsense"
    (stdin):4:1: expected the name of one group: "web db"
    (stdin):4:1: there is no group "wbe", but [top:children] names it; did you mean "web"?
    (stdin):3:2: there is no group "wbe", but [wbe:vars] names it; did you mean "web"?
    (stdin):2:1: the host range "node[1:x]" is wrong: both ends must be numbers, or single letters
    (stdin):2:1: the host range "node[01:100]" is wrong: with leading zeros both ends must be equally long
    (stdin):2:1: the host range "node[1:3" is wrong: a bracket is not closed or not opened
    "##);
}

#[test]
fn groups_that_contain_each_other_are_spelled_out() {
    let all: String = [
        "[a:children]\nb\n[b:children]\nc\n[c:children]\na\n[a]\nh\n",
        "[a:children]\na\n[a]\nh\n",
        "[a]\nh\n[a:children]\nall\n",
        "a:\n  hosts:\n    h:\n  children:\n    b:\n      children:\n        a:\n",
    ]
    .iter()
    .map(|text| error(text) + "\n")
    .collect();
    assert_snapshot!(all, @r##"
    (stdin):6:1: these groups contain each other: a > b > c > a
    (stdin):2:1: these groups contain each other: a > a
    (stdin):4:1: these groups contain each other: all > a > all
    (stdin):7:9: these groups contain each other: a > b > a
    "##);
}

#[test]
fn a_long_chain_of_groups_is_no_cycle() {
    let mut chain = String::from("[g0]\nh\n");
    for index in 1..5000 {
        writeln!(chain, "[g{index}:children]\ng{}", index - 1).unwrap();
    }
    assert_eq!(groups_of(&text(&chain), "h").len(), 5000);
}

#[test]
fn odd_things_are_warned_about_once() {
    assert_snapshot!(warnings(
        "all:\n  hosts:\n    a: {ansbile_host: 1, ansible_python_interpreter: /usr/bin/python3, my_host: 2}\n    \
         b: {ansbile_host: 1, ansible_frobnicate: 1}\n  hsots:\n    c:\n  vars:\n    ansible_user: x\n    ansible_user: y\n    \
         ansible_ssh_common_args: -C -L 80:x:80 -o A=b\nweb: 3\na:\n"
    ), @r##"
    (stdin):3:9: ansbile_host is no variable that Ansible knows, and is not used; did you mean ansible_host?
    (stdin):4:26: ansible_frobnicate is no variable that Ansible knows, and is not used
    (stdin):5:3: "hsots" in group "all" is left out; a group has hosts, children and vars; did you mean "hosts"?
    (stdin):9:5: ansible_user is given twice here; the first one ((stdin):8:5) is not used
    (stdin):10:30: -L 80:x:80 in ansible_ssh_common_args is not used; known are -o -J -i -p -l -F -4 -6
    (stdin):11:1: "web" is a single value, not a group, and is left out
    "a" is both a host and a group; --limit takes it as the host
    "##);
    assert_snapshot!(warnings("[web]\na\n[web:vars]\nansible_user=root # admin\n"), @"(stdin):4:1: Ansible takes what stands behind # as part of the value of ansible_user; put it on its own line");
}
