//! The probe on made-up nodes: files of /etc, /var/lib and /opt that lie over this machine's own, seen by nobody else.
//!
//! That needs root and a mount namespace. Where it is impossible, these tests say so and pass.

use super::*;

/// Runs `then` where made-up directories lie over /etc, /var/lib, /opt and /usr/lib; `None` where that cannot be done.
///
/// `files` is a shell script that makes the node. `then` is fed with `input`.
fn on_made_up_node(files: &str, then: &str, input: &[u8]) -> Option<Output> {
    if !is_root() || tool("unshare").is_none() || tool("setpriv").is_none() {
        eprintln!("skipped: needs root, unshare and setpriv");
        return None;
    }
    let setup = format!(
        "set -e
        mount -t tmpfs none /mnt
        for d in etc var/lib opt; do
            mkdir -p /mnt/$d/u /mnt/$d/w
            mount -t overlay -o lowerdir=/$d,upperdir=/mnt/$d/u,workdir=/mnt/$d/w none /$d
        done
        rm -rf /etc/kubernetes /etc/cni /etc/containerd /var/lib/kubelet /opt/cni
        {files}
        echo made >&2
        {then}"
    );
    let output = feed(&["unshare", "-m", "sh", "-c", &setup], input);
    if !String::from_utf8_lossy(&output.stderr).starts_with("made\n") {
        eprintln!("skipped: no made-up node here: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Some(output)
}

/// A joined worker's files, with secrets in every place that the probe reads.
const WORKER: &str = r#"
    umask 022
    mkdir -p /etc/kubernetes/pki /etc/kubernetes/manifests /etc/cni/net.d /var/lib/kubelet/pki /opt/cni/bin /etc/containerd /etc/systemd/system/kubelet.service.d /var/lib/cni/networks/cbr0
    cat >/etc/kubernetes/kubelet.conf <<'EOF'
clusters:
- cluster:
    certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t
    server: https://10.0.0.1:6443
users:
- user:
    client-certificate-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t
    client-key-data: LS0tLS1CRUdJTiBSU0EgUFJJVkFURS1TRUNSRVQtMQ==
    token: SECRET-2
EOF
    chmod 600 /etc/kubernetes/kubelet.conf
    printf -- '-----BEGIN CERTIFICATE-----\nPUBLIC\n-----END CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\nSECRET-3\n-----END EC PRIVATE KEY-----\n' >/var/lib/kubelet/pki/kubelet-client-current.pem
    printf '{"name":"cbr0","plugins":[{"type":"flannel"}]}' >/etc/cni/net.d/10-flannel.conflist
    printf '{"no":"newline at the end"}\n\n' >"/etc/cni/net.d/20 with space.conf"
    : >/etc/cni/net.d/30-empty.conf
    ln -s /nowhere /etc/cni/net.d/40-dangling.conf
    echo backup >/etc/cni/net.d/.10-flannel.conflist.bak
    printf '\177ELF\002\001\001\000\000\000\000\000\000\000\000\000\002\000\076\000rest' >/opt/cni/bin/flannel
    chmod 755 /opt/cni/bin/flannel
    mkdir /opt/cni/bin/bridge
    echo tiny >/opt/cni/bin/tiny
    ln -s flannel /opt/cni/bin/link
    printf 'version = 2\n[plugins]\n  password = "SECRET-4"\n  conf_dir = "/etc/cni/net.d"\n' >/etc/containerd/config.toml
    printf '[Service]\nEnvironment="HTTP_PROXY=http://user:SECRET-5@proxy:3128"\n' >/etc/systemd/system/kubelet.service.d/10-kubeadm.conf
    printf 'KUBELET_KUBEADM_ARGS="--bootstrap-token abcdef.secret6secret6se"\n' >/var/lib/kubelet/kubeadm-flags.env
    printf 'spec:\n  containers:\n  - command:\n    - kube-apiserver\n    - --secure-port=6443\n    - --etcd-password=SECRET-7\n    image: registry.k8s.io/kube-apiserver:v1.29.15\n' >/etc/kubernetes/manifests/kube-apiserver.yaml
    echo 10.244.1.5 >/var/lib/cni/networks/cbr0/last_reserved_ip.0
    echo x >/var/lib/cni/networks/cbr0/10.244.1.4
    printf 'net.ipv4.ip_forward = 0\nkernel.sysrq = 1\n' >/etc/sysctl.d/90-test.conf
    mkdir -p /etc/systemd/system/timers.target.wants
    echo x >/etc/systemd/system/timers.target.wants/auto-sleep.timer
    echo x >/etc/systemd/system/timers.target.wants/backup.timer
    printf '[Login]\n#IdleAction=ignore\nIdleAction=suspend\n' >/etc/systemd/logind.conf
"#;

#[test]
fn a_made_up_worker_is_read_as_the_page_says_and_its_secrets_stay_there() {
    let nonce = Nonce::random();
    for shell in shells() {
        let script = probe::script(&nonce, &quick_options());
        let Some(output) = on_made_up_node(WORKER, &format!("exec {}", shell.join(" ")), script.as_bytes()) else {
            return;
        };
        let sent = String::from_utf8_lossy(&output.stdout);
        for secret in ["SECRET-1", "U0VDUkVULTE", "SECRET-2", "SECRET-3", "SECRET-4", "SECRET-5", "secret6", "SECRET-7"]
        {
            assert!(!sent.contains(secret), "{shell:?} sent {secret}");
        }
        let capture = probe::read(&output.stdout, b"", &nonce, &Limits::DEFAULT).unwrap();
        assert_complete(&capture, &shell.join(" "));

        let kubeconfig = text_of(&capture, "kubeconfig", "/etc/kubernetes/kubelet.conf");
        assert!(
            kubeconfig.contains("server: https://10.0.0.1:6443") && kubeconfig.contains("client-key-data: [redacted]")
        );
        assert!(kubeconfig.contains("client-certificate-data: LS0t"), "public data stays: {kubeconfig}");
        assert_eq!(
            text_of(&capture, "cert", "/var/lib/kubelet/pki/kubelet-client-current.pem"),
            "-----BEGIN CERTIFICATE-----\nPUBLIC\n-----END CERTIFICATE-----"
        );
        let file = |name: &str| capture.section_of("cni-file", &format!("/etc/cni/net.d/{name}"));
        assert_eq!(file("10-flannel.conflist").unwrap().text, r#"{"name":"cbr0","plugins":[{"type":"flannel"}]}"#);
        assert_eq!(file("20 with space.conf").unwrap().text, "{\"no\":\"newline at the end\"}\n");
        assert_eq!((file("30-empty.conf").unwrap().rc, file("30-empty.conf").unwrap().text.as_str()), (rc::OK, ""));
        assert_eq!(file("40-dangling.conf").unwrap().rc, rc::ABSENT);
        assert!(file(".10-flannel.conflist.bak").is_none());
        let dir = text_of(&capture, "cni-dir", "/etc/cni/net.d");
        assert!(dir.lines().any(|line| line.ends_with("l\t/etc/cni/net.d/40-dangling.conf\t-> /nowhere")), "{dir}");
        assert!(dir.contains("f\t/etc/cni/net.d/20 with space.conf") && dir.contains(".bak"), "{dir}");
        let bin = text_of(&capture, "cni-bin", "/opt/cni/bin");
        let elf = "f\t/opt/cni/bin/flannel\t7f454c4602010100000000000000000002003e00";
        assert!(bin.lines().any(|line| line.starts_with("755 0:0 24 ") && line.ends_with(elf)), "{bin}");
        assert!(
            bin.lines().any(|line| line.starts_with("755 0:0 ") && line.ends_with("d\t/opt/cni/bin/bridge")),
            "{bin}"
        );
        assert!(bin.lines().any(|line| line.ends_with("f\t/opt/cni/bin/tiny")), "{bin}");
        assert!(bin.contains("l\t/opt/cni/bin/link\t-> flannel"), "{bin}");
        let manifest = text_of(&capture, "manifest-image", "/etc/kubernetes/manifests/kube-apiserver.yaml");
        assert_eq!(
            manifest,
            "- --secure-port=6443\n- --etcd-password=[redacted]\nimage: registry.k8s.io/kube-apiserver:v1.29.15"
        );
        assert_eq!(text_of(&capture, "sysctl-file", "/etc/sysctl.d/90-test.conf"), "net.ipv4.ip_forward = 0");
        assert_eq!(key(&capture, "suspend", "sleep_timers"), Some("=auto-sleep.timer"), "{shell:?}");
        assert_eq!(key(&capture, "suspend", "idle_action"), Some("=suspend"), "{shell:?}");
        assert_eq!(text_of(&capture, "cni-leases", "cbr0"), "10.244.1.4\nlast_reserved_ip.0=10.244.1.5");
        let units = text_of_plain(&capture, "unit-paths");
        assert!(units.contains("f\t/etc/systemd/system/kubelet.service.d/10-kubeadm.conf"), "{units}");
        assert!(text_of_plain(&capture, "stat").contains("f\t/etc/kubernetes/manifests/kube-apiserver.yaml"));
    }
}

#[test]
fn without_root_what_cannot_be_read_is_said_to_be_so() {
    let nonce = Nonce::random();
    let closed = format!(
        "{WORKER}\nchmod 700 /etc/cni/net.d /var/lib/kubelet /var/lib/cni/networks
        touch /etc/kubernetes/admin.conf
        chmod 600 /etc/kubernetes/admin.conf"
    );
    for shell in shells() {
        let script = probe::script(&nonce, &quick_options());
        let nobody = format!("exec setpriv --reuid=65534 --regid=65534 --clear-groups {}", shell.join(" "));
        let Some(output) = on_made_up_node(&closed, &nobody, script.as_bytes()) else { return };
        let capture = probe::read(&output.stdout, b"", &nonce, &Limits::DEFAULT).unwrap();
        assert_complete(&capture, &shell.join(" "));
        assert_eq!(capture.uid, Some(65534));
        assert_eq!(key(&capture, "ident", "sudo"), Some("=none"));
        for (id, arg) in [
            ("cni-dir", Some("/etc/cni/net.d")),
            ("kubeconfig", Some("/etc/kubernetes/kubelet.conf")),
            ("kubeconfig", Some("/etc/kubernetes/admin.conf")),
            ("k8s-dir", Some("/var/lib/kubelet")),
            ("kubelet-config", None),
            ("cni-leases", None),
            ("inotify", None),
        ] {
            let section =
                capture.sections(id).find(|s| s.arg.as_deref() == arg).unwrap_or_else(|| panic!("{id} {arg:?}"));
            assert_eq!((section.rc, section.text.as_str()), (rc::DENIED, ""), "{shell:?}: {id} {arg:?}");
        }
        assert!(capture.sections("api-nodes").all(|s| [rc::DENIED, rc::NO_TOOL].contains(&s.rc)), "{shell:?}");
        // Absent and hidden are two things.
        let absent = capture.section_of("kubeconfig", "/etc/kubernetes/scheduler.conf").unwrap();
        assert_eq!(absent.rc, rc::ABSENT, "{shell:?}");
        let stat = text_of_plain(&capture, "stat");
        assert!(
            stat.contains("!\t/var/lib/kubelet/config.yaml") && stat.contains("-\t/etc/crictl.yaml"),
            "{shell:?}: {stat}"
        );
        for name in ["iptables_rules", "nft_rules", "forward_policy", "ipt_drops", "nft_drops"] {
            assert_eq!(key(&capture, "firewall", name), Some("!permission denied"), "{shell:?}: {name}");
        }
        assert!(!text_of_plain(&capture, "ports").contains("sshd"), "{shell:?}");
    }
}

#[test]
fn the_api_is_asked_through_kubectl_and_not_again_when_it_is_down() {
    let nonce = Nonce::random();
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("calls");
    let run = |answer: &str| {
        stub(dir.path(), "kubectl", &format!("echo \"$HOME $*\" >>{}\n{answer}", log.display()));
        let _ = std::fs::remove_file(&log);
        let options = ScriptOptions { path: Some(format!("{}:{USUAL_PATH}", dir.path().display())), ..quick_options() };
        let node = "mkdir -p /etc/kubernetes; echo x >/etc/kubernetes/admin.conf";
        let output = on_made_up_node(node, "exec sh -s", probe::script(&nonce, &options).as_bytes())?;
        let capture = probe::read(&output.stdout, b"", &nonce, &Limits::DEFAULT).unwrap();
        assert_complete(&capture, answer);
        Some((capture, std::fs::read_to_string(&log).unwrap()))
    };

    let Some((capture, calls)) = run("echo 'The connection to the server was refused' >&2; exit 1") else { return };
    let version = capture.section("api-version").unwrap();
    assert_eq!((version.rc, version.text.as_str()), (1, "The connection to the server was refused"));
    let nodes = capture.section("api-nodes").unwrap();
    assert_eq!((nodes.rc, nodes.text.as_str()), (1, ""));
    assert!(calls.lines().count() <= 2, "{calls}");

    let (capture, calls) = run(
        r#"case "$*" in
        *"--raw /version"*) printf '{"gitVersion":"v1.29.15"}' ;;
        *"get nodes"*) echo node=a ;;
        *limit=1*) printf '{"metadata":{"remainingItemCount":5001}}' ;;
        *cluster-info*) printf 'W1 warning first\n{\n  "metadata": {\n    "annotations": {\n      "a": "{"\n    },\n    "name": "x"\n  }\n}\n' ;;
        esac"#,
    )
    .unwrap();
    let head = "/proc --kubeconfig /etc/kubernetes/admin.conf --request-timeout=";
    assert!(calls.lines().filter(|call| call.contains("--kubeconfig")).all(|call| call.starts_with(head)), "{calls}");
    assert_eq!(text_of_plain(&capture, "api-version"), r#"{"gitVersion":"v1.29.15"}"#);
    assert_eq!(text_of_plain(&capture, "api-nodes"), "node=a");
    assert_eq!(capture.section("api-pod-ips").unwrap().rc, rc::ABSENT, "too many pods to list");
    let info = text_of_plain(&capture, "api-cluster-info");
    assert_eq!(info, "{\n\"metadata\": {\n\"annotations\": {\n},\n\"name\": \"x\"\n}\n}");
}

#[test]
fn nothing_is_written_and_nothing_keeps_running() {
    let nonce = Nonce::random();
    let script = probe::script(&nonce, &quick_options());
    for shell in shells() {
        let then = format!(
            "mount -t tmpfs none /tmp
            mount -t tmpfs none /root
            look() {{ find /mnt /tmp /root -printf '%p %s %T@ %m\\n' | grep -v '^/mnt ' | sort; }}
            before=$(look)
            setsid -w {} >/mnt/out
            rm /mnt/out
            [ \"$before\" = \"$(look)\" ] || {{ look; echo ===; echo \"$before\"; }}",
            shell.join(" ")
        );
        let Some(output) = on_made_up_node(WORKER, &then, script.as_bytes()) else { return };
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{shell:?} changed files");
        assert_no_child_of(&nonce);
    }
}

#[test]
fn files_on_a_mount_that_may_hang_come_last() {
    let nonce = Nonce::random();
    let script = probe::script(&nonce, &quick_options());
    // A FUSE mount that nobody serves: with a server that never answers it would hang, here it fails at once.
    let node = format!(
        "{WORKER}\nexec 9<>/dev/fuse && mount -t fuse -o fd=9,rootmode=40000,user_id=0,group_id=0 dead /opt/cni; exec 9>&-"
    );
    let Some(output) = on_made_up_node(&node, "exec sh -s", script.as_bytes()) else { return };
    let capture = probe::read(&output.stdout, b"", &nonce, &Limits::DEFAULT).unwrap();
    assert_complete(&capture, "with a dead mount");
    let at = |id: &str| capture.sections.iter().position(|section| section.id == id).unwrap();
    assert!(at("netmount") < at("stat") && at("df") < at("cni-bin"), "{:?}", ids(&capture));
    let mount = text_of(&capture, "netmount", "/opt/cni");
    assert!(mount.contains("fstype=fuse") && mount.contains("state=error"), "{mount}");
}

#[test]
fn a_mount_that_never_answers_takes_nothing_else_with_it() {
    let nonce = Nonce::random();
    let options = ScriptOptions { quick: Duration::from_secs(1), ..quick_options() };
    let script = probe::script(&nonce, &options);
    // The mount's server has the descriptor open and reads no request.
    let node = format!(
        "{WORKER}\nexec 9<>/dev/fuse\nmount -t fuse -o fd=9,rootmode=40000,user_id=0,group_id=0 never /opt/cni"
    );
    for shell in shells() {
        // Ended as soon as everything that was announced is there, or after a minute: what is left would hang for ever.
        let then = format!(
            "exec 8<&0
            setsid {} <&8 9<&- >/mnt/out &
            announced() {{ sed -n 's/^@@[0-9a-f]* hello 1 [^ ]* [^ ]* //p' /mnt/out | tr , ' '; }}
            all_there() {{
                [ \"$(announced)\" ] || return 1
                for id in $(announced); do grep -q \"^@@[0-9a-f]* $id \" /mnt/out || return 1; done
            }}
            tries=0
            until all_there || [ $tries = 600 ]; do tries=$((tries + 1)); sleep 0.1; done
            kill -9 -$!
            exec 9<&-
            cat /mnt/out",
            shell.join(" ")
        );
        let Some(output) = on_made_up_node(&node, &then, script.as_bytes()) else { return };
        let capture = probe::read(&output.stdout, b"", &nonce, &Limits::DEFAULT).unwrap();
        assert!(!capture.complete, "{shell:?}: the files on the mount cannot have been read");
        assert_eq!(capture.missing, [""; 0], "{shell:?}: everything that was announced came before");
        let mount = text_of(&capture, "netmount", "/opt/cni");
        assert!(mount.contains("state=hung") && mount.contains("pid_state=D"), "{shell:?}: {mount}");
        assert_eq!(capture.section_of("df", "/").unwrap().rc, rc::OK, "{shell:?}");
        for id in ["ident", "ip-addr", "ports", "unit", "packages"] {
            assert!(capture.section(id).is_some(), "{shell:?}: no {id}");
        }
        assert_no_child_of(&nonce);
    }
}
