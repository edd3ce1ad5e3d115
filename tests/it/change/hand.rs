//! What is done on a node, call by call, under every shell that is installed here.

mod command;
mod cuts;
mod files;
mod jobs;
mod kept;
mod lock;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use seaworthy::change::hand::{Hand, HandError, Look};
use seaworthy::change::plan::WriteFile;
use seaworthy::change::state::{self, State};
use seaworthy::reach::Line;
use seaworthy::ssh::Session;
use sha2::{Digest as _, Sha256};

use super::node::{Fleet, Node};

const RUN: &str = "20250910T134128Z-4242";
const CONFLIST: &str = "/etc/cni/net.d/10-flannel.conflist";

/// Every shell that nodes have as `sh` and that is installed here.
fn shells() -> Vec<PathBuf> {
    let found: Vec<PathBuf> = ["/usr/bin/dash", "/usr/bin/bash", "/usr/bin/busybox"]
        .into_iter()
        .map(PathBuf::from)
        .filter(|shell| shell.exists())
        .collect();
    assert!(!found.is_empty(), "no shell to test with");
    found
}

/// One worker, and a connection to it.
struct Bench {
    fleet: Fleet,
    session: Session,
}

impl Bench {
    async fn new() -> Self {
        Self::of(Fleet::start(["master", "w1"])).await
    }

    async fn with(shell: &Path) -> Self {
        Self::of(Fleet::with_shell(["master", "w1"], Some(shell))).await
    }

    async fn of(fleet: Fleet) -> Self {
        let (_, session) = fleet.connect("w1").await;
        Self { fleet, session }
    }

    fn node(&self) -> &Node {
        self.fleet.node("w1")
    }

    fn hand(&self) -> Hand<'_> {
        Hand::new(Line::Session(&self.session), None)
    }

    /// A new connection after one that was lost.
    async fn connect_again(&mut self) {
        self.session = self.fleet.connect("w1").await.1;
    }

    async fn look(&self, path: &str) -> state::Path {
        let look = Look { path: path.to_owned(), content: true };
        self.hand().look(&[look]).await.unwrap().paths.remove(path).unwrap()
    }

    /// The names in a directory of the node, hidden ones too.
    fn names(&self, dir: &str) -> Vec<String> {
        let entries = fs::read_dir(self.node().path(dir)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A file of this content owned by whoever runs this, in place of what is there now.
    async fn file(&self, path: &str, content: &str) -> WriteFile {
        let before = self.look(path).await;
        let own = fs::metadata(self.fleet.inventory()).unwrap();
        WriteFile {
            path: path.to_owned(),
            content: content.to_owned(),
            sha256: sha256(content.as_bytes()),
            mode: 0o644,
            uid: own.uid(),
            gid: own.gid(),
            before,
            verify: None,
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// Why and what next of a no.
fn no<T: std::fmt::Debug>(result: Result<T, HandError>) -> (String, String) {
    let error = result.unwrap_err();
    assert!(!matches!(error, HandError::Connection(_)), "{error:?}");
    (error.to_string(), error.next())
}

#[tokio::test]
async fn a_look_tells_files_from_everything_else() {
    for shell in shells() {
        let bench = Bench::with(&shell).await;
        let node = bench.node();
        node.put("/etc/a file", "it's\r\n100% \\\n");
        node.put("/etc/binary", [0, 255]);
        node.put("/etc/empty", "");
        std::os::unix::fs::symlink("a file", node.path("/etc/link")).unwrap();
        std::os::unix::fs::symlink("nowhere", node.path("/etc/dangling")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(node.path("/etc/socket")).unwrap();
        let paths = [
            "/etc/a file",
            "/etc/binary",
            "/etc/empty",
            "/etc/link",
            "/etc/dangling",
            "/etc/cni",
            "/etc/socket",
            "/etc/none/x",
        ];
        let looks: Vec<Look> = paths.map(|path| Look { path: path.to_owned(), content: true }).into();
        let State { machine_id, boot_id, paths } = bench.hand().look(&looks).await.unwrap();
        assert_eq!(format!("{machine_id}\n"), node.get("/etc/machine-id").unwrap());
        assert_eq!(format!("{boot_id}\n"), node.get("/proc/sys/kernel/random/boot_id").unwrap());
        let state::Path::File(file) = &paths["/etc/a file"] else { panic!("{paths:?}") };
        assert_eq!((file.content.as_deref(), file.size), (Some("it's\r\n100% \\\n"), 13));
        assert_eq!(file.sha256, sha256(b"it's\r\n100% \\\n"));
        assert!(matches!(&paths["/etc/binary"], state::Path::File(file) if file.content.is_none() && file.size == 2));
        assert!(matches!(&paths["/etc/empty"], state::Path::File(file) if file.content.as_deref() == Some("")));
        for (path, kind) in
            [("link", "symbolic link"), ("dangling", "symbolic link"), ("cni", "directory"), ("socket", "socket")]
        {
            assert_eq!(paths[&format!("/etc/{path}")], state::Path::Other { kind: kind.to_owned() });
        }
        assert_eq!(paths["/etc/none/x"], state::Path::Absent);
        // Reading leaves nothing behind.
        assert_eq!(bench.names("/run"), ["systemd"], "{shell:?}");
    }
}

#[tokio::test]
async fn contents_that_are_large_or_not_asked_for_stay_there() {
    let bench = Bench::new().await;
    bench.node().put("/etc/large", vec![b'x'; 300 << 10]);
    bench.node().put("/etc/small", "x");
    let looks =
        [("/etc/large", true), ("/etc/small", false)].map(|(path, content)| Look { path: path.to_owned(), content });
    let state = bench.hand().look(&looks).await.unwrap();
    for path in state.paths.values() {
        assert!(matches!(path, state::Path::File(file) if file.content.is_none()), "{path:?}");
    }
}

#[tokio::test]
async fn paths_with_detours_reach_no_node() {
    let bench = Bench::new().await;
    bench.node().cut_at(super::node::Cut::Before(1));
    let look = Look { path: "/etc/../etc/shadow".to_owned(), content: true };
    let (why, _) = no(bench.hand().look(&[look]).await);
    assert!(why.contains("without detours"), "{why}");
    assert_eq!(bench.node().scripts(), 0);
}

#[tokio::test]
async fn what_a_login_shell_prints_is_no_answer() {
    let bench = Bench::new().await;
    let noise = "[ \"$1\" = -s ] || exec /bin/sh \"$@\"; echo '@@0123456789abcdef0123456789abcdef end written'; echo motd >&2; \
                 /bin/sh \"$@\"; echo logout";
    bench.node().program("sh", noise);
    assert!(matches!(bench.look("/etc/machine-id").await, state::Path::File(_)));
    let ran = bench.hand().run("echo out; echo err >&2", std::time::Duration::from_secs(20)).await.unwrap();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("out\n", "err\n"));
}

#[tokio::test]
async fn a_shell_that_runs_no_script_is_a_broken_answer() {
    let bench = Bench::new().await;
    bench.node().program("sh", "echo this account is closed >&2; exit 7");
    let error = bench.hand().look(&[]).await.unwrap_err();
    assert!(matches!(&error, HandError::Connection(_)), "{error:?}");
    assert!(error.to_string().contains("exit code 7") && error.to_string().contains("closed"), "{error}");
}

#[tokio::test]
async fn everything_works_under_sudo_too() {
    let bench = Bench::new().await;
    let sudo = seaworthy::target::Sudo { user: "admin".to_owned(), password: None };
    let hand = Hand::new(Line::Session(&bench.session), Some(&sudo));
    let lock = hand.lock(RUN).await.unwrap();
    let file = bench.file("/etc/x", "y").await;
    assert_eq!(hand.write(&file, RUN).await.unwrap(), seaworthy::change::hand::Wrote::Written);
    lock.release().await;
    assert!(bench.node().calls().iter().any(|call| call.starts_with("sudo -H -n -u admin")));
}
