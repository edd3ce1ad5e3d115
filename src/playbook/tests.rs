//! What playbooks say, and every way in which one can be wrong: with file, line and column, and the right names.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use super::load::{FLANNEL, HEALTH_SWEEP, JOIN, LoadError, PRE_UPGRADE, RESET, load, names};
use super::*;

/// Read once: compiling all expressions takes a while.
static CHECKS: LazyLock<Checks> = LazyLock::new(|| Checks::built_in().unwrap());

fn read(path: &str) -> io::Result<Vec<u8>> {
    match path {
        "motd" => Ok(b"hello\n".to_vec()),
        "binary" => Ok(vec![0xff, 0xfe]),
        "huge" => Ok(vec![b'x'; (256 << 10) + 1]),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

fn parsed(text: &str) -> Result<Playbook, String> {
    let around = Surroundings { checks: &CHECKS, read: &read };
    parse("p.yaml", text.as_bytes(), &around).map_err(|error| error.to_string())
}

/// The error of a playbook with these lines after its first three.
fn error(lines: &str) -> String {
    parsed(&format!("name: x\nsummary: y\nhosts: all\n{lines}\n")).expect_err(lines)
}

fn step(line: &str) -> Step {
    let playbook = parsed(&format!("name: x\nsummary: y\nhosts: all\nsteps:\n  - {line}\n"));
    playbook.unwrap_or_else(|error| panic!("{error}")).steps.remove(0)
}

#[test]
fn the_built_in_playbooks_are_sound() {
    let nowhere = Path::new("/nonexistent");
    let of = |name: &str| load(name, nowhere, &CHECKS).unwrap_or_else(|error| panic!("{error}"));
    for name in names() {
        let playbook = of(name);
        assert_eq!((playbook.name.as_str(), playbook.hosts.as_str()), (name, "all"));
        assert_eq!(playbook.gather, [Gather::All]);
    }
    assert!(of(HEALTH_SWEEP).only_looks() && of(PRE_UPGRADE).only_looks());
    let kinds = |name: &str| of(name).steps.iter().map(Step::name).collect::<Vec<_>>();
    assert_eq!(kinds(FLANNEL)[..1], ["flannel"]);
    assert_eq!(kinds(RESET), ["kubeadm-reset"]);
    let join = kinds(JOIN);
    assert_eq!(join.iter().filter(|name| **name != "wait-for").collect::<Vec<_>>(), [&"kubeadm-join", &"flannel"]);
    assert!(
        of(JOIN).steps.iter().any(|step| matches!(step, Step::KubeadmJoin { ignore, .. } if ignore.is_empty())),
        "nobody named a pre-flight error"
    );
    // Ready, and apart from it flannel itself.
    for name in [JOIN, FLANNEL] {
        let waits: Vec<String> = of(name)
            .steps
            .into_iter()
            .filter_map(|step| if let Step::WaitFor { check, .. } = step { Some(check) } else { None })
            .collect();
        let ready = waits.iter().position(|check| check == "node/not-ready").unwrap();
        assert!(waits[ready..].iter().any(|check| check == "flannel/subnet-env-missing"), "{waits:?}");
    }
}

#[test]
fn every_field_is_read() {
    let playbook = parsed(
        "name: our-nodes\nsummary: Ours\nhosts: 'workers:!rack7'\n\
         strategy: { canary: 2, batches: [3, 25%, 100%], max_failed: 5%, parallel: 4, stop_at_same_failure: false }\n\
         gather: [all]\nrequire: [join/*, kubelet/drop-in-missing]\nsteps:\n\
         \x20 - write-file: { path: /etc/a, content: \"x\\n\", mode: 0600, uid: 1, gid: 2, because: kernel/swap-on }\n",
    )
    .unwrap();
    assert_eq!(playbook.hosts, "workers:!rack7");
    assert_eq!(playbook.require, ["join/*", "kubelet/drop-in-missing"]);
    let strategy = Strategy {
        canary: 2,
        batches: vec![Portion::Nodes(3), Portion::Percent(25), Portion::Percent(100)],
        max_failed: Portion::Percent(5),
        parallel: NonZeroU32::new(4),
        stop_at_same_failure: false,
    };
    assert_eq!(playbook.strategy, strategy);
    let expected = Step::WriteFile {
        path: "/etc/a".to_owned(),
        content: "x\n".to_owned(),
        mode: 0o600,
        uid: 1,
        gid: 2,
        because: "kernel/swap-on".to_owned(),
    };
    assert_eq!(playbook.steps, [expected]);
}

#[test]
fn every_step_is_read() {
    let text = |text: &str| text.to_owned();
    let cases = [
        ("flannel", Step::Flannel { config: ConfigSource::Cluster, sync: false }),
        ("flannel: { config: from-cluster, sync: true }", Step::Flannel { config: ConfigSource::Cluster, sync: true }),
        (
            "flannel: { config: { from: motd } }",
            Step::Flannel {
                config: ConfigSource::File { path: text("motd"), content: b"hello\n".to_vec() },
                sync: false,
            },
        ),
        ("kubeadm-join", Step::KubeadmJoin { attempts: 3, backoff: Duration::from_secs(10), ignore: vec![] }),
        (
            "kubeadm-join: { attempts: 1, backoff: 1m, ignore: [Swap, FileAvailable--etc-kubernetes-pki-ca.crt] }",
            Step::KubeadmJoin {
                attempts: 1,
                backoff: Duration::from_mins(1),
                ignore: vec![text("Swap"), text("FileAvailable--etc-kubernetes-pki-ca.crt")],
            },
        ),
        ("kubeadm-reset: {}", Step::KubeadmReset),
        (
            "wait-for: { check: node/not-ready }",
            Step::WaitFor { check: text("node/not-ready"), timeout: Duration::from_mins(5) },
        ),
        (
            "restart-service: { unit: containerd, because: containerd/down }",
            Step::RestartService { unit: text("containerd"), because: text("containerd/down") },
        ),
        (
            "command: { run: swapoff -a, because: kernel/swap-on, undo: swapon -a }",
            Step::Command {
                run: text("swapoff -a"),
                because: text("kernel/swap-on"),
                undo: CommandUndo::Command(text("swapon -a")),
            },
        ),
        (
            "command: { run: swapoff -a, because: kernel/swap-on, undo: none }",
            Step::Command { run: text("swapoff -a"), because: text("kernel/swap-on"), undo: CommandUndo::None },
        ),
        (
            "write-file: { path: /etc/motd, from: motd, because: kernel/swap-on }",
            Step::WriteFile {
                path: text("/etc/motd"),
                content: text("hello\n"),
                mode: 0o644,
                uid: 0,
                gid: 0,
                because: text("kernel/swap-on"),
            },
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(step(line), expected, "{line}");
    }
}

#[test]
fn an_octal_mode_is_octal_however_it_is_written() {
    for (written, mode) in [("0644", 0o644), ("644", 0o644), ("\"0755\"", 0o755), ("0o600", 0o600), ("'000'", 0)] {
        let line = format!("write-file: {{ path: /a, content: x, mode: {written}, because: kernel/swap-on }}");
        assert!(matches!(step(&line), Step::WriteFile { mode: found, .. } if found == mode), "{written}");
    }
}

/// Each line of a playbook, and what its error begins with and holds.
#[test]
fn mistakes_have_their_place_and_the_right_names() {
    let cases: &[(&str, &str, &[&str])] = &[
        // The playbook as a whole.
        ("step: []", "p.yaml:4:1: a playbook has no field `step`; did you mean `steps`?", &["`strategy`"]),
        ("name: again", "p.yaml:4:1: `name` of a playbook stands here again, after line 1", &[]),
        ("steps: []", "p.yaml:4:8: `steps` of a playbook is empty: leave it out", &[]),
        ("steps:", "p.yaml:4:6: `steps` of a playbook must be a list", &[]),
        ("steps: flannel", "p.yaml:4:8: `steps` of a playbook must be a list", &[]),
        ("gather: [some]", "p.yaml:4:10: `gather` of a playbook names `some`", &["`all`"]),
        ("gather: []", "p.yaml:4:9: `gather` of a playbook is empty", &[]),
        ("require: [kubelet/*]", "p.yaml:4:10: `require` of a playbook is for the steps", &["only looks"]),
        ("strategy: { canary: 1 }", "p.yaml:4:11: `strategy` of a playbook is for the steps", &[]),
        ("steps: [{{ step }}]", "p.yaml:4:", &["must be a single word"]),
        ("steps: [flannel", "p.yaml:4:", &["not valid YAML"]),
        ("steps:\n\t- flannel", "p.yaml:5:2: a tab indents this line", &[]),
        ("---\nname: z", "p.yaml:4:1: not valid YAML: a second document", &[]),
    ];
    for (lines, begins, holds) in cases {
        let error = error(lines);
        assert!(error.starts_with(begins), "{lines}: {error}");
        assert!(holds.iter().all(|part| error.contains(part)), "{lines}: {error}");
    }
    for (text, expected) in [
        ("", "p.yaml: says nothing"),
        ("# nothing\n", "p.yaml: says nothing"),
        ("[]", "p.yaml:1:1: a playbook is a list, but must be a mapping of `name`"),
        ("summary: y\nhosts: all\n", "p.yaml:1:1: a playbook has no `name`"),
        ("name: x\nhosts: all\n", "p.yaml:1:1: a playbook has no `summary`"),
        ("name: x\nsummary: y\n", "p.yaml:1:1: a playbook has no `hosts`"),
        ("name: X y\nsummary: y\nhosts: all\n", "p.yaml:1:7: `name` of a playbook is `X y`, but must be a word"),
        ("name: x\nsummary: \"a\\nb\"\nhosts: all\n", "p.yaml:2:10: `summary` of a playbook has a line break"),
        ("name: x\nsummary: y\nhosts: [a]\n", "p.yaml:3:8: `hosts` of a playbook is a list"),
        ("name: x\nsummary: y\nhosts: ~a.*\n", "p.yaml:3:8: `hosts` of a playbook is no pattern of hosts: "),
    ] {
        let error = parsed(text).unwrap_err();
        assert!(error.starts_with(expected), "{text:?}: {error}");
    }
}

#[test]
fn a_strategy_within_its_bounds_only() {
    for (field, problem) in [
        ("batches: [0]", "is `0`, but must be 1 or more nodes, or 1% to 100%"),
        ("batches: [0%]", "is `0%`, but must be 1 or more nodes"),
        ("batches: [1, 101%]", "is `101%`, but must be 1 or more nodes"),
        ("batches: [-1]", "is `-1`, but must be"),
        ("batches: [1.5]", "is `1.5`, but must be"),
        ("batches: [25 %]", "is `25 %`, but must be"),
        ("batches: [+1]", "is `+1`, but must be"),
        ("batches: [99999999999]", "is `99999999999`, but must be"),
        ("batches: []", "is empty"),
        ("batches: {}", "is a mapping, but must be a list"),
        ("max_failed: 101%", "is `101%`, but must be 0 or more nodes, or 0% to 100%"),
        ("max_failed: some", "is `some`, but must be"),
        ("canary: -1", "is `-1`, but must be a number of nodes, 0 to 1000"),
        ("canary: '1'", "is `1`, but must be a number"),
        ("parallel: 0", "is `0`, but must be a number of nodes, 1 to 10000"),
        ("stop_at_same_failure: yes", "is `yes`, but must be true or false"),
    ] {
        let error = error(&format!("strategy: {{ {field} }}\nsteps: [flannel]"));
        let name = field.split(':').next().unwrap();
        assert!(error.starts_with("p.yaml:4:"), "{field}: {error}");
        assert!(error.contains(&format!("`{name}` of `strategy` {problem}")), "{field}: {error}");
    }
    let error = error("strategy: { batch: [1] }\nsteps: [flannel]");
    assert!(error.starts_with("p.yaml:4:13: `strategy` has no field `batch`; did you mean `batches`?"), "{error}");
}

#[test]
fn a_step_is_one_of_the_set_with_its_own_fields_and_its_guard() {
    for (line, at, problem) in [
        ("flanel", "flan", "there is no step `flanel`; did you mean `flannel`? (there are `flannel`, `kubeadm-join`"),
        ("shell: rm -rf /", "shel", "there is no step `shell`"),
        ("[flannel]", "[fla", "a step is one name with its fields"),
        ("{ flannel: {}, sync: true }", "{ fl", "a step is one name with its fields"),
        ("flannel: { sync: maybe }", "maybe ", "`sync` of step flannel is `maybe`, but must be true or false"),
        ("flannel: { conf: x }", "conf:", "step flannel has no field `conf`; did you mean `config`?"),
        ("flannel: { config: from-clutser }", "from-c", "`config` of step flannel must be `from-cluster` or"),
        ("flannel: { config: { from: huge } }", "huge", "`from` of `config` names huge, which is larger than 256 KiB"),
        ("flannel: { config: { from: gone } }", "gone", "`from` of `config` names gone, which cannot be read"),
        ("flannel: [x]", "[x]", "step flannel is a list, but must be a mapping"),
        (
            "kubeadm-join: { attempts: 0 }",
            "0 }",
            "`attempts` of step kubeadm-join is `0`, but must be a number, 1 to 10",
        ),
        (
            "kubeadm-join: { backoff: soon }",
            "soon }",
            "`backoff` of step kubeadm-join is wrong: \"soon\" is not a duration",
        ),
        (
            "kubeadm-join: { backoff: 10ms }",
            "10ms }",
            "`backoff` of step kubeadm-join is 10ms, but must be at least 1s",
        ),
        (
            "kubeadm-join: { ignore: [all] }",
            "all] }",
            "`ignore` of step kubeadm-join is `all`, but errors are ignored by name",
        ),
        ("kubeadm-join: { ignore: ['a b'] }", "'a b']", "`ignore` of step kubeadm-join is `a b`, but must be the name"),
        ("kubeadm-reset: { force: true }", "force:", "step kubeadm-reset has no field `force`; it has none"),
        (
            "wait-for: node/not-ready",
            "node/",
            "step wait-for is a single value, but must be a mapping of `check`, `timeout`",
        ),
        ("wait-for: { timeout: 5m }", "{ tim", "step wait-for has no `check`"),
        (
            "wait-for: { check: node/ready }",
            "node/r",
            "`check` of step wait-for names `node/ready`, and there is no such check; did you mean `node/not-ready`?",
        ),
        (
            "wait-for: { check: upgrade/removed-flag }",
            "upgrad",
            "`check` of step wait-for is `upgrade/removed-flag`, which measures by",
        ),
        (
            "wait-for: { check: node/not-ready, timeout: 0s }",
            "0s }",
            "`timeout` of step wait-for is 0s, but must be at least",
        ),
        ("restart-service: { because: kubelet/down }", "{ bec", "step restart-service has no `unit`"),
        (
            "restart-service: { unit: kubelet }",
            "{ uni",
            "step restart-service has no `because`: the check whose failure asks",
        ),
        ("restart-service: { unit: '-x', because: kubelet/down }", "'-x', ", "`unit` of step restart-service is `-x`"),
        (
            "restart-service: { unit: mnt-nas.mount, because: kubelet/down }",
            "mnt-na",
            "`unit` of step restart-service is `mnt-nas.mount`",
        ),
        ("restart-service: { unit: a b, because: kubelet/down }", "a b, b", "`unit` of step restart-service is `a b`"),
        ("command: { run: 'true', undo: none }", "{ run", "step command has no `because`"),
        (
            "command: { run: 'true', because: kubelet/down }",
            "{ run",
            "step command has no `undo`: the command that takes it back, or `none`",
        ),
        ("command: { because: kubelet/down, undo: none }", "{ bec", "step command has no `run`"),
        (
            "command: { run: \"a\\nb\", because: kubelet/down, undo: none }",
            "\"",
            "`run` of step command has a line break",
        ),
        ("command: { run: [a], because: kubelet/down, undo: none }", "[a", "`run` of step command is a list"),
        (
            "command: { run: kubeadm join --token abcdef.0123456789abcdef 1.2.3.4:6443, because: kubelet/down, undo: none }",
            "kubead",
            "`run` of step command holds what looks like a secret",
        ),
        (
            "command: { run: 'true', because: kubelet/dow, undo: none }",
            "kubele",
            "`because` of step command names `kubelet/dow`, and there is no such check; did you mean `kubelet/down`?",
        ),
    ] {
        let error = error(&format!("steps:\n  - {line}"));
        let (column, message) = error.strip_prefix("p.yaml:5:").and_then(|rest| rest.split_once(": ")).unwrap();
        let column: usize = column.parse().unwrap();
        assert!(message.starts_with(problem), "{line}: {error}");
        assert!(format!("  - {line}")[column - 1..].starts_with(at), "{line}: {error}");
    }
}

#[test]
fn a_file_that_is_written_has_one_path_and_one_content() {
    for (fields, problem) in [
        ("content: x", "step write-file has no `path`"),
        ("path: etc/motd, content: x", "`path` of step write-file is `etc/motd`, but must be absolute"),
        ("path: /etc/../motd, content: x", "`path` of step write-file is `/etc/../motd`, but must name a file"),
        ("path: /etc//motd, content: x", "`path` of step write-file is `/etc//motd`, but must name a file"),
        ("path: /etc/, content: x", "`path` of step write-file is `/etc/`, but must name a file"),
        ("path: /, content: x", "`path` of step write-file is `/`, but must name a file"),
        ("path: /etc/cni/net.d/00-x.conf, content: x", "`path` of step write-file lies in /etc/cni/net.d"),
        ("path: /run/flannel/subnet.env, content: x", "`path` of step write-file is flannel's own"),
        ("path: /proc/sys/net/ipv4/ip_forward, content: x", "`path` of step write-file is a part of the kernel"),
        ("path: /etc/motd", "step write-file has neither `content` nor `from`"),
        ("path: /etc/motd, content: x, from: motd", "`from` of step write-file stands beside `content`"),
        ("path: /etc/motd, content: [x]", "`content` of step write-file is a list"),
        ("path: /etc/motd, from: gone", "`from` of step write-file names gone, which cannot be read"),
        ("path: /etc/motd, from: binary", "`from` of step write-file names a file that is not UTF-8"),
        (
            "path: /etc/motd, content: x, mode: rw",
            "`mode` of step write-file is `rw`, but must be permission bits in octal",
        ),
        ("path: /etc/motd, content: x, mode: 0888", "`mode` of step write-file is `0888`, but must be permission bits"),
        ("path: /etc/motd, content: x, mode: 64", "`mode` of step write-file is `64`, but must be permission bits"),
        ("path: /etc/motd, content: x, mode: 4755", "`mode` of step write-file is `4755`, but setuid"),
        ("path: /etc/motd, content: x, uid: root", "`uid` of step write-file is `root`, but must be a number"),
        (
            "path: /etc/motd, content: 'token: abcdef.0123456789abcdef'",
            "`content` of step write-file holds what looks like a secret",
        ),
    ] {
        let error = error(&format!("steps:\n  - write-file: {{ {fields}, because: kernel/swap-on }}"));
        assert!(error.starts_with("p.yaml:5:") && error.contains(problem), "{fields}: {error}");
    }
    let error = error("steps:\n  - write-file: { path: /etc/motd, content: x }");
    assert!(error.starts_with("p.yaml:5:17: step write-file has no `because`: the check whose failure"), "{error}");
}

#[test]
fn steps_that_cannot_share_a_playbook() {
    let write = "  - write-file: { path: /etc/motd, content: x, because: kernel/swap-on }";
    for (steps, problem) in [
        ("  - flannel\n  - flannel", "p.yaml:6:5: the step flannel stands already at line 5"),
        ("  - kubeadm-join\n  - kubeadm-join", "p.yaml:6:5: the step kubeadm-join stands already at line 5"),
        ("  - kubeadm-reset\n  - kubeadm-join", "p.yaml:6:5: kubeadm-reset stands alone"),
        ("  - kubeadm-join\n  - kubeadm-reset", "p.yaml:6:5: kubeadm-reset stands alone"),
        (&format!("{write}\n{write}"), "p.yaml:6:5: `/etc/motd` is already written by the step at line 5"),
    ] {
        let error = error(&format!("steps:\n{steps}"));
        assert!(error.starts_with(problem), "{steps}: {error}");
    }
}

#[test]
fn what_is_no_text_or_no_playbook_at_all_is_refused_and_never_expanded() {
    let around = Surroundings { checks: &CHECKS, read: &read };
    let error = |bytes: &[u8]| parse("p.yaml", bytes, &around).unwrap_err().to_string();
    assert_eq!(error(b"name: x\nsummary: \xff\n"), "p.yaml:2:10: is not UTF-8 text from here on");
    assert!(error(&vec![b'#'; (1 << 20) + 1]).starts_with("p.yaml: is larger than 1024 KiB"));
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        let line = format!("a{level}: &a{level} [{}]\n", before.trim_end_matches(", "));
        bomb.push_str(&line);
    }
    assert!(error(bomb.as_bytes()).contains("more than 10000 values"), "{}", error(bomb.as_bytes()));
    let deep = format!("name: {}", "[".repeat(5000));
    assert!(error(deep.as_bytes()).contains("recursion limit"), "{}", error(deep.as_bytes()));
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    let text = "name: x\nsummary: y\nhosts: all\nsteps:\n  - flannel\n";
    let plain = parsed(text).unwrap();
    assert_eq!(parsed(&text.replace('\n', "\r\n")).unwrap(), plain);
    assert_eq!(parsed(&format!("\u{feff}{text}")).unwrap(), plain);
}

#[test]
fn a_path_is_a_file_and_a_word_is_built_in() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::create_dir(at("playbooks")).unwrap();
    let own = "name: ours\nsummary: y\nhosts: all\nsteps:\n  - flannel: { config: { from: net.json } }\n";
    for name in ["playbooks/join.yaml", "join", "join.yml"] {
        std::fs::write(at(name), own).unwrap();
    }
    std::fs::write(at("playbooks/net.json"), "{}").unwrap();
    let load = |named: &str| load(named, directory.path(), &CHECKS);
    // A file of that name beside the inventory is taken only when it is given as a path.
    assert_eq!(load("join").unwrap().name, "join");
    assert_eq!(load("playbooks/join.yaml").unwrap().name, "ours");
    // What it names is looked for beside it, not here.
    let error = load("./join").unwrap_err().to_string();
    assert!(error.starts_with("./join:5:32: `from` of `config` names net.json, which cannot be read"), "{error}");

    let text = |named: &str| load(named).unwrap_err().to_string();
    assert_eq!(
        text("jion"),
        "there is no built-in playbook `jion`; did you mean `join`?; built in are health-sweep, pre-upgrade, flannel, join, reset"
    );
    std::fs::write(at("ours"), own).unwrap();
    assert!(text("ours").contains("; for the file write ./ours;"), "{}", text("ours"));
    assert!(matches!(load("gone.yaml").unwrap_err(), LoadError::Read { .. }));
    assert!(text("playbooks/").contains("no regular file"), "{}", text("playbooks/"));
}
