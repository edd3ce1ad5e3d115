//! Inventory scripts, good and bad.

use super::*;

#[test]
fn scripts_with_and_without_meta() {
    let directory = directory(&[]);
    script(
        &directory,
        "dyn",
        "#!/bin/sh\n[ \"$1\" = --list ] && echo '{\"web\": {\"hosts\": [\"b\", \"a\"], \"vars\": {\"ansible_port\": 2222}, \"children\": [\"sub\"]}, \
         \"sub\": [\"c\"], \"_meta\": {\"hostvars\": {\"a\": {\"ansible_host\": \"10.0.0.1\"}, \"ghost\": {\"x\": 1}}}}'\n",
    );
    script(
        &directory,
        "old.py",
        "#!/bin/sh\ncase $1 in --list) echo '{\"web\": [\"a\", \"b\"]}';; --host) [ $2 = a ] && echo '{\"ansible_user\": \"'$2'\"}'; exit 0;; esac\n",
    );
    let inventory = try_load(&directory, &["dyn"]).unwrap().inventory;
    assert_eq!(names(&inventory), ["b", "a", "c"]);
    let a = ssh(&inventory, "a");
    assert_eq!((a.host.as_deref(), a.port), (Some("10.0.0.1"), Some(2222)));
    assert_eq!(groups_of(&inventory, "c"), ["sub", "web"]);
    let inventory = try_load(&directory, &["old.py"]).unwrap().inventory;
    assert_eq!(ssh(&inventory, "a").user.as_deref(), Some("a"));
    assert_eq!(ssh(&inventory, "b").user, None);
}

#[test]
fn a_saved_list_is_read_like_the_script_itself() {
    let inventory = text(
        "{\"_meta\": {\"hostvars\": {\"a\": {\"p\": {\"__ansible_vault\": \"x\"}}}}, \"web\": {\"hosts\": [\"a\"]}}\n",
    );
    assert_eq!(groups_of(&inventory, "a"), ["web"]);
    // And a YAML inventory in braces stays one.
    let inventory = text("{web: {hosts: {a: {ansible_port: 22}}}}\n");
    assert_eq!(ssh(&inventory, "a").port, Some(22));
}

#[test]
fn failing_scripts_are_told_apart() {
    let directory = directory(&[("plain.py", "#!/bin/sh\necho\n")]);
    for (name, content) in [
        ("fails", "#!/bin/sh\necho 'no such region' >&2\nexit 3\n"),
        ("garbage", "#!/bin/sh\necho 'Traceback: boom'\n"),
        ("silent", "#!/bin/sh\n"),
        ("list", "#!/bin/sh\necho '[1]'\n"),
        ("badhost", "#!/bin/sh\necho '{\"web\": {\"hosts\": \"a\"}}'\n"),
        ("evil", "#!/bin/sh\necho '{\"web\": [\"-oProxyCommand=x\"]}'\n"),
        ("gone", "#!/no/such/interpreter\n"),
        ("killed", "#!/bin/sh\nkill -9 $$\n"),
    ] {
        script(&directory, name, content);
    }
    let all = ["fails", "garbage", "silent", "list", "badhost", "evil", "gone", "killed", "plain.py"];
    let all: String = all.iter().map(|name| load_error(&directory, name) + "\n").collect();
    assert_snapshot!(all, @r##"
    fails: ended with exit code 3: "no such region"
    garbage: --list printed what is not an inventory: no JSON, expected value at line 1 column 1: "Traceback: boom"
    silent: --list printed what is not an inventory: nothing at all
    list: --list printed what is not an inventory: the top level is a list, not an object of groups
    badhost: --list printed what is not an inventory: "hosts" of group "web" is a single value
    evil --list: "-oProxyCommand=x" cannot be a host's name: it starts with `-`, which ssh would take for an option
    gone: cannot be run: No such file or directory (os error 2)
    killed: ended with signal 9
    plain.py: starts with `#!` but is not executable; if it is an inventory script: chmod +x plain.py
    "##);
}

#[test]
fn a_script_that_hangs_is_stopped_with_its_children() {
    let directory = directory(&[]);
    script(&directory, "hangs", "#!/bin/sh\nsleep 600 &\necho $! > child\nsleep 600\n");
    let started = Instant::now();
    let surroundings = Surroundings { script_deadline: Duration::from_millis(500), ..surroundings(directory.path()) };
    let sources = [Source::Path("hangs".into())];
    let error = load::load(&sources, &surroundings, &mut std::io::empty()).unwrap_err().to_string();
    assert_eq!(error, "hangs: did not finish within 500ms and was stopped");
    assert!(started.elapsed() < Duration::from_secs(10), "the deadline did not hold");
    let child = fs::read_to_string(directory.path().join("child")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    // Killed, and at most a zombie until init has seen it.
    let alive = || fs::read_to_string(format!("/proc/{}/stat", child.trim())).is_ok_and(|stat| !stat.contains(") Z "));
    while alive() {
        assert!(Instant::now() < deadline, "the script's child is still running");
        std::thread::yield_now();
    }
}
