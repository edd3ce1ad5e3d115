//! Names that do not resolve, and connections that are cut.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::stage::{Stage, TIMEOUT, host, is_root};

/// Starts a program on whose machine this file is the resolver's configuration.
fn resolving_by(file: &str) -> [&str; 6] {
    ["unshare", "-m", "sh", "-c", "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"", file]
}

/// Name servers that take every question and never answer.
fn silent_resolvers() -> Vec<(UdpSocket, SocketAddr)> {
    let [high, low, ..] = std::process::id().to_be_bytes()[2..] else { unreachable!("four bytes") };
    let bound = (1..=3).map(|last| {
        let socket = UdpSocket::bind((std::net::Ipv4Addr::new(127, high.max(1), low, last), 53)).unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    });
    bound.collect()
}

/// A name that does not exist: that row says `dns` with the resolver's words; exit code 4.
#[test]
fn a_name_that_does_not_exist() {
    let stage = Stage::new();
    let swept = stage.sweep(&[], "        lost: { ansible_host: no-such-host.invalid }\n", &[]);
    swept.assert_failure("lost", "dns", "no-such-host.invalid does not resolve");
    assert_eq!(swept.code, Some(4));
}

/// Name servers that are silent, and 700 names that only they know: each row says `dns` after `--dns-timeout`, however long the resolver holds its thread; hosts with a name that needs no server are read, also behind all the others; exit code 4.
#[test]
fn name_servers_are_silent() {
    const NAMES: usize = 700;
    if !is_root() {
        return;
    }
    let stage = Stage::new();
    let resolvers = silent_resolvers();
    let text: Vec<String> = resolvers.iter().map(|(_, address)| format!("nameserver {}\n", address.ip())).collect();
    stage.place.write("resolv.conf", &text.concat());
    let mut lines = String::new();
    for index in 0..NAMES {
        writeln!(lines, "        slow{index}: {{ ansible_host: slow{index}.example }}").unwrap();
    }
    let port = stage.third().port();
    writeln!(lines, "        late: {{ ansible_host: localhost, ansible_port: {port} }}").unwrap();
    let swept = stage.sweep(&resolving_by("resolv.conf"), &lines, &["-f", "256", "--dns-timeout", "3s"]);
    for index in 0..NAMES {
        swept.assert_failure(&format!("slow{index}"), "dns", "did not resolve within 3s");
    }
    swept.assert_read("late");
    assert_eq!(swept.code, Some(4), "{}", swept.stderr);
    // Three rounds of names, the node, and room for a busy machine. The resolver itself takes half a minute for each.
    assert!(swept.took < Duration::from_secs(3 * 3 + TIMEOUT + 30), "{:?}", swept.took);
}

/// From the last byte to the reset.
const A_MOMENT: Duration = Duration::from_secs(2);

/// Stands before the server: relays until so many bytes came from it, and a moment later resets the client's connection.
async fn resets_after(bytes: usize, server: SocketAddr) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(relay(client, bytes, server));
        }
    });
    port
}

async fn relay(mut client: TcpStream, bytes: usize, server: SocketAddr) {
    let mut server = TcpStream::connect(server).await.unwrap();
    let (mut up, mut down) = (vec![0; 4096], vec![0; 4096]);
    let mut left = bytes;
    while left > 0 {
        let room = left.min(down.len());
        let open = tokio::select! {
            count = client.read(&mut up) => match count {
                Ok(count @ 1..) => server.write_all(&up[..count]).await.is_ok(),
                _ => false,
            },
            count = server.read(&mut down[..room]) => match count {
                Ok(count @ 1..) => {
                    left -= count;
                    client.write_all(&down[..count]).await.is_ok()
                }
                _ => false,
            },
        };
        if !open {
            return;
        }
    }
    // What has not been taken from the network by then is lost.
    tokio::time::sleep(A_MOMENT).await;
    // What is dropped with this is not closed but reset.
    rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
}

/// Connections that are reset, in every phase from the first byte to the last section: each row names its phase (`refused`, `connection-lost`, `kex`) and the next move; what had been read of the probe is kept; nobody waits for a deadline; exit code 4.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_reset_in_every_phase() {
    let stage = Stage::new();
    // In the identification, in small steps through key exchange and login, then far apart: an answer comes
    // in packets of 32 KiB, and only a whole one can be read.
    let small = (0..64).map(|step| step * 64);
    let cuts: Vec<usize> = small.chain([8, 4096, 8192, 16_384, 32_768, 40_000]).collect();
    let mut lines = String::new();
    for cut in &cuts {
        let port = resets_after(*cut, stage.third()).await;
        lines += &host(&format!("cut{cut}"), port, "");
    }
    let swept = tokio::task::spawn_blocking(move || stage.sweep(&[], &lines, &[])).await.unwrap();
    let (mut phases, mut kept) = (BTreeSet::new(), 0);
    for cut in &cuts {
        let name = format!("cut{cut}");
        let [kind, message, next] = swept.failure(&name).unwrap_or_else(|| panic!("{name} was read"));
        println!("{name:<9} {kind:<16} {message}");
        assert!(["refused", "connection-lost", "kex"].contains(&kind.as_str()), "{name}: {kind}: {message}");
        assert!(!next.is_empty() && !message.is_empty(), "{name}");
        phases.insert(swept.node(&name)["failure"]["layer"].as_str().unwrap().to_owned());
        kept += usize::from(swept.has_facts(&name));
    }
    for phase in ["banner", "kex", "auth", "exec"] {
        assert!(phases.contains(phase), "no {phase} among {phases:?}");
    }
    assert!(kept >= 1, "nothing is kept of those that were cut in the probe");
    assert_eq!(swept.code, Some(4), "{}", swept.stderr);
    assert!(swept.took < Duration::from_secs(TIMEOUT + 20), "{:?}", swept.took);
}
