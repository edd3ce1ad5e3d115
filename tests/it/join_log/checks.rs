//! What a join log names, and what the checks make of it together with a node.

use std::collections::BTreeSet;

use seaworthy::checks::{Checks, Finding, Subject};
use seaworthy::diagnose::join_log::{Phase as Reached, classify};
use seaworthy::diagnose::root_cause::{Confidence, RootCause};
use seaworthy::diagnose::{NodeFindings, diagnose};
use seaworthy::facts::cluster::Member;
use seaworthy::facts::{Fact, NodeFacts, join, parse};
use seaworthy::target::Role;
use seaworthy::verdict::{Phase, Verdict};

use super::{READ, STARTED};
use crate::facts::case;

/// Every id in a list called `checks`, and every `names`.
fn ids_in(value: &serde_yaml::Value, into: &mut BTreeSet<String>) {
    match value {
        serde_yaml::Value::Mapping(entries) => {
            for (key, value) in entries {
                match key.as_str() {
                    Some("checks") => {
                        into.extend(value.as_sequence().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()));
                    }
                    Some("names") => {
                        into.insert(value.as_str().unwrap().to_owned());
                    }
                    _ => ids_in(value, into),
                }
            }
        }
        serde_yaml::Value::Sequence(items) => items.iter().for_each(|item| ids_in(item, into)),
        _ => {}
    }
}

#[test]
fn every_check_that_the_table_names_exists() {
    let table = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/playbooks/join-phases.yaml")).unwrap();
    let mut ids = BTreeSet::new();
    ids_in(&serde_yaml::from_str(&table).unwrap(), &mut ids);
    assert!(ids.len() > 30, "{ids:?}");
    let checks = Checks::built_in().unwrap();
    let unknown: Vec<&String> = ids.iter().filter(|id| checks.get(id).is_none()).collect();
    assert!(unknown.is_empty(), "playbooks/join-phases.yaml names checks that there are not: {unknown:?}");
}

/// A node before or in a join with nothing wrong in it.
fn sound() -> NodeFacts {
    let mut facts = parse(&case("storage-after-reset").remove(0));
    facts.kubeadm.missing_programs = Fact::Known(vec![]);
    facts
}

/// What all checks say of a node with a log beside it.
fn with_log(mut facts: NodeFacts, phase: Phase, log: &str) -> (Vec<Finding>, Vec<RootCause>) {
    facts.join = join::of(&classify(log.as_bytes()));
    let checks = Checks::built_in().unwrap();
    let member = Member::default();
    let roles = vec![Role::Worker];
    let subject = Subject { facts: &facts, phase: Some(phase), roles: &roles, member: &member, failure: None };
    let findings = checks.evaluate(&subject);
    let mut nodes = vec![NodeFindings::new("node", roles.clone(), findings)];
    let causes = diagnose(&mut nodes, &checks);
    (nodes.remove(0).findings, causes)
}

fn failing(findings: &[Finding]) -> Vec<&str> {
    findings.iter().filter(|finding| finding.verdict == Verdict::Fail).map(|finding| finding.id.as_str()).collect()
}

#[test]
fn what_only_a_log_tells_fails_with_certainty_and_explains_the_join() {
    let discovery = |error: &str| {
        format!(
            "[preflight] Running pre-flight checks\nerror execution phase preflight: couldn't validate the identity of the API Server: {error}\n"
        )
    };
    let configuration = |error: &str| {
        format!("{READ}error execution phase preflight: unable to fetch the kubeadm-config ConfigMap: {error}\n")
    };
    let cases = [
        (
            "join/token-unknown",
            discovery("could not find a JWS signature in the cluster-info ConfigMap for token ID \"abcdef\""),
        ),
        (
            "join/ca-pin-mismatch",
            discovery(
                "cluster CA found in cluster-info ConfigMap is invalid: none of the public keys \"sha256:aa\" are pinned",
            ),
        ),
        (
            "join/cluster-info-forbidden",
            discovery("configmaps \"cluster-info\" is forbidden: User \"system:anonymous\" cannot get resource"),
        ),
        (
            "join/api-unreachable",
            discovery("Get \"https://192.0.2.1:6443/api\": dial tcp 192.0.2.1:6443: connect: connection refused"),
        ),
        (
            "join/endpoint-unresolved",
            discovery("Get \"https://api.x:6443/api\": dial tcp: lookup api.x on 192.0.2.53:53: no such host"),
        ),
        (
            "join/api-certificate-dates",
            discovery(
                "x509: certificate has expired or is not yet valid: current time 2025-01-01T00:00:00Z is before 2025-09-01T00:00:00Z",
            ),
        ),
        ("join/api-certificate-name", discovery("x509: certificate is valid for 10.96.0.1, not 192.0.2.1")),
        (
            "join/endpoint-differs",
            configuration("Get \"https://10.0.0.9:6443/api\": dial tcp 10.0.0.9:6443: i/o timeout"),
        ),
        (
            "join/configmap-forbidden",
            configuration(
                "configmaps \"kubeadm-config\" is forbidden: User \"system:bootstrap:abcdef\" cannot get resource",
            ),
        ),
        (
            "join/version-skew",
            configuration(
                "this version of kubeadm only supports deploying clusters with the control plane version >= 1.30.0",
            ),
        ),
        (
            "join/node-name-taken",
            format!(
                "{READ}[kubelet-start] Writing\nerror execution phase kubelet-start: a Node with name \"masternode\" and status \"Ready\" already exists in the cluster\n"
            ),
        ),
        (
            "join/program-missing",
            "$ kubeadm join 192.0.2.1:6443 --token x\n/bin/sh: 1: kubeadm: not found\n".to_owned(),
        ),
    ];
    for (id, log) in cases {
        let (findings, roots) = with_log(sound(), Phase::Prepared, &log);
        let root = roots.first().unwrap_or_else(|| panic!("{id}: nothing fails: {log}"));
        assert_eq!((root.id.as_str(), root.confidence), (id, Confidence::Certain), "{log}\n{:?}", failing(&findings));
        assert!(
            root.explains.iter().any(|consequence| consequence.id == "join/failed"),
            "{id}: {:?}",
            failing(&findings)
        );
    }
}

#[test]
fn a_failed_join_that_nothing_explains_is_itself_what_is_to_be_looked_into() {
    let log = format!(
        "{READ}{STARTED}[kubelet-check] Initial timeout of 40s passed.\ntimed out waiting for the condition\nerror execution phase kubelet-start: timed out waiting for the condition\n"
    );
    assert_eq!(join::of(&classify(log.as_bytes())).reached, Fact::Known(Reached::TlsBootstrap));
    let (findings, causes) = with_log(sound(), Phase::Prepared, &log);
    assert_eq!(failing(&findings), ["join/failed"]);
    assert_eq!(causes[0].id, "join/failed");
    assert!(causes[0].remedy.text.contains("Nothing that was read says why"));
}

#[test]
fn a_missing_drop_in_is_the_start_of_the_chain_and_the_cni_configuration_its_end() {
    let mut facts = parse(&case("storage-standalone").remove(0));
    facts.kubeadm.running = Fact::Known(false);
    facts.kubeadm.pid = Fact::Absent;
    facts.cni.file_count = Fact::Known(0);
    facts.cni.files = Fact::Known(vec![]);
    let log = format!(
        "{READ}{STARTED}[kubelet-check] Initial timeout of 40s passed.\nerror execution phase kubelet-start: timed out waiting for the condition\n"
    );
    let (findings, causes) = with_log(facts.clone(), Phase::Joining, &log);
    let root = &causes[0];
    assert_eq!((root.id.as_str(), root.confidence), ("kubelet/drop-in-missing", Confidence::Certain));
    let explained: Vec<&str> = root.explains.iter().map(|consequence| consequence.id.as_str()).collect();
    for id in ["kubelet/standalone", "join/failed", "containerd/cgroup-driver-of-standalone"] {
        assert!(explained.contains(&id), "{id} is not in {explained:?}");
    }
    assert!(findings.iter().any(|finding| finding.id == "cni/config-missing" && finding.verdict == Verdict::Expected));
    assert_eq!(root.message, "systemd starts the kubelet without a kubeconfig: it has no drop-in");

    // After the join the same chain ends in the missing CNI configuration.
    let (_, causes) = with_log(facts, Phase::JoinedNotReady, "");
    let root = causes.iter().find(|cause| cause.id == "kubelet/drop-in-missing").unwrap();
    assert!(root.explains.iter().any(|consequence| consequence.id == "cni/config-missing"), "{:?}", root.explains);
    assert!(!causes.iter().any(|cause| cause.id == "cni/config-missing"));
}

#[test]
fn a_flag_that_hid_the_evidence_is_told_and_is_no_cause() {
    let log = format!(
        "$ kubeadm join 192.0.2.1:6443 --ignore-preflight-errors=Port-10250\n{READ}{STARTED}error execution phase kubelet-start: timed out waiting for the condition\n"
    );
    let (findings, causes) = with_log(sound(), Phase::Prepared, &log);
    let told = findings.iter().find(|finding| finding.id == "join/preflight-ignored").unwrap();
    assert_eq!(told.verdict, Verdict::Warn);
    assert!(causes.iter().find(|cause| cause.id == "join/preflight-ignored").unwrap().explains.is_empty());
}

#[test]
fn a_dead_controller_manager_explains_what_looks_unrelated_on_other_nodes() {
    let checks = Checks::built_in().unwrap();
    let member = Member::default();
    let of = |name: &str, role: Role, phase: Phase, facts: &NodeFacts| {
        let roles = vec![role];
        let subject = Subject { facts, phase: Some(phase), roles: &roles, member: &member, failure: None };
        let findings = checks.evaluate(&subject);
        NodeFindings::new(name, roles, findings)
    };
    let mut control = NodeFacts::default();
    control.control_plane.controller_manager.down = Fact::Known(true);
    let mut worker = sound();
    worker.join = join::of(&classify(
        b"[preflight] Running pre-flight checks\nerror execution phase preflight: couldn't validate the identity of the API Server: \
          could not find a JWS signature in the cluster-info ConfigMap for token ID \"abcdef\"\n",
    ));
    let mut nodes = vec![
        of("cp", Role::ControlPlane, Phase::ControlPlane, &control),
        of("worker", Role::Worker, Phase::Prepared, &worker),
    ];
    let causes = diagnose(&mut nodes, &checks);
    let ids: Vec<&str> = causes.iter().map(|cause| cause.id.as_str()).collect();
    assert_eq!(ids[0], "control-plane/controller-manager-down", "{ids:?}");
    let explained: Vec<&str> = causes[0].explains.iter().map(|consequence| consequence.id.as_str()).collect();
    assert!(explained.contains(&"join/token-unknown") && explained.contains(&"join/failed"), "{explained:?}");
    assert!(!ids.contains(&"join/token-unknown"), "{ids:?}");
}
