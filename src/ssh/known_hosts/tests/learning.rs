//! Learning keys: in memory at once, on disk without losing anything.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use super::*;

fn new_key(learned: &Learned) -> &NewKey {
    match learned {
        Learned::New(new) => new,
        Learned::Not(answer) => panic!("not learned: {answer:?}"),
    }
}

fn flush(files: &Files) {
    let report = files.hosts.flush();
    assert!(report.errors.is_empty() && report.conflicts.is_empty(), "{report:?}");
}

#[test]
fn a_learned_key_is_known_at_once_and_on_disk_after_the_flush() {
    let files = Files::new("# no newline at the end");
    let learned = files.learn("Node1", 22, &ed25519(1));
    assert_eq!(new_key(&learned).name, "node1");
    assert_eq!(new_key(&learned).file, Some(files.user()));
    assert_eq!(new_key(&files.learn("node2", 2222, &ed25519(2))).name, "[node2]:2222");
    assert_eq!(short(&files.check("node1", 22, &ed25519(1))), ("known", 2));
    assert_eq!(short(&files.check("node2", 2222, &ed25519(1))), ("changed", 3));
    assert_eq!(files.content(), "# no newline at the end");

    assert_eq!(files.hosts.flush().written, 2);
    let expected =
        format!("# no newline at the end\nnode1 {}\n[node2]:2222 {}\n", text(&ed25519(1)), text(&ed25519(2)));
    assert_eq!(files.content(), expected);
    assert_eq!(files.hosts.flush().written, 0);
    assert_eq!(files.content(), expected);
}

#[test]
fn only_unknown_hosts_are_learned() {
    let files = Files::new(&format!("a {}\n@revoked * {}\n", text(&ed25519(1)), text(&ed25519(9))));
    for (name, key, expected) in [
        ("a", ed25519(2), ("changed", 1)),
        ("a", ecdsa(), ("other type", 1)),
        ("a", ed25519(1), ("known", 1)),
        ("b", ed25519(9), ("revoked", 2)),
    ] {
        let Learned::Not(answer) = files.learn(name, 22, &key) else { panic!("{name} was learned") };
        assert_eq!(short(&answer), expected);
    }
    assert_eq!(files.hosts.flush().written, 0);
}

#[test]
fn names_that_would_mean_something_else_are_not_written() {
    let files = Files::new("");
    for name in ["a b", "a,b", "*", "!a", "a?", "#a", "@revoked", "|1|a", "a\nb", "", "a\u{a0}b"] {
        let result = files.hosts.learn(&files.settings(), name, 22, &ed25519(1));
        assert!(matches!(result, Err(HostKeyError::Name(_))), "{name:?} {result:?}");
    }
}

#[test]
fn hashed_lines_are_found_by_ssh_keygen() {
    let files = Files::new("");
    let settings = HostKeySettings { hash_names: true, ..files.settings() };
    files.hosts.learn(&settings, "node1", 2222, &ed25519(1)).unwrap();
    flush(&files);
    assert!(files.content().starts_with("|1|"), "{}", files.content());
    let again = KnownHosts::new();
    assert_eq!(short(&again.check(&settings, "node1", 2222, &ed25519(1)).unwrap()), ("known", 1));
    let path = files.user();
    if let Some(found) = ssh_keygen(&["-F", "[node1]:2222", "-f", path.to_str().unwrap()]) {
        assert!(found.contains("found: line 1"), "{found}");
    }
}

#[test]
fn mode_directory_and_links_stay() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("new/.ssh");
    let hosts = KnownHosts::new();
    hosts.learn(&settings(&home.join("known_hosts")), "a", 22, &ed25519(1)).unwrap();
    assert!(hosts.flush().errors.is_empty());
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(&home), mode(&home.join("known_hosts"))), (0o700, 0o600));

    let target = directory.path().join("shared");
    fs::write(&target, "# mine\n").unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
    let link = directory.path().join("known_hosts");
    symlink("shared", &link).unwrap();
    hosts.learn(&settings(&link), "b", 22, &ed25519(2)).unwrap();
    assert!(hosts.flush().errors.is_empty());
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&target).unwrap(), format!("# mine\nb {}\n", text(&ed25519(2))));
    assert_eq!(mode(&target), 0o640);
    let left: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "only new, shared and known_hosts: {left:?}");
}

#[test]
fn dev_null_keeps_nothing_and_is_not_replaced() {
    let hosts = KnownHosts::new();
    let settings = settings(Path::new("/dev/null"));
    assert!(matches!(hosts.learn(&settings, "a", 22, &ed25519(1)).unwrap(), Learned::New(_)));
    let report = hosts.flush();
    assert!(report.errors.is_empty(), "{report:?}");
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    assert_eq!(short(&hosts.check(&settings, "a", 22, &ed25519(2)).unwrap()), ("changed", 1));
}

#[test]
fn without_a_file_a_key_is_known_for_the_run() {
    let hosts = KnownHosts::new();
    let settings = HostKeySettings { user_files: vec![], global_files: vec![], ..settings(Path::new("x")) };
    let learned = hosts.learn(&settings, "a", 22, &ed25519(1)).unwrap();
    assert_eq!(new_key(&learned).file, None);
    assert_eq!(short(&hosts.check(&settings, "a", 22, &ed25519(2)).unwrap()).0, "changed");
    assert_eq!(hosts.flush().written, 0);
}

#[test]
fn what_another_run_wrote_is_seen_before_learning() {
    let files = Files::new("");
    assert_eq!(short(&files.check("a", 22, &ed25519(1))), ("unknown", 0));
    fs::write(files.user(), format!("a {}\n", text(&ed25519(2)))).unwrap();
    let Learned::Not(answer) = files.learn("a", 22, &ed25519(1)) else { panic!("the other run's key was ignored") };
    assert_eq!(short(&answer), ("changed", 1));
}

#[test]
fn another_run_s_different_key_is_a_conflict_and_stays() {
    let files = Files::new("");
    let other = KnownHosts::new();
    files.learn("a", 22, &ed25519(1));
    files.learn("b", 22, &ed25519(1));
    files.learn("c", 22, &ed25519(3));
    for (name, key) in [("a", 2), ("b", 1), ("d", 4)] {
        other.learn(&files.settings(), name, 22, &ed25519(key)).unwrap();
    }
    assert_eq!(other.flush().written, 3);

    let report = files.hosts.flush();
    assert_eq!(report.written, 1, "b is there already, a is in conflict");
    let [(new, answer)] = &report.conflicts[..] else { panic!("{report:?}") };
    assert_eq!((new.name.as_str(), short(answer)), ("a", ("changed", 1)));
    let expected: String = [("a", 2), ("b", 1), ("d", 4), ("c", 3)]
        .map(|(name, key)| format!("{name} {}\n", text(&ed25519(key))))
        .concat();
    assert_eq!(files.content(), expected);
    assert_eq!(short(&files.check("a", 22, &ed25519(1))), ("changed", 1), "from now on the file counts");
    assert_eq!(short(&files.check("c", 22, &ed25519(3))), ("known", 4));
}

#[test]
fn two_keys_for_one_host_are_never_both_learned() {
    let files = Files::new("");
    let learned: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|n| {
                scope.spawn({
                    let files = &files;
                    move || usize::from(matches!(files.learn("a", 22, &ed25519(n)), Learned::New(_)))
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(learned, 1);
}

/// Two runs, each with four threads that learn and flush at once.
#[test]
fn runs_at_once_lose_nothing() {
    let files = Files::new("# kept");
    let runs = [KnownHosts::new(), KnownHosts::new()];
    std::thread::scope(|scope| {
        for (r, run) in runs.iter().enumerate() {
            for t in 0..4 {
                let settings = files.settings();
                scope.spawn(move || {
                    for n in 0..10 {
                        let name = format!("node-{r}-{t}-{n}");
                        assert!(matches!(run.learn(&settings, &name, 22, &ed25519(1)).unwrap(), Learned::New(_)));
                        let report = run.flush();
                        assert!(report.errors.is_empty() && report.conflicts.is_empty(), "{report:?}");
                    }
                });
            }
        }
    });
    let content = files.content();
    assert_eq!(content.lines().next(), Some("# kept"));
    let names: BTreeSet<&str> = content.lines().skip(1).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names.len(), 80, "every host once");
    assert_eq!(content.lines().count(), 81, "and none twice");
}

#[tokio::test]
async fn the_learner_writes_everything_by_its_end() {
    let files = Files::new("");
    let hosts = Arc::new(KnownHosts::new());
    let learner = Learner::start(Arc::clone(&hosts));
    for n in 0..200 {
        hosts.learn(&files.settings(), &format!("node{n}"), 22, &ed25519(1)).unwrap();
    }
    let report = learner.finish().await;
    assert_eq!((report.written, report.errors.len()), (200, 0));
    assert_eq!(files.content().lines().count(), 200);
}

#[test]
fn a_file_that_cannot_be_written_keeps_its_keys_queued() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sub/known_hosts");
    let hosts = KnownHosts::new();
    hosts.learn(&settings(&path), "a", 22, &ed25519(1)).unwrap();
    fs::write(directory.path().join("sub"), "a file where the directory should be").unwrap();
    let report = hosts.flush();
    assert!(matches!(report.errors[..], [HostKeyError::Unwritable { .. }]), "{report:?}");
    fs::remove_file(directory.path().join("sub")).unwrap();
    assert_eq!(hosts.flush().written, 1);
    assert!(path.exists());
}

/// As where the file alone is mounted into a container.
#[test]
fn a_file_in_a_directory_that_cannot_be_written_is_added_to_in_place() {
    let files = Files::new("# kept");
    fs::set_permissions(files.directory.path(), fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(files.directory.path().join("probe"), "").is_ok() {
        eprintln!("skipped: root writes every directory");
        return;
    }
    files.learn("a", 22, &ed25519(1));
    flush(&files);
    assert_eq!(files.content(), format!("# kept\na {}\n", text(&ed25519(1))));
    assert_eq!(files.hosts.flush().written, 0);
    fs::set_permissions(files.directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
}
