//! `kubeadm join` output of every kind, and what is made of it. All logs are made up in kubeadm's words.

mod checks;
mod program;
mod shapes;
mod words;

use seaworthy::diagnose::join_log::{Attempt, JoinLog, Outcome, Phase, classify};

/// What the only attempt of a log is: its deepest phase and the id of its class.
fn only(log: &str) -> (Phase, String) {
    let log = classify(log.as_bytes());
    let [attempt] = &log.attempts[..] else { panic!("not one attempt: {log:#?}") };
    (attempt.reached, id(attempt))
}

/// The class of an attempt; `joined`, and `cut-off` where none is known.
fn id(attempt: &Attempt) -> String {
    match &attempt.outcome {
        Outcome::Joined => "joined".to_owned(),
        Outcome::Failed { class, .. } => class.id.clone(),
        Outcome::CutOff { class, .. } => {
            format!("cut-off {}", class.as_ref().map_or("", |class| &class.id)).trim().to_owned()
        }
    }
}

/// Every line of a text, changed.
fn each_line(text: &str, change: impl Fn(&str) -> String) -> String {
    text.lines().map(change).collect::<Vec<_>>().concat()
}

/// The classes of all attempts.
fn ids(log: &JoinLog) -> Vec<String> {
    log.attempts.iter().map(id).collect()
}

/// A join that goes well until kubeadm reads the cluster's configuration, without `--v`.
const READ: &str = "\
[preflight] Running pre-flight checks
[preflight] Reading configuration from the cluster...
[preflight] FYI: You can look at this config file with 'kubectl -n kube-system get cm kubeadm-config -o yaml'
";

/// The same in the words of 1.31 and later.
const READ_NEW: &str = "\
[preflight] Running pre-flight checks
[preflight] Reading configuration from the \"kubeadm-config\" ConfigMap in namespace \"kube-system\"...
[preflight] Use 'kubeadm init phase upload-config --config your-config-file' to re-upload it.
";

/// The kubelet is started.
const STARTED: &str = "\
[kubelet-start] Writing kubelet configuration to file \"/var/lib/kubelet/config.yaml\"
[kubelet-start] Writing kubelet environment file with flags to file \"/var/lib/kubelet/kubeadm-flags.env\"
[kubelet-start] Starting the kubelet
";

const TRACE: &str = "To see the stack trace of this error execute with --v=5 or higher\n";

/// A join of the old wording that never bootstraps.
fn standalone() -> String {
    format!(
        "{READ}{STARTED}\
[kubelet-start] Waiting for the kubelet to perform the TLS Bootstrap...
[kubelet-check] Initial timeout of 40s passed.

Unfortunately, an error has occurred:
\ttimed out waiting for the condition

This error is likely caused by:
\t- The kubelet is not running
error execution phase kubelet-start: timed out waiting for the condition
{TRACE}"
    )
}

/// A join that succeeds.
fn joined() -> String {
    format!(
        "{READ_NEW}{STARTED}\
[kubelet-check] Waiting for a healthy kubelet at http://127.0.0.1:10248/healthz. This can take up to 4m0s
[kubelet-check] The kubelet is healthy after 1.001s
[kubelet-start] Waiting for the kubelet to perform the TLS Bootstrap

This node has joined the cluster:
* Certificate signing request was sent to apiserver and a response was received.
"
    )
}

/// What `kubeadm reset` prints.
const RESET: &str = "\
[preflight] Running pre-flight checks
W0102 03:04:05.678901    4242 removeetcdmember.go:106] [reset] No kubeadm config, using etcd pod spec to get data directory
[reset] Stopping the kubelet service
[reset] Deleting files: [/etc/kubernetes/kubelet.conf]

The reset process does not clean CNI configuration. To do so, you must remove /etc/cni/net.d
";
