//! A pretended node's SSH server: runs commands, and answers probes itself.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use russh::keys::PrivateKey;
use russh::server::{self, Auth, ChannelOpenHandle, Handle, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelMsg, ChannelOpenFailure, MethodKind, MethodSet};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use super::{Cut, Node};

/// Listens on a free port, for as long as its runtime lives.
pub(super) async fn listen(node: Arc<Node>, host_key: PrivateKey) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(server::Config {
        methods: MethodSet::from([MethodKind::PublicKey].as_slice()),
        keys: vec![host_key],
        auth_rejection_time: Duration::ZERO,
        nodelay: true,
        ..server::Config::default()
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let peer = Peer { node: Arc::clone(&node), channels: HashMap::new() };
            let config = Arc::clone(&config);
            let connection = tokio::spawn(async move {
                if let Ok(session) = server::run_stream(config, stream, peer).await {
                    // The session runs in a task of its own, which ends with this one.
                    let leash = Leash(session.handle());
                    let _ = session.await;
                    drop(leash);
                }
            });
            node.connections.lock().unwrap().push(connection.abort_handle());
        }
    });
    port
}

/// Ends a connection when dropped.
struct Leash(Handle);

impl Drop for Leash {
    fn drop(&mut self) {
        let handle = self.0.clone();
        tokio::spawn(
            async move { handle.disconnect(russh::Disconnect::ByApplication, String::new(), String::new()).await },
        );
    }
}

struct Peer {
    node: Arc<Node>,
    channels: HashMap<ChannelId, Channel<Msg>>,
}

impl Peer {
    fn judge(&self, key: &russh::keys::PublicKey) -> Auth {
        if key.key_data() == self.node.cluster.client_key.key_data() { Auth::Accept } else { Auth::reject() }
    }
}

impl server::Handler for Peer {
    type Error = russh::Error;

    async fn auth_publickey_offered(&mut self, _: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        Ok(self.judge(offer.public_key))
    }

    async fn auth_publickey(&mut self, _: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        Ok(self.judge(key.public_key))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        let wanted = (host.to_owned(), u16::try_from(port).unwrap_or_default());
        let place = self.node.routes.lock().unwrap().get(&wanted).cloned();
        tokio::spawn(async move {
            let Some(place) = place else {
                reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
                return;
            };
            let Ok(mut far) = TcpStream::connect(place).await else {
                reply.reject(ChannelOpenFailure::ConnectFailed).await;
                return;
            };
            reply.accept().await;
            let _ = tokio::io::copy_bidirectional(&mut channel.into_stream(), &mut far).await;
        });
        Ok(())
    }

    async fn exec_request(&mut self, id: ChannelId, command: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        session.channel_success(id)?;
        let command = String::from_utf8_lossy(command).into_owned();
        let channel = self.channels.remove(&id).unwrap();
        tokio::spawn(run(Arc::clone(&self.node), session.handle(), channel, command));
        Ok(())
    }
}

/// What its standard input turned out to be.
enum Input {
    Script,
    Probe(String),
    Other,
}

/// Runs a command to its end, or until the client is gone: then its pipes close, and it goes on without them as under sshd.
async fn run(node: Arc<Node>, handle: Handle, channel: Channel<Msg>, command: String) {
    let id = channel.id();
    let mut child = spawn(&node, &command);
    let mut stdin = child.stdin.take();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (mut reader, _writer) = channel.split();
    // The beginning of the input, until its first line has come.
    let mut head = command.ends_with("sh -s'") || command.ends_with("sh -s");
    let mut arrived = Vec::new();
    // The line of its answer after which the connection ends.
    let (mut last, mut swallowed) = (None, Vec::new());
    let (mut out_open, mut err_open) = (true, true);
    let (mut space, mut err_space) = (vec![0; 32 << 10], vec![0; 4 << 10]);
    while out_open || err_open {
        tokio::select! {
            message = reader.wait() => match message {
                Some(ChannelMsg::Data { data }) => {
                    if !head {
                        if let Some(pipe) = &mut stdin {
                            let _ = pipe.write_all(&data).await;
                        }
                        continue;
                    }
                    arrived.extend_from_slice(&data);
                    if !arrived.contains(&b'\n') {
                        continue;
                    }
                    head = false;
                    match open(&node, &mut arrived) {
                        Input::Probe(nonce) => {
                            kill(&mut child).await;
                            return probe(&node, &handle, &mut reader, id, &nonce).await;
                        }
                        Input::Script => {
                            let number = node.scripts.fetch_add(1, Ordering::SeqCst) + 1;
                            let cut = *node.cut.lock().unwrap();
                            match cut {
                                Some(Cut::Before(n)) if n == number => {
                                    kill(&mut child).await;
                                    return node.cut();
                                }
                                Some(Cut::During(n)) if n == number => last = Some((nonce_of(&arrived), "begin")),
                                Some(Cut::After(n)) if n == number => last = Some((nonce_of(&arrived), "end")),
                                _ => {}
                            }
                        }
                        Input::Other => {}
                    }
                    if let Some(pipe) = &mut stdin {
                        let _ = pipe.write_all(&arrived).await;
                    }
                }
                Some(ChannelMsg::Eof) => {
                    if head && let Some(pipe) = &mut stdin {
                        let _ = pipe.write_all(&arrived).await;
                    }
                    stdin = None;
                }
                Some(ChannelMsg::Close) | None => return,
                Some(_) => {}
            },
            count = out.read(&mut space), if out_open => match count {
                Ok(count @ 1..) => match &last {
                    None => if handle.data(id, space[..count].to_vec()).await.is_err() { return },
                    Some((nonce, word)) => {
                        swallowed.extend_from_slice(&space[..count]);
                        if String::from_utf8_lossy(&swallowed).contains(&format!("@@{nonce} {word}")) {
                            return node.cut();
                        }
                    }
                },
                _ => out_open = false,
            },
            count = err.read(&mut err_space), if err_open => match count {
                Ok(count @ 1..) => { let _ = handle.extended_data(id, 1, err_space[..count].to_vec()).await; }
                _ => err_open = false,
            },
        }
    }
    let status = child.wait().await.unwrap();
    let _ = handle.exit_status_request(id, u32::try_from(status.code().unwrap_or(255)).unwrap()).await;
    let _ = handle.eof(id).await;
    let _ = handle.close(id).await;
}

fn spawn(node: &Node, command: &str) -> Child {
    Command::new("/bin/sh")
        .args(["-c", command])
        .env_clear()
        .env("PATH", node.search_path())
        .env("SEAWORTHY_PRETENDED", &node.root)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

async fn kill(child: &mut Child) {
    let _ = child.kill().await;
}

fn nonce_of(script: &[u8]) -> String {
    String::from_utf8_lossy(script).trim_start_matches("N=").chars().take(32).collect()
}

/// Tells what a script is by its first line, and gives one of ours this node's root and programs.
fn open(node: &Node, arrived: &mut Vec<u8>) -> Input {
    let end = arrived.iter().position(|byte| *byte == b'\n').unwrap();
    let line = String::from_utf8_lossy(&arrived[..end]).into_owned();
    let Some((nonce, settings)) = line.strip_prefix("N=").and_then(|rest| rest.split_once(' ')) else {
        return Input::Other;
    };
    if settings != "R= P=" {
        return Input::Probe(nonce.to_owned());
    }
    let own = format!("N={nonce} R={} P={}", node.root.display(), node.search_path());
    arrived.splice(..end, own.into_bytes());
    Input::Script
}

/// Reads the rest of the script, and answers.
async fn probe(node: &Node, handle: &Handle, reader: &mut russh::ChannelReadHalf, id: ChannelId, nonce: &str) {
    while let Some(message) = reader.wait().await {
        if matches!(message, ChannelMsg::Eof) {
            break;
        }
    }
    let _ = handle.data(id, node.answer(nonce).into_bytes()).await;
    let _ = handle.exit_status_request(id, 0).await;
    let _ = handle.eof(id).await;
    let _ = handle.close(id).await;
}
