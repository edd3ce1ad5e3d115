//! Every call cut at every command that it runs: what is left is the old or the new, and the next call does the rest.
//!
//! Not under busybox, whose shell runs its own tools and never looks for those that do the cutting.

use std::fs;

use seaworthy::change::hand::{Hand, HandError};

use super::{Bench, CONFLIST, RUN, shells};

/// Kills the whole script in place of the command whose number is in `cut` of the cluster's directory.
const KILLER: &str = r#"
read -r n <"$C/cut" && echo $((n - 1)) >"$C/cut.new" && /bin/mv "$C/cut.new" "$C/cut"
if [ "$n" = 1 ]; then
  p=$PPID list=
  while [ "$p" -gt 1 ] && /usr/bin/tr '\0' '\n' <"/proc/$p/environ" | /bin/grep -q '^SEAWORTHY_PRETENDED='; do
    list="$list $p"
    while read -r key value _; do [ "$key" = PPid: ] && p=$value && break; done <"/proc/$p/status"
  done
  kill -9 $list
  exit 1
fi
exec "#;

/// What the scripts run.
const PROGRAMS: [&str; 17] = [
    "base64",
    "cat",
    "chmod",
    "chown",
    "cp",
    "find",
    "flock",
    "ln",
    "mkdir",
    "mv",
    "readlink",
    "rm",
    "rmdir",
    "sha256sum",
    "stat",
    "sync",
    "tr",
];

fn arm(bench: &Bench) {
    for program in PROGRAMS {
        let real = ["/usr/bin", "/bin"]
            .map(|dir| format!("{dir}/{program}"))
            .into_iter()
            .find(|path| fs::exists(path).unwrap());
        bench.node().program(program, &format!("{KILLER}{} \"$@\"\n", real.unwrap()));
    }
    kill_at(bench, 0);
}

fn kill_at(bench: &Bench, number: usize) {
    fs::write(bench.fleet.shared("cut"), format!("{number}\n")).unwrap();
}

/// Runs `call` cut at its first command, its second and so on until it is not cut any more. After each cut `legal` looks at what is
/// left, the call is made again and must succeed, `done` looks at the end, and `reset` makes everything as it was.
async fn cut_everywhere(
    bench: &Bench,
    call: impl AsyncFn(Hand<'_>) -> Result<(), HandError>,
    legal: impl Fn(&Bench, usize),
    done: impl Fn(&Bench, usize),
    reset: impl AsyncFn(&Bench),
) -> usize {
    for number in 1..200 {
        kill_at(bench, number);
        let cut = call(bench.hand()).await;
        kill_at(bench, 0);
        if cut.is_err() {
            assert!(matches!(cut, Err(HandError::Connection(_))), "cut at {number}: {cut:?}");
            legal(bench, number);
            call(bench.hand()).await.unwrap_or_else(|error| panic!("after a cut at {number}: {error:?}"));
        }
        done(bench, number);
        if cut.is_ok() {
            return number;
        }
        reset(bench).await;
    }
    panic!("it is never done");
}

#[tokio::test]
async fn writing_and_taking_it_back() {
    for shell in shells().into_iter().filter(|shell| !shell.ends_with("busybox")) {
        let bench = Bench::with(&shell).await;
        arm(&bench);
        bench.node().put(CONFLIST, "old");
        let file = bench.file(CONFLIST, "new").await;
        let either = |bench: &Bench, number: usize| {
            let now = bench.node().get(CONFLIST).unwrap();
            assert!(now == "old" || now == "new", "{shell:?} cut at {number}: {now:?}");
        };
        let holds = |content: &'static str, count: usize| {
            move |bench: &Bench, number: usize| {
                assert_eq!(bench.node().get(CONFLIST).as_deref(), Some(content), "cut at {number}");
                assert_eq!(
                    bench.names("/etc/cni/net.d").len(),
                    count,
                    "cut at {number}: {:?}",
                    bench.names("/etc/cni/net.d")
                );
                assert!(!bench.names("/etc/cni/net.d").iter().any(|name| name.contains(".seaworthy.")));
            }
        };
        let write = async |hand: Hand<'_>| hand.write(&file, RUN).await.map(drop);
        let back = async |hand: Hand<'_>| hand.put_back(&file, RUN).await;
        let written =
            cut_everywhere(&bench, write, either, holds("new", 2), async |bench| back(bench.hand()).await.unwrap())
                .await;
        let taken =
            cut_everywhere(&bench, back, either, holds("old", 1), async |bench| write(bench.hand()).await.unwrap())
                .await;
        assert!(written > 12 && taken > 6, "{shell:?}: {written} and {taken} commands");
    }
}

#[tokio::test]
async fn writing_where_nothing_was() {
    let bench = Bench::new().await;
    arm(&bench);
    let file = bench.file(CONFLIST, "new").await;
    let either = |bench: &Bench, _| assert!(matches!(bench.node().get(CONFLIST).as_deref(), None | Some("new")));
    let count = |count: usize| {
        move |bench: &Bench, number: usize| assert_eq!(bench.names("/etc/cni/net.d").len(), count, "cut at {number}")
    };
    let write = async |hand: Hand<'_>| hand.write(&file, RUN).await.map(drop);
    let back = async |hand: Hand<'_>| hand.put_back(&file, RUN).await;
    cut_everywhere(&bench, write, either, count(1), async |bench| back(bench.hand()).await.unwrap()).await;
    cut_everywhere(&bench, back, either, count(0), async |bench| write(bench.hand()).await.unwrap()).await;
}

const PATHS: [&str; 5] = [
    "/etc/kubernetes/kubelet.conf",
    "/etc/kubernetes/pki",
    "/var/lib/kubelet/config.yaml",
    "/var/lib/kubelet/link",
    "/var/lib/kubelet/pki",
];

/// Two files, a directory and a link there, one directory not.
fn lay_out(bench: &Bench) {
    let node = bench.node();
    for path in PATHS {
        node.remove(path);
    }
    node.put("/etc/kubernetes/kubelet.conf", "old identity");
    node.put("/var/lib/kubelet/config.yaml", "old");
    node.put("/var/lib/kubelet/pki/a.pem", "old");
    std::os::unix::fs::symlink("config.yaml", node.path("/var/lib/kubelet/link")).unwrap();
}

/// What a join does to it.
fn overwrite(bench: &Bench) {
    let node = bench.node();
    node.put("/etc/kubernetes/kubelet.conf", "new identity");
    node.put("/etc/kubernetes/pki/ca.crt", "new");
    node.put("/var/lib/kubelet/pki/b.pem", "new");
    node.remove("/var/lib/kubelet/config.yaml");
    node.remove("/var/lib/kubelet/link");
    std::os::unix::fs::symlink("pki", node.path("/var/lib/kubelet/link")).unwrap();
}

fn is_as_laid_out(bench: &Bench, number: usize) {
    let node = bench.node();
    assert_eq!(node.get("/etc/kubernetes/kubelet.conf").as_deref(), Some("old identity"), "cut at {number}");
    assert_eq!(node.get("/var/lib/kubelet/config.yaml").as_deref(), Some("old"), "cut at {number}");
    assert_eq!(bench.names("/var/lib/kubelet/pki"), ["a.pem"], "cut at {number}");
    assert_eq!(bench.names("/var/lib/kubelet"), ["config.yaml", "link", "pki"], "cut at {number}");
    assert_eq!(fs::read_link(node.path("/var/lib/kubelet/link")).unwrap().to_str(), Some("config.yaml"));
    assert_eq!(bench.names("/etc/kubernetes"), ["kubelet.conf", "manifests"], "cut at {number}");
}

#[tokio::test]
async fn keeping_putting_back_and_forgetting() {
    let bench = Bench::new().await;
    arm(&bench);
    let paths = PATHS.map(str::to_owned);
    lay_out(&bench);
    let keep = async |hand: Hand<'_>| hand.keep(RUN, &paths).await;
    let back = async |hand: Hand<'_>| hand.put_back_kept(RUN).await;
    let forget = async |hand: Hand<'_>| hand.forget_kept(RUN).await;
    let kept = |bench: &Bench, number: usize| {
        assert_eq!(bench.names("/var/lib/seaworthy"), [RUN], "cut at {number}");
        assert_eq!(bench.names(&format!("/var/lib/seaworthy/{RUN}")), ["0", "2", "3", "4", "kinds", "paths"]);
    };
    cut_everywhere(&bench, keep, is_as_laid_out, kept, async |bench| forget(bench.hand()).await.unwrap()).await;

    overwrite(&bench);
    // What was not there and what was: nothing of the copies is lost on the way.
    let commands = cut_everywhere(
        &bench,
        back,
        |bench, number| kept(bench, number),
        is_as_laid_out,
        async |bench| overwrite(bench),
    )
    .await;
    assert!(commands > 15, "{commands}");

    let gone =
        |bench: &Bench, number: usize| assert!(!bench.node().path("/var/lib/seaworthy").exists(), "cut at {number}");
    cut_everywhere(&bench, forget, is_as_laid_out, gone, async |bench| keep(bench.hand()).await.unwrap()).await;
    // Undoing once more, after everything is forgotten, changes nothing.
    overwrite(&bench);
    back(bench.hand()).await.unwrap();
    assert_eq!(bench.node().get("/etc/kubernetes/kubelet.conf").as_deref(), Some("new identity"));
}
