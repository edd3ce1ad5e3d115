//! What flannel leaves on a node.

use super::super::cni::Host;
use super::super::containerd::Containerd;
use super::super::permissions::Permissions;
use super::super::read::test_support::record;
use super::*;

const ENV: &str =
    "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";
const CONF: (&str, &str, &str) =
    ("cni-file", "/etc/cni/net.d/10-flannel.conflist", r#"{"name":"cbr0","plugins":[{"type":"flannel"}]}"#);
const DIR: (&str, &str, &str) = ("cni-dir", "/etc/cni/net.d", "644 0:0 1 1 f\t10-flannel.conflist\n");

fn parse(sections: &[(&str, &str, &str)]) -> Flannel {
    let record = record(sections);
    let reader = Reader::new(&record);
    let permissions = Permissions::parse(reader);
    let containerd = Containerd::parse(reader, &permissions, None);
    let host = Host { arch: &Fact::Absent, permissions: &permissions, uptime: &Fact::Absent, now: None };
    let cni = Cni::parse(reader, &containerd, &host);
    Flannel::parse(reader, &Network::parse(reader), &cni)
}

#[test]
fn a_complete_file_and_a_bridge_that_agrees() {
    let flannel =
        parse(&[("flannel-env", "", ENV), ("ip-addr", "", "9: cni0    inet 10.244.1.1/24 scope global cni0\n")]);
    assert_eq!(flannel.subnet_env_complete, Fact::Known(true));
    assert_eq!(flannel.pod_cidr, Fact::Known("10.244.1.0/24".to_owned()));
    assert_eq!(flannel.cni0_differs, Fact::Known(false));
}

#[test]
fn a_bridge_of_another_subnet() {
    let flannel =
        parse(&[("flannel-env", "", ENV), ("ip-addr", "", "9: cni0    inet 10.244.0.1/16 scope global cni0\n")]);
    assert_eq!(flannel.cni0_differs, Fact::Known(true));
}

#[test]
fn no_bridge_yet_is_no_difference() {
    let flannel = parse(&[("flannel-env", "", ENV), ("ip-addr", "", "1: lo    inet 127.0.0.1/8\n")]);
    assert_eq!((flannel.cni0, flannel.cni0_differs), (Fact::Absent, Fact::Absent));
}

#[test]
fn half_a_file_is_incomplete() {
    assert_eq!(
        parse(&[("flannel-env", "", "FLANNEL_NETWORK=10.244.0.0/16\n")]).subnet_env_complete,
        Fact::Known(false)
    );
}

#[test]
fn a_configuration_without_flannel_behind_it() {
    let links = ("ip-link", "", "1: lo: <LOOPBACK,UP> mtu 65536 state UNKNOWN link/loopback 00\n");
    let mut sections = vec![CONF, DIR, links];
    let record = |sections: &[(&str, &str, &str)]| parse(sections).config_without_runtime;
    assert!(record(&sections).is_unknown(), "nobody looked for subnet.env");
    sections.push(("flannel-env", "", ENV));
    assert_eq!(record(&sections), Fact::Known(false));
}

#[test]
fn the_last_error_of_flannels_container() {
    let log = "2025-09-12T16:20:00.1Z stderr F I0912 main.go:210] CLI flags config\n\
               2025-09-12T16:20:01.1Z stderr F E0912 16:20:01.1 1 main.go:332] Error registering network: node \"x\" pod cidr not assigned\n";
    let flannel = parse(&[("log-pod", "/var/log/pods/x.log", log)]);
    assert_eq!(
        flannel.log_error,
        Fact::Known("Error registering network: node \"x\" pod cidr not assigned".to_owned())
    );
}

#[test]
fn sizes_of_packets() {
    let links = |outer: u32, vxlan: u32, bridge: u32| {
        let text = format!(
            "2: eno1: <UP> mtu {outer} state UP\n5: flannel.1: <UP> mtu {vxlan} state UNKNOWN vxlan id 1 local 192.168.4.62 \
             dev eno1 dstport 8472\n6: cni0: <UP> mtu {bridge} state UP\n"
        );
        parse(&[("flannel-env", "", ENV), ("ip-link", "", &text)])
    };
    let differ = |flannel: Flannel| (flannel.mtu_too_large, flannel.cni0_mtu_differs);
    assert_eq!(differ(links(1500, 1450, 1450)), (Fact::Known(false), Fact::Known(false)));
    assert_eq!(differ(links(1400, 1450, 1450)), (Fact::Known(true), Fact::Known(false)));
    assert_eq!(differ(links(9000, 1450, 1500)), (Fact::Known(false), Fact::Known(true)));
    assert_eq!(links(1500, 1450, 1450).outer_mtu, Fact::Known(1500));
}

#[test]
fn another_tunnel_on_flannels_port() {
    let text = "5: flannel.1: <UP> mtu 1450 state UNKNOWN vxlan id 1 dev eno1 dstport 8472\n\
        6: cilium_vxlan: <UP> mtu 1450 state UNKNOWN vxlan external dstport 8472\n\
        7: vxlan.calico: <UP> mtu 1450 state UNKNOWN vxlan id 4096 dstport 4789\n";
    assert_eq!(parse(&[("ip-link", "", text)]).port_shared_with, Fact::Known(vec!["cilium_vxlan".to_owned()]));
}

#[test]
fn a_pod_network_that_is_the_nodes_own() {
    let overlaps = |address: &str| {
        let text = format!("1: lo    inet 127.0.0.1/8\n2: eno1    inet {address}\n6: cni0    inet 10.244.1.1/24\n");
        parse(&[("flannel-env", "", ENV), ("ip-addr", "", &text)]).overlaps
    };
    assert_eq!(overlaps("192.168.4.62/24"), Fact::Known(vec![]));
    assert_eq!(overlaps("10.244.77.3/24"), Fact::Known(vec!["eno1 10.244.77.0/24".to_owned()]));
    assert_eq!(overlaps("10.1.2.3/8"), Fact::Known(vec!["eno1 10.0.0.0/8".to_owned()]));
}

#[test]
fn the_newest_container_of_flannel_counts() {
    let container = |attempt: u32, created: u32, state: &str| {
        format!(
            r#"{{"metadata":{{"name":"kube-flannel","attempt":{attempt}}},"createdAt":"{created}","state":"CONTAINER_{state}"}}"#
        )
    };
    let list = |items: &[String]| {
        let text = format!(r#"{{"containers":[{}]}}"#, items.join(","));
        let flannel = parse(&[("crictl-ps", "", &text)]);
        (flannel.container_running, flannel.container_restarts)
    };
    assert_eq!(list(&[]), (Fact::Absent, Fact::Absent));
    let failing = [container(6, 100, "EXITED"), container(7, 200, "EXITED")];
    assert_eq!(list(&failing), (Fact::Known(false), Fact::Known(7)));
    let again = [container(0, 300, "RUNNING"), container(7, 200, "EXITED")];
    assert_eq!(list(&again), (Fact::Known(true), Fact::Known(0)));
}

#[test]
fn what_went_through_the_tunnel() {
    let flannel = parse(&[
        ("flannel-env", "", ENV),
        ("ip-addr", "", "5: flannel.1    inet 10.244.1.0/32 scope global flannel.1\n"),
        ("overlay-traffic", "", "rx_packets=0\ntx_packets=412\n"),
    ]);
    assert_eq!((flannel.received, flannel.sent), (Fact::Known(0), Fact::Known(412)));
    assert_eq!(flannel.interface_address_differs, Fact::Known(false));
    // Where there is no tunnel nothing is counted.
    let none = parse(&[("flannel-env", "", ENV), ("ip-addr", "", "5: flannel.1    inet 10.244.7.0/32 scope global\n")]);
    assert_eq!(none.received, Fact::Absent);
    assert_eq!(none.interface_address_differs, Fact::Known(true));
}
