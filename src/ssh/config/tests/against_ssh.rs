//! The own reading against the installed ssh.

use super::*;

/// The installed ssh with this process's own home; `None` (said on stderr) where there is none.
fn installed() -> Option<(Environment, PathBuf)> {
    let environment = Environment::from_process();
    let Some(ssh) = environment.ssh.clone() else {
        eprintln!("skipped: no ssh that sees this home");
        return None;
    };
    Some((environment, ssh))
}

/// What ssh says without any configuration.
async fn defaults(ssh: &Path) -> Said {
    let nothing = SshSettings { config_file: Some("none".into()), ..SshSettings::default() };
    installed::ask(ssh, "defaults", &nothing).await.unwrap()
}

/// What differs between the own reading and `ssh -G`.
async fn difference(
    environment: &Environment,
    ssh: &Path,
    defaults: &Said,
    name: &str,
    settings: &SshSettings,
) -> Corrections {
    let resolver = Resolver::new(Environment { ssh: None, ..environment.clone() });
    let source = resolver.source(settings.config_file.as_deref()).unwrap();
    let own = resolver.evaluate(&source, name, settings).await.unwrap().said;
    let theirs = installed::ask(ssh, name, settings).await.unwrap();
    installed::compare(&own, &theirs, defaults, name, settings, environment).unwrap()
}

const CONFIGS: [&str; 24] = [
    "",
    "# only a comment\n",
    "User before\nHost web\nUser web\n",
    "Host web other\n HostName %h.Lab\n Port 2222\nHost *\n Port 1\n HostName never\n",
    "Host *.lab !bad.lab\n User lab\nHost ba? we*\n User wild\nHost !web *\n User rest\n",
    "Port=7\nuser = x\nHOSTNAME\tWeb.Example\n",
    "IdentityFile ~/.ssh/%r_%h\nIdentityFile \"/a b/c\"\nIdentityFile '/d e' # f\nIdentityFile ~/.ssh/%r_%h\nCertificateFile %d/c\n",
    "IdentityFile none\nIdentitiesOnly yes\nIdentityAgent none\n",
    "IdentityAgent $FOO\nHost web\nIdentityAgent SSH_AUTH_SOCK\n",
    "UserKnownHostsFile ~/.ssh/k1 /x/%h-%n-%p-%r\nGlobalKnownHostsFile none\nHashKnownHosts yes\nHostKeyAlias key.alias\n",
    "UserKnownHostsFile none\nGlobalKnownHostsFile /a /b\n",
    "StrictHostKeyChecking off\nHost web\nStrictHostKeyChecking yes\n",
    "StrictHostKeyChecking ask\n",
    "ConnectTimeout 1m30\nServerAliveInterval 2m\nAddressFamily inet6\nBindAddress 10.0.0.1\nPort 22\n",
    "ConnectTimeout none\nServerAliveInterval 0\nPreferredAuthentications publickey,password\n",
    "PasswordAuthentication no\nChallengeResponseAuthentication no\nPubkeyAuthentication host-bound\n",
    "ProxyJump ann@a:22,[::1]:33\nProxyCommand nc %h %p\n",
    "ProxyCommand nc 'a b' \"%h\" %p # kept\nProxyJump a\n",
    "ProxyJump none\nProxyCommand nc\nProxyJump b\n",
    "ProxyCommand none\nProxyJump a\n",
    "Match host web user root,nobody-else\n Port 1\nMatch Host WEB\n Port 2\nMatch all\n Port 3\n",
    "Host web\n HostName real.lab\nMatch host real.*\n User real\nMatch originalhost web,x !user none\n Port 9\nMatch !host real.lab\n ConnectTimeout 3\n",
    "Host web\n HostName real.lab\nHost real.lab\n Port 18\nMatch final all\n User final\nMatch canonical host *\n ConnectTimeout 4\n",
    "Match exec \"test %h = web\"\n Port 6\nMatch exec false\n Port 7\nMatch !exec \"test %n = web\" exec true\n User x\n",
];

#[test]
fn the_own_reading_is_that_of_ssh() {
    let Some((environment, ssh)) = installed() else { return };
    let directory = tempfile::tempdir().unwrap();
    wait(async {
        let defaults = defaults(&ssh).await;
        for (n, config) in CONFIGS.iter().enumerate() {
            let file = directory.path().join(format!("config{n}"));
            fs::write(&file, config).unwrap();
            for name in ["web", "bad.lab", "UPPER.lab"] {
                for base in [
                    SshSettings::default(),
                    SshSettings {
                        user: Some("flag".into()),
                        port: Some(22),
                        jump: Some("j".into()),
                        ..SshSettings::default()
                    },
                    options(&[("Port", "99"), ("IdentityFile", "/option"), ("ProxyCommand", "a b %h"), ("User", "o")]),
                ] {
                    let settings = SshSettings { config_file: Some(file.clone()), ..base };
                    let found = difference(&environment, &ssh, &defaults, name, &settings).await;
                    assert_eq!(found, Corrections::default(), "{name} {settings:?} with\n{config}");
                }
            }
        }
    });
}

/// The comparison sees every kind of value: against a reading that saw nothing, all of ssh's answer is a difference.
#[test]
fn a_reading_that_misses_something_is_found_out() {
    let Some((environment, ssh)) = installed() else { return };
    let text = "HostName x\nPort 7\nUser u\nIdentityFile /k\nUserKnownHostsFile /h\nStrictHostKeyChecking yes\nProxyJump j\nConnectTimeout 3\nCiphers aes128-ctr\n";
    let machine = Machine::new();
    let settings = SshSettings { config_file: Some(machine.write("config", text)), ..SshSettings::default() };
    let found = wait(async {
        let theirs = installed::ask(&ssh, "web", &settings).await.unwrap();
        let defaults = defaults(&ssh).await;
        installed::compare(&Said::default(), &theirs, &defaults, "web", &settings, &environment).unwrap()
    });
    assert!(found.for_this_host_only, "it gives the host another name");
    let mut said = Said::default();
    found.apply(&mut said);
    let corrected: Vec<&str> =
        Keyword::ALL.into_iter().filter(|keyword| said.get(*keyword).is_some()).map(Keyword::name).collect();
    assert_eq!(
        corrected,
        [
            "Ciphers",
            "ConnectTimeout",
            "HostName",
            "IdentityFile",
            "Port",
            "ProxyJump",
            "StrictHostKeyChecking",
            "User",
            "UserKnownHostsFile"
        ]
    );
}

#[test]
fn includes_are_read_as_ssh_reads_them() {
    let Some((environment, ssh)) = installed() else { return };
    let machine = Machine::new();
    machine.write("d/20", "Host web\nUser twenty\nMatch all\nConnectTimeout 20\n");
    machine.write("d/10", "Host other\nUser ten\n");
    machine.write("inside", "Port 2\nHost *\nConnectTimeout 2\n");
    let file = machine.write("config", "Host web\nInclude DIR/inside\nHost *\nInclude DIR/d/* DIR/missing\nPort 3\n");
    wait(async {
        let defaults = defaults(&ssh).await;
        for name in ["web", "other", "third"] {
            let settings = SshSettings { config_file: Some(file.clone()), ..SshSettings::default() };
            let found = difference(&environment, &ssh, &defaults, name, &settings).await;
            assert_eq!(found, Corrections::default(), "{name}");
        }
    });
}

#[test]
fn what_ssh_refuses_is_refused() {
    let Some((environment, _)) = installed() else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config");
    fs::write(&file, "Hostnam x\n").unwrap();
    let settings = SshSettings { config_file: Some(file), ..SshSettings::default() };
    let failure = wait(Resolver::new(environment).resolve("h", &settings)).unwrap_err();
    assert!(failure.message.starts_with("ssh refuses its configuration: "), "{failure}");
    assert!(failure.message.contains("line 1: Bad configuration option: hostnam"), "{failure}");
}

/// The two readers give the same connection, down to every field.
#[test]
fn with_and_without_ssh_the_same_connection_comes_out() {
    let Some((environment, _)) = installed() else { return };
    let directory = tempfile::tempdir().unwrap();
    for (n, config) in CONFIGS.iter().enumerate() {
        let file = directory.path().join(format!("config{n}"));
        fs::write(&file, config).unwrap();
        let settings = SshSettings { config_file: Some(file), ..SshSettings::default() };
        let own = Resolver::new(Environment { ssh: None, ..environment.clone() });
        let both = Resolver::new(environment.clone());
        for name in ["web", "bad.lab"] {
            let own = wait(own.resolve(name, &settings)).map(|resolved| format!("{resolved:?}"));
            let both = wait(both.resolve(name, &settings)).map(|resolved| format!("{resolved:?}"));
            assert_eq!(own, both, "{name} with\n{config}");
        }
    }
}
