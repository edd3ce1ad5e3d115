//! What a log of `kubeadm join` says of this node, as facts. All of them are absent when no log was given.
//!
//! A log stands beside a node's record and is no part of it: [`super::parse`] leaves the area absent, and whoever has a log
//! sets `facts.join` with [`of`] or [`of_node`]. What the texts of a log mean is known by [`join_log`](crate::diagnose::join_log).

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::Fact;
use crate::diagnose::join_log::{Attempt, Caveat, Cut, Ending, JoinLog, Outcome, Phase};

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Join {
    /// How the last attempt ended.
    pub ending: Fact<Ending>,
    /// The deepest phase that it reached.
    pub reached: Fact<Phase>,
    /// The class of the failure, as in `playbooks/join-phases.yaml`.
    pub class: Fact<String>,
    /// What that class means.
    pub says: Fact<String>,
    /// The last line that shows it.
    pub error: Fact<String>,
    /// The checks that the log's own text proves to fail, in order.
    pub named: Fact<Vec<String>>,
    /// kubeadm said that the kubelet does not answer on its health port. Absent also where the join did not get that far.
    pub kubelet_unhealthy: Fact<bool>,
    /// The kubelet's start, its certificate or its registration is what the join stopped at.
    pub stopped_at_kubelet: Fact<bool>,
    /// Names in `--ignore-preflight-errors`.
    pub ignored_checks: Fact<Vec<String>>,
    /// The name that the node was to get: `--node-name`.
    pub node_name: Fact<String>,
    /// The limit of a `timeout` around the command that is shorter than kubeadm's own wait, in seconds.
    pub short_timeout: Fact<u64>,
    /// What ended the join before kubeadm did.
    pub cut_by: Fact<Cut>,
    /// The attempt before ended in the same way: nothing was changed in between.
    pub repeated: Fact<bool>,
    /// Its number on this machine.
    pub attempt: Fact<u64>,
}

/// No log was given.
impl Default for Join {
    fn default() -> Self {
        Self {
            ending: Fact::Absent,
            reached: Fact::Absent,
            class: Fact::Absent,
            says: Fact::Absent,
            error: Fact::Absent,
            named: Fact::Absent,
            kubelet_unhealthy: Fact::Absent,
            stopped_at_kubelet: Fact::Absent,
            ignored_checks: Fact::Absent,
            node_name: Fact::Absent,
            short_timeout: Fact::Absent,
            cut_by: Fact::Absent,
            repeated: Fact::Absent,
            attempt: Fact::Absent,
        }
    }
}

/// The log of one node: its last attempt, and of several machines' the one that ended worst.
pub fn of(log: &JoinLog) -> Join {
    let last = log.last();
    // The first of the worst: a log of one machine has only one.
    let worst = last.iter().rev().max_by_key(|attempt| attempt.outcome.ending());
    worst.map_or_else(Join::default, |attempt| attempt_facts(log, attempt))
}

/// The same of a log of several machines, for the one that goes by one of these names. A log that names no machines is
/// taken for this node's.
pub fn of_node(log: &JoinLog, names: &[&str]) -> Join {
    let last = log.last();
    if last.iter().all(|attempt| attempt.host.is_none()) {
        return of(log);
    }
    let is_own =
        |attempt: &&&Attempt| attempt.host.as_ref().is_some_and(|host| names.iter().any(|name| same_host(host, name)));
    last.iter().find(is_own).map_or_else(Join::default, |attempt| attempt_facts(log, attempt))
}

/// Also where one side has the domain.
fn same_host(a: &str, b: &str) -> bool {
    let short = |name: &str| name.split('.').next().unwrap_or(name).to_ascii_lowercase();
    let is_address = |name: &str| name.parse::<std::net::IpAddr>().is_ok();
    if is_address(a) || is_address(b) { a == b } else { short(a) == short(b) }
}

fn attempt_facts(log: &JoinLog, attempt: &Attempt) -> Join {
    let class = attempt.outcome.class();
    let failed = attempt.outcome != Outcome::Joined;
    let at_kubelet = matches!(attempt.reached, Phase::KubeletStart | Phase::TlsBootstrap | Phase::Registration);
    let caveat = |of: fn(&Caveat) -> Option<Vec<String>>| attempt.caveats.iter().find_map(of);
    Join {
        ending: Fact::Known(attempt.outcome.ending()),
        reached: Fact::Known(attempt.reached),
        class: Fact::from_option(class.map(|class| class.id.clone())),
        says: Fact::from_option(class.map(|class| class.says.clone())),
        error: Fact::from_option(attempt.evidence.last().filter(|_| failed).map(|line| line.text.clone())),
        named: Fact::Known(if failed { named(log, attempt) } else { Vec::new() }),
        kubelet_unhealthy: Fact::from_option(
            (failed && at_kubelet && attempt.reached != Phase::KubeletStart)
                .then(|| class.is_some_and(|class| matches!(class.id.as_str(), "kubelet-down" | "kubelet-died"))),
        ),
        stopped_at_kubelet: Fact::Known(failed && at_kubelet),
        ignored_checks: Fact::from_option(caveat(|caveat| match caveat {
            Caveat::IgnoresErrors { names } => Some(names.clone()),
            _ => None,
        })),
        node_name: Fact::from_option(attempt.command.as_deref().and_then(node_name)),
        short_timeout: Fact::from_option(attempt.caveats.iter().find_map(|caveat| match caveat {
            Caveat::ShortTimeout { seconds, .. } => Some(*seconds),
            _ => None,
        })),
        cut_by: match attempt.outcome {
            Outcome::CutOff { by, .. } => Fact::Known(by),
            Outcome::Joined | Outcome::Failed { .. } => Fact::Absent,
        },
        repeated: Fact::Known(attempt.same_as.is_some()),
        attempt: Fact::Known(attempt.number as u64),
    }
}

/// By the class, by what the pre-flight checks refused or were made to ignore, and by what else the log says.
fn named(log: &JoinLog, attempt: &Attempt) -> Vec<String> {
    let class = attempt.outcome.class().and_then(|class| class.names.as_ref());
    let errors = match &attempt.outcome {
        Outcome::Failed { errors, .. } => errors.as_slice(),
        Outcome::Joined | Outcome::CutOff { .. } => &[],
    };
    let refused = errors.iter().chain(&attempt.ignored).filter_map(|error| error.names.as_ref());
    let clues = log.clues.iter().filter_map(|clue| clue.names.as_ref());
    let all: BTreeSet<&String> = class.into_iter().chain(refused).chain(clues).collect();
    all.into_iter().cloned().collect()
}

/// The value of `--node-name`.
fn node_name(command: &str) -> Option<String> {
    let words: Vec<String> = command.split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_owned()).collect();
    super::unit::flag_value(&words, "node-name").filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::join_log::classify;

    const STANDALONE: &str = "\
$ sudo timeout 300 kubeadm join 192.0.2.10:6443 --token abcdef.0123456789abcdef --node-name=storage --ignore-preflight-errors=Port-10250
[preflight] Running pre-flight checks
\t[WARNING Port-10250]: Port 10250 is in use
[preflight] Reading configuration from the cluster...
[kubelet-start] Writing kubelet configuration to file \"/var/lib/kubelet/config.yaml\"
[kubelet-start] Starting the kubelet
[kubelet-start] Waiting for the kubelet to perform the TLS Bootstrap...
[kubelet-check] Initial timeout of 40s passed.
timed out waiting for the condition
error execution phase kubelet-start
";

    fn facts(text: &str) -> Join {
        of(&classify(text.as_bytes()))
    }

    #[test]
    fn a_kubelet_that_never_bootstrapped() {
        let join = facts(STANDALONE);
        assert_eq!((join.ending, join.reached), (Fact::Known(Ending::Failed), Fact::Known(Phase::TlsBootstrap)));
        assert_eq!((join.kubelet_unhealthy, join.stopped_at_kubelet), (Fact::Known(false), Fact::Known(true)));
        assert_eq!(join.class, Fact::Known("never-bootstrapped".to_owned()));
        assert_eq!(join.node_name, Fact::Known("storage".to_owned()));
        assert_eq!(join.short_timeout, Fact::Known(300));
        assert_eq!(join.ignored_checks, Fact::Known(vec!["Port-10250".to_owned()]));
        // What the flag turned into a warning is proven all the same.
        assert_eq!(join.named, Fact::Known(vec!["kubelet/port-taken".to_owned()]));
    }

    #[test]
    fn the_health_line_tells_a_kubelet_that_does_not_run() {
        let down = STANDALONE.replace(
            "timed out waiting",
            "[kubelet-check] The HTTP call equal to 'curl -sSL http://localhost:10248/healthz' failed with error: x\ntimed out waiting",
        );
        assert_eq!(facts(&down).kubelet_unhealthy, Fact::Known(true));
    }

    #[test]
    fn errors_name_checks_and_a_success_names_none() {
        let token = "[preflight] Running pre-flight checks\nerror execution phase preflight: couldn't validate the identity of the API Server: \
                     could not find a JWS signature in the cluster-info ConfigMap for token ID \"abcdef\"\n";
        let join = facts(token);
        assert_eq!(join.named, Fact::Known(vec!["join/token-unknown".to_owned()]));
        assert_eq!((join.kubelet_unhealthy, join.stopped_at_kubelet), (Fact::Absent, Fact::Known(false)));
        let joined = facts(&format!(
            "{STANDALONE}{token}[preflight] Running pre-flight checks\nThis node has joined the cluster:\n"
        ));
        assert_eq!((joined.ending, joined.named), (Fact::Known(Ending::Joined), Fact::Known(vec![])));
    }

    #[test]
    fn a_log_without_a_join_says_nothing() {
        assert_eq!(facts("nothing of kubeadm\n"), Join::default());
    }

    #[test]
    fn machines_are_told_apart() {
        let log = classify(
            b"a: [preflight] Running pre-flight checks\nb: [preflight] Running pre-flight checks\n\
              a: This node has joined the cluster:\nb: error execution phase preflight: configmaps \"cluster-info\" is forbidden\n",
        );
        assert_eq!(of(&log).ending, Fact::Known(Ending::Failed));
        assert_eq!(of_node(&log, &["a"]).ending, Fact::Known(Ending::Joined));
        assert_eq!(of_node(&log, &["B.example.org"]).ending, Fact::Known(Ending::Failed));
        assert_eq!(of_node(&log, &["c"]), Join::default());
    }
}
