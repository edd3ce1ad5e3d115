//! Jobs: they survive their connection, are found again, and nothing of their secret stays.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use seaworthy::change::hand::{HandError, Job, JobEnd, JobState, JobStatus};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Bench, RUN, no, shells};

const SECRET: &str = "abcdef.0123456789abcdef";

fn job(command: &str) -> Job {
    Job {
        name: "join".to_owned(),
        run: RUN.to_owned(),
        attempt: 1,
        command: command.to_owned(),
        secret_file: Some(("discovery.yaml".to_owned(), format!("token: {SECRET}\n").into())),
    }
}

/// Waits for `hold` in the job's directory to be gone, then reads its secret file.
const WAITING: &str =
    "echo begun; : >hold; while [ -e hold ]; do sleep 0.02; done; wc -c <discovery.yaml; echo end >&2; exit 5";

/// Follows from `from` to the end.
async fn follow(bench: &Bench, from: u64) -> (String, Result<JobEnd, HandError>) {
    let (sink, mut log) = mpsc::unbounded_channel();
    let end = timeout(Duration::from_secs(30), bench.hand().follow_job("join", from, sink)).await.unwrap();
    let mut text = Vec::new();
    while let Ok(piece) = log.try_recv() {
        text.extend(piece);
    }
    (String::from_utf8(text).unwrap(), end)
}

/// Until the job holds.
async fn holds(bench: &Bench) {
    let path = bench.node().path("/run/seaworthy/join/hold");
    let held = async {
        while !path.exists() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), held).await.expect("the job does not begin");
}

fn let_go(bench: &Bench) {
    bench.node().remove("/run/seaworthy/join/hold");
}

fn job_processes(bench: &Bench) -> BTreeMap<i32, String> {
    let dir = bench.node().path("/run/seaworthy/join");
    let mut all = bench.node().processes();
    all.retain(|pid, _| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == dir));
    all
}

#[tokio::test]
async fn what_a_job_keeps_is_its_users_alone_and_what_it_makes_is_not() {
    for shell in shells() {
        let bench = Bench::with(&shell).await;
        bench.hand().start_job(&job(&format!(": >made; {WAITING}"))).await.unwrap();
        holds(&bench).await;
        let dir = bench.node().path("/run/seaworthy/join");
        let mode_of = |path: &std::path::Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!((mode_of(dir.parent().unwrap()), mode_of(&dir)), (0o700, 0o700), "{shell:?}");
        let (theirs, kept): (Vec<_>, Vec<_>) =
            bench.names("/run/seaworthy/join").into_iter().partition(|name| ["made", "hold"].contains(&name.as_str()));
        assert!(kept.contains(&"discovery.yaml".to_owned()) && kept.contains(&"log".to_owned()), "{kept:?}");
        for name in kept {
            assert_eq!(mode_of(&dir.join(&name)), 0o600, "{shell:?} {name}");
        }
        for name in theirs {
            assert_eq!(mode_of(&dir.join(&name)), 0o644, "{shell:?} {name}");
        }
        let_go(&bench);
        follow(&bench, 0).await.1.unwrap();
        bench.hand().clear_job("join").await.unwrap();
    }
}

#[tokio::test]
async fn a_job_is_followed_to_its_end_and_cleared() {
    for (shell, systemd) in shells().into_iter().flat_map(|shell| [(shell.clone(), true), (shell, false)]) {
        let bench = Bench::with(&shell).await;
        if !systemd {
            bench.node().remove("/run/systemd/system");
        }
        assert_eq!(bench.hand().job("join").await.unwrap(), None);
        bench.hand().start_job(&job(WAITING)).await.unwrap();
        holds(&bench).await;
        let state = bench.hand().job("join").await.unwrap();
        let running = JobState { run: RUN.to_owned(), attempt: 1, status: JobStatus::Running, size: 6 };
        assert_eq!(state, Some(running), "{shell:?} {systemd}");
        // The same again is the same.
        bench.hand().start_job(&job(WAITING)).await.unwrap();
        let ((text, end), ()) = tokio::join!(follow(&bench, 0), async { let_go(&bench) });
        assert_eq!((text.as_str(), end.unwrap()), ("begun\n31\nend\n", JobEnd::Exit(5)), "{shell:?} {systemd}");
        assert!(!bench.names("/run/seaworthy/join").contains(&"discovery.yaml".to_owned()));
        let state = bench.hand().job("join").await.unwrap().unwrap();
        assert_eq!((state.status, state.size), (JobStatus::Ended(5), 13));
        let (text, end) = follow(&bench, 6).await;
        assert_eq!((text.as_str(), end.unwrap()), ("31\nend\n", JobEnd::Exit(5)));
        bench.hand().clear_job("join").await.unwrap();
        bench.hand().clear_job("join").await.unwrap();
        assert_eq!(bench.hand().job("join").await.unwrap(), None);
        assert_eq!(follow(&bench, 0).await.1.unwrap(), JobEnd::Gone);
        assert_eq!(bench.fleet.on_disk(SECRET), [""; 0].map(std::path::PathBuf::from));
        assert!(bench.node().calls().iter().any(|call| call.starts_with("systemd-run")) == systemd);
    }
}

#[tokio::test]
async fn it_survives_its_connection_and_is_found_again() {
    for systemd in [true, false] {
        let mut bench = Bench::new().await;
        if !systemd {
            bench.node().remove("/run/systemd/system");
        }
        bench.hand().start_job(&job(WAITING)).await.unwrap();
        holds(&bench).await;
        let (text, end) = {
            let (sink, mut log) = mpsc::unbounded_channel();
            let hand = bench.hand();
            let (end, first) = tokio::join!(hand.follow_job("join", 0, sink), async {
                let first = log.recv().await.unwrap();
                bench.node().cut();
                first
            });
            (String::from_utf8(first).unwrap(), end)
        };
        assert_eq!(text, "begun\n");
        assert!(end.unwrap_err().is_loss());
        bench.connect_again().await;
        assert_eq!(bench.hand().job("join").await.unwrap().unwrap().status, JobStatus::Running);
        let ((text, end), ()) = tokio::join!(follow(&bench, 6), async { let_go(&bench) });
        assert_eq!((text.as_str(), end.unwrap()), ("31\nend\n", JobEnd::Exit(5)));
    }
}

#[tokio::test]
async fn a_start_that_was_cut_anywhere_is_finished_by_the_next_one() {
    use super::super::node::Cut;
    for cut in [Cut::Before(1), Cut::During(1), Cut::After(1)] {
        let mut bench = Bench::new().await;
        bench.node().cut_at(cut);
        let error = bench.hand().start_job(&job("cat discovery.yaml | wc -c")).await.unwrap_err();
        assert!(error.is_loss(), "{cut:?}: {error:?}");
        bench.connect_again().await;
        bench.hand().lock(RUN).await.unwrap().release().await;
        bench.hand().start_job(&job("cat discovery.yaml | wc -c")).await.unwrap();
        let (text, end) = follow(&bench, 0).await;
        assert_eq!((text.as_str(), end.unwrap()), ("31\n", JobEnd::Exit(0)), "{cut:?}");
        bench.hand().clear_job("join").await.unwrap();
        assert_eq!(bench.fleet.on_disk(SECRET).len(), 0, "{cut:?}");
    }
}

#[tokio::test]
async fn no_process_is_told_the_secret() {
    for shell in shells() {
        let bench = Bench::with(&shell).await;
        let (sender, watched) = std::sync::mpsc::channel();
        let root = bench.node().path("/").display().to_string();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        // Looks at every argument and every environment while the job is started.
        let watching = std::thread::spawn(move || {
            while stopped.try_recv().is_err() {
                for entry in fs::read_dir("/proc").unwrap().flatten() {
                    let all = ["environ", "cmdline"].map(|file| fs::read(entry.path().join(file)).unwrap_or_default());
                    let [environ, cmdline] = all.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                    let ours = environ.contains(root.trim_end_matches('/'));
                    if ours && (environ.contains("0123456789abcdef") || cmdline.contains("0123456789abcdef")) {
                        let _ = sender.send(cmdline);
                    }
                }
            }
        });
        bench.hand().start_job(&job(WAITING)).await.unwrap();
        holds(&bench).await;
        let processes = job_processes(&bench);
        assert!(!processes.is_empty(), "{shell:?}");
        assert!(!bench.node().calls().iter().any(|call| call.contains("0123456789abcdef")));
        // Only the one file has it, and only its owner reads that.
        let file = bench.node().path("/run/seaworthy/join/discovery.yaml");
        assert_eq!(bench.fleet.on_disk(SECRET), std::slice::from_ref(&file));
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(file.parent().unwrap()).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o700);
        let_go(&bench);
        follow(&bench, 0).await.1.unwrap();
        stop.send(()).unwrap();
        watching.join().unwrap();
        assert_eq!(watched.try_iter().collect::<Vec<_>>(), [""; 0], "{shell:?}");
        assert_eq!(bench.fleet.on_disk(SECRET).len(), 0, "{shell:?}");
    }
}

#[tokio::test]
async fn stopping_ends_everything_that_it_started() {
    for systemd in [true, false] {
        let bench = Bench::new().await;
        if !systemd {
            bench.node().remove("/run/systemd/system");
        }
        // One child ends when it is told to, the other only when it is killed.
        let stubborn = "sleep 1000 & sh -c 'trap : TERM; : >hold; while :; do sleep 0.1; done'";
        bench.hand().start_job(&job(stubborn)).await.unwrap();
        holds(&bench).await;
        assert!(job_processes(&bench).len() >= 4);
        let (why, _) = no(bench.hand().clear_job("join").await);
        assert_eq!(why, "the job still runs");
        bench.hand().stop_job("join").await.unwrap();
        assert_eq!(job_processes(&bench), BTreeMap::new());
        assert_eq!(bench.fleet.on_disk(SECRET).len(), 0);
        assert_ne!(bench.hand().job("join").await.unwrap().unwrap().status, JobStatus::Running);
        bench.hand().stop_job("join").await.unwrap();
        bench.hand().clear_job("join").await.unwrap();
        bench.hand().stop_job("join").await.unwrap();
        assert!(!bench.node().path("/run/seaworthy/join").exists());
    }
}

#[tokio::test]
async fn a_killed_job_is_dead_and_its_command_alone_still_runs() {
    let bench = Bench::new().await;
    bench.hand().start_job(&job(WAITING)).await.unwrap();
    holds(&bench).await;
    let kill = |pid: i32| {
        // One may have ended because the other did.
        let _ =
            rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL);
    };
    let wrapper = bench.node().get("/run/seaworthy/join/pid").unwrap().trim().parse().unwrap();
    kill(wrapper);
    assert_eq!(bench.hand().job("join").await.unwrap().unwrap().status, JobStatus::Running);
    while !job_processes(&bench).is_empty() {
        job_processes(&bench).into_keys().for_each(kill);
    }
    assert_eq!(bench.hand().job("join").await.unwrap().unwrap().status, JobStatus::Dead);
    assert_eq!(follow(&bench, 0).await, ("begun\n".to_owned(), Ok(JobEnd::Gone)));
    // What it left behind is not in the way of another.
    let next = Job { attempt: 2, ..job("echo again") };
    bench.hand().start_job(&next).await.unwrap();
    assert_eq!(follow(&bench, 0).await, ("again\n".to_owned(), Ok(JobEnd::Exit(0))));
}

#[tokio::test]
async fn another_runs_job_is_not_disturbed() {
    let bench = Bench::new().await;
    bench.hand().start_job(&job(WAITING)).await.unwrap();
    holds(&bench).await;
    let other = Job { run: "20250910T150000Z-1".to_owned(), ..job("true") };
    let error = bench.hand().start_job(&other).await.unwrap_err();
    assert_eq!(error, HandError::Locked { by: RUN.to_owned() });
    bench.node().reboot();
    let bench = Bench { session: bench.fleet.connect("w1").await.1, ..bench };
    assert_eq!(bench.hand().job("join").await.unwrap(), None);
}

#[tokio::test]
async fn a_secret_reaches_no_disk() {
    let bench = Bench::new().await;
    let mounts =
        "/dev/vda1 / ext4 rw 0 0\ntmpfs /run tmpfs rw 0 0\n/dev/vda2 /run ext4 rw 0 0\ntmpfs /dev/shm tmpfs rw 0 0\n";
    bench.node().put("/proc/mounts", mounts);
    bench.hand().start_job(&job("wc -c <discovery.yaml")).await.unwrap();
    assert!(bench.node().path("/dev/shm/seaworthy/join/log").exists());
    assert_eq!(follow(&bench, 0).await, ("31\n".to_owned(), Ok(JobEnd::Exit(0))));
    bench.hand().clear_job("join").await.unwrap();
    assert_eq!(bench.names("/dev/shm"), [""; 0]);

    bench.node().put("/proc/mounts", "/dev/vda1 / ext4 rw 0 0\n");
    let (why, _) = no(bench.hand().start_job(&job("true")).await);
    assert!(why.contains("neither /run nor /dev/shm"), "{why}");
    assert_eq!(bench.fleet.on_disk(SECRET).len(), 0);

    // Somebody else's directory in a place where everybody may write.
    std::os::unix::fs::symlink(bench.node().path("/tmp"), bench.node().path("/dev/shm/seaworthy")).unwrap();
    bench.node().put("/proc/mounts", mounts);
    let (why, _) = no(bench.hand().start_job(&job("true")).await);
    assert_eq!(why, "/dev/shm/seaworthy is not a directory of this user's own");
}

#[tokio::test]
async fn a_whole_join_of_the_pretended_node() {
    let fleet = super::Fleet::start(["master", "w1"]);
    let (_master_client, master) = fleet.connect("master").await;
    let bench = Bench::of(fleet).await;
    let long = Duration::from_secs(20);
    let control = seaworthy::change::hand::Hand::new(seaworthy::reach::Line::Session(&master), None);
    let made =
        control.run_for_secret("kubeadm token create --ttl 15m --description 'seaworthy x'", long).await.unwrap();
    let token = secrecy::ExposeSecret::expose_secret(&made.stdout).trim().to_owned();
    let join = Job {
        command: "kubeadm join --config discovery.yaml".to_owned(),
        secret_file: Some((
            "discovery.yaml".to_owned(),
            format!("discovery:\n  bootstrapToken:\n    token: {token}\n").into(),
        )),
        ..job("")
    };
    bench.hand().start_job(&join).await.unwrap();
    let (text, end) = follow(&bench, 0).await;
    assert_eq!(end.unwrap(), JobEnd::Exit(0), "{text}");
    assert!(text.contains("This node has joined the cluster"), "{text}");
    assert!(control.run("kubectl get node w1 --no-headers", long).await.unwrap().stdout.contains("NotReady"));
    assert_eq!(bench.fleet.on_disk(&token).len(), 0);
    let id = token.split('.').next().unwrap();
    assert_eq!(control.run(&format!("kubeadm token delete {id}"), long).await.unwrap().code, 0);
    assert_eq!(bench.fleet.tokens(), [""; 0]);
}
