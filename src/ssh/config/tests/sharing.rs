//! One answer of ssh for many hosts. A script stands in for ssh: it counts its runs, and says what it is told to.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

impl Machine {
    /// Puts a stand-in for `ssh` in place: `body` sees the destination as `$host`. Without a body it only prints the name.
    fn stand_in(&mut self, body: &str) {
        let script = format!(
            "#!/bin/sh\nfor host; do :; done\necho \"$*\" >> DIR/runs\necho port 22\n[ \"$host\" = defaults ] && exit 0\n{body}\n"
        );
        let path = self.write("ssh", &script);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self.environment.ssh = Some(path);
    }

    /// The destinations that the stand-in was asked for, sorted.
    fn asked(&self) -> Vec<String> {
        let runs = fs::read_to_string(self.directory.path().join("runs")).unwrap_or_default();
        let mut asked: Vec<String> = runs
            .lines()
            .filter_map(|line| line.rsplit(' ').next())
            .filter(|name| *name != "defaults")
            .map(String::from)
            .collect();
        asked.sort();
        asked
    }
}

fn resolve_all(resolver: &Resolver, names: &[&str]) -> Vec<Resolved> {
    wait(async {
        let settings = SshSettings::default();
        let all = names.iter().map(|name| resolver.resolve(name, &settings));
        futures::future::join_all(all).await.into_iter().map(Result::unwrap).collect()
    })
}

#[test]
fn without_files_ssh_is_not_run() {
    let mut machine = Machine::new();
    machine.stand_in("exit 1");
    resolve_all(&machine.resolver(), &["a", "b"]);
    assert_eq!(machine.asked(), [""; 0]);
}

#[test]
fn hosts_with_the_same_blocks_share_one_answer() {
    let mut machine = Machine::with("Host web*\nUser web\nHost *\nConnectTimeout 5\n");
    machine.stand_in("echo hostname $host; echo connecttimeout 7; case $host in web*) echo user web;; esac");
    let resolved = resolve_all(&machine.resolver(), &["web1", "web2", "db1", "db2", "web3"]);
    assert_eq!(machine.asked().len(), 2, "one for web*, one for the rest: {:?}", machine.asked());
    for (resolved, name) in resolved.iter().zip(["web1", "web2", "db1", "db2", "web3"]) {
        assert_eq!(resolved.host, name, "its own name");
        assert_eq!(resolved.connect_timeout.unwrap().as_secs(), 7, "ssh is right, for every host");
    }
    assert_eq!((resolved[1].user.as_str(), resolved[3].user.as_str()), ("web", "ann"));
}

#[test]
fn a_name_with_tokens_needs_no_run_of_its_own() {
    let mut machine = Machine::with("HostName %h.lab\nUserKnownHostsFile /k/%n\n");
    machine.stand_in("echo hostname $host.lab; echo userknownhostsfile /k/$host");
    let resolved = resolve_all(&machine.resolver(), &["a", "b", "c"]);
    assert_eq!(machine.asked().len(), 1);
    assert_eq!(resolved[2].host, "c.lab");
    assert_eq!(resolved[2].host_key.user_files, [PathBuf::from("/k/c")]);
}

#[test]
fn a_difference_about_the_name_itself_is_asked_for_each_host() {
    let mut machine = Machine::with("ConnectTimeout 5\n");
    machine.stand_in("echo hostname $host.canonical.example; echo connecttimeout 5");
    let resolved = resolve_all(&machine.resolver(), &["a", "b", "c"]);
    let hosts: Vec<&str> = resolved.iter().map(|resolved| resolved.host.as_str()).collect();
    assert_eq!(hosts, ["a.canonical.example", "b.canonical.example", "c.canonical.example"]);
}

#[test]
fn a_refusal_for_one_host_does_not_spread() {
    let mut machine = Machine::with("ConnectTimeout 5\n");
    machine.stand_in("echo hostname $host; echo connecttimeout 5; [ $host != bad ]");
    let resolver = machine.resolver();
    let settings = SshSettings::default();
    assert!(wait(resolver.resolve("bad", &settings)).is_err());
    assert_eq!(wait(resolver.resolve("good", &settings)).unwrap().host, "good");
    assert!(wait(resolver.resolve("bad", &settings)).is_err());
}

#[test]
fn what_only_ssh_can_decide_is_asked_for_each_host() {
    for config in ["Match localnetwork 10.0.0.0/8\nUser near\n", "CanonicalizeHostname yes\nConnectTimeout 5\n"] {
        let mut machine = Machine::with(config);
        machine.stand_in("echo hostname $host; echo user near; echo connecttimeout 5");
        let resolved = resolve_all(&machine.resolver(), &["a", "b"]);
        assert_eq!(machine.asked(), ["a", "b"], "{config}");
        assert_eq!(resolved[1].user, "near");
    }
}

#[test]
fn after_many_answers_the_own_reading_is_trusted() {
    let names: Vec<String> = (0..MOST_SIGNATURES + 20).map(|n| format!("n{n}")).collect();
    let blocks: Vec<String> = names.iter().map(|name| format!("Host {name}\nUser u-{name}\n")).collect();
    let mut machine = Machine::with(&blocks.concat());
    machine.stand_in("echo hostname $host; echo user u-$host");
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let resolved = resolve_all(&machine.resolver(), &names);
    assert_eq!(machine.asked().len(), MOST_SIGNATURES);
    for (resolved, name) in resolved.iter().zip(names) {
        assert_eq!(resolved.user, format!("u-{name}"));
    }
}

#[test]
fn ssh_s_default_is_not_what_the_user_said() {
    let mut machine = Machine::with("ConnectTimeout 5\n");
    machine.stand_in("echo hostname $host; echo connecttimeout 5");
    // Printed among the defaults as well.
    let script = machine.directory.path().join("ssh");
    let text = fs::read_to_string(&script)
        .unwrap()
        .replace("echo port 22", "echo port 22; echo stricthostkeychecking ask; echo ciphers a,b");
    fs::write(&script, text).unwrap();
    let resolved = &resolve_all(&machine.resolver(), &["a"])[0];
    assert_eq!(resolved.host_key.policy, crate::ssh::resolved::HostKeyPolicy::AcceptNew);
    assert_eq!(resolved.ciphers, None);
}

#[test]
fn a_program_that_is_no_openssh_is_not_believed() {
    let mut machine = Machine::with("User mine\n");
    machine.stand_in("exit 1");
    let script = machine.directory.path().join("ssh");
    fs::write(&script, "#!/bin/sh\necho 'Unknown option -G' >&2\nexit 1\n").unwrap();
    let resolver = machine.resolver();
    assert_eq!(resolve_all(&resolver, &["a", "b"])[0].user, "mine");
    let warnings = resolver.take_warnings();
    assert_eq!(
        warnings,
        ["ssh refuses its configuration: Unknown option -G; relying on the own reading of the ssh configuration"]
    );
}
