//! Faults of containerd, CNI, the kubelet and the API.

use seaworthy::verdict::{Area, Verdict};

use super::Change::{Add, Code, Drop, Text};
use super::check;

const BAD_CONFLIST: &str = r#"{"cniVersion":"0.3.1","name":"flannel","type":"flannel"}"#;
const BRIDGE: &str = r#"{"name":"placeholder","plugins":[{"type":"bridge","ipam":{"type":"host-local"}}]}"#;
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
                    Drop("process"),
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
                    Drop("process"),
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
