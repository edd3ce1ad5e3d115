//! The probe's script under real shells: that it is complete, degrades, hangs nobody and leaves nothing behind.

mod made_up;
mod recorded;
mod sent;

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use seaworthy::probe::{self, Limits, Nonce, ScriptOptions};
use seaworthy::record::{Capture, Section, rc};

/// Every shell that is installed here, as the words that read a script from standard input.
fn shells() -> Vec<Vec<&'static str>> {
    let all: [&[&str]; 4] = [&["dash", "-s"], &["bash", "-s"], &["bash", "--posix", "-s"], &["busybox", "ash", "-s"]];
    let (found, missing): (Vec<&[&str]>, Vec<&[&str]>) = all.iter().partition(|words| tool(words[0]).is_some());
    if !missing.is_empty() {
        eprintln!("skipped, not installed: {missing:?}");
    }
    assert!(!found.is_empty(), "no POSIX shell to test with");
    found.into_iter().map(<[&str]>::to_vec).collect()
}

fn tool(name: &str) -> Option<PathBuf> {
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.exists())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs `words` with `input` on standard input; panics when it takes longer than a minute.
fn feed(words: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(words[0])
        .args(&words[1..])
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("USER", "tester")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{words:?}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let input = input.to_vec();
    std::thread::spawn(move || {
        // A shell that does not read to the end is one of the things tested.
        let _ = stdin.write_all(&input);
    });
    let errors = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stderr.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).unwrap();
        let _ = sender.send(bytes);
    });
    let Ok(stdout) = receiver.recv_timeout(Duration::from_mins(1)) else {
        let _ = child.kill();
        panic!("{words:?} still has its output open after a minute");
    };
    Output { status: child.wait().unwrap(), stdout, stderr: errors.join().unwrap() }
}

fn quick_options() -> ScriptOptions {
    ScriptOptions { quick: Duration::from_secs(2), slow: Duration::from_secs(3), ..ScriptOptions::default() }
}

/// Sends the script to a shell and reads what it says, before any redaction in this program.
fn sweep(shell: &[&str], options: &ScriptOptions) -> Capture {
    let nonce = Nonce::random();
    let output = feed(shell, probe::script(&nonce, options).as_bytes());
    let capture = probe::frame::parse(&output.stdout, &output.stderr, &nonce, &Limits::DEFAULT)
        .unwrap_or_else(|error| panic!("{shell:?}: {error}\n{}", String::from_utf8_lossy(&output.stderr)));
    assert!(output.status.success(), "{shell:?}: {:?}", output.status);
    assert_eq!(capture.stderr, "", "{shell:?}");
    assert_no_child_of(&nonce);
    capture
}

fn assert_complete(capture: &Capture, about: &str) {
    assert!(capture.complete, "{about}: no bye");
    assert_eq!(capture.missing, [""; 0], "{about}: announced and never sent");
    for id in [
        "ident",
        "tools",
        "os-release",
        "meminfo",
        "sysctl",
        "mountinfo",
        "dstate",
        "counts",
        "ip-addr",
        "ports",
        "stat",
        "unit-paths",
        "cni-dir",
        "cni-bin",
        "kubelet-config",
        "kubeconfig",
        "k8s-dir",
        "time",
        "join",
        "suspend",
    ] {
        assert!(capture.section(id).is_some(), "{about}: no {id}");
    }
}

/// `key=value`, `key-` and `key!reason` of a section of key lines.
fn key<'a>(capture: &'a Capture, id: &str, key: &str) -> Option<&'a str> {
    let text = &capture.section(id)?.text;
    text.lines().find_map(|line| line.strip_prefix(key).filter(|rest| rest.starts_with(['=', '-', '!'])))
}

fn text_of<'a>(capture: &'a Capture, id: &str, arg: &str) -> &'a str {
    &capture.section_of(id, arg).unwrap_or_else(|| panic!("no {id} {arg}: {:?}", ids(capture))).text
}

fn ids(capture: &Capture) -> BTreeSet<&str> {
    capture.sections.iter().map(|section| section.id.as_str()).collect()
}

/// What two runs on one machine must agree on: no clocks, counters or sizes.
fn stable(capture: &Capture) -> Vec<(String, String)> {
    let moving = ["uptime", "loadavg", "processes", "sh", "fs.file-nr", "net.netfilter.nf_conntrack_count"];
    let same = [
        "ident",
        "tools",
        "os-release",
        "swaps",
        "fstab",
        "filesystems",
        "resolv-conf",
        "hosts",
        "modules",
        "sysctl",
        "sysctl-file",
        "modules-file",
        "stat",
        "unit-paths",
        "unit-file",
        "env-file",
        "containerd-config",
        "cni-dir",
        "cni-file",
        "cni-bin",
        "kubeconfig",
        "cert",
        "k8s-dir",
        "manifest-image",
        "packages",
    ];
    let keep = |section: &&Section| same.contains(&section.id.as_str());
    let lines = |section: &Section| {
        let text = section.text.lines().filter(|line| !moving.iter().any(|key| line.starts_with(&format!("{key}="))));
        text.collect::<Vec<_>>().join("\n")
    };
    let head = |section: &Section| format!("{} {} {:?}", section.id, section.rc, section.arg);
    capture.sections.iter().filter(keep).map(|section| (head(section), lines(section))).collect()
}

#[test]
fn every_shell_sends_everything_and_they_agree() {
    let captures: Vec<_> = shells().iter().map(|shell| (shell.join(" "), sweep(shell, &quick_options()))).collect();
    for (shell, capture) in &captures {
        assert_complete(capture, shell);
        assert_eq!(capture.uid, Some(rustix::process::geteuid().as_raw()), "{shell}");
        assert_eq!(capture.noise, "", "{shell}");
        // The whole number, not what a shell makes of it that reads one byte at a time.
        let pid_max = std::fs::read_to_string("/proc/sys/kernel/pid_max").unwrap();
        assert_eq!(key(capture, "ident", "pid_max"), Some(format!("={}", pid_max.trim()).as_str()), "{shell}");
        // Flannel's port is looked for in the rules of both backends, whatever there is of them.
        for key_of in ["ipt_drops", "nft_drops", "foreign_chains"] {
            assert!(key(capture, "firewall", key_of).is_some(), "{shell}: {key_of}");
        }
        assert!(capture.section_of("resolve", "registry.k8s.io").is_some(), "{shell}");
        let root = text_of(capture, "df", "/");
        assert_eq!(root.split(' ').count(), 7, "{shell}: {root}");
    }
    let (first, reference) = &captures[0];
    for (shell, capture) in &captures[1..] {
        for (one, other) in stable(reference).iter().zip(&stable(capture)) {
            assert_eq!(one, other, "{first} and {shell} disagree");
        }
        assert_eq!(stable(reference).len(), stable(capture).len());
    }
}

#[test]
fn every_awk_says_the_same() {
    let mut reference: Option<(&str, Vec<(String, String)>)> = None;
    for awk in ["mawk", "gawk", "original-awk", "busybox"] {
        let Some(dir) = directory_with_awk(awk) else { continue };
        let path = Some(format!("{}:{USUAL_PATH}", dir.path().display()));
        let capture = sweep(&[shells()[0][0], "-s"], &ScriptOptions { path, ..quick_options() });
        assert_complete(&capture, awk);
        let stable = stable(&capture).into_iter().filter(|(head, _)| !head.starts_with("tools")).collect();
        match &reference {
            None => reference = Some((awk, stable)),
            Some((first, wanted)) => {
                for (one, other) in wanted.iter().zip(&stable) {
                    assert_eq!(one, other, "{first} and {awk} disagree");
                }
                assert_eq!(wanted.len(), stable.len(), "{first} and {awk}");
            }
        }
    }
}

#[test]
fn stripping_changes_nothing() {
    let nonce = Nonce::random();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/probe/script");
    let parts: BTreeSet<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    let source: String = parts.iter().map(|part| std::fs::read_to_string(part).unwrap()).collect();
    for shell in shells() {
        let stripped = probe::script(&nonce, &quick_options());
        let prelude = stripped.lines().next().unwrap().to_owned() + "\n";
        let mut check = shell.clone();
        check.insert(check.len() - 1, "-n");
        for script in [stripped.clone(), probe::script(&nonce, &ScriptOptions { api: false, ..quick_options() })] {
            let output = feed(&check, script.as_bytes());
            assert!(output.status.success(), "{shell:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let output = feed(&shell, (prelude + &source).as_bytes());
        let whole = probe::frame::parse(&output.stdout, &output.stderr, &nonce, &Limits::DEFAULT).unwrap();
        assert_eq!(stable(&whole), stable(&sweep(&shell, &quick_options())), "{shell:?}");
    }
}

#[test]
fn a_script_that_was_cut_off_does_nothing() {
    let script = probe::script(&Nonce::random(), &quick_options());
    let end = script.rfind('}').unwrap();
    for shell in shells() {
        for cut in [60, 100, 1_000, 8_191, 8_192, 8_193, 20_000, end - 200, end - 10, end] {
            let output = feed(&shell, &script.as_bytes()[..cut]);
            assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{shell:?} ran the first {cut} bytes");
        }
    }
}

#[test]
fn the_rest_of_standard_input_is_left_alone() {
    // bash takes no byte more than it needs, so what a child of the script ate would be missing afterwards.
    if tool("bash").is_none() {
        eprintln!("skipped: no bash");
        return;
    }
    let input = probe::script(&Nonce::random(), &quick_options()) + "left alone\n";
    let output = feed(&["bash", "-c", "bash -s >/dev/null; cat"], input.as_bytes());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "left alone\n");
}

#[test]
fn noise_of_a_login_shell_is_kept_apart() {
    let nonce = Nonce::random();
    let script = probe::script(&nonce, &quick_options());
    let output = feed(&["sh", "-c", "echo 'Last login: never'; echo oops >&2; exec sh -s"], script.as_bytes());
    let capture = probe::read(&output.stdout, &output.stderr, &nonce, &Limits::DEFAULT).unwrap();
    assert_complete(&capture, "sh");
    assert_eq!(capture.noise, "Last login: never\n");
    assert_eq!(capture.stderr, "oops\n");
}

/// A directory with links to the tools of that name, as the script's PATH.
fn path_with(dir: &Path, tools: &[&str]) -> ScriptOptions {
    for name in tools {
        symlink(tool(name).unwrap_or_else(|| panic!("this machine has no {name}")), dir.join(name)).unwrap();
    }
    ScriptOptions { path: Some(dir.to_str().unwrap().to_owned()), ..quick_options() }
}

#[test]
fn a_node_without_tools_is_told_apart_from_a_healthy_one() {
    for tools in [&[][..], &["cat", "date"][..], &["awk", "cat", "date"][..]] {
        let dir = tempfile::tempdir().unwrap();
        let options = path_with(dir.path(), tools);
        for shell in shells() {
            // busybox brings its own tools, whatever PATH says.
            let shell = [tool(shell[0]).unwrap().to_str().unwrap().to_owned()]
                .into_iter()
                .chain(shell[1..].iter().map(ToString::to_string))
                .collect::<Vec<_>>();
            let words: Vec<&str> = shell.iter().map(String::as_str).collect();
            let capture = sweep(&words, &options);
            let about = format!("{words:?} with {tools:?}");
            assert_complete(&capture, &about);
            for id in [
                "ip-addr",
                "unit",
                "dmesg",
                "packages",
                "containerd-dump",
                "crictl-info",
                "ctr-plugins",
                "df",
                "netmount",
            ] {
                let section = capture.section(id).unwrap();
                let expected = [rc::NO_TOOL, rc::DENIED, rc::ABSENT];
                assert!(expected.contains(&section.rc) && section.text.is_empty(), "{about}: {section:?}");
            }
            assert_eq!(key(&capture, "tools", "ss"), Some("-"), "{about}");
            assert_eq!(key(&capture, "ident", "pid1").unwrap().as_bytes()[0], b'=', "{about}");
            assert!(text_of_plain(&capture, "os-release").contains("ID="), "{about}");
            let stat = text_of_plain(&capture, "stat");
            assert!(stat.lines().any(|line| line == "? ?:? ? ? d\t/"), "{about}: {stat}");
        }
    }
}

fn text_of_plain<'a>(capture: &'a Capture, id: &str) -> &'a str {
    &capture.section(id).unwrap_or_else(|| panic!("no {id}")).text
}

/// Writes an executable into `dir`.
fn stub(dir: &Path, name: &str, script: &str) {
    let path = dir.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A directory in which `awk` is that program; says so when it is not installed.
fn directory_with_awk(awk: &str) -> Option<tempfile::TempDir> {
    let Some(program) = tool(awk) else {
        eprintln!("skipped, not installed: {awk}");
        return None;
    };
    let dir = tempfile::tempdir().unwrap();
    let applet = if awk == "busybox" { "awk" } else { "" };
    stub(dir.path(), "awk", &format!("exec {} {applet} \"$@\"", program.display()));
    Some(dir)
}

const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[test]
fn what_hangs_costs_its_own_deadline_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    stub(dir.path(), "stat", "case $1 in -f) exec sleep 1000 ;; esac\nexec /usr/bin/stat \"$@\"");
    for name in ["df", "ss", "dmesg", "dpkg-query", "getent"] {
        stub(dir.path(), name, "exec sleep 1000");
    }
    let options = ScriptOptions {
        quick: Duration::from_secs(1),
        slow: Duration::from_secs(1),
        path: Some(format!("{}:{USUAL_PATH}", dir.path().display())),
        ..ScriptOptions::default()
    };
    for shell in shells() {
        let started = Instant::now();
        let capture = sweep(&shell, &options);
        let took = started.elapsed();
        assert!(took < probe::worst_case(&options), "{shell:?} took {took:?}");
        assert_complete(&capture, &shell.join(" "));
        let root = capture.section_of("df", "/").unwrap();
        assert_eq!((root.rc, root.text.as_str()), (rc::TIMEOUT, ""), "{shell:?}");
        assert_eq!(capture.section("resolve").unwrap().rc, rc::TIMEOUT, "{shell:?}");
        // busybox prefers its own applets to what stands in PATH only for names without a slash.
        let dmesg = capture.section("dmesg").unwrap().rc;
        assert!(dmesg == rc::TIMEOUT || (!is_root() && dmesg == rc::DENIED), "{shell:?}: dmesg {dmesg}");
        assert!(text_of_plain(&capture, "stat").contains("d\t/etc"), "{shell:?}");
    }
}

#[test]
fn without_timeout_the_shell_keeps_the_deadlines() {
    let dir = tempfile::tempdir().unwrap();
    let tools = ["awk", "cat", "date", "grep", "head", "ls", "sleep", "sort", "stat", "tail", "tr", "find", "sh"];
    let options =
        ScriptOptions { quick: Duration::from_secs(1), slow: Duration::from_secs(1), ..path_with(dir.path(), &tools) };
    stub(dir.path(), "getent", "exec sleep 1001");
    for shell in [tool("dash"), tool("bash")].into_iter().flatten() {
        let started = Instant::now();
        let capture = sweep(&[shell.to_str().unwrap(), "-s"], &options);
        assert!(started.elapsed() < probe::worst_case(&options), "{shell:?}");
        assert_complete(&capture, shell.to_str().unwrap());
        assert_eq!(capture.section("resolve").unwrap().rc, rc::TIMEOUT, "{shell:?}");
    }
}

/// Panics if a process that the script started is still there: each has the nonce in its environment.
fn assert_no_child_of(nonce: &Nonce) {
    let deadline = Instant::now() + Duration::from_secs(5);
    let needle = format!("N={}", nonce.as_str());
    loop {
        let running: Vec<_> = std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter(|entry| {
                let environ = std::fs::read(entry.path().join("environ")).unwrap_or_default();
                String::from_utf8_lossy(&environ).contains(&needle)
            })
            .map(|entry| std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default())
            .collect();
        if running.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "still running: {running:?}");
        std::thread::yield_now();
    }
}
