//! Faults of containerd, CNI, the kubelet and the API.

use seaworthy::verdict::{Area, Verdict};

use super::Change::{Add, Code, Drop, Text};
use super::check;

const BAD_CONFLIST: &str = r#"{"cniVersion":"0.3.1","name":"flannel","type":"flannel"}"#;
const BRIDGE: &str = r#"{"name":"placeholder","plugins":[{"type":"bridge","ipam":{"type":"host-local"}}]}"#;
/// A CA of somebody else, before the one that is there.
const OTHER_CA: &str = "    certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJoRENDQVNtZ0F3SUJBZ0lDRUFVd0NnWUlLb1pJemowRUF3SXdGVEVUTUJFR0ExVUVBd3dLYTNWaVpYSnUKWlhSbGN6QWVGdzB5TlRBNU1ESXdNREF3TURCYUZ3MHlOakE1TURJd01EQXdNREJhTUJreEZ6QVZCZ05WQkFNTQpEbXQxWW1VdFlYQnBjMlZ5ZG1WeU1Ga3dFd1lIS29aSXpqMENBUVlJS29aSXpqMERBUWNEUWdBRU1MYUlzdDRTCml3dzF1WEF3aGNaQWRUU0U3dVhJYVowOWxHUjY1QzM3emhSVGdwTmhkaThjNlFzVU5GZFNYbjJoeDRVU0RPclQKeDEwS0E5MFluVmVUSGFObE1HTXdJUVlEVlIwUkJCb3dHSUlLYTNWaVpYSnVaWFJsYzRjRUNtQUFBWWNFd0tnRQpQekFkQmdOVkhRNEVGZ1FVVFJqalFubmZmOUFTOXBsZXZVV05OWjZZaFpvd0h3WURWUjBqQkJnd0ZvQVUxYjg4CkhHcks5UWMwNDBMQWo5dmNyV2ZOUkdnd0NnWUlLb1pJemowRUF3SURTUUF3UmdJaEFMOFlWZDlJZjZjQUYvSGYKVExRenZHZ3FqSXhCZzdrVTFtZkttU09JSFNLQ0FpRUFsazZHSFRoRithRTVVZ0ZLa1pyNWdsNEpWRGxsNmtTNwpDaGhHaVg5T2RwVT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=\n    was: ";
const FLANNEL_FILE: &str = "/etc/cni/net.d/10-flannel.conflist";

#[test]
fn faults_of_containerd() {
    check(
        "healthy",
        "homelab",
        &[
            (
                "containerd failed",
                &[Text(
                    "unit",
                    "containerd",
                    "ActiveState=active\nSubState=running",
                    "ActiveState=failed\nSubState=failed",
                )],
                Area::Containerd,
                Verdict::Fail,
                "down",
            ),
            (
                "containerd is masked",
                &[Text(
                    "unit",
                    "containerd",
                    "LoadState=loaded\nUnitFileState=enabled\nActiveState=active",
                    "LoadState=masked\nUnitFileState=masked\nActiveState=inactive",
                )],
                Area::Containerd,
                Verdict::Fail,
                "masked",
            ),
            (
                "the CRI plugin is disabled",
                &[Text(
                    "containerd-dump",
                    "",
                    "disabled_plugins = []",
                    "disabled_plugins = [\"io.containerd.grpc.v1.cri\"]",
                )],
                Area::Containerd,
                Verdict::Fail,
                "CRI disabled",
            ),
            (
                "cgroup drivers differ",
                &[Text("crictl-info", "", "\"SystemdCgroup\": true", "\"SystemdCgroup\": false")],
                Area::Containerd,
                Verdict::Fail,
                "cgroup driver",
            ),
        ],
    );
}

#[test]
fn faults_of_cni() {
    check(
        "healthy",
        "homelab",
        &[
            (
                "one plugin in a conflist",
                &[Drop("cni-file"), Add("cni-file", FLANNEL_FILE, BAD_CONFLIST)],
                Area::Cni,
                Verdict::Fail,
                "invalid",
            ),
            (
                "a placeholder that sorts first",
                &[
                    Add("cni-file", "/etc/cni/net.d/00-placeholder.conflist", BRIDGE),
                    Text(
                        "cni-dir",
                        "",
                        FLANNEL_FILE,
                        "/etc/cni/net.d/10-flannel.conflist\n644 0:0 9 1 f\t/etc/cni/net.d/00-placeholder.conflist",
                    ),
                    Text("crictl-info", "", "cbr0", "placeholder"),
                ],
                Area::Cni,
                Verdict::Fail,
                "bridge",
            ),
            (
                "containerd lost its watch",
                &[Text("crictl-info", "", "\"Name\": \"cbr0\"", "\"Name\": \"cni-loopback\"")],
                Area::Cni,
                Verdict::Fail,
                "not loaded",
            ),
            ("no plugins at all", &[Code("cni-bin", "", 66)], Area::Cni, Verdict::Fail, "plugins"),
            (
                "a plugin that is a directory",
                &[Text(
                    "cni-bin",
                    "",
                    "755 0:0 3007000 1683590400 f\t/opt/cni/bin/flannel",
                    "755 0:0 4096 1683590400 d\t/opt/cni/bin/flannel",
                )],
                Area::Cni,
                Verdict::Fail,
                "plugins",
            ),
            (
                "flannel is gone and its file is not",
                &[
                    Code("flannel-env", "", 66),
                    Text("ip-link", "", "flannel.1", "vxlan9"),
                    Text("ip-addr", "", "flannel.1", "vxlan9"),
                ],
                Area::Cni,
                Verdict::Fail,
                "no flannel",
            ),
            (
                "a bridge of another subnet",
                &[Text("ip-addr", "", "inet 10.244.2.1/24", "inet 10.244.0.1/16")],
                Area::Cni,
                Verdict::Fail,
                "cni0",
            ),
        ],
    );
}

#[test]
fn faults_of_the_kubelet_and_the_api() {
    check(
        "healthy",
        "homelab",
        &[
            (
                "the kubelet crash-loops",
                &[
                    Text(
                        "unit",
                        "kubelet",
                        "ActiveState=active\nSubState=running",
                        "ActiveState=activating\nSubState=auto-restart",
                    ),
                    Code("process", "kubelet", 66),
                ],
                Area::Kubelet,
                Verdict::Fail,
                "restarting",
            ),
            (
                "the kubelet was stopped",
                &[
                    Text(
                        "unit",
                        "kubelet",
                        "ActiveState=active\nSubState=running",
                        "ActiveState=inactive\nSubState=dead",
                    ),
                    Code("process", "kubelet", 66),
                ],
                Area::Kubelet,
                Verdict::Fail,
                "down",
            ),
            (
                "the drop-in has lost its section header",
                &[
                    Text("unit-file", "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf", "[Service]\n", ""),
                    Text(
                        "unit",
                        "kubelet",
                        "argv[]=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS",
                        "argv[]=/usr/bin/kubelet",
                    ),
                ],
                Area::Kubelet,
                Verdict::Fail,
                "no drop-in",
            ),
            (
                "its configuration is gone",
                &[
                    Code("kubelet-config", "", 66),
                    Text(
                        "process",
                        "kubelet",
                        "arg=--config=/var/lib/kubelet/config.yaml",
                        "arg=--cgroup-driver=systemd",
                    ),
                ],
                Area::Kubelet,
                Verdict::Fail,
                "no config",
            ),
            (
                "it is not enabled",
                &[Text("unit", "kubelet", "UnitFileState=enabled", "UnitFileState=disabled")],
                Area::Kubelet,
                Verdict::Warn,
                "disabled",
            ),
        ],
    );
}

#[test]
fn faults_of_what_starts_the_kubelet() {
    check(
        "healthy",
        "homelab",
        &[
            (
                "it is masked and stopped",
                &[
                    Text(
                        "unit",
                        "kubelet",
                        "LoadState=loaded\nUnitFileState=enabled\nActiveState=active\nSubState=running",
                        "LoadState=masked\nUnitFileState=masked\nActiveState=inactive\nSubState=dead",
                    ),
                    Code("process", "kubelet", 66),
                ],
                Area::Kubelet,
                Verdict::Fail,
                "masked",
            ),
            (
                "a drop-in of somebody's without a section header",
                &[Add("unit-file", "/etc/systemd/system/kubelet.service.d/20-join.conf", "Environment=A=b\n")],
                Area::Kubelet,
                Verdict::Warn,
                "drop-in",
            ),
            (
                "k3s holds its port",
                &[Text("ports", "", "10250 901 kubelet", "10250 77 k3s-agent")],
                Area::Kubelet,
                Verdict::Fail,
                "port 10250",
            ),
            (
                "its program is gone",
                &[
                    Text("stat", "", "755 0:0 111000000 1757436000 f\t/usr/bin/kubelet", "-\t/usr/bin/kubelet"),
                    Text(
                        "unit",
                        "kubelet",
                        "ActiveState=active\nSubState=running",
                        "ActiveState=activating\nSubState=auto-restart",
                    ),
                    Code("process", "kubelet", 66),
                ],
                Area::Kubelet,
                Verdict::Fail,
                "no program",
            ),
            (
                "a flag that its version does not know",
                &[
                    Add("env-file", "/etc/default/kubelet", "KUBELET_EXTRA_ARGS=--network-plugin=cni\n"),
                    Text(
                        "unit",
                        "kubelet",
                        "ActiveState=active\nSubState=running",
                        "ActiveState=activating\nSubState=auto-restart",
                    ),
                    Code("process", "kubelet", 66),
                ],
                Area::Kubelet,
                Verdict::Fail,
                "removed flag",
            ),
        ],
    );
}

#[test]
fn faults_of_the_kubelets_surroundings() {
    check(
        "healthy",
        "homelab",
        &[
            (
                "it is told to use a runtime that is not there",
                &[
                    Text(
                        "process",
                        "kubelet",
                        "unix:///var/run/containerd/containerd.sock",
                        "unix:///run/crio/crio.sock",
                    ),
                    Add("cri-sockets", "", "660 0:0 0 1757436000 s\t/run/containerd/containerd.sock\n"),
                ],
                Area::Kubelet,
                Verdict::Fail,
                "no runtime",
            ),
            (
                "its look at the containers hangs",
                &[Text(
                    "log",
                    "kubelet",
                    "invocation=11\n",
                    "invocation=11\n1757525990.1 n kubelet[901]: E \"Skipping pod synchronization\" err=\"PLEG is not healthy: pleg was last seen active 3m9s ago\"\n",
                )],
                Area::Kubelet,
                Verdict::Fail,
                "PLEG",
            ),
            (
                "its identity is of another cluster",
                &[Text("kubeconfig", "/etc/kubernetes/kubelet.conf", "    certificate-authority-data: ", OTHER_CA)],
                Area::Kubelet,
                Verdict::Fail,
                "other cluster",
            ),
            (
                "its name leads to another machine",
                &[Text("resolve", "homelab", "192.168.4.62", "192.168.4.63")],
                Area::Kubelet,
                Verdict::Fail,
                "foreign name",
            ),
        ],
    );
}
