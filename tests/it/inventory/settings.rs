//! What variables, ssh arguments and flags make of a host.

use std::fmt::Write as _;

use super::*;

#[test]
fn a_bad_setting_fails_its_own_host_with_place_and_remedy() {
    let inventory = text(
        "all:\n  hosts:\n    zero: {ansible_port: 0}\n    big: {ansible_port: 70000}\n    \"named:70000\":\n    word: {ansible_port: ssh}\n    \
         jinja: {ansible_host: '{{ ip }}'}\n    vault:\n      ansible_password: !vault |\n        $ANSIBLE_VAULT;1.1;AES256\n        3132\n    \
         winrm: {ansible_connection: winrm}\n    method: {ansible_become: yes, ansible_become_method: su}\n    maybe: {ansible_become: perhaps}\n    \
         list: {ansible_user: [a]}\n    args: {ansible_ssh_common_args: '-o \"x'}\n    noval: {ansible_ssh_extra_args: -p}\n    \
         inject: {ansible_host: -oProxyCommand=x}\n    space: {ansible_user: 'a b'}\n    badarg: {ansible_ssh_args: -p 99999}\n    fine:\n",
    );
    let mut all = String::new();
    for host in inventory.hosts() {
        match inventory.target(host, &Overrides::default()) {
            Ok(target) => writeln!(all, "{}: usable", target.name).unwrap(),
            Err(failure) => {
                assert_eq!(failure.kind, FailureKind::Settings);
                writeln!(all, "{}: {} -> {}", inventory.host_name(host), failure.message, failure.next).unwrap();
            }
        }
    }
    assert_snapshot!(all, @r##"
    zero: port (ansible_port of the host, (stdin):3:26) is "0", but must be a number from 1 to 65535 -> mend it there, or give --port
    big: port (ansible_port of the host, (stdin):4:25) is "70000", but must be a number from 1 to 65535 -> mend it there, or give --port
    named: port (ansible_port of the host, (stdin):5:5) is "70000", but must be a number from 1 to 65535 -> mend it there, or give --port
    word: port (ansible_port of the host, (stdin):6:26) is "ssh", but must be a number from 1 to 65535 -> mend it there, or give --port
    jinja: ansible_host is a Jinja template, and templates are not evaluated here ((stdin):7:27) -> write the value of ansible_host itself
    vault: ansible_password is vaulted, and vaults are not opened here ((stdin):9:25) -> write ansible_password in plain text where only you can read it, or give --ask-pass
    winrm: connection (ansible_connection of the host, (stdin):12:33) "winrm" is not supported, only ssh and local -> leave this host out with --limit, or mend its ansible_connection
    method: sudo method (ansible_become_method of the host, (stdin):13:58) is "su", and only sudo is supported -> set ansible_become_method to sudo, or connect as root
    maybe: sudo (ansible_become of the host, (stdin):14:29) is "perhaps", but must be true or false -> mend it there, or give --become
    list: ansible_user is a list, but must be a single value ((stdin):15:26) -> mend ansible_user in the inventory, or give --user
    args: ansible_ssh_common_args cannot be read: a quote opened at character 4 is never closed ((stdin):16:37) -> mend ansible_ssh_common_args in the inventory
    noval: ansible_ssh_extra_args cannot be read: -p needs a value ((stdin):17:37) -> mend ansible_ssh_extra_args in the inventory
    inject: address (ansible_host of the host, (stdin):18:28) is "-oProxyCommand=x", which is no single word -> mend it there
    space: user (ansible_user of the host, (stdin):19:27) is "a b", which is no single word -> mend it there
    badarg: port (ansible_ssh_args of the host, (stdin):20:32) is "99999", but must be a number from 1 to 65535 -> mend it there, or give --port
    fine: usable
    "##);
}

#[test]
fn what_the_connection_does_not_need_may_be_anything() {
    let inventory = text(
        "all:\n  vars:\n    ansible_become_password: '{{ vaulted }}'\n    motd: '{{ x }}'\n  hosts:\n    here: {ansible_connection: local, ansible_port: 0}\n    \
         there: {ansible_port: '{{ p }}', ansible_password: !unsafe 'a{{b'}\n",
    );
    assert!(matches!(target(&inventory, "here").unwrap().via, Via::Local));
    let there = inventory.host("there").unwrap();
    assert!(inventory.target(there, &Overrides::default()).is_err());
    let overrides = Overrides { port: Some(flag(2200)), ..Overrides::default() };
    let Via::Ssh(settings) = inventory.target(there, &overrides).unwrap().via else { panic!() };
    assert_eq!(settings.port, Some(2200));
    assert_eq!(settings.password.unwrap().expose_secret(), "a{{b");
    let overrides = Overrides { port: Some(flag(2200)), sudo: Some(flag(true)), ..Overrides::default() };
    assert!(inventory.target(there, &overrides).is_err(), "now the sudo password is needed");
    let password = SecretString::from("pw");
    let overrides = Overrides { sudo_password: Some(flag(password)), ..overrides };
    assert_eq!(inventory.target(there, &overrides).unwrap().sudo.unwrap().password.unwrap().expose_secret(), "pw");
}

#[test]
fn precedence_follows_ansible() {
    let files = [
        ("hosts", "top:\n  children:\n    beta:\n      hosts:\n        h:\n    alpha:\n      hosts:\n        h:\n"),
        ("hosts2", "all:\n  vars:\n    ansible_user: all-inline\n"),
        ("hosts3", "top:\n  vars:\n    ansible_user: top-inline\n"),
        ("hosts4", "alpha:\n  vars:\n    ansible_user: alpha-inline\n"),
        ("hosts5", "beta:\n  vars:\n    ansible_user: beta-inline\n"),
        ("hosts6", "alpha:\n  vars:\n    ansible_group_priority: 5\n"),
        ("group_vars/all/x.yml", "ansible_user: all-file\n"),
        ("group_vars/top.yaml", "ansible_user: top-file\n"),
        ("group_vars/beta", "ansible_user: beta-file\n"),
        ("hosts7", "all:\n  hosts:\n    h:\n      ansible_user: host-inline\n"),
        ("host_vars/h.yml", "ansible_user: host-file\n"),
    ];
    // The weakest first; each step adds one more source or file.
    let steps: [(&[&str], &[&str], &str); 10] = [
        (&["hosts", "hosts2"], &[], "all-inline"),
        (&["hosts", "hosts3", "hosts2"], &[], "top-inline"),
        (&["hosts", "hosts4", "hosts3"], &[], "alpha-inline"),
        (&["hosts", "hosts5", "hosts4"], &[], "beta-inline"),
        (&["hosts", "hosts5", "hosts4", "hosts6"], &[], "alpha-inline"),
        (&["hosts", "hosts5"], &["group_vars/all/x.yml"], "all-file"),
        (&["hosts", "hosts5"], &["group_vars/all/x.yml", "group_vars/top.yaml"], "top-file"),
        (&["hosts", "hosts5"], &["group_vars/all/x.yml", "group_vars/top.yaml", "group_vars/beta"], "beta-file"),
        (&["hosts", "hosts7"], &["group_vars/beta"], "host-inline"),
        (&["hosts", "hosts7"], &["host_vars/h.yml", "group_vars/beta"], "host-file"),
    ];
    for (sources, extra, winner) in steps {
        let present: Vec<(&str, &str)> =
            files.iter().filter(|(name, _)| sources.contains(name) || extra.contains(name)).copied().collect();
        let inventory = try_load(&directory(&present), sources).unwrap().inventory;
        assert_eq!(ssh(&inventory, "h").user.as_deref(), Some(winner));
        let told = |origin| Overrides { user: Some(Told { value: "told".to_owned(), origin }), ..Overrides::default() };
        for (origin, wins) in [
            (Origin::Flag("--user"), true),
            (Origin::Environment("SEAWORTHY_USER"), true),
            (Origin::Config("seaworthy.yaml:3".to_owned()), false),
        ] {
            let Via::Ssh(settings) = inventory.target(inventory.host("h").unwrap(), &told(origin)).unwrap().via else {
                panic!()
            };
            assert_eq!(settings.user.as_deref(), Some(if wins { "told" } else { winner }));
        }
    }
}

#[test]
fn ssh_arguments_are_obeyed_in_the_order_ansible_gives_them() {
    let inventory = text(
        "all:\n  hosts:\n    a:\n      ansible_port: 1\n      ansible_ssh_args: -o User=first -i k1\n      ansible_user: second\n      \
         ansible_ssh_private_key_file: /k0\n      ansible_ssh_common_args: -p 9 -o Compression=yes -J j1\n      \
         ansible_ssh_extra_args: -o compression=no -J j2 -i /k2 -F none\n    \
         b: {ansible_ssh_common_args: -p 9 -o ProxyCommand=nc -J j}\n    c: {ansible_ssh_common_args: -J j -o ProxyCommand=nc -o HostName=x}\n",
    );
    let a = ssh(&inventory, "a");
    assert_eq!((a.port, a.user.as_deref(), a.jump.as_deref()), (Some(1), Some("first"), Some("j1")));
    assert_eq!(a.options, [("Compression".to_owned(), "yes".to_owned())]);
    assert_eq!(a.identity_files, ["/k0", "/work/k1", "/k2"].map(Path::new));
    assert_eq!(a.config_file.as_deref(), Some(Path::new("none")));
    let b = ssh(&inventory, "b");
    assert_eq!((b.port, b.jump, b.options.len()), (Some(9), None, 1));
    let c = ssh(&inventory, "c");
    assert_eq!((c.jump.as_deref(), c.options.len(), c.host.as_deref()), (Some("j"), 0, Some("x")));
    // What the explanation says is what the target has.
    let explained = |host: &str, name: &str| {
        let settings = inventory.explain(inventory.host(host).unwrap(), &Overrides::default()).settings;
        settings.into_iter().find(|setting| setting.name == name).unwrap()
    };
    assert_eq!(explained("a", "port").value, "1");
    assert_eq!(explained("a", "user").value, "first");
    assert_eq!(explained("a", "user").origin.to_string(), "ansible_ssh_args of the host, (stdin):5:25");
    assert_eq!(explained("a", "user").shadowed[0].value, "second");
    assert_eq!(explained("a", "jump host").value, "j1");
    assert_eq!(explained("a", "ssh option Compression").value, "yes");
    assert_eq!(explained("c", "address").value, "x");
    let b = inventory.explain(inventory.host("b").unwrap(), &Overrides::default()).settings;
    assert!(b.iter().all(|setting| setting.name != "jump host"), "{b:?}");
    let overrides = Overrides { jump: Some(flag("mine".to_owned())), ..Overrides::default() };
    let Via::Ssh(b) = inventory.target(inventory.host("b").unwrap(), &overrides).unwrap().via else { panic!() };
    assert_eq!((b.jump.as_deref(), b.options.len()), (Some("mine"), 0));
}

#[test]
fn flags_replace_the_inventorys_key_and_connection() {
    let inventory =
        text("a ansible_ssh_private_key_file=/k0 ansible_connection=local ansible_ssh_extra_args='-i /k2'\n");
    let key = |path: &str| Told { value: path.into(), origin: Origin::Flag("--private-key") };
    let overrides = Overrides {
        connection: Some(flag(Connection::Ssh)),
        key_files: vec![key("/f1"), key("~/f2")],
        ..Overrides::default()
    };
    let Via::Ssh(a) = inventory.target(inventory.host("a").unwrap(), &overrides).unwrap().via else { panic!() };
    assert_eq!(a.identity_files, ["/f1", "/home/op/f2", "/k2"].map(Path::new));
}

#[test]
fn no_secret_is_shown_anywhere() {
    let inventory = text(
        "all:\n  vars:\n    ansible_become: true\n    db_password: hunter2\n    nested: {api_token: hunter2}\n  hosts:\n    a:\n      ansible_password: hunter2\n      \
         ansible_become_pass: hunter2\n      ansible_ssh_common_args: -o ProxyCommand=\"sshpass -p hunter2 ssh x\"\n",
    );
    let a = inventory.host("a").unwrap();
    let overrides = Overrides { sudo_password: Some(flag(SecretString::from("hunter2"))), ..Overrides::default() };
    for format in [InventoryFormat::Table, InventoryFormat::Json, InventoryFormat::Yaml] {
        let text = command::explain(&inventory, a, &overrides, format);
        assert!(!text.contains("hunter2") && text.contains("(hidden)"), "{text}");
        assert!(!command::list(&inventory, &[a], &overrides, format).contains("hunter2"));
    }
    let target = inventory.target(a, &overrides).unwrap();
    assert_eq!(target.sudo.as_ref().unwrap().password.as_ref().unwrap().expose_secret(), "hunter2");
    let debug = format!("{inventory:?}{overrides:?}");
    assert!(!debug.contains("hunter2"), "{debug}");
}
