//! Files: blocks, includes, and what is wrong with them.

use super::*;
use crate::failure::FailureKind;

/// The user that a configuration gives to `host`: each block sets another, so that it names the block that won.
fn user(config: &str, host: &str) -> String {
    Machine::with(config).resolve(host).unwrap().user
}

#[test]
fn the_first_block_that_applies_wins() {
    let config = "User before\n";
    assert_eq!(user(config, "any"), "before");
    let config = "\
        Host a? !ab *.lab\n User first\n\
        Host ab\n User second\n\
        # Host *\n\
        HOST=\"quoted\"  other\n user third\n\
        Match host x*,!xy originalhost !zz\n User fourth\n\
        Match !user fourth localuser ann host xy\n User fifth\n\
        Match all\n User last\n";
    for (host, expected) in [
        ("aa", "first"),
        ("ab", "second"),
        ("n.lab", "first"),
        ("quoted", "third"),
        ("other", "third"),
        ("A?", "last"),
        ("xa", "last"),
        ("xy", "fifth"),
        ("else", "last"),
    ] {
        assert_eq!(user(config, host), expected, "{host}");
    }
}

#[test]
fn match_sees_what_was_said_before() {
    let config = "\
        Host web\n HostName real.lab\n Tag special\n\
        Match host real.*\n User by-name\n\
        Match originalhost web user by-name tagged spec*\n Port 7\n";
    let resolved = Machine::with(config).resolve("web").unwrap();
    assert_eq!((resolved.user.as_str(), resolved.port), ("by-name", 7));
}

#[test]
fn match_exec_runs_commands_once() {
    let machine = Machine::new();
    let config = "\
        Match exec \"echo %h >> DIR/log; test %h = a\"\n User yes\n\
        Match host nobody exec \"touch DIR/never\"\n User no\n\
        Match exec \"exit 1\"\n User no\n\
        Match !exec false\n Port 9\n";
    machine.write("home/.ssh/config", config);
    let resolver = machine.resolver();
    let resolve = |name| wait(resolver.resolve(name, &SshSettings::default())).unwrap();
    assert_eq!((resolve("a").user.as_str(), resolve("b").user.as_str()), ("yes", "ann"));
    assert_eq!(resolve("a").port, 9);
    assert_eq!(fs::read_to_string(machine.directory.path().join("log")).unwrap(), "a\nb\n");
    assert!(!machine.directory.path().join("never").exists(), "a criterion before it did not hold");
}

#[test]
fn match_final_reads_everything_again_under_the_real_name() {
    let config = "\
        Host web\n HostName %h.lab\n\
        Host *.lab\n User by-real-name\n\
        Match final host *.lab\n Port 7\n HostName never\n";
    let resolved = Machine::with(config).resolve("web").unwrap();
    assert_eq!((resolved.host.as_str(), resolved.user.as_str(), resolved.port), ("web.lab", "by-real-name", 7));
}

#[test]
fn user_file_before_system_file_and_only_the_named_one_with_f() {
    let machine = Machine::with("User mine\n");
    machine.write("etc/ssh_config", "User system\nPort 7\n");
    let named = machine.write("named", "ConnectTimeout 4\n");
    let resolved = machine.resolve("h").unwrap();
    assert_eq!((resolved.user.as_str(), resolved.port), ("mine", 7));
    for (file, timeout) in [(named, Some(4)), (PathBuf::from("none"), None)] {
        let settings = SshSettings { config_file: Some(file), ..SshSettings::default() };
        let resolved = machine.resolve_with("h", &settings).unwrap();
        assert_eq!((resolved.user.as_str(), resolved.port), ("ann", 22));
        assert_eq!(resolved.connect_timeout.map(|timeout| timeout.as_secs()), timeout);
    }
    let missing = SshSettings { config_file: Some(machine.home("missing")), ..SshSettings::default() };
    let failure = machine.resolve_with("h", &missing).unwrap_err();
    assert_eq!(machine.shown(&failure.message), "there is no ssh configuration file DIR/home/missing");
}

#[test]
fn includes_take_the_place_where_they_stand() {
    let machine = Machine::with(
        "Include conf.d/*.conf missing ~/extra\n\
         Host web\n Include inside\n\
         Host *\n User last\n Port 1\n",
    );
    machine.write("home/.ssh/conf.d/20.conf", "Host web\nUser twenty\n");
    machine.write("home/.ssh/conf.d/10.conf", "Host web\nUser ten\nHost other\nUser ten-other\n");
    machine.write("home/.ssh/conf.d/.hidden.conf", "User hidden\n");
    machine.write("home/.ssh/conf.d/not", "User not\n");
    machine.write("home/extra", "Host third\nUser extra\n");
    // Inside a block that does not apply, nothing counts, not even a block of its own that would.
    machine.write("home/.ssh/inside", "Port 2\nHost *\nConnectTimeout 2\nInclude deeper\n");
    machine.write("home/.ssh/deeper", "BindAddress 10.0.0.2\n");
    machine.write("etc/ssh_config", "Include sub/own\n");
    machine.write("etc/sub/own", "AddressFamily inet\n");
    for (host, expected) in [
        ("web", ("ten", 2, true, true)),
        ("other", ("ten-other", 1, false, false)),
        ("third", ("extra", 1, false, false)),
        ("else", ("last", 1, false, false)),
    ] {
        let r = machine.resolve(host).unwrap();
        assert_eq!(
            (r.user.as_str(), r.port, r.connect_timeout.is_some(), r.bind_address.is_some()),
            expected,
            "{host}"
        );
        assert_eq!(r.address_family, crate::ssh::resolved::AddressFamily::V4, "relative to the system's directory");
    }
}

#[test]
fn includes_that_go_round_or_too_deep_are_refused() {
    let machine = Machine::with("Include a\n");
    machine.write("home/.ssh/a", "\nInclude b\n");
    machine.write("home/.ssh/b", "Include a\n");
    let failure = machine.resolve("h").unwrap_err();
    assert_eq!(machine.shown(&failure.message), "DIR/home/.ssh/b:1: DIR/home/.ssh/a includes itself");

    let machine = Machine::with("Include f0\n");
    for n in 0..30 {
        machine.write(&format!("home/.ssh/f{n}"), &format!("Include f{}\n", n + 1));
    }
    let failure = machine.resolve("h").unwrap_err();
    assert!(failure.message.ends_with("files include each other more than 16 deep"), "{}", failure.message);
}

#[test]
fn an_unreadable_file_is_refused() {
    let machine = Machine::new();
    fs::create_dir(machine.home(".ssh/config")).unwrap();
    let failure = machine.resolve("h").unwrap_err();
    assert!(failure.message.contains("cannot read the ssh configuration"), "{}", failure.message);
}

#[test]
fn odd_lines_are_warned_about_once_with_their_place() {
    let machine = Machine::with(
        "IgnoreUnknown Known*\n\
         Hostnam x\n\
         KnownToMe 1\n\
         Host *\n\
         \x20 UseRoaming no\n\
         Match localnetwork 10.0.0.0/8\n\
         \x20 User never\n",
    );
    let resolver = machine.resolver();
    for name in ["a", "b"] {
        assert_eq!(wait(resolver.resolve(name, &options(&[("Colour", "red")]))).unwrap().user, "ann");
    }
    let warnings: Vec<String> = resolver.take_warnings().iter().map(|warning| machine.shown(warning)).collect();
    assert_eq!(
        warnings,
        [
            "DIR/home/.ssh/config:2: unknown keyword \"Hostnam\"",
            "DIR/home/.ssh/config:6: only ssh itself can decide Match localnetwork; without it the block does not count",
            "-o Colour: unknown keyword",
        ]
    );
    assert!(resolver.take_warnings().is_empty());
}

#[test]
fn bytes_that_are_no_text_do_no_harm() {
    let machine = Machine::new();
    fs::write(machine.home(".ssh/config"), b"\xff\xfe\x00\nUser ok\n\0\n").unwrap();
    assert_eq!(machine.resolve("h").unwrap().user, "ok");
}

#[test]
fn what_others_may_write_is_refused_as_by_ssh() {
    use std::os::unix::fs::PermissionsExt as _;
    let machine = Machine::with("Include more\n");
    machine.write("home/.ssh/more", "User included\n");
    let resolve = |settings: &SshSettings| {
        // Read anew: a resolver reads each file once.
        wait(machine.resolver().resolve("any", settings))
    };
    for file in ["config", "more"] {
        let path = machine.home(&format!(".ssh/{file}"));
        for mode in [0o620, 0o602, 0o666] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let failure = resolve(&SshSettings::default()).unwrap_err();
            assert_eq!(failure.kind, FailureKind::Settings);
            let said = format!("{} may be written by others", path.display());
            assert!(failure.message.contains(&said), "{mode:o}: {failure}");
            // Named, it is the user's business.
            let named = SshSettings { config_file: Some(machine.home(".ssh/config")), ..SshSettings::default() };
            assert_eq!(resolve(&named).unwrap().user, "included");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }
    assert_eq!(resolve(&SshSettings::default()).unwrap().user, "included");
}
