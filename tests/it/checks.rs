//! The checks that come with the program: on recorded nodes, in the documentation and through `seaworthy explain`.

use assert_cmd::Command;
use seaworthy::checks::{BuiltIn, Checks, Finding, Subject, doc};
use seaworthy::facts::cluster::Member;
use seaworthy::facts::{Fact, NodeFacts};
use seaworthy::target::Role;
use seaworthy::verdict::{Phase, Verdict};

use crate::facts::{case, report};

/// What the built-in checks say about every node of a recorded run.
fn findings(name: &str) -> Vec<(String, Vec<Finding>)> {
    report(&case(name)).nodes.into_iter().map(|node| (node.name, node.findings)).collect()
}

/// What the built-in checks say about facts alone.
fn evaluate(facts: &NodeFacts, phase: Option<Phase>) -> Vec<Finding> {
    let member = Member::default();
    let subject = Subject { facts, phase, roles: &[Role::Worker], member: &member, failure: None };
    Checks::built_in().unwrap().evaluate(&subject)
}

fn with(findings: &[Finding], verdict: Verdict) -> Vec<&str> {
    findings.iter().filter(|finding| finding.verdict == verdict).map(|finding| finding.id.as_str()).collect()
}

#[test]
fn built_in_checks_load_and_stand_in_the_file_of_their_area() {
    let checks = Checks::built_in_tried().unwrap_or_else(|error| panic!("{error}"));
    assert!(checks.all().len() >= 30);
    for check in checks.all().iter().filter(|check| check.file.ends_with("kubelet.yaml")) {
        assert_eq!(check.area(), "kubelet");
    }
}

#[test]
fn sound_nodes_give_no_failing_check() {
    for (name, warnings) in
        [("healthy", &[][..]), ("storage-after-reset", &["mounts/kernel-names", "nfs/loopback"][..])]
    {
        for (node, findings) in findings(name) {
            assert_eq!(with(&findings, Verdict::Fail), [""; 0], "{name}/{node}");
            assert_eq!(with(&findings, Verdict::Warn), warnings, "{name}/{node}");
        }
    }
}

#[test]
fn what_is_normal_before_a_join_is_expected() {
    let found = findings("storage-after-reset");
    let expected = with(&found[0].1, Verdict::Expected);
    assert!(expected.contains(&"cni/config-missing") && expected.contains(&"cni/network-not-ready"), "{expected:?}");
}

#[test]
fn recorded_faults_are_found() {
    let standalone = findings("storage-standalone");
    let failing = with(&standalone[0].1, Verdict::Fail);
    assert!(failing.contains(&"kubelet/drop-in-missing") && failing.contains(&"kubelet/standalone"), "{failing:?}");
    let line = standalone[0].1.iter().find(|finding| finding.id == "kubelet/standalone").unwrap();
    assert_eq!(line.evidence[0].path, "kubelet.arguments");

    let driver = findings("cgroup-driver");
    assert!(with(&driver[0].1, Verdict::Fail).contains(&"containerd/cgroup-driver-mismatch"));

    let bare = findings("no-conflist-joined");
    let (_, worker) = bare.iter().find(|(node, _)| node == "homelab").unwrap();
    assert!(with(worker, Verdict::Fail).contains(&"cni/config-missing"));
}

#[test]
fn what_could_not_be_read_is_unknown_and_says_why() {
    let found = evaluate(&NodeFacts::default(), Some(Phase::Ready));
    assert_eq!(with(&found, Verdict::Fail), [""; 0]);
    assert_eq!(with(&found, Verdict::Warn), [""; 0]);
    let standalone = found.iter().find(|finding| finding.id == "kubelet/standalone").unwrap();
    assert_eq!(standalone.verdict, Verdict::Unknown);
    assert!(standalone.message.contains("kubelet.standalone: "), "{}", standalone.message);
}

#[test]
fn an_unknown_fact_does_not_matter_where_another_one_decides() {
    let mut facts = NodeFacts::default();
    facts.certs.kubelet_client.not_yet_valid = Fact::Known(true);
    let of = |phase, facts: &NodeFacts| {
        let found = evaluate(facts, phase);
        found.into_iter().find(|finding| finding.id == "kubelet/client-certificate-expired").unwrap().verdict
    };
    assert_eq!(of(Some(Phase::Ready), &facts), Verdict::Fail);
    assert_eq!(of(Some(Phase::Unprepared), &facts), Verdict::NotApplicable);
    // In a phase that is not known the check might not apply at all.
    assert_eq!(of(None, &facts), Verdict::Unknown);
}

#[test]
fn the_documentation_is_the_one_of_the_checks() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/checks.md");
    let current = doc::markdown(&Checks::built_in().unwrap());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &current).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == current, "docs/checks.md is out of date: UPDATE_DOCS=1 cargo test --test it checks");
}

#[test]
fn the_examples_of_the_documentation_are_checks() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/diagnosis.md")).unwrap();
    let examples: Vec<&str> = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(examples.len(), 2);
    let checks = load(&examples.concat()).unwrap_or_else(|error| panic!("{error}"));
    assert!(checks.get("site/hugepages").is_some());
    assert!(checks.get("kernel/swap-on").unwrap().change.as_ref().unwrap().disabled);
}

fn seaworthy(arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("seaworthy"));
    command.env_clear().args(arguments);
    command
}

#[test]
fn explain_prints_a_check_an_area_and_the_nearest_name() {
    let output = seaworthy(&["explain", "kernel/ip-forward-off"]).output().unwrap();
    assert!(output.status.success());
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap(), @r#"
    kernel/ip-forward-off  (high)
    IPv4 forwarding is off

    kubeadm checks it before a join only when the API's address is an IP address, so that a green
    preflight proves nothing. Before the join it only warns.

    fails when
      kernel.ip_forward == false && node.phase != null && node.phase in ["joined-not-ready", "ready", "control-plane"]
    warns when
      kernel.ip_forward == false
    is certain when
      true
    explains
      join/failed
    may be explained by
      kernel/sysctl-off-at-boot
    what to do (safe)
      Set it, and keep it in a file of /etc/sysctl.d.
      $ echo net.ipv4.ip_forward=1 > /etc/sysctl.d/99-kubernetes.conf
      $ sysctl -w net.ipv4.ip_forward=1
    source
      kubeadm's JoinNodeChecks
    "#);

    let area = seaworthy(&["explain", "flannel"]).assert().success();
    let of_area = Checks::built_in().unwrap().all().iter().filter(|check| check.area() == "flannel").count();
    assert_eq!(String::from_utf8_lossy(&area.get_output().stdout).lines().count(), of_area);

    let wrong = seaworthy(&["explain", "kubelet/dropin-missing"]).assert().code(64);
    let said = String::from_utf8_lossy(&wrong.get_output().stderr).into_owned();
    assert!(said.contains("did you mean `kubelet/drop-in-missing`?"), "{said}");
}

const OWN: &str = "\
- id: site/hugepages
  severity: low
  title: t
  message: m
  fail: system.cpus == 3
  remedy: { text: t, safety: manual }
  explanation: e
  source: s
  cases: { failing: { system.cpus: 3 }, passing: { system.cpus: 4 } }
";

/// Loads a user's own file beside the built-in checks.
fn load(text: &str) -> Result<Checks, String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("own.yaml"), text).unwrap();
    Checks::with(BuiltIn::load().unwrap(), &[dir.path().to_owned()])
        .map_err(|error| error.to_string().replace(&format!("{}/", dir.path().display()), ""))
}

#[test]
fn mistakes_in_a_file_are_refused_with_their_place() {
    let edit = |from: &str, to: &str| {
        assert!(OWN.contains(from), "{from}");
        OWN.replace(from, to)
    };
    let cycle = format!(
        "{}{}",
        edit("  title: t\n", "  title: t\n  explains: [site/other]\n"),
        edit("site/hugepages", "site/other").replace("  title: t\n", "  title: t\n  explains: [site/hugepages]\n")
    );
    let cases: &[(String, &str, &str)] = &[
        (edit("fail: system.cpus", "fail: system.cpu"), "own.yaml:5:", "did you mean `cpus`?"),
        (edit("fail: system.cpus", "fail: sistem.cpus"), "own.yaml:5:", "did you mean `system`?"),
        // Behind something that decides, and inside a macro.
        (edit("system.cpus == 3", "system.cpus == 3 || kubelet.wird == true"), "own.yaml:5:", "did you mean `wired`?"),
        (
            edit("system.cpus == 3", "kubelet.configured_flags.exists(f, f.flga == 'x')"),
            "own.yaml:5:",
            "did you mean `flag`?",
        ),
        (edit("system.cpus == 3", "has(system.cpus)"), "own.yaml:5:", "compare it with null"),
        (edit("system.cpus == 3", "system.cpus < 3"), "own.yaml:5:", "when a fact is absent"),
        (edit("system.cpus == 3", "system.cpus +"), "own.yaml:5:", "`fail`"),
        (edit("system.cpus == 3", "system.cpus"), "own.yaml:5:", "bool"),
        (edit("remedy:", "remidy:"), "own.yaml:6:", "did you mean `remedy`?"),
        (edit("severity: low", "severity: hihg"), "own.yaml:2:", "did you mean `high`?"),
        (edit("  source: s\n", ""), "own.yaml:1:", "has no `source`"),
        (edit("site/hugepages", "Hugepages"), "own.yaml:1:", "is no id"),
        (edit("passing: { system.cpus: 4", "passing: { system.cpus: 3"), "own.yaml:9:", "comes out as Fail"),
        (edit("passing: { system.cpus: 4", "passing: { system.cpuz: 4"), "own.yaml:9:", "did you mean `cpus`?"),
        (edit("passing: { system.cpus: 4", "passing: { system.cpus: four"), "own.yaml:9:", "another type"),
        (
            edit("  title: t\n", "  title: t\n  explains: [kubelet/crashloop]\n"),
            "own.yaml:1:",
            "did you mean `kubelet/crash-loop`?",
        ),
        (format!("{OWN}{OWN}"), "own.yaml:10:", "already at own.yaml:1"),
        (cycle, "own.yaml:1:", "site/hugepages -> site/other -> site/hugepages"),
        ("- id: time/skew\n  severity: low\n".to_owned(), "own.yaml:1:", "needs a `reason`"),
        ("- id: time/skew\n  reason: r\n".to_owned(), "own.yaml:1:", "changes nothing"),
        ("- id: time/skew\n  fail: 'true'\n  reason: r\n".to_owned(), "own.yaml:1:", "nothing else"),
        ("- id: time/scew\n  disabled: true\n  reason: r\n".to_owned(), "own.yaml:1:", "there is no `time/scew`"),
        ("just words".to_owned(), "own.yaml:", ""),
    ];
    for (text, place, words) in cases {
        let error = load(text).expect_err(text);
        assert!(error.starts_with(place) && error.contains(words), "{error}\n{text}");
    }
}

#[test]
fn a_user_adds_checks_and_changes_built_in_ones() {
    let changes =
        "- id: time/skew\n  severity: low\n  reason: a lab\n- id: kernel/swap-on\n  disabled: true\n  reason: wanted\n";
    let checks = load(&format!("{OWN}{changes}")).unwrap_or_else(|error| panic!("{error}"));
    let mut facts = NodeFacts::default();
    facts.system.cpus = Fact::Known(3);
    let member = Member::default();
    let subject =
        Subject { facts: &facts, phase: Some(Phase::Ready), roles: &[Role::Worker], member: &member, failure: None };
    let found = checks.evaluate(&subject);
    let own = found.iter().find(|finding| finding.id == "site/hugepages").unwrap();
    assert_eq!(own.verdict, Verdict::Fail);
    assert!(!found.iter().any(|finding| finding.id == "kernel/swap-on"));
    let change = checks.get("time/skew").unwrap().change.as_ref().unwrap();
    assert_eq!((change.reason.as_str(), checks.get("time/skew").unwrap().severity.label()), ("a lab", "low"));
    assert!(load("").is_ok() && load("# nothing\n").is_ok());
}
