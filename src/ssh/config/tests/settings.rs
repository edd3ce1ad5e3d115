//! From one file and some flags to what connect obeys.

use std::time::Duration;

use super::*;
use crate::ssh::resolved::{AddressFamily, AgentChoice, HostKeyPolicy, Methods, Route};

#[test]
fn without_any_configuration_the_defaults_of_ssh_hold() {
    let machine = Machine::new();
    let resolved = machine.resolve("Node1").unwrap();
    assert_eq!((resolved.alias.as_str(), resolved.host.as_str(), resolved.port), ("Node1", "node1", 22));
    assert_eq!(resolved.user, "ann");
    assert!(resolved.identity_files_are_defaults);
    assert_eq!(resolved.identity_files, ["id_rsa", "id_ecdsa", "id_ed25519"].map(|key| machine.home(".ssh").join(key)));
    assert_eq!(resolved.agent, AgentChoice::Environment);
    assert_eq!(resolved.methods, Methods { publickey: true, password: true, keyboard_interactive: true });
    assert_eq!(resolved.host_key.policy, HostKeyPolicy::AcceptNew);
    assert_eq!(
        resolved.host_key.user_files,
        ["known_hosts", "known_hosts2"].map(|file| machine.home(".ssh").join(file))
    );
    assert_eq!(
        resolved.host_key.global_files,
        ["ssh_known_hosts", "ssh_known_hosts2"].map(|file| machine.environment.system.join(file))
    );
    assert_eq!((resolved.route, resolved.connect_timeout, resolved.keepalive), (Route::Direct, None, None));
}

#[test]
fn everything_that_is_obeyed() {
    let mut machine = Machine::with(
        "Host web\n\
         \x20 HostName=%h.Lab.Example\n\
         \x20 Port = 2222\n\
         \x20 User\tbob\n\
         \x20 IdentityFile ~/.ssh/%r@%h\n\
         \x20 IdentityFile \"DIR/a key\" # the second\n\
         \x20 IdentityFile ~/.ssh/%r@%h\n\
         \x20 IdentitiesOnly yes\n\
         \x20 IdentityAgent ${RUN}/%u-%i.sock\n\
         \x20 CertificateFile %d/cert.pub\n\
         \x20 UserKnownHostsFile ~/k1 \"~/k 2\"\n\
         \x20 GlobalKnownHostsFile none\n\
         \x20 HostKeyAlias web-key\n\
         \x20 HashKnownHosts yes\n\
         \x20 StrictHostKeyChecking ask\n\
         \x20 ConnectTimeout 1m5s\n\
         \x20 ServerAliveInterval 15\n\
         \x20 AddressFamily inet6\n\
         \x20 BindAddress 10.0.0.9\n\
         \x20 Ciphers +aes128-cbc\n\
         \x20 KexAlgorithms ^curve25519-sha256\n\
         \x20 MACs hmac-sha2-256\n\
         \x20 HostKeyAlgorithms ssh-ed25519\n\
         \x20 ProxyCommand sh -c 'nc %h %p' \"%n %r\" # not a comment 100%%\n\
         \x20 PreferredAuthentications publickey,keyboard-interactive\n\
         \x20 KbdInteractiveAuthentication no\n\
         \x20 ForwardAgent yes\n\
         \x20 RequestTTY force\n",
    );
    machine.environment.variables.insert("RUN".into(), "/run".into());
    let all = machine.resolver();
    let resolved = wait(all.resolve("web", &SshSettings::default())).unwrap();
    assert_eq!((resolved.host.as_str(), resolved.port, resolved.user.as_str()), ("web.lab.example", 2222, "bob"));
    assert_eq!(
        resolved.identity_files,
        [machine.home(".ssh/bob@web.lab.example"), machine.directory.path().join("a key")]
    );
    assert!(!resolved.identity_files_are_defaults && resolved.identities_only);
    assert_eq!(resolved.agent, AgentChoice::Socket("/run/ann-1000.sock".into()));
    assert_eq!(resolved.certificate_files, [machine.home("cert.pub")]);
    assert_eq!(resolved.host_key.user_files, [machine.home("k1"), machine.home("k 2")]);
    assert!(resolved.host_key.global_files.is_empty() && resolved.host_key.hash_names);
    assert_eq!(resolved.host_key.alias.as_deref(), Some("web-key"));
    assert_eq!(resolved.host_key.policy, HostKeyPolicy::Ask);
    assert_eq!(resolved.connect_timeout, Some(Duration::from_secs(65)));
    assert_eq!(resolved.keepalive, Some(Duration::from_secs(15)));
    assert_eq!(resolved.address_family, AddressFamily::V6);
    assert_eq!(resolved.bind_address.as_deref(), Some("10.0.0.9"));
    let algorithms = [&resolved.ciphers, &resolved.kex_algorithms, &resolved.macs, &resolved.host_key_algorithms];
    assert_eq!(
        algorithms.map(|list| list.as_deref().unwrap()),
        ["+aes128-cbc", "^curve25519-sha256", "hmac-sha2-256", "ssh-ed25519"]
    );
    let command = "sh -c 'nc web.lab.example 2222' \"web bob\" # not a comment 100%";
    assert_eq!(resolved.route, Route::Command(command.into()));
    assert_eq!(resolved.methods, Methods { publickey: true, password: false, keyboard_interactive: false });
    assert_eq!(all.take_warnings(), Vec::<String>::new());
}

#[test]
fn target_over_options_over_files_over_defaults() {
    let machine = Machine::with("Host *\nPort 3\nUser file\nIdentityFile /file\nProxyJump file\nConnectTimeout 3\n");
    let settings = SshSettings {
        port: Some(22),
        user: Some("flag".into()),
        identity_files: vec!["/flag".into()],
        jump: Some("none".into()),
        ..options(&[
            ("Port", "2"),
            ("User", "option"),
            ("connecttimeout", "2"),
            ("ConnectTimeout", "1"),
            ("IdentityFile", "/option"),
        ])
    };
    let resolved = machine.resolve_with("h", &settings).unwrap();
    assert_eq!((resolved.port, resolved.user.as_str()), (22, "flag"), "an explicit port 22 is said");
    assert_eq!(resolved.identity_files, ["/flag", "/option", "/file"].map(PathBuf::from));
    assert_eq!(resolved.route, Route::Direct);
    assert_eq!(resolved.connect_timeout, Some(Duration::from_secs(2)), "the first option wins");
}

#[test]
fn the_address_is_what_host_patterns_see() {
    let machine = Machine::with("Host node1\nUser by-name\nHost 10.0.*\nUser by-address\n");
    let settings = SshSettings { host: Some("10.0.0.7".into()), ..SshSettings::default() };
    let resolved = machine.resolve_with("node1", &settings).unwrap();
    assert_eq!((resolved.alias.as_str(), resolved.user.as_str()), ("10.0.0.7", "by-address"));
    assert_eq!(machine.resolve("[fe80::1]").unwrap().host, "fe80::1");
}

#[test]
fn jump_and_command_whichever_comes_first() {
    for (config, expected) in [
        ("ProxyJump a\nProxyCommand nc\n", "jump a"),
        ("ProxyCommand nc\nProxyJump a\n", "command nc"),
        ("ProxyJump none\nProxyCommand nc\n", "command nc"),
        ("ProxyJump none\nProxyJump a\n", "direct"),
        ("ProxyCommand none\nProxyJump a\n", "direct"),
        ("ProxyJump a,ann@b:2222\nProxyJump c\n", "jump a ann@b:2222"),
        ("ProxyCommand = nc -x  y\n", "command nc -x  y"),
    ] {
        let shown = match Machine::with(config).resolve("h").unwrap().route {
            Route::Direct => "direct".to_owned(),
            Route::Command(command) => format!("command {command}"),
            Route::Jump(hops) => {
                let hop = |hop: &JumpHop| {
                    let user = hop.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
                    format!(" {user}{}{}", hop.host, hop.port.map(|port| format!(":{port}")).unwrap_or_default())
                };
                format!("jump{}", hops.iter().map(hop).collect::<String>())
            }
        };
        assert_eq!(shown, expected, "{config}");
    }
}

#[test]
fn a_hop_has_its_own_configuration() {
    let machine = Machine::with("Host b\nHostName 10.0.0.2\nUser hop\nHost *\nPort 7\n");
    let all = machine.resolver();
    let behind = SshSettings { password: Some("x".into()), ..options(&[("User", "target")]) };
    let hop = JumpHop { user: None, host: "b".into(), port: Some(9) };
    let resolved = wait(all.resolve_hop(&hop, &behind)).unwrap();
    assert_eq!((resolved.host.as_str(), resolved.user.as_str(), resolved.port), ("10.0.0.2", "hop", 9));
    assert!(resolved.password.is_none());
}

#[test]
fn policies_never_accept_a_changed_key() {
    for (value, expected, warned) in [
        ("yes", HostKeyPolicy::Strict, false),
        ("accept-new", HostKeyPolicy::AcceptNew, false),
        ("ask", HostKeyPolicy::Ask, false),
        ("no", HostKeyPolicy::AcceptNew, true),
        ("OFF", HostKeyPolicy::AcceptNew, true),
    ] {
        let all = Machine::new().resolver();
        let resolved = wait(all.resolve("h", &options(&[("StrictHostKeyChecking", value)]))).unwrap();
        assert_eq!(resolved.host_key.policy, expected, "{value}");
        assert_eq!(!all.take_warnings().is_empty(), warned, "{value}");
    }
}

#[test]
fn agents() {
    let mut machine = Machine::new();
    machine.environment.variables.insert("MY_AGENT".into(), "/mine".into());
    for (value, expected) in [
        ("none", AgentChoice::None),
        ("SSH_AUTH_SOCK", AgentChoice::Environment),
        ("$MY_AGENT", AgentChoice::Socket("/mine".into())),
        ("$UNSET", AgentChoice::None),
        ("~/a.sock", AgentChoice::Socket(machine.home("a.sock"))),
    ] {
        let resolved = machine.resolve_with("h", &options(&[("IdentityAgent", value)])).unwrap();
        assert_eq!(resolved.agent, expected, "{value}");
    }
}

#[test]
fn bad_settings_are_refused_with_their_place() {
    for (config, expected) in [
        ("Port 0", "DIR/home/.ssh/config:1: Port \"0\" is no port (1 to 65535)"),
        ("\nPort 70000", "DIR/home/.ssh/config:2: Port \"70000\" is no port (1 to 65535)"),
        ("HostName", "DIR/home/.ssh/config:1: HostName has no value"),
        ("HostName %p", "DIR/home/.ssh/config:1: HostName: the token %p is not supported in \"%p\""),
        ("User a b", "DIR/home/.ssh/config:1: User takes one value and has 2"),
        ("User \"a", "DIR/home/.ssh/config:1: a quote is not closed"),
        ("IdentitiesOnly maybe", "DIR/home/.ssh/config:1: IdentitiesOnly \"maybe\" is neither yes nor no"),
        (
            "StrictHostKeyChecking maybe",
            "DIR/home/.ssh/config:1: StrictHostKeyChecking \"maybe\" is none of yes, ask, accept-new, no",
        ),
        ("ConnectTimeout soon", "DIR/home/.ssh/config:1: ConnectTimeout \"soon\" is no time"),
        ("ProxyJump a:b:c@:0", "DIR/home/.ssh/config:1: ProxyJump: \"a:b:c@:0\" is no [user@]host[:port]"),
        ("ProxyJump x,h", "DIR/home/.ssh/config:1: ProxyJump \"x,h\" leads to the host itself"),
        ("IdentityFile ${NOPE}/k", "DIR/home/.ssh/config:1: IdentityFile: the environment variable NOPE is not set"),
        ("IdentityFile %C", "DIR/home/.ssh/config:1: IdentityFile: the token %C is not supported in \"%C\""),
        ("Match", "DIR/home/.ssh/config:1: Match has no criterion"),
        ("Match host", "DIR/home/.ssh/config:1: Match host has no argument"),
        ("Host", "DIR/home/.ssh/config:1: Host has no pattern"),
        ("Include DIR/home/.ssh/config", "DIR/home/.ssh/config:1: DIR/home/.ssh/config includes itself"),
    ] {
        let machine = Machine::with(config);
        let failure = machine.resolve("h").unwrap_err();
        assert_eq!(machine.shown(&failure.message), expected);
        assert_eq!(failure.kind, crate::failure::FailureKind::Settings);
    }
}

#[test]
fn names_that_mean_something_to_a_shell_are_refused() {
    let machine = Machine::new();
    for name in ["", "-oProxyCommand=x", "a b", "a;b", "$(id)", "`id`", "a\nb", "[]", "a|b"] {
        assert!(machine.resolve(name).is_err(), "{name:?}");
    }
    for user in ["", "-x", "a;b", "a|b", "$(id)", "a\u{1b}"] {
        let settings = SshSettings { user: Some(user.into()), ..SshSettings::default() };
        assert!(machine.resolve_with("h", &settings).is_err(), "{user:?}");
    }
    let settings = SshSettings { user: Some("CORP\\ann".into()), ..SshSettings::default() };
    assert!(machine.resolve_with("h", &settings).is_ok());
}
