//! What the settings of a real sshd refuse.

use std::process::{Command, Stdio};

use super::stage::{Stage, Swept, host, line, until};
use crate::ssh::real_sshd::{Sshd, sshd};
use crate::ssh::support::{new_key, write_key};

/// Sweeps one node, `node`, behind an sshd with these settings.
async fn swept(settings: &str) -> Option<(Sshd, Swept)> {
    let sshd = sshd(settings).await?;
    let swept = Stage::new().sweep(&[], &line("node", &sshd), &[]);
    Some((sshd, swept))
}

/// `MaxSessions 1`: the node is read to the end, because a probe takes one session.
#[tokio::test]
async fn one_session_is_allowed() {
    let Some((_sshd, swept)) = swept("MaxSessions 1").await else { return };
    swept.assert_read("node");
}

/// `MaxStartups 1` and twenty hosts at this one sshd: each is begun again up to four times, and is read or its row quotes `Exceeded MaxStartups` and says what that is; read one after the other (`-f 1`) all are whole.
#[tokio::test]
async fn one_login_at_a_time_is_allowed() {
    let Some(sshd) = sshd("MaxStartups 1").await else { return };
    let stage = Stage::new();
    let lines: String = (0..20).map(|index| line(&format!("n{index}"), &sshd)).collect();
    let swept = stage.sweep(&[], &lines, &[]);
    let failed = (0..20).filter(|index| swept.failure(&format!("n{index}")).is_some());
    for index in failed {
        swept.assert_failure(&format!("n{index}"), "connection-lost", "Exceeded MaxStartups");
        swept.assert_failure(&format!("n{index}"), "connection-lost", "MaxStartups drops connections beyond its limit");
    }
    let swept = stage.sweep(&[], &lines, &["-f", "1"]);
    for index in 0..20 {
        swept.assert_read(&format!("n{index}"));
    }
}

/// Somebody else is about to log in, and gives it up as soon as we were turned away.
fn another_login(sshd: &Sshd) -> std::thread::JoinHandle<()> {
    let other = std::net::TcpStream::connect(("127.0.0.1", sshd.port)).unwrap();
    let log = sshd.client.dir.path().join("log");
    std::thread::spawn(move || {
        until("sshd turned us away", || std::fs::read_to_string(&log).unwrap_or_default().contains("MaxStartups"));
        drop(other);
    })
}

/// `MaxStartups 1` with another's login in the way: the connection is begun again, and the node is read.
#[tokio::test]
async fn another_login_is_in_the_way() {
    let Some(sshd) = sshd("MaxStartups 1").await else { return };
    let another = another_login(&sshd);
    let swept = Stage::new().sweep(&[], &line("node", &sshd), &[]);
    another.join().unwrap();
    swept.assert_read("node");
}

/// `MaxStartups 1` on a jump host, with others' logins in the way: the connection to it is begun again until there is room, and every host behind is read.
#[tokio::test]
async fn one_login_at_a_time_is_allowed_on_a_jump_host() {
    let Some(sshd) = sshd("MaxStartups 1").await else { return };
    let stage = Stage::new();
    let another = another_login(&sshd);
    let (port, key) = (sshd.port, sshd.client.key_file.display().to_string());
    let config = format!(
        "Host jump\n  HostName 127.0.0.1\n  Port {port}\n  User root\n  IdentityFile {key}\n  UserKnownHostsFile {}\n  StrictHostKeyChecking accept-new\n",
        stage.place.path().join("jump_hosts").display()
    );
    stage.place.write(".ssh/config", &config);
    let behind = stage.third().port();
    let through = ", ansible_ssh_common_args: '-J jump'";
    let lines: Vec<String> = (0..6).map(|index| host(&format!("b{index}"), behind, through)).collect();
    let swept = stage.sweep(&[], &lines.concat(), &[]);
    another.join().unwrap();
    for index in 0..6 {
        swept.assert_read(&format!("b{index}"));
    }
}

/// `MaxAuthTries 1` and an agent with several keys: the row says `auth`, quotes `Too many authentication failures` and advises `IdentitiesOnly`; a host whose key is named is read, because that key is offered first.
#[tokio::test]
async fn one_key_may_be_tried() {
    let Some(sshd) = sshd("MaxAuthTries 1").await else { return };
    let dir = sshd.client.dir.path();
    let socket = dir.join("agent");
    let agent = Command::new("ssh-agent").args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).spawn();
    let Ok(mut agent) = agent else { return eprintln!("skipped: no ssh-agent") };
    until("the agent listens", || socket.exists());
    let keys = ["k1", "k2", "k3"].map(|name| write_key(dir, name, &new_key()));
    for key in keys.iter().chain([&sshd.client.key_file]) {
        let added = Command::new("ssh-add").arg(key).env("SSH_AUTH_SOCK", &socket).stderr(Stdio::null()).status();
        assert!(added.unwrap().success());
    }
    let stage = Stage::new();
    // The fleet's inventory knows no agent.
    let own = format!("ansible_ssh_common_args: '-o IdentityAgent={}'", socket.display());
    let named = line("named", &sshd).replace(" }", &format!(", {own} }}"));
    let any = host("any", sshd.port, &format!(", ansible_ssh_private_key_file: '', {own}"));
    let swept = stage.sweep(&[], &format!("{named}{any}"), &[]);
    let _ = agent.kill();
    let _ = agent.wait();
    swept.assert_failure("any", "auth", "Too many authentication failures");
    swept.assert_failure("any", "auth", "IdentitiesOnly");
    swept.assert_read("named");
}

/// Penalties of sshd (9.8 and newer): after a refused login the next row at that address names `PerSourcePenalties` and the refused login of this run, and says to wait.
#[tokio::test]
async fn a_refused_login_earns_a_penalty() {
    // Whoever has no such setting refuses to start with it.
    let Some(sshd) = sshd("PerSourcePenalties authfail:300s min:1s").await else { return };
    let stranger = write_key(sshd.client.dir.path(), "stranger", &new_key());
    let refused =
        line("first", &sshd).replace(&sshd.client.key_file.display().to_string(), &stranger.display().to_string());
    let stage = Stage::new();
    // Between the two lies a node that takes its time: sshd notes a penalty when it sees its child's end.
    let between = host("between", stage.third().port(), "");
    let lines = format!("{refused}{between}{}", line("second", &sshd));
    let swept = stage.sweep(&[], &lines, &["-f", "1"]);
    swept.assert_failure("first", "auth", "offered");
    swept.assert_failure("second", "connection-lost", "it refused a login earlier in this run");
    swept.assert_failure("second", "connection-lost", "PerSourcePenalties");
}

/// Forwarding is forbidden (`AllowTcpForwarding no`): the node is read to the end; what is tried through it is unknown and says why, and is no failure.
#[tokio::test]
async fn forwarding_is_forbidden() {
    let Some((_sshd, swept)) = swept("AllowTcpForwarding no").await else { return };
    swept.assert_read("node");
    let healthz = &swept.node("node")["facts"]["reach"]["kubelet_healthz"]["unknown"];
    assert!(healthz.as_str().is_some_and(|why| why.contains("does not forward")), "{healthz}");
}

/// `ForceCommand` that runs something else: the row says `protocol`, quotes what it said, and asks for a shell without a forced command.
#[tokio::test]
async fn another_command_is_forced() {
    let Some((_sshd, swept)) = swept("ForceCommand echo maintenance tonight; exit 3").await else { return };
    swept.assert_failure("node", "protocol", "the host said: maintenance tonight");
    swept.assert_failure("node", "protocol", "no forced command");
    assert_eq!(swept.code, Some(4));
}

/// SFTP only (`ForceCommand internal-sftp`): the row says `protocol` and quotes sshd.
#[tokio::test]
async fn only_sftp_is_allowed() {
    let Some((_sshd, swept)) = swept("ForceCommand internal-sftp").await else { return };
    swept.assert_failure("node", "protocol", "This service allows sftp connections only");
}

/// `ChrootDirectory` without a shell in it: the row says `protocol` and quotes what is missing.
#[tokio::test]
async fn the_root_directory_has_no_shell() {
    // Of root alone up to the root, as sshd wants it, and without a shell: what sshd itself made for its own chroot.
    let Some((_sshd, swept)) = swept("ChrootDirectory /run/sshd").await else { return };
    swept.assert_failure("node", "protocol", "without running the probe");
    swept.assert_failure("node", "protocol", "No such file or directory");
}
