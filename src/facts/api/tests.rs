use super::super::read::test_support::{record, record_of, section};
use super::*;

const NODES: &str = "node=homelab
created=2025-09-12T16:17:42Z
podCIDR=10.244.2.0/24
unschedulable=true
taint=node.kubernetes.io/not-ready NoSchedule 
taint=dedicated NoExecute gpu
address=InternalIP 192.168.4.62
address=Hostname homelab
condition=DiskPressure True KubeletHasDiskPressure 2025-09-12T16:00:00Z 2025-09-12T16:20:00Z
condition=Ready False KubeletNotReady 2025-09-12T16:10:00Z 2025-09-12T16:20:00Z
message=Ready \"container runtime network not ready: \\\"x\\\"\"
kubelet=v1.29.15
os=\"Red Hat Enterprise Linux 10\"
machineID=m
note=flannel.alpha.coreos.com/public-ip \"192.168.4.62\"
node=lost
role=node-role.kubernetes.io/control-plane
condition=Ready Unknown NodeStatusUnknown 2025-09-12T16:10:00Z 2025-09-12T16:20:00Z
";

fn parse(sections: &[(&str, &str, &str)]) -> Api {
    Api::parse(Reader::new(&record(sections)), Some(1000))
}

#[test]
fn nodes_as_the_api_sees_them() {
    let api = parse(&[("api-nodes", "", NODES)]);
    let nodes = api.nodes.known().unwrap();
    assert_eq!((nodes.len(), &api.nodes_complete, &api.answers), (2, &Fact::Known(true), &Fact::Known(true)));
    let node = &nodes["homelab"];
    assert_eq!((&node.ready, node.cordoned), (&Fact::Known(false), true));
    assert_eq!(node.ready_message, Fact::Known("container runtime network not ready: \"x\"".to_owned()));
    assert_eq!(node.heartbeat, Fact::Known(1_757_694_000));
    assert_eq!(node.taints, ["node.kubernetes.io/not-ready:NoSchedule", "dedicated=gpu:NoExecute"]);
    assert_eq!(node.pressures, ["DiskPressure"]);
    assert_eq!(node.internal_ips, ["192.168.4.62"]);
    assert_eq!(node.kubelet_version, Fact::Known("1.29.15".to_owned()));
    assert_eq!(node.os_image, Fact::Known("Red Hat Enterprise Linux 10".to_owned()));
    assert_eq!(node.flannel_public_ip, Fact::Known("192.168.4.62".to_owned()));
    assert_eq!((&nodes["lost"].ready, nodes["lost"].control_plane), (&Fact::Known(false), true));
}

#[test]
fn a_list_that_was_cut_does_not_claim_to_be_whole() {
    let mut cut = section("api-nodes", "", 0, NODES);
    cut.truncated = true;
    let api = Api::parse(Reader::new(&record_of(vec![cut])), None);
    assert_eq!(api.nodes.known().unwrap().keys().collect::<Vec<_>>(), ["homelab"]);
    assert_eq!(api.nodes_complete, Fact::Known(false));
}

#[test]
fn an_api_that_does_not_answer_is_told_from_one_that_was_not_asked() {
    let refused = "The connection to the server 192.168.4.63:6443 was refused";
    let sections = vec![section("api-version", "", 1, refused), section("api-nodes", "", 1, "")];
    let down = Api::parse(Reader::new(&record_of(sections)), None);
    assert_eq!(down.answers, Fact::Known(false));
    assert!(down.error.is_known_and(|why| why.contains("was refused")));
    assert!(down.nodes.is_unknown());
    assert_eq!(parse(&[]).answers, Fact::Absent);
    let no_kubectl = Api::parse(Reader::new(&record_of(vec![section("api-version", "", 127, "")])), None);
    assert_eq!(no_kubectl.answers, Fact::unknown("kubectl is not installed"));
}

#[test]
fn pods_daemonsets_and_requests() {
    let pods = "pod=kube-flannel kube-flannel-ds-x\nnode=homelab\nphase=Pending\n\
        init=install-cni 3 false waiting CrashLoopBackOff \"back-off\"\ncontainer=kube-flannel 1 false waiting PodInitializing \"\"\n\
        pod=kube-system kube-proxy-y\nnode=homelab\nphase=Running\ncontainer=kube-proxy 36 true running 2025-09-12T16:10:00Z\n";
    let sets =
        "daemonset=kube-flannel kube-flannel-ds\ndesired=3\nready=2\ndaemonset=kube-system kube-proxy\ndesired=3\n";
    let requests = "csr=csr-1\ncondition=Approved AutoApproved\ncsr=csr-2\nuser=system:bootstrap:abcdef\n";
    let api = parse(&[("api-pods-system", "", pods), ("api-daemonsets", "", sets), ("api-csr", "", requests)]);
    let pods = api.system_pods.known().unwrap();
    assert_eq!((pods[0].ready, pods[0].restarts), (false, 4));
    assert_eq!(pods[0].reason, Fact::Known("CrashLoopBackOff".to_owned()));
    assert_eq!((pods[1].ready, pods[1].restarts, &pods[1].reason), (true, 36, &Fact::Absent));
    let sets = api.flannel_daemonsets.known().unwrap();
    assert_eq!((sets.len(), &sets[0].ready), (1, &Fact::Known(2)));
    assert_eq!(api.pending_csrs, Fact::Known(vec!["csr-2".to_owned()]));
}

#[test]
fn cluster_info_pins_its_ca() {
    use base64::Engine as _;
    let ca = base64::engine::general_purpose::STANDARD.encode(include_str!("../testdata/ca.crt"));
    let kubeconfig =
        format!("clusters:\n- cluster:\n    certificate-authority-data: {ca}\n    server: https://192.168.4.63:6443\n");
    let map = serde_json::json!({"data": {"kubeconfig": kubeconfig, "jws-kubeconfig-abcdef": "x"}}).to_string();
    let api = parse(&[("api-cluster-info", "", &map)]);
    let pin = "14c4d239897364b502ddefaefd6bbf4ee0c3560c1ecb9c3511b9569f30374e43";
    assert_eq!(api.cluster_info_ca_sha256, Fact::Known(pin.to_owned()));
    assert_eq!(api.signed_token_ids, Fact::Known(vec!["abcdef".to_owned()]));
}

#[test]
fn readyz_versions_and_configuration() {
    let config = serde_json::json!({"items": [{"data": {"ClusterConfiguration":
        "kubernetesVersion: v1.29.15\nnetworking:\n  podSubnet: 10.244.0.0/16\n"}}]});
    let kubelets = serde_json::json!({"items": [{"data": {"kubelet":
        "cgroupDriver: systemd\nclusterDNS:\n- 10.96.0.10\n"}}]});
    let api = parse(&[
        ("api-kubelet-config", "", &kubelets.to_string()),
        ("api-readyz", "", "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n"),
        ("api-version", "", r#"{"gitVersion":"v1.29.15"}"#),
        ("api-kubeadm-config", "", &config.to_string()),
    ]);
    assert_eq!(api.ready, Fact::Known(false));
    assert_eq!(api.not_ready, Fact::Known(vec!["etcd failed: reason withheld".to_owned()]));
    assert_eq!(api.version, Fact::Known("1.29.15".to_owned()));
    assert_eq!(api.pod_subnet, Fact::Known("10.244.0.0/16".to_owned()));
    assert_eq!(api.kubelet_cluster_dns, Fact::Known(vec!["10.96.0.10".to_owned()]));
    assert_eq!(parse(&[("api-readyz", "", "[+]ping ok\nreadyz check passed\n")]).ready, Fact::Known(true));
}

#[test]
fn addresses_and_events_by_node() {
    let api = parse(&[
        ("api-pod-ips", "", "homelab 10.244.2.5 default/a\nhomelab 10.244.2.6 default/b\n"),
        (
            "api-events",
            "",
            "2025-09-12T16:10:00Z 12 default Pod/a FailedCreatePodSandBox homelab \"plugin type=\\\"bridge\\\" failed\"\n",
        ),
    ]);
    assert_eq!(api.pod_ips.known().unwrap()["homelab"].len(), 2);
    let expected = "FailedCreatePodSandBox Pod/a: plugin type=\"bridge\" failed";
    assert_eq!(api.events.known().unwrap()["homelab"], [expected]);
}
