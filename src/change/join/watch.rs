//! Failures that are certain while kubeadm still waits: it would go on for minutes and end in the same way.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::cluster::Cluster;
use super::heard::Failed;
use super::machine::Machine;
use super::retry::Ended;
use crate::diagnose::join_log::Phase;

const DEADLINE: Duration = Duration::from_secs(15);

/// The main process of the kubelet's unit with its arguments, one a line; nothing when it does not run.
const COMMAND_LINE: &str = "p=$(systemctl show -p MainPID kubelet 2>/dev/null | sed -n 's/^MainPID=//p'); \
     [ \"${p:-0}\" -gt 0 ] || p=$(pidof -s kubelet 2>/dev/null); \
     [ \"${p:-0}\" -gt 0 ] || exit 0; echo \"$p\"; tr '\\0' '\\n' <\"/proc/$p/cmdline\"";

/// Why a join that still runs cannot succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Certain {
    /// The kubelet that this join started has no kubeconfig: it never contacts the API server.
    Standalone { command: String },
    /// The request for its certificate was denied.
    Denied { csr: String },
}

impl Certain {
    pub(super) fn failed(&self) -> Failed {
        match self {
            Self::Standalone { command } => Failed {
                ended: Ended::new("never-bootstrapped", command),
                why: "the kubelet runs standalone: its command line has neither --kubeconfig nor --bootstrap-kubeconfig, so it never \
                      asks for a certificate"
                    .to_owned(),
                next: "put kubeadm's drop-in of the kubelet's unit back (apt-get -o Dpkg::Options::=--force-confmiss install --reinstall \
                       kubeadm, or dnf reinstall kubeadm), run systemctl daemon-reload, then join again"
                    .to_owned(),
                evidence: vec![format!("its command line: {command}")],
            },
            Self::Denied { csr } => Failed {
                ended: Ended::new("never-bootstrapped", "the request for a certificate was denied"),
                why: "the cluster denied the kubelet's request for a certificate".to_owned(),
                next: "find out who or what denies requests of system:bootstrap on the control plane: kubectl get csr; restore the usual \
                       approval with kubeadm init phase bootstrap-token"
                    .to_owned(),
                evidence: vec![format!("{csr} is Denied")],
            },
        }
    }
}

/// Looks again and again while the join waits for the kubelet's certificate; ends only when a failure is certain.
pub(super) async fn certain(
    worker: &Machine<'_>,
    cluster: &Cluster<'_, '_>,
    token_id: &str,
    every: Duration,
    mut reached: watch::Receiver<Phase>,
) -> Certain {
    let mut before: Option<(u32, String)> = None;
    loop {
        if reached.wait_for(|phase| *phase == Phase::TlsBootstrap).await.is_err() {
            return std::future::pending().await;
        }
        sleep(every).await;
        if *reached.borrow() != Phase::TlsBootstrap {
            continue;
        }
        let now = match worker.hand().run(COMMAND_LINE, DEADLINE).await {
            Ok(ran) => standalone(&ran.stdout),
            Err(_) => None,
        };
        // Twice the same process: kubeadm restarts the kubelet just before.
        if let Some((pid, command)) = &now
            && before.as_ref().is_some_and(|(earlier, _)| earlier == pid)
        {
            return Certain::Standalone { command: command.clone() };
        }
        before = now;
        if let Some(csr) = cluster.denied_csr(token_id).await {
            return Certain::Denied { csr };
        }
    }
}

/// The process, when it is a kubelet without any kubeconfig: it is standalone if and only if `--kubeconfig` is empty
/// (`cmd/kubelet/app/server.go`).
fn standalone(printed: &str) -> Option<(u32, String)> {
    let mut lines = printed.lines();
    let pid = lines.next()?.trim().parse().ok()?;
    let words: Vec<&str> = lines.collect();
    let program = words.first()?;
    if program.rsplit('/').next() != Some("kubelet") && !words.contains(&"kubelet") {
        return None;
    }
    let has = |flag: &str| {
        words.iter().enumerate().any(|(index, word)| {
            let word = word.trim_start_matches('-');
            match word.split_once('=') {
                Some((name, value)) => name == flag && !value.is_empty(),
                None => word == flag && words.get(index + 1).is_some_and(|value| !value.is_empty()),
            }
        })
    };
    (!has("kubeconfig") && !has("bootstrap-kubeconfig")).then(|| (pid, super::short(&words.join(" "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_kubelet_without_any_kubeconfig_is_standalone() {
        let found = standalone;
        assert_eq!(found("2214\n/usr/bin/kubelet\n"), Some((2214, "/usr/bin/kubelet".to_owned())));
        assert_eq!(found("1\n/usr/bin/kubelet\n--config=/x\n--kubeconfig=\n").map(|it| it.0), Some(1));
        for fine in [
            "",
            "2214\n",
            "2214\n/usr/bin/kubelet\n--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf\n",
            "2214\n/usr/bin/kubelet\n--kubeconfig\n/etc/kubernetes/kubelet.conf\n",
            "2214\n/usr/bin/kubelet\n-kubeconfig=/x\n",
            "2214\n/bin/sh\n-c\nsleep 1\n",
            "no number\n/usr/bin/kubelet\n",
        ] {
            assert_eq!(found(fine), None, "{fine}");
        }
    }
}
