//! The checks that come with the program: on recorded nodes, in the documentation and through `seaworthy explain`.

use assert_cmd::Command;
use seaworthy::checks::{Checks, Finding, doc};
use seaworthy::facts::cluster::Member;
use seaworthy::facts::{Fact, NodeFacts};
use seaworthy::target::Role;
use seaworthy::verdict::{Phase, Verdict};

use crate::facts::{case, judge};

/// What the built-in checks say about every node of a recorded run.
fn findings(name: &str) -> Vec<(String, Vec<Finding>)> {
    let checks = Checks::built_in().unwrap();
    let records = case(name);
    let (view, judged) = judge(&records);
    records
        .iter()
        .zip(judged)
        .map(|(record, (facts, assessment))| {
            let member = &view.members[&record.name];
            (record.name.clone(), checks.evaluate(&facts, assessment.phase, &assessment.roles, member))
        })
        .collect()
}

fn with<'f>(findings: &'f [Finding], verdict: Verdict) -> Vec<&'f str> {
    findings.iter().filter(|finding| finding.verdict == verdict).map(|finding| finding.id.as_str()).collect()
}

#[test]
fn built_in_checks_load_and_stand_in_the_file_of_their_area() {
    let checks = Checks::built_in().unwrap_or_else(|error| panic!("{error}"));
    assert!(checks.all().len() >= 30);
    for check in checks.all().iter().filter(|check| check.file.ends_with("kubelet.yaml")) {
        assert_eq!(check.area(), "kubelet");
    }
}

#[test]
fn sound_nodes_give_no_failing_check() {
    for name in ["healthy", "storage-after-reset"] {
        for (node, findings) in findings(name) {
            assert_eq!(with(&findings, Verdict::Fail), [""; 0], "{name}/{node}");
            assert_eq!(with(&findings, Verdict::Warn), [""; 0], "{name}/{node}");
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
    let checks = Checks::built_in().unwrap();
    let found = checks.evaluate(&NodeFacts::default(), Some(Phase::Ready), &[Role::Worker], &Member::default());
    assert_eq!(with(&found, Verdict::Fail), [""; 0]);
    assert_eq!(with(&found, Verdict::Warn), [""; 0]);
    let standalone = found.iter().find(|finding| finding.id == "kubelet/standalone").unwrap();
    assert_eq!(standalone.verdict, Verdict::Unknown);
    assert!(standalone.message.contains("kubelet.standalone: "), "{}", standalone.message);
}

#[test]
fn an_unknown_fact_does_not_matter_where_another_one_decides() {
    let checks = Checks::built_in().unwrap();
    let mut facts = NodeFacts::default();
    facts.certs.kubelet_client.not_yet_valid = Fact::Known(true);
    let of = |phase, facts: &NodeFacts| {
        let found = checks.evaluate(facts, phase, &[Role::Worker], &Member::default());
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

fn seaworthy(arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("seaworthy"));
    command.env_clear().args(arguments);
    command
}

#[test]
fn explain_prints_a_check_an_area_and_the_nearest_name() {
    let output = seaworthy(&["explain", "kernel/ip-forward-off"]).output().unwrap();
    assert!(output.status.success());
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap(), @"");

    let area = seaworthy(&["explain", "flannel"]).assert().success();
    assert_eq!(String::from_utf8_lossy(&area.get_output().stdout).lines().count(), 3);

    let wrong = seaworthy(&["explain", "kubelet/dropin-missing"]).assert().code(64);
    let said = String::from_utf8_lossy(&wrong.get_output().stderr).into_owned();
    assert!(said.contains("did you mean `kubelet/drop-in-missing`?"), "{said}");
}
