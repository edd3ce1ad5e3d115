//! The ranking on small graphs, where what must come out is plain to see.

use super::*;

/// `kubelet/a` → `kubelet/b` → `join/c`, `kubelet/a` → `cni/d`, and a control plane's `control-plane/down` → `join/c`.
fn checks() -> Checks {
    let entry = |id: &str, more: &str| {
        format!(
            "- id: {id}\n  severity: blocker\n  title: title of {id}\n  message: message of {id}\n  fail: system.cpus == 1\n  \
             remedy: {{ text: t, safety: safe }}\n  explanation: e\n  source: s\n  cases: {{ failing: {{ system.cpus: 1 }}, \
             passing: {{ system.cpus: 2 }} }}\n{more}"
        )
    };
    let text = [
        entry("kubelet/a", "  explains: [kubelet/b, cni/d]\n"),
        entry("kubelet/b", "  explains: [join/c]\n"),
        entry("join/c", ""),
        entry("cni/d", ""),
        entry("control-plane/down", "  reaches: cluster\n  explains: [join/c]\n"),
        entry("mounts/ro", ""),
    ];
    Checks::of(&text.concat())
}

/// A node on which every check passes, but for these.
fn node(name: &str, verdicts: &[(&str, Verdict)]) -> NodeFindings {
    let findings = checks()
        .all()
        .iter()
        .map(|check| {
            let verdict =
                verdicts.iter().find(|(id, _)| check.id == **id).map_or(Verdict::Pass, |(_, verdict)| *verdict);
            Finding {
                id: check.id.clone(),
                verdict,
                severity: check.severity,
                title: check.title.clone(),
                message: check.message().into(),
                cell: String::new(),
                evidence: Vec::new(),
                lacks: Vec::new(),
                since: None,
                certain: false,
                explained_by: None,
                explains: check.explains.iter().map(|edge| edge.id.clone()).collect(),
            }
        })
        .collect();
    NodeFindings::new(name, vec![Role::Worker], findings)
}

impl NodeFindings {
    fn finding(&mut self, id: &str) -> &mut Finding {
        self.findings.iter_mut().find(|finding| finding.id == id).unwrap()
    }
}

fn ids(causes: &[RootCause]) -> Vec<&str> {
    causes.iter().map(|cause| cause.id.as_str()).collect()
}

fn explained(cause: &RootCause) -> Vec<&str> {
    cause.explains.iter().map(|consequence| consequence.id.as_str()).collect()
}

use Verdict::{Expected, Fail, Unknown, Warn};

#[test]
fn a_chain_has_one_root_and_every_link_knows_the_one_before() {
    let mut nodes = [node("n1", &[("kubelet/a", Fail), ("kubelet/b", Fail), ("join/c", Fail), ("cni/d", Fail)])];
    let causes = diagnose(&mut nodes, &checks());
    assert_eq!(ids(&causes), ["kubelet/a"]);
    assert_eq!(explained(&causes[0]), ["cni/d", "join/c", "kubelet/b"]);
    assert_eq!(causes[0].confidence, Confidence::Likely);
    assert_eq!(nodes[0].finding("join/c").explained_by.as_deref().map(String::as_str), Some("kubelet/b"));
    assert_eq!(nodes[0].finding("kubelet/b").explained_by.as_deref().map(String::as_str), Some("kubelet/a"));
    assert_eq!(nodes[0].finding("kubelet/a").explained_by, None);
}

#[test]
fn a_sound_link_breaks_the_chain_and_one_that_was_not_read_does_not() {
    let causes = diagnose(&mut [node("n1", &[("kubelet/a", Fail), ("join/c", Fail)])], &checks());
    assert_eq!(ids(&causes), ["kubelet/a", "join/c"]);
    let causes =
        diagnose(&mut [node("n1", &[("kubelet/a", Fail), ("kubelet/b", Unknown), ("join/c", Fail)])], &checks());
    assert_eq!(ids(&causes), ["kubelet/a"]);
    assert_eq!(explained(&causes[0]), ["join/c"]);
}

#[test]
fn what_could_not_be_read_behind_a_root_is_a_reservation() {
    let causes = diagnose(&mut [node("n1", &[("kubelet/a", Unknown), ("kubelet/b", Fail)])], &checks());
    assert_eq!(ids(&causes), ["kubelet/b"]);
    let reserved: Vec<&str> = causes[0].reservations.iter().map(|reserved| reserved.id.as_str()).collect();
    assert_eq!((reserved, causes[0].confidence), (vec!["kubelet/a"], Confidence::Possible));
    // Where there is no other reading, nothing is reserved.
    let mut sure = node("n1", &[("kubelet/a", Unknown), ("kubelet/b", Fail)]);
    sure.finding("kubelet/b").certain = true;
    let causes = diagnose(&mut [sure], &checks());
    assert!(causes[0].reservations.is_empty() && causes[0].confidence == Confidence::Certain);
}

#[test]
fn a_cause_is_never_younger_than_its_symptom() {
    let at = |cause, symptom| {
        let mut node = node("n1", &[("kubelet/b", Fail), ("join/c", Fail)]);
        (node.finding("kubelet/b").since, node.finding("join/c").since) = (cause, symptom);
        ids(&diagnose(&mut [node], &checks())).len()
    };
    assert_eq!([at(Some(5), Some(9)), at(Some(9), Some(5)), at(None, Some(5)), at(Some(9), None)], [1, 2, 1, 1]);
}

#[test]
fn a_guard_that_does_not_hold_cuts_the_edge() {
    let mut node = node("n1", &[("kubelet/a", Fail), ("kubelet/b", Fail)]);
    node.finding("kubelet/a").explains.clear();
    assert_eq!(ids(&diagnose(&mut [node], &checks())), ["kubelet/a", "kubelet/b"]);
}

#[test]
fn a_warning_explains_no_failure() {
    assert_eq!(
        ids(&diagnose(&mut [node("n1", &[("kubelet/a", Warn), ("kubelet/b", Fail)])], &checks())),
        ["kubelet/b", "kubelet/a"]
    );
    assert_eq!(
        ids(&diagnose(&mut [node("n1", &[("kubelet/a", Fail), ("kubelet/b", Warn)])], &checks())),
        ["kubelet/a"]
    );
}

#[test]
fn what_explains_more_comes_first_and_then_the_lower_layer() {
    let causes = diagnose(&mut [node("n1", &[("mounts/ro", Fail), ("kubelet/a", Fail), ("cni/d", Fail)])], &checks());
    assert_eq!(ids(&causes), ["kubelet/a", "mounts/ro"]);
    let causes = diagnose(&mut [node("n1", &[("mounts/ro", Fail), ("kubelet/a", Fail)])], &checks());
    assert_eq!(ids(&causes), ["mounts/ro", "kubelet/a"]);
}

#[test]
fn what_is_normal_in_the_phase_is_no_cause_and_said_to_be_none() {
    let causes = diagnose(&mut [node("n1", &[("kubelet/b", Fail), ("cni/d", Expected)])], &checks());
    assert_eq!(ids(&causes), ["kubelet/b"]);
    assert!(causes[0].not_the_cause.iter().any(|not| not.what == "title of cni/d"));
    assert!(causes[0].not_the_cause.iter().any(|not| not.what == "mounts"));
}

#[test]
fn the_same_cause_on_two_thirds_of_the_nodes_is_the_fleets() {
    let sick = |name| node(name, &[("kubelet/b", Fail)]);
    let causes = diagnose(&mut [sick("n2"), sick("n10"), node("n3", &[])], &checks());
    assert_eq!((causes[0].scope, causes[0].nodes.as_slice()), (Scope::Fleet, &["n2".to_owned(), "n10".to_owned()][..]));
    let causes = diagnose(&mut [sick("n2"), node("n3", &[]), node("n4", &[])], &checks());
    assert_eq!(causes[0].scope, Scope::Node);
}

#[test]
fn a_control_planes_fault_explains_what_every_node_shows() {
    let mut master = node("master", &[("control-plane/down", Fail)]);
    master.roles = vec![Role::ControlPlane];
    let mut nodes = [node("n1", &[("join/c", Fail)]), node("n2", &[("join/c", Fail), ("mounts/ro", Fail)]), master];
    let causes = diagnose(&mut nodes, &checks());
    assert_eq!(ids(&causes), ["control-plane/down", "mounts/ro"]);
    assert_eq!((explained(&causes[0]), causes[0].explains[0].nodes), (vec!["join/c"], 2));
    assert_eq!(nodes[0].finding("join/c").explained_by.as_deref().map(String::as_str), Some("control-plane/down"));
    // Nodes of another cluster do not feel it.
    nodes[0].cluster = 1;
    let causes = diagnose(&mut nodes, &checks());
    assert_eq!(ids(&causes), ["control-plane/down", "mounts/ro", "join/c"]);
    assert_eq!(causes[0].explains[0].nodes, 1);
    // On a worker the same fault is its own.
    let causes =
        diagnose(&mut [node("n1", &[("control-plane/down", Fail)]), node("n2", &[("join/c", Fail)])], &checks());
    assert_eq!(ids(&causes), ["control-plane/down", "join/c"]);
}
