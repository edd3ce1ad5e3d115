//! From a name and a port to a TCP connection: resolving, and dialling several addresses.
//!
//! Each phase has its own deadline, and each way of failing its own [`FailureKind`]. Nothing here knows SSH.

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::limits;
use super::resolved::AddressFamily;
use crate::failure::{Failure, FailureKind};

/// How long one address is tried alone before the next one is tried beside it (RFC 8305 recommends 250 ms).
const STAGGER: Duration = Duration::from_millis(250);
/// The addresses of a name, in the resolver's order, of the wanted family.
pub(super) async fn resolve(
    host: &str,
    port: u16,
    family: AddressFamily,
    deadline: Duration,
) -> Result<Vec<SocketAddr>, Failure> {
    let wanted = |address: &SocketAddr| match family {
        AddressFamily::Any => true,
        AddressFamily::V4 => address.is_ipv4(),
        AddressFamily::V6 => address.is_ipv6(),
    };
    let check = "check the name, or set ansible_host (or HostName) to an address";
    let found: Vec<SocketAddr> = match timeout(deadline, tokio::net::lookup_host((host, port))).await {
        Err(_) => {
            let message = format!("{host} did not resolve within {}", seconds(deadline));
            return Err(Failure::new(
                FailureKind::Dns,
                message,
                "check the resolver (/etc/resolv.conf), or set an address",
            ));
        }
        Ok(Err(error)) => {
            let text = error.to_string();
            let text = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
            return Err(Failure::new(FailureKind::Dns, format!("{host} does not resolve: {text}"), check));
        }
        Ok(Ok(found)) => found.collect(),
    };
    let addresses: Vec<SocketAddr> = found.iter().copied().filter(wanted).collect();
    if addresses.is_empty() {
        let family = if family == AddressFamily::V6 { "IPv6" } else { "IPv4" };
        let message = format!("{host} has no {family} address");
        return Err(Failure::new(FailureKind::Dns, message, "check AddressFamily and the name's records"));
    }
    Ok(addresses)
}

/// Connects to the first address that answers. Addresses are tried in turn, each [`STAGGER`] after the one before or as soon as
/// that one has failed; the deadline is for all together.
pub(super) async fn dial(
    addresses: &[SocketAddr],
    bind: Option<&str>,
    deadline: Duration,
) -> Result<TcpStream, Failure> {
    let bind = bind.map(parse_bind).transpose()?;
    let mut failed: Vec<(SocketAddr, io::Error)> = Vec::new();
    let race = async {
        let mut waiting = addresses.iter().copied();
        let mut running = FuturesUnordered::new();
        if let Some(first) = waiting.next() {
            running.push(attempt(first, bind));
        }
        while !running.is_empty() {
            let finished = tokio::select! {
                finished = running.next() => finished,
                () = sleep(STAGGER), if waiting.len() > 0 => None,
            };
            match finished {
                Some((_, Ok(stream))) => return Some(stream),
                Some((address, Err(error))) => failed.push((address, error)),
                None => {}
            }
            if let Some(next) = waiting.next() {
                running.push(attempt(next, bind));
            }
        }
        None
    };
    match timeout(deadline, race).await {
        Ok(Some(stream)) => {
            // Without it every small packet waits for an acknowledgement.
            let _ = stream.set_nodelay(true);
            Ok(stream)
        }
        Ok(None) => Err(dial_failure(&failed)),
        Err(_) => {
            let silent: Vec<String> = addresses
                .iter()
                .filter(|address| !failed.iter().any(|(other, _)| other == *address))
                .map(ToString::to_string)
                .collect();
            let mut message = format!("no answer from {} within {}", silent.join(", "), seconds(deadline));
            for (address, error) in &failed {
                let _ = write!(message, "; {address}: {}", plain(error));
            }
            let next =
                "check that the host is up and that no firewall drops the port; raise the limit with ConnectTimeout";
            Err(Failure::new(FailureKind::TcpTimeout, message, next))
        }
    }
}

fn parse_bind(text: &str) -> Result<IpAddr, Failure> {
    text.parse().map_err(|_| {
        let message = format!("BindAddress {text:?} is not an address");
        Failure::new(FailureKind::Settings, message, "write one of this machine's addresses")
    })
}

async fn attempt(address: SocketAddr, bind: Option<IpAddr>) -> (SocketAddr, io::Result<TcpStream>) {
    let connect = async {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(local) = bind {
            socket.bind(SocketAddr::new(local, 0))?;
        }
        socket.connect(address).await
    };
    (address, connect.await)
}

/// One failure out of one per address: the most telling kind, and every address in the message.
fn dial_failure(failed: &[(SocketAddr, io::Error)]) -> Failure {
    let kinds: Vec<FailureKind> = failed.iter().map(|(_, error)| kind_of(error)).collect();
    let order = [
        FailureKind::Local,
        FailureKind::Settings,
        FailureKind::Refused,
        FailureKind::TcpTimeout,
        FailureKind::NoRoute,
        FailureKind::ConnectionLost,
    ];
    let kind = order.into_iter().find(|kind| kinds.contains(kind)).unwrap_or(FailureKind::NoRoute);
    let message =
        failed.iter().map(|(address, error)| format!("{address}: {}", plain(error))).collect::<Vec<_>>().join("; ");
    let next = match kind {
        FailureKind::Local => limits::NO_ROOM,
        FailureKind::Settings => "set BindAddress to one of this machine's addresses",
        FailureKind::Refused => "check that sshd runs there and that the port is right (ansible_port)",
        FailureKind::TcpTimeout => "check that the host is up and that no firewall drops the port",
        _ => "check that the host is up, its address, and the route from this machine",
    };
    Failure::new(kind, message, next)
}

fn kind_of(error: &io::Error) -> FailureKind {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => FailureKind::Refused,
        io::ErrorKind::TimedOut => FailureKind::TcpTimeout,
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::InvalidInput => FailureKind::Settings,
        _ if limits::is_no_room(error) => FailureKind::Local,
        _ => FailureKind::NoRoute,
    }
}

/// The system's words without the error number, lower case.
pub(super) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut characters = text.chars();
    characters.next().map(|first| first.to_lowercase().chain(characters).collect()).unwrap_or_default()
}

/// `10s`, `1.5s`, `200ms`.
pub(super) fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        return format!("{}ms", duration.as_millis());
    }
    format!("{}s", (duration.as_secs_f64() * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_named_and_the_most_telling_kind_wins() {
        let error = |code: i32| io::Error::from_raw_os_error(code);
        let (first, second) = ("10.0.0.1:22".parse().unwrap(), "[::1]:22".parse().unwrap());
        let cases: &[(&[i32], FailureKind)] = &[
            (&[113], FailureKind::NoRoute),
            (&[101, 111], FailureKind::Refused),
            (&[110, 113], FailureKind::TcpTimeout),
            (&[13], FailureKind::NoRoute),
            (&[24, 24], FailureKind::Local),
            (&[99], FailureKind::Settings),
        ];
        for (codes, kind) in cases {
            let failed: Vec<_> = [first, second].into_iter().zip(codes.iter().map(|code| error(*code))).collect();
            assert_eq!(dial_failure(&failed).kind, *kind, "{codes:?}");
        }
        let both = dial_failure(&[(first, error(113)), (second, error(111))]);
        assert_eq!(both.message, "10.0.0.1:22: no route to host; [::1]:22: connection refused");
    }

    #[tokio::test]
    async fn silence_is_a_timeout_and_the_next_address_is_tried_beside_it() {
        // A listener whose queue is full drops further handshakes, as a firewall does.
        let full = TcpSocket::new_v4().unwrap();
        full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = full.listen(1).unwrap();
        let silent = full.local_addr().unwrap();
        let mut queue = Vec::new();
        while let Ok(waiting) = timeout(Duration::from_millis(300), TcpStream::connect(silent)).await {
            queue.push(waiting.unwrap());
        }
        let failure = dial(&[silent], None, Duration::from_millis(300)).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::TcpTimeout);
        assert_eq!(failure.message, format!("no answer from {silent} within 300ms"));

        let open = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answers = open.local_addr().unwrap();
        let stream = dial(&[silent, answers], None, Duration::from_secs(20)).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), answers);
    }

    #[test]
    fn durations_read_as_people_write_them() {
        for (millis, text) in [(200, "200ms"), (1500, "1.5s"), (10_000, "10s")] {
            assert_eq!(seconds(Duration::from_millis(millis)), text);
        }
    }
}
