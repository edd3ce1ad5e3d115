//! When what the script has read is sent: small sections together, and none of them held back by what hangs.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;

use super::*;

/// A shell that reads this script and prints to `stdout`, in a process group of its own.
fn start(script: &str, stdout: Stdio) -> std::process::Child {
    let mut child = Command::new(shells()[0][0])
        .arg("-s")
        .env_clear()
        .env("PATH", USUAL_PATH)
        .stdin(Stdio::piped())
        .stdout(stdout)
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(script.as_bytes()).unwrap();
    child
}

/// Runs the script with each awk but mawk, which takes its input in blocks and so is always a block behind.
fn with_each_awk(stub_more: impl Fn(&Path), test: impl Fn(&str, &Nonce, &str)) {
    for awk in ["gawk", "original-awk", "busybox"] {
        let Some(dir) = directory_with_awk(awk) else { continue };
        stub_more(dir.path());
        let path = Some(format!("{}:{USUAL_PATH}", dir.path().display()));
        let nonce = Nonce::random();
        let script = probe::script(&nonce, &ScriptOptions { path, ..quick_options() });
        test(awk, &nonce, &script);
    }
}

#[test]
fn small_sections_are_sent_together() {
    let test = |awk: &str, nonce: &Nonce, script: &str| {
        // Such a socket keeps the writes apart, as a pipe would not.
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        ours.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let mut child = start(script, Stdio::from(OwnedFd::from(theirs)));
        let mark = format!("@@{} ", nonce.as_str());
        let (mut writes, mut sections, mut slow) = (0, 0, false);
        let mut chunk = vec![0; 1 << 20];
        loop {
            let count = ours.recv(&mut chunk).unwrap();
            let text = String::from_utf8_lossy(&chunk[..count]);
            slow |= text.contains(&format!("{mark}dmesg "));
            if !slow {
                writes += 1;
                sections += text.matches(&mark).count();
            }
            if text.contains(&format!("{mark}bye")) {
                break;
            }
        }
        child.wait().unwrap();
        assert!(sections > 20 && writes * 2 <= sections, "{awk}: {sections} sections in {writes} writes");
    };
    with_each_awk(|_| (), test);
}

#[test]
fn what_was_read_before_a_hang_has_been_sent() {
    // Asked about processes, and without a deadline: only a kernel that hangs can keep it.
    let hang = |dir: &Path| stub(dir, "ls", "exec sleep 1000");
    with_each_awk(hang, |awk, nonce, script| {
        let mut child = start(script, Stdio::piped());
        let mut stdout = child.stdout.take().unwrap();
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut chunk) {
                let _ = sender.send(chunk[..count].to_vec());
            }
        });
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut bytes = Vec::new();
        let missing = loop {
            let capture = probe::frame::parse(&bytes, b"", nonce, &Limits::DEFAULT);
            let there = capture.as_ref().map(ids).unwrap_or_default();
            let mut missing = vec!["ident", "tools", "os-release", "meminfo", "sysctl", "mountinfo"];
            missing.retain(|id| !there.contains(id));
            if missing.is_empty() {
                break missing;
            }
            match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(more) => bytes.extend(more),
                Err(_) => break missing,
            }
        };
        let hangs = child.try_wait().unwrap().is_none();
        let group = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
        child.wait().unwrap();
        assert_eq!(missing, [""; 0], "{awk}");
        assert!(hangs, "{awk}: nothing hung");
        assert_no_child_of(nonce);
    });
}
