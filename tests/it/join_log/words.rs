//! kubeadm's words, old and new: every phase and class of the table.

use seaworthy::diagnose::join_log::{Outcome, Phase, classify};

use super::{READ, READ_NEW, STARTED, TRACE, joined, only, standalone};

const CHECKS: &str = "[preflight] Running pre-flight checks\n";

/// An error of discovery, as it stands in a log: short without `--v`; with `--v=5` the cause comes first, with traces.
fn discovery(error: &str) -> [String; 2] {
    [
        format!("{CHECKS}error execution phase preflight: couldn't validate the identity of the API Server: {error}\n{TRACE}"),
        format!(
            "I0102 03:04:05.000001    7 join.go:413] [preflight] found NodeName empty; using OS hostname as NodeName
{CHECKS}I0102 03:04:05.000100    7 join.go:532] [preflight] Discovering cluster-info
I0102 03:04:05.000200    7 token.go:80] [discovery] Created cluster-info discovery client, requesting info from \"10.0.0.1:6443\"
{error}
k8s.io/kubernetes/cmd/kubeadm/app/discovery/token.getClusterInfo.func1
\tk8s.io/kubernetes/cmd/kubeadm/app/discovery/token/token.go:1
couldn't validate the identity of the API Server
error execution phase preflight
"
        ),
    ]
}

#[test]
fn discovery_names_its_cause() {
    let get = "Get \"https://10.0.0.1:6443/api/v1/namespaces/kube-public/configmaps/cluster-info?timeout=10s\": ";
    let cases = [
        ("api-refused", format!("{get}dial tcp 10.0.0.1:6443: connect: connection refused")),
        ("api-no-answer", format!("{get}dial tcp 10.0.0.1:6443: i/o timeout")),
        ("api-no-answer", format!("{get}net/http: TLS handshake timeout")),
        ("api-no-route", format!("{get}dial tcp 10.0.0.1:6443: connect: no route to host")),
        ("api-name", format!("{get}dial tcp: lookup api.example on 10.0.0.2:53: no such host")),
        ("api-name", format!("{get}dial tcp: lookup api.example: i/o timeout")),
        ("not-tls", format!("{get}http: server gave HTTP response to HTTPS client")),
        ("api-certificate-name", format!("{get}x509: certificate is valid for 10.96.0.1, 10.0.2.15, not 10.0.0.1")),
        (
            "api-certificate-dates",
            format!(
                "{get}x509: certificate has expired or is not yet valid: current time 2020-01-01T00:00:00Z is before 2025-01-01"
            ),
        ),
        ("api-ca-unknown", format!("{get}x509: certificate signed by unknown authority")),
        (
            "cluster-info-forbidden",
            "configmaps \"cluster-info\" is forbidden: User \"system:anonymous\" cannot get resource \"configmaps\""
                .to_owned(),
        ),
        ("cluster-info-missing", "configmaps \"cluster-info\" not found".to_owned()),
        ("token", "could not find a JWS signature in the cluster-info ConfigMap for token ID \"abcdef\"".to_owned()),
        (
            "token",
            "token id \"abcdef\" is invalid for this cluster or it has expired. Use \"kubeadm token create\""
                .to_owned(),
        ),
        (
            "ca-pin",
            "cluster CA found in cluster-info ConfigMap is invalid: none of the public keys \"sha256:00\" are pinned"
                .to_owned(),
        ),
        ("ca-hash-malformed", "invalid discovery token CA certificate hash: invalid hash \"sha256:9a\"".to_owned()),
        ("api-gave-up", "abort connecting to API servers after timeout of 5m0s".to_owned()),
        ("api-gave-up", "context deadline exceeded".to_owned()),
        ("discovery-otherwise", "something that nobody has seen".to_owned()),
    ];
    for (class, error) in cases {
        for log in discovery(&error) {
            assert_eq!(only(&log), (Phase::Discovery, class.to_owned()), "{log}");
        }
    }
}

#[test]
fn what_was_retried_with_success_is_no_cause() {
    let log = format!(
        "{CHECKS}I0102 03:04:05.1    7 token.go:217] [discovery] Failed to request cluster-info, will try again: Get \"https://10.0.0.1:6443/x\": dial tcp 10.0.0.1:6443: connect: connection refused
I0102 03:04:10.1    7 token.go:217] [discovery] Retrying due to error: could not find a JWS signature in the cluster-info ConfigMap for token ID \"abcdef\"
error execution phase preflight: couldn't validate the identity of the API Server: could not find a JWS signature in the cluster-info ConfigMap for token ID \"abcdef\"
"
    );
    assert_eq!(only(&log), (Phase::Discovery, "token".to_owned()), "the last error is the one that it gave up on");
    let (before, _) = log.split_once("error execution").unwrap();
    assert_eq!(only(&format!("{before}{}", joined().replacen(CHECKS, "", 1))), (Phase::Joined, "joined".to_owned()));
}

#[test]
fn configuration_names_its_cause() {
    let fails = |read: &str, error: &str| {
        format!(
            "{read}error execution phase preflight: unable to fetch the kubeadm-config ConfigMap: failed to get config map: {error}\n{TRACE}"
        )
    };
    let cases = [
        ("second-endpoint", "Get \"https://172.16.0.9:6443/x?timeout=10s\": dial tcp 172.16.0.9:6443: i/o timeout"),
        (
            "second-endpoint",
            "Get \"https://old.example:6443/x\": dial tcp: lookup old.example on 10.0.0.2:53: no such host",
        ),
        (
            "config-forbidden",
            "configmaps \"kubelet-config\" is forbidden: User \"system:bootstrap:abcdef\" cannot get resource",
        ),
        ("config-missing", "configmaps \"kubelet-config-1.23\" not found"),
        ("config-unauthorized", "Unauthorized"),
        (
            "version",
            "this version of kubeadm only supports deploying clusters with the control plane version >= 1.28.0. Current version: v1.25.3",
        ),
        ("second-endpoint-silent", "context deadline exceeded"),
        ("configuration-otherwise", "an error of another kind"),
    ];
    for (class, error) in cases {
        for read in [READ, READ_NEW] {
            assert_eq!(only(&fails(read, error)), (Phase::Configuration, class.to_owned()), "{error}");
        }
    }
    let silent = format!(
        "{CHECKS}I0102 03:04:05.1    7 token.go:135] [discovery] Cluster info signature and contents are valid and TLS certificate validates against pinned roots, will use API Server \"10.0.0.1:6443\"\n"
    );
    assert_eq!(only(&silent), (Phase::Configuration, "cut-off".to_owned()));
}

#[test]
fn kubelet_start_names_its_cause() {
    let cases = [
        (
            "node-exists",
            "a Node with name \"n1\" and status \"Ready\" already exists in the cluster. You must delete the existing Node",
        ),
        (
            "read-only",
            "couldn't save bootstrap-kubelet.conf to disk: open /etc/kubernetes/bootstrap-kubelet.conf: read-only file system",
        ),
        (
            "no-space",
            "failed to write kubelet configuration: write /var/lib/kubelet/config.yaml: no space left on device",
        ),
        ("node-unreadable", "cannot get Node \"n1\": nodes \"n1\" is forbidden"),
        ("bootstrap-timeout", "timed out waiting for the condition"),
        ("kubelet-start-otherwise", "something new"),
    ];
    for (class, error) in cases {
        let log = format!("{READ}error execution phase kubelet-start: {error}\n{TRACE}");
        assert_eq!(only(&log), (Phase::KubeletStart, class.to_owned()), "{error}");
    }
}

#[test]
fn a_healthy_kubelet_that_never_bootstraps_is_told_from_one_that_does_not_run() {
    let healthz = "\
[kubelet-check] It seems like the kubelet isn't running or healthy.
[kubelet-check] The HTTP call equal to 'curl -sSL http://localhost:10248/healthz' failed with error: Get \"http://localhost:10248/healthz\": dial tcp 127.0.0.1:10248: connect: connection refused.
";
    let old = standalone();
    let new = |health: &str, phase: &str, error: &str| {
        format!(
            "{READ_NEW}{STARTED}[kubelet-check] Waiting for a healthy kubelet at http://127.0.0.1:10248/healthz. This can take up to 4m0s\n{health}\nerror: error execution phase {phase}: {error}\n{TRACE}"
        )
    };
    let up = "[kubelet-check] The kubelet is healthy after 1.5s\n[kubelet-start] Waiting for the kubelet to perform the TLS Bootstrap";
    let down = "[kubelet-check] The kubelet is not healthy after 4m0.0001s";
    let get = "The HTTP call equal to 'curl -sSL http://127.0.0.1:10248/healthz' returned error: Get \"http://127.0.0.1:10248/healthz\": context deadline exceeded";
    let cases = [
        ("never-bootstrapped", old.clone()),
        ("kubelet-down", old.replace("40s passed.\n", &format!("40s passed.\n{healthz}"))),
        ("never-bootstrapped", new(up, "kubelet-start", "timed out waiting for the condition")),
        ("never-bootstrapped", new(up, "kubelet-start", "context deadline exceeded")),
        (
            "never-bootstrapped",
            new(up, "kubelet-wait-bootstrap", "failed while waiting for TLS bootstrap: context deadline exceeded"),
        ),
        ("kubelet-down", new(down, "kubelet-start", get)),
        (
            "kubelet-down",
            new(down, "kubelet-wait-bootstrap", &format!("failed while waiting for the kubelet to start: {get}")),
        ),
    ];
    for (class, log) in cases {
        assert_eq!(only(&log), (Phase::TlsBootstrap, class.to_owned()), "{log}");
    }
}

#[test]
fn registration_names_its_cause() {
    let healthz = "[kubelet-check] The HTTP call equal to 'curl -sSL http://localhost:10248/healthz' failed with error: Get http://localhost:10248/healthz: dial tcp 127.0.0.1:10248: connect: connection refused.\n";
    let old = |checks: &str, error: &str| {
        format!(
            "{READ}{STARTED}[kubelet-start] Waiting for the kubelet to perform the TLS Bootstrap...\n[kubelet-check] Initial timeout of 40s passed.\n{checks}error execution phase kubelet-start: error uploading crisocket: {error}\n{TRACE}"
        )
    };
    let new = |error: &str| {
        joined().replace(
            "\nThis node has joined",
            &format!("error execution phase kubelet-wait-bootstrap: error writing CRISocket for this node: {error}\nX"),
        )
    };
    let cases = [
        ("no-node", old("", "timed out waiting for the condition")),
        ("kubelet-died", old(healthz, "timed out waiting for the condition")),
        ("certificate-of-another-cluster", old("", "Unauthorized")),
        ("not-registered", old("", "nodes \"n1\" not found")),
        ("not-registered", new("nodes \"n1\" not found")),
        ("api-lost", new("Get \"https://10.0.0.1:6443/api/v1/nodes/n1?timeout=10s\": context deadline exceeded")),
        (
            "api-lost",
            new(
                "Get \"https://10.0.0.1:6443/api/v1/nodes/n1?timeout=10s\": dial tcp 10.0.0.1:6443: connect: connection refused",
            ),
        ),
        ("no-node", new("context deadline exceeded")),
    ];
    for (class, log) in cases {
        assert_eq!(only(&log), (Phase::Registration, class.to_owned()), "{log}");
    }
}

#[test]
fn a_further_control_plane_has_phases_of_its_own() {
    let prepare = format!(
        "{READ}[preflight] Running pre-flight checks before initializing the new control plane instance
[download-certs] Downloading the certificates in Secret \"kubeadm-certs\" in the \"kube-system\" Namespace
error execution phase control-plane-prepare/download-certs: error downloading certs: error downloading the secret: Secret \"kubeadm-certs\" was not found in the \"kube-system\" Namespace. This Secret might have expired.\n"
    );
    assert_eq!(only(&prepare), (Phase::ControlPlaneFiles, "shared-certificates-gone".to_owned()));
    let attempt = &classify(prepare.as_bytes()).attempts[0];
    assert!(attempt.ahead.contains(&Phase::ControlPlane), "{:?}", attempt.ahead);
    let worker = &classify(standalone().as_bytes()).attempts[0];
    assert_eq!(worker.ahead, [Phase::TlsBootstrap, Phase::Registration, Phase::Joined]);
}

#[test]
fn preflight_errors_are_named_one_by_one() {
    let short = "[preflight] Running pre-flight checks
\t[WARNING Swap]: swap is supported for cgroup v2 only
error execution phase preflight: [preflight] Some fatal errors occurred:
\t[ERROR CRI]: container runtime is not running: output: time=\"x\" level=fatal msg=\"unknown service runtime.v1.RuntimeService\"
, error: exit status 1
\t[ERROR FileContent--proc-sys-net-ipv4-ip_forward]: /proc/sys/net/ipv4/ip_forward contents are not set to 1
\t[ERROR Port-10250]: Port 10250 is in use
\t[ERROR NeverHeardOf]: x
[preflight] If you know what you are doing, you can make a check non-fatal with `--ignore-preflight-errors=...`
To see the stack trace of this error execute with --v=5 or higher
";
    let verbose = short.replace("error execution phase preflight: [preflight] Some", "[preflight] Some")
        + "error execution phase preflight\n";
    for text in [short, &verbose] {
        let log = classify(text.as_bytes());
        let [attempt] = &log.attempts[..] else { panic!("{log:#?}") };
        let Outcome::Failed { class, errors } = &attempt.outcome else { panic!("{attempt:#?}") };
        let names: Vec<_> = errors.iter().map(|error| error.name.as_str()).collect();
        assert_eq!(names, ["CRI", "FileContent--proc-sys-net-ipv4-ip_forward", "Port-10250", "NeverHeardOf"]);
        assert_eq!((attempt.reached, class.id.as_str()), (Phase::Preflight, "preflight-checks"));
        for check in ["containerd/cri-disabled", "kernel/ip-forward-off", "kubelet/standalone"] {
            assert!(class.checks.iter().any(|known| known == check), "{check} in {:?}", class.checks);
        }
        assert_eq!(errors[2].message, "Port 10250 is in use");
    }
}

#[test]
fn a_port_held_by_an_earlier_join_is_not_a_standalone_kubelet() {
    let log = "[preflight] Running pre-flight checks
error execution phase preflight: [preflight] Some fatal errors occurred:
\t[ERROR FileAvailable--etc-kubernetes-kubelet.conf]: /etc/kubernetes/kubelet.conf already exists
\t[ERROR Port-10250]: Port 10250 is in use
";
    let log = classify(log.as_bytes());
    let checks = &log.attempts[0].outcome.class().unwrap().checks;
    assert_eq!(checks, &["join/leftover-kubelet-conf"]);
}

#[test]
fn checks_that_fail_late_prove_the_network() {
    let log = format!(
        "{READ}error execution phase preflight: [preflight] Some fatal errors occurred:\n\t[ERROR KubeletVersion]: the kubelet version is higher than the control plane version.\n"
    );
    let attempt = &classify(log.as_bytes()).attempts[0];
    assert_eq!(attempt.proven.what, "network, TLS, token and CA");
    assert_eq!(attempt.outcome.class().unwrap().id, "preflight-checks");
}

#[test]
fn what_kubeadm_never_got_to_say() {
    let command = "root@n1:~# kubeadm join 10.0.0.1:6443 --token abcdef.0123456789abcdef\n";
    let cases = [
        ("bash: kubeadm: command not found", "kubeadm-missing"),
        ("/bin/sh: 1: kubeadm: not found", "kubeadm-missing"),
        ("bash: kubeadm: Befehl nicht gefunden", "kubeadm-missing"),
        ("found multiple CRI endpoints on the host. Please define which one do you wish to use", "several-runtimes"),
        ("unknown flag: --experimental-control-plane", "command-line"),
        ("discovery.bootstrapToken.token: Invalid value: \"\"", "command-line"),
    ];
    for (says, class) in cases {
        assert_eq!(only(&format!("{command}{says}\n")), (Phase::Start, class.to_owned()), "{says}");
    }
}

#[test]
fn success_is_recognised() {
    assert_eq!(only(&joined()), (Phase::Joined, "joined".to_owned()));
    let control_plane = "This node has joined the cluster and a new control plane instance was created:\n";
    assert_eq!(
        only(&format!("{READ}{STARTED}[mark-control-plane] Marking the node n1\n{control_plane}")),
        (Phase::Joined, "joined".to_owned())
    );
}
